"""Where calls wait at an upstream for their turn: all is synchronous, but for the waiting itself."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from pointsman_simulator.vram import Busy, Grant, Loaded, Memory, Vram

Ticket = int


class LineFull(Exception):
    """Too many wait already."""


class Line(Protocol):
    """Gives turns, each until its ticket comes back."""

    @property
    def cold_loads(self) -> int:
        """How often a model came into memory."""

    async def enter(self, model: str) -> Ticket:
        """A turn at `model`, when it comes. Raises LineFull when too many wait."""

    def leave(self, ticket: Ticket) -> None:
        """The turn is over."""

    def loaded(self) -> list[str] | None:
        """The models in memory; None where nobody keeps account of that."""


class Places:
    """So many calls at once; the others wait in their order."""

    cold_loads = 0

    def __init__(self, count: int, max_queue: int) -> None:
        self._free = count
        self._max_queue = max_queue
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop = asyncio.get_running_loop()

    async def enter(self, _model: str) -> Ticket:
        if self._free:
            self._free -= 1
            return 0
        if len(self._waiting) >= self._max_queue:
            raise LineFull
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
            else:  # it had come just before
                self.leave(0)
            raise
        return 0

    def leave(self, _ticket: Ticket) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1

    def loaded(self) -> list[str] | None:
        return None


class LoadedModels:
    """The models that a server has in memory, with the places at each: the simulator's own arithmetic."""

    def __init__(self, vram: Vram) -> None:
        self._memory = Memory(vram)
        self._loop = asyncio.get_running_loop()
        self._turns: dict[Ticket, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def cold_loads(self) -> int:
        return self._memory.cold_loads

    async def enter(self, model: str) -> Ticket:
        turn = self._loop.create_future()
        try:
            ticket, grants = self._memory.submit(model, self._loop.time())
        except Busy as busy:
            self._give(busy.grants)
            raise LineFull from None
        self._turns[ticket] = turn
        self._give(grants)
        try:
            await turn
        except asyncio.CancelledError:
            self.leave(ticket)
            raise
        return ticket

    def leave(self, ticket: Ticket) -> None:
        self._turns.pop(ticket, None)
        self._give(self._memory.release(ticket, self._loop.time()))

    def loaded(self) -> list[str] | None:
        loaded: list[Loaded] = self._memory.loaded(self._loop.time())
        return [each.model for each in loaded]

    def _give(self, grants: list[Grant]) -> None:
        for grant in grants:
            turn = self._turns.get(grant.ticket)
            if turn is not None and not turn.done():
                turn.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self._memory.next_change(self._loop.time())
        if when is not None:
            self._timer = self._loop.call_at(when, self._wake, when)

    def _wake(self, when: float) -> None:
        self._timer = None
        # A timer may come a tick early; the memory must not think that it is still before `when`.
        self._give(self._memory.advance(max(when, self._loop.time())))
