# SPDX-License-Identifier: MIT
"""What contains sessions: control groups and their limits, freezing, users of their own, credentials, quotas, and what is refused."""
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from aod import BUILD, DEMO, WAIT, alive, clean_env, kinds, outputs, pids, read_proc, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="limits and users of their own want root")

HUNDRED = "x = bytearray(100 << 20)"


def checks(aod):
    return {c["name"]: c for c in aod.get("/doctor").json["checks"]}


@pytest.fixture(scope="module")
def groups(aod):
    """An aod whose host has limits."""
    c = checks(aod)["cgroup"]
    if c["status"] != "ok":
        pytest.skip("no control groups here: " + c["detail"])
    return aod


def group_of(pid):
    """{controllers: path} of /proc/PID/cgroup."""
    return {c: p for _, c, p in (line.split(":", 2) for line in read_proc(pid, "cgroup").decode().splitlines())}


def members(sid):
    """The processes in the session's group, whatever they call themselves."""
    out = []
    for pid in pids():
        if any("/agents/" in p and p.endswith("/" + sid) for p in group_of(pid).values()) and alive(pid):
            out.append(pid)
    return out


def group_dirs(sid):
    return [d for d, _, _ in os.walk("/sys/fs/cgroup") if d.endswith("/" + sid)]


def said(aod, sid, text, n=1):
    """Wait for a line of output."""
    return aod.wait_event(sid, lambda e: e["event_type"] == "output" and re.search(text, e.get("text") or ""))


def command(aod, name, more, script):
    aod.blueprint(name, "[Agent]\nAdapter=command\n%s\n" % more)
    return aod.create(agent_name=name, command=["/bin/sh", "-c", script])["session_id"]


def refused(aod, name, more, *says):
    aod.blueprint(name, more)
    r = aod.post("/sessions", {"agent_name": name, "prompt": "x"})
    assert r.status == 422, r
    for text in says:
        assert text in r.detail, r
    return r.detail


# ---- groups and their limits ------------------------------------------------------------------------------------


def test_each_session_has_a_group(groups):
    a = groups.sh("sleep 1000 & setsid sleep 1000 & echo up; wait")
    b = groups.demo("say up\nhang")
    said(groups, a, "up")
    groups.wait_event(b, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    assert len(members(a)) == 3 and members(b) and not set(members(a)) & set(members(b))
    # One that is just becoming another program has no environment to be read for a moment.
    wait_for("the same by their environment", lambda: set(groups.session_processes(a)) == set(members(a)))
    for shim in groups.shims():
        assert not any("/agents/" in p for p in group_of(shim).values()), "a shim is where its agent's limits hold"
    assert not any("/agents/" in p for p in group_of(groups.pid).values())
    for sid in (a, b):
        groups.post("/sessions/%s/stop" % sid)
        groups.wait_status(sid)
        wait_for("the group to go", lambda: not group_dirs(sid))


def test_out_of_memory_is_the_result(groups):
    sid = command(groups, "small", "[Resources]\nMemoryMax=48M\nMemorySwapMax=0\n", "echo up; exec python3 -c '%s'" % HUNDRED)
    s = groups.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "oom-kill"), s
    oom = [e for e in groups.events(sid) if e["event_type"] == "oom"]
    assert len(oom) == 1 and oom[0]["kills"] >= 1
    assert "memory" in s["error"] and re.search(r"python3\[\d+\]", oom[0]["process"]), oom
    assert oom[0]["process"] in s["error"]


def test_out_of_memory_of_a_child(groups):
    """stop ends the session, and its shell is asked first; continue leaves it to the session."""
    script = "trap 'echo asked; exit 3' TERM; echo up; python3 -c '%s'; echo went on; while :; do sleep 0.05; done" % HUNDRED
    sid = command(groups, "small-stop", "[Resources]\nMemoryMax=48M\nMemorySwapMax=0\nOOMPolicy=stop\n", script)
    s = groups.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "oom-kill") and "asked" in outputs(groups.events(sid)), s
    sid = command(groups, "small-continue", "[Resources]\nMemoryMax=48M\nMemorySwapMax=0\nOOMPolicy=continue\n",
                  "echo up; python3 -c '%s'; echo went on" % HUNDRED)
    s = groups.wait_status(sid)
    assert (s["state"], s["result"]) == ("finished", "success") and "went on" in outputs(groups.events(sid))
    assert "oom" in kinds(groups.events(sid))


