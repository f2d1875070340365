# SPDX-License-Identifier: MIT
"""The Agent Registry: what old clients know of it, unit files in and out, versions, and files as people and disks make them."""
import hashlib
import json
import os
import re
import shutil
import time

import pytest

from aod import SRC, Aod, kinds, outputs, wait_for

EIGHT = ["name", "description", "system_prompt", "mcp_servers", "skills", "status", "created_at", "modified_at"]
NAIVE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")
SHIPPED = {
    "task@.blueprint": "[Blueprint]\nDescription=Task %i\n[Agent]\nAdapter=command\nExecStart=/bin/echo \"instance %i of %N\"\n",
    "kept.blueprint": "# as it ships\n[Blueprint]\nDescription=Ships with aod\nTags=a\n\n[Agent]\nAdapter=command\nExecStart=/bin/echo kept\nSkills=one two\n",
    "other.blueprint": "[Agent]\nAdapter=command\nExecStart=/bin/echo other\n",
    "listed.blueprint": "[Agent]\nAdapter=command\nExecStart=/bin/echo listed\n",
}


def digest(top):
    """What is in a directory, with its times."""
    out = {}
    for base, dirs, files in os.walk(top):
        for f in files:
            path = os.path.join(base, f)
            st = os.lstat(path)
            with open(path, "rb") as fd:
                out[path] = (st.st_mtime_ns, st.st_ino, st.st_mode, hashlib.sha256(fd.read()).hexdigest())
    return out


