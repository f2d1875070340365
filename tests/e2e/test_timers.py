# SPDX-License-Identifier: MIT
"""Timers of blueprints: when they start sessions, what they keep over a restart, and what ends them."""
import datetime
import json
import mmap
import os
import shutil
import sqlite3
import struct
import subprocess
import time

import pytest

from aod import BUILD, DEMO, SRC, WAIT, kinds, texts, wait_for

TIMED = "[Agent]\nAdapter=command\nExecStart=%s\n[Timer]\n%s\n"


def timed(aod, name, timer, command="/bin/true"):
    aod.blueprint(name, TIMED % (command, timer))


def remove(aod, name):
    os.unlink(os.path.join(aod.root, "etc", "blueprints", name + ".blueprint"))


def timer(aod, name):
    r = aod.get("/timers")
    assert r.status == 200, r
    found = [t for t in r.json["timers"] if t["blueprint"] == name]
    return found[0] if found else None


def sessions(aod, name):
    """Of this blueprint, oldest first."""
    r = aod.get("/sessions")
    assert r.status == 200, r
    return [s for s in reversed(r.json["sessions"]) if s["agent_name"] == name]


def wait_sessions(aod, name, n, timeout=WAIT):
    return wait_for("%d sessions of %s" % (n, name), lambda: (lambda s: s if len(s) >= n else None)(sessions(aod, name)), timeout)


def at(iso):
    return datetime.datetime.fromisoformat(iso).timestamp()


def in_an_hour():
    """OnCalendar= of one time that is about an hour ahead."""
    t = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return t.strftime("OnCalendar=%Y-%m-%d %H:%M:%S UTC")


def test_each_second_once(aod):
    timed(aod, "often", "OnCalendar=*:*:*")
    began = time.time()
    got = wait_sessions(aod, "often", 3)
    remove(aod, "often")
    wait_for("the timer to go", lambda: timer(aod, "often") is None)
    started = [at(s["created_at"]) for s in got]
    assert all(t >= began for t in started)
    assert len({int(t) for t in started}) == len(started), "more than one in a second: %r" % started
    first = aod.events(got[0]["session_id"])[0]
    assert (first["event_type"], first["started_by"], first["agent_name"]) == ("session_start", "timer", "often")
    assert got[0]["session_name"].startswith("often-")
    assert aod.wait_status(got[0]["session_id"])["result"] == "success"


def test_prompt_of_the_blueprint(aod):
    aod.blueprint("asks", "[Agent]\nExecStart=%s\nPrompt=say hello from %%N\n[Sandbox]\nSandbox=none\n" % DEMO)
    s = aod.create(agent_name="asks")
    aod.wait_status(s["session_id"])
    assert aod.result(s["session_id"]) == "hello from asks"
    events = aod.events(s["session_id"])
    assert texts(events, role="user") == ["say hello from asks"]
    assert "started_by" not in events[0]
    s = aod.create(agent_name="asks", prompt="say other")
    aod.wait_status(s["session_id"])
    assert aod.result(s["session_id"]) == "other"
    aod.blueprint("asks", "[Agent]\nExecStart=%s\nPrompt=say timed\n[Sandbox]\nSandbox=none\n[Timer]\nOnBootSec=0\n" % DEMO)
    s = wait_sessions(aod, "asks", 3)[2]
    aod.wait_status(s["session_id"])
    assert aod.result(s["session_id"]) == "timed"
    t = timer(aod, "asks")
    assert (t["next"], t["session_id"], t["error"]) == (None, s["session_id"], None)


def test_prompt_is_input_of_a_command(aod):
    aod.blueprint("cat", "[Agent]\nAdapter=command\nExecStart=/bin/cat\nPrompt=to read\n")
    s = aod.create(agent_name="cat")
    aod.wait_status(s["session_id"])
    assert aod.result(s["session_id"]) == "to read"