@pytest.mark.parametrize("older", [False, True])
def test_out_of_memory_is_told_once(make_aod, older):
    """Also across a restart of aod, which may have been one that kept this in the events only; and its end is known for what it was."""
    a = make_aod(args=["--on-stop", "leave"])
    if checks(a)["cgroup"]["status"] != "ok":
        pytest.skip("no control groups here")
    flag = os.path.join(a.base, "go")
    sid = command(a, "small", "[Resources]\nMemoryMax=48M\nMemorySwapMax=0\nOOMPolicy=continue\n",
                  "echo up; python3 -c '%s'; echo first; while [ ! -e %s ]; do sleep 0.05; done; exec python3 -c '%s'" % (HUNDRED, flag, HUNDRED))
    a.wait_event(sid, lambda e: e["event_type"] == "oom")
    a.kill9()
    if older:
        with contextlib.closing(sqlite3.connect(a.db_path)) as db, db:
            assert db.execute("UPDATE run SET watch = json_remove(watch, '$.oom_kills', '$.task_hits') WHERE watch LIKE '%\"oom_kills\":1%'").rowcount == 1
    a.start()
    with open(flag, "w"):
        pass
    s = a.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "oom-kill") and "memory" in s["error"], s
    assert [e["kills"] for e in a.events(sid) if e["event_type"] == "oom"] == [1, 1]


def test_tasks_max(groups):
    sid = command(groups, "few", "[Resources]\nTasksMax=8\n",
                  "i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done 2>/dev/null; echo never")
    s = groups.wait_status(sid)
    assert s["result"] == "exit-code"
    ev = groups.events(sid)
    assert [e for e in ev if e["event_type"] == "limit" and e["subtype"] == "tasks-max" and e["hits"] > 0], kinds(ev)
    assert not members(sid)


def test_cpu_quota(groups):
    """Of a processor's time that it takes in any case, a fifth at a time: a machine that is busy with other things only makes it longer."""
    script = "import time; t = time.monotonic(); any(time.process_time() > 0.4 for _ in iter(int, 1)); print(time.monotonic() - t)"
    sid = command(groups, "slow", "[Resources]\nCPUQuota=20%\n", "exec python3 -c '%s'" % script)
    groups.wait_status(sid)
    took, used = float(groups.result(sid)), groups.events(sid)[-1]["resources"]["cpu_us"]
    assert used > 400000 and took > 1.4, (used, took)


def test_figures(groups):
    sid = groups.sh("head -c 30000000 /dev/zero | tail -c 30000000 >/dev/null; echo up; read x < /dev/zero; sleep 1000")
    said(groups, sid, "up")
    r = groups.get("/sessions/%s/usage" % sid)
    assert r.status == 200, r
    u = r.json["usage"]
    assert r.json["session_id"] == sid and u["memory_bytes"] > 0 and u["memory_peak_bytes"] >= u["memory_bytes"] and u["tasks"] >= 1 and u["cpu_us"] > 0
    groups.post("/sessions/%s/stop" % sid, {"timeout_ms": 0})
    groups.wait_status(sid)
    assert groups.events(sid)[-1]["resources"]["memory_peak_bytes"] >= u["memory_peak_bytes"]
    assert groups.get("/sessions/%s/usage" % sid).status == 409
    assert groups.get("/sessions/nobody/usage").status == 404


def test_set_property(groups):
    sid = groups.sh("echo up; while [ ! -e go ]; do sleep 0.05; done; exec python3 -c '%s'" % HUNDRED)
    said(groups, sid, "up")
    url = "/sessions/%s/properties" % sid
    for bad, says in (("MemoryMax=lots", "MemoryMax"), ("Model=x", "Model="), ("MemoryMax", "KEY=VALUE"), ("MemoryMax=", "KEY=VALUE"), ("Nope=1", "Nope"),
                      ("LimitNOFILE=5", "LimitNOFILE="), ("TasksMax=5\n[Agent]\nModel=x", "KEY=VALUE")):
        r = groups.post(url, {"properties": ["TasksMax=99", bad]})
        assert r.status == 422 and says in r.detail, (bad, r)
        assert not re.match(r"\d", r.detail), "it names a line of a text that the client has not seen: %s" % r.detail
    r = groups.post(url, {"properties": ["AllowedCPUs=1000"]})
    assert r.status == 422 and "AllowedCPUs=" in r.detail, r
    assert groups.post(url, {"properties": []}).status == 422
    r = groups.post(url, {"properties": ["MemoryMax=40M", "MemorySwapMax=0", "TasksMax=50"]})
    assert r.status == 200 and "until this run ends" in r.json["message"], r
    note = [e for e in groups.events(sid) if e["event_type"] == "notice"]
    assert note[0]["subtype"] == "set-property" and note[0]["text"] == "MemoryMax=40M MemorySwapMax=0 TasksMax=50"
    with open(os.path.join(groups.agent_dir(sid), "work", "go"), "w"):
        pass
    assert groups.wait_status(sid)["result"] == "oom-kill"
    assert groups.post(url, {"properties": ["TasksMax=5"]}).status == 409


