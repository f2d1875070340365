# SPDX-License-Identifier: MIT
"""Sessions of the claude kind, with the demo agent: it speaks what claude speaks, and does what it is told."""
import json
import os
import stat
import uuid

import pytest

from aod import DEMO, kinds, outputs, texts, wait_for


def of(events, kind):
    return [e for e in events if e["event_type"] == kind]


def run(aod, prompt, **body):
    s = aod.run_demo(prompt, **body)
    return s, aod.events(s["session_id"])


def test_a_plain_prompt_is_answered(aod):
    s, ev = run(aod, "hello there")
    assert aod.result(s["session_id"]) == "You said: hello there"
    k = kinds(ev)
    assert k[0] == "session_start" and k[-1] == "session_stop" and "init" in k and "result" in k
    init = of(ev, "init")[0]
    assert init["model"] and init["cwd"] == aod.agent_dir(s["session_id"]) + "/work"
    assert s["agent_session_id"] == init["agent_session_id"]
    # The prompt was given with a uuid: whoever delivers it twice has it run once.
    assert {e["state"] for e in of(ev, "control") if e.get("command_uuid")} == {"queued", "started", "completed"}


def test_tools_come_in_pairs(aod):
    s, ev = run(aod, 'tool Read {"file_path":"/x","n":[1,2]}\nbash echo out; echo err >&2; exit 3\nbash echo fine')
    pre, post = of(ev, "pre_tool"), of(ev, "post_tool")
    assert [e["tool_name"] for e in pre] == [e["tool_name"] for e in post] == ["Read", "Bash", "Bash"]
    assert [e["tool_use_id"] for e in pre] == [e["tool_use_id"] for e in post] and len({e["tool_use_id"] for e in pre}) == 3
    assert pre[0]["tool_input"] == {"file_path": "/x", "n": [1, 2]} and post[0]["tool_output"] == "ok" and post[0]["error"] is None
    assert post[0]["tool_input"] == pre[0]["tool_input"]
    assert pre[1]["tool_input"] == {"command": "echo out; echo err >&2; exit 3"}
    assert "out\nerr" in post[1]["tool_output"] and post[1]["error"]
    assert post[2]["tool_output"] == "fine" and post[2]["error"] is None


def test_result_of_the_turn(aod):
    s, ev = run(aod, "say one\nsay two\nresult the true answer")
    assert aod.result(s["session_id"]) == "the true answer"
    r = of(ev, "result")
    assert len(r) == 1 and r[0]["subtype"] == "success" and r[0]["is_error"] is False and r[0]["result"] == "the true answer"
    assert r[0]["usage"]["input_tokens"] == 100 and r[0]["num_turns"] == 2
    assert texts(ev) == ["one", "two"]


def test_resume_continues_the_conversation(aod):
    sid = aod.demo("count")
    aod.wait_status(sid)
    assert aod.result(sid) == "1"
    first = aod.session(sid)
    for n in (2, 3):
        aod.resume(sid, "count")
        s = aod.wait_status(sid)
        assert aod.result(sid) == str(n), "the agent did not go on with its conversation"
        assert s["runs"] == n and s["agent_session_id"] == first["agent_session_id"] and s["last_resumed_at"]
    # What a start after a crash would go by.
    args = [json.loads(r[0]) for r in aod.sql("SELECT args FROM run_text WHERE session = (SELECT n FROM session WHERE id = ?) ORDER BY n", sid)]
    assert [a["agent_session_id"] for a in args] == [first["agent_session_id"]] * 3
    ev = aod.events(sid)
    assert [e["run"] for e in of(ev, "session_start")] == [1, 2, 3]
    assert texts(ev, role="user") == ["count"] * 3


def test_resume_after_every_way_to_end(aod):
    sid = aod.demo("say x\nexit 5")
    assert aod.wait_status(sid)["exit_code"] == 5
    for how, state in (("kill KILL", "failed"), ("fail", "failed"), ("crash", "failed"), ("count", "finished")):
        aod.resume(sid, how)
        assert aod.wait_status(sid)["state"] == state
    assert aod.result(sid) == "5"


