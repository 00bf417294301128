"""A server that does what a test tells it, and a transport to try against it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# The sources are looked up here as long as the distribution is not installed; the benchmark never is.
sys.path += [str(ROOT / "contrib" / "h1" / "src"), str(ROOT / "benchmarks")]

from pointsman.transports import TransportOptions  # noqa: E402 - after the path
from pointsman_h1 import H1Transport  # noqa: E402

PATIENCE = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Talk:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests: list[bytes] = []

    async def head(self) -> bytes:
        """The head of the next request."""
        self.requests.append(await self.reader.readuntil(b"\r\n\r\n"))
        return self.requests[-1]

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def until_closed(self) -> None:
        """Return when the client has closed, whatever it still sends."""
        try:
            while await self.reader.read(1 << 16):
                pass
        except ConnectionError:
            pass


Script = Callable[[Talk], Awaitable[None]]


class Server:
    """Runs `script` for each connection; a connection ends with its script."""

    def __init__(self) -> None:
        self.script: Script = answer_all
        self.talks: list[Talk] = []
        self.port = 0
        self.errors: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        talk = Talk(reader, writer)
        self.talks.append(talk)
        try:
            await self.script(talk)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        assert not self.errors


async def answer_all(talk: Talk) -> None:
    """Answer every request that has no body."""
    while True:
        await talk.head()
        talk.say(OK)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    yield server
    await server.close()
    listener.close()


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., H1Transport]]:
    transports: list[H1Transport] = []

    def open_one(**options: Any) -> H1Transport:
        transports.append(H1Transport(TransportOptions(**options)))
        return transports[-1]

    yield open_one
    for transport in transports:
        await transport.aclose()


@pytest.fixture
def transport(opened: Callable[..., H1Transport]) -> H1Transport:
    return opened()


async def _fetch(
    transport: H1Transport, url: str, method: str = "GET", **request: Any
) -> tuple[httpx.Response, bytes]:
    async with asyncio.timeout(PATIENCE):
        response = await transport.handle_async_request(httpx.Request(method, url, **request))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            return response, b"".join([piece async for piece in response.stream])
        finally:
            await response.aclose()


@pytest.fixture
def fetch() -> Any:
    """One whole exchange: the response and its body."""
    return _fetch


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)


@pytest.fixture
def until() -> Any:
    """Lets the loop turn until a condition holds."""
    return _until
