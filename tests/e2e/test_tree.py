# SPDX-License-Identifier: MIT
"""Sessions that start sessions: the tree that they are, what is done to all of it, and results that wake the one who asked for them."""
import json
import os
import re
import shlex
import signal
import time

import pytest

from aod import DEMO, wait_for
from model_api import ModelApi


def tree_of(aod, *names, first="sleep 600000"):
    """A chain of demo sessions, each below the one before; ids."""
    ids = []
    for name in names:
        ids.append(aod.demo(first, session_name=name, **({"parent_session_name": ids[-1]} if ids else {})))
    return ids


def listed(aod, query):
    r = aod.get("/sessions?" + query)
    assert r.status == 200, r
    return [s["session_name"] for s in r.json["sessions"]]


# ---- who is whose ----------------------------------------------------------------------------------------------


def test_list_of_a_tree(aod):
    a, b, c = tree_of(aod, "la", "lb", "lc")
    d = aod.demo("say done", session_name="ld", parent_session_name="la")
    aod.wait_status(d)
    aod.demo("say other", session_name="lx")
    assert listed(aod, "tree=la") == ["ld", "lc", "lb", "la"] and listed(aod, "tree=" + b) == ["lc", "lb"]
    assert listed(aod, "parent=la") == ["ld", "lb"] and listed(aod, "parent=lc") == []
    assert listed(aod, "tree=la&state=live") == ["lc", "lb", "la"] and listed(aod, "tree=la&state=ended") == ["ld"]
    assert listed(aod, "tree=la&limit=1&offset=1") == ["lc"] and listed(aod, "parent=la&result=success") == ["ld"]
    assert aod.get("/sessions?tree=nobody").status == aod.get("/sessions?parent=nobody").status == 404
    assert [aod.session(x)["parent_session_id"] for x in (a, b, c, d)] == [None, a, b, a]
    n = dict(aod.sql("SELECT id, n FROM session"))
    assert dict(aod.sql("SELECT id, root FROM session WHERE id IN (?, ?, ?, ?)", a, b, c, d)) == {a: 0, b: n[a], c: n[a], d: n[a]}


def test_list_draws_the_tree(aod):
    for sid in (*tree_of(aod, "da", "db", "dc"), aod.demo("sleep 600000", session_name="dd", parent_session_name="da")):
        aod.wait_state(sid, "running")
    out = aod.aoctl("list", "--tree", "da")
    assert out.returncode == 0, out
    rows = [re.match(r"\W*", line).end() for line in out.stdout.splitlines()], re.findall(r"^\W*(\w+)", out.stdout, re.M)
    assert rows[1] == ["NAME", "da", "db", "dc", "dd"], out.stdout
    assert rows[0][1] == 0 and rows[0][2] == rows[0][4] > 0 and rows[0][3] > rows[0][2], out.stdout
    assert "dc" not in aod.aoctl("list", "--parent", "da").stdout
    assert aod.aoctl("list", "da").returncode == 2
    s = aod.aoctl("status", "da").stdout
    assert "Children: db: running\n" in s and "dd: running" in s and "Parent" not in s, s
    s = aod.aoctl("status", "db").stdout
    assert "Parent: da: running\n" in s and "Children: dc: running\n" in s, s
    o = json.loads(aod.aoctl("status", "da", "--json").stdout)
    assert [c["session_name"] for c in o["children"]] == ["dd", "db"]


def test_a_tree_has_an_end(aod):
    ids = []
    for i in range(32):
        r = aod.post("/sessions", {"session_id": "deep-%d" % i, "session_name": "deep-%d" % i, **({"parent_session_name": ids[-1]} if ids else {})})
        assert r.status == 200, r
        ids.append("deep-%d" % i)
    r = aod.post("/sessions", {"prompt": "say x", "agent_name": "demo", "parent_session_name": ids[-1]})
    assert r.status == 422 and "32 below each other" in r.detail
    assert aod.delete("/sessions/deep-0").status == 200
    # The id is used again: what was below it must not be above it now.
    r = aod.post("/sessions", {"session_id": "deep-0", "session_name": "deep-0", "parent_session_name": "deep-3"})
    assert r.status == 422 and "descends from" in r.detail
    assert aod.post("/sessions", {"prompt": "say x", "agent_name": "demo", "parent_session_name": "nobody"}).status == 422


def test_a_child_by_the_command_line(aod):
    """aoctl and the older command know what they are run in; aod knows it by the token in any case."""
    sid = aod.sh("aoctl run kid -a demo -p 'say hi' && env -u AOD_SESSION_ID aoctl run kid-2 -a demo -p 'say hi' && "
                 "ao-new kid-3 --agent demo -p 'say hi' && aoctl list --tree && aoctl status kid && aoctl list --parent mother | grep -c kid",
                 session_name="mother", project_dir=aod.project)
    s = aod.wait_status(sid)
    out = [e["text"] for e in aod.events(sid) if e["event_type"] == "output" and e["stream"] == "stdout"]
    assert s["result"] == "success" and listed(aod, "parent=mother") == ["kid-3", "kid-2", "kid"], out
    assert re.findall(r"(mother|kid[-\d]*) +(?:running|finished) ", "\n".join(out)) == ["mother", "kid", "kid-2", "kid-3"], out
    assert any("Parent: mother: running" in line for line in out) and out[-1] == "3", out


# ---- callbacks -------------------------------------------------------------------------------------------------


def blueprint(aod, name, session="", sandbox="none"):
    aod.blueprint(name, "[Agent]\nAdapter=claude\nExecStart=%s\n[Session]\n%s\n[Sandbox]\nSandbox=%s\n%s" % (
        DEMO, session, sandbox, "PrivateTmp=no\n" if sandbox == "none" else ""))


