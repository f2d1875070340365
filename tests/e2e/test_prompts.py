# SPDX-License-Identifier: MIT
"""Persistent sessions, the queue of prompts, interrupts: each prompt has its turn once, in order, whatever ends in between."""
import json
import os
import random
import signal
import sqlite3
import time
import uuid

import pytest

from aod import DEMO, children_of, kinds, open_fifo, texts, wait_for

PERSISTENT = "Lifecycle=persistent"


def blueprint(aod, name, session=PERSISTENT, adapter="claude", exec_start=DEMO):
    aod.blueprint(name, "[Agent]\nAdapter=%s\n%s[Session]\n%s\n[Sandbox]\nSandbox=none\n" % (
        adapter, "ExecStart=%s\n" % exec_start if exec_start else "", session))


def start(aod, name, prompt):
    return aod.create(prompt=prompt, agent_name=name, project_dir=aod.project)["session_id"]


def is_idle(aod, sid):
    return wait_for("the session to be idle", lambda: (lambda s: s if s["state"] == "idle" else None)(aod.session(sid)))


def resume(aod, sid, prompt, **more):
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": prompt, **more})
    assert r.status == 200, r
    return r.json


def prompts(aod, sid):
    r = aod.get("/sessions/%s/prompts" % sid)
    assert r.status == 200 and not r.json["more"], r
    return r.json["prompts"]


def states(aod, sid):
    return [(p["prompt"], p["state"]) for p in prompts(aod, sid)]


def said(aod, sid):
    return texts(aod.events(sid))


def result(aod, sid):
    r = aod.get("/sessions/%s/result" % sid)
    assert r.status == 200, r
    return r.json["result"]


def agent_pid(aod, sid):
    return aod.agent_pid(sid, "aod-demo")


def turns_open(aod, sid, n):
    """Wait until the agent has said something in turn n."""
    wait_for("turn %d" % n, lambda: kinds(aod.events(sid)).count("init") >= n)


# ---- the process stays


def test_two_prompts_in_one_process(aod):
    blueprint(aod, "p-two")
    sid = start(aod, "p-two", "say one")
    s = is_idle(aod, sid)
    assert (s["status"], s["result"], s["exit_code"], s["lifecycle"], s["runs"]) == ("finished", "success", None, "persistent", 1)
    assert result(aod, sid) == "one"
    assert "session_stop" not in kinds(aod.events(sid))
    pid = agent_pid(aod, sid)
    answer = resume(aod, sid, "count")
    assert (answer["session"]["state"], answer["session"]["result"]) == ("running", None) and "queued" not in answer
    assert is_idle(aod, sid)["runs"] == 1
    assert agent_pid(aod, sid) == pid
    assert result(aod, sid) == "2"
    assert states(aod, sid) == [("say one", "done"), ("count", "done")]
    # It ends when it is told to, and that is told.
    assert aod.post("/sessions/%s/stop" % sid).status == 200
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("stopped", "cancelled")
    ev = aod.events(sid)
    assert kinds(ev).count("session_stop") == 1 and kinds(ev)[-1] == "session_stop" and kinds(ev).count("result") == 2
    aod.assert_no_process_left(sid)
    # And goes on with the conversation in another one.
    resume(aod, sid, "count")
    s = is_idle(aod, sid)
    assert s["runs"] == 2 and result(aod, sid) == "3"
    assert aod.delete("/sessions/%s" % sid).status == 200
    aod.assert_no_process_left(sid)


def test_followers_end_when_it_is_idle(aod):
    blueprint(aod, "p-follow")
    r = aod.post("/sessions", {"prompt": "say sync", "agent_name": "p-follow", "async_mode": False})
    assert r.status == 200 and r.json["result"] == "sync", r
    sid = r.json["session"]["session_id"]
    assert r.json["session"]["state"] == "idle"
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": "say again", "async_mode": False})
    assert r.status == 200 and r.json["result"] == "again", r
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": "fail", "async_mode": False})
    assert r.status == 400, r
    s = aod.session(sid)
    assert (s["state"], s["result"], s["status"]) == ("idle", "agent-error", "finished") and s["error"]
    assert aod.get("/sessions/%s/result" % sid).status == 404
    for accept in ("application/x-ndjson", "text/event-stream"):
        r = aod.get("/sessions/%s/events?follow=1" % sid, headers={"Accept": accept})
        assert r.status == 200 and b"again" in r.data
    assert aod.get("/sessions/%s/status?wait=30" % sid).json == {"status": "finished"}
    c = aod.aoctl("resume", sid, "-p", "say for a person")
    assert (c.returncode, c.stdout) == (0, "for a person\n"), c
    c = aod.aoctl("resume", sid, "-p", "fail")
    assert c.returncode == 1 and "failed in this turn" in c.stderr, c
    assert aod.aoctl("logs", "-f", sid).returncode == 0
    assert "idle" in aod.aoctl("list", "--state", "idle").stdout
    assert sid in [x["session_id"] for x in aod.get("/sessions?state=live").json["sessions"]]
    assert aod.aoctl("stop", sid).returncode == 0


