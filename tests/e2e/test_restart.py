# SPDX-License-Identifier: MIT
"""What follows the end of a run: restarts, when they come, what they are given, and when there are none."""
import datetime
import os
import signal
import sqlite3
import time

import pytest

from aod import DEMO, WAIT, open_fifo, outputs, texts, wait_for


def blueprint(aod, name, session, adapter="claude", exec_start=DEMO):
    aod.blueprint(name, "[Agent]\nAdapter=%s\n%s[Session]\n%s\n[Sandbox]\nSandbox=none\n" % (
        adapter, "ExecStart=%s\n" % exec_start if exec_start else "", session))


def command_blueprint(aod, name, session):
    blueprint(aod, name, session, "command", None)


def start(aod, name, prompt, **body):
    return aod.create(prompt=prompt, agent_name=name, **body)["session_id"]


def start_command(aod, name, script, **body):
    return aod.create(command=["/bin/sh", "-c", script], agent_name=name, **body)["session_id"]


def of(events, kind):
    return [e for e in events if e["event_type"] == kind]


def when(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def ends(aod, sid, timeout=WAIT):
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
    command_blueprint(a, "r-away", "Restart=on-failure\nRestartSec=2s")
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


def test_a_turn_that_ended_badly_goes_on_with_a_prompt_of_its_own(aod):
    """The agent has had the prompt and would not work on it again: it is told that it was cut off. People see that."""
    blueprint(aod, "r-529", "Restart=on-transient\nRestartSec=0\nStartLimitBurst=3\nRestartPrompt=say back again")
    sid = start(aod, "r-529", "say up\nfail 529")
    s = ends(aod, sid)
    assert (s["state"], s["result"], s["runs"], s["prompts_queued"]) == ("finished", "success", 2, 0), s
    assert aod.result(sid) == "back again"
    rows = prompts(aod, sid)
    assert [(r[0], r[1], r[3]) for r in rows] == [("failed", "request", "say up\nfail 529"), ("done", "restart", "say back again")]
    ev = aod.events(sid)
    assert [e["reason"] for e in of(ev, "restart")] == ["overloaded"]
    assert texts(ev, role="user") == ["say up\nfail 529", "say back again"]
    assert len({e["agent_session_id"] for e in of(ev, "init")}) == 1, "the conversation goes on"


def test_a_fresh_restart_starts_over(aod):
    blueprint(aod, "r-fresh", "Restart=on-failure\nRestartMode=fresh\nRestartSec=0\nStartLimitBurst=2\nRestartPrompt=say not this")
    for prompt, result in (("count\nfail 529", "overloaded"), ("count\nkill KILL", "signal")):
        sid = start(aod, "r-fresh", prompt)
        s = ends(aod, sid)
        assert (s["result"], s["runs"]) == ("start-limit-hit", 3), s
        rows = prompts(aod, sid)
        assert {r[3] for r in rows} == {prompt} and len({r[2] for r in rows}) == 3, rows
        ev = aod.events(sid)
        assert len({e["agent_session_id"] for e in of(ev, "init")}) == 3, "another conversation each time"
        assert texts(ev) == ["1"] * 3, texts(ev)
        assert [e["reason"] for e in of(ev, "session_stop")] == [result] * 3


def test_rate_limited_without_a_time_waits_a_minute_at_least(aod):
    blueprint(aod, "r-429", "Restart=on-transient\nRestartSec=0")
    sid = start(aod, "r-429", "fail 429")
    s = aod.wait_state(sid, "auto-restart")
    assert s["result"] == "rate-limited" and 50 < when(s["next_start_at"]) - time.time() < 62
    assert aod.post("/sessions/%s/stop" % sid).status == 200


def test_rate_limited_until_the_time_that_it_says(aod):
    blueprint(aod, "r-until", "Restart=on-transient\nRestartSec=0\nRestartPrompt=say back again")
    sid = start(aod, "r-until", "limit 3")
    s = ends(aod, sid)
    assert (s["result"], s["runs"]) == ("success", 2)
    ev = aod.events(sid)
    resets = of(ev, "notice")[0]["rate_limit_info"]["resetsAt"]
    assert resets <= when(of(ev, "session_start")[1]["timestamp"]) < resets + 5
    assert [e["attempt"] for e in of(ev, "restart")] == [1]


@pytest.mark.parametrize("status", ["401", "402"])
def test_never_without_a_login_or_credit(aod, status):
    blueprint(aod, "r-never", "Restart=always\nRestartSec=0\nRestartForceExitStatus=auth billing")
    s = ends(aod, start(aod, "r-never", "fail " + status))
    assert (s["state"], s["runs"]) == ("failed", 1) and s["result"] in ("auth", "billing")


def test_turns_that_are_used_up_are_not_given_again(aod):
    blueprint(aod, "r-turns", "Restart=always\nRestartSec=0\nStartLimitBurst=2")
    assert ends(aod, start(aod, "r-turns", "fail error_max_turns"))["runs"] == 1
    blueprint(aod, "r-turns-forced", "RestartForceExitStatus=max-turns\nRestartSec=0\nStartLimitBurst=2\nRestartPrompt=fail error_max_turns")
    s = ends(aod, start(aod, "r-turns-forced", "fail error_max_turns"))
    assert (s["runs"], s["result"]) == (3, "start-limit-hit")


# ---- what happens to the host, and to shims


# Counts how often it was begun, and hangs the first time.
CRASH = "append begun x\nsay up\nbash [ $(grep -c x begun) -gt 1 ] || exec sleep 1000\nsay through"


def begun(aod):
    with open(aod.project + "/begun") as f:
        return len(f.read().split())


def wait_tool(a, sid):
    a.wait_event(sid, lambda e: e["event_type"] == "pre_tool")


def reboot(a, sid):
    """As a reboot leaves it: nothing runs, and the kernel has another boot id than the run was started under."""
    a.kill9()
    for pid in a.shims() + list(a.session_processes()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    a.assert_no_process_left()
    db = sqlite3.connect(a.db_path, timeout=10)
    with db:
        db.execute("UPDATE run SET boot_id = 'another' WHERE session = (SELECT n FROM session WHERE id = ?)", (sid,))
    db.close()
    a.start()


@pytest.mark.parametrize("policy, goes_on", [("on-transient", True), ("on-abort", False)])
def test_a_reboot(make_aod, policy, goes_on):
    a = make_aod()
    blueprint(a, "r-boot", "Restart=%s\nRestartSec=0" % policy)
    sid = start(a, "r-boot", CRASH, project_dir=a.project)
    wait_tool(a, sid)
    reboot(a, sid)
    s = ends(a, sid)
    stops = of(a.events(sid), "session_stop")
    assert stops[0]["reason"] == "host-reboot"
    if not goes_on:
        assert (s["state"], s["result"], s["runs"]) == ("failed", "host-reboot", 1)
        assert a.post("/sessions/%s/resume" % sid, {"prompt": "count"}).status == 200
        s = ends(a, sid)
        assert s["result"] == "success"
        return
    assert (s["state"], s["result"], s["runs"]) == ("finished", "success", 2), s
    assert a.result(sid) == "through" and begun(a) == 2
    assert [r[:2] for r in prompts(a, sid)] == [("done", "request")]


def test_a_stop_before_the_reboot_was_final(make_aod):
    a = make_aod()
    blueprint(a, "r-boot-stop", "Restart=always\nRestartSec=0\nTimeoutStopSec=1h")
    sid = start(a, "r-boot-stop", "say up\ndeaf")
    a.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    assert a.post("/sessions/%s/stop" % sid).status == 200
    reboot(a, sid)
    s = ends(a, sid)
    assert (s["state"], s["runs"]) == ("stopped", 1)


def test_a_lost_shim(make_aod):
    a = make_aod()
    blueprint(a, "r-shim", "Restart=on-transient\nRestartSec=0")
    sid = start(a, "r-shim", CRASH, project_dir=a.project)
    wait_tool(a, sid)
    for pid in a.shims():
        os.kill(pid, signal.SIGKILL)
    s = ends(a, sid)
    assert (s["result"], s["runs"]) == ("success", 2), s
    assert of(a.events(sid), "session_stop")[0]["reason"] == "shim-lost"
    assert begun(a) == 2 and [r[:2] for r in prompts(a, sid)] == [("done", "request")]
    a.assert_no_process_left(sid)


# ---- the queue of prompts


def queue_prompt(aod, sid, text):
    """As a client's prompt that waits for its turn."""
    db = sqlite3.connect(aod.db_path, timeout=10)
    with db:
        db.execute("INSERT INTO prompt (session, uuid, source, state, run, in_seq, created_us, given_us, ended_us, text)"
                   " SELECT n, '01900000-0000-7000-8000-00000000000' || (SELECT count(*) FROM prompt), 'request', 'queued', 0, 0, 1, 0, 0, ? FROM session WHERE id = ?", (text, sid))
        db.execute("UPDATE session SET prompts_queued = prompts_queued + 1 WHERE id = ?", (sid,))
    db.close()


def test_queued_prompts_have_their_turns(make_aod):
    """Whatever Restart= says, and however the turn before ended."""
    a = make_aod()
    blueprint(a, "r-queue", "")
    os.mkfifo(a.project + "/go")
    sid = start(a, "r-queue", "say up\nbash read x < go\nkill KILL", project_dir=a.project)
    wait_tool(a, sid)
    a.kill9()
    queue_prompt(a, sid, "say second\nfail 529")
    queue_prompt(a, sid, "say third")
    a.start()
    with open_fifo(a.project + "/go") as f:
        f.write("go\n")
    s = ends(a, sid)
    assert (s["result"], s["runs"], s["prompts_queued"], s["restarts"]) == ("success", 3, 0, 0), s
    assert [r[0] for r in prompts(a, sid)] == ["failed", "failed", "done"]
    assert texts(a.events(sid)) == ["up", "second", "third"]


def gate(aod, name):
    """A file, and what an agent is told so that it waits for it."""
    path = os.path.join(aod.project, "gate-" + name)
    return path, "bash while [ ! -e %s ]; do sleep 0.02; done" % path


def test_a_persistent_session_is_restarted_after_an_overload(aod):
    """Its turn failed, for which Restart= has an answer: what it was asked goes on before what is queued."""
    blueprint(aod, "r-stays", "Lifecycle=persistent\nRestart=on-transient\nRestartSec=2s\nRestartPrompt=say back again")
    path, wait = gate(aod, "stays")
    sid = start(aod, "r-stays", "say up\n%s\nfail 529" % wait, project_dir=aod.project)
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "say second"}).status == 200
    open(path, "w").close()
    s = aod.wait_state(sid, "auto-restart")
    assert (s["result"], s["prompts_queued"]) == ("overloaded", 2)
    wait_for("both", lambda: aod.session(sid)["state"] == "idle" and aod.session(sid)["prompts_queued"] == 0)
    assert texts(aod.events(sid)) == ["up", "back again", "second"]
    assert aod.session(sid)["runs"] == 2
    # Another failure leaves it idle.
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "say third\nfail"}).status == 200
    wait_for("its end", lambda: aod.session(sid)["state"] == "idle" and aod.session(sid)["result"] == "agent-error")
    # One that dies while it is idle has nothing to go on with.
    for pid in aod.session_processes(sid):
        os.kill(pid, signal.SIGKILL)
    s = ends(aod, sid)
    assert (s["result"], s["runs"]) == ("signal", 2), s


