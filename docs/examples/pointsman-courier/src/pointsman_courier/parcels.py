"""The Courier's answers: parcels out of bytes, events out of parcels. Pure: no I/O, no clock.

A parcel is a letter for its kind, four bytes for its length (big-endian), and so many bytes:

    T   a piece of text, UTF-8
    C   a piece of a tool call, JSON: {"number", "with"}, in the first piece also {"id", "tool"}
    V   a vector, 32-bit floats (big-endian)
    E   a failure, JSON: {"code", "message"}; nothing follows
    Z   the seal, JSON: {"reason", "tokens": {"in", "out"}}; nothing follows
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import error as struct_error
from struct import unpack
from typing import Any

from pointsman.plugin import (
    BadResponse,
    CallError,
    ContentFiltered,
    ContextWindowExceeded,
    Decoder,
    Finished,
    FinishReason,
    Framer,
    ModelNotFound,
    Overloaded,
    QuotaExhausted,
    SseEvent,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    Truncated,
    Unavailable,
    Usage,
    UsageUpdate,
    json_or_none,
)

CODES: Mapping[str, type[CallError]] = {
    "desk_full": Overloaded,
    "no_such_writer": ModelNotFound,
    "too_long": ContextWindowExceeded,
    "not_delivered": ContentFiltered,
    "out_of_stamps": QuotaExhausted,
}
"""What the Courier's codes mean where its HTTP status says too little, also in the midst of a letter."""
_REASONS: Mapping[str, FinishReason] = {
    "signed": "stop",
    "out_of_paper": "length",
    "asks": "tool_calls",
    "censored": "content_filter",
}
_HEAD = 5
_LARGEST = 4 << 20
"""Bytes of a parcel: a length that is a lie must not make us wait for four gigabytes."""


class ParcelFramer(Framer):
    """Parcels out of bytes cut anywhere; each is an `SseEvent` of its kind and its content."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._sealed = False

    def feed(self, data: bytes, /) -> list[SseEvent]:
        parcels: list[SseEvent] = []
        self._bytes += data
        at = 0
        while not self._sealed and len(self._bytes) - at >= _HEAD:
            kind, length = unpack(">cI", self._bytes[at : at + _HEAD])
            if length > _LARGEST:
                if parcels:
                    break  # those before it are given first, wherever the bytes were cut
                raise BadResponse(f"the Courier announces a parcel of {length} bytes")
            end = at + _HEAD + length
            if len(self._bytes) < end:
                break
            parcels.append(SseEvent(kind.decode("latin-1"), bytes(self._bytes[at + _HEAD : end])))
            self._sealed = kind == b"Z"  # what follows the seal is none of our business
            at = end
        del self._bytes[: len(self._bytes) if self._sealed else at]
        return parcels

    def close(self) -> list[SseEvent]:
        return self.feed(b"")  # a parcel is whole or it is none


class LetterDecoder(Decoder):
    """The events of one letter, whose seal must be there."""

    def __init__(self) -> None:
        self.done = False
        self._calls = 0

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        match frame.event:
            case "T":
                return self._text(frame.data)
            case "C":
                return [self._call(_object(frame.data))]
            case "Z":
                self.done = True
                return _sealed(_object(frame.data))
            case "E":
                raise failure(frame.data)
            case _:
                return []  # a kind that later Couriers may have is a sign of life

    def close(self) -> Sequence[StreamEvent]:
        raise Truncated("the Courier's letter has no seal")

    def _text(self, data: bytes) -> Sequence[StreamEvent]:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise BadResponse(f"the Courier's text is not UTF-8: {error.reason}") from None
        return [TextDelta(text)] if text else []

    def _call(self, piece: dict[str, Any]) -> ToolCallDelta:
        number = _count(piece.get("number"))
        given = tuple(piece.get(name, "") for name in ("id", "tool", "with"))
        if number is None or not all(isinstance(each, str) for each in given):
            raise BadResponse("the Courier calls a tool in words that nobody knows")
        id, name, arguments = given
        if number > self._calls or (number == self._calls and not name):
            raise BadResponse("the Courier goes on with a call that it has not begun")
        if number < self._calls:
            return ToolCallDelta(number, arguments=arguments)
        self._calls += 1
        return ToolCallDelta(number, id or f"call_{number}", name, arguments)


def vectors_of(content: bytes) -> tuple[list[list[float]], Usage]:
    """The vectors of a whole answer and what it cost. Raises Truncated without the seal."""
    vectors: list[list[float]] = []
    for kind, data in ParcelFramer().feed(content):
        match kind:
            case "V":
                try:
                    vectors.append([*unpack(f">{len(data) // 4}f", data)])
                except struct_error:
                    raise BadResponse(f"the Courier's vector has {len(data)} bytes") from None
            case "E":
                raise failure(data)
            case "Z":
                return vectors, _usage(_object(data))
    raise Truncated("the Courier's vectors have no seal")


def failure(data: bytes) -> CallError:
    """The error that a parcel of kind E is."""
    said = json_or_none(data)
    said = said if isinstance(said, dict) else {}
    code, message = str(said.get("code", ""))[:100], str(said.get("message", ""))[:500]
    return CODES.get(code, Unavailable)(
        f"the Courier gave up: {message or code or 'it does not say why'}", upstream_code=code
    )


def _sealed(seal: dict[str, Any]) -> list[StreamEvent]:
    word = seal.get("reason")
    reason = _REASONS.get(word, "other") if isinstance(word, str) else "other"
    return [UsageUpdate(_usage(seal)), Finished(reason, word if isinstance(word, str) else None)]


def _usage(seal: dict[str, Any]) -> Usage:
    tokens = seal.get("tokens")
    tokens = tokens if isinstance(tokens, dict) else {}
    return Usage(prompt=_count(tokens.get("in")), completion=_count(tokens.get("out")))


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None  # True is an int, too


def _object(data: bytes) -> dict[str, Any]:
    value = json_or_none(data)
    if not isinstance(value, dict):
        raise BadResponse("a parcel of the Courier's is no JSON object")
    return value
