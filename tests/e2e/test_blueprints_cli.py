# SPDX-License-Identifier: MIT
"""aoctl's commands for blueprints: what they print, their --json and exit statuses, the editor, verify, and agents of the old format."""
import json
import os
import pty
import re
import select
import subprocess
import uuid

import pytest

from aod import BUILD, SRC, WAIT, clean_env, wait_for

OK, FAILED, USAGE, NO_AOD = 0, 1, 2, 69
MINIMAL = "# Mine.\n[Blueprint]\nDescription=%s\n\n[Agent]\nAdapter=command\nExecStart=/bin/sh -c 'echo hi'\n"


def nm(prefix="b"):
    return "%s-%s" % (prefix, uuid.uuid4().hex[:10])


def good(p, code=OK):
    assert p.returncode == code, (p.args[1:], p.returncode, p.stdout, p.stderr)
    return p


def ctl(aod, *args, code=OK, **kw):
    return good(aod.aoctl(*args, **kw), code)


def ctl_json(aod, *args, **kw):
    return json.loads(ctl(aod, *args, "--json", **kw).stdout)


def edited_path(aod, name, drop_in=None):
    d = os.path.join(aod.root, "etc", "blueprints")
    return os.path.join(d, name + ".blueprint.d", drop_in + ".conf") if drop_in else os.path.join(d, name + ".blueprint")


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def is_there(aod, name):
    return aod.aoctl("cat", name).returncode == OK


@pytest.fixture
def mine(aod):
    """A blueprint of the user's own, written with an editor that aod knows nothing of."""
    name = nm()
    aod.blueprint(name, MINIMAL % "first")
    wait_for("aod to see it", lambda: is_there(aod, name))
    return name


class Editor:
    """An editor: does to the file what a line of Python says with its text t, and keeps what it was given."""

    def __init__(self, path, step):
        self.given = os.path.join(path, "given")
        self.program = os.path.join(path, "editor")
        with open(self.program, "w", encoding="utf-8") as f:
            f.write("#!/usr/bin/python3\nimport sys, os\np = sys.argv[-1]\nt = open(p).read()\n"
                    "n = sum(x.startswith(%r) for x in os.listdir(%r))\n"
                    "open(%r + str(n), 'w').write(t)\n%s\nopen(p, 'w').write(t)\n"
                    % ("given", str(path), self.given, step))
        os.chmod(self.program, 0o755)
        self.env = {"EDITOR": self.program}

    def text(self, n=0):
        return text_of(self.given + str(n))

    def times(self):
        d = os.path.dirname(self.given)
        return sum(x.startswith("given") for x in os.listdir(d))


def editor(tmp_path, step):
    return Editor(str(tmp_path), step)


# ---- list, cat, show ---------------------------------------------------------------------------------------


def test_blueprints(aod, mine):
    out = ctl(aod, "blueprints").stdout
    assert re.match(r"NAME +STATUS +VERSION +DESCRIPTION\n", out)
    assert re.search(r"^%s +active +1 +first$" % mine, out, re.M), out
    assert re.search(r"^claude +active ", out, re.M)
    listed = ctl_json(aod, "blueprints")
    assert {"claude", "command", "demo", "shell", mine} <= {b["name"] for b in listed}
    assert [b["description"] for b in listed if b["name"] == mine] == ["first"]


def test_cat(aod, mine):
    out = ctl(aod, "cat", mine).stdout
    assert out.startswith("# %s\n# Mine.\n[Blueprint]\n" % edited_path(aod, mine)), out
    both = ctl(aod, "cat", mine, "demo").stdout
    assert both.startswith(out) and "/demo.blueprint\n" in both
    got = ctl_json(aod, "cat", mine)
    assert got["name"] == mine and got["text"] == out


def test_show(aod, mine):
    out = ctl(aod, "show", "-b", mine).stdout
    lines = dict(line.split("=", 1) for line in out.splitlines())
    assert lines["Name"] == mine and lines["Status"] == "active" and lines["Path"] == edited_path(aod, mine)
    assert lines["Description"] == "first" and lines["Adapter"] == "command"
    assert lines["ExecStart"].split(" ", 2)[:2] == ["/bin/sh", "-c"]
    assert ctl(aod, "show", "-b", mine, "-p", "Adapter,Name").stdout == "Name=%s\nAdapter=command\n" % mine
    # What is unset is shown when it is asked for.
    assert ctl(aod, "show", "-b", mine, "-p", "Model").stdout == "Model=\n"
    p = ctl(aod, "show", "-b", mine, "-p", "Modl", code=USAGE)
    assert "Model" in p.stderr and p.stdout == ""
    assert ctl_json(aod, "show", "-b", mine)["description"] == "first"


