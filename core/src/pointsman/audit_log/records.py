"""What the audit writes of an event: a record, one JSON object on a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct, defstruct, to_builtins
from msgspec.json import Encoder
from msgspec.structs import astuple

from pointsman._internal import jsonio
from pointsman.audit_log.contents import Content
from pointsman.events import (
    NO_TAGS,
    AttemptEnded,
    BreakerChanged,
    CallerRefused,
    Event,
    HealthChanged,
    Mirrored,
    Reloaded,
    RequestEnded,
    RequestStarted,
    StateChanged,
)

VERSION = 2
KEY_ID = "key_id"
"""The tag in which the gateway says by which of its keys a caller is known."""
_CAP = 1024
_RENAMED = {
    "seconds": "ms", "first_token": "first_token_ms", "missing": "count",
    "code": "error", "asked_seconds": "asked_ms", "asked_first_token": "asked_first_token_ms",
}  # fmt: skip


class Gap(Struct, frozen=True, gc=False):  # holds no object that could hold it, so nothing can leak
    """Records that are not in the file: so many, from that number on."""

    from_seq: int
    missing: int
    reason: str


def _record_of(kind: type[Struct]) -> type[Struct]:
    """What is written of such an event: a head, then its fields in their order.

    Not when it began, which follows from the rest. One that holds nothing is left out: "", None, or what the
    field is when nobody gives it.
    """
    names, given = kind.__struct_fields__, kind.__struct_defaults__
    defaults = dict(zip(names[len(names) - len(given) :], given, strict=True))
    if "tags" in names:  # of which the gateway puts the id of the caller's key
        names, defaults["key_id"] = (names[0], "key_id", *names[1:]), ""
    fields = [
        (name, Any, defaults.get(name, "" if kind.__annotations__.get(name) in (str, "str") else None))
        for name in names
        if name != "wall"
    ]
    return defstruct(
        kind.__name__,
        ["v", "seq", "ts", "event", *fields],
        rename=_RENAMED,
        omit_defaults=True,
        gc=False,
    )


# Every call has one of these and one of those, so they are filled by position, and without a loop.
_Attempt = _record_of(AttemptEnded)
_Request = _record_of(RequestEnded)
_Started = _record_of(RequestStarted)


def _who(tags: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """The id of the caller's key, and what else there is in the tags."""
    if not tags:
        return "", NO_TAGS
    rest = dict(tags)
    return rest.pop(KEY_ID, ""), rest or NO_TAGS


def _start(event: RequestStarted, seq: int, ts: str) -> Struct:
    key_id, tags = _who(event.tags)
    return _Started(
        VERSION, seq, ts, "start", event.request_id, key_id, event.operation, event.model, event.caller, tags
    )


def _attempt(event: AttemptEnded, seq: int, ts: str) -> Struct:
    key_id, tags = _who(event.tags)
    first_token = event.first_token
    ms = int(event.seconds * 1e6 + 0.5) / 1e3  # a third of what `round` takes
    first_token_ms = None if first_token is None else int(first_token * 1e6 + 0.5) / 1e3
    return _Attempt(
        VERSION, seq, ts, "attempt", event.request_id, key_id, event.model, event.deployment, event.number,
        event.outcome, event.error, event.detail, event.status, ms, first_token_ms, event.usage,
        event.upstream_request_id, event.hedge, event.caller, tags, event.cost_microcents,
    )  # fmt: skip


def _request(event: RequestEnded, seq: int, ts: str) -> Struct:
    key_id, tags = _who(event.tags)
    ms = int(event.seconds * 1e6 + 0.5) / 1e3
    return _Request(
        VERSION, seq, ts, "request", event.request_id, key_id, event.operation, event.model, event.pool,
        event.deployment, event.result, event.error, event.detail, event.attempts, ms, event.usage,
        event.caller, tags, event.cost_microcents, event.rule, event.delivered,
    )  # fmt: skip


_Content = _record_of(Content)


def _content(event: Content, seq: int, ts: str) -> Struct:
    key_id, tags = _who(event.tags)
    return _Content(
        VERSION, seq, ts, "content", event.request_id, key_id, event.model, event.caller, tags, event.asked,
        event.answered, event.cut, event.left_out,
    )  # fmt: skip


_Refused = _record_of(CallerRefused)