def test_a_turn_that_fails_leaves_it_idle(aod):
    """Unless Restart= names that failure."""
    blueprint(aod, "p-fail", PERSISTENT + "\nRestart=on-abnormal")
    sid = start(aod, "p-fail", "fail error_during_execution 529")
    s = is_idle(aod, sid)
    assert (s["result"], s["restarts"]) == ("overloaded", 0), s
    pid = agent_pid(aod, sid)
    resume(aod, sid, "say fine")
    s = is_idle(aod, sid)
    assert (s["result"], s["error"]) == ("success", None) and agent_pid(aod, sid) == pid
    assert [p["state"] for p in prompts(aod, sid)] == ["failed", "done"]
    aod.aoctl("stop", sid)


def test_idle_timeout(aod):
    blueprint(aod, "p-idle", PERSISTENT + "\nIdleTimeoutSec=300ms")
    t = time.monotonic()
    sid = start(aod, "p-idle", "say one")
    s = wait_for("the end", lambda: (lambda s: s if s["state"] != "idle" and s["status"] == "finished" else None)(aod.session(sid)))
    assert time.monotonic() - t > 0.3
    assert (s["state"], s["result"], s["exit_code"]) == ("finished", "success", 0), s
    assert result(aod, sid) == "one"
    ev = aod.events(sid)
    assert ev[-1]["event_type"] == "session_stop" and ev[-1]["reason"] == "completed"
    # One that failed and then waited long enough has ended well, too.
    resume(aod, sid, "fail")
    wait_for("the end", lambda: aod.session(sid)["state"] == "finished")
    assert aod.session(sid)["runs"] == 2
    aod.assert_no_process_left(sid)


def test_an_idle_process_that_ends(aod):
    blueprint(aod, "p-ends")
    for sig, want in ((signal.SIGKILL, ("failed", "signal", None, 9)), (signal.SIGINT, ("finished", "success", 0, None)),
                      (signal.SIGTERM, ("failed", "exit-code", 143, None))):
        sid = start(aod, "p-ends", "say one")
        is_idle(aod, sid)
        os.kill(agent_pid(aod, sid), sig)
        s = wait_for("the end", lambda: (lambda s: s if s["state"] != "idle" else None)(aod.session(sid)))
        assert (s["state"], s["result"], s["exit_code"], s["signal"]) == want, s
        assert result(aod, sid) == "one"
        assert states(aod, sid) == [("say one", "done")]
        resume(aod, sid, "count")
        is_idle(aod, sid)
        assert result(aod, sid) == "2"
        aod.aoctl("stop", sid)


def test_no_limit_counts_while_it_is_idle(aod):
    blueprint(aod, "p-limits", PERSISTENT + "\nRuntimeMaxSec=3s\nWatchdogSec=3s")
    sid = start(aod, "p-limits", "say one")
    is_idle(aod, sid)
    t = time.monotonic()
    wait_for("more than all of its time", lambda: time.monotonic() - t > 3.5)
    resume(aod, sid, "stream 5 100")
    assert is_idle(aod, sid)["result"] == "success"
    resume(aod, sid, "hang")
    s = wait_for("the end", lambda: (lambda s: s if s["state"] != "running" else None)(aod.session(sid)))
    assert (s["state"], s["result"]) == ("failed", "timeout") or s["result"] == "watchdog", s
    assert [p["state"] for p in prompts(aod, sid)] == ["done", "done", "failed"]


def test_freeze_and_thaw_an_idle_one(aod):
    blueprint(aod, "p-frozen")
    sid = start(aod, "p-frozen", "say one")
    is_idle(aod, sid)
    r = aod.post("/sessions/%s/freeze" % sid)
    if r.status == 409:
        pytest.skip("nothing can be frozen here: " + str(r.detail))
    assert aod.session(sid)["state"] == "frozen"
    assert aod.post("/sessions/%s/thaw" % sid).json["session"]["state"] == "idle"
    aod.post("/sessions/%s/freeze" % sid)
    r = resume(aod, sid, "count")
    assert (r["queued"], r["position"], r["session"]["state"]) == (True, 1, "frozen")
    assert aod.post("/sessions/%s/thaw" % sid).json["session"]["state"] == "running"
    is_idle(aod, sid)
    assert result(aod, sid) == "2"
    aod.aoctl("stop", sid)


