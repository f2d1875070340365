# SPDX-License-Identifier: MIT
"""The kinds of sessions that the nemesis finds running: one row each.

An agent notes its prompt in a file when it is given one, prints numbered lines until the file `go` is there, and ends in a way that its
kind says. So whatever was done in between, it can be told which lines have to be there, and what the end has to be.
"""
import collections
import os

from aod import DEMO, outputs, texts
from world import CLAUDE

# What excuses an end other than the kind's own: what the nemesis did → the results that it may lead to.
EXCUSES = {
    "agent": ("signal", "core-dump"),
    "shim": ("shim-lost",),
    "stop": ("cancelled",),
    "fork": ("resources",),
    "disk": ("resources", "agent-error", "exit-code"),
    "io": ("resources", "cancelled"),
}

# name; weight; body(world, case, token): what is POSTed; prompt(world, case, token): of a resume; lines(events): what the agent said;
# whole(case, lines): None, or what is wrong with all lines of a run that ended by itself; end(case): its (reason, exit code, signal);
# room: what it needs to be there, or None; fails: ends of its own that are followed by a restart: [(reason, exit code, signal)] for each prompt,
# None: there are no restarts; queue: prompts are given to it while it works on others
Kind = collections.namedtuple("Kind", "name weight body prompt lines whole end room fails queue", defaults=[None, False])


def blueprints(w):
    """Short times, so that a round is short."""
    session = "[Session]\nTimeoutStopSec=1s\nResultGraceSec=5s\n"
    w.a.blueprint("chaos-command", "[Agent]\nAdapter=command\n" + session + "[Sandbox]\nPrivateTmp=no\n")
    again = session + "Restart=on-failure\nRestartSec=50ms\nStartLimitBurst=0\n"
    w.a.blueprint("chaos-again", "[Agent]\nAdapter=command\n" + again + "[Sandbox]\nPrivateTmp=no\n")
    w.a.blueprint("chaos-demo-again", "[Agent]\nAdapter=claude\nExecStart=aod-demo-agent\n" + again)
    w.a.blueprint("chaos-demo", "[Agent]\nAdapter=claude\nExecStart=aod-demo-agent\n" + session + "[Sandbox]\nPrivateTmp=yes\n")
    w.a.blueprint("chaos-stays", "[Agent]\nAdapter=claude\nExecStart=aod-demo-agent\n" + session + "Lifecycle=persistent\n")
    w.a.blueprint("chaos-few", "[Agent]\nAdapter=command\n" + session + "MaxSessions=1\n[Sandbox]\nPrivateTmp=no\n")
    w.a.blueprint("chaos-none", "[Agent]\nAdapter=claude\nExecStart=%s\n" % DEMO + session + "[Sandbox]\nSandbox=none\n")
    w.a.blueprint("chaos-strict", "[Agent]\nAdapter=claude\nExecStart=aod-demo-agent\n" + session + "[Sandbox]\nSandbox=strict\n")


def mark_path(w, token):
    return os.path.join(w.project, "mark-" + token)


# ---- commands ----------------------------------------------------------------------------------------------


def command(loop, before=""):
    """A shell script; its end is the exit status, or the signal, of the case."""
    def body(w, case, token):
        script = ("read -r p; echo \"$p\" >>%s; %s i=0; while [ ! -e %s ]; do %s echo $i >%s; i=$((i+1)); done; echo \"end $i\"; %s"
                  % (w.prompts, before, w.go, loop, mark_path(w, "$p"), end_of(case)))
        return {"agent_name": "chaos-command", "command": ["/bin/sh", "-c", script], "prompt": token, "project_dir": w.project}
    return body


def again(w, case, token):
    """Two failures, then one that goes on until the end."""
    count = os.path.join(w.project, "count-$p")
    body = command(SLOW, "n=$(cat %s 2>/dev/null || echo 0); echo $((n+1)) >%s; [ $n -ge 2 ] || { echo \"line 0\"; echo \"end 1\"; exit 7; };"
                   % (count, count))(w, case, token)
    return dict(body, agent_name="chaos-again")


