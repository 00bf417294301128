"""The surfaces of a gateway, made of what its section says of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pointsman._internal.plugin_errors import OWN, fault
from pointsman._internal.scrubber import Scrubber
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.clock import Clock, Rng
from pointsman.config import Config, codes
from pointsman.config.problems import KeyPath
from pointsman.events import Events
from pointsman.plugins.registry import Plugins
from pointsman.plugins.routes import wrong_routes
from pointsman.surface import Calls, Catalogue, Route, SocketRoute, Surface, SurfaceFactory, Tickets


class MadeSurface(Struct, frozen=True, eq=False):
    """One surface, with its routes as it gave them, and what stands before their paths of itself."""

    name: str
    surface: Surface
    routes: Sequence[Route | SocketRoute]
    prefix: str


class SurfaceParts(Struct, frozen=True, eq=False):
    """What surfaces are made from, beside their settings.

    Attributes:
        calls: makes what routes requests for the surface of a name, and answers in its shape.
    """

    router: Any
    calls: Callable[[str], Calls]
    catalogue: Catalogue
    tickets: Tickets


def made_surfaces(
    config: Config,
    plugins: Plugins,
    wanted: Mapping[str, Mapping[str, Any]],
    path: KeyPath,
    parts: SurfaceParts,
    *,
    clock: Clock,
    rng: Rng,
    scrubber: Scrubber,
) -> Sequence[MadeSurface]:
    """The surfaces of these names, in this order; nothing is opened.

    Args:
        wanted: by name, the settings that are the surface's own.
        path: where in `config` the names stand.

    Raises: ConfigError with all that is wrong, each with its place.
    """
    draft = Draft(
        config,
        plugins,
        clock=clock,
        rng=rng,
        events=Events(scrub=scrubber.text),
        previous=None,
        scrubber=scrubber,
    )
    make = _Surfaces(draft, parts)
    made = [make(name, settings, (*path, name)) for name, settings in wanted.items()]
    draft.refuse()
    return [each for each in made if each is not None]


class _Surfaces:
    def __init__(self, draft: Draft, parts: SurfaceParts) -> None:
        self._draft, self._parts = draft, parts
        self._factories = Factories(draft)

    def __call__(self, name: str, given: Mapping[str, Any], path: KeyPath) -> MadeSurface | None:
        """The surface of that name; None with problems."""
        factory = self._factories.offered("surface", name, path)
        configured = None if factory is None else self._factories.with_settings(factory, given, path)
        if configured is None:
            return None
        parts, (factory, settings) = self._parts, configured
        context = self._draft.contexts.surface(
            name,
            settings,
            router=parts.router,
            calls=parts.calls(name),
            catalogue=parts.catalogue,
            tickets=parts.tickets,
        )
        surface = self._factories.make("surface", name, path, lambda: factory.make(context))
        return None if surface is None else self._with_routes(factory, surface, path)

    def _with_routes(self, factory: SurfaceFactory, surface: Surface, path: KeyPath) -> MadeSurface | None:
        name = factory.name
        try:
            routes = surface.routes()
        except OWN as error:  # somebody else's code: anything can happen
            fault("surface", name, "routes", error, scrub=self._draft.scrubber.text)
            wrong: str | None = f"whose routes() failed: {type(error).__name__}; the log says more"
        else:
            wrong = wrong_routes(routes)
            if wrong is None:
                return MadeSurface(name, surface, tuple(routes), factory.prefix)
        origin = self._draft.plugins.origin("surface", name)
        made = f"made a {type(surface).__name__}, {wrong}"
        message = f"the factory of surface {name!r} from {origin} {made}"
        self._draft.problem(path, message, code=codes.PLUGIN_FAILED)
        return None
