# SPDX-License-Identifier: MIT
"""Admission: how many sessions may run at once, who waits, in which order, and what becomes of the queue whatever happens."""
import os
import subprocess
import threading
import time

import pytest

from aod import WAIT, kinds, outputs, texts, wait_for


def gate(aod, name="go"):
    """A file that commands wait for; waiting for it takes no processor time worth speaking of."""
    return os.path.join(aod.project, name)


def held(aod, n=None, **body):
    """A session whose command ends when its own file, or everybody's, is there."""
    own = gate(aod, "own-%s" % n) if n is not None else gate(aod)
    return aod.create(command=["/bin/sh", "-c", "while [ ! -e %s ] && [ ! -e %s ]; do sleep 0.02; done" % (own, gate(aod))], **body)


def open_gate(aod, name="go"):
    with open(gate(aod, name), "w"):
        pass


def states(aod):
    return {s["session_id"]: s["state"] for s in aod.get("/sessions").json["sessions"]}


def queue(aod):
    return aod.get("/queue").json["queue"]


def notices(aod, sid, subtype):
    return [e for e in aod.events(sid) if e["event_type"] == "notice" and e.get("subtype") == subtype]


def begun(aod, sids):
    """When each was started, in an order that aod itself gives: processes of the same moment may be up in another one."""
    return [next(e["id"] for e in aod.events(s) if e["event_type"] == "session_start") for s in sids]


def has_run(state):
    return state in ("pending", "running", "waiting", "idle", "frozen", "stopping")


def test_never_more_than_may(make_aod):
    """Twenty sessions, three at a time, in the order of their asking."""
    a = make_aod(args=["--max-sessions=3"])
    a.blueprint("counts", "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=none\n")
    slots = os.path.join(a.project, "slots")
    os.mkdir(slots)
    # Each says how many there are while it is there. None ends before the last one was asked for.
    script = "cd %s && mkdir $$ && ls | wc -l && while [ ! -e %s ]; do sleep 0.02; done; sleep 0.05 && ls | wc -l && rmdir $$" % (slots, gate(a))
    made = [a.create(agent_name="counts", command=["/bin/sh", "-c", script])["session_id"] for _ in range(20)]
    most = 0

    def look():
        nonlocal most
        now = states(a)
        most = max(most, sum(has_run(s) for s in now.values()))
        return all(now[i] == "finished" for i in made)

    open_gate(a)
    wait_for("all of them", look)
    assert most <= 3
    assert {int(n) for i in made for n in outputs(a.events(i))} <= {1, 2, 3}
    assert begun(a, made) == sorted(begun(a, made))
    queued = [i for i in made if notices(a, i, "queued")]
    assert queued == made[3:] and all(len(notices(a, i, "admitted")) == 1 for i in queued)
    assert kinds(a.events(queued[0]))[:2] == ["notice", "session_start"]


