"""Plugins imported in other processes, so that none can hurt who asks."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

PATIENCE = 30.0
"""Seconds that an import may take."""
_LONGEST = 65536
_AT_ONCE = 2
_KEPT = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV", "POINTSMAN_PLUGINS", "SYSTEMROOT")
_KEPT_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON")


@dataclass(frozen=True, slots=True)
class Found:
    """What came of the import of one plugin. `wrong`: by `kind name`, None where nothing is."""

    import_ms: float | None
    wrong: Mapping[str, str | None]


def probe(
    plugins: Sequence[Sequence[tuple[str, str]]], rules: Any = None, *, patience: float = PATIENCE
) -> list[Found]:
    """What comes of importing each of `plugins`, given as the kinds and names that it offers.

    Each is imported in a process of its own.

    Args:
        rules: what the configuration says of plugins, as keys and values.
        patience: seconds for each.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [each for (each,) in pool.map(lambda names: _probe([names], rules, patience), plugins)]


def probe_together(plugins: Sequence[Sequence[tuple[str, str]]], rules: Any = None) -> list[Found]:
    """The same in one process, in a fraction of the time: for those that are trusted to end.

    Where they do not, each is imported by itself after all.
    """
    found = _probe(plugins, rules, PATIENCE)
    return probe(plugins, rules) if any(each.import_ms is None for each in found) else found


def _probe(plugins: Sequence[Sequence[tuple[str, str]]], rules: Any, patience: float) -> list[Found]:
    names = [list(each) for each in plugins]
    given = json.dumps({"path": sys.path, "rules": rules, "plugins": names}) + "\n"
    environment = {key: value for key, value in os.environ.items() if _is_kept(key)}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pointsman_cli.probe"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,  # it is given no credentials
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(given.encode())
            process.stdin.close()
        said, why = _line(process.stdout.fileno(), patience)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    return _read(said, plugins, why)


def _is_kept(variable: str) -> bool:
    return variable in _KEPT or variable.startswith(_KEPT_PREFIXES)


def _line(descriptor: int, patience: float) -> tuple[bytes, str]:
    """The first line that comes, and what is wrong when there is none."""
    until, said = monotonic() + patience, b""
    while b"\n" not in said and len(said) <= _LONGEST:
        left = until - monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return b"", f"its import did not end within {patience:g} s"
        piece = os.read(descriptor, _LONGEST)
        if not piece:
            return b"", "its import ended the process"
        said += piece
    return said.partition(b"\n")[0], "its import said what nobody understands"


def _read(said: bytes, plugins: Sequence[Sequence[tuple[str, str]]], why: str) -> list[Found]:
    """What the process said, believed as far as it has the right shape: a plugin may have said it."""
    try:
        told = json.loads(said)
        return [_found(one, names) for one, names in zip(told, plugins, strict=True)]
    except (ValueError, KeyError, TypeError):
        return [Found(None, {f"{kind} {name}": why for kind, name in names}) for names in plugins]


def _found(told: Any, names: Sequence[tuple[str, str]]) -> Found:
    milliseconds, wrong = told["ms"], told["wrong"]
    found = {f"{kind} {name}": wrong[f"{kind} {name}"] for kind, name in names}
    number = isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool)
    return Found(
        round(milliseconds, 1) if number else None,
        {key: None if each is None else str(each)[:2000] for key, each in found.items()},
    )
