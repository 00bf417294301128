"""The contract of every provider, kept by `claude`."""

from __future__ import annotations

from typing import ClassVar

from replay import exchange

from pointsman.errors import (
    CallError,
    InvalidRequest,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)
from pointsman.testing.contract import (
    CannedBreak,
    CannedChat,
    CannedError,
    CannedModels,
    CannedStream,
    ProviderContract,
)
from pointsman.testing.contract.subject import PROMPT
from pointsman.types import Audio, ChatRequest, EmbedRequest, GenerateRequest, Message, ToolCall, Usage
from pointsman_claude import plugin

CHAT = b"""{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[
{"type":"thinking","thinking":"Rayleigh.","signature":"c2ln"},{"type":"text","text":"The sky is blue"}],
"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,
"cache_read_input_tokens":4,"output_tokens":6}}"""


def streamed(*events: str) -> bytes:
    named = [(event.partition('"type":"')[2].partition('"')[0], event) for event in events]
    return "".join(f"event: {name}\ndata: {event}\n\n" for name, event in named).encode()


START = """{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":
"claude-sonnet-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,
"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":1}}}""".replace("\n", "")


def opened(index: int, block: str) -> str:
    return f'{{"type":"content_block_start","index":{index},"content_block":{block}}}'


def delta(index: int, what: str) -> str:
    return f'{{"type":"content_block_delta","index":{index},"delta":{what}}}'


def closed(index: int) -> str:
    return f'{{"type":"content_block_stop","index":{index}}}'


def ended(reason: str) -> tuple[str, str]:
    return (
        f'{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},'
        '"usage":{"output_tokens":6}}',
        '{"type":"message_stop"}',
    )


def refusal(name: str, kind: type[CallError], retry_after: float | None = None) -> CannedError:
    found = exchange(f"constructed/anthropic/{name}")
    return CannedError(
        status=found.status, headers=found.headers, body=found.body, kind=kind, retry_after=retry_after
    )


USAGE = Usage(prompt=14, completion=6, cached=4, cache_write=0)


class TestClaude(ProviderContract):
    (factory,) = plugin.pointsman_providers()
    relays: ClassVar = {
        "anthropic": {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 9, "top_k": 3}
    }
    settings: ClassVar = {"beta": ["some-beta-2026-01-01"], "workspace": "wrk_1"}
    model = "claude-sonnet-4-5"
    chat_ok = CannedChat(body=CHAT, text="The sky is blue", reasoning="Rayleigh.", usage=USAGE)
    stream_ok = CannedStream(
        headers={"content-type": "text/event-stream; charset=utf-8"},
        body=streamed(
            START,
            opened(0, '{"type":"thinking","thinking":"","signature":""}'),
            '{"type":"ping"}',
            delta(0, '{"type":"thinking_delta","thinking":"Rayleigh."}'),
            delta(0, '{"type":"signature_delta","signature":"c2ln"}'),
            closed(0),
            opened(1, '{"type":"text","text":""}'),
            delta(1, '{"type":"text_delta","text":"The"}'),
            delta(1, '{"type":"text_delta","text":" heaven ist blau – 青い"}'),
            closed(1),
            *ended("max_tokens"),
        ),
        end=b"event: message_stop",
        text="The heaven ist blau – 青い",
        reasoning="Rayleigh.",
        finish_reason="length",
        usage=USAGE,
    )
    stream_tools = CannedStream(
        headers={"content-type": "text/event-stream; charset=utf-8"},
        body=streamed(
            START,
            opened(0, '{"type":"tool_use","id":"toolu_a","name":"weather","input":{}}'),
            delta(0, '{"type":"input_json_delta","partial_json":""}'),
            delta(0, '{"type":"input_json_delta","partial_json":"{\\"city\\":"}'),
            delta(0, '{"type":"input_json_delta","partial_json":"\\"Paris\\"}"}'),
            closed(0),
            opened(1, '{"type":"tool_use","id":"toolu_b","name":"time","input":{}}'),
            closed(1),
            *ended("tool_use"),
        ),
        end=b"event: message_stop",
        finish_reason="tool_calls",
        tool_calls=(ToolCall("toolu_a", "weather", '{"city":"Paris"}'), ToolCall("toolu_b", "time", "{}", 1)),
        usage=USAGE,
    )
    mid_stream_error = CannedBreak(
        body=exchange("constructed/anthropic/012-stream-error-overloaded-error").body,
        text="The",
        kind=Overloaded,
    )
    finish_words: ClassVar = {
        b'"end_turn"': "stop",
        b'"max_tokens"': "length",
        b'"refusal"': "content_filter",
    }
    models_ok = CannedModels(
        body=b'{"data":[{"type":"model","id":"claude-sonnet-4-5","display_name":"S","created_at":'
        b'"2025-09-29T00:00:00Z"},{"type":"model","id":"claude-haiku-4-5"}],"has_more":false,'
        b'"first_id":"claude-sonnet-4-5","last_id":"claude-haiku-4-5"}',
        ids=("claude-sonnet-4-5", "claude-haiku-4-5"),
    )
    statuses: ClassVar = {529: Overloaded}
    errors = (
        refusal("001-429-rate-limit", RateLimited, 42.0),
        refusal("003-429-enforced-spend-limit", QuotaExhausted),
        refusal("004-529-overloaded", Overloaded),
        refusal("005-500-api-error", Unavailable),
        refusal("006-504-timeout", Unavailable),
        refusal("007-413-request-too-large", InvalidRequest),
        refusal("008-402-billing", QuotaExhausted),
        refusal("009-403-permission", PermissionDenied),
        refusal("011-529-html-edge", Overloaded),
    )
    unsupported = (
        ChatRequest("public", (Message.user("hello"),), seed=7),
        ChatRequest("public", (Message.user((Audio(b"RIFF"),)),)),
        GenerateRequest("public", "hello"),
        EmbedRequest("public", ("hello",)),
    )


class TestClaudeAsStreams(TestClaude):
    settings: ClassVar = {**TestClaude.settings, "stream_underneath": True}
