"""The HTTP calls: where they go, what they carry, and what becomes of the answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from replay import Scripted, assemble, call_for, client_for, context_for, events_of

from pointsman.errors import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    ConfigError,
    ContentFiltered,
    InvalidRequest,
    QuotaExhausted,
    Unavailable,
    Unsupported,
)
from pointsman.provider import Call
from pointsman.text_messages import TextMessages
from pointsman.types import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    Image,
    Message,
    Text,
    Tool,
    ToolCall,
)
from pointsman_openai import OpenAIProvider, OpenAISettings, plugin

HELLO = ChatRequest("public", (Message.user("hello"),))
ANSWER = {
    "id": "c1",
    "model": "m-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
}


def made(
    transport: httpx.AsyncBaseTransport, *, base_url: str | None = "http://upstream/v1", **settings: Any
) -> OpenAIProvider:
    return OpenAIProvider(
        context_for(transport, settings=OpenAISettings(**settings), base_url=base_url, key="secret-key")
    )


def call_of(provider: OpenAIProvider, transport: httpx.AsyncBaseTransport, **options: Any) -> Call:
    client = client_for(transport, provider.endpoint, key="secret-key")
    return call_for(client, "upstream-model", options=options)


async def test_a_chat_is_one_post_with_key_and_ids() -> None:
    upstream = Scripted([(200, ANSWER, {"x-request-id": "up-1"})])
    provider = made(upstream, organization="org-1", project="proj-1")

    reply = await provider.chat(HELLO, call_of(provider, upstream))

    (request,) = upstream.requests
    assert (request.method, str(request.url)) == ("POST", "http://upstream/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer secret-key"
    assert request.headers["openai-organization"] == "org-1"
    assert request.headers["openai-project"] == "proj-1"
    assert request.headers["x-pointsman-request-id"] == "req-1"
    assert request.headers["x-pointsman-attempt"] == "1"
    assert upstream.sent()["model"] == "upstream-model"
    assert (reply.text, reply.upstream_request_id) == ("hi", "up-1")


@pytest.mark.parametrize("messages", [HELLO.messages, TextMessages(("user",), ("hello",))])
async def test_a_provider_built_on_it_has_every_chat_go_through_its_own_body_and_fetch(messages: Any) -> None:
    class Tagged(OpenAIProvider):
        def chat_body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
            return {**super().chat_body(request, call, stream=stream), "tag": "t"}

        async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
            return await super().fetch(path, body, call, **more, headers={"x-signed": "yes"})

    upstream = Scripted([(200, ANSWER)])
    provider = Tagged(context_for(upstream, settings=OpenAISettings(), base_url="http://upstream/v1"))

    await provider.chat(ChatRequest("public", messages), call_of(provider, upstream))

    assert upstream.sent()["tag"] == "t"
    assert upstream.requests[0].headers["x-signed"] == "yes"


@pytest.mark.parametrize(("status", "answer"), [(200, ANSWER), (429, {"error": {"message": "slow down"}})])
async def test_a_chat_goes_the_way_of_fetch_also_where_it_is_not_called(status: int, answer: Any) -> None:
    class Calling(OpenAIProvider):
        async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
            return await super().fetch(path, body, call, **more)

    told = []
    for kind in (OpenAIProvider, Calling):
        upstream = Scripted([(status, answer, {"x-request-id": "up-1"})])
        provider = kind(context_for(upstream, settings=OpenAISettings(), base_url="http://upstream/v1"))
        end: Any
        try:
            end = await provider.chat(HELLO, call_of(provider, upstream))
        except CallError as error:
            end = type(error), str(error), vars(error)
        (sent,) = upstream.requests
        told.append((sent.method, sent.url, sent.headers.raw, sent.content, sent.extensions, end))

    assert told[0] == told[1]


async def test_the_key_can_stand_in_another_header() -> None:
    upstream = Scripted([(200, ANSWER)])
    provider = made(upstream, key_header="api-key")

    await provider.chat(HELLO, call_of(provider, upstream))

    assert upstream.requests[0].headers["api-key"] == "secret-key"
    assert "authorization" not in upstream.requests[0].headers


async def test_without_a_base_url_the_calls_go_to_openai() -> None:
    provider = made(Scripted([]), base_url=None)
    assert provider.endpoint.base_url == "https://api.openai.com/v1"
    assert made(Scripted([]), base_url="http://box:1/x/").endpoint.base_url == "http://box:1/x"


async def test_nothing_is_sent_when_the_request_is_unsupported() -> None:
    upstream = Scripted([(200, ANSWER)])
    provider = made(upstream)
    request = ChatRequest("public", HELLO.messages, top_k=3)

    with pytest.raises(Unsupported):
        await provider.chat(request, call_of(provider, upstream))
    with pytest.raises(Unsupported):
        await provider.stream(request, call_of(provider, upstream))

    assert upstream.requests == []


async def test_a_deployments_options_win_over_the_settings() -> None:
    upstream = Scripted([(200, ANSWER)])
    provider = made(upstream)
    request = ChatRequest("public", HELLO.messages, top_k=3, max_tokens=5)
    options = {"extra_sampling": True, "max_tokens_field": "max_completion_tokens"}

    await provider.chat(request, call_of(provider, upstream, **options))

    assert (upstream.sent()["top_k"], upstream.sent()["max_completion_tokens"]) == (3, 5)


async def test_wrong_options_are_refused_by_name() -> None:
    upstream = Scripted([(200, ANSWER)])
    provider = made(upstream)
    with pytest.raises(InvalidRequest, match="max_tokens_feild"):
        await provider.chat(HELLO, call_of(provider, upstream, max_tokens_feild="auto"))
    with pytest.raises(InvalidRequest, match="organization"):
        await provider.chat(HELLO, call_of(provider, upstream, organization="of one deployment"))
    official = made(upstream, base_url=None)
    with pytest.raises(InvalidRequest, match="extra_sampling"):
        await official.chat(HELLO, call_of(official, upstream, extra_sampling=True))


def test_settings_that_cannot_be_right_are_refused_at_start() -> None:
    with pytest.raises(ValidationError):
        OpenAISettings.model_validate({"organisation": "x"})
    with pytest.raises(ConfigError, match="extra_sampling"):
        made(Scripted([]), base_url="https://eu.api.openai.com/v1", extra_sampling=True)


async def test_a_stream_is_read_to_its_marker_and_closed() -> None:
    frames = [
        b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"h',
        b'i"},"finish_reason":"stop"}]}\n\ndata: [DO',
        b"NE]\n\n",
    ]
    upstream = Scripted([(200, frames, {"content-type": "text/event-stream", "x-request-id": "up-2"})])
    provider = made(upstream)

    source = await provider.stream(HELLO, call_of(provider, upstream))
    whole = assemble(await events_of(source))

    assert whole.text == "hi"
    assert source.upstream_request_id == "up-2"
    assert (upstream.sent()["stream"], upstream.sent()["stream_options"]) == (True, {"include_usage": True})
    assert upstream.bodies[0].closed


async def test_a_server_that_does_not_stream_is_understood() -> None:
    upstream = Scripted([(200, ANSWER, {"content-type": "application/json"})])
    provider = made(upstream)

    whole = assemble(await events_of(await provider.stream(HELLO, call_of(provider, upstream))))

    assert (whole.text, whole.finish_reason) == ("hi", "stop")


async def test_an_error_of_status_200_in_json_is_an_error_of_the_stream() -> None:
    upstream = Scripted([(200, {"error": {"code": "content_filter"}}, {"content-type": "application/json"})])
    provider = made(upstream)
    with pytest.raises(ContentFiltered):
        await provider.chat(HELLO, call_of(provider, upstream))
    source = await provider.stream(HELLO, call_of(provider, upstream))
    with pytest.raises(ContentFiltered):
        await events_of(source)


async def test_a_refused_stream_raises_before_any_event_and_is_closed() -> None:
    body = {"error": {"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"}}
    upstream = Scripted([(429, body, {"x-request-id": "up-3"})])
    provider = made(upstream)

    with pytest.raises(QuotaExhausted) as caught:
        await provider.stream(HELLO, call_of(provider, upstream))

    assert caught.value.upstream_request_id == "up-3"
    assert upstream.bodies[0].closed


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b"plain words", b"\xff\xfe"])
async def test_an_error_without_json_counts_by_its_status(body: bytes) -> None:
    upstream = Scripted([(502, body)])
    provider = made(upstream)
    with pytest.raises(Unavailable) as caught:
        await provider.chat(HELLO, call_of(provider, upstream))
    assert "<html>" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", [], {}, {"choices": []}, {"choices": "x"}, "null", "7"])
async def test_a_success_that_is_no_answer_is_a_bad_response(body: Any) -> None:
    upstream = Scripted([(200, body)])
    provider = made(upstream)
    with pytest.raises(BadResponse):
        await provider.chat(HELLO, call_of(provider, upstream))


async def test_a_rejected_key_is_not_quoted() -> None:
    body = {"error": {"message": "Incorrect API key provided: secret-key.", "code": "invalid_api_key"}}
    upstream = Scripted([(401, body)])
    provider = made(upstream)
    with pytest.raises(AuthenticationFailed) as caught:
        await provider.chat(HELLO, call_of(provider, upstream))
    assert "secret-key" not in str(caught.value)


async def test_a_plain_completion_goes_to_its_own_endpoint() -> None:
    upstream = Scripted(
        [
            (
                200,
                {
                    "id": "c",
                    "model": "m",
                    "choices": [{"text": " end", "index": 0, "finish_reason": "length"}],
                },
            )
        ]
    )
    provider = made(upstream)

    reply = await provider.generate(GenerateRequest("public", "the"), call_of(provider, upstream))

    assert upstream.requests[0].url.path == "/v1/completions"
    assert (reply.text, reply.finish_reason) == (" end", "length")


async def test_vectors_come_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [0.2, 1]}, {"index": 0, "embedding": "AACAPwAAAEA="}]
    upstream = Scripted(
        [(200, {"data": data, "model": "e", "usage": {"prompt_tokens": 2, "total_tokens": 2}})]
    )
    provider = made(upstream)

    reply = await provider.embed(EmbedRequest("public", ["a", "b"]), call_of(provider, upstream))

    assert [list(vector) for vector in reply.vectors] == [[1.0, 2.0], [0.2, 1]]
    assert (reply.usage.prompt, reply.usage.completion) == (2, None)


@pytest.mark.parametrize(
    "data",
    [None, [], [{"embedding": [1.0]}], [{"embedding": "a"}] * 2, [{"embedding": ["x"]}] * 2, [{}, {}]],
)
async def test_vectors_that_are_missing_or_none_are_a_bad_response(data: Any) -> None:
    upstream = Scripted([(200, {"data": data})])
    provider = made(upstream)
    with pytest.raises(BadResponse):
        await provider.embed(EmbedRequest("public", ["a", "b"]), call_of(provider, upstream))


async def test_a_probe_lists_the_models_with_the_providers_own_client() -> None:
    listing = {
        "object": "list",
        "data": [{"id": "m1", "created": 5, "max_model_len": 4096}, {"id": "m2"}, {}],
    }
    upstream = Scripted([(200, listing)])
    provider = made(upstream)

    await provider.probe()
    first, second = await provider.models()

    assert [each.url.path for each in upstream.requests] == ["/v1/models"] * 2
    assert (first.id, first.created, first.context_window) == ("m1", 5, 4096)
    assert (second.id, second.created, second.context_window) == ("m2", None, None)
    await provider.aclose()


async def test_a_failing_probe_raises() -> None:
    provider = made(Scripted([(401, {"error": {"message": "no"}})]))
    with pytest.raises(AuthenticationFailed):
        await provider.probe()
    await provider.aclose()


def test_the_plugin_offers_one_type_of_its_entry_points_name() -> None:
    (factory,) = plugin.pointsman_providers()
    assert (factory.name, factory.needs_key, factory.key_variable) == ("openai", True, "OPENAI_API_KEY")
    assert factory.default_base_url == "https://api.openai.com/v1"


async def test_openai_counts_the_tokens_of_a_prompt() -> None:
    upstream = Scripted([(200, {"object": "response.input_tokens", "input_tokens": 42})])
    asked = ChatRequest(
        "gpt-5",
        (
            Message.system("be brief"),
            Message.user((Text("see"), Image(url="https://a.example/b.png"))),
            Message.assistant(tool_calls=(ToolCall("c1", "f", "{}"),)),
            Message.tool("c1", "4"),
        ),
        tools=(Tool("f"),),
        temperature=0.5,
    )

    assert await made(upstream, base_url=None).count_tokens(asked) == 42

    assert str(upstream.requests[0].url) == "https://api.openai.com/v1/responses/input_tokens"
    assert upstream.sent() == {
        "model": "gpt-5",
        "input": [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "auto"},
                ],
            },
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "4"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
    }


async def test_only_openai_itself_counts() -> None:
    with pytest.raises(Unsupported, match="counts tokens"):
        await made(Scripted([])).count_tokens(HELLO)


@pytest.mark.parametrize("answer", [{}, {"input_tokens": "42"}])
async def test_an_answer_without_a_count_is_malformed(answer: Any) -> None:
    with pytest.raises(BadResponse, match="input_tokens"):
        await made(Scripted([(200, answer)]), base_url=None).count_tokens(HELLO)
