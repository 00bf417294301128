"""The practical limit of a gateway in Python: an ASGI relay by hand, without access, choice, books or errors.

Each request goes on with its path and its body as they came, and each read of the upstream is one `send`.

    python asgi_relay.py PORT UPSTREAM_PORT [--reading]

With `--reading` it also looks into each chunk of a stream, as whoever keeps accounts has to.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import httptools
import orjson
import uvicorn

# One for all: what was read is parsed before anybody else reads.
_BUFFER = memoryview(bytearray(1 << 16))


class Relay:
    """The application: a pool of connections, last in first out."""

    def __init__(self, port: int, *, reading: bool) -> None:
        self._port = port
        self._reading = reading
        self._idle: list[_Connection] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        connection = self._idle.pop() if self._idle else await self._opened()
        connection.ask(
            b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (scope["raw_path"], len(body), body)
        )
        rest = b""
        data, done = await connection.some()
        await send({"type": "http.response.start", "status": connection.status, "headers": connection.fields})
        while not done:
            if self._reading:
                rest = read(rest + data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
            data, done = await connection.some()
        if self._reading:
            read(rest + data)
        await send({"type": "http.response.body", "body": data})
        self._idle.append(connection)

    async def _opened(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
        return connection


def read(data: bytes) -> bytes:
    """Decode each event in it; what is left of one that has not come whole."""
    *frames, rest = data.split(b"\n\n")
    for frame in frames:
        if frame.startswith(b"data: {"):
            orjson.loads(memoryview(frame)[6:])["choices"][0]["delta"]
    return rest


class _Connection(asyncio.BufferedProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._parser.feed_data(_BUFFER[:nbytes])
        if self._waiter is not None and (self._pieces or self._done):
            waiter, self._waiter = self._waiter, None
            waiter.set_result(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name != b"transfer-encoding":
            self.fields.append((name, value))

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        self._done = True

    def ask(self, request: bytes) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._done = False
        self._waiter: asyncio.Future[None] | None = None
        self._transport.write(request)

    async def some(self) -> tuple[bytes, bool]:
        """What came meanwhile, and whether that was the end."""
        if not self._pieces and not self._done:
            self._waiter = self._loop.create_future()
            await self._waiter
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data, self._done

    @property
    def status(self) -> int:
        return self._parser.get_status_code()


def main() -> None:
    port, upstream = map(int, sys.argv[1:3])
    with socket.create_server(("127.0.0.1", port), backlog=4096) as listening:
        relay = Relay(upstream, reading="--reading" in sys.argv)
        config = uvicorn.Config(
            relay, http="httptools", loop="uvloop", lifespan="off", interface="asgi3",
            log_config=None, access_log=False, server_header=False, date_header=False, ws="none",
            backlog=4096, timeout_keep_alive=75,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
