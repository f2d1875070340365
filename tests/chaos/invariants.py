# SPDX-License-Identifier: MIT
"""What has to hold after each round, whatever was done in it."""
import os
import re
import sqlite3

from aod import wait_for
from kinds import EXCUSES, mark_path, partial_numbered
from world import Broken, Run

AFTER = ("restart", "notice", "callback")  # events that come between session_stop and the next session_start
STRUCK = ("signal", "core-dump", "shim-lost")
FDS_MORE = 12  # descriptors of aod over those that it had without a session


def need(holds, text, *args):
    if not holds:
        raise Broken(text % args)


# ---- one session -----------------------------------------------------------------------------------------------


def check_case(w, case):
    """Raises Broken; counts what it looked at."""
    if case.kind.name == "passive":
        return check_passive(w, case)
    status, answer = w.ask("GET", "/sessions/" + (case.sid or case.name))
    if status == 404:
        need(case.delete or not any(r.status == 200 for r in case.runs), "%s is gone, and nobody asked for that", case.name)
        case.delete = "done"
        for r in case.runs:
            count_prompt(w, case, r, None, None)
        return None
    need(status == 200, "GET of %s gives %r", case.name, status)
    need(case.delete != "done", "%s was deleted, it was said, and is there", case.name)
    case.delete = None
    s = answer["session"]
    case.sid = s["session_id"]
    need(s["state"] in ("finished", "failed", "stopped") or case.kind.queue and s["state"] == "idle", "%s is %s", case.name, s["state"])
    events = w.a.events(case.sid)  # looks at seq and id itself
    w.figures["events checked"] += len(events)
    if case.kind.queue:
        # A process that stays says something more after its answer.
        while s["seq"] < len(events):
            s = w.a.session(case.sid)
        check_turns(w, case, s, events[:s["seq"]])
        return s
    parts = split(case, events)
    need(s["runs"] == sum(len(x) for _, x in parts) and s["seq"] == len(events), "%s has %d runs and seq %d, but its events are %r", case.name,
         s["runs"], s["seq"], [(token, len(x)) for token, x in parts])
    by_token = dict(parts)
    need(len(by_token) == len(parts), "a prompt of %s was given to two runs", case.name)
    for r in case.runs:
        attempts = by_token.pop(r.token, None)
        if not attempts and r is case.run and never_started(case, s, r):
            r.status = None
        need(attempts or r.status != 200, "a prompt of %s was answered with 200, and no run has it", case.name)
        need(not attempts or r.status in (200, None), "a prompt of %s was answered with %r, and a run has it", case.name, r.status)
        whole = check_attempts(w, case, r, attempts) if attempts else None
        count_prompt(w, case, r, attempts or [], whole)
    need(not by_token, "%s has runs with prompts that nobody gave: %r", case.name, list(by_token))
    stop = stop_of(reversed(events))
    reason = "completed" if s["result"] == "success" else s["result"]
    need((reason, s["exit_code"], s["signal"]) == end_of(stop), "%s says %r, its last event %r", case.name, (reason, s["exit_code"], s["signal"]),
         end_of(stop))
    # A request that was taken, but whose answer was lost, is as good as answered.
    taken = [r for r in case.runs if r.token in dict(parts)]
    for r in taken:
        r.status = 200
    case.runs = taken or case.runs
    return s


def never_started(case, s, run):
    """It waited for room, and was stopped before there was any."""
    return case.kind.name == "few" and s["state"] in ("stopped", "failed") and may(run, s["result"])


def check_room(w, cases):
    """MaxSessions=1: each begins after the one before has ended."""
    spans = []
    for case in cases:
        for run in split_runs(case, w.a.events(case.sid)):
            spans.append((run[0]["id"], stop_of(run)["id"], case.name))
    spans.sort()
    for a, b in zip(spans, spans[1:]):
        need(a[1] < b[0], "%s and %s were there at once, where only one may be", a[2], b[2])


def token_in(text):
    found = re.search(r"[0-9a-f]{32}", text)
    return found and found[0]


