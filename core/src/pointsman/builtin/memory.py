"""The state store in memory: for one router, for tests, and to read what a store does in plain Python.

Routers share it where they are given the same object. Its limits are those of the router itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

from pointsman.clock import Clock
from pointsman.resilience.rate_limit import Gcra
from pointsman.state import (
    Admission,
    Admitted,
    BudgetFull,
    BudgetHold,
    BudgetSettlement,
    BudgetTake,
    HeldPlace,
    NoRoom,
    Notice,
    Settlement,
    StateFactory,
    StateStore,
    Take,
)


class MemoryStore(StateStore):
    """Keeps everything here. It answers without awaiting anything."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._meters: dict[str, Gcra] = {}
        self._places: dict[str, dict[str, float]] = {}  # by deployment: when that of each id expires
        self._routers: dict[str, float] = {}
        self._notices: dict[tuple[str, str], tuple[float, str]] = {}
        self._budgets: dict[str, _Budget] = {}
        self._watching: list[Callable[[Notice], None]] = []

    async def admit(self, admission: Admission, /) -> Admitted | NoRoom:
        now = self._clock.now()
        meters = [self._meter(take) for take in admission.takes]
        waits = [meter.wait(take.units, now) for meter, take in zip(meters, admission.takes, strict=True)]
        if (wait := max(waits, default=0.0)) > 0:
            return NoRoom(admission.takes[waits.index(wait)].limit, wait)
        place = admission.place
        if place is not None:
            taken = self._taken(place.deployment, now)
            if len(taken) >= place.places and admission.id not in taken:
                return NoRoom(place.deployment, min(taken.values()) - now)
            taken[admission.id] = now + admission.seconds
        return Admitted(
            [meter.take(take.units, now) for meter, take in zip(meters, admission.takes, strict=True)]
        )

    async def settle(self, settlements: Sequence[Settlement], /) -> None:
        now = self._clock.now()
        for each in settlements:
            place = each.admission.place
            if place is not None:
                self._places.get(place.deployment, {}).pop(each.admission.id, None)
            marks = cast("Sequence[int]", each.receipt or ())
            for mark, take, used in zip(marks, each.admission.takes, each.used, strict=False):
                self._meter(take).settle(mark, take.units, used, now)

    async def hold(self, hold: BudgetHold, /) -> BudgetFull | None:
        now = self._clock.wall()
        budgets = [self._budget(take, now) for take in hold.takes]
        for take, budget in zip(hold.takes, budgets, strict=True):
            if take.units is not None and (full := budget.lacking(take, now)) is not None:
                return full
        for take, budget in zip(hold.takes, budgets, strict=True):
            budget.held[hold.id] = [take.window.part(now), take.units or 0, now + hold.seconds]
        return None

    async def settle_holds(self, settlements: Sequence[BudgetSettlement], /) -> None:
        now = self._clock.wall()
        for each in settlements:
            for take, used in zip(each.hold.takes, each.used, strict=True):
                self._budget(take, now).settle(each.hold.id, used)

    async def renew_holds(self, holds: Sequence[BudgetHold], /) -> None:
        now = self._clock.wall()
        for each in holds:
            for take in each.takes:
                held = self._budget(take, now).held.get(each.id)
                if held is not None:
                    held[2] = now + each.seconds

    async def renew(self, router: str, held: Sequence[HeldPlace], seconds: float, /) -> int:
        now = self._clock.now()
        for each in held:
            self._taken(each.deployment, now)[each.id] = now + seconds
        self._routers[router] = now + seconds
        self._routers = {name: until for name, until in self._routers.items() if until > now}
        return len(self._routers)

    async def publish(self, notice: Notice, /) -> None:
        now = self._clock.now()
        self._notices = {about: held for about, held in self._notices.items() if held[0] > now}
        self._notices[notice.topic, notice.about] = now + notice.seconds, notice.value
        for told in tuple(self._watching):
            told(notice)

    async def watch(self, told: Callable[[Notice], None], /) -> None:
        now = self._clock.now()
        self._notices = {about: held for about, held in self._notices.items() if held[0] > now}
        for (topic, key), (until, value) in self._notices.items():
            told(Notice(topic, key, value, until - now))
        self._watching.append(told)
        try:
            await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            self._watching.remove(told)

    async def aclose(self) -> None:
        """There is nothing to close, and others may go on with it."""

    def _meter(self, take: Take) -> Gcra:
        said = take.count, take.period, take.burst, take.oversize
        meter = self._meters.get(take.limit)
        if meter is None or said != (meter.count, meter.period, meter.burst, meter.oversize):
            meter = Gcra(take.count, take.period, take.burst, oversize=take.oversize)
            self._meters[take.limit] = meter
        return meter

    def _budget(self, take: BudgetTake, now: float) -> _Budget:
        budget = self._budgets.get(take.account)
        if budget is None:
            budget = self._budgets[take.account] = _Budget()
            budget.spent[take.window.part(now)] = take.spent
        budget.expire(now)
        return budget

    def _taken(self, deployment: str, now: float) -> dict[str, float]:
        taken = self._places.setdefault(deployment, {})
        for id in [id for id, until in taken.items() if until <= now]:
            del taken[id]
        return taken


class _Budget:
    """One account. Parts are those of its window; a hold has part, units, and the instant when it expires."""

    def __init__(self) -> None:
        self.spent = Counter[int]()
        self.held: dict[str, list[float]] = {}
        self._expired: dict[str, list[float]] = {}

    def lacking(self, take: BudgetTake, now: float) -> BudgetFull | None:
        begins, ends = take.window.begins(now), take.window.ends(now)
        spent = {at: units for at, units in self.spent.items() if begins <= at < ends}
        held = [(int(at), int(units)) for at, units, _ in self.held.values() if begins <= at < ends]
        used, running, wanted = sum(spent.values()), sum(units for _, units in held), max(take.units or 0, 1)
        if used + running + wanted <= take.limit:
            return None
        over = used + running + wanted - take.limit
        wait = take.window.frees([*spent.items(), *held], over, now) if wanted <= take.limit else None
        return BudgetFull(take.account, used, running, wait)

    def expire(self, now: float) -> None:
        for id in [id for id, each in self.held.items() if each[2] <= now]:
            self._expired[id] = held = self.held.pop(id)
            self.spent[int(held[0])] += int(held[1])

    def settle(self, id: str, used: int) -> None:
        held, expired = self.held.pop(id, None), self._expired.pop(id, None)
        if held is not None:
            self.spent[int(held[0])] += used
        elif expired is not None:
            self.spent[int(expired[0])] += used - int(expired[1])


BUILT_IN = (StateFactory("memory", None, lambda context: MemoryStore(context.clock)),)