def test_help(aod):
    p = ctl(aod, "help")
    for c in "blueprints cat edit enable disable mask unmask verify history diff revert import".split():
        assert re.search(r"^  %s +\S" % c, p.stdout, re.M), c
        assert ctl(aod, c, "--help").stdout.startswith("Usage: aoctl %s" % c)


def test_bad_and_alias(aod, mine):
    """What cannot be started is listed as well, and it is said why."""
    bad, alias = nm("bad"), nm("alias")
    aod.blueprint(bad, "[Agent]\nAdaptr=claude\n")
    os.symlink(mine + ".blueprint", edited_path(aod, alias))
    out = wait_for("aod to see them", lambda: (lambda t: t if bad in t and alias in t else None)(ctl(aod, "blueprints").stdout))
    assert re.search(r"^%s +bad " % bad, out, re.M) and re.search(r"^%s +alias .*%s$" % (alias, mine), out, re.M), out
    p = ctl(aod, "show", "-b", bad)
    assert "Status=bad\nVersion=1\n" in p.stdout and "Problems=1\n" in p.stdout
    assert re.search(r"/%s\.blueprint:2:1: error: .*Adapter" % bad, p.stderr), p.stderr
    assert ctl(aod, "show", "-b", bad, "-p", "Status").stderr == ""


COMMANDS_OF_A_NAME = [["cat"], ["edit"], ["enable"], ["disable"], ["unmask"], ["history"], ["diff"], ["show", "-b"], ["delete", "-b"]]


@pytest.mark.parametrize("command", COMMANDS_OF_A_NAME, ids=lambda c: c[0])
def test_unknown(aod, command):
    p = ctl(aod, *command, "no-such-blueprint", code=FAILED, env={"EDITOR": "/bin/true"})
    assert "no-such-blueprint" in p.stderr and p.stdout == ""
    assert ctl(aod, *command, "no-such-blueprint", "--json", code=FAILED, env={"EDITOR": "/bin/true"}).stdout == ""


def test_no_aod(aod, tmp_path):
    for args in (["blueprints"], ["cat", "x"], ["edit", "x"], ["revert", "x", "1"], ["import", str(tmp_path)]):
        if args[0] == "import":
            old_agent(tmp_path, "one")
        p = aod.aoctl(*args, "--root", str(tmp_path), socket=False)
        assert p.returncode == NO_AOD and p.stdout == "" and "aod.sock" in p.stderr, p


@pytest.mark.parametrize("args, word", [
    (["cat"], "NAME"), (["blueprints", "x"], "x"), (["revert", "x"], "VERSION"), (["revert", "x", "y"], "no version"), (["diff", "x", "0"], "no version"),
    (["edit", "x", "--full", "--drop-in", "y"], "exclude"), (["edit", "x", "--force"], "--full"), (["edit", "a/b"], "verify"),
    (["edit", "x", "--drop-in", "../y"], "drop-in"), (["verify"], "FILE"), (["import"], "DIR"), (["delete", "-b"], "blueprints"),
    (["delete", "-b", "--all"], "blueprints"), (["blueprint"], "blueprints"), (["cat", "x", "--at", "z"], "--at")])
def test_usage(aod, args, word):
    p = ctl(aod, *args, code=USAGE)
    assert word in p.stderr and p.stdout == ""


# ---- on and off --------------------------------------------------------------------------------------------


def test_disable_and_enable(aod, mine):
    p = ctl(aod, "disable", mine)
    assert p.stdout == "" and mine in p.stderr
    assert "Enabled=no" in text_of(edited_path(aod, mine)) and "# Mine.\n" in text_of(edited_path(aod, mine))
    assert ctl(aod, "show", "-b", mine, "-p", "Status").stdout == "Status=inactive\n"
    p = ctl(aod, "run", "-a", mine, "-p", "x", code=FAILED)
    assert "is inactive" in p.stderr
    assert ctl_json(aod, "enable", mine)["status"] == "active"
    assert "hi" in ctl(aod, "run", "-a", mine, "-p", "x", "-q").stdout


