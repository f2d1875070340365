# SPDX-License-Identifier: MIT
"""aod-http taken over: whoever runs code in it finds nothing to gain. The code is made to run by ptrace(2), which needs root."""
import errno
import hashlib
import json
import os
import platform
import signal
import socket
import struct
import uuid

import pytest
from aod import read_proc, wait_for
from takeover import Takeover

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ptrace(2) of a process that is not dumpable needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the registers of x86-64"),
]
AT_FDCWD = -100
NO = {-errno.EPERM, -errno.EACCES}


@pytest.fixture(scope="module")
def front(aod):
    pid = wait_for("aod-http", aod.http_pid)
    if b"libasan" in read_proc(pid, "maps"):
        pytest.skip("built with a sanitizer, which needs more than the cage allows")
    return pid


def landlock():
    import ctypes
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


def test_what_it_is(aod, front):
    status = dict(line.split(":\t", 1) for line in read_proc(front, "status").decode().splitlines() if ":\t" in line)
    assert set(status["Uid"].split()) != {"0"} and "0" not in status["Uid"].split(), status["Uid"]
    assert status["Groups"].strip() == ""
    for cap in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[cap], 16) == 0, (cap, status[cap])
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    limits = {line[:26].strip(): line[26:].split()[:2] for line in read_proc(front, "limits").decode().splitlines()[1:]}
    for limit, most in (("Max processes", 0), ("Max core file size", 0), ("Max address space", 4 << 30), ("Max open files", 1 << 20), ("Max file size", 2 << 30)):
        soft, hard = limits[limit]
        assert soft == hard and 0 <= int(hard) <= most, (limit, soft, hard)


def test_no_program_can_be_run(front):
    with Takeover(front) as t:
        assert t.call("geteuid") > 0
        assert t.call("execve", "/bin/sh", ["/bin/sh", "-c", "id"], []) in NO
        assert t.call("execveat", AT_FDCWD, "/bin/sh", ["sh"], [], 0) in NO
        assert t.call("memfd_create", "x", 0) in NO
        # nor code of its own: memory is either written or run
        assert t.call("mmap", 0, 4096, 7, 0x22, -1, 0) in NO
        assert t.call("mprotect", t.free, 4096, 7) in NO


def test_no_process_can_be_made_or_touched(aod, front):
    with Takeover(front) as t:
        for name, args in (("fork", ()), ("vfork", ()), ("clone", (signal.SIGCHLD, 0, 0, 0, 0)), ("clone3", (t.put(b"\0" * 64), 64)), ("unshare", (0x10000000,)),
                           ("setns", (3, 0)), ("ptrace", (16, aod.pid, 0, 0)), ("process_vm_readv", (aod.pid, 0, 0, 0, 0, 0)), ("pidfd_open", (aod.pid, 0)),
                           ("kill", (aod.pid, signal.SIGTERM)), ("kill", (-1, signal.SIGKILL)), ("tgkill", (aod.pid, aod.pid, 9)), ("tkill", (aod.pid, 9)),
                           ("setuid", (0,)), ("mount", ("none", "/tmp", "tmpfs", 0, 0)), ("bpf", (0, 0, 0)), ("io_uring_setup", (1, 0)), ("userfaultfd", (0,)),
                           ("keyctl", (0, 0)), ("capset", (0, 0)), ("setrlimit", (7, 0)), ("prctl", (4, 1)), ("flock", (200, 8)), ("io_setup", (1, 0))):
            for _ in range(3):
                assert t.call(name, *args) in NO, name
    assert aod.get("/health").status == 200 and aod.proc.poll() is None


def test_files(aod, front, tmp_path):
    state = os.path.join(aod.root, "state")
    sid = aod.create(command=["/bin/true"])["session_id"]
    aod.wait_status(sid)
    os.chmod(tmp_path, 0o777)
    (tmp_path / "world").write_text("x")
    os.chmod(tmp_path / "world", 0o666)
    with Takeover(front) as t:
        def try_open(path, flags=os.O_RDONLY):
            fd = t.call("openat", AT_FDCWD, path, flags, 0o600)
            if fd >= 0:
                t.call("close", fd)
            return fd
        for path in ("/etc/shadow", "/etc/gshadow", "/proc/%d/mem" % aod.pid, "/proc/%d/environ" % aod.pid, state + "/sessions", state + "/sessions/" + sid,
                     os.path.join(aod.root, "run/lock"), os.path.join(aod.root, "etc/blueprints")):
            assert try_open(path) < 0, path
        assert try_open(state + "/aod.db", os.O_RDWR) < 0
        if landlock() >= 1:
            # what every user may read or write is not for this process, either
            for path in ("/etc/passwd", "/proc/self/status", "/", str(tmp_path / "world"), "/proc/sys/kernel/hostname"):
                assert try_open(path) == -errno.EACCES, path
            assert try_open(str(tmp_path / "world"), os.O_WRONLY) == -errno.EACCES
            assert try_open(str(tmp_path / "new"), os.O_CREAT | os.O_WRONLY) == -errno.EACCES
            assert try_open("/tmp/aod-cage-" + uuid.uuid4().hex, os.O_CREAT | os.O_WRONLY) == -errno.EACCES
            assert try_open("/dev/shm/aod-cage-" + uuid.uuid4().hex, os.O_CREAT | os.O_WRONLY) == -errno.EACCES
        for name, args in (("rename", (str(tmp_path / "world"), str(tmp_path / "w2"))), ("unlink", (str(tmp_path / "world"),)), ("mkdir", (str(tmp_path / "d"), 0o700)),
                           ("symlink", ("/etc/shadow", str(tmp_path / "l"))), ("chmod", (str(tmp_path / "world"), 0))):
            assert t.call(name, *args) in NO, name
    assert (tmp_path / "world").read_text() == "x"


