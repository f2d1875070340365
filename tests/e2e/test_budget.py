# SPDX-License-Identifier: MIT
"""Budgets: what agents say they use is counted once, shown, and held against limits."""
import json
import os
import sys

import pytest

from aod import DEMO, read_proc, wait_for

# An agent whose prompt says what it claims to use: one word a message, IN:OUT tokens; "wait" waits for a line in a FIFO; the turn costs a quarter of a
# dollar. An interrupt ends the turn.
AGENT = r'''
import json, os, sys
def say(o):
    # What is known by then is told at once: whether a turn that ends is stopped before is not left to chance.
    sys.stdout.write(json.dumps(o) + "\n")
    if o["type"] != "assistant":
        sys.stdout.flush()
say({"type": "system", "subtype": "init", "session_id": "x"})
turns = 0
for line in sys.stdin:
    o = json.loads(line)
    if o.get("type") != "user":
        continue
    total = [0, 0]; before = turns
    for word in o["message"]["content"].split():
        if word == "wait":
            sys.stdout.flush()
            open(os.environ["GATE"]).read()
            continue
        if word == "die":
            sys.exit(3)
        i, n = map(int, word.split(":"))
        total[0] += i; total[1] += n; turns += 1
        say({"type": "assistant", "message": {"id": "m%d" % turns, "role": "assistant", "usage": {"input_tokens": i, "output_tokens": n},
             "content": [{"type": "text", "text": word}]}})
    say({"type": "result", "subtype": "success", "is_error": False, "result": "done", "num_turns": turns - before, "total_cost_usd": 0.25 * turns,
         "usage": {"input_tokens": total[0], "output_tokens": total[1]}, "model_usage_since_last_result": {"m": {"costUSD": 0.25}}})
'''


@pytest.fixture
def agent(aod):
    path, gate = os.path.join(aod.root, "agent.py"), os.path.join(aod.root, "gate")
    with open(path, "w") as f:
        f.write(AGENT)
    if not os.path.exists(gate):
        os.mkfifo(gate)

    def blueprint(name, session):
        aod.blueprint(name, "[Agent]\nAdapter=claude\nExecStart=%s %s\nEnvironment=GATE=%s\n[Session]\n%s\n[Sandbox]\nSandbox=none\nPrivateTmp=no\n" % (
            sys.executable, path, gate, session))

    blueprint.gate = gate
    return blueprint


def start(aod, name, prompt):
    return aod.create(prompt=prompt, agent_name=name)["session_id"]


def budgets(aod, sid):
    return [(e["key"], e["percent"], e["used"], e["max"]) for e in aod.events(sid) if e["event_type"] == "budget"]


def open_gate(agent):
    def look():
        try:
            return os.open(agent.gate, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None  # nobody reads it yet
    os.close(wait_for("the agent at its gate", look))


def test_a_run_is_stopped_in_its_turn(aod, agent):
    agent("b-stop", "MaxTokens=1000\nTimeoutStopSec=2s")
    sid = start(aod, "b-stop", "500:100 200:50 200:50 wait 1:1")
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "budget"), aod.events(sid)
    assert "MaxTokens=1000 is used up (1100)" in s["error"]
    assert budgets(aod, sid) == [("MaxTokens", 85, 850, 1000), ("MaxTokens", 110, 1100, 1000)]
    assert (s["usage"]["input_tokens"], s["usage"]["output_tokens"]) == (900, 200)
    aod.assert_no_process_left(sid)


def test_an_answer_stays_an_answer(aod, agent):
    agent("b-done", "MaxTokens=100\nMaxCostUSD=0.2")
    s = aod.wait_status(start(aod, "b-done", "90:20"))
    assert s["result"] == "success", s
    assert sorted(b[:2] for b in budgets(aod, s["session_id"])) == [("MaxCostUSD", 125), ("MaxTokens", 110)]


