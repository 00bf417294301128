"""The lease: one attempt's hold on one deployment, the only owner of accounting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from pointsman._internal.plugin_errors import OWN, Scrub, fault
from pointsman.errors import Outcome, Refusal
from pointsman.resilience.circuit_breaker import Permit
from pointsman.resilience.rate_limit import Reservation
from pointsman.resilience.retry_budget import RetryBudget
from pointsman.strategy import Sample

if TYPE_CHECKING:
    from pointsman.routing.deployment import Deployment


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

    def tell(self, deployment: Deployment, sample: Sample) -> None:
        """How an attempt at `deployment` ended. Learning costs nobody an answer."""
        try:
            self.observed(deployment, sample)
        except OWN as error:
            self.failures += 1
            if self.failures == 1:
                fault("strategy", self._plugin, "observed", error, scrub=self._scrub)


class Lease:
    """One attempt's hold on one deployment, from choice to last byte.

    Nothing else changes in-flight counts, breaker permits and latency samples. `release` works once; a
    lease that is dropped gives everything back without judging the deployment.

    Attributes:
        pool: the name of the pool that chose the deployment.
        is_open: it is not released yet.
        reservation: what it took of the rate limits; None where there are none.
        number: of the attempt, in its request, from 1.
        paid: the budgets that the attempt was charged to; one that never left the process is free.
        slow: its first token was late, and nobody else was there to be asked.
    """

    __slots__ = (
        "_observer",
        "_permit",
        "deployment",
        "first_event_at",
        "is_open",
        "number",
        "paid",
        "pool",
        "reservation",
        "slow",
        "started_at",
    )

    def __init__(
        self,
        deployment: Deployment,
        permit: Permit | None,
        now: float,
        reservation: Reservation | None = None,
        pool: str = "",
        observer: Observer | None = None,
    ) -> None:
        self.deployment = deployment
        self.started_at = now
        self.first_event_at: float | None = None
        self.pool = pool
        self.number = 0
        self.paid: Sequence[RetryBudget] = ()
        self.slow = False
        self.reservation = reservation
        self.is_open = True
        self._permit = permit
        self._observer = observer

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
        live = self.deployment.live
        if not self.is_open:
            live.late_releases += 1
            return False
        self.is_open = False
        adaptive, in_flight = live.adaptive, live.in_flight
        places = live.max_in_flight if adaptive is None else adaptive.limit  # as `places`, without the call
        if places is not None and in_flight >= places:  # only the last place decides whether it is ready
            live.readiness.invalidate()
        live.in_flight -= 1
        live.outcomes[outcome.value] += 1
        if outcome is Outcome.OK:
            self._succeeded(now, in_flight)
        else:
            if refusal is not None:
                live.refused(refusal, now, self.started_at, retry_after, within)
            self._not_ok(outcome, now, retry_after=retry_after, within=within, timed_out=timed_out)
        if self.reservation is not None or self.paid:
            self._settle(outcome, now, sent=sent, tokens=tokens)
        if self._observer is not None:
            seconds, first_token = now - self.started_at, self.first_token
            self._observer.tell(self.deployment, Sample(outcome, seconds, first_token, retry_after, now))
        if live.queues:
            live.wake()
        if live.in_flight == 0 and live.idle.waiting:
            live.idle.tell()
        return True

    def _succeeded(self, now: float, in_flight: int) -> None:
        """What follows for the deployment from a call that did; so many were in flight with it."""
        deployment, permit = self.deployment, self._permit
        live, outlier = deployment.live, deployment.outlier
        # As `first_token`, spelt out: a call that succeeds pays for no further frame.
        first = None if self.first_event_at is None else self.first_event_at - self.started_at
        if live.failing:
            live.recovered()
        live.total.add(now - self.started_at, now)
        if live.adaptive is not None:
            live.adaptive.ok(now, in_flight)
        if first is not None:
            live.first_token.add(first, now)
            if live.window is not None:
                live.window.add(first, now)
        if outlier is not None:
            outlier.ok(now, started=self.started_at)
        if (breaker := live.breaker) is not None and permit is not None:
            late = self.slow and first is not None
            breaker.ok(permit, now, started=self.started_at, first_at=self.first_event_at, late=late)

    def _not_ok(
        self, outcome: Outcome, now: float, *, retry_after: float | None, within: float, timed_out: bool
    ) -> None:
        """What follows for the deployment from a call that did not succeed."""
        live, permit = self.deployment.live, self._permit
        breaker = None if permit is None else live.breaker
        if outcome is Outcome.UPSTREAM_FAULT:
            live.failed()
            if retry_after is not None:
                live.keep_away(now, retry_after, within)
            if self.deployment.outlier is not None:
                self.deployment.outlier.failed(now, started=self.started_at)
        elif outcome is Outcome.OVERLOAD:
            live.overloaded(now, self.started_at, retry_after, within)
        if live.adaptive is not None and (
            outcome is Outcome.OVERLOAD or (outcome is Outcome.UPSTREAM_FAULT and timed_out)
        ):
            live.adaptive.overloaded(now)
        if breaker is None or permit is None:
            return
        if outcome is Outcome.UPSTREAM_FAULT:
            breaker.failed(permit, now)
        elif outcome is Outcome.OVERLOAD:
            breaker.overloaded(permit, now)
        else:
            breaker.neutral(permit, now)

    def _settle(self, outcome: Outcome, now: float, *, sent: bool, tokens: int | None) -> None:
        """Correct what was reserved and paid by what was used."""
        if self.reservation is not None:
            if sent:
                self.reservation.settle(tokens, now)
            else:
                self.reservation.refund(now)
        if not sent and outcome is not Outcome.UPSTREAM_FAULT:
            for budget in self.paid:
                budget.refund(now)

    def __del__(self) -> None:
        # The last net under code that lost a lease; `started_at` is a time that surely has been.
        if self.is_open:
            self.release(Outcome.NEUTRAL, self.started_at)
