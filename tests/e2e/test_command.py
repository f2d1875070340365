# SPDX-License-Identifier: MIT
"""The command adapter: any program, whatever it prints, however it ends."""
import base64
import os
import signal

import pytest

from aod import alive, kinds, outputs, rss_mib, wait_for


def test_lines_of_both_streams(aod):
    sid = aod.sh("echo one; echo two >&2; echo; printf three")
    s = aod.wait_status(sid)
    ev = aod.events(sid)
    assert outputs(ev, "stdout") == ["one", "", "three"]
    assert outputs(ev, "stderr") == ["two"]
    assert kinds(ev)[0] == "session_start" and kinds(ev)[-1] == "session_stop"
    assert s["adapter"] == "command" and s["result"] == "success" and s["exit_code"] == 0
    assert aod.result(sid) == "one\n\nthree"


def test_result_is_the_last_output(aod):
    """Whole lines from the end, of stdout only, when there is more than fits."""
    sid = aod.sh("i=0; while [ $i -lt 20000 ]; do echo \"line $i\"; i=$((i+1)); done; echo noise >&2")
    aod.wait_status(sid)
    r = aod.result(sid)
    lines = r.split("\n")
    assert lines[-1] == "line 19999" and "noise" not in r
    assert 1000 < len(lines) and len(r) <= 64 << 10
    assert lines == ["line %d" % i for i in range(20000 - len(lines), 20000)]


@pytest.mark.parametrize("code", [1, 2, 126, 127, 255])
def test_exit_status(aod, code):
    sid = aod.sh("echo before; exit %d" % code)
    s = aod.wait_status(sid)
    assert (s["state"], s["result"], s["exit_code"], s["signal"]) == ("failed", "exit-code", code, None)
    assert str(code) in s["error"]
    stop = aod.events(sid)[-1]
    assert stop["exit_code"] == code and stop["reason"] == "exit-code"
    assert aod.result(sid) == "before"


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT, signal.SIGPIPE])
def test_signal(aod, sig):
    sid = aod.sh("ulimit -c 0; kill -%d $$" % sig)
    s = aod.wait_status(sid)
    assert (s["state"], s["result"], s["signal"]) == ("failed", "signal", int(sig))
    assert s["exit_code"] is None
    assert "signal" in s["error"]


def test_signal_dispositions_are_the_usual_ones(aod):
    """A program that is told nothing finds no ignored and no blocked signals."""
    sid = aod.command("/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    aod.wait_status(sid)
    assert outputs(aod.events(sid)) == ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]


def test_nothing_is_inherited(aod):
    """No descriptor of aod or of its shim is open in the program, and it is not root's child of anything with a terminal."""
    sid = aod.sh("ls /proc/$$/fd; ps -o sid= -p $$; echo $$")
    aod.wait_status(sid)
    out = outputs(aod.events(sid))
    fds = [x for x in out if x.strip().isdigit()][:-2]
    assert set(fds) <= {"0", "1", "2"}, out
    assert out[-1].strip() == out[-2].strip(), "it has no session of its own"


def test_stdin(aod):
    sid = aod.command("/bin/cat", prompt="first\nsecond")
    aod.wait_status(sid)
    assert outputs(aod.events(sid)) == ["first", "second"]
    sid = aod.command("/bin/cat")
    assert aod.wait_status(sid)["state"] == "finished", "without a prompt stdin is at its end"


def test_large_stdin(aod):
    text = "0123456789abcde\n" * (4 << 16)
    sid = aod.command("/usr/bin/md5sum", prompt=text)
    aod.wait_status(sid)
    import hashlib
    assert outputs(aod.events(sid)) == [hashlib.md5(text.encode()).hexdigest() + "  -"]


def test_stdin_that_nobody_reads(aod):
    """More than a pipe holds, for a program that closes it at once."""
    sid = aod.command("/bin/sh", "-c", "exec <&-; sleep 0.2; echo done", prompt="x" * (1 << 20))
    s = aod.wait_status(sid)
    assert s["state"] == "finished" and outputs(aod.events(sid)) == ["done"]


