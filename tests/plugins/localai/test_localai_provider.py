"""What LocalAI is sent, what it is never asked for, and what only it can do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from replay import Scripted, assemble, call_for, client_for, context_for, events_of

from pointsman.errors import AuthenticationFailed, BadResponse, Overloaded, Unavailable, Unsupported
from pointsman.provider import Call
from pointsman.types import (
    ChatRequest,
    EmbedRequest,
    File,
    GenerateRequest,
    Image,
    Message,
    ResponseFormat,
    Tool,
    ToolCall,
)
from pointsman_localai import LocalAIProvider, LocalAISettings, plugin

HELLO = (Message.user("hello"),)
ANSWER = {
    "id": "u",
    "model": "m",
    "choices": [{"index": 0, "message": {"content": "hi", "reasoning": "hm"}, "finish_reason": "stop"}],
}


def made(
    upstream: Scripted, *, base_url: str | None = None, key: str | None = None, **settings: Any
) -> LocalAIProvider:
    context = context_for(upstream, settings=LocalAISettings(**settings), base_url=base_url, key=key)
    return LocalAIProvider(context)


def call_of(provider: LocalAIProvider, upstream: Scripted, *, key: str | None = None, **options: Any) -> Call:
    return call_for(client_for(upstream, provider.endpoint, key=key), "qwen3-4b", options=options)


async def sent(*messages: Message, settings: dict[str, Any] | None = None, **options: Any) -> Any:
    upstream = Scripted([(200, ANSWER)])
    provider = made(upstream, **(settings or {}))
    await provider.chat(ChatRequest("public", messages or HELLO, **options), call_of(provider, upstream))
    return upstream.sent()


@pytest.mark.parametrize(
    ("base_url", "called"),
    [
        (None, "http://127.0.0.1:8080/v1/chat/completions"),
        ("http://box:1", "http://box:1/v1/chat/completions"),
        ("http://box:1/", "http://box:1/v1/chat/completions"),
        ("http://box:1/v1", "http://box:1/v1/chat/completions"),
        ("http://box:1/ai/v1/", "http://box:1/ai/v1/chat/completions"),
    ],
)
async def test_the_base_url_may_end_in_v1_or_not(base_url: str | None, called: str) -> None:
    upstream = Scripted([(200, ANSWER)])
    provider = made(upstream, base_url=base_url)

    await provider.chat(ChatRequest("public", HELLO), call_of(provider, upstream))

    assert str(upstream.requests[0].url) == called
    assert upstream.sent()["model"] == "qwen3-4b"


async def test_the_request_is_written_as_localai_reads_it() -> None:
    body = await sent(
        Message.system("be brief"),
        Message("user", (Image(url="http://x/a.png", detail="low"),)),
        Message("assistant", "", [ToolCall("c1", "f", "{}")], reasoning="hm"),
        Message.tool("c1", "42"),
        max_tokens=9,
        top_k=40,
        min_p=0.1,
        repeat_penalty=1.1,
        stop=tuple("abcde"),
        user="u1",
        metadata={"n": 3, "s": "t"},
        parallel_tool_calls=True,
        tools=(Tool("f"),),
        response_format=ResponseFormat("schema", {"type": "object"}, strict=True),
    )
    assert body == {
        "model": "qwen3-4b",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/a.png"}}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
                "reasoning": "hm",
            },
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
        ],
        "max_tokens": 9,
        "stop": list("abcde"),
        "top_k": 40,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
            }
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
        "metadata": {"n": "3", "s": "t"},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_no_reasoning_switches_thinking_off() -> None:
    body = await sent(reasoning_effort="none", metadata={"a": "b"})
    assert (body["reasoning_effort"], body["metadata"]) == ("none", {"enable_thinking": "false", "a": "b"})
    assert "metadata" not in await sent(reasoning_effort="low")


async def test_reasoning_comes_out_of_its_field() -> None:
    upstream = Scripted([(200, ANSWER)])
    provider = made(upstream)
    reply = await provider.chat(ChatRequest("public", HELLO), call_of(provider, upstream))
    assert (reply.text, reply.reasoning) == ("hi", "hm")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tools": (Tool("f"),), "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": (Tool("f", strict=True),)}, "strict_tools: drop"),
        ({"messages": (Message("user", (File(b"%PDF"),)),)}, "file"),
        ({"messages": (Message("tool", (File(b"%PDF"),), tool_call_id="c"),)}, "file"),
    ],
)
async def test_what_localai_does_not_read_is_refused(options: dict[str, Any], named: str) -> None:
    messages = options.pop("messages", ())
    with pytest.raises(Unsupported, match=named):
        await sent(*messages, **options)


async def test_strictness_is_dropped_when_the_configuration_says_so() -> None:
    body = await sent(tools=(Tool("f", strict=True),), settings={"strict_tools": "drop"})
    assert "strict" not in body["tools"][0]["function"]


async def test_embeddings_of_given_dimensions_and_suffixes_are_refused() -> None:
    upstream = Scripted([(200, {})])
    provider = made(upstream)
    call = call_of(provider, upstream)
    with pytest.raises(Unsupported, match="dimensions"):
        await provider.embed(EmbedRequest("public", ["a"], dimensions=8), call)
    with pytest.raises(Unsupported, match="suffix"):
        await provider.generate(GenerateRequest("public", "a", suffix="b"), call)
    assert upstream.requests == []


async def test_a_key_that_equals_the_models_name_is_never_sent() -> None:
    upstream = Scripted([(200, ANSWER)])
    provider = made(upstream, key="qwen3-4b")
    with pytest.raises(AuthenticationFailed, match="equals the name") as caught:
        await provider.chat(ChatRequest("public", HELLO), call_of(provider, upstream, key="qwen3-4b"))
    assert upstream.requests == []
    assert "qwen3-4b" not in str(caught.value)  # it is the key
    other = made(upstream, key="other")
    await other.chat(ChatRequest("public", HELLO), call_of(other, upstream, key="other"))
    assert upstream.requests[0].headers["authorization"] == "Bearer other"


async def test_content_of_null_in_every_chunk_is_no_text() -> None:
    deltas: list[tuple[Any, str | None]] = [
        ({"role": "assistant", "content": None}, None),
        ({"reasoning": "hm", "content": None}, None),
        ({"content": "Hi"}, None),
        ({"content": None}, "stop"),
    ]
    chunks = [
        {"id": "u", "model": "m", "choices": [{"index": 0, "finish_reason": finish, "delta": delta}]}
        for delta, finish in deltas
    ]
    frames = "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"
    upstream = Scripted([(200, frames, {"content-type": "text/event-stream"})])
    provider = made(upstream)
    source = await provider.stream(ChatRequest("public", HELLO), call_of(provider, upstream))
    whole = assemble(await events_of(source))
    assert (whole.text, whole.reasoning) == ("Hi", "hm")


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (503, {"retry-after": "10"}, Overloaded),
        (503, {}, Unavailable),
        (500, {}, Unavailable),
    ],
)
async def test_an_opaque_error_counts_by_its_status(status: int, headers: Any, expected: Any) -> None:
    upstream = Scripted([(status, b"", headers)])
    provider = made(upstream)
    with pytest.raises(expected) as caught:
        await provider.chat(ChatRequest("public", HELLO), call_of(provider, upstream))
    assert type(caught.value) is expected


async def test_a_model_is_loaded_ahead_of_its_first_call() -> None:
    upstream = Scripted([(200, {"loaded": ["qwen3-4b"], "message": "model loaded"})])
    provider = made(upstream)

    await provider.load("qwen3-4b")

    assert (upstream.requests[0].url.path, upstream.sent()) == ("/backend/load", {"model": "qwen3-4b"})
    await provider.aclose()


async def test_a_failed_load_says_why() -> None:
    provider = made(Scripted([(500, {"loaded": [], "message": "out of memory"})]))
    with pytest.raises(Unavailable, match="out of memory"):
        await provider.load("qwen3-4b")


async def test_the_version_is_told() -> None:
    assert await made(Scripted([(200, {"version": "v4.9.0 (82c191a)"})])).version() == "v4.9.0 (82c191a)"
    with pytest.raises(BadResponse):
        await made(Scripted([(200, [])])).version()


async def test_a_job_is_followed_to_its_end() -> None:
    running = {
        "processed": False,
        "progress": 37.5,
        "phase": "downloading",
        "current_bytes": 9,
        "total_bytes": 24,
    }
    upstream = Scripted([(200, running), (200, {"processed": True, "progress": 100, "message": "completed"})])
    provider = made(upstream)

    first, last = [each async for each in provider.job("a/b", interval=0)]

    assert upstream.requests[0].url.raw_path == b"/models/jobs/a%2Fb"
    assert (first.progress, first.phase, first.current_bytes, first.total_bytes) == (
        37.5,
        "downloading",
        9,
        24,
    )
    assert (first.done, last.done, last.message) == (False, True, "completed")


async def test_a_cancelled_job_raises() -> None:
    provider = made(Scripted([(200, {"processed": True, "cancelled": True})]))
    with pytest.raises(BadResponse, match="cancelled"):
        [each async for each in provider.job("u")]


def test_the_plugin_offers_one_type_of_its_entry_points_name() -> None:
    (factory,) = plugin.pointsman_providers()
    assert (factory.name, factory.needs_key) == ("localai", False)
    assert factory.default_base_url == "http://127.0.0.1:8080"
    with pytest.raises(ValidationError):
        LocalAISettings.model_validate({"strict_tool": "drop"})