def check_turns(w, case, s, events):
    """Prompts that queued: each had its turn once, in their order, and those that were done have every line."""
    runs = split_runs(case, events, s["state"] == "idle")
    need(s["runs"] == len(runs) and s["seq"] == len(events), "%s has %d runs and seq %d, but %d and %d in its events", case.name, s["runs"], s["seq"],
         len(runs), len(events))
    turns = []
    for e in events:
        if e["event_type"] == "message" and e["role"] == "user" and not e.get("synthetic"):
            turns.append((token_in(e["content"][0]["text"]), []))
        elif turns:
            turns[-1][1].append(e)
    prompts = prompt_rows(w, case)
    check_callback(w, case, s, [p["prompt"] for p in prompts if p["source"] == "callback"])
    rows = {token_in(p["prompt"]): p["state"] for p in prompts}
    by_token = dict(turns)
    need(len(by_token) == len(turns), "a prompt of %s was said twice", case.name)
    need(list(by_token) == [t for t in rows if t in by_token], "the turns of %s are not in the order of its prompts", case.name)
    every = Run(None)
    every.cut = set().union(*[r.cut for r in case.runs])
    for r in case.runs:
        state = rows.pop(r.token, None)
        need(state or r.status != 200, "a prompt of %s was answered with 200, and is not there", case.name)
        need(not state or r.status in (200, None), "a prompt of %s was answered with %r, and is there", case.name, r.status)
        need(state in (None, "done", "failed", "cancelled"), "a prompt of %s is %s", case.name, state)
        need(state in (None, "done") or every.cut, "a prompt of %s is %s, and nothing was done to it", case.name, state)
        said = by_token.get(r.token, [])
        results = [e for e in said if e["event_type"] == "result"]
        lines = case.kind.lines(said)
        w.figures["lines checked"] += len(lines)
        need(len(results) <= 1, "a turn of %s has %d results", case.name, len(results))
        wrong = case.kind.whole(case, lines) if state == "done" else partial_spoken(lines)
        need(not wrong, "a turn of %s that is %s: %s", case.name, state, wrong)
        need(state or not said, "%s worked on what it was not given", case.name)
        count_prompt(w, case, r, [], state == "done")
    rows.pop(None, None)  # the answer of its child
    need(not rows, "%s has prompts that nobody gave: %r", case.name, rows)
    reason = end_of(stop_of(runs[-1]))[0] if stop_of(runs[-1]) else "completed"
    need(reason == "completed" or may(every, reason), "%s ended with %r; what was done: %r", case.name, reason, sorted(every.cut))
    for r in case.runs:
        r.status = 200 if r.status is None and r.token in by_token else r.status
    case.runs = [r for r in case.runs if r.status == 200]


def check_callback(w, case, s, texts):
    """The end of a child is told to its parent once."""
    status, answer = w.ask("GET", "/sessions/" + case.kid.name) if case.kid else (404, None)
    need(len(texts) <= (case.kid is not None), "%s was told of its child %d times", case.name, len(texts))
    if status == 200 and answer["session"]["state"] in ("finished", "failed"):
        w.figures["callbacks checked"] += 1
        need(len(texts) == 1 and case.kid.name in texts[0], "%s was not told of its child: %r", case.name, texts)


def prompt_rows(w, case):
    status, answer = w.ask("GET", "/sessions/%s/prompts?limit=1000" % case.sid)
    need(status == 200 and not answer["more"], "the prompts of %s: %r", case.name, status)
    return answer["prompts"]


def split_runs(case, events, goes_on=False):
    """The events of each run, from session_start to session_stop and what follows from that; the last may go on."""
    runs, stopped, over = [], True, False
    for e in events:
        if e["event_type"] == "session_start":
            over = False
            need(stopped, "run %d of %s has no session_stop, but %r", len(runs), case.name, runs and runs[-1][-3:])
            runs.append([])
            stopped = False
        need(runs or e["event_type"] in ("notice", "session_stop"), "%s begins with %r", case.name, e["event_type"])
        if stopped and e["event_type"] == "session_stop":
            need(not over, "%s has ended twice", case.name)
            over = True  # it waited for its turn, or for a restart, and is not to be started any more
            continue
        need(e["event_type"] in AFTER or not stopped, "%s goes on after session_stop with %r", case.name, e)
        stopped |= e["event_type"] == "session_stop"
        if runs:
            runs[-1].append(e)
    need(stopped or goes_on, "the last run of %s has no session_stop, but %r", case.name, runs and runs[-1][-1:])
    for n, run in enumerate(runs, 1):
        need(run[0]["run_number"] == n and {e["run"] for e in run} == {n}, "run %d of %s has events of another", n, case.name)
    return runs


def split(case, events):
    """[(token of the prompt, [events of a run])]: several runs where it was started again."""
    parts = []
    for run in split_runs(case, events):
        if run[0].get("started_by") == "restart":
            parts[-1][1].append(run)
            continue
        said = next((e["content"][0]["text"] for e in run if e["event_type"] == "message" and e["role"] == "user"), "")
        parts.append((token_in(said), [run]))
    return parts


def stop_of(run):
    return next((e for e in run if e["event_type"] == "session_stop"), None)


def end_of(stop):
    return stop["reason"], stop["exit_code"], stop.get("signal")


