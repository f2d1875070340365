# SPDX-License-Identifier: MIT
"""doc-*: documents in and out under the names of old, over a pipe, and with servers that break off, lie, or are not there."""
import contextlib
import fcntl
import hashlib
import http.server
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import uuid

import pytest

from aod import BUILD, WAIT, clean_env, read_proc, wait_for

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def program(name):
    return os.path.join(BUILD, "bin", name)


def doc(aod, *args, input=None, env=None, cwd=None, timeout=WAIT, text=True):
    e = clean_env(**({"AOD_SOCKET": aod.socket} if aod else {}), **(env or {}))
    return subprocess.run([program(args[0]), *args[1:]], input=input, stdin=None if input is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=text, env=e, cwd=cwd, timeout=timeout)


def good(p):
    assert p.returncode == OK and p.stderr in ("", b""), p
    return p


def answer(p):
    """What a command printed, which is JSON with an indent of two."""
    o = json.loads(good(p).stdout)
    assert p.stdout == json.dumps(o, indent=2, ensure_ascii=False) + "\n"
    return o


def failed(p, text=None, code=FAILED):
    """The one line of JSON on stderr."""
    assert p.returncode == code and p.stdout == "", p
    e = json.loads(p.stderr)
    assert list(e) == ["error"] and p.stderr.count("\n") == 1
    if text is not None:
        assert e["error"] == text, p
    return e["error"]


def push(aod, path, content, *args):
    path.write_bytes(content)
    return answer(doc(aod, "doc-push", str(path), *args))


GONE = "doc_0123456789abcdef01234567"


# ---- push --------------------------------------------------------------------------------------------------


def test_push(aod, tmp_path):
    d = push(aod, tmp_path / "notes.md", b"# Hi\n", "--tags", " a, b,,a ", "--description", 'say "hi"\n')
    assert d["filename"] == "notes.md" and d["content_type"] == "text/markdown" and d["size_bytes"] == 5
    assert sorted(d["tags"]) == ["a", "b"] and d["metadata"] == {"description": 'say "hi"\n'}
    assert list(d)[:9] == "id filename content_type size_bytes created_at updated_at tags metadata url".split()
    assert aod.get("/documents/" + d["id"], port="context").data == b"# Hi\n"
    # The kind is that of the file, whatever it is called in future.
    e = answer(doc(aod, "doc-push", str(tmp_path / "notes.md"), "--name", "A report"))
    assert (e["filename"], e["content_type"], e["tags"], e["metadata"]) == ("A report", "text/markdown", [], {})


def test_push_of_a_pipe(aod, tmp_path):
    d = answer(doc(aod, "doc-push", "-", "--name", "from-pipe.txt", "--tags", "p", input="piped"))
    assert (d["filename"], d["content_type"], d["size_bytes"], d["tags"]) == ("from-pipe.txt", "text/plain", 5, ["p"])
    assert answer(doc(aod, "doc-push", "/dev/stdin", "--name", "x.json", input="{}"))["content_type"] == "application/json"
    assert answer(doc(aod, "doc-push", "-", "--name", "empty", input=""))["size_bytes"] == 0
    failed(doc(aod, "doc-push", "-", input="x"), "What comes from standard input needs a name: --name")


@pytest.mark.parametrize("name", ["ünï cödé.md", "a b;c=d.txt", 'qu"ote.txt', "-dash.txt", "back\\slash.txt", "%41.txt"])
def test_names(aod, tmp_path, name):
    d = push(aod, tmp_path / name, b"x") if not name.startswith("-") else None
    if d is None:
        (tmp_path / name).write_bytes(b"x")
        d = answer(doc(aod, "doc-push", "--", name, cwd=tmp_path))
    back = tmp_path / "back"
    back.mkdir()
    p = answer(doc(aod, "doc-pull", d["id"], cwd=back))
    assert os.listdir(back) == [p["filename"]] and p["filename"] == d["filename"]
    if "\\" not in name:  # a separator of other systems
        assert d["filename"] == name


def test_push_of_what_cannot_be_read(aod, tmp_path):
    failed(doc(aod, "doc-push", str(tmp_path / "none")), "File not found: %s" % (tmp_path / "none"))
    failed(doc(aod, "doc-push", str(tmp_path)), "%s: Is a directory" % tmp_path)
    failed(doc(aod, "doc-push", "-", "--name", "x", input="x", env={"DOC_SYNC_PORT": "1", "DOC_SYNC_HOST": "127.0.0.1"}))