# ---- the queue


def test_three_prompts_during_a_turn(aod):
    blueprint(aod, "p-three")
    go = fifo(aod, "go-three")
    sid = start(aod, "p-three", "bash read x < %s" % go)
    turns_open(aod, sid, 1)
    pid = agent_pid(aod, sid)
    for i in range(1, 4):
        r = resume(aod, sid, "say number %d" % i)
        assert (r["queued"], r["position"], r["session"]["prompts_queued"]) == (True, i, i)
    assert [s for _, s in states(aod, sid)] == ["given", "queued", "queued", "queued"]
    with open_fifo(go) as f:
        f.write("x\n")
    s = is_idle(aod, sid)
    assert s["prompts_queued"] == 0 and agent_pid(aod, sid) == pid
    assert [t for t in said(aod, sid) if t.startswith("number")] == ["number 1", "number 2", "number 3"]
    asked = [t for t in texts(aod.events(sid), role="user") if t.startswith("say")]
    assert asked == ["say number 1", "say number 2", "say number 3"]
    assert [s for _, s in states(aod, sid)] == ["done"] * 4
    times = [(p["given_at"], p["ended_at"]) for p in prompts(aod, sid)]
    assert all(a[1] <= b[0] for a, b in zip(times, times[1:])), times
    aod.aoctl("stop", sid)


def test_the_queue_of_a_oneshot(aod):
    blueprint(aod, "p-oneshot", "")
    sid = start(aod, "p-oneshot", "wait")
    turns_open(aod, sid, 1)
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": "no"})
    assert r.status == 409 and "still running" in r.detail
    assert resume(aod, sid, "count", queue=True)["position"] == 1
    c = aod.aoctl("resume", "--queue", "-d", sid, "-p", "count")
    assert c.returncode == 0, c
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    s = aod.wait_status(sid)
    # All in one process, which ends when nothing is left.
    assert (s["state"], s["result"], s["runs"]) == ("finished", "success", 1), s
    assert result(aod, sid) == "3"
    assert [s for _, s in states(aod, sid)] == ["cancelled", "done", "done"]


def test_the_queue_of_a_command(aod):
    """It takes one prompt a process: the next run has the next one."""
    blueprint(aod, "p-command", PERSISTENT, "command", "/bin/sh -c 'read x; echo \"got $x\"; [ \"$x\" != first ] || read y < %s'" % fifo(aod, "go-command"))
    sid = start(aod, "p-command", "first\n")
    aod.wait_event(sid, lambda e: e.get("text") == "got first")
    assert resume(aod, sid, "second\n")["position"] == 1
    assert resume(aod, sid, "third\n")["position"] == 2
    with open_fifo(fifo(aod, "go-command")) as f:
        f.write("x\n")
    s = wait_for("the end", lambda: (lambda s: s if s["state"] == "finished" and s["runs"] == 3 else None)(aod.session(sid)))
    assert s["prompts_queued"] == 0 and result(aod, sid).strip() == "got third"
    assert [s for _, s in states(aod, sid)] == ["done"] * 3


def fifo(aod, name):
    path = os.path.join(aod.project, name)
    if not os.path.exists(path):
        os.mkfifo(path)
    return path


def test_a_prompt_is_cancelled(aod):
    blueprint(aod, "p-cancel")
    sid = start(aod, "p-cancel", "wait")
    turns_open(aod, sid, 1)
    for text in ("say a", "say b", "say c"):
        resume(aod, sid, text)
    given, a, b, c = prompts(aod, sid)
    assert given["state"] == "given" and a["author"] and a["source"] == "request"
    r = aod.delete("/sessions/%s/prompts/%d" % (sid, b["id"]))
    assert r.status == 200 and r.json["session"]["prompts_queued"] == 2, r
    for n in (b["id"], given["id"], 10**9, "x"):
        assert aod.delete("/sessions/%s/prompts/%s" % (sid, n)).status == 404
    out = aod.aoctl("prompts", sid)
    assert out.returncode == 0 and len(out.stdout.splitlines()) == 5 and "cancelled" in out.stdout, out
    assert aod.aoctl("prompts", sid, "--cancel", str(c["id"])).returncode == 0
    assert aod.aoctl("interrupt", sid).returncode == 0
    assert is_idle(aod, sid)["result"] == "success"
    assert [s for _, s in states(aod, sid)] == ["cancelled", "done", "cancelled", "cancelled"]
    assert aod.aoctl("interrupt", sid).returncode == 1
    aod.aoctl("stop", sid)


