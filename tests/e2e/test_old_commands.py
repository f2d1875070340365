# SPDX-License-Identifier: MIT
"""ao-*: the commands of old under their own names: what they print, say and return, over a pipe and by the variables that they knew."""
import json
import os
import subprocess
import threading
import uuid

import pytest

from aod import BUILD, SRC, WAIT, clean_env, open_fifo, rss_mib, wait_for

OK, FAILED, USAGE = 0, 1, 2


def nm(prefix="o"):
    return "%s-%s" % (prefix, uuid.uuid4().hex[:10])


def old(aod, *args, input=None, env=None, socket=True, cwd=None, timeout=WAIT):
    """Run one under its own name."""
    e = clean_env(**(env or {}))
    if socket:
        e["AOD_SOCKET"] = aod.socket
    return subprocess.run([os.path.join(BUILD, "bin", args[0]), *args[1:]], input=input, stdin=None if input is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=e, cwd=cwd, timeout=timeout)


def said(p, out="", err="", code=OK):
    assert (p.returncode, p.stdout, p.stderr) == (code, out, err), p


def names():
    return sorted(n for n in os.listdir(os.path.join(BUILD, "bin")) if n.startswith(("ao-", "doc-")))


def test_every_command_has_its_name(aod):
    p = aod.aoctl("__complete", "old")
    assert p.returncode == 0 and sorted(p.stdout.split()) == names()
    for n in names():
        assert os.path.realpath(os.path.join(BUILD, "bin", n)) == os.path.realpath(os.path.join(BUILD, "aoctl"))
        h = old(aod, n, "--help", socket=False)
        assert h.returncode == OK and h.stdout.startswith("Usage: %s [OPTIONS]" % n) and "--help" in h.stdout and h.stderr == ""
        bad = old(aod, n, "--no-such-option", socket=False)
        assert bad.returncode == USAGE and bad.stdout == ""
        assert bad.stderr == "Usage: %s\nTry '%s --help' for help.\n\nError: No such option: --no-such-option\n" % (
            h.stdout.splitlines()[0][len("Usage: "):], n)


# ---- ao-new ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["ao-new", "ao-start"])
def test_new(aod, command, tmp_path):
    n = nm()
    said(old(aod, command, n, "--agent", "demo", "-p", "say the result", "--project-dir", str(tmp_path)), "the result\n")
    s = aod.session(n)
    assert s["status"] == "finished" and s["agent_name"] == "demo" and s["project_dir"] == os.path.realpath(tmp_path)
    said(old(aod, command, n, "--agent", "demo", "-p", "say x"),
         err="Error: Session '%s' already exists. Use 'ao-resume' command to continue or choose a different name\n" % n, code=FAILED)


def test_new_reads_a_pipe(aod):
    a, b = nm(), nm()
    said(old(aod, "ao-new", a, "--agent", "demo", input="say from the pipe\n"), "from the pipe\n")
    said(old(aod, "ao-new", b, "--agent", "demo", "-p", "say one", input="say two"), "two\n")
    prompts = [e["content"][0]["text"] for sid in (a, b) for e in aod.events(sid) if e["event_type"] == "message" and e["role"] == "user"]
    assert prompts == ["say from the pipe\n", "say one\nsay two"]


def test_new_without_a_prompt(aod):
    n = nm()
    for args, input in (((), None), ((), ""), (("-p", ""), "")):
        said(old(aod, "ao-new", n, *args, input=input), err="Error: No prompt provided. Use -p flag or pipe content to stdin.\n", code=FAILED)
    assert old(aod, "ao-status", n).stdout == "not_existent\n"


@pytest.mark.parametrize("command", ["ao-new", "ao-resume", "ao-status", "ao-get-result", "ao-show-config"])
@pytest.mark.parametrize("name, text", [
    ("", "Session name cannot be empty"), ("x" * 61, "Session name too long (max 60 characters, got 61)"),
    ("a b", "Session name can only contain alphanumeric characters, dashes, and underscores"),
    ("../x", "Session name can only contain alphanumeric characters, dashes, and underscores")])
def test_bad_names(aod, command, name, text):
    said(old(aod, command, name, *(("-p", "x") if command in ("ao-new", "ao-resume") else ())), err="Error: %s\n" % text, code=FAILED)


