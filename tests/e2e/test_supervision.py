# SPDX-License-Identifier: MIT
"""Supervision: how long a run may take, how it is ended when it takes longer, and what is said of that."""
import json
import os
import signal
import time

import pytest

from aod import DEMO, kinds, open_fifo


def blueprint(aod, name, session, adapter="claude", exec_start=DEMO):
    aod.blueprint(name, "[Agent]\nAdapter=%s\n%s[Session]\n%s\n[Sandbox]\nSandbox=none\n" % (
        adapter, "ExecStart=%s\n" % exec_start if exec_start else "", session))


def start(aod, name, prompt):
    return aod.create(prompt=prompt, agent_name=name)["session_id"]


def start_command(aod, name, script):
    return aod.create(command=["/bin/sh", "-c", script], agent_name=name)["session_id"]


def frozen(aod, sid):
    r = aod.post("/sessions/%s/freeze" % sid)
    if r.status == 409:
        pytest.skip("nothing can be frozen here: " + str(r.detail))
    assert r.status == 200


# ---- limits of time


@pytest.mark.parametrize("name, session, prompt, result, key", [
    ("t-runtime", "RuntimeMaxSec=300ms", "say up\nhang", "timeout", "RuntimeMaxSec="),
    ("t-runtime-deaf", "RuntimeMaxSec=300ms\nTimeoutStopSec=1s", "say up\ndeaf", "timeout", "RuntimeMaxSec="),
    ("t-watchdog", "WatchdogSec=300ms", "say up\nhang", "watchdog", "WatchdogSec="),
    ("t-tool", "ToolTimeoutSec=300ms", "bash sleep 1000", "stalled", "ToolTimeoutSec="),
])
def test_a_limit_ends_the_run(aod, name, session, prompt, result, key):
    blueprint(aod, name, session)
    sid = start(aod, name, prompt)
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", result), s
    assert key in s["error"]
    assert aod.events(sid)[-1]["reason"] == result
    aod.assert_no_process_left(sid)


def test_a_command_that_says_nothing_does_not_start_in_time(aod):
    blueprint(aod, "t-start", "TimeoutStartSec=2s", "command", None)
    s = aod.wait_status(start_command(aod, "t-start", "exec sleep 1000"))
    assert s["result"] == "timeout" and "TimeoutStartSec=" in s["error"]
    # One that says something has started, and may take its time.
    sid = start_command(aod, "t-start", "echo up; read x < %s; echo done" % fifo(aod, "go"))
    aod.wait_event(sid, lambda e: e.get("text") == "up")
    # One that came later and is silent has used up the same time by now.
    assert aod.wait_status(start_command(aod, "t-start", "exec sleep 1000"))["result"] == "timeout"
    with open_fifo(fifo(aod, "go")) as f:
        f.write("go\n")
    assert aod.wait_status(sid)["result"] == "success"


def fifo(aod, name):
    path = os.path.join(aod.root, name)
    if not os.path.exists(path):
        os.mkfifo(path)
    return path


def test_limits_that_are_not_reached_do_nothing(aod):
    blueprint(aod, "t-roomy", "TimeoutStartSec=1min\nRuntimeMaxSec=1min\nWatchdogSec=2s\nToolTimeoutSec=30s")
    # Each message comes well within the watchdog's time, all together do not.
    s = aod.wait_status(start(aod, "t-roomy", "stream 15 200"))
    assert s["result"] == "success", s


def test_the_watchdog_sees_a_long_build(aod):
    """Nothing is said for longer than WatchdogSec=, but a processor is busy: that is no hang."""
    blueprint(aod, "t-build", "WatchdogSec=1s", "command", None)
    sid = start_command(aod, "t-build", "echo up; i=0; t=$(date +%s); while [ $(($(date +%s) - t)) -lt 4 ]; do i=$((i+1)); done; echo built")
    aod.wait_event(sid, lambda e: e.get("text") == "up")
    if aod.get("/sessions/%s/usage" % sid).status != 200:
        pytest.skip("no control groups: nobody sees what a session does")
    s = aod.wait_status(sid)
    assert s["result"] == "success", s
    s = aod.wait_status(start_command(aod, "t-build", "echo up; exec sleep 1000"))
    assert s["result"] == "watchdog", s


def test_no_time_passes_while_it_is_frozen(aod):
    blueprint(aod, "t-frozen", "RuntimeMaxSec=3s\nWatchdogSec=3s\nToolTimeoutSec=3s")
    sid = start(aod, "t-frozen", "bash sleep 1000")
    aod.wait_event(sid, lambda e: e["event_type"] == "pre_tool")
    frozen(aod, sid)
    # One that came later and is not frozen uses up all of the same time.
    assert aod.wait_status(start(aod, "t-frozen", "bash sleep 1000"))["result"] in ("timeout", "watchdog", "stalled")
    assert aod.session(sid)["state"] == "frozen"
    t = time.monotonic()
    assert aod.post("/sessions/%s/thaw" % sid).status == 200
    s = aod.wait_status(sid)
    assert s["result"] in ("timeout", "watchdog", "stalled")
    assert time.monotonic() - t > 0.1, "the time that it was frozen was counted"


def test_times_go_on_when_aod_was_killed(make_aod):
    a = make_aod()
    blueprint(a, "t-crash", "RuntimeMaxSec=4s")
    t = time.monotonic()
    sid = start(a, "t-crash", "say up\nhang")
    a.wait_event(sid, lambda e: e["event_type"] == "message" and e.get("role") == "assistant")
    for _ in range(2):
        a.kill9()
        a.start()
    s = a.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "timeout")
    assert time.monotonic() - t > 3.9
    a.assert_no_process_left(sid)