def few(w, case, token):
    return dict(command(SLOW)(w, case, token), agent_name="chaos-few")


def end_of(case):
    return "kill -%d $$" % -case.number if case.number < 0 else "exit %d" % case.number


def command_end(case):
    if case.number < 0:
        return ("signal", None, -case.number)
    return ("completed" if case.number == 0 else "exit-code", case.number, None)


def token_prompt(w, case, token):
    return token


def stdout(events):
    return outputs(events, "stdout")


def head(line):
    return " ".join(line.split()[:2])


def numbered(case, lines):
    n = len(lines) - 1
    if n < 0 or [head(x) for x in lines] != ["line %d" % i for i in range(n)] + ["end %d" % n]:
        return "the lines are not line 0..%d and an end: %s" % (n - 1, first_wrong(lines))
    return None


def first_wrong(lines):
    for i, line in enumerate(lines):
        if head(line) != "line %d" % i:
            return "at %d of %d: %r" % (i, len(lines), lines[i:i + 3])
    return "no end after %d lines" % len(lines)


def partial_numbered(case, lines):
    """From the beginning, none left out; the last one may be cut off, too."""
    wrong = next((i for i, x in enumerate(lines) if head(x) != "line %d" % i), None)
    if wrong is None or wrong == len(lines) - 1 and any(text.startswith(lines[-1]) for text in ("line %d" % wrong, "end %d" % wrong)):
        return None
    return first_wrong(lines)


FAST = "[ $i -ge 12000 ] && sleep 0.02; [ $i = 0 ] && { seq -f 'line %.0f' 0 11999; i=12000; }; echo \"line $i\";"
SLOW = "echo \"line $i\"; sleep 0.02;"
WIDE = "printf 'line %d ' $i; head -c 70000 /dev/zero | tr '\\0' x; echo; sleep 0.03;"
TREE = "setsid sleep 1000 >/dev/null 2>&1 & (sleep 1000 >/dev/null 2>&1 &) ; (setsid sh -c 'sleep 1000 & wait' >/dev/null 2>&1 &) ;"

# ---- the demo agent, which speaks as claude does --------------------------------------------------------------

SPOKEN = ["line %d" % i for i in range(1, 13)]
AFTER = ["more %d" % i for i in range(1, 6)]


def demo_prompt(w, case, token):
    script = ["append %s %s" % (w.prompts, token), "stream 12 12 line", "bash echo tool-%s >>%s" % (token, w.prompts),
              "bash while [ ! -e %s ]; do sleep 0.03; done; echo done" % w.go, "stream 5 1 more"]
    return "\n".join(script + [{0: "say end", 1: "fail error_during_execution 529", 7: "exit 7"}[case.number]])


def turn_prompt(w, case, token):
    """Of a session that has several: only some last until the round ends."""
    script = demo_prompt(w, case, token).split("\n")
    return "\n".join(x for x in script if int(token, 16) % 4 == 0 or "while" not in x)


def demo(agent, prompt=demo_prompt):
    def body(w, case, token):
        return {"agent_name": agent, "prompt": prompt(w, case, token), "project_dir": w.project}
    return body


def demo_whole(case, lines):
    want = SPOKEN + AFTER + (["end"] if case.number == 0 else [])
    return None if lines[:len(want)] == want else "%r instead of %r" % (lines, want)


def demo_end(case):
    return {0: ("completed", 0, None), 1: ("overloaded", 1, None), 7: ("exit-code", 7, None)}[case.number]


def ask_prompt(w, case, token):
    return "append %s %s\nstream 6 10 line\nask Bash {\"command\":\"true\"}\nbash echo tool-%s >>%s\nsay end" % (w.prompts, token, token, w.prompts)


