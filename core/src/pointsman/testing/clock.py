"""Time where no event loop runs."""

from __future__ import annotations

import asyncio
import time

_NOW = 1_764_547_200.0


class SystemClock:
    """The time of the machine. That of a router is its loop's, and has none to tell before one has run."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class StillClock:
    """A clock that stands: what is done twice comes out the same both times."""

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return _NOW

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