def test_live_session_is_not_joined(aod):
    timed(aod, "long", "OnCalendar=*:*:*", "/bin/sleep 1000")
    sid = wait_sessions(aod, "long", 1)[0]["session_id"]
    notice = aod.wait_event(sid, lambda e: e["event_type"] == "notice" and e["subtype"] == "timer-skipped")
    assert "no second session" in notice["text"]
    wait_for("a further time to be skipped", lambda: timer(aod, "long")["skipped"] > 1)
    assert len(sessions(aod, "long")) == 1
    assert kinds(aod.events(sid)).count("notice") == 1, "said once"
    aod.post("/sessions/%s/stop" % sid, {})
    aod.wait_status(sid)
    second = wait_sessions(aod, "long", 2)[1]["session_id"]
    remove(aod, "long")
    wait_for("the timer to go", lambda: timer(aod, "long") is None)
    assert aod.delete("/sessions/" + second).status == 200


def test_after_the_last_time(aod):
    timed(aod, "after", "OnBootSec=0\nOnUnitActiveSec=2s")
    got = wait_sessions(aod, "after", 3)
    timed(aod, "after", "OnUnitActiveSec=1h")
    started = [at(s["created_at"]) for s in got]
    assert all(b - a >= 1.99 for a, b in zip(started, started[1:])), started


def test_alone_it_never_starts(aod):
    timed(aod, "alone", "OnUnitActiveSec=1s")
    t = wait_for("the timer", lambda: timer(aod, "alone"))
    assert (t["next"], t["last"], t["session_id"]) == (None, None, None)


def test_edit_disable_enable_mask_delete(aod):
    timed(aod, "edited", "OnCalendar=2199-01-01")
    assert wait_for("the timer", lambda: timer(aod, "edited"))["next"].startswith("2199-01-01")
    timed(aod, "edited", "OnCalendar=2198-01-01")
    wait_for("its change", lambda: (timer(aod, "edited") or {"next": ""})["next"].startswith("2198-01-01"))
    assert aod.patch("/agents/edited/status", {"status": "inactive"}).status == 200
    wait_for("it to stop", lambda: timer(aod, "edited") is None)
    assert aod.patch("/agents/edited/status", {"status": "active"}).status == 200
    wait_for("it to go on", lambda: timer(aod, "edited"))
    aod.blueprint("edited", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Timer]\nOnCalendar=wrong\n")
    wait_for("a bad file to stop it", lambda: timer(aod, "edited") is None)
    timed(aod, "edited", "OnCalendar=*:*:*")
    wait_sessions(aod, "edited", 1)
    remove(aod, "edited")
    os.symlink("/dev/null", os.path.join(aod.root, "etc", "blueprints", "edited.blueprint"))
    wait_for("it to stop", lambda: timer(aod, "edited") is None)
    count = len(sessions(aod, "edited"))
    # A second timer of the same kind shows that time went by.
    timed(aod, "clock", "OnCalendar=*:*:*")
    wait_sessions(aod, "clock", 3)
    remove(aod, "clock")
    assert len(sessions(aod, "edited")) == count


def test_template_has_none_instance_has(aod):
    timed(aod, "each@", "OnBootSec=0", "/bin/echo %i")
    aod.blueprint("each@one", TIMED % ("/bin/echo %i", "OnBootSec=0"))
    s = wait_sessions(aod, "each@one", 1)[0]
    aod.wait_status(s["session_id"])
    assert aod.result(s["session_id"]) == "one"
    assert timer(aod, "each@") is None


def test_refused_start_is_shown_and_goes_on(aod):
    timed(aod, "broken", "OnCalendar=*:*:*", "/no/such/program")
    t = wait_for("an error", lambda: (lambda t: t if t and t["error"] else None)(timer(aod, "broken")))
    assert "/no/such/program" in t["error"] and t["session_id"] is None
    wait_for("a further try", lambda: timer(aod, "broken")["last"] > t["last"])
    assert "timer of blueprint broken: " in aod.log()
    assert sessions(aod, "broken") == []
    p = aod.aoctl("list-timers")
    assert p.returncode == 0 and "/no/such/program" in p.stdout, p
    timed(aod, "broken", "OnCalendar=*:*:*")
    got = wait_sessions(aod, "broken", 1)
    assert wait_for("the error to go", lambda: (lambda t: t if not t["error"] else None)(timer(aod, "broken")))["session_name"] \
        in [s["session_name"] for s in sessions(aod, "broken")]
    assert got
    remove(aod, "broken")