# ---- pull --------------------------------------------------------------------------------------------------


def test_pull(aod, tmp_path):
    content = os.urandom(300_000)
    d = push(aod, tmp_path / "data.bin", content)
    here = tmp_path / "here"
    here.mkdir()
    p = answer(doc(aod, "doc-pull", d["id"], cwd=here))
    assert p == {"success": True, "document_id": d["id"], "filename": "data.bin", "size_bytes": len(content)}
    assert (here / "data.bin").read_bytes() == content and os.listdir(here) == ["data.bin"]
    mask = os.umask(0)
    os.umask(mask)
    assert os.stat(here / "data.bin").st_mode & 0o777 == 0o666 & ~mask
    out = str(here / "other")
    for option in (["-o", out], ["--output", out], ["--output=" + out], ["-o" + out]):
        p = answer(doc(aod, "doc-pull", d["id"], *option))
        assert p["filename"] == out and (here / "other").read_bytes() == content
    assert good(doc(aod, "doc-pull", d["id"], "-o", "-", text=False)).stdout == content
    assert good(doc(aod, "doc-pull", d["id"], "-o", "/dev/stdout", text=False)).stdout.startswith(content)


def test_pull_of_nothing(aod, tmp_path):
    d = push(aod, tmp_path / "empty.txt", b"")
    assert answer(doc(aod, "doc-pull", d["id"], "-o", str(tmp_path / "e")))["size_bytes"] == 0
    assert (tmp_path / "e").read_bytes() == b""


def test_pull_to_where_nothing_can_be_written(aod, tmp_path):
    d = push(aod, tmp_path / "x.txt", b"x")
    assert "No such file or directory" in failed(doc(aod, "doc-pull", d["id"], "-o", str(tmp_path / "no" / "where")))
    assert failed(doc(aod, "doc-pull", d["id"], "-o", str(tmp_path))) == "%s: Is a directory" % tmp_path
    failed(doc(aod, "doc-pull", d["id"], "-o", "/dev/full"), "/dev/full: No space left on device")


@pytest.mark.parametrize("command", [("doc-pull",), ("doc-read",), ("doc-info",), ("doc-delete",), ("doc-write", "--content", "x"),
                                     ("doc-edit", "--old-string", "a", "--new-string", "b")])
def test_not_found(aod, tmp_path, command):
    for name in (GONE, "no/../such?x=1#y", "ü"):
        failed(doc(aod, command[0], name, *command[1:], cwd=tmp_path), "Document not found: %s" % name)
    assert os.listdir(tmp_path) == []


# ---- read --------------------------------------------------------------------------------------------------


def test_read(aod, tmp_path):
    text = "# Grüße\n\n€ 😀\n"
    d = push(aod, tmp_path / "t.md", text.encode())
    assert good(doc(aod, "doc-read", d["id"])).stdout == text
    for o, l in ((0, 3), (2, 4), (9, 100), (13, 5), (99, 5), (None, 4), (4, None), (0, 0)):
        args = (["-o", str(o)] if o is not None else []) + (["--limit", str(l)] if l is not None else [])
        p = doc(aod, "doc-read", d["id"], *args)
        start, end = min(o or 0, len(text)), min((o or 0) + (l if l is not None else 10**6), len(text))
        assert p.returncode == OK and p.stdout == text[start:max(start, end)]
        assert json.loads(p.stderr) == {"total_chars": len(text), "range": "%d-%d" % (start, max(start, end))}
    for name, content in (("j.json", b'{"a":1}'), ("x.xml", b"<a/>"), ("e.txt", b"")):
        d = push(aod, tmp_path / name, content)
        assert good(doc(aod, "doc-read", d["id"])).stdout == content.decode()


def test_read_refuses_what_is_no_text(aod, tmp_path):
    d = push(aod, tmp_path / "p.png", b"\x89PNG")
    failed(doc(aod, "doc-read", d["id"]), "Cannot read non-text file (MIME type: image/png). Use doc-pull to download binary files.")
    for content in (b"ok\xff", b"cut \xe2\x82", b"\xc0\xaf", b"x" * 70000 + b"\xed\xa0\x80"):
        d = push(aod, tmp_path / "b.txt", content)
        failed(doc(aod, "doc-read", d["id"]), "File is not valid UTF-8 text. Use doc-pull to download.")


