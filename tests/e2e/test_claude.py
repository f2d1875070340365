# SPDX-License-Identifier: MIT
"""The real Claude CLI under aod, against the stand-in for the model's API. Skipped where the CLI is not there."""
import datetime
import glob
import itertools
import json
import os
import re
import signal
import subprocess

import pytest

from aod import WAIT, alive, clean_env, kinds, open_fifo, texts, wait_for
from model_api import ModelApi


class World:
    def __init__(self, aod, claude):
        self.aod, self.claude = aod, claude
        self.api = ModelApi([]).start()

    def blueprint(self, more="", name="real", env=""):
        self.aod.blueprint(name, "[Agent]\nAdapter=claude\nExecStart=%s\nEnvironment=ANTHROPIC_BASE_URL=%s ANTHROPIC_API_KEY=fake-key %s\n%s\n"
                           % (self.claude, self.api.url, env, more))

    def start(self, prompt, **body):
        return self.aod.create(agent_name="real", prompt=prompt, **body)["session_id"]

    def run(self, prompt, timeout=60, **body):
        sid = self.start(prompt, **body)
        s = self.aod.wait_status(sid, timeout=timeout)
        return s, self.aod.events(sid)


@pytest.fixture
def w(aod, claude):
    world = World(aod, claude)
    world.blueprint()
    yield world
    world.api.stop()


def of(events, kind):
    return [e for e in events if e["event_type"] == kind]


def rule(user, reply, **match):
    times = {"times": match.pop("times")} if "times" in match else {}
    return {"match": {"user": user, "main": True, **match}, "reply": reply, **times}


def tool(command, **more):
    return {"text": "I will run it.", "tool_use": [{"name": "Bash", "input": {"command": command, "description": "run it", **more}}]}


def test_text_answer(w, aod):
    w.api.script([rule("^hello$", {"text": "Hi, {{user}}!", "chunk_chars": 3})])
    s, ev = w.run("hello")
    assert s["state"] == "finished" and s["result"] == "success" and s["exit_code"] == 0, s
    sid = s["session_id"]
    assert aod.result(sid) == "Hi, hello!"
    assert texts(ev) == ["Hi, hello!"] and texts(ev, role="user") == ["hello"]
    k = kinds(ev)
    assert k[0] == "session_start" and k[-1] == "session_stop" and {"init", "result"} <= set(k)
    init = of(ev, "init")[0]
    assert init["claude_code_version"] and init["cwd"] == aod.agent_dir(sid) + "/work"
    assert w.api.stats()["prompts"] == {"hello": {"sent": 1, "answered": 1}}
    e = w.api.log()[0]
    assert e["session"] == s["agent_session_id"]
    u = s["usage"]
    assert (u["input_tokens"], u["output_tokens"], u["turns"]) == (100, 20, 1) and u["cost_usd"] > 0
    assert os.listdir(os.path.join(aod.agent_dir(sid), "claude")), "its files are elsewhere"


def test_tool_use(w, aod, tmp_path):
    w.blueprint("AllowedTools=Bash")
    w.api.script([rule("use a tool", {"text": "It said: {{tool_result}}"}, tool_result=True),
                  rule("use a tool", tool("echo from-bash; pwd; touch made-here"))])
    s, ev = w.run("use a tool", project_dir=str(tmp_path))
    assert s["state"] == "finished", (s, ev)
    assert aod.result(s["session_id"]) == "It said: from-bash\n%s" % tmp_path
    assert (tmp_path / "made-here").exists()
    pre, post = of(ev, "pre_tool"), of(ev, "post_tool")
    assert len(pre) == len(post) == 1 and pre[0]["tool_use_id"] == post[0]["tool_use_id"]
    assert pre[0]["tool_name"] == post[0]["tool_name"] == "Bash" and pre[0]["tool_input"]["command"].startswith("echo from-bash")
    assert "from-bash" in json.dumps(post[0]["tool_output"]) and post[0]["error"] is None
    assert w.api.stats()["main"] == 2


# An MCP server as they are: it speaks JSON-RPC over its standard streams, a message a line.
MCP_SERVER = """
import json, os, sys

TOOL = {"name": "reverse", "description": "Turns a text round.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}, "look": {"type": "array", "items": {"type": "string"}}},
                        "required": ["text"]}}


def reverse(text, look):
    with open("made-by-server", "w") as f:
        f.write(text)
    seen = [p for p in look if os.path.exists(p)]
    return "%s; uid %d; sees %s" % (text[::-1], os.getuid(), seen)


for line in sys.stdin:
    m = json.loads(line)
    if m.get("method") == "initialize":
        result = {"protocolVersion": m["params"]["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "words", "version": "1"}}
    elif m.get("method") == "tools/list":
        result = {"tools": [TOOL]}
    elif m.get("method") == "tools/call":
        result = {"content": [{"type": "text", "text": reverse(**m["params"]["arguments"])}]}
    elif "id" in m:
        result = {}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": result}), flush=True)
"""


