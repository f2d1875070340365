# SPDX-License-Identifier: MIT
"""What one session does must not hold up or break the others: floods, too few descriptors, files that are in the way."""
import os
import signal
import time

from aod import wait_for


def test_a_large_rest_is_read_between_other_work(make_aod):
    """A program that ends long before aod has read what it printed: requests are answered meanwhile."""
    a = make_aod()
    sid = a.command("/usr/bin/seq", "1", "3000000")
    slowest = 0
    while a.session(sid)["status"] == "running":
        began = time.monotonic()
        assert a.post("/sessions/nope/stop", {}).status == 404
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 3, "a request took %.1f s" % slowest
