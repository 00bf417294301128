"""Routers over real sockets: the simulator's upstreams on loopback, spoken to by the real providers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from pointsman import Router
from pointsman_simulator import Simulator, Upstream

MODELS = {
    "ollama": "llama3.2",
    "openai": "gpt-4.1-mini",
    "claude": "claude-sonnet-5-5",
    "localai": "qwen3-4b",
}


class Fleet:
    """Upstreams by name, and a configuration that routes model `m` over all of them."""

    def __init__(self, simulator: Simulator, transport: str) -> None:
        self._simulator = simulator
        self._transport = transport
        self.upstreams: dict[str, Upstream] = {}
        self._providers: dict[str, Any] = {}
        self._deployments: list[Any] = []

    async def add(self, wire: str, name: str, *, deployment: Mapping[str, Any] = {}, **more: Any) -> Upstream:
        """One more upstream, and a deployment for it."""
        upstream = await self._simulator.add(wire, name=name, models=[MODELS[wire]], **more)
        self.upstreams[name] = upstream
        self._providers[name] = {"type": wire, "base_url": upstream.base_url, "api_key": "k-for-tests"}
        self._deployments.append({"provider": name, "model": MODELS[wire], **deployment})
        return upstream

    def router(self, **changes: Any) -> Router:
        """A router for what was added: `model` says more of `m`, `more` are other models, and the rest
        replaces or adds top-level keys."""
        config = {
            "providers": self._providers,
            "models": {
                "m": {"deployments": self._deployments, **changes.pop("model", {})},
                **changes.pop("more", {}),
            },
            "transport": self._transport,
            # Upstreams, router and callers share one process here, and it may have to wait for its turn.
            "timeouts": {"connect": "60s", **changes.pop("timeouts", {})},
            **changes,
        }
        return Router.from_config(config, rng=random.Random(7))

    @property
    def open_requests(self) -> int:
        """Inference requests that the upstreams are working on."""
        return sum(each.in_flight for each in self.upstreams.values())


@pytest.fixture(params=["aiohttp", "h1", "httpx"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def fleet(transport: str) -> AsyncIterator[Fleet]:
    async with Simulator(seed=7) as simulator:
        yield Fleet(simulator, transport)
