# SPDX-License-Identifier: MIT
"""Questions of agents: a rule, a person or nobody answers, once, whatever ends in between."""
import datetime
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from aod import DEMO, WAIT, clean_env, kinds, texts, wait_for


def blueprint(aod, name="asking", session="", agent="", exec_start=DEMO):
    aod.blueprint(name, "[Agent]\nExecStart=%s\n%s\n[Sandbox]\nSandbox=none\n[Session]\n%s\n" % (exec_start, agent, session))


def start(aod, prompt, name="asking", **body):
    return aod.create(agent_name=name, prompt=prompt, **body)["session_id"]


def of(events, kind):
    return [e for e in events if e["event_type"] == kind]


def questions(aod, sid, n=1):
    """The open questions of a session, once there are so many."""
    def look():
        q = aod.get("/sessions/%s/questions" % sid).json["questions"]
        return q if len(q) == n else None
    return wait_for("%d questions" % n, look)


def answer(aod, sid, **body):
    return aod.post("/sessions/%s/answer" % sid, body)


def ended(aod, sid):
    s = aod.wait_status(sid)
    return s, aod.events(sid)


# ---- a person

def test_a_question_waits_and_is_answered(aod):
    blueprint(aod)
    sid = start(aod, 'ask Bash {"command":"make install"}\nsay went on')
    q = questions(aod, sid)[0]
    s = aod.session(sid)
    assert s["state"] == "waiting" and s["status"] == "running"
    assert (q["kind"], q["status"], q["answer"], q["by"], q["session_name"]) == ("permission", "open", None, None, s["session_name"])
    assert q["about"] == {"tool_name": "Bash", "input": {"command": "make install"}} and q["until"] > q["asked_at"]
    assert q in aod.get("/questions").json["questions"]
    r = answer(aod, sid, answer="allow")
    assert r.status == 200 and r.json["session"]["state"] == "running", r
    s, ev = ended(aod, sid)
    assert s["state"] == "finished" and texts(ev) == ["Bash: allow", "went on"]
    asked, said = of(ev, "question"), of(ev, "answer")
    assert len(asked) == len(said) == 1 and len(of(ev, "permission_request")) == 1
    assert (asked[0]["tool_name"], asked[0]["tool_input"], asked[0]["question_id"]) == ("Bash", {"command": "make install"}, q["question_id"])
    assert asked[0]["until"] and asked[0]["kind"] == "permission"
    assert (said[0]["answer"], said[0]["question_id"], said[0]["tool_name"]) == ("allow", q["question_id"], "Bash")
    assert said[0]["by"].startswith("tcp:")
    assert aod.get("/sessions/%s/questions" % sid).json["questions"] == []
    q = aod.get("/sessions/%s/questions?all=1" % sid).json["questions"]
    assert len(q) == 1 and (q[0]["status"], q[0]["answer"]["answer"], q[0]["by"]) == ("answered", "allow", said[0]["by"])


def test_deny_with_a_reason(aod):
    blueprint(aod)
    sid = start(aod, "ask Bash")
    questions(aod, sid)
    assert answer(aod, sid, answer="deny", text="not on a \"Friday\"").status == 200
    s, ev = ended(aod, sid)
    assert texts(ev) == ["Bash: deny: not on a \"Friday\""] and of(ev, "answer")[0]["text"] == "not on a \"Friday\""
    assert of(ev, "post_tool")[0]["error"] == "not on a \"Friday\""


def test_several_at_once(aod):
    blueprint(aod)
    sid = start(aod, "asks 3 Bash")
    q = questions(aod, sid, 3)
    r = answer(aod, sid, answer="allow")
    assert r.status == 409 and "say which" in r.detail
    assert answer(aod, sid, question=q[1]["question_id"], answer="deny", text="no").status == 200
    assert aod.session(sid)["state"] == "waiting"
    left = questions(aod, sid, 2)
    assert [x["question_id"] for x in left] == [q[0]["question_id"], q[2]["question_id"]]
    assert answer(aod, sid, question=q[0]["question_id"], answer="allow").status == 200
    # The only one that is left needs no name.
    assert answer(aod, sid, answer="allow").status == 200
    s, ev = ended(aod, sid)
    assert texts(ev) == ["Bash: allow", "Bash: deny: no", "Bash: allow"] and s["state"] == "finished"


