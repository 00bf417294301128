"""Thousands of calls at the same time to an upstream that takes a second: all succeed, side by side.

    uv run python benchmarks/load.py [--calls 1000 5000] [--delay 1] [--transports h1 aiohttp httpx] [--json]

The upstream is a bare server of the OpenAI wire in a process of its own: it answers each call after
`delay`, a streamed one with five words. All calls begin together on a cold router. Their wall time shall stay
within the delay, half a second, and the overhead: the wall time of the same calls, on another cold router,
with an upstream that answers as soon as it has all of them, so that none can use another's connection.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter, process_time
from typing import Any

from pointsman import PointsmanError, Router

SLACK = 0.5
WORDS = ("all ", "of ", "this ", "is ", "said")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--delay", type=float, default=1.0)
    parser.add_argument(
        "--transports", nargs="+", default=["h1", "aiohttp"], choices=["h1", "aiohttp", "httpx"]
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    raise_descriptors(2 * max(options.calls) + 500)
    if options.serve:
        asyncio.run(serve())
        return
    loads = [
        asyncio.run(load(calls, delay=options.delay, transport=transport, streaming=streaming))
        for transport in options.transports
        for calls in options.calls
        for streaming in (False, True)
    ]
    if options.json:
        print(json.dumps([each.figures() for each in loads]))
    else:
        print(f"upstream delay {options.delay} s; limit: that, {SLACK} s and the overhead")
        header = (
            "transport",
            "call",
            "calls",
            "failed",
            "wall",
            "limit",
            "overhead",
            "CPU",
            "p50",
            "p99",
            "most",
        )
        print("  " + "".join(f"{each:>11}" for each in header))
        for each in loads:
            print("  " + "".join(f"{value:>11}" for value in each.figures().values()))
    sys.exit(not all(each.failed == 0 and each.wall <= each.limit for each in loads))


@dataclass(frozen=True)
class Load:
    """How one load went; times in seconds."""

    transport: str
    streaming: bool
    calls: int
    failed: int
    wall: float
    overhead: float
    delay: float
    cpu: float
    times: list[float]
    """Of each call, in ascending order."""
    errors: list[str]

    @property
    def limit(self) -> float:
        """The wall time that it may take."""
        return self.delay + SLACK + self.overhead

    def quantile(self, share: float) -> float:
        """The time within which this share of the calls was answered."""
        return self.times[min(len(self.times) - 1, int(len(self.times) * share))]

    def figures(self) -> dict[str, Any]:
        """For people."""
        return {
            "transport": self.transport,
            "call": "streaming" if self.streaming else "whole",
            "calls": self.calls,
            "failed": self.failed,
            "wall_s": round(self.wall, 2),
            "limit_s": round(self.limit, 2),
            "overhead_s": round(self.overhead, 2),
            "cpu_s": round(self.cpu, 2),
            "p50_s": round(self.quantile(0.5), 3),
            "p99_s": round(self.quantile(0.99), 3),
            "max_s": round(self.times[-1], 3),
        }


async def load(calls: int, *, delay: float, transport: str, streaming: bool) -> Load:
    """`calls` calls at once, each answered after `delay`; before that as many that are answered together."""
    async with upstream() as url:
        overhead, *_ = await _at_once(
            url, calls, f"together {calls}", transport=transport, streaming=streaming
        )
        began = process_time()
        wall, times, errors = await _at_once(
            url, calls, f"wait {delay}", transport=transport, streaming=streaming
        )
        cpu = process_time() - began
    return Load(
        transport, streaming, calls, len(errors), wall, overhead, delay, cpu, sorted(times), errors[:5]
    )


async def _at_once(
    url: str, calls: int, message: str, *, transport: str, streaming: bool
) -> tuple[float, list[float], list[str]]:
    """(wall time, the time of each call, what failed); `message` tells the upstream when to answer."""
    config = {
        "providers": {"a": {"type": "openai", "base_url": url, "api_key": "k-for-tests"}},
        "models": {"m": {"deployments": ["a/x"]}},
        "transport": transport,
        "timeouts": {"connect": 30, "total": 120},
    }
    times: list[float] = []
    errors: list[str] = []
    async with Router.from_config(config) as router:

        async def call() -> None:
            began = perf_counter()
            try:
                if streaming:
                    async with router.stream("m", message) as stream:
                        async for _ in stream:
                            pass
                    text = stream.response.text
                else:
                    text = (await router.chat("m", message)).text
                assert text == "".join(WORDS)
            except PointsmanError as error:
                errors.append(repr(error))
            times.append(perf_counter() - began)

        gc.collect()
        began = perf_counter()
        await asyncio.gather(*(call() for _ in range(calls)))
        wall = perf_counter() - began
        assert router.status().in_flight == 0
    return wall, times, errors


def raise_descriptors(needed: int) -> None:
    """Let this process have so many descriptors, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard < 0 else min(needed, hard), hard))


# ── the upstream ─────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """The URL of the bare server, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", stdin=PIPE, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            url = (await process.stdout.readline()).decode().strip()
        yield url
    finally:
        assert process.stdin is not None
        process.stdin.close()  # with which it ends
        await process.communicate()


async def serve() -> None:
    """Answer until standard input ends."""
    loop = asyncio.get_running_loop()
    together: list[Callable[[], None]] = []
    server = await loop.create_server(lambda: _Connection(together), "127.0.0.1", 0, backlog=65535)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def _framed(content_type: str, body: bytes) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


def _chunk(finish: str | None = None, **delta: str) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "model": "x", "choices": [choice]}).encode() + b"\n\n"


_MESSAGE = {"role": "assistant", "content": "".join(WORDS)}
_USAGE = {"prompt_tokens": 2, "completion_tokens": 5}
_WHOLE = _framed(
    "application/json",
    json.dumps(
        {
            "id": "c",
            "model": "x",
            "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
            "usage": _USAGE,
        }
    ).encode(),
)
_STREAM = _framed(
    "text/event-stream",
    b"".join(_chunk(content=word) for word in WORDS) + _chunk("stop") + b"data: [DONE]\n\n",
)


class _Connection(asyncio.Protocol):
    """HTTP as far as our own client needs it: one request at a time, its body as long as it says.

    What is said last decides when it is answered: "wait 0.5" after so many seconds, "together 100" as soon
    as a hundred such requests are here. `together` holds the answers to these until then.
    """

    def __init__(self, together: list[Callable[[], None]]) -> None:
        self._received = b""
        self._together = together

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._received = b""
        request = json.loads(body)
        answer = _STREAM if request.get("stream") else _WHOLE
        how, _, number = request["messages"][-1]["content"].partition(" ")
        if how == "wait":
            asyncio.get_running_loop().call_later(float(number), self._answer, answer)
            return
        together = self._together
        together.append(partial(self._answer, answer))
        if len(together) == int(number):
            for each in together:
                each()
            together.clear()

    def _answer(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


if __name__ == "__main__":
    main()
