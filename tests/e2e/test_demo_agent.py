# SPDX-License-Identifier: MIT
"""The demo agent by itself, over its pipes: that it behaves as claude was seen to, for those who test with it."""
import json
import subprocess
import threading
import uuid

import pytest

from aod import DEMO, WAIT, clean_env


class Agent:
    def __init__(self, path, sid=None, resume=False):
        self.sid = sid or str(uuid.uuid4())
        self.p = subprocess.Popen(
            [DEMO, "--input-format", "stream-json", "--output-format", "stream-json", "--verbose", "--resume" if resume else "--session-id",
             self.sid], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=path, env=clean_env(CLAUDE_CONFIG_DIR=str(path / "claude")))

    def send(self, **msg):
        self.p.stdin.write(json.dumps(msg) + "\n")
        self.p.stdin.flush()

    def prompt(self, text, uid=None):
        uid = uid or str(uuid.uuid4())
        self.send(type="user", message={"role": "user", "content": text}, uuid=uid)
        return uid

    def interrupt(self):
        self.send(type="control_request", request_id="i", request={"subtype": "interrupt"})

    def answer(self, ask, **response):
        self.send(type="control_response", response={"subtype": "success", "request_id": ask["request_id"], "response": response})

    def until(self, kind):
        """Lines up to the first of this type; that one is the last of them."""
        out = []
        clock = threading.Timer(WAIT, self.p.kill)
        clock.start()
        try:
            for line in self.p.stdout:
                out.append(json.loads(line))
                if out[-1]["type"] == kind:
                    return out
        finally:
            clock.cancel()
        raise EOFError(out)

    def last(self, kind):
        return self.until(kind)[-1]

    def end(self):
        self.p.stdin.close()
        clock = threading.Timer(WAIT, self.p.kill)
        clock.start()
        try:
            rest = [json.loads(line) for line in self.p.stdout]
        finally:
            clock.cancel()
        self.p.stdout.close()
        return rest, self.p.wait(WAIT)


@pytest.fixture
def agent(tmp_path):
    made = []

    def make(**kw):
        made.append(Agent(tmp_path, **kw))
        return made[-1]

    yield make
    for a in made:
        a.p.kill()
        a.p.wait()
        a.p.stdin.close()
        a.p.stdout.close()


def states(lines, uid):
    return [m["state"] for m in lines if m["type"] == "command_lifecycle" and m["command_uuid"] == uid]


def test_prompt_after_prompt(agent):
    a = agent()
    for n in (1, 2, 3):
        uid = a.prompt("count")
        r = a.last("result")
        assert (r["result"], r["user_message_uuids"], r["is_error"]) == (str(n), [uid], False)
    assert a.end()[1] == 0


def test_a_uuid_is_worked_on_once(agent):
    a = agent()
    uid, bad = a.prompt("count"), str(uuid.uuid4())
    assert states(a.until("result"), uid) == ["queued", "started"]
    a.prompt("count", uid)
    a.prompt("fail 529", bad)
    lines = a.until("result")
    assert states(lines, uid) == ["completed", "completed"] and lines[-1]["api_error_status"] == 529
    a.prompt("fail 529", bad)
    lines, rc = a.end()
    # Of what failed in this process nothing more is said, as with claude.
    assert states(lines, bad) == ["cancelled"] and rc == 1
    b = agent(sid=a.sid, resume=True)
    b.prompt("count", uid)
    b.prompt("fail 529", bad)
    lines, _ = b.end()
    assert states(lines, uid) == states(lines, bad) == ["completed"] and not [m for m in lines if m["type"] == "result"]


def test_a_prompt_that_a_crash_cut_short_runs_again(agent):
    a = agent()
    uid = a.prompt("first 1 crash\ncount")
    with pytest.raises(EOFError):
        a.until("result")
    assert a.p.wait(WAIT) == -11
    b = agent(sid=a.sid, resume=True)
    b.prompt("first 1 crash\ncount", uid)
    assert b.last("result")["result"] == "1"


def test_once(agent):
    a = agent()
    for want in ("made", "again"):
        a.prompt("say again\nonce mark say made")
        assert a.last("result")["result"] == want