class Registry(Aod):
    """An aod with a directory of its own of blueprints that ship."""

    def __init__(self, **kw):
        super().__init__(start=False, **kw)
        self.shipped = os.path.join(self.base, "shipped")
        shutil.copytree(os.path.join(SRC, "blueprints"), self.shipped)
        for name, text in SHIPPED.items():
            with open(os.path.join(self.shipped, name), "w", encoding="utf-8") as f:
                f.write(text)
        self.args += ["--blueprints", self.shipped]
        self.before = digest(self.shipped)

    @property
    def etc(self):
        return os.path.join(self.root, "etc", "blueprints")

    def path(self, *parts):
        return os.path.join(self.etc, *parts)

    def read(self, *parts):
        with open(self.path(*parts), encoding="utf-8") as f:
            return f.read()

    def write(self, text, *parts):
        """As an editor does: another file, renamed over the old one."""
        path = self.path(*parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def agents(self, query=""):
        r = self.get("/agents" + query, port="registry")
        assert r.status == 200, r
        return r.json

    def names(self, query=""):
        return [a["name"] for a in self.agents(query)]

    def agent(self, name):
        r = self.get("/agents/" + name, port="registry")
        assert r.status == 200, r
        return r.json

    def status(self, name):
        """As listed with all=1, or None."""
        found = [a for a in self.agents("?all=1") if a["name"] == name]
        return found[0]["status"] if found else None

    def unit(self, name, query=""):
        r = self.get("/agents/%s?format=unit%s" % (name, query), port="registry")
        assert r.status == 200 and r.headers["Content-Type"] == "text/plain; charset=utf-8", r
        return r.text

    def make(self, name, description="d", **more):
        r = self.post("/agents", {"name": name, "description": description, **more}, port="registry")
        assert r.status == 201, r
        return r.json

    def put(self, name, text, query="", **kw):
        return self.request("PUT", "/agents/%s%s" % (name, query), raw=text.encode() if isinstance(text, str) else text,
                            headers={"Content-Type": "text/plain", **kw}, port="registry")

    def history(self, name):
        r = self.get("/agents/%s/history" % name, port="registry")
        assert r.status == 200, r
        return r.json["versions"]

    def runs(self, name):
        """Run it to its end; the lines that it printed."""
        s = self.wait_status(self.create(agent_name=name, prompt="p")["session_id"])
        assert s["state"] == "finished", s
        return outputs(self.events(s["session_id"]))


@pytest.fixture(scope="module")
def reg():
    with Registry() as a:
        a.start()
        yield a
        assert digest(a.shipped) == a.before, "the shipped directory was written to"


@pytest.fixture
def fresh():
    with Registry() as a:
        a.start()
        yield a
        assert digest(a.shipped) == a.before, "the shipped directory was written to"


count = [0]


@pytest.fixture
def name():
    count[0] += 1
    return "agent-%d" % count[0]


def problems(r):
    assert r.status == 422, r
    return [(p["type"], p["loc"]) for p in r.detail]


# ---- what old clients know -----------------------------------------------------------------------------------


def test_health(reg):
    r = reg.get("/health", port="registry")
    assert (r.status, r.json) == (200, {"status": "healthy"})


def test_list_is_an_array_by_name(reg):
    reg.make("zz-last")
    reg.make("AA-first")
    names = reg.names()
    assert names == sorted(names) and {"zz-last", "AA-first", "claude", "shell"} <= set(names)
    for a in reg.agents():
        assert list(a)[:8] == EIGHT, a
        assert a["status"] in ("active", "inactive")
        assert NAIVE.match(a["created_at"]) and NAIVE.match(a["modified_at"])
    # The same on the runtime's port and on the socket.
    assert reg.get("/agents").json == reg.agents() == reg.get("/agents", unix=True).json


def test_create_and_get(reg, name):
    servers = {"fs": {"command": "npx", "args": ["-y", "fs"], "env": {"A": "b"}},
               "web": {"type": "http", "url": "http://127.0.0.1:1/mcp", "headers": {"X": "y"}}}
    made = reg.make(name, 'Says "hi" to 100% of Ünïcode', system_prompt="Be brief.", mcp_servers=servers, skills=["pdf", "two words"])
    assert list(made)[:8] == EIGHT and made["version"] == 1
    assert made["description"] == 'Says "hi" to 100% of Ünïcode'
    assert made["system_prompt"] == "Be brief." and made["skills"] == ["pdf", "two words"] and made["status"] == "active"
    servers["fs"]["type"] = "stdio"
    assert made["mcp_servers"] == servers
    assert reg.agent(name) == made
    assert reg.get("/agents/" + name).json == made
    text = reg.read(name + ".blueprint")
    assert "SystemPrompt=Be brief." in text and "McpConfigFile=%s.mcp.json" % name in text
    assert os.stat(reg.path(name + ".mcp.json")).st_mode & 0o777 == 0o640
    assert json.loads(reg.read(name + ".mcp.json")) == {"mcpServers": servers}


def test_times_are_local_without_an_offset(make_aod):
    a = make_aod(env={"TZ": "XYZ-05:30"})
    before = time.time() + 5.5 * 3600
    made = a.post("/agents", {"name": "timed", "description": ""}, port="registry").json
    got = time.mktime(time.strptime(made["modified_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert abs(got - before) < 60, (made["modified_at"], before)
    assert made["created_at"] <= made["modified_at"]


def test_create_leaves_out_what_is_null(reg, name):
    made = reg.make(name, "", system_prompt=None, mcp_servers=None, skills=None, unknown=1)
    assert made["description"] == "" and made["system_prompt"] is None and made["mcp_servers"] is None and made["skills"] is None


@pytest.mark.parametrize("bad,says", [
    ("", "Agent name is required"), ("x" * 61, "60 characters or less"), ("-x", "must start with letter/number"),
    ("_x", "must start with letter/number"), ("a b", "must start with letter/number"), ("a/b", "must start with letter/number"),
    ("../up", "must start with letter/number"), ("a.b", "must start with letter/number"), ("ünï", "must start with letter/number"),
    ("a@b", "must start with letter/number")])
def test_names(reg, bad, says):
    before = set(os.listdir(reg.etc))
    r = reg.post("/agents", {"name": bad, "description": "d"}, port="registry")
    assert r.status == 400 and says in r.detail, r
    assert set(os.listdir(reg.etc)) == before


def test_create_twice(reg, name):
    reg.make(name, "first")
    text = reg.read(name + ".blueprint")
    for other in (name, "claude"):
        r = reg.post("/agents", {"name": other, "description": "second"}, port="registry")
        assert (r.status, r.json) == (409, {"detail": "Agent already exists: " + other})
    assert reg.read(name + ".blueprint") == text and not os.path.exists(reg.path("claude.blueprint"))
    # A conflict does not hurt later writes.
    reg.make(name + "-later")


def test_create_422(reg):
    post = lambda body: reg.post("/agents", body, port="registry")
    assert problems(post({})) == [("missing", ["body", "name"]), ("missing", ["body", "description"])]
    assert problems(post({"name": 1, "description": "d"})) == [("string_type", ["body", "name"])]
    assert problems(post({"name": "n", "description": "d", "skills": "s"})) == [("list_type", ["body", "skills"])]
    assert problems(post({"name": "n", "description": "d", "mcp_servers": []})) == [("dict_type", ["body", "mcp_servers"])]
    r = reg.request("POST", "/agents", raw=b"{", port="registry")
    assert r.status == 422 and r.detail[0]["type"] == "json_invalid"
    assert reg.get("/agents/n", port="registry").status == 404


@pytest.mark.parametrize("server,kind,field", [
    ({"args": []}, "missing", "command"), ({"command": "x"}, "missing", "args"), ({"command": 1, "args": []}, "string_type", "command"),
    ({"command": "x", "args": [1]}, "list_type", "args"), ({"command": "x", "args": [], "env": {"A": 1}}, "dict_type", "env"),
    ({"type": "http"}, "missing", "url"), ({"type": "http", "url": 1}, "string_type", "url"),
    ({"type": "smoke", "url": "u"}, "literal_error", "type"), ("x", "dict_type", None)])
def test_other_mcp_servers_are_refused(reg, server, kind, field):
    where = ["body", "mcp_servers", "s"] + ([field] if field else [])
    body = {"name": "never", "description": "d", "mcp_servers": {"s": server}}
    assert problems(reg.post("/agents", body, port="registry")) == [(kind, where)]
    assert problems(reg.patch("/agents/kept", {"mcp_servers": {"s": server}}, port="registry")) == [(kind, where)]
    assert not os.path.exists(reg.path("never.blueprint"))


def test_patch(reg, name):
    reg.make(name, "one", system_prompt="p", mcp_servers={"m": {"command": "c", "args": []}}, skills=["s"])
    patch = lambda **body: reg.patch("/agents/" + name, body, port="registry")
    r = patch()
    assert r.status == 200 and r.json["version"] == 1
    r = patch(description="two", system_prompt=None, mcp_servers=None, skills=None)
    assert r.status == 200 and r.json["description"] == "two"
    assert r.json["system_prompt"] == "p" and r.json["mcp_servers"] and r.json["skills"] == ["s"]
    assert patch(system_prompt="").json["system_prompt"] is None
    assert patch(mcp_servers={}).json["mcp_servers"] is None
    assert patch(skills=[]).json["skills"] is None
    assert not os.path.exists(reg.path(name + ".mcp.json"))
    assert reg.agent(name)["description"] == "two"
    assert reg.patch("/agents/nobody-here", {"description": "x"}, port="registry").json == {"detail": "Agent not found: nobody-here"}


def test_long_prompts_get_a_file(reg, name):
    long = "Line one\n\nLine 100% \"two\" \\ %i\n"
    made = reg.make(name, "d", system_prompt=long)
    assert made["system_prompt"] == long and reg.read(name + ".system-prompt.md") == long
    one = "x" * 501
    assert reg.patch("/agents/" + name, {"system_prompt": one}, port="registry").json["system_prompt"] == one
    short = "Do 50% of %i"
    assert reg.patch("/agents/" + name, {"system_prompt": short}, port="registry").json["system_prompt"] == short
    assert not os.path.exists(reg.path(name + ".system-prompt.md"))
    # As it is run: the text itself, whatever looks like a specifier in it.
    assert reg.put(name, "[Agent]\nExecStart=/bin/true\n", "?dropin=run").status == 200
    r = reg.post("/plan", {"agent_name": name, "prompt": "p"})
    assert r.status == 200 and short in r.json["plan"]["argv"], r


def test_status(reg, name):
    reg.make(name)
    path = "/agents/%s/status" % name
    r = reg.patch(path, {"status": "inactive"}, port="registry")
    assert r.status == 200 and list(r.json)[:8] == EIGHT and r.json["status"] == "inactive"
    assert name in reg.names() and reg.agent(name)["status"] == "inactive"
    r = reg.patch(path, {"status": "inactive"}, port="registry")
    assert r.status == 200 and r.json["version"] == 2, "the same again is no new version"
    assert reg.patch(path, {"status": "active"}, port="registry").json["status"] == "active"
    assert problems(reg.patch(path, {"status": "off"}, port="registry")) == [("literal_error", ["body", "status"])]
    assert problems(reg.patch(path, {}, port="registry")) == [("missing", ["body", "status"])]
    r = reg.patch("/agents/nobody-here/status", {"status": "active"}, port="registry")
    assert (r.status, r.json) == (404, {"detail": "Agent not found: nobody-here"})


def test_delete(reg, name):
    reg.make(name, "d", system_prompt="a\nb", mcp_servers={"m": {"command": "c", "args": []}})
    reg.put(name, "[Blueprint]\nTags=t\n", "?dropin=mine")
    r = reg.delete("/agents/" + name, port="registry")
    assert (r.status, r.data) == (204, b"")
    assert [f for f in os.listdir(reg.etc) if f.startswith(name + ".")] == []
    for method, path, body in (("GET", "", None), ("DELETE", "", None), ("PATCH", "", {}), ("PATCH", "/status", {"status": "active"})):
        r = reg.request(method, "/agents/" + name + path, body, port="registry")
        assert r.status == 404 and r.detail.startswith("Agent not found: " + name), (method, r)
    assert name not in reg.names("?all=1")


def test_methods(reg):
    r = reg.request("PUT", "/agents", {}, port="registry")
    assert (r.status, r.json) == (405, {"detail": "Method Not Allowed"})
    assert reg.get("/sessions", port="registry").status == 404


@pytest.mark.parametrize("path", ["..", "a%2Fb", "..%2F..%2Fetc%2Fpasswd", "%2e%2e%2f", "x%00", "." * 3, "n" * 200, "a%20b"])
def test_names_that_lead_elsewhere(reg, path):
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"description": "x"})):
        r = reg.request(method, "/agents/" + path, body, port="registry")
        assert r.status == 404, (method, r)
    r = reg.put(path, "[Agent]\nAdapter=command\n")
    assert r.status in (400, 404), r
    r = reg.put("kept", "[Agent]\nAdapter=command\n", "?dropin=..%2Fx")
    assert r.status == 422, r
    assert not os.path.exists(os.path.join(reg.root, "etc", "x.conf"))


# ---- unit files ----------------------------------------------------------------------------------------------

UNIT = """# A comment that stays.
[Blueprint]
Description = with blanks around

[Agent]
# The program.
Adapter=command
ExecStart=/bin/echo one \\
  two
X-Mine=kept

[Session]
TimeoutStopSec=3s
"""


def test_unit_in_and_out(reg, name):
    r = reg.put(name, UNIT)
    assert r.status == 200 and r.json["version"] == 1 and r.json["description"] == "with blanks around", r
    assert reg.read(name + ".blueprint") == UNIT
    assert reg.unit(name) == "# %s\n%s" % (reg.path(name + ".blueprint"), UNIT)
    r = reg.get("/agents/%s?format=unit" % name, port="registry")
    assert r.headers["ETag"] == '"1"'
    # As JSON, and as curl sends a file.
    r = reg.request("PUT", "/agents/" + name, {"unit": UNIT + "# 2\n"}, port="registry")
    assert r.status == 200 and r.json["version"] == 2
    r = reg.request("PUT", "/agents/" + name, raw=UNIT.encode(), headers={"Content-Type": "application/x-www-form-urlencoded"}, port="registry")
    assert r.status == 200 and r.json["version"] == 3
    assert reg.agent(name)["settings"]["Session"]["TimeoutStopSec"] == "3s"
    assert reg.get("/agents/%s?format=xml" % name, port="registry").status == 422


def test_patch_keeps_what_it_does_not_change(reg, name):
    reg.put(name, UNIT)
    r = reg.patch("/agents/" + name, {"description": "new", "skills": ["s"]}, port="registry")
    assert r.status == 200, r
    got = reg.read(name + ".blueprint")
    assert got == UNIT.replace("Description = with blanks around", "Description = new").replace("X-Mine=kept\n", "X-Mine=kept\nSkills=s\n")


def test_errors_with_places(reg, name):
    reg.put(name, UNIT)
    bad = "[Agent]\nAdaptor=command\nMaxTurns=many\n[Sesion]\nX=1\n"
    r = reg.put(name, bad)
    assert r.status == 422
    found = [(p["line"], p["column"], p["severity"]) for p in r.json["problems"]]
    assert found[:2] == [(2, 1, "error"), (3, 10, "error")] and len(found) == 3, r
    assert "did you mean 'Adapter'" in r.json["problems"][0]["text"]
    assert r.detail.startswith(reg.path(name + ".blueprint") + ":2:1: ")
    assert reg.read(name + ".blueprint") == UNIT and reg.agent(name)["version"] == 1
    r = reg.put(name, "", )
    assert r.status == 422 and "mask" in r.detail


def test_validate(reg):
    before = set(os.listdir(reg.etc))
    check = lambda **body: reg.post("/agents/validate", body, port="registry")
    r = check(unit=UNIT)
    assert (r.status, r.json) == (200, {"ok": True, "problems": []})
    r = check(unit="[Agent]\nModle=x\n", name="mine")
    assert r.status == 200 and r.json["ok"] is False
    p = r.json["problems"][0]
    assert (p["file"], p["line"], p["column"], p["severity"]) == ("mine.blueprint", 2, 1, "error") and "Model" in p["text"]
    # A warning is no error: a JavaScript engine does not start with this.
    r = check(unit="[Sandbox]\nMemoryDenyWriteExecute=yes\n")
    assert r.json["ok"] is True and r.json["problems"][0]["severity"] == "warning"
    r = reg.request("POST", "/agents/validate", raw=b"[Agent]\nModel=a\xff\n", headers={"Content-Type": "text/plain"}, port="registry")
    assert r.json["ok"] is False and r.json["problems"][0]["line"] == 2, r
    assert problems(check()) == [("missing", ["body", "unit"])]
    assert set(os.listdir(reg.etc)) == before


def test_schema(reg):
    r = reg.get("/agents/schema.json", port="registry")
    assert r.status == 200 and r.json["$schema"].endswith("2020-12/schema")
    assert "Adapter" in json.dumps(r.json)


def test_too_long_and_not_utf8(reg, name):
    reg.put(name, UNIT)
    r = reg.put(name, "#" * (1 << 20) + "\n")
    assert r.status == 422 and "1048576" in r.text, r
    r = reg.put(name, b"[Blueprint]\nDescription=a\xc3(\n")
    assert r.status == 422 and r.json["problems"][0]["line"] == 2, r
    r = reg.put(name, b"[Blueprint]\nDescription=a\0b\n")
    assert r.status == 422, r
    assert reg.read(name + ".blueprint") == UNIT and len(reg.history(name)) == 1


# ---- drop-ins, templates, aliases, masks -----------------------------------------------------------------------


def test_what_ships_gets_a_dropin(fresh):
    r = fresh.patch("/agents/kept", {"description": "mine", "skills": ["three"]}, port="registry")
    assert r.status == 200 and (r.json["description"], r.json["skills"], r.json["version"]) == ("mine", ["three"], 2), r
    assert not os.path.exists(fresh.path("kept.blueprint"))
    text = fresh.read("kept.blueprint.d", "50-api.conf")
    assert "Description=mine" in text and "Skills=\nSkills=three" in text
    r = fresh.patch("/agents/kept/status", {"status": "inactive"}, port="registry")
    assert r.json["status"] == "inactive" and "Enabled=no" in fresh.read("kept.blueprint.d", "50-api.conf")
    r = fresh.patch("/agents/kept", {"system_prompt": "a\nb", "mcp_servers": {"m": {"command": "c", "args": []}}}, port="registry")
    assert r.json["system_prompt"] == "a\nb" and list(r.json["mcp_servers"]) == ["m"], r
    assert fresh.read("kept.system-prompt.md") == "a\nb"
    unit = fresh.unit("kept")
    assert unit.index("# %s/kept.blueprint\n" % fresh.shipped) == 0 and "# %s\n" % fresh.path("kept.blueprint.d", "50-api.conf") in unit
    # All of it gone again, and with it the one that ships: by a mask, which is told.
    r = fresh.delete("/agents/kept", port="registry")
    assert r.status == 204
    assert os.readlink(fresh.path("kept.blueprint")) == "/dev/null" and not os.path.exists(fresh.path("kept.blueprint.d"))
    r = fresh.get("/agents/kept", port="registry")
    assert r.status == 404 and r.detail.startswith("Agent not found: kept") and "masked by" in r.detail
    assert "kept" not in fresh.names() and fresh.status("kept") == "masked"
    assert "masked" in fresh.history("kept")[0]["action"]
    # Made anew in its place.
    assert fresh.make("kept", "again")["description"] == "again" and not os.path.islink(fresh.path("kept.blueprint"))


def test_dropins_in_order(reg, name):
    reg.put(name, "[Blueprint]\nDescription=main\nTags=a\n[Agent]\nAdapter=command\nExecStart=/bin/echo main\n")
    assert reg.put(name, "[Blueprint]\nDescription=ten\nTags=b\n", "?dropin=10-x").status == 200
    r = reg.put(name, "[Blueprint]\nDescription=five\n", "?dropin=05-y")
    assert r.json["description"] == "ten" and r.json["settings"]["Blueprint"]["Tags"] == ["a", "b"]
    assert reg.put(name, "[Blueprint]\nTags=\nTags=c\n", "?dropin=20-z").json["settings"]["Blueprint"]["Tags"] == ["c"]
    r = reg.put(name, "[Blueprint]\nNope=1\n", "?dropin=30-bad")
    assert r.status == 422 and r.json["problems"][0]["file"].endswith("30-bad.conf")
    assert sorted(os.listdir(reg.path(name + ".blueprint.d"))) == ["05-y.conf", "10-x.conf", "20-z.conf"]
    # The key is changed where it is set, not in vain.
    r = reg.patch("/agents/" + name, {"description": "changed"}, port="registry")
    assert r.json["description"] == "changed" and "Description=changed" in reg.read(name + ".blueprint.d", "10-x.conf")
    r = reg.put(name, "", "?dropin=20-z")
    assert r.json["settings"]["Blueprint"]["Tags"] == ["a", "b"]
    assert reg.put("nobody-here", "[Blueprint]\n", "?dropin=x").status == 404


def test_directories_in_order(fresh):
    run = os.path.join(fresh.root, "run", "blueprints")
    os.makedirs(os.path.join(run, "kept.blueprint.d"))
    with open(os.path.join(run, "kept.blueprint"), "w", encoding="utf-8") as f:
        f.write("[Blueprint]\nDescription=in run\n[Agent]\nAdapter=command\nExecStart=/bin/echo run\n")
    with open(os.path.join(run, "kept.blueprint.d", "10-a.conf"), "w", encoding="utf-8") as f:
        f.write("[Blueprint]\nTags=run\n")
    wait_for("the file in run to count", lambda: fresh.agent("kept")["description"] == "in run")
    wait_for("its drop-in to count", lambda: fresh.agent("kept")["settings"]["Blueprint"].get("Tags") == ["run"])
    # The same file name in etc replaces it; a link to /dev/null takes it away.
    fresh.write("[Blueprint]\nTags=etc\n", "kept.blueprint.d", "10-a.conf")
    wait_for("etc to go first", lambda: fresh.agent("kept")["settings"]["Blueprint"].get("Tags") == ["etc"])
    os.unlink(fresh.path("kept.blueprint.d", "10-a.conf"))
    os.symlink("/dev/null", fresh.path("kept.blueprint.d", "10-a.conf"))
    wait_for("the drop-in to be masked", lambda: "Tags" not in fresh.agent("kept")["settings"]["Blueprint"])


def test_templates(fresh):
    assert "task@" not in fresh.names() and fresh.status("task@") == "active"
    assert fresh.runs("task@one") == ["instance one of task@one"]
    a = fresh.agent("task@one")
    assert a["name"] == "task@one" and a["version"] == 1
    assert fresh.get("/agents/task@..%2fx", port="registry").status == 404
    r = fresh.post("/sessions", {"agent_name": "task@", "prompt": "p"})
    assert r.status == 422 and "template" in r.detail
    assert fresh.post("/sessions", {"agent_name": "task@a/b", "prompt": "p"}).status == 404
    assert fresh.post("/sessions", {"agent_name": "task@" + "x" * 61, "prompt": "p"}).status in (404, 422)
    # A drop-in of one instance, and one of all.
    fresh.write("[Agent]\nExecStart=/bin/echo special\n", "task@two.blueprint.d", "x.conf")
    assert fresh.runs("task@two") == ["special"] and fresh.runs("task@three") == ["instance three of task@three"]
    wait_for("the instance to be listed", lambda: "task@two" in fresh.names())
    fresh.write("[Agent]\nExecStart=/bin/echo \"all %i\"\n", "task@.blueprint.d", "a.conf")
    assert fresh.runs("task@three") == ["all three"] and fresh.runs("task@two") == ["special"]
    r = fresh.patch("/agents/task@two", {"description": "Two"}, port="registry")
    assert r.status == 200 and r.json["name"] == "task@two" and r.json["description"] == "Two", r
    r = fresh.delete("/agents/task@nine", port="registry")
    assert r.status == 409 and "template" in r.detail


def test_aliases(fresh):
    os.symlink(os.path.join(fresh.shipped, "kept.blueprint"), fresh.path("nick.blueprint"))
    os.symlink("nick.blueprint", fresh.path("nick2.blueprint"))
    os.symlink("task@.blueprint", fresh.path("job@.blueprint"))
    assert fresh.runs("nick") == fresh.runs("nick2") == ["kept"]
    wait_for("the alias", lambda: fresh.status("nick2") == "alias")
    assert fresh.agent("nick")["name"] == "kept" and "nick" not in fresh.names()
    # The target does not lie beside, but is found as any other name is.
    assert fresh.runs("job@x") == ["instance x of task@x"]
    # Changes go to what it leads to; to delete it takes the link.
    assert fresh.patch("/agents/nick", {"description": "changed"}, port="registry").json["name"] == "kept"
    assert fresh.delete("/agents/nick2", port="registry").status == 204
    assert not os.path.lexists(fresh.path("nick2.blueprint")) and fresh.agent("nick")["description"] == "changed"


def test_links_in_a_circle(fresh):
    os.symlink("b.blueprint", fresh.path("a.blueprint"))
    os.symlink("a.blueprint", fresh.path("b.blueprint"))
    os.symlink("self.blueprint", fresh.path("self.blueprint"))
    os.symlink("/no/such/file", fresh.path("lost.blueprint"))
    for n, says in (("a", "circle"), ("b", "circle"), ("self", "circle"), ("lost", "nowhere")):
        r = fresh.post("/sessions", {"agent_name": n, "prompt": "p"})
        assert r.status == 422 and says in r.detail and n + ".blueprint" in r.detail, (n, r)
        wait_for("%s to be known as bad" % n, lambda: fresh.status(n) == "bad")
        assert says in fresh.agent(n)["problems"][0]["text"]
    assert "a" not in fresh.names()
    assert fresh.runs("kept") == ["kept"]


def test_masks(fresh):
    mask = lambda n, m: fresh.post("/agents/%s/mask" % n, {"masked": m}, port="registry")
    assert mask("kept", True).json == {"ok": True, "name": "kept", "masked": True}
    assert os.readlink(fresh.path("kept.blueprint")) == "/dev/null"
    assert mask("kept", True).status == 200
    r = fresh.post("/sessions", {"agent_name": "kept", "prompt": "p"})
    assert r.status == 404 and "masked by" in r.detail
    assert fresh.patch("/agents/kept", {"description": "x"}, port="registry").status == 404
    assert mask("kept", False).json["masked"] is False
    assert not os.path.lexists(fresh.path("kept.blueprint")) and fresh.runs("kept") == ["kept"]
    fresh.make("own")
    r = mask("own", True)
    assert r.status == 409 and "own.blueprint" in r.detail and fresh.agent("own")
    # An empty file masks as well.
    fresh.write("", "other.blueprint")
    assert fresh.post("/sessions", {"agent_name": "other", "prompt": "p"}).status == 404
    wait_for("the mask to be seen", lambda: fresh.status("other") == "masked")
    assert mask("nobody-here", True).status == 404


# ---- sessions --------------------------------------------------------------------------------------------------


def test_inactive_ones_are_refused(reg, name):
    reg.put(name, "[Agent]\nAdapter=command\nExecStart=/bin/echo hi\n")
    first = reg.create(agent_name=name, prompt="p")
    reg.wait_status(first["session_id"])
    reg.patch("/agents/%s/status" % name, {"status": "inactive"}, port="registry")
    r = reg.post("/sessions", {"agent_name": name, "prompt": "p"})
    assert (r.status, r.detail) == (409, "Agent '%s' is inactive" % name)
    r = reg.post("/sessions/%s/resume" % first["session_id"], {"prompt": "again"})
    assert (r.status, r.detail) == (409, "Agent '%s' is inactive" % name)
    reg.patch("/agents/%s/status" % name, {"status": "active"}, port="registry")
    assert reg.runs(name) == ["hi"]


def test_unknown_ones_with_the_nearest_name(reg):
    r = reg.post("/sessions", {"agent_name": "shel", "prompt": "p"})
    assert (r.status, r.detail) == (404, "Agent not found: shel (did you mean shell?)")
    r = reg.get("/agents/shel", port="registry")
    assert (r.status, r.detail) == (404, "Agent not found: shel (did you mean shell?)")
    r = reg.post("/sessions", {"agent_name": "nothing-like-it", "prompt": "p"})
    assert (r.status, r.detail) == (404, "Agent not found: nothing-like-it")


def test_a_session_records_its_version(reg, name):
    reg.put(name, "[Agent]\nAdapter=command\nExecStart=/bin/echo one\n")
    first = reg.create(agent_name=name, prompt="p")
    assert first["agent_version"] == 1
    # An edit by hand counts at once, also where nothing has noticed it yet.
    reg.write("[Agent]\nAdapter=command\nExecStart=/bin/echo two\n", name + ".blueprint")
    second = reg.create(agent_name=name, prompt="p")
    assert second["agent_version"] == 2
    assert reg.wait_status(first["session_id"])["agent_version"] == 1
    resumed = reg.resume(first["session_id"], "again")
    assert resumed["agent_version"] == 2
    ev = reg.events(second["session_id"])
    assert ev[0]["event_type"] == "session_start" and ev[0]["agent_version"] == 2
    sid = reg.post("/sessions", {"session_id": "passive-" + name, "session_name": "passive-" + name}).json["session"]
    assert sid["agent_version"] is None


# ---- versions --------------------------------------------------------------------------------------------------


def test_history_diff_revert(reg, name):
    one, two = UNIT, UNIT.replace("echo one", "echo three")
    reg.put(name, one)
    r = reg.request("PUT", "/agents/" + name, {"unit": two}, unix=True)
    assert r.status == 200
    reg.write(two + "# by hand\n", name + ".blueprint")
    wait_for("the edit to be seen", lambda: reg.agent(name)["version"] == 3)
    h = reg.history(name)
    assert [v["version"] for v in h] == [3, 2, 1]
    assert [v["author"] for v in h] == ["file", "uid:%d" % os.geteuid(), "tcp:127.0.0.1"]
    assert h[0]["time"] >= h[1]["time"] >= h[2]["time"]
    r = reg.get("/agents/%s/diff?from=1&to=2" % name, port="registry")
    assert "-ExecStart=/bin/echo one \\\n+ExecStart=/bin/echo three \\\n" in r.json["diff"]
    assert reg.get("/agents/%s/diff" % name, port="registry").json["diff"].endswith("+# by hand\n")
    assert reg.unit(name, "&version=1").endswith(one)
    v = reg.get("/agents/%s?version=1" % name, port="registry").json
    assert v["files"] == [{"path": reg.path(name + ".blueprint"), "text": one}] and v["author"] == "tcp:127.0.0.1"
    r = reg.post("/agents/%s/revert" % name, {"version": 1}, port="registry")
    assert r.status == 200 and r.json["version"] == 4, r
    assert reg.read(name + ".blueprint") == one
    assert reg.history(name)[0]["action"] == "revert to 1"
    assert reg.get("/agents/%s/diff?from=1&to=4" % name, port="registry").json["diff"] == ""
    for path in ("?version=99", "/diff?from=99"):
        assert reg.get("/agents/%s%s" % (name, path), port="registry").status == 404
    assert reg.post("/agents/%s/revert" % name, {"version": 99}, port="registry").status == 404
    for path in ("/history", "/diff"):
        r = reg.get("/agents/nobody-here" + path, port="registry")
        assert (r.status, r.detail) == (404, "Agent not found: nobody-here")


def test_revert_of_all_files(fresh):
    assert fresh.patch("/agents/kept", {"description": "mine", "system_prompt": "a\nb"}, port="registry").json["version"] == 2
    assert fresh.put("kept", "[Blueprint]\nTags=x\n", "?dropin=99-x").json["version"] == 3
    r = fresh.post("/agents/kept/revert", {"version": 2}, port="registry")
    assert (r.json["description"], r.json["system_prompt"], r.json["settings"]["Blueprint"]["Tags"]) == ("mine", "a\nb", ["a"]), r
    assert fresh.read("kept.system-prompt.md") == "a\nb"
    # As it ships: nothing of it is left in etc but the prompt that no key names.
    r = fresh.post("/agents/kept/revert", {"version": 1}, port="registry")
    assert r.json["description"] == "Ships with aod" and not os.path.exists(fresh.path("kept.blueprint.d")), r
    # One that was deleted comes back.
    fresh.make("gone", "was here", system_prompt="x\ny")
    fresh.delete("/agents/gone", port="registry")
    assert fresh.history("gone")[0]["action"] == "delete"
    r = fresh.post("/agents/gone/revert", {"version": 1}, port="registry")
    assert r.status == 200 and (r.json["description"], r.json["system_prompt"], r.json["version"]) == ("was here", "x\ny", 3), r
    assert fresh.post("/agents/gone/revert", {"version": 2}, port="registry").status == 422


def test_two_writers(reg, name):
    """Both read version 1; the second to write is told."""
    reg.put(name, UNIT)
    assert reg.put(name, UNIT + "# first\n", "?version=1").status == 200
    r = reg.put(name, UNIT + "# second\n", "?version=1")
    assert r.status == 409 and "version 2, not 1" in r.detail
    r = reg.put(name, UNIT + "# second\n", **{"If-Match": '"1"'})
    assert r.status == 409
    assert reg.read(name + ".blueprint") == UNIT + "# first\n"
    assert reg.put(name, UNIT + "# second\n", **{"If-Match": '"2"'}).status == 200
    # An editor in between counts, too.
    reg.write(UNIT + "# by hand\n", name + ".blueprint")
    assert reg.patch("/agents/%s?version=3" % name, {"description": "x"}, port="registry").status == 409
    assert reg.read(name + ".blueprint") == UNIT + "# by hand\n"
    assert reg.patch("/agents/%s?version=4" % name, {"description": "x"}, port="registry").status == 200


# ---- files as they come ------------------------------------------------------------------------------------------


def test_edits_by_hand_are_seen(fresh):
    fresh.write("[Blueprint]\nDescription=one\n", "hand.blueprint")
    wait_for("the new file", lambda: "hand" in fresh.names())
    with open(fresh.path("hand.blueprint"), "w", encoding="utf-8") as f:  # in place
        f.write("[Blueprint]\nDescription=two\n")
    wait_for("the edit", lambda: fresh.agent("hand")["description"] == "two")
    fresh.write("[Blueprint]\nDescription=three\n", "hand.blueprint.d", "x.conf")
    wait_for("the drop-in", lambda: fresh.agent("hand")["description"] == "three")
    fresh.write("[Blueprint]\nDescription=four\n", "hand.blueprint.d", "x.conf")
    wait_for("the edit of the drop-in", lambda: fresh.agent("hand")["description"] == "four")
    fresh.write("[Agent]\nSystemPromptFile=prompts/p.md\n", "hand.blueprint.d", "y.conf")
    fresh.write("prompt one", "prompts", "p.md")
    wait_for("the prompt", lambda: fresh.agent("hand")["system_prompt"] == "prompt one")
    fresh.write("prompt two", "prompts", "p.md")
    wait_for("the edit of the prompt", lambda: fresh.agent("hand")["system_prompt"] == "prompt two")
    versions = len(fresh.history("hand"))
    os.utime(fresh.path("hand.blueprint"))
    fresh.write("[Agent\n", "hand.blueprint")
    wait_for("the mistake", lambda: fresh.status("hand") == "bad")
    assert "hand" not in fresh.names() and fresh.agent("hand")["problems"][0]["line"] == 1
    r = fresh.post("/sessions", {"agent_name": "hand", "prompt": "p"})
    assert r.status == 422 and r.detail.startswith(fresh.path("hand.blueprint") + ":1:")
    assert len(fresh.history("hand")) == versions + 1, "a new time alone is no version"
    os.unlink(fresh.path("hand.blueprint"))
    wait_for("its end", lambda: fresh.status("hand") is None)
    shutil.rmtree(fresh.etc)
    wait_for("the directory to be gone", lambda: "kept" in fresh.names())
    fresh.write("[Blueprint]\nDescription=back\n", "hand.blueprint")
    wait_for("the new directory", lambda: "hand" in fresh.names())


def test_what_was_changed_while_aod_was_down(fresh):
    fresh.make("a1")
    fresh.make("a2")
    fresh.stop()
    os.unlink(fresh.path("a1.blueprint"))
    fresh.write("[Blueprint]\nDescription=meanwhile\n", "a2.blueprint")
    fresh.write("[Blueprint]\nDescription=new\n", "a3.blueprint")
    fresh.start()
    assert fresh.get("/agents/a1", port="registry").status == 404 and fresh.history("a1")[0]["action"] == "removed"
    assert fresh.agent("a2")["description"] == "meanwhile" and fresh.agent("a2")["version"] == 2
    assert fresh.agent("a3")["version"] == 1


def test_files_that_are_no_texts(fresh):
    with open(fresh.path("sparse.blueprint"), "wb") as f:
        f.truncate(1 << 30)
    os.mkfifo(fresh.path("fifo.blueprint"))
    os.mkdir(fresh.path("dir.blueprint"))
    with open(fresh.path("latin.blueprint"), "wb") as f:
        f.write("[Blueprint]\nDescription=fünf\n".encode("latin-1"))
    with open(fresh.path("nul.blueprint"), "wb") as f:
        f.write(b"[Blueprint]\nDescription=a\0b\n")
    with open(fresh.path("prompt.blueprint"), "w", encoding="utf-8") as f:
        f.write("[Agent]\nSystemPromptFile=fifo.blueprint\n")
    start = time.monotonic()
    for n, says in (("sparse", "1073741824 bytes"), ("fifo", "regular"), ("dir", "regular"), ("latin", ":2:"), ("nul", ":2:")):
        r = fresh.post("/sessions", {"agent_name": n, "prompt": "p"})
        assert r.status == 422 and says in r.detail and n + ".blueprint" in r.detail, (n, r)
    assert fresh.post("/sessions", {"agent_name": "prompt", "prompt": "p"}).status == 422
    wait_for("all of them to be known", lambda: fresh.status("sparse") == fresh.status("latin") == fresh.status("fifo") == "bad")
    assert time.monotonic() - start < 20
    assert fresh.runs("kept") == ["kept"]
    # A write mends it.
    assert fresh.put("sparse", UNIT).status == 200 and fresh.status("sparse") == "active"
    assert fresh.delete("/agents/latin", port="registry").status == 204


def test_many_dropins(fresh):
    fresh.put("many", UNIT)
    for i in range(101):
        fresh.write("[Blueprint]\nTags=t%d\n" % i, "many.blueprint.d", "%03d.conf" % i)
    wait_for("the cap", lambda: fresh.status("many") == "bad")
    assert "100 drop-ins" in fresh.agent("many")["problems"][0]["text"]
    os.unlink(fresh.path("many.blueprint.d", "100.conf"))
    wait_for("to be below it", lambda: fresh.status("many") == "active")
    assert len(fresh.agent("many")["settings"]["Blueprint"]["Tags"]) == 100


def test_odd_names_are_no_blueprints(fresh):
    for n in ("a b.blueprint", ".hidden.blueprint", "x.blueprint.bak", "y@z@w.blueprint", "ünï.blueprint", ".blueprint"):
        fresh.write(UNIT, n)
    fresh.write(UNIT, "fine.blueprint")
    wait_for("the one that is one", lambda: "fine" in fresh.names())
    assert set(fresh.names("?all=1")) - {"fine"} == {f[:-10] for f in os.listdir(fresh.shipped) if f.endswith(".blueprint")}


@pytest.fixture
def tiny():
    """One whose etc/blueprints is a disk of 64 KiB of its own."""
    with Registry() as a:
        a.mount(a.etc, "64k")
        a.start()
        yield a


def test_full_disk(tiny):
    tiny.make("small", "d", system_prompt="old\nprompt")
    inside = "/proc/%d/root%s" % (tiny.pid, tiny.etc)
    before = {f: open(os.path.join(inside, f), encoding="utf-8").read() for f in os.listdir(inside)}
    big = "#" * 100000 + "\n"
    for r in (tiny.put("small", UNIT + big), tiny.patch("/agents/small", {"system_prompt": big}, port="registry"),
              tiny.post("/agents", {"name": "another", "description": "d", "system_prompt": big}, port="registry")):
        assert r.status == 507 and "No space left" in r.detail, r
    assert {f: open(os.path.join(inside, f), encoding="utf-8").read() for f in os.listdir(inside)} == before
    assert tiny.agent("small")["version"] == 1 and tiny.get("/agents/another", port="registry").status == 404
    assert tiny.patch("/agents/small", {"description": "new"}, port="registry").status == 200


def test_read_only_directory(fresh):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    fresh.make("ro")
    os.chmod(fresh.etc, 0o555)
    try:
        r = fresh.patch("/agents/ro", {"description": "x"}, port="registry")
        assert r.status == 403 and fresh.path("ro.blueprint") in r.detail
    finally:
        os.chmod(fresh.etc, 0o755)


def test_pages_of_other_sites(reg):
    for method, path, body in (("POST", "/agents", {"name": "evil", "description": "d"}), ("PUT", "/agents/evil", {"unit": UNIT}),
                               ("DELETE", "/agents/kept", None)):
        r = reg.request(method, path, body, headers={"Origin": "http://evil.example"}, port="registry")
        assert r.status == 403, (method, r)
    assert reg.get("/agents/evil", port="registry").status == 404
