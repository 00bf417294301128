"""What recorded answers cost, by the counts that stand in them, read plainly: no token is paid twice or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from replay import (
    Exchange,
    ReplayTransport,
    assemble,
    call_for,
    client_for,
    context_for,
    events_of,
    exchanges,
    json_lines,
    openai_endpoint,
    sse_frames,
)

from pointsman.prices import Price
from pointsman.types import ChatRequest, Message
from pointsman_claude.provider import ClaudeProvider, ClaudeSettings
from pointsman_localai.provider import LocalAIProvider
from pointsman_localai.settings import LocalAISettings
from pointsman_ollama.provider import OllamaProvider, OllamaSettings
from pointsman_openai import OpenAIProvider, OpenAISettings

INPUT, OUTPUT, CACHED, WRITTEN = 300, 1500, 30, 375
PRICE = Price(input=3, output=15, cached=0.3, cache_write=3.75)
"""In microcents a token they are those above, so that nothing is rounded."""
ASKED = ChatRequest("public", [Message.user("hello")])


def whole_usage(exchange: Exchange) -> Mapping[str, Any]:
    """The counts of an answer, by their names on its wire, put together where a stream brings them in parts."""
    if not exchange.streamed:
        answer = json.loads(exchange.body)
        return answer if exchange.provider == "ollama" else answer.get("usage") or {}
    if exchange.kind == "ndjson":
        return json_lines(exchange.body)[-1]  # type: ignore[no-any-return]
    usage: dict[str, Any] = {}
    for _, data in sse_frames(exchange.body):
        if data == "[DONE]":
            break
        event = json.loads(data)
        usage |= event.get("usage") or event.get("message", {}).get("usage") or {}
    return usage


def of_anthropic(usage: Mapping[str, Any]) -> int:
    """Its three counts of a prompt stand beside each other."""
    return int(
        usage["input_tokens"] * INPUT
        + (usage.get("cache_read_input_tokens") or 0) * CACHED
        + (usage.get("cache_creation_input_tokens") or 0) * WRITTEN
        + usage["output_tokens"] * OUTPUT
    )


def of_openai(usage: Mapping[str, Any]) -> int | None:
    """Its count of a prompt has the others in it."""
    if not usage:
        return None
    details = usage.get("prompt_tokens_details") or {}
    cached, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    prompt = usage["prompt_tokens"] - cached - written
    return int(prompt * INPUT + cached * CACHED + written * WRITTEN + usage["completion_tokens"] * OUTPUT)


def of_ollama(usage: Mapping[str, Any]) -> int | None:
    """Which may leave out the count of a prompt that it had in its memory."""
    if "prompt_eval_count" not in usage or "eval_count" not in usage:
        return None
    return int(usage["prompt_eval_count"] * INPUT + usage["eval_count"] * OUTPUT)


async def cost(kind: Any, settings: object, exchange: Exchange, path: str = "") -> int | None:
    """What an answer costs by what a provider counts."""
    transport, base_url = ReplayTransport(exchange), f"http://upstream{path}"
    provider = kind(context_for(transport, settings=settings, base_url=base_url))
    call = call_for(client_for(transport, base_url))
    if exchange.streamed:
        usage = assemble(await events_of(await provider.stream(ASKED, call))).usage
    else:
        usage = (await provider.chat(ASKED, call)).usage
    return None if usage is None else PRICE.microcents(usage)


ANTHROPIC = exchanges(
    "anthropic",
    where=lambda e: (
        e.path == "/v1/messages" and e.status == 200 and not e.truncated and "midstream-error" not in e.tags
    ),
)
CHATS = exchanges(
    "openai",
    where=lambda e: (
        openai_endpoint(e) == "chat" and e.status == 200 and not e.truncated and e.id.startswith("recorded")
    ),
)
NATIVE = exchanges(
    "ollama", where=lambda e: e.path == "/api/chat" and e.status == 200 and e.id.startswith("recorded")
)


@pytest.mark.parametrize("exchange", ANTHROPIC)
async def test_an_answer_of_anthropic_costs_what_its_counts_say(exchange: Exchange) -> None:
    assert await cost(ClaudeProvider, ClaudeSettings(), exchange) == of_anthropic(whole_usage(exchange))


@pytest.mark.parametrize("exchange", CHATS)
@pytest.mark.parametrize(
    ("kind", "settings"), [(OpenAIProvider, OpenAISettings), (LocalAIProvider, LocalAISettings)]
)
async def test_an_answer_of_openai_costs_what_its_counts_say(
    exchange: Exchange, kind: Any, settings: Any
) -> None:
    assert await cost(kind, settings(), exchange, "/v1") == of_openai(whole_usage(exchange))


@pytest.mark.parametrize("exchange", NATIVE)
async def test_an_answer_of_ollama_costs_what_its_counts_say(exchange: Exchange) -> None:
    assert await cost(OllamaProvider, OllamaSettings(), exchange) == of_ollama(whole_usage(exchange))


def test_the_recordings_have_what_is_read_from_a_cache_and_what_is_put_there() -> None:
    usages = [whole_usage(each.values[0]) for each in ANTHROPIC]
    if not any(each.values[0].id.startswith("recorded") for each in ANTHROPIC):
        pytest.skip("the recorded exchanges are not beside the project")
    assert sum(bool(each.get("cache_read_input_tokens")) for each in usages) >= 5
    assert sum(bool(each.get("cache_creation_input_tokens")) for each in usages) >= 5
