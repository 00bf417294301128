"""The contract of every provider, kept by `openai`, for OpenAI itself and for a compatible server."""

from __future__ import annotations

from typing import ClassVar

from replay import exchange

from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ContextWindowExceeded,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)
from pointsman.testing.contract import (
    CannedBreak,
    CannedChat,
    CannedEmbeddings,
    CannedError,
    CannedModels,
    CannedStream,
    ProviderContract,
)
from pointsman.testing.contract.subject import PROMPT
from pointsman.types import ChatRequest, Image, Message, ToolCall, Usage
from pointsman_openai import plugin

CHAT = b"""{"id":"chatcmpl-1","object":"chat.completion","created":1786356000,"model":"gpt-5-mini","choices":[
{"index":0,"message":{"role":"assistant","content":"The sky is blue","refusal":null},"logprobs":null,
"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":8,"total_tokens":20,
"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}}"""

USAGE = Usage(prompt=12, completion=8, cached=4, reasoning=3)
EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def streamed(*chunks: str) -> bytes:
    head = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1786356000,"model":"gpt-5-mini"'
    return "".join(f"data: {{{head},{chunk}}}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n"


def choice(delta: str, finish: str = "null") -> str:
    return f'"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]'


COUNTED = """"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":8,"total_tokens":20,
"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}""".replace(
    "\n", ""
)


def refusal(name: str, kind: type[CallError], retry_after: float | None = None) -> CannedError:
    found = exchange(f"constructed/openai/{name}")
    return CannedError(
        status=found.status, headers=found.headers, body=found.body, kind=kind, retry_after=retry_after
    )


class TestOpenAI(ProviderContract):
    (factory,) = plugin.pointsman_providers()
    relays: ClassVar = {"openai.chat": {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 9}}
    settings: ClassVar = {"organization": "org-1"}
    base_url = "https://api.openai.com/v1"
    model = "gpt-5-mini"
    chat_ok = CannedChat(body=CHAT, text="The sky is blue", usage=USAGE)
    stream_ok = CannedStream(
        headers=EVENT_STREAM,
        body=streamed(
            choice('{"role":"assistant","content":""}'),
            choice('{"content":"The"}'),
            choice('{"content":" heaven ist blau – 青い"}'),
            choice("{}", '"length"'),
            COUNTED,
        ),
        # A compatible server may leave out [DONE]; the finish reason suffices.
        end=b'"finish_reason":"length"',
        text="The heaven ist blau – 青い",
        finish_reason="length",
        usage=USAGE,
    )
    stream_tools = CannedStream(
        headers=EVENT_STREAM,
        body=streamed(
            choice(
                '{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"weather","arguments":""}}]}'
            ),
            choice('{"tool_calls":[{"index":0,"function":{"arguments":"{\\"city\\":"}}]}'),
            choice('{"tool_calls":[{"index":0,"function":{"arguments":"\\"Paris\\"}"}}]}'),
            choice(
                '{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"time","arguments":"{}"}}]}'
            ),
            choice("{}", '"tool_calls"'),
        ),
        end=b'"finish_reason":"tool_calls"',
        finish_reason="tool_calls",
        tool_calls=(ToolCall("call_a", "weather", '{"city":"Paris"}'), ToolCall("call_b", "time", "{}", 1)),
    )
    mid_stream_error = CannedBreak(
        headers=EVENT_STREAM,
        body=exchange("constructed/openai/013-stream-error-frame").body,
        text="The sky",
        kind=Unavailable,
    )
    finish_words: ClassVar = {b'"stop"': "stop", b'"length"': "length", b'"content_filter"': "content_filter"}
    generate_ok = CannedChat(
        body=b'{"object":"text_completion","choices":[{"index":0,"text":" is blue","finish_reason":"length"}]}',
        text=" is blue",
        finish_reason="length",
    )
    embed_ok = CannedEmbeddings(
        body=b'{"object":"list","data":[{"index":1,"embedding":[2,3]},{"index":0,"embedding":[0.5,1]}],'
        b'"usage":{"prompt_tokens":7,"total_tokens":7}}',
        texts=("one", "two"),
        vectors=((0.5, 1.0), (2.0, 3.0)),
        usage=Usage(prompt=7),
    )
    models_ok = CannedModels(
        body=b'{"object":"list","data":[{"id":"gpt-5-mini","object":"model","created":1},{"id":"other"}]}',
        ids=("gpt-5-mini", "other"),
    )
    errors = (
        refusal("001-429-rate-limit-tokens", RateLimited, 1.4),
        refusal("004-429-insufficient-quota", QuotaExhausted),
        refusal("008-503-server-is-overloaded", Overloaded),
        refusal("009-500-server-error", Unavailable),
        refusal("010-403-unsupported-country", PermissionDenied),
        refusal("011-400-context-length-chat", ContextWindowExceeded),
        refusal("012-502-html-edge", Unavailable),
        CannedError(
            status=401,
            body=b'{"error":{"message":"Incorrect API key provided: canary-key-5c0ffee5.","type":'
            b'"invalid_request_error","code":"invalid_api_key"}}',
            kind=AuthenticationFailed,
        ),
    )
    unsupported = (
        ChatRequest("public", (Message.user("hello"),), top_k=40),
        ChatRequest("public", (Message.user("hello"),), min_p=0.1),
    )


class TestCompatibleServer(TestOpenAI):
    settings: ClassVar = {"extra_sampling": True, "key_header": "api-key", "unsupported": ["images"]}
    base_url = "http://vllm.test:8000/v1"
    model = "qwen3-4b"
    unsupported = (ChatRequest("public", (Message.user((Image(data=b"png"),)),)),)