def strict_here(aod):
    checks = json.loads(aod.aoctl("doctor", "--json").stdout)["checks"]
    return not [c for c in checks if c["name"] in ("namespaces", "sandbox") and c["status"] != "ok"]


def confined(w, more):
    """The blueprint, with the sandbox that it would have by default."""
    if not strict_here(w.aod):
        pytest.skip("no strict sandbox on this host")
    w.blueprint(more + "\n[Sandbox]\nSandbox=strict")


def test_strict_mcp_server(w, aod, tmp_path):
    """A server that lies outside of the project: it is shown to the session, runs in its sandbox, and its tool works."""
    project, server = tmp_path / "project", tmp_path / "server"
    for d in (project, server):
        d.mkdir()
    (server / "words.py").write_text(MCP_SERVER)
    (server / "secret").write_text("not for agents")
    hidden = [str(server / "secret"), os.path.join(aod.root, "state", "aod.db"), os.path.join(aod.root, "run", "aod.sock")]
    assert all(os.path.exists(p) for p in hidden), hidden
    confined(w, "AllowedTools=mcp__words__reverse\nMcpServer=words /usr/bin/python3 %s/words.py" % server)
    w.api.script([rule("turn plum", {"text": "It said: {{tool_result}}"}, tool_result=True),
                  rule("turn plum", {"text": "I ask.", "tool_use": [{"name": "mcp__words__reverse", "input": {"text": "plum", "look": hidden}}]},
                       tool="mcp__words__reverse")])
    s, ev = w.run("turn plum", project_dir=str(project))
    assert s["state"] == "finished", (s, ev)
    said = re.fullmatch(r"It said: mulp; uid (\d+); sees \[(.*)\]", aod.result(s["session_id"]))
    assert said and said[2] == "", (said, aod.result(s["session_id"]))
    assert (int(said[1]) != 0) and (os.geteuid() != 0 or 61184 <= int(said[1]) <= 65519)
    made = project / "made-by-server"
    assert made.read_text() == "plum" and made.stat().st_uid == os.stat(project).st_uid
    assert [e["tool_name"] for e in of(ev, "pre_tool")] == ["mcp__words__reverse"] and of(ev, "post_tool")[0]["error"] is None
    assert "mcp__words__reverse" in of(ev, "init")[0]["tools"]
    aod.assert_no_process_left(s["session_id"])


def test_strict_builds_a_project(w, aod, tmp_path):
    """make, compiler, linker and the tests that were built, through the Bash tool; the second prompt mends what the tests found."""
    project = tmp_path / "project"
    project.mkdir()
    files = {
        "sum.c": "#include \"sum.h\"\n\nint\nsum(int a, int b)\n{\n\treturn a - b;\n}\n",
        "sum.h": "int sum(int a, int b);\n",
        "test-sum.c": "#include <stdio.h>\n#include \"sum.h\"\n\nint\nmain(void)\n{\n\tFILE *f = tmpfile();\n\n\tif (!f || sum(20, 22) != 42) {\n"
                      "\t\tputs(\"FAIL: sum\");\n\t\treturn 1;\n\t}\n\tputs(\"PASS: sum\");\n\treturn 0;\n}\n",
        "Makefile": "CC = gcc\nCFLAGS = -O2 -g -pipe -Wall\n\ncheck: test-sum\n\t./test-sum\n\ntest-sum: test-sum.o libsum.a\n\t$(CC) -o $@ test-sum.o -L. -lsum\n\n"
                    "libsum.a: sum.o\n\t$(AR) rcs $@ sum.o\n\nsum.o test-sum.o: sum.h\n",
    }
    for name, text in files.items():
        (project / name).write_text(text)
    confined(w, "AllowedTools=Bash")
    w.api.script([rule("mend|run the tests", {"text": "It said: {{tool_result}}"}, tool_result=True),
                  rule("mend", tool("sed -i 's/a - b/a + b/' sum.c && make -j2 check")),
                  rule("run the tests", tool("make -j2 check"))])
    s, ev = w.run("run the tests", project_dir=str(project))
    sid = s["session_id"]
    assert s["state"] == "finished" and "FAIL: sum" in aod.result(sid) and of(ev, "post_tool")[0]["error"], (s, of(ev, "post_tool"))
    aod.resume(sid, "mend it")
    s = aod.wait_status(sid, timeout=60)
    ev = aod.events(sid)
    assert s["state"] == "finished" and "PASS: sum" in aod.result(sid) and of(ev, "post_tool")[-1]["error"] is None, (s, of(ev, "post_tool"))
    assert not of(ev, "denied"), of(ev, "denied")
    for name in ("test-sum", "libsum.a", "sum.o"):
        assert (project / name).stat().st_uid == project.stat().st_uid
    # What was built runs outside, too.
    assert subprocess.run([project / "test-sum"], stdout=subprocess.PIPE, check=True).stdout == b"PASS: sum\n"