def asked(aod, sid):
    """What a session was asked, in order: (source, state, text)."""
    return aod.sql("SELECT source, p.state, text FROM prompt p JOIN session s ON s.n = p.session WHERE s.id = ? ORDER BY p.id", sid)


def callbacks(aod, sid):
    return [(state, text) for source, state, text in asked(aod, sid) if source == "callback"]


def wait_callbacks(aod, sid, n, state="done"):
    """n answers of children were given to a session, and it has worked on them."""
    wait_for("%d callbacks" % n, lambda: [s for s, _ in callbacks(aod, sid)] == [state] * n)
    return [text for _, text in callbacks(aod, sid)]


def gate(aod, name):
    """A file that a shell waits for, and the words for that."""
    path = os.path.join(aod.project, "gate-" + name)
    return path, "while [ ! -e %s ]; do sleep 0.01; done" % path


def open_gate(path):
    with open(path, "w"):
        pass


@pytest.mark.parametrize("sandbox", ["none", "strict"])
def test_the_result_of_a_child_wakes_its_parent(aod, sandbox):
    if sandbox == "strict" and [c for c in json.loads(aod.aoctl("doctor", "--json").stdout)["checks"]
                                if c["name"] in ("namespaces", "sandbox") and c["status"] != "ok"]:
        pytest.skip("no strict sandbox on this host")
    blueprint(aod, "lead-" + sandbox, sandbox=sandbox)
    kid = "kid-of-" + sandbox
    s = aod.create(agent_name="lead-" + sandbox, prompt="bash aoctl run %s --callback -a lead-%s -p 'say it is blue'\nsay I wait" % (kid, sandbox))
    sid = s["session_id"]
    [text] = wait_callbacks(aod, sid, 1)
    child = aod.session(kid)
    assert text == "Callback: session %s (%s), which you started, has ended.\nState: finished\nResult: success\nAnswer:\n\nit is blue" % (
        kid, child["session_id"])
    s = aod.wait_status(sid)
    assert (s["state"], child["parent_session_id"], child["callback"]) == ("finished", sid, True), s
    # The conversation went on, in a further run, or in the first where the child was the quicker of the two.
    assert s["runs"] in (1, 2)
    assert aod.result(sid).startswith("You said: Callback: session " + kid)
    ev = aod.events(sid)
    [note] = [e for e in ev if e["event_type"] == "callback"]
    assert (note["child_session_id"], note["child_session_name"], note["state"], note["result"]) == (child["session_id"], kid, "finished", "success")
    assert sum(1 for e in ev if e["event_type"] == "message" and e["role"] == "user" and "Callback: session" in json.dumps(e["content"])) == 1
    assert aod.sql("SELECT callback_due FROM session WHERE id = ?", child["session_id"]) == [(0,)]


def test_a_failure_is_told(aod):
    sid = aod.run_demo("say up")["session_id"]
    kid = aod.demo("say so far\nfail 529", parent_session_name=sid, callback=True)
    text = wait_callbacks(aod, sid, 1)[0]
    assert "State: failed\nResult: overloaded\nError: " in text and kid in text, text


def test_several_children_while_the_parent_is_busy(aod):
    """Each one prompt, in the order of their ends."""
    path, wait = gate(aod, "busy")
    blueprint(aod, "busy-lead")
    sid = aod.create(agent_name="busy-lead", prompt="bash " + wait)["session_id"]
    kids = []
    for i in range(4):
        kids.append(aod.demo("say answer %d" % i, parent_session_name=sid, callback=True))
        aod.wait_status(kids[-1])
    assert [state for state, _ in callbacks(aod, sid)] == ["queued"] * 4 and aod.session(sid)["prompts_queued"] == 4
    open_gate(path)
    got = wait_callbacks(aod, sid, 4)
    assert [re.search(r"\((\S+)\)", t)[1] for t in got] == kids and [t.split("\n")[-1] for t in got] == ["answer %d" % i for i in range(4)]
    s = aod.wait_status(sid)
    assert s["state"] == "finished" and s["prompts_queued"] == 0, s


def test_a_long_answer_is_cut(aod):
    sid = aod.run_demo("say up")["session_id"]
    aod.demo("big 200000", parent_session_name=sid, callback=True, session_name="wordy")
    text = wait_callbacks(aod, sid, 1)[0]
    assert "Answer (the first 65536 of 200000 bytes; `aoctl result wordy` prints all of it):\n\n" in text
    assert len(text.split("\n\n", 1)[1]) == 65536


def test_a_command_gets_it_on_its_standard_input(aod):
    """And a blueprint asks for it."""
    aod.blueprint("teller", "[Agent]\nAdapter=command\nExecStart=/bin/echo told\n[Session]\nCallback=yes\n")
    sid = aod.sh("cat")
    aod.wait_status(sid)
    aod.create(agent_name="teller", parent_session_name=sid)
    quiet = aod.create(agent_name="teller", parent_session_name=sid, callback=False)
    assert not quiet["callback"] and not aod.create(agent_name="teller")["callback"]
    aod.wait_status(quiet["session_id"])
    wait_callbacks(aod, sid, 1)
    aod.wait_status(sid)
    assert aod.result(sid).split("\n")[-1] == "told"
    r = aod.post("/sessions", {"prompt": "x", "agent_name": "demo", "callback": True})
    assert r.status == 422 and "parent_session_name" in r.detail


