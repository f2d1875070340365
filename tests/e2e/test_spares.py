# SPDX-License-Identifier: MIT
"""Shims that are born before their runs: what takes them, what makes them useless, and that none is left."""
import os
import shutil
import signal
import subprocess
import tempfile
import uuid

import pytest

from aod import Aod, alive, children_of, outputs, read_proc, stat_of, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what is made ahead wants root")

EACH = 2


def spares(aod):
    return [p for p in children_of(aod.pid) if (stat_of(p) or ("",))[0] == "aod-spare"]


def ready(aod, n=EACH):
    return wait_for("%d spares" % n, lambda: len(spares(aod)) == n and spares(aod))


def run(aod, script="true", agent="boxed"):
    sid = aod.create(agent_name=agent, command=["/bin/sh", "-c", script])["session_id"]
    aod.wait_status(sid)
    return sid


def out(aod, sid):
    return "\n".join(outputs(aod.events(sid)))


def shim_of(aod, sid):
    return int(aod.sql("SELECT shim_pid FROM run JOIN session ON session.n = run.session WHERE session.id = ?", sid)[0][0])


@pytest.fixture
def shown():
    """A directory that is no part of a session's own /tmp."""
    path = tempfile.mkdtemp(prefix="aod-e2e-", dir="/var/lib")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def warm(request, shown):
    """An aod that has started the same thing twice, and so has spares for a third."""
    more = getattr(request, "param", "")
    with Aod() as a:
        a.blueprint("boxed", "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=strict\n" + more.replace("SHOWN", shown))
        run(a)
        assert spares(a) == []  # once is no habit
        run(a)
        ready(a)
        yield a


def test_third_start_has_one(warm):
    before = spares(warm)
    sid = run(warm, "id -un; echo $AOD_SESSION_ID; echo $$; ls /home")
    assert shim_of(warm, sid) in before
    assert out(warm, sid).split() == ["aod-agent", sid, "2"]
    ready(warm)


def test_another_sandbox_has_none(warm):
    before = spares(warm)
    warm.blueprint("other", "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=strict\nProtectHome=no\n")
    assert shim_of(warm, run(warm, agent="other")) not in before
    assert set(before) <= set(spares(warm))


def groups_of(sid):
    """Directories of the session's groups, in whichever hierarchy."""
    return [d for root, dirs, _ in os.walk("/sys/fs/cgroup") for d in dirs if d == sid]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace makes the commit fail")
@pytest.mark.parametrize("warm", ["ReadWritePaths=SHOWN\n"], indirect=True)
@pytest.mark.parametrize("agent", ["boxed", "bare"])
def test_what_is_not_committed_never_runs(warm, shown, agent):
    warm.blueprint("bare", "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=none\n")
    for _ in range(2):
        run(warm, agent=agent)
    ready(warm, EACH if agent == "boxed" else 2 * EACH)
    os.chmod(shown, 0o777)
    sid = str(uuid.uuid4())
    # The commit takes its time first: an agent that did not wait for it would have run by then.
    with subprocess.Popen(["strace", "-q", "-o", "/dev/null", "-e", "inject=pwrite64:error=EIO:delay_enter=300000:when=1", "-p", str(warm.pid)]) as strace:
        wait_for("strace", lambda: b"TracerPid:\t0\n" not in read_proc(warm.pid, "status"))
        r = warm.post("/sessions", {"session_id": sid, "agent_name": agent, "command": ["/bin/touch", shown + "/mark"]})
        strace.send_signal(signal.SIGINT)
    assert r.status == 500, r
    wait_for("its groups to be gone", lambda: not groups_of(sid))
    warm.assert_no_process_left(sid)
    assert not os.path.exists(shown + "/mark")
    wait_for("the next one to be taken", lambda: warm.post("/sessions", {"session_id": sid, "agent_name": agent, "command": ["/bin/true"]}).status in (200, 201))
    assert warm.wait_status(sid)["result"] == "success"


@pytest.mark.skipif(not shutil.which("strace"), reason="strace makes a write fail")
def test_first_input_is_tried_again(warm):
    """What the agent is given could not be written at once: it is before a shim of the run's own starts."""
    sid = str(uuid.uuid4())
    path = os.path.join(warm.root, "state", "sessions", sid, "1.in")
    before = spares(warm)
    with subprocess.Popen(["strace", "-q", "-o", "/dev/null", "-P", path, "-e", "inject=write:error=ENOSPC:when=1", "-p", str(warm.pid)]) as strace:
        wait_for("strace", lambda: b"TracerPid:\t0\n" not in read_proc(warm.pid, "status"))
        # cat ends when its standard input does, which is what it is told there.
        warm.create(session_id=sid, agent_name="boxed", command=["/bin/sh", "-c", "cat; echo done; exec sleep 100"])
        wait_for("its first input", lambda: out(warm, sid) == "done")
        strace.send_signal(signal.SIGINT)
    # The one that was told of it is not kept, nor is an agent of it, which would count in the session's groups.
    wait_for("its end", lambda: len([p for p in before if alive(p)]) == EACH - 1)
    assert shim_of(warm, sid) not in before
    assert warm.post("/sessions/%s/stop" % sid).status == 200
    warm.wait_status(sid)


def test_killed_ones_are_not_missed(warm):
    for pid in spares(warm):
        os.kill(pid, signal.SIGKILL)
    wait_for("their end", lambda: not spares(warm))
    assert "still" in out(warm, run(warm, "echo still"))
    run(warm)
    ready(warm)


@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_none_is_left(warm, how):
    tree = [q for p in spares(warm) for q in [p, *children_of(p)]]
    assert len(tree) > EACH
    warm.kill9() if how == "kill9" else warm.stop()
    wait_for("their end", lambda: not any(alive(p) for p in tree))


def put_secret(path):
    os.mkdir(path)
    with open(os.path.join(path, "key"), "w", encoding="ascii") as f:
        f.write("secret\n")


@pytest.mark.parametrize("warm", ["InaccessiblePaths=-SHOWN/late\n"], indirect=True)
def test_what_came_later_is_hidden(warm, shown):
    """A spare is not taken whose mounts were made before there was something to hide, or when it was another one of that name."""
    late = os.path.join(shown, "late")
    look = "ls %s; cat %s/key" % (shown, late)
    for _ in range(2):
        before = ready(warm)
        put_secret(late)
        sid = run(warm, look)
        assert shim_of(warm, sid) not in before
        assert out(warm, sid).split()[0] == "late" and "secret" not in out(warm, sid)
        wait_for("their end", lambda: not any(alive(p) for p in before))
        assert shim_of(warm, run(warm)) not in before
        before = ready(warm)
        sid = run(warm, look)
        assert shim_of(warm, sid) in before
        assert out(warm, sid).split()[0] == "late" and "secret" not in out(warm, sid)
        os.rename(late, os.path.join(shown, "other-%s" % sid))


def test_mounts_of_the_host():
    """When the host's mounts change they end at once: they would keep what is unmounted."""
    with Aod(prefix=["unshare", "--mount", "--propagation", "private", "--"]) as a:
        a.blueprint("boxed", "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=strict\nBindReadOnlyPaths=%s\n" % a.base)
        new = os.path.join(a.base, "new")
        os.mkdir(new)
        run(a)
        run(a)
        before = ready(a)
        subprocess.run(["nsenter", "-t", str(a.pid), "-m", "mount", "-t", "tmpfs", "none", new], check=True)
        wait_for("their end", lambda: not any(alive(p) for p in before))
        sid = run(a, "grep -c %s /proc/self/mountinfo" % new)
        assert out(a, sid) not in ("", "0")