def test_what_is_said_of_one_that_waits(make_aod):
    a = make_aod(args=["--max-sessions", "1"])
    first = held(a)
    second = a.post("/sessions", {"session_name": "second", "command": ["/bin/true"]}).json
    third = a.post("/sessions", {"session_name": "third", "prompt": "say hi", "agent_name": "demo"}).json
    for i, r in enumerate((second, third)):
        assert r["session"]["state"] == "queued" and r["session"]["status"] == "running"
        assert r["queue_position"] == i + 1 and "max-sessions" in r["queue_reason"]
    s = a.session("third")
    assert (s["queue_position"], s["priority"], s["runs"], s["started_at"], s["result"]) == (2, 0, 0, None, None)
    assert "max-sessions" in s["queue_reason"] and s["prompts_queued"] == 1
    assert "queue_position" not in a.session(first["session_id"])
    r = a.get("/queue").json
    assert [(q["position"], q["session_name"], q["blueprint"]) for q in r["queue"]] == [(1, "second", "command"), (2, "third", "demo")]
    assert r["waiting"] == 2 and a.get("/queue?limit=1").json["waiting"] == 2 and len(a.get("/queue?limit=1").json["queue"]) == 1
    assert [x for x in r["limits"] if x["name"] == "max-sessions"] == [{"name": "max-sessions", "used": 1, "limit": 1}]
    note, = notices(a, "third", "queued")
    assert note["position"] == 2 and "max-sessions" in note["reason"]
    # The two commands that show it.
    out = a.aoctl("queue")
    assert out.returncode == 0 and out.stdout.splitlines()[0].split()[:2] == ["POSITION", "SESSION"], out
    assert out.stdout.splitlines()[1].split()[:3] == ["1", "second", "command"] and "max-sessions: 1 of 1" in out.stdout
    assert "Queue: position 2: max-sessions" in a.aoctl("status", "third").stdout
    # It has no process, and what needs one is refused.
    assert a.post("/sessions/third/freeze").status == 409 and a.post("/sessions/third/interrupt").status in (404, 409)
    assert a.get("/sessions/third/result").status == 400
    open_gate(a)
    assert a.wait_status("third")["state"] == "finished" and a.result("third") == "hi"
    assert texts(a.events("third"), role="user") == ["say hi"] and a.session("third")["prompts_queued"] == 0
    assert queue(a) == [] and a.aoctl("queue").returncode == 0


def test_greater_priority_goes_first(make_aod):
    a = make_aod(args=["--max-sessions=1"])
    a.blueprint("urgent", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Session]\nQueuePriority=50\n")
    held(a)
    names = {}
    for name, body in (("low", {"priority": -5}), ("usual", {}), ("high", {"priority": 9}), ("usual2", {"priority": 0})):
        names[name] = a.create(session_name=name, command=["/bin/true"], **body)["session_id"]
    names["urgent"] = a.create(session_name="urgent", agent_name="urgent")["session_id"]
    out = a.aoctl("run", "cli", "-d", "--priority", "7", "--", "/bin/true")
    assert out.returncode == 0, out.stderr
    assert a.session("cli")["priority"] == 7 and a.session("urgent")["priority"] == 50
    order = ["urgent", "high", "cli", "usual", "usual2", "low"]
    assert [q["session_name"] for q in queue(a)] == order
    assert [a.session(n)["queue_position"] for n in order] == [1, 2, 3, 4, 5, 6]
    assert a.aoctl("run", "--priority", "7000", "--", "/bin/true").returncode == 2
    assert a.post("/sessions", {"command": ["/bin/true"], "priority": "much"}).status == 422
    open_gate(a)
    for n in order:
        a.wait_status(n)
    assert begun(a, order) == sorted(begun(a, order))


def test_a_blueprint_that_is_full_holds_up_nobody_else(make_aod):
    a = make_aod()
    a.blueprint("few", "[Agent]\nAdapter=command\n[Session]\nMaxSessions=2\n[Sandbox]\nSandbox=none\n")
    os.symlink("few.blueprint", os.path.join(a.root, "etc", "blueprints", "alias.blueprint"))
    few = [held(a, i, agent_name="alias" if i % 2 else "few")["session_id"] for i in range(4)]
    assert [states(a)[i] == "queued" for i in few] == [False, False, True, True]
    assert a.session(few[2])["queue_reason"] == "MaxSessions=2 of blueprint few"
    assert a.wait_status(a.command("/bin/true"))["state"] == "finished"
    open_gate(a, "own-1")
    assert has_run(a.wait_state(few[2], "running", "pending")["state"]) and states(a)[few[3]] == "queued"
    # A limit that rises lets in who waits for it, and one that is dropped as well.
    a.blueprint("few", "[Agent]\nAdapter=command\n[Session]\nMaxSessions=3\n[Sandbox]\nSandbox=none\n")
    a.wait_state(few[3], "running")
    more = held(a, agent_name="few")["session_id"]
    assert states(a)[more] == "queued"
    a.blueprint("few", "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=none\n")
    a.wait_state(more, "running")
    open_gate(a)
    for i in [*few, more]:
        assert a.wait_status(i)["state"] == "finished"


