"""Anthropic's API at a gateway, by its official client, before upstreams of every wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx
import pytest
from gateways import MODEL, Served, gateway_for

from pointsman_gateway.surfaces.anthropic import FACTORY
from pointsman_simulator import Fault, Reply, Simulator

ASKED: Any = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "Why?"}]}
TOOL: Any = {
    "name": "forecast",
    "description": "the weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@asynccontextmanager
async def asking(
    simulator: Simulator, wire: str, reply: Reply, **changes: Any
) -> AsyncIterator[tuple[anthropic.AsyncAnthropic, Served, Any]]:
    """The client of a gateway before one upstream, which answers with `reply`."""
    upstream = await simulator.add(wire, default=reply)
    async with gateway_for(upstream, surfaces=[FACTORY], **changes) as served:
        async with anthropic.AsyncAnthropic(base_url=served.url, api_key="none", max_retries=0) as client:
            yield client, served, upstream


@pytest.mark.parametrize("wire", ["claude", "openai"])
async def test_tokens_are_counted_by_whoever_can_and_estimated_for_others(
    simulator: Simulator, wire: str
) -> None:
    async with asking(simulator, wire, Reply()) as (client, _, _):
        count = await client.messages.with_raw_response.count_tokens(
            model=MODEL, messages=ASKED["messages"], tools=[TOOL]
        )

    by = count.headers["x-pointsman-deployment"]
    assert json.loads(await count.text())["input_tokens"] > 0
    assert by.startswith("claude1/") if wire == "claude" else by == "estimate"


async def test_a_refusal_names_its_request_once(simulator: Simulator) -> None:
    async with asking(simulator, "claude", Reply()) as (client, _, _):
        with pytest.raises(anthropic.NotFoundError) as refused:
            await client.messages.create(**{**ASKED, "model": "nothing"})

    response = refused.value.response
    assert response.headers.get_list("request-id") == [response.json()["request_id"]]


async def test_nobody_counts_for_a_model_with_guards(simulator: Simulator) -> None:
    guarded = {"guards": [{"type": "size", "messages": 9}]}

    async with asking(simulator, "claude", Reply(), **guarded) as (client, _, upstream):
        before = len(upstream.requests)
        await client.messages.count_tokens(model=MODEL, messages=ASKED["messages"])

    assert len(upstream.requests) == before


@pytest.mark.parametrize("wire", ["claude", "ollama"])
async def test_reasoning_goes_back_to_who_signed_it_and_as_plain_text_to_others(
    simulator: Simulator, wire: str
) -> None:
    async with asking(simulator, wire, Reply(text="So.", reasoning="one two")) as (client, _, upstream):
        async with client.messages.stream(**ASKED) as stream:
            message = await stream.get_final_message()
        said = [*ASKED["messages"], {"role": "assistant", "content": message.content}, *ASKED["messages"]]
        await client.messages.create(**{**ASKED, "messages": said})
        await client.messages.count_tokens(model=MODEL, messages=said)

    thought = message.content[0]
    assert isinstance(thought, anthropic.types.ThinkingBlock)
    assert thought.thinking == "one two"
    _, *sent = [each.body for each in upstream.requests if each.method == "POST"]
    if wire == "ollama":
        assert thought.signature == ""
        assert [body["messages"][1]["thinking"] for body in sent] == ["one two"]
        return
    assert thought.signature.startswith("pm.")
    signatures = [body["messages"][1]["content"][0]["signature"] for body in sent]
    assert signatures == [thought.signature.split(".", 2)[2]] * 2


async def test_a_picture_that_a_tool_gave_reaches_a_model_behind_another_wire(simulator: Simulator) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    said = [
        *ASKED["messages"],
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "forecast", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [picture]}]},
    ]

    async with asking(simulator, "openai", Reply()) as (client, _, upstream):
        await client.messages.create(**{**ASKED, "messages": said, "tools": [TOOL]})

    [sent] = [each.body for each in upstream.requests if each.method == "POST"]
    assert [each["role"] for each in sent["messages"]] == ["user", "assistant", "tool", "user"]
    assert sent["messages"][-1]["content"][-1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,aGk="},
    }


@pytest.mark.parametrize("wire", ["claude", "openai"])
async def test_a_tool_with_a_long_name_is_called_by_it_whatever_stands_behind(
    simulator: Simulator, wire: str
) -> None:
    name = "mcp__" + "long_" * 20
    tool = {**TOOL, "name": name}

    async with asking(simulator, wire, Reply(call_first_tool=True)) as (client, _, upstream):
        asked = {**ASKED, "tools": [tool], "tool_choice": {"type": "tool", "name": name}}
        whole = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            streamed = await stream.get_final_message()
        back = {"type": "tool_result", "tool_use_id": whole.content[-1].id, "content": "rain"}
        said = [*ASKED["messages"], {"role": "assistant", "content": whole.content}]
        await client.messages.create(**{**ASKED, "messages": [*said, {"role": "user", "content": [back]}]})

    assert [each.content[-1].name for each in (whole, streamed)] == [name, name]
    if wire == "openai":
        first, _, last = (each.body for each in upstream.requests if each.method == "POST")
        [told] = first["tools"]
        assert len(told["function"]["name"]) == 64
        assert first["tool_choice"]["function"]["name"] == told["function"]["name"]
        assert last["messages"][-2]["tool_calls"][0]["function"]["name"] == told["function"]["name"]


async def test_how_much_to_think_is_not_said_to_a_model_that_cannot(simulator: Simulator) -> None:
    asked = {**ASKED, "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}

    async with asking(simulator, "openai", Reply()) as (client, _, upstream):
        answer = await client.messages.with_raw_response.create(**asked)

    [sent] = [each.body for each in upstream.requests if each.method == "POST"]
    assert "reasoning_effort" not in sent
    assert answer.headers["x-pointsman-ignored"] == "thinking"


async def test_models_are_listed_and_looked_up(simulator: Simulator) -> None:
    async with asking(simulator, "ollama", Reply()) as (client, _, _):
        models = [model.id async for model in await client.models.list(limit=1000)]
        one = await client.models.retrieve(MODEL)
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("unheard/of")

    assert models == [MODEL]
    assert one.display_name == MODEL


async def test_errors_are_those_of_the_official_client(simulator: Simulator) -> None:
    async with asking(simulator, "openai", Reply(fault=Fault.status(429, retry_after=3))) as (client, _, _):
        with pytest.raises(anthropic.RateLimitError) as limited:
            await client.messages.create(**ASKED)
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(**{**ASKED, "model": "unheard of"})
        with pytest.raises(anthropic.BadRequestError) as wrong:
            await client.messages.create(**{**ASKED, "messages": []})

    assert limited.value.response.headers["retry-after"] == "3"
    assert limited.value.request_id
    assert wrong.value.body["error"]["message"].endswith("messages: at least one message is required")  # type: ignore[index]


@pytest.mark.parametrize(
    ("wire", "words"), [("claude", "prompt is too long: 210000"), ("openai", "prompt is too long")]
)
async def test_a_prompt_that_is_too_long_is_refused_in_the_words_that_programs_look_for(
    simulator: Simulator, wire: str, words: str
) -> None:
    reply = Reply(fault=Fault.status(400, kind="context_length"))

    async with asking(simulator, wire, reply) as (client, _, _):
        with pytest.raises(anthropic.BadRequestError) as refused:
            await client.messages.create(**ASKED)

    error = refused.value.body["error"]  # type: ignore[index]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith(words) if wire == "claude" else words in error["message"]


async def test_a_stream_that_breaks_ends_with_an_error_event(simulator: Simulator) -> None:
    reply = Reply(text="one two three", fault=Fault.truncate_after(1))

    async with asking(simulator, "openai", reply) as (client, _, _):
        with pytest.raises(anthropic.APIStatusError, match="upstream"):
            async with client.messages.stream(**ASKED) as stream:
                async for _ in stream:
                    pass


async def test_what_cannot_be_said_elsewhere_is_refused_by_name(simulator: Simulator) -> None:
    asked = {**ASKED, "container": "c1"}
    async with asking(simulator, "openai", Reply()) as (_, served, upstream), httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/v1/messages?beta=true", json=asked)

    assert answer.status_code == 400
    assert "container" in answer.json()["error"]["message"]
    assert not upstream.requests


async def test_what_is_ignored_is_named_in_the_head(simulator: Simulator) -> None:
    said = [{"type": "text", "text": "Why?", "cache_control": {"type": "ephemeral"}}]
    asked = {**ASKED, "messages": [{"role": "user", "content": said}], "service_tier": "auto"}

    async with asking(simulator, "openai", Reply()) as (_, served, _), httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/v1/v1/messages", json=asked)

    assert answer.headers["x-pointsman-ignored"] == "messages.cache_control,service_tier"
    assert json.loads(answer.content)["pointsman"]["attempts"] == 1
