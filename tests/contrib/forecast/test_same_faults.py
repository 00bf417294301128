"""A fault means the same to a modelled upstream and to the simulator: the router ends with the same error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pointsman import Config, Router
from pointsman.clock import LoopClock
from pointsman_forecast.faults import FaultSettings
from pointsman_forecast.settings import UpstreamSettings
from pointsman_forecast.upstreams import Size
from pointsman_forecast.world import Question, World, ask, in_virtual_time
from pointsman_simulator import Reply, Simulator, fault_of

WHOLE = (
    *("400", "401", "402", "403", "404", "408", "413", "429", "429:7", "429/quota", "500", "502", "503"),
    *("503:7", "504", "529", "400/context_length", "400/content_filter", "loading:0.2", "reset"),
)
STREAMED = (
    "reset_after:2",
    "cut_after:0",
    "cut_after:2",
    "truncate_after:2",
    "error_after:0",
    "error_after:2",
)
"""What breaks off in the midst of an answer; one in one piece is cut in ways that each plugin reads otherwise."""
CALLS = [*((fault, False) for fault in WHOLE), *((fault, True) for fault in (*WHOLE, *STREAMED))]
WIRES = ("openai", "claude", "ollama", "localai")


def config(wire: str, base_url: str | None = None) -> Config:
    """One provider of that type."""
    provider: dict[str, Any] = {"type": wire}
    if wire in ("openai", "claude"):
        provider["api_key"] = "sk-none"
    if base_url is not None:
        provider["base_url"] = base_url
    models = {"m": {"deployments": ["a/x"], "retry": "none", "timeouts": {"total": "5s"}}}
    # Each of the questions by itself: nothing is left alone because of the one before.
    return Config.from_mapping(
        {"providers": {"a": provider}, "models": models, "circuit_breaker": {"enabled": False}}
    )


def question(n: int, *, streamed: bool) -> Question:
    """Whose answer has six tokens."""
    return Question(id=f"r{n}", model="m", size=Size(50, 6), streamed=streamed)


Told = dict[tuple[str, bool], str]


async def _told(router: Router, clock: Any, n: int, fault: str, *, streamed: bool) -> str:
    asked = await ask(router, question(n, streamed=streamed), clock)
    router.reset("a/x")
    return f"{asked.error} after {'some' if asked.first_token is not None else 'nothing'}"


async def _simulated(wire: str) -> Told:
    told: Told = {}
    async with Simulator() as simulator:
        upstream = await simulator.add(wire, models=["x"], name=wire)
        router = Router(config(wire, upstream.base_url))
        async with router:
            for n, (fault, streamed) in enumerate(CALLS):
                upstream.clear_script()
                upstream.script(Reply(chunks=6, fault=fault_of(fault)[0], tokens_per_second=200))
                told[fault, streamed] = await _told(router, LoopClock(), n, fault, streamed=streamed)
    return told


def _modelled(wire: str) -> Told:
    told: Told = {}
    settings = UpstreamSettings.model_validate({"first_token": 0, "tokens_per_second": 200, "memory": None})

    async def one(n: int, fault: str, streamed: bool) -> str:
        faults = [FaultSettings.model_validate({"upstream": "a", "fault": fault})]
        async with World(config(wire), upstreams={"a": settings}, faults=faults) as world:
            asked = await world.ask(question(n, streamed=streamed))
            return f"{asked.error} after {'some' if asked.first_token is not None else 'nothing'}"

    for n, (fault, streamed) in enumerate(CALLS):
        told[fault, streamed] = in_virtual_time(one(n, fault, streamed))
    return told


@pytest.mark.parametrize("wire", WIRES)
def test_a_fault_ends_as_it_does_at_the_simulator(wire: str) -> None:
    assert _modelled(wire) == asyncio.run(_simulated(wire))