def test_resume_continues_the_conversation(w, aod):
    w.api.script([rule("word is|which word", {"text": "I know: {{history}}"})])
    s, _ = w.run("the word is plum")
    sid = s["session_id"]
    first = s["usage"]["cost_usd"]
    aod.resume(sid, "which word?")
    s = aod.wait_status(sid)
    assert s["state"] == "finished" and s["runs"] == 2
    assert aod.result(sid) == "I know: the word is plum|which word?"
    log = w.api.log()
    assert len(log) == 2 and log[1]["session"] == log[0]["session"] and "assistant" in log[1]["roles"]
    assert w.api.stats()["prompts"] == {p: {"sent": 1, "answered": 1} for p in ("the word is plum", "which word?")}
    last = of(aod.events(sid), "result")[-1]
    assert last["total_cost_usd"] == pytest.approx(2 * first), "claude has changed: the cost is not that of the conversation any more"
    assert s["usage"]["cost_usd"] == pytest.approx(2 * first), "cost was counted more than once"
    assert s["usage"]["input_tokens"] == 200


def test_overload_is_retried(w, aod):
    w.api.script([rule("busy", {"error": {"status": 529, "type": "overloaded_error", "message": "Overloaded"}}, times=2),
                  rule("busy", {"text": "at last"})])
    s, ev = w.run("busy")
    assert s["state"] == "finished" and aod.result(s["session_id"]) == "at last"
    retries = of(ev, "api_retry")
    assert [e["attempt"] for e in retries] == [1, 2] and {e["error_status"] for e in retries} == {529}
    assert w.api.stats()["prompts"]["busy"] == {"sent": 3, "answered": 1}


@pytest.mark.parametrize("status, kind, result", [(400, "invalid_request_error", "agent-error"), (529, "overloaded_error", "overloaded"),
                                                  (429, "rate_limit_error", "rate-limited"), (500, "api_error", "agent-error")])
def test_failures(w, aod, status, kind, result):
    w.blueprint(env="CLAUDE_CODE_MAX_RETRIES=1")
    w.api.script([rule("bad", {"error": {"status": status, "type": kind, "message": "no such luck"}})])
    s, ev = w.run("bad")
    assert (s["state"], s["result"], s["exit_code"]) == ("failed", result, 1), s
    assert s["error"] and str(status) in s["error"]
    r = of(ev, "result")[0]
    assert r["is_error"] is True and r["api_error_status"] == status
    assert aod.get("/sessions/%s/status" % s["session_id"]).json == {"status": "finished"}


def test_no_key(w, aod):
    aod.blueprint("real", "[Agent]\nAdapter=claude\nExecStart=%s\nEnvironment=ANTHROPIC_BASE_URL=%s\n" % (w.claude, w.api.url))
    s, _ = w.run("hello")
    assert (s["state"], s["result"]) == ("failed", "auth") and "ogged in" in s["error"], s
    assert w.api.stats()["requests"] == 0


def test_max_turns(w):
    w.blueprint("AllowedTools=Bash\nMaxTurns=2")
    w.api.script([rule("loop", tool("echo again"))])
    s, _ = w.run("loop")
    assert (s["state"], s["result"]) == ("failed", "max-turns")


def test_a_tool_that_is_not_allowed(w, aod, tmp_path):
    w.blueprint("[Session]\nAskTimeoutSec=0")
    w.api.script([rule("touch", {"text": "so I was told: {{tool_result}}"}, tool_result=True), rule("touch", tool("touch not-allowed"))])
    s, ev = w.run("touch", project_dir=str(tmp_path))
    assert s["state"] == "finished" and not (tmp_path / "not-allowed").exists()
    assert of(ev, "permission_request") and [(e["answer"], e["by"]) for e in of(ev, "answer")] == [("deny", "timeout")], kinds(ev)
    assert "Nobody answered" in of(ev, "post_tool")[0]["error"]


def asked(aod, sid):
    """The question that a session waits with."""
    def look():
        s = aod.session(sid)
        assert s["status"] == "running", (s, aod.events(sid))
        q = aod.get("/sessions/%s/questions" % sid).json["questions"]
        return q[0] if q else None
    return wait_for("a question", look, 60)


def test_a_person_allows_a_tool(w, aod, tmp_path):
    w.api.script([rule("touch", {"text": "it said: {{tool_result}}"}, tool_result=True), rule("touch", tool("touch allowed; echo really"))])
    sid = w.start("touch", project_dir=str(tmp_path))
    q = asked(aod, sid)
    assert (q["kind"], q["about"]["tool_name"], q["about"]["input"]["command"]) == ("permission", "Bash", "touch allowed; echo really")
    assert aod.session(sid)["state"] == "waiting" and not (tmp_path / "allowed").exists()
    p = aod.aoctl("answer", sid, "allow")
    assert p.returncode == 0, p
    s = aod.wait_status(sid, timeout=60)
    assert s["state"] == "finished" and (tmp_path / "allowed").exists() and aod.result(sid) == "it said: really"
    assert w.api.stats()["prompts"]["touch"] == {"sent": 1, "answered": 1}