def test_slices(groups):
    d = os.path.join(groups.root, "etc", "blueprints")
    os.makedirs(d, exist_ok=True)

    def write(text):
        with open(d + "/crowd-tests.slice", "w", encoding="utf-8") as f:
            f.write(text)

    write("[Slice]\nDescription=Many small ones\n[Resources]\nTasksMax=12\n")
    one = command(groups, "in-slice", "[Resources]\nSlice=crowd-tests\n", "for i in 1 2 3 4 5 6; do sleep 1000 & done; echo up; wait")
    said(groups, one, "up")
    assert any("/crowd.slice/crowd-tests.slice/" in p for p in group_of(members(one)[0]).values())
    two = command(groups, "in-slice", "[Resources]\nSlice=crowd-tests.slice\n",
                  "for i in 1 2 3 4 5 6; do sleep 1000 & done 2>/dev/null; echo all; sleep 1000")
    s = groups.wait_status(two)
    assert s["result"] == "exit-code", "together they are over the slice's limit"
    listed = {s["name"]: s for s in groups.get("/slices").json["slices"]}
    assert listed["crowd-tests.slice"]["sessions"] == 1 and listed["crowd-tests.slice"]["limits"] == {"TasksMax": "12"}
    assert listed["crowd-tests.slice"]["description"] == "Many small ones" and listed["crowd-tests.slice"]["error"] is None
    # The file is looked at when it changes.
    write("[Slice]\n[Resources]\nTasksMax=infinity\n")
    wait_for("the limit to go", lambda: all(
        open(p).read().strip() == "max" for p in [g + "/pids.max" for g, _, f in os.walk("/sys/fs/cgroup")
                                                 if g.endswith("/crowd.slice/crowd-tests.slice") and "pids.max" in f]))
    # One that is wrong keeps its sessions from starting.
    write("[Slice]\n[Resources]\nTasksMax=many\n")
    r = groups.post("/sessions", {"agent_name": "in-slice", "command": ["/bin/true"]})
    assert r.status == 200
    s = groups.wait_status(r.json["session"]["session_id"])
    assert s["result"] == "resources" and "crowd-tests.slice:3" in s["error"], s
    write("[Slice]\n[Agent]\nModel=x\n")
    assert "Model= is no key of a slice" in {s["name"]: s for s in groups.get("/slices").json["slices"]}["crowd-tests.slice"]["error"]
    os.unlink(d + "/crowd-tests.slice")
    groups.post("/sessions/%s/stop" % one, {"timeout_ms": 0})
    groups.wait_status(one)


def test_no_group_is_left(make_aod):
    """A private aod that ends takes its groups and slices with it."""
    a = make_aod()
    if checks(a)["cgroup"]["status"] != "ok":
        pytest.skip("no control groups here")
    sid = command(a, "in-slice", "[Resources]\nSlice=left-over\n", "echo up; sleep 1000")
    said(a, sid, "up")
    tops = {g.split("/agents/")[0] for g in group_dirs(sid)}
    assert tops
    a.stop()
    assert not [t for t in tops if os.path.exists(t)]


# ---- freezing ---------------------------------------------------------------------------------------------------


def counter(aod, **body):
    sid = aod.sh("i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done", **body)
    said(aod, sid, "3")
    return sid


def count(aod, sid):
    return int(outputs(aod.events(sid))[-1])


def frozen_count(aod, sid):
    """What it counted when it stood still; what its shim still had is read meanwhile."""
    last = [-1, time.monotonic()]

    def still():
        n = count(aod, sid)
        if n != last[0]:
            last[:] = [n, time.monotonic()]
        return time.monotonic() - last[1] > 1

    wait_for("the counter to stand still", still)
    return last[0]


def test_freeze_and_thaw(groups):
    sid = counter(groups)
    r = groups.post("/sessions/%s/freeze" % sid)
    assert r.status == 200 and r.json["session"]["state"] == "frozen" and r.json["session"]["status"] == "running", r
    n = frozen_count(groups, sid)
    assert groups.post("/sessions/%s/freeze" % sid).status == 200
    assert groups.post("/sessions/%s/resume" % sid, {"prompt": "x"}).status == 409
    r = groups.post("/sessions/%s/thaw" % sid)
    assert r.status == 200 and r.json["session"]["state"] == "running"
    wait_for("it to go on", lambda: count(groups, sid) > n + 3)
    ev = kinds(groups.events(sid))
    assert [k for k in ev if k in ("freeze", "thaw")] == ["freeze", "thaw"]
    groups.post("/sessions/%s/stop" % sid, {"timeout_ms": 0})
    groups.wait_status(sid)
    for verb in ("freeze", "thaw"):
        assert groups.post("/sessions/%s/%s" % (sid, verb)).status == 409
        assert groups.post("/sessions/nobody/%s" % verb).status == 404