def test_pages_of_all_questions(make_aod):
    """Each once, in the order of asking, with those of one moment on one page."""
    a = make_aod()
    blueprint(a)
    sids = [start(a, "asks 3 Bash") for _ in range(4)]
    for sid in sids:
        questions(a, sid, 3)
    everything = a.get("/questions").json
    assert not everything["more"] and len(everything["questions"]) == 12
    got, after, pages = [], 0, 0
    while True:
        page = a.get("/questions?limit=2&after=%d" % after).json
        assert page["next_after"] > after and len(page["questions"]) >= min(2, 12 - len(got))
        got, after, pages = got + page["questions"], page["next_after"], pages + 1
        if not page["more"]:
            break
    assert got == everything["questions"] and 3 <= pages <= 6
    assert a.get("/questions?after=%d" % after).json == {"questions": [], "next_after": after, "more": False}
    # One page of the command line is all of it.
    out = a.aoctl("questions")
    assert out.returncode == 0 and len(out.stdout.splitlines()) == 13, out
    for bad in ("limit=0", "limit=10001", "after=x", "after=-1"):
        assert a.get("/questions?" + bad).status == 422
    for sid in sids:
        a.post("/sessions/%s/stop" % sid)


def test_the_second_answer_is_refused_with_the_reason(aod):
    blueprint(aod)
    sid = start(aod, "ask Bash\nask Write")
    first = questions(aod, sid)[0]["question_id"]
    # Both in one turn of the loop, or in two: one is taken.
    got = []
    both = [threading.Thread(target=lambda: got.append(answer(aod, sid, question=first, answer="allow"))) for _ in (1, 2)]
    for t in both:
        t.start()
    for t in both:
        t.join()
    assert sorted(r.status for r in got) == [200, 409]
    wait_for("the next question", lambda: [q for q in questions(aod, sid) if q["question_id"] != first])
    r = answer(aod, sid, question=first, answer="deny")
    assert r.status == 409 and "was answered with allow by tcp:" in r.detail
    r = answer(aod, sid, question="no-such-question", answer="deny")
    assert r.status == 409 and "does not ask 'no-such-question'" in r.detail
    assert answer(aod, sid, answer="allow").status == 200
    ended(aod, sid)
    r = answer(aod, sid, answer="allow")
    assert r.status == 409 and "not running" in r.detail
    assert [e["answer"] for e in of(aod.events(sid), "answer")] == ["allow", "allow"]


def test_a_choice(aod):
    blueprint(aod)
    sid = start(aod, "choose Which colour? | red | light blue")
    q = questions(aod, sid)[0]
    assert q["kind"] == "choice" and "input" not in q["about"]
    assert [o["label"] for o in q["about"]["questions"][0]["options"]] == ["red", "light blue"]
    for body, why in ((dict(answer="allow"), "say which label"), (dict(answers={}), "no label for the question 'Which colour?'"),
                      (dict(answers={"Which colour?": "red", "Why?": "x"}), "was not asked"), (dict(answers={"Which colour?": []}), "no label"),
                      (dict(answers={"Which colour?": [5]}), "no label"), (dict(answer="deny", answers={"Which colour?": "red"}), "go with allow"),
                      (dict(), "is missing"), (dict(answer="maybe"), "allow or deny")):
        r = answer(aod, sid, **body)
        assert r.status == 422 and why in r.detail, r
    assert aod.session(sid)["state"] == "waiting"
    r = answer(aod, sid, answers={"Which colour?": ["red", "light blue"]})
    assert r.status == 200, r
    s, ev = ended(aod, sid)
    assert json.loads(texts(ev)[-1]) == {"Which colour?": "red, light blue"}
    assert of(ev, "answer")[0]["answers"] == {"Which colour?": "red, light blue"}


def test_answers_of_a_permission_are_refused(aod):
    blueprint(aod)
    sid = start(aod, "ask Bash")
    questions(aod, sid)
    r = answer(aod, sid, answers={"x": "y"})
    assert r.status == 422 and "not for a choice" in r.detail
    answer(aod, sid, answer="deny")
    ended(aod, sid)


# ---- rules

RULES = "AskRule=deny Bash(rm *)\nAskRule=allow Bash(ls:*)\nAskRule=allow mcp__*\nAskRule=deny Write\nAskTimeoutSec=0"


