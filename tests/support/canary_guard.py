"""The guard of the whole suite: what a test prints, logs, raises, measures, shows and writes holds no canary.

A canary is one of those that `canaries` names, and whatever a test makes a `Secret` of that has the word in it.
A test that has to let one out says where, and why: `@pytest.mark.canary_in("file p.yaml", reason="…")`. What it
writes itself, with `Path.write_text` or `write_bytes`, needs no mark: a configuration or a credential file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial, wraps
from inspect import currentframe
from pathlib import Path
from typing import Any

import pytest
from canaries import EVERY, OTHERS

from pointsman.auth import Secret
from pointsman.router import Router
from pointsman.testing.canaries import Canaries

MARK = "canary_in"
_TESTS = str(Path(__file__).parents[1])
_LOOKED_AT = 20
"""Errors, and states, of one test. Thousands of them, as of a property, differ in nothing that matters here."""


class CanaryGuard:
    """Remembers of the test that runs which canaries it has, and where some were seen."""

    def __init__(self) -> None:
        self._canaries = Canaries((*EVERY, *OTHERS))
        self._seen: list[str] = []
        self._written: set[Path] = set()
        self._own = 0
        self._left = _LOOKED_AT

    def begin(self) -> None:
        """Another test."""
        self._canaries = Canaries((*EVERY, *OTHERS))
        self._seen, self._written, self._own, self._left = [], set(), 0, _LOOKED_AT

    def knows_of(self, value: object) -> None:
        """A `Secret` of `value` is made."""
        if isinstance(value, str) and "canary" in value and len(value) >= 8:
            self._canaries.add(value)
            self._own += 1

    def look(self, where: str, text: Callable[[], str]) -> None:
        """Look at what a test is shown; without a canary of its own nothing can be in it."""
        if self._own and self._left:
            self._left -= 1
            self._note(where, self._canaries.in_text(text()))

    def look_at_error(self, error: BaseException) -> None:
        if self._left:
            self._left -= 1
            self._note("raised", self._canaries.in_error(error))

    def look_at_output(self, *said: str | bytes | None) -> None:
        """Look at what a program or a function that was tried has printed, which the test has read."""
        for each in said:
            if each:
                text = each.decode("latin-1") if isinstance(each, bytes) else each
                self._note("printed", self._canaries.in_text(text))

    def writes(self, path: Path, by: str) -> None:
        """A file is written by the code in the file `by`."""
        if by.startswith(_TESTS) or Path(by).name.startswith("test_"):
            self._written.add(path)

    def found(self, item: pytest.Item, when: str, printed: str) -> list[str]:
        """Where, and in which form, the test has let one out, as far as it is now, but for where it may."""
        self._note("printed", self._canaries.in_text(printed))
        folder = getattr(item, "funcargs", {}).get("tmp_path")
        if when == "call" and isinstance(folder, Path):
            fixtures = self._written
            for name, forms in self._canaries.in_files(
                folder, but=lambda one: folder / one in fixtures
            ).items():
                self._note(f"file {name}", forms)
        allowed = [pattern for mark in item.iter_markers(MARK) for pattern in mark.args]
        found, self._seen = self._seen, []
        return [each for each in found if not any(fnmatch(each.partition(": ")[0], one) for one in allowed)]

    def _note(self, where: str, forms: list[str]) -> None:
        if forms:
            self._seen.append(f"{where}: {', '.join(forms[:3])}")


def watch(guard: CanaryGuard, patch: pytest.MonkeyPatch) -> None:
    """Have `guard` hear of every secret that is made, and see what tests catch and are shown."""
    after = partial(_after, patch=patch)
    after(Secret, "__init__", lambda _made, _self, value, *_: guard.knows_of(value))
    after(
        pytest.RaisesExc,
        "__exit__",
        lambda _made, _self, _kind, error, *_: error and guard.look_at_error(error),
    )
    after(pytest.CaptureFixture, "readouterr", lambda made, *_: guard.look_at_output(made.out, made.err))
    after(subprocess, "run", lambda made, *_: guard.look_at_output(made.stdout, made.stderr))
    for name in ("write_text", "write_bytes"):
        after(Path, name, lambda _made, path, *_: guard.writes(path, _writer()))
    after(Router, "explain", lambda made, *_: guard.look("explained", lambda: repr(made)))
    after(
        Router,
        "__init__",
        lambda _made, router, *_: guard.look("configuration", lambda: _shown(router.config)),
    )
    after(Router, "status", lambda made, *_: guard.look("status", lambda: repr(made)))


def watch_metrics(guard: CanaryGuard, patch: pytest.MonkeyPatch) -> None:
    """Have `guard` see what is measured, once somebody has imported what measures."""
    module = sys.modules.get("pointsman_telemetry.metrics")
    if module is None or hasattr(module.Metrics.exposition, "__wrapped__"):
        return
    _after(
        module.Metrics, "exposition", lambda made, *_: guard.look("measured", lambda: made[0].decode()), patch
    )


def _after(home: Any, name: str, seen: Callable[..., None], patch: pytest.MonkeyPatch) -> None:
    """Have `seen` called with what `home.name` returned, and with what that was given."""
    before = getattr(home, name)

    @wraps(before)
    def wrapped(*args: Any, **more: Any) -> Any:
        made = before(*args, **more)
        seen(made, *args)
        return made

    patch.setattr(home, name, wrapped)


def _writer() -> str:
    """The file of the code that has called what is watched: behind this, the watcher, and what wraps it."""
    frame = currentframe()
    for _ in range(3):
        frame = frame and frame.f_back
    return frame.f_code.co_filename if frame else ""


def _shown(config: Any) -> str:
    return f"{config!r} {config.model_dump_json()}"


def allowed_without_reason(items: list[pytest.Item]) -> Iterator[str]:
    """Tests that let canaries out and do not say why."""
    for item in items:
        for mark in item.iter_markers(MARK):
            if not mark.kwargs.get("reason") or not mark.args:
                yield item.nodeid