def test_usage_and_cost_are_counted_once(aod):
    """The agent tells tokens of a turn, but the cost of the whole conversation, as claude does."""
    s, _ = run(aod, "say x")
    u = s["usage"]
    assert (u["input_tokens"], u["output_tokens"]) == (100, 20) and u["cost_usd"] == pytest.approx(0.001)
    for n in (2, 3):
        aod.resume(s["session_id"], "say y\nbash true")
        u = aod.wait_status(s["session_id"])["usage"]
        assert (u["input_tokens"], u["output_tokens"]) == (100 * n, 20 * n)
        assert u["cost_usd"] == pytest.approx(0.001 * n), "the cost of earlier runs was counted again"


def test_a_result_with_an_origin_is_not_the_answer(aod):
    for script in ("task early\nsay the answer", "task\nsay the answer"):
        s, ev = run(aod, script)
        assert s["state"] == "finished" and aod.result(s["session_id"]) == "the answer"
        assert len(of(ev, "result")) == 2 and len([e for e in of(ev, "result") if e.get("origin")]) == 1
        assert {e["subtype"] for e in of(ev, "task")} >= {"task_started", "task_notification"}
        assert "I heard that the task is done" in texts(ev)
        assert s["usage"]["input_tokens"] == 200 and s["usage"]["cost_usd"] == pytest.approx(0.002)


@pytest.mark.parametrize("how, result", [
    ("fail", "agent-error"), ("fail 529", "overloaded"), ("fail 429", "rate-limited"), ("fail 401", "auth"), ("fail 400", "agent-error"),
    ("fail error_max_turns", "max-turns"), ("fail error_max_budget_usd", "budget"), ("fail error_during_execution", "agent-error")])
def test_is_error_is_a_failure(aod, how, result):
    s, ev = run(aod, "say before\n" + how)
    assert (s["status"], s["state"], s["result"]) == ("finished", "failed", result) and s["error"]
    assert of(ev, "result")[0]["is_error"] is True
    assert ev[-1]["event_type"] == "session_stop" and ev[-1]["reason"] == result


def test_an_agent_that_ends_without_a_result_has_failed(aod):
    s, _ = run(aod, "say x\nexit 0")
    assert s["state"] == "failed" and s["exit_code"] == 0 and s["error"]
    assert aod.get("/sessions/%s/result" % s["session_id"]).status == 404


def test_unknown_messages_are_kept_and_ignored(aod):
    s, ev = run(aod, "unknown\nsay fine")
    assert s["state"] == "finished" and aod.result(s["session_id"]) == "fine"
    assert texts(ev) == ["known beside unknown", "fine"]
    unknown = [e for e in aod.events(s["session_id"], raw=1) if e["event_type"] == "unknown"]
    raws = [json.loads(e["raw"]) for e in unknown if e.get("raw")]
    assert any(r["type"] == "demo_new_type" and r["payload"] == {"nested": [1, 2, {"three": None}]} for r in raws)
    assert any(r.get("subtype") == "demo_new_subtype" and r["type"] == "system" for r in raws)
    assert any("demo_new_block" in json.dumps(r) for r in raws)


def test_what_is_no_json_is_output(aod):
    s, ev = run(aod, 'raw plain text\nraw {"type":"assistant"\nraw []\nraw {"no":"type"}\nraw {"type":5}\nnonl 100\n'
                     "garbage 5000\nstderr a complaint\nraw %s\nsay alive" % ("[" * 500))
    assert s["state"] == "finished" and aod.result(s["session_id"]) == "alive"
    out = outputs(ev, "stdout")
    assert "plain text" in out and '{"type":"assistant"' in out and "x" * 100 in out
    assert outputs(ev, "stderr") == ["a complaint"]
    assert any("base64" in e for e in of(ev, "output"))


