"""What a router says of itself as values is what programs have always been given of it as JSON."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from routers import config, router

from pointsman import Router, SyncRouter
from pointsman.errors import RateLimited, Unavailable
from pointsman.testing import Scripted, ScriptedAnswer, run

AS_JSON = Path(__file__).with_name("said_of_a_router.json")
"""What `status`, `explain` and `health` said of `CONFIGURATION`: whoever changes it changes what programs read."""

CONFIGURATION: dict[str, Any] = {
    "providers": {name: {"type": "scripted"} for name in "abcd"},
    "models": {
        "m": {
            "deployments": [
                {
                    "provider": "a",
                    "model": "x",
                    "max_in_flight": 4,
                    "limits": {"requests": "60/min", "tokens": "9000/min"},
                    "circuit_breaker": {"enabled": False},
                },
                {
                    "provider": "b",
                    "model": "x",
                    "weight": 3,
                    "circuit_breaker": {"minimum_calls": 2},
                    "max_in_flight": 4,
                },
                {"provider": "c", "model": "x", "priority": 1, "max_in_flight": 4},
            ],
            "strategy": "weighted",
            "fallback": ["n"],
            "guards": [{"type": "size", "messages": 9}],
        },
        "e/*": {"deployments": [{"provider": "d", "model": "*", "name": "any-*", "max_in_flight": 4}]},
        "n": {
            "deployments": [{"provider": "d", "model": "x", "max_in_flight": 4}],
            "strategy": "least_connections",
        },
        "auto": {
            "selector": {"type": "rules", "rules": [{"operation": "embed", "use": "n"}]},
            "of": ["m", "n"],
            "default": "m",
        },
    },
    "guards": [{"type": "size", "attachments": 9}],
    "outliers": {"failure_threshold": 1, "base_ejection": "30s"},
    "warm_up": {"window": "20s"},
    "adaptive_concurrency": {},
    "aliases": {"assistant": "m"},
    "health": {"interval": "10s"},
    "hedging": {},
    "state": {"type": "memory", "url": "memory://status-values"},
}


PLAIN: dict[str, Any] = {**config("a"), "warm_up": None, "queue": None, "circuit_breaker": {"enabled": False}}


async def lived_through(r: Router, upstream: Scripted) -> None:
    """Enough for every machine to have something to tell."""
    upstream.script("a", Unavailable("it is down", status=503), ScriptedAnswer())
    upstream.script("b", RateLimited("slow down", status=429, retry_after=30))
    upstream.script("c", ScriptedAnswer())
    for _ in range(4):
        await r.chat("m", "hi")
    await r.chat("e/y", "hi")
    upstream.ill.add("d")
    await asyncio.sleep(12)
    r.disable("d/x")


async def said(r: Router, *names: str) -> dict[str, Any]:
    status = r.status().to_dict()
    status["configuration"]["loaded_at"] = 0.0  # the time of day, whatever time the loop has
    return {
        "status": status,
        **{f"explain {name}": r.explain(name, "hi").to_dict() for name in names},
        "health": (await r.health()).to_dict(),
    }


def told() -> str:
    upstream = Scripted()

    async def main() -> dict[str, Any]:
        async with router(upstream, CONFIGURATION) as r:
            await lived_through(r, upstream)
            full = await said(r, "m", "n", "auto", "assistant", "e/y", "a/y")
        async with router(Scripted(), PLAIN) as r:
            return {**full, "plain": await said(r, "m", "a/y")}

    return json.dumps(run(main()), indent=1, allow_nan=False) + "\n"


def test_the_state_of_a_deployment_is_found_by_its_model_and_its_id() -> None:
    r = router(Scripted())

    deployment = r.status().models["m"].deployments["b/x"]

    assert (deployment.id, deployment.breaker.state, deployment.in_flight) == ("b/x", "closed", 0)


def test_part_of_a_status_is_the_same_plain_data_as_within_the_whole() -> None:
    status = router(Scripted()).status()
    whole = status.to_dict()["models"]["m"]

    assert status.models["m"].to_dict() == whole
    assert [each.to_dict() for each in status.models["m"].deployments.values()] == whole["deployments"]


def test_a_status_cannot_be_changed() -> None:
    status = router(Scripted()).status()

    with pytest.raises(AttributeError):
        status.in_flight = 1  # type: ignore[misc]


def test_all_is_well_when_every_provider_is() -> None:
    upstream = Scripted()

    async def main() -> list[bool]:
        async with router(upstream) as r:
            well = await r.health()
            upstream.ill.add("b")
            ill = await r.health()
            return [well.ok, ill.ok, ill.providers["a"].ok, ill.providers["b"].ok]

    assert run(main()) == [True, False, True, False]


def test_a_blocking_router_says_the_same() -> None:
    with SyncRouter.from_config(PLAIN, plugins=[Scripted()]) as r:
        assert r.status().models["m"].deployments["a/x"].weight == 1
        assert r.explain("m").pick == "a/x"
        assert r.health().ok


def test_what_programs_read_as_json_stays_as_it_is_byte_for_byte() -> None:
    assert told() == AS_JSON.read_text("utf-8")


if __name__ == "__main__":
    AS_JSON.write_text(told(), "utf-8")
