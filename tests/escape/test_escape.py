# SPDX-License-Identifier: MIT
"""Attacks from inside a strict session, each expected to fail, beside a control that shows the same attack at work without a sandbox.

An attack whose control does not work on this machine proves nothing, and is skipped with what the control said.
"""
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

import aod as lib
from aod import kinds, outputs, pids, read_proc, wait_for  # noqa: E402
from conftest import compile_program

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="dynamic users and mounts of a strict session take root")

# Attacks that every user but root is refused; their control is run by one.
BY_USER = ("run-setuid", "run-capable")


def attack_names():
    here = os.path.dirname(os.path.abspath(__file__))
    out = []
    for f in ("attack-file.c", "attack-process.c", "attack-kernel.c"):
        with open(os.path.join(here, f), encoding="utf-8") as text:
            body = text.read()
            table = body[body.index("const struct attack "):]
            out += [line.split('"')[1] for line in table.splitlines() if line.strip().startswith('{ "')]
    return out


def privileged_copy(path, to, mode=None, capability=None):
    shutil.copy(path, to)
    os.chown(to, 0, 0)
    os.chmod(to, mode or 0o755)
    if capability:
        # struct vfs_ns_cap_data, revision 2, effective: see capabilities(7)
        os.setxattr(to, "security.capability", (0x02000001).to_bytes(4, "little") + (1 << capability).to_bytes(4, "little") + bytes(12))
    return to


class Victim:
    """A process with a secret in its memory, which an attack is told the place of."""

    def __init__(self, secret, user):
        self.code = ("import ctypes, sys\nb = ctypes.create_string_buffer(sys.argv[1].encode() + bytes(64))\n"
                     "print(ctypes.addressof(b), flush=True)\nsys.stdin.read()")
        self.proc = subprocess.Popen([sys.executable, "-c", self.code, secret], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     env={"ESCAPE_SECRET": secret}, user=user, group=user, extra_groups=[] if user else None)
        self.address = int(self.proc.stdout.readline())

    def close(self):
        # An attack may have stopped it.
        self.proc.kill()
        self.proc.stdin.close()
        self.proc.wait(lib.WAIT)


