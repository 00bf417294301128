"""How long work takes: as long as it takes by itself, or longer where a server shares its speed."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count
from typing import Protocol


class Pace(Protocol):
    """What work waits for."""

    async def work(self, seconds: float) -> None:
        """Return when `seconds` of work at full speed are done, 0 or more."""


class Alone:
    """Work that nothing slows down."""

    async def work(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Shared:
    """Processor sharing: all work at full speed up to `full_speed` pieces of it; more of them share that.

    How much each has done is one number for all, which moves more slowly the more there are; so an arrival
    or a departure costs one look at a heap, however many there are.
    """

    def __init__(self, full_speed: int) -> None:
        self._full_speed = full_speed
        self._loop = asyncio.get_running_loop()
        self._done = 0.0
        """Seconds of work at full speed that whoever was always there has done, at the instant `_at`."""
        self._at = self._loop.time()
        self._at_work = 0
        self._ends: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    async def work(self, seconds: float) -> None:
        self._advance()
        done = self._loop.create_future()
        heappush(self._ends, (self._done + seconds, next(self._numbers), done))
        self._at_work += 1
        self._set()
        try:
            await done
        finally:
            self._advance()
            self._at_work -= 1
            self._set()

    def _speed(self) -> float:
        return min(1.0, self._full_speed / self._at_work) if self._at_work else 1.0

    def _advance(self) -> None:
        now = self._loop.time()
        self._done += (now - self._at) * self._speed()
        self._at = now

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._ends and self._ends[0][2].done():
            heappop(self._ends)
        if self._ends:
            left = max(0.0, self._ends[0][0] - self._done) / self._speed()
            self._timer = self._loop.call_at(self._at + left, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._advance()
        # Whoever is first has done its work: that is what the timer was set for, whatever the last bit says.
        end = self._ends[0][0] if self._ends else 0.0
        self._done = max(self._done, end)
        while self._ends and self._ends[0][0] <= self._done:
            done = heappop(self._ends)[2]
            if not done.done():
                done.set_result(None)
        self._set()
