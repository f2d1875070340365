# SPDX-License-Identifier: MIT
"""What falls between the parts of supervision: restarts, queues, questions, budgets and stops in combination."""
import contextlib
import http.client
import json
import os
import signal
import threading
import uuid

from aod import DEMO, kinds, texts, wait_for


def blueprint(aod, name, session, exec_start=DEMO, adapter="claude"):
    aod.blueprint(name, "[Agent]\nAdapter=%s\n%s[Session]\n%s\n[Sandbox]\nSandbox=none\n" % (
        adapter, "ExecStart=%s\n" % exec_start if exec_start else "", session))


def resume(aod, sid, prompt, **more):
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": prompt, **more})
    assert r.status == 200, r
    return r.json


def prompts(aod, sid):
    return [(p["prompt"], p["state"]) for p in aod.get("/sessions/%s/prompts" % sid).json["prompts"]]


def program(aod, name, text):
    """An agent of our own."""
    path = os.path.join(aod.project, name)
    with open(path, "w") as f:
        f.write("#!/usr/bin/python3\nimport json, os, sys, time\n" + SPEAK + text)
    os.chmod(path, 0o755)
    return path


CLOSE = 17  # see src/base/frame.h


def frames(path):
    """The types of the whole frames of a file."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except FileNotFoundError:
        return []
    out, at = [], 0
    while at + 24 <= len(data) and at + 24 + int.from_bytes(data[at + 8:at + 12], "little") <= len(data):
        out.append(data[at + 3])
        at += 24 + int.from_bytes(data[at + 8:at + 12], "little")
    return out


SPEAK = """
def say(**o):
    print(json.dumps(o), flush=True)

def turn(result):
    say(type="system", subtype="init", session_id="s", tools=[], cwd="/", model="m")
    say(type="result", subtype="success", is_error=False, result=result, num_turns=1, session_id="s", total_cost_usd=0, usage={})

def prompts():
    return (o for o in map(json.loads, sys.stdin) if o.get("type") == "user")
"""


def test_the_limit_is_a_failure_also_of_what_ends_well(aod):
    """Restart=always: one that ends well again and again has failed when the limit is reached, and can be reset."""
    blueprint(aod, "b-limit", "Restart=always\nRestartSec=0\nStartLimitBurst=2", None, "command")
    sid = aod.sh("exit 0", agent_name="b-limit")
    s = aod.wait_status(sid)
    assert (s["state"], s["result"], s["runs"]) == ("failed", "start-limit-hit", 3)


def test_a_restart_finds_room_in_a_full_queue_of_prompts(aod):
    blueprint(aod, "b-full", "Restart=on-failure\nRestartMode=fresh\nRestartSec=1h")
    sid = aod.create(agent_name="b-full", prompt="wait")["session_id"]
    wait_for("its turn", lambda: "init" in kinds(aod.events(sid)))
    for i in range(1000):
        resume(aod, sid, "say %d" % i, queue=True)
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "one more", "queue": True}).status == 429
    os.kill(aod.agent_pid(sid, "aod-demo"), signal.SIGKILL)
    s = aod.wait_state(sid, "auto-restart")
    assert s["prompts_queued"] == 1001
    assert aod.delete("/sessions/%s" % sid).status == 200


def test_an_idle_agent_that_asks_is_idle_again(aod):
    """A question between two turns: what comes meanwhile has its turn after the answer."""
    agent = program(aod, "asks-late", """