class Scene:
    """One aod, a session with something to be stolen, and files outside. user: aod runs as this one, and not as root."""

    def __init__(self, user=None):
        self.user = user
        self.base = self.aod = self.victim = self.host_tmp = self.host_home = None
        self.listeners = []

    def open(self):
        # Not below /tmp, where a private one would hide all of it anyway.
        self.base = tempfile.mkdtemp(prefix="aod-escape-", dir="/var/lib")
        os.chmod(self.base, 0o755)
        self.secret = secrets.token_hex(16)
        self.bin = os.path.join(self.base, "bin")
        self.outside = os.path.join(self.base, "outside")
        for d in (self.bin, self.outside):
            os.mkdir(d)
        os.chmod(self.outside, 0o777)
        self.attack = compile_program(self.bin, "attack", "attack.c", "attack-file.c", "attack-process.c", "attack-kernel.c")
        self.survive = compile_program(self.bin, "survive", "survive.c")
        prefix = []
        if self.user:
            prefix = ["setpriv", "--reuid=%d" % self.user, "--regid=%d" % self.user, "--clear-groups", "--"]
            os.chown(self.base, self.user, self.user)
        home = os.path.join(self.base, "home")  # hidden; what is attacked, and by what, lies beside it
        os.mkdir(home)
        if self.user:
            os.chown(home, self.user, self.user)
        self.aod = lib.Aod(root=os.path.join(self.base, "root"), env={"ESCAPE_SECRET": self.secret, "HOME": home}, prefix=prefix)
        self.victim = Victim(self.secret, self.user)
        self.write_facts()

    def listen(self, name):
        s = socket.socket(socket.AF_UNIX)
        s.bind(name)
        s.listen(8)
        self.listeners.append(s)
        if isinstance(name, str) and name.startswith("/"):
            os.chmod(name, 0o777)

    def file(self, path, mode=0o666):
        with open(path, "w", encoding="utf-8") as f:
            f.write(self.secret + "\n")
        os.chmod(path, mode)
        return path

    def write_facts(self):
        a = self.aod
        a.blueprint("quiet", "[Agent]\nAdapter=command\nExecStart=/bin/sleep 1000\n[Sandbox]\nSandbox=none\n")
        self.other = a.create(agent_name="quiet", prompt="x")["session_id"]
        a.wait_state(self.other, "running", "idle")
        other = a.agent_dir(self.other)
        abstract = "aod-escape-" + self.secret
        self.listen("\0" + abstract)
        os.makedirs(os.path.join(other, "tmp"), exist_ok=True)
        self.listen(os.path.join(other, "s"))
        self.host_tmp = self.file(os.path.join(tempfile.gettempdir(), "aod-escape-" + self.secret))
        self.host_home = self.file(os.path.join(os.path.expanduser("~root"), ".aod-escape-" + self.secret))
        self.file(os.path.join(self.outside, "canary"))
        self.facts = {
            "secret": self.secret, "database": a.db_path, "sessions": os.path.join(a.root, "state", "sessions"), "socket": a.socket,
            "config": os.path.join(a.root, "etc", "blueprints", "quiet.blueprint"), "other_file": self.file(os.path.join(other, "secret")),
            "other_tmp": self.file(os.path.join(other, "tmp", "secret")), "other_spool": os.path.join(a.session_dir(self.other), "1.spool"),
            "other_socket": os.path.join(other, "s"), "abstract": abstract, "host_tmp": self.host_tmp, "host_home": self.host_home,
            "outside": self.outside, "canary": os.path.join(self.outside, "canary"), "victim": self.victim.proc.pid,
            "address": self.victim.address, "aod": a.pid, "port": a.ports["runtime"], "other": self.other,
            "setuid_program": privileged_copy(self.attack, os.path.join(self.bin, "suid"), mode=0o4755),
            "capable_program": privileged_copy(self.attack, os.path.join(self.bin, "capable"), capability=13),
        }
        a.blueprint("keeper", "[Agent]\nAdapter=command\nExecStart=/bin/sh -c 'echo $CREDENTIALS_DIRECTORY; sleep 1000'\n"
                              "[Sandbox]\nSandbox=strict\nSetCredential=token:%s\n" % self.secret)
        keeper = a.create(agent_name="keeper", prompt="x")["session_id"]
        where = a.wait_event(keeper, lambda e: e["event_type"] == "output")["text"]
        self.facts["credential"] = "/proc/%d/root%s/token" % (min(a.session_processes(keeper)), where)

    def project(self, name):
        d = os.path.join(self.base, name)
        os.makedirs(os.path.join(d, ".git", "hooks"))
        with open(os.path.join(d, ".git", "config"), "w", encoding="utf-8") as f:
            f.write("[core]\n")
        for p in (d, os.path.join(d, ".git"), os.path.join(d, ".git", "hooks"), os.path.join(d, ".git", "config")):
            os.chmod(p, 0o777)
        return d

    def facts_file(self, project, **more):
        path = os.path.join(project, "facts")
        with open(path, "w", encoding="utf-8") as f:
            for k, v in {**self.facts, "project": project, **more}.items():
                f.write("%s=%s\n" % (k, v))
        os.chmod(path, 0o644)
        return path

    def prepare(self):
        """What one round of attacks may have spoilt."""
        self.file(os.path.join(self.outside, "canary"))
        self.file(os.path.join(self.outside, "to-remove"))

    def intact(self):
        with open(os.path.join(self.outside, "canary"), encoding="utf-8") as f:
            content = f.read()
        mode = os.stat(os.path.join(self.outside, "canary")).st_mode & 0o7777
        return (content, mode, sorted(os.listdir(self.outside))) == (self.secret + "\n", 0o666, ["canary", "to-remove"])

    def attacks(self, name, sandbox, demo=False):
        """{attack: (verdict, how)} of a session, by what it printed; and its events. demo: an agent that has its tool do it."""
        project = self.project(name)
        facts = self.facts_file(project, session=name, control=int(sandbox == "none"))
        self.prepare()
        agent = "Adapter=claude\nExecStart=%s" % lib.DEMO if demo else "Adapter=command\nExecStart=%s %s" % (self.attack, facts)
        self.aod.blueprint(name, "[Agent]\n%s\nWorkingDirectory=%s\n[Sandbox]\n%s\n" % (
            agent, project, "Sandbox=none\nSystemCallFilter=no" if sandbox == "none" else "Sandbox=" + sandbox))
        sid = self.aod.create(agent_name=name, prompt="bash %s %s" % (self.attack, facts))["session_id"]
        s = self.aod.wait_status(sid, timeout=180)
        events = self.aod.events(sid)
        said = [e["tool_output"] for e in events if e["event_type"] == "post_tool"] if demo else outputs(events, "stdout")
        out = verdicts(line.replace(self.base, "…").replace(self.secret, "…") for text in said for line in text.splitlines())
        assert out.get("end") == ("of", "attacks"), (s, outputs(events), self.aod.log()[-3000:])
        return out, events, project

    def close(self):
        for s in self.listeners:
            s.close()
        for thing in (self.victim, self.aod):
            if thing:
                thing.close()
        for f in filter(None, (self.host_tmp, self.host_home)):
            os.unlink(f)
        shutil.rmtree(self.base, ignore_errors=True)


