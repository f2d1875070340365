# SPDX-License-Identifier: MIT
"""What one session does must not hold up or break the others: floods, too few descriptors, files that are in the way."""
import http.client
import os
import signal
import sqlite3
import threading
import time

from aod import stat_of, wait_for


def test_a_large_rest_is_read_between_other_work(make_aod):
    """A program that ends long before aod has read what it printed: requests are answered meanwhile."""
    a = make_aod()
    sid = a.command("/usr/bin/seq", "1", "3000000")
    slowest = 0
    while a.session(sid)["status"] == "running":
        began = time.monotonic()
        assert a.post("/sessions/nope/stop", {}).status == 404
        slowest = max(slowest, time.monotonic() - began)
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
        agent = min(a.session_processes(sid))
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
    assert a.post("/sessions", {"command": ["/bin/true"]}).status == 503
    db.execute("ROLLBACK")
    db.close()
    assert os.listdir(parent) != [kept]
    wait_for("the directory to go", lambda: os.listdir(parent) == [kept])
    assert a.post("/sessions", {"command": ["/bin/true"]}).status == 200


def test_deleting_many_files_holds_nobody_up(make_aod):
    """A session's directory with 100,000 files is gone at once; others are served while it is removed."""
    a = make_aod()
    r = a.post("/sessions", {"session_name": "many", "async_mode": False,
                             "command": ["/usr/bin/python3", "-c", "import os\nfor i in range(100000): os.close(os.open('f%d' % i, os.O_CREAT))"]})
    assert r.status == 200, r
    d = a.session_dir(r.json["session"]["session_id"])
    assert len(os.listdir(d + "/agent/work")) == 100000
    trash = [os.path.join(os.path.dirname(a.db_path), n) for n in ("trash", "trash.old")]
    assert a.delete("/sessions/many").status == 200
    assert not os.path.exists(d)
    # Answered before the files are gone: they are removed elsewhere, and aod does other things meanwhile.
    assert any(os.path.exists(p) for p in trash)
    assert a.post("/sessions", {"command": ["/bin/true"], "async_mode": False}).status == 200
    wait_for("the files to go", lambda: not any(os.path.exists(p) for p in trash), 60)


def test_trash_of_a_crash_goes_with_the_next_start(make_aod):
    a = make_aod()
    a.kill9()
    state = os.path.dirname(a.db_path)
    for name in ("trash/x", "trash.old/y"):
        os.makedirs(os.path.join(state, name))
    a.start()
    wait_for("the trash to go", lambda: not [n for n in os.listdir(state) if n.startswith("trash")], 30)
