# SPDX-License-Identifier: MIT
"""What one session does must not hold up or break the others: floods, too few descriptors, files that are in the way."""
import http.client
import os
import signal
import sqlite3
import threading
import time

from aod import WAIT, outputs, stat_of, wait_for


def slowest_request_beside(a, sid):
    """Seconds, while this session runs."""
    slowest = 0

    def look():
        nonlocal slowest
        began = time.monotonic()
        assert a.post("/sessions/nope/stop", {}).status == 404
        slowest = max(slowest, time.monotonic() - began)
        return a.session(sid)["status"] != "running"

    wait_for("its end", look, 3 * WAIT)
    return slowest


def test_a_large_rest_is_read_between_other_work(make_aod):
    """A program that ends long before aod has read what it printed: requests are answered meanwhile."""
    a = make_aod()
    sid = a.command("/usr/bin/seq", "1", "3000000")
    slowest = slowest_request_beside(a, sid)
    assert slowest < 3, "a request took %.1f s" % slowest


def test_more_sessions_than_descriptors(make_aod):
    """What cannot be carried to its end is refused; what was taken on ends as it would have."""
    a = make_aod(prefix=["/bin/sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"])
    flag = os.path.join(a.base, "go")
    made, refused = [], []
    for _ in range(70):
        r = a.post("/sessions", {"command": ["/bin/sh", "-c", "echo out; while [ ! -e %s ]; do sleep 0.1; done; exit 4" % flag]})
        if r.status == 200:
            made.append(r.json["session"]["session_id"])
        else:
            refused.append(r)
    assert len(made) > 20 and refused
    assert all(r.status == 503 and "LimitNOFILE" in r.detail for r in refused)
    with open(flag, "w"):
        pass
    for sid in made:
        s = a.wait_status(sid)
        assert (s["state"], s["exit_code"]) == ("failed", 4), s
    assert a.create(command=["/bin/true"])


def test_an_input_file_in_the_way(make_aod):
    """A session whose agent cannot be written to any more ends; the others do not notice."""
    a = make_aod()
    flag = os.path.join(a.project, "go")
    sid = a.demo("bash while [ ! -e %s ]; do sleep 0.02; done\nsay done" % flag, project_dir=a.project)
    a.wait_event(sid, lambda e: e["event_type"] == "pre_tool")
    a.kill9()
    path = os.path.join(a.session_dir(sid), "1.in")
    os.unlink(path)
    os.mkdir(path)
    a.start()
    with open(flag, "w"):
        pass
    assert a.wait_status(sid)["state"] == "finished" and a.result(sid) == "done"
    assert a.wait_status(a.command("/bin/true"))["state"] == "finished"
    assert "rolled back" not in a.log()


def test_an_answer_does_not_go_to_another_front(make_aod):
    """A delete that waits is forgotten with its aod-http; the next one's request of the same number is not answered in its place."""
    a = make_aod()
    first, second = a.sh("sleep 600"), a.sh("sleep 600")  # requests 1 and 2
    for sid in (first, second):
        a.wait_state(sid, "running")
    shims = {}
    for sid in (first, second):
        agent = wait_for("the agent", lambda: min(a.session_processes(sid), default=None))
        shims[sid] = stat_of(agent)[2]
        os.kill(shims[sid], signal.SIGSTOP)
    answers = {}

    def delete(sid):
        try:
            answers[sid] = a.delete("/sessions/" + sid)
        except (OSError, http.client.HTTPException) as e:
            answers[sid] = e

    threads = {sid: threading.Thread(target=delete, args=(sid,)) for sid in (first, second)}
    threads[first].start()  # request 3
    a.wait_state(first, "stopping")
    old = a.kill9_http()
    threads[first].join()
    wait_for("a further aod-http", lambda: a.http_pid() not in (None, old))
    for _ in range(2):  # its requests 1 and 2
        assert a.post("/sessions/nope/stop", {}).status == 404
    threads[second].start()  # and 3
    a.wait_state(second, "stopping")
    os.kill(shims[first], signal.SIGCONT)
    wait_for("the first to go", lambda: a.get("/sessions/" + first).status == 404)
    threads[second].join(0.5)
    assert second not in answers, answers
    os.kill(shims[second], signal.SIGCONT)
    threads[second].join()
    assert answers[second].status == 200 and answers[second].json["session_id"] == second