def verdicts(lines):
    return {w[0]: (w[1], w[2]) for w in (line.split("\t") for line in lines) if len(w) == 3}


@pytest.fixture(scope="module")
def scene():
    s = Scene()
    try:
        s.open()
        yield s
    finally:
        s.close()


@pytest.fixture(scope="module")
def control(scene):
    out = scene.attacks("control", "none")[0]
    scene.prepare()
    # As somebody who is not root, without any sandbox.
    project = os.path.join(scene.base, "control")
    p = subprocess.run([scene.attack, os.path.join(project, "facts"), *BY_USER], stdout=subprocess.PIPE, text=True, user=65534, group=65534, cwd=project,
                       extra_groups=[], check=True)
    out.update(verdicts(p.stdout.replace(scene.base, "…").splitlines()))
    return out


@pytest.fixture(scope="module")
def strict(scene, control):
    out, events, project = scene.attacks("strict", "strict")
    return out, events, scene.intact()


@pytest.mark.parametrize("name", attack_names())
def test_strict(name, strict, control, record_property):
    record_property("attack", name)
    record_property("strict", "%s: %s" % strict[0][name])
    record_property("control", "%s: %s" % control[name])
    assert strict[0][name][0] != "got", "%s: %s" % (name, strict[0][name][1])
    if control[name][0] != "got":
        pytest.skip("without a sandbox it does not work here either: " + control[name][1])


def test_nothing_outside_was_changed(strict):
    assert strict[2]


def test_refusals_are_events(strict):
    denied = {e["syscall"]: e for e in strict[1] if e["event_type"] == "denied"}
    assert denied["mount"]["key"] == "SystemCallFilter=@mount" and denied["mount"]["program"] == "attack"
    assert denied["bpf"]["reason"] == "bpf(2) by attack was refused; it takes SystemCallFilter=bpf"
    assert denied["unshare"]["key"].startswith("RestrictNamespaces=")
    assert "AF_" in denied["socket"]["key"]


def test_strict_by_an_agents_tool(scene, control):
    """The same attacks, made by what a tool of an agent starts."""
    out, events, project = scene.attacks("agent", "strict", demo=True)
    assert set(out) == {*attack_names(), "end"}
    assert not {n: how for n, (verdict, how) in out.items() if verdict == "got"}
    assert scene.intact()