def test_new_with_agents_that_cannot_be_started(aod):
    said(old(aod, "ao-new", nm(), "--agent", "zzzzzzzz", "-p", "x"), err="Error: Agent not found: zzzzzzzz\n", code=FAILED)
    n = nm("off").replace("-", "")
    r = aod.post("/agents", {"name": n, "description": "d"})
    assert r.status == 201, r
    assert aod.patch("/agents/%s/status" % n, {"status": "inactive"}).status == 200
    said(old(aod, "ao-new", nm(), "--agent", n, "-p", "x"), err="Error: Agent '%s' is inactive\n" % n, code=FAILED)


def test_new_of_a_run_that_fails(aod):
    n = nm()
    p = old(aod, "ao-new", n, "--agent", "demo", "-p", "say never mind\nexit 3")
    assert p.returncode == FAILED and p.stdout == "" and p.stderr.startswith("Error: Session '%s' failed: " % n), p
    assert p.stderr.count("\n") == 1


def test_new_blocks_until_the_agent_ends(aod, tmp_path):
    n, gate = nm(), tmp_path / "gate"
    os.mkfifo(gate)
    aod.blueprint("gated", "[Blueprint]\nDescription=waits\n[Agent]\nAdapter=command\nExecStart=/bin/sh -c 'read x <%s; echo $x'\n" % gate)
    wait_for("the blueprint", lambda: aod.get("/agents/gated").status == 200)
    out = []
    t = threading.Thread(target=lambda: out.append(old(aod, "ao-new", n, "--agent", "gated", "-p", "x")))
    t.start()
    wait_for("the session", lambda: aod.get("/sessions/" + n).status == 200)
    said(old(aod, "ao-status", n), "running\n")
    said(old(aod, "ao-get-result", n), code=FAILED,
         err="Error: Session '%s' is still running. Wait for completion or check status with ao-status.\n" % n)
    assert t.is_alive()
    with open_fifo(gate) as f:
        f.write("opened\n")
    t.join(WAIT)
    assert out[0].returncode == OK and out[0].stdout.strip() == "opened", out
    said(old(aod, "ao-status", n), "finished\n")


def test_project_dir_of_the_environment(aod, tmp_path):
    a, b, c = nm(), nm(), nm()
    (tmp_path / "sub").mkdir()
    old(aod, "ao-new", a, "--agent", "demo", "-p", "say x", env={"AGENT_ORCHESTRATOR_PROJECT_DIR": str(tmp_path)})
    old(aod, "ao-new", b, "--agent", "demo", "-p", "say x", cwd=tmp_path)
    old(aod, "ao-new", c, "--agent", "demo", "-p", "say x", "--project-dir", "sub", cwd=tmp_path)
    here = os.path.realpath(tmp_path)
    assert [aod.session(n)["project_dir"] for n in (a, b, c)] == [here, here, here + "/sub"]


# ---- the others --------------------------------------------------------------------------------------------


def test_resume(aod, tmp_path):
    n = nm()
    old(aod, "ao-new", n, "--agent", "demo", "-p", "say one", cwd=tmp_path)
    said(old(aod, "ao-resume", n, "-p", "say two"), "two\n")
    said(old(aod, "ao-resume", n, input="say three"), "three\n")
    said(old(aod, "ao-resume", n, "-p", "say four", "--project-dir", str(tmp_path)), "four\n")
    said(old(aod, "ao-resume", n, "-p", "say five", "--project-dir", "/"), "five\n",
         err="Warning: --project-dir override ignored. Using session metadata value: %s\n" % os.path.realpath(tmp_path))
    said(old(aod, "ao-resume", n), err="Error: No prompt provided. Use -p flag or pipe content to stdin.\n", code=FAILED)
    assert aod.session(n)["runs"] == 5
    m = nm()
    said(old(aod, "ao-resume", m, "-p", "x"), err="Error: Session '%s' does not exist. Use 'ao-new' command to create it\n" % m, code=FAILED)


