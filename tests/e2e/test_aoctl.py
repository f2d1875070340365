# SPDX-License-Identifier: MIT
"""aoctl: each command, for people and with --json, its exit codes, and what it does when nothing is right."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import uuid

import pytest

from aod import BUILD, DEMO, WAIT, clean_env, texts, wait_for

COMMANDS = "run resume stop list status logs result wait delete show plan doctor".split()
OK, FAILED, USAGE, NOT_RUNNING, NO_SESSION, NO_AOD, TIMED_OUT = 0, 1, 2, 3, 4, 69, 124
ESC = "\x1b"


def nm(prefix="c"):
    return "%s-%s" % (prefix, uuid.uuid4().hex[:10])


def good(p, code=OK):
    assert p.returncode == code, (p.args[1:], p.returncode, p.stdout, p.stderr)
    return p


def on_terminal(aod, *args, env=None, columns=80, timeout=WAIT):
    """Run it with a terminal as its stdin, stdout and stderr; (exit status, what it wrote)."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    p = subprocess.Popen([os.path.join(BUILD, "aoctl"), *args], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                         env=clean_env(**{"AOD_SOCKET": aod.socket, "TERM": "xterm", **(env or {})}), start_new_session=True)
    os.close(slave)
    out, deadline = b"", time.monotonic() + timeout
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            out += piece
    os.close(master)
    return p.wait(timeout), out.decode(errors="replace")


# ---- help and usage ----------------------------------------------------------------------------------------


def test_help(aod):
    p = good(aod.aoctl("--help", socket=False))
    for c in COMMANDS:
        assert re.search(r"^  %s\s+\S" % c, p.stdout, re.M), c
        for args in ((c, "--help"), ("help", c)):
            h = good(aod.aoctl(*args, socket=False))
            assert h.stdout.startswith("Usage: aoctl %s" % c) and "--json" in h.stdout and h.stderr == ""
    # Each name is a word of its own, also the longest.
    names = re.findall(r"^  ([a-z]\S*)", p.stdout.split("Options of every command")[0], re.M)
    assert len(names) > len(COMMANDS)
    for name in names:
        good(aod.aoctl("help", name, socket=False))
    assert good(aod.aoctl("help", socket=False)).stdout == p.stdout
    assert "aoctl" in good(aod.aoctl("--version", socket=False)).stdout
    assert json.loads(good(aod.aoctl("version", "--json", socket=False)).stdout)["version"]


@pytest.mark.parametrize("args, word", [
    ((), "command"), (("frobnicate",), "frobnicate"), (("lst",), "list"), (("sta",), "status"), (("list", "--nonsense"), "nonsense"), (("status",), "NAME"), (("status", ""), "empty"),
    (("wait", "--timeout", "x", "y"), "x"), (("show", "a", "b"), "b"), (("run", "bad name", "-p", "x"), "bad name"),
    (("logs", "x", "-o", "wrong"), "wrong"), (("logs", "x", "-n", "-5"), "-5")])
def test_usage_errors(aod, args, word):
    p = aod.aoctl(*args)
    assert p.returncode == USAGE, p
    assert p.stdout == "" and word.lower() in p.stderr.lower() and p.stderr.startswith("aoctl"), p.stderr


def test_what_the_server_refuses(aod):
    p = aod.aoctl("list", "--state", "wrong")
    assert p.returncode == FAILED and "state" in p.stderr and p.stdout == ""


def test_no_aod(aod, tmp_path):
    for args in (["list"], ["status", "x"], ["run", "-p", "x"], ["doctor"], ["list", "--json"]):
        for where in (["--socket", str(tmp_path / "none.sock")], ["--url", "http://127.0.0.1:1"], ["--root", str(tmp_path)]):
            p = aod.aoctl(*args, *where, socket=False)
            assert p.returncode == NO_AOD, p
            assert p.stdout == "" and p.stderr
    p = aod.aoctl("list", env={"AOD_SOCKET": str(tmp_path / "x.sock")}, socket=False)
    assert p.returncode == NO_AOD and "x.sock" in p.stderr


def test_no_session(aod):
    for c in ("status", "show", "logs", "result", "stop", "wait", "delete", "plan"):
        p = aod.aoctl(c, "no-such-session")
        assert p.returncode == (NO_SESSION if c == "status" else FAILED), (c, p)
        assert "no-such-session" in p.stderr and p.stdout == ""
    assert aod.aoctl("resume", "no-such-session", "-p", "x").returncode == FAILED
    # The name of a blueprint is what a newcomer gives to plan.
    assert "aoctl plan -a demo" in aod.aoctl("plan", "demo").stderr