def test_several_at_once(aod, mine):
    other = nm()
    aod.blueprint(other, MINIMAL % "other")
    wait_for("aod to see it", lambda: is_there(aod, other))
    p = ctl(aod, "disable", mine, "no-such-blueprint", other, code=FAILED)
    assert "no-such-blueprint" in p.stderr
    for name in (mine, other):
        assert ctl(aod, "show", "-b", name, "-p", "Status").stdout == "Status=inactive\n"


def test_mask_and_unmask(make_aod):
    aod = make_aod()
    ctl(aod, "mask", "demo")
    assert os.readlink(edited_path(aod, "demo")) == "/dev/null"
    assert re.search(r"^demo +masked ", ctl(aod, "blueprints").stdout, re.M)
    p = ctl(aod, "run", "-a", "demo", "-p", "say x", code=FAILED)
    assert "demo" in p.stderr
    ctl(aod, "unmask", "demo")
    assert not os.path.lexists(edited_path(aod, "demo"))
    assert ctl(aod, "show", "-b", "demo", "-p", "Status").stdout == "Status=active\n"


def test_delete(aod, mine):
    ctl(aod, "delete", "-b", mine)
    assert not os.path.exists(edited_path(aod, mine))
    assert mine not in ctl(aod, "blueprints").stdout


# ---- edit --------------------------------------------------------------------------------------------------


def test_edit_makes_a_drop_in(aod, mine, tmp_path):
    ed = editor(tmp_path, "t = t.replace('\\n\\n\\n', '\\n\\n[Agent]\\nEnvironment=A=1\\n\\n', 1)")
    p = ctl(aod, "edit", mine, env=ed.env)
    assert p.stdout == "" and "override.conf" in p.stderr
    # The editor sees what it changes, as comments.
    assert "# %s" % edited_path(aod, mine) in ed.text() and "# Adapter=command\n" in ed.text() and "# # Mine.\n" in ed.text()
    assert text_of(edited_path(aod, mine, "override")) == "[Agent]\nEnvironment=A=1\n"
    assert text_of(edited_path(aod, mine)) == MINIMAL % "first"
    assert ctl(aod, "show", "-b", mine, "-p", "Environment").stdout == "Environment=A=1\n"
    cat = ctl(aod, "cat", mine).stdout
    assert cat.endswith("\n# %s\n[Agent]\nEnvironment=A=1\n" % edited_path(aod, mine, "override")), cat
    # It comes back to be edited; what is not changed is not saved; without a text it goes.
    ed2 = tmp_path / "two"
    ed2.mkdir()
    ed2 = editor(ed2, "pass")
    assert "nothing was changed" in ctl(aod, "edit", mine, env=ed2.env).stderr
    assert "\n[Agent]\nEnvironment=A=1\n" in ed2.text()
    ed3 = tmp_path / "three"
    ed3.mkdir()
    assert "removed" in ctl(aod, "edit", mine, env=editor(ed3, "t = ''").env).stderr
    assert not os.path.exists(edited_path(aod, mine, "override"))


def test_edit_a_shipped_one(make_aod, tmp_path):
    """Its own file stays as it is, in both ways to edit it."""
    aod = make_aod()
    shipped = text_of(os.path.join(SRC, "blueprints", "demo.blueprint"))
    got = json.loads(ctl(aod, "edit", "demo", "--drop-in", "50-model.conf", "--stdin", "--json", input="[Agent]\nModel=m\n").stdout)
    assert got["name"] == "demo"
    assert text_of(edited_path(aod, "demo", "50-model")) == "[Agent]\nModel=m\n"
    ed = editor(tmp_path, "t = t.replace('Demo agent', 'My agent')")
    ctl(aod, "edit", "--full", "demo", env=ed.env)
    assert ed.text() == shipped
    assert text_of(edited_path(aod, "demo")) == shipped.replace("Demo agent", "My agent")
    assert text_of(os.path.join(SRC, "blueprints", "demo.blueprint")) == shipped
    assert ctl(aod, "show", "-b", "demo", "-p", "Model").stdout == "Model=m\n"


def test_edit_makes_a_new_one(aod, tmp_path):
    name = nm("new")
    p = ctl(aod, "edit", "--full", name, env={"EDITOR": "/bin/true"}, code=FAILED)
    assert "--force" in p.stderr
    ed = editor(tmp_path, "t = %r" % (MINIMAL % "made"))
    ctl(aod, "edit", "--full", "--force", name, env=ed.env)
    assert ed.text().startswith("[Blueprint]\n")
    assert text_of(edited_path(aod, name)) == MINIMAL % "made"