def test_status_and_result(aod):
    n = nm()
    said(old(aod, "ao-status", n), "not_existent\n")
    said(old(aod, "ao-get-result", n), err="Error: Session '%s' does not exist\n" % n, code=FAILED)
    old(aod, "ao-new", n, "--agent", "demo", "-p", "say a\\nb")
    said(old(aod, "ao-status", n, "--project-dir", "/nowhere"), "finished\n")
    said(old(aod, "ao-get-result", n), aod.result(n) + "\n")


def test_result_of_a_registered_session(aod):
    """What a client of old runs itself, it can look at with these commands as well."""
    n, sid = nm(), str(uuid.uuid4())
    assert aod.post("/sessions", {"session_id": sid, "session_name": n, "project_dir": "/p"}).status == 200
    said(old(aod, "ao-status", n), "running\n")
    ev = {"session_id": sid, "session_name": n, "timestamp": "2025-01-01T00:00:00+00:00"}
    aod.post("/sessions/%s/events" % sid, {**ev, "event_type": "session_stop", "exit_code": 0, "reason": "completed"})
    said(old(aod, "ao-get-result", n), err="Error: No result found\n", code=FAILED)
    aod.post("/sessions/%s/events" % sid, {**ev, "event_type": "message", "role": "assistant", "content": [{"type": "text", "text": "done"}]})
    said(old(aod, "ao-get-result", n), "done\n")


def test_show_config(aod, tmp_path):
    n = nm()
    old(aod, "ao-new", n, "--agent", "demo", "-p", "say one", cwd=tmp_path)
    s = aod.session(n)
    want = ("Configuration for session '%s':\n  Session ID:      %s\n  Project dir:     %s\n  Agent:           demo\n  Created:         %s\n"
            "  Last resumed:    %s\n")
    said(old(aod, "ao-show-config", n), want % (n, s["session_id"], s["project_dir"], s["created_at"], s["last_resumed_at"]))
    old(aod, "ao-resume", n, "-p", "say two")
    s = aod.session(n)
    assert s["last_resumed_at"]
    said(old(aod, "ao-show-config", n), want % (n, s["session_id"], s["project_dir"], s["created_at"], s["last_resumed_at"]))
    sid, m = str(uuid.uuid4()), nm()
    aod.post("/sessions", {"session_id": sid, "session_name": m})
    p = old(aod, "ao-show-config", m)
    assert "  Agent:           none\n" in p.stdout and "  Project dir:     None\n" in p.stdout
    gone = nm()
    said(old(aod, "ao-show-config", gone), err="Error: Session '%s' does not exist\n" % gone, code=FAILED)


def test_list_and_clean(make_aod, tmp_path):
    aod = make_aod()
    said(old(aod, "ao-list-sessions"), "No sessions found\n")
    said(old(aod, "ao-clean"), "No sessions to remove\n")
    said(old(aod, "ao-delete-all"), "No sessions to remove\n")
    sid, dirs = str(uuid.uuid4()), os.path.realpath(tmp_path)
    aod.post("/sessions", {"session_id": sid, "session_name": "first"})
    old(aod, "ao-new", "second", "--agent", "demo", "-p", "say x", "--project-dir", str(tmp_path))
    said(old(aod, "ao-list-sessions"), "second (session-id: %s, project-dir: %s)\nfirst (session-id: %s, project-dir: None)\n" % (
        aod.session("second")["session_id"], dirs, sid))
    said(old(aod, "ao-clean", "--project-dir", "/"), "All sessions removed\n")
    said(old(aod, "ao-list-sessions"), "No sessions found\n")
    for n in ("a", "b", "c"):
        aod.post("/sessions", {"session_id": n, "session_name": n})
    said(old(aod, "ao-delete-all"), "Removed 3 session(s)\n")


def test_list_agents(make_aod):
    aod = make_aod(args=["--blueprints", "/nonexistent-blueprints"])
    said(old(aod, "ao-list-agents"), "No agent definitions found\n")
    said(old(aod, "ao-list-blueprints"), "No agent blueprints found\n")
    for n, tags in (("bb", "x y"), ("aa", "y"), ("off", "x")):
        aod.blueprint(n, "[Blueprint]\nDescription=about %s\nTags=%s\n%s[Agent]\nAdapter=claude\n" % (n, tags, "Enabled=no\n" if n == "off" else ""))
    wait_for("the blueprints", lambda: len(aod.get("/agents", port="registry").json) == 3)
    said(old(aod, "ao-list-agents"), "aa:\nabout aa\n\n---\n\nbb:\nabout bb\n\n")
    said(old(aod, "ao-list-blueprints", "--tags", "y , x"), "bb:\nabout bb\n\n")
    said(old(aod, "ao-list-blueprints", "--tags", "none"), "No agent blueprints found\n")


