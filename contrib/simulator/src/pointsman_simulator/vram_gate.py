"""The async door in front of `Memory`: requests wait here for their turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pointsman_simulator.vram import Busy, Grant, Loaded, Memory, Vram


class VramGate:
    """Turns for the requests of one upstream; belongs to the running event loop."""

    def __init__(self, vram: Vram) -> None:
        self._memory = Memory(vram)
        self._loop = asyncio.get_running_loop()
        self._turns: dict[int, asyncio.Future[Grant]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def cold_loads(self) -> int:
        """How often a model came into memory."""
        return self._memory.cold_loads

    def loaded(self) -> list[Loaded]:
        """The models in memory; `expires_at` is on the loop's clock."""
        return self._memory.loaded(self._loop.time())

    def unload(self, model: str) -> None:
        self._give(self._memory.unload(model, self._loop.time()))

    @asynccontextmanager
    async def turn(self, model: str, keep_alive: float | None = None) -> AsyncIterator[Grant]:
        """Waits for a place on `model` and keeps it inside the `with`.

        Raises: Busy when too many requests wait.
        """
        turn: asyncio.Future[Grant] = self._loop.create_future()
        try:
            ticket, grants = self._memory.submit(model, self._loop.time())
        except Busy as busy:
            self._give(busy.grants)
            raise
        self._turns[ticket] = turn
        self._give(grants)
        try:
            yield await turn
        finally:
            self._turns.pop(ticket, None)
            self._give(self._memory.release(ticket, self._loop.time(), keep_alive=keep_alive))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give(self, grants: list[Grant]) -> None:
        for grant in grants:
            turn = self._turns.get(grant.ticket)
            # A request whose client left a moment ago gives its turn back in `turn`, as it holds the ticket.
            if turn is not None and not turn.done():
                turn.set_result(grant)
        self._wake_later()

    def _wake_later(self) -> None:
        self.close()
        when = self._memory.next_change(self._loop.time())
        if when is not None:
            self._timer = self._loop.call_at(when, self._wake, when)

    def _wake(self, when: float) -> None:
        # A timer may come a tick early; the memory must not think that it is still before `when`.
        self._give(self._memory.advance(max(when, self._loop.time())))
