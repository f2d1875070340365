# SPDX-License-Identifier: MIT
"""What the nemesis does: one row each. An action gets the world and a random generator of its own, and says in a few words what it did."""
import collections
import contextlib
import os
import signal
import time

import aod as lib
from aod import alive, wait_for
from world import Broken, Fault, Run

# name; weight; function(world, rng) -> words, or None where there was nothing to do it to; needs: "disk", "strace" or None
Action = collections.namedtuple("Action", "name weight run needs")


def pick(rng, things):
    """One of them; the draw is made in any case, so that what follows is drawn alike."""
    x = rng.random()
    things = list(things)
    return things[int(x * len(things))] if things else None


# ---- kill -9 -------------------------------------------------------------------------------------------------


def strike(w, pid, what, sig=signal.SIGKILL, wait_s=20):
    """Kill one process, and wait until it is gone; False where it was gone before."""
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        return False
    if pid in w.stopped:
        w.stopped.discard(pid)
    wait_for("%s %d to go" % (what, pid), lambda: not alive(pid), wait_s)
    w.figures["killed " + what] += 1
    return True


def down(w):
    """aod is killed; what it was told of strace and SIGSTOP goes with it."""
    if w.up():
        w.a.kill9()
        w.figures["killed aod"] += 1
    else:
        w.a.proc.wait()


def up(w):
    """Start it again, unless it is there; on a full disk it may refuse to."""
    if not w.up():
        w.start(must=not {"disk", "io"} & w.excuses)


def kill_aod(w, rng):
    down(w)
    words = "aod"
    for what in rng.sample([kill_shim, kill_agent, None, None], 1):
        more = what(w, rng) if what else None
        words += ", while it was away " + more if more else ""
    time.sleep(rng.choice((0, 0, rng.uniform(0, 0.25))))
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        w.a.start(wait=False)
        pause = rng.uniform(0, 0.05)
        time.sleep(pause)
        w.a.proc.kill()
        w.a.proc.wait()
        w.figures["killed aod"] += 1
        words += ", again %d ms after its start" % (pause * 1000)
    up(w)
    return words


def kill_http(w, rng):
    n = rng.choice((1, 1, 1, 4))
    killed = 0
    for _ in range(n):
        if w.up():
            with contextlib.suppress(TimeoutError):
                killed += strike(w, wait_for("aod-http", lambda: not w.up() or w.a.http_pid(), 3), "aod-http")
    return "aod-http %d times" % killed if killed else None


def kill_shim(w, rng):
    shims = sorted(w.shims().items(), key=lambda x: x[1])
    found = pick(rng, shims)
    if not found:
        return None
    case = w.case_of(found[1])
    if case:
        case.run.cut.add("shim")
        case.run.hits += 1
    return "shim of %s" % (case.name if case else found[1]) if strike(w, found[0], "shim") else None


def kill_agent(w, rng):
    case = pick(rng, [c for c in w.live_cases() if w.main_process(c.sid)])
    sig = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV))
    pid = w.main_process(case.sid) if case else None
    if not pid:
        return None
    case.run.cut.add("agent")
    case.run.hits += 1
    with contextlib.suppress(TimeoutError):  # one that is frozen waits for its thaw; a program may have a handler for SIGSEGV
        if strike(w, pid, "agent", sig, 2):
            return "agent of %s (%s)" % (case.name, sig.name)
    return None


def kill_child(w, rng):
    found = pick(rng, sorted((p, c.name) for c in w.live_cases() for p, comm in w.a.session_processes(c.sid).items()
                             if comm == "sleep"))
    return "a child of %s" % found[1] if found and strike(w, found[0], "child") else None


# ---- starts and stops of aod -----------------------------------------------------------------------------------


def second_aod(w, rng):
    """One more on the same directory, beside the first or at the same moment as a new first."""
    together = rng.random() < 0.6
    pause = rng.uniform(0, 0.02)
    if together:
        down(w)
        w.a.start(wait=False)
        time.sleep(pause)
    elif not w.up():
        return None
    other = lib.Aod(start=False, root=w.a.root)
    lib.live.remove(other)
    other.start(wait=False)
    first, second = w.a.proc, other.proc
    try:
        wait_for("one of two to give way", lambda: first.poll() is not None or second.poll() is not None, 20)
        if first.poll() is not None and together:
            first, second = second, first
        if second.poll() is None or second.returncode <= 0 or first.poll() is not None:
            if not {"disk", "io"} & w.excuses:
                raise Broken("two aods on one directory ended with %r and %r: %s" % (first.poll(), second.poll(), other.log()[-300:]))
        w.a.proc = first
        if first.poll() is None:
            w.wait_up(must=not {"disk", "io"} & w.excuses)
    finally:
        if other.proc is not w.a.proc and other.proc.poll() is None:
            other.proc.kill()
            other.proc.wait()
        lib.shutil.rmtree(other.base, ignore_errors=True)
    up(w)
    return "two aods " + ("at once, %d ms apart" % (pause * 1000) if together else "on one directory")


