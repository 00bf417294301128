"""Upstreams that die under many streams: each stream ends whole, or with an error in its wire; none is short."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pointsman import Router
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.settings import GatewaySettings

STREAMS = int(os.environ.get("POINTSMAN_KILL_STREAMS", "300"))
TEXT = " ".join(str(n) for n in range(60))
REPLY = {"text": TEXT, "tokens_per_second": 4.0}
MODELS = {"openai": "gpt-4.1-mini", "claude": "claude-opus-4-8", "ollama": "llama3.2"}
"""By wire: the first is relayed on OpenAI's surface, the others are translated."""


async def started(wire: str) -> tuple[Process, str]:
    """An upstream in a process of its own, and where it listens."""
    options = ("--wire", wire, "--models", MODELS[wire], "--reply", json.dumps(REPLY), "--json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pointsman_simulator", *options, stdout=PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return process, json.loads(await process.stdout.readline())["base_url"]


@asynccontextmanager
async def upstreams() -> AsyncIterator[dict[str, tuple[Process, str]]]:
    found = dict(zip(MODELS, await asyncio.gather(*map(started, MODELS)), strict=True))
    try:
        yield found
    finally:
        for process, _ in found.values():
            if process.returncode is None:
                process.kill()
            await process.communicate()


@asynccontextmanager
async def gateway(addresses: dict[str, str]) -> AsyncIterator[str]:
    """A gateway with a model for each wire, of its name."""
    providers = {
        wire: {"type": wire, "base_url": url, **({} if wire == "ollama" else {"api_key": "none"})}
        for wire, url in addresses.items()
    }
    models = {wire: {"deployments": [f"{wire}/{MODELS[wire]}"]} for wire in addresses}
    config = {"providers": providers, "models": models, "retry": "none"}
    async with Router.from_config(config) as router:
        async with Gateway(router, GatewaySettings.model_validate({"listen": "127.0.0.1:0"})) as served:
            yield served.url


async def streamed(host: str, model: str, begun: asyncio.Semaphore) -> str:
    """All that one caller was sent, frame by frame. A bare socket: a client's work for each would be ours."""
    asked = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Count."}]}
    body = json.dumps(asked)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection(*host.split(":"))
    try:
        writer.write((head + body).encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        said = await chunk(reader)
        begun.release()
        while piece := await chunk(reader):
            said += piece
    finally:
        writer.close()
    return said.decode()


async def chunk(reader: asyncio.StreamReader) -> bytes:
    """The next one of a body in chunks; b"" for its end. Raises where it ends without one."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


def ending(said: str) -> str:
    """How a stream ended: `whole`, `error`, or what is neither."""
    *frames, last = [each.removeprefix("data: ") for each in said.removesuffix("\n\n").split("\n\n")]
    chunks: list[Any] = [json.loads(each) for each in frames]
    text = "".join(choice["delta"].get("content") or "" for each in chunks for choice in each["choices"])
    if last == "[DONE]":
        return "whole" if text == TEXT else f"[DONE] after {text!r}"
    return "error" if TEXT.startswith(text) and "error" in json.loads(last) else last


async def test_no_stream_of_an_upstream_that_was_killed_ends_clean_and_short() -> None:
    begun = asyncio.Semaphore(0)
    async with upstreams() as found, gateway({wire: url for wire, (_, url) in found.items()}) as url:
        models = [[*MODELS][n % len(MODELS)] for n in range(STREAMS)]
        host = url.removeprefix("http://")
        callers = [asyncio.create_task(streamed(host, model, begun)) for model in models]
        async with asyncio.timeout(60):
            for _ in callers:
                await begun.acquire()
            for process, _ in found.values():
                os.kill(process.pid, signal.SIGKILL)
            endings = [ending(said) for said in await asyncio.gather(*callers)]

    print({how: endings.count(how) for how in sorted(set(endings))})
    assert set(endings) <= {"whole", "error"}
    assert "error" in endings