def test_a_person_chooses(w, aod):
    ask = {"tool_use": [{"name": "AskUserQuestion", "input": {"questions": [{"question": "Which?", "header": "Pick", "multiSelect": False, "options": [
        {"label": "A", "description": "the first"}, {"label": "B", "description": "the second"}]}]}}]}
    w.api.script([rule("choose", {"text": "it said: {{tool_result}}"}, tool_result=True), rule("choose", ask)])
    sid = w.start("choose")
    assert asked(aod, sid)["kind"] == "choice"
    p = aod.aoctl("answer", sid, "choose", "B")
    assert p.returncode == 0, p
    aod.wait_status(sid, timeout=60)
    assert '"Which?"="B"' in aod.result(sid)


def test_aod_is_killed_while_a_person_is_asked(w, aod, tmp_path):
    w.blueprint("[Session]\nAskRule=deny Write")
    w.api.script([rule("touch", {"text": "it said: {{tool_result}}"}, tool_result=True), rule("touch", tool("touch allowed; echo really"))])
    sid = w.start("touch", project_dir=str(tmp_path))
    q = asked(aod, sid)
    aod.kill9()
    aod.start()
    assert asked(aod, sid) == q
    assert aod.post("/sessions/%s/answer" % sid, {"question": q["question_id"], "answer": "allow"}).status == 200
    s = aod.wait_status(sid, timeout=60)
    assert s["state"] == "finished" and (tmp_path / "allowed").exists() and aod.result(sid) == "it said: really"
    assert w.api.stats()["prompts"]["touch"] == {"sent": 1, "answered": 1}


def test_a_stop_while_a_person_is_asked(w, aod, tmp_path):
    w.api.script([rule("touch", tool("touch not-allowed"))])
    sid = w.start("touch", project_dir=str(tmp_path))
    asked(aod, sid)
    assert aod.post("/sessions/%s/stop" % sid).status == 200
    s = aod.wait_status(sid, timeout=60)
    assert s["state"] == "stopped" and not (tmp_path / "not-allowed").exists()
    assert [e["answer"] for e in of(aod.events(sid), "answer")] == ["gone"]


def test_huge_answer(w, aod):
    w.api.script([rule("big", {"text": "0123456789abcdef", "repeat": 200000})])
    s, ev = w.run("big")
    assert s["state"] == "finished"
    assert aod.result(s["session_id"]) == "0123456789abcdef" * 200000
    assert texts(ev)[-1] == "0123456789abcdef" * 200000


def test_a_stream_that_is_cut(w, aod):
    w.api.script([rule("cut", {"text": "this will be cut off in the middle of it", "cut": True, "chunk_chars": 4}, times=1),
                  rule("cut", {"text": "whole"})])
    s, _ = w.run("cut")
    assert s["state"] == "finished" and aod.result(s["session_id"]) == "whole"


def test_hang_and_stop(w, aod):
    """A stream that says nothing more, with what Bash left behind in a session of its own: stop ends all of it."""
    w.blueprint("AllowedTools=Bash")
    w.api.script([rule("hang", {"text": "I begin and", "hang": "stream"}, tool_result=True),
                  rule("hang", tool("setsid sleep 1000 >/dev/null 2>&1 & echo started"))])
    sid = w.start("hang")
    w.api.wait(lambda api: api.hanging > 0)
    # The shell went on before setsid became sleep.
    wait_for("sleep to run", lambda: "sleep" in aod.session_processes(sid).values())
    mine = aod.session_processes(sid)
    left = [p for p, name in mine.items() if name == "sleep"]
    assert len(left) == 1 and os.getsid(left[0]) == left[0] and "claude" in mine.values()
    assert of(aod.events(sid), "post_tool")
    aod.post("/sessions/%s/stop" % sid)
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("stopped", "cancelled")
    assert not [p for p in mine if alive(p)]
    aod.assert_no_process_left(sid)
    # It can go on after that, and the model sees what was before.
    w.api.script([rule("go on", {"text": "{{history}}"})])
    w.api.reset()
    aod.resume(sid, "go on")
    s = aod.wait_status(sid)
    assert s["state"] == "finished" and aod.result(sid).startswith("hang") and aod.result(sid).endswith("go on")


