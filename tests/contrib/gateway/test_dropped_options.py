"""Options that no upstream can do, through the gateway: left out and named, or refused in the upstream's words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from gateways import MODEL, configuration, gateway_for

from pointsman_simulator import Reply, Simulator, Upstream

ASKED: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Hi", "novelty": 1}],
    "temperature": 0.5,
    "service_tier": "flex",
}


async def post(
    upstream: Upstream, body: dict[str, Any], path: str = "/v1/chat/completions", **model: Any
) -> httpx.Response:
    changes = configuration(upstream)
    changes["models"][MODEL] |= model
    async with gateway_for(upstream, **changes) as served, httpx.AsyncClient(base_url=served.url) as client:
        return await client.post(path, json=body)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_upstream_refuses_is_left_out_of_the_callers_body_and_named(
    simulator: Simulator, stream: bool
) -> None:
    upstream = await simulator.add("openai", models=["gpt-5-mini"], default=Reply(text="Hello"))
    body = {**ASKED, "stream": stream, "stream_options": {"include_usage": True}} if stream else ASKED

    answer = await post(upstream, body, unsupported="drop")

    assert (answer.status_code, answer.headers["x-pointsman-ignored"]) == (200, "temperature")
    first, second = [each.body for each in upstream.requests]
    assert first == {**body, "model": "gpt-5-mini"}
    assert second == {name: value for name, value in first.items() if name != "temperature"}


@pytest.mark.parametrize("stream", [False, True])
async def test_in_another_wire_it_is_named_beside_what_that_cannot_say(
    simulator: Simulator, stream: bool
) -> None:
    upstream = await simulator.add("claude", default=Reply(text="Hello"))

    asked = {**ASKED, "messages": [{"role": "user", "content": "Hi"}], "seed": 1, "stream": stream}

    answer = await post(upstream, asked, unsupported="drop")

    assert (answer.status_code, answer.headers["x-pointsman-ignored"]) == (200, "service_tier,seed")
    (sent,) = upstream.requests
    assert sent.body["temperature"] == 0.5


async def test_else_the_caller_is_told_in_the_words_of_the_upstream(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", models=["gpt-5-mini"])

    answer = await post(upstream, ASKED)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_value", "temperature")
    assert "x-pointsman-ignored" not in answer.headers


async def test_another_deployment_is_asked_for_what_the_first_one_refuses(simulator: Simulator) -> None:
    newer = await simulator.add("openai", name="newer", models=["gpt-5-mini"])
    older = await simulator.add("openai", name="older", default=Reply(text="Hello"))

    async with gateway_for(newer, older) as served, httpx.AsyncClient(base_url=served.url) as client:
        answers = [await client.post("/v1/chat/completions", json=ASKED) for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 200]
    assert {each.headers["x-pointsman-deployment"].partition("/")[0] for each in answers} == {"older"}


async def test_thinking_is_left_out_where_a_model_of_ollama_does_not_think(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama", capabilities=["completion"], default=Reply(text="Hello"))
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "low"}

    answer = await post(upstream, asked, unsupported="drop")

    assert (answer.status_code, answer.headers.get("x-pointsman-ignored")) == (200, "reasoning_effort")
    assert ["think" in each.body for each in upstream.requests] == [True, False]


@pytest.mark.parametrize(
    "member",
    [
        {"fallbacks": ["big"]}, {"num_retries": 2}, {"drop_params": True}, {"cache": {"no-cache": True}},
        {"guardrails": ["pii"]}, {"timeout": 3}, {"tags": ["a"]}, {"litellm_session_id": "s"},
    ],
    ids=lambda each: next(iter(each)),
)  # fmt: skip
async def test_what_only_litellms_proxy_hears_is_refused_by_an_openai_and_does_nothing_elsewhere(
    simulator: Simulator, member: dict[str, Any]
) -> None:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **member}
    openai, ollama = await simulator.add("openai"), await simulator.add("ollama", default=Reply(text="Hello"))

    refused, answered = await post(openai, asked, unsupported="drop"), await post(ollama, asked)

    (name,) = member
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
    assert openai.requests[0].body[name] == member[name]
    assert (answered.status_code, answered.headers["x-pointsman-ignored"]) == (200, name)


async def test_a_list_in_metadata_is_refused_before_anybody_is_asked(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "metadata": {"tags": ["a"]}}

    answer = await post(upstream, asked)

    assert answer.status_code == 400
    assert "metadata.tags is a list; expected text" in answer.text
    assert not upstream.requests