def test_rules_answer_at_once(aod):
    blueprint(aod, session=RULES)
    s = aod.wait_status(start(aod, "\n".join((
        'ask Bash {"command":"ls -l"}', 'ask Bash {"command":"rm x"}', 'ask Bash {"command":"ls; rm x"}', "ask mcp__files__read", "ask Write", "say end"))))
    ev = aod.events(s["session_id"])
    said = of(ev, "answer")
    assert [(e["answer"], e["by"]) for e in said] == [("allow", "rule:allow Bash(ls:*)"), ("deny", "rule:deny Bash(rm *)"), ("deny", "timeout"),
                                                     ("allow", "rule:allow mcp__*"), ("deny", "rule:deny Write")]
    assert "A rule of the blueprint does not allow this (deny Bash(rm *))" in said[1]["text"]
    assert not of(ev, "question") and texts(ev)[-1] == "end"
    assert aod.get("/sessions/%s/questions?all=1" % s["session_id"]).json["questions"] == []


def test_a_rule_that_is_wrong_is_said_with_its_line(aod):
    blueprint(aod, session="AskRule=allow Bash(x")
    r = aod.post("/sessions", {"agent_name": "asking", "prompt": "x"})
    assert r.status == 422 and "wants TOOL or TOOL(PATTERN)" in json.dumps(r.json), r


# ---- nobody

@pytest.mark.parametrize("session, choice, how", [("AskTimeoutSec=0", False, "deny"), ("AskTimeoutSec=300ms", False, "deny"),
                                                  ("AskTimeoutSec=300ms\nAskDefault=allow", False, "allow"), ("AskTimeoutSec=0\nAskDefault=allow", False, "allow"),
                                                  ("AskTimeoutSec=300ms\nAskDefault=allow", True, "deny")])
def test_nobody_answers(aod, session, choice, how):
    blueprint(aod, session=session)
    s, ev = ended(aod, start(aod, "choose Which? | a | b" if choice else "ask Bash"))
    said = of(ev, "answer")
    assert [(e["answer"], e["by"]) for e in said] == [(how, "timeout")]
    assert len(of(ev, "question")) == (0 if session.startswith("AskTimeoutSec=0") else 1)
    assert s["state"] == "finished" and (how == "allow" or "Nobody answered" in texts(ev)[-1])


def test_no_time_passes_for_what_is_frozen(aod):
    if not aod.get("/health").json.get("cgroups") and os.geteuid():
        pytest.skip("freezing needs control groups")
    blueprint(aod, session="AskTimeoutSec=5s")
    sid = start(aod, "ask Bash")
    until = questions(aod, sid)[0]["until"]
    r = aod.post("/sessions/%s/freeze" % sid)
    if r.status != 200:
        pytest.skip("cannot freeze here: %s" % r.detail)
    # Another session's time passes while this one stands still.
    other = start(aod, "ask Bash")
    assert ended(aod, other)[0]["state"] == "finished"
    assert aod.session(sid)["state"] == "frozen" and questions(aod, sid)
    assert aod.post("/sessions/%s/thaw" % sid).status == 200
    assert aod.session(sid)["state"] == "waiting" and questions(aod, sid)[0]["until"] > until
    assert answer(aod, sid, answer="allow").status == 200
    assert texts(ended(aod, sid)[1]) == ["Bash: allow"]


def test_watchdog_and_tool_time_stand_still(aod):
    blueprint(aod, session="WatchdogSec=3s\nToolTimeoutSec=3s")
    sid = start(aod, "ask Bash\nsleep 200\nsay fine")
    questions(aod, sid)
    # As long as it takes another one to be ended by the same watchdog.
    assert aod.wait_status(start(aod, "hang"))["result"] == "watchdog"
    assert aod.session(sid)["state"] == "waiting"
    assert answer(aod, sid, answer="allow").status == 200
    s, ev = ended(aod, sid)
    assert s["state"] == "finished" and texts(ev) == ["Bash: allow", "fine"]


def test_the_watchdog_counts_again_after_the_answer(aod):
    blueprint(aod, session="WatchdogSec=3s")
    sid = start(aod, "ask Bash\nhang")
    questions(aod, sid)
    assert answer(aod, sid, answer="allow").status == 200
    assert ended(aod, sid)[0]["result"] == "watchdog"


