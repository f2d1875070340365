# SPDX-License-Identifier: MIT
"""kill -9 of each program at any time: agents go on, every line that they printed is an event once, exit statuses are true.

AOD_CRASH_ROUNDS says how often the rounds are run (default 3), AOD_CRASH_SEED what they begin with; the last line of a
round's output says how many lines were looked at.
"""
import http.client
import json
import os
import random
import shutil
import signal
import threading
import time
import uuid

import pytest

from aod import BUILD, WAIT, alive, kinds, outputs, stat_of, texts, wait_for

ROUNDS = int(os.environ.get("AOD_CRASH_ROUNDS", "3"))
SEED = int(os.environ.get("AOD_CRASH_SEED") or random.randrange(1 << 30))
totals = {"rounds": 0, "kills": 0, "lines": 0, "lost": 0, "doubled": 0}


@pytest.fixture
def rng(request):
    r = random.Random("%d-%s" % (SEED, request.node.name))
    print("AOD_CRASH_SEED=%d" % SEED)
    return r


@pytest.fixture(scope="module", autouse=True)
def say_totals():
    yield
    path = os.environ.get("AOD_CRASH_REPORT")
    if path:
        with open(path, "a", encoding="utf-8") as f:
            f.write("kill -9 of aod: %(rounds)d rounds, %(kills)d kills, %(lines)d lines, %(lost)d lost, %(doubled)d doubled\n" % totals)


def check_lines(got, want):
    """The lines are those that were printed, each once and in order."""
    totals["lines"] += len(want)
    lost, doubled = len(set(want) - set(got)), len(got) - len(set(got))
    totals["lost"] += lost
    totals["doubled"] += doubled
    assert lost == 0 and doubled == 0, "%d lost, %d doubled of %d" % (lost, doubled, len(want))
    assert got == want, "the order is wrong or something is in between"


def agent_pids(a, sid):
    return {p for p in a.session_processes(sid)}


# ---- aod ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(ROUNDS))
def test_kill_aod_among_ten_busy_sessions(make_aod, rng, n):
    a = make_aod()
    made = []  # (id, lines printed, exit status, kind)
    for i in range(4):
        made.append((a.demo("stream 300 4 s%d" % i), ["s%d %d" % (i, k) for k in range(1, 301)], 0, "demo"))
    for i in range(4):
        code = 10 + i
        made.append((a.sh("i=0; while [ $i -lt 3000 ]; do echo \"line $i\"; i=$((i+1)); [ $((i %% 50)) = 0 ] && sleep 0.02; done; exit %d" % code),
                     ["line %d" % k for k in range(3000)], code, "command"))
    made.append((a.sh("i=0; while [ $i -lt 100 ]; do seq $((i*200)) $((i*200+199)); sleep 0.012; i=$((i+1)); done; kill -9 $$"),
                 [str(k) for k in range(20000)], -9, "command"))
    made.append((a.demo("stream 100 10 e\nfail 529"), ["e %d" % k for k in range(1, 101)], 1, "demo"))
    kills = rng.randint(2, 4)
    for k in range(kills):
        time.sleep(rng.uniform(0.0, 0.35))
        before = {sid: agent_pids(a, sid) for sid, *_ in made}
        a.kill9()
        for sid, _, _, kind in made:
            now = agent_pids(a, sid)
            # What ran before still does, but for children of a shell that come and go, and those that have just ended.
            if kind == "demo" and before[sid]:
                assert now == before[sid] or not now, (before[sid], now)
        if rng.random() < 0.5:
            time.sleep(rng.uniform(0, 0.15))
        a.start()
        totals["kills"] += 1
    totals["rounds"] += 1
    for sid, want, code, kind in made:
        s = a.wait_status(sid, timeout=60)
        ev = a.events(sid)
        check_lines(texts(ev) if kind == "demo" else outputs(ev, "stdout"), want)
        assert kinds(ev).count("session_start") == kinds(ev).count("session_stop") == 1 and ev[-1]["event_type"] == "session_stop"
        assert s["runs"] == 1
        if code < 0:
            assert (s["state"], s["result"], s["signal"]) == ("failed", "signal", -code)
        elif kind == "demo" and code:
            assert (s["state"], s["result"], s["exit_code"]) == ("failed", "overloaded", code)
        else:
            assert (s["state"], s["exit_code"]) == ("finished" if code == 0 else "failed", code)
        if kind == "demo":
            # The prompt ran once: one init, one result, tokens of one turn.
            assert kinds(ev).count("result") == 1 and s["usage"]["input_tokens"] == 100
    a.assert_no_process_left()


