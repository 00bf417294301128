"""Starts the process of a check, and reads what it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, convert

from pointsman.testing.checking.offered import Offered

_CHILD = Path(__file__).with_name("child.py")
"""Run as a file: pytest rewrites the assertions of no package that was imported before it."""
_TO_ITS_END = (0, 1, 2, 5)
"""Exit codes of pytest: all passed, some failed, something could not be collected, there was nothing."""
_USAGE = 4
_INTERNAL = "INTERNALERROR> "


class CheckImpossible(Exception):
    """It cannot be tried at all; the message says why, and what would help."""


class Checked(Struct, frozen=True):
    """What became of one rule.

    Attributes:
        id, sentence, why, link: of the rule.
        of: the class of tests.
        test: its name.
        result: `expected` is a failure that stands in `xfail`.
        found: what was wrong, why it was not tried, or what was measured.
        seconds: that it took.
    """

    id: str
    sentence: str
    why: str
    link: str
    of: str
    test: str
    result: Literal["held", "broken", "expected", "skipped"]
    found: str
    seconds: float


class CheckBegun(Struct, frozen=True):
    """How many rules will be tried."""

    count: int


class CheckNote(Struct, frozen=True):
    """What was not tried and why, or what kept something from being tried: that is a fault."""

    text: str
    fault: bool = False


CheckEvent = Checked | CheckBegun | CheckNote


def check(
    distribution: str, *, tests: Sequence[Path] = (), rules: Sequence[str] = ()
) -> Iterator[CheckEvent]:
    """What becomes of each rule of `distribution`, as it is tried.

    Args:
        tests: files or folders with its contracts, in place of those in its entry points.
        rules: ids or kinds; all of them without any.

    Raises: CheckImpossible.
    """
    _refuse_what_cannot_be(distribution, tests)
    words = [*(f"--rule={each}" for each in rules), *(f"--tests={each.resolve()}" for each in tests)]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryDirectory() as elsewhere:
        process = subprocess.Popen(  # noqa: S603 - it is this Python
            [sys.executable, "-P", str(_CHILD), distribution, *words],
            stdout=subprocess.PIPE,
            stderr=said,
            stdin=subprocess.DEVNULL,
            # Tests of its own may count on where they are; hypothesis leaves files where it runs.
            cwd=None if tests else elsewhere,
            env=_environ(own=not tests),
            text=True,
        )
        try:
            assert process.stdout is not None
            yield from (told for line in process.stdout for told in _as_told(json.loads(line)))
            process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").strip().splitlines()
        lines = [each for each in lines if each.startswith(_INTERNAL)] or lines
        last = lines[-1].removeprefix(_INTERNAL)[-500:] if lines else "nothing"
        if process.returncode == _USAGE:
            raise CheckImpossible(last.removeprefix("ERROR: ").replace("--pointsman-rule", "--rule"))
        if process.returncode not in _TO_ITS_END:
            how = f"the process in which it was tried ended with code {process.returncode}"
            yield CheckNote(f"{how} and said: {last}", fault=True)


def _refuse_what_cannot_be(distribution: str, tests: Sequence[Path]) -> None:
    if missing := [name for name in ("pytest", "hypothesis") if find_spec(name) is None]:
        raise CheckImpossible(
            f"a check needs {' and '.join(missing)}, which nobody has installed here: "
            "pip install 'pointsman[testing]'"
        )
    for each in tests:
        if not each.exists():
            raise CheckImpossible(f"there is no {str(each)!r}")
    try:
        Offered(distribution)
    except LookupError as error:
        raise CheckImpossible(str(error.args[0])) from None


def _environ(*, own: bool) -> dict[str, str]:
    """That of the process: without what would leave plugins out, and without others' plugins of pytest."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("POINTSMAN_PLUGINS", "PYTEST_ADDOPTS")
    }
    return kept | ({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if own else {})


def _as_told(told: dict[str, Any]) -> Iterator[CheckEvent]:
    match told.pop("event"):
        case "rule":
            yield convert(told, Checked)
        case "collected":
            yield CheckBegun(told["count"])
        case "note":
            yield CheckNote(told["text"])
        case "error":
            yield CheckNote(told["text"], fault=True)