# ---- ends

def test_a_stop_closes_what_is_open(aod):
    blueprint(aod)
    sid = start(aod, "asks 2 Bash")
    q = questions(aod, sid, 2)
    assert aod.post("/sessions/%s/stop" % sid).status == 200
    s, ev = ended(aod, sid)
    assert s["state"] == "stopped" and aod.get("/sessions/%s/questions" % sid).json["questions"] == []
    assert [e["answer"] for e in of(ev, "answer")] == ["gone", "gone"]
    r = answer(aod, sid, question=q[0]["question_id"], answer="allow")
    assert r.status == 409 and "is gone since" in r.detail
    assert aod.get("/questions").json["questions"] == [] or all(x["session_id"] != sid for x in aod.get("/questions").json["questions"])


def test_an_agent_that_dies_leaves_no_question(aod):
    blueprint(aod)
    sid = start(aod, "ask Bash")
    questions(aod, sid)
    os.kill(aod.agent_pid(sid, "aod-demo"), signal.SIGKILL)
    s, ev = ended(aod, sid)
    assert s["result"] == "signal" and [e["answer"] for e in of(ev, "answer")] == ["gone"]
    assert kinds(ev)[-1] == "session_stop"


def test_deleting_one_that_waits(aod):
    blueprint(aod)
    sid = start(aod, "ask Bash")
    questions(aod, sid)
    assert aod.delete("/sessions/" + sid).status == 200
    assert all(x["session_id"] != sid for x in aod.get("/questions").json["questions"])
    assert aod.get("/sessions/%s/questions" % sid).status == 404


# ---- aod dies

def test_killed_while_it_waits_and_answered_after(make_aod):
    a = make_aod()
    blueprint(a)
    sid = start(a, "ask Bash\nsay went on")
    q = questions(a, sid)
    a.kill9()
    a.start()
    assert a.session(sid)["state"] == "waiting" and questions(a, sid) == q
    assert answer(a, sid, answer="allow").status == 200
    s, ev = ended(a, sid)
    assert s["state"] == "finished" and texts(ev) == ["Bash: allow", "went on"] and len(of(ev, "question")) == len(of(ev, "answer")) == 1


def test_its_time_passes_while_aod_is_away(make_aod):
    a = make_aod()
    blueprint(a, session="AskTimeoutSec=3s")
    sid = start(a, "ask Bash")
    until = datetime.datetime.fromisoformat(questions(a, sid)[0]["until"]).timestamp()
    a.kill9()
    wait_for("its time to pass", lambda: time.time() > until)
    a.start()
    s, ev = ended(a, sid)
    assert [(e["answer"], e["by"]) for e in of(ev, "answer")] == [("deny", "timeout")] and s["state"] == "finished"


def test_an_answer_that_was_committed_and_not_told_is_told_by_the_next_aod(make_aod):
    """The agent's input cannot be written between the commit and its telling: the answer is not lost, and the agent hears it once."""
    a = make_aod()
    blueprint(a)
    sid = start(a, "ask Bash\nsay went on")
    q = questions(a, sid)[0]["question_id"]
    a.kill9()
    # What an aod leaves that dies between the two: the row has the answer, the adapter's state still has the question.
    db = sqlite3.connect(a.db_path)
    with db:
        n = db.execute("SELECT n FROM session WHERE id = ?", (sid,)).fetchone()[0]
        db.execute("UPDATE question SET closed = 'answer', closed_us = 1, author = 'test', answer = ? WHERE session = ?",
                   (json.dumps({"answer": "deny", "text": "said before", "answers": None}), n))
        assert q in db.execute("SELECT adapter_state FROM run WHERE session = ?", (n,)).fetchone()[0]
        db.execute("UPDATE session SET state = 'running' WHERE n = ?", (n,))
    db.close()
    a.start()
    s, ev = ended(a, sid)
    assert s["state"] == "finished" and texts(ev) == ["Bash: deny: said before", "went on"]


def test_told_twice_does_no_harm(make_aod):
    a = make_aod()
    blueprint(a)
    sid = start(a, "ask Bash\nask Write\nsay went on")
    first = questions(a, sid)[0]["question_id"]
    assert answer(a, sid, answer="allow").status == 200
    wait_for("the next question", lambda: [q for q in questions(a, sid) if q["question_id"] != first])
    a.kill9()
    a.start()
    assert answer(a, sid, answer="allow").status == 200
    assert texts(ended(a, sid)[1]) == ["Bash: allow", "Write: allow", "went on"]


