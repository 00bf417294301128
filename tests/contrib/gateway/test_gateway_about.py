"""What answers say of how they came about."""

from __future__ import annotations

from typing import Any

import httpx
from gateways import MODEL, PLAIN, gateway_for

from pointsman_simulator import Fault, Reply, Simulator
from pointsman_simulator.script import Usage as Tokens

ASKED = {"model": MODEL, "text": "Why?"}


def deployment(upstream: Any, **more: Any) -> dict[str, Any]:
    return {"provider": upstream.name, "model": next(iter(upstream.site.models)), **more}


async def test_an_answer_names_who_gave_it_chosen_how_and_at_which_cost(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", name="gpu", models=["m"], default=Reply(usage=Tokens(1000, 200)))
    price = {"input": 2, "output": 10}
    models = {MODEL: {"strategy": "weighted", "deployments": [deployment(upstream, price=price)]}}

    async with gateway_for(upstream, surfaces=[PLAIN], models=models) as served:
        async with httpx.AsyncClient() as client:
            whole = await client.post(f"{served.url}/v1/say", json=ASKED)
            stream = await client.post(f"{served.url}/v1/say", json={**ASKED, "stream": True})

    for answer in (whole, stream):
        assert answer.headers["x-pointsman-deployment"] == "gpu/m"
        assert answer.headers["x-pointsman-strategy"] == "weighted"
        assert answer.headers["x-pointsman-attempts"] == "1"
        assert "x-pointsman-fallback" not in answer.headers
    assert whole.headers["x-pointsman-cost-usd"] == "0.004"
    assert "x-pointsman-cost-usd" not in stream.headers  # nobody knows it when the head leaves


async def test_an_answer_of_a_fallback_says_so(simulator: Simulator) -> None:
    down = await simulator.add("openai", default=Reply(fault=Fault.status(500)))
    well = await simulator.add("ollama")
    models = {
        MODEL: {"deployments": [deployment(down)], "fallback": ["small"]},
        "small": {"deployments": [deployment(well)]},
    }

    async with gateway_for(down, well, surfaces=[PLAIN], models=models, retry="none") as served:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{served.url}/v1/say", json=ASKED)

    assert answer.status_code == 200
    assert answer.headers["x-pointsman-fallback"] == "small"


async def test_another_name_of_a_model_is_no_fallback_and_a_pattern_has_its_strategy(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai", models=["m", "n"])
    models = {
        MODEL: {"deployments": [deployment(upstream)], "strategy": "weighted"},
        "any/*": {
            "deployments": [{"provider": upstream.name, "model": "*"}],
            "strategy": "least_connections",
        },
    }
    names = {"gpt-4o": MODEL, "n": "any/n"}
    said = {}

    async with gateway_for(upstream, surfaces=[PLAIN], models=models, aliases=names) as served:
        async with httpx.AsyncClient() as client:
            for name in ("gpt-4o", "n", "any/n"):
                answer = await client.post(f"{served.url}/v1/say", json={**ASKED, "model": name})
                assert "x-pointsman-fallback" not in answer.headers
                said[name] = answer.headers["x-pointsman-strategy"]

    assert said == {"gpt-4o": "weighted", "n": "least_connections", "any/n": "least_connections"}


async def test_a_refusal_says_when_to_come_back_and_never_after_hours(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    waits = []

    async with gateway_for(upstream, surfaces=[PLAIN], retry="none", queue=None) as served:
        async with httpx.AsyncClient() as client:
            for seconds in (7, 7200):
                upstream.script(Reply(fault=Fault.status(429, retry_after=seconds)))
                answer = await client.post(f"{served.url}/v1/say", json=ASKED)
                assert answer.status_code == 429
                waits.append((answer.headers.get("retry-after"), answer.headers.get("x-should-retry")))
                served.router.reset(f"{upstream.name}/{next(iter(upstream.site.models))}")

    assert waits == [("7", None), (None, "false")]