def test_hostile_project(w, aod, tmp_path):
    """Hooks and servers that lie in the project are not started; without aod's arguments they are, which shows that this test can fail."""
    project = tmp_path / "project"
    (project / ".claude").mkdir(parents=True)
    marks = tmp_path / "marks"
    marks.mkdir()

    def hook(name):
        return [{"hooks": [{"type": "command", "command": "touch %s/%s" % (marks, name)}]}]

    (project / ".claude" / "settings.json").write_text(json.dumps({
        "hooks": {"SessionStart": hook("session-start"), "UserPromptSubmit": hook("prompt"), "Stop": hook("stop")},
        "enableAllProjectMcpServers": True, "env": {"EVIL": "1"}}))
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"evil": {"command": "/bin/touch", "args": [str(marks / "mcp")]}}}))
    w.api.script([rule("hello", {"text": "hi"})])
    # The session sees the marks' directory: nothing but aod's arguments keeps the hooks from leaving one.
    w.blueprint("[Sandbox]\nSandbox=none\nPrivateTmp=no")
    s, _ = w.run("hello", project_dir=str(project))
    assert s["state"] == "finished" and aod.result(s["session_id"]) == "hi"
    assert os.listdir(marks) == []
    cfg = tmp_path / "cfg"
    cfg.mkdir()
    subprocess.run([w.claude, "-p", "hello"], cwd=project, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                   env=clean_env(ANTHROPIC_BASE_URL=w.api.url, ANTHROPIC_API_KEY="fake-key", CLAUDE_CONFIG_DIR=str(cfg), HOME=str(cfg),
                                 CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1"))
    assert "session-start" in os.listdir(marks), "the hooks of the project do not run even without protection"


@pytest.mark.parametrize("arrives", ["while it is away", "after"])
def test_aod_killed_in_mid_turn(w, make_aod, arrives):
    """The answer arrives while aod is away, or after; it is recorded, and the model was asked once."""
    a = make_aod()
    w.aod = a
    w.blueprint("AllowedTools=Bash")
    words = " ".join("word%d" % i for i in range(60))
    w.api.script([rule("slowly", {"text": "{{tool_result}} " + words, "chunk_chars": 8, "pause": True}, tool_result=True),
                  rule("slowly", tool("echo slow-tool"))])
    sid = w.start("slowly")
    w.api.wait(lambda api: api.hanging > 0)
    pid = agent(a, sid)
    a.kill9()
    spool = os.path.join(a.session_dir(sid), "1.spool")
    if arrives == "while it is away":
        w.api.release()
        wait_for("the answer", lambda: b'"type":"result"' in open(spool, "rb").read())
    assert alive(pid), "claude went with aod"
    a.start()
    w.api.release()
    s = a.wait_status(sid)
    assert s["state"] == "finished" and s["runs"] == 1 and a.result(sid) == "slow-tool " + words
    ev = a.events(sid)
    assert len(of(ev, "pre_tool")) == len(of(ev, "post_tool")) == len(of(ev, "result")) == 1
    assert of(ev, "post_tool")[0]["tool_name"] == "Bash"
    assert w.api.stats()["prompts"] == {"slowly": {"sent": 1, "answered": 1}} and w.api.stats()["main"] == 2
    assert s["usage"]["input_tokens"] == 200
    a.assert_no_process_left(sid)


def test_several_at_once(w, aod):
    """Eight sessions: each gets its own answer, each prompt reaches the model once."""
    w.api.script([rule("question", {"text": "answer to {{user}}", "latency_ms": 50})])
    ids = [(w.start("question %d" % i), i) for i in range(6)]
    for sid, i in ids:
        s = aod.wait_status(sid, timeout=90)
        assert s["state"] == "finished" and aod.result(sid) == "answer to question %d" % i
    assert w.api.stats()["prompts"] == {"question %d" % i: {"sent": 1, "answered": 1} for i in range(6)}


def test_a_stream_that_hangs_is_ended_by_the_watchdog(w, aod):
    """The program itself says nothing of it for ten minutes."""
    w.blueprint("[Session]\nWatchdogSec=3s")
    w.api.script([rule("hang", {"text": "I begin to", "hang": "stream"})])
    sid = w.start("hang")
    w.api.wait(lambda api: api.hanging > 0)
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "watchdog"), s
    aod.assert_no_process_left(sid)


def test_a_tool_that_does_not_come_back(w, aod):
    w.blueprint("AllowedTools=Bash\n[Session]\nToolTimeoutSec=1s")
    w.api.script([rule("use a tool", tool("tail -f /dev/null"), times=1), rule("", {"text": "done"})])
    sid = w.start("use a tool")
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "stalled"), s
    k = kinds(aod.events(sid))
    assert k.index("pre_tool") < k.index("post_tool"), "the turn was not interrupted: the program did not say what became of its tool"
    aod.assert_no_process_left(sid)


