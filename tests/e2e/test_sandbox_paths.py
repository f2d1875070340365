# SPDX-License-Identifier: MIT
"""What an agent sees and writes in a sandbox: its project, its home, credentials, links on the way; who it is told to be."""
import json
import os
import pwd
import tempfile

import pytest

from aod import Aod

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="other users take root")


@pytest.fixture(scope="module")
def aod():
    with Aod() as a:
        if not mounts_work(a):
            pytest.skip("no mount namespaces here")
        yield a


def mounts_work(a):
    checks = {c["name"]: c["status"] for c in a.get("/doctor").json["checks"]}
    return not any(s == "fail" for n, s in checks.items() if "namespace" in n)


@pytest.fixture
def project(tmp_path):
    p = tmp_path / "project"
    (p / ".git" / "hooks").mkdir(parents=True)
    (p / ".git" / "config").write_text("[core]\n")
    return p


count = 0


def lines(aod, keys, script, **body):
    """The lines that a script prints in a sandbox with these keys."""
    global count
    count += 1
    name = "sandbox-%d" % count
    aod.blueprint(name, "[Agent]\nAdapter=command\n[Sandbox]\n%s\n" % keys)
    r = aod.post("/sessions", dict(agent_name=name, command=["/bin/sh", "-c", "exec 2>&1\n" + script], async_mode=False, **body))
    assert r.status == 200, r
    events = aod.get("/sessions/%s/events" % r.json["session"]["session_id"]).json["events"]
    return [e["text"] for e in events if e["event_type"] == "output"]


def refused(aod, keys, **body):
    global count
    count += 1
    name = "sandbox-%d" % count
    aod.blueprint(name, "[Agent]\nAdapter=command\n[Sandbox]\n%s\n" % keys)
    r = aod.post("/sessions", dict(agent_name=name, command=["/bin/true"], async_mode=False, **body))
    assert r.status == 422, r
    return r.detail


@pytest.mark.parametrize("profile", ["strict", "workspace"])
def test_project(aod, project, profile):
    got = lines(aod, "Sandbox=" + profile, "touch file .git/index && echo wrote\ntouch .git/hooks/post-commit || echo hooks\n"
                "echo x >>.git/config || echo config\nmv .git .g || echo moved\ntouch /usr/aod-test || echo usr; :", project_dir=str(project))
    assert "wrote" in got and "hooks" in got and "config" in got and "moved" in got and "usr" in got
    # On disk it belongs to whom the project belongs to.
    assert (project / "file").stat().st_uid == project.stat().st_uid
    assert sorted(os.listdir(project / ".git")) == ["config", "hooks", "index"] and not os.listdir(project / ".git" / "hooks")


def test_as_many_mounts_as_there_may_be(aod):
    """All of them are made; one more is refused before anything is started."""
    def keys(n):
        return "\n".join("TemporaryFileSystem=/mnt/%d" % i for i in range(n - 1)) + "\nTemporaryFileSystem=/mnt"

    assert lines(aod, keys(256), "ls /mnt | wc -l") == ["255"]
    assert "asks for 257 mounts, 256 are the most" in refused(aod, keys(257))


def git_notices(aod):
    sid = aod.get("/sessions").json["sessions"][0]["session_id"]
    return [e for e in aod.events(sid) if e.get("subtype") == "git-guard"]