# An ordinary user, with its own aod.
USER = 61000


@pytest.fixture(scope="module")
def users_scene():
    s = Scene(USER)
    try:
        s.open()
        yield s
    finally:
        s.close()


def test_strict_of_a_user(users_scene):
    """The same where aod is not root, and the agent has its user's number."""
    control = users_scene.attacks("control", "none")[0]
    out, events, project = users_scene.attacks("strict", "strict")
    assert {n: how for n, (verdict, how) in control.items() if verdict == "got"}.keys() > {
        "read-database", "read-other-session", "read-memory", "trace-process", "signal-aod", "write-outside", "run-setuid", "unshare", "io-uring"}
    # aod knows who is at the other end of its port by the user alone, and here that is its own.
    assert not {n: how for n, (verdict, how) in out.items() if verdict == "got" and not n.endswith("-by-http")}
    assert users_scene.intact()


@pytest.fixture(scope="module")
def workspace(scene, control):
    return scene.attacks("workspace", "workspace")


# What the workspace profile promises: no write outside, nor to what makes git run something; no way into the kernel or another process's files.
@pytest.mark.parametrize("name", [
    "write-outside", "create-outside", "write-system", "write-by-symlink", "write-by-hard-link", "write-by-rename", "write-by-proc-cwd", "chmod-outside",
    "truncate-outside", "remove-outside", "git-hook", "git-config", "git-rename", "mount", "mount-bind", "remount-writable", "umount", "unshare",
    "clone-namespace", "clone3-namespace", "setns", "io-uring", "bpf", "init-module", "reboot", "mknod", "block-devices", "proc-sys", "sys", "make-setuid",
    "own-listener"])
def test_workspace(name, workspace, control):
    assert workspace[0][name][0] != "got", "%s: %s" % (name, workspace[0][name][1])
    if control[name][0] != "got":
        pytest.skip("without a sandbox it does not work here either: " + control[name][1])


# ---- staying alive ----


def marked(mark):
    """Processes, and threads of those whose first thread is gone, that have mark among their arguments."""
    out = []
    for pid in pids():
        try:
            threads = os.listdir("/proc/%d/task" % pid)
        except OSError:
            continue
        if any(mark.encode() in read_proc(pid, "task/%s/cmdline" % t) for t in threads):
            out.append(pid)
    return out


def kill_marked(mark):
    def none_left():
        for pid in marked(mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not marked(mark)
    wait_for("what the control left", none_left)


METHODS = ["twice", "daemon", "deaf", "stopped", "waiting", "headless", "sibling", "revived"]


@pytest.mark.parametrize("method", [*METHODS, "bomb", "noisy"])
@pytest.mark.parametrize("end", ["stop", "exit", "delete"])
def test_no_process_survives(scene, method, end):
    mark = "MARK-%s-%s-%s" % (method, end, scene.secret)
    name = "survive-%s-%s" % (method, end)
    scene.aod.blueprint(name, "[Agent]\nAdapter=command\nExecStart=%s %s %s%s\n[Resources]\nTasksMax=200\n[Sandbox]\nSandbox=strict\n" % (
        scene.survive, method, mark, " exit" if end == "exit" else ""))
    sid = scene.aod.create(agent_name=name, prompt="x")["session_id"]
    scene.aod.wait_event(sid, lambda e: e["event_type"] == "output" and e["text"] == "up")
    if end == "stop":
        assert marked(mark)
        assert scene.aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 300}).json["success"] is True
    elif end == "delete":
        assert marked(mark)
        assert scene.aod.delete("/sessions/" + sid).status == 200
    wait_for("the processes to go", lambda: not marked(mark))


