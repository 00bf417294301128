"""Deployments: whether one can take a call now, when it could, and the lease on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from pointsman.http.client import Client
from pointsman.prices import Price
from pointsman.provider import Provider
from pointsman.requests.requirements import Labels, Requirements, unmet
from pointsman.resilience.circuit_breaker import BreakerState
from pointsman.resilience.loaded_models import ModelServer
from pointsman.resilience.outlier_detection import OutlierDetector
from pointsman.resilience.token_estimate import Estimator, PromptedEstimator
from pointsman.resilience.warm_up import WarmUp
from pointsman.routing.deployment_state import Admin, DeploymentState
from pointsman.routing.lease import Lease, Observer
from pointsman.routing.reasons import Reason, Why
from pointsman.strategy import Residency

if TYPE_CHECKING:
    from pointsman.requests.amendments import Amendments

# Looked up once, not for each of hundreds in a search: as `_OK` in `lease`.
_UP, _HALF_OPEN = Admin.UP, BreakerState.HALF_OPEN


class Demand(Struct):
    """What one request demands of a deployment.

    Attributes:
        require: labels that it must carry.
        tokens: the estimate of what the request will use, for limits by tokens.
        tried: ids of those that the request has tried; filled as it goes.
        well_only: the retry budget bears no further call to what fails.
        affinity: the conversation that the request belongs to, for strategies.
        maker: the mark of the upstream that is to have it where one of that is ready; "" for any.
    """

    require: Requirements = field(default_factory=dict)
    tokens: int = 0
    affinity: str = ""
    maker: str = ""
    tried: set[str] = field(default_factory=set)
    well_only: bool = False

    def again(self) -> Demand:
        """The same, as if nothing had been tried."""
        return Demand(self.require, self.tokens)

    def reasons(self, deployment: Deployment) -> Sequence[Reason]:
        """Why the request would not go to `deployment`, whatever its state; none when it would."""
        if (rule := unmet(self.require, deployment.labels)) is not None:
            return [Reason(Why.RULE, (rule,))]
        if deployment.id in self.tried:
            return [Reason(Why.TRIED)]
        if self.well_only and deployment.live.failing:
            return [Reason(Why.BUDGET)]
        return ()


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
        amends: what is made of requests that go there; None where the configuration says nothing.
        options: what only the provider type knows.
        first_token, idle, attempt: time limits in seconds.
        live: the state, shared with other pools.
        price, context_window, capabilities: as configured, else as known; None where nobody knows.
        enforced_window: that which the configuration says; what is certainly longer is not sent there.
        adjusts: one of `amends` and `enforced_window` is there: requests are looked at before they are sent.
    """

    id: str
    model: str
    provider: Provider
    client: Client | None
    live: DeploymentState
    plugin: str = ""
    weight: int = 1
    priority: int = 0
    amends: Amendments | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    first_token: float = 60.0
    idle: float = 60.0
    attempt: float | None = None
    outlier: OutlierDetector | None = None
    price: Price | None = None
    context_window: int | None = None
    enforced_window: int | None = None
    adjusts: bool = False
    capabilities: Sequence[str] | None = None
    host: ModelServer | None = None

    @property
    def residency(self) -> Residency | None:
        """What its server has in memory; None when nobody asks it."""
        return None if self.host is None else self.host.residency(self.model)

    # Without a frame of Python: a strategy may ask hundreds in each pick.
    in_flight = property(attrgetter("live.in_flight"), doc="Attempts that hold a lease on it now.")

    @property
    def warm_up(self) -> WarmUp | None:
        """How it returns to full load."""
        return self.live.warm_up

    @property
    def provider_name(self) -> str:
        """The configured name of the provider."""
        return self.provider.name

    def reasons(self, now: float, tokens: int = 0) -> Sequence[Reason]:
        """Why no call of so many `tokens` can go there now; none when one can.

        All that keeps calls away is said here and nowhere else, with when it ends and whether that is worth
        a place in the queue.
        """
        found: list[Reason] = []
        live, breaker, outlier = self.live, self.live.breaker, self.outlier
        if live.admin is not _UP:
            found.append(Reason(Why.DRAINING if live.admin is Admin.DRAINING else Why.DISABLED))
        if live.cooling_until > now:
            found.append(self._cooling(now))
        if breaker.standing is None and not breaker.admits(now):
            state, until = breaker.state, breaker.retry_at(now)
            # Forced open it has no end, and nobody waits for an operator.
            room_at = now if state is _HALF_OPEN else until if until < inf else None
            found.append(Reason(Why.BREAKER, (state,), until, room_at))
        if outlier is not None and not outlier.healthy(now):
            ejected = outlier.ejected(now)  # else its checks fail, and the next one may pass
            found.append(
                Reason(Why.EJECTED, (), outlier.ejected_until) if ejected else Reason(Why.ILL, (), now)
            )
        if live.places is not None and live.in_flight >= live.places:
            found.append(Reason(Why.FULL, live.taken, room_at=now))
        if live.limits is not None and (wait := live.limits.wait(tokens, now)) > 0:
            never = live.limits.too_large(tokens)
            at = now + wait
            lacking = Why.STATE if live.limits.stuck else Why.LIMIT
            found.append(
                Reason(lacking, (wait,), at, at) if never is None else Reason(Why.TOO_LARGE, (never,))
            )
        return found

    def _cooling(self, now: float) -> Reason:
        """The cool-down that ends last."""
        live, until = self.live, self.live.cooling_until
        refused = live.last().reason
        room_at = None if live.is_refused(now) else until
        if refused is not None:
            return Reason(Why.REFUSED, (refused.value, until - now), until, room_at)
        return Reason(Why.COOLING, (until - now,), until, room_at)

    def healthy(self, now: float) -> bool:
        """Whether a level may count on it. Being full is no illness: what is full works."""
        return all(each.why.is_load for each in self.reasons(now))

    def available_at(self, now: float, tokens: int = 0) -> float | None:
        """The earliest instant at which it could take a call; None when nobody can tell."""
        at = max((each.until for each in self.reasons(now, tokens)), default=now)
        return None if at == inf else at

    def room_at(self, now: float, tokens: int) -> float | None:
        """The first instant at which a call of `tokens` that waits for room may find it.

        Room is what it lacks while it is full, at its rate limit, cooling down, open for a known time, or
        half open with all probes under way. None when it lacks none of these, or when it is out for a reason
        that nobody waits for.
        """
        instants = [each.room_at for each in self.reasons(now, tokens)]
        return max((at for at in instants if at is not None), default=None) if None not in instants else None

    def steady(self, now: float) -> tuple[float, float] | None:
        """Until when `reasons` are the same, and for calls of how many tokens, if nothing invalidates it.

        None when nobody can tell now.
        """
        live, tokens = self.live, inf
        if live.breaker.state is _HALF_OPEN:
            return None
        if live.warm_up is not None and live.warm_up.ends > now:
            return None
        if live.limits is not None:
            fits = live.limits.watch(now, live.readiness.invalidate)
            if fits is None:
                return None
            tokens = fits
        return min((each.until for each in self.reasons(now) if each.until > now), default=inf), tokens

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
        places, limits = live.places, live.limits
        if places is not None and live.in_flight >= places:
            return None
        reservation = None
        if limits is not None and (reservation := limits.reserve(tokens, now)) is None:
            return None
        # While the breaker refuses nothing its permit lies ready, and nothing is called.
        permit = live.breaker.standing or live.breaker.acquire(now, expires)
        if permit is None:
            if reservation is not None:
                reservation.refund(now)
            return None
        live.in_flight += 1  # read again: a lease may have been dropped meanwhile
        if live.in_flight == places:
            live.readiness.invalidate()
        return Lease(self, pool, now, permit, reservation, observer)


def estimator_for(deployments: Iterable[Deployment]) -> Estimator:
    """What estimates requests for `deployments`, with the most that the configuration adds to a prompt."""
    added = max((each.amends.tokens for each in deployments if each.amends is not None), default=0)
    return PromptedEstimator(added) if added else Estimator()
