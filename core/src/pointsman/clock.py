"""Time and chance, handed in wherever a decision needs them.

Nothing else in the core reads a clock or rolls dice; a test keeps it so. Under a virtual event loop the
same code therefore runs an hour of traffic in a second, and a seed replays it.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from asyncio import get_running_loop
from collections.abc import Callable
from typing import Protocol


class Rng(Protocol):
    """The source of chance; `random.Random` is one."""

    def random(self) -> float:
        """A float, 0 <= x < 1."""

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""


class Clock(Protocol):
    """The source of time."""

    def now(self) -> float:
        """Seconds on a clock that only moves forward; only differences mean anything."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, 0 or more."""


class LoopClock:
    """The time of the running event loop, so that a virtual loop moves it.

    Each clock goes with one loop at a time: it keeps to the first one that it finds running for as long as
    that runs, in whatever thread it is asked. Where none runs (a look at the state afterwards) it is the time
    of the last one; before the first it raises RuntimeError. Asyncio's own loops all have the time of the
    machine, as on Linux has uvloop's, and a clock that has found one of them keeps to that.

    Attributes:
        now: seconds on a clock that only moves forward. No method: a call reads it three times, and with the
            machine's time it is the system's own function.
    """

    __slots__ = ("_loop", "now")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self.now: Callable[[], float] = self._of_loop

    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _of_loop(self) -> float:
        loop = self._loop
        # Looking for the running one is dearer: in CPython 3.11 each look is a system call (getpid).
        if loop is None or not loop.is_running():
            loop = self._running()
            if type(loop).time is asyncio.BaseEventLoop.time or _cuts_to_milliseconds(loop):
                self.now = time.monotonic
        return loop.time()

    def _running(self) -> asyncio.AbstractEventLoop:
        try:
            self._loop = get_running_loop()
        except RuntimeError:
            if self._loop is None:
                raise
        return self._loop


def _cuts_to_milliseconds(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether its time is the machine's, without what is less than a millisecond."""
    return sys.platform == "linux" and type(loop).__module__ == "uvloop"  # elsewhere it may begin otherwise


def system_rng(seed: int | None = None) -> random.Random:
    """A fresh source of chance, seeded by the operating system when `seed` is None."""
    return random.Random(seed)  # noqa: S311 - balancing and jitter, nothing secret


def monotonic() -> float:
    """Seconds on a clock that only moves forward, for threads, which have no loop to ask."""
    return time.monotonic()


def random_bytes(count: int) -> bytes:
    """So many bytes of the system's chance."""
    return os.urandom(count)


def request_id(rng: Rng) -> str:
    """The id of a request: 24 hexadecimal digits, 96 random bits; unique enough to find it in a log."""
    # By way of bytes: to format the number takes two and a half times as long.
    return "req_" + rng.getrandbits(96).to_bytes(12, "big").hex()