def test_a_stop_cancels_the_queue(aod):
    blueprint(aod, "p-stop")
    sid = start(aod, "p-stop", "wait")
    turns_open(aod, sid, 1)
    resume(aod, sid, "say a")
    resume(aod, sid, "say b")
    r = aod.post("/sessions/%s/stop" % sid)
    assert r.status == 200 and r.json["session"]["prompts_queued"] == 0
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "no"}).status in (200, 409)
    s = aod.wait_status(sid)
    wait_for("the queue to be over", lambda: "queued" not in [s for _, s in states(aod, sid)])
    notes = [e for e in aod.events(sid) if e.get("subtype") == "prompts-cancelled"]
    assert notes and notes[0]["prompts"] == 2
    assert [s for _, s in states(aod, sid)][:3] == ["cancelled"] * 3, states(aod, sid)
    aod.aoctl("stop", sid)


def test_a_queue_is_not_without_end(aod):
    blueprint(aod, "p-full")
    sid = start(aod, "p-full", "wait")
    turns_open(aod, sid, 1)
    for i in range(1000):
        assert resume(aod, sid, "say %d" % i)["position"] == i + 1
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": "one more"})
    assert r.status == 429 and "1000" in r.detail, r
    page = aod.get("/sessions/%s/prompts?limit=10" % sid).json
    assert len(page["prompts"]) == 10 and page["more"]
    assert aod.get("/sessions/%s/prompts?after=%d" % (sid, page["next_after"])).json["prompts"][0]["prompt"] == "say 9"
    assert aod.post("/sessions/%s/interrupt" % sid, {"clear": True}).json["session"]["prompts_queued"] == 0
    assert is_idle(aod, sid)["result"] == "cancelled"
    assert aod.aoctl("stop", sid).returncode == 0


def test_a_queue_is_not_too_heavy(aod):
    """All that waits together; what is given, cancelled or done does not count."""
    blueprint(aod, "p-heavy")
    sid = start(aod, "p-heavy", "wait")
    turns_open(aod, sid, 1)
    mib = 1 << 20
    for i in range(8):
        assert resume(aod, sid, "say %d\n#" % i + "x" * (8 * mib - 7))["position"] == i + 1
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": "x"})
    assert r.status == 429 and "64 MiB" in r.detail and str(64 * mib) in r.detail, r
    assert aod.session(sid)["prompts_queued"] == 8
    # They are several pages, and one list.
    assert aod.get("/sessions/%s/prompts" % sid).json["more"]
    out = aod.aoctl("prompts", sid)
    assert out.returncode == 0 and len(out.stdout.splitlines()) == 1 + 9, out.stdout[:3000]
    # What a child answers is short, and is not lost for that.
    aod.wait_status(aod.demo("say hi", parent_session_name=sid, callback=True))
    assert aod.session(sid)["prompts_queued"] == 9
    last = aod.sql("SELECT max(p.id) FROM prompt p JOIN session s ON s.n = p.session WHERE s.id = ? AND source = 'request'", sid)[0][0]
    assert aod.delete("/sessions/%s/prompts/%d" % (sid, last)).status == 200
    assert resume(aod, sid, "say room")["position"] == 9
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "x" * (8 * mib)}).status == 429
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    wait_for("the turns", lambda: aod.session(sid)["state"] == "idle" and aod.session(sid)["prompts_queued"] == 0)
    assert said(aod, sid)[:7] == [str(i) for i in range(7)] and said(aod, sid)[-1] == "room"
    aod.aoctl("delete", sid)


