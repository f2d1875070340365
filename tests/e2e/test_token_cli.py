# SPDX-License-Identifier: MIT
"""aoctl token, and who aoctl says that it is: over TLS, with --token, AOD_TOKEN and the file."""
import json
import re
import subprocess
import uuid

import pytest

from aod import Aod


OK, FAILED, USAGE, NO_AOD = 0, 1, 2, 69


def nm():
    return "t-" + uuid.uuid4().hex[:10]


def ctl(aod, *args, code=OK, **kw):
    p = aod.aoctl(*args, **kw)
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p


def test_create_list_revoke(aod):
    a, b = nm(), nm()
    p = ctl(aod, "token", "create", a, "--role", "operator")
    assert re.fullmatch(r"aod_[0-9a-f]{64}\n", p.stdout) and a in p.stderr and "until it is revoked" in p.stderr
    o = json.loads(ctl(aod, "token", "create", b, "--expires", "90min", "--json").stdout)
    assert o["name"] == b and o["role"] == "reader" and o["expires_at"] and o["token"].startswith("aod_")
    lines = {line.split()[0]: line for line in ctl(aod, "token", "list").stdout.splitlines()}
    assert lines["NAME"].split()[:2] == ["NAME", "ROLE"] and " operator " in lines[a] and o["expires_at"] in lines[b]
    assert p.stdout.strip() not in ctl(aod, "token", "list", "--json").stdout
    rows = {t["name"]: t for t in json.loads(ctl(aod, "token", "list", "--json").stdout)["tokens"]}
    assert rows[b]["id"] == o["id"]
    assert "already" in ctl(aod, "token", "create", a, code=FAILED).stderr
    p = ctl(aod, "token", "revoke", a, o["id"])
    assert p.stdout == "" and a + " revoked" in p.stderr
    assert a not in ctl(aod, "token", "list").stdout and a in ctl(aod, "token", "revoke", a, code=FAILED).stderr


@pytest.mark.parametrize("args, word", [
    ((), "missing"), (("make", "x"), "make"), (("create",), "create NAME"), (("create", "a", "b"), "create NAME"), (("list", "x"), "list"),
    (("revoke",), "revoke NAME"), (("list", "--role", "reader"), "list"), (("create", "x", "--expires", "soon"), "soon"),
    (("create", "x", "--expires", "10ms"), "second")])
def test_usage(aod, args, word):
    p = ctl(aod, "token", *args, code=USAGE)
    assert word in p.stderr and p.stdout == ""


def test_what_the_server_refuses(aod):
    assert "role" in ctl(aod, "token", "create", nm(), "--role", "emperor", code=FAILED).stderr
    assert ctl(aod, "token", "create", "no name", code=FAILED).stderr
    assert "not found" in ctl(aod, "token", "create", nm(), "--session", "no-such-session", code=FAILED).stderr


def test_a_reader_reads(aod):
    t = ctl(aod, "token", "create", nm(), "--role", "reader").stdout.strip()
    ctl(aod, "list", "--url", aod.url, "--token", t, socket=False)
    p = ctl(aod, "delete", "--all", "-f", "--url", aod.url, "--token", t, socket=False, code=FAILED)
    assert "session.delete-all" in p.stderr or "may not" in p.stderr
    ctl(aod, "list", "--url", aod.url, "--token", "aod_" + "0" * 64, socket=False, code=FAILED)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    d = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(d / "key.pem"), "-out", str(d / "cert.pem")],
                   stderr=subprocess.DEVNULL, check=True)
    with Aod(args=["--listen", "0.0.0.0", "--tls-cert", str(d / "cert.pem"), "--tls-key", str(d / "key.pem")]) as a:
        a.cert = str(d / "cert.pem")
        yield a


def test_over_tls(tls, tmp_path):
    url = "https://localhost:%d" % tls.ports["runtime"]
    t = ctl(tls, "token", "create", nm(), "--role", "operator").stdout.strip()
    trust = ["--url", url, "--cacert", tls.cert]
    sid = json.loads(ctl(tls, "run", "-d", "--json", *trust, "--token", t, "--", "/bin/true", socket=False).stdout)["session"]["session_id"]
    ctl(tls, "wait", sid, *trust, socket=False, env={"AOD_TOKEN": t})
    ctl(tls, "logs", "-f", sid, socket=False, env={"AOD_TOKEN": t, "AOD_URL": url, "AOD_CACERT": tls.cert})
    (tmp_path / "aod").mkdir()
    (tmp_path / "aod" / "token").write_text(t + "\n")
    assert sid in ctl(tls, "list", "--json", *trust, socket=False, env={"XDG_CONFIG_HOME": str(tmp_path)}).stdout
    # Documents, both ways, at their own port.
    docs = ["--url", "https://localhost:%d" % tls.ports["context"], "--cacert", tls.cert, "--token", t]
    d = json.loads(ctl(tls, "doc", "push", "-", "--name", "x.txt", *docs, socket=False, input="over tls").stdout)
    assert ctl(tls, "doc", "read", d["id"], *docs, socket=False).stdout == "over tls"
    # Without a token, and without trust.
    none = {"XDG_CONFIG_HOME": str(tmp_path / "none"), "HOME": str(tmp_path)}
    assert "token" in ctl(tls, "list", *trust, socket=False, env=none, code=FAILED).stderr.lower()
    p = tls.aoctl("list", "--url", url, "--token", t, socket=False)
    assert p.returncode == FAILED and "certificate" in p.stderr.lower()
