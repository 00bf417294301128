"""Surfaces, made and put into their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pointsman._internal.scrubber import Scrubber
from pointsman.build.loading import plugins_for
from pointsman.build.surfaces import MadeSurface, SurfaceParts, made_surfaces
from pointsman.clock import Clock, Rng
from pointsman.plugin import Catalogue, PointsmanSpec, SurfaceFactory, Tickets, hookimpl
from pointsman.plugins.registry import Plugins
from pointsman_gateway.calls import RoutedCalls
from pointsman_gateway.settings import GatewaySettings, SurfaceSettings
from pointsman_gateway.table import Mounted, Table

if TYPE_CHECKING:
    from pointsman import Config, Router

_ORDER = ("openai", "anthropic", "ollama", "ai")
"""Of two surfaces that claim one path the first has it; others come after these, by name."""


class _Given(PointsmanSpec):
    """Surfaces that were handed over in place of being installed."""

    def __init__(self, factories: Sequence[SurfaceFactory]) -> None:
        self._factories = factories

    @hookimpl
    def pointsman_surfaces(self) -> Sequence[SurfaceFactory]:
        return self._factories


def installed_surfaces(config: Config) -> Sequence[str]:
    """The names of the surfaces that are installed, and let in by `config`."""
    return in_order(plugins_for(config).names("surface"))


def in_order(names: Sequence[str]) -> Sequence[str]:
    """`names` in the order in which they get their places."""
    return sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


class Mounting:
    """Makes surfaces for one gateway.

    Args:
        given: in place of those that are installed.
    """

    def __init__(
        self,
        router: Router,
        given: Sequence[SurfaceFactory] | None,
        *,
        catalogue: Catalogue,
        tickets: Tickets,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._router = router
        self._given = given
        self._catalogue, self._tickets = catalogue, tickets
        self._clock, self._rng = clock, rng

    def mounted(self, settings: GatewaySettings) -> dict[str, Mounted]:
        """The surfaces that `settings` ask for by name; all that there are when they say nothing.

        Raises: ConfigError with all that is wrong, each with its place.
        """
        config, calls = self._router.config, dict[str, RoutedCalls]()

        def calls_of(name: str) -> RoutedCalls:
            return calls.setdefault(name, RoutedCalls(self._router))

        wanted = settings.surfaces
        if wanted is None:
            wanted = dict.fromkeys(self._names(config), SurfaceSettings())
        made = made_surfaces(
            config,
            self._plugins(config),
            {name: each.own for name, each in wanted.items()},
            ("gateway", "surfaces"),
            SurfaceParts(self._router, calls_of, self._catalogue, self._tickets),
            clock=self._clock,
            rng=self._rng,
            scrubber=Scrubber(),
        )
        for each in made:
            calls[each.name].surface = each.surface
        return {each.name: _at_its_place(each, wanted[each.name]) for each in made}

    def _plugins(self, config: Config) -> Plugins:
        return plugins_for(config, () if self._given is None else (_Given(self._given),))

    def _names(self, config: Config) -> Sequence[str]:
        given = self._given
        return installed_surfaces(config) if given is None else [each.name for each in given]


def _at_its_place(made: MadeSurface, settings: SurfaceSettings) -> Mounted:
    prefix = made.prefix if settings.prefix is None else settings.prefix
    return Mounted(made.name, made.surface, made.routes, prefix)


def tables(surfaces: Mapping[str, Mounted], settings: GatewaySettings) -> dict[str, Table]:
    """The routes of each listener: by the name of the surface that has one of its own, and of "" for all."""
    own = {name: Table([surfaces[name]]) for name, each in (settings.surfaces or {}).items() if each.listen}
    return {"": Table(list(surfaces.values())), **own}
