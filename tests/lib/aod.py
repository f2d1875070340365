# SPDX-License-Identifier: MIT
"""The built programs, run for a test: one private aod in a directory of its own, and what a test does with it.

Nothing here sleeps to let something happen: every wait looks for what it waits for, and has a deadline. Times are
generous, since the tests run in parallel on small machines.
"""
import asyncio
import contextlib
import errno
import http.client
import json
import os
import queue
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

import pytest

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SRC = os.path.abspath(os.environ.get("AOD_SRCDIR") or os.environ.get("AOD_SRC_DIR") or _TOP)
BUILD = os.path.abspath(os.environ.get("AOD_BUILDDIR") or os.environ.get("AOD_BUILD_DIR") or os.path.join(_TOP, "build"))
DEMO = os.path.join(BUILD, "aod-demo-agent")
WAIT = 60  # seconds: for what usually takes milliseconds

# What a developer's machine may set and an agent must not depend on.
UNWANTED = ("IS_SANDBOX", "ANTHROPIC_", "CLAUDE", "AOD_", "AGENT_", "CORS_ORIGINS", "NO_COLOR", "JOURNAL_STREAM", "XDG_")

live = []  # every Aod that was started and not closed: for the logs of a failed test


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(UNWANTED)}
    env.update(more)
    return env


