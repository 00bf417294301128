"""Who waits until nothing is at work any more, be it calls, requests or connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol


class IdleNotice:
    """Tells, once each, those who wait until something is idle.

    Attributes:
        waiting: whom to tell; who counts what is at work looks here first and calls `tell` at the last of it.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def add(self, tell: Callable[[], None], *, idle: bool) -> None:
        """Call `tell` now when it is `idle`, else with the next `tell`."""
        if idle:
            tell()
        else:
            self.waiting.append(tell)

    def tell(self) -> None:
        """It is idle now."""
        waiting, self.waiting = self.waiting, []
        for tell in waiting:
            tell()


class Idle(Protocol):
    """What can tell when nothing of it is at work any more."""

    def when_idle(self, tell: Callable[[], None], /) -> None:
        """Call `tell` once it is idle; it may be now."""


def when_all_idle(those: Sequence[Idle], tell: Callable[[], object]) -> None:
    """Call `tell` once each of `those` has been idle; it may be now."""
    left = len(those)

    def idle() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            tell()

    if not those:
        tell()
    for each in those:
        each.when_idle(idle)


async def all_idle(those: Sequence[Idle], *, within: float | None = None) -> bool:
    """Wait until each of `those` has been idle, at most `within` seconds. Whether that was so in time."""
    idle = asyncio.Event()
    when_all_idle(those, idle.set)
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await idle.wait()
    return idle.is_set()