def test_a_parent_that_was_stopped_keeps_it(aod):
    path, wait = gate(aod, "stopped")
    blueprint(aod, "free-kid")
    sid = aod.demo("sleep 600000")
    early = aod.demo("say early", parent_session_name=sid, callback=True)
    aod.wait_status(early)
    kid = aod.create(agent_name="free-kid", prompt="bash %s\nsay late" % wait, parent_session_name=sid, callback=True)["session_id"]
    assert aod.post("/sessions/%s/stop" % sid).status == 200
    assert aod.wait_status(sid)["state"] == "stopped"
    open_gate(path)
    aod.wait_status(kid)
    assert [state for state, _ in callbacks(aod, sid)] == ["queued"] * 2 and aod.session(sid)["state"] == "stopped"
    aod.resume(sid, "say go on")
    assert [t.split("\n")[-1] for t in wait_callbacks(aod, sid, 2)] == ["early", "late"]
    assert aod.wait_status(sid)["state"] == "finished"


def test_a_passive_parent_sees_an_event(aod):
    aod.post("/sessions", {"session_id": "outside", "session_name": "outside"})
    kid = aod.demo("say hi", parent_session_name="outside", callback=True)
    e = aod.wait_event("outside", lambda e: e["event_type"] == "callback")
    assert e["child_session_id"] == kid and e["result"] == "success" and asked(aod, "outside") == []


def test_a_passive_child_answers_too(aod):
    sid = aod.run_demo("say up")["session_id"]
    aod.post("/sessions", {"session_id": "p-kid", "session_name": "p-kid", "parent_session_name": sid, "callback": True})
    now = "2026-01-01T00:00:00+00:00"
    for more in ({"event_type": "message", "role": "assistant", "content": [{"type": "text", "text": "done outside"}]}, {"event_type": "session_stop"}):
        assert aod.post("/sessions/p-kid/events", {"session_id": "p-kid", "session_name": "p-kid", "timestamp": now, **more}).status == 200
    assert wait_callbacks(aod, sid, 1)[0].endswith("done outside")


def test_a_deleted_parent_gets_nothing(aod):
    path, wait = gate(aod, "deleted")
    sid = aod.run_demo("say up")["session_id"]
    blueprint(aod, "free-kid-2")
    kid = aod.create(agent_name="free-kid-2", prompt="bash " + wait, parent_session_name=sid, callback=True)["session_id"]
    assert aod.delete("/sessions/" + sid).status == 200
    open_gate(path)
    assert aod.wait_status(kid)["state"] == "finished"
    assert aod.sql("SELECT count(*) FROM prompt WHERE source = 'callback' AND text LIKE ?", "%" + kid + "%") == [(0,)]


def test_a_child_that_waits_for_its_own(aod):
    """It has not come to its end while one that it started owes it an answer: the grandparent hears of it once, and of the second answer."""
    path, wait = gate(aod, "nested")
    blueprint(aod, "mid")
    top = aod.run_demo("say up")["session_id"]
    mid = aod.create(agent_name="mid", prompt="bash echo 'bash %s' | aoctl run low --callback -a mid -\nsay not yet" % wait, parent_session_name=top,
                     callback=True)["session_id"]
    assert aod.wait_status(mid)["state"] == "finished" and aod.result(mid).endswith("not yet")
    assert callbacks(aod, top) == []
    open_gate(path)
    [text] = wait_callbacks(aod, top, 1)
    assert "You said: Callback: session low" in text and mid in text.split("\n")[0] and aod.session(mid)["runs"] == 2


def test_who_asks_again_is_answered_again(aod):
    """Each prompt of the parent's own is answered once; those of others are not its business."""
    blueprint(aod, "again")
    sid = aod.create(agent_name="again", prompt="bash aoctl run echo-kid --callback -a again -p 'say one'")["session_id"]
    wait_callbacks(aod, sid, 1)
    aod.wait_status(sid)
    aod.resume("echo-kid", "say for me")
    aod.wait_status("echo-kid")
    assert aod.result("echo-kid") == "for me" and len(callbacks(aod, sid)) == 1
    aod.resume(sid, "bash aoctl resume -d echo-kid -p 'say two'")
    assert wait_callbacks(aod, sid, 2)[1].endswith("two")
    aod.wait_status(sid)
    # And who stops it needs not be told.
    aod.resume(sid, "bash aoctl resume -d echo-kid -p 'sleep 600000' && aoctl stop echo-kid\nsay stopped it")
    s = aod.wait_status(sid)
    assert aod.session("echo-kid")["state"] == "stopped" and s["result"] == "success" and len(callbacks(aod, sid)) == 2


# ---- one parent's end --------------------------------------------------------------------------------------------


def notices(aod, sid, subtype):
    return [e["text"] for e in aod.events(sid) if e["event_type"] == "notice" and e.get("subtype") == subtype]


def test_stop_with_parent(aod):
    """By the blueprint or the request, and down the tree; only who says so."""
    blueprint(aod, "with", "StopWithParent=yes")
    top = aod.demo("sleep 600000")
    a = aod.create(agent_name="with", prompt="sleep 600000", parent_session_name=top)["session_id"]
    b = aod.demo("sleep 600000", parent_session_name=a, stop_with_parent=True)
    c = aod.create(agent_name="with", prompt="sleep 600000", parent_session_name=top, stop_with_parent=False)["session_id"]
    assert [aod.session(x)["stop_with_parent"] for x in (a, b, c)] == [True, True, False]
    aod.wait_state(c, "running")
    aod.post("/sessions/%s/stop" % top)
    assert [aod.wait_status(x)["state"] for x in (top, a, b)] == ["stopped"] * 3
    assert "StopWithParent= is set" in notices(aod, a, "stop-with-parent")[0] and notices(aod, b, "stop-with-parent")
    assert aod.session(c)["state"] == "running" and not notices(aod, c, "stop-with-parent")
    aod.post("/sessions/%s/stop" % c)
    aod.wait_status(c)