def test_edit_refused(aod, mine, tmp_path):
    """Nothing is changed, all errors are said with their places, and what was written is kept."""
    ed = editor(tmp_path, "t = t.replace('\\n\\n\\n', '\\n\\n[Agent]\\nAdaptr=command\\n\\n[Resources]\\nMemoryMax=lots\\n\\n', 1)")
    p = ctl(aod, "edit", mine, env={**ed.env, "TMPDIR": str(tmp_path)}, code=FAILED)
    kept = re.search(r"what you wrote is in (\S+)", p.stderr).group(1)
    lines = text_of(kept).splitlines()
    for key, near in (("Adaptr=", "Adapter"), ("MemoryMax=", "lots")):
        # The place is that in the file which was edited.
        n = [i for i, line in enumerate(lines, 1) if line.startswith(key)][0]
        assert re.search(r"^%s:%d:\d+: error: .*%s" % (re.escape(kept), n, near), p.stderr, re.M), p.stderr
    assert not os.path.exists(edited_path(aod, mine, "override"))
    assert ed.times() == 1, "nobody is there to be asked"
    p = ctl(aod, "edit", "--full", mine, "--stdin", input="[Agent]\nx\n", code=FAILED)
    assert ":2:1: error: " in p.stderr and text_of(edited_path(aod, mine)) == MINIMAL % "first"
    p = ctl(aod, "edit", "--full", mine, "--stdin", input="", code=FAILED)
    assert "empty" in p.stderr and text_of(edited_path(aod, mine)) == MINIMAL % "first"


def on_terminal(aod, args, env, answers):
    """Run it at a terminal and answer each question that ends in "] "; (exit status, what it wrote)."""
    master, slave = pty.openpty()
    p = subprocess.Popen([os.path.join(aod.programs, "aoctl"), *args], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                         env=clean_env(**{"AOD_SOCKET": aod.socket, "TERM": "xterm", **env}), start_new_session=True)
    os.close(slave)
    out, answers = b"", list(answers)
    while select.select([master], [], [], WAIT)[0]:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
        if out.endswith(b"] ") and answers:
            os.write(master, answers.pop(0).encode() + b"\n")
    os.close(master)
    return p.wait(WAIT), out.decode()


def test_edit_again(aod, mine, tmp_path):
    """The first time it is wrong, the second time right: the editor gets the text back as it was left."""
    ed = editor(tmp_path, "t = '[Agent]\\nModl=m\\n' if n == 0 else t.replace('Modl', 'Model')")
    code, out = on_terminal(aod, ["edit", mine], ed.env, [""])
    assert code == OK and ed.times() == 2, out
    assert "Edit again?" in out and "\033[31merror:" in out
    assert "Modl=m" in ed.text(1)
    assert text_of(edited_path(aod, mine, "override")) == "[Agent]\nModel=m\n"
    two = tmp_path / "two"
    two.mkdir()
    ed = editor(two, "t = '[Agent]\\nModl=n\\n'")
    code, out = on_terminal(aod, ["edit", mine], {**ed.env, "TMPDIR": str(tmp_path)}, ["n"])
    assert code == FAILED and ed.times() == 1 and "what you wrote is in" in out, out
    assert text_of(edited_path(aod, mine, "override")) == "[Agent]\nModel=m\n"


def test_edit_when_the_editor_fails(aod, mine, tmp_path):
    p = ctl(aod, "edit", mine, env={"EDITOR": "/bin/false", "TMPDIR": str(tmp_path)}, code=FAILED)
    assert "/bin/false failed" in p.stderr
    p = ctl(aod, "edit", mine, env={"EDITOR": "/no/such/editor", "TMPDIR": str(tmp_path)}, code=FAILED)
    assert "/no/such/editor" in p.stderr and "EDITOR" in p.stderr
    # VISUAL comes first, words after the program are its arguments.
    ed = editor(tmp_path, "assert sys.argv[1] == '-w w'\nt = '[Agent]\\nModel=v\\n'")
    ctl(aod, "edit", mine, env={"EDITOR": "/bin/false", "VISUAL": "%s '-w w'" % ed.program, "TMPDIR": str(tmp_path)})
    assert not [x for x in os.listdir(str(tmp_path)) if x.startswith("aoctl-")], "temporary files are left"