@pytest.mark.parametrize("profile", ["strict", "workspace"])
def test_git_runs_nothing_of_an_agents(aod, project, tmp_path, profile):
    """Files that were not there, by which the next git of a person would run a program, are renamed at the end; that of the project's owner does not run it."""
    (project / ".git" / "hooks").rmdir()
    keys = "Sandbox=" + profile
    lines(aod, keys, "mkdir .git/hooks own && echo own >.git/commondir && touch .git/hooks/post-checkout .git/config.worktree .git/index; :",
          project_dir=str(project))
    assert sorted(os.listdir(project / ".git")) == ["commondir.from-agent", "config", "config.worktree.from-agent", "hooks.from-agent", "index"]
    (note,) = git_notices(aod)
    assert note["event_type"] == "notice" and note["files"] == ["%s/.git/%s" % (project, n) for n in ("commondir", "config.worktree", "hooks")]
    assert "ReadWritePaths=%s/.git/commondir allows it" % project in note["text"]
    # Once more, with what has the name by now; and what a blueprint allows.
    lines(aod, keys + "\nReadWritePaths=-%d/.git/hooks", "mkdir .git/hooks; echo own >.git/commondir; :", project_dir=str(project))
    (note,) = git_notices(aod)
    assert note["files"] == ["%s/.git/commondir" % project]
    assert (project / ".git" / "hooks").is_dir() and not (project / ".git" / "commondir").exists()
    lines(aod, keys, "touch .git/index", project_dir=str(project))
    assert not git_notices(aod)
    # A repository of the agent's own is left, and told.
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    lines(aod, keys, "mkdir .git; echo mine >.git/config", project_dir=str(fresh))
    (note,) = git_notices(aod)
    assert note["files"] == [str(fresh / ".git")] and (fresh / ".git" / "config").exists()


@pytest.mark.parametrize("profile", ["strict", "workspace"])
def test_git_of_submodules_and_further_down(aod, project, profile):
    """What git keeps for submodules and worktrees, and the .git of a directory further down, are as safe as .git itself is."""
    module, tree, nested = project / ".git" / "modules" / "lib", project / ".git" / "worktrees" / "tree", project / "a" / "clone" / ".git"
    for d in (module, nested):
        (d / "hooks").mkdir(parents=True)
        (d / "HEAD").write_text("ref: refs/heads/main\n")
        (d / "config").write_text("[core]\n")
    tree.mkdir(parents=True)
    (tree / "commondir").write_text("../..\n")
    (project / "lib").mkdir()
    (project / "lib" / ".git").write_text("gitdir: ../.git/modules/lib\n")
    kept = {p: p.read_text() for p in (module / "config", nested / "config", tree / "commondir", project / "lib" / ".git")}
    script = "".join("%s || echo no %d\n" % (step, i) for i, step in enumerate([
        "echo x >>.git/modules/lib/config", "touch .git/modules/lib/hooks/post-checkout", "touch a/clone/.git/hooks/post-checkout",
        "echo x >>a/clone/.git/config", "echo x >.git/worktrees/tree/commondir", "echo gitdir: /tmp >lib/.git", "rm -f lib/.git",
        "mv a/clone a/other", "mv a b", "mv .git/modules/lib .git/modules/l", "mv .git/modules .git/m", "mv lib l"]))
    got = lines(aod, "Sandbox=" + profile, script + "touch a/clone/.git/index && echo wrote\necho x >a/clone/.git/config.worktree\n"
                "echo x >.git/modules/lib/commondir; :", project_dir=str(project))
    assert [line for line in got if line.startswith("no ")] == ["no %d" % i for i in range(12)] and "wrote" in got, got
    assert {p: p.read_text() for p in kept} == kept
    assert not os.listdir(module / "hooks") and not os.listdir(nested / "hooks")
    (note,) = git_notices(aod)
    assert set(note["files"]) == {str(nested / "config.worktree"), str(module / "commondir")}
    assert (nested / "config.worktree.from-agent").exists() and (module / "commondir.from-agent").exists()


def test_git_while_aod_is_away(project):
    """The aod that goes on with a run looks as the one that began it would have."""
    with Aod() as a:
        if not mounts_work(a):
            pytest.skip("no mount namespaces here")
        a.blueprint("away", "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=strict\n")
        os.mkfifo(project / "go")
        sid = a.create(agent_name="away", project_dir=str(project), command=["/bin/sh", "-c", "echo here; read x <go; echo own >.git/commondir"])["session_id"]
        a.wait_event(sid, lambda e: e.get("text") == "here")
        a.kill9()
        with open(project / "go", "w", encoding="utf-8") as f:
            f.write("on\n")
        a.start()
        a.wait_status(sid)
        assert [e["files"] for e in a.events(sid) if e.get("subtype") == "git-guard"] == [["%s/.git/commondir" % project]]
        assert (project / ".git" / "commondir.from-agent").exists() and not (project / ".git" / "commondir").exists()


