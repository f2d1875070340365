# SPDX-License-Identifier: MIT
"""What an upgrade of aod, a crash or a stranger's process makes of sessions that run: they are known by the lock on their spool, never by a pid."""
import os
import shutil
import signal
import sqlite3
import subprocess

import pytest

from aod import BUILD, SRC, alive, kinds, outputs, texts, wait_for


@pytest.fixture(scope="module")
def old_programs(tmp_path_factory):
    """The programs as they are, with the shim of another version."""
    cc = shutil.which("cc") or shutil.which("gcc")
    if not cc:
        pytest.skip("no compiler: cc and gcc are not there")
    d = str(tmp_path_factory.mktemp("programs"))
    os.chmod(d, 0o755)
    for name in ("aod", "aod-http", "aoctl", "aod-demo-agent", "bin"):
        os.symlink(os.path.join(BUILD, name), os.path.join(d, name))
    subprocess.run([cc, "-O2", "-o", d + "/aod-shim", os.path.join(SRC, "tests", "lib", "first-shim.c")], check=True)
    return d


def upgrade(a):
    """aod is killed, and comes again with the shim of today; what runs goes on with its own."""
    a.kill9()
    a.programs = BUILD
    a.start()


def loose(a):
    a.blueprint("loose", "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=none\n")
    a.blueprint("loose-demo", "[Agent]\nExecStart=%s\n[Sandbox]\nSandbox=none\n" % os.path.join(BUILD, "aod-demo-agent"))


def start(a, script):
    return a.create(agent_name="loose", command=["/bin/sh", "-c", script])["session_id"]


def test_a_shim_of_another_version_is_understood(make_aod, old_programs):
    a = make_aod(programs=old_programs)
    loose(a)
    gate = os.path.join(a.project, "go")
    waits = "while [ ! -e %s ]; do sleep 0.02; done" % gate
    ends = start(a, "echo before; %s; echo after; echo oops >&2; printf unfinished; exit 7" % waits)
    stops = start(a, "trap 'echo asked; exit 0' INT TERM; echo up; while :; do sleep 0.02; done")
    talks = a.create(agent_name="loose-demo", prompt="say one\nbash %s\nsay two" % waits)["session_id"]
    away = start(a, "%s; echo meanwhile; exit 3" % waits.replace("go", "away"))
    a.wait_event(ends, lambda e: e.get("text") == "before")
    a.wait_event(stops, lambda e: e.get("text") == "up")
    a.wait_event(talks, lambda e: e["event_type"] == "pre_tool")
    a.wait_state(away, "running")
    shims = a.shims()
    assert len(shims) == 4
    a.kill9()
    # One ends while nobody is there to hear it.
    agents = list(a.session_processes(away))
    open(os.path.join(a.project, "away"), "w", encoding="utf-8").close()
    wait_for("its end", lambda: not any(alive(p) for p in agents))
    a.programs = BUILD
    a.start()
    assert "4 live sessions taken over" in a.log()
    s = a.wait_status(away)
    assert (s["result"], s["exit_code"], outputs(a.events(away))) == ("exit-code", 3, ["meanwhile"]), s
    assert a.post("/sessions/%s/stop" % stops).status == 200
    s = a.wait_status(stops)
    assert s["state"] == "stopped" and outputs(a.events(stops), "stdout") == ["up", "asked"]
    open(gate, "w", encoding="utf-8").close()
    s = a.wait_status(ends)
    assert (s["state"], s["exit_code"]) == ("failed", 7), s
    ev = a.events(ends)
    assert outputs(ev, "stdout") == ["before", "after", "unfinished"] and outputs(ev, "stderr") == ["oops"]
    assert kinds(ev)[-1] == "session_stop" and "rolled back" not in a.log()
    assert a.wait_status(talks)["result"] == "success"
    assert a.result(talks) == "two" and texts(a.events(talks)) == ["one", "two"]
    a.resume(talks, "say three")
    assert a.wait_status(talks)["result"] == "success" and a.result(talks) == "three"
    a.assert_no_process_left()


def test_a_deaf_agent_of_another_shim_is_killed(make_aod, old_programs):
    a = make_aod(programs=old_programs)
    loose(a)
    sid = start(a, "trap '' INT TERM; echo up; while :; do sleep 0.02; done")
    a.wait_event(sid, lambda e: e.get("text") == "up")
    upgrade(a)
    a.post("/sessions/%s/stop" % sid, {"timeout_ms": 200})
    assert a.wait_status(sid)["state"] == "stopped"
    a.assert_no_process_left()


def edit_run(a, sid, **columns):
    """As if aod had written something else before it was killed."""
    db = sqlite3.connect(a.db_path)
    db.execute("UPDATE run SET %s WHERE session = (SELECT n FROM session WHERE id = ?)" % ", ".join("%s = %d" % c for c in columns.items()), (sid,))
    db.commit()
    db.close()


@pytest.fixture
def stranger():
    p = subprocess.Popen(["/bin/sleep", "1000"])
    yield p
    p.kill()
    p.wait()


def watched(a):
    """The processes that aod has a pidfd of."""
    out = set()
    for fd in os.listdir("/proc/%d/fdinfo" % a.pid):
        try:
            with open("/proc/%d/fdinfo/%s" % (a.pid, fd), encoding="utf-8") as f:
                out |= {int(line.split()[1]) for line in f if line.startswith("Pid:")}
        except OSError:
            pass
    return out


@pytest.mark.parametrize("start_known", [True, False])
@pytest.mark.parametrize("shim_lives", [True, False])
def test_a_pid_that_is_somebody_elses(make_aod, stranger, shim_lives, start_known):
    """The number of the shim is that of another process now: that one is neither followed nor harmed."""
    a = make_aod()
    loose(a)
    gate = os.path.join(a.project, "go")
    sid = start(a, "echo up; while [ ! -e %s ]; do sleep 0.02; done; echo well" % gate)
    a.wait_event(sid, lambda e: e.get("text") == "up")
    shim, = a.shims()
    a.kill9()
    if not shim_lives:
        os.kill(shim, signal.SIGKILL)
        wait_for("its end", lambda: not alive(shim))
    edit_run(a, sid, shim_pid=stranger.pid, **({} if start_known else {"shim_start": 0}))
    a.start()
    assert stranger.pid not in watched(a)
    if shim_lives:
        assert a.session(sid)["state"] == "running"
        open(gate, "w", encoding="utf-8").close()
        s = a.wait_status(sid)
        assert (s["result"], a.result(sid)) == ("success", "up\nwell"), s
    else:
        assert a.wait_status(sid)["result"] == "shim-lost"
    a.assert_no_process_left()
    assert stranger.poll() is None