def test_what_waits_when_a_session_failed(aod):
    """No login: nothing is tried again. What was queued is kept for the next resume, which is said, and can be dropped."""
    blueprint(aod, "p-kept")
    go = fifo(aod, "go-kept")
    sid = start(aod, "p-kept", "bash read x < %s\nfail success 401" % go)
    turns_open(aod, sid, 1)
    for text in ("say a", "say b", "say c"):
        resume(aod, sid, text)
    assert "Prompts: 3 wait; `aoctl prompts" in aod.aoctl("status", sid).stdout and "--cancel" not in aod.aoctl("status", sid).stdout
    with open(go, "w") as f:
        f.write("x\n")
    s = aod.wait_state(sid, "failed")
    assert (s["result"], s["prompts_queued"]) == ("auth", 3), s
    out = " ".join(aod.aoctl("status", sid).stdout.split())
    name = s["session_name"]
    assert "Prompts: 3 wait; `aoctl prompts %s` lists them. The next resume begins with them: --cancel ID|all drops them" % name in out, out
    b = prompts(aod, sid)[2]["id"]
    assert aod.aoctl("prompts", sid, "--cancel", str(b)).returncode == 0
    assert "Prompts: 2 wait" in aod.aoctl("status", sid).stdout
    assert resume(aod, sid, "say d")["position"] == 2
    is_idle(aod, sid)
    assert said(aod, sid)[-3:] == ["a", "c", "d"] and "Prompts:" not in aod.aoctl("status", sid).stdout
    # And all of it.
    resume(aod, sid, "bash read x < %s\nfail success 401" % go)
    turns_open(aod, sid, 5)
    resume(aod, sid, "say e")
    resume(aod, sid, "say f")
    with open(go, "w") as f:
        f.write("x\n")
    assert aod.wait_state(sid, "failed")["prompts_queued"] == 2
    out = aod.aoctl("prompts", sid, "--cancel", "all")
    assert out.returncode == 0 and "no prompt waits any more" in out.stderr, out
    assert (aod.session(sid)["prompts_queued"], aod.session(sid)["state"]) == (0, "failed")
    assert [e["prompts"] for e in aod.events(sid) if e.get("subtype") == "prompts-cancelled"] == [1, 2]
    assert aod.delete("/sessions/%s/prompts" % sid).status == 200 and aod.delete("/sessions/nobody/prompts").status == 404
    assert aod.aoctl("prompts", sid, "--cancel", "every").returncode == 2
    assert "queued" not in resume(aod, sid, "say g")
    is_idle(aod, sid)
    assert said(aod, sid)[-1] == "g" and [s for _, s in states(aod, sid)][-4:] == ["failed", "cancelled", "cancelled", "done"]
    aod.aoctl("stop", sid)


# ---- what else a turn has


def test_a_question_in_a_further_turn(aod):
    blueprint(aod, "p-ask", PERSISTENT + "\nAskTimeoutSec=1min")
    sid = start(aod, "p-ask", "say one")
    is_idle(aod, sid)
    is_waiting = lambda: aod.session(sid)["state"] == "waiting"
    resume(aod, sid, 'ask Bash {"command":"ls"}')
    wait_for("the question", is_waiting)
    assert resume(aod, sid, 'ask Bash {"command":"pwd"}')["position"] == 1
    assert aod.aoctl("answer", sid, "allow").returncode == 0
    wait_for("the question of the next turn", lambda: is_waiting() and states(aod, sid)[-1][1] == "given")
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    assert is_idle(aod, sid)["result"] == "cancelled"
    assert [p["state"] for p in prompts(aod, sid)] == ["done", "done", "cancelled"]
    resume(aod, sid, "say fine")
    assert is_idle(aod, sid)["result"] == "success"
    aod.aoctl("stop", sid)


def test_a_process_whose_budget_is_used_up_takes_no_more(aod):
    blueprint(aod, "p-budget", PERSISTENT + "\nMaxTokens=200")
    sid = start(aod, "p-budget", "say one")
    is_idle(aod, sid)
    resume(aod, sid, "say two")
    s = wait_for("the end", lambda: (lambda s: s if s["state"] == "finished" else None)(aod.session(sid)))
    assert (s["result"], s["runs"], s["usage"]["input_tokens"] + s["usage"]["output_tokens"]) == ("success", 1, 240), s
    assert result(aod, sid) == "two"
    resume(aod, sid, "say three")
    assert is_idle(aod, sid)["runs"] == 2
    aod.aoctl("stop", sid)


# ---- interrupt


def test_interrupt_ends_the_turn_only(aod):
    blueprint(aod, "p-interrupt")
    sid = start(aod, "p-interrupt", "say before\nwait")
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e.get("role") == "assistant")
    pid = agent_pid(aod, sid)
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    s = is_idle(aod, sid)
    assert (s["result"], s["error"]) == ("cancelled", None) and agent_pid(aod, sid) == pid
    r = aod.post("/sessions/%s/interrupt" % sid)
    assert r.status == 409 and "no turn" in r.detail
    # At once after the prompt: the turn has not begun for the agent, and ends all the same.
    for _ in range(5):
        resume(aod, sid, "wait")
        assert aod.post("/sessions/%s/interrupt" % sid).status == 200
        assert is_idle(aod, sid)["result"] == "cancelled"
    resume(aod, sid, "count")
    is_idle(aod, sid)
    assert result(aod, sid) == "7"
    assert [p["state"] for p in prompts(aod, sid)] == ["cancelled"] * 6 + ["done"]
    aod.aoctl("stop", sid)