def test_two_writers(aod, mine, tmp_path):
    """What somebody else wrote while the editor was open is not lost."""
    env = clean_env(AOD_SOCKET=aod.socket)
    other = "import subprocess; subprocess.run([%r, 'edit', %r, '--stdin', '--full'], input=%r, text=True, check=True, env=%r)" % (
        os.path.join(aod.programs, "aoctl"), mine, MINIMAL % "of another", env)
    ed = editor(tmp_path, other + "\nt = t.replace('first', 'mine')")
    p = ctl(aod, "edit", "--full", mine, env={**ed.env, "TMPDIR": str(tmp_path)}, code=FAILED)
    assert text_of(edited_path(aod, mine)) == MINIMAL % "of another"
    kept = re.search(r"what you wrote is in (\S+)", p.stderr).group(1)
    assert text_of(kept) == MINIMAL % "mine"


# ---- versions ----------------------------------------------------------------------------------------------


def test_history_diff_revert(aod, mine):
    ctl(aod, "edit", "--full", mine, "--stdin", input=MINIMAL % "second")
    lines = ctl(aod, "history", mine).stdout.splitlines()
    assert lines[0].split() == ["VERSION", "TIME", "AUTHOR", "ACTION"] and [x.split()[0] for x in lines[1:]] == ["2", "1"], lines
    assert "uid:" in lines[1] and "file" in lines[2]
    versions = ctl_json(aod, "history", mine)["versions"]
    assert [v["version"] for v in versions] == [2, 1]
    assert len(ctl(aod, "history", "-n", "1", mine).stdout.splitlines()) == 2

    d = ctl(aod, "diff", mine).stdout
    assert "\n-Description=first\n+Description=second\n" in d
    assert ctl(aod, "diff", mine, "1", "2").stdout == d
    assert "\n-Description=second\n+Description=first\n" in ctl(aod, "diff", mine, "2", "1").stdout
    p = ctl(aod, "diff", mine, "2", "2")
    assert p.stdout == "" and "no difference" in p.stderr
    assert "+Description=second" in ctl_json(aod, "diff", mine)["diff"]
    ctl(aod, "diff", mine, "7", code=FAILED)
    assert "Description=first" in ctl(aod, "cat", mine, "--at", "1").stdout

    ctl(aod, "revert", mine, "7", code=FAILED)
    ctl(aod, "revert", mine, "1")
    assert text_of(edited_path(aod, mine)) == MINIMAL % "first"
    assert [v["version"] for v in ctl_json(aod, "history", mine)["versions"]] == [3, 2, 1]
    assert ctl_json(aod, "revert", mine, "2")["description"] == "second"


def test_diff_in_colour(aod, mine):
    ctl(aod, "edit", "--full", mine, "--stdin", input=MINIMAL % "second")
    code, out = on_terminal(aod, ["diff", mine], {}, [])
    assert code == OK and "\033[31m-Description=first\033[0m" in out and "\033[32m+Description=second\033[0m" in out
    code, out = on_terminal(aod, ["diff", mine, "--no-color"], {}, [])
    assert code == OK and "\033" not in out


# ---- verify ------------------------------------------------------------------------------------------------