@pytest.mark.parametrize("script", ["wait", "sleep 100000", "stream 2 100000", "bash sleep 1000", "ask Bash", "asks 2 Bash"])
def test_an_interrupt_ends_the_turn_only(agent, script):
    a = agent()
    uid = a.prompt(script + "\nsay not reached")
    a.until("system")
    if script.startswith("ask"):
        a.until("control_request")
    second, third = a.prompt("say second"), a.prompt("say third")
    a.prompt("say second", uid)  # itself once more is nothing
    a.interrupt()
    lines = a.until("control_response")
    assert states(lines, second) == states(lines, third) == ["queued"]
    assert lines[-1]["response"]["response"] == {"still_queued": [second, third]}
    lines = a.until("result")
    r = lines[-1]
    assert (r["subtype"], r["is_error"], r["terminal_reason"], r["user_message_uuids"]) == ("error_during_execution", True, "aborted_streaming", [uid])
    assert len([m for m in lines if m["type"] == "control_cancel_request"]) == (2 if script.startswith("asks") else 1 if script.startswith("ask") else 0)
    assert [a.last("result")["result"] for _ in (1, 2)] == ["second", "third"]
    a.interrupt()
    assert a.last("control_response")["response"]["subtype"] == "success"
    a.prompt("say fine")
    assert a.last("result")["result"] == "fine"


def test_questions_at_once_answered_in_any_order(agent):
    a = agent()
    a.prompt('asks 2 Bash\nask Write {"file_path":"/x"}\nchoose Which one? | red | light blue')
    asks = [a.last("control_request") for _ in (1, 2)]
    a.answer(asks[1], behavior="allow", updatedInput={})
    a.answer(asks[0], behavior="deny", message="no")
    lines = a.until("control_request")
    results = [m["message"]["content"][0] for m in lines if m["type"] == "user"]
    assert [(r["content"], r["is_error"]) for r in results] == [("no", True), ("ok", False)]
    rq = lines[-1]["request"]
    assert (rq["tool_name"], rq["input"]) == ("Write", {"file_path": "/x"})
    a.answer(lines[-1], behavior="allow", updatedInput={})
    c = a.last("control_request")
    question = c["request"]["input"]["questions"][0]
    assert question["question"] == "Which one?" and [o["label"] for o in question["options"]] == ["red", "light blue"]
    a.answer(c, behavior="allow", updatedInput=dict(c["request"]["input"], answers={"Which one?": "red"}))
    r = a.last("result")
    assert json.loads(r["result"]) == {"Which one?": "red"} and len(r["permission_denials"]) == 1


def test_figures_by_script(agent):
    a = agent()
    a.prompt("say x\nusage 5000 300 0.5\nusage 1 2")
    lines = a.until("result")
    said = [m["message"]["usage"] for m in lines if m["type"] == "assistant"]
    assert [(u["input_tokens"], u["output_tokens"]) for u in said] == [(100, 1), (5000, 300), (1, 2)]
    r = lines[-1]
    assert (r["usage"]["input_tokens"], r["usage"]["output_tokens"]) == (5101, 322) and r["total_cost_usd"] == pytest.approx(0.501)
    a.prompt("say y")
    r = a.last("result")
    assert r["usage"]["input_tokens"] == 100 and r["total_cost_usd"] == pytest.approx(0.502)
    assert r["model_usage_since_last_result"]["demo-1"]["costUSD"] == pytest.approx(0.001)


def test_a_limit_says_when_it_is_lifted(agent):
    a = agent()
    a.prompt("limit 3600")
    lines = a.until("result")
    info = [m for m in lines if m["type"] == "rate_limit_event"][0]["rate_limit_info"]
    assert info["status"] == "rejected" and info["resetsAt"] > 3600
    assert lines[-1]["api_error_status"] == 429 and lines[-1]["is_error"]


@pytest.mark.parametrize("script", ["usage 1 2 lots", "once /no/such/dir/mark say x", "first 1 nonsense", "ask Bash [1]"])
def test_what_cannot_be_done_fails_the_turn(agent, script):
    a = agent()
    a.prompt(script)
    assert a.last("result")["is_error"] is True
