"""Routers over scripted upstreams, for tests of everything above the providers."""

from __future__ import annotations

import random
from typing import Any

from pointsman import Router
from pointsman.build.builder import build
from pointsman.build.loading import as_config
from pointsman.clock import LoopClock
from pointsman.events import AttemptEnded, Event, Events, RequestEnded
from pointsman.plugins.registry import Plugins
from pointsman.routing.snapshot import Snapshot
from pointsman.testing import Scripted


def config(providers: str = "abc", **changes: Any) -> dict[str, Any]:
    """One model `m` with a deployment `<letter>/x` at each provider; `changes` replace top-level keys."""
    return {
        "providers": {name: {"type": "scripted"} for name in providers},
        "models": {"m": {"deployments": [f"{name}/x" for name in providers]}},
        **changes,
    }


def router(upstream: Scripted, given: dict[str, Any] | None = None, *, seed: int = 1) -> Router:
    """A router for `config()` or what is given, with a seeded source of chance."""
    return Router.from_config(given or config(), plugins=[upstream], rng=random.Random(seed))


def built(
    given: dict[str, Any], *plugins: object, seed: int = 1, previous: Snapshot | None = None
) -> Snapshot:
    """What a router would run on, after `previous` if that is given: for tests of the parts themselves."""
    return build(
        as_config(given, plugins),
        Plugins(plugins),
        clock=LoopClock(),
        rng=random.Random(seed),
        events=Events(scrub=str),
        previous=previous,
    )


def in_flight(given: Router) -> int:
    """Attempts that hold a lease now, over all deployments."""
    return int(given.status().in_flight)


class Heard:
    """What a router told."""

    def __init__(self, given: Router) -> None:
        self.events: list[Event] = []
        given.listen(self.events.append)

    @property
    def attempts(self) -> list[AttemptEnded]:
        return [each for each in self.events if isinstance(each, AttemptEnded)]

    @property
    def requests(self) -> list[RequestEnded]:
        return [each for each in self.events if isinstance(each, RequestEnded)]