def test_slices_count_what_is_in_them(make_aod):
    a = make_aod()
    a.blueprint("deep", "[Agent]\nAdapter=command\n[Resources]\nSlice=team-one\n")
    r = a.post("/sessions", {"agent_name": "deep", "command": ["/bin/true"]})
    if r.status == 422:
        pytest.skip("no control groups here: " + r.detail)
    d = os.path.join(a.root, "etc", "blueprints")
    with open(d + "/team.slice", "w", encoding="utf-8") as f:
        f.write("[Slice]\nDescription=A team\nMaxSessions=2\n")
    with open(d + "/team-one.slice", "w", encoding="utf-8") as f:
        f.write("[Slice]\nMaxSessions=1\n")
    for name, where in (("two", "team-two"), ("three", "team-three")):
        a.blueprint(name, "[Agent]\nAdapter=command\n[Resources]\nSlice=%s\n" % where)
    shown = {s["name"]: s for s in a.get("/slices").json["slices"]}
    assert shown["team.slice"]["limits"] == {"MaxSessions": "2"} and shown["team.slice"]["error"] is None
    a.wait_status(r.json["session"]["session_id"])
    one, again, two, three = [a.create(agent_name=n, command=["/bin/sleep", "1000"])["session_id"] for n in ("deep", "deep", "two", "three")]
    assert [states(a)[i] == "queued" for i in (one, again, two, three)] == [False, True, False, True]
    assert a.session(again)["queue_reason"] == "MaxSessions=1 of slice team-one.slice"
    assert a.session(three)["queue_reason"] == "MaxSessions=2 of slice team.slice"
    assert {q["slice"] for q in queue(a)} == {"team-one.slice", "team-three.slice"}
    a.kill9()
    a.start()
    # Read from the database; who has room is still right.
    a.post("/sessions/%s/stop" % two, {"timeout_ms": 0})
    a.wait_state(three, "running")
    assert states(a)[again] == "queued" and a.session(again)["queue_reason"] == "MaxSessions=1 of slice team-one.slice"
    a.post("/sessions/%s/stop" % one, {"timeout_ms": 0})
    a.wait_state(again, "running")


def test_the_queue_survives_aod(make_aod):
    a = make_aod(args=["--max-sessions=2"])
    running = [held(a, i)["session_id"] for i in range(2)]
    waiting = [a.create(prompt="say number %d" % i, agent_name="demo", priority=i % 3)["session_id"] for i in range(9)]
    before = [(q["session_id"], q["priority"], q["queued_at"]) for q in queue(a)]
    for _ in range(3):
        a.kill9()
        a.start()
    assert [(q["session_id"], q["priority"], q["queued_at"]) for q in queue(a)] == before
    assert all(has_run(states(a)[i]) for i in running)
    wait_for("the shims of two", lambda: len(a.shims()) == 2)
    open_gate(a)
    for i, sid in enumerate(waiting):
        s = a.wait_status(sid)
        assert (s["state"], s["runs"], a.result(sid)) == ("finished", 1, "number %d" % i), s
        assert len(notices(a, sid, "queued")) == len(notices(a, sid, "admitted")) == 1
    order = [i for i, _, _ in before]
    assert begun(a, order) == sorted(begun(a, order))