def check_attempts(w, case, run, attempts):
    """All runs that one prompt led to: whether it was worked on to its end."""
    fails = case.kind.fails
    need(fails is not None or len(attempts) == 1, "%s was started again", case.name)
    own = 0
    for n, events in enumerate(attempts):
        end, last = end_of(stop_of(events)), n == len(attempts) - 1
        again = [e for e in events if e["event_type"] == "restart"]
        # One that was to be started again may have been stopped before.
        need(len(again) == (not last) or last and len(again) == 1 and may(run, "cancelled"), "%s: %d of %d runs ended with %r, and %d restarts follow", case.name, n + 1, len(attempts), end, len(again))
        if fails and own < len(fails) and end == fails[own] and not case.kind.whole(case, case.kind.lines(events)):
            own += 1
        elif not check_run(w, case, run, events, last):
            continue
        elif last:
            need(own == len(fails or ()), "%s was done after %d failures", case.name, own)
            return True
    need(not may(run, "signal") or sum(end_of(stop_of(x))[0] in STRUCK for x in attempts) <= run.hits, "%s was killed %d times, and died more often",
         case.name, run.hits)
    return False


def check_run(w, case, run, events, last):
    """Whether it ended by itself; then every line is there. Else there are those that the agent had printed, as far as somebody read them."""
    kind, end = case.kind, end_of(stop_of(events))
    lines = kind.lines(events)
    w.figures["lines checked"] += len(lines)
    results = [e for e in events if e["event_type"] == "result"]
    for kind_of in ("question", "answer"):
        once = [e["question_id"] for e in events if e["event_type"] == kind_of]
        need(len(once) == len(set(once)), "run of %s has one %s twice", case.name, kind_of)
    need(len(results) <= 1, "run of %s has %d results", case.name, len(results))
    # An agent that is killed behind its result has answered all the same.
    answered = results and end == (kind.end(case)[0], None, 9) and may(run, "signal")
    if end == kind.end(case) or answered:
        wrong = kind.whole(case, lines)
        need(not wrong or end[0] != "completed" and may(run, end[0]), "%s ended by itself (%r): %s", case.name, end, wrong)
        if not wrong:
            return True
    need(may(run, end[0]), "%s ended with %r instead of %r; what was done: %r", case.name, end, kind.end(case), sorted(run.cut))
    if kind.end(case)[0] != "completed" or kind.lines(events):
        check_partial(w, case, run, lines, last)
    return False


def may(run, reason):
    # An agent may be told to stop although that cannot be written down.
    told = reason in ("signal", "exit-code") and "stop" in run.cut and run.cut & {"disk", "io"}
    return bool(told) or any(reason in EXCUSES[x] for x in run.cut)


def check_partial(w, case, run, lines, last):
    wrong = partial_numbered(case, lines) if case.kind.lines.__name__ == "stdout" else case.kind.whole(case, lines) and partial_spoken(lines)
    need(not wrong, "%s was cut short, but its lines are not those from the beginning: %s", case.name, wrong)
    if "shim" in run.cut or case.kind.lines.__name__ != "stdout" or not last:
        return  # what was in a pipe went with its shim; only the newest of several runs has left its mark
    try:
        with open(mark_path(w, run.token), encoding="utf-8") as f:
            printed = int(f.read())
    except (OSError, ValueError):
        return
    need(len(lines) > printed, "%s had printed line %d, and %d lines are there", case.name, printed, len(lines))


def partial_spoken(lines):
    """None where they are line 1, line 2, …, more 1, …: each once, none left out."""
    said = [x for x in lines if re.fullmatch(r"(line|more) \d+", x)]
    want = ["line %d" % i for i in range(1, 13)] + ["more %d" % i for i in range(1, 6)]
    return None if said == want[:len(said)] else "%r" % lines


def count_prompt(w, case, run, attempts, whole):
    """
    How often the agent was given it, as the agent itself noted: never twice, and once where it ran to its end. Once more for each time that it was
    started again before it had given an answer.
    """
    most = 1 + sum(not [e for e in x if e["event_type"] == "result"] for x in attempts[:-1]) if attempts else 1
    if attempts is None and case.kind.fails is not None:
        most = 1 + len(case.kind.fails) + run.hits  # nobody can tell any more
    with_tool = case.kind.lines.__name__ != "stdout"
    given = w.noted.get(run.token, 0)
    tools = w.noted.get("tool-" + ("chaos-" if case.kind.name == "claude" else "") + run.token, 0)
    if case.kind.name == "claude":
        given = w.api.stats()["prompts"].get("chaos-" + run.token, {"sent": 0})["sent"] if w.api else 0
    w.figures["prompts run"] += given * (not run.counted)
    run.counted = True
    need(given <= most and tools <= most, "a prompt of %s was run %d times, its tool %d times", case.name, given, tools)
    need(not whole or given >= 1, "a prompt of %s was run to its end %d times", case.name, given)
    need(not whole or not with_tool or tools >= 1, "the tool of a prompt of %s ran %d times", case.name, tools)
    need(run.status in (200, None) or given == 0, "a prompt of %s was refused with %r, and run", case.name, run.status)


