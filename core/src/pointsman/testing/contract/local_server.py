"""A server on this machine that answers by path, byte for byte, and sees what becomes of its connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Self

PIECES = (b"one", b"two", b"three")
"""The body at `/pieces`, each of which comes when the one before was seen."""


class Move(Enum):
    """What an answer does between its bytes."""

    HOLD = "nothing more before `go_on`"
    CLOSE = "the server closes the connection"
    RESET = "the connection breaks"


def _sized(body: bytes, status: str = "200 OK", fields: str = "", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n".encode() + body


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS: dict[str, Sequence[bytes | Move]] = {
    "/whole": [_sized(b"all of it", fields="X-Said: so\r\n")],
    "/empty": [_sized(b"")],
    "/coded": [_sized(b"not really", fields="Content-Encoding: gzip\r\n")],
    "/moved": [_sized(b"there", "302 Found", "Location: /whole\r\nSet-Cookie: a=1\r\n")],
    "/busy": [_sized(b"later", "503 Service Unavailable", "Retry-After: 0\r\n")],
    "/head": [_sized(b"", length=1000)],
    "/204": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "/304": [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"],
    "/pieces": [
        _CHUNKED + _chunk(PIECES[0]),
        *(step for piece in PIECES[1:] for step in (Move.HOLD, _chunk(piece))),
        b"0\r\n\r\n",
    ],
    "/silent": [],
    "/begun": [_sized(b"the first of it", length=1000)],
    "/cut": [_sized(b"the first of it", length=1000), Move.CLOSE],
    "/cut-chunked": [_CHUNKED + _chunk(b"the first of it"), Move.CLOSE],
    "/cut-head": [b"HTTP/1.1 200 OK\r\nContent-Le", Move.CLOSE],
    "/broken": [_sized(b"the first of it", length=1000), Move.RESET],
    "/gone": [Move.CLOSE],
}
"""By path."""


class LocalServer:
    """The server, in use as a context; its connections are gone after that.

    Attributes:
        requests: what came, heads and bodies.
        connections: those that are open.
    """

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections: list[_Connection] = []
        self.changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for each in self.connections:
            each.transport.abort()
        await self.deserted()

    def go_on(self) -> None:
        """Have the answers that hold go on."""
        for each in list(self.connections):
            each.go_on()

    async def asked(self, times: int) -> None:
        """Return when so many requests have come."""
        while len(self.requests) < times:
            await self._change()

    async def deserted(self) -> None:
        """Return when no connection is open."""
        while self.connections:
            await self._change()

    async def _change(self) -> None:
        self.changed.clear()
        await self.changed.wait()


class _Connection(asyncio.Protocol):
    def __init__(self, server: LocalServer) -> None:
        self._server = server
        self._unread = b""
        self._steps: Iterator[bytes | Move] = iter(())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.connections.append(self)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (length := _length(self._unread)) <= len(self._unread):
            request, self._unread = self._unread[:length], self._unread[length:]
            self._server.requests.append(request)
            self._server.changed.set()
            path = request.split(b" ", 2)[1].partition(b"?")[0].decode()
            self._steps = iter(ANSWERS[path])
            self.go_on()

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.connections.remove(self)
        self._server.changed.set()

    def go_on(self) -> None:
        for step in self._steps:
            if isinstance(step, bytes):
                self.transport.write(step)
            elif step is Move.HOLD:
                return
            elif step is Move.CLOSE:
                self.transport.close()
            else:
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()


def _length(unread: bytes) -> int:
    """Bytes of the first request, as far as its head is here; more than there are where it is not."""
    head, found, _ = unread.partition(b"\r\n\r\n")
    if not found:
        return len(unread) + 1
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
    return len(head) + 4 + sum(int(value) for name, _, value in lines if name == b"content-length")