def test_interrupt_of_what_is_not_persistent(aod):
    blueprint(aod, "p-cut", "Restart=always")
    sid = start(aod, "p-cut", "say up\nwait")
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e.get("role") == "assistant")
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    s = aod.wait_status(sid)
    assert (s["state"], s["result"], s["restarts"]) == ("stopped", "cancelled", 0), s
    assert [p["state"] for p in prompts(aod, sid)] == ["cancelled"]
    # A command gets SIGINT, and may go on all the same.
    blueprint(aod, "p-cut-command", "", "command", None)
    sid = aod.create(command=["/bin/sh", "-c", "trap 'echo caught; exit 3' INT; echo up; while :; do sleep 0.1; done"], agent_name="p-cut-command")["session_id"]
    aod.wait_event(sid, lambda e: e.get("text") == "up")
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    s = aod.wait_status(sid)
    assert (s["state"], s["result"], s["exit_code"]) == ("stopped", "cancelled", 3), s
    assert aod.post("/sessions/%s/interrupt" % sid).status == 409
    assert aod.post("/sessions/nobody/interrupt").status == 404


# ---- whatever ends in between


def test_aod_is_killed_while_it_is_idle(make_aod):
    a = make_aod()
    blueprint(a, "p-kill", PERSISTENT + "\nIdleTimeoutSec=1min")
    sid = start(a, "p-kill", "say one")
    is_idle(a, sid)
    pid = agent_pid(a, sid)
    a.kill9()
    a.start()
    assert a.session(sid)["state"] == "idle"
    resume(a, sid, "count")
    is_idle(a, sid)
    assert result(a, sid) == "2" and agent_pid(a, sid) == pid
    a.kill9()
    os.kill(pid, signal.SIGKILL)
    a.start()
    s = wait_for("the end", lambda: (lambda s: s if s["state"] != "idle" else None)(a.session(sid)))
    assert (s["state"], s["result"], s["signal"]) == ("failed", "signal", 9)


def test_the_agent_is_killed_in_a_turn(aod):
    blueprint(aod, "p-killed", PERSISTENT + "\nRestart=on-failure\nRestartSec=10ms")
    sid = start(aod, "p-killed", "say one")
    is_idle(aod, sid)
    pid = agent_pid(aod, sid)
    resume(aod, sid, "first 2 wait\ncount")
    turns_open(aod, sid, 2)
    resume(aod, sid, "say after")
    os.kill(pid, signal.SIGKILL)
    s = wait_for("the next run", lambda: (lambda s: s if s["state"] == "idle" and s["runs"] == 2 else None)(aod.session(sid)))
    # The same prompt once more, by its uuid, and then the next.
    assert s["result"] == "success" and [p["state"] for p in prompts(aod, sid)] == ["done"] * 3
    assert said(aod, sid)[-2:] == ["2", "after"]
    assert len([t for t in texts(aod.events(sid), role="user") if "count" in t]) == 1
    aod.aoctl("stop", sid)


def test_the_agent_is_dead_already(aod):
    """Nobody knows yet when the prompt is given: it has its turn in another process."""
    blueprint(aod, "p-dead")
    sid = start(aod, "p-dead", "say one")
    is_idle(aod, sid)
    before = set(aod.shims())
    resume(aod, sid, "count")
    is_idle(aod, sid)
    shim = next(p for p in before if agent_pid(aod, sid) in children_of(p))
    os.kill(shim, signal.SIGSTOP)
    try:
        os.kill(agent_pid(aod, sid), signal.SIGKILL)
        assert "queued" not in resume(aod, sid, "count")
        assert resume(aod, sid, "say last")["position"] == 1
    finally:
        os.kill(shim, signal.SIGCONT)
    s = wait_for("the next run", lambda: (lambda s: s if s["state"] == "idle" and s["runs"] == 2 else None)(aod.session(sid)))
    assert said(aod, sid) == ["one", "2", "3", "last"] and [p["state"] for p in prompts(aod, sid)] == ["done"] * 4
    assert texts(aod.events(sid), role="user") == ["say one", "count", "count", "say last"]
    aod.aoctl("stop", sid)


def test_the_agent_is_killed_in_a_turn_without_a_restart(aod):
    blueprint(aod, "p-killed-once")
    sid = start(aod, "p-killed-once", "say one")
    is_idle(aod, sid)
    resume(aod, sid, "wait")
    turns_open(aod, sid, 2)
    resume(aod, sid, "say after")
    os.kill(agent_pid(aod, sid), signal.SIGKILL)
    s = wait_for("the next run", lambda: (lambda s: s if s["state"] == "idle" and s["runs"] == 2 else None)(aod.session(sid)))
    assert [p["state"] for p in prompts(aod, sid)] == ["done", "failed", "done"]
    stops = [e for e in aod.events(sid) if e["event_type"] == "session_stop"]
    assert [e["reason"] for e in stops] == ["signal"]
    assert s["result"] == "success" and result(aod, sid) == "after"
    aod.aoctl("stop", sid)


