"""The practical limit: HTTP/1.1 by hand on asyncio, the parser httptools, and orjson. No error is handled."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httptools
import orjson
import traffic


class Client:
    """One pool of connections, last in first out."""

    async def setup(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._head = (
            f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            f"authorization: Bearer {traffic.KEY}\r\ncontent-type: application/json\r\ncontent-length: "
        ).encode()
        self._idle: list[_Connection] = []
        self._all: list[_Connection] = []

    async def call(self) -> str:
        connection = await self._connection()
        connection.send(self._request(stream=False))
        body = await connection.body()
        self._idle.append(connection)
        return orjson.loads(body)["choices"][0]["message"]["content"]

    async def stream(self, seen: Callable[[str], None]) -> None:
        connection = await self._connection()
        connection.send(self._request(stream=True))
        rest = b""
        while data := await connection.some():
            *frames, rest = (rest + data).split(b"\n\n")
            for frame in frames:
                if frame == b"data: [DONE]":
                    continue
                text = orjson.loads(frame[6:])["choices"][0]["delta"].get("content")
                if text:
                    seen(text)
        self._idle.append(connection)

    async def close(self) -> None:
        for each in self._all:
            each.close()

    def _request(self, *, stream: bool) -> bytes:
        body = orjson.dumps({"model": traffic.MODEL, "messages": traffic.MESSAGES, "stream": stream})
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    async def _connection(self) -> _Connection:
        if self._idle:
            return self._idle.pop()
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, self._host, self._port
        )
        self._all.append(connection)
        return connection


# One for all: what was read is parsed before anybody else reads.
_BUFFER = memoryview(bytearray(1 << 16))


class _Connection(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._parser.feed_data(_BUFFER[:nbytes])
        # A whole answer is waited for to its end, a stream for anything.
        if self._waiter is not None and (self._done or (self._pieces and self._eager)):
            waiter, self._waiter = self._waiter, None
            waiter.set_result(None)

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        self._done = True

    def send(self, request: bytes) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._done = False
        self._transport.write(request)

    async def body(self) -> bytes:
        """The body of a whole answer."""
        self._eager = False
        if not self._done:
            await self._wait()
        return self._taken()

    async def some(self) -> bytes:
        """What came of a stream meanwhile; b"" at its end."""
        self._eager = True
        if not self._pieces and not self._done:
            await self._wait()
        return self._taken()

    def close(self) -> None:
        self._transport.abort()

    def _taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter
