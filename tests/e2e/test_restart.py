# SPDX-License-Identifier: MIT
"""What follows the end of a run: restarts, when they come, what they are given, and when there are none."""
import datetime
import time

import pytest

from aod import DEMO, kinds, texts, wait_for


def blueprint(aod, name, session, adapter="claude", exec_start=DEMO):
    aod.blueprint(name, "[Agent]\nAdapter=%s\n%s[Session]\n%s\n[Sandbox]\nSandbox=none\n" % (
        adapter, "ExecStart=%s\n" % exec_start if exec_start else "", session))


def command_blueprint(aod, name, session):
    blueprint(aod, name, session, "command", None)


def start(aod, name, prompt):
    return aod.create(prompt=prompt, agent_name=name)["session_id"]


def start_command(aod, name, script, **body):
    return aod.create(command=["/bin/sh", "-c", script], agent_name=name, **body)["session_id"]


def of(events, kind):
    return [e for e in events if e["event_type"] == kind]


def when(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def ends(aod, sid, timeout=30):
    """The session as it is when nothing follows any more."""
    return wait_for("the session's end", lambda: (lambda s: s if s["state"] in ("finished", "failed", "stopped") else None)(aod.session(sid)), timeout)


def prompts(aod, sid):
    return aod.sql("SELECT p.state, p.source, p.uuid, p.text FROM prompt p JOIN session s ON s.n = p.session WHERE s.id = ? ORDER BY p.id", sid)


# ---- commands


def test_on_failure_until_it_works(aod):
    """Two failures, each followed by a restart after a longer time than the one before; then a success, and no more."""
    command_blueprint(aod, "r-steps", "Restart=on-failure\nRestartSec=200ms\nRestartSteps=2\nRestartMaxDelaySec=800ms")
    sid = start_command(aod, "r-steps", "n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) >n; echo run $n; cat; [ $n -ge 2 ] || exit 7", prompt="the prompt\n")
    s = ends(aod, sid)
    assert (s["state"], s["result"], s["runs"], s["next_start_at"]) == ("finished", "success", 3, None)
    ev = aod.events(sid)
    again = of(ev, "restart")
    assert [(e["reason"], e["attempt"]) for e in again] == [("exit-code", 1), ("exit-code", 2)]
    starts, stops = of(ev, "session_start"), of(ev, "session_stop")
    assert [e.get("started_by") for e in starts] == [None, "restart", "restart"]
    assert [e["reason"] for e in stops] == ["exit-code", "exit-code", "completed"]
    for i, least in enumerate((0.2, 0.4)):
        assert when(starts[i + 1]["timestamp"]) >= when(again[i]["at"])
        assert least <= when(again[i]["at"]) - when(stops[i]["timestamp"]) + 0.001
    # Each run has the same prompt on its standard input; people see it once.
    assert [e["text"] for e in of(ev, "output")] == ["run 0", "the prompt", "run 1", "the prompt", "run 2", "the prompt"]
    assert len([e for e in of(ev, "message") if e["role"] == "user"]) == 1
    assert [p[:2] for p in prompts(aod, sid)] == [("done", "request")]
    # What went well begins a new row.
    assert s["restarts"] == 0


def test_one_start_too_many(aod):
    command_blueprint(aod, "r-limit", "Restart=always\nRestartSec=0\nStartLimitBurst=3")
    s = ends(aod, start_command(aod, "r-limit", "exit 3"))
    assert (s["state"], s["result"], s["runs"], s["restarts"], s["next_start_at"]) == ("failed", "start-limit-hit", 4, 3, None)
    assert "aoctl reset-failed" in s["error"] and "exit-code" in s["error"]
    assert [e["subtype"] for e in of(aod.events(s["session_id"]), "notice")] == ["start-limit-hit"]
    # The run itself ended as it did.
    assert aod.sql("SELECT r.outcome FROM run r JOIN session s ON s.n = r.session WHERE s.id = ? ORDER BY r.n", s["session_id"]) == [("exit-code",)] * 4
    # A person's resume begins a new count.
    assert aod.post("/sessions/%s/resume" % s["session_id"], {"prompt": "x"}).status == 200
    wait_for("the limit again", lambda: aod.session(s["session_id"])["runs"] == 8)
    assert ends(aod, s["session_id"])["result"] == "start-limit-hit"


@pytest.mark.parametrize("session, script, runs, result", [
    ("Restart=on-failure\nRestartPreventExitStatus=9", "exit 9", 1, "exit-code"),
    ("RestartForceExitStatus=9", "exit 9", 3, "start-limit-hit"),
    ("RestartForceExitStatus=SIGKILL", "kill -KILL $$", 3, "start-limit-hit"),
    ("Restart=on-failure\nSuccessExitStatus=9", "exit 9", 1, "success"),
    ("Restart=on-success", "exit 0", 3, "start-limit-hit"),
    ("Restart=on-success", "exit 1", 1, "exit-code"),
    ("Restart=on-abnormal", "exit 1", 1, "exit-code"),
    ("Restart=on-abnormal", "kill -SEGV $$", 3, "start-limit-hit"),
    ("Restart=on-abort\nRuntimeMaxSec=200ms", "exec sleep 1000", 1, "timeout"),
    ("Restart=on-transient", "exit 1", 1, "exit-code"),
    ("", "exit 1", 1, "exit-code"),
])
def test_what_is_followed_by_a_restart(aod, session, script, runs, result):
    name = "r-which"
    command_blueprint(aod, name, session + "\nRestartSec=0\nStartLimitBurst=2")
    s = ends(aod, start_command(aod, name, script))
    assert (s["runs"], s["result"]) == (runs, result), s


# ---- the time between


def test_a_stop_in_between_is_final(aod):
    command_blueprint(aod, "r-parked", "Restart=always\nRestartSec=1h")
    sid = start_command(aod, "r-parked", "exit 1", prompt="x")
    s = aod.wait_state(sid, "auto-restart")
    assert (s["status"], s["result"], s["restarts"], s["exit_code"]) == ("running", "exit-code", 1, 1)
    assert 3500 < when(s["next_start_at"]) - time.time() < 3600 * 1.1 + 1
    assert aod.post("/sessions/%s/freeze" % sid).status == 409
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "y"}).status == 409
    assert aod.post("/sessions/%s/stop" % sid).status == 200
    s = aod.session(sid)
    assert (s["state"], s["result"], s["next_start_at"]) == ("stopped", "cancelled", None)
    assert of(aod.events(sid), "session_stop")[-1]["reason"] == "cancelled"
    assert [p[0] for p in prompts(aod, sid)] == ["cancelled"]
    assert aod.session(sid)["runs"] == 1