def test_an_end_that_is_none_stops_nobody(aod):
    """Not a restart by aod, nor a parent that waits for the child's answer; in the end both."""
    path, wait = gate(aod, "restart")
    aod.blueprint("again-and-again", "[Agent]\nAdapter=command\n[Session]\nRestart=on-failure\nRestartSec=10ms\n")
    script = "if [ -e %s ]; then while [ ! -e %s ]; do sleep 0.01; done; else touch %s; exit 7; fi" % (path + ".1", path, path + ".1")
    top = aod.create(agent_name="again-and-again", command=["/bin/sh", "-c", script])["session_id"]
    kid = aod.demo("sleep 600000", parent_session_name=top, stop_with_parent=True)
    wait_for("the second run", lambda: aod.session(top)["runs"] == 2 and aod.session(top)["state"] == "running")
    aod.wait_state(kid, "running")
    open_gate(path)
    assert aod.wait_status(top)["state"] == "finished" and aod.wait_status(kid)["state"] == "stopped"
    path, wait = gate(aod, "owing")
    blueprint(aod, "owing")
    first, wait_first = gate(aod, "first")
    top = aod.demo("say first\nbash " + wait_first, project_dir=aod.project)
    both = {"parent_session_name": top, "stop_with_parent": True}
    kid = aod.create(agent_name="owing", prompt="bash " + wait, callback=True, **both)["session_id"]
    other = aod.demo("sleep 600000", **both)
    for x in (kid, other):
        aod.wait_state(x, "running")
    open_gate(first)
    assert aod.wait_status(top)["state"] == "finished"
    assert [aod.session(x)["state"] for x in (kid, other)] == ["running"] * 2
    open_gate(path)
    wait_callbacks(aod, top, 1)
    assert aod.wait_status(other)["state"] == "stopped" and aod.session(kid)["state"] == "finished" and aod.session(top)["runs"] == 2


# ---- sessions that stay ------------------------------------------------------------------------------------------


STAYS = "Lifecycle=persistent"


def is_idle(aod, sid, runs=1):
    """It waits for the next prompt, in its process of that number."""
    s = aod.wait_state(sid, "idle", "failed")
    assert (s["state"], s["runs"], s["prompts_queued"]) == ("idle", runs, 0), s
    return s


def last_line(text):
    return text.split("\n")[-1]


def by_hand(prompt, command):
    """A line of a prompt of the demo agent that gives this prompt, of several lines, to a command."""
    return "bash printf '%%s\\n' %s | aoctl %s -" % (" ".join(shlex.quote(line) for line in prompt.split("\n")), command)


def test_a_child_that_stays_answers_each_prompt_of_its_parent(aod):
    """Its answer is due when it is idle, not when it ends; what others ask it, and its end, is not the parent's business."""
    blueprint(aod, "stay-lead", STAYS)
    blueprint(aod, "stay-kid", STAYS)
    sid = aod.create(agent_name="stay-lead", prompt="bash aoctl run -d stay-kid --callback -a stay-kid -p 'say one'")["session_id"]
    [text] = wait_callbacks(aod, sid, 1)
    kid = aod.session("stay-kid")["session_id"]
    assert text == "Callback: session stay-kid (%s), which you started, has answered.\nState: idle\nResult: success\nAnswer:\n\none" % kid
    is_idle(aod, sid)
    is_idle(aod, kid)
    # A person asks it in between.
    aod.resume(kid, "say for a person")
    is_idle(aod, kid)
    aod.resume(sid, "bash aoctl resume -d stay-kid -p 'say two'\nsay I wait")
    assert [last_line(t) for t in wait_callbacks(aod, sid, 2)] == ["one", "two"]
    is_idle(aod, sid)
    is_idle(aod, kid)
    assert aod.post("/sessions/%s/stop" % kid).status == 200
    assert aod.wait_status(kid)["state"] == "stopped"
    assert len(callbacks(aod, sid)) == 2 and is_idle(aod, sid)
    assert [e["state"] for e in aod.events(sid) if e["event_type"] == "callback"] == ["idle"] * 2
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)


def test_prompts_that_wait_at_a_child_that_stays(aod):
    """Two of the parent's, with another one's between them: two answers, in order, each of its own turn."""
    path, wait = gate(aod, "stay-queue")
    blueprint(aod, "stay-queued", STAYS)
    sid = aod.create(agent_name="stay-queued", prompt=by_hand("bash " + wait, "run -d queued-kid --callback -a stay-queued"))["session_id"]
    is_idle(aod, sid)
    aod.wait_event("queued-kid", lambda e: e["event_type"] == "pre_tool")
    aod.resume(sid, "bash aoctl resume -d queued-kid -p 'say first'")
    is_idle(aod, sid)
    aod.resume("queued-kid", "say for a person")
    aod.resume(sid, "bash aoctl resume -d queued-kid -p 'say second'")
    is_idle(aod, sid)
    assert aod.session("queued-kid")["prompts_queued"] == 3 and callbacks(aod, sid) == []
    open_gate(path)
    got = [last_line(t) for t in wait_callbacks(aod, sid, 3)]
    assert got[1:] == ["first", "second"] and "for a person" not in got, got
    is_idle(aod, "queued-kid")
    is_idle(aod, sid)
    assert len(callbacks(aod, sid)) == 3
    assert aod.post("/sessions/%s/stop" % sid, {"tree": True}).status == 200
    aod.wait_status("queued-kid")