def terminate_aod(w, rng):
    """SIGTERM stops the sessions; some of it may be cut short by a kill."""
    pause = rng.choice((None, rng.uniform(0, 0.3)))
    if not w.up():
        return None
    for c in w.live_cases():
        c.run.cut.add("stop")
    w.excuses.add("stop")
    os.kill(w.a.pid, signal.SIGTERM)
    if pause is not None:
        time.sleep(pause)
        down(w)
    elif w.a.proc.wait(30) != 0:
        raise Broken("aod ended with %r after SIGTERM" % w.a.proc.returncode)
    up(w)
    return "SIGTERM to aod" + (", killed %d ms later" % (pause * 1000) if pause is not None else "")


def hold_aod(w, rng):
    """It stands still while its agents go on."""
    if not w.up():
        return None
    os.kill(w.a.pid, signal.SIGSTOP)
    time.sleep(rng.uniform(0.05, 0.5))
    os.kill(w.a.pid, signal.SIGCONT)
    return "SIGSTOP, SIGCONT to aod"


def hold_shim(w, rng):
    found = pick(rng, sorted(w.shims().items(), key=lambda x: x[1]))
    if not found:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(found[0], signal.SIGSTOP)
        w.stopped.add(found[0])
    case = w.case_of(found[1])
    return "SIGSTOP to the shim of %s" % (case.name if case else "?")


# ---- what clients ask ------------------------------------------------------------------------------------------


def ask_stop(w, rng):
    case = pick(rng, w.live_cases())
    ms = rng.choice((0, 300, None))
    if not case:
        return None
    case.run.cut.add("stop")
    w.behind(lambda: w.ask("POST", "/sessions/%s/stop" % case.sid, {} if ms is None else {"timeout_ms": ms}))
    return "stop %s" % case.name


def ask_freeze(w, rng):
    case = pick(rng, w.live_cases())
    if not case:
        return None
    w.behind(lambda: w.ask("POST", "/sessions/%s/freeze" % case.sid, {}))
    return "freeze %s" % case.name


def ask_thaw(w, rng):
    case = pick(rng, w.live_cases())
    if not case:
        return None
    w.behind(lambda: w.ask("POST", "/sessions/%s/thaw" % case.sid, {}))
    return "thaw %s" % case.name


def ask_answer(w, rng):
    """Two people answer at once: one of them is the first."""
    case = pick(rng, [c for c in w.live_cases() if c.kind.name == "asks"])
    if not case:
        return None
    for _ in range(2):
        w.behind(lambda: w.ask("POST", "/sessions/%s/answer" % case.sid, {"answer": "allow"}))
    return "answer %s" % case.name


def ask_delete(w, rng):
    case = pick(rng, w.live_cases())
    if not case:
        return None
    case.delete = "asked"
    case.run.cut.add("stop")

    def go():
        if w.ask("DELETE", "/sessions/" + case.sid)[0] == 200:
            case.delete = "done"
    w.behind(go)
    return "delete %s" % case.name


def ask_resume(w, rng):
    """A session that ended in an earlier round."""
    case = pick(rng, w.pool)
    token = "%032x" % rng.getrandbits(128)
    if not case:
        return None
    w.pool.remove(case)
    w.cases.append(case)
    give_resume(w, case, token)
    return "resume %s" % case.name


def ask_prompt(w, rng):
    """One more prompt for a session that may be at work on another."""
    case = pick(rng, [c for c in w.live_cases() if c.kind.queue])
    tokens = ["%032x" % rng.getrandbits(128) for _ in range(rng.choice((1, 1, 2, 5)))]
    if not case:
        return None
    for token in tokens:
        give_resume(w, case, token)
    return "%d prompts for %s" % (len(tokens), case.name)


def give_resume(w, case, token, wait=False):
    run = Run(token)
    # An agent that could not keep its conversation has none to go on with.
    run.cut |= {"disk"} & set().union(*[r.cut for r in case.runs])
    case.runs.append(run)
    w.figures["prompts given"] += 1

    def go():
        run.status, _ = w.ask("POST", "/sessions/%s/resume" % case.sid,
                              dict({"prompt": case.kind.prompt(w, case, token)}, **({"queue": True} if case.kind.queue else {})))
    if wait:
        go()
    else:
        w.behind(go)