# ---- where they connect to ---------------------------------------------------------------------------------


def test_variables_say_where(aod, tmp_path):
    n = nm()
    old(aod, "ao-new", n, "--agent", "demo", "-p", "say x")
    nowhere = {"AOD_SOCKET": str(tmp_path / "none.sock")}
    registry = "http://127.0.0.1:%d" % aod.ports["registry"]
    for env in ({"AGENT_ORCHESTRATOR_SESSION_MANAGER_URL": aod.url}, {"AGENT_ORCHESTRATOR_API_URL": aod.url + "/"}, {"AOD_URL": aod.url},
                {"AGENT_ORCHESTRATOR_API_URL": aod.url, "AGENT_ORCHESTRATOR_SESSION_MANAGER_URL": "http://127.0.0.1:1"}):
        said(old(aod, "ao-status", n, env={**nowhere, **env}, socket=False), "finished\n")
    for env in ({"AGENT_ORCHESTRATOR_AGENT_API_URL": registry}, {"AGENT_ORCHESTRATOR_API_URL": aod.url}):
        assert "demo:\n" in old(aod, "ao-list-agents", env={**nowhere, **env}, socket=False).stdout
    said(old(aod, "ao-status", n, "--socket", aod.socket, env={"AGENT_ORCHESTRATOR_API_URL": "http://127.0.0.1:1"}, socket=False), "finished\n")


@pytest.mark.parametrize("args", [("ao-new", "x", "-p", "y"), ("ao-resume", "x", "-p", "y"), ("ao-status", "x"), ("ao-get-result", "x"), ("ao-list-sessions",),
                                  ("ao-show-config", "x"), ("ao-clean",), ("ao-list-agents",)])
def test_no_server(aod, tmp_path, args):
    p = old(aod, *args, env={"AOD_SOCKET": str(tmp_path / "none.sock")}, socket=False)
    assert p.returncode == FAILED and p.stdout == "" and p.stderr.startswith("Error: ") and "none.sock" in p.stderr, p
    assert p.stderr.count("\n") == 1
    p = old(aod, *args, env={"AGENT_ORCHESTRATOR_API_URL": "http://127.0.0.1:1"})
    assert p.returncode == FAILED and "http://127.0.0.1:1" in p.stderr


def test_a_session_of_an_agent_is_its_child(aod, tmp_path):
    n, m = nm(), nm()
    sid = aod.sh("ao-new %s --agent demo -p 'say child'" % m, session_name=n)
    s = aod.wait_status(sid)
    assert s["result"] == "success", s
    assert aod.session(m)["parent_session_id"] == sid


def test_survives_a_restart_of_the_front(aod, tmp_path):
    n, gate = nm(), tmp_path / "gate"
    os.mkfifo(gate)
    out = []
    t = threading.Thread(target=lambda: out.append(old(aod, "ao-new", n, "--agent", "shell", "-p", "read x <%s; echo $x" % gate)))
    t.start()
    wait_for("the session", lambda: aod.get("/sessions/" + n).status == 200)
    before = aod.kill9_http()
    wait_for("a new front", lambda: aod.http_pid() not in (None, before))
    assert t.is_alive()
    with open_fifo(gate) as f:
        f.write("still here\n")
    t.join(WAIT)
    said(out[0], "still here\n")


def test_an_agent_has_them_in_its_path(aod):
    n = nm()
    sid = aod.sh("for c in aoctl %s; do command -v $c || echo no $c; done" % " ".join(names()))
    s = aod.wait_status(sid)
    found = aod.result(sid).split("\n")
    assert found == [os.path.join(BUILD, "bin", c) for c in ["aoctl", *names()]], s
    # Its own session is one that it can look at.
    sid = aod.sh("ao-status %s; ao-show-config $AOD_SESSION_NAME | head -n 1" % n, session_name=n)
    aod.wait_status(sid)
    assert aod.result(sid) == "running\nConfiguration for session '%s':" % n


