# SPDX-License-Identifier: MIT
"""The attackers, compiled, and one aod with its sessions and their victims."""
import os
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import aod as lib  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    with lib.time_limit(item.nodeid):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for a in lib.live:
            report.sections.append(("log of aod below " + a.root, a.log()[-6000:]))


def pytest_terminal_summary(terminalreporter):
    """What each attack got: the table that the tests are about."""
    rows = [dict(r.user_properties) for results in terminalreporter.stats.values() for r in results if getattr(r, "when", "") == "call"]
    rows = [r for r in rows if "attack" in r]
    if rows:
        terminalreporter.write_line("%-26s %-64s %s" % ("attack", "in a strict sandbox", "without one"))
    for r in rows:
        terminalreporter.write_line("%-26s %-64s %s" % (r["attack"], r["strict"], r["control"]))


def compile_program(where, name, *sources):
    out = os.path.join(where, name)
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-parameter", "-pthread",
                    "-o", out, *[os.path.join(HERE, s) for s in sources]], check=True)
    os.chmod(out, 0o755)
    return out