def test_a_turn_that_fails_is_an_answer(aod):
    """A child that stays is idle after it; one that ends while it owes an answer says that."""
    blueprint(aod, "stay-bad", STAYS)
    sid = aod.create(agent_name="stay-bad", prompt="say up")["session_id"]
    is_idle(aod, sid)
    kid = aod.create(agent_name="stay-bad", prompt="fail 529", parent_session_name=sid, callback=True)["session_id"]
    text = wait_callbacks(aod, sid, 1)[0]
    assert "has answered.\nState: idle\nResult: agent-error\nError: " in text or "State: idle\nResult: overloaded\nError: " in text, text
    is_idle(aod, sid)
    is_idle(aod, kid)
    aod.resume(sid, "bash aoctl resume -d %s -p wait" % kid)
    is_idle(aod, sid)
    aod.wait_state(kid, "running")
    os.kill(aod.agent_pid(kid, "aod-demo"), signal.SIGKILL)
    assert "has ended.\nState: failed\nResult: signal\n" in wait_callbacks(aod, sid, 2)[1]
    is_idle(aod, sid)
    # An interrupt by a person is an end of the turn, too.
    aod.resume(sid, by_hand("say up\nwait", "resume -d " + kid))
    is_idle(aod, sid)
    aod.wait_state(kid, "running")
    assert aod.post("/sessions/%s/interrupt" % kid).status == 200
    assert "has answered.\nState: idle\nResult: cancelled\n" in wait_callbacks(aod, sid, 3)[2]
    is_idle(aod, kid, runs=2)
    assert aod.delete("/sessions/%s?tree=1" % sid).status == 200


def test_a_parent_that_stays_has_each_answer_as_a_turn(aod):
    """In its process: at once where it is idle, in order after what it works on."""
    path, wait = gate(aod, "stay-parent")
    blueprint(aod, "stay-parent", STAYS)
    sid = aod.create(agent_name="stay-parent", prompt="say up")["session_id"]
    is_idle(aod, sid)
    pid = aod.agent_pid(sid, "aod-demo")
    early = aod.demo("say early", parent_session_name=sid, callback=True)
    assert wait_callbacks(aod, sid, 1)[0].endswith("early") and is_idle(aod, sid)
    aod.resume(sid, "bash " + wait)
    aod.wait_state(sid, "running")
    aod.resume(sid, "say mine")
    for i in range(2):
        aod.wait_status(aod.demo("say late %d" % i, parent_session_name=sid, callback=True))
    assert [s for s, _ in callbacks(aod, sid)] == ["done", "queued", "queued"] and aod.session(sid)["prompts_queued"] == 3
    open_gate(path)
    assert [last_line(t) for t in wait_callbacks(aod, sid, 3)] == ["early", "late 0", "late 1"]
    is_idle(aod, sid)
    assert aod.agent_pid(sid, "aod-demo") == pid
    said = [b["text"] for e in aod.events(sid) if e["event_type"] == "message" and e["role"] == "assistant" for b in e["content"] if b["type"] == "text"]
    assert [last_line(t) for t in said] == ["up", "early", "mine", "late 0", "late 1"], said
    assert [source for source, _, _ in asked(aod, sid)] == ["request", "callback", "request", "request", "callback", "callback"]
    assert aod.session(early)["callback"]
    aod.post("/sessions/%s/stop" % sid)
    aod.wait_status(sid)


def test_a_parent_that_stays_and_its_process_is_gone(aod):
    """By IdleTimeoutSec=, or killed: the answer starts it again, with the conversation."""
    path, wait = gate(aod, "stay-gone")
    blueprint(aod, "stay-short", STAYS + "\nIdleTimeoutSec=50ms")
    blueprint(aod, "stay-free")
    blueprint(aod, "stay-long", STAYS)
    for name, ends in (("stay-short", "finished"), ("stay-long", "failed")):
        sid = aod.create(agent_name=name, prompt="count")["session_id"]
        kid = aod.create(agent_name="stay-free", prompt="bash %s\nsay back" % wait.replace(path, path + name), parent_session_name=sid,
                         callback=True)["session_id"]
        if ends == "failed":
            is_idle(aod, sid)
            os.kill(aod.agent_pid(sid, "aod-demo"), signal.SIGKILL)
        assert aod.wait_state(sid, "finished", "failed")["state"] == ends
        assert aod.session(kid)["state"] == "running"
        open_gate(path + name)
        assert wait_callbacks(aod, sid, 1)[0].endswith("back")
        assert aod.session(sid)["runs"] == 2 and aod.wait_state(sid, "idle", "finished")["usage"]["turns"] == 2
        aod.post("/sessions/%s/stop" % sid)
        aod.wait_state(sid, "stopped", "finished")


def test_one_between_that_stays(aod):
    """It is idle while it waits for its own child: its parent hears what it says to that child's answer, and hears it once."""
    path, wait = gate(aod, "stay-mid")
    blueprint(aod, "stay-mid", STAYS)
    top = aod.create(agent_name="stay-mid", prompt="say up")["session_id"]
    is_idle(aod, top)
    mid = aod.create(agent_name="stay-mid", prompt=by_hand("bash %s\nsay deep" % wait, "run -d low-kid --callback -a stay-mid") + "\nsay not yet",
                     parent_session_name=top, callback=True)["session_id"]
    is_idle(aod, mid)
    assert aod.result(mid).endswith("not yet") and callbacks(aod, top) == []
    open_gate(path)
    [text] = wait_callbacks(aod, top, 1)
    assert "You said: Callback: session low-kid" in text and text.endswith("deep") and "State: idle" in text
    for sid in (top, mid, "low-kid"):
        is_idle(aod, sid)
    assert len(callbacks(aod, top)) == len(callbacks(aod, mid)) == 1
    assert aod.post("/sessions/%s/stop" % top, {"tree": True}).status == 200
    aod.wait_status(top)


