"""How soon the upstream's connection is closed when the caller is gone, wherever the call is at that moment.

    uv run python benchmarks/abort_latency.py [--count 1000] [--concurrent 50] [--json]
    uv run python benchmarks/abort_latency.py --limits     how late a time limit ends a call of a mute server

Real sockets on loopback, the whole way through the router and the OpenAI provider. `concurrent` callers at a
time reach the state and are then cancelled in one go; the lag of each is from there until the server has seen
its connection end. Three states have no connection that a server could see. Who is in line waits for the
deployment's one place (`max_in_flight`), and who waits for a slot for the only one of the transport; both are
taken. Their lag is until the call has ended; they must have sent nothing, and the queue must be empty. Who
connects over TCP meets a listener whose backlog is full: its lag is until the process has no descriptor more
than before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from pointsman import Router, replace
from pointsman.builtin.httpx.transport import HttpxTransport
from pointsman.errors import (
    AttemptTimeout,
    CallError,
    DeadlineExceeded,
    FirstTokenTimeout,
    IdleTimeout,
    MidStreamError,
)
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.transports.factory import TransportContext, TransportFactory
from pointsman_aiohttp.transport import AiohttpTransport
from pointsman_h1 import H1Transport

TRANSPORTS = {"aiohttp": AiohttpTransport, "h1": H1Transport, "httpx": HttpxTransport}
STATES = ("in line", "for a slot", "connecting (TCP)", "connecting (TLS)", "before first byte", "mid-stream")
QUEUED = ("in line", "for a slot")
GOAL = 0.1
LIMIT = 0.2
"""Seconds."""
LIMITS: dict[str, tuple[str, type[CallError], type[CallError] | None]] = {
    "total": ("before first byte", DeadlineExceeded, AttemptTimeout),
    "attempt": ("before first byte", AttemptTimeout, None),
    "first_token": ("before first byte", FirstTokenTimeout, None),
    "idle": ("mid-stream", MidStreamError, IdleTimeout),
}
"""Each time limit: where the server leaves a call, the error that it ends with, and that one's cause."""

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: 100000\r\n\r\n"
CHUNK = {
    "id": "c",
    "object": "chat.completion.chunk",
    "model": "x",
    "choices": [{"index": 0, "delta": {"content": "hello"}, "finish_reason": None}],
}
BEGINNINGS = {
    True: HEAD % b"text/event-stream" + b"data: " + json.dumps(CHUNK).encode() + b"\n\n",
    False: HEAD % b"application/json" + b'{"id": "c", "choices": [{"index": 0, "message": {"con',
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="cancelled calls for each line")
    parser.add_argument("--concurrent", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--limits", action="store_true", help="how late the time limits of the router are")
    options = parser.parse_args()
    if options.limits:
        report_limits(asyncio.run(measured_limits(options.count, options.concurrent)), as_json=options.json)
        return
    figures = asyncio.run(measured(options.count, options.concurrent, progress=sys.stderr.isatty()))
    worst = max(each["p99_ms"] for each in figures)
    if options.json:
        print(json.dumps({"goal_ms": GOAL * 1e3, "figures": figures}))
    else:
        print(
            f"{options.count} calls a line, {options.concurrent} cancelled at a time; "
            f"goal: p99 below {GOAL * 1e3:.0f} ms"
        )
        print(f"  {'transport':10}{'call':12}{'state':20}{'p50':>8}{'p99':>8}{'most':>8}  ms")
        for each in figures:
            print(
                f"  {each['transport']:10}{each['call']:12}{each['state']:20}"
                f"{each['p50_ms']:8.1f}{each['p99_ms']:8.1f}{each['max_ms']:8.1f}"
            )
    sys.exit(worst >= GOAL * 1e3)


async def measured(count: int, concurrent: int, *, progress: bool = False) -> list[dict[str, Any]]:
    """The figures of every transport, kind of call and state."""
    figures = []
    for transport in TRANSPORTS:
        for streaming in (True, False):
            for state in STATES:
                if progress:
                    sys.stderr.write(f"\r{transport} {'stream' if streaming else 'whole'} {state:20}")
                found = sorted(
                    await lags(transport, state, streaming=streaming, count=count, concurrent=concurrent)
                )
                figures.append(
                    {
                        "transport": transport,
                        "call": "streaming" if streaming else "whole",
                        "state": state,
                        "count": len(found),
                        **_figures(found),
                    }
                )
    if progress:
        sys.stderr.write("\r" + " " * 60 + "\r")
    return figures


def report_limits(figures: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print what `measured_limits` returned."""
    if as_json:
        print(json.dumps({"figures": figures}))
        return
    print(f"  {'transport':10}{'limit':14}{'p50':>8}{'p99':>8}{'most':>8}  ms late")
    for each in figures:
        print(
            f"  {each['transport']:10}{each['limit']:14}"
            f"{each['p50_ms']:8.2f}{each['p99_ms']:8.2f}{each['max_ms']:8.2f}"
        )


async def measured_limits(count: int, concurrent: int) -> list[dict[str, Any]]:
    """How late each time limit of the router ends a call, over every transport."""
    return [
        {
            "transport": transport,
            "limit": limit,
            **_figures(await lateness(transport, limit, count, concurrent)),
        }
        for transport in TRANSPORTS
        for limit in LIMITS
    ]


async def lateness(transport: str, limit: str, count: int, concurrent: int) -> list[float]:
    """Seconds from the instant of the limit to the caller's having its error, `count` of them, sorted."""
    state, error, cause = LIMITS[limit]
    found: list[float] = []
    streaming = limit in ("first_token", "idle")
    loop = asyncio.get_running_loop()

    async def call(router: Router) -> float:
        began = loop.time()
        try:
            if not streaming:
                await router.chat("m", "hi")
            async with router.stream("m", "hi") as stream:
                async for _ in stream:
                    began = loop.time()
        except CallError as ended:
            # With nowhere else to go the first token is waited for. So there is, and it refuses at once.
            failure = ended.failures[0].error if limit == "first_token" else ended
            if type(failure) is not error or (cause is not None and type(failure.__cause__) is not cause):
                raise
            return loop.time() - began - LIMIT
        raise AssertionError("the server is mute")

    changes: dict[str, Any] = {
        "retry": "none",
        "circuit_breaker": {"enabled": False},
        "timeouts": {limit: LIMIT},
    }
    if limit == "first_token":
        changes["fallback"] = "http://127.0.0.1:1"
    async with (
        _server(state, streaming) as server,
        _router(transport, state, server.url, **changes) as (router, _),
    ):
        while len(found) < count:
            batch = min(concurrent, count - len(found))
            found += await asyncio.gather(*(call(router) for _ in range(batch)))
        assert router.status().in_flight == 0
    return sorted(found)


def _figures(found: Sequence[float]) -> dict[str, float]:
    return {
        "p50_ms": round(found[len(found) // 2] * 1e3, 2),
        "p99_ms": round(found[max(0, -(-len(found) * 99 // 100) - 1)] * 1e3, 2),
        "max_ms": round(found[-1] * 1e3, 2),
    }


async def lags(transport: str, state: str, *, streaming: bool, count: int, concurrent: int) -> list[float]:
    """Seconds from the caller's leaving to the end of its connection, `count` of them."""
    found: list[float] = []
    async with _server(state, streaming) as server, _router(transport, state, server.url) as (router, made):
        if state in QUEUED:
            holder = asyncio.ensure_future(_call(router, streaming, Reached()))
            await server.requests.wait(1)
        while len(found) < count:
            batch = min(concurrent, count - len(found))
            found += await _batch(router, server, made, state, streaming=streaming, batch=batch)
        if state in QUEUED:
            assert server.requests.count == 1, "a call that was cancelled in the queue was sent"
            holder.cancel()
            await asyncio.wait([holder])
        assert router.status().in_flight == 0
    return found


async def _batch(
    router: Router, server: Server, made: Sequence[Any], state: str, *, streaming: bool, batch: int
) -> list[float]:
    loop = asyncio.get_running_loop()
    reached, lost_before, descriptors = Reached(), len(server.lost), _descriptors()
    connected, requests = server.connections.count, server.requests.count
    tasks = [asyncio.ensure_future(_call(router, streaming, reached)) for _ in range(batch)]
    match state:
        case "in line":
            await _turns(lambda: len(_line(router)) >= batch)
        case "for a slot":
            await _turns(lambda: sum(len(each._slots._waiting) for each in made) >= batch)
        case "connecting (TCP)":
            await _turns(lambda: _descriptors() >= descriptors + batch)
        case "connecting (TLS)":
            await server.connections.wait(connected + batch)
        case "before first byte":
            await server.requests.wait(requests + batch)
        case "mid-stream" if streaming:
            await reached.wait(batch)
        case _:
            await server.requests.wait(requests + batch)
            for _ in range(20):  # what the server wrote is read
                await asyncio.sleep(0)
    ended_at: list[float] = []
    for task in tasks:
        task.add_done_callback(lambda _task: ended_at.append(loop.time()))
    left_at = loop.time()
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
    match state:
        case "in line" | "for a slot":
            assert len(_line(router)) == 0
            assert not any(not turn.done() for each in made for turn in each._slots._waiting)
            return [at - left_at for at in ended_at]
        case "connecting (TCP)":
            await _turns(lambda: _descriptors() <= descriptors)
            return [loop.time() - left_at] * batch
    async with asyncio.timeout(10):
        await server.losses.wait(lost_before + batch)
    return [at - left_at for at in server.lost[lost_before:]]


def _line(router: Router) -> Any:
    queue = router._snapshot.pools["m"].queue
    assert queue is not None
    return queue.line


async def _call(router: Router, streaming: bool, reached: Reached) -> None:
    if not streaming:
        await router.chat("m", "hi")
        return
    async with router.stream("m", "hi") as stream:
        async for _ in stream:
            reached.add()


# ── what it needs ────────────────────────────────────────────────────────────────────────────────────


class Reached:
    """A counter that can be waited for."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def add(self) -> None:
        """One more."""
        self.count += 1
        for number, future in self._waiting:
            if number <= self.count and not future.done():
                future.set_result(None)

    async def wait(self, number: int) -> None:
        """Return when there are so many, within ten seconds."""
        if self.count < number:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((number, future))
            async with asyncio.timeout(10):
                await future


class Server:
    """A server that takes requests and never finishes an answer."""

    def __init__(self, beginning: bytes) -> None:
        self.beginning = beginning
        self.url = ""
        self.connections = Reached()
        self.requests = Reached()
        self.losses = Reached()
        self.lost: list[float] = []
        self.open: set[asyncio.BaseTransport] = set()


class _Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.open.add(transport)

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._server.connections.add()
        self._received += data
        # All of our bodies are small, and end like this.
        if b"\r\n\r\n" in self._received and self._received.endswith(b"}"):
            self._received = b" "
            self._server.requests.add()
            self._transport.write(self._server.beginning)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.open.discard(self._transport)
        self._server.lost.append(asyncio.get_running_loop().time())
        self._server.losses.add()


@asynccontextmanager
async def _server(state: str, streaming: bool) -> AsyncIterator[Server]:
    server = Server(BEGINNINGS[streaming] if state == "mid-stream" else b"")
    if state == "connecting (TCP)":
        with _full_backlog() as port:
            server.url = f"http://127.0.0.1:{port}"
            yield server
        return
    listener = await asyncio.get_running_loop().create_server(
        lambda: _Connection(server), "127.0.0.1", 0, backlog=1024
    )
    scheme = "https" if state == "connecting (TLS)" else "http"
    server.url = f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for transport in list(server.open):
            transport.abort()  # type: ignore[attr-defined]  # all of them have it
        await listener.wait_closed()


class _full_backlog:
    """The port of a listener that accepts nobody and whose backlog is full, so that connecting hangs."""

    def __enter__(self) -> int:
        self._sockets = [socket.socket()]
        self._sockets[0].bind(("127.0.0.1", 0))
        self._sockets[0].listen(0)
        address = self._sockets[0].getsockname()
        for _ in range(4):
            each = socket.socket()
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.connect(address)
            self._sockets.append(each)
        port: int = address[1]
        return port

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()


class _Plugin(PointsmanSpec):
    """The transports as transport `here`, with one slot where callers shall queue."""

    def __init__(self, name: str, slots: int | None) -> None:
        self._name = name
        self._slots = slots
        self.made: list[Any] = []

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [TransportFactory("here", None, self._make)]

    def _make(self, context: TransportContext) -> Any:
        self.made.append(TRANSPORTS[self._name](replace(context.options, max_connections=self._slots)))
        return self.made[-1]


@asynccontextmanager
async def _router(
    transport: str, state: str, url: str, *, fallback: str | None = None, **changes: Any
) -> AsyncIterator[tuple[Router, list[Any]]]:
    plugin = _Plugin(transport, 1 if state == "for a slot" else None)
    place = {"max_in_flight": 1} if state == "in line" else {}
    urls = {"a": url} if fallback is None else {"a": url, "b": fallback}
    models: dict[str, Any] = {"m": {"deployments": [{"provider": "a", "model": "x", **place}]}}
    if fallback is not None:
        models["m"]["fallback"] = ["spare"]
        models["spare"] = {"deployments": ["b/x"]}
    config = {
        "providers": {
            name: {"type": "openai", "base_url": each, "api_key": f"k-for-tests-{name}"}
            for name, each in urls.items()
        },
        "models": models,
        "transport": "here",
        "timeouts": {"connect": 60, "first_token": "1h", "total": "1h"},
        "queue": {"wait": "24h"},
        **changes,
    }
    async with Router.from_config(config, plugins=[plugin]) as router:
        yield router, plugin.made


async def _turns(condition: Callable[[], bool]) -> None:
    """As many turns of the loop as `condition` takes, for ten seconds at most."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 10
    while loop.time() < until:
        if condition():
            return
        await asyncio.sleep(0)
    raise TimeoutError


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


if __name__ == "__main__":
    main()
