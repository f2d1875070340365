# SPDX-License-Identifier: MIT
"""aod --on-stop=drain: what runs may come to its end, nothing more is started, and the next aod goes on with what is left."""
import os
import signal
import subprocess

import pytest

from aod import DEMO, WAIT, alive, texts, wait_for


def gate(aod):
    return os.path.join(aod.project, "go")


def held(aod, **body):
    """A session that ends well when the gate is open."""
    s = aod.create(command=["/bin/sh", "-c", "echo up; while [ ! -e %s ]; do sleep 0.02; done; echo well" % gate(aod)], **body)["session_id"]
    aod.wait_event(s, lambda e: e.get("text") == "up")
    return s


def open_gate(aod):
    with open(gate(aod), "w"):
        pass


def begin_drain(aod):
    os.kill(aod.pid, signal.SIGTERM)
    wait_for("the drain", lambda: "draining: " in aod.log())


def test_runs_come_to_their_ends(make_aod):
    a = make_aod(args=["--on-stop=drain", "--max-sessions=2"])
    one, two = held(a), held(a)
    waits = a.create(prompt="say later", agent_name="demo")["session_id"]
    ended = a.create(session_name="ended", command=["/bin/true"])["session_id"]
    a.post("/sessions/%s/stop" % ended)
    begin_drain(a)
    for r in (a.post("/sessions", {"command": ["/bin/true"]}), a.post("/sessions/ended/resume", {"prompt": "x"})):
        assert r.status == 503 and "about to end" in r.detail, r
    # What needs no start is served.
    assert a.session(one)["state"] == "running" and a.session(waits)["queue_reason"] == "aod is about to end: the next one starts it"
    with a.follow(two) as events:
        open_gate(a)
        assert "session_stop" in [e["event_type"] for e in events]
    assert a.proc.wait(WAIT) == 0
    a.assert_no_process_left()
    a.start()
    for sid in (one, two):
        s = a.session(sid)
        assert (s["state"], s["result"], a.result(sid)) == ("finished", "success", "up\nwell"), s
    # It waited all the while.
    assert a.wait_status(waits)["state"] == "finished" and a.result(waits) == "later"


@pytest.mark.parametrize("what, left", [("drain", False), ("drain-stop", False), ("drain-leave", True)])
def test_the_time_to_drain_is_over(make_aod, what, left):
    a = make_aod(args=["--on-stop", what, "--drain-timeout=200ms"])
    sid = held(a)
    agents = list(a.session_processes(sid))
    assert agents and a.stop() == 0
    assert any(alive(p) for p in agents) == left
    a.start()
    if left:
        open_gate(a)
        assert a.wait_status(sid)["state"] == "finished" and a.result(sid) == "up\nwell"
    else:
        assert a.session(sid)["state"] == "stopped"


def test_a_second_signal_hurries(make_aod):
    a = make_aod(args=["--on-stop=drain", "--drain-timeout=infinity"])
    deaf = a.sh("trap '' INT TERM HUP; echo up; while :; do sleep 0.05; done")
    a.wait_event(deaf, lambda e: e.get("text") == "up")
    begin_drain(a)
    os.kill(a.pid, signal.SIGTERM)
    wait_for("the stops", lambda: "stopping 1 sessions" in a.log())
    assert a.proc.poll() is None
    os.kill(a.pid, signal.SIGTERM)
    assert a.proc.wait(WAIT) == 0 and "at once" in a.log()
    a.assert_no_process_left()
    b = make_aod(args=["--on-stop=drain-leave", "--drain-timeout=infinity"])
    sid = held(b)
    begin_drain(b)
    assert b.stop() == 0
    b.start()
    assert b.session(sid)["state"] == "running"
    open_gate(b)
    assert b.wait_status(sid)["state"] == "finished"


def test_what_stands_still_is_not_waited_for(make_aod):
    a = make_aod(args=["--on-stop=drain-leave", "--drain-timeout=infinity"])
    sid = held(a)
    r = a.post("/sessions/%s/freeze" % sid)
    if r.status == 409:
        pytest.skip("nothing can be frozen here: " + str(r.detail))
    assert a.stop() == 0
    a.start()
    assert a.session(sid)["state"] == "frozen"
    assert a.post("/sessions/%s/thaw" % sid).status == 200
    open_gate(a)
    assert a.wait_status(sid)["state"] == "finished"


def test_a_restart_is_the_next_ones(make_aod):
    a = make_aod(args=["--on-stop=drain"])
    a.blueprint("again", "[Agent]\nAdapter=command\n[Session]\nRestart=on-failure\nRestartSec=0\n[Sandbox]\nSandbox=none\n")
    flag = os.path.join(a.project, "tried")
    script = "echo up; while [ ! -e %s ]; do sleep 0.02; done; if [ -e %s ]; then echo well; else : > %s; exit 3; fi" % (gate(a), flag, flag)
    sid = a.create(agent_name="again", command=["/bin/sh", "-c", script])["session_id"]
    a.wait_event(sid, lambda e: e.get("text") == "up")
    begin_drain(a)
    open_gate(a)
    assert a.proc.wait(WAIT) == 0
    assert [r[0] for r in a.sql("SELECT n FROM run")] == [1] and a.sql("SELECT state FROM session") == [("auto-restart",)]
    a.start()
    s = a.wait_status(sid)
    assert (s["state"], s["runs"], a.result(sid)) == ("finished", 2, "up\nwell"), s


def test_persistent_sessions_come_to_their_ends(make_aod):
    """One that is idle is ended, one that works after its turn; what is in its queue is not lost."""
    a = make_aod(args=["--on-stop=drain", "--drain-timeout=infinity"])
    a.blueprint("stays", "[Agent]\nExecStart=%s\n[Session]\nLifecycle=persistent\n[Sandbox]\nSandbox=none\nPrivateTmp=no\n" % DEMO)
    idle = a.create(agent_name="stays", prompt="say first")["session_id"]
    a.wait_state(idle, "idle")
    busy = a.create(agent_name="stays", prompt="bash while [ ! -e %s ]; do sleep 0.02; done\nsay done" % gate(a))["session_id"]
    a.wait_event(busy, lambda e: e["event_type"] == "pre_tool")
    assert a.post("/sessions/%s/resume" % busy, {"prompt": "say next"}).json["queued"]
    begin_drain(a)
    assert a.wait_state(idle, "finished")["result"] == "success"
    # During the drain, too.
    assert a.post("/sessions/%s/resume" % busy, {"prompt": "say last"}).json["queued"]
    open_gate(a)
    assert a.proc.wait(WAIT) == 0
    a.assert_no_process_left()
    assert a.sql("SELECT text FROM prompt WHERE state = 'queued' ORDER BY id") == [("say next",), ("say last",)]
    a.start()
    wait_for("both answers", lambda: texts(a.events(busy)) == ["done", "next", "last"])
    assert a.wait_state(busy, "idle")["runs"] == 2 and a.session(idle)["state"] == "finished"


def test_words_of_the_options(make_aod):
    a = make_aod(start=False)
    for args in (["--on-stop=later"], ["--on-exit=later"], ["--drain-timeout=soon"], ["--max-sessions=-1"], ["--admit-memory=101"]):
        a.args = args
        with pytest.raises(RuntimeError, match="ended with 2"):
            a.start()
        a.proc.wait(WAIT)
    assert subprocess.run([os.path.join(a.programs, "aod"), "--help"], stdout=subprocess.PIPE, check=True).stdout.count(b"drain") >= 3