def test_the_queue_waits_where_a_login_is_missing(aod):
    blueprint(aod, "r-login", "Restart=always\nRestartSec=0")
    path, wait = gate(aod, "login")
    sid = start(aod, "r-login", "say up\n%s\nfail 401" % wait, project_dir=aod.project)
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "say second", "queue": True}).status == 200
    open(path, "w").close()
    s = ends(aod, sid)
    assert (s["state"], s["result"], s["runs"], s["prompts_queued"]) == ("failed", "auth", 1, 1)


def test_a_stop_takes_the_queue_with_it(make_aod):
    a = make_aod()
    blueprint(a, "r-queue-stop", "Restart=always\nRestartSec=0")
    sid = start(a, "r-queue-stop", "say up\nhang")
    a.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    a.kill9()
    queue_prompt(a, sid, "say second")
    a.start()
    assert a.post("/sessions/%s/stop" % sid).status == 200
    s = ends(a, sid)
    assert (s["state"], s["runs"], s["prompts_queued"]) == ("stopped", 1, 0)
    assert [r[0] for r in prompts(a, sid)] == ["cancelled", "cancelled"]


# ---- by request


def test_reset_failed(aod):
    command_blueprint(aod, "r-reset", "Restart=on-failure\nRestartSec=0\nStartLimitBurst=2")
    sid = start_command(aod, "r-reset", "exit 1")
    s = ends(aod, sid)
    assert (s["result"], s["restarts"]) == ("start-limit-hit", 2)
    r = aod.post("/sessions/%s/reset-failed" % sid)
    assert r.status == 200 and r.json["session"]["state"] == "stopped"
    s = aod.session(sid)
    assert (s["state"], s["restarts"], s["runs"]) == ("stopped", 0, 3)
    assert aod.sql("SELECT limit_begin_us, limit_count FROM session WHERE id = ?", sid) == [(0, 0)]
    assert aod.post("/sessions/nobody-here/reset-failed").status == 404
    # One that lives is as it was, but for the count.
    sid = start_command(aod, "r-reset", "[ -e n ] && { echo up; exec sleep 1000; }; touch n; exit 1")
    aod.wait_event(sid, lambda e: e.get("text") == "up")
    assert aod.session(sid)["restarts"] == 1
    assert aod.post("/sessions/%s/reset-failed" % sid).status == 200
    s = aod.session(sid)
    assert (s["state"], s["restarts"]) == ("running", 0)
    assert aod.post("/sessions/%s/stop" % sid).status == 200