def test_stopped_and_deleted_while_it_waits(make_aod):
    a = make_aod(args=["--max-sessions=1"])
    held(a)
    ids = [a.create(prompt="say %d" % i, agent_name="demo")["session_id"] for i in range(4)]
    r = a.post("/sessions/%s/stop" % ids[1])
    assert r.status == 200 and r.json["session"]["state"] == "stopped" and r.json["session"]["result"] == "cancelled"
    assert a.events(ids[1])[-1]["event_type"] == "session_stop" and a.session(ids[1])["prompts_queued"] == 0
    assert a.delete("/sessions/" + ids[2]).status == 200 and a.get("/sessions/" + ids[2]).status == 404
    assert [q["session_id"] for q in queue(a)] == [ids[0], ids[3]] and a.session(ids[3])["queue_position"] == 2
    assert a.aoctl("stop", ids[3]).returncode == 0
    open_gate(a)
    assert a.wait_status(ids[0])["state"] == "finished"
    assert states(a)[ids[1]] == states(a)[ids[3]] == "stopped" and a.session(ids[1])["runs"] == 0
    # What was stopped before its first run can be given a prompt; it is not asked what it was then.
    a.resume(ids[1], "say again")
    assert a.wait_status(ids[1])["state"] == "finished" and a.result(ids[1]) == "again"
    assert texts(a.events(ids[1]), role="user") == ["say again"]
    a.delete("/sessions")
    assert queue(a) == []


def test_a_command_is_not_started_for_a_prompt_that_was_cancelled(make_aod):
    """Nor resumed; one that was asked for without a prompt is."""
    a = make_aod(args=["--max-sessions=1"])
    done = a.command("/bin/cat")
    a.wait_status(done)
    held(a)
    asked = a.create(command=["/bin/cat"], prompt="x")["session_id"]
    two = a.create(command=["/bin/cat"], prompt="one")["session_id"]
    plain = a.create(command=["/bin/cat"])["session_id"]
    again = a.post("/sessions/%s/resume" % done, {"prompt": "y"}).json["session"]["session_id"]
    for sid in (two, plain):
        assert a.post("/sessions/%s/resume" % sid, {"prompt": "two", "queue": True}).status == 200

    def cancel(sid):
        n = [p["id"] for p in a.get("/sessions/%s/prompts" % sid).json["prompts"] if p["state"] == "queued"][0]
        r = a.delete("/sessions/%s/prompts/%d" % (sid, n))
        assert r.status == 200, r
        return r.json["session"]["state"]

    assert [cancel(sid) for sid in (asked, two, plain, again)] == ["stopped", "queued", "queued", "stopped"]
    assert [q["session_id"] for q in queue(a)] == [two, plain]
    assert (a.session(asked)["result"], a.session(asked)["runs"]) == ("cancelled", 0) and a.session(done)["runs"] == 1
    a.kill9()
    a.start()
    open_gate(a)
    assert a.wait_status(two)["state"] == a.wait_status(plain)["state"] == "finished"
    assert outputs(a.events(two)) == ["two"] and outputs(a.events(plain)) == []
    assert states(a)[asked] == states(a)[done] == "stopped"


def test_all_deleted_while_they_wait(make_aod):
    a = make_aod(args=["--max-sessions=1"])
    held(a)
    for i in range(5):
        a.command("/bin/true")
    assert a.delete("/sessions").json["deleted"] == 6
    assert queue(a) == [] and states(a) == {}
    assert a.wait_status(a.command("/bin/true"))["state"] == "finished"


def test_a_resume_waits_like_a_start(make_aod):
    a = make_aod(args=["--max-sessions=1"])
    sid = a.demo("say one")
    a.wait_status(sid)
    held(a)
    s = a.resume(sid, "say two")
    assert (s["state"], s["result"], s["prompts_queued"], s["runs"]) == ("queued", None, 1, 1)
    # The earlier answer is not the one that is waited for.
    assert a.get("/sessions/%s/result" % sid).status == 400
    a.kill9()
    a.start()
    open_gate(a)
    a.wait_status(sid)
    assert a.result(sid) == "two" and a.session(sid)["runs"] == 2
    assert texts(a.events(sid), role="user") == ["say one", "say two"]