# ---- people at a terminal

def test_aoctl(aod):
    blueprint(aod)
    sid = start(aod, 'ask Bash {"command":"make install"}\nchoose Which colour? | red | light blue', session_name="curious")
    q = questions(aod, sid)[0]["question_id"]
    p = aod.aoctl("questions")
    assert p.returncode == 0 and "curious" in p.stdout and "Bash: make install" in p.stdout and q[:8] in p.stdout
    assert "Asks: Bash: make install" in aod.aoctl("status", "curious").stdout
    assert "waiting" in aod.aoctl("list").stdout
    p = aod.aoctl("logs", "curious")
    assert "aoctl answer curious allow|deny" in p.stdout
    p = aod.aoctl("answer", "curious", "perhaps")
    assert p.returncode == 2 and "allow, deny, or choose" in p.stderr
    p = aod.aoctl("answer", "curious", "choose", "red")
    assert p.returncode == 1 and "no choice" in p.stderr
    p = aod.aoctl("answer", "curious", q[:8], "deny", "--text", "not now")
    assert p.returncode == 0 and "curious answered" in p.stderr + p.stdout, p
    wait_for("the choice", lambda: [x for x in questions(aod, sid) if x["kind"] == "choice"])
    p = aod.aoctl("questions", "curious", "--json")
    assert json.loads(p.stdout)["questions"][0]["kind"] == "choice"
    assert "Which colour? (red | light blue)" in aod.aoctl("questions", "curious").stdout
    p = aod.aoctl("answer", "curious", "choose", "red", "too many")
    assert p.returncode == 1 and "1 questions" in p.stderr
    p = aod.aoctl("answer", "curious", "choose", "light blue")
    assert p.returncode == 0, p
    s, ev = ended(aod, sid)
    assert texts(ev) == ["Bash: deny: not now", "AskUserQuestion: allow", '{"Which colour?":"light blue"}']
    p = aod.aoctl("answer", "curious", "allow")
    assert p.returncode == 1 and "not running" in p.stderr
    assert "(red | light blue)" in aod.aoctl("logs", "curious").stdout


# ---- who may

def test_no_session_answers_not_even_its_child(aod):
    """Else an agent would have its own question answered by a child of its own making, or its child's by itself."""
    blueprint(aod)
    blueprint(aod, "child")
    sid = start(aod, "bash printenv AOD_TOKEN >token; printenv AOD_SESSION_ID >>token\nask Bash", project_dir=None)
    questions(aod, sid)
    token = open(os.path.join(aod.agent_dir(sid), "work", "token")).read().split()[0]
    auth = {"Authorization": "Bearer " + token}
    r = aod.post("/sessions/%s/answer" % sid, {"answer": "allow"}, headers=auth)
    assert r.status == 403, r
    assert aod.get("/sessions/%s/questions" % sid, headers=auth).status == 200
    assert aod.get("/questions", headers=auth).status == 403
    r = aod.post("/sessions", {"agent_name": "child", "prompt": "ask Bash"}, headers=auth)
    assert r.status == 200, r
    child = r.json["session"]["session_id"]
    questions(aod, child)
    assert aod.post("/sessions/%s/answer" % child, {"answer": "allow"}, headers=auth).status == 403
    assert aod.session(child)["state"] == "waiting"
    for s in (child, sid):
        assert answer(aod, s, answer="deny").status == 200
        ended(aod, s)


# ---- persistent sessions

def test_questions_of_one_turn_after_the_other(aod):
    blueprint(aod, session="Lifecycle=persistent")
    sid = start(aod, "ask Bash")
    for tool in ("Bash", "Write"):
        q = questions(aod, sid)[0]
        assert aod.session(sid)["state"] == "waiting" and q["about"]["tool_name"] == tool
        assert answer(aod, sid, answer="allow").status == 200
        wait_for("the turn's end", lambda: aod.session(sid)["state"] == "idle")
        assert texts(aod.events(sid))[-1] == tool + ": allow"
        if tool == "Bash":
            aod.resume(sid, "ask Write")
    assert aod.post("/sessions/%s/stop" % sid).status == 200
    ended(aod, sid)