@pytest.mark.parametrize("profile", ["strict", "workspace"])
def test_deep_in_the_project(aod, project, profile):
    """What is protected further down is not evaded by moving a directory on the way to it."""
    deep = project / "a" / "b"
    (deep / "kept").mkdir(parents=True)
    (deep / "hidden").mkdir()
    (deep / "hidden" / "secret").write_text("sesame\n")
    keys = "Sandbox=%s\nReadOnlyPaths=%%d/a/b/kept\nInaccessiblePaths=%%d/a/b/hidden" % profile
    got = lines(aod, keys, "touch a/b/file && echo wrote; mv a c || echo no; mv a/b a/d || echo neither; rm -rf a/b/hidden; touch a/b/kept/x\n"
                "cat c/b/hidden/secret a/d/hidden/secret a/b/hidden/secret; :", project_dir=str(project))
    assert "wrote" in got and "no" in got and "neither" in got and "sesame" not in got, got
    assert (deep / "hidden" / "secret").exists() and not os.listdir(deep / "kept") and (deep / "file").exists()


def test_read_only_project(aod, project):
    got = lines(aod, "Sandbox=strict\nReadOnlyPaths=%d", "touch file || echo no\ntouch $HOME/x && echo home; :", project_dir=str(project))
    assert "no" in got and "home" in got
    got = lines(aod, "Sandbox=strict\nReadOnlyPaths=%d", "touch file || echo no\ntouch $HOME/x && echo home; :")
    assert "no" in got and "home" in got


def test_worktree(aod, project, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".git").write_text("gitdir: %s/.git/worktrees/tree\n" % project)
    got = lines(aod, "Sandbox=strict", "echo gitdir: /elsewhere >.git || echo no\nrm -f .git || echo neither; :", project_dir=str(tree))
    assert "no" in got and "neither" in got


def test_links(aod, project, tmp_path):
    """What a link leads to is not given to an agent, on the way to the project or in it."""
    (tmp_path / "link").symlink_to("project")
    (project / "sub").mkdir()
    for path in ("link", "link/sub"):
        says = refused(aod, "Sandbox=strict", project_dir=str(tmp_path / path))
        assert "goes through a link" in says and str(project) in says
    assert lines(aod, "", "pwd", project_dir=str(tmp_path / "link"))  # without a sandbox nothing is given
    # .git is an agent's link by now, to what is not its own.
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("sesame\n")
    other = tmp_path / "other"
    other.mkdir()
    (other / ".git").symlink_to(secret)
    got = lines(aod, "Sandbox=strict", "cat .git/file || echo no; :", project_dir=str(other))
    assert "no" in got and "sesame" not in got


def test_files_behind_links(aod, project, tmp_path):
    """What aod reads for an agent it does not read through the agent's links, by which it would be told what it may not see."""
    secret = tmp_path / "secret"
    secret.write_text("SESAME=open\n")
    (project / "real").write_text("GREETING=hello\n")
    (project / "inside").symlink_to("real")
    lines(aod, "Sandbox=strict", "ln -s %s .env" % secret, project_dir=str(project))
    assert os.readlink(project / ".env") == str(secret)
    strict = "Sandbox=strict\n"
    assert "leads out" in refused(aod, strict + "[Agent]\nEnvironmentFile=%d/.env", project_dir=str(project))
    assert "leads out" in refused(aod, strict + "[Agent]\nSystemPromptFile=%d/.env", project_dir=str(project))
    assert "leads out" in refused(aod, strict + "[Agent]\nMcpConfigFile=%d/.env", project_dir=str(project))
    got = lines(aod, strict + "[Agent]\nEnvironmentFile=%d/inside", "env", project_dir=str(project))
    assert "GREETING=hello" in got
    # A credential is read when the agent is born.
    aod.blueprint("behind", "[Agent]\nAdapter=command\n[Sandbox]\n%sLoadCredential=token:%%d/.env\n" % strict)
    r = aod.post("/sessions", {"agent_name": "behind", "command": ["/bin/true"], "project_dir": str(project), "async_mode": False})
    assert r.status == 400 and "leads out" in r.detail
    # Who may read it anyhow gets it.
    assert "SESAME=open" in lines(aod, "Sandbox=none\n[Agent]\nEnvironmentFile=%d/.env", "env", project_dir=str(project))