# What each command says of a thing that is not there; where there is more than one such thing, of each.
MISSING = ["run x -d -a NOPE -p hi", "run x -d -a demo --parent NOPE -p hi", "resume NOPE -p hi", "resume -d NOPE -p hi", "interrupt NOPE", "interrupt --tree NOPE",
           "prompts NOPE", "prompts NOPE --cancel 1", "prompts here --cancel 404404", "stop NOPE", "stop --tree NOPE", "restart NOPE", "reset-failed NOPE",
           "freeze NOPE", "freeze --tree NOPE", "thaw NOPE", "set-property NOPE MemoryMax=1G", "usage NOPE", "questions NOPE", "answer NOPE allow",
           "answer here NOPE allow", "answer NOPE choose x", "list --tree NOPE", "list --parent NOPE", "status NOPE", "logs NOPE", "logs -f NOPE", "result NOPE",
           "wait NOPE", "delete NOPE", "delete --tree NOPE", "show NOPE", "plan NOPE", "plan -a NOPE -p x", "cat NOPE", "edit NOPE", "edit --full NOPE",
           "enable NOPE", "disable NOPE", "mask NOPE", "unmask NOPE", "history NOPE", "diff NOPE", "diff demo 404404", "revert NOPE 1", "revert demo 404404",
           "security NOPE", "token revoke NOPE", "token create x --session NOPE", "doc info NOPE", "doc pull NOPE", "doc read NOPE", "doc delete NOPE"]


def test_what_is_not_there_is_named(aod):
    aod.demo("sleep 600000", session_name="here")
    for line in MISSING:
        out = aod.aoctl(*line.split(), env={"EDITOR": "true"})
        thing = "NOPE" if "NOPE" in line else "404404"
        said = out.stderr.split(" (aoctl ")[0].split("; aoctl ")[0]  # without what to do about it
        assert out.returncode in (1, 4) and thing in said and out.stdout == "", (line, out)
        assert re.search(r"not found|no session|[Nn]either|has no|[Nn]o prompt|does not ask", said), (line, out)
    # None of the commands that name one is left out.
    commands = re.findall(r"^  ([a-z]\S*)", aod.aoctl("help").stdout.split("Options")[0], re.M)
    named = {c for c in commands if re.search(r"\b(?:NAME|SESSION|BLUEPRINT)\b", aod.aoctl("help", c).stdout.split("\n")[0])}
    assert len(named) > 25 and named - {line.split()[0] for line in MISSING} == {"cost"}  # what a blueprint that is gone cost is still known
    assert aod.aoctl("delete", "here").returncode == 0


def test_programs_that_are_elsewhere(tmp_path):
    for missing, args in ((tmp_path / "aod-shim", ["--libexec", str(tmp_path)]), (tmp_path / "www", ["--libexec", BUILD, "--www", str(tmp_path / "www")])):
        p = subprocess.run([os.path.join(BUILD, "aod"), "--root", str(tmp_path / "root"), "--port-base", "0", *args],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env(), timeout=WAIT)
        assert p.returncode == 1 and "%s: No such file" % missing in p.stderr and args[-2] in p.stderr, p


# ---- ways to reach it --------------------------------------------------------------------------------------


def test_socket_url_and_root(aod):
    sid = aod.command("/bin/true")
    aod.wait_status(sid)
    for where in (["--socket", aod.socket], ["--url", aod.url], ["--root", aod.root], ["--url", aod.url + "/"]):
        p = good(aod.aoctl("show", sid, "--json", *where, socket=False))
        assert json.loads(p.stdout)["session"]["session_id"] == sid
    good(aod.aoctl("list", env={"AOD_URL": aod.url}, socket=False))


# ---- run, resume -------------------------------------------------------------------------------------------


def test_run_and_result(aod):
    n = nm()
    p = good(aod.aoctl("run", n, "-a", "demo", "-p", "say working\nbash echo hi\nsay the result"))
    assert p.stdout == "the result\n", "stdout is the result alone"
    assert "working" in p.stderr and "echo hi" in p.stderr
    assert good(aod.aoctl("result", n)).stdout == "the result\n"
    assert json.loads(good(aod.aoctl("result", n, "--json")).stdout)["result"] == "the result"
    p = good(aod.aoctl("run", "-q", "-a", "demo", "-p", "say quiet"))
    assert (p.stdout, p.stderr) == ("quiet\n", "")
    assert good(aod.aoctl("new", nm(), "-q", "-a", "demo", "-p", "say x")).stdout == "x\n"