@pytest.mark.parametrize("method", METHODS)
def test_control_survives(scene, method):
    """The same processes live on when nobody but a shell's kill ends who started them."""
    mark = "MARK-control-%s-%s" % (method, scene.secret)
    p = subprocess.Popen([scene.survive, method, mark], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert p.stdout.readline() == "up\n"
        p.kill()
        p.wait(lib.WAIT)
        assert marked(mark)
    finally:
        kill_marked(mark)


# ---- aod's own hands ----


def test_refused_calls_without_end(scene):
    """Each is answered, a hundred are told of, and whoever answers has time for the rest."""
    mark = "MARK-noisy-" + scene.secret
    scene.aod.blueprint("noisy", "[Agent]\nAdapter=command\nExecStart=%s noisy %s\n[Session]\nTimeoutStopSec=1h\n[Sandbox]\nSandbox=strict\n" % (scene.survive, mark))
    sid = scene.aod.create(agent_name="noisy", prompt="x")["session_id"]
    wait_for("100 refusals", lambda: sum(e["event_type"] == "denied" for e in scene.aod.events(sid)) >= 100)
    assert scene.aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 300}).json["success"] is True
    scene.aod.wait_status(sid)
    assert sum(e["event_type"] == "denied" for e in scene.aod.events(sid)) == 100
    assert not marked(mark)


LINKS = """cd "$1" || exit 1
for d in tmp home work claude; do
    mv $d moved-$d; rm -rf $d; ln -s "$2" $d; ls -ld $d
done
ln -s "$2" link; mkdir deep; ln -s "$2" deep/link; mkfifo fifo; echo end
"""


@pytest.mark.parametrize("then", ["resume", "delete"])
def test_links_in_place_of_its_own_directories(scene, then):
    """What an agent puts where aod looks later leads aod, which is root, nowhere."""
    name = "links-" + then
    scene.prepare()
    scene.aod.blueprint(name, "[Agent]\nAdapter=command\nExecStart=/bin/sh -s\n[Sandbox]\nSandbox=strict\n")
    sid = scene.aod.create(agent_name=name, prompt="set -- $HOME/.. %s\n%s" % (scene.outside, LINKS))["session_id"]
    scene.aod.wait_status(sid)
    out = outputs(scene.aod.events(sid), "stdout")
    assert out[-1] == "end" and any("->" in line for line in out), (out, scene.aod.events(sid))
    if then == "resume":
        scene.aod.post("/sessions/%s/resume" % sid, {"prompt": "echo x >$HOME/made; echo x >/tmp/made; echo x >made; echo again"})
        scene.aod.wait_status(sid)
    assert scene.aod.delete("/sessions/" + sid).status == 200
    wait_for("its directory to go", lambda: not os.path.exists(scene.aod.session_dir(sid)))
    assert scene.intact(), os.listdir(scene.outside)


# ---- filling up ----


def run_limited(scene, name, script, limits):
    scene.aod.blueprint(name, "[Agent]\nAdapter=command\nExecStart=/bin/sh -c '%s'\n%s" % (script, limits))
    sid = scene.aod.create(agent_name=name, prompt="x")["session_id"]
    s = scene.aod.wait_status(sid, timeout=60)
    return s, outputs(scene.aod.events(sid)), scene.aod.events(sid)


FILLS = {
    # script, key and value under strict, what the control prints
    "tmp": ("head -c 64M /dev/zero >/tmp/fill && echo filled; rm -f /tmp/fill", "[Sandbox]\nSandbox=strict\nPrivateTmpSize=16M\n"),
    "tasks": ("i=0; while [ $i -lt 120 ]; do sleep 30 & i=$((i+1)); done; echo filled", "[Resources]\nTasksMax=40\n[Sandbox]\nSandbox=strict\n"),
    "memory": ("head -c 300M /dev/zero | tail -c 300M >/dev/null && echo filled", "[Resources]\nMemoryMax=64M\n[Sandbox]\nSandbox=strict\n"),
    "file": ("head -c 64M /dev/zero >fill && echo filled; rm -f fill", "[Resources]\nLimitFSIZE=16M\n[Sandbox]\nSandbox=strict\n"),
}