@pytest.mark.parametrize("timeout_ms", [0, 10000 * WAIT])
def test_stop_of_a_frozen_session(groups, timeout_ms):
    sid = groups.sh("trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    said(groups, sid, "up")
    assert groups.post("/sessions/%s/freeze" % sid).status == 200
    groups.post("/sessions/%s/stop" % sid, {"timeout_ms": timeout_ms})
    assert groups.wait_status(sid)["state"] == "stopped"
    assert ("asked" in outputs(groups.events(sid))) == (timeout_ms > 0)
    groups.assert_no_process_left(sid)


def test_frozen_across_a_restart(make_aod):
    a = make_aod(args=["--on-stop", "leave"])
    if checks(a)["cgroup"]["status"] != "ok":
        pytest.skip("no control groups here")
    sid, other = counter(a), counter(a)
    a.post("/sessions/%s/freeze" % sid)
    n = frozen_count(a, sid)
    a.kill9()
    a.start()
    assert a.session(sid)["state"] == "frozen" and a.session(other)["state"] == "running"
    m = count(a, other)
    wait_for("the other to go on", lambda: count(a, other) > m + 3)
    assert frozen_count(a, sid) == n
    a.post("/sessions/%s/thaw" % sid)
    wait_for("it to go on", lambda: count(a, sid) > n + 3)
    for s in (sid, other):
        a.post("/sessions/%s/stop" % s, {"timeout_ms": 0})
        a.wait_status(s)


def test_no_time_passes_while_frozen(groups):
    """ResultGraceSec= is over long before it is thawed, and has not begun to count."""
    groups.blueprint("grace-frozen", "[Agent]\nAdapter=claude\nExecStart=/bin/sh -c '%s \"$@\"; sleep 1.5; echo late >&2; exec sleep 1000' sh\n"
                     "[Session]\nResultGraceSec=3s\nTimeoutStopSec=300ms\n[Sandbox]\nSandbox=none\nPrivateTmp=no\n" % DEMO)
    sid = groups.create(agent_name="grace-frozen", prompt="say the answer")["session_id"]
    groups.wait_event(sid, lambda e: e["event_type"] == "result")
    groups.post("/sessions/%s/freeze" % sid)
    time.sleep(3.5)
    assert groups.session(sid)["state"] == "frozen"
    groups.post("/sessions/%s/thaw" % sid)
    s = groups.wait_status(sid)
    assert s["state"] == "finished" and "late" in [e.get("text") for e in groups.events(sid)]


# ---- nothing is left --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sandbox", ["none", "strict"])
def test_stop_of_a_great_tree(groups, sandbox):
    groups.blueprint("tree-" + sandbox, "[Agent]\nAdapter=command\n[Session]\nTimeoutStopSec=1h\n[Resources]\nTasksMax=2000\n[Sandbox]\nSandbox=%s\n" % sandbox)
    script = ("import os, time\nfor i in range(250):\n    if os.fork() == 0:\n        os.setsid()\n        os.fork()\n        while True: time.sleep(1000)\n"
              "print('up', flush=True)\nwhile True: time.sleep(1000)\n")
    sid = groups.create(agent_name="tree-" + sandbox, command=["/usr/bin/python3", "-c", script])["session_id"]
    said(groups, sid, "up")
    wait_for("the tree", lambda: len(members(sid)) >= 501)
    groups.post("/sessions/%s/stop" % sid, {"timeout_ms": 0})
    assert groups.wait_status(sid)["state"] == "stopped"
    assert not members(sid)


def test_stop_of_a_fork_bomb(groups):
    groups.blueprint("bomb", "[Agent]\nAdapter=command\n[Session]\nTimeoutStopSec=1h\n[Resources]\nTasksMax=300\n")
    script = ("import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\n"
              "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n")
    sid = groups.create(agent_name="bomb", command=["/usr/bin/python3", "-c", script])["session_id"]
    said(groups, sid, "up")
    wait_for("the bomb", lambda: len(members(sid)) > 100)
    groups.post("/sessions/%s/stop" % sid, {"timeout_ms": 500})
    groups.wait_status(sid)
    assert not members(sid)


@pytest.mark.parametrize("aod_is_there", [True, False])
def test_a_lost_shim_leaves_nothing(make_aod, aod_is_there):
    """Also what has another environment, session and parent."""
    a = make_aod()
    if checks(a)["cgroup"]["status"] != "ok":
        pytest.skip("no control groups here")
    sid = a.sh("(cd /; exec env -i setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & wait' </dev/null >/dev/null 2>&1) & echo up; sleep 1000")
    said(a, sid, "up")
    wait_for("all of them", lambda: len(members(sid)) >= 4)
    shim = a.shims()
    assert len(shim) == 1
    if not aod_is_there:
        a.kill9()
    os.kill(shim[0], signal.SIGKILL)
    if not aod_is_there:
        a.start()
    assert a.wait_status(sid)["result"] == "shim-lost"
    wait_for("them to go", lambda: not members(sid))
    wait_for("the group to go", lambda: not group_dirs(sid))


def test_groups_of_nobody_are_swept(make_aod):
    a = make_aod(args=["--on-stop", "leave"])
    if checks(a)["cgroup"]["status"] != "ok":
        pytest.skip("no control groups here")
    sid = a.sh("echo up; sleep 1000")
    said(a, sid, "up")
    here = [os.path.dirname(d) for d in group_dirs(sid)]
    for d in here:
        os.mkdir(d + "/stray")
    a.kill9()
    a.start()
    wait_for("the sweep", lambda: not any(os.path.exists(d + "/stray") for d in here))
    assert members(sid), "the group of a live session stays"
    a.post("/sessions/%s/stop" % sid, {"timeout_ms": 0})
    a.wait_status(sid)


# ---- users ------------------------------------------------------------------------------------------------------


def demo_text(aod, script, **body):
    sid = aod.demo(script, **body)
    s = aod.wait_status(sid)
    assert s["state"] == "finished", (s, aod.events(sid))
    return sid, [e for e in aod.events(sid) if e["event_type"] == "post_tool"]


def host_ids(sid):
    return {int(read_proc(p, "status").decode().split("Uid:")[1].split()[1]) for p in members(sid)}


def test_a_user_of_its_own(groups, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    os.chown(project, 1234, 1234)
    other = groups.demo("bash echo secret > secret; chmod 600 secret\nsay up\nhang")
    groups.wait_event(other, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    sid = groups.demo("bash id -un; touch made; stat -c %%U made; ls -a %s; cat %s/work/secret\nsay up\nhang"
                      % (os.path.dirname(groups.session_dir(other)), groups.agent_dir(other)), project_dir=str(project))
    groups.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    out = [e for e in groups.events(sid) if e["event_type"] == "post_tool"][0]
    text = json.dumps(out)
    assert "aod-agent\\naod-agent" in text and "secret: No such file" in text and other not in text.split("secret:")[0].split(groups.root)[0], text
    one, two = host_ids(sid), host_ids(other)
    assert len(one) == len(two) == 1 and one != two and all(61184 <= u <= 65519 for u in one | two)
    assert (os.stat(project / "made").st_uid, os.stat(project / "made").st_gid) == (1234, 1234)
    assert os.stat(os.path.join(groups.agent_dir(other), "work", "secret")).st_uid == 0
    for s in (sid, other):
        groups.post("/sessions/%s/stop" % s, {"timeout_ms": 0})
        groups.wait_status(s)


def test_users_are_known_after_a_restart(make_aod):
    a = make_aod(args=["--on-stop", "leave"])
    first = a.demo("say up\nhang")
    a.wait_event(first, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    used = {int(read_proc(p, "status").decode().split("Uid:")[1].split()[1]) for p in a.session_processes(first)} - {0}
    a.kill9()
    a.start()
    more = [a.demo("say up\nhang") for _ in range(5)]
    for sid in more:
        a.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    others = [{int(read_proc(p, "status").decode().split("Uid:")[1].split()[1]) for p in a.session_processes(sid)} - {0} for sid in more]
    assert len(set.union(used, *others)) == 6
    a.delete("/sessions")


def test_user_and_group(groups):
    sid = command(groups, "as-nobody", "[Sandbox]\nUser=nobody\n", "id -u; id -g; echo $HOME; pwd; touch here && echo wrote; touch $TMPDIR/x && echo wrote")
    s = groups.wait_status(sid)
    out = outputs(groups.events(sid))
    assert s["state"] == "finished", (s, out)
    assert out[0] == "65534" and out[-2:] == ["wrote", "wrote"], out
    assert "no such user" in refused(groups, "no-such", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Sandbox]\nUser=no-such-user\n", "User=no-such-user")


# ---- credentials, quota, network --------------------------------------------------------------------------------


def test_credentials(groups, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("hush-hush-42")
    more = "[Sandbox]\nLoadCredential=token:%s\nSetCredential=plain:said-in-the-open\nSetCredential=token:fallback\n" % secret
    sid = command(groups, "with-credentials", more,
                  "rev $CREDENTIALS_DIRECTORY/token; echo; cat $CREDENTIALS_DIRECTORY/plain; echo; touch $CREDENTIALS_DIRECTORY/x 2>/dev/null || echo read-only;"
                  "env | grep -c hu[s]h; echo up; sleep 1000")
    said(groups, sid, "^up$")
    out = outputs(groups.events(sid))
    assert out == ["24-hsuh-hsuh", "said-in-the-open", "read-only", "0", "up"], out
    plan = groups.get("/sessions/%s/plan" % sid).text
    assert "hush" not in plan and "said-in-the-open" not in plan and "fallback" not in plan
    for pid in groups.shims() + members(sid) + [groups.pid]:
        for name in ("cmdline", "environ"):
            assert b"hush-hush" not in read_proc(pid, name)
    for d, _, names in os.walk(groups.root):
        for name in names:
            path = os.path.join(d, name)
            # Files of sessions that ended a moment ago go meanwhile.
            if os.path.isfile(path) and not path.endswith(".blueprint"):
                with contextlib.suppress(FileNotFoundError), open(path, "rb") as f:
                    assert b"hush-hush" not in f.read(), path
    groups.post("/sessions/%s/stop" % sid, {"timeout_ms": 0})
    groups.wait_status(sid)
    os.unlink(secret)
    s = groups.wait_status(command(groups, "with-credentials", more, "cat $CREDENTIALS_DIRECTORY/token"))
    assert groups.result(s["session_id"]) == "fallback"


@pytest.mark.parametrize("what", ["missing", "directory", "large", "fifo"])
def test_credentials_that_cannot_be(groups, tmp_path, what):
    path = tmp_path / "c"
    if what == "directory":
        path.mkdir()
    elif what == "large":
        path.write_bytes(b"x" * ((1 << 20) + 1))
    elif what == "fifo":
        os.mkfifo(path)
    refused(groups, "bad-credential", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Sandbox]\nLoadCredential=c:%s\n" % path, "LoadCredential=c:" + str(path))


def test_workspace_quota(groups):
    sid = command(groups, "messy", "[Sandbox]\nWorkspaceQuota=10M\n", "head -c 30000000 /dev/urandom > big; echo up; sleep 1000")
    s = groups.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "resources") and "WorkspaceQuota=" in s["error"], s
    limit = [e for e in groups.events(sid) if e["event_type"] == "limit"]
    assert len(limit) == 1 and limit[0]["subtype"] == "workspace-quota" and limit[0]["bytes"] > 10 << 20


def test_private_network(groups):
    for turn in range(12):  # the pool's, and those that are made when it is empty
        sid = command(groups, "alone", "[Sandbox]\nPrivateNetwork=yes\n", "cat /proc/net/dev; readlink /proc/self/ns/net; python3 -c '"
                      "import socket; s = socket.socket(); s.bind((\"127.0.0.1\", 0)); s.listen(); socket.create_connection(s.getsockname()); print(\"lo\")'")
        assert groups.wait_status(sid)["state"] == "finished"
        out = outputs(groups.events(sid))
        assert out[-1] == "lo" and len(out) == 5 and out[2].strip().startswith("lo:"), out
        assert out[-2] != os.readlink("/proc/self/ns/net")


# ---- what cannot be had -----------------------------------------------------------------------------------------


def test_without_control_groups(make_aod):
    a = make_aod(args=["--cgroup", "none"])
    c = checks(a)["cgroup"]
    assert c["status"] == "warn" and c["mend"]
    refused(a, "wants-memory", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Resources]\nMemoryMax=1G\n", "MemoryMax=", "wants-memory.blueprint:5")
    refused(a, "wants-slice", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Resources]\nSlice=x\n", "Slice=")
    # What only the profile limits is said.
    sid = a.demo("say hello")
    a.wait_status(sid)
    assert a.result(sid) == "hello"
    note = [e for e in a.events(sid) if e["event_type"] == "notice"]
    assert note and note[0]["subtype"] == "not-in-effect" and {"MemoryMax", "TasksMax"} <= set(note[0]["keys"]), note
    sid = a.sh("echo up; sleep 1000")
    said(a, sid, "up")
    assert a.post("/sessions/%s/freeze" % sid).status == 409
    assert a.post("/sessions/%s/properties" % sid, {"properties": ["TasksMax=5"]}).status == 409
    assert a.get("/sessions/%s/usage" % sid).status == 409
    assert "notice" not in kinds(a.events(sid))
    a.post("/sessions/%s/stop" % sid)
    a.wait_status(sid)


# A user namespace in which nobody may make another, and in it an ordinary user.
WITHOUT_NAMESPACES = """
import ctypes, os, sys
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    ctypes.CDLL(None).unshare(0x10000000)
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os.setresgid(65534, 65534, 65534)
    with open("/proc/sys/user/max_user_namespaces", "w") as f:
        f.write("0")
    os.setgroups([])
    os.setresuid(65534, 65534, 65534)
    os.execv(sys.argv[1], sys.argv[1:])
os.read(ready[0], 1)
for name in ("uid_map", "gid_map"):
    with open("/proc/%d/%s" % (child, name), "w") as f:
        f.write("0 0 65536")
os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_an_ordinary_user_without_namespaces(make_aod):
    """A host that gives nothing: strict is refused with the mend, none works."""
    a = make_aod(start=False, prefix=[sys.executable, "-c", WITHOUT_NAMESPACES])
    os.chmod(a.base, 0o777)
    a.start()
    names = checks(a)
    assert names["namespaces"]["status"] == "fail" and names["namespaces"]["mend"] and names["user"]["status"] == "warn", names
    refused(a, "agent", "[Agent]\nExecStart=%s\n" % DEMO, "Sandbox=strict", "namespace")
    a.blueprint("workspace", "[Agent]\nExecStart=%s\n[Sandbox]\nSandbox=workspace\n" % DEMO)
    r = a.post("/sessions", {"agent_name": "workspace", "prompt": "bash touch here; touch /tmp/not-here-%d" % os.getpid()})
    if names["landlock"]["status"] == "ok":
        assert r.status == 200, r
        a.wait_status(r.json["session"]["session_id"])
        tool = [e for e in a.events(r.json["session"]["session_id"]) if e["event_type"] == "post_tool"][0]
        assert "not-here" in tool["error"] and "/here" not in tool["error"], tool
    else:
        assert r.status == 422, r
    refused(a, "home", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Sandbox]\nProtectHome=yes\n", "ProtectHome=")
    a.blueprint("plain", "[Agent]\nExecStart=%s\n[Sandbox]\nSandbox=none\nPrivateTmp=no\n" % DEMO)
    s = a.create(agent_name="plain", prompt="say hello")
    assert a.wait_status(s["session_id"])["state"] == "finished"


def test_an_ordinary_user(make_aod):
    """strict by user namespaces: what it cannot have is told, the rest holds."""
    a = make_aod(start=False, prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    os.chown(a.base, 65534, 65534)
    a.env["HOME"] = a.base
    a.start()
    c = checks(a)
    if c["namespaces"]["status"] != "ok" or c["proc"]["status"] != "ok":
        pytest.skip("this host makes no namespaces for ordinary users: " + c["namespaces"]["detail"])
    assert "not root" in refused(a, "other", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Sandbox]\nUser=root\n", "User=")
    refused(a, "eager", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Sandbox]\nNice=-5\n", "Nice=-5", "run aod as root")
    refused(a, "safe", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Resources]\nOOMScoreAdjust=-900\n", "OOMScoreAdjust=-900", "run aod as root")
    other = a.sh("echo up; echo mine > secret; sleep 1000")
    said(a, other, "up")
    sid, tools = demo_text(a, "bash touch ok; id -u; ls /proc | grep -c '^[0-9]'; cat %s/work/secret; touch /usr/x; ls %s" % (a.agent_dir(other), a.base))
    text = tools[0]["error"] or tools[0]["tool_output"]
    assert "65534\n" in text and "secret: No such file" in text and "/usr/x" in text and "mine" not in text, text
    assert int(text.split("65534\n")[1].split()[0]) < 10, "other processes are seen"
    assert os.path.exists(os.path.join(a.agent_dir(sid), "work", "ok"))
    a.post("/sessions/%s/stop" % other, {"timeout_ms": 0})
    a.wait_status(other)


# ---- the command line -------------------------------------------------------------------------------------------


def test_commands(groups):
    def ctl(*args):
        r = subprocess.run([os.path.join(BUILD, "aoctl"), "--root", groups.root, *args], capture_output=True, text=True, timeout=60, env=clean_env(), check=False)
        return r.returncode, r.stdout, r.stderr

    sid = groups.sh("echo up; while :; do sleep 0.05; done", session_name="by-hand")
    said(groups, sid, "up")
    assert ctl("freeze", "by-hand") == (0, "", "aoctl: by-hand frozen\n")
    assert groups.session(sid)["state"] == "frozen"
    code, out, _ = ctl("list", "--live")
    assert code == 0 and re.search(r"^by-hand +frozen ", out, re.M), out
    assert ctl("thaw", "by-hand") == (0, "", "aoctl: by-hand thawed\n")
    code, out, _ = ctl("usage", "by-hand")
    lines = out.splitlines()
    assert code == 0 and len(lines) == 2 and lines[0].split()[:3] == ["NAME", "SLICE", "MEMORY"] and lines[1].startswith("by-hand"), out
    code, out, _ = ctl("top", "--json")
    assert code == 0 and "by-hand" in [o["session_name"] for o in json.loads(out)]
    code, _, err = ctl("set-property", "by-hand", "TasksMax=77", "CPUWeight=50")
    assert code == 0 and "until its run ends" in err
    assert any(open(d + "/pids.max").read().strip() == "77" for d in group_dirs(sid) if os.path.exists(d + "/pids.max"))
    code, _, err = ctl("set-property", "by-hand", "TasksMax=none of it")
    assert code == 1 and "TasksMax" in err
    assert ctl("set-property", "by-hand")[0] == 2
    for args in (("freeze", "nobody"), ("usage", "nobody"), ("set-property", "nobody", "TasksMax=1")):
        code, _, err = ctl(*args)
        assert code == 1 and "nobody: Session not found" in err
    assert ctl("slices")[0] == 0
    code, out, _ = ctl("doctor")
    assert code == 0 and re.search(r"cgroup +cgroup v", out)
    groups.post("/sessions/%s/stop" % sid, {"timeout_ms": 0})
    groups.wait_status(sid)
    code, _, err = ctl("usage", "by-hand")
    assert code == 1 and "not running" in err


def test_programs_in_hidden_places(make_aod):
    """A script that a package manager put below a home: its interpreter and what it is installed with are shown, and nothing beside them."""
    a = make_aod(start=False)
    home = os.path.join(a.base, "home")
    package = home + "/prefix/lib/node_modules/tool"
    for d in (package, home + "/prefix/bin", home + "/interpreters", home + "/private"):
        os.makedirs(d)

    def script(path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o755)

    script(home + "/interpreters/interpret", "#!/bin/sh\nexec sh \"$@\"\n")
    script(package + "/cli.sh", "#!/usr/bin/env interpret\n. \"$(dirname \"$(readlink -f \"$0\")\")/part.sh\"\nexec %s \"$@\"\n" % DEMO)
    script(package + "/part.sh", "echo part-was-read >&2\n")
    script(home + "/private/key", "secret")
    os.symlink("../lib/node_modules/tool/cli.sh", home + "/prefix/bin/tool")
    a.env["PATH"] = "%s/interpreters:%s/prefix/bin:%s" % (home, home, os.environ["PATH"])
    a.start()
    # The demo agent's own directory is no part of it.
    a.blueprint("tool", "[Agent]\nExecStart=tool\n[Sandbox]\nBindReadOnlyPaths=%s\n" % DEMO)
    sid = a.create(agent_name="tool", prompt="bash cat %s/private/key; ls %s" % (home, home))["session_id"]
    s = a.wait_status(sid)
    ev = a.events(sid)
    assert s["state"] == "finished" and "part-was-read" in outputs(ev), (s, outputs(ev))
    tool = [e for e in ev if e["event_type"] == "post_tool"][0]
    text = tool["error"] or tool["tool_output"]
    assert "No such file" in text and "secret" not in text and "prefix" in text and "private\n" not in text, text


def test_filters_are_there_before_the_first_session(make_aod):
    """What takes milliseconds to make is made when nobody waits: the first strict session finds its filter."""
    a = make_aod()

    def filters():
        found = 0
        for n in os.listdir("/proc/%d/fd" % a.pid):
            with contextlib.suppress(FileNotFoundError):
                found += "memfd:aod-seccomp" in os.readlink("/proc/%d/fd/%s" % (a.pid, n))
        return found

    wait_for("a filter for each profile", lambda: filters() == 3)
    for profile in ("strict", "workspace", "none"):
        a.blueprint("warm-" + profile, "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Sandbox]\nSandbox=%s\n" % profile)
        r = a.post("/sessions", {"agent_name": "warm-" + profile, "prompt": "x"})
        # Not every host has all that a profile takes.
        if r.status == 200:
            a.wait_status(r.json["session"]["session_id"])
    assert filters() == 3
