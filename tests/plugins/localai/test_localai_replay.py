"""Every made-up LocalAI exchange, and llama.cpp's recorded ones, through the LocalAI provider."""

from __future__ import annotations

import pytest
from replay import (
    Exchange,
    ReplayTransport,
    assemble,
    call_for,
    client_for,
    constructed,
    context_for,
    events_of,
    exchange,
    exchanges,
    openai_endpoint,
    openai_expected,
)

from pointsman.errors import BadResponse, CallError, Overloaded, QuotaExhausted, Unavailable
from pointsman.provider import Call
from pointsman.types import ChatRequest, EmbedRequest, Message, Usage
from pointsman_localai import LocalAIProvider, LocalAISettings

HELLO = ChatRequest("public", (Message.user("hello"),))
SEEDS = (None, 1, 3)
MANAGEMENT = {
    "GET /readyz", "GET /system", "POST /models/apply", "POST /v1/tokenize", "GET /models/jobs",
}  # fmt: skip
LEFT_OUT = {
    "constructed/localai/003-404-path": "one model cannot be asked for at LocalAI, and we never do",
    "constructed/localai/022-completions-stream-error-as-text": "plain completions are never streamed",
}


def provider_of(transport: ReplayTransport) -> LocalAIProvider:
    return LocalAIProvider(context_for(transport, settings=LocalAISettings()))


def call_of(transport: ReplayTransport) -> Call:
    return call_for(client_for(transport, "http://127.0.0.1:8080"), "qwen3-4b")


def of(id: str) -> Exchange:
    return exchange(f"constructed/localai/{id}")


def served(id: str) -> LocalAIProvider:
    return provider_of(ReplayTransport(of(id)))


@pytest.mark.parametrize(
    "exchange",
    exchanges("localai", "llamacpp", where=lambda e: openai_endpoint(e) == "chat" and e.kind != "sse"),
)
async def test_a_chat_answer_says_what_the_exchange_says(exchange: Exchange) -> None:
    wanted = openai_expected(exchange)
    transport = ReplayTransport(exchange, seed=2)

    if wanted.error is not None:
        with pytest.raises(CallError) as caught:
            await provider_of(transport).chat(HELLO, call_of(transport))
        assert type(caught.value) is wanted.error
        assert caught.value.status == exchange.status
        hint = exchange.headers.get("retry-after")
        assert caught.value.retry_after == (float(hint) if hint else None)
        assert caught.value.upstream_request_id == exchange.headers.get("x-correlation-id", "")
        return
    reply = await provider_of(transport).chat(HELLO, call_of(transport))
    assert (reply.text, reply.reasoning or "") == (wanted.text, wanted.reasoning)
    assert [(call.name, call.arguments) for call in reply.tool_calls] == wanted.calls
    assert (reply.native_finish_reason, reply.id) == (wanted.finish, wanted.id)
    assert (reply.usage.prompt, reply.usage.completion) == (wanted.usage or (None, None))[:2]


@pytest.mark.parametrize(
    "exchange",
    exchanges("localai", "llamacpp", where=lambda e: openai_endpoint(e) == "chat" and e.kind == "sse"),
)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_streamed_answer_says_what_the_exchange_says(exchange: Exchange, seed: int | None) -> None:
    wanted = openai_expected(exchange)
    transport = ReplayTransport(exchange, seed=seed)

    source = await provider_of(transport).stream(HELLO, call_of(transport))
    if wanted.error is not None:
        with pytest.raises(CallError) as caught:
            await events_of(source)
        assert type(caught.value) is wanted.error
        return
    whole = assemble(await events_of(source))
    assert (whole.text, whole.reasoning) == (wanted.text, wanted.reasoning)
    assert [(call.name, call.arguments) for call in whole.tool_calls] == wanted.calls
    assert len({call.id for call in whole.tool_calls}) == len(wanted.calls)
    assert whole.native_finish_reason == wanted.finish


async def test_calls_that_share_an_id_get_ids_of_their_own() -> None:
    transport = ReplayTransport(of("020-stream-tools-shared-id"))
    source = await provider_of(transport).stream(HELLO, call_of(transport))

    calls = assemble(await events_of(source)).tool_calls

    shared = "3f2b6c1e-7d55-4c0e-9d0a-1c2d3e4f5a6b"
    assert [call.id for call in calls] == [shared, f"{shared}-1"]


async def test_an_embedding_without_usage_has_unknown_usage() -> None:
    transport = ReplayTransport(of("023-embeddings-no-usage"))
    data = of("023-embeddings-no-usage").json["data"]

    reply = await provider_of(transport).embed(EmbedRequest("public", ["x"] * len(data)), call_of(transport))

    assert [list(vector) for vector in reply.vectors] == [each["embedding"] for each in data]
    assert reply.usage == Usage()


async def test_a_quota_of_hours_is_exhausted_and_says_when_it_ends() -> None:
    transport = ReplayTransport(of("011-429-quota"))
    with pytest.raises(QuotaExhausted) as caught:
        await provider_of(transport).chat(HELLO, call_of(transport))
    assert caught.value.retry_after == 3600


async def test_models_come_with_nothing_but_names() -> None:
    found = await served("015-models").models()
    assert [each.id for each in found] == [each["id"] for each in of("015-models").json["data"]]
    assert {each.created for each in found} == {None}


async def test_a_server_that_starts_is_overloaded_not_broken() -> None:
    provider = served("013-readyz-starting")
    with pytest.raises(Overloaded, match="startup preload in progress"):
        await provider.probe()
    assert await provider.ready() is False


async def test_a_server_that_is_ready_says_so() -> None:
    provider = served("014-readyz-ready")
    await provider.probe()
    assert await provider.ready() is True


async def test_what_is_loaded_is_listed() -> None:
    (loaded,) = await served("016-system").loaded()
    assert (loaded.id, loaded.backend) == ("qwen3-4b", "llama-cpp")


async def test_an_installation_is_begun_and_named_by_its_uuid() -> None:
    assert await served("024-models-apply").apply("qwen3-4b") == of("024-models-apply").json["uuid"]


async def test_a_finished_job_is_told_once() -> None:
    (state,) = [each async for each in served("026-job-done").job("3f2b")]
    assert (state.done, state.progress, state.error) == (True, 100.0, "")


async def test_a_failed_job_is_told_and_raises() -> None:
    states = served("027-job-failed").job("3f2b")

    assert (await anext(states)).done
    with pytest.raises(BadResponse, match="no model found"):
        await anext(states)


async def test_an_unknown_job_raises() -> None:
    with pytest.raises(Unavailable, match="could not find any status"):
        [each async for each in served("028-500-unknown-job").job("0")]


async def test_tokens_are_counted() -> None:
    assert await served("029-tokenize").tokenize("qwen3-4b", "Hello world") == [9707, 1879]


def test_no_made_up_exchange_is_left_out_silently() -> None:
    tested = 0
    for each in constructed("localai"):
        path = "/models/jobs" if each.path.startswith("/models/jobs") else each.path
        known = (
            openai_endpoint(each) in ("chat", "embeddings", "models") or f"{each.method} {path}" in MANAGEMENT
        )
        assert known != (each.id in LEFT_OUT), each.id
        tested += known
    print(f"\ncovered: {tested}\nleft out: {LEFT_OUT}")
    assert tested == 27