def test_no_new_connection(aod, front):
    with socket.socket() as listener, socket.socket(socket.AF_UNIX) as abstract:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        abstract.bind("\0aod-cage-" + uuid.uuid4().hex)
        port = listener.getsockname()[1]
        with Takeover(front) as t:
            for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_STREAM),
                                 (socket.AF_UNIX, socket.SOCK_STREAM), (16, socket.SOCK_RAW), (17, socket.SOCK_RAW), (40, socket.SOCK_STREAM)):
                assert t.call("socket", family, kind, 0) in NO, family
            address = struct.pack("=H", 2) + struct.pack("!H", port) + socket.inet_aton("127.0.0.1") + b"\0" * 8
            for fd in range(3, 20):
                assert t.call("connect", fd, address, 16) in NO
                assert t.call("bind", fd, address, 16) in NO


def ask(n, verb, args, **caller):
    return json.dumps({"id": n, "verb": verb, "args": args, "caller": caller}).encode() + b"\n"


def audit(aod, after, count):
    """Rows of what clients did to sessions since then, or tried to, once there are so many."""
    def look():
        rows = [r for r in aod.get("/audit?after=%d" % after).json["audit"] if r["verb"].startswith("session.")]
        return len(rows) >= count and rows
    return wait_for("rows of the audit trail", look)


def token_of(aod, sid):
    pid = wait_for("the agent", lambda: next(iter(aod.session_processes(sid)), None))
    return wait_for("its token", lambda: dict(v.split("=", 1) for v in read_proc(pid, "environ").decode().split("\0") if "=" in v).get("AOD_TOKEN"))


def test_over_the_wire_it_can_only_ask(aod, front):
    """Messages to aod as from a front that lies: aod looks at what is asked, and itself at who asks."""
    victim = aod.create(agent_name="demo", prompt="sleep 600000")["session_id"]
    own = aod.create(agent_name="demo", prompt="sleep 600000")["session_id"]
    own_token = token_of(aod, own)
    reader = aod.post("/tokens", {"name": "r-" + uuid.uuid4().hex[:8], "role": "reader"}).json["token"]
    operator = aod.post("/tokens", {"name": "o-" + uuid.uuid4().hex[:8], "role": "operator"}).json["token"]
    delete = ("session.delete", {"id": victim})
    after = aod.get("/audit?limit=1").json["next_after"]
    lines = [
        b"no JSON at all\n", b"{}\n", b"[]\n", b'{"id":1}\n', b'{"refused":7}\n', b'{"used":7}\n', b'{"hello":7}\n', b'{"conn":1e99}\n', b'{"conn":-1}\n',
        b'{"conn":99999999999999999999999}\n', b'{"gone":77777777777777777777}\n', b'{"conn":7}\n',
        ask(1 << 40, "no.such", {}, role="operator"),
        ask(1 << 41, "session.list", {}, role="operator"),  # a query is none of aod's
        ask(1 << 42, *delete),  # nobody
        ask(1 << 43, *delete, role="operator", uid=0, pid=1),
        ask(1 << 44, *delete, role="operator", tcp="127.0.0.1", conn=7),
        ask(1 << 45, *delete, conn="7", token=7),
        ask(1 << 46, *delete, conn=-1, session=own),
        # What aod-http reads in the database is no token.
        ask((1 << 46) + 1, *delete, token=hashlib.sha256(operator.encode()).hexdigest()),
        ask((1 << 46) + 2, *delete, token="aod_" + hashlib.sha256(operator.encode()).hexdigest()),
        ask((1 << 46) + 3, *delete, token=reader, role="operator"),
        ask((1 << 46) + 4, *delete, token=own_token, role="operator", session=victim),
        ask(1 << 47, "session.create", {"command": ["/bin/sh", "-c", "id"], "project_dir": "/"}, token=own_token),
        ask((1 << 47) + 1, "session.create", {"command": 7}),
    ]
    with Takeover(front) as t:
        for line in lines:
            assert t.call("write", 3, line, len(line)) == len(line)
    rows = audit(aod, after, 11)
    assert [(r["verb"], r["status"]) for r in rows] == [("session.delete", s) for s in (401,) * 7 + (403, 404)] + [("session.create", 403), ("session.create", 422)], rows
    assert aod.session(victim)["state"] in ("pending", "running") and aod.proc.poll() is None and aod.http_pid() == front
    assert len(aod.get("/sessions").json["sessions"]) >= 2


