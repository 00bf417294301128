"""Official SDKs of the generation before, in an environment of their own that is kept between runs.

def test_…(pytestconfig: pytest.Config) -> None:
    interpreter = older_sdks(pytestconfig)
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from one_at_a_time import one_at_a_time

REQUIREMENTS = ("anthropic==0.76.0", "ollama==0.4.7", "openai==1.109.1")


def older_sdks(config: pytest.Config) -> Path:
    """The interpreter that has them. Skips the test, by name, where they cannot be had."""
    assert config.cache is not None
    key = sha256(repr((REQUIREMENTS, sys.version)).encode()).hexdigest()[:12]
    return _made(config.cache.mkdir("older-sdks") / key)


@cache
def _made(folder: Path) -> Path:
    interpreter, complete = folder / "bin" / "python", folder / "complete"
    with one_at_a_time(folder):
        if complete.exists():
            return interpreter
        try:
            _uv("venv", "--clear", "--python", sys.executable, folder, within=folder.parent)
            _uv("pip", "install", "--python", interpreter, *REQUIREMENTS, within=folder)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"the older SDKs ({', '.join(REQUIREMENTS)}) cannot be had here: {error}")
        complete.touch()
    return interpreter


def _uv(*arguments: str | Path, within: Path) -> None:
    # Not below the project's root: its constraints are those of the SDKs of today.
    command = ("uv", *map(str, arguments), "--quiet", "--no-config")
    subprocess.run(command, cwd=within, check=True, timeout=120, capture_output=True)