def test_a_command_is_interrupted_and_has_a_queue(aod):
    blueprint(aod, "p-cut-queue", PERSISTENT, "command", "/bin/sh -c 'read x; echo \"got $x\"; [ \"$x\" != first ] || exec sleep 1000'")
    sid = start(aod, "p-cut-queue", "first\n")
    aod.wait_event(sid, lambda e: e.get("text") == "got first")
    assert resume(aod, sid, "second\n")["position"] == 1
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    s = wait_for("the next run", lambda: (lambda s: s if s["state"] == "finished" else None)(aod.session(sid)))
    assert s["runs"] == 2 and result(aod, sid).strip() == "got second"
    assert [p["state"] for p in prompts(aod, sid)] == ["cancelled", "done"]


def test_after_a_failure_a_oneshot_does_as_restart_says(aod):
    blueprint(aod, "p-fails", "Restart=on-transient\nRestartSec=10ms\nRestartPrompt=say again")
    go = fifo(aod, "go-fails")
    sid = start(aod, "p-fails", "bash read x < %s\nfail success 529" % go)
    turns_open(aod, sid, 1)
    resume(aod, sid, "say queued", queue=True)
    with open_fifo(go) as f:
        f.write("x\n")
    s = wait_for("the end", lambda: (lambda s: s if s["state"] == "finished" else None)(aod.session(sid)))
    # First what it failed at goes on, in a process of its own, then the next prompt, in the same.
    assert said(aod, sid)[-2:] == ["again", "queued"] and s["runs"] == 2
    assert [(p["source"], p["state"]) for p in prompts(aod, sid)] == [("request", "failed"), ("request", "done"), ("restart", "done")]


def test_what_is_queued_waits_out_a_rate_limit(aod):
    blueprint(aod, "p-limited")
    go = fifo(aod, "go-limited")
    sid = start(aod, "p-limited", "bash read x < %s\nlimit 5" % go)
    turns_open(aod, sid, 1)
    resume(aod, sid, "say later")
    t = time.monotonic()
    with open_fifo(go) as f:
        f.write("x\n")
    s = wait_for("the wait", lambda: (lambda s: s if s["state"] == "auto-restart" else None)(aod.session(sid)))
    assert s["result"] == "rate-limited" and s["prompts_queued"] == 1
    s = is_idle(aod, sid)
    assert time.monotonic() - t > 1 and s["runs"] == 2 and said(aod, sid)[-1] == "later"
    assert [p["state"] for p in prompts(aod, sid)] == ["failed", "done"]
    aod.aoctl("stop", sid)


# ---- kill -9 of aod at each step of giving a prompt


def edit(a, *statements):
    """Change the database of an aod that is not there."""
    db = sqlite3.connect(a.db_path, timeout=10)
    with db:
        for s in statements:
            db.execute(*s)
    db.close()


def input_path(a, sid, run=1):
    return os.path.join(a.session_dir(sid), "%d.in" % run)


