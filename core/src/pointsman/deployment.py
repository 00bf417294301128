"""Deployments, their live state, and the lease: the only owner of accounting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import exp, inf, log
from typing import Any, NamedTuple
from weakref import ref

from pointsman.breaker import Breaker, BreakerState, Permit
from pointsman.budget import RetryBudget
from pointsman.clock import Rng
from pointsman.concurrency import AdaptiveLimit, Window
from pointsman.cooldown import OVERLOAD, REFUSAL, CoolDown, Credential
from pointsman.errors import CallError, Outcome, Refusal
from pointsman.faults import OWN, Scrub, fault
from pointsman.frozen import frozen
from pointsman.health import Outlier, WarmUp
from pointsman.http import Client
from pointsman.limits import Limits as RateLimits
from pointsman.limits import Reservation
from pointsman.provider import Provider
from pointsman.reasons import Reason, Why
from pointsman.residency import Host
from pointsman.strategy import Price, Residency, Sample
from pointsman.terms import Labels, Rule
from pointsman.waiting import WaitingRoom

_LONGEST_MESSAGE = 200
"""Characters of an error that a deployment remembers."""
_EWMA_SECONDS = 30.0
_EWMA_MOST = 0.9  # what the old is worth at most, or a burst of samples in one instant would count nothing
_EWMA_FRESH = -log(_EWMA_MOST) * _EWMA_SECONDS  # for how long it is worth that


class Admin(StrEnum):
    """What an operator said about a deployment."""

    UP = "up"
    DRAINING = "draining"
    DOWN = "down"


class Average:
    """An average of samples in which those of `_EWMA_SECONDS` ago count a third; None before the first."""

    __slots__ = ("_at", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self._at = 0.0

    def add(self, sample: float, now: float) -> None:
        """Count `sample`, taken at `now`."""
        if self.value is None:
            self.value = sample
        else:
            elapsed = now - self._at
            old = _EWMA_MOST if elapsed <= _EWMA_FRESH else exp(-elapsed / _EWMA_SECONDS)
            self.value += (sample - self.value) * (1 - old)
        self._at = now


class Changes:
    """Counts what may change who can take a call, over all deployments of a router."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def another(self) -> None:
        """Count one."""
        self.count += 1


class LastError(NamedTuple):
    """What the latest failed call to a deployment ended with, and when."""

    code: str
    status: int | None
    message: str
    at: float


