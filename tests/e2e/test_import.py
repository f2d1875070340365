# SPDX-License-Identifier: MIT
"""aoctl import: an installation of old, with its two databases, its files and its agents, comes over once however often it is asked."""
import hashlib
import json
import os
import re
import sqlite3
import subprocess

import pytest

from aod import BUILD, WAIT, clean_env, wait_for

OK, FAILED, USAGE, NO_AOD = 0, 1, 2, 69

SESSIONS = """
CREATE TABLE sessions (session_id TEXT PRIMARY KEY, session_name TEXT NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL, project_dir TEXT,
 agent_name TEXT, last_resumed_at TEXT);
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, event_type TEXT NOT NULL, timestamp TEXT NOT NULL, tool_name TEXT,
 tool_input TEXT, tool_output TEXT, error TEXT, exit_code INTEGER, reason TEXT, role TEXT, content TEXT,
 FOREIGN KEY (session_id) REFERENCES sessions(session_id));
CREATE INDEX idx_events_session ON events(session_id, timestamp DESC);
"""
DOCUMENTS = """
CREATE TABLE documents (id TEXT PRIMARY KEY, filename TEXT NOT NULL, content_type TEXT, size_bytes INTEGER, checksum TEXT, storage_path TEXT,
 created_at TIMESTAMP, updated_at TIMESTAMP, metadata TEXT);
CREATE TABLE document_tags (document_id TEXT, tag TEXT, PRIMARY KEY (document_id, tag), FOREIGN KEY (document_id) REFERENCES documents(id) ON DELETE CASCADE);
"""
EVENT_KEYS = ("event_type", "timestamp", "tool_name", "tool_input", "tool_output", "error", "exit_code", "reason", "role", "content")


class Old:
    """An installation of old, as its servers left it."""

    def __init__(self, path):
        self.path = path
        (path / ".agent-orchestrator").mkdir(parents=True)
        (path / "document-data" / "files").mkdir(parents=True)
        self.sessions = sqlite3.connect(path / ".agent-orchestrator" / "observability.db")
        self.sessions.executescript(SESSIONS)
        self.documents = sqlite3.connect(path / "document-data" / "documents.db")
        self.documents.executescript(DOCUMENTS)

    def session(self, sid, name, status, created, events=(), **more):
        self.sessions.execute("INSERT INTO sessions VALUES (?,?,?,?,?,?,?)",
                              (sid, name, status, created, more.get("project_dir"), more.get("agent_name"), more.get("last_resumed_at")))
        self.events(sid, events)

    def events(self, sid, events):
        for e in events:
            v = [json.dumps(e[k]) if k in ("tool_input", "tool_output", "content") and e.get(k) is not None else e.get(k) for k in EVENT_KEYS]
            self.sessions.execute("INSERT INTO events (session_id, %s) VALUES (?%s)" % (", ".join(EVENT_KEYS), ",?" * len(v)), (sid, *v))
        self.sessions.commit()

    def document(self, did, filename, content, ctype="text/markdown", tags=(), metadata=None, created="2025-11-23 10:20:30.123456", **more):
        path = "./document-data/files/" + did
        if content is not None:
            (self.path / path).write_bytes(content)
        self.documents.execute("INSERT INTO documents VALUES (?,?,?,?,?,?,?,?,?)", (
            did, filename, ctype, len(content or b""), more.get("checksum", hashlib.sha256(content or b"").hexdigest()), more.get("storage_path", path),
            created, more.get("updated", created), json.dumps(metadata or {})))
        self.documents.executemany("INSERT INTO document_tags VALUES (?,?)", [(did, t) for t in tags])
        self.documents.commit()

    def agent(self, name, description="d"):
        d = self.path / ".agent-orchestrator" / "agents" / name
        d.mkdir(parents=True)
        (d / "agent.json").write_text(json.dumps({"name": name, "description": description}))


@pytest.fixture
def old(tmp_path):
    return Old(tmp_path / "old")


