# SPDX-License-Identifier: MIT
"""What the nemesis plays with: one aod on a small disk of its own, the sessions that were asked of it, and what was done to them.

A Case is a session as its client knows it: each prompt that was given, what was answered, and what the nemesis did to the run. From that
follows what may have become of it.
"""
import collections
import contextlib
import http.client
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import aod as lib
from aod import children_of, read_proc, stat_of, wait_for
from model_api import ModelApi

DISK_MIB = 96
CLAUDE = os.environ.get("AOD_TEST_CLAUDE") or os.path.expanduser(
    "~/.cache/aod-test/node_modules/@anthropic-ai/claude-code-linux-x64/claude")


class Broken(Exception):
    """An invariant does not hold."""


class Run:
    """One prompt, and what became of it as far as its client can know."""

    def __init__(self, token):
        self.token = token
        self.status = None  # of the answer; None: there was none, so it may have been taken or not
        self.cut = set()    # what was done to it, or to all of its round: see kinds.EXCUSES
        self.hits = 0       # how many of its processes were killed
        self.counted = False


class Case:
    def __init__(self, kind, name, number):
        self.kind, self.name, self.number = kind, name, number
        self.sid = None
        self.parent = self.kid = None
        self.runs = []
        self.stop_answered = False
        self.delete = None  # "asked": no answer came; "done"
        self.posted = []    # of a passive session: texts that were answered
        self.unsure = set()  # and those that were not

    @property
    def run(self):
        return self.runs[-1]


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Follower:
    """A client that wants each event once: whenever its connection breaks it comes back with the last id that it saw."""

    def __init__(self, world):
        self.world, self.seen, self.doubled, self.cursor = world, {}, [], 0
        self.going = True
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while self.going:
            try:
                with self.world.a.ws("?after=%d" % self.cursor) as ws:
                    while self.going:
                        with contextlib.suppress(TimeoutError):
                            f = ws.next(0.2)
                            if f is None:
                                break
                            self.take(f)
            except Exception:  # whatever a client meets when a server is killed
                time.sleep(0.01)

    def take(self, f):
        if f["type"] == "event":
            e = f["data"]
            seqs = self.seen.setdefault(e["session_id"], set())
            if e["seq"] in seqs:
                self.doubled.append((e["session_id"], e["seq"]))
            seqs.add(e["seq"])
            self.cursor = e["id"]
        elif f["type"] != "init":
            self.cursor = f.get("id", self.cursor)

    def stop(self):
        self.going = False
        self.thread.join(10)


