"""The lease: one attempt's hold on one deployment, the only owner of accounting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman._internal.plugin_errors import OWN, Scrub, fault
from pointsman.errors import Outcome, Refusal
from pointsman.resilience.circuit_breaker import Permit
from pointsman.resilience.rate_limit import Reservation
from pointsman.resilience.retry_budget import RetryBudget
from pointsman.strategy import Placing, Sample, Strategy
from pointsman.types import Usage

if TYPE_CHECKING:
    from pointsman.budget import Hold
    from pointsman.routing.deployment import Deployment
    from pointsman.wire.assembly import Assembly


# Looked up once: a member of an enumeration is found through its metaclass, for 250 instructions each time.
_OK, _FAULT, _OVERLOAD = Outcome.OK, Outcome.UPSTREAM_FAULT, Outcome.OVERLOAD


class FailureDetails(Struct, frozen=True):
    """What there is to say of how an attempt ended that did not succeed.

    Attributes:
        retry_after: the upstream's hint, seconds.
        refusal: what the upstream refuses whoever asks, if that is how it ended.
        within: seconds that the request has left, should it wait for the end of a cool-down.
        timed_out: the fault was silence, which is how some upstreams say that they are overloaded.
        sent: false when surely nothing reached the upstream: then the rate limits get all of it back.
    """

    retry_after: float | None = None
    refusal: Refusal | None = None
    within: float = inf
    timed_out: bool = False
    sent: bool = True


USUAL = FailureDetails()
NEVER_SENT = FailureDetails(sent=False)


class Observer:
    """A strategy that learns how attempts end. Where it fails at it, that is counted, and logged once.

    Attributes:
        failures: how often it failed.
        others: those of strategies that choose in its place for some calls, and hear of all.
    """

    __slots__ = ("_plugin", "_scrub", "failures", "observed", "others")

    def __init__(self, observed: Callable[[Deployment, Sample], None], plugin: str, *, scrub: Scrub) -> None:
        self._scrub = scrub
        self.observed = observed
        self.failures = 0
        self.others: Sequence[Observer] = ()
        self._plugin = plugin

    def began(self, lease: Lease, now: float) -> None:
        """The first content is there."""

    def tell(self, lease: Lease, outcome: Outcome, now: float, retry_after: float | None) -> None:
        """How an attempt ended. Learning costs nobody an answer."""
        started, first_at = lease.started_at, lease.first_event_at
        first = None if first_at is None else first_at - started
        sample = Sample(outcome, now - started, first, retry_after, now)
        self.learn(lease.deployment, sample)
        for each in self.others:
            each.learn(lease.deployment, sample)

    def learn(self, deployment: Deployment, sample: Sample) -> None:
        """How an attempt there ended, which somebody else may have chosen for."""
        try:
            self.observed(deployment, sample)
        except OWN as error:
            self.failed("observed", error)

    def failed(self, method: str, error: BaseException) -> None:
        """Count what went wrong there."""
        self.failures += 1
        if self.failures == 1:
            fault("strategy", self._plugin, method, error, scrub=self._scrub)


class Follower(Observer):
    """What a strategy that follows requests hears of one of them, and how its attempt ends.

    Args:
        everyone: hears of the attempts of all requests.
        learns: whether that wants to hear of them.
    """

    __slots__ = ("_everyone", "_learns", "_placing", "_strategy")

    def __init__(self, strategy: Strategy, placing: Placing, everyone: Observer, *, learns: bool) -> None:
        self._strategy = strategy
        self._placing = placing
        self._everyone = everyone
        self._learns = learns

    def began(self, lease: Lease, now: float) -> None:
        try:
            self._strategy.answered(lease.deployment, self._placing, now)
        except OWN as error:
            self._everyone.failed("answered", error)

    def tell(self, lease: Lease, outcome: Outcome, now: float, retry_after: float | None) -> None:
        if outcome is _OK:
            self.began(lease, now)
        if self._learns:
            self._everyone.tell(lease, outcome, now, retry_after)


class Lease(Struct, eq=False):
    """One attempt's hold on one deployment, from choice to last byte.

    Nothing else changes in-flight counts, breaker permits and latency samples. `release` works once; a
    lease that is dropped gives everything back without judging the deployment.

    Attributes:
        pool: the name of the pool that chose the deployment.
        permit: of the breaker.
        reservation: what it took of the rate limits; None where there are none.
        observer: the strategy that chose, where it learns.
        first_event_at: when the first content came; None as long as there is none.
        number: of the attempt, in its request, from 1.
        paid: the budgets that the attempt was charged to; one that never left the process is free.
        slow: its first token was late, and nobody else was there to be asked.
        usage: tokens that the upstream had counted when the attempt failed, as far as it told.
        cost: of the attempt, in millionths of a cent; None where nobody knows.
        hold: what it holds of budgets; None where there are none.
        coming: the answer of a stream, as far as it has come.
        delivered: about how many tokens of the answer came, where the upstream had not counted all of them.
        is_open: it is not released yet.
    """

    deployment: Deployment
    pool: str
    started_at: float
    permit: Permit
    reservation: Reservation | None
    observer: Observer | None
    first_event_at: float | None = None
    number: int = 0
    paid: Sequence[RetryBudget] = ()
    slow: bool = False
    usage: Usage | None = None
    cost: int | None = None
    hold: Hold | None = None
    coming: Assembly | None = None
    delivered: int = 0
    is_open: bool = True

    def first_event(self, now: float) -> None:
        """The first content is here. Only the first call counts."""
        if self.first_event_at is None:
            self.first_event_at = now
            if self.observer is not None:
                self.observer.began(self, now)

    def release(
        self, outcome: Outcome, now: float, tokens: int | None = None, ending: FailureDetails = USUAL
    ) -> bool:
        """Give everything back, once; false when it had been already.

        Args:
            tokens: as the upstream counted them, None when it did not.
        """
        live = self.deployment.live
        if not self.is_open:
            live.late_releases += 1
            return False
        self.is_open = False
        in_flight, places = live.in_flight, live.places
        if places is not None and in_flight >= places:  # only the last place decides whether it is ready
            live.readiness.invalidate()
        live.in_flight -= 1
        live.outcomes[outcome] += 1
        if outcome is _OK:
            self._succeeded(now, in_flight)
        else:
            self._not_ok(outcome, now, ending)
        if self.reservation is not None:
            if ending.sent:
                self.reservation.settle(tokens, now)
            else:
                self.reservation.refund(now)
        if self.paid and not ending.sent and outcome is not _FAULT:
            self._refund(now)
        if self.hold is not None:
            self.hold.settle(self.usage, self.cost, sent=ending.sent, delivered=self.delivered)
        if self.observer is not None:
            self.observer.tell(self, outcome, now, ending.retry_after)
        if live.readiness.waiting or live.idle.waiting:
            live.vacated()
        return True

    def _refund(self, now: float) -> None:
        """It never left the process: what it was charged to gets it back."""
        for budget in self.paid:
            budget.refund(now)

    def _succeeded(self, now: float, in_flight: int) -> None:
        """What follows for the deployment from a call that did; so many were in flight with it."""
        started, first_at = self.started_at, self.first_event_at
        live, outlier = self.deployment.live, self.deployment.outlier
        if live.failing:
            live.recovered()
        live.total.add(now - started, now)
        if live.adaptive is not None:  # before its own first token counts among those that set the pace
            live.adaptive.ok(now, in_flight)
            live.places = live.adaptive.limit
        if first_at is not None:
            live.first_token.add(first_at - started, now)
            if live.window is not None:
                live.window.add(first_at - started, now)
        if outlier is not None:
            outlier.ok(now, started=started)
        # By position: names would cost every call 400 instructions more.
        live.breaker.ok(self.permit, now, started, first_at, self.slow and first_at is not None)

    def _not_ok(self, outcome: Outcome, now: float, ending: FailureDetails) -> None:
        """What follows for the deployment from a call that did not succeed."""
        started, hint, within = self.started_at, ending.retry_after, ending.within
        live, outlier = self.deployment.live, self.deployment.outlier
        if ending.refusal is Refusal.NO_CREDENTIAL:
            live.lacks_credential(now, hint or 0.0, within)
        elif ending.refusal is not None and live.refused(ending.refusal, now, started, hint, within):
            live.tell_refusal(ending.refusal, now)
        if outcome is _FAULT:
            live.failing = True  # whether it can take a call is up to breaker and ejection, which tell of it
            if hint is not None:
                live.keep_away(now, hint, within)
            if outlier is not None:
                outlier.failed(now, started=started)
        elif outcome is _OVERLOAD:
            live.overloaded(now, started, hint, within)
        if live.adaptive is not None and (outcome is _OVERLOAD or (outcome is _FAULT and ending.timed_out)):
            live.adaptive.overloaded(now)
            live.places = live.adaptive.limit
        if outcome is _FAULT:
            live.breaker.failed(self.permit, now)
        elif outcome is _OVERLOAD:
            live.breaker.overloaded(self.permit, now)
        else:
            live.breaker.neutral(self.permit, now)

    def __del__(self) -> None:
        # The last net under code that lost a lease; `started_at` is a time that surely has been.
        if self.is_open:
            self.release(Outcome.NEUTRAL, self.started_at)