def test_directories_of_sessions_that_were_not_made(make_aod):
    """A transaction that fails leaves no directory behind for long."""
    a = make_aod()
    kept = a.command("/bin/true")
    a.wait_status(kept)
    parent = os.path.dirname(a.session_dir(kept))
    os.mkdir(os.path.join(parent, "stray"))
    wait_for("the look of the start", lambda: os.listdir(parent) == [kept])
    db = sqlite3.connect(a.db_path, timeout=10, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    answers = []
    t = threading.Thread(target=lambda: answers.append(a.post("/sessions", {"command": ["/bin/true"]})))
    t.start()
    try:
        wait_for("a further directory", lambda: os.listdir(parent) != [kept])
        t.join()
    finally:
        db.execute("ROLLBACK")
        db.close()
    assert answers[0].status == 503
    wait_for("the directory to go", lambda: os.listdir(parent) == [kept])
    assert a.post("/sessions", {"command": ["/bin/true"]}).status == 200


def test_deleting_many_files_holds_nobody_up(make_aod):
    """A session's directory with 100,000 files is gone at once; others are served while it is removed."""
    a = make_aod()
    trash = [os.path.join(os.path.dirname(a.db_path), n) for n in ("trash", "trash.old")]

    def is_answered_before_they_are_gone():
        r = a.post("/sessions", {"session_name": "many", "async_mode": False,
                                 "command": ["/usr/bin/python3", "-c", "import os\nfor i in range(100000): os.close(os.open('f%d' % i, os.O_CREAT))"]})
        assert r.status == 200, r
        d = a.session_dir(r.json["session"]["session_id"])
        assert len(os.listdir(d + "/agent/work")) == 100000
        assert a.delete("/sessions/many").status == 200
        assert not os.path.exists(d)
        return any(os.path.exists(p) for p in trash)

    # They are removed elsewhere, and aod does other things meanwhile. A test that has to wait for a processor for as long as that takes misses it.
    assert any(is_answered_before_they_are_gone() for _ in range(3))
    assert a.post("/sessions", {"command": ["/bin/true"], "async_mode": False}).status == 200
    wait_for("the files to go", lambda: not any(os.path.exists(p) for p in trash), 60)


def test_trash_of_a_crash_goes_with_the_next_start(make_aod):
    a = make_aod()
    a.kill9()
    state = os.path.dirname(a.db_path)
    for name in ("trash/x", "trash.old/y"):
        os.makedirs(os.path.join(state, name))
    a.start()
    wait_for("the trash to go", lambda: not [n for n in os.listdir(state) if n.startswith("trash")])


LINE_COST = 100  # what a line counts for LogSizeMax= beside its text


def limits_of(events):
    return [e["subtype"] for e in events if e["event_type"] == "limit"]


def kept(events):
    return sum(len(t) + LINE_COST for t in outputs(events))


def with_log_size(a, name, size, script):
    a.blueprint(name, "[Agent]\nAdapter=command\nExecStart=/bin/sh -c '%s'\n[Resources]\nLogSizeMax=%s\n" % (script, size))
    return a.create(agent_name=name, prompt="x")["session_id"]


def test_an_agent_waits_while_aod_is_away(make_aod):
    """Nobody reads what is printed: the spool grows to its limit and no further, the agent waits, and nothing of it is lost."""
    a = make_aod()
    flag = os.path.join(a.base, "go")
    sid = a.sh("echo up; while [ ! -e %s ]; do sleep 0.01; done; seq -f \"%%.0f $(head -c 100000 /dev/zero | tr '\\0' x)\" 1 1000" % flag)
    a.wait_event(sid, lambda e: e.get("text") == "up")
    a.kill9()
    spool = os.path.join(a.session_dir(sid), "1.spool")
    with open(flag, "w"):
        pass
    wait_for("a full spool", lambda: os.path.getsize(spool) >= 64 << 20)
    size = os.path.getsize(spool)
    agent = [p for p in a.session_processes(sid) if stat_of(p)[0] == "seq"]
    assert len(agent) == 1
    wait_for("it to wait", lambda: open("/proc/%d/wchan" % agent[0]).read().startswith("pipe") or stat_of(agent[0])[1] == "S")
    assert os.path.getsize(spool) < (64 << 20) + (1 << 20), size
    a.start()
    assert a.wait_status(sid, timeout=90)["result"] == "success"
    out = outputs(a.events(sid))
    assert [t.split()[0] for t in out[1:]] == [str(i) for i in range(1, 1001)]
    assert all(len(t) > 100000 for t in out[1:])


def test_log_size(make_aod):
    """A program that prints without end is stopped when its output is as much as is kept; others hardly notice."""
    a = make_aod()
    sid = with_log_size(a, "endless", "20M", "exec yes $(head -c 200 /dev/zero | tr \"\\\\0\" y)")
    slowest = slowest_request_beside(a, sid)
    s, events = a.session(sid), a.events(sid)
    assert (s["state"], s["result"]) == ("failed", "resources") and "LogSizeMax=" in s["error"], s
    assert limits_of(events) == ["log-size-near", "log-size"]
    assert (20 << 20) - 1000 < kept(events) <= 20 << 20
    assert slowest < 3, "a request took %.1f s" % slowest
    print("slowest request beside the flood: %.0f ms" % (slowest * 1000))


def test_log_size_counts_over_a_restart(make_aod):
    """What was kept before aod was killed counts after it, each line once."""
    a = make_aod()
    flag = os.path.join(a.base, "go")
    sid = with_log_size(a, "halves", "100K", "seq -w 1 500; while [ ! -e %s ]; do sleep 0.01; done; seq -w 501 2000; exec sleep 1000" % flag)
    a.wait_event(sid, lambda e: e.get("text") == "500")
    a.kill9()
    a.start()
    assert limits_of(a.events(sid)) == []
    with open(flag, "w"):
        pass
    a.wait_event(sid, lambda e: e.get("subtype") == "log-size")
    a.kill9()  # perhaps before the stop was seen
    a.start()
    s, events = a.wait_status(sid), a.events(sid)
    assert (s["state"], s["result"]) == ("failed", "resources") and "LogSizeMax=" in s["error"], s
    assert limits_of(events) == ["log-size-near", "log-size"]
    out = outputs(events)
    assert [int(t) for t in out] == list(range(1, len(out) + 1))
    assert (100 << 10) - 104 < kept(events) <= 100 << 10


def test_log_size_of_one_line(make_aod):
    """A line without end is a line, too."""
    a = make_aod()
    sid = with_log_size(a, "line", "3M", "head -c 50M /dev/zero | tr \"\\\\0\" z; exec sleep 1000")
    s, events = a.wait_status(sid), a.events(sid)
    assert s["result"] == "resources" and limits_of(events)[-1] == "log-size", s
    assert sum(len(t) for t in outputs(events)) <= 3 << 20