# ---- the disk, system calls ------------------------------------------------------------------------------------


def fill_disk(w, rng):
    free = rng.choice((0, 0, 8192, 300000))
    w.excuses.add("disk")
    w.ballast(free)
    time.sleep(rng.uniform(0, 0.4))
    w.ballast(free)  # what was freed meanwhile
    w.figures["full disks"] += 1
    return "disk full but for %d bytes" % free


def make_room(w, rng):
    w.ballast(None)
    return "room on the disk"


DATABASE = ("fsync:error=EIO", "fdatasync:error=EIO", "pwrite64:error=EIO", "pwrite64:error=ENOSPC", "pread64:error=EIO", "ftruncate:error=EIO")
WRITES = ("write:error=ENOSPC", "write:error=EIO", "openat:error=EMFILE", "openat:error=ENOSPC", "mkdir:error=ENOSPC", "renameat:error=EIO")
FORKS = ("clone3:error=EAGAIN", "clone3:error=ENOMEM")


def fault_in_aod(w, rng, calls, excuse):
    call = rng.choice(calls)
    when = rng.choice(("1+", "%d" % rng.randint(1, 12), "%d+%d" % (rng.randint(1, 5), rng.randint(2, 7))))
    pause = rng.uniform(0.05, 0.6)
    if not w.up():
        return None
    w.excuses.add(excuse)
    f = Fault(w.a.pid, [call + ":when=" + when])
    time.sleep(pause)
    f.stop()
    w.figures["faults in aod"] += 1
    if not w.up():
        raise Broken("aod ended with %r of %s:when=%s" % (w.a.proc.returncode, call, when))
    return "%s:when=%s in aod for %d ms" % (call, when, pause * 1000)


def fault_in_shim(w, rng):
    """What it cannot write it keeps, and tries again."""
    call = rng.choice(("writev:error=ENOSPC", "writev:error=EIO", "ftruncate:error=EIO", "write:error=EAGAIN"))
    pause = rng.uniform(0.1, 0.7)
    found = pick(rng, sorted(w.shims().items(), key=lambda x: x[1]))
    if not found:
        return None
    f = Fault(found[0], [call + ":when=" + rng.choice(("1+", "2", "1+3"))])
    time.sleep(pause)
    f.stop()
    w.figures["faults in shims"] += 1
    case = w.case_of(found[1])
    return "%s in the shim of %s for %d ms" % (call, case.name if case else "?", pause * 1000)


ACTIONS = [
    Action("kill-aod", 8, kill_aod, None),
    Action("kill-http", 3, kill_http, None),
    Action("kill-shim", 4, kill_shim, None),
    Action("kill-agent", 4, kill_agent, None),
    Action("kill-child", 1, kill_child, None),
    Action("second-aod", 2, second_aod, None),
    Action("terminate-aod", 2, terminate_aod, None),
    Action("hold-aod", 1, hold_aod, None),
    Action("hold-shim", 1, hold_shim, None),
    Action("stop", 4, ask_stop, None),
    Action("freeze", 3, ask_freeze, None),
    Action("thaw", 2, ask_thaw, None),
    Action("delete", 3, ask_delete, None),
    Action("resume", 3, ask_resume, None),
    Action("answer", 2, ask_answer, None),
    Action("prompt", 5, ask_prompt, None),
    Action("fill-disk", 2, fill_disk, "disk"),
    Action("make-room", 1, make_room, "disk"),
    Action("fail-database", 2, lambda w, rng: fault_in_aod(w, rng, DATABASE, "io"), "strace"),
    Action("fail-write", 2, lambda w, rng: fault_in_aod(w, rng, WRITES, "io"), "strace"),
    Action("fail-fork", 2, lambda w, rng: fault_in_aod(w, rng, FORKS, "fork"), "strace"),
    Action("fail-spool", 2, fault_in_shim, "strace"),
]


def here(w, only):
    have = {None}
    if w.small_disk:
        have.add("disk")
    if lib.shutil.which("strace"):
        have.add("strace")
    unknown = set(only) - {a.name for a in ACTIONS}
    if unknown:
        raise SystemExit("no such action: %s; there are: %s" % (" ".join(sorted(unknown)), " ".join(a.name for a in ACTIONS)))
    return [a for a in ACTIONS if a.needs in have and (not only or a.name in only)]
