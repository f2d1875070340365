# SPDX-License-Identifier: MIT
"""The Runtime API: every endpoint as old clients know it, what it has more, and the defects of the earlier implementation."""
import concurrent.futures
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
import uuid

import pytest

from aod import SRC, WAIT, Ws, alive, kinds, outputs, rss_mib, texts, wait_for

SEVEN = ["session_id", "session_name", "status", "created_at", "project_dir", "agent_name", "last_resumed_at"]
TWELVE = ["event_type", "session_id", "session_name", "timestamp", "tool_name", "tool_input", "tool_output", "error", "exit_code",
          "reason", "role", "content"]
ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$")


def name(prefix="s"):
    return "%s-%s" % (prefix, uuid.uuid4().hex[:12])


def event(sid, kind="message", when="2026-01-02T03:04:05.000006+00:00", **more):
    return {"event_type": kind, "session_id": sid, "session_name": "whatever", "timestamp": when, **more}


def said(sid, text, role="assistant", **more):
    return event(sid, role=role, content=[{"type": "text", "text": text}], **more)


@pytest.fixture
def passive(aod):
    """A session that a client registered."""
    sid = str(uuid.uuid4())
    r = aod.post("/sessions", {"session_id": sid, "session_name": name("old")})
    assert r.status == 200, r
    return sid


def problems(r):
    assert r.status == 422, r
    out = []
    for p in r.detail:
        assert {"type", "loc", "msg", "input"} <= set(p), p
        out.append((p["type"], p["loc"][-1]))
    return out


# ---- general -----------------------------------------------------------------------------------------------


def test_unknown_path_and_wrong_method(aod):
    for port in ("runtime", "context", "registry"):
        r = aod.get("/no/such/path", port=port)
        assert (r.status, r.json) == (404, {"detail": "Not Found"})
    r = aod.request("PUT", "/sessions")
    assert (r.status, r.json) == (405, {"detail": "Method Not Allowed"})
    assert set(r.headers["Allow"].replace(" ", "").split(",")) >= {"GET", "POST", "DELETE"}
    r = aod.post("/sessions/x/status", {})
    assert r.status == 405 and "GET" in r.headers["Allow"] and "POST" not in r.headers["Allow"]
    assert aod.get("/sessions/").status == 404
    assert aod.get("/sessions/x/y/z").status == 404


def test_health(aod):
    for port in ("runtime", "context", "registry"):
        r = aod.get("/health", port=port)
        assert r.status == 200 and r.json["status"] == "healthy"


def test_answers_are_compact_json(aod, passive):
    r = aod.get("/sessions/" + passive)
    assert r.headers["Content-Type"].startswith("application/json")
    assert r.text == json.dumps(r.json, separators=(",", ":"), ensure_ascii=False)


