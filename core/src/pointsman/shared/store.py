"""A state store as one router uses it: with a time limit and a breaker of its own, and one task beside.

An attempt costs one round trip before it and a part of another one after it: what has ended since is settled
together, by a task that also renews the places which attempts hold, and looks whether a store is back that
was away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, Protocol, TypeVar, cast

from pointsman._internal.plugin_errors import Scrub, fault, is_own
from pointsman.clock import Clock, Rng
from pointsman.events import BreakerChanged, Events, StateChanged
from pointsman.resilience.circuit_breaker import Breaker, BreakerSettings, BreakerState, Permit
from pointsman.resilience.rate_limit import Reservation
from pointsman.shared.holds import SharedHolds
from pointsman.shared.lessons import TOPIC as LESSON
from pointsman.shared.lessons import Learner, Lessons
from pointsman.shared.limits import SharedReservation, Standing
from pointsman.shared.notices import Noticeboard
from pointsman.state import (
    Admission,
    Admitted,
    BudgetFull,
    BudgetHold,
    BudgetSettlement,
    BudgetTake,
    HeldPlace,
    HoldingStore,
    NoRoom,
    Notice,
    Settlement,
    StateStore,
)

T = TypeVar("T")

TRIES = 2
_AT_ONCE = 500
"""Settlements that go together at most."""
_KEPT = 50_000
"""Settlements that wait for the store at most; of what is beyond, the places expire."""
_BESIDE = 1.0
"""Seconds that the store may take where no call waits for it: to connect may take longer than an answer."""
_STALL = 5e-3
"""Seconds by which a timer of a loop may be late that has time for it."""
_LAST_WORDS = 1.0
"""Seconds in which what has ended is still settled when the router closes."""
_CANCEL_AGAIN = 0.1
_WATCH_AGAIN = 1.0
_OPENING = "breaker"
"""The topic of the openings of circuit breakers; the key is the id of the deployment."""
_BREAKER = BreakerSettings.model_construct(
    failure_threshold=3,
    reset_timeout=1.0,
    max_reset_timeout=5.0,
    half_open_max_calls=1,
    success_threshold=1,
)


class Shared(Protocol):
    """What the store needs of a deployment."""

    breaker: Breaker

    def changed(self) -> None:
        """It may be ready now that was not, or the other way round."""


class SharedState:
    """One router's part in what is shared.

    Attributes:
        standing: how it is with the store.
        dropped: settlements that the store never heard of.
    """

    def __init__(
        self,
        store: StateStore,
        name: str,
        *,
        lease: float,
        timeout: float,
        clock: Clock,
        rng: Rng,
        events: Events,
        scrub: Scrub,
    ) -> None:
        self.standing = Standing()
        self.dropped = 0
        self._store = store
        self._name = name
        self._lease = lease
        self._timeout = timeout
        self._clock = clock
        self._events = events
        self._scrub = scrub
        self._breaker = Breaker(_BREAKER, rng, on_change=self._turned)
        self._router = f"{rng.getrandbits(64):016x}"
        self._lessons = Lessons(self._router, scrub)
        self._number = 0
        self._why = ""
        self._failed_at = -inf
        self._since: float | None = None
        self._lives: Mapping[str, Shared] = {}
        self._held: dict[str, HeldPlace] = {}
        self._ended: list[Settlement] = []
        self._notices: list[Notice] = []
        self._services = Noticeboard(clock, scrub, self._stir)
        self._holds = SharedHolds(self._router, lease, self._stir)
        self._wake: asyncio.Event | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._silence: Callable[[], None] | None = None

    # ── what a call comes by ─────────────────────────────────────────────────────────────────────────

    async def admit(self, asked: Reservation) -> bool:
        """Whether the attempt may be made that took `asked`; if not, its limits know until when.

        Where the store is away, that was decided when it took it.
        """
        if self.standing.away or not isinstance(asked, SharedReservation):
            return True
        self._number += 1
        admission = asked.admission(f"{self._router}-{self._number}", self._lease)
        try:
            answer = await self._tried(partial(self._store.admit, admission))
        except BaseException:
            self._unknown(admission)
            raise
        return self._answered(answer, admission, asked)

    def _answered(self, answer: Any, admission: Admission, asked: SharedReservation) -> bool:
        if isinstance(answer, Admitted):
            if not asked.is_open:
                self._settle(admission, answer.receipt, [0 for _ in admission.takes])
                return True
            if admission.place is not None:
                self._held[admission.id] = HeldPlace(admission.id, admission.place.deployment)
            asked.settled = partial(self._settle, admission, answer.receipt)
            return True
        if isinstance(answer, NoRoom) and answer.wait >= 0:
            asked.shared.no_room(answer, self._clock.now())
            return False
        if answer is not None:
            did = f"returned a {type(answer).__name__} from admit(), expected Admitted or NoRoom"
            fault("state", self._name, "admit", did, scrub=self._scrub)
        self._unknown(admission)
        return asked.shared.unanswered(self._clock.now())

    def _settle(self, admission: Admission, receipt: object, used: Sequence[int]) -> None:
        self._held.pop(admission.id, None)
        if admission.place is None and all(
            each.units == units for each, units in zip(admission.takes, used, strict=True)
        ):
            return  # there is nothing to say
        self._end(Settlement(admission, used, receipt))

    def _unknown(self, admission: Admission) -> None:
        """It may have been admitted: its place is freed, and what it took of limits is worked off."""
        if admission.place is not None:
            self._end(Settlement(admission, [0 for _ in admission.takes]))

    def _end(self, settlement: Settlement) -> None:
        if len(self._ended) >= _KEPT:
            self.dropped += 1
            return
        self._ended.append(settlement)
        if self._wake is not None:
            self._wake.set()

    async def _tried(self, ask: Callable[[], Awaitable[T]], *, waits: bool = True) -> T | None:
        """What the store answers, asked twice at most; None when it does not. `waits`: a call does for it."""
        breaker, within = self._breaker, self._timeout if waits else max(self._timeout, _BESIDE)
        for _ in range(TRIES):
            began = self._clock.now()
            permit = breaker.acquire(began)
            if permit is None:
                return None
            try:
                async with asyncio.timeout(None) as limit:
                    ring = _Ring(limit, within)
                    try:
                        answer = await ask()
                    finally:
                        ring.handle.cancel()
            except TimeoutError:
                self._why = f"no answer within {within * 1e3:g} ms"
            except BaseException as error:  # somebody else's code: anything can happen
                if not is_own(error):
                    breaker.neutral(permit, self._clock.now())
                    raise
                self._why = self._scrub(f"{type(error).__name__}: {error}"[:200])
            else:
                now = self._clock.now()
                breaker.ok(permit, now)
                if self._since is None:
                    self._since = now
                return answer
            self._failed(permit, began)
        return None

    def _failed(self, permit: Permit, began: float) -> None:
        """Of many that wait for the same answer, one counts."""
        now = self._clock.now()
        if began < self._failed_at:
            self._breaker.neutral(permit, now)
        else:
            self._failed_at = now
            self._breaker.failed(permit, now)

    # ── what services tell one another ───────────────────────────────────────────────────────────────

    def publish(self, topic: str, about: str, value: str, seconds: float) -> None:
        """As `SharedNotices`."""
        if topic in (LESSON, _OPENING):
            raise ValueError(f"{topic!r} is a topic of the router's own")
        self._services.publish(Notice(topic, about, value, seconds))

    def subscribe(self, topic: str, told: Callable[[Notice], None]) -> Callable[[], None]:
        """As `SharedNotices`."""
        return self._services.subscribe(topic, told)

    # ── what they hold together ──────────────────────────────────────────────────────────────────────

    @property
    def holds(self) -> bool:
        """As `SharedNotices`."""
        return hasattr(self._store, "hold") and not self.standing.away

    async def hold(self, takes: Sequence[BudgetTake]) -> BudgetHold | BudgetFull | None:
        """As `SharedNotices`."""
        store, hold = cast("HoldingStore", self._store), self._holds.new(takes)
        known = False
        try:
            answer: Any = await self._tried(partial(_held, store, hold))
            known = answer is not None
        finally:
            if not known:  # it may be held
                self._holds.settle(BudgetSettlement(hold, [0 for _ in takes]))
        if answer is True:
            self._holds.open[hold.id] = hold
            return hold
        return answer if isinstance(answer, BudgetFull) else None

    def settle_hold(self, settlement: BudgetSettlement) -> None:
        """As `SharedNotices`."""
        self._holds.settle(settlement)

    async def _settle_holds(self) -> None:
        store, some = cast("HoldingStore", self._store), self._holds.some()
        if not some:
            return
        said: Any = await self._tried(partial(self._said, store.settle_holds, some), waits=False)
        if said:
            self._holds.told(some)

    def _stir(self) -> None:
        if self._wake is not None:
            self._wake.set()

    # ── whether it is there ──────────────────────────────────────────────────────────────────────────

    def _turned(self, _old: BreakerState, new: BreakerState, now: float, _reason: str) -> None:
        standing = self.standing
        standing.back_at = self._breaker.retry_at(now)
        away = new is not BreakerState.CLOSED
        if away == standing.away:
            return
        standing.away = away
        standing.outage += away
        self._since = now
        reason = self._why if away else "it answers again"
        self._events.report(StateChanged(self._name, not away, standing.replicas, reason))
        for live in self._lives.values():
            live.changed()
        if self._wake is not None:
            self._wake.set()

    def snapshot(self, now: float) -> dict[str, Any]:
        """For an operator who looks: how it is with the store, and since when."""
        standing, since = self.standing, self._since
        return {
            "store": self._name,
            "available": None if since is None else not standing.away,
            "seconds_ago": None if since is None else max(0.0, now - since),
            "reason": self._why if standing.away else None,
            "seconds_left": max(0.0, standing.back_at - now) if standing.away else None,
            "replicas": standing.replicas,
            "dropped": self.dropped,
        }

    # ── beside the calls ─────────────────────────────────────────────────────────────────────────────

    def start(self, lives: Mapping[str, Shared], pools: Mapping[str, Learner]) -> None:
        """Begin on the running loop; called again, only look after others from now on."""
        self._lives = lives
        now = self._clock.now()
        self._lessons.follow(pools, now)
        self._notices += self._lessons.notices(
            now
        )  # from now on they collect, also what a first burst brings
        if self._wake is not None:
            self._wake.set()
        else:
            self._wake = asyncio.Event()
            self._silence = self._events.add(self._breaker_changed, (BreakerChanged,))
            self._tasks = [asyncio.ensure_future(self._work()), asyncio.ensure_future(self._watch())]

    async def aclose(self) -> None:
        """Settle what has ended, then close the store. Safe to repeat."""
        if self._silence is not None:
            self._silence()
        tasks, self._tasks = {*self._tasks}, []
        while tasks:
            for each in tasks:
                each.cancel()
            # Again: libraries lose a cancellation now and then.
            _, tasks = await asyncio.wait(tasks, timeout=_CANCEL_AGAIN)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                while (self._ended or self._holds.waiting) and not self.standing.away:
                    await self._settle_some()
                    await self._settle_holds()
        await self._store.aclose()

    async def _work(self) -> None:
        assert self._wake is not None
        renew_at = self._clock.now()
        while True:
            if self._clock.now() >= renew_at:
                await self._renew()
                now = self._clock.now()
                renew_at = max(now, self.standing.back_at) if self.standing.away else now + self._lease / 3
            if not self.standing.away:
                self._notices += self._lessons.notices(self._clock.now())
            while self._has_to_tell and not self.standing.away:
                await self._settle_some()
                await self._settle_holds()
                await self._publish_some()
            again = renew_at if self.standing.away else min(renew_at, self._lessons.due)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, again - self._clock.now())):
                    await self._wake.wait()
            self._wake.clear()
            if self.standing.away:
                renew_at = max(self._clock.now(), self.standing.back_at)

    @property
    def _has_to_tell(self) -> bool:
        return bool(self._ended or self._notices or self._services.waiting or self._holds.waiting)

    async def _renew(self) -> None:
        held: Sequence[HeldPlace] = list(self._held.values())
        replicas: Any = await self._tried(
            lambda: self._store.renew(self._router, held, self._lease), waits=False
        )
        if isinstance(replicas, int) and replicas >= 1:
            self.standing.replicas = replicas
        holds = list(self._holds.open.values())
        if holds:
            store = cast("HoldingStore", self._store)
            renew: Callable[[Any], Awaitable[None]] = store.renew_holds
            await self._tried(partial(self._said, renew, holds), waits=False)

    async def _settle_some(self) -> None:
        some, self._ended = self._ended[:_AT_ONCE], self._ended[_AT_ONCE:]
        if some and await self._tried(partial(self._said, self._store.settle, some), waits=False) is None:
            self.dropped += len(some)  # places expire by themselves, and estimates stand

    async def _publish_some(self) -> None:
        notices, self._notices = self._notices, []
        for each in notices:
            await self._tried(partial(self._said, self._store.publish, each), waits=False)
        for each in self._services.due():
            if await self._tried(partial(self._said, self._store.publish, each), waits=False):
                self._services.published(each)

    @staticmethod
    async def _said(say: Callable[[T], Awaitable[None]], what: T) -> bool:
        await say(what)
        return True

    # ── openings of circuit breakers ─────────────────────────────────────────────────────────────────

    def _breaker_changed(self, event: BreakerChanged) -> None:
        live = self._lives.get(event.deployment)
        if live is None or event.new != BreakerState.OPEN or event.reason == _TOLD or self._wake is None:
            return
        now = self._clock.now()
        seconds = live.breaker.retry_at(now) - now
        if seconds > 0:
            self._notices.append(Notice(_OPENING, event.deployment, self._router, seconds))
            self._wake.set()

    async def _watch(self) -> None:
        while True:
            try:
                await self._store.watch(self._told)
            except BaseException as error:  # somebody else's code: anything can happen
                if not is_own(error):
                    raise
            await self._clock.sleep(_WATCH_AGAIN)

    def _told(self, notice: Notice) -> None:
        """Another router says something, or this one."""
        if notice.topic == LESSON:
            self._lessons.told(notice)
            return
        if notice.topic != _OPENING:
            self._services.told(notice)
            return
        live = self._lives.get(notice.about)
        if live is not None and notice.value != self._router:
            now = self._clock.now()
            live.breaker.open_until(now + notice.seconds, now, _TOLD)


class _Ring:
    """Ends a wait after so many seconds, without those in which the loop itself stood still.

    What arrived meanwhile has not been looked at yet, and a store is not away because this router is busy.
    """

    __slots__ = ("_due", "_limit", "_loop", "_was_late", "handle")

    def __init__(self, limit: asyncio.Timeout, within: float) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + within
        self._was_late = False
        self.handle = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        late = now - self._due
        if late > _STALL and not self._was_late:
            self._was_late, self._due = True, now + late
            self.handle = self._loop.call_at(self._due, self._ring)
        else:
            self._limit.reschedule(now)  # in the next turn, and so after what has arrived by now


async def _held(store: HoldingStore, hold: BudgetHold) -> BudgetFull | bool:
    """True where all of it is held."""
    return await store.hold(hold) or True


_TOLD = "another router found it failing"
