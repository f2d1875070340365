# SPDX-License-Identifier: MIT
"""aod as a service of systemd: what it says over the notify socket, and sockets that were opened for it. The test is in systemd's place."""
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from aod import BUILD, SRC, WAIT, Aod, UnixConnection, clean_env, read_proc, wait_for

# Becomes the program with LISTEN_PID= being its own number, as systemd does between fork and exec.
ACTIVATE = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid() + int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"


class Notified:
    """A notify socket, and all that came."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self.address, self.messages = address, []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with contextlib.suppress(OSError):
            while True:
                self.messages.append(self.socket.recv(4096).decode())

    def wait(self, text, after=0):
        return wait_for("a message with %r" % text, lambda: next((m for m in self.messages[after:] if text in m), None))


@pytest.fixture
def notified(tmp_path):
    n = Notified(str(tmp_path / "notify"))
    yield n
    n.socket.close()


def passing(fds, names, tail=(), pid_offset=0):
    """An Aod whose process has these descriptors from 3 on."""
    class Passed(Aod):
        def start(self, wait=True):
            keep = [os.dup2(fd.fileno(), 200 + i) for i, fd in enumerate(fds)]
            script = "; ".join(["import os"] + ["os.dup2(%d, %d); os.close(%d)" % (k, 3 + i, k) for i, k in enumerate(keep)] + [ACTIVATE])
            env = clean_env(**self.env, LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(names))
            try:
                with open(self.log_path, "ab") as log:
                    self.proc = subprocess.Popen(
                        [sys.executable, "-c", script, str(pid_offset), os.path.join(BUILD, "aod"), "--root", self.root, "--port-base", "0",
                         "--libexec", BUILD, "--blueprints", os.path.join(SRC, "blueprints"), "--www", os.path.join(SRC, "www"), *tail],
                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True, pass_fds=keep)
            finally:
                for k in keep:
                    os.close(k)
            if wait:
                self.wait_up()
            return self
    return Passed


def tcp(address="127.0.0.1"):
    s = socket.socket()
    s.bind((address, 0))
    s.listen(16)
    return s


def test_ready_status_and_end(make_aod, notified):
    aod = make_aod(env={"NOTIFY_SOCKET": notified.address})
    assert notified.wait("READY=1") == notified.messages[0] == "READY=1\nSTATUS=0 live sessions"
    sid = aod.command("/bin/sleep", "1000")
    wait_for("the agent", lambda: aod.session_processes(sid))
    notified.wait("STATUS=1 live session")
    assert not any("WATCHDOG" in m for m in notified.messages)
    environ = b"".join(read_proc(p, "environ") for p in wait_for("the agent", lambda: aod.session_processes(sid))) + read_proc(wait_for("aod-http", aod.http_pid), "environ")
    assert b"AOD_SESSION_ID=" in environ and b"NOTIFY_SOCKET" not in environ
    aod.stop()
    assert notified.wait("STOPPING=1").startswith("STOPPING=1\nSTATUS=ending, 1 live session\nEXTEND_TIMEOUT_USEC="), notified.messages


def test_the_manager_is_told_of_a_drain(make_aod, notified):
    aod = make_aod(args=["--on-stop=drain", "--drain-timeout=1h"], env={"NOTIFY_SOCKET": notified.address})
    flag = os.path.join(aod.project, "go")
    script = "echo up; while [ ! -e %s ]; do sleep 0.02; done"
    first, second = [aod.sh(script % (flag + n)) for n in "12"]
    for sid in (first, second):
        aod.wait_event(sid, lambda e: e.get("text") == "up")
    os.kill(aod.pid, signal.SIGTERM)
    assert notified.wait("STOPPING=1") == "STOPPING=1\nEXTEND_TIMEOUT_USEC=3605000000\nSTATUS=draining, 2 live sessions"
    open(flag + "1", "w", encoding="utf-8").close()
    notified.wait("STATUS=draining, 1 live session")
    open(flag + "2", "w", encoding="utf-8").close()
    assert aod.proc.wait(WAIT) == 0
    assert notified.wait("STATUS=ending, 0 live sessions") == notified.messages[-1]


def test_ready_means_that_it_answers(make_aod, notified):
    """Whoever connects at READY=1 is answered, without a further try."""
    aod = make_aod(start=False, env={"NOTIFY_SOCKET": notified.address})
    aod.start(wait=False)
    notified.wait("READY=1")
    c = UnixConnection(aod.socket, WAIT)
    c.request("GET", "/health")
    assert c.getresponse().status == 200
    c.close()
    aod.wait_up()


def test_abstract_socket(make_aod):
    n = Notified("@aod-test-%d" % os.getpid())
    make_aod(env={"NOTIFY_SOCKET": n.address})
    n.wait("READY=1")
    n.socket.close()


def test_watchdog(make_aod, notified):
    aod = make_aod(start=False, env={"NOTIFY_SOCKET": notified.address, "WATCHDOG_USEC": "400000"})
    aod.start()
    wait_for("three signs of life", lambda: notified.messages.count("WATCHDOG=1") >= 3)
    # One that hangs gives none: stopped by a signal it is silent, and goes on after it.
    os.kill(aod.pid, signal.SIGSTOP)
    wait_for("it to stop", lambda: b"\nState:\tT" in read_proc(aod.pid, "status"))
    n = len(notified.messages)
    witness = Notified("@aod-test-witness-%d" % os.getpid())
    make_aod(env={"NOTIFY_SOCKET": witness.address, "WATCHDOG_USEC": "400000"})
    wait_for("five signs of another one", lambda: witness.messages.count("WATCHDOG=1") >= 5)
    silent = len(notified.messages) - n
    os.kill(aod.pid, signal.SIGCONT)
    witness.socket.close()
    assert silent <= 1, notified.messages[n:]
    notified.wait("WATCHDOG=1", n + silent)


def test_watchdog_of_another_process(make_aod, notified):
    aod = make_aod(env={"NOTIFY_SOCKET": notified.address, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    aod.wait_status(aod.command("/bin/true"))
    notified.wait("READY=1")
    assert "WATCHDOG=1" not in notified.messages


def test_reload(make_aod, notified):
    aod = make_aod(env={"NOTIFY_SOCKET": notified.address})
    notified.wait("READY=1")
    n = len(notified.messages)
    os.kill(aod.pid, signal.SIGHUP)
    notified.wait("READY=1\nSTATUS=0 live sessions", n)
    assert notified.messages[n].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert aod.get("/health").status == 200


def test_sighup_is_no_end(make_aod):
    aod = make_aod()
    os.kill(aod.pid, signal.SIGHUP)
    wait_for("the log to say so", lambda: "SIGHUP: reading blueprints again" in aod.log())
    assert aod.get("/health").status == 200


def test_passed_sockets(tmp_path):
    """They are used, outlive aod, and queue who connects in between."""
    path = str(tmp_path / "people.sock")
    people = socket.socket(socket.AF_UNIX)
    people.bind(path)
    people.listen(16)
    runtime, registry = tcp(), tcp()
    with passing([runtime, people, registry], ["runtime", "unix", "registry"])() as aod:
        assert aod.ports["runtime"] == runtime.getsockname()[1] and aod.ports["registry"] == registry.getsockname()[1]
        assert aod.ports["socket"] == path and aod.ports["context"] not in (0, aod.ports["runtime"])
        assert aod.get("/health").status == 200 and aod.get("/agents", port="registry").status == 200
        assert aod.get("/documents", port="context").status == 200
        c = UnixConnection(path, WAIT)
        c.request("GET", "/health")
        assert c.getresponse().status == 200
        c.close()
        sid = aod.command("/bin/sleep", "1000")
        environ = b"".join(read_proc(p, "environ") for p in wait_for("the agent", lambda: aod.session_processes(sid))) + read_proc(wait_for("aod-http", aod.http_pid), "environ")
        assert b"AOD_SESSION_ID=" in environ and b"LISTEN_" not in environ
        aod.stop()
        assert os.path.exists(path), "systemd's socket is not aod's to remove"
        waiting = http.client.HTTPConnection("127.0.0.1", aod.ports["runtime"], timeout=WAIT)
        waiting.request("GET", "/health")
        aod.start()
        assert waiting.getresponse().status == 200
        waiting.close()
    for s in (people, runtime, registry):
        s.close()


def test_by_where_they_listen(tmp_path):
    """A unit of several ListenStream= has one name for all of them."""
    root = str(tmp_path / "root")
    os.makedirs(os.path.join(root, "run"))
    people = socket.socket(socket.AF_UNIX)
    people.bind(os.path.join(root, "run", "aod.sock"))
    people.listen(16)
    with passing([people], ["aod.socket"])(root=root) as aod:
        assert aod.request("GET", "/health", unix=True).status == 200
        inode = os.stat(aod.socket).st_ino
        aod.stop()
        assert os.stat(aod.socket).st_ino == inode
    people.close()


def test_not_meant_for_it(tmp_path):
    """LISTEN_PID= of another process: what is at number 3 is nobody's."""
    s = tcp()
    with passing([s], ["runtime"], pid_offset=1)() as aod:
        assert aod.ports["runtime"] != s.getsockname()[1]
        assert aod.get("/health").status == 200
    s.close()


def refused(sockets, names, tail=()):
    with passing(sockets, names, tail)(start=False) as aod:
        aod.start(wait=False)
        assert aod.proc.wait(WAIT) == 1
        log = aod.log()
    for s in sockets:
        s.close()
    return log


def test_sockets_that_are_refused():
    assert "'other', which is none of" in refused([tcp()], ["other"])
    assert "two sockets for 'runtime'" in refused([tcp(), tcp()], ["runtime", "runtime"])
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.bind(("127.0.0.1", 0))
    assert "does not listen for streams" in refused([datagram], ["runtime"])
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    assert "does not listen for streams" in refused([silent], ["runtime"])
    assert "not on a loopback address: give --tls-cert" in refused([tcp("0.0.0.0")], ["dashboard"])
    assert "is no unix socket" in refused([tcp()], ["unix"])
    six = socket.socket(socket.AF_INET6)
    with contextlib.suppress(OSError):
        six.bind(("::1", 0))
        six.listen(1)
        assert "is not of IPv4" in refused([six], ["runtime"])