def connection(family, address):
    """Both ends of one that was taken in by a listener there."""
    with socket.socket(family) as listener:
        listener.bind(address)
        listener.listen()
        client = socket.socket(family)
        client.connect(listener.getsockname())
        return client, listener.accept()[0]


def test_an_operator_cannot_be_made_up(aod, front, tmp_path):
    """It hands over what is no connection of an operator's to aod, made by itself or given to it by another process of an operator's user."""
    victims = [aod.create(agent_name="demo", prompt="sleep 600000")["session_id"] for _ in range(2)]
    for v in victims:
        token_of(aod, v)
        aod.wait_state(v, "running")
    people, agents = 8, 9  # aod's listeners in it
    port = aod.ports["runtime"]
    after = aod.get("/audit?limit=1").json["next_after"]
    held, number = [], 5000
    given = {
        "a pair": socket.socketpair(),
        "a listener of its own": connection(socket.AF_INET, ("127.0.0.1", 0)),
        "aod's port at another address": connection(socket.AF_INET, ("127.0.0.9", port)),
        "a socket of its own": connection(socket.AF_UNIX, str(tmp_path / "aod.sock")),
        "an abstract one": connection(socket.AF_UNIX, "\0" + aod.socket),
    }

    def hand(t, fd):
        nonlocal number
        number += 1
        line = b'{"conn":%d}\n' % number
        assert t.send_fd(3, line, fd) == len(line)
        line = ask((1 << 45) + number, "session.delete", {"id": victims[0]}, conn=number, role="operator", uid=0)
        assert t.call("write", 3, line, len(line)) == len(line)

    def accept(t, listener, path):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        held.append(s)
        fd = t.call("accept4", listener, 0, 0, 0)
        assert fd > 0, fd
        return s, fd

    try:
        with Takeover(front) as t:
            pair = t.put(b"\0" * 8)
            for family in (socket.AF_UNIX, socket.AF_INET):
                assert t.call("socketpair", family, socket.SOCK_STREAM, 0, pair) in NO
            link, inside = accept(t, people, aod.socket)
            fds = []
            for client, end in given.values():
                for s in (end, client):
                    socket.send_fds(link, [b" "], [s.fileno()])
                    fds.append(t.receive_fd(inside))
            with open("/dev/null", "rb") as null:
                socket.send_fds(link, [b" "], [null.fileno()])
                fds.append(t.receive_fd(inside))
            # Its own: the wire, the listeners; and one of the agents' socket, where root is nobody, too.
            for fd in [*fds, 3, 4, people, agents, accept(t, agents, aod.agents_socket)[1]]:
                hand(t, fd)
            tried = number - 5000
            for fd in [*fds, inside]:
                t.call("close", fd)
        rows = audit(aod, after, tried)
        assert [(r["verb"], r["status"]) for r in rows] == [("session.delete", 401)] * tried, rows
        assert {r["from"].split(" pid")[0] for r in rows} == {"unknown", "unix uid %d" % os.geteuid()}
        assert [aod.session(v)["state"] for v in victims] == ["running"] * 2

        # What is left: a connection that an operator has open. Not after its end.
        after = rows[-1]["id"]
        with Takeover(front) as t:
            _, fd = accept(t, people, aod.socket)
            for line, with_fd in ((b'{"conn":6000}\n', fd), (ask(1 << 44, "session.delete", {"id": victims[1]}, conn=6000), -1), (b'{"gone":6000}\n', -1),
                                  (ask((1 << 44) + 1, "session.delete", {"id": victims[0]}, conn=6000), -1)):
                assert (t.send_fd(3, line, with_fd) if with_fd >= 0 else t.call("write", 3, line, len(line))) == len(line)
            t.call("close", fd)
        rows = audit(aod, after, 2)
        assert sorted((r["target"], r["status"]) for r in rows) == sorted([(victims[1], 200), (victims[0], 401)]), rows
        assert aod.session(victims[0])["state"] == "running" and aod.http_pid() == front
    finally:
        for s in [*held, *[s for ends in given.values() for s in ends]]:
            s.close()


def test_it_hands_over_too_much(make_aod):
    """Descriptors that no message goes with end the front, and are not kept."""
    a = make_aod()
    front = wait_for("aod-http", a.http_pid)
    assert a.get("/health").status == 200
    before = len(os.listdir("/proc/%d/fd" % a.pid))
    with Takeover(front) as t:
        for _ in range(70):
            if t.send_fd(3, b"{}\n", 4) < 0:
                break
    wait_for("another front", lambda: a.http_pid() not in (None, front))
    assert a.get("/health").status == 200
    wait_for("its descriptors", lambda: len(os.listdir("/proc/%d/fd" % a.pid)) <= before + 1)


def test_it_still_works(aod, front):
    assert aod.http_pid() == front
    assert aod.get("/sessions").status == 200
    assert aod.get("/", port="dashboard").status == 200
