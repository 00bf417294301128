"""One line a request: JSON for machines, colours for a terminal, nothing of what was asked or answered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

Style = Literal["json", "console", "off"]
Tell = Callable[[str, str, Mapping[str, Any]], None]
"""Writes one line, of a level, an event and its fields."""


class RequestLog:
    """Writes lines to a stream, each by one write.

    Args:
        stream: standard error when None.
        style: `console` colours them where the stream is a terminal.
    """

    def __init__(self, stream: TextIO | None = None, *, style: Style = "json") -> None:
        stream = sys.stderr if stream is None else stream
        self._style = style
        self._tell = _console(stream) if style == "console" else _json(stream)

    @property
    def wanted(self) -> bool:
        """Whether anything is written at all."""
        return self._style != "off"

    def write(self, event: str, fields: Mapping[str, Any], *, failed: bool = False) -> None:
        """One line about `event`; `failed` makes it a warning. What cannot be written is left out."""
        if self._style == "off":
            return
        said = {name: _plain(value) for name, value in fields.items() if value is not None}
        try:
            self._tell("warning" if failed else "info", event, said)
        except (OSError, ValueError):  # a terminal that went away, or a full disk, must end no request
            return


def _json(stream: TextIO) -> Tell:
    def tell(level: str, event: str, said: Mapping[str, Any]) -> None:
        line = {**said, "event": event, "level": level, "timestamp": datetime.now(UTC)}
        stream.write(msgspec.json.encode(line, order="deterministic").decode() + "\n")
        stream.flush()

    return tell


def _console(stream: TextIO) -> Tell:
    # For people only: with rich, which it imports, it is a sixth of the start of a gateway that writes JSON.
    import structlog

    log = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    ).bind()
    told = {"info": log.info, "warning": log.warning}

    def tell(level: str, event: str, said: Mapping[str, Any]) -> None:
        told[level](event, **said)

    return tell


def _plain(value: Any) -> Any:
    """`value` such that it can steer no terminal and make no second line."""
    if isinstance(value, str) and not value.isprintable():
        return value.encode("ascii", "backslashreplace").decode().encode("unicode_escape").decode()
    return value
