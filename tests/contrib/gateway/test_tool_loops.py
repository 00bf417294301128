"""While a tool is at work the conversation stays with whose reasoning led there, for as long as that can be had."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from gateways import MODEL, Served, gateway_for

from pointsman_simulator import Fault, Reply, Simulator, Upstream

THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
TOOL: Any = {"name": "look", "input_schema": {"type": "object"}}
ASKED: Any = {"model": MODEL, "max_tokens": 2000, "tools": [TOOL], "thinking": THINKING}
USER: Any = {"role": "user", "content": "Is it raining?"}
THOUGHT = Reply(reasoning="I had better look.", tool_calls=(("look", {}),))


async def two(simulator: Simulator) -> tuple[Upstream, Upstream]:
    """Two accounts, each of which makes signatures that the other cannot read."""
    return (
        await simulator.add("claude", name="east", api_key="key-of-east", default=THOUGHT),
        await simulator.add("claude", name="west", api_key="key-of-west", default=THOUGHT),
    )


async def ask(served: Served, client: httpx.AsyncClient, messages: list[Any], **more: Any) -> httpx.Response:
    return await client.post(f"{served.url}/v1/messages", json={**ASKED, "messages": messages, **more})


def answered(answer: httpx.Response) -> list[Any]:
    """The turns that hand a call of a tool back with its result."""
    content = answer.json()["content"]
    results = [
        {"type": "tool_result", "tool_use_id": each["id"], "content": "Yes."}
        for each in content
        if each["type"] == "tool_use"
    ]
    return [{"role": "assistant", "content": content}, {"role": "user", "content": results}]


def maker(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["x-pointsman-deployment"].partition("/")[0]


async def test_results_of_tools_go_to_whose_reasoning_led_to_them_whatever_the_strategy(
    simulator: Simulator,
) -> None:
    async with gateway_for(*await two(simulator)) as served, httpx.AsyncClient() as client:
        loops = []
        for _ in range(3):
            said: list[Any] = [USER]
            makers = []
            for _ in range(3):
                answer = await ask(served, client, said)
                makers.append(maker(answer))
                said += answered(answer)
            loops.append(makers)

    assert all(len(set(makers)) == 1 for makers in loops)
    assert {makers[0] for makers in loops} == {"east", "west"}, "the first of each is the strategy's"


async def test_what_a_user_says_next_is_for_the_strategy_again(simulator: Simulator) -> None:
    async with gateway_for(*await two(simulator)) as served, httpx.AsyncClient() as client:
        first = await ask(served, client, [USER])
        second = await ask(served, client, [USER, *answered(first), *said("It is."), USER])

    assert maker(first) != maker(second)


def said(text: str) -> list[Any]:
    return [{"role": "assistant", "content": text}]


@pytest.mark.parametrize("stream", [False, True])
async def test_elsewhere_the_loop_goes_on_without_thinking_and_without_a_foreign_signature(
    simulator: Simulator, stream: bool
) -> None:
    clears = [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]
    more = {"context_management": {"edits": clears}, "stream": stream}
    upstreams = await two(simulator)
    async with gateway_for(*upstreams) as served, httpx.AsyncClient() as client:
        first = await ask(served, client, [USER])
        gone = next(each for each in upstreams if each.name == maker(first))
        other = next(each for each in upstreams if each is not gone)
        await gone.stop()
        second = await ask(served, client, [USER, *answered(first)], **more)
        third = await ask(served, client, [USER, *answered(first)])

    assert maker(second) == maker(third) == other.name
    seen = other.requests[0].body
    assert seen["thinking"] == {"type": "disabled"}
    assert seen["context_management"] == {"edits": clears[1:]}
    assert [block["type"] for block in seen["messages"][1]["content"]] == ["tool_use"]
    assert "signature" not in json.dumps([each.body for each in other.requests])


async def test_thinking_that_bears_to_begin_without_a_thought_stays_on_elsewhere(
    simulator: Simulator,
) -> None:
    upstreams = await two(simulator)
    async with gateway_for(*upstreams) as served, httpx.AsyncClient() as client:
        first = await ask(served, client, [USER])
        gone, other = sorted(upstreams, key=lambda each: each.name != maker(first))
        await gone.stop()
        await ask(served, client, [USER, *answered(first)], thinking={"type": "adaptive"})

    assert other.requests[0].body["thinking"] == {"type": "adaptive"}


async def test_the_maker_is_asked_first_where_it_is_the_fallback(simulator: Simulator) -> None:
    east, west = await two(simulator)
    (name,) = west.site.models
    models = {
        MODEL: {"deployments": [f"east/{name}"], "fallback": ["spare"]},
        "spare": {"deployments": [f"west/{name}"]},
    }
    async with gateway_for(east, west, models=models) as served, httpx.AsyncClient() as client:
        east.script(Reply(fault=Fault.status(500)))
        first = await ask(served, client, [USER])
        second = await ask(served, client, [USER, *answered(first)])
        afterwards = await ask(served, client, [USER])

    assert [maker(each) for each in (first, second, afterwards)] == ["west", "west", "east"]
    assert second.headers["x-pointsman-attempts"] == "1"


@pytest.mark.parametrize("surface", ["chat", "responses"])
async def test_so_it_is_for_programs_that_speak_another_wire(simulator: Simulator, surface: str) -> None:
    async with gateway_for(*await two(simulator)) as served, httpx.AsyncClient() as client:
        makers = [await LOOPS[surface](served, client) for _ in range(3)]

    assert [len(set(each)) for each in makers] == [1, 1, 1]


async def chat_loop(served: Served, client: httpx.AsyncClient) -> list[str]:
    asked: Any = {"model": MODEL, "messages": [USER], "reasoning_effort": "high"}
    asked["tools"] = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    url = f"{served.url}/v1/chat/completions"
    first = await client.post(url, json=asked)
    message = first.json()["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Yes."}
    second = await client.post(url, json={**asked, "messages": [USER, message, result]})
    return [maker(first), maker(second)]


async def responses_loop(served: Served, client: httpx.AsyncClient) -> list[str]:
    asked: Any = {"model": MODEL, "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "high"}}
    asked["tools"] = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
    url = f"{served.url}/v1/responses"
    first = await client.post(url, json={**asked, "input": [USER]})
    output = first.json()["output"]
    (call,) = [each["call_id"] for each in output if each["type"] == "function_call"]
    result = {"type": "function_call_output", "call_id": call, "output": "Yes."}
    second = await client.post(url, json={**asked, "input": [USER, *output, result]})
    return [maker(first), maker(second)]


LOOPS = {"chat": chat_loop, "responses": responses_loop}
