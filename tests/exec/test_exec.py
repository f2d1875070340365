# SPDX-License-Identifier: MIT
"""One tiny blueprint for each key of [Resources] and [Sandbox], run for real, in the manner of systemd's test/test-execute.

KEY-VALUE.blueprint runs exec-check, which fails when the key has no effect. Each is run a second time with the key left out, and must come to
something else then. Comments at its head:
    # Expect: RESULT       of the session; success when not given; "signal NAME"
    # Control: none, why   leaving the key out changes nothing
    # Needs: WORD          of what the host must have, see NEEDS
A key that this host cannot give is skipped with aod's reason. All sessions run at the same time, under one aod.
"""
import concurrent.futures
import ctypes
import glob
import json
import os
import re
import signal
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import aod as lib  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the checks are about what root may do")
NAMES = sorted(os.path.basename(f)[:-len(".blueprint")] for f in glob.glob(os.path.join(HERE, "*.blueprint")))
MARKERS = ("/tmp/aod-exec-marker", "/var/tmp/aod-exec-marker")
SHARED_MEMORY = 0x616f64
AT_ONCE = 12  # sessions


def text_of(name):
    with open(os.path.join(HERE, name + ".blueprint"), encoding="utf-8") as f:
        return f.read()


def head(text, word):
    m = re.search(r"^# %s: (.*)$" % word, text, re.M)
    return m.group(1) if m else None


def key_of(name):
    return name.split("-")[0]


def without_key(text, key):
    return re.sub(r"^%s=.*\n" % key, "", text, flags=re.M)


def on_a_disk():
    d = os.stat("/var/tmp").st_dev
    return os.major(d) > 0


NEEDS = {
    "two-cpus": lambda: len(os.sched_getaffinity(0)) > 1,
    "disk": on_a_disk,
    "CAP_SYS_RESOURCE": lambda: int(re.search(rb"CapEff:\s+(\w+)", lib.read_proc(os.getpid(), "status")).group(1), 16) >> 24 & 1,
    "root-home": lambda: bool(os.listdir("/root")),
    "more-than-loopback": lambda: len(os.listdir("/sys/class/net")) > 1,
    "x86-64": lambda: os.uname().machine == "x86_64",
    "realtime": lambda: can_be_realtime(),
}


def can_be_realtime():
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@pytest.fixture(scope="module")
def outcomes():
    """{name or name + "_control": (result, text)}; a result of None: not started, and why."""
    made = []
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(SHARED_MEMORY, 1, 0o1000 | 0o600)
    assert segment >= 0
    for path in MARKERS:
        if not os.path.exists(path):
            with open(path, "w", encoding="utf-8") as f:
                f.write("marker\n")
            made.append(path)
    try:
        with lib.Aod(env={"PATH": HERE + ":" + os.environ["PATH"]}) as a:
            yield run_all(a)
    finally:
        for path in made:
            os.unlink(path)
        libc.shmctl(segment, 0, None)


def run_all(a):
    todo = []
    for name in NAMES:
        text = text_of(name)
        if head(text, "Needs") and not NEEDS[head(text, "Needs")]():
            continue
        todo.append((name, text))
        if not head(text, "Control"):
            todo.append((name + "_control", without_key(text, key_of(name))))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip((name for name, _ in todo), pool.map(lambda item: run_one(a, *item), todo)))


def run_one(a, name, text):
    a.blueprint(name, text)
    r = a.post("/sessions", {"agent_name": name})
    if r.status != 200:
        return None, "%d %s" % (r.status, r.detail)
    return outcome(a, a.wait_status(r.json["session"]["session_id"], timeout=90))


def outcome(a, s):
    said = a.get("/sessions/%s/result" % s["session_id"])
    result = "signal " + signal.Signals(s["signal"]).name if s["result"] == "signal" and s["signal"] else s["result"]
    return result, "%s %s %s" % (json.dumps(s["error"]), s["exit_code"], said.data.decode(errors="replace")[:1000])


@pytest.mark.parametrize("name", NAMES)
def test_effect(outcomes, name):
    text = text_of(name)
    want, need = head(text, "Expect") or "success", head(text, "Needs")
    if need and name not in outcomes:
        pytest.skip("this host has not what it needs: " + need)
    result, said = outcomes[name]
    if result is None and said.startswith("422 ") and key_of(name) + "=" in said:
        pytest.skip(said[4:])
    assert result == want, said
    if not head(text, "Control"):
        control, said = outcomes[name + "_control"]
        assert control is not None, said
        assert control != want, "%s: the same without %s=" % (name, key_of(name))


def test_every_key_has_one():
    with open(os.path.join(lib.SRC, "src", "model", "directive-table.h"), encoding="utf-8") as f:
        keys = set(re.findall(r"^D\((?:Resources|Sandbox), (\w+),", f.read(), re.M))
    have = {key_of(n) for n in NAMES}
    assert keys - have == set(), "no blueprint in tests/exec"
    assert have - keys == set(), "no such key"
    for n in NAMES:
        assert re.search(r"^%s=" % key_of(n), text_of(n), re.M), n + " does not set its key"
        assert (head(text_of(n), "Needs") or "disk") in NEEDS, n