def test_cors(aod):
    for origin in ("http://localhost:3000", "http://localhost:5173"):
        r = aod.get("/sessions", headers={"Origin": origin})
        assert r.headers["Access-Control-Allow-Origin"] == origin
        r = aod.request("OPTIONS", "/sessions", headers={"Origin": origin, "Access-Control-Request-Method": "POST",
                                                         "Access-Control-Request-Headers": "content-type"})
        assert (r.status, r.text) == (200, "OK")
        assert r.headers["Access-Control-Allow-Origin"] == origin
        assert r.headers["Access-Control-Max-Age"] == "600"
        assert "POST" in r.headers["Access-Control-Allow-Methods"]
    r = aod.get("/sessions", headers={"Origin": "http://evil.example"})
    assert r.headers["Access-Control-Allow-Origin"] is None
    assert aod.request("OPTIONS", "/sessions", headers={
        "Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}).headers["Access-Control-Allow-Origin"] is None


def test_a_page_of_another_site_cannot_start_agents(aod):
    """A browser sends a simple POST without asking first."""
    mark = name()
    r = aod.request("POST", "/sessions", raw=json.dumps({"session_name": mark, "command": ["/bin/true"]}).encode(),
                    headers={"Origin": "http://evil.example", "Content-Type": "text/plain"})
    assert r.status == 403, r
    assert aod.get("/sessions/%s/status" % mark).json == {"status": "not_existent"}
    with pytest.raises(Exception, match="403"):
        Ws("ws://127.0.0.1:%d/ws" % aod.ports["runtime"], origin="http://evil.example")


def test_cors_origins_from_the_environment(make_aod):
    a = make_aod(env={"CORS_ORIGINS": "http://a.example, http://b.example"})
    for origin, ok in (("http://a.example", True), ("http://b.example", True), ("http://localhost:3000", False)):
        got = a.get("/sessions", headers={"Origin": origin}).headers["Access-Control-Allow-Origin"]
        assert (got == origin) == ok, (origin, got)


def test_unix_socket_speaks_the_same(aod, passive):
    assert aod.get("/sessions/" + passive, unix=True).json == aod.get("/sessions/" + passive).json
    r = aod.post("/sessions", {"command": ["/bin/echo", "over a unix socket"]}, unix=True)
    assert r.status == 200
    aod.wait_status(r.json["session"]["session_id"])


def test_keep_alive_and_head(aod):
    c = http.client.HTTPConnection("127.0.0.1", aod.ports["runtime"], timeout=WAIT)
    for _ in range(50):
        c.request("GET", "/sessions/none/status")
        assert c.getresponse().read() == b'{"status":"not_existent"}'
    c.request("HEAD", "/sessions")
    r = c.getresponse()
    assert r.status == 200 and r.read() == b""
    c.close()


def test_openapi_is_complete(aod):
    """The document lists every row of the verb table, and a route that it lists is answered."""
    doc = aod.get("/openapi.json").json
    assert doc["openapi"].startswith("3.1") and doc["info"]["title"] and doc["info"]["version"]
    listed = {(m.upper(), p) for p, ops in doc["paths"].items() for m in ops}
    with open(os.path.join(SRC, "src", "model", "verb-table.c"), encoding="utf-8") as f:
        rows = set(re.findall(r'VERB_\w+, "(\w+)", "([^"]+)"', f.read()))
    assert len(rows) > 15 and listed == rows, listed ^ rows
    for path, ops in doc["paths"].items():
        for method, op in ops.items():
            assert op["summary"] and op["responses"], (path, method)
            names = {p["name"] for p in op.get("parameters", []) if p["in"] == "path"}
            assert names == set(re.findall(r"\{(\w+)\}", path))
            ids = [p for p in op.get("parameters", []) if p["in"] == "path"]
            assert all(p["required"] for p in ids)

    def refs(o):
        if isinstance(o, dict):
            if "$ref" in o:
                yield o["$ref"]
            for v in o.values():
                yield from refs(v)
        elif isinstance(o, list):
            for v in o:
                yield from refs(v)

    for ref in refs(doc):
        at = doc
        for part in ref.lstrip("#/").split("/"):
            at = at[part]
    ops = [op.get("operationId") for o in doc["paths"].values() for op in o.values()]
    assert len(set(ops)) == len(ops) or set(ops) == {None}
    body = doc["paths"]["/sessions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    while "$ref" in body:
        body = doc["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]
    assert {"prompt", "session_name", "command", "agent_name", "project_dir"} <= set(body["properties"])


# ---- passive registration and the old client's sequence ----------------------------------------------------


def test_registration(aod):
    sid, nm = str(uuid.uuid4()), name()
    r = aod.post("/sessions", {"session_id": sid, "session_name": nm, "project_dir": "/some/where", "agent_name": "x", "unknown": 1})
    assert r.status == 200 and r.json["ok"] is True
    s = r.json["session"]
    assert list(s)[:7] == SEVEN
    assert s["session_id"] == sid and s["session_name"] == nm and s["status"] == "running"
    assert s["project_dir"] == "/some/where" and s["agent_name"] == "x" and s["last_resumed_at"] is None
    assert ISO.match(s["created_at"])
    assert s["passive"] is True
    assert aod.get("/sessions/" + sid).json == {"session": s}
    assert aod.get("/sessions/%s/status" % sid).json == {"status": "running"}
    assert aod.get("/sessions/" + nm).json["session"]["session_id"] == sid
    assert aod.get("/sessions").json["sessions"][0]["session_id"] == sid
    assert aod.get("/sessions/%s/result" % sid).status == 400
    assert aod.events(sid) == []


def test_registration_leaves_out_what_is_null(aod):
    sid = str(uuid.uuid4())
    s = aod.post("/sessions", {"session_id": sid, "session_name": name(), "project_dir": None, "agent_name": None}).json["session"]
    assert s["project_dir"] is None and s["agent_name"] is None


def test_old_client_sequence(aod):
    """What the shipped client sends in a run and in a resume; it reads the answers as they were."""
    sid, nm = str(uuid.uuid4()), name()
    assert aod.post("/sessions", {"session_id": sid, "session_name": nm, "project_dir": "/p"}).status == 200
    path = "/sessions/%s/events" % sid
    for e in (said(sid, "do it", "user", when="2026-01-01T00:00:01+00:00"),
              event(sid, "post_tool", "2026-01-01T00:00:02+00:00", tool_name="Bash", tool_input={"command": "ls"},
                    tool_output={"stdout": "a\nb"}, error=None),
              said(sid, "done: ünïcode ✓", when="2026-01-01T00:00:03+00:00"),
              event(sid, "session_stop", "2026-01-01T00:00:04+00:00", exit_code=0, reason="completed")):
        r = aod.post(path, e)
        assert (r.status, r.json) == (200, {"ok": True}), r
    assert aod.get("/sessions/%s/status" % sid).json == {"status": "finished"}
    assert aod.get("/sessions/%s/result" % sid).json == {"result": "done: ünïcode ✓"}
    ev = aod.events(sid)
    assert kinds(ev) == ["message", "post_tool", "message", "session_stop"]
    for e in ev:
        assert set(TWELVE) <= set(e) and isinstance(e["id"], int)
    assert ev[1]["tool_input"] == {"command": "ls"} and ev[1]["tool_output"] == {"stdout": "a\nb"} and ev[1]["error"] is None
    assert ev[3]["exit_code"] == 0 and ev[3]["reason"] == "completed"
    assert [e["timestamp"] for e in ev] == ["2026-01-01T00:00:0%d+00:00" % i for i in (1, 2, 3, 4)]
    # resume
    r = aod.patch("/sessions/%s/metadata" % sid, {"last_resumed_at": "2026-01-01T01:00:00+00:00"})
    assert r.status == 200 and r.json["session"]["last_resumed_at"] == "2026-01-01T01:00:00.000000+00:00"
    assert aod.post(path, event(sid, "session_start", "2026-01-01T01:00:01+00:00")).status == 200
    assert aod.get("/sessions/%s/status" % sid).json == {"status": "running"}
    aod.post(path, said(sid, "second answer", when="2026-01-01T01:00:02+00:00"))
    aod.post(path, event(sid, "session_stop", "2026-01-01T01:00:03+00:00", exit_code=0, reason="completed"))
    assert aod.get("/sessions/%s/result" % sid).json == {"result": "second answer"}
    r = aod.delete("/sessions/" + sid)
    assert (r.status, r.json) == (200, {"ok": True, "session_id": sid, "deleted": {"session": True, "events_count": 7}})
    assert aod.get("/sessions/" + sid).status == 404


def test_result_is_that_of_the_greatest_timestamp(aod, passive):
    path = "/sessions/%s/events" % passive
    aod.post(path, said(passive, "late", when="2026-01-01T00:00:09+00:00"))
    aod.post(path, said(passive, "early", when="2026-01-01T00:00:01+00:00"))
    aod.post(path, said(passive, "the user's", "user", when="2026-01-01T00:00:10+00:00"))
    aod.post(path, event(passive, "session_stop"))
    assert aod.result(passive) == "late"


def test_no_result(aod, passive):
    r = aod.get("/sessions/%s/result" % passive)
    assert (r.status, r.detail) == (400, "Session not finished")
    aod.post("/sessions/%s/events" % passive, event(passive, "session_stop"))
    r = aod.get("/sessions/%s/result" % passive)
    assert (r.status, r.detail) == (404, "No result found")


def test_legacy_events(aod):
    """POST /events makes the session with session_start, ends it with session_stop; GET /events/{id} lists."""
    sid = str(uuid.uuid4())
    assert aod.get("/events/" + sid).json == {"events": []}
    r = aod.post("/events", event(sid, "session_start"))
    assert (r.status, r.json) == (200, {"ok": True})
    s = aod.session(sid)
    assert s["status"] == "running" and s["session_name"] == "whatever"
    assert aod.post("/events", said(sid, "hi")).status == 200
    assert aod.post("/events", event(sid, "session_stop", exit_code=0, reason="completed")).status == 200
    assert aod.session(sid)["status"] == "finished"
    assert aod.post("/events", event(sid, "session_start")).status == 200
    assert aod.session(sid)["status"] == "running"
    got = aod.get("/events/" + sid).json["events"]
    assert kinds(got) == ["session_start", "message", "session_stop", "session_start"]
    assert got == aod.events(sid)


def test_what_is_empty_is_stored_as_null(aod, passive):
    aod.post("/sessions/%s/events" % passive, event(passive, "post_tool", tool_name="x", tool_input={}, tool_output="", content=[]))
    e = aod.events(passive)[0]
    assert e["tool_input"] is None and e["tool_output"] is None and e["content"] is None and e["tool_name"] == "x"


def test_any_json_survives(aod, passive):
    odd = {"ключ": ["\u0000\u001f\"\\/", 1e300, -0.5, True, None, {"a": {"b": [[]]}}], "big": 2**53 + 1, "e": "😀"}
    aod.post("/sessions/%s/events" % passive, event(passive, "odd_type/1", tool_input=odd, tool_output=[odd], reason="r\n\t"))
    e = aod.events(passive)[0]
    assert e["event_type"] == "odd_type/1" and e["tool_input"] == odd and e["tool_output"] == [odd] and e["reason"] == "r\n\t"


def test_append_errors(aod, passive):
    path = "/sessions/%s/events" % passive
    r = aod.post("/sessions/none/events", event("none"))
    assert (r.status, r.detail) == (404, "Session not found")
    r = aod.post(path, event("another"))
    assert (r.status, r.detail) == (400, "Event session_id must match URL session_id")
    assert set(problems(aod.post(path, {}))) == {("missing", k) for k in ("event_type", "session_id", "session_name", "timestamp")}
    got = problems(aod.post(path, event(passive, tool_input="text", exit_code="x", content={})))
    assert {loc for _, loc in got} == {"tool_input", "exit_code", "content"}
    assert aod.events(passive) == []
    assert set(problems(aod.post("/events", {"session_id": 1}))) >= {("missing", "event_type"), ("string_type", "session_id")}


def test_patch(aod, passive):
    path = "/sessions/%s/metadata" % passive
    before = aod.session(passive)
    r = aod.patch(path, {})
    assert r.status == 200 and r.json == {"ok": True, "session": before}
    new = name("renamed")
    r = aod.patch(path, {"session_name": new, "project_dir": "/other", "agent_name": "b"})
    assert r.status == 200
    s = r.json["session"]
    assert (s["session_name"], s["project_dir"], s["agent_name"]) == (new, "/other", "b")
    assert aod.session(new) == s
    assert aod.get("/sessions/" + before["session_name"]).status == 404
    assert aod.patch("/sessions/none/metadata", {"agent_name": "x"}).status == 404
    assert problems(aod.patch(path, {"session_name": "not a name"})) == [("string_pattern_mismatch", "session_name")]
    assert aod.patch(path, {"last_resumed_at": "yesterday"}).status == 422
    assert aod.session(passive) == s


# ---- errors of requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b"", b"not json", b'{"a":1}}', b"\xff\xfe", b'{"session_name":"a"', b"[" * 100000])
def test_bad_json(aod, body):
    r = aod.request("POST", "/sessions", raw=body, headers={"Content-Type": "application/json"})
    assert r.status == 422, r
    assert r.detail[0]["type"] in ("json_invalid", "missing"), r
    assert aod.get("/health").status == 200


@pytest.mark.parametrize("body", [[], "text", 1, None, [{"prompt": "x"}]])
def test_body_that_is_no_object(aod, body):
    r = aod.request("POST", "/sessions", raw=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    assert r.status == 422 and isinstance(r.detail, list), r


@pytest.mark.parametrize("body, want", [
    ({}, ("missing", "session_id")),
    ({"session_name": "x"}, ("missing", "session_id")),
    ({"session_id": "x"}, ("missing", "session_name")),
    ({"session_name": "has space", "prompt": "x"}, ("string_pattern_mismatch", "session_name")),
    ({"session_name": "", "prompt": "x"}, ("string_too_short", "session_name")),
    ({"session_name": "a" * 61, "prompt": "x"}, ("string_too_long", "session_name")),
    ({"session_name": "ä", "prompt": "x"}, ("string_pattern_mismatch", "session_name")),
    ({"session_name": "../up", "prompt": "x"}, ("string_pattern_mismatch", "session_name")),
    ({"session_name": 5, "prompt": "x"}, ("string_type", "session_name")),
    ({"prompt": ["x"]}, ("string_type", "prompt")),
    ({"prompt": ""}, ("string_too_short", "prompt")),
    ({"command": "ls"}, ("list_type", "command")),
    ({"command": ["ls", 1]}, ("string_type", None)),
    ({"command": []}, (None, "command")),
    ({"command": ["true"], "async_mode": "maybe"}, (None, "async_mode")),
    ({"command": ["true"], "project_dir": 1}, ("string_type", "project_dir")),
])
def test_wrong_arguments(aod, body, want):
    before = len(aod.get("/sessions").json["sessions"])
    got = problems(aod.post("/sessions", body))
    assert any((want[0] in (None, t)) and (want[1] in (None, loc)) for t, loc in got), got
    assert len(aod.get("/sessions").json["sessions"]) == before


def test_what_cannot_be_run(aod):
    """Each a clear answer that names what is wrong; nothing is left of it."""
    before = [s["session_id"] for s in aod.get("/sessions").json["sessions"]]
    for body, word in (
            ({"command": ["/no/such/program"]}, "/no/such/program"),
            ({"command": ["no-such-program-anywhere"]}, "no-such-program-anywhere"),
            ({"command": ["/etc/passwd"]}, "/etc/passwd"),
            ({"command": ["/bin/true"], "project_dir": "/no/such/dir"}, "/no/such/dir"),
            ({"command": ["/bin/true"], "project_dir": "relative"}, "relative"),
            ({"prompt": "x", "agent_name": "no-such-blueprint"}, "no-such-blueprint"),
            ({"prompt": "x", "agent_name": "../../etc/passwd"}, "passwd"),
            ({"command": ["/bin/true"], "agent_name": "demo"}, "demo"),
            ({"command": ["/bin/true"], "parent_session_name": "nobody"}, "nobody")):
        r = aod.post("/sessions", body)
        assert r.status in (404, 422), (body, r)
        assert word in (r.detail if isinstance(r.detail, str) else json.dumps(r.detail)), r
    assert [s["session_id"] for s in aod.get("/sessions").json["sessions"]] == before
    dirs = os.listdir(os.path.join(aod.root, "state", "sessions"))
    known = {s["session_id"] for s in aod.get("/sessions").json["sessions"]}
    assert set(dirs) <= known, "directories of sessions that do not exist"


def test_unknown_session_everywhere(aod):
    for method, path, body in (("GET", "", None), ("GET", "/result", None), ("GET", "/events", None), ("GET", "/plan", None),
                               ("POST", "/stop", {}), ("POST", "/resume", {"prompt": "x"}), ("PATCH", "/metadata", {}),
                               ("DELETE", "", None)):
        for sid in ("none", "%2e%2e", "a%20b", "x" * 200):
            r = aod.request(method, "/sessions/%s%s" % (sid, path), body)
            assert (r.status, r.json) == (404, {"detail": "Session not found"}), (method, path, sid, r)
    assert aod.get("/sessions/none/status").json == {"status": "not_existent"}
    assert aod.get("/sessions/none/status?wait=10").json == {"status": "not_existent"}
    assert aod.get("/sessions/" + "x" * 5000).status in (404, 414)


def test_bad_query(aod, passive):
    for q in ("after=x", "after=-1", "limit=0", "limit=x", "limit=99999999999999999999", "tail=-1"):
        r = aod.get("/sessions/%s/events?%s" % (passive, q))
        assert r.status == 422 and isinstance(r.detail, list), (q, r)
    assert aod.get("/sessions/%s/status?wait=x" % passive).status == 422
    assert aod.get("/sessions/%s/status?wait=999999" % passive).status == 422
    assert aod.get("/sessions?state=nonsense").status == 422
    assert aod.get("/sessions?limit=%zz").status == 422


def test_a_query_that_would_be_passed_over(aod):
    """Who asks for a change is told what of it is not understood, and nothing is done."""
    sid = aod.demo("sleep 600000")
    for method, path, name, why in (("POST", "/stop?tree=1", "tree", "belongs in the body"), ("POST", "/stop?timeout=5", "timeout", "no such parameter"),
                                    ("DELETE", "?trees=1", "trees", "no such parameter"), ("POST", "/interrupt?clear", "clear", "belongs in the body"),
                                    ("DELETE", "/prompts/1?force=1&tree=1", "force", "no such parameter")):
        r = aod.request(method, "/sessions/%s%s" % (sid, path), {} if method == "POST" else None)
        assert r.status == 422 and r.detail[0]["loc"] == ["query", name] and why in r.detail[0]["msg"], r
    assert aod.delete("/sessions?all=1").status == 422
    assert aod.post("/sessions?prompt=x", {"session_id": "by-query", "session_name": "by-query"}).status == 422
    assert aod.session(sid)["state"] in ("pending", "running") and aod.get("/sessions/by-query").status == 404
    # What only looks goes on to take it, and bodies do, as clients of old count on.
    assert aod.get("/sessions/%s?cache=1" % sid).status == 200
    assert aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 0, "who": "me"}).status == 200
    aod.wait_status(sid)


def test_too_large_bodies(aod):
    r = aod.request("POST", "/sessions", raw=b'{"session_name":"' + b"a" * (50 << 20) + b'"}', headers={"Content-Type": "application/json"})
    assert r.status == 413, r
    assert "detail" in r.json
    # a length that is only claimed is refused before it is read
    s = socket.create_connection(("127.0.0.1", aod.ports["runtime"]), timeout=WAIT)
    s.sendall(b"POST /sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10000000000\r\n\r\n{")
    assert b" 413 " in s.recv(100)
    s.close()
    r = aod.post("/sessions", {"prompt": "x" * ((8 << 20) + 1), "agent_name": "demo"})
    assert problems(r) == [("string_too_long", "prompt")]
    assert aod.get("/health").status == 200


def test_large_body_that_is_allowed(aod, passive):
    text = "y" * (4 << 20)
    assert aod.post("/sessions/%s/events" % passive, said(passive, text)).status == 200
    assert texts(aod.events(passive)) == [text]


@pytest.mark.parametrize("rubbish", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100000,
                                     b"GET /sessions HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n"])
def test_rubbish_instead_of_http(aod, rubbish):
    s = socket.create_connection(("127.0.0.1", aod.ports["runtime"]), timeout=WAIT)
    try:
        s.sendall(rubbish)
        s.shutdown(socket.SHUT_WR)
        s.recv(1000)
    except OSError:
        pass
    s.close()
    assert aod.get("/health").status == 200


# ---- sessions that aod runs --------------------------------------------------------------------------------


def test_create_with_a_prompt(aod, tmp_path):
    nm = name()
    r = aod.post("/sessions", {"session_name": nm, "prompt": "say hello", "agent_name": "demo", "project_dir": str(tmp_path)})
    assert r.status == 200 and r.json["ok"] is True
    s = r.json["session"]
    assert list(s)[:7] == SEVEN
    assert s["status"] == "running" and s["state"] in ("pending", "running") and s["agent_name"] == "demo"
    assert s["project_dir"] == str(tmp_path) and s["passive"] is False and s["adapter"] == "claude"
    s = aod.wait_status(s["session_id"])
    assert s["state"] == "finished" and s["result"] == "success" and s["exit_code"] == 0 and s["signal"] in (None, 0) and s["error"] is None
    assert aod.result(nm) == "hello"
    ev = aod.events(nm)
    assert ev[0]["event_type"] == "session_start" and ev[-1]["event_type"] == "session_stop"
    assert (ev[-1]["exit_code"], ev[-1]["reason"]) == (0, "completed")
    assert texts(ev, role="user") == ["say hello"] and texts(ev) == ["hello"]
    assert all(ISO.match(e["timestamp"]) for e in ev)
    assert ISO.match(s["started_at"]) and ISO.match(s["ended_at"]) and s["created_at"] <= s["started_at"] <= s["ended_at"]


@pytest.mark.parametrize("key", ["agent_name", "agent", "blueprint", "agent_blueprint_name"])
def test_names_of_the_blueprint_argument(aod, key):
    s = aod.create(**{"prompt": "say x", key: "demo"})
    assert s["agent_name"] == "demo"
    aod.wait_status(s["session_id"])


def test_sync_start_and_resume(aod):
    nm = name()
    r = aod.post("/sessions", {"name": nm, "prompt": "sleep 100\nsay first", "agent": "demo", "async_mode": False})
    assert r.status == 200 and r.json["result"] == "first", r
    r = aod.post("/sessions/%s/resume" % nm, {"prompt": "say second", "async": False})
    assert r.status == 200 and r.json["result"] == "second", r


def test_names_are_made_up_and_unique(aod):
    a, b = aod.create(command=["/bin/true"]), aod.create(command=["/bin/true"])
    assert a["session_name"] != b["session_name"] and re.match(r"^[a-zA-Z0-9_-]{1,60}$", a["session_name"])
    aod.wait_status(a["session_id"])
    nm = name()
    sid = aod.demo("hang", session_name=nm)
    for _ in range(2):
        r = aod.post("/sessions", {"session_name": nm, "command": ["/bin/true"]})
        assert r.status == 409 and "already exists" in r.detail and nm in r.detail
        r = aod.post("/sessions", {"session_name": nm, "session_id": str(uuid.uuid4())})
        assert r.status == 409
        aod.post("/sessions/%s/stop" % nm)
        aod.wait_status(sid)
        break
    assert aod.post("/sessions", {"session_name": nm, "command": ["/bin/true"]}).status == 409, "an ended session keeps its name"
    assert aod.delete("/sessions/" + nm).status == 200
    assert aod.post("/sessions", {"session_name": nm, "command": ["/bin/true"]}).status == 200


def test_id_or_name_everywhere(aod):
    nm = name()
    sid = aod.demo("say x", session_name=nm)
    aod.wait_status(nm)
    for suffix in ("", "/status", "/result", "/events", "/plan"):
        assert aod.get("/sessions/%s%s" % (nm, suffix)).json == aod.get("/sessions/%s%s" % (sid, suffix)).json
    assert aod.resume(nm, "say y")["session_id"] == sid
    assert aod.wait_status(nm)["runs"] == 2
    assert aod.post("/sessions/%s/stop" % nm).status == 200
    assert aod.delete("/sessions/" + nm).json["session_id"] == sid


def test_wait(aod):
    sid = aod.demo("sleep 300\nsay x")
    assert aod.get("/sessions/%s/status?wait=60" % sid).json == {"status": "finished"}
    sid = aod.demo("hang")
    t = time.monotonic()
    assert aod.get("/sessions/%s/status?wait=1" % sid).json == {"status": "running"}
    assert time.monotonic() - t > 0.9
    aod.post("/sessions/%s/stop" % sid, {})
    assert aod.get("/sessions/%s/status?wait_seconds=60" % sid).json == {"status": "finished"}


def test_stop_and_resume_in_wrong_states(aod):
    sid = aod.demo("hang")
    aod.wait_state(sid, "running")
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": "more"})
    assert r.status == 409 and isinstance(r.detail, str) and r.detail
    r = aod.get("/sessions/%s/result" % sid)
    assert (r.status, r.detail) == (400, "Session not finished")
    r = aod.post("/sessions/%s/stop" % sid)
    assert r.status == 200 and r.json["success"] is True and r.json["message"]
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("stopped", "cancelled")
    r = aod.post("/sessions/%s/stop" % sid)
    assert r.status == 200 and r.json["success"] is True
    assert problems(aod.post("/sessions/%s/resume" % sid, {})) == [("missing", "prompt")]
    assert aod.session(sid)["runs"] == 1


def test_passive_sessions_are_not_ours_to_run(aod, passive):
    for path in ("stop", "resume"):
        r = aod.post("/sessions/%s/%s" % (passive, path), {"prompt": "x"})
        assert r.status == 409 and "registered" in r.detail


def test_list_filters(make_aod):
    a = make_aod()
    ids = [a.command("/bin/true") for _ in range(3)]
    for i in ids:
        a.wait_status(i)
    bad = a.command("/bin/false")
    a.wait_status(bad)
    hung = a.demo("hang")

    def listed(q=""):
        return [s["session_id"] for s in a.get("/sessions" + q).json["sessions"]]

    assert listed() == [hung, bad, *reversed(ids)]
    assert listed("?state=live") == [hung]
    assert listed("?state=ended") == [bad, *reversed(ids)]
    assert listed("?state=failed") == [bad]
    assert listed("?state=finished&limit=2") == [ids[2], ids[1]]
    assert listed("?limit=2&offset=1") == [bad, ids[2]]
    r = a.delete("/sessions")
    assert r.status == 200 and r.json["ok"] is True and "5" in r.json["message"]
    assert listed() == []
    a.assert_no_process_left()
    assert os.listdir(os.path.join(a.root, "state", "sessions")) == []


def test_delete(aod):
    sid = aod.demo("say x")
    aod.wait_status(sid)
    n = len(aod.events(sid))
    r = aod.delete("/sessions/" + sid)
    assert r.json == {"ok": True, "session_id": sid, "deleted": {"session": True, "events_count": n}}
    assert aod.get("/sessions/%s/status" % sid).json == {"status": "not_existent"}
    assert aod.get("/events/" + sid).json == {"events": []}
    assert not os.path.exists(aod.session_dir(sid))
    assert aod.delete("/sessions/" + sid).status == 404


def test_plan(aod, tmp_path):
    sid = aod.command("/bin/echo", "a b", project_dir=str(tmp_path))
    aod.wait_status(sid)
    p = aod.get("/sessions/%s/plan" % sid).json["plan"]
    assert p["argv"] == ["/bin/echo", "a b"] and p["cwd"] == str(tmp_path) and p["program"] == "/bin/echo"
    assert aod.get("/sessions/%s/plan?run=9" % sid).status == 404
    count = len(aod.get("/sessions").json["sessions"])
    r = aod.post("/plan", {"agent_name": "demo", "prompt": "say x"})
    assert r.status == 200 and "stream-json" in r.json["plan"]["argv"]
    assert aod.post("/plan", {"command": ["/no/such"]}).status == 422
    assert len(aod.get("/sessions").json["sessions"]) == count


def test_doctor(aod):
    r = aod.get("/doctor")
    assert r.status == 200 and r.json


def test_parent(aod):
    parent = aod.command("/bin/true", session_name=name("parent"))
    s = aod.create(command=["/bin/true"], parent_session_name=aod.session(parent)["session_name"])
    assert s["parent_session_id"] == parent


# ---- events ------------------------------------------------------------------------------------------------


def test_paging(aod):
    sid = aod.demo("lines 250")
    aod.wait_status(sid)
    whole = aod.events(sid)
    assert len(whole) > 250
    r = aod.get("/sessions/%s/events?limit=100" % sid).json
    assert len(r["events"]) == 100 and r["more"] is True and r["next_after"] == 100
    got, after = [], 0
    while True:
        r = aod.get("/sessions/%s/events?after=%d&limit=77" % (sid, after)).json
        got += r["events"]
        if not r["more"]:
            break
        after = r["next_after"]
    assert got == whole
    assert aod.get("/sessions/%s/events?after=%d" % (sid, whole[-1]["seq"])).json["events"] == []
    assert aod.get("/sessions/%s/events?tail=5" % sid).json["events"] == whole[-5:]
    assert aod.get("/sessions/%s/events?tail=0" % sid).json["events"] == []
    raw = [e for e in aod.events(sid, raw=1) if e["event_type"] == "message" and e["role"] == "assistant"]
    assert all(json.loads(e["raw"])["type"] == "assistant" for e in raw) and len(raw) == 250


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
def test_follow(aod, accept):
    sid = aod.demo("stream 5 60\nsay end")
    c = http.client.HTTPConnection("127.0.0.1", aod.ports["runtime"], timeout=WAIT)
    c.request("GET", "/sessions/%s/events" % sid, headers={"Accept": accept})
    r = c.getresponse()
    assert r.status == 200 and r.headers["Content-Type"].startswith(accept)
    body = r.read().decode()  # ends with the session
    if accept == "text/event-stream":
        got = [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]
        got = [e for e in got if "event_type" in e]
        assert "id:" in body
    else:
        got = [json.loads(line) for line in body.splitlines() if line.strip()]
    assert got == aod.events(sid)
    assert texts(got) == ["line %d" % i for i in range(1, 6)] + ["end"]
    c.close()


def test_follow_begins_after(aod):
    sid = aod.demo("stream 4 50")
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    with aod.follow(sid, after=2) as events:
        seqs = [e["seq"] for e in events]
    assert seqs == list(range(3, aod.events(sid)[-1]["seq"] + 1))


def test_sse_goes_on_with_last_event_id(aod):
    sid = aod.demo("lines 20")
    aod.wait_status(sid)
    ev = aod.events(sid)
    c = http.client.HTTPConnection("127.0.0.1", aod.ports["runtime"], timeout=WAIT)
    c.request("GET", "/sessions/%s/events" % sid, headers={"Accept": "text/event-stream"})
    ids = [line[3:].strip() for line in c.getresponse().read().decode().splitlines() if line.startswith("id:")]
    assert len(ids) == len(ev)
    c.close()
    c = http.client.HTTPConnection("127.0.0.1", aod.ports["runtime"], timeout=WAIT)
    c.request("GET", "/sessions/%s/events" % sid, headers={"Accept": "text/event-stream", "Last-Event-ID": ids[9]})
    body = c.getresponse().read().decode()
    got = [json.loads(line[5:])["seq"] for line in body.splitlines() if line.startswith("data:") and "event_type" in line]
    assert got == [e["seq"] for e in ev[10:]]
    c.close()


def test_feed(aod):
    """Events and changes of all sessions as one stream."""
    c = http.client.HTTPConnection("127.0.0.1", aod.ports["runtime"], timeout=WAIT)
    c.request("GET", "/events?after=0", headers={"Accept": "application/x-ndjson"})
    r = c.getresponse()
    assert r.status == 200
    sid = aod.demo("say over the feed")
    frames = []
    for line in r:
        if not line.strip():
            continue  # a heartbeat
        frames.append(json.loads(line))
        f = frames[-1]
        if f.get("type") == "session_updated" and f["session"]["session_id"] == sid and f["session"]["status"] == "finished":
            break
    c.close()
    ids = [f["id"] if "id" in f else f["data"]["id"] for f in frames if f["type"] != "init"]
    assert ids == sorted(set(ids))
    assert any(f["type"] == "event" and f["data"]["session_id"] == sid for f in frames)


# ---- WebSocket ---------------------------------------------------------------------------------------------


def test_ws_init_and_frames(aod):
    with aod.ws() as ws:
        first = ws.next()
        assert first["type"] == "init"
        listed = aod.get("/sessions").json["sessions"]
        assert [s["session_id"] for s in first["sessions"]] == [s["session_id"] for s in listed]
        assert all(list(s)[:7] == SEVEN for s in first["sessions"])
        sid = str(uuid.uuid4())
        aod.post("/sessions", {"session_id": sid, "session_name": name()})
        f = ws.until(lambda f: f["type"] == "session_created")[-1]
        assert f["session"]["session_id"] == sid and isinstance(f["id"], int)
        aod.post("/sessions/%s/events" % sid, said(sid, "hello"))
        mine = lambda f: f["type"] == "event" and f["data"]["session_id"] == sid  # noqa: E731
        f = ws.until(mine)[-1]
        assert set(TWELVE) <= set(f["data"]) and f["data"]["seq"] == 1 and f["data"]["session_name"]
        assert isinstance(f["data"]["id"], int)
        aod.post("/sessions/%s/events" % sid, event(sid, "session_stop", exit_code=0, reason="completed"))
        frames = [f for f in ws.until(mine) if mine(f) or f.get("session", {}).get("session_id") == sid]
        assert [f["type"] for f in frames] == ["session_updated", "event"], "session_updated comes before the event"
        assert frames[0]["session"]["status"] == "finished" and frames[1]["data"]["event_type"] == "session_stop"
        aod.delete("/sessions/" + sid)
        f = ws.until(lambda f: f["type"] == "session_deleted")[-1]
        assert f["session_id"] == sid


def test_ws_client_frames_are_ignored(aod):
    with aod.ws() as ws:
        ws.next()
        for text in ("hello", "{", json.dumps({"type": "subscribe"}), "x" * 60000):
            ws.send(text)
        ws.ping()
        sid = aod.command("/bin/echo", "still here")
        ws.until(lambda f: f["type"] == "event" and f["data"]["session_id"] == sid)


def test_ws_one_session_only(aod):
    gate = os.path.join(aod.project, name("gate"))
    a = aod.demo("bash while [ ! -e %s ]; do sleep 0.02; done\nsay a" % gate, project_dir=aod.project)
    with aod.ws("?session=" + a) as ws:
        ws.next()
        b = aod.run_demo("say b")["session_id"]
        open(gate, "w").close()
        frames = ws.until(lambda f: f["type"] == "event" and f["data"]["event_type"] == "session_stop")
    assert {f["data"]["session_id"] for f in frames if f["type"] == "event"} == {a} and b != a


def test_ws_replay_behind_a_long_session_that_was_deleted(aod):
    """Its events go in pieces; who reads from before them gets everything that comes behind."""
    def left():
        return aod.sql("SELECT count(*) FROM event WHERE id > ?", cursor)[0][0]

    for _ in range(10):
        before = aod.command("/bin/true")
        cursor = aod.events(aod.wait_status(before)["session_id"])[-1]["id"]
        long = aod.command("/usr/bin/seq", "1", "20000")
        aod.wait_status(long)
        after = aod.demo("say one\nsay two")
        aod.wait_status(after)
        want = [e["seq"] for e in aod.events(after)]
        assert aod.delete("/sessions/" + long).status == 200
        os.kill(aod.pid, signal.SIGSTOP)  # most pieces are still there, if it was not too late
        if left() > 1000:
            break
        os.kill(aod.pid, signal.SIGCONT)
    try:
        assert left() > 1000
        with aod.ws("?after=%d" % cursor) as ws:
            frames = ws.until(lambda f: f["type"] == "event" and f["data"]["seq"] == want[-1])
        assert [f["data"]["seq"] for f in frames if f["type"] == "event"] == want
    finally:
        os.kill(aod.pid, signal.SIGCONT)


def test_ws_replay_and_follow_under_load(aod):
    """Clients that come at any time with any cursor see every event once, in order."""
    start = aod.sql("SELECT max(id) FROM event")[0][0] or 0
    sids = [aod.demo("stream 150 3") for _ in range(6)]
    got, errors = {}, []

    def client(k):
        try:
            frames = []
            cursor = start
            # Goes away and comes back, with the last id that it saw.
            for stop_after in (40 + 37 * k, 150 + 11 * k, None):
                with aod.ws("?after=%d" % cursor) as ws:
                    assert ws.next()["type"] == "init"
                    ended = set(f["data"]["session_id"] for f in frames if f["type"] == "event" and f["data"]["event_type"] == "session_stop")
                    n = 0
                    while ended < set(sids) and n != stop_after:
                        f = ws.next()
                        frames.append(f)
                        n += 1
                        cursor = f["data"]["id"] if f["type"] == "event" else f["id"]
                        if f["type"] == "event" and f["data"]["event_type"] == "session_stop":
                            ended.add(f["data"]["session_id"])
            got[k] = [f["data"] for f in frames if f["type"] == "event"]
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=client, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(90)
    assert not errors and len(got) == 4, errors
    for sid in sids:
        want = aod.events(sid)
        assert texts(want) == ["line %d" % i for i in range(1, 151)]
        for k in got:
            assert [e["seq"] for e in got[k] if e["session_id"] == sid] == [e["seq"] for e in want]
    for k in got:
        ids = [e["id"] for e in got[k]]
        assert ids == sorted(set(ids))


def test_ws_needs_an_upgrade(aod):
    assert aod.get("/ws").status in (400, 426)


# ---- defects of the earlier implementation -----------------------------------------------------------------


def test_defect_1_a_conflict_does_not_hurt_later_writes(aod, passive):
    for _ in range(3):
        r = aod.post("/sessions", {"session_id": passive, "session_name": name()})
        assert (r.status, r.detail) == (409, "Session already exists")
        t = time.monotonic()
        assert aod.post("/sessions/%s/events" % passive, said(passive, "still written")).status == 200
        assert aod.post("/sessions", {"session_id": str(uuid.uuid4()), "session_name": name()}).status == 200
        assert time.monotonic() - t < 3
    assert len(aod.events(passive)) == 3


def test_defect_2_a_stalled_client_does_not_hold_up_anybody(aod, passive):
    s = socket.create_connection(("127.0.0.1", aod.ports["runtime"]), timeout=WAIT)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.sendall(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    assert b" 101 " in s.recv(200)  # and then it reads no more
    slow = http.client.HTTPConnection("127.0.0.1", aod.ports["runtime"], timeout=WAIT)
    slow.connect()
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.request("GET", "/events", headers={"Accept": "text/event-stream"})
    with aod.ws() as good:
        text = "z" * 100000
        worst = 0
        for i in range(300):
            t = time.monotonic()
            assert aod.post("/sessions/%s/events" % passive, said(passive, text + str(i))).status == 200
            worst = max(worst, time.monotonic() - t)
        assert worst < 3, "a write took %.1f s" % worst
        good.until(lambda f: f["type"] == "event" and f["data"]["content"][0]["text"].endswith("z299"))
        # what the server keeps for the one that does not read has a limit
        assert rss_mib(aod.http_pid()) < 100
    s.close()
    slow.close()


def test_defect_3_more_than_100_events_are_readable(aod, passive):
    for i in range(130):
        aod.post("/sessions/%s/events" % passive, said(passive, str(i)))
    assert texts(aod.events(passive)) == [str(i) for i in range(130)]
    assert texts(aod.get("/events/" + passive).json["events"]) == [str(i) for i in range(130)]


@pytest.mark.parametrize("how, result", [("kill KILL", "signal"), ("crash", "signal"), ("exit 3", "exit-code")])
def test_defect_11_a_crashed_agent_is_not_running_for_ever(aod, how, result):
    s = aod.run_demo("say about to die\n" + how)
    assert s["status"] == "finished" and s["state"] == "failed" and s["result"] == result and s["error"]
    assert kinds(aod.events(s["session_id"]))[-1] == "session_stop"
    r = aod.resume(s["session_id"], "say back again")
    assert r["status"] == "running"
    assert aod.wait_status(s["session_id"])["state"] == "finished"


def test_defect_12_stop_leaves_no_descendants(aod):
    sid = aod.plain_demo("children 1\nchildren 1 setsid\nchildren 1 daemon\nhang")
    ev = []
    with aod.follow(sid) as events:
        for e in events:
            ev.append(e)
            if len(texts(ev)) == 3:
                break
    left = [int(p) for t in texts(ev) for p in t.split()[1:]]
    assert len(left) == 3 and all(alive(p) for p in left)
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)
    wait_for("the children to go", lambda: not any(alive(p) for p in left))
    aod.assert_no_process_left(sid)


def test_defect_14_a_quick_resume_never_stays_running(aod):
    sid = aod.demo("say 0")
    aod.wait_status(sid)
    for i in range(1, 9):
        aod.resume(sid, "say %d" % i)
        s = aod.wait_status(sid)
        assert s["state"] == "finished" and s["runs"] == i + 1
        assert aod.result(sid) == str(i)
    ev = aod.events(sid)
    assert kinds(ev).count("session_start") == kinds(ev).count("session_stop") == 9


def test_many_at_once(aod):
    """Sixty sessions from twenty clients: every one runs once and ends as it should."""
    def one(i):
        s = aod.create(command=["/bin/sh", "-c", "echo out-%d; exit %d" % (i, i % 5)])
        return i, s["session_id"]

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        made = list(pool.map(one, range(60)))
    for i, sid in made:
        s = aod.wait_status(sid)
        assert s["exit_code"] == i % 5 and s["state"] == ("finished" if i % 5 == 0 else "failed")
        assert outputs(aod.events(sid)) == ["out-%d" % i]
