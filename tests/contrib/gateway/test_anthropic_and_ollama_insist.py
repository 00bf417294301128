"""What Anthropic's and Ollama's SDKs insist on, each a failure of one of them that really happened."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from gateways import MODEL, gateway_for

from pointsman_gateway.surfaces.anthropic import FACTORY as ANTHROPIC
from pointsman_gateway.surfaces.ollama import FACTORY as OLLAMA
from pointsman_simulator import Fault, Reply, Simulator

ASKED: dict[str, Any] = {"model": MODEL, "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WIRES = ["openai", "claude", "ollama", "localai"]
CALLS = (("f", {"city": "Rome"}), ("f", {"city": "Bern"}))


async def asked(
    simulator: Simulator, wire: str, path: str, body: Any, *, reply: Reply | None = None
) -> httpx.Response:
    """The answer of a gateway in front of one upstream, which was asked once."""
    upstream = await simulator.add(wire, default=reply or Reply())
    async with gateway_for(upstream, surfaces=[ANTHROPIC, OLLAMA], retry="none") as served:
        async with httpx.AsyncClient() as client:
            return await client.post(f"{served.url}{path}", json=body)


async def events(simulator: Simulator, wire: str, reply: Reply, **members: Any) -> list[dict[str, Any]]:
    """The events of a stream of Anthropic's, each of which has its name and its end."""
    body = {**ASKED, "stream": True, **members}
    answer = await asked(simulator, wire, "/v1/messages", body, reply=reply)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text.endswith("\n\n"), "the last event would be dropped"
    found = []
    for frame in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}", "data without the name of its event is passed over"
    return found


async def lines(simulator: Simulator, wire: str, reply: Reply, **members: Any) -> list[dict[str, Any]]:
    """The lines of a stream of Ollama's, none of them empty."""
    answer = await asked(simulator, wire, "/api/chat", {**ASKED, **members}, reply=reply)
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.removesuffix("\n").split("\n")]


@pytest.mark.parametrize("wire", WIRES)
async def test_blocks_are_numbered_without_a_gap_and_begin_empty(simulator: Simulator, wire: str) -> None:
    tools = [{"name": "f", "input_schema": SCHEMA}]

    found = await events(simulator, wire, Reply(text="one two", tool_calls=CALLS), tools=tools)

    starts = [each for each in found if each["type"] == "content_block_start"]
    stops = [each["index"] for each in found if each["type"] == "content_block_stop"]
    blocks = [each["content_block"] for each in starts]
    assert [each["index"] for each in starts] == stops == [0, 1, 2]
    assert blocks[0]["text"] == ""
    assert [(each["name"], each["input"]) for each in blocks[1:]] == [("f", {}), ("f", {})]
    assert blocks[1]["id"] != blocks[2]["id"]
    assert found[0]["message"]["content"] == []


@pytest.mark.parametrize("wire", WIRES)
async def test_the_end_of_a_message_has_its_counts_and_a_reason(simulator: Simulator, wire: str) -> None:
    *_, delta, stop = await events(simulator, wire, Reply(text="one two"))

    assert stop == {"type": "message_stop"}
    assert (delta["delta"]["stop_reason"], delta["usage"]["output_tokens"]) == ("end_turn", 2)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", [Fault.truncate_after(1), Fault.reset_after(1)], ids=["truncated", "reset"])
async def test_a_stream_that_breaks_never_ends_clean(simulator: Simulator, wire: str, fault: Fault) -> None:
    reply = Reply(text="one two three", chunks=3, fault=fault)

    *_, event = await events(simulator, wire, reply)
    *_, line = await lines(simulator, wire, reply)

    assert event["type"] == "error"
    assert event["error"]["type"] == "api_error"
    assert list(line) == ["error"]
    assert isinstance(line["error"], str)


@pytest.mark.parametrize("wire", WIRES)
async def test_arguments_are_an_object_where_ollama_has_one(simulator: Simulator, wire: str) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]

    found = await lines(simulator, wire, Reply(tool_calls=CALLS), tools=tools)

    calls = [call["function"] for line in found for call in line["message"].get("tool_calls", ())]
    assert [call["arguments"] for call in calls] == [{"city": "Rome"}, {"city": "Bern"}]
    assert found[-1]["done"] is True


async def test_a_list_without_models_is_a_list(simulator: Simulator) -> None:
    upstream = await simulator.add("claude")
    async with gateway_for(upstream, surfaces=[OLLAMA], models={}) as served, httpx.AsyncClient() as client:
        found = [(await client.get(f"{served.url}{path}")).json() for path in ("/api/tags", "/api/ps")]

    assert found == [{"models": []}, {"models": []}]


@pytest.mark.parametrize(("path", "status"), [("/v1/messages", 529), ("/api/chat", 503)])
async def test_an_error_before_the_answer_has_a_status(simulator: Simulator, path: str, status: int) -> None:
    reply = Reply(fault=Fault.status(529, retry_after=2))

    answer = await asked(simulator, "claude", path, {**ASKED, "stream": True}, reply=reply)

    assert (answer.status_code, answer.headers["retry-after"]) == (status, "2")
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize("path", ["/v1/messages", "/api/chat"])
async def test_nobody_is_told_to_come_back_in_hours(simulator: Simulator, path: str) -> None:
    reply = Reply(fault=Fault.status(429, retry_after=7200))

    answer = await asked(simulator, "openai", path, ASKED, reply=reply)

    assert answer.status_code == 429
    assert "retry-after" not in answer.headers
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/v1/v1/messages", "/anthropic/v1/messages/", "/v1/messages?beta=true"])
async def test_addresses_that_clients_make_up_lead_to_the_same(simulator: Simulator, path: str) -> None:
    answer = await asked(simulator, "openai", path, ASKED)

    assert answer.status_code == 200
    assert answer.json()["type"] == "message"
