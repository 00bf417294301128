"""The pool that copies go to: the deployments of a model, with books of their own.

Copies are a class of leases by themselves: what a deployment is held for by callers, how its calls to them
end, and what its breaker makes of that are not touched by them, nor the other way round. Only the limits that
an upstream has set are those of both, because they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from pointsman.clock import Rng
from pointsman.resilience.circuit_breaker import Breaker, BreakerSettings
from pointsman.resilience.retry_budget import BudgetSettings
from pointsman.routing.deployment import Deployment
from pointsman.routing.deployment_state import DeploymentState, Readiness
from pointsman.routing.pool import Pool
from pointsman.strategy import Member, Strategy


class Once:
    """The retry policy of copies: one attempt."""

    attempts: int = 1
    budget: BudgetSettings | None = None

    def delay(self, _failure: object) -> None:
        return None


class TheOne(Strategy):
    """Picks what is there: whoever makes a copy has chosen already, and keeps the others out."""

    def pick(self, ready: Sequence[Member], _request: object, /) -> Member:
        return ready[0]


class Shadow:
    """The pool of the copies to one model, for as long as that is the same; what it knows outlives that."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._readiness = Readiness()
        self._lives: dict[tuple[str, str, str], DeploymentState] = {}
        self._in_hand: Counter[str] = Counter()
        self._of: Pool | None = None
        self._pool: Pool | None = None

    def of(self, pool: Pool) -> Pool:
        """The pool of copies to what `pool` sends callers to."""
        if self._pool is None or self._of is not pool:
            before, self._lives = self._lives, {}
            deployments = [self._shadow(each, before) for each in pool.deployments]
            self._of = pool
            self._pool = Pool(
                name=pool.name,
                deployments=deployments,
                strategy=TheOne(),
                scrub=pool.scrub,
                total=pool.total,
                require=pool.require,
                retry=Once(),
                estimator=pool.estimator,
                readiness=self._readiness,
                drops=pool.drops,
            )
        return self._pool

    def choose(self, pool: Pool, fit: Sequence[Deployment], now: float, tokens: int) -> Deployment | None:
        """The one of `fit`, all of `pool`, that a copy goes to: callers could, and need it least.

        Half of its places, and half of what its limits allow, are kept for callers. None where none is.
        """
        own = {each.id: each for each in self.of(pool).deployments}
        spare = [
            each
            for each in fit
            if not own[each.id].reasons(now, tokens) and _has_spare(each, self._in_hand[each.id], now, tokens)
        ]
        return min(spare, key=lambda each: self._in_hand[each.id], default=None)

    def take(self, id: str) -> None:
        """A copy goes there: from now on it counts, though its task has not begun."""
        self._in_hand[id] += 1

    def give_back(self, id: str) -> None:
        """It has ended."""
        self._in_hand[id] -= 1

    def _shadow(
        self, deployment: Deployment, before: dict[tuple[str, str, str], DeploymentState]
    ) -> Deployment:
        key = (deployment.id, deployment.provider.name, deployment.model)
        live = before.get(key)
        if live is None:
            told = partial(_changed, self._readiness)
            breaker = Breaker(BreakerSettings(), self._rng, on_change=told)
            live = DeploymentState(deployment.id, breaker, self._rng, self._readiness)
        live.limits = deployment.live.limits
        self._lives[key] = live
        return replace(deployment, live=live, outlier=None, priority=0, weight=1)


def _changed(readiness: Readiness, *_said: object) -> None:
    readiness.invalidate()


def _has_spare(deployment: Deployment, copies: int, now: float, tokens: int) -> bool:
    live = deployment.live
    if deployment.reasons(now, tokens):
        return False
    if live.places is not None and 2 * (live.in_flight + copies) >= live.places:
        return False
    scopes = () if live.limits is None else live.limits.scopes
    meters = [meter for each in scopes for meter in (each.requests, each.tokens) if meter is not None]
    return all(2 * meter.remaining(now) >= meter.burst for meter in meters)
