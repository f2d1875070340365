# SPDX-License-Identifier: MIT
"""A disk that is full, a database that is locked, or damaged: a clear answer, the daemon goes on, what was recorded stays readable."""
import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import uuid

import pytest

from aod import DEMO, WAIT, outputs, texts, wait_for


def event(sid, text):
    return {"event_type": "message", "session_id": sid, "session_name": "x", "timestamp": "2026-01-01T00:00:00+00:00", "role": "assistant",
            "content": [{"type": "text", "text": text}]}


class Ballast:
    """A file on the small disk that leaves `free` bytes."""

    def __init__(self, a, below="state"):
        self.path = "/proc/%d/root%s/%s/ballast" % (a.pid, a.root, below)

    def fill(self, free=0):
        st = os.statvfs(os.path.dirname(self.path))
        size = st.f_bavail * st.f_frsize - free
        with open(self.path, "ab") as f:
            try:
                while size > 0:
                    n = min(size, 1 << 20)
                    f.write(b"b" * n)
                    f.flush()
                    size -= n
            except OSError:
                pass
        return self

    def remove(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


def test_full_disk(small):
    a = small
    early = a.demo("say early")
    a.wait_status(early)
    sid = str(uuid.uuid4())
    a.post("/sessions", {"session_id": sid, "session_name": "passive"})
    ballast = Ballast(a).fill(free=1 << 20)
    stored, refused = [], None
    for i in range(200):
        text = "%d " % i + "x" * 50000
        r = a.post("/sessions/%s/events" % sid, event(sid, text))
        if r.status != 200:
            refused = r
            break
        stored.append(text)
    assert refused is not None and stored, "the disk was never full"
    assert refused.status == 507 and "space" in refused.detail, refused
    ballast.fill()
    # It lives, it answers, what was recorded is there.
    assert a.get("/health").status == 200
    assert texts(a.events(sid)) == stored
    assert a.result(early) == "early" and texts(a.events(early)) == ["early"]
    for _ in range(3):
        # 503: it goes back to what is in the database after each write that failed.
        for r in (a.post("/sessions", {"command": ["/bin/true"]}), a.post("/sessions/%s/events" % sid, event(sid, "y" * 100000))):
            assert r.status in (503, 507) and isinstance(r.detail, str), r
    assert a.proc.poll() is None
    ballast.remove()
    wait_for("room to be used again", lambda: a.post("/sessions/%s/events" % sid, event(sid, "after")).status == 200)
    assert texts(a.events(sid)) == stored + ["after"]
    s = a.wait_status(a.command("/bin/echo", "works again"))
    assert s["state"] == "finished"


def test_agents_wait_while_the_disk_is_full(small):
    """What an agent prints meanwhile is not lost."""
    a = small
    gate = os.path.join(a.project, "go")
    sid = a.sh("i=0; while [ $i -lt 300 ]; do printf 'line %%04d ' $i; head -c 8000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); sleep 0.002; "
               "while [ $i = 11 ] && [ ! -e %s ]; do sleep 0.02; done; done; exit 5" % gate)
    a.wait_event(sid, lambda e: (e.get("text") or "").startswith("line 0010"))
    ballast = Ballast(a).fill()
    open(gate, "w").close()
    # Until nothing goes any more.
    last, since = None, time.monotonic()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and time.monotonic() - since < 0.7:
        n = a.session(sid)["seq"]
        if n != last:
            last, since = n, time.monotonic()
        ballast.fill()
        time.sleep(0.02)
    assert a.session(sid)["status"] == "running", "it went on although there was no room"
    assert a.proc.poll() is None and a.get("/health").status == 200
    ballast.remove()
    s = a.wait_status(sid, timeout=60)
    assert s["exit_code"] == 5
    assert [t[:9] for t in outputs(a.events(sid))] == ["line %04d" % i for i in range(300)]
    assert {len(t) for t in outputs(a.events(sid))} == {8010}


def test_an_agent_can_be_stopped_while_the_disk_is_full(small):
    a = small
    sid = a.demo("say up\nchildren 1 setsid\nhang")
    a.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    ballast = Ballast(a).fill()
    r = a.post("/sessions/%s/stop" % sid, {"timeout_ms": 500})
    assert r.status in (200, 507), r
    ballast.remove()
    if r.status == 507:  # it could not be written down; the agent may have been told all the same
        wait_for("aod to serve again", lambda: a.post("/sessions/%s/stop" % sid, {"timeout_ms": 500}).status == 200)
        assert a.wait_status(sid)["state"] in ("stopped", "failed")
    else:
        assert a.wait_status(sid)["state"] == "stopped"
    a.assert_no_process_left(sid)


@pytest.fixture
def apart(make_aod):
    """The sessions' files are on a small disk of their own, beside the database; its ballast leaves no page."""
    a = make_aod(start=False)
    a.mount(os.path.join(a.root, "state", "sessions"), "24m")
    a.start()
    a.blueprint("stays", "[Agent]\nExecStart=%s\n[Session]\nLifecycle=persistent\n[Sandbox]\nSandbox=none\n" % DEMO)
    return a


def test_a_prompt_that_is_committed_and_cannot_be_written(apart):
    """The client has its answer; the agent gets it as soon as there is room, and once."""
    a = apart
    sid = a.create(agent_name="stays", prompt="count")["session_id"]
    a.wait_state(sid, "idle")
    ballast = Ballast(a, "state/sessions").fill()
    # More than what the last page of the file has room for.
    r = a.post("/sessions/%s/resume" % sid, {"prompt": "count\n#" + "x" * 100000})
    assert r.status == 200, r
    assert [p["state"] for p in a.get("/sessions/%s/prompts" % sid).json["prompts"]] == ["done", "given"] and a.session(sid)["state"] == "running"
    wait_for("aod to say why", lambda: "No space left" in a.log() or "no space" in a.log())
    assert a.get("/health").status in (200, 503) and a.proc.poll() is None
    ballast.remove()
    s = a.wait_state(sid, "idle", timeout=60)
    assert (s["result"], s["runs"], a.result(sid)) == ("success", 1, "2"), s
    assert [p["state"] for p in a.get("/sessions/%s/prompts" % sid).json["prompts"]] == ["done", "done"]
    a.resume(sid, "count")
    wait_for("the next turn", lambda: a.session(sid)["state"] == "idle" and a.result(sid) == "3")
    assert texts(a.events(sid)) == ["1", "2", "3"]


def test_an_answer_that_is_committed_and_cannot_be_written(apart):
    a = apart
    sid = a.create(agent_name="stays", prompt="ask Bash {\"command\":\"make\"}\nsay went on")["session_id"]
    wait_for("the question", lambda: a.get("/sessions/%s/questions" % sid).json["questions"])
    ballast = Ballast(a, "state/sessions").fill()
    why = "not on a Friday " + "x" * 100000
    assert a.post("/sessions/%s/answer" % sid, {"answer": "deny", "text": why}).status == 200
    wait_for("aod to say why", lambda: "No space left" in a.log() or "no space" in a.log())
    # It is answered: nobody can do it once more.
    r = a.post("/sessions/%s/answer" % sid, {"answer": "allow"})
    assert r.status in (409, 503), r
    assert texts(a.events(sid)) == []
    ballast.remove()
    a.wait_state(sid, "idle", timeout=60)
    assert texts(a.events(sid)) == ["Bash: deny: " + why, "went on"]
    assert len([e for e in a.events(sid) if e["event_type"] == "answer"]) == 1


def test_ports_that_cannot_be_written_yet(make_aod):
    """Where its ports are written down there is no room at first: aod serves, and they are written as soon as that goes."""
    a = make_aod()
    a.kill9()
    path = os.path.join(a.root, "run", "ports.json")
    os.unlink(path)
    os.mkdir(path)
    a.start(wait=False)
    wait_for("aod to say what is wrong", lambda: "ports.json" in a.log() and a.log().count("ready: ") == 2)
    os.rmdir(path)
    a.wait_up()
    assert a.get("/health").status == 200
    assert not [n for n in os.listdir(os.path.dirname(path)) if n.startswith("ports.json.")]


READER = """
import sqlite3, sys, time
db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True, isolation_level=None, timeout=10)
deadline = time.monotonic() + 60
while db.execute("SELECT count(*) FROM event").fetchone() != (0,) and time.monotonic() < deadline:
    time.sleep(0.01)
db.execute("BEGIN")
db.execute("SELECT count(*) FROM session").fetchall()
print("up", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def reader_of(a):
    """Once there is no event in the database, somebody reads it, and keeps the snapshot."""
    enter = ["nsenter", "-t", str(a.pid), "-m", *([] if os.geteuid() == 0 else ["-U", "--preserve-credentials"])]
    with subprocess.Popen([*enter, sys.executable, "-c", READER, a.db_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "up\n"
        yield
        p.communicate()
        assert p.returncode == 0


def test_the_log_of_the_database_fills_the_disk(make_aod):
    """A reader was in the way of its checkpoint for long. There is room in the database's file, so it goes on without anybody's help."""
    a = make_aod(start=False)
    a.mount(os.path.join(a.root, "state"), "64m")
    a.start()
    path = "/proc/%d/root%s" % (a.pid, a.db_path)

    def fill(name, until):
        sid, n = str(uuid.uuid4()), 0
        a.post("/sessions", {"session_id": sid, "session_name": name})
        while until(n) and a.post("/sessions/%s/events" % sid, event(sid, "x" * 100000)).status == 200:
            n += 1
        return sid

    for i in range(10):  # its file comes to have all pages that are needed below
        assert a.delete("/sessions/" + fill("gone-%d" % i, lambda n: n < 50)).status == 200
    with reader_of(a):
        size = os.path.getsize(path + "-wal")
        kept = fill("kept", lambda n: n < 10)
        Ballast(a).fill()
        while os.path.getsize(path + "-wal") == size and a.delete("/sessions/" + fill("over", lambda n: n < 20)).status == 200:
            pass  # until what is there of it is used up
        assert a.post("/sessions/%s/events" % kept, event(kept, "y" * 100000)).status in (503, 507), "the disk was never full"
    # More than what the writes that failed have left of room.
    wait_for("it to go on", lambda: all(a.post("/sessions/%s/events" % kept, event(kept, "z" * 100000)).status == 200 for _ in range(10)))


def test_locked_database(make_aod):
    """Another program holds the write lock: reads go on, writes wait or say so, nothing is lost."""
    a = make_aod()
    sid = str(uuid.uuid4())
    a.post("/sessions", {"session_id": sid, "session_name": "passive"})
    agent = a.demo("stream 100 10")
    a.wait_event(agent, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    db = sqlite3.connect(a.db_path, timeout=10, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    answers = []
    t = threading.Thread(target=lambda: answers.append(a.post("/sessions/%s/events" % sid, event(sid, "while locked"), timeout=WAIT)))
    t.start()
    began = time.monotonic()
    while time.monotonic() - began < 1.2:
        assert a.get("/sessions/" + sid).status == 200
        assert a.get("/health").status == 200
        time.sleep(0.05)
    db.execute("ROLLBACK")
    db.close()
    t.join(WAIT)
    assert answers and answers[0].status in (200, 503), answers
    wait_for("writes to go again", lambda: a.post("/sessions/%s/events" % sid, event(sid, "after")).status == 200)
    got = texts(a.events(sid))
    assert got[-1] == "after" and got.count("while locked") == (1 if answers[0].status == 200 else 0)
    assert a.wait_status(agent)["state"] == "finished"
    assert texts(a.events(agent)) == ["line %d" % i for i in range(1, 101)]


def test_locked_for_long(make_aod):
    """Longer than anybody waits: the answer is 503, not silence, and aod is as it was afterwards."""
    a = make_aod()
    agent = a.demo("stream 60 50")
    a.wait_event(agent, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    db = sqlite3.connect(a.db_path, timeout=10, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    t = time.monotonic()
    r = a.post("/sessions", {"session_name": "late", "command": ["/bin/true"]}, timeout=60)
    took = time.monotonic() - t
    db.execute("ROLLBACK")
    db.close()
    assert r.status == 503 and isinstance(r.detail, str) and took < 15, (r, took)
    wait_for("writes to go again", lambda: a.post("/sessions", {"session_id": str(uuid.uuid4()), "session_name": "x" + uuid.uuid4().hex}).status == 200)
    assert a.get("/sessions/late/status").json == {"status": "not_existent"}, "it was refused and made all the same"
    assert a.wait_status(agent)["state"] == "finished"
    assert texts(a.events(agent)) == ["line %d" % i for i in range(1, 61)]


# ---- damage ------------------------------------------------------------------------------------------------


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def refuses_to_start(a):
    """It ends with an error that names the file, and leaves the file as it is."""
    before = digest(a.db_path)
    a.ports = {}
    with open(a.log_path, "w"):
        pass
    a.start(wait=False)
    rc = a.proc.wait(WAIT)
    assert rc not in (0, -6, -11), a.log()
    assert a.db_path in a.log(), a.log()
    assert digest(a.db_path) == before, "the damaged file was changed"
    return a.log()


@pytest.fixture
def ended(make_aod):
    """An aod with some sessions that has been stopped in order."""
    a = make_aod()
    for i in range(20):
        a.wait_status(a.demo("lines 100 300"))
    a.stop()
    return a


def test_file_that_is_no_database(ended):
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ended.db_path + suffix)
    with open(ended.db_path, "wb") as f:
        f.write(b"this is no database, but somebody's letter\n" * 1000)
    refuses_to_start(ended)


def test_header_overwritten(ended):
    with open(ended.db_path, "r+b") as f:
        f.write(os.urandom(100))
    refuses_to_start(ended)


def test_pages_overwritten_after_a_crash(make_aod):
    a = make_aod()
    for i in range(20):
        a.wait_status(a.demo("lines 100 300"))
    a.stop()
    a.start()
    a.wait_status(a.command("/bin/true"))
    a.kill9()
    with open(a.db_path, "r+b") as f:
        size = os.path.getsize(a.db_path)
        for at in range(8192, size - 4096, 16384):
            f.seek(at)
            f.write(b"\xde\xad\xbe\xef" * 1024)
    log = refuses_to_start(a)
    assert "damaged" in log or "malformed" in log or "integrity" in log, log


def test_cut_off(ended):
    size = os.path.getsize(ended.db_path)
    with open(ended.db_path, "r+b") as f:
        f.truncate(size // 2 + 100)
    refuses_to_start(ended)


def test_database_of_a_later_version(ended):
    db = sqlite3.connect(ended.db_path)
    db.execute("PRAGMA user_version = 9999")
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    log = refuses_to_start(ended)
    assert "9999" in log or "newer" in log or "version" in log, log


def test_database_of_another_program(ended):
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ended.db_path + suffix)
    db = sqlite3.connect(ended.db_path)
    db.execute("CREATE TABLE bookmarks (url TEXT)")
    db.execute("PRAGMA application_id = 1234567")
    db.commit()
    db.close()
    refuses_to_start(ended)


def test_a_good_copy_puts_it_right(ended):
    """After a refused start the mend is to put a backup back: then all is there again."""
    backup = ended.db_path + ".backup"
    shutil.copy(ended.db_path, backup)
    with open(ended.db_path, "r+b") as f:
        f.write(b"\0" * 100)
    refuses_to_start(ended)
    shutil.copy(backup, ended.db_path)
    ended.start()
    sessions = ended.get("/sessions").json["sessions"]
    assert len(sessions) == 20
    assert len(texts(ended.events(sessions[0]["session_id"]))) == 100


def test_empty_file_is_a_new_database(make_aod):
    a = make_aod(start=False)
    os.makedirs(os.path.dirname(a.db_path))
    with open(a.db_path, "w"):
        pass
    a.start()
    assert a.wait_status(a.command("/bin/true"))["state"] == "finished"


def test_directory_that_cannot_be_written(make_aod, tmp_path):
    """The root is a file, or below one: a clear error at once."""
    f = tmp_path / "file"
    f.write_text("x")
    for root in (f, f / "below"):
        a = make_aod(start=False, root=str(root))
        a.start(wait=False)
        assert a.proc.wait(WAIT) not in (0, -6, -11)
        assert str(f) in a.log()


def test_port_in_use_is_named(make_aod):
    a = make_aod()
    port = a.ports["registry"]
    b = make_aod(start=False, args=["--port-base", str(port - 2)])
    b.start(wait=False)
    assert b.proc.wait(WAIT) not in (0, -6, -11)
    assert str(port) in b.log() or str(port - 2) in b.log() or str(port - 1) in b.log() or str(port + 1) in b.log(), b.log()
    assert "in use" in b.log().lower(), b.log()
