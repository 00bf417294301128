"""What the router itself costs: CPU of calls whose transport answers at once, without any network.

    uv run python benchmarks/router_cost.py [--rounds 7] [--only chat] [--instructions] [--json]

Each line is a piece of the path, measured alone and interleaved with all others; the least of the rounds
counts, because a busy machine can only add to it. What the scripted transport itself costs (`floor`) is
taken off `chat` and `provider`. `routing` is a chat whose provider has its answer at once, `inputs` checks
what a caller gives, `provider` is one attempt from the provider down to the transport, and a selection
includes giving the lease back. For streams the figure is per chunk: what each of the further chunks adds to a
stream.

`chat with audit` is `chat` with the two records that a call leaves in an audit file, and the thread that
writes them. `whole call` alone has a network: the client of `benchmarks/peers`, which has everything armed,
16 calls at once over loopback to the upstream there. PEERS_AUDIT=none takes the audit out of it.

`--instructions` counts executed instructions with valgrind instead, which is slow but the same every time; of
the last two nearly so, since their threads and the network follow a clock.

Goals: `routing` 35 us at 10 deployments; selection 10 us at 10 and 200 us at 1,000 deployments; a chunk at
most 2.2 times that of `chunk by hand`, which is the least that reads the same bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import process_time
from typing import Any

import httpx
from pydantic import BaseModel

from pointsman import Router
from pointsman._internal import jsonio
from pointsman._internal.timeouts import Timeouts
from pointsman.errors import Outcome
from pointsman.execution.execution import begin_request
from pointsman.execution.time_limits import call as call_of
from pointsman.http.client import Endpoint
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import Call, Provider, ProviderFactory
from pointsman.requests.parsing import chat_request
from pointsman.routing.deployment import Demand
from pointsman.transports.factory import TransportFactory
from pointsman.types import ChatRequest, ChatResponse, Usage

LONG_STREAM, SHORT_STREAM = 200, 20
PEERS = str(Path(__file__).resolve().parent / "peers")
AT_ONCE = 16
"""Calls of `whole call`."""
QUESTION = [
    {"role": "system", "content": "You are a helpful assistant. " * 10},
    {"role": "user", "content": "Why is the sky blue?"},
]
OPTIONS = {"temperature": 0.2, "max_tokens": 200}
ANSWER = jsonio.dumps(
    {
        "id": "chatcmpl-123",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Because of Rayleigh scattering. " * 6},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 80,
            "completion_tokens": 40,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
        "system_fingerprint": "fp_0123456789",
    }
)
HEADERS = [
    (b"Date", b"Sat, 01 Nov 2025 12:00:00 GMT"),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", str(len(ANSWER)).encode()),
    (b"Connection", b"keep-alive"),
    (b"x-request-id", b"req_0123456789abcdef0123456789abcdef"),
    (b"x-ratelimit-remaining-requests", b"9999"),
    (b"x-ratelimit-remaining-tokens", b"1999999"),
]
STREAM_HEADERS = [*HEADERS[:1], (b"Content-Type", b"text/event-stream"), *HEADERS[3:]]


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One event of a stream, as api.openai.com writes it."""
    value = {
        "id": "chatcmpl-123",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "gpt-4o-mini-2024-07-18",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return b"data: " + jsonio.dumps(value) + b"\n\n"


HEAD = chunk({"role": "assistant", "content": ""})
WORD = chunk({"content": " word"})
TAIL = chunk({}, "stop") + b"data: [DONE]\n\n"


class Body(httpx.AsyncByteStream):
    """A body that is here already."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    async def aclose(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Instant(httpx.AsyncBaseTransport):
    """Answers at once: with `ANSWER`, or while `stream` is set with these pieces."""

    stream: list[bytes] | None = None

    async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
        if self.stream is None:
            return httpx.Response(200, headers=HEADERS, stream=Body([ANSWER]))
        return httpx.Response(200, headers=STREAM_HEADERS, stream=Body(self.stream))


class Ready(Provider):
    """Has its answer before it is asked."""

    endpoint = Endpoint("http://127.0.0.1:1/v1")

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return ChatResponse("Because of Rayleigh scattering.", usage=Usage(80, 40))


class InstantPlugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("ready", BaseModel, Ready)]

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [TransportFactory("instant", None, lambda _context: Instant())]


def make_router(deployments: int, kind: str = "openai", audit: str | None = None) -> Router:
    """A router of one model, with so many deployments at one provider of that kind.

    `audit`: the directory of its audit files, None for none.
    """
    return Router.from_config(
        {
            "transport": "instant",
            "providers": {"a": {"type": kind, "base_url": "http://127.0.0.1:1/v1", "api_key": "sk-12345678"}},
            "models": {"m": {"deployments": [f"a/x{n}" for n in range(deployments)]}},
            "audit": [] if audit is None else [{"type": "jsonl", "path": audit}],
        },
        plugins=[InstantPlugin()],
    )


Piece = Callable[[int], Awaitable[None]]
"""Does its work so many times."""


def pieces(routers: dict[int, Router], opened: AsyncExitStack) -> dict[str, Piece]:
    """The pieces of the path by name. What they open is closed with `opened`."""
    router = routers[10]
    transport = Instant()
    request = httpx.Request("POST", "http://127.0.0.1:1/v1/chat/completions", content=b"{}")
    asked = chat_request("m", QUESTION, OPTIONS)

    async def floor(times: int) -> None:
        for _ in range(times):
            response = await transport.handle_async_request(request)
            async for _piece in response.stream:
                pass

    async def chat(times: int) -> None:
        for _ in range(times):
            await router.chat("m", QUESTION, **OPTIONS)

    audited: Router | None = None

    async def chat_with_audit(times: int) -> None:
        nonlocal audited
        if audited is None:
            directory = opened.enter_context(tempfile.TemporaryDirectory())
            audited = await opened.enter_async_context(make_router(10, audit=directory))
        for _ in range(times):
            await audited.chat("m", QUESTION, **OPTIONS)

    client: Any = None

    async def whole_call(times: int) -> None:
        nonlocal client
        if client is None:
            sys.path.append(PEERS)
            from clients.pointsman import Client
            from upstream import running

            client = Client()
            await client.setup(opened.enter_context(running()).url("plain"))
            opened.push_async_callback(client.close)
        calls = iter(range(times))

        async def caller() -> None:
            for _ in calls:
                await client.call()

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))

    ready = make_router(10, "ready")

    async def routing(times: int) -> None:
        for _ in range(times):
            await ready.chat("m", QUESTION, **OPTIONS)

    async def inputs(times: int) -> None:
        for _ in range(times):
            chat_request("m", QUESTION, OPTIONS)

    async def provider(times: int) -> None:
        execution = begin_request(router._snapshot.setting, router._snapshot.chain("m"), asked, "chat")
        now = execution.now()
        lease = router._snapshot.pools["m"].lease(asked, now=now, expires=now + 60, demand=Demand())
        assert lease is not None
        call = call_of(execution, lease, Timeouts())
        ask = lease.deployment.provider.chat
        for _ in range(times):
            await ask(asked, call)
        lease.release(Outcome.NEUTRAL, now)

    def streaming(chunks: int, per_read: int) -> Piece:
        words = [WORD * per_read] * (chunks // per_read)

        async def run(times: int) -> None:
            Instant.stream = [HEAD, *words, TAIL]
            for _ in range(times):
                async with router.stream("m", QUESTION, **OPTIONS) as stream:
                    async for _event in stream:
                        pass
            Instant.stream = None

        return run

    def by_hand(chunks: int, per_read: int) -> Piece:
        words = [WORD * per_read] * (chunks // per_read)

        async def run(times: int) -> None:
            for _ in range(times):
                rest = b""
                texts = []
                async for data in Body([HEAD, *words, TAIL]):
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        if line[:6] == b"data: " and line != b"data: [DONE]":
                            texts += [
                                each["delta"].get("content") for each in jsonio.loads(line[6:])["choices"]
                            ]

        return run

    def selection(deployments: int) -> Piece:
        pool = routers[deployments]._snapshot.pools["m"]

        async def run(times: int) -> None:
            clock = asyncio.get_running_loop()
            for _ in range(times):
                now = clock.time()
                lease = pool.lease(asked, now=now, expires=now + 60, demand=Demand())
                assert lease is not None
                lease.release(Outcome.NEUTRAL, now)

        return run

    return {
        "floor": floor,
        "chat": chat,
        "chat with audit": chat_with_audit,
        "whole call": whole_call,
        "routing": routing,
        "inputs": inputs,
        "provider": provider,
        **{f"selection of {n}": selection(n) for n in routers},
        **{
            f"{name} of {per_read} in a read, {size}": make(chunks, per_read)
            for name, make in (("chunk", streaming), ("chunk by hand", by_hand))
            for per_read in (1, 10)
            for size, chunks in (("long", LONG_STREAM), ("short", SHORT_STREAM))
        },
    }


ROUTERS = (10, 100, 1000)
TIMES = {"selection of 1000": 40, "selection of 100": 200}


def times_of(name: str) -> int:
    """How often a piece is done in one round."""
    return 10 if name.endswith("long") else 100 if name.endswith("short") else TIMES.get(name, 1000)


def figures(raw: dict[str, float]) -> dict[str, float]:
    """The cost of each piece, out of what was measured."""
    found = {"floor": raw["floor"]}
    for name, cost in raw.items():
        if name in ("chat", "chat with audit", "provider"):
            found[name] = cost - raw["floor"]
        elif name.endswith(", long"):
            short = raw[name.removesuffix("long") + "short"]
            found[name.removesuffix(", long")] = (cost - short) / (LONG_STREAM - SHORT_STREAM)
        elif not name.endswith(", short"):
            found[name] = cost
    return found


async def timed(rounds: int, only: str) -> dict[str, float]:
    """Least CPU microseconds of each piece."""
    least: dict[str, float] = {}
    async with AsyncExitStack() as opened:
        routers = {n: await opened.enter_async_context(make_router(n)) for n in ROUTERS}
        found = pieces(routers, opened)
        todo = {name: run for name, run in found.items() if name == "floor" or only in name}
        for _ in range(rounds):
            for name, run in todo.items():
                times = times_of(name)
                began = process_time()
                await run(times)
                cost = (process_time() - began) / times * 1e6
                least[name] = min(cost, least.get(name, cost))
    return least


async def repeat(name: str, times: int) -> None:
    """Do one piece and nothing else, for the count of instructions."""
    routers = {
        n: make_router(n) for n in ({10} | ({int(name.split()[-1])} if "selection" in name else set()))
    }
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(routers[10])
        run = pieces(routers, opened)[name]
        await run(5)
        await run(times)


def counted(only: str) -> dict[str, float]:
    """Instructions of each piece: those of many repetitions less those of few."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        sys.exit("--instructions needs valgrind")
    with tempfile.TemporaryDirectory() as cache:
        # Reading byte code instead of making it: otherwise imports are most of what is counted.
        environment = os.environ | {"PYTHONPYCACHEPREFIX": cache, "PYTHONHASHSEED": "0"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def total(name: str, times: int) -> int:
            program = [sys.executable, __file__, "--repeat", name, str(times)]
            subprocess.run(program, env=environment, check=True)
            count = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
            said = subprocess.run(
                [*count, *program], env=environment, capture_output=True, text=True, check=True
            ).stderr
            found = re.search(r"I +refs: +([0-9,]+)", said)
            assert found is not None
            return int(found[1].replace(",", ""))

        result = {}
        for name in piece_names():
            if name == "floor" or only in name:
                many = 12 if "long" in name else 60 if "short" in name else 40 if "000" in name else 300
                few = many // 3
                result[name] = (total(name, many) - total(name, few)) / (many - few)
        return result


def piece_names() -> list[str]:
    return list(pieces({n: make_router(n) for n in ROUTERS}, AsyncExitStack()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="pieces whose names contain this")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeat", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.repeat:
        asyncio.run(repeat(options.repeat[0], int(options.repeat[1])))
        return
    raw = counted(options.only) if options.instructions else asyncio.run(timed(options.rounds, options.only))
    unit = "instructions" if options.instructions else "cpu_us"
    found = {name: round(cost, 0 if options.instructions else 2) for name, cost in figures(raw).items()}
    if options.json:
        print(json.dumps({"unit": unit, "rounds": options.rounds, "figures": found}))
        return
    for name, cost in found.items():
        print(f"  {name:32} {cost:12,.1f} {unit}")


if __name__ == "__main__":
    main()