def test_binary_output(aod, tmp_path):
    data = bytes(range(256)) + b"\n" + b"\xff\xfe\x00\n" + b"plain\n" + b"\xc3\x28" + b"\r\n" + b"\xed\xa0\x80"
    f = tmp_path / "data"
    f.write_bytes(data)
    sid = aod.command("/bin/cat", str(f))
    aod.wait_status(sid)
    ev = [e for e in aod.events(sid) if e["event_type"] == "output"]
    got = b"\n".join(base64.b64decode(e["base64"]) if "base64" in e else e["text"].encode() for e in ev)
    assert got == data
    assert [e["text"] for e in ev if "base64" not in e] == [bytes(range(10)).decode(), "plain"]
    assert all("\ufffd" in e["text"] for e in ev if "base64" in e)
    assert aod.get("/sessions/%s/result" % sid).status == 200


def test_100_mb_without_a_newline(aod):
    sid = aod.sh("head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end")
    s = aod.wait_status(sid, timeout=60)
    assert s["state"] == "finished"
    total, after, partial = 0, 0, 0
    while True:  # in pages: it is 100 MB
        page = aod.get("/sessions/%s/events?after=%d&limit=8" % (sid, after), timeout=60).json
        for e in page["events"]:
            if e["event_type"] == "output" and e["text"] != "end":
                assert e["text"].count("x") == len(e["text"]) and len(e["text"]) <= 2 << 20
                total += len(e["text"])
                partial += bool(e.get("partial"))
        if not page["more"]:
            break
        after = page["next_after"]
    assert total == 100000000 and partial > 10
    assert aod.events(sid, tail=2)[0]["text"] == "end"
    assert rss_mib(aod.pid) < 200 and rss_mib(aod.http_pid()) < 200, (rss_mib(aod.pid), rss_mib(aod.http_pid()))
    aod.delete("/sessions/" + sid)


def test_lines_of_3_mb(aod):
    sid = aod.sh("for i in 1 2 3; do head -c 3000000 /dev/zero | tr '\\0' $i; echo; done")
    aod.wait_status(sid)
    whole, line = [], ""
    for e in aod.events(sid):
        if e["event_type"] == "output":
            line += e["text"]
            if not e.get("partial"):
                whole.append(line)
                line = ""
    assert [(len(x), set(x)) for x in whole if x] == [(3000000, {"1"}), (3000000, {"2"}), (3000000, {"3"})]


def test_many_lines(aod):
    sid = aod.command("/usr/bin/seq", "1", "100000")
    aod.wait_status(sid, timeout=60)
    assert outputs(aod.events(sid)) == [str(i) for i in range(1, 100001)]


def test_both_streams_at_once_lose_nothing(aod):
    sid = aod.sh("seq 1 20000 & seq 30001 50000 >&2 & wait")
    aod.wait_status(sid)
    ev = aod.events(sid)
    assert outputs(ev, "stdout") == [str(i) for i in range(1, 20001)]
    assert outputs(ev, "stderr") == [str(i) for i in range(30001, 50001)]


def test_no_output_is_too_much(aod):
    """The spool is given back while it grows, also behind a line that stays open: the shim waits for that."""
    sid = aod.command("sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; (yes %s | head -c 100M) >&2; echo; echo done" % ("y" * 5000))
    most = 0

    def ended():
        nonlocal most
        try:
            most = max(most, os.stat(os.path.join(aod.session_dir(sid), "1.spool")).st_blocks * 512)
        except OSError:
            pass
        return aod.session(sid)["state"] in ("finished", "failed")

    wait_for("the end", ended, 90)
    assert aod.result(sid) == "done" and most < 100 << 20


def test_prints_nothing(aod):
    sid = aod.command("/bin/true")
    s = aod.wait_status(sid)
    assert s["state"] == "finished"
    assert kinds(aod.events(sid)) == ["session_start", "session_stop"]
    r = aod.get("/sessions/%s/result" % sid)
    assert (r.status, r.json) in ((200, {"result": ""}), (404, {"detail": "No result found"})), r