def test_prompt_from_stdin(aod):
    assert good(aod.aoctl("run", "-q", "-a", "demo", input="say from\nsay stdin\n")).stdout == "stdin\n"
    assert good(aod.aoctl("run", "-q", "-a", "demo", "-p", "-", input="say dash")).stdout == "dash\n"
    assert good(aod.aoctl("run", nm(), "-", "-q", "-a", "demo", input="say word")).stdout == "word\n"
    assert aod.aoctl("run", "-a", "demo", input="").returncode != OK


def test_run_a_command(aod, tmp_path):
    p = good(aod.aoctl("run", "-q", "-C", str(tmp_path), "--", "/bin/sh", "-c", "pwd; echo --json"))
    assert p.stdout == "%s\n--json\n" % tmp_path
    p = aod.aoctl("run", "-q", "--", "/bin/sh", "-c", "echo out; exit 7")
    assert p.returncode not in (0, USAGE, NO_AOD) and p.stdout == "out\n" and "7" in p.stderr
    p = aod.aoctl("run", "--", "/no/such/program")
    assert p.returncode == FAILED and "/no/such/program" in p.stderr and p.stdout == ""


def test_run_json(aod):
    p = good(aod.aoctl("run", "--json", "-a", "demo", "-p", "say x"))
    lines = [json.loads(line) for line in p.stdout.splitlines()]
    assert "x" in json.dumps(lines) and lines
    p = good(aod.aoctl("run", "--json", "-d", "-a", "demo", "-p", "say x"))
    s = json.loads(p.stdout)["session"]
    assert s["status"] in ("running", "finished")
    aod.wait_status(s["session_id"])


def test_failed_run(aod):
    n = nm()
    p = aod.aoctl("run", n, "-a", "demo", "-p", "say x\nfail 529")
    assert p.returncode == FAILED and "529" in p.stderr, p
    assert aod.aoctl("status", n).returncode == NOT_RUNNING
    assert aod.aoctl("wait", n).returncode == FAILED


def test_detach_wait_resume(aod):
    n = nm()
    p = good(aod.aoctl("run", n, "-d", "-a", "demo", "-p", "sleep 400\ncount"))
    assert p.stdout == n + "\n"
    good(aod.aoctl("wait", n, "-t", str(10 * WAIT)))  # which is not what ends it
    assert good(aod.aoctl("resume", n, "-q", "-p", "count")).stdout == "2\n"
    assert good(aod.aoctl("resume", n, "-q", input="count")).stdout == "3\n"
    p = aod.aoctl("run", n, "-a", "demo", "-p", "x")
    assert p.returncode == FAILED and "already exists" in p.stderr


def test_wait_for_several_and_time_out(aod):
    a, b, c = aod.command("/bin/true"), aod.command("/bin/false"), aod.demo("hang")
    good(aod.aoctl("wait", a))
    assert aod.aoctl("wait", a, b).returncode == FAILED
    t = time.monotonic()
    assert aod.aoctl("wait", a, c, "-t", "1").returncode == TIMED_OUT
    assert time.monotonic() - t > 0.9
    good(aod.aoctl("stop", c))


