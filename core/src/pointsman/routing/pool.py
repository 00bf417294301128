"""Pools: the deployments of one model, and which of them could take a call now."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import groupby, islice
from math import inf
from typing import TypeVar

from msgspec import Struct, field

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
from pointsman.routing.deployment_state import Readiness
from pointsman.routing.lease import Follower, Lease, Observer
from pointsman.routing.reasons import Reason, Why
from pointsman.strategy import Placing, Strategy, follows, observes
from pointsman.types import Request

Refusals = Callable[[str, Reason], None]
T = TypeVar("T", Request, Placing)

_TOLD = 10
"""Deployments that a message says why of; `reasons` has all."""


class _NoChance(Rng):
    """As if every draw came out lowest, which is the first level that bears anything."""

    def random(self) -> float:
        return 0.0

    def getrandbits(self, k: int, /) -> int:
        return 0


def _method(asked: Request | Placing) -> str:
    """By which a strategy is asked with that."""
    return "place" if isinstance(asked, Placing) else "pick"


class Fallback(Struct, frozen=True):
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


class Remembered(Struct, frozen=True):
    """Which deployments of a pool may be picked, for as long as that is known.

    With hundreds of deployments the search costs more than the rest of a call: at 300 of them a call that is
    answered at once takes 17 us with this and 70 us without, at 4 it takes 12 us and 15.

    Attributes:
        ready: a tuple, for it is shown to strategies again and again, and they are others' code.
        version: of the readiness, as it was before they were looked up: a lease that is dropped meanwhile is
            a change.
        until, tokens: it holds before that instant, for calls of no more than so many.
    """

    ready: Sequence[Deployment] = ()
    version: int = -1
    until: float = -inf
    tokens: float = 0


class Pool(Struct, kw_only=True, eq=False, weakref=True):
    """The deployments of one model, the strategy that chooses among them, and the models to fall back on.

    Attributes:
        deployments: by priority, and inside a level in the order of the configuration.
        strategy_name: the plugin that chooses; `retry_name`: the one that says how often.
        total: seconds that a request has.
        require: labels that every deployment must carry that takes a call.
        retry: None: as in general.
        panic_threshold: with a smaller part of a level healthy, its health is not believed.
        estimator: how many tokens requests will use; None where nothing is limited by them.
        budget: what retries are paid from, and `hedges` second attempts; None for no limit, or for none.
        queue: where callers wait for room; None when they do not.
        rng: draws the priority level; None: the first one with anything ready.
        drops: options that nobody can do are left out, rather than that its requests are refused.
        others: the same with strategies that calls have named in place of its own, by their names.
    """

    name: str
    deployments: Sequence[Deployment]
    strategy: Strategy
    scrub: Scrub
    strategy_name: str = ""
    fallback: Sequence[Fallback] = ()
    total: float = 600.0
    require: Requirements = {}
    retry: RetryPolicy | None = None
    retry_name: str = ""
    panic_threshold: float = 0.5
    estimator: Estimator | None = None
    budget: RetryBudget | None = None
    hedges: RetryBudget | None = None
    queue: AdmissionQueue[Lease] | None = None
    rng: Rng | None = None
    levels: Sequence[Sequence[Deployment]] = ()
    readiness: Readiness = field(default_factory=Readiness)
    remembered: Remembered = Remembered()
    observer: Observer | None = None
    follows: bool = False
    drops: bool = False
    others: dict[str, Pool] = {}

    def __post_init__(self) -> None:
        self.deployments = tuple(sorted(self.deployments, key=lambda each: each.priority))
        self.levels = [tuple(level) for _, level in groupby(self.deployments, lambda each: each.priority)]
        (self.readiness,) = {each.live.readiness for each in self.deployments}  # one for all of a router
        if self.queue is not None:
            for each in self.deployments:
                each.live.wakes(self.queue)
        self.follows = follows(self.strategy)
        if self.follows or observes(self.strategy):
            self.observer = Observer(self.strategy.observed, self.strategy_name, scrub=self.scrub)
        try:
            self.strategy.members(self.deployments)
        except OWN as error:
            raise self._fault("members", error) from error

    def tie(self, now: float) -> None:
        """From `now` on, the ejections of each level are tied together, so that its last one is spared.

        Not for a pool that borrows deployments, for calls by their full name: these are tied already.
        """
        for level in self.levels:
            EjectionGroup([each.outlier for each in level if each.outlier is not None], now=now)

    # ── the choice ───────────────────────────────────────────────────────────────────────────────────

    def lease(self, request: Request, now: float, expires: float, demand: Demand = ANYTHING) -> Lease | None:
        """A lease on the deployment that the strategy picks among the ready ones; None when none is."""
        known, tokens = self.remembered, demand.tokens
        if (
            known.version == self.readiness.version
            and now < known.until
            and tokens <= known.tokens
            and not (demand.tried or demand.require or demand.well_only)
        ):
            ready = known.ready
        else:
            ready = self.search(now, demand)
        if self.follows:
            return self._lease_followed(ready, Placing(request, demand.affinity), now, expires, tokens)
        while ready:
            # Strategies see ids, weights and loads; what they give back is one of what they were given.
            chosen = self._picked(self.strategy.pick, ready, request)
            lease = chosen.acquire(now, expires, tokens, self.name, self.observer)
            if lease is not None:
                return lease
            ready = [each for each in ready if each is not chosen]
        return None

    def _lease_followed(
        self, ready: Sequence[Deployment], placing: Placing, now: float, expires: float, tokens: int
    ) -> Lease | None:
        """As `lease`, for a strategy that hears how the request goes on."""
        observer = self._follower(placing)
        while ready:
            chosen = self._picked(self.strategy.place, ready, placing)
            lease = chosen.acquire(now, expires, tokens, self.name, observer)
            if lease is not None:
                return lease
            ready = [each for each in ready if each is not chosen]
        return None

    def _follower(self, placing: Placing) -> Observer | None:
        if self.observer is None:
            return None
        return Follower(
            self.strategy,
            placing,
            self.observer,
            learns=observes(self.strategy) or bool(self.observer.others),
        )

    def hold(
        self, chosen: Deployment, request: Request, now: float, expires: float, demand: Demand
    ) -> Lease | None:
        """A lease on `chosen`, of which the strategy will hear; None when it is not to be had."""
        observer = self._follower(Placing(request, demand.affinity)) if self.follows else self.observer
        return chosen.acquire(now, expires, demand.tokens, self.name, observer)

    def lease_made(self, request: Request, now: float, expires: float, demand: Demand) -> Lease | None:
        """The same on one of `demand.maker`, of whatever priority level."""
        made = [
            each
            for each in self.deployments
            if each.provider.mark == demand.maker
            and not (demand.reasons(each) or each.reasons(now, demand.tokens))
        ]
        if not made:
            return None
        chosen = self._choice(self.strategy, made, request, demand.affinity)
        return self.hold(chosen, request, now, expires, demand)

    def search(self, now: float, demand: Demand) -> Sequence[Deployment]:
        """Those ready of which the strategy may pick: some that warm up have their share already.

        Remembered, where nobody but this request would find others.
        """
        if known := self._among_remembered(now, demand):
            return known
        version = self.readiness.version
        ready = self.ready(now, demand)
        if any(each.live.warm_up is not None and each.live.warm_up.ends > now for each in ready):
            return admitted(ready, now)
        if demand.tried or demand.require or demand.well_only:
            return ready
        steady = self._steadiness(now)
        if steady is None or demand.tokens > steady[1]:
            return ready
        self.remembered = Remembered(tuple(ready), version, *steady)
        return self.remembered.ready

    def _among_remembered(self, now: float, demand: Demand) -> Sequence[Deployment]:
        """Those of the remembered that `demand` allows; none where it has to be looked up.

        A retry asks three times where it can go: that was a quarter of what a failed attempt cost.
        """
        known = self.remembered
        if known.version != self.readiness.version or now >= known.until or demand.tokens > known.tokens:
            return ()
        picky, tried = demand.require or demand.well_only, demand.tried
        left = [each for each in known.ready if not ((picky or each.id in tried) and demand.reasons(each))]
        return known.ready if len(left) == len(known.ready) else left

    def ready(
        self, now: float, demand: Demand = ANYTHING, refused: Refusals | None = None
    ) -> Sequence[Deployment]:
        """The deployments that could take a call now, all of one priority level.

        In configuration order, and the very same tuple when all are ready. The level is the first one for as
        long as it is healthy; what it cannot bear goes to the next, call by call, and when a level has
        nothing ready the others follow in order. `refused(id, why)` is told of every deployment that is left
        out; then chance plays no part, so that an explanation is always the same.
        """
        if refused is None and (known := self._among_remembered(now, demand)):
            return known
        if len(self.levels) == 1:  # nothing to draw and no order to make
            return self._ready_of(0, now, demand, refused)
        chosen: Sequence[Deployment] = ()
        for number in self._order(now, chance=refused is None):
            if not chosen:
                chosen = self._ready_of(number, now, demand, refused)
            elif refused is None:
                break
            else:
                for each in self.levels[number]:
                    later = Reason(Why.LATER, (each.priority, chosen[0].priority))
                    refused(each.id, next(iter(each.reasons(now, demand.tokens)), later))
        return chosen

    def _ready_of(
        self, number: int, now: float, demand: Demand, refused: Refusals | None
    ) -> Sequence[Deployment]:
        """The deployments of a level that could take a call; in a panic their health is not believed."""
        level, tokens = self.levels[number], demand.tokens
        picky, tried = bool(demand.require or demand.well_only), demand.tried
        ready: list[Deployment] = []
        in_panic: list[Deployment] = []
        for each in level:
            # Asked only where it may say something: a retry among hundreds looks at each of them.
            unwanted = (picky or each.id in tried) and demand.reasons(each)
            reasons = unwanted or each.reasons(now, tokens)
            if not reasons:
                ready.append(each)
                in_panic.append(each)
                continue
            if all(reason.why.is_health for reason in reasons):
                in_panic.append(each)
            if refused is not None:
                refused(each.id, reasons[0])
        if len(in_panic) > len(ready) and panics(self._health(now), self.panic_threshold)[number]:
            ready = in_panic
        return level if len(ready) == len(level) else ready

    def _order(self, now: float, *, chance: bool) -> Sequence[int]:
        """The numbers of the levels in the order in which this call looks at them."""
        if self.rng is None or all(each.healthy(now) for each in self.levels[0]):
            return range(len(self.levels))
        draw = self.rng.random if chance else lambda: 0.0
        return order(choose(self._health(now), draw), len(self.levels))

    def _health(self, now: float) -> Sequence[Level]:
        return [
            Level(sum(each.weight for each in level if each.healthy(now)), sum(each.weight for each in level))
            for level in self.levels
        ]

    def _steadiness(self, now: float) -> tuple[float, float] | None:
        """Until when the same are ready unless something changes, and for calls of how many tokens.

        None when nobody can tell. With several levels that is known only while the first one is well: chance
        has a say otherwise.
        """
        first = self.levels[0]
        if len(self.levels) > 1 and any(each.reasons(now) for each in first):
            return None
        until = tokens = inf
        for each in first:
            steady = each.steady(now)
            if steady is None:
                return None
            until, tokens = min(until, steady[0]), min(tokens, steady[1])
        return until, tokens

    def preview(
        self, ready: Sequence[Deployment], request: Request, affinity: str = ""
    ) -> tuple[Deployment, str]:
        """What the strategy would pick of `ready`, without it taking a step, and why it is `degraded`."""
        twin = self.rehearsal()
        return twin.choice(ready, request, affinity), twin.degraded()

    def rehearsal(self) -> Pool:
        """A twin with a copy of the strategy, in whose levels chance has no say: this one takes no step."""
        twin = copy.copy(self)
        try:
            # The memo has the copy keep the deployments themselves: it picks one of those it is shown.
            twin.strategy = copy.deepcopy(self.strategy, {id(each): each for each in self.deployments})
        except OWN as error:
            raise self._fault("__deepcopy__", error) from error
        twin.rng = None if self.rng is None else _NoChance()
        return twin

    def choice(self, ready: Sequence[Deployment], request: Request, affinity: str = "") -> Deployment:
        """The one of `ready` that the strategy picks, as for an attempt. Raises PluginError."""
        return self._choice(self.strategy, ready, request, affinity)

    def _choice(
        self, strategy: Strategy, ready: Sequence[Deployment], request: Request, affinity: str
    ) -> Deployment:
        if self.follows:
            return self._picked(strategy.place, ready, Placing(request, affinity))
        return self._picked(strategy.pick, ready, request)

    def degraded(self, strategy: Strategy | None = None) -> str:
        """Why the strategy, or that one, chose the last time without its signal; "" when it had that."""
        try:
            why: object = (strategy or self.strategy).degraded()
        except OWN as error:
            raise self._fault("degraded", error) from error
        return why if isinstance(why, str) else ""

    def _picked(
        self, pick: Callable[[Sequence[Deployment], T], object], ready: Sequence[Deployment], asked: T
    ) -> Deployment:
        """The strategy's pick. Raises PluginError when it raises, or picks what it was not offered."""
        try:
            chosen = pick(ready, asked)
        except OWN as error:
            raise self._fault(_method(asked), error) from error
        if not isinstance(chosen, Deployment) or chosen not in ready:
            picked = repr(chosen.id) if isinstance(chosen, Deployment) else f"a {type(chosen).__name__}"
            raise self._fault(
                _method(asked), f"picked {picked}, which is none of {[each.id for each in ready]}"[:500]
            )
        return chosen

    def _fault(self, method: str, did: BaseException | str) -> PluginError:
        return fault("strategy", self.strategy_name, method, did, scrub=self.scrub)

    def allowed(self, require: Requirements) -> Sequence[Deployment]:
        """The deployments that meet `require`, whatever their state."""
        return [each for each in self.deployments if unmet(require, each.labels) is None]

    def none_available(self, now: float, demand: Demand = ANYTHING) -> NoDeploymentAvailable:
        """The error that says for each deployment why it cannot be chosen."""
        reasons: dict[str, Reason] = {}
        self.ready(now, demand.again(), reasons.__setitem__)
        allowed = self.allowed(demand.require)
        if not allowed:
            required = show(demand.require)
            unruly = RuleNotMet(
                f"no deployment of model {self.name!r} may take what requires {required}", reasons=reasons
            )
            unruly.rule = required
            return unruly
        instants = [at for each in allowed if (at := each.available_at(now, demand.tokens)) is not None]
        retry_after = max(0.0, min(instants) - now) if instants else None
        listed = "; ".join(f"{id}: {why}" for id, why in islice(reasons.items(), _TOLD))
        if len(reasons) > _TOLD:
            listed += f"; and {len(reasons) - _TOLD} more"
        when = "" if retry_after is None else f"; the first may be back in {retry_after:.1f} s"
        error = NoDeploymentAvailable(
            f"no deployment of model {self.name!r} is available ({listed}){when}",
            reasons=reasons,
            retry_after=retry_after,
        )
        refused = {each.live.last().reason if each.live.is_refused(now) else None for each in allowed}
        error.refusal = refused.pop() if len(refused) == 1 else None
        return error
