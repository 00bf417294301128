"""The presets of `openai`: where calls go, with which credential, how requests are written, what answers mean."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from functools import cache
from typing import Any, NamedTuple

import pytest
from replay import Exchange, assemble, events_of, exchanges, openai_endpoint, openai_expected
from replay import ReplayTransport as Recorded

from pointsman import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    ChatRequest,
    ContentFiltered,
    ModelNotFound,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Router,
    Unsupported,
)
from pointsman.build.presets import preset_names, with_preset
from pointsman.plugin import ProviderFactory
from pointsman.testing import CannedReply, ReplayTransport, call_for, installed_factory, provider_for
from pointsman.types import EmbedRequest, GenerateRequest, Message, ResponseFormat, Tool, ToolCall, ToolChoice
from pointsman_openai import OpenAIProvider
from pointsman_wires import openai_chat

OPENAI = installed_factory("provider", "openai")
CHAT = ChatRequest("public", (Message.user("hello"),))
ANSWER = b'{"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}'


class Place(NamedTuple):
    """What a preset has to say: checked against what it does say, so that a slip shows twice."""

    url: str
    variable: str | None
    header: str = "authorization"
    hosts: Sequence[str] = ()


PLACES: Mapping[str, Place] = {
    "azure": Place(
        "https://mine.openai.azure.com/openai/v1/",
        "AZURE_OPENAI_API_KEY",
        "api-key",
        ("*.openai.azure.com", "*.cognitiveservices.azure.com"),
    ),
    "cerebras": Place("https://api.cerebras.ai/v1/", "CEREBRAS_API_KEY", hosts=["api.cerebras.ai"]),
    "deepseek": Place("https://api.deepseek.com/", "DEEPSEEK_API_KEY", hosts=["api.deepseek.com"]),
    "fireworks": Place("https://api.fireworks.ai/inference/v1/", "FIREWORKS_API_KEY"),
    "gemini": Place("https://generativelanguage.googleapis.com/v1beta/openai/", "GEMINI_API_KEY"),
    "groq": Place(
        "https://api.groq.com/openai/v1/", "GROQ_API_KEY", hosts=["api.groq.com", "localhost:8787"]
    ),
    "huggingface": Place("https://router.huggingface.co/v1/", "HF_TOKEN", hosts=["router.huggingface.co"]),
    "llamacpp": Place("http://127.0.0.1:8080/v1/", None, hosts=["llamacpp"]),
    "lmstudio": Place("http://127.0.0.1:1234/v1/", None),
    "mistral": Place("https://api.mistral.ai/v1/", "MISTRAL_API_KEY", hosts=["api.mistral.ai"]),
    "moonshot": Place("https://api.moonshot.ai/v1/", "MOONSHOT_API_KEY"),
    "openrouter": Place("https://openrouter.ai/api/v1/", "OPENROUTER_API_KEY", hosts=["openrouter.ai"]),
    "perplexity": Place("https://api.perplexity.ai/", "PERPLEXITY_API_KEY"),
    "together": Place("https://api.together.xyz/v1/", "TOGETHER_API_KEY", hosts=["api.together.xyz"]),
    "vllm": Place("http://127.0.0.1:8000/v1/", None, hosts=["localhost:8000"]),
    "xai": Place("https://api.x.ai/v1/", "XAI_API_KEY"),
}


@cache
def factory(preset: str) -> ProviderFactory:
    return with_preset(OPENAI, preset)


def provider_of(preset: str, transport: Any, **settings: Any) -> OpenAIProvider:
    base_url = PLACES[preset].url.rstrip("/") if preset == "azure" else None
    provider = provider_for(factory(preset), transport, settings=settings, base_url=base_url, key="k-1")
    assert isinstance(provider, OpenAIProvider)
    return provider


def written(preset: str, request: ChatRequest, *, stream: bool = False, **settings: Any) -> Mapping[str, Any]:
    """The body of a chat at that preset."""
    provider = provider_of(preset, transport := ReplayTransport(), **settings)
    return provider.chat_body(request, call_for(provider, transport), stream=stream)


# ── address and credential ───────────────────────────────────────────────────────────────────────────


def test_the_presets_are_these() -> None:
    assert preset_names(OPENAI) == sorted(PLACES)


@pytest.mark.parametrize("preset", PLACES)
async def test_a_chat_goes_to_the_usual_place_with_the_credential_where_it_belongs(preset: str) -> None:
    provider = provider_of(
        preset, transport := ReplayTransport(CannedReply(200, ANSWER)), stream_underneath=False
    )

    reply = await provider.chat(CHAT, call_for(provider, transport, key="k-1"))

    (request,) = transport.requests
    place = PLACES[preset]
    assert reply.text == "ok"
    assert str(request.url) == place.url + "chat/completions"
    assert request.headers[place.header] == ("Bearer k-1" if place.header == "authorization" else "k-1")
    assert {"authorization", "api-key"} & set(request.headers) == {place.header}


@pytest.mark.parametrize("preset", PLACES)
def test_two_lines_of_configuration_are_enough(preset: str) -> None:
    place = PLACES[preset]
    provider: dict[str, Any] = {"type": "openai", "preset": preset}
    if place.variable is not None:
        with pytest.raises(
            Exception, match=f"needs a credential; .*name: {place.variable}}}|no usual address"
        ):
            Router.check({"providers": {"a": provider}})
        provider["api_key"] = "k"
    if preset == "azure":
        provider["base_url"] = place.url

    config = Router.check({"providers": {"a": provider}, "models": {"m": {"deployments": ["a/x"]}}})

    assert not config.warnings


@pytest.mark.parametrize("preset", PLACES)
async def test_an_address_of_ones_own_is_called_as_the_preset_has_it(preset: str) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            size = re.search(rb"content-length: (\d+)", heads[0], re.IGNORECASE)
            await reader.readexactly(int(size[1]) if size else 0)
            head = (
                f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n"
            )
            writer.write(head.encode() + ANSWER)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/below/v1"
    config = {
        "providers": {"a": {"type": "openai", "preset": preset, "base_url": url, "api_key": "k-1"}},
        "models": {"m": {"deployments": ["a/x"]}},
    }
    async with server, Router.from_config(config) as router:
        reply = await router.chat("m", "hello")

    assert reply.text == "ok"
    header = PLACES[preset].header
    value = "Bearer k-1" if header == "authorization" else "k-1"
    assert heads[0].startswith(b"POST /below/v1/chat/completions HTTP/1.1\r\n")
    assert re.search(rf"\r\n{header}: {value}\r\n".encode(), heads[0], re.IGNORECASE)


async def test_a_token_of_entra_goes_to_azure_as_bearer() -> None:
    provider = provider_of(
        "azure", transport := ReplayTransport(CannedReply(200, ANSWER)), key_header="authorization"
    )

    await provider.chat(CHAT, call_for(provider, transport, key="token"))

    assert transport.requests[0].headers["authorization"] == "Bearer token"
    assert "api-key" not in transport.requests[0].headers


# ── how requests are written ─────────────────────────────────────────────────────────────────────────


async def test_mistral_gets_the_names_that_it_knows_and_nothing_else() -> None:
    request = ChatRequest(
        "public",
        (Message.user("hello"),),
        max_tokens=5,
        seed=7,
        user="somebody",
        metadata={"a": "b"},
    )

    assert written("mistral", request, stream=True) == {
        "model": "model",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 5,
        "random_seed": 7,
        "stream": True,
    }
    assert written("mistral", request, send_labels=True)["user"] == "somebody"


async def test_ids_of_calls_are_short_for_mistral_and_the_results_are_still_theirs() -> None:
    calls = (ToolCall("call_0fypS1hVX12345", "f", "{}"), ToolCall("D681PevKs", "g", "{}", index=1))
    request = ChatRequest(
        "public",
        (
            Message.user("hello"),
            Message(role="assistant", content="", tool_calls=calls),
            Message("tool", "one", tool_call_id="call_0fypS1hVX12345"),
            Message("tool", "two", tool_call_id="D681PevKs"),
        ),
        tools=(Tool("f"), Tool("g")),
    )

    _, asked, first, second = written("mistral", request)["messages"]

    ids = [each["id"] for each in asked["tool_calls"]]
    assert all(re.fullmatch("[0-9A-Za-z]{9}", each) for each in ids)
    assert ids[1] == "D681PevKs"
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    assert written("openrouter", request)["messages"][2]["tool_call_id"] == "call_0fypS1hVX12345"


async def test_deepseek_and_moonshot_get_their_reasoning_back() -> None:
    turn = Message(
        role="assistant", content="", reasoning="because", tool_calls=(ToolCall("call_1", "f", "{}"),)
    )
    request = ChatRequest(
        "public", (Message.user("hello"), turn, Message("tool", "1", tool_call_id="call_1"))
    )

    found = {preset: written(preset, request)["messages"][1].get("reasoning_content") for preset in PLACES}

    assert {preset for preset, reasoning in found.items() if reasoning} == {"deepseek", "moonshot"}


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("llamacpp", "repeat_penalty"),
        ("lmstudio", "repeat_penalty"),
        ("vllm", "repetition_penalty"),
        ("together", "repetition_penalty"),
        ("openrouter", "repetition_penalty"),
    ],
)
async def test_servers_of_open_models_take_more_ways_to_sample(preset: str, name: str) -> None:
    request = ChatRequest("public", CHAT.messages, top_k=3, min_p=0.5, repeat_penalty=1.1)

    body = written(preset, request)

    assert (body["top_k"], body["min_p"], body[name]) == (3, 0.5, 1.1)


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("deepseek", {"response_format": ResponseFormat("schema", schema={"type": "object"})}),
        ("perplexity", {"tools": (Tool("f"),)}),
        ("lmstudio", {"tools": (Tool("f"),), "tool_choice": ToolChoice("tool", "f")}),
        ("cerebras", {"logit_bias": {"1": 1.0}}),
        ("groq", {"logprobs": True}),
        ("groq", {"messages": (Message("user", "hello", name="ann"),)}),
        ("gemini", {"seed": 1}),
        ("mistral", {"messages": (Message("user", "hello", name="ann"),)}),
        ("xai", {"presence_penalty": 0.5}),
        ("azure", {"top_k": 3}),
    ],
)
async def test_what_a_provider_cannot_do_is_refused_before_the_call(
    preset: str, options: dict[str, Any]
) -> None:
    request = ChatRequest("public", **{"messages": CHAT.messages, **options})

    with pytest.raises(Unsupported):
        written(preset, request)


async def test_what_only_looks_like_it_is_not_refused() -> None:
    plain = ChatRequest(
        "public",
        CHAT.messages,
        response_format=ResponseFormat("json"),
        tools=(Tool("f"),),
        tool_choice=ToolChoice("auto"),
    )

    assert written("deepseek", plain)["response_format"] == {"type": "json_object"}
    assert written("lmstudio", plain)["tool_choice"] == "auto"
    assert written("groq", plain)["messages"] == [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize("preset", PLACES)
def test_requests_go_on_as_they_were_written_where_unknown_fields_are_no_error(preset: str) -> None:
    wires = provider_of(preset, ReplayTransport()).wires

    assert ("openai.chat" in wires) == (preset not in ("cerebras", "groq", "mistral"))
    responses = {"azure", "deepseek", "fireworks", "groq", "openrouter", "xai"}
    assert ("openai.responses" in wires) == (preset in responses)


# ── what its errors mean ─────────────────────────────────────────────────────────────────────────────


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


EXTRA = [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": "Extra inputs are not permitted"}]
UNKNOWN = 'Invalid JSON payload received. Unknown name "store": Cannot find field.'
MISSING = "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2"


@pytest.mark.parametrize(
    ("preset", "status", "body", "kind"),
    [
        (
            "cerebras",
            400,
            {"message": "messages.2.x: property 'x' is unsupported", "code": "wrong_api_format"},
            Unsupported,
        ),
        ("deepseek", 400, said("This response_format type is unavailable now"), Unsupported),
        (
            "deepseek",
            400,
            said("The reasoning_content in the thinking mode must be passed back to the API."),
            Unsupported,
        ),
        ("deepseek", 402, said("Insufficient Balance"), QuotaExhausted),
        ("deepseek", 503, said("busy"), Overloaded),
        (
            "gemini",
            400,
            [{"error": {"code": 400, "message": UNKNOWN, "status": "INVALID_ARGUMENT"}}],
            Unsupported,
        ),
        ("groq", 400, said("'messages.2' : property 'reasoning_content' is unsupported"), Unsupported),
        ("groq", 400, said("Failed to call a function.", code="tool_use_failed"), BadResponse),
        ("mistral", 422, {"object": "error", "message": {"detail": EXTRA}, "code": None}, Unsupported),
        ("mistral", 422, {"detail": EXTRA}, Unsupported),
        ("moonshot", 400, said(MISSING), Unsupported),
        ("openrouter", 402, said("Insufficient credits", code=402), QuotaExhausted),
        (
            "openrouter",
            403,
            said("Your chosen model requires moderation and your input was flagged"),
            ContentFiltered,
        ),
        ("perplexity", 400, said("Tool calling is not supported for this model", code=400), Unsupported),
        ("xai", 400, said("Model grok-4.5 does not support parameter presencePenalty."), Unsupported),
        ("xai", 400, {"code": "invalid", "error": "Argument not supported on this model: stop"}, Unsupported),
        (
            "xai",
            400,
            {"code": "invalid", "error": "Incorrect API key provided: na***ys."},
            AuthenticationFailed,
        ),
    ],
)
async def test_an_error_means_what_the_provider_means_by_it(
    preset: str, status: int, body: object, kind: type[CallError]
) -> None:
    provider = provider_of(
        preset, transport := ReplayTransport(CannedReply(status, json.dumps(body).encode()))
    )

    with pytest.raises(CallError) as caught:
        await provider.chat(CHAT, call_for(provider, transport))

    assert type(caught.value) is kind


# ── what was recorded ────────────────────────────────────────────────────────────────────────────────


def preset_of(exchange: Exchange) -> str | None:
    host = exchange.provider if exchange.provider == "llamacpp" else str(exchange.data["upstream"])
    return next(
        (name for name, place in PLACES.items() if any(fnmatch(host, each) for each in place.hosts)), None
    )


def of(*endpoints: str, where: Callable[[Exchange], bool] = lambda _: True) -> Sequence[Any]:
    def fits(each: Exchange) -> bool:
        there = each.id.startswith("recorded") and preset_of(each) is not None
        return there and openai_endpoint(each) in endpoints and where(each)

    return exchanges("openai-compatible", "llamacpp", where=fits)


def accepted(exchange: Exchange) -> bool:
    """A request that this provider has taken, and that we can write: files by URL are OpenRouter's alone."""
    if exchange.status >= 400 or not isinstance(exchange.request, dict):
        return False
    return not re.search(r'"file_data": ?"https?:', json.dumps(exchange.request))