def asks(w, case, token):
    return {"agent_name": "chaos-demo", "prompt": ask_prompt(w, case, token), "project_dir": w.project}


def asks_whole(case, lines):
    want = ["line %d" % i for i in range(1, 7)] + ["Bash: allow", "end"]
    return None if lines == want else "%r instead of %r" % (lines, want)


def kid(w, case, token):
    return dict(demo("chaos-demo", turn_prompt)(w, case, token), parent_session_name=case.parent.name, callback=True)


# ---- the real Claude CLI --------------------------------------------------------------------------------------


def claude_prompt(w, case, token):
    return "chaos-" + token


def claude(w, case, token):
    w.real_claude()
    return {"agent_name": "chaos-claude", "prompt": claude_prompt(w, case, token), "project_dir": w.project}


def claude_whole(case, lines):
    return None if lines == ["line 1", "end"] else "%r" % lines


# ---- the table ------------------------------------------------------------------------------------------------


def passive(w, case, token):
    return {"session_id": token, "session_name": case.name}


KINDS = [
    Kind("slow", 4, command(SLOW), token_prompt, stdout, numbered, command_end, None),
    Kind("fast", 3, command(FAST), token_prompt, stdout, numbered, command_end, None),
    Kind("wide", 1, command(WIDE), token_prompt, stdout, numbered, command_end, None),
    Kind("tree", 3, command(SLOW, TREE), token_prompt, stdout, numbered, command_end, None),
    Kind("deaf", 2, command(SLOW, "trap '' TERM INT HUP;"), token_prompt, stdout, numbered, command_end, None),
    Kind("demo", 4, demo("chaos-demo"), demo_prompt, texts, demo_whole, demo_end, None),
    Kind("none", 2, demo("chaos-none"), demo_prompt, texts, demo_whole, demo_end, None),
    Kind("strict", 3, demo("chaos-strict"), demo_prompt, texts, demo_whole, demo_end, "strict"),
    Kind("claude", 0.5, claude, claude_prompt, texts, claude_whole, lambda case: ("completed", 0, None), "claude"),
    Kind("again", 3, again, token_prompt, stdout, numbered, command_end, None, [("exit-code", 7, None)] * 2),
    Kind("demo-again", 3, demo("chaos-demo-again"), demo_prompt, texts, demo_whole, demo_end, None, []),
    Kind("stays", 3, demo("chaos-stays", turn_prompt), turn_prompt, texts, demo_whole, demo_end, None, None, True),
    Kind("queued", 2, demo("chaos-demo", turn_prompt), turn_prompt, texts, demo_whole, demo_end, None, None, True),
    Kind("asks", 2, asks, ask_prompt, texts, asks_whole, lambda case: ("completed", 0, None), None),
    Kind("few", 3, few, token_prompt, stdout, numbered, command_end, None),
    Kind("parent", 2, demo("chaos-stays", turn_prompt), turn_prompt, texts, demo_whole, demo_end, None, None, True),
    Kind("passive", 2, passive, None, None, None, None, None),
]
# Not started by itself, but below each parent.
KID = Kind("kid", 0, kid, turn_prompt, texts, demo_whole, demo_end, None)
ENDS = {"slow": (0, 0, 3, 42, 255, -10), "fast": (0, 5), "wide": (0, 9), "tree": (0, 1, -12), "deaf": (0, 4), "demo": (0, 0, 1, 7),
        "none": (0, 7), "strict": (0, 0, 1)}


def here(w):
    """The kinds that this host can run."""
    rooms = {None}
    if os.access(CLAUDE, os.X_OK):
        rooms.add("claude")
    status, answer = w.ask("GET", "/doctor")
    if status == 200 and not [c for c in answer["checks"] if c["name"] in ("namespaces", "sandbox") and c["status"] != "ok"]:
        rooms.add("strict")
    return [k for k in KINDS if k.room in rooms]