def test_a_budget_of_money(w, aod):
    """The program is told what may be spent, and ends a turn that goes on for longer; a resumed one has its whole budget again."""
    dear = {"output_tokens": 20000}
    w.api.script([rule("cheap", {"text": "one call", "usage": dear}),
                  rule("dear", {"text": "that was all", "usage": dear}, tool_result="3"),
                  rule("dear", dict(tool("echo 3"), usage=dear), tool_result="2"),
                  rule("dear", dict(tool("echo 2"), usage=dear), tool_result="1"),
                  rule("dear", dict(tool("echo 1"), usage=dear))])
    w.blueprint("AllowedTools=Bash")
    s, _ = w.run("cheap")
    call = s["usage"]["cost_usd"]
    assert s["result"] == "success" and call > 0.01
    w.blueprint("AllowedTools=Bash\n[Session]\nMaxCostUSD=%.6f" % (call * 1.5))
    # The turn before does not count in this run, whatever the program adds up.
    aod.resume(s["session_id"], "cheap")
    s = aod.wait_status(s["session_id"], timeout=60)
    assert s["result"] == "success" and s["runs"] == 2, s
    assert abs(s["usage"]["cost_usd"] - 2 * call) < call / 100
    s, ev = w.run("dear")
    assert (s["state"], s["result"]) == ("failed", "budget"), s
    assert 1.5 * call <= s["usage"]["cost_usd"] <= 2.5 * call
    assert [e["percent"] // 10 for e in of(ev, "budget")][-1] >= 10


def test_out_of_memory_and_on_again(w, aod):
    """A tool eats all the memory that the session may have: the run ends with that, and a restart goes on with the conversation."""
    w.api.script([rule("big", tool("head -c 3G /dev/zero | tail"), times=1), rule("", {"text": "Better not again."})])
    w.blueprint("AllowedTools=Bash\n[Session]\nRestart=on-abnormal\nRestartSec=10ms\n[Resources]\nMemoryMax=700M\nMemorySwapMax=0")
    s, ev = w.run("big", timeout=90)
    if s["runs"] == 1 and s["result"] != "oom-kill":
        pytest.skip("no memory limit takes effect here: %s" % s["error"])
    assert of(ev, "oom"), kinds(ev)
    first = of(ev, "session_stop")[0]
    assert first["reason"] == "oom-kill" and of(ev, "restart")[0]["reason"] == "oom-kill"
    assert (s["state"], s["result"], s["runs"]) == ("finished", "success", 2), s
    assert aod.result(s["session_id"]) == "Better not again."
    aod.assert_no_process_left(s["session_id"])


# ---- restarts


BUSY = {"error": {"status": 529, "type": "overloaded_error", "message": "Overloaded"}}


def test_overloaded_and_on_again(w, aod):
    """The program gives up after retries of its own; the restart goes on in its conversation, with a prompt that says so."""
    w.blueprint("[Session]\nRestart=on-transient\nRestartSec=100ms\nRestartPrompt=go on please", env="CLAUDE_CODE_MAX_RETRIES=1")
    w.api.script([rule("^the task$", BUSY, times=2), rule("^go on please$", {"text": "Done: {{history}}"})])
    s, ev = w.run("the task", timeout=90)
    assert (s["state"], s["result"], s["runs"]) == ("finished", "success", 2), s
    assert [e["reason"] for e in of(ev, "session_stop")] == ["overloaded", "completed"]
    assert "the task" in aod.result(s["session_id"]), "its conversation was lost"
    assert len({e["agent_session_id"] for e in of(ev, "init")}) == 1
    assert texts(ev, role="user")[-1] == "go on please" and prompt_states(aod, s["session_id"]) == ["failed", "done"]
    st = w.api.stats()["prompts"]
    assert st["the task"]["answered"] == 0 and st["go on please"] == {"sent": 1, "answered": 1}, st


def test_rate_limited_until_a_time(w, aod):
    """It is not asked before the time that the service says, and then once."""
    w.blueprint("[Session]\nRestart=on-transient\nRestartSec=100ms\nRestartPrompt=go on please", env="CLAUDE_CODE_MAX_RETRIES=0")
    w.api.script([rule("^the task$", {"error": {"status": 429, "type": "rate_limit_error", "message": "Claude AI usage limit reached|{{in 6}}"}}),
                  rule("^go on please$", {"text": "Done."})])
    s, ev = w.run("the task", timeout=90)
    assert (s["state"], s["result"], s["runs"]) == ("finished", "success", 2), s
    assert [e["reason"] for e in of(ev, "restart")] == ["rate-limited"]
    until = int(re.search(r"limit reached\|(\d+)", json.dumps(ev))[1])
    again = datetime.datetime.fromisoformat(of(ev, "session_start")[1]["timestamp"]).timestamp()
    assert until <= again < until + 10
    assert w.api.stats()["prompts"]["go on please"] == {"sent": 1, "answered": 1}


GO_ON = "Your last turn was cut off by an error. Go on with your task."


def transcript(aod, sid):
    """What the program itself has written down of the conversation, a moment after it said so."""
    found = glob.glob(aod.agent_dir(sid) + "/claude/projects/*/*.jsonl")
    return open(found[0], "rb").read() if found else b""


def test_killed_in_mid_turn_and_on_again(w, aod):
    """It has begun with the prompt: the same uuid is only replayed, so that it is told to go on. The conversation has the prompt once."""
    w.blueprint("AllowedTools=Bash\n[Session]\nRestart=on-abnormal\nRestartSec=100ms")
    # It refuses to sleep for long in the foreground.
    w.api.script([rule("the task", tool("tail -f /dev/null"), times=1), rule("Go on", {"text": "Done: {{history}}"})])
    sid = w.start("the task")
    aod.wait_event(sid, lambda e: e["event_type"] == "pre_tool", timeout=60)
    wait_for("the program to write down what it does", lambda: b"tail -f /dev/null" in transcript(aod, sid))
    os.kill(agent(aod, sid), 9)
    s = aod.wait_status(sid, timeout=90)
    ev = aod.events(sid)
    assert (s["state"], s["result"], s["runs"]) == ("finished", "success", 2), s
    assert [e["reason"] for e in of(ev, "session_stop")] == ["signal", "completed"]
    assert len({e["agent_session_id"] for e in of(ev, "init")}) == 1
    assert texts(ev, role="user")[0] == "the task" and prompt_states(aod, sid) == ["failed", "done"]
    # It had begun with it: it is not given it once more, which it would not work on, but told to go on.
    stats = w.api.stats()["prompts"]
    assert stats["the task"]["answered"] == 1 and stats[GO_ON] == {"sent": 1, "answered": 1}
    assert aod.result(sid).startswith("Done: the task|")
    aod.assert_no_process_left(sid)


# ---- one prompt after the other


def persistent(w, more="", **kw):
    w.blueprint("AllowedTools=Bash\n[Session]\nLifecycle=persistent\n" + more, **kw)


def is_idle(aod, sid, **want):
    return wait_for("the session to be idle", lambda: (lambda s: s if s["state"] == "idle" and all(s[k] == v for k, v in want.items()) else None)(
        aod.session(sid)), 60)


def resume(aod, sid, prompt, **more):
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": prompt, **more})
    assert r.status == 200, r
    return r.json


def agent(aod, sid):
    return aod.agent_pid(sid, "claude")


def prompt_states(aod, sid):
    return [p["state"] for p in aod.get("/sessions/%s/prompts" % sid).json["prompts"]]


def test_two_prompts_in_one_process(w, aod):
    persistent(w)
    w.api.script([rule("^first$", {"text": "one"}), rule("^second$", {"text": "I know: {{history}}"})])
    sid = w.start("first")
    s = is_idle(aod, sid)
    assert (s["status"], s["result"], s["usage"]["turns"]) == ("finished", "success", 1) and aod.result(sid) == "one"
    pid = agent(aod, sid)
    resume(aod, sid, "second")
    s = is_idle(aod, sid)
    assert aod.result(sid) == "I know: first|second" and agent(aod, sid) == pid and s["runs"] == 1
    assert w.api.stats()["prompts"] == {"first": {"sent": 1, "answered": 1}, "second": {"sent": 1, "answered": 1}}
    assert w.api.stats()["main"] == 2
    aod.post("/sessions/%s/stop" % sid)
    s = aod.wait_status(sid)
    assert s["state"] == "stopped" and s["usage"]["turns"] == 2 and s["usage"]["input_tokens"] == 200, s
    aod.assert_no_process_left(sid)


def test_three_prompts_during_a_turn(w, aod):
    persistent(w, "IdleTimeoutSec=2s\n")
    go = os.path.join(aod.project, "go")
    os.mkfifo(go)
    w.api.script([rule("slow", {"text": "slow is done"}, tool_result=True), rule("slow", tool("read x < %s" % go)),
                  rule("^(a|b|c)$", {"text": "it was {{user}}"})])
    sid = w.start("slow", project_dir=aod.project)
    aod.wait_event(sid, lambda e: e["event_type"] == "pre_tool", timeout=60)
    assert [resume(aod, sid, p)["position"] for p in "abc"] == [1, 2, 3]
    with open_fifo(go) as f:
        f.write("x\n")
    wait_for("the turns", lambda: prompt_states(aod, sid) == ["done"] * 4, 2 * WAIT)
    assert texts(aod.events(sid))[-4:] == ["slow is done", "it was a", "it was b", "it was c"]
    assert all(v == {"sent": 1, "answered": 1} for k, v in w.api.stats()["prompts"].items() if k in "abc"), w.api.stats()["prompts"]
    # Nobody asks any more: it ends well.
    s = wait_for("the end", lambda: (lambda s: s if s["state"] == "finished" else None)(aod.session(sid)), 60)
    assert (s["result"], s["exit_code"], s["runs"]) == ("success", 0, 1)


def test_interrupt(w, aod):
    persistent(w)
    w.api.script([rule("long", tool("tail -f /dev/null")), rule("after", {"text": "still here"}), rule("slow", {"text": "word " * 400, "chunk_ms": 50, "chunk_chars": 5})])
    sid = w.start("long")
    aod.wait_event(sid, lambda e: e["event_type"] == "pre_tool", timeout=60)
    pid = agent(aod, sid)
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    s = is_idle(aod, sid)
    assert (s["result"], s["error"]) == ("cancelled", None) and agent(aod, sid) == pid
    resume(aod, sid, "after")
    is_idle(aod, sid)
    assert aod.result(sid) == "still here"
    # At once after the prompt, too, and with a prompt in the queue.
    resume(aod, sid, "slow")
    resume(aod, sid, "after")
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    is_idle(aod, sid, result="success")
    assert prompt_states(aod, sid) == ["cancelled", "done", "cancelled", "done"]
    assert agent(aod, sid) == pid
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)