@pytest.mark.parametrize("n", range(ROUNDS))
def test_kill_aod_while_it_catches_up(make_aod, rng, n):
    """Programs that have long ended with megabytes in their spools: what is being read when aod dies is read again, and only that."""
    a = make_aod()
    want = [str(k) for k in range(1, 60001)]
    made = [a.command("/usr/bin/seq", "1", "60000") for _ in range(2)]
    wide = a.sh("i=0; while [ $i -lt 40 ]; do head -c 500000 /dev/zero | tr '\\0' $((i %% 10)); echo; i=$((i+1)); done".replace("%%", "%"))
    for _ in range(4):
        time.sleep(rng.uniform(0.02, 0.25))
        a.kill9()
        totals["kills"] += 1
        a.start()
    totals["rounds"] += 1
    for sid in made:
        s = a.wait_status(sid, timeout=60)
        assert s["state"] == "finished" and s["exit_code"] == 0
        check_lines(outputs(a.events(sid)), want)
    assert a.wait_status(wide, timeout=60)["state"] == "finished"
    got = [(len(t), set(t)) for t in outputs(a.events(wide))]
    assert got == [(500000, {str(k % 10)}) for k in range(40)]


@pytest.mark.parametrize("n", range(ROUNDS))
def test_kill_aod_while_it_reads_what_a_shim_left(make_aod, rng, n):
    """aod is held up until programs and shims have ended, finds megabytes of them, and is killed while it reads them."""
    a = make_aod()
    flag = os.path.join(a.base, "go")
    script = ("echo up; while [ ! -e %s ]; do sleep 0.01; done; i=0; while [ $i -lt 24 ]; do head -c 500000 /dev/zero | tr '\\0' $((i %% 10)); echo; "
              "i=$((i+1)); done; exit 3" % flag)
    made = [a.sh(script) for _ in range(3)]
    for sid in made:
        a.wait_event(sid, lambda e: e.get("text") == "up")
    os.kill(a.pid, signal.SIGSTOP)
    with open(flag, "w"):
        pass
    wait_for("the shims to go", lambda: not a.shims(), 60)
    os.kill(a.pid, signal.SIGCONT)
    time.sleep(rng.choice((0.01, 0.03, 0.06, 0.1, 0.15)))
    a.kill9()
    totals["kills"] += 1
    a.start()
    for sid in made:
        s = a.wait_status(sid, timeout=60)
        assert (s["state"], s["exit_code"]) == ("failed", 3)
        got = [(len(t), set(t)) for t in outputs(a.events(sid))[1:]]
        assert got == [(500000, {str(k % 10)}) for k in range(24)], "%d of 24 lines" % len(got)


def test_what_was_given_back_to_the_disk_is_not_read_again(make_aod):
    """The part of a spool that was recorded becomes a hole; the next aod goes on behind it, though one stream never said anything."""
    a = make_aod()
    flag = os.path.join(a.base, "go")
    sid = a.sh("seq -f 'line %%.0f %s' 30000; echo up; while [ ! -e %s ]; do sleep 0.01; done; echo end" % ("x" * 300, flag))
    a.wait_event(sid, lambda e: e.get("text") == "up")
    spool = os.path.join(a.session_dir(sid), "1.spool")
    wait_for("the hole", lambda: (lambda st: st.st_blocks * 512 < st.st_size - (4 << 20))(os.stat(spool)))
    a.kill9()
    totals["kills"] += 1
    with open(flag, "w"):
        pass
    a.start()
    a.wait_status(sid)
    out = outputs(a.events(sid))
    assert [x.split()[1] for x in out[:-2]] == [str(i) for i in range(1, 30001)]
    assert out[-2:] == ["up", "end"]
    assert "damaged" not in a.log()