def test_what_cannot_be_started_is_refused_or_fails(make_aod):
    a = make_aod(args=["--max-sessions=1", "--max-queue=2"])
    a.blueprint("goes", "[Agent]\nAdapter=command\nExecStart=/bin/true\n")
    held(a)
    assert a.post("/sessions", {"prompt": "x", "agent_name": "not-there"}).status == 404
    assert a.post("/sessions", {"command": ["/bin/true"], "project_dir": "/not/there"}).status == 422
    assert queue(a) == []
    sid = a.create(agent_name="goes")["session_id"]
    last = a.command("/bin/true")
    r = a.post("/sessions", {"command": ["/bin/true"]})
    assert r.status == 503 and "--max-queue" in r.detail, r
    assert a.get("/sessions").json["sessions"][0]["session_id"] == last, "nothing is stored of one that is refused"
    os.unlink(os.path.join(a.root, "etc", "blueprints", "goes.blueprint"))
    open_gate(a)
    s = a.wait_status(sid)
    assert (s["state"], s["result"], s["runs"]) == ("failed", "resources", 0) and "goes" in s["error"], s
    assert a.events(sid)[-1]["event_type"] == "session_stop"
    assert a.wait_status(last)["state"] == "finished"


def test_timers_wait_too(make_aod):
    a = make_aod(args=["--max-sessions=1"])
    held(a)
    a.blueprint("ticks", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Timer]\nOnBootSec=1\nOnUnitActiveSec=200ms\n")
    first = wait_for("the timer's session", lambda: queue(a))
    assert [q["blueprint"] for q in first] == ["ticks"]
    t = a.get("/timers").json["timers"][0]
    assert t["session_id"] == first[0]["session_id"] and t["error"] is None
    # One at a time: while it waits, no second one is made.
    wait_for("a turn that was left out", lambda: a.get("/timers").json["timers"][0]["skipped"])
    assert len(queue(a)) == 1
    # What it is started for is known whatever becomes of aod until then; a resume later on is a person's.
    a.kill9()
    a.start()
    open_gate(a)
    sid = first[0]["session_id"]
    assert a.wait_status(sid)["state"] == "finished"
    assert [e.get("started_by") for e in a.events(sid) if e["event_type"] == "session_start"] == ["timer"]
    assert a.post("/sessions/%s/resume" % sid, {}).status == 200
    wait_for("the second run", lambda: a.session(sid)["runs"] == 2)
    assert [e.get("started_by") for e in a.events(sid) if e["event_type"] == "session_start"] == ["timer", None]


def test_memory_holds_starts_back(make_aod):
    a = make_aod(args=["--admit-memory=1%"])
    sid = a.command("/bin/true")
    s = a.session(sid)
    assert s["state"] == "queued" and s["queue_reason"].startswith("memory: "), s
    checks = {c["name"]: c for c in a.get("/doctor").json["checks"]}
    assert checks["memory"]["status"] == "warn" and "above 1% nothing is started" in checks["memory"]["detail"]
    # It is looked at again and again: nothing was started in the meantime.
    since = time.monotonic()
    wait_for("some looks", lambda: time.monotonic() - since > 1.3 and states(a)[sid] == "queued")
    a.args = ["--admit-memory=0"]
    a.restart()
    assert a.wait_status(sid)["state"] == "finished"