class Live:
    """What is known of one deployment right now; pools that share the deployment share this.

    It outlives reloads for as long as id and upstream stay the same; what a configuration says about it then
    changes here, so that it holds for calls that began before, too.

    Attributes:
        failing: the latest call that said anything about the upstream ended in a fault, an overload or a
            refusal.
        overload, refusal, credential: its cool-downs, of which the last one is shared by all that use the
            same credential; `cooling_until` is the latest end of them.
    """

    __slots__ = (
        "__weakref__",
        "adaptive",
        "admin",
        "breaker",
        "changes",
        "cooling_until",
        "credential",
        "failing",
        "first_token",
        "id",
        "in_flight",
        "last_error",
        "late_releases",
        "limits",
        "max_in_flight",
        "on_idle",
        "outcomes",
        "overload",
        "refusal",
        "rng",
        "rooms",
        "total",
        "warm_up",
        "window",
    )

    def __init__(
        self,
        id: str,
        *,
        breaker: Breaker | None,
        rng: Rng,
        warm_up: WarmUp | None = None,
        adaptive: Callable[[Window], AdaptiveLimit] | None = None,
        limits: RateLimits | None = None,
        changes: Changes | None = None,
        max_in_flight: int | None = None,
    ) -> None:
        self.id = id
        self.changes = changes or Changes()
        self.breaker = breaker
        self.rng = rng
        self.admin = Admin.UP
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self.cooling_until = 0.0
        self.overload = CoolDown(OVERLOAD)
        self.refusal = CoolDown(REFUSAL)
        self.credential = Credential()
        self.credential.join(self)
        self.failing = False
        self.outcomes: Counter[str] = Counter()
        self.late_releases = 0
        self.last_error: LastError | None = None
        self.on_idle: list[Callable[[], None]] = []
        self.first_token = Average()
        self.total = Average()
        self.warm_up = warm_up
        self.limits = limits
        self.rooms: list[ref[WaitingRoom[Any]]] = []
        # The quantiles of first tokens are kept only for those who ask for them.
        self.window = None if adaptive is None else Window()
        self.adaptive = None if adaptive is None or self.window is None else adaptive(self.window)

    def keep_window(self) -> None:
        """From now on, know the quantiles of the first tokens."""
        if self.window is None:
            self.window = Window()

    def wake(self) -> None:
        """Something may have become free: whoever waits for it is asked."""
        for each in self.rooms:
            room = each()
            if room is not None:
                room.wake()

    def wakes(self, room: WaitingRoom[Any]) -> None:
        """Whoever waits in `room` waits for this deployment among others."""
        self.rooms = [each for each in self.rooms if each() not in (None, room)] + [ref(room)]

    def admit(self, admin: Admin) -> None:
        """What an operator says about it holds from now on."""
        self.admin = admin
        self.changes.count += 1
        self.wake()

    def forget(self) -> None:
        """End its cool-downs, for others with its credential too, and hold it for well."""
        for each in (self.overload, self.refusal, self.credential):
            each.end()
        self.failing = False
        for member in (self, *self.credential.members()):
            member.cooled()

    def uses(self, credential: Credential) -> None:
        """Share the cool-down of that credential from now on."""
        if self.credential is not credential:
            self.credential.leave(self)
            self.credential = credential
            credential.join(self)
            self.cooled()

    def begin_warm_up(self, now: float) -> None:
        """From `now` on, take on load slowly."""
        if self.warm_up is not None:
            self.warm_up.begin(now)
            self.changes.count += 1

    def failed_with(self, error: CallError, now: float) -> None:
        """Remember what went wrong there, for whoever asks how it is."""
        self.last_error = LastError(error.code, error.status, error.message[:_LONGEST_MESSAGE], now)

    def when_idle(self, tell: Callable[[], None]) -> None:
        """Call `tell` once nothing is in flight: now, or with the last release."""
        if self.in_flight == 0:
            tell()
        else:
            self.on_idle.append(tell)

    def cooled(self) -> None:
        """One of its cool-downs has changed: whoever waits for it looks again."""
        self.cooling_until = max(self.overload.until, self.refusal.until, self.credential.until)
        self.changes.count += 1
        self.wake()

    def overloaded(self, now: float, started: float, hint: float | None, within: float) -> None:
        """A call that `started` then found no capacity: keep others away as the upstream said."""
        self.failing = True
        self.overload.began(now, started=started, rng=self.rng, hint=hint, within=within)
        self.cooled()

    def refused(self, what: Refusal, now: float, started: float, hint: float | None, within: float) -> None:
        """A call that `started` then was refused: leave the deployment alone, or all of its credential."""
        self.failing = True
        cool_down: CoolDown = self.credential if what.of_credential else self.refusal
        cool_down.reason = what
        cool_down.began(now, started=started, rng=self.rng, at_least=hint or 0.0, within=within)
        self.cooled()
        if what.of_credential:
            for each in self.credential.members():
                each.cooled()

    def keep_away(self, now: float, seconds: float, within: float) -> None:
        """Send no call for `seconds`, as the upstream asked."""
        self.overload.extend(now, seconds, rng=self.rng, within=within)
        self.cooled()

    def recovered(self) -> None:
        """A call succeeded after others had not: the next cool-down is a first one again."""
        self.failing = False
        self.overload.in_row = self.refusal.in_row = self.credential.in_row = 0

    def cooling(self, now: float) -> Reason | None:
        """The cool-down that ends last, for as long as it holds."""
        left = self.cooling_until - now
        if left <= 0:
            return None
        for each in (self.credential, self.refusal):
            if each.until == self.cooling_until and each.reason is not None:
                return Reason(Why.REFUSED, (each.reason.value, left))
        return Reason(Why.COOLING, (left,))

    @property
    def jitter(self) -> float:
        """Seconds at the end of its cool-downs that no upstream asked for."""
        asked = max(self.overload.asked, self.refusal.asked, self.credential.asked)
        return self.cooling_until - asked

    def is_refused(self, now: float) -> bool:
        """Whether it is left alone because of what it refused; to wait for the end makes no sense."""
        return self.refusal.until > now or self.credential.until > now


