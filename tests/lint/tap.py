# SPDX-License-Identifier: MIT
"""What the lints share: where the tree is, which files are in it, C text without comments, and TAP."""
import os
import re
import subprocess
import sys

TOP = os.environ.get("AOD_SRCDIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_results = []


def check(name, problems):
    """One test: passed when there are no problems."""
    _results.append(bool(problems))
    for p in problems:
        print("# " + p)
    print("%sok %d - %s" % ("not " if problems else "", len(_results), name), flush=True)


def skip(name, why):
    _results.append(False)
    print("ok %d - %s # SKIP %s" % (len(_results), name, why), flush=True)


def done():
    print("1..%d" % len(_results))
    sys.exit(1 if any(_results) else 0)


def path(rel):
    return os.path.join(TOP, rel)


def read(rel):
    with open(path(rel), encoding="utf-8", errors="replace") as f:
        return f.read()


def walk(*tops, suffix=()):
    """Files below some folders of the tree, by their path in it, in order."""
    out = []
    for top in tops:
        for folder, dirs, names in os.walk(path(top)):
            dirs[:] = [d for d in dirs if d not in ("node_modules", "__pycache__", ".pytest_cache", "build-aux")]
            out += [os.path.relpath(os.path.join(folder, n), TOP) for n in names if n.endswith(suffix or "")]
    return sorted(out)


def tracked():
    """What git has, or None where this is no checkout (a tarball)."""
    if not os.path.exists(path(".git")):
        return None
    try:
        out = subprocess.run(["git", "-c", "safe.directory=*", "-C", TOP, "ls-files", "-z"], check=True, stdout=subprocess.PIPE)
    except (OSError, subprocess.CalledProcessError):
        return None
    return sorted(f for f in out.stdout.decode().split("\0") if f and os.path.isfile(path(f)))


_C_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def c_code(text):
    """C text with comments and the insides of strings blanked, lines kept."""
    def blank(m):
        t = m.group(0)
        return t[0] + t[0] if t[0] in "\"'" else re.sub(r"[^\n]", " ", t)
    return _C_TOKEN.sub(blank, text)
