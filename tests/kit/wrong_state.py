"""State stores that are wrong in one thing."""

from __future__ import annotations

import asyncio
from typing import Any

from cases import wrong
from pointsman.plugin import Admitted, MemoryStore, NoRoom, Notice, Settlement, StateStore
from pointsman.testing import SystemClock
from pointsman.testing.contract import StateContract


class StoreTests(StateContract):
    plugin: Any
    patience = 1.0

    def make(self) -> tuple[StateStore, StateStore]:
        store = self.plugin(SystemClock())
        return store, store

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Sound(MemoryStore):
    """As it should be."""

    tried_by = StoreTests


@wrong("STATE-01", "It does not renew anything.", "STATE-07", "STATE-11")
class RenewsNothing(Sound):
    renew = None  # type: ignore[assignment]


class ByItselfTests(StoreTests):
    def make(self) -> tuple[StateStore, StateStore]:
        return self.plugin(SystemClock()), self.plugin(SystemClock())


@wrong(
    "STATE-02",
    "Each router has one of its own.",
    *(f"STATE-{n:02d}" for n in (4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15)),
)
class OneEach(Sound):
    tried_by = ByItselfTests


@wrong("STATE-03", "It names no limit.", "STATE-05")
class NamesNothing(Sound):
    async def admit(self, admission: Any, /) -> Any:
        answer = await super().admit(admission)
        return NoRoom("", answer.wait) if isinstance(answer, NoRoom) else answer


@wrong("STATE-03", "It says milliseconds.")
class Milliseconds(Sound):
    async def admit(self, admission: Any, /) -> Any:
        answer = await super().admit(admission)
        return NoRoom(answer.lacking, answer.wait * 1e3) if isinstance(answer, NoRoom) else answer


@wrong("STATE-04", "It takes of one limit after the other, until one has no room.", "STATE-08", "STATE-09")
class OneAfterTheOther(Sound):
    async def admit(self, admission: Any, /) -> Any:
        for take in admission.takes:
            one = type(admission)(admission.id, [take], None, admission.seconds)
            answer = await super().admit(one)
            if isinstance(answer, NoRoom):
                return answer
        if admission.place is None:
            return Admitted()
        return await super().admit(type(admission)(admission.id, [], admission.place, admission.seconds))

    async def settle(self, settlements: Any, /) -> None:
        await super().settle(settlements)


@wrong("STATE-05", "Its places have no end.", "STATE-04", "STATE-06", "STATE-07")
class EndlessPlaces(Sound):
    async def admit(self, admission: Any, /) -> Any:
        return await super().admit(type(admission)(admission.id, admission.takes, None, admission.seconds))


@wrong("STATE-06", "What it let stays let.")
class ForEver(Sound):
    async def admit(self, admission: Any, /) -> Any:
        return await super().admit(type(admission)(admission.id, admission.takes, admission.place, 1e9))


@wrong("STATE-07", "It renews routers, and none of what they hold.")
class ForgetsWhatIsHeld(Sound):
    async def renew(self, router: str, held: Any, seconds: float, /) -> int:
        return await super().renew(router, [], seconds)


@wrong("STATE-08", "It frees places, and settles nothing.", "STATE-09")
class SettlesNothing(Sound):
    async def settle(self, settlements: Any, /) -> None:
        await super().settle([Settlement(each.admission, each.used, None) for each in settlements])


@wrong("STATE-09", "It only gives back.")
class OwesNothing(Sound):
    async def settle(self, settlements: Any, /) -> None:
        for each in settlements:
            used = [min(n, take.units) for n, take in zip(each.used, each.admission.takes, strict=False)]
            await super().settle([Settlement(each.admission, used, each.receipt)])


@wrong("STATE-10", "It knows all that it settles.", "STATE-05")
class KnowsAll(Sound):
    async def settle(self, settlements: Any, /) -> None:
        for each in settlements:
            _ = each.receipt[0]
        await super().settle(settlements)


@wrong("STATE-11", "It counts every router that there ever was.")
class CountsThemAll(Sound):
    async def renew(self, router: str, held: Any, seconds: float, /) -> int:
        return await super().renew(router, held, 1e9)


@wrong("STATE-12", "It tells nothing to who comes later.")
class TellsOnce(Sound):
    async def publish(self, notice: Notice, /) -> None:
        await super().publish(notice)
        self._notices.clear()


@wrong("STATE-13", "It leaves a task at work.")
class LeavesATask(Sound):
    async def admit(self, admission: Any, /) -> Any:
        self.task = asyncio.ensure_future(asyncio.Event().wait())
        return await super().admit(admission)


@wrong("STATE-14", "It settles a budget as often as it is told.", "STATE-15")
class SettlesAgain(Sound):
    async def settle_holds(self, settlements: Any, /) -> None:
        now = self._clock.wall()
        for each in settlements:
            for take, used in zip(each.hold.takes, each.used, strict=True):
                budget = self._budget(take, now)
                budget.held.pop(each.hold.id, None)
                budget.spent[take.window.part(now)] += used


@wrong("STATE-15", "What nobody renews is given back.")
class ForgetsHolds(Sound):
    async def hold(self, hold: Any, /) -> Any:
        now = self._clock.wall()
        for take in hold.takes:
            held = self._budgets[take.account].held if take.account in self._budgets else {}
            for id in [id for id, each in held.items() if each[2] <= now]:
                del held[id]
        return await super().hold(hold)