@pytest.mark.parametrize("exchange", of("chat"))
async def test_what_a_provider_was_recorded_to_answer_is_understood(exchange: Exchange) -> None:
    wanted, preset = openai_expected(exchange), preset_of(exchange)
    assert preset is not None
    provider = provider_of(preset, transport := Recorded(exchange, seed=3), stream_underneath=False)
    call = call_for(provider, transport)

    try:
        if exchange.kind == "sse":
            whole: Any = assemble(await events_of(await provider.stream(CHAT, call)))
        else:
            whole = await provider.chat(CHAT, call)
    except CallError as error:
        assert type(error) is _MEANT.get((preset, error.upstream_code), wanted.error)
        return
    assert wanted.error is None
    assert (whole.text, whole.reasoning or "") == (wanted.text, wanted.reasoning)
    assert [(each.name, each.arguments) for each in whole.tool_calls] == wanted.calls
    assert whole.native_finish_reason == wanted.finish
    usage = whole.usage
    if wanted.usage is not None:
        assert (usage.prompt, usage.completion) == wanted.usage[:2]


_MEANT: Mapping[tuple[str, str], type[CallError]] = {
    ("groq", "tool_use_failed"): BadResponse,
    ("groq", "model_not_found"): ModelNotFound,
    ("openrouter", "429"): RateLimited,
}


