"""Secrets that may turn up nowhere, and an upstream that repeats them in every way it can think of."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from pointsman._internal.scrubber import forms

KEY = 'sk-canary/+"&<9f8e7d6c5b4a3210'
HEADER = "canary header 0f1e2d3c4b5a"
PASSWORD = "canary@password:77aa88bb"
EVERY = (KEY, HEADER, PASSWORD)
OTHERS = ("sk-canary-7f3a", "canary-0123456789", "sk-this-must-never-be-seen", "k-for-tests")
"""Secrets in other tests."""
_FORMS = tuple(form for secret in (*EVERY, *OTHERS) for form in sorted(forms(secret)))


def found_in(text: str) -> list[str]:
    """Every form of a canary that stands in `text`."""
    return [form for form in _FORMS if form in text]


# ── the wires ────────────────────────────────────────────────────────────────────────────────────────


def _openai(text: str) -> object:
    message = {"role": "assistant", "content": text}
    return {"id": "c", "model": "x", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def _claude(text: str) -> object:
    return {
        "id": "m", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip


def _ollama(text: str) -> object:
    return {
        "model": "x", "created_at": "2026-01-01T00:00:00Z", "done": True, "done_reason": "stop",
        "message": {"role": "assistant", "content": text},
    }  # fmt: skip


def _openai_error(message: str, word: str) -> object:
    return {"error": {"message": message, "type": word, "code": word}}


def _claude_error(message: str, word: str) -> object:
    return {"type": "error", "error": {"type": word, "message": message}}


def _ollama_error(message: str, word: str) -> object:
    return {"error": f"{word}: {message}"}


def _openai_stream(error: object) -> bytes:
    delta = {"id": "c", "model": "x", "choices": [{"index": 0, "delta": {"content": "some "}}]}
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (delta, error))


def _claude_stream(error: object) -> bytes:
    start = {"type": "message_start", "message": {**_claude(""), "content": [], "stop_reason": None}}  # type: ignore[dict-item]
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "some "}}
    events = [("message_start", start), ("content_block_start", block), ("content_block_delta", delta)]
    return b"".join(
        f"event: {name}\ndata: {json.dumps(each)}\n\n".encode() for name, each in [*events, ("error", error)]
    )


def _ollama_stream(error: object) -> bytes:
    begun = {"model": "x", "message": {"role": "assistant", "content": "some "}, "done": False}
    return b"".join(json.dumps(each).encode() + b"\n" for each in (begun, error))


@dataclass
class Wire:
    """How one API says things."""

    whole: Callable[[str], object]
    error: Callable[[str, str], object]
    broken: Callable[[object], bytes]
    events: str


_OPENAI = Wire(_openai, _openai_error, _openai_stream, "text/event-stream")
WIRES = {
    "openai": _OPENAI,
    "localai": _OPENAI,
    "claude": Wire(_claude, _claude_error, _claude_stream, "text/event-stream"),
    "ollama": Wire(_ollama, _ollama_error, _ollama_stream, "application/x-ndjson"),
}


# ── the ways ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Echo:
    """One answer; the head is in Latin-1."""

    status: str = "400 Bad Request"
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def wire(self) -> bytes:
        fields = {"content-type": self.kind, "content-length": str(len(self.body)), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status}\r\n{lines}\r\n".encode("latin-1") + self.body


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def _said(message: Callable[[str], str]) -> Callable[[Wire, str], Echo]:
    """The way of an error whose message repeats the secret as `message` writes it."""
    return lambda wire, secret: Echo(body=_dumped(wire.error(f"bad: {message(secret)}", "bad_request")))


def _escaped(secret: str) -> str:
    return "".join(f"\\u{ord(each):04x}" for each in secret)


WAYS: dict[str, Callable[[Wire, str], Echo]] = {
    "in the id of an answer": lambda wire, s: Echo(
        "200 OK", _dumped(wire.whole("hi")), headers={"x-request-id": s, "request-id": s}
    ),
    "in the id of an error": lambda wire, s: Echo(
        "500 No", _dumped(wire.error("no", "api_error")), headers={"x-request-id": f"a-{s}", "request-id": s}
    ),
    "in the correlation id of an error": lambda wire, s: Echo(
        "500 No", _dumped(wire.error("no", "api_error")), headers={"x-correlation-id": s}
    ),
    "as the host of a redirect": lambda _wire, s: Echo(
        "302 Found", headers={"location": f"http://{s}.example/x"}
    ),
    "in the path of a redirect": lambda _wire, s: Echo(
        "307 Moved", headers={"location": f"/login?key={quote_plus(s)}"}
    ),
    "as the content encoding": lambda wire, s: Echo(
        "200 OK", _dumped(wire.whole("hi")), headers={"content-encoding": s}
    ),
    "as the content type": lambda _wire, s: Echo("200 OK", b"nothing", kind=s),
    "as the reason": lambda _wire, s: Echo(f"502 {s}", b"{}"),
    "in a message": _said(str),
    "in a message in which every letter is escaped": lambda wire, s: Echo(
        body=_dumped(wire.error("bad: @", "bad")).replace(b"@", _escaped(s).encode())
    ),
    "in JSON within a message": _said(json.dumps),
    "cut off by a message that is too long": _said(lambda s: "." * 470 + s),
    "in base64": _said(lambda s: b64encode(s.encode()).decode()),
    "as basic credentials": _said(lambda s: "Basic " + b64encode(f"user:{s}".encode()).decode()),
    "as in a URL": _said(lambda s: f"http://upstream/?key={quote_plus(s)} or {quote(s)}"),
    "between NUL and escape sequences": _said(lambda s: f"\0\x1b[31m{s}\x1b[0m\0"),
    "with the status of a wrong key": lambda wire, s: Echo(
        "401 No", _dumped(wire.error(f"Incorrect API key provided: {s}. ", "authentication_error"))
    ),
    "as code and type of an error": lambda wire, s: Echo(body=_dumped(wire.error("no", s))),
    "as an error that is only text": lambda _wire, s: Echo("500 No", f"no: {s}".encode(), kind="text/plain"),
    "in HTML": lambda _wire, s: Echo(
        "502 Bad", f"<html><title>{s}</title><p>key={quote(s)}".encode(), kind="text/html"
    ),
    "in the hint when to come back": lambda wire, s: Echo(
        "429 Slow",
        _dumped(wire.error("slow", "rate_limit_error")),
        headers={"retry-after": s, "retry-after-ms": s, "x-should-retry": s, "x-ratelimit-reset-tokens": s},
    ),
    "in a 200 that is an error": lambda wire, s: Echo(
        "200 OK", _dumped(wire.error(f"failed with {s}", "api_error"))
    ),
    "in a 200 that is no JSON": lambda _wire, s: Echo("200 OK", f"key {s}".encode()),
    "in a 200 whose JSON is of another kind": lambda _wire, s: Echo(
        "200 OK", _dumped({s: [s], "model": [s]})
    ),
    "in the middle of a stream": lambda wire, s: Echo(
        "200 OK", wire.broken(wire.error(f"failed with {s}", "api_error")), kind=wire.events
    ),
    "in a frame that is no JSON": lambda wire, s: Echo(
        "200 OK", wire.broken({}) + f"data: {s}\n\n{s}\n".encode(), kind=wire.events
    ),
    "in a malformed head": lambda _wire, s: Echo("200 OK", headers={f"x {s}": s, "content-length": s}),
}


@asynccontextmanager
async def upstream(
    wire: Wire,
) -> AsyncIterator[tuple[str, Callable[[Callable[[Wire, str], Echo], str], None]]]:
    """The address of a server, and what sets the way in which it repeats a secret from now on."""
    answer = b""

    def set_way(way: Callable[[Wire, str], Echo], secret: str) -> None:
        nonlocal answer
        answer = way(wire, secret).wire()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.partition(b":")[2]))
            writer.write(answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", set_way
    finally:
        server.close()
        await server.wait_closed()