def test_read_of_a_long_text(aod, tmp_path):
    text = "".join("%d Zeilen, ü und €\n" % i for i in range(700_000))
    d = push(aod, tmp_path / "long.txt", text.encode())
    assert good(doc(aod, "doc-read", d["id"], timeout=120)).stdout == text
    p = doc(aod, "doc-read", d["id"], "-o", "5000000", "-l", "30", timeout=120)
    assert p.stdout == text[5_000_000:5_000_030]


# ---- what is known -----------------------------------------------------------------------------------------


def test_info_query_delete(aod, tmp_path):
    tag = "t" + uuid.uuid4().hex
    a = push(aod, tmp_path / ("one-%s.md" % tag), b"1", "--tags", tag + ",x")
    b = push(aod, tmp_path / ("two-%s.md" % tag), b"22", "--tags", tag)
    info = answer(doc(aod, "doc-info", a["id"]))
    assert info.pop("relations") == {} and info == a
    ids = lambda *args: sorted(d["id"] for d in answer(doc(aod, "doc-query", *args)))  # noqa: E731
    assert ids("--tags", tag) == sorted([a["id"], b["id"]])
    assert ids("--tags", tag + " , x") == [a["id"]] and ids("--tags", tag + ",nope") == []
    assert ids("--name", "ONE-" + tag) == [a["id"]] and len(ids("--tags", tag, "--limit", "1")) == 1
    assert ids("--name", tag) == ids("--tags", tag) and a["id"] in ids()
    assert good(doc(aod, "doc-query", "--tags", tag + "none")).stdout == "[]\n"
    assert answer(doc(aod, "doc-delete", a["id"])) == {
        "success": True, "message": "Document %s deleted successfully" % a["id"], "document_id": a["id"]}
    failed(doc(aod, "doc-info", a["id"]), "Document not found: " + a["id"])
    assert ids("--tags", tag) == [b["id"]]


def test_search(aod, tmp_path):
    word = "w" + uuid.uuid4().hex
    d = push(aod, tmp_path / "s.md", ("some text about %s & more" % word).encode())

    def found():
        o = answer(doc(aod, "doc-search", word, "-l", "5"))
        return o if o["results"] else None

    o = wait_for("the text to be found", found)
    assert [r.get("document_id", r.get("id")) for r in o["results"]] == [d["id"]]
    assert answer(doc(aod, "doc-search", "a&b=%s #" % uuid.uuid4().hex))["results"] == []


# ---- create, write, edit, link -----------------------------------------------------------------------------


def test_create_and_write(aod, tmp_path):
    d = answer(doc(aod, "doc-create", "--name", "draft.md", "--tags", "d", "--description", "later"))
    assert d["size_bytes"] == 0 and d["content_type"] == "text/markdown" and d["tags"] == ["d"] and d["metadata"] == {"description": "later"}
    w = answer(doc(aod, "doc-write", d["id"], "--content", "one ü"))
    assert w["id"] == d["id"] and w["size_bytes"] == 6 and w["tags"] == ["d"] and w["content_type"] == "text/markdown"
    assert good(doc(aod, "doc-read", d["id"])).stdout == "one ü"
    answer(doc(aod, "doc-write", d["id"], input="two"))
    assert good(doc(aod, "doc-read", d["id"])).stdout == "two"
    (tmp_path / "f").write_bytes(b"three")
    with open(tmp_path / "f", "rb") as f:
        p = subprocess.run([program("doc-write"), d["id"]], stdin=f, capture_output=True, text=True, env=clean_env(AOD_SOCKET=aod.socket), timeout=WAIT)
    assert answer(p)["size_bytes"] == 5
    answer(doc(aod, "doc-write", d["id"], "--content", ""))
    assert good(doc(aod, "doc-read", d["id"])).stdout == ""
    p = doc(aod, "doc-create")
    assert p.returncode == USAGE and "Error: Missing option '--name'." in p.stderr
    # It stays the text that it was made as, though its name does not say so.
    push(aod, tmp_path / "n.md", b"x")
    n = answer(doc(aod, "doc-push", str(tmp_path / "n.md"), "--name", "A report"))
    assert answer(doc(aod, "doc-write", n["id"], "--content", "y"))["content_type"] == "text/markdown"