def verify(*args, cwd=None):
    return subprocess.run([os.path.join(BUILD, "aoctl"), "verify", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, cwd=cwd, timeout=WAIT, env=clean_env(AOD_SOCKET="/nonexistent"))


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_verify_shipped():
    d = os.path.join(SRC, "blueprints")
    files = [os.path.join(d, f) for f in sorted(os.listdir(d)) if f.endswith(".blueprint")]
    p = verify("--strict", *files)
    assert (p.returncode, p.stdout, p.stderr) == (OK, "", "")
    assert json.loads(verify("--json", *files).stdout) == []


def test_verify_errors(tmp_path):
    write(tmp_path / "x.blueprint", "[Blueprint]\nDescripton=foo\n[Agent]\nAdapter=comand\n[Sandbx]\nPrivateTmp=yes\nno equals\n")
    p = verify("x.blueprint", cwd=str(tmp_path))
    lines = p.stdout.splitlines()
    assert p.returncode == FAILED and len(lines) == 4, p
    for line, start, word in zip(lines, ["2:1", "4:9", "[56]:1", "7:1"], ["Description", "command", "Sandbox", "Key=value"]):
        assert re.match(r"x\.blueprint:%s: error: " % start, line) and word in line, line
    assert "4 errors" in p.stderr
    p = verify("--json", "x.blueprint", cwd=str(tmp_path))
    got = json.loads(p.stdout)
    assert p.returncode == FAILED and [sorted(g) for g in got] == [["column", "file", "line", "severity", "text"]] * 4
    assert {(g["severity"], g["file"]) for g in got} == {("error", "x.blueprint")}
    assert [(g["line"], g["column"]) for g in got][:2] == [(2, 1), (4, 9)]


@pytest.mark.parametrize("line, word", [
    ("[Sandbox]\nMemoryDenyWriteExecute=yes", "V8"), ("[Resources]\nLimitAS=1G", "MemoryMax"), ("[Resources]\nLimitNPROC=9", "TasksMax"),
    ("[Agent]\nExecStart=/home/alice/bin/claude", "BindReadOnlyPaths="), ("[Sandbox]\nPrivateNetwork=yes", "proxy"), ("[Agent]\nSystemPromptFile=none.md", "none.md"),
    ("[Agent]\nMcpConfigFile=/none.json", "/none.json")])
def test_verify_warnings(tmp_path, line, word):
    f = write(tmp_path / "w.blueprint", "[Agent]\nAdapter=claude\n%s\n" % line)
    p = verify(f)
    assert p.returncode == OK and re.match(re.escape(f) + r":4:1: warning: ", p.stdout) and word in p.stdout, p
    assert verify("--strict", f).returncode == FAILED
    got = json.loads(verify("--json", f).stdout)
    assert [(g["severity"], g["line"]) for g in got] == [("warning", 4)]


def test_verify_drop_ins(tmp_path):
    main = write(tmp_path / "a.blueprint", "[Agent]\nAdapter=claude\n")
    write(tmp_path / "a.blueprint.d" / "20.conf", "[Agent]\nModel=m\n[Resources]\nTasksMax=many\n")
    write(tmp_path / "a.blueprint.d" / "10.conf", "[Agent]\nMaxTurns=x\n")
    write(tmp_path / "a.blueprint.d" / "note", "no drop-in\n")
    more = write(tmp_path / "more.conf", "[Agent]\nMaxTurn=1\n")
    p = verify(main)
    places = [":".join(x.split(":")[:2]).replace(str(tmp_path) + "/", "") for x in p.stdout.splitlines()]
    assert places == ["a.blueprint.d/10.conf:2", "a.blueprint.d/20.conf:4"], p.stdout
    # One that is named after it; one alone; one alone whose main file is beside it.
    assert "more.conf:2:1: error: " in verify(main, more).stdout
    p = verify(more)
    assert p.returncode == FAILED and "MaxTurns" in p.stdout
    assert verify(str(tmp_path / "a.blueprint.d" / "10.conf")).stdout.count("error:") == 2


def test_verify_files_that_are_none(tmp_path):
    (tmp_path / "dir.blueprint").mkdir()
    with open(str(tmp_path / "big.blueprint"), "wb") as f:
        f.truncate(1 << 30)
    for name, word in (("none.blueprint", "No such file"), ("dir.blueprint", "directory"), ("big.blueprint", "KiB"), ("x.service", ".blueprint")):
        p = verify(str(tmp_path / name))
        assert p.returncode == FAILED and word in p.stdout and p.stdout.startswith("%s/%s: error: " % (tmp_path, name)), p
    bad = write(tmp_path / "a b.blueprint", "[Agent]\n")
    assert "is no name" in verify(bad).stdout
    os.symlink("/dev/null", str(tmp_path / "masked.blueprint"))
    write(tmp_path / "t@.blueprint", "[Blueprint]\nDescription=for %i\n")
    assert verify("--strict", str(tmp_path / "masked.blueprint"), str(tmp_path / "t@.blueprint")).returncode == OK
    bad = write(tmp_path / "mcp.blueprint", "[Agent]\nMcpConfigFile=mcp.json\n")
    write(tmp_path / "mcp.json", "{")
    p = verify(bad)
    assert p.returncode == FAILED and ":2:1: error: " in p.stdout


def test_verify_in_colour(tmp_path):
    f = write(tmp_path / "x.blueprint", "[Agent]\nModel=\033[2J\nMaxTurns=\033[2J\n")
    master, slave = pty.openpty()
    p = subprocess.Popen([os.path.join(BUILD, "aoctl"), "verify", f], stdin=slave, stdout=slave, stderr=slave, env=clean_env(TERM="xterm"))
    os.close(slave)
    out = b""
    while select.select([master], [], [], WAIT)[0]:
        try:
            out += os.read(master, 4096)
        except OSError:
            break
    os.close(master)
    assert p.wait(WAIT) == FAILED
    assert b"\033[31merror:" in out and b"\033[2J" not in out


# ---- import ------------------------------------------------------------------------------------------------


def old_agent(top, name, disabled=False, prompt=None, mcp=None, **agent):
    d = top / name
    d.mkdir(exist_ok=True)
    (d / "agent.json").write_text(json.dumps({"name": name, "description": "d of " + name, **agent}, indent=2) + "\n")
    if prompt is not None:
        (d / "agent.system-prompt.md").write_text(prompt)
    if mcp is not None:
        (d / "agent.mcp.json").write_text(json.dumps({"mcpServers": mcp}))
    if disabled:
        (d / ".disabled").touch()
    return d


def report(p):
    return [tuple(re.match(r"(\w+) +(\S+?)(?:: (.*))?$", line).groups()) for line in p.stdout.splitlines()]


def test_import(aod, tmp_path):
    one, two, three = nm("imp1"), nm("imp2"), nm("imp3")
    mcp = {"files": {"command": "npx", "args": ["-y", "a b", "100%"], "env": {"K": "v w"}}, "web": {"type": "http", "url": "http://127.0.0.1:1/mcp"}}
    prompt = "You are \"good\" at 100%.\n\n- first \\ second\n- caf\u00e9 \u2603\n"
    old_agent(tmp_path, one, prompt=prompt, mcp=mcp, skills=["s1", "s2"])
    old_agent(tmp_path, two, disabled=True)
    old_agent(tmp_path, three, prompt="short")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "agent.json").write_text("{")
    (tmp_path / "empty").mkdir()
    (tmp_path / "README").write_text("")

    p = ctl(aod, "import", "--dry-run", str(tmp_path), code=FAILED)
    assert [r[0] for r in report(p)] == ["skipped", "skipped", "created", "created", "created"] and not is_there(aod, one)
    p = ctl(aod, "import", str(tmp_path), code=FAILED)
    assert report(p) == [("skipped", "broken", "agent.json is no JSON object"), ("skipped", "empty", "no agent.json"),
                         ("created", one, None), ("created", two, None), ("created", three, None)], p.stdout
    assert "3 created, 0 updated, 0 unchanged, 2 skipped" in p.stderr

    a = aod.get("/agents/" + one).json
    assert (a["description"], a["skills"], a["status"]) == ("d of " + one, ["s1", "s2"], "active")
    assert a["system_prompt"].rstrip("\n") == prompt.rstrip("\n")
    assert a["mcp_servers"]["files"]["args"] == ["-y", "a b", "100%"] and a["mcp_servers"]["files"]["env"] == {"K": "v w"}
    assert a["mcp_servers"]["web"]["url"] == "http://127.0.0.1:1/mcp"
    assert aod.get("/agents/" + two).json["status"] == "inactive"
    assert verify(edited_path(aod, one), edited_path(aod, two), edited_path(aod, three)).returncode == OK

    # Again: nothing is to be done, and nothing is done.
    before = ctl_json(aod, "history", one)["versions"]
    p = ctl(aod, "import", str(tmp_path), code=FAILED)
    assert [r[0] for r in report(p)] == ["skipped", "skipped", "unchanged", "unchanged", "unchanged"], p.stdout
    assert ctl_json(aod, "history", one)["versions"] == before

    # What changed there changes here, and only that.
    old_agent(tmp_path, one, description="new", skills=["s1", "s2"])
    (tmp_path / one / "agent.mcp.json").unlink()
    (tmp_path / two / ".disabled").unlink()
    got = {x["name"]: x for x in json.loads(ctl(aod, "import", "--json", str(tmp_path), code=FAILED).stdout)}
    assert got[one]["action"] == "updated" and got[one]["changed"] == "description, mcp_servers"
    assert got[two]["action"] == "updated" and got[two]["changed"] == "status"
    assert got[three]["action"] == "unchanged" and got["broken"]["action"] == "skipped" and got["broken"]["reason"]
    a = aod.get("/agents/" + one).json
    assert a["description"] == "new" and not a.get("mcp_servers") and a["system_prompt"].rstrip("\n") == prompt.rstrip("\n")
    assert aod.get("/agents/" + two).json["status"] == "active"


