"""Ollama's own API at a gateway, by its official client, before upstreams of every wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import ollama
import pytest
from gateways import MODEL, Served, gateway_for

from pointsman_gateway.surfaces.ollama import FACTORY
from pointsman_simulator import Fault, Reply, Simulator

MESSAGES = [{"role": "user", "content": "Why?"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "forecast",
        "description": "the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@asynccontextmanager
async def asking(
    simulator: Simulator, wire: str, reply: Reply, *more: str
) -> AsyncIterator[tuple[ollama.AsyncClient, Served, Any]]:
    """The client of a gateway before one upstream, which answers with `reply`, and `more` of other wires."""
    upstreams = [await simulator.add(each, default=reply) for each in (wire, *more)]
    async with gateway_for(*upstreams, surfaces=[FACTORY]) as served:
        async with ollama.AsyncClient(host=served.url, headers={"x-pointsman-csrf": "1"}) as client:
            yield client, served, upstreams[0]


async def test_a_chat_is_answered_whole_and_in_pieces(simulator: Simulator) -> None:
    async with asking(simulator, "localai", Reply(text="one two three", chunks=3)) as (client, _, _):
        whole = await client.chat(MODEL, MESSAGES)
        pieces = [each async for each in await client.chat(f"{MODEL}:latest", MESSAGES, stream=True)]

    assert (whole.message.content, whole.done_reason, whole.eval_count) == ("one two three", "stop", 3)
    assert whole.total_duration
    assert "".join(each.message.content or "" for each in pieces) == "one two three"
    assert [each.done for each in pieces] == [False, False, False, True]


@pytest.mark.parametrize("wire", ["openai", "ollama"])
async def test_texts_become_vectors(simulator: Simulator, wire: str) -> None:
    async with asking(simulator, wire, Reply(dim=3)) as (client, _, _):
        several = await client.embed(MODEL, ["a", "b"])
        one = await client.embeddings(MODEL, "a")
        none = await client.embed(MODEL, [])

    assert [len(each) for each in several.embeddings] == [3, 3]
    assert list(one.embedding) == pytest.approx(list(several.embeddings[0]))
    assert none.embeddings == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_goes_to_an_ollama_as_it_was_written_and_to_others_as_a_turn(
    simulator: Simulator, stream: bool
) -> None:
    for wire in ("ollama", "openai"):
        async with asking(simulator, wire, reply=Reply(text="one two")) as (_, served, upstream):
            asked = {"model": MODEL, "prompt": "Why?", "keep_alive": "5m", "novelty": 1, "stream": stream}
            async with httpx.AsyncClient() as http:
                answer = await http.post(f"{served.url}/api/generate", json=asked)

        lines = [json.loads(each) for each in answer.text.splitlines()]
        assert "".join(each["response"] for each in lines) == "one two"
        assert {each["model"] for each in lines} == {MODEL}
        [sent] = [each for each in upstream.requests if each.method == "POST"]
        if wire == "ollama":
            assert sent.path == "/api/generate"
            assert {**sent.body, "model": MODEL} == asked
            assert "x-pointsman-ignored" not in answer.headers
        else:
            assert answer.headers["x-pointsman-ignored"] == "keep_alive,novelty"


async def test_models_are_shown_from_memory(simulator: Simulator) -> None:
    async with asking(simulator, "claude", Reply()) as (client, served, upstream):
        [listed] = (await client.list()).models
        [loaded] = (await client.ps()).models
        shown = await client.show(MODEL)
        with pytest.raises(ollama.ResponseError) as missing:
            await client.show("unheard of")
        async with httpx.AsyncClient(base_url=served.url) as plain:
            alive = [await plain.get("/"), await plain.head("/"), await plain.get("/api/version")]

    assert (listed.model, loaded.model) == (MODEL, MODEL)
    assert loaded.expires_at is not None
    assert "completion" in (shown.capabilities or ())
    assert shown.modelinfo is not None
    assert missing.value.status_code == 404
    assert "not found" in missing.value.error
    assert [each.text for each in alive[:2]] == ["Ollama is running", ""]
    assert tuple(map(int, alive[2].json()["version"].split("."))) >= (0, 6, 4)
    assert all(each.method == "GET" for each in upstream.requests)


async def test_whoever_asks_for_nothing_is_told_that_the_model_is_loaded(simulator: Simulator) -> None:
    async with asking(simulator, "claude", Reply()) as (client, _, upstream):
        loaded = await client.chat(MODEL, [])
        leaves = await client.generate(MODEL, keep_alive=0)

    assert (loaded.done_reason, leaves.done_reason) == ("load", "unload")
    assert all(each.method == "GET" for each in upstream.requests)


@pytest.mark.parametrize("think", [True, False])
async def test_how_much_to_think_is_not_said_to_a_model_that_cannot(
    simulator: Simulator, think: bool
) -> None:
    async with asking(simulator, "openai", Reply()) as (client, _, upstream):
        await client.chat(MODEL, MESSAGES, think=think)

    [sent] = [each.body for each in upstream.requests if each.method == "POST"]
    assert "reasoning_effort" not in sent


async def test_errors_are_texts_with_a_status(simulator: Simulator) -> None:
    async with asking(simulator, "openai", Reply(fault=Fault.status(503))) as (client, _, _):
        with pytest.raises(ollama.ResponseError) as failed:
            await client.chat(MODEL, MESSAGES)
        with pytest.raises(ollama.ResponseError) as unknown:
            await client.chat("unheard of", MESSAGES)

    assert failed.value.status_code in (502, 503)
    assert isinstance(failed.value.error, str)
    assert unknown.value.status_code == 404
    assert "not found" in unknown.value.error


async def test_a_stream_that_breaks_ends_with_a_line_that_says_so(simulator: Simulator) -> None:
    reply = Reply(text="one two three", fault=Fault.truncate_after(1))

    async with asking(simulator, "openai", reply) as (client, _, _):
        with pytest.raises(ollama.ResponseError) as broken:
            async for _ in await client.chat(MODEL, MESSAGES, stream=True):
                pass

    assert broken.value.status_code == -1


async def test_operators_pull_make_copy_and_delete(simulator: Simulator) -> None:
    async with asking(simulator, "ollama", Reply(), "claude") as (client, _, upstream):
        steps = [each.status async for each in await client.pull("qwen3", stream=True)]
        whole = await client.pull("qwen3:4b")
        made = await client.create("mine", from_="qwen3", system="be brief")
        await client.copy("qwen3", "twin")
        await client.delete("qwen3:4b")
        with pytest.raises(ollama.ResponseError) as failed:
            async for _ in await client.pull("missing", stream=True):
                pass

    assert (steps[0], steps[-1]) == ("pulling manifest", "success")
    assert (whole.status, made.status) == ("success", "success")
    assert {"qwen3", "mine", "twin"} < set(upstream.site.models)
    assert "qwen3:4b" not in upstream.site.models
    assert "file does not exist" in failed.value.error


async def test_of_several_upstreams_that_have_models_one_must_be_named(simulator: Simulator) -> None:
    async with asking(simulator, "ollama", Reply(), "ollama") as (client, _, upstream):
        with pytest.raises(ollama.ResponseError, match="ollama1, ollama2"):
            await client.pull("qwen3")
        await client.pull("ollama1/qwen3")
        await client.pull(MODEL)

    assert "qwen3" in upstream.site.models


async def test_where_no_upstream_can_it_is_said(simulator: Simulator) -> None:
    async with asking(simulator, "claude", Reply()) as (client, _, _):
        with pytest.raises(ollama.ResponseError, match="none of the providers") as refused:
            await client.pull("qwen3")

    assert refused.value.status_code == 400
