"""Every recorded and made-up exchange of the wire, whole and cut anywhere, against a plain reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from replay import (
    RECORDED,
    Assembled,
    Exchange,
    Expected,
    ReplayTransport,
    assemble,
    call_for,
    client_for,
    constructed,
    context_for,
    cut,
    decoded,
    events_of,
    exchanges,
    openai_endpoint,
    openai_expected,
    recorded,
)

from pointsman.errors import CallError, Truncated
from pointsman.http.framing import SseFramer
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    GenerateRequest,
    Message,
    StreamEvent,
    Usage,
)
from pointsman_openai import OpenAIProvider, OpenAISettings
from pointsman_openai.decode import ChatDecoder

PROVIDERS = ("openai", "llamacpp", "openai-compatible", "ollama")
IMPLEMENTED = ("chat", "completions", "embeddings", "models")
SEEDS = (None, 2, 3)
CHAT = ChatRequest("public", (Message.user("hello"),))


def of(endpoint: str, *, streamed: bool = False) -> Sequence[object]:
    return exchanges(
        *PROVIDERS, where=lambda e: openai_endpoint(e) == endpoint and (e.kind == "sse") == streamed
    )


def provider_of(transport: ReplayTransport) -> OpenAIProvider:
    return OpenAIProvider(context_for(transport, settings=OpenAISettings(), base_url="http://upstream/v1"))


@pytest.mark.parametrize("exchange", of("chat"))
async def test_a_chat_answer_says_what_the_recording_says(exchange: Exchange) -> None:
    wanted = openai_expected(exchange)
    for seed in (None, 2):
        transport = ReplayTransport(exchange, seed=seed)
        call = call_for(client_for(transport, "http://upstream/v1"))

        if wanted.error is not None:
            with pytest.raises(CallError) as caught:
                await provider_of(transport).chat(CHAT, call)
            assert_error(caught.value, wanted, exchange)
        else:
            reply = await provider_of(transport).chat(CHAT, call)
            assert_reply(reply, wanted)
            assert reply.raw == exchange.json
            assert reply.upstream_request_id == request_id(exchange)


@pytest.mark.parametrize("exchange", of("chat", streamed=True))
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_streamed_answer_says_what_the_recording_says(exchange: Exchange, seed: int | None) -> None:
    wanted = openai_expected(exchange)
    transport = ReplayTransport(exchange, seed=seed)
    call = call_for(client_for(transport, "http://upstream/v1"))

    source = await provider_of(transport).stream(CHAT, call)
    if wanted.error is not None:
        with pytest.raises(CallError) as caught:
            await events_of(source)
        assert_error(caught.value, wanted, exchange)
    else:
        assert_stream(assemble(await events_of(source)), wanted)
    assert transport.bodies[0].closed


@pytest.mark.parametrize("exchange", exchanges("openai", where=lambda e: e.truncated and e.kind == "sse"))
async def test_an_abrupt_end_is_truncated_too(exchange: Exchange) -> None:
    transport = ReplayTransport(exchange, broken=True)
    call = call_for(client_for(transport, "http://upstream/v1"))

    source = await provider_of(transport).stream(CHAT, call)

    with pytest.raises(Truncated):
        await events_of(source)


@pytest.mark.parametrize("exchange", of("chat", streamed=True))
def test_any_split_of_a_stream_gives_the_same_events(exchange: Exchange) -> None:
    whole = outcome(exchange, None)
    for seed in range(1, 7):
        assert outcome(exchange, seed) == whole


@pytest.mark.parametrize("exchange", of("completions"))
async def test_a_plain_completion_says_what_the_recording_says(exchange: Exchange) -> None:
    wanted = openai_expected(exchange)
    transport = ReplayTransport(exchange, seed=3)
    call = call_for(client_for(transport, "http://upstream/v1"))

    if wanted.error is not None:
        with pytest.raises(CallError) as caught:
            await provider_of(transport).generate(GenerateRequest("public", "once"), call)
        assert_error(caught.value, wanted, exchange)
    else:
        assert_reply(await provider_of(transport).generate(GenerateRequest("public", "once"), call), wanted)


@pytest.mark.parametrize("exchange", of("embeddings"))
async def test_an_embedding_says_what_the_recording_says(exchange: Exchange) -> None:
    transport = ReplayTransport(exchange, seed=3)
    call = call_for(client_for(transport, "http://upstream/v1"))
    provider = provider_of(transport)
    if exchange.status >= 400:
        with pytest.raises(CallError) as caught:
            await provider.embed(EmbedRequest("public", ["one"]), call)
        assert_error(caught.value, openai_expected(exchange), exchange)
        return
    body = exchange.json
    texts = ["text"] * len(body["data"])

    reply = await provider.embed(EmbedRequest("public", texts), call)

    assert len(reply.vectors) == len(texts)
    assert len({len(vector) for vector in reply.vectors}) == 1
    for item in body["data"]:
        vector = reply.vectors[item["index"]]
        if isinstance(item["embedding"], list):
            assert vector == item["embedding"]
        else:  # four bytes are a float, and OpenAI's vectors have length 1
            assert len(vector) == len(item["embedding"]) * 3 // 4 // 4
            assert sum(x * x for x in vector) == pytest.approx(1.0, abs=1e-3)
    assert reply.usage.prompt == body["usage"]["prompt_tokens"]
    assert reply.model == body["model"]


@pytest.mark.parametrize("exchange", of("models"))
async def test_a_list_of_models_says_what_the_recording_says(exchange: Exchange) -> None:
    provider = provider_of(ReplayTransport(exchange))

    found = await provider.models()

    assert [each.id for each in found] == [each["id"] for each in exchange.json["data"]]
    assert {each.provider for each in found} == {"upstream"}
    await provider.aclose()


def test_no_exchange_of_an_implemented_endpoint_is_left_out() -> None:
    if not RECORDED.is_dir():
        pytest.skip("the recorded exchanges are not beside the project")
    every = [each for name in PROVIDERS for each in (*recorded(name), *constructed(name))]
    kinds = Counter(openai_endpoint(each) for each in every)
    tested = Counter[str]()
    for endpoint, streamed in [(each, False) for each in IMPLEMENTED] + [("chat", True)]:
        tested[endpoint] += len(of(endpoint, streamed=streamed))
    left_out = {kind: count for kind, count in kinds.items() if kind.startswith("- ")}
    print("\ncovered:", dict(tested), "\nleft out:", left_out)

    assert {kind: count for kind, count in kinds.items() if kind in IMPLEMENTED} == dict(tested)
    assert sum(tested.values()) + sum(left_out.values()) == len(every)
    assert sum(tested.values()) >= 270


def outcome(exchange: Exchange, seed: int | None) -> tuple[list[StreamEvent], str]:
    """The events of the stream, and the class of the error that ended it."""
    events: list[StreamEvent] = []

    class Keeping(ChatDecoder):
        def decode(self, frame, /):  # type: ignore[no-untyped-def]
            found = super().decode(frame)
            events.extend(found)
            return found

    try:
        decoded(SseFramer(), Keeping(), cut(exchange.body, seed=seed))
    except CallError as error:
        return events, type(error).__name__
    return events, ""


def assert_reply(reply: ChatResponse, wanted: Expected) -> None:
    assert reply.text == wanted.text
    assert (reply.reasoning or "") == wanted.reasoning
    assert (reply.refusal or "") == wanted.refusal
    assert [(call.name, call.arguments) for call in reply.tool_calls] == wanted.calls
    assert [call.index for call in reply.tool_calls] == list(range(len(wanted.calls)))
    assert len({call.id for call in reply.tool_calls}) == len(wanted.calls)
    assert reply.native_finish_reason == wanted.finish
    assert_finish(reply.finish_reason, wanted)
    assert_usage(reply.usage, wanted)
    assert (reply.id, reply.model) == (wanted.id, wanted.model)


def assert_stream(whole: Assembled, wanted: Expected) -> None:
    assert whole.text == wanted.text
    assert whole.reasoning == wanted.reasoning
    assert whole.refusal == wanted.refusal
    assert [(call.name, call.arguments) for call in whole.tool_calls] == wanted.calls
    assert len({call.id for call in whole.tool_calls}) == len(wanted.calls)
    assert whole.native_finish_reason == wanted.finish
    assert whole.finish_reason is not None
    assert_finish(whole.finish_reason, wanted)
    if wanted.usage is None:
        assert whole.usage is None
    else:
        assert whole.usage is not None
        assert_usage(whole.usage, wanted)
    assert (whole.id, whole.model) == (wanted.id, wanted.model)


def assert_finish(reason: str, wanted: Expected) -> None:
    if wanted.finish in ("stop", "length", "tool_calls", "content_filter"):
        assert reason == wanted.finish
    elif wanted.finish == "function_call" or (wanted.finish is None and wanted.calls):
        assert reason == "tool_calls"
    else:
        assert reason == "stop"


def assert_usage(usage: Usage, wanted: Expected) -> None:
    found = (usage.prompt, usage.completion, usage.cached, usage.reasoning)
    assert found == (wanted.usage or (None,) * 4)


def assert_error(error: CallError, wanted: Expected, exchange: Exchange) -> None:
    assert type(error) is wanted.error
    if exchange.status >= 400:
        assert error.status == exchange.status
        assert error.upstream_request_id == request_id(exchange)
    assert "sk-" not in str(error)


def request_id(exchange: Exchange) -> str:
    names = ("x-request-id", "request-id", "x-correlation-id")
    return next((value for name in names if (value := exchange.headers.get(name))), "")
