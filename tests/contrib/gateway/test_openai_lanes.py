"""OpenAI's surface before upstreams of its own wire and of others: relayed, translated, refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from gateways import MODEL, gateway_for

from pointsman.plugin import RequestEnded
from pointsman_simulator import Reply, Simulator, Upstream

ASKED: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Hi"}],
    "service_tier": "flex",
    "safety_identifier": "abc",
}
OTHERS = ["claude", "ollama"]


async def post(
    *upstreams: Upstream, path: str = "/v1/chat/completions", body: dict[str, Any] = ASKED, **members: Any
) -> httpx.Response:
    async with gateway_for(*upstreams, retry="none") as served, httpx.AsyncClient() as client:
        return await client.post(f"{served.url}{path}", json={**body, **members})


@asynccontextmanager
async def answering(body: dict[str, Any]) -> AsyncIterator[str]:
    """The address of an upstream that always answers `body`."""
    content = json.dumps(body).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(content) + content)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def test_the_same_wire_gets_the_body_as_it_was_written_but_for_the_model(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello"))

    answer = await post(upstream, n=2)

    (seen,) = upstream.requests
    assert seen.body == {**ASKED, "n": 2, "model": next(iter(upstream.site.models))}
    said = answer.json()
    assert [each["message"]["content"] for each in said["choices"]] == ["Hello", "Hello"]
    assert (said["model"], said["service_tier"]) == (MODEL, "default")
    assert "pointsman" not in said
    assert "x-pointsman-ignored" not in answer.headers


async def test_of_a_stream_that_is_relayed_nothing_is_called_ignored(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello"))

    answer = await post(upstream, stream=True)

    assert upstream.requests[0].body["service_tier"] == "flex"
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "x-pointsman-ignored" not in answer.headers


async def test_a_guard_of_answers_lets_nothing_out_that_it_did_not_see() -> None:
    said = [{"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for n, text in enumerate(("Write to me", "Write to anna@example.com"))]  # fmt: skip
    async with answering({"id": "c", "model": "m", "choices": said}) as url:
        providers = {"o": {"type": "openai", "base_url": url, "api_key": "none"}}
        models = {MODEL: {"deployments": ["o/m"]}}
        async with gateway_for(providers=providers, models=models, guards=["redact"]) as served:
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{served.url}/v1/chat/completions", json=ASKED)

    assert answer.json()["choices"][0]["message"]["content"] == "Write to me"
    assert "anna@" not in answer.text


@pytest.mark.parametrize("stream", [False, True])
async def test_several_answers_are_refused_by_name_where_a_guard_would_see_one(
    simulator: Simulator, stream: bool
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello"))

    async with gateway_for(upstream, guards=["redact"]) as served, httpx.AsyncClient() as client:
        url = f"{served.url}/v1/chat/completions"
        refused = await client.post(url, json={**ASKED, "n": 2, "stream": stream})
        taken = await client.post(url, json={**ASKED, "n": 1, "stream": stream})

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "unsupported_parameter")
    assert "`n`: the guard 'redact'" in error["message"]
    assert (taken.status_code, len(upstream.requests)) == (200, 1)


@pytest.mark.parametrize("unseen", ["allow", "refuse"])
async def test_what_a_guard_does_not_see_goes_on_unless_it_is_told_to_refuse_that(
    simulator: Simulator, unseen: str
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello"))
    guards = [{"type": "redact", "unseen": unseen}]

    async with gateway_for(upstream, guards=guards) as served, httpx.AsyncClient() as client:
        url = f"{served.url}/v1/chat/completions"
        answer = await client.post(
            url, json={**ASKED, "prediction": {"content": "Write to anna@example.com"}}
        )
        plain = await client.post(url, json={"model": MODEL, "messages": ASKED["messages"]})

    assert plain.status_code == 200
    if unseen == "allow":
        assert "anna@" in str(upstream.requests[0].body)
        return
    assert answer.status_code == 400
    for name in ("service_tier", "safety_identifier", "prediction"):
        assert name in answer.json()["error"]["message"]
    assert len(upstream.requests) == 1


async def test_a_guard_of_requests_alone_leaves_answers_as_they_were_written(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Hello"))
    guards = [{"type": "redact", "answers": False}]

    async with gateway_for(upstream, guards=guards) as served, httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/v1/chat/completions", json={**ASKED, "n": 2})

    assert len(answer.json()["choices"]) == 2


@pytest.mark.parametrize("wire", OTHERS)
async def test_another_wire_gets_what_it_can_take_and_the_rest_is_named(
    simulator: Simulator, wire: str
) -> None:
    upstream = await simulator.add(wire, default=Reply(text="Hello"))

    answer = await post(upstream)

    said = answer.json()
    assert said["choices"][0]["message"]["content"] == "Hello"
    assert said["pointsman"]["deployment"] == answer.headers["x-pointsman-deployment"]
    assert answer.headers["x-pointsman-ignored"] == "service_tier,safety_identifier"


@pytest.mark.parametrize("wire", OTHERS)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_would_make_another_answer_is_refused_by_name(
    simulator: Simulator, wire: str, stream: bool
) -> None:
    upstream = await simulator.add(wire)

    answer = await post(upstream, n=2, stream=stream)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "unsupported_parameter")
    assert "`n`" in error["message"]
    assert not upstream.requests


async def test_what_only_one_wire_can_say_goes_to_the_deployment_that_speaks_it(simulator: Simulator) -> None:
    claude, openai = await simulator.add("claude"), await simulator.add("openai")

    answers = [await post(claude, openai, n=2) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert (len(claude.requests), len(openai.requests)) == (0, 4)


async def test_one_call_of_a_tool_at_most_is_for_those_that_keep_to_it(simulator: Simulator) -> None:
    ollama, openai = await simulator.add("ollama"), await simulator.add("openai")
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    asked: dict[str, Any] = {"tools": tools, "parallel_tool_calls": False}

    answers = [await post(ollama, openai, **asked) for _ in range(2)]
    refused = await post(ollama, **asked)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert "parallel_tool_calls" in refused.json()["error"]["message"]
    assert not ollama.requests


async def test_a_fault_of_the_callers_is_told_in_the_words_of_its_upstream(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")

    answer = await post(upstream, stop=list("abcde"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "array_above_max_length")
    assert "maximum length 4" in answer.json()["error"]["message"]


async def test_a_stream_of_the_same_wire_comes_as_it_was_but_for_the_model(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="one two", chunks=2))

    answer = await post(upstream, stream=True)

    assert answer.text.endswith("\n\ndata: [DONE]\n\n")
    assert {each["model"] for each in chunks(answer)} == {MODEL}
    assert {each["service_tier"] for each in chunks(answer)} == {"default"}, "it was written anew"


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_obfuscation": False}}])
async def test_the_tokens_of_a_stream_are_known_also_where_the_caller_did_not_ask_for_them(
    simulator: Simulator, options: dict[str, Any]
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="one two"))
    ended: list[Any] = []

    async with gateway_for(upstream) as served, httpx.AsyncClient() as client:
        served.router.listen(ended.append, kinds=[RequestEnded])
        answer = await client.post(
            f"{served.url}/v1/chat/completions", json={**ASKED, "stream": True, **options}
        )

    asked = upstream.requests[0].body["stream_options"]
    assert asked == {**options.get("stream_options", {}), "include_usage": True}
    assert "usage" not in answer.text
    assert all(chunk["choices"] for chunk in chunks(answer))
    assert answer.text.endswith("data: [DONE]\n\n")
    assert ended[0].usage.completion == 2


async def test_who_asks_for_the_tokens_of_a_stream_gets_them(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="one two"))

    answer = await post(upstream, stream=True, stream_options={"include_usage": True})

    *first, last = chunks(answer)
    assert [chunk["usage"] for chunk in first] == [None] * len(first)
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 2)


async def test_an_upstream_that_refuses_it_is_not_asked_for_tokens(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    provider = {"type": "openai", "base_url": upstream.base_url, "include_usage": False}

    async with gateway_for(upstream, providers={upstream.name: provider}) as served:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{served.url}/v1/chat/completions", json={**ASKED, "stream": True})

    assert answer.status_code == 200
    assert "stream_options" not in upstream.requests[0].body


def chunks(answer: httpx.Response) -> list[Any]:
    *frames, _ = answer.text.removesuffix("\n\n").split("\n\n")
    return [json.loads(each.removeprefix("data: ")) for each in frames]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": MODEL, "input": [[1, 2], [3]]}),
        ("/v1/completions", {"model": MODEL, "prompt": ["one", "two"]}),
    ],
)
async def test_tokens_and_several_prompts_go_to_their_own_wire_alone(
    simulator: Simulator, path: str, body: dict[str, Any]
) -> None:
    openai, ollama = await simulator.add("openai"), await simulator.add("ollama")

    taken, refused = await post(openai, path=path, body=body), await post(ollama, path=path, body=body)

    assert taken.status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_parameter")