def test_kill_while_sessions_stay(make_aod):
    """At random moments around an answer from and to processes that stay: each is given once, and both processes live on."""
    a = make_aod()
    blueprint(a, "stay", STAYS)
    top = a.create(agent_name="stay", prompt="count", session_name="stay-top")["session_id"]
    is_idle(a, top)
    kid = a.create(agent_name="stay", prompt="say 0", parent_session_name=top, callback=True)["session_id"]
    wait_callbacks(a, top, 1)
    is_idle(a, top)
    pids = [a.agent_pid(x, "aod-demo") for x in (top, kid)]
    for i in range(1, 7):
        path, wait = gate(a, "stay-%d" % i)
        r = a.post("/sessions/%s/resume" % kid, {"prompt": "bash %s\nsay %d" % (wait, i), "callback": True})
        assert r.status == 200, r
        a.wait_event(kid, lambda e: e["event_type"] == "pre_tool" and path in json.dumps(e["tool_input"]))
        open_gate(path)
        time.sleep(i * 0.005)
        a.kill9()
        a.start()
        assert last_line(wait_callbacks(a, top, i + 1)[i]) == str(i)
        is_idle(a, top)
        is_idle(a, kid)
    assert [a.agent_pid(x, "aod-demo") for x in (top, kid)] == pids
    assert len([e for e in a.events(top) if e["event_type"] in ("callback", "result")]) == 15


def test_a_restart_of_a_child_is_no_answer(aod):
    """What it goes on with is: one answer, of the run in which it came to its end."""
    sid = aod.run_demo("say up")["session_id"]
    for name, session in (("again-once", ""), ("again-stays", STAYS + "\n")):
        blueprint(aod, name, session + "Restart=on-transient\nRestartSec=10ms\nRestartPrompt=say in the end")
        kid = aod.create(agent_name=name, prompt="fail success 529", parent_session_name=sid, callback=True)["session_id"]
        aod.wait_state(kid, "idle" if session else "finished")
        text = wait_callbacks(aod, sid, 2 if session else 1)[-1]
        assert text.endswith("in the end") and "Result: success" in text and aod.session(kid)["runs"] == 2, text
        aod.wait_status(sid)
        # And what a person asked it is not the parent's, however often it is begun.
        aod.resume(kid, "fail success 529")
        wait_for("the next run", lambda: (lambda s: s["runs"] == 4 or (s["runs"] == 3 and session))(aod.session(kid)))
        aod.wait_state(kid, "idle", "finished")
        assert len(callbacks(aod, sid)) == (2 if session else 1)
        aod.post("/sessions/%s/stop" % kid)


# ---- a resume that asks for the answer ---------------------------------------------------------------------------


def test_a_resume_with_a_callback(aod):
    """By the command line: of a child that was not to call back, and once; without the option as before."""
    sid = aod.run_demo("say up")["session_id"]
    kid = aod.demo("say one", parent_session_name=sid, session_name="later-kid")
    assert aod.wait_status(kid)["callback"] is False and callbacks(aod, sid) == []
    out = aod.aoctl("resume", "-d", "later-kid", "--callback", "-p", "say two")
    assert out.returncode == 0, out
    assert last_line(wait_callbacks(aod, sid, 1)[0]) == "two" and aod.session(kid)["callback"] is True
    aod.wait_status(sid)
    aod.resume(kid, "say three")
    aod.wait_status(kid)
    assert len(callbacks(aod, sid)) == 1
    # One that works for nobody has nobody to call.
    out = aod.aoctl("resume", "-d", sid, "--callback", "-p", "say x")
    assert out.returncode == 1 and "works for no other" in out.stderr, out
    assert len(callbacks(aod, sid)) == 1 and aod.session(sid)["callback"] is False


# ---- all of a tree -----------------------------------------------------------------------------------------------


