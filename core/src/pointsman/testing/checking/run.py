"""Starts the process of a check, and reads what it tells."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from msgspec import Struct, convert

from pointsman.testing.checking.offered import Offered

_CHILD = Path(__file__).with_name("child.py")
"""Run as a file: pytest rewrites the assertions of no package that was imported before it."""
_TO_ITS_END = (0, 1, 2, 5)
"""Exit codes of pytest: all passed, some failed, something could not be collected, there was nothing."""
_INTERRUPTED, _USAGE = 2, 4
_INTERNAL = "INTERNALERROR> "
_NOT_ASKED_RIGHT = "was not asked right"
PATIENCE = 300.0
"""Seconds that one rule may take: a real upstream may be asked by it, and a machine may be busy."""
_GRACE = 5.0
_LOOKS_EVERY = 1.0


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
    distribution: str,
    *,
    tests: Sequence[Path] = (),
    rules: Sequence[str] = (),
    patience: float = PATIENCE,
) -> Iterator[CheckEvent]:
    """What becomes of each rule of `distribution`, as it is tried.

    Args:
        tests: files or folders with its contracts, in place of those in its entry points.
        rules: ids or kinds; all of them without any.
        patience: seconds for one rule, and for whatever comes before the first.

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
            start_new_session=True,
        )
        try:
            wrong = yield from _heard(process, patience)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # with what the plugin has started and left there
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if wrong is not None:
            said.seek(0)
            lines = said.read().decode("utf-8", "replace").strip().splitlines()
            lines = [each for each in lines if each.startswith(_INTERNAL)] or lines
            last = lines[-1].removeprefix(_INTERNAL)[-500:] if lines else "nothing"
            if wrong == _NOT_ASKED_RIGHT:
                raise CheckImpossible(last.removeprefix("ERROR: ").replace("--pointsman-rule", "--rule"))
            yield CheckNote(f"the process in which it was tried {wrong}, and said: {last}", fault=True)


def _heard(process: subprocess.Popen[bytes], patience: float) -> Generator[CheckEvent, None, str | None]:
    """What `process` tells; at the end, what it did in place of telling all, as the end of a sentence."""
    count, rules, faults = 0, 0, 0
    try:
        for line in _lines(process, patience):
            told = json.loads(line)
            if told["event"] == "ended":
                return _ended(told["code"], count - rules, faults)
            event = _as_told(told)
            count += event.count if isinstance(event, CheckBegun) else 0
            rules += isinstance(event, Checked)
            faults += isinstance(event, CheckNote) and event.fault
            yield event
    except TimeoutError:
        return f"was silent for {patience:g} s, was ended after {rules} of {count} rules"
    except (ValueError, KeyError, TypeError):
        return "told what nobody understands, was ended"
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    return f"ended with code {process.poll()} after {rules} of {count} rules"


def _ended(code: int, left: int, faults: int) -> str | None:
    """What `_heard` returns for a run of pytest that ended with `code`."""
    if code == _USAGE:
        return _NOT_ASKED_RIGHT
    if code not in _TO_ITS_END:
        return f"ended with code {code}"
    interrupted = left > 0 or code == _INTERRUPTED  # which is also the code where a file cannot be imported
    return "was interrupted" if interrupted and not faults else None


def _lines(process: subprocess.Popen[bytes], patience: float) -> Iterator[bytes]:
    """What comes from `process` until it ends, whoever else holds its output open. Raises TimeoutError."""
    assert process.stdout is not None
    rest, until = b"", monotonic() + patience
    while True:
        gone = process.poll() is not None
        if not select.select([process.stdout], [], [], 0.0 if gone else _LOOKS_EVERY)[0]:
            if gone:
                return
            if monotonic() >= until:
                raise TimeoutError
            continue
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        if lines:
            until = monotonic() + patience
        yield from lines


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


def _as_told(told: dict[str, Any]) -> CheckEvent:
    """Raises ValueError, KeyError or TypeError for what is nothing that could be told."""
    match told.pop("event"):
        case "rule":
            return convert(told, Checked)
        case "collected":
            return convert(told, CheckBegun)
        case "note":
            return CheckNote(str(told["text"]))
        case "error":
            return CheckNote(str(told["text"]), fault=True)
    raise ValueError