def test_deep_and_odd_messages(aod):
    deep = '{"type":"assistant","message":{"content":%s1%s}}' % ("[" * 900, "]" * 900)
    s, ev = run(aod, "\n".join((
        "raw " + deep,
        'raw {"type":"assistant","message":null}', 'raw {"type":"assistant","message":{"content":[null,5,{"type":"text"},{"type":"text","text":7}]}}',
        'raw {"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"never-asked","content":[{"type":"image"}]}]}}',
        'raw {"type":"result"}' if False else 'raw {"type":"system","subtype":7}',
        'raw {"type":"control_request","request":{"subtype":"can_use_tool"}}',
        'raw {"type":"command_lifecycle"}', "say survived")))
    assert s["state"] == "finished" and aod.result(s["session_id"]) == "survived"
    assert any(e["tool_use_id"] == "never-asked" for e in of(ev, "post_tool"))


def test_a_permission_that_nobody_gives_is_denied(aod):
    aod.blueprint("unattended", "[Agent]\nExecStart=%s\n[Session]\nAskTimeoutSec=0\n" % DEMO)
    s = aod.wait_status(aod.create(prompt="ask Bash\nsay went on", agent_name="unattended")["session_id"])
    ev = aod.events(s["session_id"])
    assert s["state"] == "finished"
    assert any(t.startswith("Bash: deny: ") for t in texts(ev)), texts(ev)
    rq = of(ev, "permission_request")
    assert len(rq) == 1 and rq[0]["tool_name"] == "Bash"
    assert of(ev, "post_tool")[-1]["error"]


def test_what_a_turn_used_counts_also_when_it_has_no_end(aod):
    s, _ = run(aod, "usage 5000 300 0.5\ncrash")
    assert s["result"] == "signal" or s["result"] == "core-dump"
    assert (s["usage"]["input_tokens"], s["usage"]["output_tokens"], s["usage"]["turns"]) == (5000, 300, 1)


def test_a_limit_ends_the_run_as_rate_limited(aod):
    s, ev = run(aod, "limit 3600")
    assert s["result"] == "rate-limited" and s["error"].startswith("API Error: Request rejected (429)")
    assert of(ev, "notice")[0]["rate_limit_info"]["status"] == "rejected"


def test_denied_and_retried_are_told(aod):
    s, ev = run(aod, "deny\nretry 3\nthink about it\nsay x")
    assert s["state"] == "finished"
    assert of(ev, "permission_denied")[0]["tool_name"] == "Bash"
    assert [e["attempt"] for e in of(ev, "api_retry")] == [1, 2, 3] and of(ev, "api_retry")[0]["error_status"] == 529
    assert any(e.get("text") == "about it" for e in of(ev, "thinking"))


def test_a_message_of_3_mb(aod):
    s, ev = run(aod, "big 3200000")
    assert len(aod.result(s["session_id"])) == 3200000
    assert len(texts(ev)[-1]) == 3200000


def test_a_line_over_every_cap(aod):
    """100 MB in one line: kept in pieces, the session goes on."""
    s, _ = run(aod, "nonl 40000000\nsay after it")
    assert s["state"] == "finished" and aod.result(s["session_id"]) == "after it"
    n, after = 0, 0
    while True:
        page = aod.get("/sessions/%s/events?after=%d&limit=3" % (s["session_id"], after)).json
        n += sum(len(e["text"]) for e in page["events"] if e["event_type"] == "output")
        if not page["more"]:
            break
        after = page["next_after"]
    assert n == 40000000


def test_prompts_of_every_kind(aod):
    for prompt in ("umlaut ä ✓ 😀 \u2028 \u0001 \\ \" end", "x" * 300000, " leading", "-p", "--help", "\n\nlines\n\n"):
        s, ev = run(aod, prompt)
        assert aod.result(s["session_id"]) == "You said: " + prompt
        assert texts(ev, role="user") == [prompt]


def test_huge_prompt(aod):
    prompt = "y" * (7 << 20)
    s, ev = run(aod, prompt)
    assert aod.result(s["session_id"]) == "You said: " + prompt