class Fault:
    """strace makes system calls of a process fail."""

    def __init__(self, pid, inject):
        calls = ",".join(i.split(":")[0] for i in inject)
        self.proc = subprocess.Popen(["strace", "-q", "-o", "/dev/null", "-e", "trace=" + calls]
                                     + [x for i in inject for x in ("-e", "inject=" + i)] + ["-p", str(pid)],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with contextlib.suppress(TimeoutError):
            wait_for("strace", lambda: self.proc.poll() is not None or b"TracerPid:\t0\n" not in read_proc(pid, "status"), 10)

    def stop(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
        self.proc.communicate(timeout=20)


class World:
    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="aod-chaos-")
        os.chmod(self.base, 0o755)
        self.disk = os.path.join(self.base, "disk")
        os.mkdir(self.disk)
        self.small_disk = False
        if os.environ.get("AOD_CHAOS_NAMESPACE"):
            self.small_disk = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm,mode=755" % DISK_MIB, "tmpfs", self.disk]).returncode == 0
        self.figures = collections.Counter()
        self.longest = collections.Counter()  # milliseconds
        self.cases, self.pool = [], []  # of this round; kept from earlier ones
        self.faults, self.stopped, self.threads = [], set(), []
        self.said = []
        self.excuses = set()  # of this round, for every run of it
        self.api = None
        self.a = lib.Aod(start=False, root=os.path.join(self.disk, "root"))
        self.project = os.path.join(self.base, "project")
        os.mkdir(self.project)
        os.chmod(self.project, 0o777)
        self.go = os.path.join(self.project, "go")
        self.prompts = os.path.join(self.project, "prompts")
        self.log_from = 0
        self.start()
        self.mounts = self.mount_table()
        self.groups = self.group_dirs()
        self.fds = None
        self.follower = Follower(self)

    # ---- aod ------------------------------------------------------------------------------------------------

    def start(self, must=True):
        """Start it, and note how long it takes until it answers. Where the disk is full it may refuse to."""
        self.a.start(wait=False)
        self.wait_up(must)

    def wait_up(self, must=True):
        began = time.monotonic()
        self.a.ports = dict(self.a.ports, pid=self.a.proc.pid)
        try:
            self.a.wait_up(lib.WAIT if must else 2)
            wait_for("an answer", lambda: self.ask("GET", "/health")[0] == 200, lib.WAIT if must else 2)
        except (RuntimeError, TimeoutError) as e:
            if must or (self.a.proc.returncode or 0) < 0:
                raise Broken("aod does not start: %s" % e) from None
            self.figures["starts refused, or late, for want of room"] += 1
            return
        self.note_longest("start until it answers", began)

    def note_longest(self, what, began):
        self.longest[what] = max(self.longest[what], int((time.monotonic() - began) * 1000))

    def up(self):
        return self.a.proc.poll() is None

    def ask(self, method, path, body=None, timeout=30):
        """(status, JSON); (None, None) where it is not known whether it was done: no whole answer, or one that says so."""
        try:
            r = self.a.request(method, path, body, timeout=timeout)
            return (None, None) if r.status in (502, 504) else (r.status, r.json if r.data else None)
        except (OSError, http.client.HTTPException, ValueError):
            return None, None

    def behind(self, f, *args):
        """Do a request beside what the nemesis does."""
        t = threading.Thread(target=f, args=args, daemon=True)
        self.threads.append(t)
        t.start()

    def join(self):
        for t in self.threads:
            t.join(60)
            if t.is_alive():
                raise Broken("a request has had no answer and no end for a minute")
        self.threads = []

    # ---- processes ------------------------------------------------------------------------------------------

    def shims(self):
        """{pid: session id}"""
        out = {}
        for pid in self.a.shims():
            with contextlib.suppress(OSError):
                for fd in os.listdir("/proc/%d/fd" % pid):
                    path = os.readlink("/proc/%d/fd/%s" % (pid, fd))
                    if path.endswith(".spool"):
                        out[pid] = os.path.basename(os.path.dirname(path))
        # Its child is like it until it becomes the agent.
        return {p: sid for p, sid in out.items() if (stat_of(p) or (0, 0, 0))[2] not in out}

    def main_process(self, sid):
        """The agent's own: the child of the shim, or of the init between the two."""
        below = [p for p, s in self.shims().items() if s == sid]
        for _ in range(3):
            below = [c for p in below for c in children_of(p)]
            agents = [p for p in below if not read_proc(p, "cmdline").startswith(b"aod-shim")]
            if agents:
                return min(agents)
        return None

    def case_of(self, sid):
        """By its name where the answer that tells the id was lost."""
        try:
            name = self.a.sql("SELECT name FROM session WHERE id = ?", sid)
        except sqlite3.Error:
            name = []
        return next((c for c in self.cases + self.pool if c.sid == sid or name == [(c.name,)]), None)

    def live_cases(self):
        return [c for c in self.cases if c.sid and not c.delete and c.kind.name != "passive"]

    # ---- what is left ---------------------------------------------------------------------------------------

    def mount_table(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            return sorted(line.split(" ", 5)[4] for line in f)

    def group_dirs(self):
        """Directories of sessions in every hierarchy of control groups, below the level of this aod."""
        level = "aod-%08x" % crc32c(os.path.join(self.a.root, "run").encode())
        return sorted(p for p, dirs, _ in os.walk("/sys/fs/cgroup") if level in p.split("/"))

    # ---- the end --------------------------------------------------------------------------------------------

    def real_claude(self):
        """The model's stand-in for the real Claude CLI, which is told to run a tool and to say that it has."""
        if self.api is None:
            self.api = ModelApi([
                {"match": {"user": "^chaos", "main": True, "tool_result": True}, "reply": {"text": "end"}},
                {"match": {"user": "^chaos", "main": True}, "reply": {"text": "line 1", "tool_use": [{"name": "Bash", "input": {
                    "command": "echo tool-{{user}} >>%s; while [ ! -e %s ]; do sleep 0.05; done" % (self.prompts, self.go),
                    "description": "wait"}}]}}]).start()
            self.a.blueprint("chaos-claude", "[Agent]\nAdapter=claude\nExecStart=%s\nAllowedTools=Bash\n"
                             "Environment=ANTHROPIC_BASE_URL=%s ANTHROPIC_API_KEY=fake-key\n[Session]\nTimeoutStopSec=2s\n" % (CLAUDE, self.api.url))
        return self.api

    def lift(self):
        """End every fault."""
        for f in self.faults:
            f.stop()
        self.faults = []
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped = set()
        self.ballast(None)

    def ballast(self, free):
        """Fill the disk up to so many bytes; None: make room again."""
        path = os.path.join(self.disk, "ballast")
        if free is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        st = os.statvfs(self.disk)
        with open(path, "ab", 0) as f, contextlib.suppress(OSError):
            left = st.f_bavail * st.f_frsize - free
            while left > 0:
                left -= f.write(b"b" * min(left, 1 << 20))

    def close(self, keep):
        self.follower.stop()
        with contextlib.suppress(Exception):
            self.lift()
        if keep:
            # As it is, before it is stopped; the disk goes with its namespace.
            shutil.copytree(self.disk, os.path.join(self.base, "evidence"), symlinks=True,
                            ignore=lambda d, names: [n for n in names if not os.path.isdir(os.path.join(d, n))
                                                     and not os.path.isfile(os.path.join(d, n)) or n == "ballast"])
            shutil.copy(self.a.log_path, os.path.join(self.base, "aod.log"))
            print("# the evidence is in " + self.base, flush=True)
        self.a.ports = {"pid": self.a.proc.pid}
        self.a.close()
        if self.api:
            self.api.stop()
        if not keep:
            if self.small_disk:
                subprocess.run(["umount", "-l", self.disk])
            shutil.rmtree(self.base, ignore_errors=True)


def enter_namespace():
    """A mount namespace for the small disk. Without one there is none, and no round fills it."""
    if os.environ.get("AOD_CHAOS_NAMESPACE"):
        return
    unshare = ["unshare", "-m" if os.geteuid() == 0 else "-Urm", "--propagation", "private"]
    r = subprocess.run([*unshare, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    if r.returncode == 0:
        os.environ["AOD_CHAOS_NAMESPACE"] = "1"
        os.execvp("unshare", [*unshare, sys.executable, *sys.argv])
    print("# no disk of its own, so none is filled: " + r.stdout.strip()[:200])
