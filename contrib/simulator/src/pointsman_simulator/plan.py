"""From a rendered reply to what is written on the wire, and when: faults, pace, cuts. No I/O."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pointsman_simulator.compose import BROKEN_UTF8
from pointsman_simulator.exchange import Answer, Stream
from pointsman_simulator.script import Fault, Reply

Ending = Literal["end", "cut", "reset", "stall"]

_BROKEN = BROKEN_UTF8.encode()
_DRIP_S = 0.02  # between two writes of a dripping body


@dataclass(frozen=True, slots=True)
class Write:
    """`data`, `delay` seconds after the write before it; `events` content events end with it."""

    data: bytes
    delay: float = 0.0
    events: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """One answer on the wire.

    Attributes:
        length: the Content-Length that is announced, None for a chunked transfer.
        apart: let the loop run between the writes, so that they do not melt into one.
        ending: "end" as HTTP wants it; "cut", "reset" and "stall" leave the body unfinished.
        pause: seconds before a cut or reset.
    """

    status: int
    headers: Mapping[str, str]
    writes: tuple[Write, ...] = field(repr=False)
    length: int | None = None
    apart: bool = False
    ending: Ending = "end"
    pause: float = 0.0


def plan_stream(stream: Stream, reply: Reply, *, junk: bytes, ping: bytes, error: bytes) -> Plan:
    """How `stream` is sent under the orders of `reply`.

    Args:
        junk, ping: one frame each, of the wire.
        error: the wire's error frames, for `Fault.error_after`.
    """
    fault = reply.fault
    writes = list(_writes(stream, reply, junk, ping))
    ending: Ending = "end"
    if fault is not None and fault.n_events is not None:
        if fault.name == "error":
            writes.append(Write(error))
        elif fault.name in ("reset", "stall", "cut"):
            ending = fault.name
    content_type, replaced = stream.content_type, None
    if fault is not None and fault.name == "wrong_content_type":
        content_type, replaced = fault.target, fault.body
    if replaced is not None:
        writes = [Write(replaced)]
    return Plan(
        200,
        {"content-type": content_type, **stream.headers, **reply.headers},
        _shaped(writes, reply),
        None,
        reply.split_bytes is not None,
        ending,
        fault.seconds if fault is not None else 0.0,
    )


def plan_answer(answer: Answer, reply: Reply) -> Plan:
    """How a whole body is sent under the orders of `reply`."""
    fault, body, ending, length = reply.fault, answer.body, "end", None
    content_type = answer.content_type
    match fault:
        case Fault(name="reset" | "stall" | "cut") if fault.n_events is not None:
            body, ending, length = body[: len(body) // 2], fault.name, len(body)
        case Fault(name="truncate"):
            body = body[: len(body) // 2]
        case Fault(name="invalid_json"):
            body = body[: len(body) // 2] + b",,"
        case Fault(name="wrong_content_type"):
            content_type, body = fault.target, body if fault.body is None else fault.body
    return Plan(
        answer.status,
        {"content-type": content_type, **answer.headers, **reply.headers},
        _shaped([Write(body)], reply),
        length if length is not None else len(body) + _growth(body, reply),
        reply.split_bytes is not None,
        ending,  # type: ignore[arg-type]  # the checker widens the literals of a match
        fault.seconds if fault is not None else 0.0,
    )


def _writes(stream: Stream, reply: Reply, junk: bytes, ping: bytes) -> Iterator[Write]:
    fault = reply.fault
    stops = fault is not None and fault.name in ("reset", "stall", "cut", "truncate", "error")
    limit = fault.n_events if fault is not None and stops else None
    gap = 1 / reply.tokens_per_second if reply.tokens_per_second else stream.delay
    if fault is None or fault.opening:
        yield from map(Write, stream.opening)
        for _ in range(reply.pings):
            yield Write(ping, reply.ping_interval)
    for i, frame in enumerate(stream.content if limit is None else stream.content[:limit]):
        if fault is not None and fault.name == "invalid_json" and i == fault.n_events:
            yield Write(junk)
        yield Write(frame, gap if i else 0.0, 1)
    if fault is not None and fault.name == "invalid_json" and (fault.n_events or 0) >= len(stream.content):
        yield Write(junk)
    if limit is None:
        yield from map(Write, stream.closing)
        if not reply.omit_terminator:
            yield Write(stream.terminator)


def _shaped(writes: list[Write], reply: Reply) -> tuple[Write, ...]:
    """The writes with broken characters put in, dripped, cut or joined as the reply says."""
    fault = reply.fault
    if fault is not None and fault.name == "invalid_utf8":
        writes = [Write(_broken(w.data), w.delay, w.events) for w in writes]
    joined = tuple(_joined(writes))
    if fault is not None and fault.name == "drip":
        size = max(1, math.ceil(fault.rate * _DRIP_S))
        return tuple(_cut(joined, size, size / fault.rate))
    if reply.split_bytes is not None:
        return tuple(_cut(joined, reply.split_bytes, 0.0))
    return joined


def _broken(data: bytes) -> bytes:
    return data.replace(_BROKEN, b"\xff\xfe")


def _growth(body: bytes, reply: Reply) -> int:
    broken = reply.fault is not None and reply.fault.name == "invalid_utf8"
    return len(_broken(body)) - len(body) if broken else 0


def _joined(writes: list[Write]) -> Iterator[Write]:
    """Writes without a delay are added to the one before them."""
    parts: list[bytes] = []
    delay, events = 0.0, 0
    for write in writes:
        if write.delay and parts:
            yield Write(b"".join(parts), delay, events)
            parts, events = [], 0
        if not parts:
            delay = write.delay
        parts.append(write.data)
        events += write.events
    if parts:
        yield Write(b"".join(parts), delay, events)


def _cut(writes: tuple[Write, ...], size: int, delay: float) -> Iterator[Write]:
    for write in writes:
        pieces = [write.data[i : i + size] for i in range(0, len(write.data), size)]
        for i, piece in enumerate(pieces):
            last = i == len(pieces) - 1
            yield Write(piece, delay or (0.0 if i else write.delay), write.events if last else 0)
