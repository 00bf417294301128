"""One line a request: JSON for machines, colours for a terminal, nothing of what was asked or answered."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import msgspec
import structlog

Style = Literal["json", "console", "off"]


class RequestLog:
    """Writes lines to a stream, each by one write.

    Args:
        stream: standard error when None.
        style: `console` colours them where the stream is a terminal.
    """

    def __init__(self, stream: TextIO | None = None, *, style: Style = "json") -> None:
        self._stream = stream = sys.stderr if stream is None else stream
        self._style = style
        render: Any
        if style == "console":
            coloured = stream.isatty()
            render = structlog.dev.ConsoleRenderer(colors=coloured, pad_event_to=0)
        else:
            render = structlog.processors.JSONRenderer(serializer=_dumps)
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(stream),
            processors=[structlog.processors.add_log_level, _stamp, render],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        ).bind()

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
            (self._log.warning if failed else self._log.info)(event, **said)
        except (OSError, ValueError):  # a terminal that went away, or a full disk, must end no request
            return


def _dumps(value: Any, **_options: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _plain(value: Any) -> Any:
    """`value` such that it can steer no terminal and make no second line."""
    if isinstance(value, str) and not value.isprintable():
        return value.encode("ascii", "backslashreplace").decode().encode("unicode_escape").decode()
    return value
