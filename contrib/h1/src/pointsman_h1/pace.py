"""How much begins in one turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque


class Pace:
    """So many in each turn of the loop; the others in the turns that follow, in the order of their coming.

    An event loop takes a crowd through its work step by step: of a thousand calls that begin together all
    would open their connections before the first of them sends a byte. With a pace the first are sent while
    the last are still being connected, and fewer things are half done at the same time. Nobody waits for
    anything but the loop.
    """

    __slots__ = ("_left", "_per_turn", "_turning", "_waiting")

    def __init__(self, per_turn: int) -> None:
        self._per_turn = self._left = per_turn
        self._turning = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def turn(self) -> asyncio.Future[None]:
        """To be awaited by whoever wants to begin; a future, so that a crowd takes little room."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        if self._left:
            self._left -= 1
            turn.set_result(None)
        else:
            self._waiting.append(turn)
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)
        return turn

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        left = self._per_turn
        while left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # done here means cancelled
                turn.set_result(None)
                left -= 1
        self._turning = left < self._per_turn  # else nobody has come since
        self._left = left
        if self._turning:
            loop.call_soon(self._turn, loop)