def test_pressure_holds_starts_back(make_aod):
    """What the kernel says of it is put in the way of its own file, for aod alone."""
    a = make_aod(start=False, args=["--admit-pressure=40%"])
    path = os.path.join(a.base, "pressure")

    def say(percent):
        """At once and in place, as the kernel does."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(fd, b"some avg10=%05.2f avg60=0.00 avg300=0.00 total=0\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=0\n" % percent, 0)
        os.close(fd)

    say(39.9)
    mounted = ["unshare", "-m" if os.geteuid() == 0 else "-Urm", "--propagation", "private", "sh", "-c",
               'mount --bind "$0" /proc/pressure/memory && exec "$@"', path]
    probe = subprocess.run([*mounted, "true"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if probe.returncode:
        pytest.skip("no file can be put in the place of /proc/pressure/memory: " + probe.stdout.strip()[:200])
    a.prefix = mounted
    a.start()
    assert a.wait_status(a.command("/bin/true"))["state"] == "finished"
    say(61.5)

    def one_waits():
        """What aod knows of it may be a moment old."""
        s = a.session(a.command("/bin/true"))
        return s["state"] == "queued" and s

    s = wait_for("a session to be queued", one_waits)
    assert s["queue_reason"] == "pressure: for 62% of the last ten seconds something waited for memory, nothing is started above 40%", s
    limits = {x["name"]: x for x in a.get("/queue").json["limits"]}
    assert round(limits["pressure %"]["used"]) in (61, 62) and limits["pressure %"]["limit"] == 40
    checks = {c["name"]: c for c in a.get("/doctor").json["checks"]}
    assert checks["pressure"]["status"] == "warn" and "above 40% nothing is started" in checks["pressure"]["detail"], checks["pressure"]
    # What runs goes on, and a restart of aod changes nothing.
    a.restart()
    assert a.session(s["session_id"])["queue_reason"].startswith("pressure: ")
    say(40)
    assert a.wait_status(s["session_id"])["state"] == "finished"
    assert len(notices(a, s["session_id"], "queued")) == len(notices(a, s["session_id"], "admitted")) == 1
    # 100%: it is not looked at.
    say(99)
    a.args = ["--admit-pressure=100%"]
    a.restart()
    assert a.wait_status(a.command("/bin/true"))["state"] == "finished"


def test_run_in_the_foreground_waits(make_aod):
    a = make_aod(args=["--max-sessions=1"])
    first = held(a)["session_id"]
    out = {}
    t = threading.Thread(target=lambda: out.update(r=a.aoctl("run", "later", "-a", "demo", "-p", "say done", timeout=WAIT)))
    t.start()
    wait_for("it in the queue", lambda: [q["session_name"] for q in queue(a)] == ["later"])
    open_gate(a)
    a.wait_status(first)
    t.join(WAIT)
    r = out["r"]
    assert r.returncode == 0 and r.stdout == "done\n", r
    assert "session later waits at position 1 of the queue: max-sessions" in r.stderr


def test_many_wait(make_aod):
    """A long queue is quick to join and to leave."""
    a = make_aod(args=["--max-sessions=1"])
    held(a)
    n = 1500
    ids = [a.command("/bin/true") for _ in range(n)]
    began = time.monotonic()
    assert a.session(ids[-1])["queue_position"] == n
    assert time.monotonic() - began < 5
    a.kill9()
    a.start()
    assert a.session(ids[-1])["queue_position"] == n
    for sid in ids[1::2]:
        assert a.post("/sessions/%s/stop" % sid).status == 200
    assert a.session(ids[-2])["queue_position"] == n // 2
    a.delete("/sessions")


def test_a_restart_that_is_due_waits(make_aod):
    a = make_aod(args=["--max-sessions=1"])
    a.blueprint("again", "[Agent]\nAdapter=command\n[Session]\nRestart=on-failure\nRestartSec=100ms\n[Sandbox]\nSandbox=none\n")
    flag = os.path.join(a.project, "tried")
    first = a.create(agent_name="again", command=["/bin/sh", "-c", "if [ -e %s ]; then echo well; else : > %s; exit 3; fi" % (flag, flag)])["session_id"]
    second = held(a)["session_id"]
    a.wait_state(second, "running")
    s = a.wait_state(first, "queued")
    assert (s["runs"], s["restarts"], s["next_start_at"], s["queue_position"]) == (1, 1, None, 1), s
    assert states(a)[second] == "running"
    a.kill9()
    a.start()
    assert states(a)[first] == "queued"
    open_gate(a)
    s = a.wait_status(first)
    assert (s["state"], s["runs"], a.result(first)) == ("finished", 2, "well"), s