@dataclass(slots=True)
class Demand:
    """What one request demands of a deployment.

    Attributes:
        require: labels that it must carry.
        tokens: the estimate of what the request will use, for limits by tokens.
        tried: ids of those that the request has tried; filled as it goes.
        well_only: the retry budget bears no further call to what fails.
    """

    require: Rule = field(default_factory=dict)
    tokens: int = 0
    tried: set[str] = field(default_factory=set)
    well_only: bool = False

    def again(self) -> Demand:
        """The same, as if nothing had been tried."""
        return Demand(self.require, self.tokens)


ANYTHING = Demand()
"""The demand of nobody in particular; not to be changed."""


@frozen
class Deployment:
    """One upstream model at one provider, as a member of one pool.

    Attributes:
        id: `provider/upstream-model` unless it was named.
        model: the upstream's own name.
        plugin: the type of the provider.
        defaults: options for requests that do not say them.
        options: what only the provider type knows.
        first_token, idle, attempt: time limits in seconds.
        live: the state, shared with other pools.
    """

    id: str
    model: str
    provider: Provider
    client: Client | None
    live: Live
    plugin: str = ""
    weight: int = 1
    priority: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    first_token: float = 60.0
    idle: float = 60.0
    attempt: float | None = None
    outlier: Outlier | None = None
    price: Price | None = None
    host: Host | None = None

    __eq__ = object.__eq__  # one equals only itself
    __hash__ = object.__hash__

    @property
    def residency(self) -> Residency | None:
        """What its server has in memory; None when nobody asks it."""
        return None if self.host is None else self.host.residency(self.model)

    @property
    def in_flight(self) -> int:
        """Attempts that hold a lease on it now."""
        return self.live.in_flight

    @property
    def max_in_flight(self) -> int | None:
        """How many attempts it may take at the same time at most; None for any number."""
        return self.live.max_in_flight

    @property
    def warm_up(self) -> WarmUp | None:
        """How it returns to full load."""
        return self.live.warm_up

    @property
    def provider_name(self) -> str:
        """The configured name of the provider."""
        return self.provider.name

    @property
    def places(self) -> int | None:
        """How many attempts it takes at the same time; None for any number."""
        live = self.live
        return live.max_in_flight if live.adaptive is None else live.adaptive.limit

    def healthy(self, now: float) -> bool:
        """Whether a level may count on it. Being full is no illness: what is full works."""
        live = self.live
        return (
            live.admin is Admin.UP
            and live.cooling_until <= now
            and (live.breaker is None or live.breaker.admits(now))
            and (self.outlier is None or self.outlier.healthy(now))
        )

    def blocked(self, now: float, tokens: int = 0, *, panic: bool = False) -> Reason | None:
        """Why no call of so many `tokens` can go there now; None when one can.

        In a `panic` its health is not believed; everything else holds.
        """
        live = self.live
        if live.admin is not Admin.UP:
            return Reason(Why.DRAINING if live.admin is Admin.DRAINING else Why.DISABLED)
        if live.cooling_until > now:
            return live.cooling(now)
        breaker = live.breaker
        if breaker is not None and not breaker.admits(now):
            return Reason(Why.BREAKER, (breaker.state,))
        if self.outlier is not None and not panic and not self.outlier.healthy(now):
            return Reason(Why.EJECTED if self.outlier.ejected(now) else Why.ILL)
        places = live.max_in_flight if live.adaptive is None else live.adaptive.limit
        if places is not None and live.in_flight >= places:
            return Reason(Why.FULL, (live.in_flight, places))
        if live.limits is not None and (wait := live.limits.wait(tokens, now)) > 0:
            never = live.limits.too_large(tokens)
            return Reason(Why.LIMIT, (wait,)) if never is None else Reason(Why.TOO_LARGE, (never,))
        return None

    def steady(self, now: float) -> tuple[float, float] | None:
        """Until when `blocked` says the same, unless `live.changes` counts, and of calls of how many tokens.

        None when nobody can tell now.
        """
        live, breaker, outlier = self.live, self.live.breaker, self.outlier
        if breaker is not None and breaker.state is BreakerState.HALF_OPEN:
            return None
        if live.warm_up is not None and live.warm_up.ends > now:
            return None
        tokens = until = inf
        if live.limits is not None:
            fits = live.limits.watch(now, live.changes.another)
            if fits is None:
                return None
            tokens = fits
        if live.cooling_until > now:
            until = live.cooling_until
        if breaker is not None and now < (at := breaker.retry_at(now)) < until:
            until = at
        if outlier is not None and now < outlier.ejected_until < until:
            until = outlier.ejected_until
        return until, tokens

    def room_at(self, now: float, tokens: int) -> float | None:
        """The first instant at which a call of `tokens` that waits for room may find it.

        Room is what it lacks while it is full, at its rate limit, cooling down, or half open with all probes
        under way; what others give back counts as `now`. None when it lacks none of these, or when it is out
        for a reason that nobody waits for.
        """
        live, limits, breaker = self.live, self.live.limits, self.live.breaker
        if live.admin is not Admin.UP or live.is_refused(now):
            return None
        if self.outlier is not None and not self.outlier.healthy(now):
            return None
        if limits is not None and limits.too_large(tokens) is not None:
            return None
        probing = breaker is not None and not breaker.admits(now)
        if probing and breaker is not None and breaker.state is not BreakerState.HALF_OPEN:
            return None
        wait = 0.0 if limits is None else limits.wait(tokens, now)
        full = self.places is not None and self.in_flight >= self.places
        if not (full or probing or wait > 0 or live.cooling_until > now):
            return None
        return max(now + wait, live.cooling_until)

    def available_at(self, now: float, tokens: int = 0) -> float | None:
        """The earliest instant at which it could take a call; None when nobody can tell."""
        live = self.live
        if live.admin is not Admin.UP:
            return None
        if self.places is not None and live.in_flight >= self.places:
            return None
        breaker_at = now if live.breaker is None else live.breaker.retry_at(now)
        ejected_until = now if self.outlier is None else self.outlier.ejected_until
        limited = 0.0 if live.limits is None else live.limits.wait(tokens, now)
        at = max(now + limited, live.cooling_until, breaker_at, ejected_until)
        return None if at == float("inf") else at

    def acquire(self, now: float, expires: float, tokens: int = 0) -> Lease | None:
        """A lease, or None when it is not to be had; all or nothing, and nothing is awaited."""
        live = self.live
        adaptive, limits, breaker = live.adaptive, live.limits, live.breaker
        places = live.max_in_flight if adaptive is None else adaptive.limit
        if places is not None and live.in_flight >= places:
            return None
        reservation = None
        if limits is not None:
            reservation = limits.reserve(tokens, now)
            if reservation is None:
                return None
        permit = None
        if breaker is not None:
            permit = breaker.standing or breaker.acquire(now, expires)
            if permit is None:
                if reservation is not None:
                    reservation.refund(now)
                return None
        live.in_flight += 1
        if live.in_flight == places:
            live.changes.count += 1
        return Lease(self, permit, now, reservation)


