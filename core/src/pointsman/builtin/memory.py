"""The state store in memory: for one router, for tests, and to read what a store does in plain Python.

Routers share it where they are given the same object. Its limits are those of the router itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from pointsman.clock import Clock
from pointsman.resilience.rate_limit import Gcra
from pointsman.state import (
    Admission,
    Admitted,
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

    def _taken(self, deployment: str, now: float) -> dict[str, float]:
        taken = self._places.setdefault(deployment, {})
        for id in [id for id, until in taken.items() if until <= now]:
            del taken[id]
        return taken


BUILT_IN = (StateFactory("memory", None, lambda context: MemoryStore(context.clock)),)
