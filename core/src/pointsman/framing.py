"""Server-sent events and JSON lines out of a byte stream that may be cut anywhere.

Both framers take bytes as they come and give whole frames; what is incomplete waits for the next bytes.
Lines end with LF, CR or CRLF and with nothing else: `str.splitlines` and client libraries also split on
U+2028, U+0085 and others, which model output may contain.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from pointsman.errors import BadResponse

MAX_LINE = 1 << 20
MAX_EVENT = 4 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One server-sent event: its name ("" when it has none) and its data lines joined by LF."""

    event: str
    data: bytes


class LineFramer:
    """Lines out of bytes, without their ends.

    Raises: BadResponse for a line longer than `max_line` bytes, so memory stays bounded. The lines before
        it are given first, wherever the bytes were cut.
    """

    __slots__ = ("_after_cr", "_max_line", "_partial", "_searched", "_too_long")

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._partial = bytearray()
        self._searched = 0
        self._after_cr = False
        self._max_line = max_line
        self._too_long = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, in order."""
        if self._too_long:
            raise self._refusal()
        if self._after_cr and data:
            # A CRLF cut in two: the CR already ended the line, its LF must not end another.
            self._after_cr = False
            if data[0] == 0x0A:
                data = data[1:]
        partial = self._partial
        if b"\r" in data:
            self._after_cr = data[-1] == 0x0D
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not partial and data.endswith(b"\n"):  # whole lines, as nearly every read brings them
            end = len(data) - 1
            lines = data[:end].split(b"\n")
        else:
            partial += data
            end = partial.rfind(b"\n", self._searched)
            lines = []
            if end >= 0:
                lines = bytes(partial[:end]).split(b"\n")
                del partial[: end + 1]
            self._searched = len(partial)
        longest = self._max_line
        if len(partial) > longest or (end > longest and any(len(line) > longest for line in lines)):
            self._too_long = True
            partial.clear()
            lines = list(takewhile(lambda line: len(line) <= longest, lines))
            if not lines:
                raise self._refusal()
        return lines

    def close(self) -> bytes:
        """The last line when it lacks its end, else nothing. The framer is empty afterwards."""
        if self._too_long:
            raise self._refusal()
        rest = bytes(self._partial)
        self._partial.clear()
        self._searched = 0
        self._after_cr = False
        return rest

    def _refusal(self) -> BadResponse:
        return BadResponse(f"the upstream sent a line of more than {self._max_line} bytes")


class SseFramer:
    """Server-sent events out of bytes.

    Comments and unknown fields are passed over, `id` and `retry` too. An event without its blank line at
    the end of the body is dropped, as the format demands.

    Raises: BadResponse for a line above 1 MiB or an event above `max_event` bytes, after the events before.
    Source: WHATWG HTML, "Server-sent events", parsing an event stream.
    """

    __slots__ = ("_at_start", "_data", "_event", "_full", "_lines", "_size")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._full = max_event + 1  # the last line of an event has no line feed
        self._lines = LineFramer()
        self._at_start = True
        self._event = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes, in order."""
        if self._size > self._full:
            raise self._refusal()
        events: list[SseEvent] = []
        for line in self._lines.feed(data):
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(_BOM)
            if not line:
                if self._data:
                    events.append(SseEvent(self._event, b"\n".join(self._data)))
                    self._data = []
                    self._size = 0
                self._event = ""
            elif line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                # The line feed counts too: an event of nothing but empty lines must not grow for ever.
                self._size += len(value) + 1
                self._data.append(value)
            elif line.startswith(b"event:"):
                self._event = line[6:].removeprefix(b" ").decode("utf-8", "replace")
            elif line == b"data":
                self._size += 1
                self._data.append(b"")
            elif line == b"event":
                self._event = ""
            if self._size > self._full:
                self._data = []
                if not events:
                    raise self._refusal()
                break
        return events

    def close(self) -> list[SseEvent]:
        """Nothing: an unfinished event is dropped."""
        if self._size > self._full:
            raise self._refusal()
        self._lines.close()
        return []

    def _refusal(self) -> BadResponse:
        return BadResponse(f"the upstream sent an event of more than {self._full - 1} bytes")


class JsonLineFramer:
    """Lines of JSON (NDJSON) out of bytes; blank lines are ignored and the last may lack its end."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = LineFramer()

    def feed(self, data: bytes) -> list[SseEvent]:
        """The lines that `data` completes, each as an event without a name."""
        return [SseEvent("", line) for line in self._lines.feed(data) if line.strip()]

    def close(self) -> list[SseEvent]:
        """The last line, when it lacks its end."""
        rest = self._lines.close()
        return [SseEvent("", rest)] if rest.strip() else []