def test_a_session_with_nothing_left_is_not_resumed(aod, agent):
    agent("b-session", "SessionMaxCostUSD=0.5")
    sid = start(aod, "b-session", "1:1")
    assert aod.wait_status(sid)["usage"]["cost_usd"] == 0.25
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "1:1"}).status == 200
    assert aod.wait_status(sid)["usage"]["cost_usd"] == 0.5
    r = aod.post("/sessions/%s/resume" % sid, {"prompt": "1:1"})
    assert r.status == 409 and "SessionMaxCostUSD=0.5 is used up (0.5)" in r.detail and "b-session" in r.detail
    assert aod.session(sid)["runs"] == 2
    assert budgets(aod, sid) == [("SessionMaxCostUSD", 100, 0.5, 0.5)]
    # More money, and it goes on.
    agent("b-session", "SessionMaxCostUSD=5")
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "1:1"}).status == 200
    aod.wait_status(sid)


def test_a_day_of_a_blueprint(aod, agent):
    agent("b-day", "DailyMaxTokens=100")
    agent("b-other", "")
    first = start(aod, "b-day", "30:10")
    aod.wait_status(first)
    second = start(aod, "b-day", "40:5")
    aod.wait_status(second)
    assert budgets(aod, second) == [("DailyMaxTokens", 85, 85, 100)]
    third = start(aod, "b-day", "10:5")
    assert aod.wait_status(third)["result"] == "success"
    r = aod.post("/sessions", {"prompt": "1:1", "agent_name": "b-day"})
    assert r.status == 409 and "DailyMaxTokens=100 is used up (100)" in r.detail and "tomorrow" in r.detail
    # Another blueprint has a day of its own, and a session that goes does not give anything back.
    aod.wait_status(start(aod, "b-other", "7:1"))
    assert aod.delete("/sessions/" + first).status == 200
    days = aod.get("/cost").json
    rows = {d["blueprint"]: d for d in days["days"]}
    assert (rows["b-day"]["input_tokens"], rows["b-day"]["output_tokens"], rows["b-day"]["turns"]) == (80, 20, 3)
    assert rows["b-day"]["cost_usd"] == 0.75 and rows["b-other"]["input_tokens"] == 7
    assert days["sum"]["input_tokens"] == sum(d["input_tokens"] for d in days["days"])
    assert aod.get("/cost?blueprint=b-other").json["sum"]["cost_usd"] == 0.25
    assert aod.post("/sessions", {"prompt": "1:1", "agent_name": "b-day"}).status == 409
    out = aod.aoctl("cost", "b-day").stdout
    assert "b-day" in out and "80" in out and "b-other" not in out


def test_a_budget_can_freeze(aod, agent):
    agent("b-freeze", "MaxTokens=100\nBudgetAction=freeze")
    sid = start(aod, "b-freeze", "100:1 wait 1:1")
    s = aod.wait_state(sid, "frozen", "failed")
    if s["state"] == "failed":
        pytest.skip("nothing can be frozen here")
    # A person decides that it may go on: it is not frozen again for the same limit.
    assert aod.post("/sessions/%s/thaw" % sid).status == 200
    open_gate(agent)
    assert aod.wait_status(sid)["result"] == "success"
    assert len(budgets(aod, sid)) == 1


def test_nothing_is_counted_twice(aod, agent):
    agent("b-crash", "SessionMaxTokens=100000")
    sid = start(aod, "b-crash", "10:1 20:2 wait 30:3")
    aod.wait_event(sid, lambda e: e["role"] == "assistant" and "20:2" in json.dumps(e))
    aod.kill9()
    aod.start()
    open_gate(agent)
    s = aod.wait_status(sid)
    assert s["result"] == "success"
    assert (s["usage"]["input_tokens"], s["usage"]["output_tokens"], s["usage"]["turns"], s["usage"]["cost_usd"]) == (60, 6, 3, 0.25)
    assert aod.get("/cost?blueprint=b-crash").json["sum"] == {"turns": 3, "input_tokens": 60, "output_tokens": 6, "cost_usd": 0.25}


def test_restarts_end_with_the_budget(aod, agent):
    agent("b-again", "Restart=on-failure\nRestartSec=1ms\nStartLimitIntervalSec=0\nSessionMaxTurns=3")
    sid = start(aod, "b-again", "1:1 die")
    s = aod.wait_status(sid)
    assert (s["state"], s["result"]) == ("failed", "budget"), s
    assert s["runs"] == 3 and "SessionMaxTurns=3 is used up (3)" in s["error"]


