"""Surfaces, made and put into their places."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pointsman.clock import Clock, Rng
from pointsman.plugin import ConfigError, SurfaceContext, SurfaceFactory
from pointsman_gateway.calls import RoutedCalls
from pointsman_gateway.settings import GatewaySettings, SurfaceSettings
from pointsman_gateway.table import Mounted, Table

if TYPE_CHECKING:
    from pointsman import Router

_BUILT_IN = ("openai", "anthropic", "ollama", "ai")


def built_in() -> list[SurfaceFactory]:
    """The surfaces that come with this distribution."""
    modules = [f"pointsman_gateway.surfaces.{name}" for name in _BUILT_IN]
    return [import_module(each).FACTORY for each in modules if find_spec(each) is not None]


def mounted(
    factories: Sequence[SurfaceFactory],
    settings: GatewaySettings,
    router: Router,
    *,
    clock: Clock,
    rng: Rng,
) -> dict[str, Mounted]:
    """The surfaces that `settings` ask for by name, all of `factories` when they say nothing.

    Raises: ConfigError.
    """
    known = {each.name: each for each in factories}
    wanted = settings.surfaces
    if wanted is None:
        wanted = dict.fromkeys(known, SurfaceSettings())
    made = {}
    for name, each in wanted.items():
        if name not in known:
            raise ConfigError(
                f"gateway.surfaces: there is no surface {name!r}; installed: {', '.join(known)}"
            )
        made[name] = _made(known[name], each, router, clock=clock, rng=rng)
    return made


def _made(
    factory: SurfaceFactory, settings: SurfaceSettings, router: Router, *, clock: Clock, rng: Rng
) -> Mounted:
    calls = RoutedCalls(router)
    context = SurfaceContext(
        name=factory.name,
        settings=_own_settings(factory, settings.own),
        clock=clock,
        rng=rng,
        log=logging.getLogger(f"pointsman.surface.{factory.name}"),
        router=router,
        calls=calls,
    )
    calls.surface = surface = factory.make(context)
    return Mounted(factory.name, surface, settings.prefix or "")


def _own_settings(factory: SurfaceFactory, said: Mapping[str, Any]) -> Any:
    if factory.settings is None:
        if said:
            raise ConfigError(f"gateway.surfaces.{factory.name}: unknown keys: {', '.join(said)}")
        return None
    try:
        return factory.settings.model_validate(said)
    except ValidationError as error:
        problems = [
            f"gateway.surfaces.{factory.name}.{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigError("\n".join(problems), problems) from None


def tables(surfaces: Mapping[str, Mounted], settings: GatewaySettings) -> dict[str, Table]:
    """The routes of each listener: by the name of the surface that has one of its own, and of "" for all."""
    own = {name: Table([surfaces[name]]) for name, each in (settings.surfaces or {}).items() if each.listen}
    return {"": Table(list(surfaces.values())), **own}