def test_a_turn_that_fails_leaves_the_process(w, aod):
    persistent(w, env="CLAUDE_CODE_MAX_RETRIES=0")
    w.api.script([rule("bad", {"error": {"status": 529, "type": "overloaded_error", "message": "busy"}}), rule("good", {"text": "fine"})])
    sid = w.start("bad")
    s = is_idle(aod, sid)
    assert s["result"] == "overloaded" and s["error"]
    pid = agent(aod, sid)
    resume(aod, sid, "good")
    is_idle(aod, sid, result="success")
    assert agent(aod, sid) == pid and prompt_states(aod, sid) == ["failed", "done"]
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)


def test_the_agent_is_killed_in_a_turn(w, aod):
    """The same prompt, by its uuid, in a new process; the next one after it; and an aod that is killed meanwhile."""
    persistent(w, "Restart=on-failure\nRestartSec=3s\n")
    w.api.script([rule("first", {"text": "one"}), rule("second", tool("tail -f /dev/null"), times=1), rule("second", {"text": "two"}), rule("third", {"text": "three"})])
    sid = w.start("first")
    is_idle(aod, sid)
    resume(aod, sid, "second")
    aod.wait_event(sid, lambda e: e["event_type"] == "pre_tool", timeout=60)
    assert resume(aod, sid, "third")["position"] == 1
    os.kill(agent(aod, sid), 9)
    aod.wait_state(sid, "auto-restart")
    # As if it had not written down yet that it was asked, which is a matter of moments.
    for path in glob.glob(aod.agent_dir(sid) + "/claude/projects/*/*.jsonl"):
        with open(path, "rb") as f:
            lines = list(itertools.takewhile(lambda line: b"second" not in line, f))
        with open(path, "wb") as f:
            f.writelines(lines)
    s = is_idle(aod, sid, runs=2, prompts_queued=0, result="success")
    assert texts(aod.events(sid))[-2:] == ["two", "three"] and prompt_states(aod, sid) == ["done"] * 3
    assert s["result"] == "success"
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)