@pytest.mark.parametrize("what", FILLS)
def test_fill(scene, what):
    script, limits = FILLS[what]
    free = run_limited(scene, "fill-%s-none" % what, script, "[Sandbox]\nSandbox=none\n")
    assert free[1] == ["filled"], free
    s, out, events = run_limited(scene, "fill-" + what, script, limits)
    assert "filled" not in out, (s, out)


def test_workspace_quota(scene):
    """What fills its own directory is stopped."""
    scene.aod.blueprint("quota", "[Agent]\nAdapter=command\nExecStart=/bin/sh -c 'head -c 64M /dev/zero >fill; echo filled; sleep 1000'\n"
                                 "[Sandbox]\nSandbox=strict\nWorkspaceQuota=16M\n")
    sid = scene.aod.create(agent_name="quota", prompt="x")["session_id"]
    s = scene.aod.wait_status(sid, timeout=60)
    assert s["result"] == "resources", s


FLOOD = "[Agent]\nAdapter=command\nExecStart=/usr/bin/yes %s\n[Sandbox]\nSandbox=%%s\n[Resources]\n%%s\n" % ("y" * 200)
FLOOD_MAX = 24 << 20


def flood(scene, name, sandbox, limits):
    scene.aod.blueprint(name, FLOOD % (sandbox, limits))
    return scene.aod.create(agent_name=name, prompt="x")["session_id"]


def test_output_without_end(scene):
    """Who prints all the time holds up nobody else, has a bound on the disk and in the database, can be stopped, and leaves nothing."""
    free = flood(scene, "flood-none", "none", "")
    wait_for("more than the other one may have", lambda: scene.aod.session(free)["seq"] * 300 > FLOOD_MAX + (1 << 20), 60)
    begun = time.monotonic()
    assert scene.aod.wait_status(scene.aod.sh("echo there"))["result"] == "success"
    between = time.monotonic() - begun
    spool = os.stat(os.path.join(scene.aod.session_dir(free), "1.spool"))
    assert scene.aod.session(free)["status"] == "running" and spool.st_blocks * 512 < 80 << 20, spool
    assert scene.aod.post("/sessions/%s/stop" % free, {"timeout_ms": 300}).json["success"] is True
    scene.aod.wait_status(free)
    assert time.monotonic() - begun < 20
    sid = flood(scene, "flood", "strict", "LogSizeMax=24M")
    s = scene.aod.wait_status(sid, timeout=60)
    events = scene.aod.events(sid)
    kept = sum(len(t) for t in outputs(events))
    assert s["result"] == "resources" and "LogSizeMax=" in s["error"] and kept <= FLOOD_MAX, (s, kept)
    assert [e["subtype"] for e in events if e["event_type"] == "limit"] == ["log-size-near", "log-size"]
    print("output: %d of %d bytes kept; beside a flood a session took %.0f ms" % (kept, FLOOD_MAX, between * 1000))
    for sid in (free, sid):
        assert scene.aod.delete("/sessions/" + sid).status == 200
        wait_for("its directory to go", lambda: not os.path.exists(scene.aod.session_dir(sid)))


def test_output_is_bounded_by_default(scene):
    """Nobody has to think of it."""
    for name, want in (("strict", 1 << 30), ("workspace", 1 << 30), ("none", None)):
        scene.aod.blueprint("bound-" + name, "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Sandbox]\nSandbox=%s\n" % name)
        plan = scene.aod.post("/plan", {"agent_name": "bound-" + name, "prompt": "x"}).json["plan"]
        assert plan["sandbox"].get("log_size_max") == want, plan["sandbox"]


def test_a_session_gets_no_descriptor_of_ours(scene):
    """Nothing is open but the three that it needs."""
    s, out, events = run_limited(scene, "descriptors", "ls -l /proc/self/fd | grep -c ^l; ls /proc/self/fd | tr \"\\\\n\" \" \"", "[Sandbox]\nSandbox=strict\n")
    # ls itself has the directory open.
    assert out[0] == "4", (s, out, kinds(events))
