"""Strategies that calls name in place of their model's own: no other code runs for that than does already."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from pointsman._internal.suggest import did_you_mean
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.build.pools import restore
from pointsman.builtin.strategies import BUILT_IN
from pointsman.config import Named
from pointsman.config.uses import uses
from pointsman.errors import CallError, InvalidRequest
from pointsman.routing.per_call import choosing
from pointsman.routing.pool import Pool
from pointsman.routing.snapshot import Snapshot
from pointsman.strategy import Strategy


class Alternatives:
    """Makes such strategies, for one configuration."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    @cached_property
    def _factories(self) -> Mapping[str, Any]:
        """The factories that can be named: what is built in, and what the configuration uses anywhere."""
        config, plugins = self._draft.config, self._draft.plugins
        by_default = None if "strategy" in config.model_fields_set else config.strategy.type
        used = {name for kind, name in uses(config) if kind == "strategy"}
        return {each.name: each for each in BUILT_IN} | {
            name: plugins.get("strategy", name, unsaid=name == by_default) for name in used
        }

    def __call__(self, name: str, pool: Pool, before: Pool | None) -> Strategy:
        """The strategy `name` for `pool`, without settings, which goes on from that of `before`.

        Raises: InvalidRequest.
        """
        factory = self._factories.get(name)
        if factory is None:
            known = ", ".join(sorted(self._factories))
            hint = did_you_mean(name, self._factories)
            if hint is None or not hint.startswith("did you mean"):
                # Whether one is installed is not looked up: for a call no further plugin is loaded.
                hint = "others once the configuration names them"
            raise InvalidRequest(f"strategy: a call can name {known}, and not {name[:100]!r}; {hint}")
        draft = self._draft.apart()
        factories, path = Factories(draft), ("strategy",)
        made: Strategy | None = None
        configured = factories.with_settings(factory, Named(type=name).settings, path)
        if configured is not None:
            context = draft.contexts.strategy(name, configured[1], model=pool.name, members=pool.deployments)
            made = factories.make("strategy", name, path, lambda: factory.make(context))
        if made is None:
            why = "; ".join(each.message for each in draft.found)
            raise InvalidRequest(f"strategy: {name!r} cannot be named without its settings: {why}")
        if before is not None:
            restore(made, before)
        return made


def take_over(snapshot: Snapshot, previous: Snapshot) -> None:
    """Have what calls named before go on, where it can still be named."""
    for old in (*previous.pools.values(), *previous.remembered.values()):
        new = snapshot.pools.get(old.name) or snapshot.remembered.get(old.name)
        if new is None:
            continue
        for name, other in old.others.items():
            with suppress(CallError):
                choosing(snapshot, new, name, other)