def test_edit(aod, tmp_path):
    d = push(aod, tmp_path / "e.md", "ein ü, ein ö\n".encode())
    read = lambda: good(doc(aod, "doc-read", d["id"])).stdout  # noqa: E731
    edit = lambda *args, **kw: doc(aod, "doc-edit", d["id"], *args, **kw)  # noqa: E731
    o = answer(edit("--old-string", "ü", "--new-string", "üü"))
    assert o["id"] == d["id"] and o["replacements_made"] == 1 and o["content_type"] == "text/markdown" and read() == "ein üü, ein ö\n"
    failed(edit("--old-string", "ein", "--new-string", "x"), "Edit failed: old_string matches 2 times; use replace_all=true or provide more context")
    failed(edit("--old-string", "zwei", "--new-string", "x"), "Edit failed: old_string not found in document")
    assert answer(edit("--old-string", "ein", "--new-string", "two", "--replace-all"))["replacements_made"] == 2 and read() == "two üü, two ö\n"
    o = answer(edit("--offset", "4", "--length", "2", "--new-string", "€"))
    assert o["edit_range"] == {"offset": 4, "old_length": 2, "new_length": 1} and read() == "two €, two ö\n"
    answer(edit("--offset", "0", "--new-string", ">"))
    answer(edit("--json", input=json.dumps({"old_string": "two", "new_string": "2", "replace_all": True})))
    answer(edit("--json", input=json.dumps({"offset": 0, "length": 1})))
    assert read() == "2 €, 2 ö\n"
    failed(edit("--offset", "99", "--new-string", ""), "Edit failed: offset 99 exceeds document length 9")
    failed(edit(), "Must provide --old-string (string mode) or --offset (offset mode)")
    failed(edit("--old-string", "x"), "--new-string is required")
    assert failed(edit("--json", input="nonsense")).startswith("Invalid JSON input: ")
    assert read() == "2 €, 2 ö\n"


def test_edits_at_the_same_time_all_count(aod, tmp_path):
    n = 8
    d = push(aod, tmp_path / "same.txt", "".join("<%d>" % i for i in range(n)).encode())
    ps = [subprocess.Popen([program("doc-edit"), d["id"], "--old-string", "<%d>" % i, "--new-string", "[%d]" % i], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env(AOD_SOCKET=aod.socket)) for i in range(n)]
    done = [i for i, p in enumerate(ps) if (p.communicate(timeout=WAIT), p.returncode)[1] == OK]
    # One that lost ten times in a row gave up with a reason; none that said it did it was lost.
    assert good(doc(aod, "doc-read", d["id"])).stdout == "".join(("[%d]" if i in done else "<%d>") % i for i in range(n)) and len(done) > 1


def test_link(aod, tmp_path):
    a, b = (push(aod, tmp_path / n, b"x")["id"] for n in ("a.md", "b.md"))
    assert [t["name"] for t in answer(doc(aod, "doc-link", "--types"))] == ["parent-child", "related"]
    o = answer(doc(aod, "doc-link", "--create", a, b, "--type", "parent-child"))
    rid = o["from_relation"]["id"]
    assert o["success"] and o["message"] == "Relation created" and o["to_relation"]["relation_type"] == "child"
    failed(doc(aod, "doc-link", "--create", a, b, "-t", "parent-child"), "Relation already exists")
    r = answer(doc(aod, "doc-info", a))["relations"]
    assert list(r) == ["parent"] and r["parent"][0]["related_document_id"] == b and r["parent"][0]["id"] == rid
    r = answer(doc(aod, "doc-info", b))["relations"]
    assert list(r) == ["child"] and r["child"][0]["related_document_id"] == a
    o = answer(doc(aod, "doc-link", "--remove", rid))
    assert o == {"success": True, "message": "Relation removed", "deleted_relation_ids": [rid]}
    failed(doc(aod, "doc-link", "--remove", rid), "Relation not found: " + rid)
    failed(doc(aod, "doc-link", "--remove", "x"), "Relation not found: x")
    failed(doc(aod, "doc-link", "--create", a, GONE, "--type", "related"), "Document not found")
    failed(doc(aod, "doc-link"), "No action specified. Use --types, --create, --update, or --remove")
    failed(doc(aod, "doc-link", "--types", "--remove", "x"), "Multiple actions specified. Use only one of --types, --create, --update, or --remove")
    failed(doc(aod, "doc-link", "--create", a), "--create requires a target document ID as argument")
    failed(doc(aod, "doc-link", "--create", a, b), "--create requires --type option (e.g., --type parent-child or --type related)")