def plant(aod, prefix, n=30, **more):
    """A tree of n sessions, three below each; ids."""
    ids = []
    for i in range(n):
        parent = {"parent_session_name": ids[(i - 1) // 3]} if i else {}
        ids.append(aod.demo("sleep 600000", session_name="%s-%d" % (prefix, i), **parent, **(more if i else {})))
    return ids


def states(aod, ids):
    have = dict(aod.sql("SELECT id, state FROM session"))
    return {have.get(i) for i in ids}


def test_a_tree_of_thirty_is_stopped(aod):
    ids = plant(aod, "oak", callback=True, stop_with_parent=True)
    other = aod.demo("sleep 600000")
    ended = aod.run_demo("say hi", parent_session_name=ids[7])["session_id"]
    aod.post("/sessions", {"session_id": "oak-p", "session_name": "oak-p", "parent_session_name": ids[2]})
    r = aod.post("/sessions/oak-0/stop", {"tree": True, "timeout_ms": 5000})
    assert r.status == 200 and r.json["message"].startswith("30 session(s)") and r.json["session"]["session_id"] == ids[0], r
    assert {s["session_id"]: s["state"] for s in r.json["sessions"]} == {**{i: "stopping" for i in ids}, ended: "finished", "oak-p": "running"}
    for i in ids:
        assert aod.wait_status(i)["state"] == "stopped"
    assert aod.session(other)["state"] == "running"
    # Nobody was told what he was stopped with, nor stopped for another one's end.
    assert aod.sql("SELECT count(*) FROM prompt p JOIN session s ON s.n = p.session WHERE source = 'callback' AND s.name LIKE 'oak-%'") == [(0,)]
    assert not [i for i in ids if notices(aod, i, "stop-with-parent")]
    for i in ids:
        aod.assert_no_process_left(i)


def test_what_is_being_stopped_starts_nothing(aod):
    """Its agent is deaf for a while, and tries."""
    blueprint(aod, "stubborn", "TimeoutStopSec=30s")
    path, wait = gate(aod, "stubborn")
    script = "trap '' TERM INT; echo up; %s; aoctl run late -a demo -p 'say x' 2>&1; echo tried" % wait
    aod.blueprint("stubborn-sh", "[Agent]\nAdapter=command\n[Session]\nTimeoutStopSec=30s\n")
    sid = aod.create(agent_name="stubborn-sh", command=["/bin/sh", "-c", script], project_dir=aod.project)["session_id"]
    aod.wait_event(sid, lambda e: e.get("text") == "up")
    kid = aod.demo("sleep 600000", parent_session_name=sid)
    assert aod.post("/sessions/%s/stop" % sid, {"tree": True}).status == 200
    open_gate(path)
    aod.wait_status(sid)
    out = [e["text"] for e in aod.events(sid) if e["event_type"] == "output"]
    assert any("is being stopped: no more can be started for it" in line for line in out), out
    assert listed(aod, "parent=" + sid) == [aod.session(kid)["session_name"]] and aod.wait_status(kid)["state"] == "stopped"


def test_a_tree_is_frozen_and_thawed(aod):
    ids = plant(aod, "elm", 6)
    done = aod.run_demo("say hi", parent_session_name=ids[1])["session_id"]
    for i in ids:
        aod.wait_state(i, "running")
    r = aod.post("/sessions/elm-0/freeze", {"tree": True})
    if r.status == 409 and "start" not in r.detail:
        pytest.skip("nothing can be frozen here: " + r.detail)
    assert r.status == 200 and {s["session_id"]: s["state"] for s in r.json["sessions"]} == {**{i: "frozen" for i in ids}, done: "finished"}
    out = aod.aoctl("thaw", "--tree", "elm-1")
    below = [ids[1], ids[4], ids[5]]
    assert out.returncode == 0 and "elm-5 running" in out.stderr, out
    assert states(aod, below) == {"running"} and states(aod, set(ids) - set(below)) == {"frozen"}
    # What is frozen is stopped all the same.
    out = aod.aoctl("stop", "--tree", "elm-0")
    assert out.returncode == 0 and len(re.findall(r"^elm-\d stopped", out.stdout, re.M)) == 6, out
    assert states(aod, ids) == {"stopped"}


def test_a_tree_is_interrupted(aod):
    """The turns end, not the sessions that stay; nobody is told of what was cut off together with his own turn, nor by it."""
    blueprint(aod, "fir", STAYS)
    top = aod.create(agent_name="fir", prompt="say up\nwait", session_name="fir-0")["session_id"]
    below = {"parent_session_name": top, "callback": True}
    stays = aod.create(agent_name="fir", prompt="say up\nwait", **below)["session_id"]
    once = aod.demo("say up\nwait", **below)
    low = aod.create(agent_name="fir", prompt="say up\nwait", parent_session_name=stays, callback=True)["session_id"]
    rests = aod.create(agent_name="fir", prompt="say rest", parent_session_name=stays)["session_id"]
    other = aod.create(agent_name="fir", prompt="say up\nwait")["session_id"]
    for sid in (top, stays, once, low, other):
        aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    is_idle(aod, rests)
    aod.resume(low, "say next")
    out = aod.aoctl("interrupt", "--tree", "fir-0")
    assert out.returncode == 0, out
    assert aod.wait_status(once)["state"] == "stopped"
    wait_for("the turns to end", lambda: states(aod, (top, stays, low, rests)) == {"idle"})
    assert [aod.session(x)["result"] for x in (top, stays, low, rests)] == ["cancelled", "cancelled", "success", "success"]
    assert aod.result(low) == "next" and [s for _, s, _ in asked(aod, low)] == ["cancelled", "done"]
    assert aod.session(other)["state"] == "running"
    assert callbacks(aod, top) == callbacks(aod, stays) == [] and aod.sql("SELECT count(*) FROM session WHERE callback_due = 1 AND root = "
                                                                         "(SELECT n FROM session WHERE id = ?)", top) == [(0,)]
    # Of a part of it, and with what is queued.
    aod.resume(stays, "say up\nwait")
    aod.resume(low, "say up\nwait")
    aod.resume(low, "say not this")
    for sid in (stays, low):
        aod.wait_state(sid, "running")
    r = aod.post("/sessions/%s/interrupt" % stays, {"tree": True, "clear": True})
    assert r.status == 200 and {s["session_id"] for s in r.json["sessions"]} == {stays, low, rests}, r
    wait_for("the turns to end", lambda: states(aod, (stays, low)) == {"idle"})
    assert [s for _, s, _ in asked(aod, low)][2:] == ["cancelled", "cancelled"]
    # Where no turn is open there is nothing to do, and it says so as ever.
    assert aod.post("/sessions/%s/interrupt" % stays, {"tree": True}).status == 200
    assert aod.delete("/sessions/%s?tree=1" % top).status == 200
    aod.post("/sessions/%s/stop" % other)
    aod.wait_status(other)


def test_a_tree_is_deleted(aod):
    ids = plant(aod, "ash", 10)
    for i in ids:
        aod.wait_state(i, "running")
    ended = aod.run_demo("say hi", parent_session_name=ids[4])["session_id"]
    out = aod.aoctl("delete", "--tree", "ash-1", "--json")
    o = json.loads(out.stdout)
    below = {ids[1], ids[4], ids[5], ids[6], ended}
    assert out.returncode == 0 and set(o["sessions"]) == below and o["session_id"] == ids[1] and o["deleted"]["events_count"] >= 10, out
    assert states(aod, below) == {None} and states(aod, set(ids) - below) == {"running"}
    for i in below:
        aod.assert_no_process_left(i)
        assert not os.path.exists(aod.session_dir(i))
    # One by one: a child that is deleted has ended for who waits for it.
    assert aod.delete("/sessions/ash-0?tree=true").status == 200 and states(aod, ids) == {None}
    top = aod.run_demo("say up")["session_id"]
    kid = aod.demo("sleep 600000", parent_session_name=top, callback=True)
    assert aod.delete("/sessions/" + kid).status == 200
    assert "State: stopped\nResult: cancelled" in wait_callbacks(aod, top, 1)[0]


def test_a_session_does_not_act_upward(aod):
    """Stop and delete of a tree by its own token: itself and what is below, not its parent."""
    blueprint(aod, "below")
    top = aod.demo("sleep 600000", session_name="above")
    s = aod.create(agent_name="below", parent_session_name=top, prompt="bash aoctl stop --tree above; aoctl delete --tree above; aoctl freeze --tree above; "
                   "aoctl list --tree above; aoctl list --parent above\nsay nothing of it")
    s = aod.wait_status(s["session_id"])
    assert s["result"] == "success" and aod.session(top)["state"] == "running"
    [said] = [e["tool_output"] for e in aod.events(s["session_id"]) if e["event_type"] == "post_tool"]
    assert json.dumps(said).count("Session not found") == 5, said


# ---- and aod is killed -------------------------------------------------------------------------------------------


def test_kill_at_the_end_of_a_child(make_aod):
    """At random moments around it: the parent gets the answer once."""
    a = make_aod()
    blueprint(a, "kid")
    for i in range(8):
        path, wait = gate(a, "kill-%d" % i)
        sid = a.run_demo("say up")["session_id"]
        kid = a.create(agent_name="kid", prompt="bash %s\nsay answer %d" % (wait, i), parent_session_name=sid, callback=True)["session_id"]
        a.wait_event(kid, lambda e: e["event_type"] == "pre_tool")
        open_gate(path)
        time.sleep(i * 0.006)
        a.kill9()
        a.start()
        [text] = wait_callbacks(a, sid, 1)
        s = a.wait_status(sid)
        assert text.endswith("answer %d" % i) and s["state"] == "finished" and s["runs"] == 2, (i, s)
        assert len([e for e in a.events(sid) if e["event_type"] == "callback"]) == 1
        # The agent's own record of the conversation: it worked on it once.
        assert s["usage"]["turns"] == 2, s
    a.assert_no_process_left()


def test_kill_while_the_parent_is_busy_and_at_its_end(make_aod):
    a = make_aod()
    blueprint(a, "lead")
    path, wait = gate(a, "lead")
    sid = a.create(agent_name="lead", prompt="bash " + wait)["session_id"]
    kids = [a.demo("say %d" % i, parent_session_name=sid, callback=True) for i in range(3)]
    for k in kids:
        a.wait_status(k)
    a.kill9()
    a.start()
    assert [s for s, _ in callbacks(a, sid)] == ["queued"] * 3
    open_gate(path)
    for pause in (0.0, 0.01, 0.03):
        time.sleep(pause)
        a.kill9()
        a.start()
    assert sorted(t[-1] for t in wait_callbacks(a, sid, 3)) == ["0", "1", "2"]
    s = a.wait_status(sid)
    assert s["state"] == "finished" and s["usage"]["turns"] == 4, s


def test_kill_at_the_end_of_a_parent(make_aod):
    """Its children are stopped, whenever aod was killed."""
    a = make_aod()
    for i in range(5):
        path, wait = gate(a, "end-%d" % i)
        top = a.sh(wait)
        kids = [a.demo("sleep 600000", parent_session_name=top, stop_with_parent=True) for _ in range(3)]
        low = a.demo("sleep 600000", parent_session_name=kids[0], stop_with_parent=True)
        open_gate(path)
        time.sleep(i * 0.008)
        a.kill9()
        a.start()
        assert a.wait_status(top)["state"] == "finished"
        assert [a.wait_status(k)["state"] for k in (*kids, low)] == ["stopped"] * 4
        assert all(len(notices(a, k, "stop-with-parent")) == 1 for k in (*kids, low))
    a.assert_no_process_left()


# ---- the real one ------------------------------------------------------------------------------------------------


def test_claude_is_called_back(make_aod, claude):
    """It starts a child by its Bash tool, ends its turn, and is woken by the child's answer: the model is asked once about that."""
    a = make_aod()
    with ModelApi([]) as api:
        a.blueprint("real", "[Agent]\nAdapter=claude\nExecStart=%s\nAllowedTools=Bash\nEnvironment=ANTHROPIC_BASE_URL=%s ANTHROPIC_API_KEY=fake-key\n"
                    % (claude, api.url))

        def rule(user, reply, **match):
            return {"match": {"user": user, "main": True, **match}, "reply": reply}

        api.script([rule("^Callback: ", {"text": "Now I know: {{user}}"}),
                    rule("find out", {"text": "I wait for it."}, tool_result=True),
                    rule("find out", {"text": "I ask.", "tool_use": [{"name": "Bash", "input": {
                        "command": "aoctl run finder --callback -a real -p 'which word?'", "description": "ask"}}]}),
                    rule("which word", {"text": "plum", "latency_ms": 300})])
        sid = a.create(agent_name="real", prompt="find out the word")["session_id"]
        first = a.wait_status(sid, timeout=60)
        assert first["runs"] == 1 or a.result(sid).startswith("Now I know"), first
        a.kill9()
        a.start()
        [text] = wait_callbacks(a, sid, 1)
        s = a.wait_status(sid, timeout=60)
        assert text.endswith("Answer:\n\nplum") and a.result(sid) == "Now I know: " + text and s["runs"] == 2
        assert api.stats()["prompts"][text] == {"sent": 1, "answered": 1}, api.stats()
        assert len({e["session"] for e in api.log()}) == 2, "the conversation did not go on"
