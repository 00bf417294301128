"""One virtual environment for each peer, outside of the project, with pinned versions."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "raw": ("httptools==0.9.0", "orjson==3.13.0"),
    "aiohttp": ("aiohttp==3.14.5", "orjson==3.13.0"),
    "httpx": ("httpx==0.28.1",),
    "openai": ("openai==3.52.0",),
    "litellm": ("litellm==1.106.2",),
    "tensorzero": ("tensorzero==2026.6.0",),
    "any-llm": ("any-llm-sdk[openai]==1.40.2",),
    "pointsman": (),  # runs where this runs: it is what the working tree holds
}
INSTALL_WITHIN = 600.0


class Unavailable(Exception):
    """A peer's environment cannot be made; the message says why."""


def default_directory() -> Path:
    """Where environments are kept from one run to the next."""
    cache = os.environ.get("XDG_CACHE_HOME")
    home = Path(cache) if cache else Path.home() / ".cache"
    return (home if os.access(home.parent, os.W_OK) else Path(tempfile.gettempdir())) / "pointsman-peers"


def python(name: str, directory: Path) -> str:
    """The interpreter of the environment for `name`, made in `directory` when it is not there yet.

    Raises: Unavailable.
    """
    requirements = REQUIREMENTS[name]
    if not requirements:
        return sys.executable
    mark = hashlib.sha256(repr((requirements, sys.version)).encode()).hexdigest()[:8]
    place = directory / f"{name}-{mark}"
    executable = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = place / "ready"
    if not ready.exists():
        shutil.rmtree(place, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        uv = shutil.which("uv")
        if uv:
            _run([uv, "venv", "--quiet", "--python", sys.executable, str(place)])
            _run([uv, "pip", "install", "--quiet", "--python", str(executable), *requirements])
        else:
            _run([sys.executable, "-m", "venv", str(place)])
            _run([str(executable), "-m", "pip", "install", "--quiet", *requirements])
        ready.touch()
    return str(executable)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_WITHIN)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not installed within {INSTALL_WITHIN:.0f} s") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Unavailable("cannot be installed: " + (lines[-1] if lines else f"exit {done.returncode}")[:300])