def demo(aod, name, session):
    aod.blueprint(name, "[Agent]\nAdapter=claude\nExecStart=%s\n[Session]\n%s\n[Sandbox]\nSandbox=none\n" % (DEMO, session))


def test_a_budget_can_interrupt(aod):
    demo(aod, "b-interrupt", "MaxTokens=1000\nBudgetAction=interrupt\nResultGraceSec=20s")
    s = aod.wait_status(start(aod, "b-interrupt", "usage 2000 10\nwait"))
    assert (s["state"], s["result"]) == ("failed", "budget"), s
    events = aod.events(s["session_id"])
    # It ended its turn, and then by itself.
    assert [e for e in events if e["event_type"] == "result"], events
    assert (s["exit_code"], s["signal"]) == (0, None) or s["exit_code"] == 1, s


def test_one_that_cannot_be_interrupted_is_stopped(aod):
    demo(aod, "b-deaf", "MaxTokens=1000\nBudgetAction=interrupt\nResultGraceSec=200ms\nTimeoutStopSec=1s")
    s = aod.wait_status(start(aod, "b-deaf", "usage 2000 10\nhang"))
    assert (s["state"], s["result"]) == ("failed", "budget"), s
    aod.assert_no_process_left(s["session_id"])


def test_a_persistent_session_ends_with_its_budget(aod):
    demo(aod, "b-stays", "Lifecycle=persistent\nMaxTokens=1000\nSessionMaxTokens=3000")
    sid = start(aod, "b-stays", "usage 100 1\nsay one")
    assert aod.wait_status(sid)["state"] == "idle"
    # What is answered is answered, but the process gets no more: the next prompt has a run of its own, with a budget of its own.
    aod.resume(sid, "usage 1500 1\nsay two")
    s = aod.wait_state(sid, "finished", "failed")
    assert (s["result"], s["runs"]) == ("success", 1), s
    assert aod.result(sid) == "two"
    aod.resume(sid, "usage 2000 1\nsay three")
    s = aod.wait_state(sid, "finished", "failed")
    assert (s["result"], s["runs"]) == ("success", 2), s
    assert aod.post("/sessions/%s/resume" % sid, {"prompt": "say four"}).status == 409


def test_a_tree_shares_a_budget(aod):
    demo(aod, "b-tree", "TreeMaxTokens=3000")
    demo(aod, "b-leaf", "TreeMaxTokens=1")
    first = start(aod, "b-tree", "usage 1000 10")
    name = aod.wait_status(first)["session_name"]
    # What the leaf's own blueprint says of trees is not about this one.
    leaf = aod.create(prompt="usage 500 10", agent_name="b-leaf", parent_session_name=name)["session_id"]
    assert aod.wait_status(leaf)["result"] == "success"
    second = aod.create(prompt="usage 2000 10\nwait", agent_name="b-leaf", parent_session_name=aod.session(leaf)["session_name"])["session_id"]
    s = aod.wait_status(second)
    assert s["result"] == "budget" and "TreeMaxTokens=3000" in s["error"], s
    r = aod.post("/sessions", {"prompt": "say x", "agent_name": "b-leaf", "parent_session_name": name})
    assert r.status == 409 and "TreeMaxTokens" in r.detail


