"""Pools: the deployments of one model, and which of them could take a call now."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import groupby
from math import inf
from typing import NamedTuple, Protocol

from pointsman._internal.plugin_errors import OWN, Scrub, fault
from pointsman.clock import Rng
from pointsman.errors import FallbackOn, NoDeploymentAvailable, PluginError, RuleNotMet
from pointsman.requests.requirements import Requirements, show, unmet
from pointsman.resilience.admission_queue import AdmissionQueue
from pointsman.resilience.outlier_detection import EjectionGroup
from pointsman.resilience.priority_levels import Level, choose, order, panics
from pointsman.resilience.retry_budget import RetryBudget
from pointsman.resilience.token_estimate import Estimator
from pointsman.resilience.warm_up import admitted
from pointsman.retry import RetryPolicy
from pointsman.routing.deployment import ANYTHING, Demand, Deployment
from pointsman.routing.deployment_state import Changes
from pointsman.routing.lease import Lease, Observer
from pointsman.routing.reasons import Reason, Why
from pointsman.strategy import Strategy, observes
from pointsman.types import Request, Usage

Refusals = Callable[[str, Reason], None]


class Fallback(NamedTuple):
    """A model to fall back on, and what it follows."""

    to: str
    on: frozenset[FallbackOn] = frozenset({FallbackOn.CONTEXT_WINDOW, FallbackOn.UNAVAILABLE})


def chain(first: Pool, find: Callable[[str], Pool], follows: Callable[[Pool, Fallback], bool]) -> list[Pool]:
    """`first` and the pools that it falls back on, each once, what follows one of them right after it.

    Args:
        find: the pool of a name.
        follows: whether a pool's fallback is to be followed.
    """
    found: dict[str, Pool] = {}
    waiting = [first]
    while waiting:
        pool = waiting.pop(0)
        if pool.name not in found:
            found[pool.name] = pool
            waiting = [find(each.to) for each in pool.fallback if follows(pool, each)] + waiting
    return list(found.values())


class Pool:
    """The deployments of one model, the strategy that chooses among them, and the models to fall back on."""

    def __init__(
        self,
        name: str,
        deployments: Sequence[Deployment],
        strategy: Strategy,
        *,
        strategy_name: str = "",
        fallback: Sequence[Fallback] = (),
        total: float = 600.0,
        require: Requirements | None = None,
        budget: RetryBudget | None = None,
        panic_threshold: float = 0.5,
        rng: Rng | None = None,
        queue: AdmissionQueue[Lease] | None = None,
        hedges: RetryBudget | None = None,
        counts_tokens: bool = False,
        retry: RetryPolicy | None = None,
        retry_name: str = "",
        scrub: Scrub,
    ) -> None:
        self._scrub = scrub
        self.name = name
        self.retry = retry
        self.retry_name = retry_name
        self.queue = queue
        self.require: Requirements = require or {}
        self.budget = budget
        self.hedges = hedges
        # The sort is stable: inside a level the order stays that of the configuration.
        self.deployments = tuple(sorted(deployments, key=lambda each: each.priority))
        self.strategy = strategy
        self.strategy_name = strategy_name
        self.fallback = tuple(fallback)
        self.total = total
        self._levels = tuple(
            tuple(level) for _, level in groupby(self.deployments, key=lambda each: each.priority)
        )
        self._panic_threshold = panic_threshold
        self._rng = rng
        if queue is not None:
            for each in self.deployments:
                each.live.wakes(queue)
        self._estimator = Estimator() if counts_tokens else None
        self._steady: _Steady | None = None
        changes = {id(each.live.changes): each.live.changes for each in deployments}
        self._changes = changes.popitem()[1] if len(changes) == 1 else None
        self._observer: Observer | None = None
        if observes(strategy):
            self._observer = Observer(strategy.observed, strategy_name, scrub=scrub)
        try:
            strategy.members(self.deployments)
        except OWN as error:
            raise self._fault("members", error) from error

    def tie(self, now: float) -> None:
        """From `now` on, the ejections of each level are tied together, so that its last one is spared.

        Not for a pool that borrows deployments, for calls by their full name: these are tied already.
        """
        for level in self._levels:
            EjectionGroup([each.outlier for each in level if each.outlier is not None], now=now)

    def ready(
        self, now: float, demand: Demand = ANYTHING, refused: Refusals | None = None
    ) -> Sequence[Deployment]:
        """The deployments that could take a call now, all of one priority level.

        In configuration order, and the very same tuple when all are ready. The level is the first one for as
        long as it is healthy; what it cannot bear goes to the next, call by call, and when a level has
        nothing ready the others follow in order. `refused(id, why)` is told of every deployment that is left
        out; then chance plays no part, so that an explanation is always the same.
        """
        levels = self._levels
        if len(levels) == 1:
            found, sick = self._admitted(levels[0], now, demand, refused)
            if sick and self._panics(now)[0]:
                found, _ = self._admitted(levels[0], now, demand, None, panic=True)
            return found
        chosen: Sequence[Deployment] = ()
        panics: Sequence[bool] | None = None
        for number in self._order(now, chance=refused is None):
            if chosen:
                if refused is None:
                    break
                for each in levels[number]:
                    later = Reason(Why.LATER, (each.priority, chosen[0].priority))
                    refused(each.id, each.blocked(now, demand.tokens) or later)
                continue
            chosen, sick = self._admitted(levels[number], now, demand, refused)
            if sick:
                panics = panics or self._panics(now)
                if panics[number]:
                    chosen, _ = self._admitted(levels[number], now, demand, None, panic=True)
        return chosen

    def _admitted(
        self,
        level: Sequence[Deployment],
        now: float,
        demand: Demand,
        refused: Refusals | None,
        *,
        panic: bool = False,
    ) -> tuple[Sequence[Deployment], bool]:
        """The deployments of a level that could take a call, and whether bad health alone kept one out."""
        ready: list[Deployment] = []
        sick = False
        require, tried, tokens = demand.require, demand.tried, demand.tokens
        for each in level:
            if require and (rule := unmet(require, each.labels)) is not None:
                reason: Reason | None = Reason(Why.RULE, (rule,))
            elif each.id in tried:
                reason = Reason(Why.TRIED)
            elif demand.well_only and each.live.failing:
                reason = Reason(Why.BUDGET)
            else:
                reason = each.blocked(now, tokens, panic=panic)
            if reason is None:
                ready.append(each)
                continue
            sick = sick or reason.why.is_health
            if refused is not None:
                refused(each.id, reason)
        return (level if len(ready) == len(level) else ready), sick

    def _order(self, now: float, *, chance: bool) -> Sequence[int]:
        """The numbers of the levels in the order in which this call looks at them."""
        if self._rng is None or all(each.healthy(now) for each in self._levels[0]):
            return range(len(self._levels))
        draw = self._rng.random if chance else lambda: 0.0
        return order(choose(self._health(now), draw), len(self._levels))

    def _health(self, now: float) -> Sequence[Level]:
        return [
            Level(sum(each.weight for each in level if each.healthy(now)), sum(each.weight for each in level))
            for level in self._levels
        ]

    def _panics(self, now: float) -> Sequence[bool]:
        return panics(self._health(now), self._panic_threshold)

    def lease(
        self, request: Request, *, now: float, expires: float, demand: Demand = ANYTHING
    ) -> Lease | None:
        """A lease on the deployment that the strategy picks among the ready ones; None when none is."""
        ready = self._usable(now, demand)
        while ready:
            # Strategies see ids, weights and loads; what they give back is one of what they were given.
            chosen = self._picked(self.strategy, ready, request)
            lease = self.hold(chosen, now, expires, demand)
            if lease is not None:
                return lease
            ready = [each for each in ready if each is not chosen]
        return None

    def _usable(self, now: float, demand: Demand) -> Sequence[Deployment]:
        """Those ready of which the strategy may pick: some that warm up have their share already.

        Looked up again only when something has changed: with hundreds of deployments the search would cost
        more than the rest of the call.
        """
        if demand.tried or demand.require:
            return self._looked_up(now, demand)
        steady = self._steady
        if (
            steady is not None
            and steady.counted == steady.changes.count
            and now < steady.until
            and demand.tokens <= steady.tokens
        ):
            return steady.ready
        changes = self._changes
        if changes is None:
            return self._looked_up(now, demand)
        count = changes.count  # before the search: a lease that is dropped meanwhile is a change
        ready = self._looked_up(now, demand)
        if (found := self._steadiness(now)) is not None and demand.tokens <= found[1]:
            # A tuple, because it is shown to strategies again and again, and they are others' code.
            ready = tuple(ready)
            self._steady = _Steady(changes, count, *found, ready)
        return ready

    def _looked_up(self, now: float, demand: Demand) -> Sequence[Deployment]:
        ready = self.ready(now, demand)
        for each in ready:
            if (warm_up := each.live.warm_up) is not None and warm_up.ends > now:
                return admitted(ready, now)
        return ready

    def _steadiness(self, now: float) -> tuple[float, float] | None:
        """Until when the same are ready unless something changes, and for calls of how many tokens.

        None when nobody can tell. With several levels that is known only while the first one is well: chance
        has a say otherwise.
        """
        first = self._levels[0]
        if len(self._levels) > 1 and any(each.blocked(now) is not None for each in first):
            return None
        until = tokens = inf
        for each in first:
            steady = each.steady(now)
            if steady is None:
                return None
            until, tokens = min(until, steady[0]), min(tokens, steady[1])
        return until, tokens

    def hold(self, chosen: Deployment, now: float, expires: float, demand: Demand) -> Lease | None:
        """A lease on `chosen`, of which the strategy will hear; None when it is not to be had."""
        lease = chosen.acquire(now, expires, demand.tokens)
        if lease is not None:
            lease.pool = self.name
            lease.observer = self._observer
        return lease

    def preview(self, ready: Sequence[Deployment], request: Request) -> Deployment:
        """What the strategy would pick of `ready`, without it taking a step."""
        try:
            strategy = copy.deepcopy(self.strategy, {id(each): each for each in self.deployments})
        except OWN as error:
            raise self._fault("__deepcopy__", error) from error
        return self._picked(strategy, ready, request)

    def _picked(self, strategy: Strategy, ready: Sequence[Deployment], request: Request) -> Deployment:
        """The strategy's pick. Raises PluginError when it raises, or picks what it was not offered."""
        try:
            chosen = strategy.pick(ready, request)
        except OWN as error:
            raise self._fault("pick", error) from error
        if not isinstance(chosen, Deployment) or chosen not in ready:
            picked = repr(chosen.id) if isinstance(chosen, Deployment) else f"a {type(chosen).__name__}"
            raise self._fault(
                "pick", f"picked {picked}, which is none of {[each.id for each in ready]}"[:500]
            )
        return chosen

    def _fault(self, method: str, did: BaseException | str) -> PluginError:
        return fault("strategy", self.strategy_name, method, did, scrub=self._scrub)

    def estimate(self, request: Request) -> int:
        """Tokens that `request` will probably use; 0 where nothing is limited by tokens."""
        return 0 if self._estimator is None else self._estimator.estimate(request)

    def learn(self, usage: Usage) -> None:
        """Estimate better from now on."""
        if self._estimator is not None and usage.completion is not None:
            self._estimator.observe(usage.completion)

    def allowed(self, require: Requirements) -> Sequence[Deployment]:
        """The deployments that meet `require`, whatever their state."""
        return [each for each in self.deployments if unmet(require, each.labels) is None]

    def none_available(self, now: float, demand: Demand = ANYTHING) -> NoDeploymentAvailable:
        """The error that says for each deployment why it cannot be chosen."""
        reasons: dict[str, Reason] = {}
        self.ready(now, demand.again(), reasons.__setitem__)
        allowed = self.allowed(demand.require)
        if not allowed:
            return RuleNotMet(
                f"no deployment of model {self.name!r} may take what requires {show(demand.require)}",
                reasons=reasons,
            )
        instants = [at for each in allowed if (at := each.available_at(now, demand.tokens)) is not None]
        retry_after = max(0.0, min(instants) - now) if instants else None
        listed = "; ".join(f"{id}: {why}" for id, why in reasons.items())
        when = "" if retry_after is None else f"; the first may be back in {retry_after:.1f} s"
        return NoDeploymentAvailable(
            f"no deployment of model {self.name!r} is available ({listed}){when}",
            reasons=reasons,
            retry_after=retry_after,
        )


class _Steady(NamedTuple):
    """The ready ones for `tokens` or fewer, before the instant `until`, while `changes` counts no more."""

    changes: Changes
    counted: int
    until: float
    tokens: float
    ready: Sequence[Deployment]


class Idle(Protocol):
    """What can tell when nothing of it is at work any more."""

    def when_idle(self, tell: Callable[[], None], /) -> None:
        """Call `tell` once it is idle; it may be now."""


def when_all_idle(those: Sequence[Idle], tell: Callable[[], object]) -> None:
    """Call `tell` once each of `those` has been idle; it may be now."""
    left = len(those)

    def idle() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            tell()

    if not those:
        tell()
    for each in those:
        each.when_idle(idle)