class Observer:
    """A strategy that learns how attempts end. Where it fails at it, that is counted, and logged once.

    Attributes:
        failures: how often it failed.
    """

    __slots__ = ("_plugin", "_scrub", "failures", "observed")

    def __init__(self, observed: Callable[[Deployment, Sample], None], plugin: str, *, scrub: Scrub) -> None:
        self._scrub = scrub
        self.observed = observed
        self.failures = 0
        self._plugin = plugin

    def failed(self, error: BaseException) -> None:
        """It raised `error`."""
        self.failures += 1
        if self.failures == 1:
            fault("strategy", self._plugin, "observed", error, scrub=self._scrub)


class Lease:
    """One attempt's hold on one deployment, from choice to last byte.

    Nothing else changes in-flight counts, breaker permits and latency samples. `release` works once; a
    lease that is dropped gives everything back without judging the deployment.

    Attributes:
        pool: the name of the pool that chose the deployment.
        number: of the attempt, in its request, from 1.
        paid: the budgets that the attempt was charged to; one that never left the process is free.
        slow: its first token was late, and nobody else was there to be asked.
    """

    __slots__ = (
        "_open",
        "_permit",
        "_reservation",
        "deployment",
        "first_event_at",
        "number",
        "observer",
        "paid",
        "pool",
        "slow",
        "started_at",
    )

    def __init__(
        self,
        deployment: Deployment,
        permit: Permit | None,
        now: float,
        reservation: Reservation | None = None,
    ) -> None:
        self.deployment = deployment
        self.started_at = now
        self.first_event_at: float | None = None
        self.observer: Observer | None = None
        self.pool = ""
        self.number = 0
        self.paid: Sequence[RetryBudget] = ()
        self.slow = False
        self._permit = permit
        self._reservation = reservation
        self._open = True

    def first_event(self, now: float) -> None:
        """The first content is here. Only the first call counts."""
        if self.first_event_at is None:
            self.first_event_at = now

    @property
    def first_token(self) -> float | None:
        """Seconds from choice to first content; None when there was none."""
        return None if self.first_event_at is None else self.first_event_at - self.started_at

    def release(
        self,
        outcome: Outcome,
        now: float,
        *,
        retry_after: float | None = None,
        refusal: Refusal | None = None,
        within: float = inf,
        timed_out: bool = False,
        sent: bool = True,
        tokens: int | None = None,
    ) -> bool:
        """Give everything back, once; false when it had been already.

        Args:
            retry_after: the upstream's hint, seconds.
            refusal: what the upstream refuses whoever asks, if that is how it ended.
            within: seconds that the request has left, should it wait for the end of a cool-down.
            timed_out: the fault was silence, which is how some upstreams say that they are overloaded.
            sent: false when surely nothing reached the upstream: then the rate limits get all of it back.
            tokens: as the upstream counted them, None when it did not.
        """
        deployment, permit = self.deployment, self._permit
        live, outlier = deployment.live, deployment.outlier
        if not self._open:
            live.late_releases += 1
            return False
        self._open = False
        adaptive, breaker, in_flight = live.adaptive, live.breaker, live.in_flight
        places = live.max_in_flight if adaptive is None else adaptive.limit
        if places is not None and in_flight >= places:
            live.changes.count += 1
        live.in_flight -= 1
        live.outcomes[outcome.value] += 1
        first = None if self.first_event_at is None else self.first_event_at - self.started_at
        if outcome is Outcome.OK:
            if live.failing:
                live.recovered()
            live.total.add(now - self.started_at, now)
            if adaptive is not None:
                adaptive.ok(now, in_flight)
            if first is not None:
                live.first_token.add(first, now)
                if live.window is not None:
                    live.window.add(first, now)
            if outlier is not None:
                outlier.ok(now, started=self.started_at)
            if breaker is not None and permit is not None:
                breaker.ok(
                    permit, now, slow=first is not None and (self.slow or first > breaker.settings.slow_after)
                )
        else:
            if refusal is not None:
                live.refused(refusal, now, self.started_at, retry_after, within)
            self._not_ok(outcome, now, retry_after=retry_after, within=within, timed_out=timed_out)
        if self._reservation is not None:
            if sent:
                self._reservation.settle(tokens, now)
            else:
                self._reservation.refund(now)
        if self.paid and not sent and outcome is not Outcome.UPSTREAM_FAULT:
            for each in self.paid:
                each.refund(now)
        if self.observer is not None:
            try:
                sample = Sample(outcome, now - self.started_at, first, retry_after, now)
                self.observer.observed(deployment, sample)
            except OWN as error:  # learning costs nobody an answer
                self.observer.failed(error)
        if live.rooms:
            live.wake()
        if live.on_idle and live.in_flight == 0:
            waiting, live.on_idle = live.on_idle, []
            for tell in waiting:
                tell()
        return True

    def _not_ok(
        self, outcome: Outcome, now: float, *, retry_after: float | None, within: float, timed_out: bool
    ) -> None:
        """What follows for the deployment from a call that did not succeed."""
        deployment, permit = self.deployment, self._permit
        live, outlier = deployment.live, deployment.outlier
        breaker, adaptive = live.breaker, live.adaptive
        if outcome is Outcome.UPSTREAM_FAULT:
            live.changes.count += 1
            live.failing = True
            if retry_after is not None:
                live.keep_away(now, retry_after, within)
            if outlier is not None:
                outlier.failed(now, started=self.started_at)
            if adaptive is not None and timed_out:
                adaptive.overloaded(now)
            if breaker is not None and permit is not None:
                breaker.failed(permit, now)
        elif outcome is Outcome.OVERLOAD:
            live.overloaded(now, self.started_at, retry_after, within)
            if adaptive is not None:
                adaptive.overloaded(now)
            if breaker is not None and permit is not None:
                breaker.overloaded(permit, now)
        elif breaker is not None and permit is not None:
            breaker.neutral(permit, now)

    @property
    def is_open(self) -> bool:
        """Not released yet."""
        return self._open

    def __del__(self) -> None:
        # The last net under code that lost a lease; `started_at` is a time that surely has been.
        if self._open:
            self.release(Outcome.NEUTRAL, self.started_at)