def test_reset_failed_of_all(make_aod):
    a = make_aod()
    failed = [a.sh("exit 1") for _ in range(120)]
    good = a.sh("exit 0")
    for sid in [*failed, good]:
        ends(a, sid)
    r = a.aoctl("reset-failed")
    assert r.returncode == 0 and "120 sessions" in r.stdout + r.stderr, r
    assert {a.session(sid)["state"] for sid in failed} == {"stopped"} and a.session(good)["state"] == "finished"
    assert a.post("/sessions/reset-failed").json == {"ok": True, "reset": 0}


def test_restart_by_request(aod):
    """A live one is ended and started again with its prompt, whatever Restart= says; it counts as nobody's failure."""
    blueprint(aod, "r-now", "")
    begun_file = aod.project + "/begun"
    if os.path.exists(begun_file):
        os.unlink(begun_file)
    sid = start(aod, "r-now", "append begun x\nsay up\nhang", project_dir=aod.project)
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    r = aod.aoctl("restart", aod.session(sid)["session_name"])
    assert r.returncode == 0, r
    wait_for("the second run", lambda: aod.session(sid)["runs"] == 2 and aod.session(sid)["state"] == "running")
    ev = aod.events(sid)
    assert [e["reason"] for e in of(ev, "session_stop")] == ["cancelled"]
    s = aod.session(sid)
    assert (s["restarts"], s["result"], s["next_start_at"]) == (0, None, None)
    assert aod.post("/sessions/%s/stop" % sid).status == 200
    s = ends(aod, sid)
    assert (s["state"], s["runs"]) == ("stopped", 2)
    # One that has ended begins anew, in its conversation.
    assert aod.post("/sessions/%s/restart" % sid).status == 200
    wait_for("the third run", lambda: aod.session(sid)["runs"] == 3)
    ends(aod, sid)
    assert prompts(aod, sid)[-1][1] == "restart"


