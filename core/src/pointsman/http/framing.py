"""Server-sent events and JSON lines out of a byte stream that may be cut anywhere.

Both framers take bytes as they come and give whole frames; what is incomplete waits for the next bytes.
Lines end with LF, CR or CRLF and with nothing else: `str.splitlines` and client libraries also split on
U+2028, U+0085 and others, which model output may contain.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import repeat, takewhile
from operator import methodcaller
from typing import NamedTuple

from pointsman._internal import jsonio
from pointsman.errors import BadResponse

MAX_EVENT = 4 << 20
MAX_LINE = MAX_EVENT + 64
"""An event of one line and the name of its field."""
_BOM = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
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

    @property
    def is_clean(self) -> bool:
        """Whether what comes next begins a line, whatever came before."""
        return not (self._partial or self._after_cr or self._too_long)

    def _refusal(self) -> BadResponse:
        return BadResponse(f"the upstream sent a line of more than {self._max_line} bytes")


class SseFramer:
    """Server-sent events out of bytes.

    Comments and unknown fields are passed over, `id` and `retry` too. Beyond what the format has, because
    servers do it: a field `error` is the data of an event of that name; JSON without a field before it (an
    error of a server that did not get as far as events, or the answer of one that does not stream) is an
    event, and so is the head of a page in place of events, up to a blank line; and the last event is given
    without its blank line, if its data is an end marker or whole JSON.

    Raises: BadResponse for an event above `max_event` bytes, after the events before.
    Source: WHATWG HTML, "Server-sent events", parsing an event stream.
    """

    __slots__ = ("_at_start", "_between", "_data", "_event", "_full", "_lines", "_loose", "_quick", "_size")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._full = max_event + 1  # the last line of an event has no line feed
        self._quick = max_event  # bytes in which nothing can be too long
        self._lines = LineFramer(max_event + MAX_LINE - MAX_EVENT)
        self._at_start = True
        self._between = True
        self._event = ""
        self._data: list[bytes] = []
        self._loose = False
        """The lines in `_data` had no field before them."""
        self._size = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes, in order."""
        between = self._between
        if not data or len(data) > self._quick:
            return self._feed_lines(data)
        if between:
            end = data.rfind(b"\n\n") + 2
            events = _plain_events(data if end == len(data) else data[:end])
            if events is None:
                return self._feed_lines(data)
            self._at_start = False
            if end < len(data):
                events += self._feed_lines(data[end:])
            return events
        # What is left of an event that was cut, and then as above.
        start = data.find(b"\n\n") + 2
        if start < 2:
            return self._feed_lines(data)
        events = self._feed_lines(data[:start])
        if self._between and start < len(data):
            events += self.feed(data[start:])
        return events

    def feed_plain(self, data: bytes) -> list[bytes] | None:
        """The data of the events that `data` completes, if these have one line each and nothing else.

        None, and nothing taken in, for whatever must be given to `feed`.
        """
        if not self._between or len(data) > self._quick:
            return None
        values = _plain_values(data)
        if values is not None:
            self._at_start = False
        return values

    def _feed_lines(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes, whatever they are made of."""
        self._between = False  # and so it stays when this raises
        if self._size > self._full:
            raise self._refusal()
        events: list[SseEvent] = []
        for line in self._lines.feed(data):
            if self._at_start:
                line = line.removeprefix(_BOM)
                self._loose = line.lstrip()[:1] == b"<"
                self._at_start = not line
            self._take(line, events)
            if self._size > self._full:
                self._data = []
                if not events:
                    raise self._refusal()
                break
        self._between = not (self._size or self._event) and self._lines.is_clean
        return events

    def _take(self, line: bytes, events: list[SseEvent]) -> None:
        """The next line; add to `events` the one that it completes."""
        if self._loose and line.startswith(_FIELDS):
            self._dispatch(events)
        if not line:
            self._dispatch(events)
        elif line.startswith(b"data:"):
            self._add(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            self._event = line[6:].removeprefix(b" ").decode("utf-8", "replace")
        elif line.startswith(b"error:"):
            self._event = "error"
            self._add(line[6:].removeprefix(b" "))
        elif self._loose or (not self._data and line[:1] in (b"{", b"[")):
            self._loose = True
            self._add(line)
        elif line == b"data":
            self._add(b"")
        elif line == b"event":
            self._event = ""

    def _add(self, value: bytes) -> None:
        # The line feed counts too: an event of nothing but empty lines must not grow for ever.
        self._size += len(value) + 1
        self._data.append(value)

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data or self._event == "error":  # an error without data is one all the same
            events.append(SseEvent(self._event, b"\n".join(self._data)))
        self._data = []
        self._size = 0
        self._event = ""
        self._loose = False

    def close(self) -> list[SseEvent]:
        """The last event, when it lacks its blank line and is whole; what was cut is dropped."""
        events: list[SseEvent] = []
        if self._size <= self._full and (rest := self._lines.close()):
            if self._at_start:
                rest = rest.removeprefix(_BOM)
                self._loose = rest.lstrip()[:1] == b"<"
            self._take(rest, events)
        if self._size > self._full:
            raise self._refusal()
        data = b"\n".join(self._data)
        if data and ((self._loose and data.lstrip()[:1] == b"<") or _is_whole(data)):
            self._dispatch(events)
        return events

    def _refusal(self) -> BadResponse:
        return BadResponse(f"the upstream sent an event of more than {self._full - 1} bytes")


_FIELDS = (b"data:", b"event:", b"error:", b"id:", b"retry:", b":")


def _is_whole(data: bytes) -> bool:
    if data.strip() == b"[DONE]":
        return True
    try:
        jsonio.loads(data)
    except ValueError:
        return False
    return True


def _plain_values(data: bytes) -> list[bytes] | None:
    """The data of each event of `data` when it is whole ones of one line each, else None.

    So nearly all upstreams write them. No Python runs for each single one.
    """
    if not data.startswith(b"data: ") or not data.endswith(b"\n\n") or b"\r" in data:
        return None
    values = data[6:-2].split(b"\n\ndata: ")
    # With another line among them, one of the values would hold its line feed. To count these takes ten times
    # as long as to copy the values and look for one.
    return None if b"\n" in b"".join(values) else values


def _plain_events(data: bytes) -> list[SseEvent] | None:
    """The same as events; also those of `data` when all of it is events with a name and then one line."""
    if not data.startswith(b"event: "):
        values = _plain_values(data)
        return None if values is None else _unnamed(values)
    if not data.endswith(b"\n\n") or b"\r" in data:
        return None
    named = [each.partition(b"\ndata: ") for each in data[7:-2].split(b"\n\nevent: ")]
    if data.count(b"\n") != 3 * len(named) or not all(separator for _, separator, _ in named):
        return None
    return [_made((name.decode("utf-8", "replace"), value)) for name, _, value in named]


def _unnamed(values: Iterable[bytes]) -> list[SseEvent]:
    return list(map(_made, zip(repeat(""), values)))


# As `SseEvent._make`, but no Python runs for each of them.
_made = partial(tuple.__new__, SseEvent)
_stripped = methodcaller("strip")


class JsonLineFramer:
    """Lines of JSON (NDJSON) out of bytes; blank lines are ignored and the last may lack its end."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = LineFramer()

    def feed_plain(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        return list(filter(_stripped, self._lines.feed(data)))

    def feed(self, data: bytes) -> list[SseEvent]:
        """The lines that `data` completes, each as an event without a name."""
        return _unnamed(filter(_stripped, self._lines.feed(data)))

    def close(self) -> list[SseEvent]:
        """The last line, when it lacks its end."""
        rest = self._lines.close()
        return [SseEvent("", rest)] if rest.strip() else []
