# SPDX-License-Identifier: MIT
"""The Context Store: documents as older clients know them, and what they could not do."""
import concurrent.futures
import datetime
import email.utils
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest

from aod import WAIT, alive, rss_mib, wait_for
from test_disk import Ballast

BOUNDARY = "----boundary7d91"
KEYS = ["id", "filename", "content_type", "size_bytes", "created_at", "updated_at", "tags", "metadata", "url"]


def form(*parts, boundary=BOUNDARY):
    """parts: (name, content) or (name, content, filename) or (name, content, filename, type)."""
    out = b""
    for name, content, *more in parts:
        out += b'--%s\r\nContent-Disposition: form-data; name="%s"' % (boundary.encode(), name.encode())
        if more and more[0] is not None:
            out += b'; filename="%s"' % more[0].encode()
        if len(more) > 1:
            out += b"\r\nContent-Type: " + more[1].encode()
        out += b"\r\n\r\n" + (content.encode() if isinstance(content, str) else content) + b"\r\n"
    return out + b"--%s--\r\n" % boundary.encode()


def ask(a, method, path, raw=None, headers=None, port="context", **kw):
    return a.request(method, path, raw=raw, headers=headers, port=port, **kw)


def push_form(a, *parts, headers=None, **kw):
    return ask(a, "POST", "/documents", form(*parts), {"Content-Type": "multipart/form-data; boundary=" + BOUNDARY, **(headers or {})}, **kw)


def push(a, content, query="", headers=None, **kw):
    if isinstance(content, str):
        content = content.encode()
    return ask(a, "POST", "/documents" + query, content, {"Content-Type": "text/plain", **(headers or {})}, **kw)


def new(a, content, **query):
    r = push(a, content, "?" + urllib.parse.urlencode(query) if query else "")
    assert r.status == 201, r
    return r.json


def stored(a):
    """Files of contents by name, and of uploads."""
    contents, uploads = {}, []
    for base, _, names in os.walk(os.path.join(a.root, "state", "documents")):
        for n in names:
            contents[n] = os.path.join(base, n)
    uploads = os.listdir(os.path.join(a.root, "state", "uploads"))
    return contents, uploads


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def assert_whole(a):
    """Every document can be read and is what its row says; no file is without a document; nothing is left of uploads."""
    rows = ask(a, "GET", "/documents?limit=100000").json
    for d in rows:
        assert sha256(ask(a, "GET", "/documents/" + d["id"]).data) == d["checksum"], d
    known = {d["checksum"] for d in rows}
    wait_for("files without a document to go", lambda: set(stored(a)[0]) == known and not stored(a)[1])
    return rows


# ---- as older clients know it ---------------------------------------------------------------------------------