def test_private_tmp_and_config_dir(aod):
    """What one session leaves in /tmp, another one does not see, nor does the host."""
    mark = "mark-" + uuid.uuid4().hex
    a = aod.demo("bash touch /tmp/%s /var/tmp/%s; ls /tmp\nenv CLAUDE_CONFIG_DIR" % (mark, mark))
    aod.wait_status(a)
    assert mark in of(aod.events(a), "post_tool")[0]["tool_output"]
    assert aod.result(a).startswith(aod.agent_dir(a) + "/")
    assert not os.path.exists("/tmp/" + mark) and not os.path.exists("/var/tmp/" + mark)
    b = aod.demo("bash ls -A /tmp /var/tmp\nenv CLAUDE_CONFIG_DIR")
    aod.wait_status(b)
    assert mark not in of(aod.events(b), "post_tool")[0]["tool_output"]
    assert aod.result(a) != aod.result(b)
    aod.resume(a, "bash ls /tmp")
    aod.wait_status(a)
    assert mark in of(aod.events(a), "post_tool")[-1]["tool_output"], "a resumed session has its own files"
    for d in (aod.session_dir(a), aod.agent_dir(a), aod.result(b)):
        assert stat.S_IMODE(os.stat(d).st_mode) == 0o700


def test_environment_is_an_allow_list(make_aod):
    secrets = {"MY_SECRET": "hunter2", "ANTHROPIC_API_KEY": "sk-secret", "AWS_SECRET_ACCESS_KEY": "aws", "LD_PRELOAD": "", "IS_SANDBOX": "1",
               "PASSED": "yes", "LANG": "C.UTF-8", "LC_TIME": "C", "TZ": "Europe/Vienna"}
    a = make_aod(env=secrets)
    a.blueprint("env", "[Agent]\nAdapter=claude\nExecStart=%s\nPassEnvironment=PASSED MISSING\nEnvironment=SET=here \"TWO=a b\"\n" % DEMO)
    s = a.create(agent_name="env", prompt="bash env -0 | tr '\\0' '\\n'")
    sid = s["session_id"]
    a.wait_status(sid)
    out = of(a.events(sid), "post_tool")[0]["tool_output"]
    env = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    assert not {"MY_SECRET", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "IS_SANDBOX", "MISSING"} & set(env), env
    assert "hunter2" not in out and "sk-secret" not in out
    assert env["PASSED"] == "yes" and env["SET"] == "here" and env["TWO"] == "a b"
    assert env["LANG"] == "C.UTF-8" and env["TZ"] == "Europe/Vienna"
    assert env["AOD_SESSION_ID"] == sid and env["AOD_SOCKET"] == a.agents_socket and env["AOD_TOKEN"].startswith("aod_")
    assert env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_TIME", "TZ", "TMPDIR", "AGENT_SESSION_ID", "AOD_SESSION_ID",
               "AOD_SESSION_NAME", "AOD_SOCKET", "AOD_TOKEN", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER",
               "PASSED", "SET", "TWO", "PWD", "OLDPWD", "SHLVL", "_"}
    assert set(env) <= allowed, set(env) - allowed
    plan = a.get("/sessions/%s/plan" % sid)
    assert '"SET=here"' in plan.text or "here" in plan.text
    assert "PASSED" in plan.text and '"yes"' not in plan.text and "=yes" not in plan.text, "a passed value is shown"


