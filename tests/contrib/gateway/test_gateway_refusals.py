"""Refusals that will not change say so, in the words of each API, and clients leave off asking."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from gateways import MODEL, gateway_for

from pointsman_simulator import Fault, Reply, Simulator

ASKED: dict[str, Any] = {"max_tokens": 9, "messages": [{"role": "user", "content": "Why?"}]}
PATHS = {
    "openai": ("/v1/chat/completions", ASKED),
    "responses": ("/v1/responses", {"input": "Why?"}),
    "anthropic": ("/v1/messages", ASKED),
    "ollama": ("/api/chat", ASKED),
}
BUDGET = [
    ("openai", 429, "insufficient_quota"),
    ("responses", 429, "insufficient_quota"),
    ("anthropic", 402, "billing_error"),
    ("ollama", 429, None),
]
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


async def post(client: httpx.AsyncClient, surface: str, stream: bool = False, **more: Any) -> httpx.Response:
    path, body = PATHS[surface]
    return await client.post(
        path, json={"model": MODEL, "stream": stream, **body, **more.pop("members", {})}, **more
    )


def type_of(answer: httpx.Response) -> str | None:
    """The type of an error, where it has one; one of Ollama's is a text."""
    error = answer.json()["error"]
    return None if isinstance(error, str) else error["type"]


def out_of_money(wire: str) -> Reply:
    return Reply(
        fault=Fault.status(402, kind="billing") if wire == "claude" else Fault.status(429, kind="quota")
    )


@STREAM
@pytest.mark.parametrize("wire", ["openai", "claude"])
@pytest.mark.parametrize(("surface", "status", "type"), BUDGET, ids=PATHS)
async def test_an_empty_budget_is_no_overload_however_often_it_is_asked(
    simulator: Simulator, surface: str, status: int, type: str | None, wire: str, stream: bool
) -> None:
    upstream = await simulator.add(wire, default=out_of_money(wire))

    async with gateway_for(upstream) as served, httpx.AsyncClient(base_url=served.url) as client:
        answers = [await post(client, surface, stream) for _ in range(2)]

    assert len(upstream.requests) == 1
    for each in answers:
        assert (each.status_code, type_of(each)) == (status, type)
        assert each.headers["x-should-retry"] == "false"


async def test_an_upstream_that_will_be_back_makes_an_empty_budget_an_overload(simulator: Simulator) -> None:
    spent = await simulator.add("openai", default=out_of_money("openai"))
    busy = await simulator.add("openai", default=Reply(fault=Fault.status(429, retry_after=30)))

    async with gateway_for(spent, busy, retry="none") as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            *_, answer = [await post(client, "openai") for _ in range(3)]

    assert (len(spent.requests), len(busy.requests)) == (1, 1)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_is_overloaded")
    assert "x-should-retry" not in answer.headers


async def test_a_fallback_without_a_quota_is_an_empty_budget_too(simulator: Simulator) -> None:
    both = [await simulator.add("openai", default=out_of_money("openai")) for _ in range(2)]
    first, second = ([f"{each.name}/{next(iter(each.site.models))}"] for each in both)
    models = {MODEL: {"deployments": first, "fallback": ["other"]}, "other": {"deployments": second}}

    async with gateway_for(*both, models=models) as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            answers = [await post(client, "openai") for _ in range(2)]

    assert [(each.status_code, type_of(each)) for each in answers] == [(429, "insufficient_quota")] * 2


KEY, OTHERS = "a-key-of-16-characters", "another-of-16-characters"
ACCESS = {
    "loopback": False,
    "keys": [
        {"name": "ada", "key": KEY, "models": [MODEL]},
        {"name": "bob", "key": OTHERS, "models": ["another"]},
    ],
}
UNCHANGING = {
    "no such key": ({"authorization": "Bearer nobody-has-this-key"}, 401),
    "not for this key": ({"authorization": f"Bearer {OTHERS}"}, 403),
    "a rule": ({"authorization": f"Bearer {KEY}", "x-pointsman-require": "local=true"}, 400),
}
"""What a caller sends that will be refused for ever, and the status of the refusal in every API."""


@pytest.mark.parametrize("why", UNCHANGING)
@pytest.mark.parametrize("surface", PATHS)
async def test_what_a_key_or_a_rule_forbids_is_no_failure_of_ours_and_not_asked_again(
    simulator: Simulator, surface: str, why: str
) -> None:
    upstream = await simulator.add("openai")
    headers, status = UNCHANGING[why]

    async with gateway_for(upstream, settings={"access": ACCESS}) as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            answer = await post(client, surface, headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/json")
    assert type_of(answer) not in ("overloaded_error", "api_error", "server_error")
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    assert not upstream.requests
