"""The machine: limits, disk, terminal, versions, and the environment."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from pointsman_cli.doctor.configuration import Given, variables_of
from pointsman_cli.doctor.findings import Checked, fail, ok, warn
from pointsman_cli.output import counted

_SPARE_FILES = 64
"""What a process has open besides connections."""
_FEW_FILES = 1024
_LITTLE, _NEXT_TO_NOTHING = 1 << 30, 64 << 20
VARIABLES = (
    "POINTSMAN_AUDIT_KEY",
    "POINTSMAN_CONFIG",
    "POINTSMAN_KEY",
    "POINTSMAN_KEYSTORE_NEW_PASSPHRASE",
    "POINTSMAN_KEYSTORE_PASSPHRASE",
    "POINTSMAN_LIVE",
    "POINTSMAN_PLUGINS",
    "POINTSMAN_SEED",
)
"""Those that we read, or suggest as a name."""


def files(case: Given, limit: int | None = None) -> Iterator[Checked]:
    """How many files may be open, against how many calls may run.

    Args:
        limit: None: that of this process; -1 for none.
    """
    if limit is None:
        try:
            import resource
        except ImportError:  # not on Windows, which has no such limit
            return
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        limit = -1 if limit == resource.RLIM_INFINITY else limit
    if limit < 0:
        yield ok("open files", "no limit")
        return
    room = max(0, limit - _SPARE_FILES) // 2  # a caller and an upstream for each call through a gateway
    said = f"at most {limit}: some {room} calls at once through a gateway"
    wanted = 0
    if case.config is not None:
        deployments = (each for model in case.config.models.values() for each in model.deployments)
        wanted = sum(each.max_in_flight or 0 for each in deployments)
    if wanted > room:
        yield warn("open files", f"{said}, and deployments allow {wanted}", f"ulimit -n {2 * wanted + 1024}")
    elif limit < _FEW_FILES:
        yield warn("open files", said, "ulimit -n 65536")
    else:
        yield ok("open files", said)


def audit(case: Given) -> Iterator[Checked]:
    """Whether records can be written where the configuration has them, who reads them, and the room."""
    sinks = case.config.audit if case.config is not None else ()
    for sink in sinks:
        if isinstance(path := sink.settings.get("path"), str):
            yield from _folder(Path(path))


def _folder(folder: Path) -> Iterator[Checked]:
    about = f"audit in {folder}"
    there = (
        folder if folder.exists() else next(each for each in (*folder.absolute().parents,) if each.exists())
    )
    if not os.access(there, os.W_OK | os.X_OK):
        yield fail(about, f"{there} cannot be written by this user", "calls would go on, and records be lost")
        return
    free = shutil.disk_usage(there).free
    said = f"{free / 1e9:.1f} GB free"
    if free < _NEXT_TO_NOTHING:
        yield fail(about, said, "records are lost once the disk is full: make room")
    elif free < _LITTLE:
        yield warn(about, said, "records are lost once the disk is full: make room")
    elif folder.exists() and os.name == "posix" and folder.stat().st_mode & 0o007:
        yield warn(about, f"{said}; everybody on this machine can get at it", f"chmod o-rwx {folder}")
    else:
        yield ok(about, said)


def terminal(stream: TextIO, environ: Mapping[str, str]) -> Iterator[Checked]:
    """What `stream` is, how wide, with or without colours, and in which encoding."""
    encoding = (stream.encoding or "").lower()
    if not stream.isatty():
        yield ok("output", f"no terminal; {encoding}")
        return
    width = shutil.get_terminal_size().columns
    plain = "NO_COLOR" if environ.get("NO_COLOR") else "TERM=dumb" if environ.get("TERM") == "dumb" else ""
    said = f"{width} columns, {f'no colours ({plain})' if plain else 'colours'}, {encoding}"
    if encoding.replace("-", "") != "utf8":
        yield warn("terminal", said, "what it cannot show is written as escapes; LC_ALL=C.UTF-8 helps")
    elif width < 60:
        yield warn("terminal", said, "tables are wrapped; 80 columns are enough")
    else:
        yield ok("terminal", said)


def versions() -> Iterator[Checked]:
    """What this runs on."""
    ours, core = version("pointsman-cli"), version("pointsman")
    if ours != core:
        yield warn("pointsman", f"{core}, and its command {ours}", f"pip install pointsman-cli=={core}")
    else:
        yield ok("pointsman", core)
    yield ok("python", f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}")
    yield ok("system", f"{platform.system()} {platform.release()} {platform.machine()}")


def variables(environ: Mapping[str, str], case: Given) -> Iterator[Checked]:
    """Which of our variables are set; of their values only the path of the configuration is shown."""
    from pointsman._internal.suggest import did_you_mean

    named = variables_of(case.data)
    for name in sorted(each for each in environ if each.startswith("POINTSMAN_")):
        if name == "POINTSMAN_CONFIG":
            yield ok(name, environ[name])
        elif name in VARIABLES or name in named:
            yield ok(name, "set")
        else:
            yield warn(name, "nothing reads it", did_you_mean(name, (*VARIABLES, *named)) or "")


def count(checks: Sequence[Checked], state: str) -> int:
    """How many ended so."""
    return sum(1 for each in checks if each.state == state)


def summary(checks: Sequence[Checked]) -> str:
    """`21 ok, 2 warnings, 1 failure`"""
    warnings, failures = count(checks, "warn"), count(checks, "fail")
    return f"{count(checks, 'ok')} ok, {counted(warnings, 'warning')}, {counted(failures, 'failure')}"


def as_data(group: str, check: Checked) -> Mapping[str, Any]:
    """For programs."""
    return {
        "group": group,
        "state": check.state,
        "about": check.about,
        "said": check.said,
        "hint": check.hint,
    }
