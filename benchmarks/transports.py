"""What one call and one streamed chunk cost through each transport, in microseconds of CPU (user and system).

    uv run python benchmarks/transports.py [--calls 4000] [--rounds 7] [--concurrent 16] [--only h1] [--json]

The upstream is a process of its own. The ways are measured in turn, round after round, so that whatever else
the machine does hits all of them; the figure is the median of the rounds. `floor` is HTTP/1.1 written by hand
for just this exchange, without errors, objects or promises; `aiohttp bare` is its session without transport.
A call includes making its `httpx.Request` where there is one: of a kept URL and kept headers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httptools
import httpx

from pointsman.builtin.httpx.transport import HttpxTransport
from pointsman.transports import TransportOptions
from pointsman_aiohttp.transport import AiohttpTransport
from pointsman_h1 import H1Transport

ANSWER = (
    b'{"id":"x","choices":[{"message":{"role":"assistant","content":"' + b"word " * 80 + b'"}}],"usage":{}}'
)
QUESTION = b'{"model":"m","messages":[{"role":"user","content":"' + b"word " * 100 + b'"}]}'
CHUNK = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":" word"}}]}\n\n'
CHUNKS = 200
FIELDS = (
    b"content-type: application/json\r\ndate: Sat, 21 Nov 2026 00:00:00 GMT\r\nserver: upstream\r\n"
    b"x-request-id: req_0123456789abcdef\r\n"
)
TRANSPORTS: dict[str, Any] = {"h1": H1Transport, "aiohttp": AiohttpTransport, "httpx": HttpxTransport}
WAYS = ("floor", "h1", "aiohttp bare", "aiohttp", "httpx")

Call = Callable[[], Awaitable[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=4000, help="calls of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--concurrent", type=int, default=16)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ports: multiprocessing.Queue[int] = multiprocessing.get_context("spawn").Queue()
    upstream = multiprocessing.get_context("spawn").Process(target=serve, args=(ports,), daemon=True)
    upstream.start()
    try:
        figures = asyncio.run(measure(ports.get(timeout=30), options))
    finally:
        upstream.kill()
        upstream.join()
    if options.json:
        print(json.dumps(figures))
        return
    print(f"{'CPU us, median of ' + str(options.rounds):24} {'a call':>8} {'a chunk':>8}")
    for way, figure in figures.items():
        print(f"{way:24} {figure['call_us']:8.1f} {figure['chunk_us']:8.2f}")


async def measure(port: int, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The medians of each way."""
    found: dict[str, dict[str, list[float]]] = {way: {"call_us": [], "chunk_us": []} for way in options.only}
    makers = {way: MAKERS.get(way, over(way)) for way in options.only}
    streams = max(options.concurrent, options.calls // 40)
    made = {way: await maker(port) for way, maker in makers.items()}
    for each in range(options.rounds + 1):
        for way, (whole, stream, _close) in made.items():
            calls = await cpu(whole, options.calls, options.concurrent) / options.calls
            chunks = await cpu(stream, streams, options.concurrent) / streams / CHUNKS
            if each:  # the first one connects and warms up
                found[way]["call_us"].append(calls * 1e6)
                found[way]["chunk_us"].append(chunks * 1e6)
    for _whole, _stream, close in made.values():
        await close()
    return {
        way: {what: statistics.median(them) for what, them in each.items()} for way, each in found.items()
    }


async def cpu(call: Call, calls: int, concurrent: int) -> float:
    """Seconds of CPU that `calls` calls take, `concurrent` at a time."""
    left = calls

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            assert await call()

    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(worker() for _ in range(concurrent)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


# ── the ways ─────────────────────────────────────────────────────────────────────────────────────────

HEADERS = [
    (b"accept", b"application/json"),
    (b"accept-encoding", b"identity"),
    (b"authorization", b"Bearer sk-0123456789abcdef"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"pointsman"),
]


def over(name: str) -> Callable[[int], Awaitable[tuple[Call, Call, Call]]]:
    """A transport, called directly."""

    async def make(port: int) -> tuple[Call, Call, Any]:
        transport = TRANSPORTS[name](TransportOptions(max_connections=None))
        host = (b"host", b"127.0.0.1:%d" % port)
        headers = httpx.Headers([host, *HEADERS, (b"content-length", b"%d" % len(QUESTION))])

        def calls(path: str) -> Call:
            url = httpx.URL(f"http://127.0.0.1:{port}{path}")

            async def call() -> int:
                request = httpx.Request("POST", url, headers=headers, stream=httpx.ByteStream(QUESTION))
                response = await transport.handle_async_request(request)
                assert isinstance(response.stream, httpx.AsyncByteStream)
                size = 0
                async for piece in response.stream:
                    size += len(piece)
                return size

            return call

        return calls("/whole"), calls("/stream"), transport.aclose

    return make


async def aiohttp_bare(port: int) -> tuple[Call, Call, Any]:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    headers = {name.decode(): value.decode() for name, value in HEADERS}

    def calls(path: str) -> Call:
        url = f"http://127.0.0.1:{port}{path}"

        async def call() -> int:
            async with session.post(url, data=QUESTION, headers=headers) as response:
                size = 0
                async for piece in response.content.iter_any():
                    size += len(piece)
                return size

        return call

    return calls("/whole"), calls("/stream"), session.close


class Floor(asyncio.BufferedProtocol):
    """One connection that knows what will come."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(1 << 16))
        self.parser = httptools.HttpResponseParser(self)
        self.waiter: asyncio.Future[None] | None = None
        self.pieces: list[bytes] = []
        self.done = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.parser.feed_data(self.buffer[:nbytes])
        if self.waiter is not None:
            self.waiter.set_result(None)
            self.waiter = None

    def on_header(self, name: bytes, value: bytes) -> None:
        pass

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        self.done = True


async def floor(port: int) -> tuple[Call, Call, Any]:
    loop = asyncio.get_running_loop()
    idle: list[Floor] = []
    everyone: list[Floor] = []

    def calls(path: bytes) -> Call:
        async def call() -> int:
            if idle:
                protocol = idle.pop()
            else:
                _, protocol = await loop.create_connection(Floor, "127.0.0.1", port)
                everyone.append(protocol)
            lines = [b"POST " + path + b" HTTP/1.1", b"host: 127.0.0.1:%d" % port]
            lines += [name + b": " + value for name, value in HEADERS]
            lines += [b"content-length: %d" % len(QUESTION), b"", QUESTION]
            protocol.done = False
            protocol.transport.write(b"\r\n".join(lines))
            size = 0
            while not protocol.done or protocol.pieces:
                if protocol.pieces:
                    size += sum(map(len, protocol.pieces))
                    protocol.pieces.clear()
                else:
                    protocol.waiter = loop.create_future()
                    await protocol.waiter
            idle.append(protocol)
            return size

        return call

    async def close() -> int:
        for each in everyone:
            each.transport.abort()
        return 0

    return calls(b"/whole"), calls(b"/stream"), close


MAKERS: dict[str, Any] = {"floor": floor, "aiohttp bare": aiohttp_bare}


# ── the upstream ─────────────────────────────────────────────────────────────────────────────────────


class Upstream(asyncio.Protocol):
    """Answers whatever comes at once; a stream brings one chunk in each turn of its loop."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.unread = b""
        self.lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        self.unread += data
        if not self.unread.endswith(QUESTION):
            return
        if self.unread.startswith(b"POST /whole"):
            head = b"HTTP/1.1 200 OK\r\n" + FIELDS + b"content-length: %d\r\n\r\n" % len(ANSWER)
            self.transport.write(head + ANSWER)
        else:
            self.transport.write(b"HTTP/1.1 200 OK\r\n" + FIELDS + b"transfer-encoding: chunked\r\n\r\n")
            self.drip(CHUNKS)
        self.unread = b""

    def drip(self, left: int) -> None:
        if self.lost:
            return
        if left:
            self.transport.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
            self.loop.call_later(0.001, self.drip, left - 1)
        else:
            self.transport.write(b"0\r\n\r\n")


def serve(ports: Any) -> None:
    """Serve until killed; the port goes into `ports`."""

    async def run() -> None:
        listener = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
        ports.put(listener.sockets[0].getsockname()[1])
        await listener.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
