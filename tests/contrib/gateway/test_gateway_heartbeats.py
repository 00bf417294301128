"""Streams that fall silent tell that they live, each API in its own way, and no client stumbles over it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from gateways import MODEL, gateway_for

from pointsman_simulator import Fault, Reply, Simulator

MESSAGES: Any = [{"role": "user", "content": "Why?"}]
CHAT: dict[str, Any] = {"model": MODEL, "max_tokens": 9, "messages": MESSAGES, "stream": True}
COMMENT = b": ping\n\n"
SURFACES: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "openai": ("/v1/chat/completions", CHAT, COMMENT),
    "responses": ("/v1/responses", {"model": MODEL, "input": "Why?", "stream": True}, COMMENT),
    "anthropic": ("/v1/messages", CHAT, b'event: ping\ndata: {"type": "ping"}\n\n'),
    "ollama": ("/api/chat", CHAT, b'"content":""'),
    "generate": ("/api/generate", {"model": MODEL, "prompt": "Why?"}, b'"response":""'),
}
"""Where it is asked for, how, and what a beat of its heart is, or has in it."""
BEATS = {"heartbeat": "5ms"}


@pytest.mark.parametrize("wire", ["openai", "claude", "ollama"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_silent_stream_tells_that_it_lives_in_the_way_of_its_api(
    simulator: Simulator, surface: str, wire: str
) -> None:
    path, body, beat = SURFACES[surface]
    upstream = await simulator.add(wire, default=Reply(text="one two", fault=Fault.stall_after(1)))

    async with gateway_for(upstream, settings=BEATS) as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            said, silence = await heard(client, path, body, beat)

    end = b"\n" if path.startswith("/api/") else b"\n\n"
    assert silence.endswith(end)
    beats = silence.removesuffix(end).split(end)
    assert len(beats) >= 3
    assert all(beat in each + end for each in beats)
    for each in (said + silence).removesuffix(end).split(end):
        assert is_whole(each.decode(), named=surface == "anthropic")


async def heard(client: httpx.AsyncClient, path: str, body: Any, beat: bytes) -> tuple[bytes, bytes]:
    """The stream up to its only word, and what follows that until three beats were heard."""
    whole = b""
    async with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_raw():
            whole += piece
            said, one, silence = whole.partition(b"one")
            rest, end, silence = silence.partition(b"\n" if path.startswith("/api/") else b"\n\n")
            if silence.count(beat) >= 3:
                return said + one + rest + end, silence
    raise AssertionError("it ended")


def is_whole(frame: str, *, named: bool) -> bool:
    """Whether every client can read one event of a stream, or one line of Ollama's."""
    if frame.startswith("{"):
        return json.loads(frame)["done"] is False
    fields = [each.partition(": ") for each in frame.split("\n")]
    data = [value for name, _, value in fields if name == "data"]
    names = [value for name, _, value in fields if name == "event"]
    return all(isinstance(json.loads(each), dict) for each in data) and (bool(names) or not named)


async def _openai(url: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        return "".join([each.choices[0].delta.content or "" async for each in stream])


async def _responses(url: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
        async with client.responses.stream(model=MODEL, input="Why?") as stream:
            return (await stream.get_final_response()).output_text


async def _anthropic(url: str) -> str:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as client:
        async with client.messages.stream(model=MODEL, max_tokens=9, messages=MESSAGES) as stream:
            return await stream.get_final_text()


async def _ollama(url: str) -> str:
    async with ollama.AsyncClient(host=url) as client:
        stream = await client.chat(model=MODEL, messages=MESSAGES, stream=True)
        return "".join([each.message.content or "" async for each in stream])


@pytest.mark.parametrize("wire", ["openai", "ollama"])
@pytest.mark.parametrize("read", [_openai, _responses, _anthropic, _ollama])
async def test_an_sdk_reads_past_the_beats(
    simulator: Simulator, read: Callable[[str], Awaitable[str]], wire: str
) -> None:
    slow = Reply(text="one two three", tokens_per_second=25)
    upstream = await simulator.add(wire, default=slow)

    async with gateway_for(upstream, settings=BEATS) as served:
        assert (await read(served.url)).strip() == "one two three"
