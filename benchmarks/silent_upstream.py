"""An upstream in a process of its own that begins answers, and ends them when it is told to, or never.

It speaks the wires of OpenAI, Anthropic and Ollama as far as a first piece of an answer and its end, and does
with each request what the prompt says: `caller-17-mute` has no answer, and `caller-17-half` the first half of
one, streamed or whole. `caller-17-drip` is a stream that goes on every half second until `finish` comes on
standard input, `caller-17-drip-on` one that never ends.

What happens stands on standard output, one JSON array a line: first `["url", …]`, then `["begun", 17]` for a
request that has come whole and `["closed", 17, when]` for its end or that of its connection, in seconds of
the clock that all processes of one machine share.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from time import monotonic
from typing import Any, NamedTuple

_DRIP_EVERY = 0.5
_ASKED = re.compile(rb"caller-(\d+)-(mute|half|drip-on|drip)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAMED = re.compile(rb'"stream" *: *true')


class _Wire(NamedTuple):
    """One API, as far as it is needed: what a stream consists of, and half of a whole answer."""

    type: bytes
    begin: bytes
    piece: bytes
    end: bytes
    half: bytes


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _events(*events: dict[str, Any], named: bool = False) -> bytes:
    """Server-sent events of JSON."""
    names = [b"event: %b\n" % each["type"].encode() if named else b"" for each in events]
    return b"".join(b"%bdata: %b\n\n" % (name, _json(each)) for name, each in zip(names, events, strict=True))


def _named(begin: list[dict[str, Any]], end: list[dict[str, Any]], half: bytes) -> _Wire:
    """A wire whose events have names, and whose pieces are like the last of those that it begins with."""
    first, piece, last = (_events(*each, named=True) for each in (begin, begin[-1:], end))
    return _Wire(b"text/event-stream", first, piece, last, half)


def _chat(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return _events({"id": "c", "object": "chat.completion.chunk", "model": "x", "choices": [choice]})


def _completion(text: str, reason: str | None = None) -> bytes:
    choice = {"index": 0, "text": text, "finish_reason": reason}
    return _events({"id": "c", "object": "text_completion", "model": "x", "choices": [choice]})


def _response(status: str, *output: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    made: dict[str, Any] = {"id": "r", "object": "response", "created_at": 1, "status": status, "model": "x"}
    return {**made, "output": list(output), **({"usage": usage} if output else {})}


def _responses() -> _Wire:
    part = {"type": "output_text", "text": "", "annotations": []}
    item: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "content": []}
    whole = {**item, "status": "completed", "content": [{**part, "text": "hello"}]}
    at = {"item_id": "m", "output_index": 0, "content_index": 0}
    begin: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress")},
        {"type": "response.in_progress", "response": _response("in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "response.output_text.delta", **at, "delta": "hello"},
    ]
    end: list[dict[str, Any]] = [
        {"type": "response.output_text.done", **at, "text": "hello"},
        {"type": "response.content_part.done", **at, "part": {**part, "text": "hello"}},
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {"type": "response.completed", "response": _response("completed", whole)},
    ]
    return _named(begin, end, b'{"id": "r", "object": "response", "output": [{"ty')


def _messages() -> _Wire:
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": []}
    text = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}}
    begin: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}},
        text,
        delta,
    ]
    end: list[dict[str, Any]] = [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return _named(begin, end, b'{"id": "m", "type": "message", "content": [{"ty')


def _lines(word: str) -> _Wire:
    """Ollama's, whose pieces are called `message` or `response`."""
    said: Any = {"role": "assistant", "content": "hello"} if word == "message" else "hello"
    none: Any = {"role": "assistant", "content": ""} if word == "message" else ""
    common = {"model": "x", "created_at": "2026-01-01T00:00:00Z"}
    piece = _json({**common, word: said, "done": False}) + b"\n"
    last = {
        **common,
        word: none,
        "done": True,
        "done_reason": "stop",
        "eval_count": 1,
        "prompt_eval_count": 1,
    }
    return _Wire(b"application/x-ndjson", piece, piece, _json(last) + b"\n", b'{"model": "x", "created_')


_HALF = b'{"id": "c", "choices": [{"index": 0, "mes'
_WIRES = {
    b"/v1/chat/completions": _Wire(
        b"text/event-stream",
        _chat({"role": "assistant", "content": "hello"}),
        _chat({"content": "hello"}),
        _chat({}, "stop") + b"data: [DONE]\n\n",
        _HALF,
    ),
    b"/v1/completions": _Wire(
        b"text/event-stream",
        _completion("hello"),
        _completion("hello"),
        _completion("", "stop") + b"data: [DONE]\n\n",
        _HALF,
    ),
    b"/v1/responses": _responses(),
    b"/v1/messages": _messages(),
    b"/api/chat": _lines("message"),
    b"/api/generate": _lines("response"),
}


class _Upstream:
    """What all connections share."""

    def __init__(self) -> None:
        self.dripping: dict[_Connection, bool] = {}
        """Streams that go on, and whether they end."""

    def say(self, *said: Any) -> None:
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()

    async def drip(self) -> None:
        """Go on with all streams that do."""
        while True:
            await asyncio.sleep(_DRIP_EVERY)
            for each in tuple(self.dripping):
                each.go_on()

    def finish(self) -> None:
        """End them as their wire has it."""
        for each, ends in tuple(self.dripping.items()):
            if ends:
                each.finish()


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: _Upstream) -> None:
        self._upstream = upstream
        self._received = b""
        self._number: int | None = None
        self._wire = _WIRES[b"/v1/chat/completions"]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ends, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not ends or (length is not None and len(body) < int(length[1])):
            return
        self._received = b""
        self._answer(head.split(b" ", 2)[1].partition(b"?")[0], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        asked = _ASKED.search(body)
        if asked is None or path not in _WIRES:
            # Lists of models, and whatever else is looked for.
            self._transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}")
            return
        self._number, does, self._wire = int(asked[1]), asked[2], _WIRES[path]
        # Ollama streams unless it is told not to.
        streamed = _STREAMED.search(body) or (path.startswith(b"/api/") and b'"stream"' not in body)
        self._upstream.say("begun", self._number)
        if does == b"mute":
            return
        if not streamed:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
            self._transport.write(head + self._wire.half)
            return
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % self._wire.type
        self._transport.write(head + _chunk(self._wire.begin))
        if does != b"half":
            self._upstream.dripping[self] = does == b"drip"

    def go_on(self) -> None:
        self._transport.write(_chunk(self._wire.piece))

    def finish(self) -> None:
        self._upstream.dripping.pop(self, None)
        self._transport.write(_chunk(self._wire.end) + b"0\r\n\r\n")
        self._over()

    def connection_lost(self, error: Exception | None) -> None:
        self._upstream.dripping.pop(self, None)
        self._over()

    def _over(self) -> None:
        """That of the request: the connection may serve another one."""
        number, self._number = self._number, None
        if number is not None:
            self._upstream.say("closed", number, monotonic())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _serve() -> None:
    loop, upstream = asyncio.get_running_loop(), _Upstream()
    server = await loop.create_server(lambda: _Connection(upstream), "127.0.0.1", 0, backlog=2048)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    upstream.say("url", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    dripping = asyncio.create_task(upstream.drip())
    while line := await commands.readline():
        if line.strip() == b"finish":
            upstream.finish()
    dripping.cancel()  # whoever began it has gone


if __name__ == "__main__":
    asyncio.run(_serve())
