# SPDX-License-Identifier: MIT
"""The examples of README.md do what it says: every sh block after `<!-- test -->` is run and must succeed; after
`<!-- test: TEXT -->` its output must hold TEXT as well. All blocks run in order, in one aod."""
import os
import re
import subprocess

import pytest

import aod as lib

BLOCK = re.compile(r"<!-- test(?:: (.*?))? -->\n+```sh\n(.*?)```", re.S)

with open(os.path.join(lib.SRC, "README.md"), encoding="utf-8") as _f:
    BLOCKS = BLOCK.findall(_f.read())


def test_there_are_examples():
    assert len(BLOCKS) >= 5


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_example(aod, number):
    wanted, text = BLOCKS[number]
    # As a reader would type it, but for the port, the root and the build directory.
    text = text.replace("http://127.0.0.1:8765", aod.url).replace(".root", aod.root)
    text = re.sub(r"(?m)(^|[ |(])build/", lambda m: m.group(1) + lib.BUILD + "/", text)
    r = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", text], cwd=aod.base, env=lib.clean_env(), timeout=60, text=True,
                       errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert r.returncode == 0, r.stdout
    assert wanted in r.stdout