def test_restart_of_a_command_and_of_a_parked_one(aod):
    command_blueprint(aod, "r-now-command", "Restart=on-failure\nRestartSec=1h")
    sid = start_command(aod, "r-now-command", "cat; [ -e n ] || { touch n; exit 1; }", prompt="words\n")
    aod.wait_state(sid, "auto-restart")
    out = aod.aoctl("status", sid).stdout
    assert "auto-restart" in out and "in 1h" in out.replace("59min", "1h") and "1 in a row" in out, out
    assert "exited with a status other than 0" in out, out
    row = [line for line in aod.aoctl("list").stdout.split("\n") if "r-now-command" in line][0]
    assert "auto-restart" in row and "in " in row and "exit-code" in row, row
    assert "is started again in " in aod.aoctl("logs", sid).stdout
    assert aod.post("/sessions/%s/restart" % sid).status == 200
    s = ends(aod, sid)
    assert (s["result"], s["runs"]) == ("success", 2)
    assert aod.post("/sessions/%s/restart" % sid).status == 200
    wait_for("the third run", lambda: aod.session(sid)["runs"] == 3 and aod.session(sid)["state"] == "finished")
    assert outputs(aod.events(sid)) == ["words"] * 3


def test_restart_is_refused(aod):
    blueprint(aod, "r-refuse", "TimeoutStopSec=1h")
    sid = start(aod, "r-refuse", "say up\ndeaf")
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    assert aod.post("/sessions/%s/stop" % sid).status == 200
    assert aod.post("/sessions/%s/restart" % sid).status == 409
    assert aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 0}).status == 200
    assert ends(aod, sid)["state"] == "stopped"
    aod.post("/sessions", {"session_id": "r-theirs", "session_name": "r-theirs"})
    assert aod.post("/sessions/r-theirs/restart").status == 409