def test_ctrl_c_leaves_the_session_running(aod):
    n = nm()
    p = subprocess.Popen([os.path.join(BUILD, "aoctl"), "run", n, "-a", "demo", "-p", "say up\nhang"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env(AOD_SOCKET=aod.socket))
    wait_for("the session", lambda: aod.get("/sessions/%s/status" % n).json["status"] == "running")
    assert any("up" in line for line in p.stderr)  # it follows the session
    p.send_signal(signal.SIGINT)
    p.stderr.read()
    assert p.wait(WAIT) == 130
    p.stdout.close()
    p.stderr.close()
    assert aod.session(n)["status"] == "running"
    good(aod.aoctl("stop", n))
    assert aod.session(n)["state"] == "stopped"


# ---- looking -----------------------------------------------------------------------------------------------


def test_list(aod):
    n = nm("listed")
    aod.wait_status(aod.demo("say x", session_name=n))
    h = aod.demo("hang", session_name=nm("hung"))
    aod.wait_state(h, "running")
    p = good(aod.aoctl("list"))
    row = [line for line in p.stdout.splitlines() if n in line]
    assert len(row) == 1 and "finished" in row[0] and "demo" in row[0] and ESC not in p.stdout
    got = json.loads(good(aod.aoctl("list", "--json")).stdout)["sessions"]
    assert [s["session_id"] for s in got] == [s["session_id"] for s in aod.get("/sessions").json["sessions"]]
    assert h in [s["session_id"] for s in json.loads(good(aod.aoctl("list", "--live", "--json")).stdout)["sessions"]]
    ended = json.loads(good(aod.aoctl("list", "--ended", "--json")).stdout)["sessions"]
    assert h not in [s["session_id"] for s in ended] and n in [s["session_name"] for s in ended]
    assert len(json.loads(good(aod.aoctl("list", "-n", "1", "--json")).stdout)["sessions"]) == 1
    assert [s["session_id"] for s in json.loads(good(aod.aoctl("list", "--state", "running", "--json")).stdout)["sessions"]] == [h]
    good(aod.aoctl("stop", h))


def test_status(aod):
    n = nm()
    aod.wait_status(aod.demo("lines 30", session_name=n))
    p = good(aod.aoctl("status", n))
    assert n in p.stdout and "finished" in p.stdout and "line 30" in p.stdout and "line 5\n" not in p.stdout
    assert len(good(aod.aoctl("status", n, "-n", "0")).stdout.splitlines()) < len(p.stdout.splitlines())
    j = json.loads(good(aod.aoctl("status", n, "--json")).stdout)
    assert n in json.dumps(j)


def test_logs(aod):
    n = nm()
    aod.wait_status(aod.demo("say hello logs\nbash echo hi\nstderr complaint\nbig 5000", session_name=n))
    p = good(aod.aoctl("logs", n))
    events = aod.events(n)
    assert len(re.findall(r"^\d\d:\d\d:\d\d\.\d+ ", p.stdout, re.M)) == len(events) and "hello logs" in p.stdout and "complaint" in p.stdout
    assert len(good(aod.aoctl("logs", n, "-n", "3")).stdout.splitlines()) == 3
    got = [json.loads(line) for line in good(aod.aoctl("logs", n, "-o", "json")).stdout.splitlines()]
    assert [e["seq"] for e in got] == [e["seq"] for e in events]
    got = [json.loads(line)["seq"] for line in good(aod.aoctl("logs", n, "--after", "3", "-o", "json")).stdout.splitlines()]
    assert got == [e["seq"] for e in events[3:]]
    raw = good(aod.aoctl("logs", n, "-o", "raw")).stdout
    assert any(json.loads(line)["type"] == "result" for line in raw.splitlines() if line.startswith("{"))
    assert "hello logs" in good(aod.aoctl("logs", n, "-o", "cat")).stdout


def test_logs_raw_is_what_was_printed(aod):
    n = nm()
    good(aod.aoctl("run", n, "-q", "--", "printf", r"a\377\376b\000c\n\200z\r\nend"))
    exe = [os.path.join(BUILD, "aoctl"), "logs", n, "-o"]
    env = clean_env(AOD_SOCKET=aod.socket)
    assert subprocess.run(exe + ["raw"], env=env, stdout=subprocess.PIPE, check=True).stdout == b"a\xff\xfeb\0c\n\x80z\r\nend\n"
    assert subprocess.run(exe + ["cat"], env=env, stdout=subprocess.PIPE, check=True).stdout.count(b"\0c") == 1


def test_run_without_a_prompt(aod):
    p = aod.aoctl("run", nm(), "-a", "demo")
    assert p.returncode == FAILED and "-p TEXT" in p.stderr
    p = aod.aoctl("run", nm(), "-a", "demo", "-p", "")
    assert p.returncode == USAGE and "empty" in p.stderr


def test_logs_follow_across_a_restart_of_aod(make_aod):
    a = make_aod()
    sid = a.demo("stream 60 30")
    p = subprocess.Popen([os.path.join(BUILD, "aoctl"), "logs", "-f", "-o", "json", sid], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, env=clean_env(AOD_SOCKET=a.socket))
    out = p.stdout.readline()  # it is connected
    a.wait_event(sid, lambda e: e.get("content") and e["content"][0]["text"] == "line 10")
    a.kill9()
    a.start()
    out += p.stdout.read()
    assert p.wait(WAIT) == OK, p.stderr.read()
    p.stdout.close()
    p.stderr.close()
    got = [json.loads(line) for line in out.splitlines()]
    assert [e["seq"] for e in got] == [e["seq"] for e in a.events(sid)]
    assert texts(got) == ["line %d" % i for i in range(1, 61)]


def test_show_and_plan(aod):
    n = nm()
    sid = aod.demo("say x", session_name=n)
    aod.wait_status(sid)
    shown = dict(line.split("=", 1) for line in good(aod.aoctl("show", n)).stdout.splitlines())
    assert sid in shown.values() and n in shown.values()
    assert json.loads(good(aod.aoctl("show", n, "--json")).stdout)["session"]["session_id"] == sid
    p = good(aod.aoctl("plan", n))
    assert "aod-demo-agent" in p.stdout
    assert json.loads(good(aod.aoctl("plan", n, "--json")).stdout)["plan"]["argv"]
    before = len(aod.get("/sessions").json["sessions"])
    assert "stream-json" in good(aod.aoctl("plan", "-a", "demo", "-p", "x")).stdout
    assert "/bin/echo" in good(aod.aoctl("plan", "--", "/bin/echo", "x")).stdout
    assert len(aod.get("/sessions").json["sessions"]) == before


def test_doctor(aod):
    p = aod.aoctl("doctor")
    assert p.returncode in (OK, FAILED) and len(p.stdout.splitlines()) > 3
    assert json.loads(aod.aoctl("doctor", "--json").stdout)


# ---- ending ------------------------------------------------------------------------------------------------


def test_stop_and_delete(aod):
    a, b = nm(), nm()
    aod.blueprint("patient", "[Agent]\nExecStart=%s\n[Session]\nTimeoutStopSec=1h\n" % DEMO)
    for n in (a, b):
        aod.create(agent_name="patient", prompt="say up\ndeaf", session_name=n)
        aod.wait_event(n, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    good(aod.aoctl("stop", a, b, "-t", "0"))
    assert aod.session(a)["state"] == aod.session(b)["state"] == "stopped"
    good(aod.aoctl("delete", a))
    assert aod.get("/sessions/" + a).status == 404
    p = good(aod.aoctl("delete", b, "--json"))
    assert json.loads(p.stdout)["ok"] is True
    p = aod.aoctl("delete", a, "other")
    assert p.returncode == FAILED and a in p.stderr and "other" in p.stderr


def test_stop_of_one_that_is_missing_stops_the_others(aod):
    n = nm()
    aod.demo("hang", session_name=n)
    p = aod.aoctl("stop", "missing", n)
    assert p.returncode == FAILED and "missing" in p.stderr and aod.session(n)["state"] in ("stopping", "stopped")
    aod.wait_status(n)


def test_delete_all(make_aod):
    a = make_aod()
    for _ in range(3):
        a.wait_status(a.command("/bin/true"))
    p = a.aoctl("delete", "--all")
    assert p.returncode != OK and len(a.get("/sessions").json["sessions"]) == 3, "it does not go on without an answer"
    good(a.aoctl("delete", "--all", "-f"))
    assert a.get("/sessions").json["sessions"] == []
    assert good(a.aoctl("list")).stdout.strip().count("\n") <= 1


# ---- terminals ---------------------------------------------------------------------------------------------


def test_colours_and_tables_on_a_terminal_only(aod):
    n = nm("term")
    aod.wait_status(aod.command("/bin/false", session_name=n))
    rc, out = on_terminal(aod, "list")
    assert rc == 0 and ESC in out and n in out
    for env, args in (({"NO_COLOR": "1"}, ()), ({}, ("--no-color",)), ({"TERM": "dumb"}, ())):
        rc, plain = on_terminal(aod, "list", *args, env=env)
        assert rc == 0 and ESC + "[3" not in plain and ESC + "[1" not in plain and n in plain, plain
    rc, out = on_terminal(aod, "list", env={"NO_COLOR": ""})
    assert ESC in out, "an empty NO_COLOR means nothing"
    rc, out = on_terminal(aod, "list", "--json")
    assert ESC not in out and json.loads(out)


def test_terminal_escapes_of_an_agent_do_not_reach_the_terminal(aod):
    n = nm()
    aod.wait_status(aod.sh("printf 'evil \\033]0;title\\007 \\033[2J end\\n'", session_name=n))
    _, out = on_terminal(aod, "logs", n)
    assert "\x1b]0;" not in out and "\x1b[2J" not in out and "evil" in out


def test_a_closed_pipe_is_no_error_message(aod):
    n = nm()
    aod.wait_status(aod.demo("lines 2000", session_name=n))
    p = subprocess.run("%s logs %s | head -n 1" % (os.path.join(BUILD, "aoctl"), n), shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, env=clean_env(AOD_SOCKET=aod.socket), timeout=WAIT)
    assert len(p.stdout.splitlines()) == 1 and p.stderr == ""


def test_full_stdout_is_an_error(aod):
    with open("/dev/full", "w") as full:
        p = subprocess.run([os.path.join(BUILD, "aoctl"), "list", "--json"], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True,
                           env=clean_env(AOD_SOCKET=aod.socket), timeout=WAIT)
    assert p.returncode != OK and p.stderr
