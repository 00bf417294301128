"""A raw HTTP/1.1 server whose answers are chosen by path, and a transport to try against it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import certificate_in
from transports_by_name import open_transport

from pointsman.transports import TransportOptions

PATIENCE = 5.0
CHUNK = b"0123456789abcdef" * 4


class Wire(asyncio.Protocol):
    """One connection as the server sees it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.requests: list[bytes] = []
        self.closed = asyncio.Event()
        self.closed_at = 0.0
        self._unread = b""
        self._timers: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.server.wires.append(self)
        self.server.open.add(self)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (length := _message_length(self._unread)) is not None:
            message, self._unread = self._unread[:length], self._unread[length:]
            self.requests.append(message)
            self.server.served += 1
            path = message.split(b" ", 2)[1]
            path, _, query = path.partition(b"?")
            self.server.queries.add(query.decode())
            self.answer(path.decode())
            self.server.arrived.set()

    def eof_received(self) -> bool | None:
        self._seen_closing()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen_closing()
        self.server.open.discard(self)
        if not self.server.open:
            self.server.empty.set()

    def _seen_closing(self) -> None:
        if not self.closed.is_set():
            self.closed_at = self.loop.time()
            self.closed.set()
        for timer in self._timers:
            timer.cancel()

    def answer(self, path: str) -> None:
        if path in self.server.scripts:
            self.server.scripts[path](self)
            return
        route, _, argument = path.removeprefix("/").partition("/")
        script = getattr(self, f"on_{route.replace('-', '_')}", None)
        if script is None:
            self.send(body=path.encode())
        elif argument:
            script(argument)
        else:
            script()

    def send(
        self, *, status: str = "200 OK", headers: bytes = b"", body: bytes = b"ok", length: int | None = None
    ) -> None:
        length = len(body) if length is None else length
        head = f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n".encode()
        self.transport.write(head + headers + b"\r\n" + body)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        self._timers.append(self.loop.call_later(seconds, action))

    # What the server does, by the first segment of the path.

    def on_head(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

    def on_nothing(self) -> None:
        self.transport.write(b"HTTP/1.1 204 No Content\r\nX-Empty: yes\r\n\r\n")

    def on_early_hints(self) -> None:
        self.transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        self.send()

    def on_redirect(self) -> None:
        self.send(status="302 Found", headers=b"Location: http://elsewhere.invalid/\r\n", body=b"")

    def on_raw_headers(self) -> None:
        self.send(headers=b"X-One: 1\r\nset-cookie: a=1\r\nX-TWO: 2\r\nSet-Cookie: b=2\r\n")

    def on_gzip(self) -> None:
        self.send(headers=b"Content-Encoding: gzip\r\n", body=b"not really")

    def on_chunked(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two", b"three"):
            self.transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.transport.write(b"0\r\n\r\n")

    def on_until_close(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")
        self.transport.close()

    def on_big(self, size: str) -> None:
        self.send(body=b"x" * int(size))

    def on_wait(self) -> None:
        """No answer, ever."""

    def on_delay(self, milliseconds: str) -> None:
        self.later(float(milliseconds) / 1000, self.send)

    def on_hang(self) -> None:
        """A head and the first bytes of a body, then nothing more."""
        self.send(body=CHUNK, length=100_000)

    def on_stream(self, chunks: str) -> None:
        """A chunked body with a millisecond between its chunks."""
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self._drip(int(chunks))

    def _drip(self, left: int) -> None:
        if left == 0:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK))
        self.later(0.001, lambda: self._drip(left - 1))

    def on_meet(self, parties: str) -> None:
        """Answers when so many requests are here at the same time."""
        self.server.meeting.append(self)
        if len(self.server.meeting) == int(parties):
            for wire in self.server.meeting:
                wire.send()
            self.server.meeting.clear()

    def on_reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def on_hang_up(self) -> None:
        self.transport.close()

    def on_reset_mid_body(self) -> None:
        self.send(body=CHUNK, length=100_000)
        self.later(0.05, self.on_reset)

    def on_cut(self) -> None:
        self.send(body=CHUNK, length=100_000)
        self.transport.close()

    def on_cut_chunked(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        self.transport.close()

    def on_cut_head(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        self.transport.close()

    def on_close_after(self) -> None:
        """A complete answer that promises to stay, and then the connection is closed all the same."""
        self.send()
        self.transport.close()

    def on_giant_header(self) -> None:
        self.send(headers=b"X-Giant: " + b"g" * 1_000_000 + b"\r\n")

    def on_large_header(self) -> None:
        self.send(headers=b"X-Large: " + b"g" * 30_000 + b"\r\n")

    def on_conflict(self) -> None:
        self.send(headers=b"Content-Length: 3\r\n")

    def on_not_http(self) -> None:
        self.transport.write(b"220 mail.example ESMTP\r\n\r\n")


class Server:
    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self.open: set[Wire] = set()
        self.served = 0
        self.scripts: dict[str, Callable[[Wire], object]] = {}
        """By path, what a test wants instead of the answers of `Wire`."""
        self.queries: set[str] = set()
        self.meeting: list[Wire] = []
        self.arrived = asyncio.Event()
        self.empty = asyncio.Event()
        self.port = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def new_wire(self) -> Wire:
        return Wire(self)

    async def secured(self, authority: Path, *, client_cert: bool = False) -> asyncio.Server:
        """A listener of the same answers over TLS, for the test to close."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority, authority.with_name("key.pem"))
        if client_cert:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority)
        loop = asyncio.get_running_loop()
        return await loop.create_server(self.new_wire, "127.0.0.1", 0, ssl=context)

    async def until_empty(self) -> None:
        """Return when no connection is open any more."""
        while self.open:
            self.empty.clear()
            await asyncio.wait_for(self.empty.wait(), PATIENCE)

    async def next_request(self) -> Wire:
        """The connection that brings the next request, already sent or not."""
        await asyncio.wait_for(self.arrived.wait(), PATIENCE)
        self.arrived.clear()
        return max(self.wires, key=lambda wire: (bool(wire.requests), self.wires.index(wire)))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.get_running_loop().create_server(server.new_wire, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    yield server
    for wire in list(server.open):
        wire.transport.abort()
    listener.close()
    await server.until_empty()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, and beside it its key."""
    return certificate_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["httpx", "aiohttp", "h1"])
def name(request: pytest.FixtureRequest) -> str:
    """Which transport; every test that asks for it runs once for each."""
    return str(request.param)


Opener = Callable[..., httpx.AsyncBaseTransport]


@pytest.fixture
async def opened(name: str) -> AsyncIterator[Opener]:
    """Opens transports with the options given as keywords, and closes them after the test."""
    transports: list[httpx.AsyncBaseTransport] = []

    def open_one(**options: Any) -> httpx.AsyncBaseTransport:
        transports.append(open_transport(name, TransportOptions(**options)))
        return transports[-1]

    yield open_one
    for transport in transports:
        await transport.aclose()


@pytest.fixture
def transport(opened: Opener) -> httpx.AsyncBaseTransport:
    return opened()


Fetch = Callable[..., Awaitable[tuple[httpx.Response, bytes]]]


@pytest.fixture
def fetch(transport: httpx.AsyncBaseTransport, server: Server) -> Fetch:
    """One whole exchange with the server: the response and its body."""

    async def fetch(method: str, path: str, **request: Any) -> tuple[httpx.Response, bytes]:
        async with asyncio.timeout(PATIENCE):
            response = await transport.handle_async_request(
                httpx.Request(method, server.url(path), **request)
            )
            assert isinstance(response.stream, httpx.AsyncByteStream)
            try:
                return response, b"".join([chunk async for chunk in response.stream])
            finally:
                await response.aclose()

    return fetch


def _message_length(unread: bytes) -> int | None:
    """Bytes of the first complete request in `unread`, or None."""
    head, found, body = unread.partition(b"\r\n\r\n")
    if not found:
        return None
    start = len(head) + 4
    for line in head.lower().split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key == b"content-length":
            length = start + int(value)
            return length if len(unread) >= length else None
        if key == b"transfer-encoding":
            end = body.find(b"0\r\n\r\n")
            return start + end + 5 if end >= 0 else None
    return start


__all__ = ["Fetch", "Opener", "Server", "Wire"]
