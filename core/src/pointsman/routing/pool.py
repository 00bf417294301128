"""Pools: the deployments of one model, and which of them could take a call now."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import groupby
from math import inf
from typing import NamedTuple

from msgspec import Struct

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
from pointsman.routing.lease import Lease, Observer
from pointsman.routing.ready_cache import ReadyCache
from pointsman.routing.reasons import Reason, Why
from pointsman.strategy import Strategy, observes
from pointsman.types import Request

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


class PoolSettings(Struct, frozen=True):
    """What a configuration says of one model.

    Attributes:
        strategy_name: the plugin that chooses; `retry_name`: the one that says how often.
        total: seconds that a request has.
        require: labels that every deployment must carry that takes a call.
        retry: None: as in general.
        panic_threshold: with a smaller part of a level healthy, its health is not believed.
        counts_tokens: a deployment is limited by tokens, so that requests are estimated.
    """

    name: str
    strategy_name: str = ""
    fallback: Sequence[Fallback] = ()
    total: float = 600.0
    require: Requirements = {}
    retry: RetryPolicy | None = None
    retry_name: str = ""
    panic_threshold: float = 0.5
    counts_tokens: bool = False


class Pool:
    """The deployments of one model, the strategy that chooses among them, and the models to fall back on.

    Attributes:
        budget: what retries are paid from, and `hedges` second attempts; None for no limit, or for none.
        queue: where callers wait for room; None when they do not.
        estimator: how many tokens requests will use; None where nothing is limited by them.
    """

    def __init__(
        self,
        settings: PoolSettings,
        deployments: Sequence[Deployment],
        strategy: Strategy,
        *,
        scrub: Scrub,
        rng: Rng | None = None,
        budget: RetryBudget | None = None,
        hedges: RetryBudget | None = None,
        queue: AdmissionQueue[Lease] | None = None,
    ) -> None:
        """`rng`: draws the priority level; None: the first one with anything ready."""
        self.name = settings.name
        self.strategy_name = settings.strategy_name
        self.fallback = settings.fallback
        self.total = settings.total
        self.require = settings.require
        self.retry = settings.retry
        self.retry_name = settings.retry_name
        self._panic_threshold = settings.panic_threshold
        self.estimator = Estimator() if settings.counts_tokens else None
        self.budget = budget
        self.hedges = hedges
        self.queue = queue
        self._scrub = scrub
        self._rng = rng
        # The sort is stable: inside a level the order stays that of the configuration.
        self.deployments = tuple(sorted(deployments, key=lambda each: each.priority))
        self._levels = tuple(
            tuple(level) for _, level in groupby(self.deployments, key=lambda each: each.priority)
        )
        self.ready_cache = ReadyCache(deployments)
        if queue is not None:
            for each in self.deployments:
                each.live.wakes(queue)
        self.strategy = strategy
        self._observer: Observer | None = None
        if observes(strategy):
            self._observer = Observer(strategy.observed, self.strategy_name, scrub=scrub)
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
        if len(levels) == 1:  # nothing to draw and no order to make
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
        ready = self.usable(now, demand)
        while ready:
            # Strategies see ids, weights and loads; what they give back is one of what they were given.
            chosen = self._picked(self.strategy, ready, request)
            lease = chosen.acquire(now, expires, demand.tokens, self.name, self._observer)
            if lease is not None:
                return lease
            ready = [each for each in ready if each is not chosen]
        return None

    def hold(self, chosen: Deployment, now: float, expires: float, demand: Demand) -> Lease | None:
        """A lease on `chosen`, of which the strategy will hear; None when it is not to be had."""
        return chosen.acquire(now, expires, demand.tokens, self.name, self._observer)

    def usable(self, now: float, demand: Demand) -> Sequence[Deployment]:
        """Those ready of which the strategy may pick: some that warm up have their share already."""
        if demand.tried or demand.require:
            return self._looked_up(now, demand)
        ready = self.ready_cache.get(now, demand.tokens)
        if ready is not None:
            return ready
        readiness = self.ready_cache.readiness
        if readiness is None:
            return self._looked_up(now, demand)
        version = readiness.version  # before the search: a lease that is dropped meanwhile is a change
        ready = self._looked_up(now, demand)
        steady = self._steadiness(now)
        if steady is None or demand.tokens > steady[1]:
            return ready
        return self.ready_cache.put(ready, version=version, until=steady[0], tokens=steady[1])

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

    def preview(self, ready: Sequence[Deployment], request: Request) -> Deployment:
        """What the strategy would pick of `ready`, without it taking a step."""
        try:
            # The memo has the copy keep the deployments themselves: it picks one of those it is shown.
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