def check_passive(w, case):
    status, answer = w.ask("GET", "/sessions/" + case.name)
    if status == 404:
        need(case.run.status != 200, "%s is gone", case.name)
        case.delete = "done"
        return None
    case.sid = answer["session"]["session_id"]
    events = w.a.events(case.sid)
    w.figures["events checked"] += len(events)
    got = [b["text"] for e in events if e["event_type"] == "message" for b in e["content"]]
    need(len(got) == len(set(got)), "%s has events twice", case.name)
    missing, strange = set(case.posted) - set(got), set(got) - set(case.posted) - case.unsure
    need(not missing and not strange, "%s lacks %d events that were answered, and has %d that were refused", case.name, len(missing), len(strange))
    return answer["session"]


# ---- everything else -----------------------------------------------------------------------------------------------


def read_notes(w):
    """How often each prompt was noted by an agent."""
    out = {}
    try:
        with open(w.prompts, encoding="utf-8") as f:
            for token in f.read().split():
                out[token] = out.get(token, 0) + 1
    except FileNotFoundError:
        pass
    return out


def check_follower(w, cases):
    """Who follows all events, and comes back after each break, has seen each once."""
    f = w.follower
    for case in cases:
        if case.sid and not case.delete:
            want = set(range(1, len(w.a.events(case.sid)) + 1))
            wait_for("the follower to see all of " + case.name, lambda: f.seen.get(case.sid, set()) >= want, 20)
    need(not f.doubled, "the follower saw events twice: %r", f.doubled[:5])


def check_leftovers(w):
    a = w.a
    kept = {c.sid for c in w.pool}
    a.assert_no_process_left()
    left = lambda: set(os.listdir(os.path.join(a.root, "state", "sessions"))) - kept  # noqa: E731
    try:
        wait_for("directories of deleted sessions to go", lambda: not left(), 20)
    except TimeoutError:
        raise Broken("left of sessions that are gone: %r" % sorted(left())) from None
    files = lambda: [os.path.join(d, n) for d, _, names in os.walk(os.path.join(a.root, "state", "sessions"))  # noqa: E731
                     for n in names if re.fullmatch(r"\d+\.(spool|in|bell)", n)]
    try:
        wait_for("files of runs to go", lambda: not files(), 20)
    except TimeoutError:
        raise Broken("files of runs that have ended are left: %r" % files()) from None
    need(w.mount_table() == w.mounts, "mounts are left: %r", sorted(set(w.mount_table()) - set(w.mounts)))
    try:
        wait_for("control groups to go", lambda: not set(w.group_dirs()) - set(w.groups), 20)
    except TimeoutError:
        raise Broken("control groups are left: %r" % sorted(set(w.group_dirs()) - set(w.groups))) from None
    fds = len(os.listdir("/proc/%d/fd" % a.pid))
    w.fds = w.fds or fds
    need(fds <= w.fds + FDS_MORE, "aod has %d open files instead of %d", fds, w.fds)
    check_database(w, kept)
    log = a.log()[w.log_from:]
    # SQLite calls a database malformed that it cannot read.
    need(not re.search(r"AddressSanitizer|runtime error:|Assertion" + ("" if "io" in w.excuses else "|is damaged"), log), "the log of aod has something bad in it")
    w.log_from = len(a.log())


def check_database(w, kept):
    db = sqlite3.connect("file:%s?mode=ro" % w.a.db_path, uri=True, timeout=10)
    try:
        verdict = [r[0] for r in db.execute("PRAGMA integrity_check")]
        need(verdict == ["ok"], "integrity_check: %r", verdict[:5])
        need(db.execute("PRAGMA foreign_key_check").fetchall() == [], "a row refers to one that is not there")
        known = {r[0] for r in db.execute("SELECT id FROM session")}
        need(known == kept, "the database has sessions %r instead of %r", sorted(known), sorted(kept))
        open_runs = db.execute("SELECT session, n FROM run WHERE outcome IS NULL").fetchall()
        need(not open_runs, "runs without an outcome: %r", open_runs)
        tokens = db.execute("SELECT session, run FROM token WHERE kind = 'run'").fetchall()
        need(not tokens, "tokens of runs that have ended: %r", tokens)
    finally:
        db.close()
    rest = "SELECT count(*) FROM event WHERE session NOT IN (SELECT n FROM session)"
    wait_for("events of deleted sessions to go", lambda: w.a.sql(rest)[0][0] == 0)