# ---- under aoctl, and where they connect to ----------------------------------------------------------------


def test_under_aoctl(aod, tmp_path):
    (tmp_path / "u.txt").write_text("under")
    d = answer(aod.aoctl("doc", "push", str(tmp_path / "u.txt"), "--tags", "u"))
    assert aod.aoctl("--socket", aod.socket, "doc", "read", d["id"], socket=False).stdout == "under"
    assert aod.aoctl("doc", "read", d["id"], "--root", aod.root, socket=False).stdout == "under"
    failed(aod.aoctl("doc", "info", GONE), "Document not found: " + GONE)
    p = aod.aoctl("doc", "push")
    assert p.returncode == USAGE and p.stderr.startswith("Usage: aoctl doc push [OPTIONS] FILE_PATH\n")
    p = aod.aoctl("doc", "pusch")
    assert p.returncode == USAGE and "pusch" in p.stderr and p.stdout == ""
    assert "  push " in good(aod.aoctl("doc")).stdout


def test_variables_say_where(aod, tmp_path):
    d = push(aod, tmp_path / "v.txt", b"v")
    nowhere, port = {"AOD_SOCKET": str(tmp_path / "none.sock")}, str(aod.ports["context"])
    for env in ({"DOC_SYNC_PORT": port}, {"DOC_SYNC_HOST": "127.0.0.1", "DOC_SYNC_PORT": port, "DOC_SYNC_SCHEME": "http"},
                {"AOD_URL": "http://127.0.0.1:" + port}, {"AOD_URL": aod.url}):
        assert good(doc(None, "doc-read", d["id"], env={**nowhere, **env})).stdout == "v"
    assert "none.sock" in failed(doc(None, "doc-read", d["id"], env=nowhere))
    assert failed(doc(None, "doc-query", env={"DOC_SYNC_PORT": "1"})).startswith("Network error: ")
    # Nothing says where, and no socket is there: where it always was.
    bare = doc(None, "doc-query", env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "no_proxy": "*"})
    assert bare.returncode == OK or "http://127.0.0.1:8766" in failed(bare) or "/run/aod/aod.sock" in bare.stderr


# ---- large ones --------------------------------------------------------------------------------------------


def peak_mib(pid):
    text = read_proc(pid, "status")
    return int(text.split(b"VmHWM:")[1].split()[0]) >> 10 if b"VmHWM:" in text else None


def run_watched(args, **kw):
    """Run it and see how much memory it takes at most; (process, MiB)."""
    p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
    most = 0

    def look():
        nonlocal most
        most = max(most, peak_mib(p.pid) or 0)
        return p.poll() is not None

    wait_for(args[0], look, 120)
    out, err = p.communicate()
    return subprocess.CompletedProcess(args, p.returncode, out, err), most


def test_large_in_constant_memory(aod, tmp_path):
    size = 200 << 20
    block = os.urandom(1 << 20)
    with open(tmp_path / "big.bin", "wb") as f:
        for _ in range(size >> 20):
            f.write(block)
    env = clean_env(AOD_SOCKET=aod.socket)
    p, most = run_watched([program("doc-push"), str(tmp_path / "big.bin")], env=env)
    d = answer(p)
    assert d["size_bytes"] == size and most < 40, most
    p, most = run_watched([program("doc-pull"), d["id"], "-o", str(tmp_path / "back.bin")], env=env)
    assert answer(p)["size_bytes"] == size and most < 40, most
    subprocess.run(["cmp", str(tmp_path / "big.bin"), str(tmp_path / "back.bin")], check=True)
    with open(tmp_path / "big.bin", "rb") as f:
        p, most = run_watched(["sh", "-c", 'cat "$0" | "$1" - --name piped.bin', str(tmp_path / "big.bin"), program("doc-push")], env=env)
    assert answer(p)["size_bytes"] == size
    for i in (d["id"], json.loads(p.stdout)["id"]):
        answer(doc(aod, "doc-delete", i))


# ---- servers that are not as they should be ----------------------------------------------------------------