def test_delay_is_bounded_and_kept(make_aod):
    aod = make_aod()
    rule = in_an_hour() + "\nRandomizedDelaySec=10h"
    timed(aod, "late", rule)
    first = wait_for("the timer", lambda: timer(aod, "late"))
    due = at(first["next"]) - time.time()
    assert 3000 < due < 11 * 3600 + 60, due
    assert first["rule"].endswith("RandomizedDelaySec=36000s")
    # A change of something else does not draw again, a restart neither; a change of the rule does.
    timed(aod, "late", rule, "/bin/false")
    timed(aod, "witness", "OnCalendar=2199-01-01")
    wait_for("the changes to be read", lambda: timer(aod, "witness"))
    assert timer(aod, "late") == first
    aod.kill9()
    aod.start()
    assert timer(aod, "late") == first
    timed(aod, "late", rule.replace("10h", "0"))
    wait_for("the change to be read", lambda: timer(aod, "late")["next"] != first["next"])
    assert at(timer(aod, "late")["next"]) <= at(first["next"])


@pytest.mark.parametrize("persistent", [False, True])
def test_missed_while_down(make_aod, persistent):
    """A time passes while aod is down: it is made up for once, or not at all."""
    aod = make_aod()
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=8)
    timed(aod, "missed", soon.strftime("OnCalendar=%Y-%m-%d %H:%M:%S UTC") + ("\nPersistent=yes" if persistent else ""))
    t = wait_for("the timer", lambda: timer(aod, "missed"))
    assert t["next"] and sessions(aod, "missed") == []
    aod.stop()
    wait_for("the time to pass", lambda: time.time() > soon.timestamp() + 0.1)
    for _ in range(2):
        aod.start()
        # Another timer that is due after it shows that it had its turn.
        name = "witness%d" % _
        timed(aod, name, "OnBootSec=0")
        wait_sessions(aod, name, 1)
        if persistent:
            wait_sessions(aod, "missed", 1)
        assert len(sessions(aod, "missed")) == (1 if persistent else 0)
        assert timer(aod, "missed")["next"] is None
        aod.stop()


def test_restart_repeats_nothing(make_aod):
    aod = make_aod()
    timed(aod, "once", "OnBootSec=0\nOnUnitActiveSec=1h")
    sid = wait_sessions(aod, "once", 1)[0]["session_id"]
    aod.wait_status(sid)
    before = timer(aod, "once")
    assert abs(at(before["next"]) - at(before["last"]) - 3600) < 1
    aod.kill9()
    aod.start()
    assert timer(aod, "once") == before
    timed(aod, "witness", "OnBootSec=0")
    wait_sessions(aod, "witness", 1)
    assert len(sessions(aod, "once")) == 1