@pytest.mark.parametrize("exchange", of("chat", where=accepted))
async def test_what_was_recorded_to_be_sent_is_written_as_it_was(exchange: Exchange) -> None:
    """Only what the provider was seen to take stands in the body, but for the wish for token counts."""
    preset, sent = preset_of(exchange), exchange.request
    assert preset is not None
    understood = openai_chat.read(json.dumps(sent).encode(), request_id="r", wall=0.0)
    request = understood.request
    assert isinstance(request, ChatRequest)

    body = written(preset, request, stream=bool(sent.get("stream")))

    asked_for_counts = {"stream_options"} if body.get("stream") else set()
    renamed = {"max_tokens", "max_completion_tokens"} if "max_tokens" in {*sent} | {*body} else set()
    assert set(body) - asked_for_counts - renamed <= set(sent)
    roles = ["system" if each["role"] == "developer" else each["role"] for each in sent["messages"]]
    # What a tool shows stands in a message of the user's behind its results.
    assert [each["role"] for each in body["messages"]][: len(roles)] == roles
    for name in ("temperature", "top_p", "seed", "stop", "tool_choice"):
        assert name not in sent or body.get(name) in (sent[name], None)


def test_every_provider_with_recorded_traffic_is_replayed() -> None:
    found = {preset_of(each.values[0]) for each in of("chat") if each.values[0] is not None}
    if not found:
        pytest.skip("the recorded exchanges are not beside the project")

    assert found == {name for name, place in PLACES.items() if place.hosts}


@pytest.mark.parametrize(
    "exchange", of("completions", "embeddings", "models", where=lambda e: e.status < 400)
)
async def test_whatever_else_was_recorded_is_understood(exchange: Exchange) -> None:
    preset, endpoint = preset_of(exchange), openai_endpoint(exchange)
    assert preset is not None
    provider = provider_of(preset, transport := Recorded(exchange, seed=2))
    call = call_for(provider, transport)

    if endpoint == "models":
        assert [each.id for each in await provider.models()] == [each["id"] for each in exchange.json["data"]]
    elif endpoint == "completions":
        reply = await provider.generate(GenerateRequest("public", "once"), call)
        assert (reply.text, reply.native_finish_reason) == (openai_expected(exchange).text, "length")
    else:
        texts = ["text"] * len(exchange.json["data"])
        assert len((await provider.embed(EmbedRequest("public", texts), call)).vectors) == len(texts)