def test_form(aod):
    r = push_form(aod, ("file", "# Hello\n", "hello.md"), ("tags", "b, a"), ("metadata", '{"description": "x"}'))
    assert r.status == 201
    d = r.json
    assert list(d)[:9] == KEYS
    assert re.fullmatch("doc_[0-9a-f]{24}", d["id"])
    assert (d["filename"], d["content_type"], d["size_bytes"], d["tags"], d["metadata"]) == \
        ("hello.md", "text/markdown", 8, ["b", "a"], {"description": "x"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", d["created_at"]) and d["updated_at"] == d["created_at"]
    assert abs((datetime.datetime.fromisoformat(d["created_at"]) - datetime.datetime.now()).total_seconds()) < 60
    assert d["url"] == "http://127.0.0.1:%d/documents/%s" % (aod.ports["context"], d["id"])
    assert d["checksum"] == sha256(b"# Hello\n") and d["version"] == 1
    assert ask(aod, "GET", "/documents/%s/metadata" % d["id"]).json == d
    got = ask(aod, "GET", "/documents/" + d["id"])
    assert got.status == 200 and got.data == b"# Hello\n"
    assert got.headers["content-type"] == "text/markdown; charset=utf-8"
    assert got.headers["content-disposition"] == 'attachment; filename="hello.md"'
    assert got.headers["accept-ranges"] == "bytes" and got.headers["etag"] == '"%s"' % d["checksum"]
    assert email.utils.parsedate_to_datetime(got.headers["last-modified"])
    gone = ask(aod, "DELETE", "/documents/" + d["id"])
    assert gone.status == 200
    assert gone.json == {"success": True, "message": "Document %s deleted successfully" % d["id"], "document_id": d["id"]}
    for method, path in (("GET", ""), ("GET", "/metadata"), ("DELETE", "")):
        r = ask(aod, method, "/documents/" + d["id"] + path)
        assert (r.status, r.json) == (404, {"detail": "Document not found"})


def test_form_defaults_and_errors(aod):
    kind = {"Content-Type": "multipart/form-data; boundary=" + BOUNDARY}
    assert push_form(aod, ("file", "x", None)).json["filename"] == "unknown"
    assert push_form(aod, ("file", "x", "a.bin", "image/png")).json["content_type"] == "image/png"
    assert push_form(aod, ("file", "x", "a.jsonl")).json["content_type"] == "application/jsonl"
    assert push_form(aod, ("file", "", "empty")).json["size_bytes"] == 0
    # In any order, and what is not known is not wanted.
    d = push_form(aod, ("metadata", "{}"), ("other", "y" * 100000), ("tags", "t"), ("file", "x", "f")).json
    assert (d["tags"], d["metadata"]) == (["t"], {})
    r = push_form(aod, ("tags", "a"))
    assert r.status == 422 and r.detail[0]["loc"] == ["body", "file"] and r.detail[0]["type"] == "missing"
    for bad in ("{", "[1]", "5", '"x"', "null", "{}x", '{"a":NaN}', '{"a":-Infinity}'):
        r = push_form(aod, ("file", "x", "f"), ("metadata", bad))
        assert (r.status, r.detail) == (400, "Invalid JSON in metadata parameter"), bad
    whole = form(("file", "content", "f"), ("tags", "a"))
    for bad in (whole[:-6], whole[:30], b"", b"no form", whole.replace(b'name="file"', b"nothing"), whole.replace(b"\r\n\r\n", b"\n\n")):
        assert ask(aod, "POST", "/documents", bad, kind).status == 400, bad
    assert ask(aod, "POST", "/documents", whole, {"Content-Type": "multipart/form-data"}).status == 400
    assert push_form(aod, ("file", "x", "f"), ("file", "y", "g")).status == 422
    wait_for("uploads to go", lambda: not stored(aod)[1])


def test_list(make_aod):
    a = make_aod()
    ids = [new(a, "text %d" % i, filename="file_%d.TXT" % i, tags="all," + ("even" if i % 2 == 0 else "odd"))["id"] for i in range(7)]
    get = lambda q: [d["id"] for d in ask(a, "GET", "/documents" + q).json]  # noqa: E731
    assert get("") == ids
    assert get("?limit=2&offset=3") == ids[3:5] and get("?limit=0") == []
    assert get("?filename=_3.txt") == [ids[3]] and get("?filename=e%255F") == [] and len(get("?filename=f%25_1")) == 1
    assert get("?tags=even") == sorted(ids[0::2])
    assert get("?tags=all,%20even") == sorted(ids[0::2]) and get("?tags=even,odd") == [] and get("?tags=Even") == []
    assert get("?tags=all,even,even&limit=1&offset=1") == sorted(ids[0::2])[1:2]
    assert get("?tags=,all") == [] and get("?tags=all,nowhere") == []
    assert get("?tags=all&filename=_5") == [ids[5]]
    assert ask(a, "GET", "/documents?limit=x").status == 422 and ask(a, "GET", "/documents?offset=-1").status == 422
    assert ask(a, "GET", "/documents/tags").json == [{"name": "all", "count": 7}, {"name": "even", "count": 4}, {"name": "odd", "count": 3}]
    assert ask(a, "GET", "/health").json == {"status": "healthy", "service": "context-store"}
    # The same on the unix socket and on the runtime's port.
    assert len(a.get("/documents", unix=True).json) == 7 and len(a.get("/documents").json) == 7
    d = a.request("POST", "/documents?filename=u", raw=b"over the socket", unix=True).json
    assert d["url"] == "http://localhost:%d/documents/%s" % (a.ports["context"], d["id"])


def test_default_limit(make_aod):
    a = make_aod()
    for i in range(103):
        new(a, "same")
    assert len(ask(a, "GET", "/documents").json) == 100
    assert len(ask(a, "GET", "/documents?limit=1000").json) == 103
    assert len(stored(a)[0]) == 1


def test_public_url(make_aod):
    a = make_aod(env={"DOCUMENT_SERVER_PUBLIC_URL": "https://docs.example/store/"})
    d = new(a, "x")
    assert d["url"] == "https://docs.example/store/documents/" + d["id"]
    assert ask(a, "GET", "/documents").json[0]["url"] == d["url"]


# ---- defects of the older server ------------------------------------------------------------------------------


def test_metadata_of_every_kind(make_aod):
    a = make_aod()
    text = '{"n": 1, "f": 2.50, "t": true, "z": null, "l": [1, "a"], "o": {"x": {}}, "big": 123456789012345678901234567890, "s": "\\u00e9\\n\\""}'
    d = push_form(a, ("file", "x", "f"), ("metadata", text))
    assert d.status == 201 and d.json["metadata"] == json.loads(text)
    assert ask(a, "GET", "/documents").json == [d.json]
    assert b'"f":2.50' in d.data and b'"big":123456789012345678901234567890' in d.data


def test_tags_that_repeat(make_aod):
    a = make_aod()
    assert push_form(a, ("file", "x", "f"), ("tags", "a,a, a ,,b,")).json["tags"] == ["a", "", "b"]
    assert push_form(a, ("file", "x", "f"), ("tags", "")).json["tags"] == []
    assert len(ask(a, "GET", "/documents?tags=a").json) == 1
    many = ",".join("tag%d" % i for i in range(10000))
    r = push_form(a, ("file", "x", "f"), ("tags", many))
    assert r.status == 422 and "1000" in r.detail
    r = push_form(a, ("file", "x", "f"), ("tags", ",".join("tag%d" % i for i in range(1000))))
    assert r.status == 201 and len(r.json["tags"]) == 1000
    assert push_form(a, ("file", "x", "f"), ("tags", "x" * 201)).status == 422
    assert push_form(a, ("file", "x", "f"), ("tags", "x" * (2 << 20))).status == 413
    assert len(assert_whole(a)) == 3


def test_delete_takes_all(make_aod):
    a = make_aod()
    d, other = new(a, "first", tags="a,b", filename="f"), new(a, "other", tags="b")
    ask(a, "PUT", "/documents/" + d["id"], b"second")
    a.request("POST", "/documents/%s/relations" % d["id"], {"to": other["id"], "type": "cites"}, port="context")
    assert ask(a, "DELETE", "/documents/" + d["id"]).status == 200
    assert ask(a, "GET", "/documents/tags").json == [{"name": "b", "count": 1}]
    assert ask(a, "GET", "/documents/%s/relations" % other["id"]).json == []
    for table in ("document_tag", "document_version", "document_relation"):
        assert not a.sql("SELECT * FROM %s WHERE %s = '%s'" % (table, "from_id" if table == "document_relation" else "id", d["id"]))
    assert len(assert_whole(a)) == 1


# ---- content --------------------------------------------------------------------------------------------------


def test_ranges(aod):
    data = bytes(range(256)) * 1000
    d = new(aod, data)
    n = len(data)
    path = "/documents/" + d["id"]
    for spec, want in (("0-0", data[:1]), ("10-19", data[10:20]), ("%d-" % (n - 3), data[-3:]), ("-5", data[-5:]), ("-%d" % (n * 9), data),
                       ("0-99999999999999999999999999", data), ("%d-%d" % (n - 1, n - 1), data[-1:])):
        r = ask(aod, "GET", path, headers={"Range": "bytes=" + spec})
        assert r.status == 206 and r.data == want, spec
        start = n - len(want) if spec.startswith("-") or spec.endswith("-") else int(spec.split("-")[0])
        assert r.headers["content-range"] == "bytes %d-%d/%d" % (start, start + len(want) - 1, n)
    for spec in ("%d-" % n, "99999999999999999999999-", "-0", "5-2", "--5", "-", "a-b", "1-2x", " 1-2", "-99999999999999999999x"):
        r = ask(aod, "GET", path, headers={"Range": "bytes=" + spec})
        assert r.status == 416 and r.headers["content-range"] == "bytes */%d" % n, spec
    for header in ("lines=1-2", "bytes=0-1,5-6", "nothing"):
        assert ask(aod, "GET", path, headers={"Range": header}).status == 200
    assert ask(aod, "GET", path, headers={"Range": "bytes=0-1", "If-Range": '"%s"' % d["checksum"]}).status == 206
    assert ask(aod, "GET", path, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status == 200
    empty = new(aod, b"")
    assert ask(aod, "GET", "/documents/" + empty["id"], headers={"Range": "bytes=0-"}).status == 416
    r = ask(aod, "HEAD", path)
    assert r.status == 200 and r.headers["content-length"] == str(n) and r.data == b""
    r = ask(aod, "HEAD", path, headers={"Range": "bytes=1-4"})
    assert r.status == 206 and r.headers["content-length"] == "4" and r.data == b""


def test_conditions(aod):
    d = new(aod, "abc")
    path, tag = "/documents/" + d["id"], '"%s"' % d["checksum"]
    modified = ask(aod, "GET", path).headers["last-modified"]
    early = "Thu, 01 Jan 2015 00:00:00 GMT"
    for headers, want in (({"If-None-Match": tag}, 304), ({"If-None-Match": "*"}, 304), ({"If-None-Match": '"x", W/' + tag}, 304),
                          ({"If-None-Match": '"x"'}, 200), ({"If-Modified-Since": modified}, 304), ({"If-Modified-Since": early}, 200),
                          ({"If-None-Match": '"x"', "If-Modified-Since": modified}, 200), ({"If-Match": tag}, 200), ({"If-Match": '"x"'}, 412), ({"If-Match": "W/" + tag}, 412),
                          ({"If-Unmodified-Since": early}, 412), ({"If-Unmodified-Since": modified}, 200), ({"If-Modified-Since": "yesterday"}, 200)):
        r = ask(aod, "GET", path, headers=headers)
        assert r.status == want, headers
        assert r.headers["etag"] == tag and (want == 200 or b"abc" not in r.data)


def test_filenames(aod):
    for name, kept in (("../../etc/passwd", "passwd"), ("/etc/shadow", "shadow"), ("C:\\\\dir\\\\x.txt", "x.txt"), ("..", "unknown"), (".", "unknown"),
                       ("a/..", "unknown"), ("", "unknown"), ("x" * 1000, "x" * 255), ("dir/", "dir"), (".hidden", ".hidden")):
        d = push_form(aod, ("file", "x", name))
        assert d.status == 201 and d.json["filename"] == kept, name
    d = new(aod, "x", filename="a\r\nSet-Cookie: x=1\x1b[2J\u00e9\"q\".txt")
    assert "\r" not in d["filename"] and "\n" not in d["filename"]
    r = ask(aod, "GET", "/documents/" + d["id"])
    assert "set-cookie" not in r.headers
    disposition = r.headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="[^"]*"; filename\*=UTF-8\'\'[\w%.!#$&+^`|~-]*', disposition), disposition
    assert urllib.parse.unquote(disposition.split("''")[1]) == d["filename"]
    assert push_form(aod, ("file", "x", "na\u00efve.txt")).json["filename"] == "na\u00efve.txt"
    body = form(("file", "x", "y")).replace(b'filename="y"', b"filename=\"y\"; filename*=UTF-8''%e2%82%ac%20rates.txt")
    r = ask(aod, "POST", "/documents", body, {"Content-Type": "multipart/form-data; boundary=" + BOUNDARY})
    assert r.json["filename"] == "\u20ac rates.txt" and r.json["content_type"] == "text/plain"


def test_plain_body_and_checksum(aod):
    data = b"some bytes"
    r = push(aod, data, headers={"X-Filename": "n.json", "X-Tags": "p,q", "X-Metadata": '{"k":[1]}', "X-Checksum": sha256(data).upper()})
    d = r.json
    assert r.status == 201 and (d["filename"], d["tags"], d["metadata"], d["content_type"]) == ("n.json", ["p", "q"], {"k": [1]}, "text/plain")
    r = ask(aod, "POST", "/documents?filename=n.json", data, {"X-Checksum": "sha256=" + sha256(data)})
    assert r.status == 201 and r.json["content_type"] == "application/json"
    r = push(aod, data, headers={"X-Checksum": sha256(b"other")})
    assert r.status == 422 and sha256(data) in r.detail
    assert push(aod, data, headers={"X-Checksum": "md5=x"}).status == 422
    assert ask(aod, "POST", "/documents", b"").status == 422
    pieces = [b"a" * 10, b"b" * 100000, b"c"]
    c = raw(aod, b"POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    for p in pieces:
        c.sendall(b"%x;ext=1\r\n" % len(p) + p + b"\r\n")
    c.sendall(b"0\r\nTrailer: x\r\n\r\n")
    status, _, body = answer(c)
    assert status == 201 and json.loads(body)["checksum"] == sha256(b"".join(pieces))
    for bad in (b"x\r\n", b"5\r\nabcdeX", b"-5\r\n", b"fffffffffffffffff\r\n"):
        c = raw(aod, b"POST /documents HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + bad)
        c.shutdown(socket.SHUT_WR)
        assert answer(c)[0] in (400, 413), bad


def test_large_document(make_aod):
    a = make_aod()
    size = 100 << 20
    piece = os.urandom(1 << 20)
    before = rss_mib(a.pid), rss_mib(a.http_pid())
    c = socket.create_connection(("127.0.0.1", a.ports["context"]), timeout=WAIT)
    head = b"--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big\"\r\n\r\n" % BOUNDARY.encode()
    tail = b"\r\n--%s--\r\n" % BOUNDARY.encode()
    c.sendall(b"POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n\r\n" %
              (BOUNDARY.encode(), len(head) + size + len(tail)) + head)
    total = hashlib.sha256()
    for _ in range(100):
        c.sendall(piece)
        total.update(piece)
    c.sendall(tail)
    d = json.loads(answer(c)[2])
    assert d["size_bytes"] == size and d["checksum"] == total.hexdigest()
    # The same connection goes on.
    c.sendall(b"GET /documents/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % d["id"].encode())
    got, rest, seen = hashlib.sha256(), b"", 0
    while b"\r\n\r\n" not in rest:
        rest += c.recv(65536)
    rest = rest.split(b"\r\n\r\n", 1)[1]
    while rest:
        got.update(rest)
        seen += len(rest)
        rest = c.recv(1 << 20)
    assert seen == size and got.hexdigest() == d["checksum"]
    assert rss_mib(a.pid) - before[0] < 20 and rss_mib(a.http_pid()) - before[1] < 20


def test_over_tls(make_aod, tmp_path):
    """TLS is read by h2o, not from the socket; two uploads, of known length and in chunks, and a query, one behind the other."""
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], stderr=subprocess.DEVNULL, check=True)
    a = make_aod(args=["--tls-cert", cert, "--tls-key", key])
    token = a.request("POST", "/tokens", {"name": "t", "role": "operator"}, unix=True).json["token"].encode()
    tls = ssl.create_default_context(cafile=cert)
    data, before = os.urandom(20 << 20), rss_mib(a.http_pid())
    head = b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: x/y\r\nAuthorization: Bearer " + token + b"\r\n"
    with tls.wrap_socket(socket.create_connection(("127.0.0.1", a.ports["context"]), timeout=WAIT), server_hostname="localhost") as c:
        c.sendall(b"POST /documents" + head + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        c.sendall(b"POST /documents" + head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n")
        c.sendall(b"GET /documents" + head + b"\r\n")
        for _ in range(2):
            status, _, body = answer(c)
            assert status == 201 and json.loads(body)["checksum"] == sha256(data) and json.loads(body)["url"].startswith("https://localhost")
        assert len(json.loads(answer(c)[2])) == 2
    wait_for("memory to go back", lambda: rss_mib(a.http_pid()) - before < 40)


# ---- versions, changes, relations, search, expiry --------------------------------------------------------------


def test_versions(make_aod):
    a = make_aod()
    d = new(a, "one", filename="f.txt", tags="keep")
    path = "/documents/" + d["id"]
    r = ask(a, "PUT", path, b"two", {"Content-Type": "text/x-two", "If-Match": '"%s"' % d["checksum"]})
    assert r.status == 200 and (r.json["version"], r.json["tags"], r.json["filename"]) == (2, ["keep"], "f.txt")
    for match in ('"%s"' % d["checksum"], 'W/"%s"' % sha256(b"two"), "x" * 5000, ""):
        assert ask(a, "PUT", path, b"three", {"If-Match": match}).status == 412, match
    assert ask(a, "GET", path).data == b"two" and ask(a, "GET", path + "?version=1").data == b"one"
    assert ask(a, "GET", path + "?version=2").data == b"two" and ask(a, "GET", path + "?version=9").status == 404
    versions = ask(a, "GET", path + "/versions").json
    assert [v["version"] for v in versions] == [2, 1] and versions[1]["checksum"] == sha256(b"one")
    for i in range(30):
        assert ask(a, "PUT", path, b"v%d" % i).status == 200
    versions = ask(a, "GET", path + "/versions").json
    assert len(versions) == 21 and versions[0]["version"] == 32
    assert ask(a, "GET", path + "?version=1").status == 404
    wait_for("old contents to go", lambda: set(stored(a)[0]) == {v["checksum"] for v in versions})
    assert ask(a, "PUT", "/documents/doc_0", b"x").status == 404
    wait_for("uploads to go", lambda: not stored(a)[1])


def test_patch(aod):
    d = new(aod, "text", filename="f", tags="a")
    path = "/documents/" + d["id"]
    patch = lambda **body: aod.request("PATCH", path, body, port="context")  # noqa: E731
    r = patch(tags=["x", " y ", "x"], metadata={"v": None})
    assert r.status == 200 and (r.json["tags"], r.json["metadata"]) == (["x", "y"], {"v": None})
    assert patch().json["tags"] == ["x", "y"] and patch(filename="../new").json["filename"] == "new"
    assert patch(tags="p, q").json["tags"] == ["p", "q"] and patch(tags=[]).json["tags"] == []
    for bad in ({"tags": [1]}, {"tags": 5}, {"metadata": []}, {"filename": 1}, {"expires_at": "soon"}, {"ttl": "x"}, {"tags": ["\u0001"]}):
        assert patch(**bad).status == 422, bad
    assert ask(aod, "GET", path + "/metadata").json["filename"] == "new"
    assert aod.request("PATCH", "/documents/doc_0", {}, port="context").status == 404


def test_relations(aod):
    one, two = new(aod, "1"), new(aod, "2")
    path = "/documents/%s/relations" % one["id"]
    relate = lambda **body: aod.request("POST", path, body, port="context")  # noqa: E731
    assert relate(to=two["id"], type="cites").status == 201 and relate(to=two["id"], type="cites").status == 200
    assert relate(to="doc_0", type="cites").status == 404 and relate(to=two["id"]).status == 422
    for d in (one, two):
        got = ask(aod, "GET", "/documents/%s/relations" % d["id"]).json
        assert [(r["from"], r["to"], r["type"]) for r in got] == [(one["id"], two["id"], "cites")]
    assert ask(aod, "DELETE", path + "?to=%s&type=other" % two["id"]).status == 404
    assert ask(aod, "DELETE", path + "?to=" + two["id"]).json == {"success": True, "deleted": 1}
    assert ask(aod, "GET", path).json == [] and ask(aod, "GET", "/documents/doc_0/relations").status == 404


def found(a, q):
    return [d["id"] for d in ask(a, "GET", "/documents?q=" + urllib.parse.quote(q)).json]


def test_search(make_aod):
    a = make_aod()
    code = new(a, "int main(void)\n{\n\treturn foo_bar(42);\n}\n", filename="m.c")
    prose = new(a, "The quick brown fox \u00fcberspringt the lazy dog.", filename="fox.md")
    new(a, b"\x00\x01foo_bar(42)", filename="binary")
    wait_for("the index", lambda: found(a, "foo_bar"))
    wait_for("the index", lambda: found(a, "lazy"))
    assert found(a, "foo_bar(42)") == [code["id"]] and found(a, "BROWN fox") == [prose["id"]] and found(a, '"lazy dog"') == [prose["id"]]
    assert found(a, "fox foo_bar") == [] and found(a, "\u00fcbersp") == [prose["id"]] and found(a, '"quick fox"') == []
    for q in ('a" OR "b', "x* NEAR(", "text:foo", "-fox(", "';--", 'foo"bar', "^quick"):
        assert ask(a, "GET", "/documents?q=" + urllib.parse.quote(q)).status in (200, 422), q
    assert ask(a, "GET", "/documents?q=ab").status == 422
    hit = ask(a, "GET", "/documents/search?q=lazy&include_relations=1").json
    assert hit["query"] == "lazy" and hit["results"][0]["document_id"] == prose["id"] and "[lazy]" in hit["results"][0]["snippet"]
    assert hit["results"][0]["relations"] == [] and hit["results"][0]["document_url"] == prose["url"]
    assert ask(a, "GET", "/documents/search").status == 422
    ask(a, "PUT", "/documents/" + code["id"], b"something else entirely")
    wait_for("the new text", lambda: found(a, "entirely"))
    assert found(a, "foo_bar") == []
    ask(a, "DELETE", "/documents/" + prose["id"])
    assert found(a, "lazy") == []


def test_expiry(make_aod):
    a = make_aod()
    short, keep = new(a, "short", ttl="100ms"), new(a, "keep", ttl="1h")
    wait_for("it to expire", lambda: ask(a, "GET", "/documents/" + short["id"]).status == 404)
    assert keep["expires_at"] and ask(a, "GET", "/documents/" + keep["id"]).status == 200
    past = a.request("PATCH", "/documents/" + keep["id"], {"expires_at": None}, port="context").json
    assert past["expires_at"] is None
    a.request("PATCH", "/documents/" + keep["id"], {"expires_at": "2020-01-01T00:00:00Z"}, port="context")
    wait_for("it to expire", lambda: ask(a, "GET", "/documents").json == [])
    wait_for("contents to go", lambda: stored(a) == ({}, []))


def test_origin_of_a_document(aod):
    sid = aod.demo("say x")
    aod.wait_status(sid)
    d = push(aod, "x", headers={"X-Agent-Session-Id": sid}).json
    assert d["session_id"] == sid and d["event_seq"] > 0 and d["author"].startswith("tcp:")
    assert push(aod, "x", headers={"X-Agent-Session-Id": "nobody"}).json["session_id"] is None


# ---- limits ---------------------------------------------------------------------------------------------------


def answer(c):
    """One answer from a socket, and not a byte of the next: status (0: it was closed), headers, body. 100 is passed over."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        got = c.recv(1)
        if not got:
            return 0, {}, data
        data += got
        if data.startswith(b"HTTP/1.1 100") and data.endswith(b"\r\n\r\n"):
            data = b""
    headers = dict(line.lower().split(": ", 1) for line in data.decode().split("\r\n")[1:-2])
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        got = c.recv(int(headers["content-length"]) - len(body))
        if not got:
            break
        body += got
    return int(data.split()[1]), headers, body


def raw(a, data, timeout=60):
    c = socket.create_connection(("127.0.0.1", a.ports["context"]), timeout=timeout)
    c.sendall(data)
    return c


def test_too_large(make_aod):
    a = make_aod(args=["--max-document", "1M"])
    assert push(a, b"x" * (1 << 20)).status == 201
    assert push(a, b"x" * ((1 << 20) + 1)).status == 413
    # Refused from its head: not a byte of the body is sent, and the client is not told to go on.
    c = raw(a, b"POST /documents HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n")
    data = c.recv(65536)
    assert data.startswith(b"HTTP/1.1 413 "), data
    # Chunked: cut at the cap, while the client still sends.
    c = raw(a, b"POST /documents HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(40):
        c.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    status, headers, _ = answer(c)
    assert status == 413 and headers["connection"] == "close"
    # What a form has around the document does not count.
    assert push_form(a, ("tags", "a,b"), ("file", b"y" * (1 << 20), "f")).status == 201
    assert push_form(a, ("file", b"x" * ((1 << 20) + 1), "f")).status == 413
    wait_for("uploads to go", lambda: not stored(a)[1])
    assert len(assert_whole(a)) == 2


def test_quota(make_aod):
    a = make_aod(args=["--document-quota", "100K"])
    first = new(a, b"a" * 60000)
    new(a, b"a" * 30000)
    r = push(a, b"b" * 60000)
    assert r.status == 507 and "--document-quota" in r.detail
    ask(a, "DELETE", "/documents/" + first["id"])
    wait_for("room", lambda: push(a, b"b" * 60000).status == 201)
    assert len(assert_whole(a)) == 2


# ---- bad clients ----------------------------------------------------------------------------------------------


def test_smuggling(aod):
    """Requests whose end could be seen in two places: answered with 400, or closed; what follows is never a request of its own."""
    inner = b"GET /documents/tags HTTP/1.1\r\nHost: localhost\r\n\r\n"
    start = b"POST /documents?filename=smuggled HTTP/1.1\r\nHost: localhost\r\n"
    for head in (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 5\r\nContent-Length: 6\r\n",
                 b"Content-Length: 5\r\nContent-Length: 5\r\n", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                 b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Content-Length: -5\r\n", b"Content-Length: +5\r\n",
                 b"Content-Length: 0x5\r\n", b"Content-Length: 5, 5\r\n", b"Content-Length : 5\r\n", b"Content-Length:\r\n 5\r\n",
                 b"Content-Length: 99999999999999999999999\r\n"):
        c = raw(aod, start + head + b"\r\n" + b"0\r\n\r\n" + inner)
        status, headers, _ = answer(c)
        assert status in (0, 400, 413), (head, status)
        c.settimeout(60)
        try:
            while True:
                more = c.recv(65536)
                assert b"HTTP/1.1" not in more, (head, more)
                if not more:
                    break
        except ConnectionResetError:
            pass
    # A body that nobody reads ends its connection.
    for path in (b"/nowhere", b"/documents/x/y/z", b"/health"):
        c = raw(aod, b"PUT " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner + inner)
        status, _, _ = answer(c)
        assert status in (404, 405)
    c = raw(aod, b"PUT /documents/tags HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner + inner)
    status, headers, _ = answer(c)
    assert status in (403, 404, 405) and headers["connection"] == "close"
    # A body that is refused unread does not hide the answer.
    c = raw(aod, b"PUT /documents/doc_0?ttl=x HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil\r\nContent-Length: 30000000\r\n\r\n")
    for _ in range(30):
        c.sendall(b"x" * 1000000)
    status, headers, _ = answer(c)
    assert status == 403 and headers["connection"] == "close"
    assert not [d for d in ask(aod, "GET", "/documents?limit=10000").json if d["filename"] == "smuggled"]
    # No client can say itself what aod-http notes about a body.
    c = raw(aod, b"POST /documents HTTP/1.1\r\nHost: localhost\r\nbody:held: 0 5\r\nContent-Length: 3\r\n\r\nabc")
    assert answer(c)[0] in (201, 400)


def test_pipelining(aod):
    one = b"POST /documents?filename=p HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbody"
    two = b"POST /documents?filename=p HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmore\r\n0\r\n\r\n"
    c = raw(aod, (one + two) * 20 + b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    data = b""
    while True:
        got = c.recv(65536)
        if not got:
            break
        data += got
    assert data.count(b"HTTP/1.1 201 Created") == 40 and data.endswith(b'"context-store"}')
    # In two pieces at every place.
    whole = one + two
    for cut in range(1, len(whole), 7):
        c = raw(aod, whole[:cut])
        c.sendall(whole[cut:])
        assert answer(c)[0] == 201 and answer(c)[0] == 201, cut


def test_http10_and_long_headers(aod):
    c = raw(aod, b"POST /documents?filename=old HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
    status, headers, body = answer(c)
    assert status == 201 and headers["connection"] == "close" and c.recv(10) == b""
    c = raw(aod, b"GET /documents/%s HTTP/1.0\r\n\r\n" % json.loads(body)["id"].encode())
    assert answer(c)[2] == b"abc"
    for head in (b"X: " + b"a" * (1 << 20) + b"\r\n", b"".join(b"X-%d: y\r\n" % i for i in range(50000))):
        c = raw(aod, b"POST /documents HTTP/1.1\r\nHost: localhost\r\n")
        try:
            c.sendall(head + b"Content-Length: 1\r\n\r\nx")
            assert answer(c)[0] in (0, 400, 431)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert ask(aod, "GET", "/health").status == 200


def test_two_deletes(aod):
    for _ in range(10):
        d = new(aod, "x")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            got = sorted(r.status for r in pool.map(lambda _: ask(aod, "DELETE", "/documents/" + d["id"]), range(4)))
        assert got == [200, 404, 404, 404]


def test_client_that_goes(aod):
    """The connection breaks, or its sending side ends, in the middle of a body: nothing is left."""
    before = len(ask(aod, "GET", "/documents?limit=100000").json)
    head = b"POST /documents?filename=gone HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n"
    for _ in range(5):
        c = raw(aod, head + b"x" * 200000)
        wait_for("the upload", lambda: stored(aod)[1])
        c.close()
        wait_for("the upload to go", lambda: not stored(aod)[1])
    c = raw(aod, head + b"x" * 200000)
    c.shutdown(socket.SHUT_WR)
    assert answer(c)[0] in (0, 400)
    wait_for("the upload to go", lambda: not stored(aod)[1])
    assert len(ask(aod, "GET", "/documents?limit=100000").json) == before


def test_slow_clients(make_aod):
    """A thousand that send a byte a second hold nobody up, and are not waited for longer than the timeout of a request."""
    a = make_aod()
    head = b"POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n"
    began = time.monotonic()
    slow = [raw(a, head) for _ in range(1000)]
    stop = threading.Event()

    def trickle():
        while not stop.wait(1):
            for c in slow:
                try:
                    c.send(b"x", socket.MSG_DONTWAIT)
                except OSError:
                    pass

    t = threading.Thread(target=trickle)
    t.start()
    try:
        took = []
        for i in range(50):
            at = time.monotonic()
            d = new(a, "quick %d" % i)
            assert ask(a, "GET", "/documents/" + d["id"]).data == b"quick %d" % i
            took.append(time.monotonic() - at)
        assert sorted(took)[25] < 0.5
        status = [answer(c)[0] for c in slow[:5]]
        assert set(status) <= {0, 408} and 25 < time.monotonic() - began < 60
        wait_for("the uploads to go", lambda: not stored(a)[1])
    finally:
        stop.set()
        t.join()
        for c in slow:
            c.close()


# ---- crashes and full disks -----------------------------------------------------------------------------------


def upload_until(a, done, results):
    """Push documents one after the other until told to end; what was answered with 201 goes into results."""
    i = 0
    while not done.is_set():
        data = os.urandom(50000) + b"%d" % i
        i += 1
        try:
            c = raw(a, b"POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(data))
            c.sendall(data)
            status, _, body = answer(c)
            if status == 201:
                results.append((json.loads(body)["id"], sha256(data)))
            c.close()
        except OSError:
            time.sleep(0.001)  # nobody listens for the moment


@pytest.mark.parametrize("victim", ["aod", "aod-http"])
def test_kill_in_the_middle(make_aod, victim):
    a = make_aod()
    results, done = [], threading.Event()
    threads = [threading.Thread(target=upload_until, args=(a, done, results)) for _ in range(3)]
    for t in threads:
        t.start()
    half = raw(a, b"POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 300000)
    try:
        for round_ in range(3):
            had = len(results)
            wait_for("some documents", lambda: len(results) > had + 5)
            if victim == "aod":
                a.kill9()
                a.start()
            else:
                old = a.kill9_http()
                wait_for("another aod-http", lambda: a.http_pid() not in (None, old))
    finally:
        done.set()
        for t in threads:
            t.join()
        half.close()
    wait_for("it to answer", lambda: ask(a, "GET", "/health").status == 200)
    rows = {d["id"]: d["checksum"] for d in assert_whole(a)}
    for did, checksum in results:
        assert rows[did] == checksum


def test_disk_full_in_the_middle(small):
    a = small
    state = "/proc/%d/root%s/state" % (a.pid, a.root)
    early = new(a, b"early" * 1000)
    r = push(a, b"x" * (30 << 20))
    assert r.status == 507, r
    assert push_form(a, ("file", b"x" * (30 << 20), "f")).status == 507
    wait_for("the upload to go", lambda: os.listdir(state + "/uploads") == [])
    assert ask(a, "GET", "/documents/" + early["id"]).data == b"early" * 1000
    # What is left is kept for the database.
    ballast = Ballast(a).fill(free=1 << 20)
    wait_for("small documents to be refused", lambda: push(a, b"small").status == 507)
    assert a.post("/sessions", {"session_id": "s", "session_name": "goes-on"}).status == 200
    ballast.remove()
    late = new(a, b"late" * 1000)
    assert ask(a, "GET", "/documents/" + late["id"]).data == b"late" * 1000
    assert {d["checksum"] for d in ask(a, "GET", "/documents").json} - {sha256(b"small")} == {early["checksum"], late["checksum"]}
    assert alive(a.pid)
