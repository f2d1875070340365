# SPDX-License-Identifier: MIT
"""The end of a session leaves nothing: no descendant, wherever it went, no file of a deleted one."""
import concurrent.futures
import os
import signal
import time

import pytest

from aod import DEMO, alive, children_of, kinds, open_fifo, outputs, stat_of, texts, wait_for


def start_with_children(aod, script, said=1):
    """A demo session, which would be given an hour to end; its id and the pids that it said it left behind."""
    aod.blueprint("patient", "[Agent]\nExecStart=%s\n[Session]\nTimeoutStopSec=1h\n[Sandbox]\nSandbox=none\n" % DEMO)
    sid = aod.create(prompt=script, agent_name="patient")["session_id"]
    with aod.follow(sid) as events:
        got = []
        for e in events:
            if e["event_type"] == "message" and e["role"] == "assistant":
                got.append(e["content"][0]["text"])
                if len(got) == said:
                    break
    pids = [int(p) for t in got for p in t.split()[1:]]
    assert pids
    return sid, pids


TREE = "children 2\nchildren 2 setsid\nchildren 2 daemon\n"


def test_the_whole_tree_is_gone_after_stop(aod):
    sid, pids = start_with_children(aod, TREE + "hang", 3)
    assert all(alive(p) for p in pids)
    agent = set(aod.session_processes(sid))
    assert set(pids) < agent
    assert aod.post("/sessions/%s/stop" % sid).json["success"] is True
    s = aod.wait_status(sid)  # all die of SIGTERM
    assert not [p for p in agent if alive(p)], "finished, but processes are left"
    assert (s["state"], s["result"]) == ("stopped", "cancelled")
    aod.assert_no_process_left(sid)
    stop = aod.events(sid)[-1]
    assert stop["event_type"] == "session_stop" and stop["reason"] == "cancelled"


def test_children_left_after_a_normal_end_are_gone(aod):
    sid, pids = start_with_children(aod, TREE + "say done", 3)
    s = aod.wait_status(sid)
    assert s["state"] == "finished" and aod.result(sid) == "done"
    wait_for("the children to go", lambda: not any(alive(p) for p in pids))
    aod.assert_no_process_left(sid)


def test_children_left_after_a_crash_are_gone(aod):
    sid, pids = start_with_children(aod, TREE + "kill KILL", 3)
    assert aod.wait_status(sid)["signal"] == 9
    wait_for("the children to go", lambda: not any(alive(p) for p in pids))


def test_a_daemon_that_closed_everything(aod):
    """Forked twice, a session of its own, no open pipe, another working directory, an empty environment, SIGTERM ignored."""
    sid = aod.sh("(cd /; trap '' TERM; exec env -i setsid /bin/sh -c 'trap \"\" TERM HUP; sleep 1000 & echo $! >&3; echo $$ >&3; wait' 3>&1 "
                 "</dev/null >/dev/null 2>&1) & sleep 0.3; wait")
    got = []
    with aod.follow(sid) as events:
        for e in events:
            if e["event_type"] == "output":
                got.append(int(e["text"]))
                if len(got) == 2:
                    break
    assert all(alive(p) for p in got)
    aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 300})
    aod.wait_status(sid)
    wait_for("the daemon to go", lambda: not any(alive(p) for p in got))


def test_a_fork_bomb_of_short_lives(aod):
    """Processes that keep forking while they are being ended."""
    sid = aod.sh("f() { ( trap '' TERM; n=0; while [ $n -lt 400 ]; do sleep 0.02 & sleep 0.01; n=$((n+1)); done ) & }; f; f; f; echo up; wait")
    aod.wait_event(sid, lambda e: e.get("text") == "up")
    aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 0})
    aod.wait_status(sid)
    aod.assert_no_process_left(sid)


def is_deaf(pid):
    """It ignores SIGTERM."""
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as f:
        ignored = next(line for line in f if line.startswith("SigIgn:"))
    return int(ignored.split()[1], 16) & 1 << signal.SIGTERM - 1


def test_a_deaf_agent_is_killed_after_the_timeout(aod):
    sid, pids = start_with_children(aod, "children 1 setsid\ndeaf")
    agents = set(aod.session_processes(sid))
    wait_for("the agent to be deaf", lambda: any(is_deaf(p) for p in agents - set(pids)))
    t = time.monotonic()
    aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 700})
    s = aod.wait_state(sid, "stopping", "stopped")
    s = aod.wait_status(sid)
    assert time.monotonic() - t > 0.6
    assert (s["state"], s["result"]) == ("stopped", "cancelled")
    assert not [p for p in agents if alive(p)]


def test_a_second_stop_is_quicker(aod):
    sid = aod.demo("say up\ndeaf")
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 3600000})
    assert aod.session(sid)["state"] == "stopping"
    aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 0})
    assert aod.wait_status(sid)["state"] == "stopped"


def test_timeout_of_the_blueprint(aod):
    aod.blueprint("quick", "[Agent]\nAdapter=command\n[Session]\nTimeoutStopSec=400ms\n")
    sid = aod.create(agent_name="quick", command=["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"])["session_id"]
    aod.wait_event(sid, lambda e: e.get("text") == "up")
    t = time.monotonic()
    aod.post("/sessions/%s/stop" % sid)
    assert aod.wait_status(sid)["state"] == "stopped"
    assert 0.3 < time.monotonic() - t < 9


