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
                late = self.slow and first is not None
                breaker.ok(permit, now, started=self.started_at, first_at=self.first_event_at, late=late)
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
        if live.queues:
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