def test_a_restart_by_request_survives_aod(make_aod):
    a = make_aod()
    blueprint(a, "r-now-crash", "TimeoutStopSec=1s")
    sid = start(a, "r-now-crash", "say up\ndeaf")
    a.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    assert a.post("/sessions/%s/restart" % sid).status == 200
    a.kill9()
    a.start()
    wait_for("the second run", lambda: a.session(sid)["runs"] == 2)
    assert a.post("/sessions/%s/stop" % sid, {"timeout_ms": 0}).status == 200
    assert ends(a, sid)["state"] == "stopped"


# ---- where it has to wait for room


def test_a_restart_waits_for_room(make_aod):
    a = make_aod()
    command_blueprint(a, "r-room", "Restart=on-failure\nRestartSec=0\nMaxSessions=1")
    os.mkfifo(a.project + "/go")
    sid = start_command(a, "r-room", "[ -e n ] && exit; touch n; read x < go; exit 1", project_dir=a.project, prompt="x")
    other = start_command(a, "r-room", "echo up; exec sleep 1000")
    a.wait_state(other, "queued")
    with open_fifo(a.project + "/go") as f:
        f.write("go\n")
    # It was there first, and comes back behind the one that waits for longer.
    a.wait_event(other, lambda e: e.get("text") == "up")
    a.wait_state(sid, "queued")
    assert a.post("/sessions/%s/stop" % other, {"timeout_ms": 0}).status == 200
    s = ends(a, sid)
    assert (s["result"], s["runs"]) == ("success", 2), s
    assert [r[:2] for r in prompts(a, sid)] == [("done", "request")]


# ---- results


def test_results_can_be_looked_for(make_aod):
    """Each end has its word, which the lists know, and its meaning, which status tells."""
    a = make_aod()
    a.blueprint("core", "[Agent]\nAdapter=command\n[Resources]\nLimitCORE=infinity\n[Sandbox]\nSandbox=none\n")
    made = {
        "success": a.sh("exit 0"),
        "exit-code": a.sh("exit 3"),
        "signal": a.sh("kill -KILL $$"),
        "unknown": a.demo("say up\nexit 0"),
        "overloaded": a.demo("fail 529"),
        "refused": a.demo("raw {\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"stop_reason\":\"refusal\",\"result\":\"no\"}\nexit 1"),
    }
    core = a.create(command=["/bin/sh", "-c", "kill -SEGV $$"], agent_name="core")["session_id"]
    for result, sid in made.items():
        assert ends(a, sid)["result"] == result
        assert [s["session_id"] for s in a.get("/sessions?result=" + result).json["sessions"]] == [sid], result
        out = a.aoctl("status", sid).stdout
        assert result in out and ("Result:" in out) == (result != "success"), out
    # Whether a core is dumped is up to the host: what the kernel says is what is told.
    assert ends(a, core)["result"] in ("core-dump", "signal") and a.session(core)["signal"] == signal.SIGSEGV
    assert a.aoctl("list", "--result", "exit-code").stdout.count("exit-code") == 1
