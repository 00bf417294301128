"""Surfaces, made of what a configuration says of them, and put into their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakSet

from msgspec import Struct

from pointsman._internal.scrubber import Scrubber
from pointsman.build.surfaces import MadeSurface, SurfaceParts, made_surfaces
from pointsman.clock import Clock, Rng
from pointsman.plugin import Catalogue, Tickets
from pointsman.plugins.registry import Plugins
from pointsman_gateway.calls.observing import Observer
from pointsman_gateway.calls.routed import Meter, RoutedCalls
from pointsman_gateway.calls.running import RunningRequests
from pointsman_gateway.exchange.table import Mounted, Table
from pointsman_gateway.settings import GatewaySettings, SurfaceSettings

if TYPE_CHECKING:
    from pointsman import Config, Router

_ORDER = ("openai", "anthropic", "ollama", "ai")
"""Of two surfaces that claim one path the first has it; others come after these, by name."""


def installed(plugins: Plugins) -> Sequence[str]:
    """The names of all surfaces that there are, in the order in which they get their places."""
    names = plugins.names("surface")
    return sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def wanted(settings: GatewaySettings, plugins: Plugins) -> Mapping[str, SurfaceSettings]:
    """The surfaces that `settings` ask for: all when they say nothing."""
    if settings.surfaces is not None:
        return settings.surfaces
    return {name: SurfaceSettings() for name in installed(plugins)}


class Mounts(Struct, frozen=True, eq=False):
    """The surfaces of one configuration.

    Attributes:
        settings: what each was made of.
    """

    settings: Mapping[str, SurfaceSettings]
    mounted: Mapping[str, Mounted]

    def tables(self, *further: Mounted) -> Mapping[str, Table]:
        """The routes of each listener: by the name of a surface that has one of its own, of "" for all.

        `further`: what comes after all others, where all are.
        """
        own = {name: Table([self.mounted[name]]) for name, each in self.settings.items() if each.listen}
        return {"": Table([*self.mounted.values(), *further]), **own}


class Mounting:
    """Makes surfaces in front of one router."""

    def __init__(
        self,
        router: Router,
        running: RunningRequests,
        observer: Observer,
        meter: Meter,
        catalogue: Catalogue,
        tickets: Tickets,
        *,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._router = router
        self._running = running
        self._meter = meter
        self._catalogue = catalogue
        self._tickets = tickets
        self._observer = observer
        self._clock = clock
        self._rng = rng
        self._asked = router
        self._calls: WeakSet[RoutedCalls] = WeakSet()  # those of surfaces that are gone, go

    def ask(self, router: Router) -> None:
        """Have all surfaces, those that there are too, ask `router` from now on, or what stands before it."""
        self._asked = router
        for calls in self._calls:
            calls.router = router

    def make(
        self, config: Config, settings: GatewaySettings, plugins: Plugins, before: Mounts | None = None
    ) -> Mounts:
        """Those that `settings` ask for; of `before` those stay whose settings do.

        Raises: ConfigError with all that is wrong, each with its place.
        """
        asked_for = wanted(settings, plugins)
        kept = (
            {}
            if before is None
            else {
                name: before.mounted[name]
                for name, each in asked_for.items()
                if before.settings.get(name) == each
            }
        )
        made = {**kept, **self._made(config, {n: e for n, e in asked_for.items() if n not in kept}, plugins)}
        return Mounts(asked_for, {name: made[name] for name in asked_for})

    def _made(
        self, config: Config, asked_for: Mapping[str, SurfaceSettings], plugins: Plugins
    ) -> Mapping[str, Mounted]:
        calls: dict[str, RoutedCalls] = {}

        def calls_of(name: str) -> RoutedCalls:
            calls[name] = RoutedCalls(name, self._asked, self._running, self._observer, self._meter)
            self._calls.add(calls[name])
            return calls[name]

        parts = SurfaceParts(self._router, calls_of, self._catalogue, self._tickets)
        made = made_surfaces(
            config,
            plugins,
            {name: each.own for name, each in asked_for.items()},
            ("gateway", "surfaces"),
            parts,
            clock=self._clock,
            rng=self._rng,
            scrubber=Scrubber(),
        )
        for each in made:
            calls[each.name].surface = each.surface
        return {each.name: _at_its_place(each, asked_for[each.name]) for each in made}


def _at_its_place(made: MadeSurface, settings: SurfaceSettings) -> Mounted:
    prefix = made.prefix if settings.prefix is None else settings.prefix
    return Mounted(made.name, made.surface, made.routes, prefix)