def _refused(event: CallerRefused, seq: int, ts: str) -> Struct:
    return _Refused(VERSION, seq, ts, "refused", *astuple(event)[:-1])


_Mirrored = _record_of(Mirrored)


def _mirror(event: Mirrored, seq: int, ts: str) -> Struct:
    def ms(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds * 1e3, 3)

    values = {name: getattr(event, name) for name in _Mirrored.__struct_fields__[4:]}
    for name in ("seconds", "first_token", "asked_seconds", "asked_first_token"):
        values[name] = ms(values[name])
    return _Mirrored(VERSION, seq, ts, "mirror", **values)


def _whole(kind: type[Struct], name: str) -> Callable[[Any, int, str], Struct]:
    record = _record_of(kind)
    return lambda event, seq, ts: record(VERSION, seq, ts, name, *astuple(event))


MAKERS: dict[type[Event | RequestStarted | Content | Gap], Callable[[Any, int, str], Struct]] = {
    AttemptEnded: _attempt,
    RequestEnded: _request,
    RequestStarted: _start,
    CallerRefused: _refused,
    Content: _content,
    BreakerChanged: _whole(BreakerChanged, "breaker"),
    HealthChanged: _whole(HealthChanged, "health"),
    Reloaded: _whole(Reloaded, "reload"),
    StateChanged: _whole(StateChanged, "state"),
    Mirrored: _mirror,
    Gap: _whole(Gap, "gap"),
}


def record_of(event: Event | RequestStarted | Content | Gap, seq: int, ts: str) -> Any:
    """`event` as number `seq` of the records, told at `ts`.

    It has `v`, `seq`, `ts` and `event`, then the event's own fields, times in milliseconds.

    Raises: whatever a value does that is not what the event says; plugins put values in.
    """
    return MAKERS[event.__class__](event, seq, ts)


def timestamp(milliseconds: int) -> str:
    """That moment, since 1970, in ISO 8601, UTC."""
    return f"{_to_the_second(milliseconds // 1000)}.{milliseconds % 1000:03}+00:00"


@lru_cache(maxsize=4)
def _to_the_second(wall: int) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S")


# A subclass of `str` is text. Whatever else JSON does not have is refused.
_ENCODER = Encoder(enc_hook=str.__str__)
_encode, _encode_lines = _ENCODER.encode, _ENCODER.encode_lines


def lines(records: Sequence[Any]) -> bytes:
    """Each of `records` as a line of JSON; strings are cut at 1 KiB, and what holds nothing is left out.

    Raises: ValueError, OverflowError, TypeError when one holds what JSON cannot.
    """
    try:
        written = _encode_lines(records)
    except UnicodeEncodeError:  # half a surrogate pair, which only the standard library writes
        pass
    else:
        if _are_short(written):  # longer ones may have something to cut
            return written
    return b"".join(map(_line, records))


def _are_short(lines: bytes) -> bool:
    # From one line's end to the last that is near enough: to split them takes four times as long.
    at = 0
    while at < len(lines):
        at = lines.rfind(b"\n", at, at + _CAP + 1) + 1
        if not at:
            return False
    return True


def _line(record: Any) -> bytes:
    """One line, the same whatever is written beside it."""
    try:
        written = _encode(record)
    except UnicodeEncodeError:
        return _odd_line(record)
    return written + b"\n" if len(written) <= _CAP else _odd_line(record)


def _odd_line(record: Any) -> bytes:
    plain = to_builtins(record, enc_hook=str.__str__)
    cut = {key: value[:_CAP] if isinstance(value, str) else value for key, value in plain.items()}
    try:
        return _encode(cut) + b"\n"
    except UnicodeEncodeError:
        return jsonio.dumps(cut) + b"\n"


def line(event: Event | RequestStarted | Content | Gap, *, seq: int, wall: float) -> bytes:
    """The record of one event as JSON. Raises as `record_of` and `lines` do."""
    return lines([record_of(event, seq, timestamp(int(wall * 1e3)))]).rstrip()


def body_of(record: Any) -> bytes:
    """What a record says after `v`, `seq`, `ts` and `event`, each member after a comma. Raises as `lines`."""
    written = _line(record)
    return written[written.index(b'"', written.index(b'"event":"') + 9) + 1 : -2]
