"""The calls: addresses, headers, settings, paging, and what no message could go through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pluggy import PluginManager
from pydantic import ValidationError
from replay import Scripted, assemble, call_for, client_for, context_for, events_of

from pointsman import hookspecs
from pointsman.errors import AuthenticationFailed, BadResponse, InvalidRequest, Truncated, Unsupported
from pointsman.provider import Call
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Message
from pointsman_claude import ClaudeProvider, ClaudeSettings, plugin

REQUEST = ChatRequest("public", [Message.user("Hello")])
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


class Upstream:
    """A provider with settings over a scripted transport."""

    def __init__(self, *answers: tuple[Any, ...], base_url: str | None = None, **settings: Any) -> None:
        self.transport = Scripted(answers or ((200, MESSAGE),))
        self.provider = ClaudeProvider(
            context_for(
                self.transport, settings=ClaudeSettings(**settings), base_url=base_url, name="c", key="s3cret"
            )
        )

    def call(self, **options: Any) -> Call:
        assert self.provider.endpoint is not None
        client = client_for(self.transport, self.provider.endpoint, key="s3cret")
        return call_for(client, "claude-x", options=options)

    @property
    def headers(self) -> Mapping[str, str]:
        return self.transport.requests[-1].headers

    @property
    def url(self) -> str:
        return str(self.transport.requests[-1].url)


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_call_goes_to_the_messages_with_key_version_and_our_id() -> None:
    upstream = Upstream((200, MESSAGE, {"request-id": "req_1", "retry-after": "37"}))

    reply = await upstream.provider.chat(REQUEST, upstream.call())

    assert upstream.url == "https://api.anthropic.com/v1/messages"
    assert upstream.headers["x-api-key"] == "s3cret"
    assert "authorization" not in upstream.headers
    assert upstream.headers.get_list("anthropic-version") == ["2023-06-01"]  # type: ignore[attr-defined]
    assert "anthropic-beta" not in upstream.headers
    assert upstream.headers["x-pointsman-request-id"] == "req-1"
    assert upstream.transport.sent() == {
        "model": "claude-x",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    assert (reply.text, reply.upstream_request_id) == ("Hi", "req_1")


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
async def test_a_base_url_may_end_in_the_version(path: str) -> None:
    upstream = Upstream(base_url=f"http://127.0.0.1:9/proxy{path}")

    await upstream.provider.chat(REQUEST, upstream.call())

    assert upstream.url == "http://127.0.0.1:9/proxy/v1/messages"


async def test_settings_show_in_the_headers_and_the_body() -> None:
    upstream = Upstream(
        api_version="2026-10-21", beta=["a-2025-01-01", "b"], default_max_tokens=77, workspace="wrkspc_1"
    )

    await upstream.provider.chat(REQUEST, upstream.call())

    assert upstream.headers["anthropic-version"] == "2026-10-21"
    assert upstream.headers["anthropic-beta"] == "a-2025-01-01,b"
    assert upstream.headers["anthropic-workspace-id"] == "wrkspc_1"
    assert upstream.transport.sent()["max_tokens"] == 77


async def test_a_deployment_may_differ_from_the_settings() -> None:
    upstream = Upstream(beta=["a"])
    warm = ChatRequest("public", REQUEST.messages, temperature=0.5)
    newer = upstream.call(api_version="2026-10-21", beta=["b", "a"])

    await upstream.provider.chat(REQUEST, newer)

    assert upstream.headers.get_list("anthropic-version") == ["2026-10-21"]  # type: ignore[attr-defined]
    assert upstream.headers["anthropic-beta"] == "a,b"
    with pytest.raises(Unsupported):
        await upstream.provider.chat(warm, newer)
    with pytest.raises(Unsupported):
        await upstream.provider.stream(warm, newer)
    assert len(upstream.transport.requests) == 1


async def test_wrong_options_of_a_deployment_are_named() -> None:
    upstream = Upstream()

    with pytest.raises(InvalidRequest, match=r"api_version: .*'2026-10-21'.*; speed: "):
        await upstream.provider.chat(REQUEST, upstream.call(api_version="1999-01-01", speed="fast"))
    assert not upstream.transport.requests


@pytest.mark.parametrize(
    "settings",
    [
        {"api_version": "2023-01-01"},
        {"beta": ["a\r\nx-evil: 1"]},
        {"beta": "a"},
        {"default_max_tokens": 0},
        {"late_system": "drop"},
        {"unknown": 1},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClaudeSettings(**settings)


async def test_what_json_cannot_hold_is_an_invalid_request() -> None:
    upstream = Upstream()

    with pytest.raises(InvalidRequest, match="JSON"):
        await upstream.provider.chat(
            ChatRequest("m", REQUEST.messages, extra={"x": object()}), upstream.call()
        )


@pytest.mark.parametrize("body", ["<html>hello</html>", "hello", '{"type":"message"}', "null"])
async def test_a_200_that_is_no_message_is_a_bad_response(body: str) -> None:
    upstream = Upstream((200, body))

    with pytest.raises(BadResponse):
        await upstream.provider.chat(REQUEST, upstream.call())


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_is_asked_for_and_read_to_its_end() -> None:
    body = (
        'event: message_start\ndata: {"type":"message_start","message":{"id":"i","model":"m"}}\n\n'
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    upstream = Upstream((200, body, {"content-type": "text/event-stream; charset=utf-8", "request-id": "r"}))

    source = await upstream.provider.stream(REQUEST, upstream.call())
    events = await source.next(float("inf"))

    assert events is not None
    assert [event.kind for event in events] == ["started", "finished", "raw"]
    assert await source.next(float("inf")) is None
    assert source.upstream_request_id == "r"
    assert upstream.transport.sent()["stream"] is True
    await source.aclose()


KINDS = ["application/json", "text/plain", "Text/Event-Stream", "", "application/octet-stream"]
EVENTS = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","model":"claude-x"}}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    '"delta":{"type":"text_delta","text":"Hi"}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "body", [MESSAGE, json.dumps(MESSAGE, indent=1), "\n " + json.dumps(MESSAGE), EVENTS]
)
@pytest.mark.parametrize("how", ["chat", "stream"])
async def test_an_answer_is_read_for_what_it_is_whatever_was_asked_for_and_whatever_it_calls_itself(
    how: str, body: Any, kind: str
) -> None:
    upstream = Upstream((200, body, {"content-type": kind} if kind else {}))

    if how == "chat":
        answer: Any = await upstream.provider.chat(REQUEST, upstream.call())
    else:
        answer = assemble(await events_of(await upstream.provider.stream(REQUEST, upstream.call())))

    assert (answer.text, answer.id, answer.model) == ("Hi", "msg_1", "claude-x")
    assert answer.finish_reason == "stop"
    assert answer.raw["id"] == "msg_1"


PAGES = ["<html>hello</html>", "\ufeff<!doctype html><p>x", "  hello  ", "OK"]


@pytest.mark.parametrize("body", PAGES)
@pytest.mark.parametrize("how", ["chat", "stream"])
async def test_a_page_in_place_of_an_answer_tells_what_the_address_should_look_like(
    how: str, body: str
) -> None:
    upstream = Upstream((200, body))

    with pytest.raises(
        BadResponse, match=r"not the Messages API; base_url must end before /v1, such as https"
    ):
        if how == "chat":
            await upstream.provider.chat(REQUEST, upstream.call())
        else:
            await events_of(await upstream.provider.stream(REQUEST, upstream.call()))


@pytest.mark.parametrize(
    "body",
    [
        "404 page not found",
        "",
        {"detail": "Not Found"},
        {"error": {"message": "Unknown request URL: POST /x/v1/messages", "type": "invalid_request_error"}},
        {"type": "error", "error": {"type": "not_found_error", "message": "Not found"}},
    ],
)
async def test_an_address_that_is_not_there_is_no_missing_model(body: Any) -> None:
    upstream = Upstream((404, body))

    with pytest.raises(BadResponse, match="base_url must end before /v1") as raised:
        await upstream.provider.chat(REQUEST, upstream.call())

    assert not raised.value.retry_same


async def test_an_empty_stream_is_truncated() -> None:
    upstream = Upstream((200, [], {"content-type": "text/event-stream"}))
    source = await upstream.provider.stream(REQUEST, upstream.call())

    with pytest.raises(Truncated):
        await source.next(float("inf"))


@pytest.mark.parametrize("body", PAGES)
async def test_a_page_tells_other_calls_too_what_the_address_should_look_like(body: str) -> None:
    upstream = Upstream((200, body))

    for ask in (upstream.provider.models, upstream.provider.probe):
        with pytest.raises(BadResponse, match="base_url must end before /v1"):
            await ask()
    with pytest.raises(BadResponse, match="base_url must end before /v1"):
        await upstream.provider.count_tokens(REQUEST)


# ── everything else ──────────────────────────────────────────────────────────────────────────────────


def page(*ids: str, more: bool) -> dict[str, Any]:
    return {
        "data": [{"type": "model", "id": id, "created_at": "2025-01-01T00:00:00Z"} for id in ids],
        "has_more": more,
        "first_id": ids[0],
        "last_id": ids[-1],
    }


async def test_all_pages_of_the_models_are_read() -> None:
    upstream = Upstream((200, page("a", "b/ö", more=True)), (200, page("c", more=False)))

    models = await upstream.provider.models()
    await upstream.provider.aclose()

    assert [model.id for model in models] == ["a", "b/ö", "c"]
    assert [str(each.url) for each in upstream.transport.requests] == [
        "https://api.anthropic.com/v1/models?limit=1000",
        "https://api.anthropic.com/v1/models?limit=1000&after_id=b%2F%C3%B6",
    ]
    assert upstream.headers["anthropic-version"] == "2023-06-01"
    assert upstream.headers["x-api-key"] == "s3cret"


async def test_a_list_of_models_without_an_end_is_a_bad_response() -> None:
    upstream = Upstream((200, page("a", more=True)))

    with pytest.raises(BadResponse, match="100 pages"):
        await upstream.provider.models()


async def test_tokens_are_counted_for_the_upstreams_own_model() -> None:
    upstream = Upstream((200, {"input_tokens": 42}))

    count = await upstream.provider.count_tokens(ChatRequest("claude-x", REQUEST.messages, max_tokens=5))

    assert count == 42
    assert upstream.url == "https://api.anthropic.com/v1/messages/count_tokens"
    assert upstream.transport.sent() == {
        "model": "claude-x",
        "messages": [{"role": "user", "content": "Hello"}],
    }


@pytest.mark.parametrize("body", [{}, [], {"input_tokens": None}])
async def test_a_count_that_is_none_is_a_bad_response(body: Any) -> None:
    upstream = Upstream((200, json.dumps(body)))

    with pytest.raises(BadResponse):
        await upstream.provider.count_tokens(REQUEST)


async def test_a_probe_lists_one_model_and_tells_of_failures() -> None:
    upstream = Upstream((200, page("a", more=True)), (401, {"error": {"type": "authentication_error"}}))

    await upstream.provider.probe()
    with pytest.raises(AuthenticationFailed):
        await upstream.provider.probe()

    assert upstream.url == "https://api.anthropic.com/v1/models?limit=1"
    await upstream.provider.aclose()
    await upstream.provider.aclose()


async def test_what_claude_has_no_endpoint_for_is_unsupported() -> None:
    upstream = Upstream()

    with pytest.raises(Unsupported, match="plain completion"):
        await upstream.provider.generate(GenerateRequest("m", "x"), upstream.call())
    with pytest.raises(Unsupported, match="embedding"):
        await upstream.provider.embed(EmbedRequest("m", ["x"]), upstream.call())
    assert not upstream.transport.requests


def test_the_plugin_offers_the_provider_through_the_hook() -> None:
    manager = PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs.PointsmanSpec)
    manager.register(plugin)

    ((factory,),) = manager.hook.pointsman_providers()

    assert (factory.name, factory.make, factory.settings) == ("claude", ClaudeProvider, ClaudeSettings)
    assert factory.default_base_url == "https://api.anthropic.com"
    assert (factory.needs_key, factory.key_variable) == (True, "ANTHROPIC_API_KEY")