def test_silent_and_slow(aod):
    """Lines come when they are printed, not at the end."""
    sid = aod.sh("echo first; sleep 0.4; echo second; read x < /dev/tty || sleep 30")
    e = aod.wait_event(sid, lambda e: e.get("text") == "second")
    assert e["seq"] > 1 and aod.session(sid)["status"] == "running"
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)


def test_stdout_closed_early(aod):
    sid = aod.sh("echo said; exec >&- 2>&-; sleep 0.3; exit 9")
    s = aod.wait_status(sid)
    assert s["exit_code"] == 9 and outputs(aod.events(sid)) == ["said"]


def test_stdout_held_by_a_child(aod):
    """The program has ended; what it left behind keeps the pipe open, and is ended too."""
    sid = aod.sh("echo $$; sleep 1000 & echo $!; exit 4")
    s = aod.wait_status(sid)
    assert s["exit_code"] == 4
    pids = [int(x) for x in outputs(aod.events(sid))]
    wait_for("the child to go", lambda: not any(alive(p) for p in pids))


def test_working_directory_and_environment(aod, tmp_path):
    sid = aod.sh("pwd; echo $AOD_SESSION_ID $AOD_SESSION_NAME", project_dir=str(tmp_path), session_name="wd-1")
    aod.wait_status(sid)
    assert outputs(aod.events(sid)) == [str(tmp_path), sid + " wd-1"]
    sid = aod.sh("pwd; echo $TMPDIR; touch $TMPDIR/x && echo ok")
    aod.wait_status(sid)
    out = outputs(aod.events(sid))
    assert out[0] == aod.agent_dir(sid) + "/work" and out[1].startswith(aod.agent_dir(sid) + "/") and out[2] == "ok"


def test_program_from_the_path(aod):
    sid = aod.command("echo", "found")
    aod.wait_status(sid)
    assert outputs(aod.events(sid)) == ["found"]


def test_script_without_a_valid_interpreter(aod, tmp_path):
    """It looks as if it could be run, and cannot be."""
    f = tmp_path / "bad"
    f.write_text("#!/no/such/interpreter\n")
    f.chmod(0o755)
    r = aod.post("/sessions", {"command": [str(f)]})
    if r.status == 200:
        s = aod.wait_status(r.json["session"]["session_id"])
        assert (s["state"], s["result"]) == ("failed", "resources") and s["error"]
    else:
        assert r.status == 422


def test_shell_blueprint(aod):
    sid = aod.create(agent_name="shell", prompt="echo from the shell\nexit 3")["session_id"]
    s = aod.wait_status(sid)
    assert s["exit_code"] == 3 and outputs(aod.events(sid)) == ["from the shell"]


def test_blueprint_with_a_command_of_its_own(aod, tmp_path):
    aod.blueprint("mine", "[Agent]\nAdapter=command\nExecStart=/bin/sh -c 'echo \"$GREETING and $0\"' zero\n"
                          "Environment=\"GREETING=hello there\"\nWorkingDirectory=%s\n" % tmp_path)
    sid = aod.create(agent_name="mine", prompt="x")["session_id"]
    aod.wait_status(sid)
    assert outputs(aod.events(sid)) == ["hello there and zero"]


def test_keys_without_effect_are_told(aod):
    """A key that is checked only is no promise: the session says so."""
    sections = aod.get("/agents/schema.json").json["properties"]
    wanted = {("Agent", "Skills"): "one", ("Session", "Restart"): "on-failure", ("Session", "MaxTokens"): "5", ("Session", "MaxCostUSD"): "5",
              ("Session", "Lifecycle"): "persistent"}
    wanted = {k: v for k, v in wanted.items() if sections[k[0]]["properties"][k[1]].get("x-planned")}
    if not wanted:
        pytest.skip("all of them have their effect")
    planned = [key for _, key in wanted]
    aod.blueprint("promises", "[Agent]\nAdapter=command\nExecStart=/bin/true\n" + "".join("[%s]\n%s=%s\n" % (*k, v) for k, v in wanted.items()))
    sid = aod.create(agent_name="promises")["session_id"]
    aod.wait_status(sid)
    note = [e for e in aod.events(sid) if e["event_type"] == "notice"]
    assert len(note) == 1 and note[0]["subtype"] == "planned" and sorted(note[0]["keys"]) == sorted(planned), note
    assert planned[0] + "=" in note[0]["text"] and "no effect" in note[0]["text"]


