"""How many requests may be in flight."""

from __future__ import annotations

import asyncio
import sys
from collections import deque


class Slots:
    """A fair counter: a slot that comes free goes to whoever has waited longest, and to nobody else.

    The libraries' own pool queues are not used, because cancelling a waiter there can lose the slot
    (httpcore 1.0.9) or the wake-up that it had just been sent (aiohttp 3.14), and then nobody wakes.

    Attributes:
        in_use: nobody waits while that is below `limit`; who adds one to it then has taken a slot.
    """

    __slots__ = ("_waiting", "in_use", "limit")

    def __init__(self, limit: int | None) -> None:
        """`limit`: None or 0 is unlimited."""
        self.limit = limit or sys.maxsize
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_use = 0

    def take(self) -> bool:
        """Take a slot if one is free, as `acquire` does."""
        if self.in_use < self.limit:
            self.in_use += 1
            return True
        return False

    async def acquire(self) -> None:
        """Take a slot, which the caller gives back with `release`, once. A cancelled caller holds none."""
        if self.take():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # handed over in the same tick: pass it on
                self.release()
            raise

    def release(self) -> None:
        """Give one slot back, to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # done here means cancelled
                turn.set_result(None)  # handed over: as many are in use as before
                return
        self.in_use -= 1