def test_a_tree_whose_budget_is_used_up_stands_still(aod):
    """At once and all of it, each as its own blueprint says, though only one of them counts; no other tree."""
    demo(aod, "b-oak", "TreeMaxTokens=20000")
    demo(aod, "b-stop", "")
    demo(aod, "b-cut", "BudgetAction=interrupt")
    demo(aod, "b-still", "BudgetAction=freeze")
    demo(aod, "b-stays", "Lifecycle=persistent")
    top = start(aod, "b-oak", "say up\nwait")

    def below(name, prompt, parent=top):
        return aod.create(prompt=prompt, agent_name=name, parent_session_name=parent)["session_id"]

    quiet = below("b-stop", "say up\nsleep 600000")
    deep = below("b-stop", "say up\nsleep 600000", quiet)
    cut = below("b-cut", "say up\nwait")
    still = below("b-still", "say up\nsleep 600000")
    idle = below("b-stays", "say up")
    other = start(aod, "b-oak", "say up\nsleep 600000")
    for sid in (top, quiet, deep, cut, still, idle, other):
        aod.wait_event(sid, lambda e: e["event_type"] == "message" and e["role"] == "assistant")
    aod.wait_state(idle, "idle")
    frozen = aod.post("/sessions/%s/freeze" % other).status == 200 and aod.post("/sessions/%s/thaw" % other).status == 200
    spender = below("b-stop", "usage 30000 1\nsleep 600000")
    for sid in (spender, top, quiet, deep, cut):
        s = aod.wait_status(sid)
        assert s["result"] == "budget" and "TreeMaxTokens=20000" in s["error"], s
    assert aod.wait_state(still, "frozen" if frozen else "failed")
    # It has nothing to be cut off in: its process ends in good order, and there is no further one.
    s = aod.wait_state(idle, "finished", "failed")
    assert (s["state"], s["result"]) == ("finished", "success"), s
    r = aod.post("/sessions/%s/resume" % idle, {"prompt": "say x"})
    assert r.status == 409 and "TreeMaxTokens" in r.detail, r
    assert aod.session(other)["state"] == "running" and budgets(aod, other) == []
    assert all([(k, m) for k, p, _, m in budgets(aod, sid) if p >= 100] == [("TreeMaxTokens", 20000)] for sid in (top, quiet, deep, cut, idle, spender))
    # A person lets it go on after all.
    if frozen:
        assert aod.post("/sessions/%s/thaw" % still).json["session"]["state"] == "running"
    aod.post("/sessions/%s/stop" % still)
    aod.post("/sessions/%s/stop" % other)


def test_turns_of_a_tree(aod):
    """The one that is begun is one that was allowed; who is idle when the last one is used has none."""
    demo(aod, "b-elm", "TreeMaxTurns=2")
    demo(aod, "b-elm-stays", "Lifecycle=persistent")
    top = start(aod, "b-elm", "sleep 600000")
    aod.wait_event(top, lambda e: e["event_type"] == "init")
    idle = aod.create(prompt="say up", agent_name="b-elm-stays", parent_session_name=top)["session_id"]
    aod.wait_state(idle, "idle")
    aod.create(prompt="say two", agent_name="b-elm-stays", parent_session_name=top, session_name="elm-two")
    s = aod.wait_state(idle, "finished", "failed")
    assert (s["state"], s["result"]) == ("finished", "success"), s
    assert aod.wait_state("elm-two", "finished", "failed")["result"] == "success"
    assert aod.session(top)["state"] == "running"
    aod.post("/sessions/%s/stop" % top)


def test_an_agent_does_not_thaw_what_a_budget_froze(aod):
    demo(aod, "b-lead", "")
    demo(aod, "b-cold", "MaxTokens=1000\nBudgetAction=freeze")
    lead = start(aod, "b-lead", "say up\nsleep 600000")
    # Its answer, not the prompt, which has the same word in it before the agent is there.
    aod.wait_event(lead, lambda e: e["role"] == "assistant" and "up" in json.dumps(e["content"]))
    env = read_proc(aod.agent_pid(lead, "aod-demo"), "environ").decode().split("\0")
    me = {"Authorization": "Bearer " + next(v.split("=", 1)[1] for v in env if v.startswith("AOD_TOKEN="))}
    child = aod.create(agent_name="b-cold", prompt="usage 2000 1\nsay on", parent_session_name=lead)["session_id"]
    if aod.wait_state(child, "frozen", "failed")["state"] == "failed":
        pytest.skip("nothing can be frozen here")
    assert aod.get("/sessions/" + child, headers=me).status == 200
    for body in ({}, {"tree": True}):
        r = aod.post("/sessions/%s/thaw" % child, body, headers=me)
        assert r.status == 403 and "a person decides" in r.detail, r
    assert aod.session(child)["state"] == "frozen"
    for path in ("restart", "reset-failed"):
        assert aod.post("/sessions/%s/%s" % (lead, path), headers=me).status == 403
    assert aod.post("/sessions/%s/thaw" % child).status == 200
    assert aod.wait_status(child)["result"] == "success"
    aod.aoctl("stop", lead)