def test_broken_blueprint(aod):
    aod.blueprint("broken", "[Agent]\nAdapter=comand\nExecStartt=/bin/true\n[Nowhere]\nx=1\nno equals sign\n")
    r = aod.post("/sessions", {"agent_name": "broken", "prompt": "x"})
    assert r.status == 422, r
    assert "broken.blueprint:2" in r.detail, r.detail


def test_not_enough_descriptors_are_left_open(aod):
    """A hundred short sessions leave aod with the descriptors that it had."""
    def count():
        return len(os.listdir("/proc/%d/fd" % aod.pid))

    before = count()
    ids = [aod.command("/bin/true") for _ in range(100)]
    for i in ids:
        aod.wait_status(i)
    wait_for("aod to close what it opened", lambda: count() <= before + 1)


def test_resume_runs_the_command_again(aod):
    """With the further prompt on its standard input."""
    s = aod.post("/sessions", {"command": ["/bin/sh", "-c", "cat; echo end"], "async_mode": False}).json["session"]
    r = aod.post("/sessions/%s/resume" % s["session_id"], {"prompt": "more\n", "async_mode": False})
    assert r.status == 200, r
    assert r.json["result"] == "more\nend" and r.json["session"]["runs"] == 2
    # Which it needs no more than at its start.
    r = aod.post("/sessions/%s/resume" % s["session_id"], {"async_mode": False})
    assert r.status == 200 and r.json["result"] == "end" and r.json["session"]["runs"] == 3, r


def test_the_prompt_of_a_blueprint(aod):
    """Is what a command gets at each start, and what a preview shows."""
    aod.blueprint("asked", "[Agent]\nAdapter=command\nExecStart=/bin/cat\nPrompt=of %N\n")
    r = aod.post("/sessions", {"agent_name": "asked", "async_mode": False})
    assert r.json["result"] == "of asked", r
    r = aod.post("/sessions/%s/resume" % r.json["session"]["session_id"], {"async_mode": False})
    assert r.json["result"] == "of asked", r
    assert aod.post("/plan", {"agent_name": "asked"}).json["plan"]["prompt"] == "of asked"
    assert aod.post("/plan", {"agent_name": "asked", "prompt": "else"}).json["plan"]["prompt"] == "else"
    assert aod.post("/plan", {"agent_name": "demo"}).json["plan"]["prompt"] == "(prompt)"


def test_a_blueprint_with_a_command_needs_no_prompt(aod):
    aod.blueprint("greeter", "[Agent]\nAdapter=command\nExecStart=/bin/echo hello from %N\n")
    r = aod.post("/sessions", {"agent_name": "greeter", "async_mode": False})
    assert r.status == 200 and r.json["result"] == "hello from greeter", r
    p = aod.aoctl("resume", r.json["session"]["session_name"], "-q", input="")
    assert (p.returncode, p.stdout) == (0, "hello from greeter\n"), p
    r = aod.post("/sessions", {"agent_name": "demo"})
    assert r.status == 422 and "needs a prompt" in r.detail
    p = aod.aoctl("resume", aod.run_demo("say hi")["session_name"], input="")
    assert p.returncode != 0 and "no prompt: give one with -p TEXT" in p.stderr, p
    assert aod.post("/sessions", {"session_id": "s1-greeter", "session_name": "s1-greeter", "agent_name": "greeter"}).json["session"]["passive"]
