"""What OpenAI's SDKs insist on, each a failure of one of them that really happened."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from gateways import MODEL, gateway_for

from pointsman_simulator import Fault, Reply, Simulator

ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
WIRES = ["openai", "claude", "ollama", "localai"]


async def frames(simulator: Simulator, wire: str, reply: Reply, **members: Any) -> list[str]:
    """The frames of a stream, whole ones, as they came."""
    upstream = await simulator.add(wire, default=reply)
    async with gateway_for(upstream, retry="none") as served, httpx.AsyncClient() as client:
        asked = {**ASKED, "stream": True, **members}
        answer = await client.post(f"{served.url}/v1/chat/completions", json=asked)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text.endswith("\n\n"), "the last event would be dropped"
    return answer.text.removesuffix("\n\n").split("\n\n")


@pytest.mark.parametrize("wire", WIRES)
async def test_a_stream_is_frames_of_data_up_to_its_marker(simulator: Simulator, wire: str) -> None:
    *some, last = await frames(simulator, wire, Reply(text="one two", chunks=2))

    chunks = [json.loads(each.removeprefix("data: ")) for each in some]
    assert last == "data: [DONE]"
    assert [len(each["choices"]) for each in chunks] == [1] * len(chunks), "counts came that nobody asked for"
    assert len({each["id"] for each in chunks}) == 1
    assert {each["model"] for each in chunks} == {MODEL}


@pytest.mark.parametrize("wire", WIRES)
async def test_no_fragment_of_a_call_repeats_its_id_or_name(simulator: Simulator, wire: str) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    calls = (("f", {"city": "Rome"}), ("f", {"city": "Bern"}))

    some = await frames(simulator, wire, Reply(tool_calls=calls), tools=tools)

    deltas = [json.loads(each.removeprefix("data: "))["choices"][0]["delta"] for each in some[:-1]]
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls", ())]
    arguments = ["", ""]
    for piece in pieces:
        arguments[piece["index"]] += piece["function"]["arguments"]
    assert [json.loads(each) for each in arguments] == [{"city": "Rome"}, {"city": "Bern"}]
    assert len([each for each in pieces if "id" in each]) == 2
    assert len([each for each in pieces if "name" in each["function"]]) == 2


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", [Fault.truncate_after(1), Fault.reset_after(1)], ids=["truncated", "reset"])
async def test_a_stream_that_breaks_never_ends_clean(simulator: Simulator, wire: str, fault: Fault) -> None:
    *_, last = await frames(simulator, wire, Reply(text="one two three", chunks=3, fault=fault))

    error = json.loads(last.removeprefix("data: "))["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert isinstance(error["code"], str)


async def test_the_sdk_raises_where_a_stream_breaks(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="a b c", fault=Fault.truncate_after(1)))

    async with gateway_for(upstream, retry="none") as served:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
            with pytest.raises(openai.APIError) as raised:
                async for _ in await client.chat.completions.create(**ASKED, stream=True):
                    pass

    assert not isinstance(raised.value, openai.APIStatusError)
    assert raised.value.type == "server_error"


async def test_nobody_is_told_to_come_back_in_hours(simulator: Simulator) -> None:
    late = Reply(fault=Fault.status(429, retry_after=7200))
    upstream = await simulator.add("openai", default=late)

    async with gateway_for(upstream, retry="none") as served, httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/v1/chat/completions", json=ASKED)

    assert answer.status_code == 429
    assert "retry-after" not in answer.headers
    assert answer.headers["x-should-retry"] == "false"


async def test_vectors_of_nothing_are_refused(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")

    async with gateway_for(upstream) as served, httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/v1/embeddings", json={"model": MODEL, "input": []})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    assert not upstream.requests


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_answer_has_a_status(
    simulator: Simulator, wire: str, stream: bool
) -> None:
    upstream = await simulator.add(wire, default=Reply(fault=Fault.status(500)))

    async with gateway_for(upstream, retry="none") as served, httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/v1/chat/completions", json={**ASKED, "stream": stream})

    assert answer.status_code >= 500
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert isinstance(answer.json()["error"]["code"], str)
    assert "127.0.0.1" not in answer.text


async def test_what_nobody_knows_is_taken_as_it_comes(simulator: Simulator) -> None:
    upstream = await simulator.add("claude")
    headers = {"OpenAI-Organization": "org", "x-stainless-retry-count": "1", "accept": "text/html"}

    async with gateway_for(upstream) as served, httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(
            f"{served.url}/v1/chat/completions?beta=true", json={**ASKED, "unheard": 1}
        )

    assert answer.status_code == 200