for n, _ in enumerate(prompts()):
    turn("turn %d" % (n + 1))
    if n == 0:
        say(type="control_request", request_id="late-1",
            request={"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}, "tool_use_id": "t1"})
""")
    blueprint(aod, "b-late", "Lifecycle=persistent\nIdleTimeoutSec=infinity", agent)
    for meanwhile in (False, True):
        sid = aod.create(agent_name="b-late", prompt="one")["session_id"]
        aod.wait_state(sid, "waiting")
        if meanwhile:
            resume(aod, sid, "two")
        assert aod.post("/sessions/%s/answer" % sid, {"answer": "allow"}).status == 200
        if not meanwhile:
            aod.wait_state(sid, "idle")
            resume(aod, sid, "two")
        wait_for("the second turn", lambda: prompts(aod, sid) == [("one", "done"), ("two", "done")])
        aod.wait_state(sid, "idle")
        assert aod.result(sid) == "turn 2"
        aod.delete("/sessions/%s" % sid)


def test_a_stop_at_the_moment_of_the_end_is_final(make_aod):
    a = make_aod()
    blueprint(a, "b-moment", "Restart=always\nRestartSec=1h", None, "command")
    for i in range(4):
        go = os.path.join(a.project, "go-%d" % i)
        sid = a.sh("while [ ! -e %s ]; do sleep 0.01; done" % go, agent_name="b-moment")
        a.wait_state(sid, "running")
        answers = []
        t = threading.Thread(target=lambda: answers.append(a.post("/sessions/%s/stop" % sid)))
        # Both are there when it goes on.
        os.kill(a.pid, signal.SIGSTOP)
        try:
            t.start()
            open(go, "w").close()
            wait_for("its shim to have said all", lambda: not a.session_processes(sid) and a.shims() == [])
        finally:
            os.kill(a.pid, signal.SIGCONT)
        t.join()
        assert answers[0].status == 200 and a.wait_status(sid)["state"] == "stopped"


def at_once(a, *requests):
    """Sends POSTs that aod finds all together when it looks, in this order; their answers."""
    with contextlib.ExitStack() as stack:
        connections = []
        os.kill(a.pid, signal.SIGSTOP)
        try:
            for path, body in requests:
                c = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", a.ports["runtime"], timeout=60)))
                c.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                connections.append(c)
                # aod-http answers this by itself, and has passed on what came before it.
                for _ in range(2):
                    a.get("/sessions?limit=1")
        finally:
            os.kill(a.pid, signal.SIGCONT)
        return [c.getresponse().status for c in connections]


def test_a_stop_in_the_same_moment_as_the_start(make_aod):
    """Its input file is there before its shim is, for the stop: all else that the shim wants has to be there, too."""
    a = make_aod()
    blueprint(a, "b-same", "", None, "command")
    sid = str(uuid.uuid4())
    start = {"session_id": sid, "agent_name": "b-same", "command": ["/bin/sleep", "100"]}
    assert at_once(a, ("/sessions", start), ("/sessions/%s/stop" % sid, {})) == [200, 200]
    assert a.wait_status(sid)["state"] == "stopped"
    assert "without a word" not in a.log()


def test_the_last_prompt_of_one_that_waits_is_cancelled(make_aod):
    a = make_aod(args=["--max-sessions=1"])
    sid = a.demo("say one")
    a.wait_status(sid)
    hold = a.sh("while [ ! -e %s ]; do sleep 0.02; done" % os.path.join(a.project, "go"))
    a.wait_state(hold, "running")
    resume(a, sid, "say two")
    assert a.session(sid)["state"] == "queued"
    n = a.get("/sessions/%s/prompts" % sid).json["prompts"][-1]["id"]
    s = a.delete("/sessions/%s/prompts/%d" % (sid, n)).json["session"]
    assert (s["state"], s["result"], s["prompts_queued"]) == ("stopped", "cancelled", 0)
    assert a.get("/queue").json["waiting"] == 0
    # Where there is another one it goes on waiting.
    resume(a, sid, "say three")
    resume(a, sid, "say four", queue=True)
    n = a.get("/sessions/%s/prompts" % sid).json["prompts"][-2]["id"]
    assert a.delete("/sessions/%s/prompts/%d" % (sid, n)).json["session"]["state"] == "queued"
    open(os.path.join(a.project, "go"), "w").close()
    assert a.wait_status(sid)["state"] == "finished" and a.result(sid) == "four"


def test_one_that_is_about_to_end_and_was_asked_more_is_not_finished(aod):
    end = os.path.join(aod.project, "end")
    agent = program(aod, "stays", """
for _ in prompts():
    turn("yes")
while not os.path.exists("%s"):
    time.sleep(0.01)
""" % end)
    blueprint(aod, "b-stays", "Lifecycle=persistent\nIdleTimeoutSec=50ms", agent)
    sid = aod.create(agent_name="b-stays", prompt="one", project_dir=aod.project)["session_id"]
    wait_for("its input to be closed", lambda: CLOSE in frames(os.path.join(aod.session_dir(sid), "1.in")))
    s = resume(aod, sid, "two")["session"]
    assert (s["status"], s["state"], s["result"], s["prompts_queued"]) == ("running", "running", None, 1)
    assert aod.get("/sessions/%s/result" % sid).status == 400
    open(end, "w").close()
    wait_for("its turn", lambda: prompts(aod, sid) == [("one", "done"), ("two", "done")])


def test_a_session_gives_its_children_no_greater_priority_than_its_own(make_aod):
    a = make_aod()
    a.blueprint("b-child", "[Agent]\nExecStart=%s\n[Sandbox]\nSandbox=none\n" % DEMO)
    sid = a.plain_demo("env AOD_TOKEN\nwait", priority=5)
    token, = wait_for("its token", lambda: texts(a.events(sid)))

    def child(**body):
        return a.request("POST", "/sessions", {"prompt": "say hi", "agent_name": "b-child", **body},
                         headers={"Authorization": "Bearer " + token})
    assert child(priority=5).status == child(priority=-1000).status == child().status == 200
    r = child(priority=6)
    assert r.status == 403 and "no greater one than its own, 5" in r.detail
    # Nor has it the word about what others wait for, or what persons are asked.
    for path in ("/queue", "/cost", "/questions"):
        assert a.get(path, headers={"Authorization": "Bearer " + token}).status == 403, path
    other = a.demo("ask Bash")
    for method, path in (("POST", "/answer"), ("POST", "/interrupt"), ("GET", "/prompts"), ("GET", "/questions"), ("GET", "/queue"), ("POST", "/restart"),
                         ("POST", "/reset-failed"), ("DELETE", "/prompts/1"), ("POST", "/stop"), ("POST", "/freeze")):
        body = {"tree": True} if path in ("/stop", "/freeze") else {"answer": "allow"}
        r = a.request(method, "/sessions/%s%s" % (other, path), body if method == "POST" else None,
                      headers={"Authorization": "Bearer " + token})
        assert r.status in (403, 404), (path, r)


def test_what_is_idle_is_not_started_again(aod):
    """Whatever its state: there is nothing that it could be started with."""
    blueprint(aod, "b-rest", "Lifecycle=persistent\nIdleTimeoutSec=infinity")
    sid = aod.create(agent_name="b-rest", prompt="say one")["session_id"]
    aod.wait_state(sid, "idle")
    assert aod.post("/sessions/%s/restart" % sid).status == 409
    if aod.post("/sessions/%s/freeze" % sid).status == 200:
        assert aod.session(sid)["state"] == "frozen"
        assert aod.post("/sessions/%s/restart" % sid).status == 409
        assert aod.post("/sessions/%s/thaw" % sid).status == 200
    assert aod.session(sid)["state"] == "idle"
    aod.delete("/sessions/%s" % sid)


def test_a_list_of_questions_has_an_end(make_aod):
    """Each may be about the text of a whole file."""
    a = make_aod()
    a.blueprint("b-long", "[Agent]\nExecStart=%s\n[Sandbox]\nSandbox=none\n" % DEMO)
    sids = [a.create(agent_name="b-long", prompt='ask Write {"content":"%s"}' % ("x" * 1000000))["session_id"] for _ in range(11)]
    for sid in sids:
        a.wait_state(sid, "waiting")
    r = a.get("/questions")
    assert len(r.data) < 10 << 20 and r.json["more"] is True and 8 <= len(r.json["questions"]) < 11
    for sid in sids[:4]:
        assert a.post("/sessions/%s/stop" % sid, {"timeout_ms": 0}).status == 200
        a.wait_status(sid)
    r = a.get("/questions").json
    assert len(r["questions"]) == 7 and r["more"] is False
