"""A server that answers before it has read all of a request, and then reads no further: its answer arrives."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

# conftest.py describes `opened` and `transport`.
Fixture = Any

BODY = b'{"error":{"message":"too large"}}'
ANSWERS = {
    "a length": b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    "chunks": b"HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (len(BODY), BODY),
    "its own end": b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n" + BODY,
}
LARGE = 20_000_000


class Refusing(asyncio.Protocol):
    """Answers what it has read a little of, and ends the connection in the way that `end` says."""

    def __init__(self, answer: bytes, end: str) -> None:
        self.answer = answer
        self.end = end
        self.read = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        before, self.read = self.read, self.read + len(data)
        if before or not data:
            return
        if self.end != "reads on":
            self.transport.pause_reading()
        self.transport.write(self.answer)
        if self.end == "resets":  # closing with unread bytes tells the client to forget all about it
            self.transport.abort()
        elif self.end == "resets later":
            asyncio.get_running_loop().call_later(0.05, self.transport.abort)
        elif self.end == "reads on":
            self.transport.write_eof()


@pytest.fixture
async def refusing() -> AsyncIterator[Callable[..., Any]]:
    servers: list[asyncio.Server] = []
    made: list[Refusing] = []

    def one(*given: Any) -> Refusing:
        made.append(Refusing(*given))
        return made[-1]

    async def listen(answer: bytes, end: str) -> str:
        loop = asyncio.get_running_loop()
        servers.append(await loop.create_server(lambda: one(answer, end), "127.0.0.1", 0))
        return f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}/"

    yield listen
    for each in made:
        each.transport.abort()
    for server in servers:
        server.close()
    await asyncio.sleep(0)


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(LARGE // 50_000):
        yield b"x" * 50_000


@pytest.mark.parametrize("kind", ["at once", "in pieces"])
@pytest.mark.parametrize("end", ["resets", "resets later", "reads on", "keeps it open"])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_answer_to_half_a_request_arrives(
    answer: str, end: str, kind: str, refusing: Fixture, transport: Fixture
) -> None:
    if answer == "its own end" and end == "keeps it open":
        end = "reads on"  # else it has no end
    url = await refusing(ANSWERS[answer], end)
    content: Any = b"x" * LARGE if kind == "at once" else pieces()

    async with asyncio.timeout(10):
        response = await transport.handle_async_request(httpx.Request("POST", url, content=content))
        try:
            body = await response.aread()
        except httpx.TransportError:  # nobody can say that a reset is the end of it
            assert answer == "its own end"
            assert end.startswith("resets")
            body = BODY
        await response.aclose()

    assert (response.status_code, body) == (413, BODY)


async def test_an_answer_arrives_though_the_reset_behind_it_is_noticed_first_by_who_writes(
    transport: Fixture,
) -> None:
    """Given a server in a thread: the loop looks at no socket between its answer, its reset and the next write."""
    ended = threading.Event()

    def serve() -> None:
        wire, _ = listener.accept()
        with wire:
            read = 0
            while read < 150_000:
                read += len(wire.recv(50_000))
            wire.sendall(ANSWERS["a length"])
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ended.set()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 50_000
        assert ended.wait(5)
        for _ in range(100):
            yield b"x" * 50_000

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with asyncio.timeout(10):
            response = await transport.handle_async_request(httpx.Request("POST", url, content=body()))
            assert (response.status_code, await response.aread()) == (413, BODY)
            await response.aclose()
        serving.join()
