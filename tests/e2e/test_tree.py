# SPDX-License-Identifier: MIT
"""Sessions that start sessions: the tree that they are, what is done to all of it, and results that wake the one who asked for them."""
import json
import re


def tree_of(aod, *names, first="sleep 600000"):
    """A chain of demo sessions, each below the one before; ids."""
    ids = []
    for name in names:
        ids.append(aod.demo(first, session_name=name, **({"parent_session_name": ids[-1]} if ids else {})))
    return ids


def listed(aod, query):
    r = aod.get("/sessions?" + query)
    assert r.status == 200, r
    return [s["session_name"] for s in r.json["sessions"]]


# ---- who is whose ----------------------------------------------------------------------------------------------


def test_list_of_a_tree(aod):
    a, b, c = tree_of(aod, "la", "lb", "lc")
    d = aod.demo("say done", session_name="ld", parent_session_name="la")
    aod.wait_status(d)
    aod.demo("say other", session_name="lx")
    assert listed(aod, "tree=la") == ["ld", "lc", "lb", "la"] and listed(aod, "tree=" + b) == ["lc", "lb"]
    assert listed(aod, "parent=la") == ["ld", "lb"] and listed(aod, "parent=lc") == []
    assert listed(aod, "tree=la&state=live") == ["lc", "lb", "la"] and listed(aod, "tree=la&state=ended") == ["ld"]
    assert listed(aod, "tree=la&limit=1&offset=1") == ["lc"] and listed(aod, "parent=la&result=success") == ["ld"]
    assert aod.get("/sessions?tree=nobody").status == aod.get("/sessions?parent=nobody").status == 404
    assert [aod.session(x)["parent_session_id"] for x in (a, b, c, d)] == [None, a, b, a]
    n = dict(aod.sql("SELECT id, n FROM session"))
    assert dict(aod.sql("SELECT id, root FROM session WHERE id IN (?, ?, ?, ?)", a, b, c, d)) == {a: 0, b: n[a], c: n[a], d: n[a]}


def test_list_draws_the_tree(aod):
    tree_of(aod, "da", "db", "dc")
    aod.demo("sleep 600000", session_name="dd", parent_session_name="da")
    out = aod.aoctl("list", "--tree", "da")
    assert out.returncode == 0, out
    rows = [re.match(r"\W*", line).end() for line in out.stdout.splitlines()], re.findall(r"^\W*(\w+)", out.stdout, re.M)
    assert rows[1] == ["NAME", "da", "db", "dc", "dd"], out.stdout
    assert rows[0][1] == 0 and rows[0][2] == rows[0][4] > 0 and rows[0][3] > rows[0][2], out.stdout
    assert "dc" not in aod.aoctl("list", "--parent", "da").stdout
    assert aod.aoctl("list", "da").returncode == 2
    s = aod.aoctl("status", "da").stdout
    assert "Children: db: running\n" in s and "dd: running" in s and "Parent" not in s, s
    s = aod.aoctl("status", "db").stdout
    assert "Parent: da: running\n" in s and "Children: dc: running\n" in s, s
    o = json.loads(aod.aoctl("status", "da", "--json").stdout)
    assert [c["session_name"] for c in o["children"]] == ["dd", "db"]


def test_a_tree_has_an_end(aod):
    ids = []
    for i in range(32):
        r = aod.post("/sessions", {"session_id": "deep-%d" % i, "session_name": "deep-%d" % i, **({"parent_session_name": ids[-1]} if ids else {})})
        assert r.status == 200, r
        ids.append("deep-%d" % i)
    r = aod.post("/sessions", {"prompt": "say x", "agent_name": "demo", "parent_session_name": ids[-1]})
    assert r.status == 422 and "32 below each other" in r.detail
    assert aod.delete("/sessions/deep-0").status == 200
    # The id is used again: what was below it must not be above it now.
    r = aod.post("/sessions", {"session_id": "deep-0", "session_name": "deep-0", "parent_session_name": "deep-3"})
    assert r.status == 422 and "descends from" in r.detail
    assert aod.post("/sessions", {"prompt": "say x", "agent_name": "demo", "parent_session_name": "nobody"}).status == 422


def test_a_child_by_the_command_line(aod):
    """aoctl and the older command know what they are run in; aod knows it by the token in any case."""
    sid = aod.sh("aoctl run kid -a demo -p 'say hi' && env -u AOD_SESSION_ID aoctl run kid-2 -a demo -p 'say hi' && "
                 "ao-new kid-3 --agent demo -p 'say hi' && aoctl list --tree && aoctl status kid && aoctl list --parent mother | grep -c kid",
                 session_name="mother", project_dir=aod.project)
    s = aod.wait_status(sid)
    out = [e["text"] for e in aod.events(sid) if e["event_type"] == "output" and e["stream"] == "stdout"]
    assert s["result"] == "success" and listed(aod, "parent=mother") == ["kid-3", "kid-2", "kid"], out
    assert re.findall(r"(mother|kid[-\d]*) +(?:running|finished) ", "\n".join(out)) == ["mother", "kid", "kid-2", "kid-3"], out
    assert any("Parent: mother: running" in line for line in out) and out[-1] == "3", out
