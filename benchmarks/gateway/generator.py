"""The callers: connections that ask again as soon as they are answered, cheap enough for a shared core."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle, islice
from math import inf
from time import perf_counter
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_IN_CHUNKS = -1
_END_OF_CHUNKS = b"\r\n0\r\n\r\n"


class Load:
    """A number of connections to one address, with what came of their calls."""

    def __init__(self) -> None:
        self.connections: list[_Connection] = []
        self.times: list[float] = []
        """Of the calls that succeeded in this run, in seconds."""
        self.errors: list[str] = []
        self.answers: list[bytes] = []
        """The first answer of each connection in this run, with its head."""
        self._requests: Iterator[bytes] = iter(())
        self._until = inf
        self._ended: asyncio.Future[None] | None = None
        self._busy = 0

    async def run(
        self,
        requests: Sequence[bytes],
        count: int | None = None,
        *,
        seconds: float = inf,
        spread: float = 0.0,
    ) -> float:
        """Ask `count` times or for so many seconds, each connection one call after the other; the wall time.

        `requests` are asked in turn; the connections begin over `spread` seconds.
        """
        self.times, self.errors, self.answers = [], [], []
        self._requests = islice(cycle(requests), count)
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        began = perf_counter()
        self._until = began + seconds
        using = self.connections[:count]
        self._busy = len(using)
        for number, each in enumerate(using):
            each.answered = 0
            if spread:
                loop.call_later(spread * number / len(using), self.next, each)
            else:
                self.next(each)
        await self._ended
        return perf_counter() - began

    def next(self, connection: _Connection) -> None:
        """Let it ask again, or be done."""
        over = connection.lost or perf_counter() > self._until
        request = None if over else next(self._requests, None)
        if request is not None:
            connection.ask(request)
            return
        self._busy -= 1
        if not self._busy and self._ended is not None:
            if all(each.lost for each in self.connections):
                self.errors.append("no connection is left")
            self._ended.set_result(None)


class _Connection(asyncio.Protocol):
    """HTTP/1.1 as far as it is needed: one answer after the other, with a length or in chunks."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._asked = 0.0
        self._asking = False
        self.answered = 0
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, request: bytes) -> None:
        self._missing: int | None = None  # bytes; None while the head has not come
        self._pieces: list[bytes] = []
        self._asking = True
        self._asked = perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        if self._missing is None:
            if len(self._pieces) > 1:
                data = b"".join(self._pieces)
                self._pieces = [data]
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(data, 0, end)
            self._missing = end + 4 + int(length[1]) if length else _IN_CHUNKS
        if self._missing != _IN_CHUNKS:
            self._missing -= len(data)
            over = not self._missing
        else:
            over = (data if len(data) >= 7 else b"".join(self._pieces[-7:])).endswith(_END_OF_CHUNKS)
        if over:
            self._done()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._asking:
            self._asking = False
            self._load.errors.append(f"the connection was lost: {error}")
            self._load.next(self)

    def close(self) -> None:
        self._transport.abort()

    def _done(self) -> None:
        load = self._load
        self._asking = False
        took = perf_counter() - self._asked
        first = self._pieces[0]
        if first[9:12] == b"200":
            load.times.append(took)
        else:
            load.errors.append(b"".join(self._pieces)[:300].decode("utf-8", "replace"))
        if not self.answered:
            load.answers.append(b"".join(self._pieces))
        self.answered += 1
        load.next(self)


@asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[Load]:
    """`count` connections to `port` of this machine. Raises OSError."""
    loop, load = asyncio.get_running_loop(), Load()
    try:
        for _ in range(count):
            _, connection = await loop.create_connection(lambda: _Connection(load), "127.0.0.1", port)
            load.connections.append(connection)
        yield load
    finally:
        for each in load.connections:
            each.close()
        await asyncio.sleep(0)


def text_of(answer: bytes) -> str:
    """The text that an answer says, whole or streamed."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    body = _unchunked(rest) if b"transfer-encoding: chunked" in head.lower() else rest
    if not body.startswith(b"data:"):
        return json.loads(body)["choices"][0]["message"]["content"]
    said: list[str] = []
    for line in body.splitlines():
        if line.startswith(b"data:") and not line.endswith(b"[DONE]"):
            said += [choice["delta"].get("content") or "" for choice in json.loads(line[5:])["choices"]]
    return "".join(said)


def _unchunked(data: bytes) -> bytes:
    pieces = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        pieces.append(data[:length])
        data = data[length + 2 :]
        if not length:
            break
    return b"".join(pieces)