def test_server_of_others(aod, project):
    """A configuration that the agent can write shows it no file of another session's, and ends no aod."""
    other = aod.create(agent_name="demo", prompt="text hello")["session_id"]
    aod.wait_state(other, "finished", "idle")
    secret = os.path.join(aod.agent_dir(other), "work", "secret")
    with open(secret, "w", encoding="utf-8") as f:
        f.write("sesame\n")
    os.chmod(secret, 0o644)
    aod.blueprint("servers", "[Agent]\nAdapter=claude\nExecStart=/bin/sh -c 'cat %s >got 2>&1; ls -d /usr >>got'\nMcpConfigFile=%%d/mcp.json\n[Sandbox]\nSandbox=strict\n"
                  % secret)
    body = {"agent_name": "servers", "prompt": "x", "project_dir": str(project), "async_mode": False}
    for args in ([secret], ["/proc/1/root" + secret]):
        (project / "mcp.json").write_text(json.dumps({"mcpServers": {"x": {"command": "/bin/cat", "args": args}}}))
        aod.post("/sessions", body)
        got = (project / "got").read_text()
        assert "/usr" in got and "sesame" not in got
        (project / "got").unlink()
    (project / "mcp.json").write_text(json.dumps({"mcpServers": {"x": {"command": "/bin/cat", "args": ["/usr/../etc/hostname"]}}}))
    r = aod.post("/sessions", body)
    assert r.status == 422 and "has .." in r.detail and aod.proc.poll() is None


@needs_root
def test_links_of_root(aod, tmp_path):
    """An agent that is root in its project leaves links that belong to root there."""
    project = tmp_path / "roots"
    project.mkdir()
    lines(aod, "Sandbox=workspace", "ln -s /etc .git; ln -s /root cache", project_dir=str(project))
    got = lines(aod, "Sandbox=workspace", "grep ' /etc ' /proc/self/mountinfo | grep -v ' /etc ro'; :", project_dir=str(project))
    assert [g for g in got if " /etc " in g] == []
    aod.blueprint("cache", "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=workspace\nBindPaths=%d/cache:/mnt\n")
    r = aod.post("/sessions", {"agent_name": "cache", "command": ["/bin/true"], "project_dir": str(project), "async_mode": False})
    assert r.status == 400 and "symbolic links" in r.detail


def test_aod_in_the_project(tmp_path):
    """aod's own directories are not moved away by who may write to one above them."""
    (tmp_path / "sub").mkdir()
    with Aod(root=str(tmp_path / "sub" / "root")) as a:
        assert "in it" in refused(a, "Sandbox=workspace", project_dir=str(tmp_path))
        assert "in it" in refused(a, "Sandbox=workspace", project_dir=str(tmp_path / "sub"))


def test_never(aod):
    for path in ("/", "/etc", "/usr", "/home", "/var", "/etc/ssh", "/usr/bin", "/tmp", "/var/lib"):
        assert "Sandbox=none" in refused(aod, "Sandbox=strict", project_dir=path)
    assert "aod's own" in refused(aod, "Sandbox=strict", project_dir=os.path.join(aod.root, "state"))


def test_credentials(aod):
    for keys in ("", "Sandbox=strict\n"):
        got = lines(aod, keys + "SetCredential=token:sesame", "cat $CREDENTIALS_DIRECTORY/token; echo\nenv | grep -c sesame\n"
                    "touch $CREDENTIALS_DIRECTORY/x || echo no; :")
        assert got[0] == "sesame" and got[1] == "0" and "no" in got
    assert os.listdir(os.path.join(aod.root, "run", "credentials")) == []


@needs_root
def test_identity(aod):
    nobody = pwd.getpwnam("nobody")
    who = "id -un; id -u; echo $USER $LOGNAME $HOME"
    got = lines(aod, "User=nobody", who)
    assert got == ["nobody", str(nobody.pw_uid), "nobody nobody " + nobody.pw_dir]
    got = lines(aod, "User=%d" % nobody.pw_uid, who)
    assert got[2] == "nobody nobody " + nobody.pw_dir
    got = lines(aod, "Sandbox=strict", who + "\ntouch $HOME/x && echo home")
    assert got[0] == "aod-agent" and 61184 <= int(got[1]) <= 65519
    assert got[2].startswith("aod-agent aod-agent ") and got[2].endswith("/agent/home") and got[3] == "home"