def test_a_stop_of_a_run_is_final(aod):
    blueprint(aod, "r-always", "Restart=always\nRestartSec=0")
    sid = start(aod, "r-always", "say up\nhang")
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    assert aod.post("/sessions/%s/stop" % sid).status == 200
    s = ends(aod, sid)
    assert (s["state"], s["runs"], s["next_start_at"]) == ("stopped", 1, None)


def test_one_that_is_parked_can_be_deleted(aod):
    command_blueprint(aod, "r-gone", "Restart=always\nRestartSec=1s")
    sid = start_command(aod, "r-gone", "exit 1")
    aod.wait_state(sid, "auto-restart")
    assert aod.delete("/sessions/%s" % sid).status == 200
    assert aod.get("/sessions/%s" % sid).status == 404
    # Another one that came later has been started again by then.
    other = start_command(aod, "r-gone", "exit 1")
    wait_for("a restart", lambda: aod.session(other)["runs"] > 1)
    assert aod.post("/sessions/%s/stop" % other).status == 200
    assert aod.sql("SELECT count(*) FROM run r JOIN session s ON s.n = r.session WHERE s.id = ?", sid) == [(0,)]


def test_what_cannot_be_planned_any_more_fails(aod):
    command_blueprint(aod, "r-off", "Restart=always\nRestartSec=300ms")
    sid = start_command(aod, "r-off", "exit 1", prompt="x")
    aod.wait_state(sid, "auto-restart")
    assert aod.patch("/agents/r-off/status", {"status": "inactive"}, port="registry").status == 200
    s = ends(aod, sid)
    assert (s["state"], s["result"], s["next_start_at"]) == ("failed", "resources", None), s
    assert "r-off" in s["error"]
    assert [p[0] for p in prompts(aod, sid)] == ["failed"]
    assert of(aod.events(sid), "session_stop")[-1]["reason"] == "resources"


def test_the_time_passes_while_aod_is_away(make_aod):
    a = make_aod()
    command_blueprint(a, "r-away", "Restart=on-failure\nRestartSec=700ms")
    sid = start_command(a, "r-away", "[ -e n ] || { touch n; exit 5; }; echo done")
    due = when(a.wait_state(sid, "auto-restart")["next_start_at"])
    a.kill9()
    wait_for("its time", lambda: time.time() > due)
    a.start()
    s = ends(a, sid)
    assert (s["result"], s["runs"]) == ("success", 2)
    assert [e["reason"] for e in of(a.events(sid), "session_stop")] == ["exit-code", "completed"]
    # And one whose time comes later: the new aod waits for it.
    sid = start_command(a, "r-away", "[ -e n ] || { touch n; exit 5; }; echo done", project_dir=a.project)
    due = when(a.wait_state(sid, "auto-restart")["next_start_at"])
    a.kill9()
    a.start()
    s = ends(a, sid)
    assert (s["result"], s["runs"]) == ("success", 2)
    assert when(of(a.events(sid), "session_start")[1]["timestamp"]) >= due


# ---- agents


def test_a_crash_gives_the_same_prompt_again(aod):
    """The turn had no result: the agent is given its prompt under the same uuid, in the same conversation."""
    blueprint(aod, "r-crash", "Restart=on-failure\nRestartSec=0\nStartLimitBurst=2")
    s = ends(aod, start(aod, "r-crash", "say up\nkill KILL"))
    assert (s["result"], s["runs"]) == ("start-limit-hit", 3)
    rows = prompts(aod, s["session_id"])
    assert [r[:2] for r in rows] == [("failed", "request")], rows
    ev = aod.events(s["session_id"])
    assert len({e["agent_session_id"] for e in of(ev, "init")}) == 1
    assert len([e for e in of(ev, "message") if e["role"] == "user"]) == 1