@contextlib.contextmanager
def server(handle):
    """A server of one's own: handle(request handler) answers. Yields the environment that leads to it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            handle(self)

        do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, *args):
            pass

    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    s.daemon_threads = True
    threading.Thread(target=s.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield {"DOC_SYNC_HOST": "127.0.0.1", "DOC_SYNC_PORT": str(s.server_address[1])}
    finally:
        s.shutdown()
        s.server_close()


def send(h, status, body, sent=None, **headers):
    h.send_response(status)
    for k, v in headers.items():
        h.send_header(k.replace("_", "-"), v)
    h.send_header("Content-Length", str(len(body)))
    h.end_headers()
    h.wfile.write(body if sent is None else body[:sent])
    h.wfile.flush()


CONTENT = bytes(range(256)) * 4000
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("headers", [{"X_Checksum": "0" * 64}, {"X_Checksum": "sha256:" + "0" * 64}, {"ETag": '"%s"' % ("0" * 64)}])
def test_a_wrong_checksum(tmp_path, headers):
    with server(lambda h: send(h, 200, CONTENT, **headers)) as env:
        text = failed(doc(None, "doc-pull", GONE, "-o", "f", env=env, cwd=tmp_path))
    assert SUM in text and "0" * 64 in text and os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", [SUM, SUM.upper(), "sha256:" + SUM, "crc32:00000000", "nonsense"])
def test_a_right_or_unknown_checksum(tmp_path, value):
    with server(lambda h: send(h, 200, CONTENT, X_Checksum=value, Content_Disposition='attachment; filename="../../../evil"')) as env:
        p = answer(doc(None, "doc-pull", GONE, env=env, cwd=tmp_path))
    assert p["filename"] == "evil" and (tmp_path / "evil").read_bytes() == CONTENT


def test_a_connection_that_breaks_is_taken_up_again(tmp_path):
    asked = []

    def handle(h):
        asked.append((h.headers["Range"], h.headers["If-Range"]))
        h.close_connection = True
        start = int(asked[-1][0].split("=")[1][:-1]) if asked[-1][0] else 0
        send(h, 206 if start else 200, CONTENT[start:], sent=400_000, ETag='"%s"' % SUM, Content_Disposition='attachment; filename="f"',
             **({"Content_Range": "bytes %d-%d/%d" % (start, len(CONTENT) - 1, len(CONTENT))} if start else {}))

    with server(handle) as env:
        p = answer(doc(None, "doc-pull", GONE, env=env, cwd=tmp_path))
    assert p["size_bytes"] == len(CONTENT) and (tmp_path / "f").read_bytes() == CONTENT
    assert asked == [(None, None)] + [("bytes=%d-" % n, '"%s"' % SUM) for n in (400_000, 800_000)]


def test_a_document_that_changed_meanwhile(tmp_path):
    asked = []

    def handle(h):
        asked.append(h.headers["Range"])
        h.close_connection = True
        send(h, 200, CONTENT, sent=None if asked[-1] else 1000, ETag='"%d"' % len(asked))

    with server(handle) as env:
        failed(doc(None, "doc-pull", GONE, "-o", "f", env=env, cwd=tmp_path), "the document was changed while it was read")
    assert os.listdir(tmp_path) == [] and len(asked) == 2


def test_a_connection_that_breaks_for_good(tmp_path):
    """Without a tag there is no telling whether the rest belongs to it."""
    def handle(h):
        h.close_connection = True
        send(h, 200, CONTENT, sent=1000)

    (tmp_path / "f").write_text("as it was")
    with server(handle) as env:
        assert failed(doc(None, "doc-pull", GONE, "-o", "f", env=env, cwd=tmp_path)).startswith("Network error: ")
    assert os.listdir(tmp_path) == ["f"] and (tmp_path / "f").read_text() == "as it was"


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_nothing(tmp_path, sig):
    gone = threading.Event()

    def handle(h):
        send(h, 200, CONTENT, sent=500_000)
        gone.wait(WAIT)

    with server(handle) as env:
        p = subprocess.Popen([program("doc-pull"), GONE, "-o", "f"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=clean_env(**env), cwd=tmp_path)
        wait_for("the content to come in", lambda: [f for f in os.listdir(tmp_path) if os.stat(tmp_path / f).st_size])
        p.send_signal(sig)
        out, err = p.communicate(timeout=WAIT)
        gone.set()
    assert p.returncode == INTERRUPTED and out == "" and json.loads(err) == {"error": "interrupted"}
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("status, body, text", [
    (500, b"Internal Server Error", "HTTP error 500: the server answered HTTP 500: Internal Server Error"),
    (413, b'{"detail":"too large"}', "HTTP error 413: too large"), (422, b'{"detail":[{"loc":["body","file"],"msg":"Field required"}]}',
                                                                    "HTTP error 422: file: Field required"),
    (200, b"<html>", "The server's answer is no JSON")])
def test_what_a_server_says(tmp_path, status, body, text):
    (tmp_path / "x").write_bytes(b"x")

    def handle(h):
        h.rfile.read(int(h.headers["Content-Length"] or 0))
        send(h, status, body)

    with server(handle) as env:
        failed(doc(None, "doc-push", str(tmp_path / "x"), env=env), text)


def test_the_form_that_is_sent(tmp_path):
    got = {}

    def handle(h):
        got.update(h.headers)
        got["body"] = h.rfile.read(int(h.headers["Content-Length"]))
        send(h, 201, b"{}")

    (tmp_path / "a.md").write_bytes(b"\0\1\r\n--x")
    with server(handle) as env:
        good(doc(None, "doc-push", str(tmp_path / "a.md"), "--tags", "x,y", "--description", "d", env={**env, "AOD_TOKEN": "tok"}))
    assert got["Authorization"] == "Bearer tok" and got["Content-Type"].startswith("multipart/form-data; boundary=")
    parts = got["body"].split(b"--" + got["Content-Type"].split("boundary=")[1].encode())
    assert b'name="tags"\r\n\r\nx,y\r\n' in parts[1] and b'name="metadata"\r\n\r\n{"description":"d"}\r\n' in parts[2]
    assert b'name="file"; filename="a.md"\r\nContent-Type: text/markdown\r\n\r\n\0\1\r\n--x\r\n' in parts[3] and parts[4] == b"--\r\n"


def test_a_token_is_not_sent_in_the_clear(tmp_path):
    """To this host it is; to another one only over https. Nothing is sent at all: the name is looked up first, and there is none."""
    p = doc(None, "doc-query", "--url", "http://aod.invalid:8766", "--token", "secret")
    assert "https://" in failed(p)
    assert "https" not in failed(doc(None, "doc-query", "--url", "http://aod.invalid:8766", env={"AOD_TOKEN": "secret", "no_proxy": "*"}))
    seen = []

    def handle(h):
        seen.append(h.headers["Authorization"])
        send(h, 200, b"[]")

    (tmp_path / "aod").mkdir()
    (tmp_path / "aod" / "token").write_text("from-file\n")
    with server(handle) as env:
        for more in ({}, {"AOD_TOKEN": "from-env"}, {"XDG_CONFIG_HOME": str(tmp_path)}, {"XDG_CONFIG_HOME": str(tmp_path), "AOD_TOKEN": "from-env"}):
            good(doc(None, "doc-query", env={"HOME": "/nonexistent", **env, **more}))
        good(doc(None, "doc-query", "--token", "given", env={**env, "AOD_TOKEN": "from-env"}))
        assert failed(doc(None, "doc-query", "--token", "a b", env=env)) == "the token has blanks in it"
    assert seen == [None, "Bearer from-env", "Bearer from-file", "Bearer from-env", "Bearer given"]


def on_terminal(args, env, cwd):
    """With a terminal as standard error; what was written there, and the process."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, text=True, env=clean_env(TERM="xterm", **env), cwd=cwd)
    os.close(slave)
    return p, master


def test_progress_on_a_terminal(tmp_path):
    go = threading.Event()

    def handle(h):
        send(h, 200, CONTENT, sent=512_000, Content_Disposition='attachment; filename="f"')
        go.wait(WAIT)
        h.wfile.write(CONTENT[512_000:])

    with server(handle) as env:
        p, master = on_terminal([program("doc-pull"), GONE], env, tmp_path)
        shown = b""

        def look():
            nonlocal shown
            with contextlib.suppress(OSError):  # EIO: the other end is closed
                while select.select([master], [], [], 0)[0]:
                    shown += os.read(master, 65536)
            return b"(50%)" in shown

        wait_for("the progress", look)
        go.set()
        out, _ = p.communicate(timeout=WAIT)
        look()
    os.close(master)
    assert p.returncode == OK and json.loads(out)["size_bytes"] == len(CONTENT)
    assert b"500.0 KiB of 1000.0 KiB (50%)" in shown and shown.endswith(b"\r\x1b[K"), shown
