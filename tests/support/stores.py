"""A state store in memory that tests look into, and that goes away when they want it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pointsman.plugin import (
    Admission,
    Admitted,
    HeldPlace,
    MemoryStore,
    NoRoom,
    Notice,
    PointsmanSpec,
    Settlement,
    StateContext,
    StateFactory,
    StateStore,
    hookimpl,
)


class Shelf(PointsmanSpec):
    """The store `shelf`: all routers that are handed this object share what is on it.

    Attributes:
        away: whatever it is asked, it raises.
        latency: seconds that each answer takes.
        asked, settled: the admissions and settlements that reached it.
        contexts: what its stores were made from.
    """

    def __init__(self) -> None:
        self.away = False
        self.latency = 0.0
        self.asked: list[Admission] = []
        self.settled: list[Settlement] = []
        self.contexts: list[StateContext] = []
        self.memory: MemoryStore | None = None

    @hookimpl
    def pointsman_state_stores(self) -> list[StateFactory]:
        return [StateFactory("shelf", None, self._made)]

    def _made(self, context: StateContext) -> StateStore:
        self.contexts.append(context)
        self.memory = self.memory or MemoryStore(context.clock)
        return _Shelved(self, self.memory)

    async def reached(self) -> None:
        """Return as soon as it answers; raise where it is away."""
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.away:
            raise OSError("nobody is there")


class _Shelved(StateStore):
    def __init__(self, shelf: Shelf, memory: MemoryStore) -> None:
        self._shelf, self._memory = shelf, memory

    async def admit(self, admission: Admission, /) -> Admitted | NoRoom:
        self._shelf.asked.append(admission)
        await self._shelf.reached()
        return await self._memory.admit(admission)

    async def settle(self, settlements: Sequence[Settlement], /) -> None:
        await self._shelf.reached()
        self._shelf.settled += settlements
        await self._memory.settle(settlements)

    async def renew(self, router: str, held: Sequence[HeldPlace], seconds: float, /) -> int:
        await self._shelf.reached()
        return await self._memory.renew(router, held, seconds)

    async def publish(self, notice: Notice, /) -> None:
        await self._shelf.reached()
        await self._memory.publish(notice)

    async def watch(self, told: Callable[[Notice], None], /) -> None:
        await self._shelf.reached()
        await self._memory.watch(told)

    async def aclose(self) -> None:
        """Nothing is open."""