def test_database_that_cannot_be_written(make_aod):
    """A session that is live goes on, the timer as well once there is a way; nothing is tried in a hurry."""
    aod = make_aod()
    live = aod.command("/bin/sh", "-c", "sleep 3")
    timed(aod, "stuck", "OnCalendar=*:*:*")
    before = len(wait_sessions(aod, "stuck", 1))
    other = sqlite3.connect(aod.db_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    wait_for("a start to fail", lambda: "rolled back, reading the state again" in aod.log())
    other.execute("ROLLBACK")
    other.close()
    wait_sessions(aod, "stuck", before + 2)
    remove(aod, "stuck")
    assert aod.log().count("rolled back") <= 2, aod.log()
    assert aod.wait_status(live)["result"] == "success"
    ids = [s["session_id"] for s in sessions(aod, "stuck")]
    wait_for("the timer to go", lambda: timer(aod, "stuck") is None)
    for sid in ids:
        assert kinds(aod.events(sid)).count("session_start") == 1


class Clock:
    """The wall clock of one aod, which can be set."""

    def __init__(self, directory):
        cc, lib = shutil.which("cc") or shutil.which("gcc"), os.path.join(directory, "clock.so")
        if not cc or subprocess.run([cc, "-D_GNU_SOURCE", "-shared", "-fPIC", "-O2", "-o", lib, os.path.join(SRC, "tests", "lib", "clock.c")]).returncode:
            pytest.skip("no C compiler for the clock")
        path = os.path.join(directory, "offset")
        with open(path, "wb") as f:
            f.write(bytes(8))
        os.chmod(directory, 0o755)
        fd = os.open(path, os.O_RDWR)
        self.offset = mmap.mmap(fd, 8)
        os.close(fd)
        self.env = {"LD_PRELOAD": lib, "AOD_TEST_CLOCK": path}

    def set(self, seconds):
        self.offset[:] = struct.pack("=q", int(seconds * 1000000))


def test_clock_that_is_set(make_aod, tmp_path):
    """Forward: what was in between is due, once. Back: what is counted from a time to come is counted anew."""
    with open(os.path.join(BUILD, "aod"), "rb") as f:
        if b"libasan" in f.read():
            pytest.skip("the sanitizer wants to be loaded first")
    clock = Clock(str(tmp_path))
    # Far from the end of an hour, whatever the time is.
    base = 1800 - time.time() % 3600
    clock.set(base)
    aod = make_aod(env=clock.env)
    timed(aod, "hourly", "OnCalendar=hourly")
    timed(aod, "early", "OnCalendar=2199-01-01")
    first = wait_for("the timer", lambda: timer(aod, "hourly"))["next"]
    clock.set(base + 86400)
    # The kernel does not know and tells nobody, so that aod sees it when it is woken: by being asked.
    wait_for("the timer to see it", lambda: timer(aod, "hourly")["session_id"])
    got = sessions(aod, "hourly")
    assert at(got[0]["created_at"]) > at(first) + 80000
    aod.wait_status(got[0]["session_id"])
    next_day = timer(aod, "hourly")["next"]
    assert 0 < at(next_day) - at(got[0]["created_at"]) <= 3601 and len(sessions(aod, "hourly")) == 1
    clock.set(base)
    t = wait_for("the timer to go by the clock", lambda: (lambda t: t if t["next"] != next_day else None)(timer(aod, "hourly")))
    assert 0 < at(t["next"]) - (time.time() + base) <= 3601, t
    assert len(sessions(aod, "hourly")) == 1 and timer(aod, "early")["next"].startswith("2199")


def test_list(make_aod):
    aod = make_aod()
    p = aod.aoctl("list-timers")
    assert (p.returncode, p.stdout) == (0, "") and "no timers" in p.stderr
    timed(aod, "second", "OnCalendar=2199-01-02")
    timed(aod, "first", "OnCalendar=2199-01-01\nPersistent=yes")
    timed(aod, "never", "OnUnitActiveSec=5min")
    wait_for("three timers", lambda: len(aod.get("/timers").json["timers"]) == 3)
    p = aod.aoctl("list-timers", "--json")
    assert [(t["blueprint"], t["rule"]) for t in json.loads(p.stdout)["timers"]] == [
        ("first", "OnCalendar=2199-01-01 00:00:00 Persistent=yes"), ("second", "OnCalendar=2199-01-02 00:00:00"),
        ("never", "OnUnitActiveSec=300s")]
    r = aod.post("/agents", {"name": "made", "description": "x"})
    assert r.status == 201, r
    assert timer(aod, "made") is None
    lines = aod.aoctl("list-timers", env={"TZ": "UTC"}).stdout.splitlines()
    assert lines[0].split() == ["NEXT", "LEFT", "LAST", "PASSED", "BLUEPRINT", "SESSION"]
    assert lines[1].startswith("Tue 2199-01-01 00:00:00 UTC") and lines[1].split()[-4:] == ["-", "-", "first", "-"], lines
    assert lines[3].split()[:2] == ["-", "-"]


