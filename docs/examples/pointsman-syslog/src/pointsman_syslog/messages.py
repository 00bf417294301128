"""Events as messages of RFC 5424. Pure: no socket, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from pointsman.plugin import AttemptEnded, BreakerChanged, Event, HealthChanged, RequestEnded, Usage

FACILITIES = {"user": 1, "daemon": 3, "auth": 4} | {f"local{n}": 16 + n for n in range(8)}
ERROR, WARNING, INFORMATIONAL = 3, 4, 6
_LONGEST = 255
"""Characters of a value: so the longest message of all still fits into a datagram."""


class Messages:
    """Makes the messages of one process.

    Args:
        host, app: as RFC 5424 has HOSTNAME and APP-NAME; what it does not allow in them is left out.
    """

    def __init__(self, *, facility: str, host: str, app: str, pid: int) -> None:
        self._facility = 8 * FACILITIES[facility]
        self._from = f"{_name(host, 255)} {_name(app, 48)} {pid}"

    def of(self, event: Event, wall: float) -> bytes:
        """The message of an event that was told at `wall`, seconds since 1970."""
        kind = type(event).__name__
        told = " ".join(f'{name}="{_escaped(value)}"' for name, value in _fields(event))
        return self._message(_severity(event), wall, kind, f"[pointsman@32473 {told}]", _sentence(event))

    def gap(self, count: int, wall: float) -> bytes:
        """That `count` records are missing."""
        data = f'[pointsman@32473 count="{count}"]'
        return self._message(ERROR, wall, "Gap", data, f"{count} audit records were dropped")

    def _message(self, severity: int, wall: float, kind: str, data: str, text: str) -> bytes:
        when = datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        head = f"<{self._facility + severity}>1 {when} {self._from} {kind} {data}"
        return f"{head} \ufeff{text}".encode("utf-8", "backslashreplace")


def _severity(event: Event) -> int:
    match event:
        case AttemptEnded() | RequestEnded():
            return ERROR if event.error else INFORMATIONAL
        case BreakerChanged():
            return WARNING
        case HealthChanged():
            return INFORMATIONAL if event.healthy else WARNING
        case _:
            return INFORMATIONAL


def _sentence(event: Event) -> str:
    match event:
        case AttemptEnded():
            said = f"attempt at {event.deployment}: {event.error or event.outcome}"
        case RequestEnded():
            said = f"{event.operation} of {event.model}: {event.error or event.result}"
        case _:
            said = type(event).__name__
    return _clean(said)


def _fields(event: Event) -> Iterator[tuple[str, str]]:
    """What an event says, by the names of its fields; nothing of what it leaves open."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, Usage):
            yield from (
                (f"tokens_{part}", str(count))
                for part, count in (("prompt", value.prompt), ("completion", value.completion))
                if count is not None
            )
        elif isinstance(value, Mapping):
            if value:
                yield name, " ".join(f"{key}={each}" for key, each in value.items())
        elif isinstance(value, float):
            yield name, f"{value:.6f}"
        elif value not in (None, "", ()):
            yield name, str(value)


def _escaped(value: str) -> str:
    return _clean(value).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _clean(text: str) -> str:
    """`text` without what would drive a terminal or end a line, and not longer than it may be."""
    return "".join(each if each.isprintable() else "?" for each in text[:_LONGEST])


def _name(text: str, longest: int) -> str:
    return "".join(each for each in text if "!" <= each <= "~")[:longest] or "-"