def test_completion(aod, tmp_path):
    script = os.path.join(SRC, "contrib", "completions", "aoctl.bash")
    env = clean_env(AOD_SOCKET=aod.socket)
    env["PATH"] = os.path.join(BUILD, "bin") + ":" + env["PATH"]
    n = nm()
    old(aod, "ao-new", n, "--agent", "demo", "-p", "say x")
    (tmp_path / "file.md").write_text("x")
    d = json.loads(old(aod, "doc-push", str(tmp_path / "file.md")).stdout)["id"]

    def complete(function, *words):
        code = "source '%s'; COMP_WORDS=(%s); COMP_CWORD=%d; %s; printf '%%s\\n' \"${COMPREPLY[@]}\"" % (
            script, " ".join("'%s'" % w for w in words), len(words) - 1, function)
        return subprocess.run(["bash", "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=env, cwd=tmp_path,
                              timeout=WAIT).stdout.split()

    assert complete("_aoctl_old", "ao-status", n[:-3]) == [n]
    assert complete("_aoctl_old", "ao-new", "x", "--pr") == ["--prompt=", "--project-dir="]
    assert complete("_aoctl_old", "doc-push", "fi") == ["file.md"] and "--tags=" in complete("_aoctl_old", "doc-push", "x", "--t")
    assert d in complete("_aoctl_old", "doc-read", "doc_")
    assert complete("_aoctl", "aoctl", "doc", "pu") == ["push", "pull"]
    assert d in complete("_aoctl", "aoctl", "doc", "read", "doc_") and "--limit=" in complete("_aoctl", "aoctl", "doc", "read", "--l")
    p = subprocess.run(["bash", "-c", "source '%s'; complete -p" % script], stdout=subprocess.PIPE, text=True, env=env, timeout=WAIT)
    assert all("_aoctl_old %s\n" % c in p.stdout for c in names())


def test_an_agent_that_cleans_up_stays(aod):
    boss, kid = nm(), nm()
    sid = aod.sh("ao-new %s --agent demo -p 'say x' && AGENT_ORCHESTRATOR_PROJECT_DIR= ao-clean && ao-list-sessions" % kid, session_name=boss)
    s = aod.wait_status(sid)
    assert s["result"] == "success" and aod.get("/sessions/" + kid).status == 404, s
    lines = aod.result(sid).splitlines()
    assert lines[:2] == ["x", "All sessions removed"] and lines[2].startswith(boss + " (session-id: " + sid), lines


def test_in_a_strict_sandbox(aod, tmp_path):
    """What aod has for agents is there, wherever it was installed, and cannot be changed; documents go both ways over the one socket."""
    if not rss_mib(aod.pid):
        pytest.skip("programs with a sanitizer look for leaks by ptrace, which is not for agents")
    aod.blueprint("caged", "[Blueprint]\nDescription=d\n[Agent]\nAdapter=command\nExecStart=/bin/sh\n[Sandbox]\nSandbox=strict\n")
    wait_for("the blueprint", lambda: aod.get("/agents/caged").status == 200)
    project = tmp_path / "project"
    project.mkdir()
    r = aod.post("/sessions", {"agent_name": "caged", "project_dir": str(project), "prompt": "\n".join([
        "set -e", "echo made in a cage >report.md", "id=$(doc-push report.md | sed -n 's/.*\"id\": \"\\(doc_[0-9a-f]*\\)\".*/\\1/p')",
        "doc-pull $id -o back.md >/dev/null", "cmp report.md back.md", "doc-read $id", "ao-status $AOD_SESSION_NAME",
        "for f in aoctl doc-push .made new; do ! sh -c \"echo x >>%s/bin/$f\" 2>/dev/null; done" % BUILD])})
    if r.status == 422:
        pytest.skip("no strict sandbox on this host: %s" % r.detail)
    s = aod.wait_status(r.json["session"]["session_id"])
    assert s["result"] == "success", [e.get("text") for e in aod.events(s["session_id"])]
    assert aod.result(s["session_id"]) == "made in a cage\nrunning" and (project / "back.md").read_text() == "made in a cage\n"
