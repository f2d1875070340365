# SPDX-License-Identifier: MIT
"""What the scenario tests share: a private aod for each module, more of them on demand, the real claude where it is there."""
import os
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import aod as lib  # noqa: E402

CLAUDE = os.environ.get("AOD_TEST_CLAUDE") or os.path.expanduser(
    "~/.cache/aod-test/node_modules/@anthropic-ai/claude-code-linux-x64/claude")


def pytest_sessionstart(session):
    for name in ("IS_SANDBOX", "NO_COLOR"):
        os.environ.pop(name, None)
    missing = [p for p in ("aod", "aod-http", "aod-shim", "aoctl", "aod-demo-agent") if not os.access(os.path.join(lib.BUILD, p), os.X_OK)]
    if missing:
        pytest.exit("not built in %s: %s (AOD_BUILDDIR says where to look)" % (lib.BUILD, " ".join(missing)), 3)


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


@pytest.fixture(scope="module")
def aod():
    with lib.Aod() as a:
        yield a


@pytest.fixture
def make_aod():
    """Make further ones; they are closed after the test."""
    made = []

    def make(**kw):
        made.append(lib.Aod(**kw))
        return made[-1]

    yield make
    for a in made:
        a.close()


@pytest.fixture
def small():
    """An aod whose state directory is on a disk of 24 MB of its own."""
    a = lib.Aod(start=False)
    a.mount(os.path.join(a.root, "state"), "24m")
    a.start()
    yield a
    a.close()


@pytest.fixture(scope="session")
def claude():
    if not os.access(CLAUDE, os.X_OK):
        pytest.skip("no real claude: AOD_TEST_CLAUDE names none, and %s is not there" % CLAUDE)
    return CLAUDE
