"""Official SDKs for Node, in a folder of their own that is kept between runs.

async def test_…(pytestconfig: pytest.Config) -> None:
    folder = node_sdks(pytestconfig)  # for the variable NODE_PATH, or to resolve imports from
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from one_at_a_time import one_at_a_time

PACKAGES = ("openai@6.49.0", "@anthropic-ai/sdk@1.14.0")


def node_sdks(config: pytest.Config) -> Path:
    """A folder whose `node_modules` hold them. Skips the test, by name, where they cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed here")
    assert config.cache is not None
    name = "-".join(each.replace("/", "_") for each in PACKAGES)
    return _made(config.cache.mkdir("node-sdks") / name)


@cache
def _made(folder: Path) -> Path:
    complete = folder / "complete"
    options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
    with one_at_a_time(folder):
        if complete.exists():
            return folder
        folder.mkdir(exist_ok=True)
        try:
            subprocess.run(("npm", "install", *options, *PACKAGES), cwd=folder, check=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"the SDKs for Node ({', '.join(PACKAGES)}) cannot be had here: {error}")
        complete.touch()
    return folder