def test_kill_aod_with_lines_that_are_not_complete(make_aod, rng):
    """A line that is printed in pieces over several lives of aod is whole; the pieces of an over-long one are each there once."""
    a = make_aod()
    short = a.sh("for i in 1 2 3 4 5 6 7 8; do printf \"piece $i,\"; printf \"err $i,\" >&2; sleep 0.2; done; echo; echo >&2; echo end")
    # 8 times 100 kB is one event; 8 times 400 kB is more than the command adapter takes as one.
    sizes = (100000, 400000)
    longer = [a.sh("for i in 1 2 3 4 5 6 7 8; do head -c %d /dev/zero | tr '\\0' $i; sleep 0.2; done; echo; echo end" % n) for n in sizes]
    for _ in range(4):
        time.sleep(rng.uniform(0.15, 0.35))
        a.kill9()
        totals["kills"] += 1
        a.start()
    for sid in [short, *longer]:
        a.wait_status(sid)
    ev = a.events(short)
    assert outputs(ev, "stdout") == ["".join("piece %d," % i for i in range(1, 9)), "end"]
    assert outputs(ev, "stderr") == ["".join("err %d," % i for i in range(1, 9))]
    for sid, n in zip(longer, sizes):
        out = outputs(a.events(sid))
        assert out[-1] == "end"
        line = "".join(out[:-1])
        assert len(line) == 8 * n and line == "".join(str(i) * n for i in range(1, 9)), "%d of %d bytes" % (len(line), 8 * n)


def test_what_an_adapter_remembers_survives(make_aod):
    """Which tool was called, the tokens of an earlier turn, the answer itself: told before aod was killed, needed after it."""
    a = make_aod()
    flag = os.path.join(a.project, "go")
    tool = a.sh("true")  # so that the numbers of sessions and of runs differ
    a.wait_status(tool)
    tool = a.demo("task early\nbash while [ ! -e %s ]; do sleep 0.02; done; echo ran\nsay after" % flag, project_dir=a.project)
    a.wait_event(tool, lambda e: e["event_type"] == "pre_tool")
    a.blueprint("lingers", "[Agent]\nAdapter=claude\nExecStart=/bin/sh -c 'aod-demo-agent \"$@\"; while [ ! -e %s ]; do sleep 0.02; done; exit 9' sh\n"
                           "[Session]\nResultGraceSec=60s\n[Sandbox]\nPrivateTmp=no\n" % flag)
    answered = a.create(agent_name="lingers", prompt="say the answer")["session_id"]
    a.wait_event(answered, lambda e: e["event_type"] == "result")
    a.kill9()
    a.start()
    with open(flag, "w"):
        pass
    s = a.wait_status(tool)
    ev = a.events(tool)
    post = [e for e in ev if e["event_type"] == "post_tool"]
    assert len(post) == 1 and post[0]["tool_name"] == "Bash" and post[0]["tool_output"] == "ran"
    assert s["usage"]["input_tokens"] == 200 and s["usage"]["cost_usd"] == pytest.approx(0.002) and a.result(tool) == "after"
    s = a.wait_status(answered)
    assert (s["state"], s["result"], s["exit_code"]) == ("finished", "success", 9) and a.result(answered) == "the answer"
    assert s["usage"]["input_tokens"] == 100