def wait_for(what, cond, timeout=WAIT):
    """Call cond() until it returns something true, which is returned."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        value = cond()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError("waited %d s for %s; the last look gave %r" % (timeout, what, value))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


@contextlib.contextmanager
def time_limit(what, seconds=10 * WAIT):
    """Whatever is waited for without a deadline of its own: it fails where it waits, and nobody waits for the whole suite."""
    def over(sig, frame):
        pytest.fail("%s took more than %d s" % (what, seconds))

    was = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, was)


def open_fifo(path):
    """A file to write to whoever reads the FIFO, once there is one: it would be waited for without end by open(2) itself."""
    def look():
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as e:
            if e.errno != errno.ENXIO:
                raise
            return None

    return os.fdopen(wait_for("a reader of %s" % path, look), "w", encoding="utf-8")


# ---- processes ---------------------------------------------------------------------------------------------


def read_proc(pid, name):
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as f:
            return f.read()
    except OSError:
        return b""


def stat_of(pid):
    """(comm, state, ppid) or None."""
    text = read_proc(pid, "stat").decode(errors="replace")
    if not text:
        return None
    comm = text[text.index("(") + 1:text.rindex(")")]
    rest = text[text.rindex(")") + 2:].split()
    return comm, rest[0], int(rest[1])


def alive(pid):
    """Whether the process runs; a zombie that nobody has reaped yet does not."""
    st = stat_of(pid)
    return st is not None and st[1] not in "ZX"


def pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def children_of(pid):
    return [p for p in pids() if (stat_of(p) or (0, 0, 0))[2] == pid and alive(p)]


def rss_mib(pid):
    """Resident memory; 0 where a sanitizer is in the program, which takes several times as much."""
    if b"libasan" in read_proc(pid, "maps"):
        return 0
    return int(read_proc(pid, "status").split(b"VmRSS:")[1].split()[0]) >> 10


# ---- HTTP --------------------------------------------------------------------------------------------------


class Response:
    def __init__(self, status, headers, data):
        self.status, self.headers, self.data = status, headers, data

    @property
    def text(self):
        return self.data.decode()

    @property
    def json(self):
        return json.loads(self.data)

    @property
    def detail(self):
        return self.json["detail"]

    def __repr__(self):
        return "<%d %s>" % (self.status, self.data[:2000].decode(errors="replace"))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Ws:
    """A WebSocket client: frames are read in a thread and handed out in order."""

    def __init__(self, url, origin=None, timeout=WAIT):
        import websockets.legacy.client as client

        self.frames = queue.Queue()
        self.closed = None  # (code, reason) once the connection is gone
        self.timeout = timeout
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.error = None

        async def run():
            try:
                async with client.connect(url, max_size=None, max_queue=None, origin=origin, ping_interval=None, open_timeout=timeout) as ws:
                    self.ws = ws
                    started.set()
                    try:
                        while True:
                            self.frames.put(await ws.recv())
                    except Exception:
                        self.closed = (ws.close_code, ws.close_reason)
            except Exception as e:
                self.error = e
            finally:
                started.set()
                self.frames.put(None)

        self.thread = threading.Thread(target=lambda: self.loop.run_until_complete(run()), daemon=True)
        self.thread.start()
        if not started.wait(timeout):
            raise TimeoutError("the WebSocket was not opened")
        if self.error:
            raise self.error

    def send(self, text):
        asyncio.run_coroutine_threadsafe(self.ws.send(text), self.loop).result(self.timeout)

    def ping(self):
        async def go():
            await (await self.ws.ping())
        asyncio.run_coroutine_threadsafe(go(), self.loop).result(self.timeout)

    def next(self, timeout=None):
        """The next frame, decoded; None when the connection is gone."""
        try:
            text = self.frames.get(timeout=timeout or self.timeout)
        except queue.Empty:
            raise TimeoutError("no frame came over the WebSocket") from None
        return None if text is None else json.loads(text)

    def until(self, cond, timeout=None):
        """All frames up to the first that cond() holds for, which is the last of the list."""
        out = []
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            f = self.next(max(0.01, deadline - time.monotonic()))
            if f is None:
                raise ConnectionError("the WebSocket was closed (%r) after %r" % (self.closed, out[-3:]))
            out.append(f)
            if cond(f):
                return out

    def close(self):
        if self.thread.is_alive() and self.closed is None:  # else nobody would run it any more
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self.ws.close(), self.loop).result(5)
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


# ---- aod ---------------------------------------------------------------------------------------------------


class Aod:
    def __init__(self, args=(), env=None, start=True, root=None, prefix=(), programs=None):
        """args: further arguments of aod; env: further environment; prefix: a command that runs it; programs: another build."""
        self.base = tempfile.mkdtemp(prefix="aod-e2e-")
        os.chmod(self.base, 0o755)  # aod-http may run as another user
        self.root = root or os.path.join(self.base, "root")
        self.args, self.env, self.prefix = list(args), dict(env or {}), list(prefix)
        self.programs = programs or BUILD
        self.log_path = os.path.join(self.base, "aod.log")
        self.proc = None
        self.ports = {}
        self.lock = threading.Lock()
        live.append(self)
        if start:
            self.start()

    # -- its life

    def mount(self, path, size):
        """Before the start: a disk of this size of its own at path, in a mount namespace; skips the test where there can be none."""
        unshare = ["unshare", "-m" if os.geteuid() == 0 else "-Urm", "--propagation", "private", "sh", "-c",
                   'mkdir -p "$0" && mount -t tmpfs -o size=%s tmpfs "$0" && exec "$@"' % size]
        probe = subprocess.run([*unshare, "/mnt", "true"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if probe.returncode:
            pytest.skip("no mount namespace with a tmpfs can be made here: " + probe.stdout.strip()[:200])
        self.prefix = [*unshare, path]

    def start(self, wait=True):
        """wait: until it answers, and what an aod before it has left was taken over."""
        if self.prefix:  # whose process need not be aod's: a file that the one before has left would be taken for the new one's
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.root, "run", "ports.json"))
        begin = len(self.log())
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                [*self.prefix, os.path.join(self.programs, "aod"), "--root", self.root, "--port-base", "0", "--libexec", self.programs,
                 "--blueprints", os.path.join(SRC, "blueprints"), "--www", os.path.join(SRC, "www"), *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_env(**self.env), start_new_session=True)
        if wait:
            self.wait_up()
            wait_for("aod to be ready", lambda: "ready: " in self.log()[begin:])
        return self

    def wait_up(self, timeout=WAIT):
        """Until it answers."""
        path = os.path.join(self.root, "run", "ports.json")

        def look():
            rc = self.proc.poll()
            if rc is not None:
                raise RuntimeError("aod ended with %d instead of starting:\n%s" % (rc, self.log()))
            try:
                with open(path, encoding="utf-8") as f:
                    ports = json.load(f)
            except (OSError, ValueError):
                return None
            # A file of one that was killed is still there until the new one has written its own.
            return ports if self.prefix or ports["pid"] == self.proc.pid else None

        self.ports = wait_for("aod to start", look, timeout)
        return self

    @property
    def pid(self):
        return self.ports["pid"]

    @property
    def socket(self):
        return os.path.join(self.root, "run", "aod.sock")

    @property
    def agents_socket(self):
        """What agents have in their environment as AOD_SOCKET."""
        return os.path.join(self.root, "run", "agents", "aod.sock")

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.ports["runtime"]

    @property
    def db_path(self):
        return os.path.join(self.root, "state", "aod.db")

    def session_dir(self, sid):
        return os.path.join(self.root, "state", "sessions", sid)

    def agent_dir(self, sid):
        return os.path.join(self.session_dir(sid), "agent")

    @property
    def project(self):
        """A directory for agents to work in, beside aod's own, which may be in none."""
        path = os.path.join(self.base, "project")
        os.makedirs(path, exist_ok=True)
        return path

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def kill9(self):
        os.kill(self.pid, signal.SIGKILL)
        self.proc.wait(WAIT)

    def http_pid(self):
        found = [p for p in children_of(self.pid) if (stat_of(p) or ("",))[0] == "aod-http"]
        return found[0] if found else None

    def kill9_http(self):
        pid = wait_for("aod-http", self.http_pid)
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self, sig=signal.SIGTERM, timeout=WAIT):
        """End it in order; its exit status."""
        if self.proc.poll() is None:
            os.kill(self.pid if self.ports and self.prefix else self.proc.pid, sig)
        return self.proc.wait(timeout)

    def restart(self):
        if self.proc.poll() is None:
            self.stop()
        return self.start()

    def processes(self):
        """{pid: what it is} of all that belongs to this aod: it, its shims, and every agent and descendant that still has its environment."""
        mark = ("AOD_SOCKET=" + self.agents_socket).encode()
        root = self.root.encode()
        out = {}
        for pid in pids():
            if pid == os.getpid() or not alive(pid):
                continue
            cmdline = read_proc(pid, "cmdline").replace(b"\0", b" ")
            if mark in read_proc(pid, "environ").split(b"\0") or (self.proc and pid == self.proc.pid) \
                    or (b"aod-http" in cmdline and root in cmdline) or self._holds_root(pid, cmdline):
                out[pid] = (stat_of(pid) or ("?",))[0] + ": " + cmdline.decode(errors="replace")
        return out

    def _holds_root(self, pid, cmdline):
        if not cmdline.startswith(b"aod-shim"):
            return False
        try:
            return any(os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith(self.root) for fd in os.listdir("/proc/%d/fd" % pid))
        except OSError:
            return False

    def session_processes(self, sid=None):
        """{pid: name} of agents and their descendants, of one session or of all; without shims."""
        mark = ("AOD_SESSION_ID=" + sid).encode() if sid else ("AOD_SOCKET=" + self.agents_socket).encode()
        return {p: (stat_of(p) or ("?",))[0] for p in pids() if alive(p) and mark in read_proc(p, "environ").split(b"\0")}

    def agent_pid(self, sid, name):
        """The agent's own process, by the beginning of its name, once it is there: not one that it has forked, which has that name until it is another
        program."""
        def look():
            found = {p for p, n in self.session_processes(sid).items() if n.startswith(name)}
            top = [p for p in found if (stat_of(p) or (0, 0, 0))[2] not in found]
            return top[0] if len(top) == 1 else None

        return wait_for("the agent %s of session %s" % (name, sid), look)

    def shims(self):
        return [p for p in pids() if alive(p) and self._holds_root(p, read_proc(p, "cmdline"))]

    def assert_no_process_left(self, sid=None, timeout=WAIT):
        """Every agent, descendant and shim is gone, of one session or of all."""
        left = (lambda: self.session_processes(sid)) if sid else (lambda: {**self.session_processes(), **{p: "aod-shim" for p in self.shims()}})
        try:
            wait_for("the processes to go", lambda: not left(), timeout)
        except TimeoutError:
            raise AssertionError("processes are left: %r" % left()) from None

    def close(self):
        """Stop it, and whatever it left behind: that is an error of the test, but must not disturb the next one."""
        if self in live:
            live.remove(self)
        try:
            if self.proc and self.proc.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.stop()
            for pid in list(self.processes()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.proc:
                self.proc.wait(WAIT)
        finally:
            if not os.environ.get("AOD_KEEP"):
                shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # -- requests

    def request(self, method, path, body=None, raw=None, headers=None, port="runtime", timeout=2 * WAIT, unix=False):
        """body is sent as JSON; raw as it stands."""
        c = UnixConnection(self.socket, timeout) if unix else http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=timeout)
        data, h = raw, dict(headers or {})
        if body is not None:
            data = json.dumps(body).encode()
            h.setdefault("Content-Type", "application/json")
        try:
            with contextlib.suppress(BrokenPipeError):
                c.request(method, path, data, h)  # a server that has had enough answers, and reads no more
            r = c.getresponse()
            return Response(r.status, r.headers, r.read())
        finally:
            c.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body, **kw)

    def patch(self, path, body=None, **kw):
        return self.request("PATCH", path, body, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    # -- what tests do most

    def blueprint(self, name, text):
        """Write a blueprint of the user's own, which is there as a whole or not at all."""
        d = os.path.join(self.root, "etc", "blueprints")
        os.makedirs(d, exist_ok=True)
        fd, new = tempfile.mkstemp(dir=os.path.dirname(d))
        with open(fd, "w", encoding="utf-8") as f:
            os.fchmod(fd, 0o644)
            f.write(text)
        os.rename(new, os.path.join(d, name + ".blueprint"))

    def create(self, **body):
        """POST /sessions, the session that was made."""
        r = self.post("/sessions", body)
        assert r.status == 200, r
        return r.json["session"]

    def demo(self, prompt, **body):
        """A session with the demo agent."""
        return self.create(prompt=prompt, agent_name="demo", **body)["session_id"]

    def plain_demo(self, prompt, **body):
        """The demo agent without a sandbox: the numbers of processes that it says are the host's."""
        self.blueprint("plain-demo", "[Agent]\nExecStart=%s\n[Sandbox]\nSandbox=none\n" % DEMO)
        return self.create(prompt=prompt, agent_name="plain-demo", **body)["session_id"]

    def command(self, *argv, **body):
        """A session that runs a program."""
        return self.create(command=list(argv), **body)["session_id"]

    def sh(self, script, **body):
        return self.command("/bin/sh", "-c", script, **body)

    def session(self, sid):
        r = self.get("/sessions/" + sid)
        assert r.status == 200, r
        return r.json["session"]

    def wait_status(self, sid, status="finished", timeout=WAIT):
        """Wait until GET status says so; the session."""
        deadline = time.monotonic() + timeout
        while True:
            r = self.get("/sessions/%s/status?wait=%d" % (sid, 5 if status == "finished" else 0))
            assert r.status == 200, r
            if r.json["status"] == status:
                return self.session(sid) if status != "not_existent" else None
            if time.monotonic() > deadline:
                raise TimeoutError("session is not %s but %r" % (status, self.session(sid)))

    def wait_state(self, sid, *states, timeout=WAIT):
        return wait_for("session state %s" % (states,), lambda: (lambda s: s if s["state"] in states else None)(self.session(sid)), timeout)

    def result(self, sid):
        r = self.get("/sessions/%s/result" % sid)
        assert r.status == 200, r
        return r.json["result"]

    def run_demo(self, prompt, **body):
        """A session with the demo agent up to its end."""
        return self.wait_status(self.demo(prompt, **body))

    def resume(self, sid, prompt):
        r = self.post("/sessions/%s/resume" % sid, {"prompt": prompt})
        assert r.status == 200, r
        return r.json["session"]

    def events(self, sid, **query):
        """All events of a session; their numbers are checked."""
        q = "&".join("%s=%s" % kv for kv in query.items())
        r = self.get("/sessions/%s/events%s" % (sid, "?" + q if q else ""), timeout=120)
        assert r.status == 200, r
        ev = r.json["events"]
        if not query:
            assert [e["seq"] for e in ev] == list(range(1, len(ev) + 1)), "seq has gaps or repeats"
        assert all(a["id"] < b["id"] for a, b in zip(ev, ev[1:])), "id does not grow"
        return ev

    def wait_event(self, sid, cond, timeout=WAIT):
        """The first event that cond() holds for."""
        deadline = time.monotonic() + timeout
        with self.follow(sid, timeout=timeout) as events:
            for e in events:
                if cond(e):
                    return e
                if time.monotonic() > deadline:
                    raise TimeoutError("waited %d s for an event; the last one was %r" % (timeout, e))
        raise AssertionError("the session ended without the event; it had %r" % [e["event_type"] for e in self.events(sid)])

    @contextlib.contextmanager
    def follow(self, sid, after=0, timeout=WAIT, query="", headers=None):
        """The events of a session as they come, as newline-delimited JSON. timeout: how long none may come."""
        def lines(r):
            last = time.monotonic()
            for line in r:
                if line.strip():
                    yield json.loads(line)
                    last = time.monotonic()
                elif time.monotonic() - last > timeout:  # it is a heartbeat, which keeps the socket's own timeout from passing
                    raise TimeoutError("no event came for %d s; the session is %r" % (timeout, self.session(sid)))

        c = http.client.HTTPConnection("127.0.0.1", self.ports["runtime"], timeout=timeout)
        try:
            c.request("GET", "/sessions/%s/events?follow=1&after=%d%s" % (sid, after, query),
                      headers=headers or {"Accept": "application/x-ndjson"})
            r = c.getresponse()
            assert r.status == 200, r.read()
            yield lines(r)
        finally:
            c.close()

    def ws(self, query="", origin=None):
        return Ws("ws://127.0.0.1:%d/ws%s" % (self.ports["runtime"], query), origin)

    def aoctl(self, *args, input=None, env=None, timeout=WAIT, socket=True):
        e = clean_env(**(env or {}))
        if socket:
            e["AOD_SOCKET"] = self.socket
        return subprocess.run([os.path.join(self.programs, "aoctl"), *args], input=input, stdin=None if input is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=e, timeout=timeout)

    def sql(self, query, *args):
        """Read the database beside aod."""
        db = sqlite3.connect("file:%s?mode=ro" % self.db_path, uri=True, timeout=10)
        try:
            return db.execute(query, args).fetchall()
        finally:
            db.close()


def texts(events, kind="message", role="assistant"):
    """What was said, in order."""
    return [b["text"] for e in events if e["event_type"] == kind and e["role"] == role for b in e["content"] if b.get("type") == "text"]


def outputs(events, stream=None):
    return [e["text"] for e in events if e["event_type"] == "output" and stream in (None, e["stream"])]


def kinds(events):
    return [e["event_type"] for e in events]