def test_killed_before_the_commit(make_aod):
    """The database cannot be written to: the client is told, and the agent hears nothing of it."""
    a = make_aod()
    blueprint(a, "p-before")
    sid = start(a, "p-before", "say one")
    is_idle(a, sid)
    size = os.path.getsize(input_path(a, sid))
    db = sqlite3.connect(a.db_path, timeout=30, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    r = a.post("/sessions/%s/resume" % sid, {"prompt": "say no"})
    assert r.status == 503, r
    a.kill9()
    db.execute("ROLLBACK")
    db.close()
    assert os.path.getsize(input_path(a, sid)) == size
    a.start()
    assert a.session(sid)["state"] == "idle" and states(a, sid) == [("say one", "done")]
    resume(a, sid, "count")
    is_idle(a, sid)
    assert result(a, sid) == "2"


def test_rolled_back_and_read_again(make_aod):
    """The same without a kill: the state is read again, by the same aod."""
    a = make_aod()
    blueprint(a, "p-rolled")
    sid = start(a, "p-rolled", "say one")
    is_idle(a, sid)
    db = sqlite3.connect(a.db_path, timeout=30, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    assert a.post("/sessions/%s/resume" % sid, {"prompt": "say no"}).status == 503
    db.execute("ROLLBACK")
    db.close()
    wait_for("aod to have read its state again", lambda: a.post("/sessions/%s/resume" % sid, {"prompt": "count"}).status == 200)
    is_idle(a, sid)
    assert result(a, sid) == "2"


def test_killed_between_the_commit_and_the_write(make_aod):
    a = make_aod()
    blueprint(a, "p-between")
    sid = start(a, "p-between", "say one")
    is_idle(a, sid)
    a.kill9()
    # What the commit says, and nothing of it in the input file.
    n, seq = a.sql("SELECT n, (SELECT in_seq FROM run WHERE session = s.n) FROM session s WHERE id = ?", sid)[0]
    edit(a, ("UPDATE session SET state = 'running', outcome = NULL WHERE n = ?", (n,)),
         ("UPDATE run SET in_seq = in_seq + 1 WHERE session = ?", (n,)),
         ("INSERT INTO prompt (session, uuid, source, state, run, in_seq, created_us, given_us, ended_us, text)"
          " VALUES (?, ?, 'request', 'given', 1, ?, 1, 1, 0, 'count')", (n, str(uuid.uuid4()), seq + 1)))
    a.start()
    is_idle(a, sid)
    assert result(a, sid) == "2" and states(a, sid) == [("say one", "done"), ("count", "done")]
    # And once only, whoever looks again.
    a.restart()
    resume(a, sid, "count")
    is_idle(a, sid)
    assert result(a, sid) == "3"


@pytest.mark.parametrize("cut", [0, 10, 600000, 1048600 + 5, 2500000])
def test_killed_in_the_middle_of_the_write(make_aod, cut):
    """A long prompt is several frames: what is missing of them is written, and what is there is not written twice."""
    a = make_aod()
    blueprint(a, "p-middle")
    sid = start(a, "p-middle", "say one")
    is_idle(a, sid)
    size = os.path.getsize(input_path(a, sid))
    shim, = a.shims()
    os.kill(shim, signal.SIGSTOP)
    try:
        resume(a, sid, "count\n# " + "x" * 3000000)
        wait_for("the input", lambda: os.path.getsize(input_path(a, sid)) > size + 3000000)
        a.kill9()
        os.truncate(input_path(a, sid), size + cut)
        a.start()
        wait_for("the rest of the input", lambda: os.path.getsize(input_path(a, sid)) > size + 3000000)
    finally:
        os.kill(shim, signal.SIGCONT)
    is_idle(a, sid)
    assert result(a, sid) == "2"
    resume(a, sid, "count")
    is_idle(a, sid)
    assert result(a, sid) == "3"


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment(make_aod, seed):
    """Prompts are given and aod is killed, over and over: every prompt that was taken has one turn, in order."""
    rng = random.Random(seed)
    a = make_aod()
    blueprint(a, "p-any")
    sid = start(a, "p-any", "count")
    taken = ["count"]
    for i in range(12):
        for k in range(rng.randrange(1, 4)):
            text = "count\n# %d.%d" % (i, k)
            r = a.post("/sessions/%s/resume" % sid, {"prompt": text})
            assert r.status == 200, r
            taken.append(text)
        t = time.monotonic() + rng.random() * 0.02
        while time.monotonic() < t:
            pass
        a.kill9()
        a.start()
    wait_for("all turns", lambda: all(s == "done" for _, s in states(a, sid)) and a.session(sid)["state"] == "idle")
    assert [p for p, _ in states(a, sid)] == taken
    assert said(a, sid) == [str(i + 1) for i in range(len(taken))]
    assert texts(a.events(sid), role="user") == taken


def test_the_interrupt_is_not_lost(make_aod):
    """Asked for and committed, but not written: the next aod interrupts the turn."""
    a = make_aod()
    blueprint(a, "p-lost")
    sid = start(a, "p-lost", "say up\nwait")
    a.wait_event(sid, lambda e: e["event_type"] == "message" and e.get("role") == "assistant")
    a.kill9()
    n, watch = a.sql("SELECT r.session, r.watch FROM run r JOIN session s ON s.n = r.session WHERE s.id = ?", sid)[0]
    saved = json.loads(watch)
    assert saved["heard_us"] > 0 and saved["interrupt_seq"] == 0
    saved["interrupt_seq"] = 1000
    edit(a, ("UPDATE run SET watch = ? WHERE session = ?", (json.dumps(saved), n)))
    a.start()
    assert is_idle(a, sid)["result"] == "cancelled"
    resume(a, sid, "count")
    is_idle(a, sid)
    assert result(a, sid) == "2"