def test_import_one(aod, tmp_path):
    """The directory of an agent itself, however it is written; and of one that is what it is already."""
    name = nm("imp")
    d = old_agent(tmp_path, name)
    assert report(ctl(aod, "import", str(d))) == [("created", name, None)]
    assert report(ctl(aod, "import", str(d) + "/")) == [("unchanged", name, None)]
    assert [x["action"] for x in json.loads(ctl(aod, "import", "--json", str(tmp_path)).stdout)] == ["unchanged"]


def test_import_of_nothing(aod, tmp_path):
    p = ctl(aod, "import", str(tmp_path))
    assert p.stdout == "" and "0 created" in p.stderr
    assert ctl_json(aod, "import", str(tmp_path)) == []
    p = ctl(aod, "import", str(tmp_path / "none"), code=FAILED)
    assert "No such file" in p.stderr


def test_import_of_what_aod_refuses(aod, tmp_path):
    """The server's reason is the report's; the others are taken over."""
    bad, fine = "imp-a" + uuid.uuid4().hex[:8], "imp-b" + uuid.uuid4().hex[:8]
    old_agent(tmp_path, bad, mcp={"x": {"type": "carrier-pigeon"}})
    old_agent(tmp_path, fine)
    p = ctl(aod, "import", str(tmp_path), code=FAILED)
    r = report(p)
    assert [x[:2] for x in r] == [("skipped", bad), ("created", fine)] and r[0][2], p.stdout


