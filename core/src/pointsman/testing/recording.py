"""Real exchanges with an upstream, recorded once and replayed without a network.

A recording is one JSON file: by the name of a test, its requests and answers in order. It has no credential:
no header but those that say what a body is and how much may be sent, and all that is left has been through a
scrubber that knows the key.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from pointsman._internal.httpx_lazy import httpx
from pointsman._internal.scrubber import HIDDEN_FROM, Scrubber
from pointsman.testing.replay import CannedReply, Ending, ReplyBody

_KEPT = ("content-type", "retry-after", "accept")
_OF_RATES = "ratelimit"
_WANTED = "record it again: pytest --pointsman-live"


class Exchange(Struct):
    """One request and what came back.

    Attributes:
        pieces: of the body, each with the seconds since the request was sent.
        ending: how the body ended: `silence` for one that was not read to its end.
        error: the class of httpx's that came in place of an answer.
    """

    method: str
    target: str
    sent: bytes
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    ending: Ending = "silence"
    error: str = ""


class Recording:
    """The exchanges of one file, by the name of a test.

    Raises: ValueError when the file holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exchanges: dict[str, list[Exchange]] = {}
        self._about: dict[str, Any] = {}
        if path.exists():
            try:
                self._about = json.loads(path.read_text("utf-8"))
                self.exchanges = {
                    name: [_read(each) for each in some] for name, some in self._about["exchanges"].items()
                }
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{path} is no recording of exchanges; {_WANTED}") from error

    def keep(self, name: str, exchanges: Sequence[Exchange], key: str | None) -> None:
        """Write `exchanges` in place of those that the test had, without `key`. Raises ValueError."""
        if key is not None and len(key) < HIDDEN_FROM:
            raise ValueError(
                f"the key has fewer than {HIDDEN_FROM} characters, and cannot be told from a word"
            )
        scrubber = Scrubber([] if key is None else [key])
        self.exchanges[name] = [_scrubbed(each, scrubber) for each in exchanges]
        about = {
            "recorded": datetime.now(UTC).date().isoformat(),
            "exchanges": {
                each: [_written(one) for one in some] for each, some in sorted(self.exchanges.items())
            },
        }
        text = json.dumps(about, indent=1, ensure_ascii=True) + "\n"
        if key is not None and scrubber.ours(text) != text:
            raise ValueError("the key stands in the recording, which was not written")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(text, "utf-8")


# ── recording ────────────────────────────────────────────────────────────────────────────────────────


class RecordingTransport(httpx.AsyncBaseTransport):
    """Hands everything on to `inner`, and keeps what passes."""

    def __init__(self, inner: httpx.AsyncBaseTransport, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner, self._clock = inner, clock
        self.exchanges: list[Exchange] = []
        self.bodies: list[RecordedBody] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = Exchange(request.method, _target(request), request.content)
        self.exchanges.append(exchange)
        begun = self._clock()
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            exchange.error = type(error).__name__
            raise
        exchange.status, exchange.headers = response.status_code, dict(response.headers)
        body = RecordedBody(response.stream, exchange, lambda: self._clock() - begun)
        self.bodies.append(body)
        return httpx.Response(response.status_code, headers=response.headers, stream=body)

    async def aclose(self) -> None:
        await self._inner.aclose()


class RecordedBody(httpx.AsyncByteStream):
    """A body that passes by."""

    def __init__(self, inner: Any, exchange: Exchange, since: Callable[[], float]) -> None:
        self._inner, self._exchange, self._since = inner, exchange, since
        self.released = False
        self.abort = self._abort if callable(getattr(inner, "abort", None)) else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._inner:
                self._exchange.pieces.append((self._since(), bytes(piece)))
                yield piece
        except httpx.TransportError:
            self._exchange.ending = "break"
            raise
        self._exchange.ending = "end"

    def _abort(self) -> None:
        self.released = True
        self._inner.abort()

    async def aclose(self) -> None:
        self.released = True
        await self._inner.aclose()


# ── replaying ────────────────────────────────────────────────────────────────────────────────────────


class ReplayedTransport(httpx.AsyncBaseTransport):
    """Answers with what was recorded, where the same is asked in the same order.

    Attributes:
        bodies: of the answers that were given.
        mismatch: what was asked otherwise than it is recorded; None while nothing was.
    """

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self._left = list(exchanges)
        self.bodies: list[ReplyBody] = []
        self.mismatch: str | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = self._left.pop(0) if self._left else None
        self.mismatch = self.mismatch or _difference(exchange, request)
        if self.mismatch is not None or exchange is None:
            raise httpx.ConnectError(self.mismatch or _WANTED)
        if exchange.error:
            raise getattr(httpx, exchange.error)("as recorded")
        body = ReplyBody(_reply(exchange))
        self.bodies.append(body)
        return httpx.Response(exchange.status, headers=exchange.headers, stream=body)


def _reply(exchange: Exchange) -> CannedReply:
    cuts, at = [], 0
    for _, piece in exchange.pieces:
        at += len(piece)
        cuts.append(at)
    body = b"".join(piece for _, piece in exchange.pieces)
    return CannedReply(exchange.status, body, exchange.headers, cuts, exchange.ending)


def _difference(recorded: Exchange | None, request: httpx.Request) -> str | None:
    asked = f"{request.method} {_target(request)}"
    if recorded is None:
        return f"{asked} is not recorded; {_WANTED}"
    was = f"{recorded.method} {recorded.target}"
    if asked != was:
        return f"{asked} was asked, and {was} is recorded; {_WANTED}"
    if _value(request.content) != _value(recorded.sent):
        return f"{asked} is recorded with another body; {_WANTED}"
    return None


def _value(body: bytes) -> Any:
    """JSON by what it says: the order of its members is nobody's business."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def _target(request: httpx.Request) -> str:
    return bytes(request.url.raw_path).decode("ascii", "replace")


# ── as a file has them ───────────────────────────────────────────────────────────────────────────────


def _scrubbed(exchange: Exchange, scrubber: Scrubber) -> Exchange:
    """Without credentials, wherever the upstream may have repeated them."""
    whole = b"".join(piece for _, piece in exchange.pieces)
    pieces = exchange.pieces
    if (shown := scrubber.data(whole)) != whole:
        pieces = [(pieces[-1][0], shown)]  # one may have stood across two of them
    kept = {name: value for name, value in exchange.headers.items() if name in _KEPT or _OF_RATES in name}
    return Exchange(
        exchange.method,
        scrubber.text(exchange.target),
        scrubber.data(exchange.sent),
        exchange.status,
        {name: scrubber.text(value) for name, value in kept.items()},
        pieces,
        exchange.ending,
        exchange.error,
    )


def _written(exchange: Exchange) -> dict[str, Any]:
    return {
        "method": exchange.method,
        "target": exchange.target,
        "sent": _as_json(exchange.sent),
        "status": exchange.status,
        "headers": exchange.headers,
        "pieces": [[round(seconds, 3), _as_json(piece)] for seconds, piece in exchange.pieces],
        "ending": exchange.ending,
        "error": exchange.error,
    }


def _read(written: Mapping[str, Any]) -> Exchange:
    return Exchange(
        method=written["method"],
        target=written["target"],
        sent=_as_bytes(written["sent"]),
        status=written["status"],
        headers=dict(written["headers"]),
        pieces=[(seconds, _as_bytes(piece)) for seconds, piece in written["pieces"]],
        ending=written["ending"],
        error=written["error"],
    )


def _as_json(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode("ascii")}


def _as_bytes(written: str | Mapping[str, str]) -> bytes:
    return written.encode("utf-8") if isinstance(written, str) else b64decode(written["base64"])