def test_an_end_while_aod_was_away(make_aod):
    """True exit statuses of what ended with nobody there, different ones."""
    a = make_aod()
    flag = os.path.join(a.base, "go")
    made = [(a.sh("echo up; while [ ! -e %s ]; do sleep 0.02; done; echo last; exit %d" % (flag, c)), c) for c in (0, 1, 42, 255)]
    killed = a.sh("echo up; while [ ! -e %s ]; do sleep 0.02; done; kill -15 $$" % flag)
    stubborn = a.demo("say up\nbash while [ ! -e %s/x ]; do sleep 0.02; done\nsay after" % a.session_dir("none"))
    for sid in [s for s, _ in made] + [killed, stubborn]:
        a.wait_event(sid, lambda e: "up" in (e.get("text") or "") or e["event_type"] == "pre_tool")
    a.kill9()
    with open(flag, "w"):
        pass
    wait_for("the programs to end", lambda: not any(a.session_processes(s) for s, _ in made) and not a.session_processes(killed))
    wait_for("the shims to go", lambda: len(a.shims()) == 1)
    a.start()
    for sid, code in made:
        s = a.wait_status(sid)
        assert (s["exit_code"], s["state"]) == (code, "finished" if code == 0 else "failed")
        assert outputs(a.events(sid)) == ["up", "last"]
    assert a.wait_status(killed)["signal"] == 15
    assert a.session(stubborn)["status"] == "running"
    a.post("/sessions/%s/stop" % stubborn)
    assert a.wait_status(stubborn)["state"] == "stopped"


def test_stop_works_after_a_new_start(make_aod):
    a = make_aod()
    sid = a.demo("children 1 setsid\ndeaf")
    a.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    mine = set(a.session_processes(sid))
    a.kill9()
    a.start()
    assert set(a.session_processes(sid)) == mine
    assert a.session(sid)["state"] == "running"
    a.post("/sessions/%s/stop" % sid, {"timeout_ms": 300})
    assert a.wait_status(sid)["state"] == "stopped"
    a.assert_no_process_left(sid)


def test_killed_while_stopping(make_aod):
    """The request to stop was answered: it holds, whatever happens to aod."""
    a = make_aod()
    ids = [a.demo("say up\n" + how) for how in ("hang", "deaf")]
    for sid in ids:
        a.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    for sid in ids:
        a.post("/sessions/%s/stop" % sid, {"timeout_ms": 500})
    a.kill9()
    a.start()
    for sid in ids:
        s = a.wait_status(sid)
        assert (s["state"], s["result"]) == ("stopped", "cancelled")
        a.assert_no_process_left(sid)


def test_the_time_of_a_stop_outlives_a_crash(make_aod):
    """It was to be killed at once or nearly so; the blueprint's own time is an hour."""
    a = make_aod()
    a.blueprint("slow-stop", "[Agent]\nAdapter=claude\nExecStart=%s/aod-demo-agent\n[Session]\nTimeoutStopSec=1h\n[Sandbox]\nSandbox=none\n" % BUILD)
    ids = [a.create(agent_name="slow-stop", prompt="say up\ndeaf")["session_id"] for _ in range(3)]
    for sid in ids:
        a.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    for sid in ids:
        assert a.post("/sessions/%s/stop" % sid, {"timeout_ms": 2000}).status == 200
    a.kill9()
    a.start()
    for sid in ids:
        assert a.wait_status(sid)["result"] == "cancelled"
        a.assert_no_process_left(sid)


def test_killed_between_request_and_spawn(make_aod, rng):
    """Sessions are made as fast as it goes while aod is killed again and again: each that was answered runs once."""
    a = make_aod()
    marks = os.path.join(a.project, "marks")
    answered, refused, stop = [], [], threading.Event()

    def client():
        i = 0
        while not stop.is_set():
            token = "%s" % uuid.uuid4().hex
            i += 1
            try:
                if i % 3:
                    r = a.post("/sessions", {"command": ["/bin/sh", "-c", "echo %s >> %s; echo said" % (token, marks)]}, timeout=WAIT)
                else:
                    r = a.post("/sessions", {"agent_name": "demo", "prompt": "append %s %s\nsay said" % (marks, token),
                                             "project_dir": a.project}, timeout=WAIT)
            except (OSError, http.client.HTTPException):
                time.sleep(0.002)
                continue
            if r.status == 200:
                answered.append((r.json["session"]["session_id"], token))
            else:
                assert r.status in (502, 503), r
                if r.status == 503:
                    refused.append(token)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for _ in range(6):
            time.sleep(rng.uniform(0.02, 0.3))
            a.kill9()
            a.start()
            totals["kills"] += 1
        wait_for("more than ten answers", lambda: len(answered) > 10)
    finally:
        stop.set()
        for t in threads:
            t.join()
    for sid, _ in answered:
        s = a.wait_status(sid)
        assert s["state"] == "finished" and s["runs"] == 1, s
    # Those that were made, but whose answer was lost, have to end well too.
    for s in a.get("/sessions").json["sessions"]:
        assert a.wait_status(s["session_id"])["state"] == "finished"
    with open(marks, encoding="utf-8") as f:
        lines = f.read().split()
    assert len(lines) == len(set(lines)), "%d commands ran twice" % (len(lines) - len(set(lines)))
    lost = {t for _, t in answered} - set(lines)
    assert not lost, "%d of %d answered sessions never ran" % (len(lost), len(answered))
    assert not set(refused) & set(lines), "a command ran whose request was refused"
    assert len(lines) == len(a.get("/sessions").json["sessions"])
    a.assert_no_process_left()


