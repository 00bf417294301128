"""The contract of every provider, kept by `localai`."""

from __future__ import annotations

from typing import ClassVar

from replay import exchange

from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ModelNotFound,
    Overloaded,
    QuotaExhausted,
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
from pointsman.types import ChatRequest, EmbedRequest, File, Message, Tool, ToolCall, Usage
from pointsman_localai import plugin


def body(name: str) -> bytes:
    return exchange(f"constructed/localai/{name}").body


def refusal(name: str, kind: type[CallError], retry_after: float | None = None) -> CannedError:
    found = exchange(f"constructed/localai/{name}")
    return CannedError(
        status=found.status, headers=found.headers, body=found.body, kind=kind, retry_after=retry_after
    )


class TestLocalAI(ProviderContract):
    (factory,) = plugin.pointsman_providers()
    relays: ClassVar = {"openai.chat": {"messages": [{"role": "user", "content": PROMPT}], "grammar": "a"}}
    model = "qwen3-4b"
    chat_ok = CannedChat(
        body=body("017-chat"),
        text="The sky is blue",
        reasoning="Rayleigh scattering.",
        usage=Usage(prompt=9, completion=4),
    )
    stream_ok = CannedStream(
        body=body("018-stream-usage"),
        end=b'"finish_reason":"stop"',
        text="The sky is blue",
        reasoning="Rayleigh.",
        usage=Usage(prompt=9, completion=4),
    )
    stream_tools = CannedStream(
        body=body("019-stream-tools-repeated-id"),
        end=b'"finish_reason":"tool_calls"',
        finish_reason="tool_calls",
        tool_calls=(
            ToolCall("3f2b6c1e-7d55-4c0e-9d0a-1c2d3e4f5a6b-0", "get_weather", '{"city":"Paris"}'),
            ToolCall("3f2b6c1e-7d55-4c0e-9d0a-1c2d3e4f5a6b-1", "get_time", "{}", 1),
        ),
    )
    mid_stream_error = CannedBreak(body=body("021-stream-error"), text="The", kind=Unavailable)
    models_ok = CannedModels(body=body("015-models"), ids=("qwen3-4b", "text-embedding-ada-002"))
    errors = (
        refusal("001-401-no-key", AuthenticationFailed),
        refusal("002-404-model", ModelNotFound),
        refusal("006-500-load-failure", Unavailable),
        refusal("008-503-backend-capacity", Overloaded, 1.0),
        refusal("010-503-model-loading", Overloaded, 12.0),
        refusal("011-429-quota", QuotaExhausted, 3600.0),
        refusal("012-500-opaque", Unavailable),
    )
    unsupported = (
        ChatRequest("public", (Message.user((File(data=b"%PDF"),)),)),
        ChatRequest("public", (Message.user("hello"),), tools=(Tool("t", strict=True),)),
        EmbedRequest("public", ("hello",), dimensions=64),
    )


class TestLocalAIInOnePiece(TestLocalAI):
    settings: ClassVar = {"stream_underneath": False}