def test_an_interrupt_closes_the_question_and_ends_the_turn_only(aod):
    blueprint(aod, session="Lifecycle=persistent")
    sid = start(aod, "asks 2 Bash\nsay not reached")
    q = questions(aod, sid, 2)
    assert aod.post("/sessions/%s/interrupt" % sid).status == 200
    wait_for("the turn's end", lambda: aod.session(sid)["state"] == "idle")
    assert aod.get("/sessions/%s/questions" % sid).json["questions"] == []
    assert [e["answer"] for e in of(aod.events(sid), "answer")] == ["gone", "gone"]
    assert answer(aod, sid, question=q[0]["question_id"], answer="allow").status == 409
    aod.resume(sid, "say next")
    wait_for("the next answer", lambda: texts(aod.events(sid))[-1:] == ["next"])
    aod.post("/sessions/%s/stop" % sid)
    ended(aod, sid)


def test_a_prompt_that_comes_meanwhile_waits(aod):
    blueprint(aod, session="Lifecycle=persistent")
    sid = start(aod, "ask Bash")
    questions(aod, sid)
    aod.resume(sid, "say second")
    assert aod.session(sid)["state"] == "waiting"
    assert answer(aod, sid, answer="deny", text="no").status == 200
    wait_for("both answers", lambda: texts(aod.events(sid)) == ["Bash: deny: no", "second"])
    aod.post("/sessions/%s/stop" % sid)
    ended(aod, sid)


def test_a_run_in_the_foreground_says_how_to_answer(aod):
    blueprint(aod)
    p = subprocess.Popen([os.path.join(aod.programs, "aoctl"), "run", "-a", "asking", "-p", "ask Bash {\"command\":\"make\"}", "shown"],
                         env=clean_env(AOD_SOCKET=aod.socket), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    clock = threading.Timer(WAIT, p.kill)
    clock.start()
    try:
        seen = ""
        for line in p.stderr:
            seen += line
            if "aoctl answer shown allow|deny" in line:
                break
        assert "question" in seen and "Bash: make" in seen
        assert aod.aoctl("answer", "shown", "allow").returncode == 0
        out, _ = p.communicate()
        assert p.returncode == 0 and out.strip() == "Bash: allow"
    finally:
        clock.cancel()
        p.kill()
        p.wait()


def test_an_agent_that_cannot_be_told_is_stopped(make_aod):
    """Its answer is in the database, and cannot be written for it: it would wait for ever."""
    a = make_aod()
    blueprint(a)
    sid = start(a, "ask Bash")
    questions(a, sid)
    a.kill9()
    path = os.path.join(a.session_dir(sid), "1.in")
    os.rename(path, path + ".away")
    os.mkdir(path)
    a.start()
    assert answer(a, sid, answer="allow").status == 200
    s, ev = ended(a, sid)
    assert s["state"] in ("failed", "stopped") and of(ev, "answer")[0]["answer"] == "allow" and not texts(ev)
    assert "stopping the agent, which waits for an answer" in a.log()
    a.assert_no_process_left(sid)


def test_a_task_of_an_idle_session_asks(aod):
    """What asks is no turn: it is idle again with the answer, and what it was asked meanwhile has its turn then."""
    blueprint(aod, session="Lifecycle=persistent")
    sid = start(aod, "task ask\nsay done")
    questions(aod, sid)
    wait_for("waiting", lambda: aod.session(sid)["state"] == "waiting")
    assert answer(aod, sid, answer="allow").status == 200
    wait_for("idle", lambda: aod.session(sid)["state"] == "idle")
    wait_for("its words", lambda: texts(aod.events(sid)) == ["done", "Bash: allow", "I heard that the task is done"])
    aod.resume(sid, "task ask\nsay again")
    questions(aod, sid)
    wait_for("waiting", lambda: aod.session(sid)["state"] == "waiting")
    aod.resume(sid, "say meanwhile")
    assert answer(aod, sid, answer="deny", text="no").status == 200
    wait_for("what it was asked meanwhile", lambda: texts(aod.events(sid))[-1:] == ["meanwhile"])
    wait_for("idle", lambda: aod.session(sid)["state"] == "idle")
    aod.post("/sessions/%s/stop" % sid)
    ended(aod, sid)