def test_arguments_and_mcp_config(aod):
    servers = {"mcpServers": {"x": {"command": "/bin/true", "args": [], "env": {"TOKEN": "mcp-secret-token"}}}}
    aod.blueprint("mcp", "[Agent]\nAdapter=claude\nExecStart=%s\nMcpConfigFile=mcp-servers.json\nModel=demo-9\nAllowedTools=Bash Read\n"
                         "DisallowedTools=Write\nPermissionMode=acceptEdits\nMaxTurns=7\nSystemPrompt=Be kind.\n" % DEMO)
    with open(os.path.join(aod.root, "etc", "blueprints", "mcp-servers.json"), "w", encoding="utf-8") as f:
        json.dump(servers, f)
    sid = aod.create(agent_name="mcp", prompt="args\nhang")["session_id"]
    e = aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    args = json.loads(e["content"][0]["text"])
    pairs = dict(zip(args, args[1:]))
    assert pairs["--setting-sources"] == "" and "--strict-mcp-config" in args and "--verbose" in args
    assert pairs["--output-format"] == pairs["--input-format"] == "stream-json"
    assert pairs["--model"] == "demo-9" and pairs["--permission-mode"] == "acceptEdits" and pairs["--max-turns"] == "7"
    assert pairs["--append-system-prompt"] == "Be kind." and "Bash" in pairs["--allowedTools"] and "Read" in pairs["--allowedTools"]
    assert pairs["--disallowedTools"] == "Write" and "--dangerously-skip-permissions" not in args
    uuid.UUID(pairs["--session-id"])
    path = pairs["--mcp-config"]
    st = os.stat(path)
    assert stat.S_IMODE(st.st_mode) == 0o600 and path.startswith(aod.agent_dir(sid) + "/")
    with open(path, encoding="utf-8") as f:
        assert json.load(f) == servers
    assert "mcp-secret-token" not in " ".join(args)
    for pid in aod.session_processes(sid):
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            assert b"mcp-secret-token" not in f.read()
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)
    aod.resume(sid, "args")
    aod.wait_status(sid)
    again = json.loads(aod.result(sid))
    assert dict(zip(again, again[1:]))["--resume"] == pairs["--session-id"] and "--session-id" not in again


def test_a_grace_after_the_result(aod):
    """An agent that does not end after its answer is ended; the answer counts."""
    aod.blueprint("grace", "[Agent]\nAdapter=claude\nExecStart=/bin/sh -c '%s \"$@\"; exec sleep 1000' sh\n[Session]\nResultGraceSec=300ms\n"
                           "TimeoutStopSec=300ms\n[Sandbox]\nPrivateTmp=no\n" % DEMO)
    sid = aod.create(agent_name="grace", prompt="say the answer")["session_id"]
    s = aod.wait_status(sid)
    assert aod.result(sid) == "the answer"
    assert (s["state"], s["result"]) == ("finished", "success")
    aod.assert_no_process_left(sid)


def test_messages_stream_as_they_come(aod):
    gates = [os.path.join(aod.project, uuid.uuid4().hex) for _ in range(2)]
    sid = aod.demo("say tick 1\nbash while [ ! -e %s ]; do sleep 0.02; done\nsay tick 2\nbash while [ ! -e %s ]; do sleep 0.02; done\nstream 3 10 tock"
                   % tuple(gates), project_dir=aod.project)
    seen = []
    with aod.follow(sid) as events:
        for e in events:
            if e["event_type"] == "message" and e["role"] == "assistant":
                seen.append(e["content"][0]["text"])
                if gates:  # it says nothing more, and does not end, before it has been heard
                    assert seen[-1] == "tick %d" % len(seen) and aod.session(sid)["status"] == "running"
                    open(gates.pop(0), "w").close()
    assert seen == ["tick 1", "tick 2", "tock 1", "tock 2", "tock 3"]


def test_memory_and_files(aod, tmp_path):
    s, ev = run(aod, "write out.txt one\nappend out.txt two\nmemory 50\ncwd", project_dir=str(tmp_path))
    assert (tmp_path / "out.txt").read_text() == "one\ntwo\n"
    assert texts(ev) == ["memory: 50 MiB", str(tmp_path)] and s["state"] == "finished"


def test_old_files_of_runs_are_gone(aod):
    s, _ = run(aod, "lines 100")
    d = aod.session_dir(s["session_id"])
    wait_for("the files of the run to go", lambda: not [f for f in os.listdir(d) if f.split(".")[-1] in ("spool", "in", "bell")])