def at(i):
    return "2025-10-01T12:00:%02d.%06d+00:00" % (i // 1000000 % 60, i % 1000000)


def text(role, s, i):
    return {"event_type": "message", "timestamp": at(i), "role": role, "content": [{"type": "text", "text": s}]}


def report(p):
    """[(action, kind, name, rest)] of the lines."""
    found = [re.fullmatch(r"(\w+) +(?:(session|document) )?(.*?)(?:: (.*))?", line) for line in p.stdout.splitlines()]
    assert all(found), p.stdout
    return [m.groups() for m in found]


def done(aod, *args, code=OK):
    p = aod.aoctl("import", *map(str, args), timeout=120)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p


def doc_id(n):
    return "doc_%024x" % n


SID = "3f0e1c2d-0000-4000-8000-00000000000%d"


def test_all_of_it(make_aod, old, tmp_path):
    aod = make_aod()
    tools = {"event_type": "post_tool", "timestamp": at(3), "tool_name": "Bash", "tool_input": {"command": "ls", "n": [1, None]}, "tool_output": "a\nb", "error": "é"}
    stop = {"event_type": "session_stop", "timestamp": at(9), "exit_code": 0, "reason": "completed"}
    old.session(SID % 1, "first", "finished", "2025-10-01T12:00:00.000001+00:00",
                [text("user", "do it", 2), tools, text("assistant", "done ☃", 8), stop], project_dir="/p", agent_name="web-researcher",
                last_resumed_at="2025-10-02T00:00:00.5+00:00")
    old.session(SID % 2, "first", "running", "2025-10-03T12:00:00.000000+00:00", [text("assistant", "half", 5)])
    old.session("an id with / and ü", "not a name! " + "x" * 80, "finished", "2025-10-02T12:00:00+00:00")
    old.document(doc_id(1), "notes ü.md", b"# n\n", tags=["b", "a"], metadata={"description": "é"}, updated="2025-11-24 00:00:00")
    old.document(doc_id(2), "data.bin", bytes(range(256)) * 1000, "application/x-thing")
    old.agent("helper")

    dry = done(aod, "--dry-run", old.path)
    assert len(report(dry)) == 6 and "(nothing was done)" in dry.stderr and aod.get("/sessions").json == {"sessions": []}
    assert aod.get("/documents", port="context").json == []

    p = done(aod, old.path)
    odd = ("not-a-name--" + "x" * 80)[:60]
    assert report(p) == [
        ("created", None, "helper", None),
        ("created", "session", "first", "4 events"),
        ("created", "session", odd, "0 events, was called not a name! " + "x" * 80),
        ("created", "session", "first", "1 event, stopped (it was running)"),
        ("created", "document", doc_id(1) + " (notes ü.md)", "4 B"), ("created", "document", doc_id(2) + " (data.bin)", "250.0 KiB")]
    assert p.stderr.splitlines() == ["aoctl: %s: %d created, 0 updated, 0 unchanged, 0 skipped" % x for x in (("agents", 1), ("sessions", 3), ("documents", 2))]

    # As they were, in the order in which they were made.
    got = aod.get("/sessions").json["sessions"]
    assert [s["session_id"] for s in got] == [SID % 2, "an id with / and ü", SID % 1]
    s = got[2]
    assert (s["session_name"], s["status"], s["project_dir"], s["agent_name"]) == ("first", "finished", "/p", "web-researcher")
    assert s["created_at"] == "2025-10-01T12:00:00.000001+00:00" and s["last_resumed_at"] == "2025-10-02T00:00:00.500000+00:00"
    assert got[0]["status"] == "finished" and got[0]["state"] == "stopped" and got[0]["created_at"] == "2025-10-03T12:00:00.000000+00:00"
    ev = aod.events(SID % 1)
    for mine, his in zip(ev, [text("user", "do it", 2), tools, text("assistant", "done ☃", 8), stop]):
        assert {k: mine[k] for k in EVENT_KEYS} == {k: his.get(k) for k in EVENT_KEYS}
    assert len(ev) == 4 and aod.result(SID % 1) == "done ☃" and aod.result(SID % 2) == "half"

    d = aod.get("/documents/%s/metadata" % doc_id(1), port="context").json
    assert (d["filename"], d["content_type"], sorted(d["tags"]), d["metadata"]) == ("notes ü.md", "text/markdown", ["a", "b"], {"description": "é"})
    assert d["created_at"].startswith("2025-11-23T10:20:30.123456") and d["updated_at"].startswith("2025-11-24T00:00:00")
    assert aod.get("/documents/" + doc_id(2), port="context").data == bytes(range(256)) * 1000
    assert [d["id"] for d in aod.get("/documents?tags=a,b", port="context").json] == [doc_id(1)]
    assert aod.get("/agents/helper").json["description"] == "d"

    # Again: nothing comes twice.
    p = done(aod, old.path)
    assert {r[0] for r in report(p)} == {"unchanged"} and len(report(p)) == 6
    assert aod.get("/sessions").json["sessions"] == got and aod.events(SID % 1) == ev
    rows = json.loads(done(aod, "--json", old.path).stdout)
    assert [(r["kind"], r["action"]) for r in rows] == [("agent", "unchanged")] + [("session", "unchanged")] * 3 + [("document", "unchanged")] * 2

    # And what has come there since.
    old.events(SID % 1, [text("assistant", "more", 20)])
    old.session(SID % 3, "third", "finished", "2025-10-04T12:00:00+00:00")
    p = done(aod, "-q", old.path)
    assert [r for r in report(p) if r[0] != "unchanged"] == [("updated", "session", "first", "1 event")]
    assert aod.result(SID % 1) == "more" and aod.session("third")["session_id"] == SID % 3 and p.stderr == ""

    # An older session does not take the name of one that is newer, nor its place in the list.
    assert aod.session("first")["session_id"] == SID % 2
    now = aod.create(session_name="today", prompt="say x", agent_name="demo")["session_id"]
    aod.wait_status(now)
    old.session("oldest", "today", "finished", "2024-01-01T00:00:00+00:00")
    done(aod, old.path)
    assert aod.session("today")["session_id"] == now
    assert [s["session_id"] for s in aod.get("/sessions").json["sessions"]] == [now, SID % 3, SID % 2, "an id with / and ü", SID % 1, "oldest"]
    aod.restart()
    assert [s["session_id"] for s in aod.get("/sessions").json["sessions"]] == [now, SID % 3, SID % 2, "an id with / and ü", SID % 1, "oldest"]


def test_the_databases_alone(aod, old, tmp_path):
    """Named themselves, and moved away from where their server ran."""
    old.session(SID % 4, "alone", "finished", at(1))
    old.document(doc_id(10), "a.txt", b"abc", "text/plain", storage_path="/nowhere/" + doc_id(10))
    old.document(doc_id(11), "b.txt", b"b", "text/plain", storage_path="elsewhere/files/" + doc_id(11))
    os.rename(old.path / "document-data" / "files", tmp_path / "contents")
    os.rename(old.path / "document-data" / "documents.db", tmp_path / "docs.sqlite")
    p = done(aod, old.path / ".agent-orchestrator" / "observability.db", tmp_path / "docs.sqlite", code=FAILED)
    assert report(p) == [("created", "session", "alone", "0 events")] + [
        ("skipped", "document", "%s (%s)" % (doc_id(n), f), "its file is not there; --files says where contents are") for n, f in ((10, "a.txt"), (11, "b.txt"))]
    p = done(aod, "--files", tmp_path / "contents", tmp_path / "docs.sqlite")
    assert [r[0] for r in report(p)] == ["created", "created"]
    assert aod.get("/documents/" + doc_id(10), port="context").data == b"abc"


def test_what_cannot_be_taken_over(aod, old):
    """Each with its reason; the others come over."""
    old.document(doc_id(20), "changed.md", b"as it is", checksum="0" * 64)
    old.document(doc_id(21), "gone.md", None)
    old.document("doc_short", "id.md", b"x")
    old.document(doc_id(22), "fine.md", b"fine", checksum=None, metadata={"n": "1"})
    sid = aod.command("/bin/true")
    aod.wait_status(sid)
    old.session(sid, "own", "finished", at(1), [text("assistant", str(i), i) for i in range(50)])
    old.session(SID % 5, "fine", "finished", "no time at all")
    p = done(aod, old.path, code=FAILED)
    r = {x[2].split(" ")[0]: (x[0], x[3] or "") for x in report(p)}
    assert r["own"] == ("skipped", "aod has a session of its own with this id") and r["fine"][0] == "created"
    assert r[doc_id(20)][0] == "skipped" and "SHA-256" in r[doc_id(20)][1]
    assert r[doc_id(21)] == ("skipped", "its file is not there; --files says where contents are")
    assert r["doc_short"][0] == "skipped" and "document_id" in r["doc_short"][1] and r[doc_id(22)] == ("created", "4 B")
    assert aod.session(sid)["created_at"] > "2026" and len(aod.events(sid)) < 50


def test_it_goes_on_where_it_was_broken_off(aod, old):
    n = 2500
    old.session(SID % 6, "long", "finished", at(0), [text("assistant", "%d %s" % (i, "x" * 5000), i) for i in range(n)])
    env = clean_env(AOD_SOCKET=aod.socket)
    p = subprocess.Popen([os.path.join(BUILD, "aoctl"), "import", str(old.path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, env=env)
    wait_for("the first events", lambda: aod.get("/sessions/" + SID % 6).status == 200 and aod.session(SID % 6)["seq"] > 0 or p.poll() is not None)
    p.kill()
    p.wait(WAIT)
    before = aod.session(SID % 6)["seq"]
    done(aod, old.path)
    ev = aod.events(SID % 6)
    assert [e["content"][0]["text"].split()[0] for e in ev] == [str(i) for i in range(n)] and 0 < before <= n


def test_databases_that_are_none(aod, tmp_path):
    (tmp_path / "text.db").write_text("this is no database " * 100)
    (tmp_path / "empty.db").write_bytes(b"")
    sqlite3.connect(tmp_path / "other.db").executescript("CREATE TABLE t (x)")
    for name, reason in (("text.db", "file is not a database"), ("empty.db", "neither sessions nor documents"), ("other.db", "neither sessions nor documents")):
        p = aod.aoctl("import", str(tmp_path / name))
        assert p.returncode == FAILED and name in p.stderr and reason in p.stderr and p.stdout == "", p
    p = aod.aoctl("import", str(tmp_path / "none.db"))
    assert p.returncode == FAILED and "No such file" in p.stderr
    os.mkfifo(tmp_path / "fifo")
    assert aod.aoctl("import", str(tmp_path / "fifo"), timeout=10).returncode == FAILED


def test_a_broken_database(aod, old):
    """Half of it is gone: what can be read comes over, and it is said that there was more."""
    for i in range(300):
        old.session("broken-%03d" % i, "broken", "finished", at(i), [text("assistant", "x" * 2000, i)])
    old.sessions.close()
    path = old.path / ".agent-orchestrator" / "observability.db"
    with open(path, "r+b") as f:
        f.truncate(os.path.getsize(path) // 2)
    p = aod.aoctl("import", str(path))
    assert p.returncode == FAILED and "malformed" in p.stderr + p.stdout


def test_no_server(old, tmp_path):
    old.session(SID % 7, "x", "finished", at(1))
    old.document(doc_id(30), "a.md", b"x")
    p = subprocess.run([os.path.join(BUILD, "aoctl"), "import", str(old.path), "--socket", str(tmp_path / "no.sock")], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env(), timeout=WAIT)
    assert p.returncode == NO_AOD and "no.sock" in p.stderr


def test_only_operators_may(aod, old):
    token = json.loads(aod.aoctl("token", "create", "import-reader", "--json").stdout)["token"]

    def ask(path, raw, kind, port="runtime"):
        return aod.request("POST", path, raw=raw, headers={"Authorization": "Bearer " + token, "Content-Type": kind}, port=port).status

    body = {"session_id": "sneaky", "session_name": "sneaky", "created_at": "2025-01-01T00:00:00+00:00", "status": "finished"}
    assert ask("/import/sessions", json.dumps(body).encode(), "application/json") == 403
    assert ask("/documents?document_id=" + doc_id(50), b"x", "text/plain", "context") == 403
    # An agent may make documents, not under ids of its choice; and no past.
    old.session(SID % 8, "forged", "finished", at(1))
    old.document(doc_id(51), "forged.md", b"x")
    sid = aod.sh("echo x | doc-push - --name ok.txt >/dev/null && echo pushed; aoctl import '%s'; echo $?" % old.path)
    aod.wait_status(sid)
    lines = aod.result(sid).splitlines()
    assert lines[0] == "pushed" and lines[-1] == "1" and not [x for x in lines if "created" in x], lines
    assert aod.get("/sessions/" + SID % 8).status == 404 and aod.get("/documents/" + doc_id(51), port="context").status == 404


def test_documents_with_times_and_ids_are_for_import(aod):
    post = lambda q: aod.request("POST", "/documents?" + q, raw=b"x", headers={"Content-Type": "text/plain"}, port="context")  # noqa: E731
    assert post("created_at=2025-01-01T00:00:00Z").status == 422
    assert post("document_id=%s&created_at=yesterday" % doc_id(40)).status == 422
    assert post("document_id=doc_" + "Z" * 24).status == 422
    assert post("document_id=%s&created_at=2025-01-01T00:00:00Z&filename=a.txt" % doc_id(40)).status == 201
    assert post("document_id=%s" % doc_id(40)).status == 409
    assert aod.get("/documents/" + doc_id(40), port="context").data == b"x"


def test_sessions_by_hand(aod):
    body = {"session_id": "by-hand", "session_name": "hand", "created_at": "2025-01-01T00:00:00+00:00", "status": "finished",
            "events": [text("user", "a", 1), text("assistant", "b", 2)]}
    imp = lambda **more: aod.post("/import/sessions", {**body, **more})  # noqa: E731
    assert imp(events=[{"no": "type"}]).status == 422 and imp(events=[text("user", "x", 1)] * 1001).status == 422
    assert imp(created_at="yesterday").status == 422 and imp(**{"from": 1}).status == 404
    assert aod.get("/sessions/by-hand").status == 404
    assert imp().status == 200 and imp().status == 409 and imp(**{"from": 1}).status == 409
    assert imp(**{"from": 2}, events=[text("assistant", "c", 3)]).status == 200
    assert [e["content"][0]["text"] for e in aod.events("by-hand")] == ["a", "b", "c"] and aod.session("by-hand")["state"] == "finished"
    # A live one, and one that aod runs itself, are left alone.
    aod.post("/sessions", {"session_id": "alive", "session_name": "alive"})
    assert imp(session_id="alive").status == 409
