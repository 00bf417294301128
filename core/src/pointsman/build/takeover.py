"""The live state of deployments under a configuration: made new, or kept with other settings.

A deployment is the one it was when its id, the name of its provider and its upstream model are the same. All
else that a configuration says of it are settings, which change in place: calls that run stay counted, and
what is open or cooling down stays so.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from msgspec import Struct

from pointsman.clock import Rng
from pointsman.events import BreakerChanged, Events
from pointsman.resilience.adaptive_concurrency import AdaptiveLimit, AdaptiveSettings
from pointsman.resilience.circuit_breaker import Breaker, BreakerSettings, BreakerState
from pointsman.resilience.cool_down import OVERLOAD, REFUSAL, CoolDownSettings
from pointsman.resilience.quantiles import Window
from pointsman.resilience.warm_up import WarmUp, WarmUpSettings
from pointsman.routing.deployment_state import DeploymentState, Readiness
from pointsman.routing.pool import Pool
from pointsman.routing.snapshot import Snapshot

if TYPE_CHECKING:
    from pointsman.build.draft import Draft
    from pointsman.routing.places import Places


class LiveSettings(Struct, frozen=True):
    """What a configuration says about the live state of one deployment.

    Attributes:
        max_in_flight: attempts at the same time; None for any number.
        warm_up, adaptive: None without it. `adaptive` needs `max_in_flight`.
        overload, refusal: how long its cool-downs are.
    """

    breaker: BreakerSettings
    max_in_flight: int | None = None
    warm_up: WarmUpSettings | None = None
    adaptive: AdaptiveSettings | None = None
    overload: CoolDownSettings = OVERLOAD
    refusal: CoolDownSettings = REFUSAL


class Kept:
    """The live states that a snapshot hands on, by id, provider and upstream model."""

    def __init__(self, previous: Snapshot | None) -> None:
        self._known: dict[tuple[str, str, str], DeploymentState] = {}
        if previous is None:
            return
        # One that was taken away is remembered for as long as calls of it run: it may come back before. One
        # that no model lists is remembered as long as its name.
        unlisted = previous.remembered
        for pool in (*previous.alive, *unlisted.values(), *previous.pools.values()):
            for each in pool.deployments:
                live = each.live
                if live.in_flight or pool.name in unlisted or previous.lives.get(each.id) is live:
                    self._known[each.id, each.provider.name, each.model] = live

    def live(self, id: str, provider: str, model: str) -> DeploymentState | None:
        """That of the same deployment; None when there was none."""
        return self._known.get((id, provider, model))


class KeptInUse(Kept):
    """The same, and before them those of pools that were made since, for as long as somebody uses these."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(None)
        self._draft = draft
        self._in_use: WeakValueDictionary[tuple[str, str, str], DeploymentState] = WeakValueDictionary()

    def use(self, pool: Pool) -> None:
        """Remember those of `pool`."""
        for each in pool.deployments:
            self._in_use[each.id, each.provider.name, each.model] = each.live

    def live(self, id: str, provider: str, model: str) -> DeploymentState | None:
        live = self._in_use.get((id, provider, model))
        return self._draft.kept.live(id, provider, model) if live is None else live


def new_state(
    id: str,
    settings: LiveSettings,
    *,
    rng: Rng,
    readiness: Readiness,
    events: Events,
    shared: Places | None = None,
) -> DeploymentState:
    """The state of a deployment that nothing is known of yet, with the places that it shares with others."""

    def changed(old: BreakerState, new: BreakerState, now: float, reason: str) -> None:
        if old is BreakerState.HALF_OPEN and new is BreakerState.CLOSED:
            live.begin_warm_up(now)
        readiness.invalidate()
        events.report(BreakerChanged(id, str(old), str(new), reason))

    breaker = Breaker(settings.breaker, rng, on_change=changed)
    if shared is None:
        live = DeploymentState(id, breaker, rng, readiness)
    else:
        from pointsman.routing.places import CountedTogether  # for what patterns match

        live = CountedTogether(shared, id, breaker, rng, readiness)
    return live


def settle(live: DeploymentState, settings: LiveSettings, now: float) -> None:
    """Have `settings` hold for `live` from `now` on, for calls that run as well."""
    if live.breaker.settings != settings.breaker:
        live.breaker.configure(settings.breaker, now)
    if live.warm_up is None or settings.warm_up is None:
        live.warm_up = None if settings.warm_up is None else WarmUp(settings.warm_up)
    else:
        live.warm_up.configure(settings.warm_up)
    live.max_in_flight = live.places = settings.max_in_flight
    _settle_adaptive(live, settings)
    if live.adaptive is not None:
        live.places = live.adaptive.limit
    live.overload.settings = settings.overload
    live.refusal.settings = settings.refusal
    live.readiness.invalidate()


def _settle_adaptive(live: DeploymentState, settings: LiveSettings) -> None:
    if settings.adaptive is None or settings.max_in_flight is None:
        live.adaptive = None
    elif live.adaptive is None:
        live.window = live.window or Window()
        median = partial(live.window.quantile, 0.5)
        live.adaptive = AdaptiveLimit(settings.adaptive, settings.max_in_flight, median)
    else:
        live.adaptive.configure(settings.adaptive, settings.max_in_flight)
