"""Time where no event loop runs."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """The time of the machine. That of a router is its loop's, and has none to tell before one has run."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