# ---- how it is stopped


INTERRUPTIBLE = r"""#!/usr/bin/python3
import json, signal, sys
def put(**o):
    print(json.dumps(o), flush=True)
def on(sig, frame):
    put(type="assistant", message={"content": [{"type": "text", "text": signal.Signals(sig).name}]})
for s in (signal.SIGINT, signal.SIGTERM):
    signal.signal(s, on)
put(type="system", subtype="init", session_id="x")
for line in sys.stdin:
    o = json.loads(line)
    if o["type"] == "control_request" and o["request"]["subtype"] == "interrupt":
        put(type="assistant", message={"content": [{"type": "text", "text": "interrupted"}]})
        if OBEYS:
            put(type="result", subtype="error_during_execution", is_error=True, result="interrupted")
put(type="assistant", message={"content": [{"type": "text", "text": "end of stdin"}]})
"""


def scripted(aod, name, text):
    path = os.path.join(aod.root, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


def said(aod, sid):
    return [e["content"][0]["text"] for e in aod.events(sid) if e["event_type"] == "message" and e["role"] == "assistant"]


@pytest.mark.parametrize("obeys, words", [
    (True, ["interrupted", "end of stdin"]),
    (False, ["interrupted", "SIGINT", "SIGTERM"]),
])
def test_an_agent_is_interrupted_before_it_is_signalled(aod, obeys, words):
    name = "t-polite-%d" % obeys
    blueprint(aod, name, "TimeoutStopSec=%s" % ("1h" if obeys else "6s"), exec_start=scripted(aod, name, INTERRUPTIBLE.replace("OBEYS", str(obeys))))
    sid = start(aod, name, "go")
    aod.wait_event(sid, lambda e: e["event_type"] == "init")
    aod.post("/sessions/%s/stop" % sid)
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("stopped", "cancelled")
    assert said(aod, sid) == words
    assert s["signal"] == (None if obeys else signal.SIGKILL)


def test_a_stop_on_its_way_goes_on_when_aod_was_killed(make_aod):
    a = make_aod()
    blueprint(a, "t-polite", "TimeoutStopSec=3s", exec_start=scripted(a, "polite", INTERRUPTIBLE.replace("OBEYS", "False")))
    sid = start(a, "t-polite", "go")
    a.wait_event(sid, lambda e: e["event_type"] == "init")
    a.post("/sessions/%s/stop" % sid)
    a.kill9()
    a.start()
    s = a.wait_status(sid)
    assert (s["state"], s["result"]) == ("stopped", "cancelled")
    assert "session_stop" in kinds(a.events(sid))
    a.assert_no_process_left(sid)


# ---- results


def test_sessions_are_listed_by_their_result(make_aod):
    a = make_aod()
    blueprint(a, "t-short", "RuntimeMaxSec=200ms")
    good = a.run_demo("say done")["session_id"]
    late = a.wait_status(start(a, "t-short", "hang"))["session_id"]
    billed = a.run_demo("fail success 402")["session_id"]
    hung = a.demo("hang")

    def listed(query):
        return [s["session_id"] for s in a.get("/sessions?" + query).json["sessions"]]

    assert listed("result=success") == [good]
    assert listed("result=timeout") == [late]
    assert listed("result=billing&state=failed") == [billed]
    assert listed("result=billing&state=live") == listed("result=oom-kill") == []
    assert set(listed("limit=9")) == {good, late, billed, hung}
    r = a.get("/sessions?result=nonsense")
    assert r.status == 422 and r.json["detail"][0]["loc"] == ["query", "result"]
    p = a.aoctl("list", "--result", "timeout", "--json")
    assert p.returncode == 0 and [s["session_id"] for s in json.loads(p.stdout)["sessions"]] == [late], p
    assert a.aoctl("list", "--result", "nonsense").returncode != 0


@pytest.mark.parametrize("status, script, state, result", [
    ("7 SIGUSR1", "exit 7", "finished", "success"),
    ("7 SIGUSR1", "kill -USR1 $$", "finished", "success"),
    ("7 SIGUSR1", "exit 10", "failed", "exit-code"),
    ("exit-code", "exit 10", "finished", "success"),
])
def test_further_ends_count_as_success(aod, status, script, state, result):
    blueprint(aod, "t-success", "SuccessExitStatus=" + status, "command", None)
    s = aod.wait_status(start_command(aod, "t-success", script))
    assert (s["state"], s["result"]) == (state, result), s
    assert (s["error"] is None) == (result == "success")
    stop = aod.events(s["session_id"])[-1]
    assert stop["reason"] == ("completed" if result == "success" else result)


def test_an_agents_result_counts_as_success_but_a_stop_does_not(aod):
    blueprint(aod, "t-turns", "SuccessExitStatus=max-turns cancelled")
    s = aod.wait_status(start(aod, "t-turns", "fail error_max_turns"))
    assert (s["state"], s["result"]) == ("finished", "success"), s
    sid = start(aod, "t-turns", "say up\nhang")
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e.get("role") == "assistant")
    aod.post("/sessions/%s/stop" % sid)
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("stopped", "cancelled")


def test_what_counts_as_success_is_kept_when_aod_was_killed(make_aod):
    a = make_aod()
    blueprint(a, "t-success", "SuccessExitStatus=7", "command", None)
    sid = start_command(a, "t-success", "echo up; read x < %s; exit 7" % fifo(a, "go"))
    a.wait_event(sid, lambda e: e.get("text") == "up")
    a.kill9()
    a.start()
    with open_fifo(fifo(a, "go")) as f:
        f.write("go\n")
    s = a.wait_status(sid)
    assert (s["state"], s["result"], s["exit_code"]) == ("finished", "success", 7)
