"""The mock upstream: the OpenAI chat wire with answers that were built before anybody asked.

The base URL says what comes, so that no request body has to be parsed:

    /plain/v1                         a whole answer, at once
    /delay=1/v1                       the same after a second
    /fail=10/v1                       the same, but every tenth answer is a 503
    /chunks=100/v1                    a streamed answer of 100 chunks, sent at once
    /chunks=100,gap=0/v1              the same, each by itself, as fast as they go
    /chunks=100,gap=0.001/v1          the same, a millisecond apart

It is not the bottleneck: on a core of its own it took 21 to 24 us for a call of `raw`, the fastest client,
which took 27 to 30 us itself; for one of 5,000 calls that began cold 110 to 128 us, and `raw` 174 to 184. No
connection was refused or asked for twice meanwhile, the backlog being as long as the system allows.

`python upstream.py [CORE]` prints its port, serves until standard input ends, and then prints how many
requests came for each base URL, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import machine
import traffic

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ROOM = 1 << 12


class Upstream:
    """A running upstream, as its caller sees it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: dict[str, int] = {}
        """How many came for each mode; known once it has ended."""

    def url(self, mode: str) -> str:
        """The base URL for `mode`."""
        return f"http://127.0.0.1:{self.port}/{mode}/v1"


@contextmanager
def running(core: int | None = None, *, program: str = __file__) -> Iterator[Upstream]:
    """An upstream in a process of its own, on `core` when that is not None."""
    command = [sys.executable, str(Path(program).resolve()), *([] if core is None else [str(core)])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        upstream = Upstream(int(process.stdout.readline()))
        try:
            yield upstream
        finally:
            out, _ = process.communicate()  # closes its standard input, with which it ends
            upstream.requests = json.loads(out)


# ── in its process ───────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    if len(sys.argv) > 1:
        machine.pin(int(sys.argv[1]))
    machine.raise_descriptors()
    asyncio.run(serve())


async def serve() -> None:
    loop = asyncio.get_running_loop()
    modes: dict[bytes, _Mode] = {}
    server = await loop.create_server(lambda: _Connection(modes), "127.0.0.1", 0, backlog=65535)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps({mode.name: mode.asked for mode in modes.values()}))


class _Mode:
    """What comes under one base URL."""

    def __init__(self, name: str) -> None:
        self.name = name
        options = dict(each.partition("=")[::2] for each in name.split(","))
        self.delay = float(options.get("delay", 0))
        self.gap = float(options["gap"]) if "gap" in options else None
        self.fail = int(options.get("fail", 0))
        chunks = int(options.get("chunks", 0))
        self.asked = 0
        self.parts = _stream(chunks) if chunks else [_whole(200, traffic.whole())]
        self.at_once = b"".join(self.parts)
        self._failure = _whole(503, traffic.failure())

    def answer(self) -> bytes:
        """What is sent at once."""
        self.asked += 1
        return self._failure if self.fail and self.asked % self.fail == 0 else self.at_once


def _whole(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} said\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _stream(chunks: int) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    framed = [b"%x\r\n%b\r\n" % (len(frame), frame) for frame in traffic.frames(chunks)]
    # The head comes with the first chunk, and the end of the body with the end marker.
    return [head + framed[0], *framed[1:-2], framed[-2] + framed[-1] + b"0\r\n\r\n"]


class _Connection(asyncio.BufferedProtocol):
    """HTTP/1.1 as far as it is needed: requests with a length, one after the other."""

    def __init__(self, modes: dict[bytes, _Mode]) -> None:
        self._modes = modes
        self._buffer = bytearray(_ROOM)
        self._filled = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._filled == len(self._buffer):
            self._buffer = self._buffer + bytearray(len(self._buffer))
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", 0, self._filled)
        if end < 0:
            return
        length = _LENGTH.search(buffer, 0, end)
        size = end + 4 + (int(length[1]) if length else 0)
        if self._filled < size:
            return
        path = bytes(buffer[buffer.find(b" ") + 1 : buffer.find(b" ", 8, end)])
        buffer[: self._filled - size] = buffer[size : self._filled]
        self._filled -= size
        mode = self._modes.get(path)
        if mode is None:
            name = re.match(rb"/([^/]+)/v1/chat/completions$", path)
            if name is None:
                self._transport.write(_whole(404, b"{}"))
                return
            mode = self._modes[path] = _Mode(name[1].decode())
        if mode.gap is not None:
            mode.asked += 1
            self._spaced(mode, 0, asyncio.get_running_loop().time())
        elif mode.delay:
            asyncio.get_running_loop().call_later(mode.delay, self._write, mode.answer())
        else:
            self._transport.write(mode.answer())

    def _spaced(self, mode: _Mode, number: int, began: float) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(mode.parts[number])
        if number + 1 < len(mode.parts):
            at = began + (number + 1) * (mode.gap or 0.0)
            asyncio.get_running_loop().call_at(at, self._spaced, mode, number + 1, began)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


if __name__ == "__main__":
    main()