def test_aod_is_killed_while_it_is_idle(w, make_aod):
    a = make_aod()
    w.aod = a
    persistent(w)
    w.api.script([rule("first", {"text": "one"}), rule("second", {"text": "two"})])
    sid = w.start("first")
    is_idle(a, sid)
    pid = agent(a, sid)
    a.kill9()
    a.start()
    resume(a, sid, "second")
    a.kill9()
    a.start()
    is_idle(a, sid)
    assert a.result(sid) == "two" and agent(a, sid) == pid
    assert w.api.stats()["prompts"] == {"first": {"sent": 1, "answered": 1}, "second": {"sent": 1, "answered": 1}}


@pytest.mark.parametrize("lifecycle", ["oneshot", "persistent"])
def test_killed_before_it_knew_what_it_was_asked(w, aod, lifecycle):
    """Its conversation is not written down yet: --resume would find none, so a new one is begun, with the same prompt."""
    w.api.script([{"match": {"user": "^hi"}, "times": 1, "reply": {"hang": "headers"}}, rule("", {"text": "fine"})])
    w.blueprint("[Session]\nLifecycle=%s" % lifecycle)
    sid = w.start("hi there")
    aod.wait_event(sid, lambda e: e["event_type"] == "init")
    os.kill(agent(aod, sid), signal.SIGKILL)
    assert aod.wait_status(sid, timeout=60)["result"] == "signal"
    for path in glob.glob(aod.agent_dir(sid) + "/claude/projects/*/*.jsonl"):
        os.unlink(path)  # it may have been the quicker of the two
    aod.resume(sid, "and now?")
    s = aod.wait_status(sid, timeout=60)
    assert s["result"] == "success" and aod.result(sid) == "fine", s
    ev = aod.events(sid)
    assert [e["subtype"] for e in of(ev, "notice")].count("new-conversation") == 1, kinds(ev)
    assert texts(ev, role="user") == ["hi there", "and now?"]
    assert w.api.stats()["prompts"]["and now?"] == {"sent": 1, "answered": 1}
    # The new one is one that can be gone on with.
    aod.resume(sid, "once more")
    assert aod.wait_status(sid, timeout=60)["result"] == "success"
    assert [e["subtype"] for e in of(aod.events(sid), "notice")].count("new-conversation") == 1
