# SPDX-License-Identifier: MIT
"""Agents work together through documents: the real Claude CLI, in its sandbox, with the commands that it has in its PATH."""
import json
import os
import re
import uuid

import pytest

from aod import BUILD, Aod, wait_for
from test_claude import World, of, rule, strict_here, tool

FIND = r"""sed -n 's/.*"id": "\(doc_[0-9a-f]*\)".*/\1/p'"""


@pytest.fixture(scope="module", params=["strict", "none"])
def w(request, claude):
    with Aod() as aod:
        if request.param == "strict" and not strict_here(aod):
            pytest.skip("no strict sandbox on this host")
        world = World(aod, claude)
        for name in ("researcher-real", "writer-real", "boss-real"):
            world.blueprint("AllowedTools=Bash\n[Sandbox]\nSandbox=%s" % request.param, name=name)
        wait_for("the blueprints", lambda: aod.get("/agents/boss-real").status == 200)
        world.kind = request.param
        yield world
        world.api.stop()


def run(w, name, prompt, **body):
    s = w.aod.create(agent_name=name, prompt=prompt, **body)
    s = w.aod.wait_status(s["session_id"], timeout=90)
    assert s["result"] == "success", (s, of(w.aod.events(s["session_id"]), "post_tool"))
    return s, w.aod.result(s["session_id"])


def script(w, prompt, command):
    """What the model does with a prompt: runs a command, and says what came of it."""
    return [rule(prompt, {"text": "Done: {{tool_result}}"}, tool_result=True), rule(prompt, tool(command))]


def test_a_researcher_hands_a_report_to_a_writer(w, tmp_path):
    tag = "plums-" + uuid.uuid4().hex[:8]
    w.api.script(script(w, "find out about plums", "printf '# Plums\\n\\nThey are blue.\\n' >report.md && doc-push report.md --tags %s,report --description 'on plums'" % tag)
                 + script(w, "write about plums", "id=$(doc-query --tags %s | %s) && doc-read $id | grep blue && doc-pull $id -o got.md && cp got.md article.md" % (tag, FIND)))
    project = tmp_path / "article"
    project.mkdir()

    s, answer = run(w, "researcher-real", "find out about plums")
    d = json.loads(answer[len("Done: "):])
    assert d["filename"] == "report.md" and sorted(d["tags"]) == sorted([tag, "report"]) and d["metadata"] == {"description": "on plums"}
    listed = w.aod.get("/documents?tags=" + tag, port="context").json
    assert [x["id"] for x in listed] == [d["id"]]
    # Who wrote it is known: the token said so, not the agent.
    assert listed[0]["session_id"] == s["session_id"] and listed[0]["event_seq"] > 0

    _, answer = run(w, "writer-real", "write about plums", project_dir=str(project))
    assert answer.startswith("Done: They are blue.") and re.search(r'"document_id": "%s"' % d["id"], answer)
    assert (project / "article.md").read_text() == "# Plums\n\nThey are blue.\n" == (project / "got.md").read_text()
    assert sorted(os.listdir(project)) == ["article.md", "got.md"]


def test_an_agent_starts_another_and_reads_its_answer(w):
    n = "kid-" + uuid.uuid4().hex[:8]
    w.api.script(script(w, "have it done", "ao-new %s --agent demo -p 'say it is done' && ao-status %s && ao-get-result %s" % (n, n, n)))
    s, answer = run(w, "boss-real", "have it done")
    assert answer == "Done: it is done\nfinished\nit is done"
    assert w.aod.session(n)["parent_session_id"] == s["session_id"]


def test_an_agent_reaches_nothing_else(w):
    """Its token is good for its own session, those that it started, and documents; the sandbox lets through its socket and no other."""
    other = w.aod.run_demo("say private", session_name="other-" + uuid.uuid4().hex[:8])["session_name"]
    state, sock = os.path.join(w.aod.root, "state", "aod.db"), w.aod.socket
    w.api.script(script(w, "look around", "; ".join([
        "ao-get-result %s" % other, "ao-list-sessions", "aoctl stop %s" % other, "ao-clean", "aoctl token create mine", "cat %s | head -c 15" % state,
        "AOD_TOKEN= aoctl list", "aoctl list --socket %s" % sock, "env -u AOD_TOKEN aoctl list --url %s" % w.aod.url, "command -v doc-push", "true"])))
    s = w.aod.create(agent_name="boss-real", prompt="look around")
    s = w.aod.wait_status(s["session_id"], timeout=90)
    seen = json.dumps(of(w.aod.events(s["session_id"]), "post_tool"))
    assert os.path.join(BUILD, "bin", "doc-push") in seen
    assert "aod_" not in seen and w.aod.session(other)["state"] == "finished"
    assert w.aod.get("/sessions/" + other).status == 200
    if w.kind == "strict":
        assert "private" not in seen and other + " (session-id" not in seen and "SQLite format" not in seen, seen