def test_tmp_size(aod):
    got = lines(aod, "Sandbox=strict\nPrivateTmpSize=1M", "head -c 3000000 /dev/zero >/tmp/x || echo full\nwc -c </tmp/x; :")
    assert "full" in got and int(got[-1]) <= 1 << 20


def test_paths(aod):
    got = lines(aod, "Sandbox=strict\nInaccessiblePaths=/usr/share\nTemporaryFileSystem=/opt:mode=1777\nBindReadOnlyPaths=/usr/bin:/opt/bin",
                "ls /usr/share || echo gone\nls /opt\ntouch /opt/x && echo tmpfs\ntouch /opt/bin/x || echo ro\ntest -x /opt/bin/env && echo bind")
    assert "gone" in got and "bin" in got and "tmpfs" in got and "ro" in got and "bind" in got


def test_root_behind_a_link(tmp_path):
    """A link on the way to aod's own directories is its owner's matter."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with Aod(root=str(tmp_path / "link" / "root")) as a:
        assert lines(a, "Sandbox=strict", "touch /tmp/x $HOME/x ./x && echo wrote") == ["wrote"]


def test_root_in_memory():
    """The private /dev has a /dev/shm of its own, in which aod's directory for the agent is shown all the same."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as d, Aod(root=os.path.join(d, "root")) as a:
        assert lines(a, "Sandbox=strict", "touch /tmp/x $HOME/x ./x && ls /dev/shm") == [os.path.basename(d)]


@pytest.mark.skipif(not os.access("/srv", os.W_OK), reason="no other place for a home")
def test_home_elsewhere():
    """The home of aod's user is hidden where it is, not only below /home."""
    with tempfile.TemporaryDirectory(dir="/srv") as home, Aod(env={"HOME": home}) as a:
        if not mounts_work(a):
            pytest.skip("no mount namespaces here")
        os.chmod(home, 0o755)
        project = os.path.join(home, "project")
        os.mkdir(project)
        with open(os.path.join(home, "secret"), "w", encoding="utf-8") as f:
            f.write("sesame\n")
        script = "cat %s/secret; touch mine && echo wrote" % home
        assert "sesame" in lines(a, "Sandbox=none", script, project_dir=project)
        for more in ("", "\nProtectHome=yes"):
            got = lines(a, "Sandbox=strict" + more, script, project_dir=project)
            assert "sesame" not in got and "wrote" in got, got


def test_a_project_that_aod_is_in(make_aod):
    """--root in the project, as contrib/run has it: the agent works there, and can neither see nor move what is aod's."""
    a = make_aod()
    sid = a.create(agent_name="demo", project_dir=a.base, prompt="bash touch here; ls -A root/state root/etc; mv root other; mv root/state root/etc root/run /tmp; rm -rf root; "
                   "mkdir -p root/etc/blueprints; touch root/etc/blueprints/evil.blueprint; ls -A root/etc/blueprints")["session_id"]
    s = a.wait_status(sid)
    assert s["state"] == "finished", (s, a.events(sid))
    tool = [e for e in a.events(sid) if e["event_type"] == "post_tool"][0]
    text = tool["error"] or tool["tool_output"]
    assert "cannot move 'root' to 'other'" in text and "aod.db" not in text, text
    assert os.path.exists(a.base + "/here") and not os.path.exists(a.base + "/other")
    assert os.path.exists(a.root + "/state/aod.db") and not os.path.exists(a.root + "/etc/blueprints/evil.blueprint")
    assert a.get("/health").status == 200 and a.aoctl("list").returncode == 0
    r = a.post("/sessions", {"command": ["/bin/true"], "project_dir": a.base})
    assert r.status == 200, r
    a.blueprint("work", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Sandbox]\nSandbox=workspace\n")
    r = a.post("/sessions", {"agent_name": "work", "project_dir": a.base})
    assert r.status == 422 and "aod's own" in r.detail, r
