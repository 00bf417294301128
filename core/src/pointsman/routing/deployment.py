"""Deployments: whether one can take a call now, when it could, and the lease on it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from msgspec import Struct, field

from pointsman.http.client import Client
from pointsman.provider import Provider
from pointsman.requests.requirements import Labels, Requirements
from pointsman.resilience.circuit_breaker import BreakerState
from pointsman.resilience.loaded_models import ModelServer
from pointsman.resilience.outlier_detection import OutlierDetector
from pointsman.resilience.warm_up import WarmUp
from pointsman.routing.deployment_state import Admin, DeploymentState
from pointsman.routing.lease import Lease, Observer
from pointsman.routing.reasons import Reason, Why
from pointsman.strategy import Price, Residency


class Demand(Struct):
    """What one request demands of a deployment.

    Attributes:
        require: labels that it must carry.
        tokens: the estimate of what the request will use, for limits by tokens.
        tried: ids of those that the request has tried; filled as it goes.
        well_only: the retry budget bears no further call to what fails.
    """

    require: Requirements = field(default_factory=dict)
    tokens: int = 0
    tried: set[str] = field(default_factory=set)
    well_only: bool = False

    def again(self) -> Demand:
        """The same, as if nothing had been tried."""
        return Demand(self.require, self.tokens)


ANYTHING = Demand()
"""The demand of nobody in particular; not to be changed."""


# `eq=False`: one equals only itself. With an `__eq__` written in the class every `in` becomes a slow call,
# and to choose among 1,000 takes 103 us in place of 14.
class Deployment(Struct, frozen=True, eq=False):
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
    live: DeploymentState
    plugin: str = ""
    weight: int = 1
    priority: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    first_token: float = 60.0
    idle: float = 60.0
    attempt: float | None = None
    outlier: OutlierDetector | None = None
    price: Price | None = None
    host: ModelServer | None = None

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
        # As `places`, spelt out: hundreds may be asked in one search.
        places = live.max_in_flight if live.adaptive is None else live.adaptive.limit
        if places is not None and live.in_flight >= places:
            return Reason(Why.FULL, (live.in_flight, places))
        if live.limits is not None and (wait := live.limits.wait(tokens, now)) > 0:
            never = live.limits.too_large(tokens)
            return Reason(Why.LIMIT, (wait,)) if never is None else Reason(Why.TOO_LARGE, (never,))
        return None

    def steady(self, now: float) -> tuple[float, float] | None:
        """Until when `blocked` says the same, and of calls of how many tokens, if nothing invalidates it.

        None when nobody can tell now.
        """
        live, breaker, outlier = self.live, self.live.breaker, self.outlier
        if breaker is not None and breaker.state is BreakerState.HALF_OPEN:
            return None
        if live.warm_up is not None and live.warm_up.ends > now:
            return None
        tokens = until = inf
        if live.limits is not None:
            fits = live.limits.watch(now, live.readiness.invalidate)
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

    def acquire(
        self,
        now: float,
        expires: float,
        tokens: int = 0,
        pool: str = "",
        observer: Observer | None = None,
    ) -> Lease | None:
        """A lease, or None when it is not to be had; all or nothing, and nothing is awaited.

        Args:
            expires: the instant by which its call is over, whatever happens.
            pool: the name of the one that chose it; `observer`: the strategy of that, where it learns.
        """
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
            # While it refuses nothing its permit lies ready, and nothing is called.
            permit = breaker.standing or breaker.acquire(now, expires)
            if permit is None:
                if reservation is not None:
                    reservation.refund(now)
                return None
        live.in_flight += 1
        if live.in_flight == places:
            live.readiness.invalidate()
        return Lease(self, permit, now, reservation, pool, observer)
