# SPDX-License-Identifier: MIT
"""How much of the host blueprints leave to their agents: aoctl security, and the requests behind it."""
import json
import uuid

import pytest

from aod import Aod

OK, FAILED, USAGE = 0, 1, 2
OPEN = "[Agent]\nAdapter=command\n[Sandbox]\nSystemCallFilter=no\n"
TIGHT = "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=strict\nPrivateNetwork=yes\nPrivateUsers=yes\n"


@pytest.fixture(scope="module")
def aod():
    with Aod() as a:
        a.blueprint("open", OPEN)
        a.blueprint("tight", TIGHT)
        a.blueprint("off", "[Blueprint]\nEnabled=no\n" + TIGHT)
        a.blueprint("broken", "[Agent]\nAdapter=none-such\n")
        yield a


def test_one(aod):
    r = aod.get("/agents/tight/security")
    assert r.status == 200 and r.json["name"] == "tight" and r.json["profile"] == "strict"
    assert r.json["grade"] == "SAFE" and 0 < r.json["exposure"] < 1
    bad = [line for line in r.json["lines"] if not line["good"]]
    assert all(line["mend"] and line["exposure"] >= 0 for line in bad)
    assert abs(sum(line["exposure"] for line in bad) - r.json["exposure"]) < 0.3  # each is rounded
    worse = aod.get("/agents/open/security").json
    assert worse["exposure"] > 7 and worse["profile"] == "none"
    assert len(worse["lines"]) == len(r.json["lines"])
    # One that cannot be started still has a score; one that has errors, or is not there, has none.
    assert aod.get("/agents/off/security").json["exposure"] == r.json["exposure"]
    assert aod.get("/agents/broken/security").status == 422
    assert aod.get("/agents/none-such/security").status == 404


def test_list(aod):
    rows = {row["name"]: row for row in aod.get("/security").json["blueprints"]}
    assert rows["open"]["exposure"] > rows["tight"]["exposure"]
    assert rows["open"]["grade"] in ("EXPOSED", "UNSAFE", "DANGEROUS") and "lines" not in rows["open"]
    assert "none-such" in rows["broken"]["error"]
    assert rows["claude"]["profile"] == "strict" and rows["claude"]["exposure"] < 2  # what ships
    assert "researcher" in rows and aod.post("/agents/researcher/mask", {"masked": True}).status == 200
    assert "researcher" not in {row["name"] for row in aod.get("/security").json["blueprints"]}
    assert aod.get("/agents/researcher/security").status == 404
    assert aod.post("/agents/researcher/mask", {"masked": False}).status == 200


def test_session(aod):
    name = "s-" + uuid.uuid4().hex[:8]
    aod.create(session_name=name, agent_name="open", command=["/bin/true"], async_mode=False)
    r = aod.get("/sessions/%s/security" % name)
    assert r.status == 200 and r.json["session"] == name and r.json["name"] == "open"
    assert r.json["exposure"] == aod.get("/agents/open/security").json["exposure"]
    assert aod.get("/sessions/none-such/security").status == 404
    p = aod.aoctl("security", name)
    assert p.returncode == OK and "session " + name in p.stdout and "Exposure of open" in p.stdout


def test_command(aod):
    p = aod.aoctl("security", "tight")
    assert p.returncode == OK and p.stdout.splitlines()[-1].endswith("SAFE")
    assert "PrivateNetwork=" in p.stdout and "RestrictSUIDSGID=" in p.stdout
    p = aod.aoctl("security", "open")
    assert "PrivateNetwork=yes" in p.stdout  # the mend
    p = aod.aoctl("security")
    lines = {line.split()[0]: line for line in p.stdout.splitlines()}
    assert p.returncode == OK and "SAFE" in lines["tight"] and "bad" in lines["broken"]
    assert json.loads(aod.aoctl("security", "--json").stdout)["blueprints"]
    assert json.loads(aod.aoctl("security", "tight", "--json").stdout)["lines"]
    p = aod.aoctl("security", "none-such")
    assert p.returncode == FAILED and "neither a blueprint nor a session" in p.stderr
    assert aod.aoctl("security", "broken").returncode == FAILED


def test_threshold(aod):
    assert aod.aoctl("security", "tight", "--threshold=10").returncode == OK
    assert aod.aoctl("security", "open", "--threshold=10").returncode == FAILED
    exposure = aod.get("/agents/open/security").json["exposure"]
    at = round(exposure * 10)
    assert aod.aoctl("security", "open", "--threshold=%d" % at).returncode == OK  # over it, not at it
    assert aod.aoctl("security", "open", "--threshold=%d" % (at - 1)).returncode == FAILED
    assert aod.aoctl("security", "--threshold=100").returncode == OK
    p = aod.aoctl("security", "--threshold=10", "--json")
    assert p.returncode == FAILED and json.loads(p.stdout)
    assert aod.aoctl("security", "--threshold=101").returncode == USAGE
    assert aod.aoctl("security", "--threshold=low").returncode == USAGE
