"""One virtual environment for each peer, outside of the project, with pinned versions."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
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


def python(name: str, directory: Path, requirements: Sequence[str] | None = None) -> str:
    """The interpreter of the environment for `name`, made in `directory` when it is not there yet.

    `requirements` are those of the peer `name` where they are not given; without any, it is this interpreter.

    Raises: Unavailable.
    """
    needed = REQUIREMENTS[name] if requirements is None else tuple(requirements)
    if not needed:
        return sys.executable

    def install(place: Path) -> None:
        executable = str(_executable(place))
        uv = shutil.which("uv")
        if uv:
            run([uv, "venv", "--quiet", "--python", sys.executable, str(place)])
            run([uv, "pip", "install", "--quiet", "--python", executable, *needed])
        else:
            run([sys.executable, "-m", "venv", str(place)])
            run([executable, "-m", "pip", "install", "--quiet", *needed])

    return str(_executable(made(name, (needed, sys.version), directory, install)))


def made(name: str, what: object, directory: Path, install: Callable[[Path], None]) -> Path:
    """The folder in `directory` with `what` installed for `name`; `install` does so once.

    Raises: Unavailable.
    """
    mark = hashlib.sha256(repr(what).encode()).hexdigest()[:8]
    place = directory / f"{name}-{mark}"
    ready = place / "ready"
    if not ready.exists():
        shutil.rmtree(place, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        install(place)
        ready.touch()
    return place


def _executable(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(command: list[str]) -> None:
    """Run it to its end. Raises Unavailable with what it said last."""
    outside = tempfile.gettempdir()  # the project's own constraints are not those of its peers
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_WITHIN, cwd=outside)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not installed within {INSTALL_WITHIN:.0f} s") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Unavailable("cannot be installed: " + (lines[-1] if lines else f"exit {done.returncode}")[:300])
