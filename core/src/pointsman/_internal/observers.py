"""Listeners are others' code: one that raises must not fail the call that it hears about."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction


def fails(listener: Callable[..., object] | None, *told: object) -> bool:
    """Call `listener`, if there is one, with what it is told. Returns whether it raised."""
    if listener is not None:
        try:
            listener(*told)
        except Exception:
            return True
    return False


def check(listener: object, kinds: object) -> None:
    """Raise TypeError where `listener` could not be told of anything, or `kinds` is one and no list."""
    if not callable(listener):
        raise TypeError(f"a listener is called with each event; {listener!r} cannot be")
    if iscoroutinefunction(listener) or iscoroutinefunction(type(listener).__call__):
        raise TypeError(f"nobody awaits a listener: write {listener!r} without `async`")
    if isinstance(kinds, type):
        raise TypeError(f"kinds is a list of events: write kinds=[{kinds.__name__}]")