def test_answered_events_are_there(make_aod, rng):
    """POSTs of clients: what was answered survives; seq has no gaps."""
    a = make_aod()
    sid = str(uuid.uuid4())
    a.post("/sessions", {"session_id": sid, "session_name": "passive"})
    answered, stop = [], threading.Event()

    def client(k):
        i = 0
        while not stop.is_set():
            text = "%d-%d" % (k, i)
            i += 1
            try:
                r = a.post("/sessions/%s/events" % sid, {"event_type": "message", "session_id": sid, "session_name": "x", "timestamp": "t",
                                                         "role": "assistant", "content": [{"type": "text", "text": text}]}, timeout=WAIT)
                if r.status == 200:
                    answered.append(text)
            except (OSError, http.client.HTTPException):
                time.sleep(0.002)

    threads = [threading.Thread(target=client, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    try:
        for _ in range(4):
            time.sleep(rng.uniform(0.05, 0.25))
            a.kill9()
            a.start()
        wait_for("more than fifty answers", lambda: len(answered) > 50)
    finally:
        stop.set()
        for t in threads:
            t.join()
    got = texts(a.events(sid))
    assert set(answered) <= set(got), "%d answered events are lost" % len(set(answered) - set(got))
    assert len(got) == len(set(got))


def test_files_of_a_run_that_ended_just_before_a_crash(make_aod):
    """Its end is recorded and its files are not removed yet: the next aod does that, and leaves those of a run that is live."""
    a = make_aod()
    ended, live = a.command("/bin/true"), a.sh("read x; sleep 1000", prompt="go")
    a.wait_status(ended)
    a.wait_state(live, "running")
    a.kill9()
    names = ["1.spool", "1.in", "1.bell"]
    for n in names:
        with open(os.path.join(a.session_dir(ended), n), "w"):
            pass
    with open(os.path.join(a.session_dir(ended), "1.other"), "w"):
        pass
    a.start()
    wait_for("the files to go", lambda: sorted(os.listdir(a.session_dir(ended))) == ["1.other", "agent"])
    assert set(names) <= set(os.listdir(a.session_dir(live))) and a.session(live)["state"] == "running"


def test_killed_while_it_looks_what_the_host_can(make_aod):
    """A child of its start has one in a user namespace, and is killed just before it kills that itself: it does not stay, with aod's lock."""
    a = make_aod(start=False, prefix=["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=kill", "-e", "inject=kill:signal=KILL:when=1"])
    a.start()
    os.kill(a.pid, signal.SIGKILL)
    a.proc.wait(WAIT)
    a.prefix = []
    a.start()
    assert a.get("/health").status == 200


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_requests_are_answered_before_all_is_taken_over(make_aod):
    """What the database has is told at once, what aod itself has to answer waits."""
    a = make_aod()
    sids = [a.command("/bin/sleep", "1000") for _ in range(20)]
    for sid in sids:
        a.wait_status(sid, "running")
    a.kill9()
    begin = len(a.log())
    # Looking at a spool's lock takes a quarter of a second, so all together five.
    a.prefix = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:delay_exit=250000:when=2+"]
    a.start(wait=False)
    a.wait_up()
    live = a.get("/sessions?state=live")
    assert {s["session_id"] for s in live.json["sessions"]} == set(sids)
    assert "taken over" not in a.log()[begin:]
    assert a.post("/sessions/%s/stop" % sids[-1], {}).status == 200
    assert "20 live sessions taken over" in a.log()[begin:]
    a.wait_state(sids[-1], "stopped")
    a.stop()


def test_a_second_aod_on_the_same_directory(make_aod):
    a = make_aod()
    sid = a.demo("hang")
    a.wait_state(sid, "running")
    b = make_aod(start=False, root=a.root)
    b.start(wait=False)
    assert b.proc.wait(WAIT) != 0
    assert "lock" in b.log() or "already" in b.log() or "running" in b.log(), b.log()
    assert a.session(sid)["status"] == "running" and a.get("/health").status == 200


# ---- aod-http ----------------------------------------------------------------------------------------------


def test_kill_http_under_load(make_aod, rng):
    """It comes back by itself; no connection is refused; what was answered is there; sessions are not touched."""
    a = make_aod()
    agent = a.demo("stream 600 5")
    a.wait_event(agent, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    procs = set(a.session_processes(agent))
    sid = str(uuid.uuid4())
    a.post("/sessions", {"session_id": sid, "session_name": "passive"})
    answered, refused, broken, stop = [], [], [], threading.Event()

    def client(k):
        i = 0
        while not stop.is_set():
            text = "%d-%d" % (k, i)
            i += 1
            try:
                r = a.post("/sessions/%s/events" % sid, {"event_type": "message", "session_id": sid, "session_name": "x", "timestamp": "t",
                                                         "role": "assistant", "content": [{"type": "text", "text": text}]}, timeout=WAIT)
                if r.status == 200:
                    answered.append(text)
                else:
                    broken.append(r.status)
            except ConnectionRefusedError as e:
                refused.append(e)
            except (OSError, http.client.HTTPException) as e:
                broken.append(repr(e))  # was open when it was killed

    threads = [threading.Thread(target=client, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    killed = []
    try:
        for _ in range(5):
            time.sleep(rng.uniform(0.05, 0.2))
            killed.append(a.kill9_http())
            wait_for("a new aod-http", lambda: a.http_pid() not in (None, killed[-1]))
            wait_for("an answer", lambda: a.get("/health").status == 200)
        wait_for("more than fifty answers", lambda: len(answered) > 50)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not refused, "%d connections were refused" % len(refused)
    got = texts(a.events(sid))
    assert set(answered) <= set(got)
    # Each client has one request under way at most when it dies.
    assert len(broken) <= 4 * len(killed), broken
    assert set(a.session_processes(agent)) in (procs, set()) and a.proc.poll() is None
    s = a.wait_status(agent)
    assert (s["state"], s["runs"]) == ("finished", 1)
    check_lines(texts(a.events(agent)), ["line %d" % i for i in range(1, 601)])


def test_kill_http_with_websockets_and_polls(make_aod):
    """A client that reconnects with the last id it saw misses nothing, and nothing comes twice."""
    a = make_aod()
    sid = a.demo("stream 120 8")
    got, last, cursor = [], None, 0

    def take(f):
        nonlocal last, cursor
        if f["type"] == "event":
            got.append(f["data"]["seq"])
            last = f["data"]["event_type"]
        if f["type"] != "init":
            cursor = f["data"]["id"] if f["type"] == "event" else f["id"]

    ws = a.ws("?after=0&session=" + sid)
    for k in range(3):
        while len(got) < 25 * (k + 1):
            take(ws.next())
        old = a.kill9_http()
        for f in iter(ws.next, None):  # what was under way still comes
            take(f)
        wait_for("a new aod-http", lambda: a.http_pid() not in (None, old))
        ws = a.ws("?after=%d&session=%s" % (cursor, sid))
    while last != "session_stop":
        take(ws.next())
    ws.close()
    assert got == [e["seq"] for e in a.events(sid)]


def test_http_that_dies_at_once_again_and_again(make_aod):
    a = make_aod()
    for _ in range(5):
        pid = wait_for("aod-http", a.http_pid)
        os.kill(pid, signal.SIGKILL)
        wait_for("it to be gone", lambda: not alive(pid))
    assert wait_for("an answer", lambda: a.get("/health").status == 200)
    assert a.proc.poll() is None


def test_http_goes_with_aod(make_aod):
    a = make_aod()
    pid = wait_for("aod-http", a.http_pid)
    a.kill9()
    wait_for("aod-http to go", lambda: not alive(pid))


# ---- shims -------------------------------------------------------------------------------------------------


def shim_of(a, sid):
    parents = {(stat_of(c) or (0, 0, 0))[2] for c in a.session_processes(sid)}
    # Under a sandbox there is an init between the two.
    parents |= {(stat_of(p) or (0, 0, 0))[2] for p in parents}
    found = [p for p in a.shims() if p in parents]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("aod_is_there", [True, False])
def test_kill_a_shim(make_aod, aod_is_there):
    a = make_aod()
    sid = a.demo("say before\nchildren 1 setsid\nhang")
    with a.follow(sid) as events:
        said = []
        for e in events:
            said += texts([e])
            if len(said) == 2:
                break
    other = a.demo("hang")
    a.wait_state(other, "running")
    mine = set(a.session_processes(sid))
    shim = shim_of(a, sid)
    if not aod_is_there:
        a.kill9()
    os.kill(shim, signal.SIGKILL)
    if not aod_is_there:
        wait_for("the shim to go", lambda: not alive(shim))
        a.start()
    s = a.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "shim-lost") and s["error"] and s["exit_code"] is None
    wait_for("the agent to go", lambda: not any(alive(p) for p in mine))
    ev = a.events(sid)
    assert texts(ev) == said and ev[-1]["event_type"] == "session_stop" and ev[-1]["reason"] == "shim-lost"
    assert a.session(other)["status"] == "running"
    a.resume(sid, "count")
    a.wait_status(sid)
    assert a.result(sid) == "2"


def test_spool_that_ends_in_the_middle_of_a_frame(make_aod):
    """What a shim that was killed while it wrote has left: the rest before it counts."""
    a = make_aod()
    sid = a.sh("i=0; while [ $i -lt 200 ]; do echo \"line $i\"; i=$((i+1)); done; sleep 1000")
    a.wait_event(sid, lambda e: e.get("text") == "line 199")
    shim = shim_of(a, sid)
    a.kill9()
    os.kill(shim, signal.SIGKILL)
    wait_for("the shim to go", lambda: not alive(shim))
    spool = os.path.join(a.session_dir(sid), "1.spool")
    with open(spool, "ab") as f:
        f.write(b"\xa0\xd1\x01\x01\x00\x00\x00\x00\xff\x00\x00\x00half")
    a.start()
    s = a.wait_status(sid)
    assert s["result"] == "shim-lost"
    assert outputs(a.events(sid)) == ["line %d" % i for i in range(200)]


def test_a_partial_line_outlives_its_shim(make_aod):
    """What the agent printed before its shim was killed is there, also the beginning of a line."""
    a = make_aod()
    sid = a.sh("echo whole; head -c 300000 /dev/zero | tr '\\0' y; echo up >&2; sleep 1000")
    a.wait_event(sid, lambda e: e.get("text") == "up")
    os.kill(shim_of(a, sid), signal.SIGKILL)
    s = a.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "shim-lost")
    out = outputs(a.events(sid), "stdout")
    assert out[0] == "whole" and set("".join(out[1:])) == {"y"} and len("".join(out[1:])) >= 65536


def test_a_request_that_aod_did_not_answer_is_not_refused(make_aod):
    """aod has the request and is killed: whether it was done is not known, and 503 would say that it was not."""
    a = make_aod()
    os.kill(a.pid, signal.SIGSTOP)
    c = http.client.HTTPConnection("127.0.0.1", a.ports["runtime"], timeout=WAIT)
    c.request("POST", "/sessions", json.dumps({"command": ["/bin/true"]}), {"Content-Type": "application/json"})
    assert a.get("/health").status == 200  # aod-http does one thing after the other, so it has sent the first one to aod
    a.kill9()
    r = c.getresponse()
    assert r.status == 502 and "ended before it answered" in json.loads(r.read())["detail"]
    c.close()
    a.start()
    assert a.get("/sessions").json["sessions"] == []