# ---- completion --------------------------------------------------------------------------------------------


def test_completion(aod, mine):
    script = os.path.join(SRC, "contrib", "completions", "aoctl.bash")

    def complete(*words):
        code = "source '%s'; COMP_WORDS=(%s); COMP_CWORD=%d; _aoctl; printf '%%s\\n' \"${COMPREPLY[@]}\"" % (
            script, " ".join("'%s'" % w for w in words), len(words) - 1)
        env = clean_env(AOD_SOCKET=aod.socket)
        env["PATH"] = aod.programs + ":" + env["PATH"]
        return subprocess.run(["bash", "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=env, timeout=WAIT).stdout.split()

    assert complete("aoctl", "cat", mine[:-2]) == [mine]
    assert complete("aoctl", "run", "-a", mine[:-2]) == [mine]
    assert complete("aoctl", "show", "-b", mine[:-2]) == [mine]
    assert complete("aoctl", "show", mine[:-2]) == []
    assert "Adapter" in complete("aoctl", "show", "-b", mine, "-p", "Ada")
    assert "blueprints" in complete("aoctl", "bl") and "--drop-in=" in complete("aoctl", "edit", "--dr")
    assert aod.aoctl("token", "create", mine).returncode == OK
    assert complete("aoctl", "token", "re") == ["revoke"] and complete("aoctl", "token", "revoke", mine[:-2]) == [mine]
    assert aod.aoctl("token", "revoke", mine).returncode == OK
    sid = aod.create(agent_name="demo", prompt="say up\nhang", session_name=mine)["session_id"]
    for command in ("freeze", "thaw", "usage", "top", "set-property", "stop"):
        assert complete("aoctl", command, mine[:-2]) == [mine], command
    assert complete("aoctl", "set-property", mine, "MemoryM") == ["MemoryMax="]
    aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    keys = complete("aoctl", "set-property", mine, "")
    assert "CPUQuota=" in keys and "PrivateTmp=" not in keys
    for key in keys:
        r = aod.post("/sessions/%s/properties" % sid, {"properties": [key + "nonsense"]})
        assert r.status == 422 and key in r.detail and "cannot be changed" not in r.detail, (key, r)
    aod.post("/sessions/%s/stop" % sid, {"timeout_ms": 0})
    aod.wait_status(sid)


def test_verify_never_waits_for_a_fifo(aod, tmp_path):
    os.mkfifo(tmp_path / "fifo.blueprint")
    (tmp_path / "side.blueprint").write_text("[Agent]\nSystemPromptFile=pipe\n")
    os.mkfifo(tmp_path / "pipe")
    r = aod.aoctl("verify", str(tmp_path / "fifo.blueprint"))
    assert r.returncode == FAILED and "fifo.blueprint: error: is not a regular file" in r.stdout, (r.stdout, r.stderr)
    r = aod.aoctl("verify", str(tmp_path / "side.blueprint"))
    assert r.returncode == OK and "pipe cannot be read" in r.stdout, (r.stdout, r.stderr)