def test_an_agent_may_finish_when_it_is_asked_to_stop(aod):
    """SIGTERM comes first, what it says then is recorded."""
    sid = aod.sh("trap 'echo goodbye; exit 7' TERM; echo up; while :; do sleep 0.05; done")
    aod.wait_event(sid, lambda e: e.get("text") == "up")
    aod.post("/sessions/%s/stop" % sid)
    s = aod.wait_status(sid)
    assert s["state"] == "stopped" and s["exit_code"] == 7
    assert outputs(aod.events(sid), "stdout") == ["up", "goodbye"]


def test_stop_before_it_was_started(aod):
    """Stop at once after create: it either never ran or was stopped, and it ends."""
    ids = []
    for _ in range(10):
        sid = aod.demo("hang")
        aod.post("/sessions/%s/stop" % sid)
        ids.append(sid)
    for sid in ids:
        assert aod.wait_status(sid)["state"] == "stopped"
        aod.assert_no_process_left(sid)


def test_stopped_session_can_be_resumed(aod):
    sid = aod.demo("say a\nhang")
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)
    aod.resume(sid, "count")
    s = aod.wait_status(sid)
    assert s["state"] == "finished" and s["exit_code"] == 0 and aod.result(sid) == "2"


def test_delete_of_a_live_session(aod):
    sid, pids = start_with_children(aod, TREE + "deaf", 3)
    with aod.ws() as ws:
        ws.next()
        r = aod.delete("/sessions/" + sid)
        assert r.status == 200 and r.json["session_id"] == sid and r.json["deleted"]["events_count"] >= 5
        frames = ws.until(lambda f: f["type"] == "session_deleted" and f["session_id"] == sid)
    assert not any(alive(p) for p in pids)
    aod.assert_no_process_left(sid)
    assert not os.path.exists(aod.session_dir(sid))
    assert aod.get("/sessions/" + sid).status == 404
    assert not [f for f in frames[:-1] if f["type"] == "session_deleted"]


def test_delete_twice_at_once(aod):
    sid = aod.demo("say up\ndeaf")
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: aod.delete("/sessions/" + sid), range(4)))
    assert {r.status for r in answers} <= {200, 404} and 200 in {r.status for r in answers}


def test_delete_all(make_aod):
    a = make_aod()
    ids = [a.demo(p) for p in ("hang", "deaf", "children 2 setsid\nhang", "say x")] + [a.command("/bin/sleep", "1000") for _ in range(3)]
    a.wait_status(ids[3])
    for sid in ids[:3] + ids[4:]:
        a.wait_state(sid, "running")
    r = a.delete("/sessions")
    assert r.status == 200 and r.json["message"] == "Removed 7 session(s)", r
    assert a.get("/sessions").json == {"sessions": []}
    a.assert_no_process_left()
    assert os.listdir(os.path.join(a.root, "state", "sessions")) == []
    assert a.delete("/sessions").json["message"] == "No sessions to remove"


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_aod_stops_everything(make_aod, sig):
    a = make_aod()
    for p in (TREE + "hang", "stream 10000 10", "say up\nhang"):
        a.wait_state(a.demo(p), "running")
    a.wait_state(a.sh("trap '' HUP INT; sleep 1000"), "running")
    mine = a.processes()
    assert a.stop(sig) == 0
    left = [p for p in mine if alive(p)]
    assert not left, {p: mine[p] for p in left}
    a.assert_no_process_left()
    assert not os.path.exists(os.path.join(a.root, "run", "ports.json"))
    a.start()
    states = [(s["state"], s["result"]) for s in a.get("/sessions").json["sessions"]]
    assert len(states) == 4 and set(states) <= {("stopped", "cancelled")}, states


def test_agents_may_be_left_running(make_aod):
    """--on-stop leave: agents go on without aod, and are taken over by the next one."""
    a = make_aod(args=["--on-stop", "leave"])
    gate = os.path.join(a.project, "go")
    os.mkfifo(gate)
    sid = a.demo("stream 20 10\nbash read x < %s\nstream 20 10\nsay the end" % gate, project_dir=a.project)
    a.wait_event(sid, lambda e: e["event_type"] == "pre_tool")
    agent = a.agent_pid(sid, "aod-demo")
    assert a.stop() == 0
    assert alive(agent)
    a.start()
    with open_fifo(gate) as f:
        f.write("x\n")
    s = a.wait_status(sid)
    assert s["state"] == "finished" and a.result(sid) == "the end"
    assert texts(a.events(sid)) == ["line %d" % i for i in range(1, 21)] * 2 + ["the end"]


def test_no_zombies(aod):
    for _ in range(5):
        aod.wait_status(aod.command("/bin/true"))
    aod.wait_status(aod.demo("children 3 daemon\nsay x"))

    def zombies():
        return [p for p in map(int, filter(str.isdigit, os.listdir("/proc"))) if (stat_of(p) or ("", "", 0))[1:] == ("Z", aod.pid)]

    wait_for("zombies of aod to be reaped", lambda: not zombies())
    # One that was just born has aod's name for a moment.
    wait_for("its children to be what they are", lambda: {(stat_of(p) or ("aod-shim",))[0] for p in children_of(aod.pid)} <= {"aod-http", "aod-shim", "aod-spare"})


def test_events_of_a_stopped_run_are_complete(aod):
    sid = aod.demo("stream 1000 2")
    aod.wait_event(sid, lambda e: e.get("content") and e["content"][0]["text"] == "line 50")
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)
    ev = aod.events(sid)
    got = texts(ev)
    assert got == ["line %d" % i for i in range(1, len(got) + 1)] and len(got) >= 50
    assert kinds(ev)[-1] == "session_stop" and kinds(ev).count("session_stop") == 1
