"""Frames of a streamed answer that go on as they came, with the public name of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import length_hint
from typing import Any, cast

from msgspec import Raw

from pointsman._internal import jsonio
from pointsman.errors import BadResponse, CallError
from pointsman.http.event_stream import Decoder, Framer, PlainDecoder, PlainFramer, has_plain
from pointsman.http.framing import MAX_LINE, SseEvent
from pointsman.http.text_runs import TextRuns
from pointsman.types import Relayed, StreamEvent
from pointsman.wire import rewriting
from pointsman.wire.opaque import events_marked, marked


class WholeFrames:
    """Bytes cut anywhere as whole frames in their order, as they came but for ends of lines."""

    __slots__ = ("_after_cr", "_end", "_rest", "_searched")

    def __init__(self, end: bytes) -> None:
        self._end = end
        self._rest = bytearray()
        self._searched = 0
        self._after_cr = False

    def feed_plain(self, data: bytes) -> Sequence[bytes]:
        """All frames that `data` completes, in one piece; none for none.

        Raises: BadResponse for one that is too long.
        """
        end, rest = self._end, self._rest
        if data.endswith(end) and not (rest or self._after_cr):  # as nearly every read brings them
            return (data,)
        if self._after_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        rest += data
        at = rest.rfind(end, self._searched)
        if at < 0:
            if len(rest) > MAX_LINE:
                raise BadResponse(f"the upstream sent an event of more than {MAX_LINE} bytes")
            self._searched = max(0, len(rest) - len(end) + 1)
            return ()
        at += len(end)
        whole = bytes(rest[:at])
        del rest[:at]
        self._searched = 0
        return (whole,)

    def feed(self, data: bytes) -> list[SseEvent]:
        """The same as an event."""
        return [SseEvent("", whole) for whole in self.feed_plain(data)]

    def close(self) -> list[SseEvent]:
        """The last frame, when it lacks its end."""
        rest = bytes(self._rest)
        self._rest.clear()
        return [SseEvent("", rest)] if rest.strip() else []

    def _with_line_feeds(self, data: bytes) -> bytes:
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class _Frames(list[Any]):
    """Frames that know how many of them have been taken out."""

    __slots__ = ("_taking",)

    def __init__(self, frames: Sequence[Any]) -> None:
        super().__init__(frames)
        self._taking: Iterator[Any] = super().__iter__()

    def __iter__(self) -> Iterator[Any]:
        self._taking = super().__iter__()
        return self._taking

    @property
    def taken(self) -> int:
        return len(self) - length_hint(self._taking)


class RelayedFrames:
    """Whole frames as events: those that the wire's own decoder reads, after a `Relayed` of the frames.

    What comes with an error or after the end marker is not sent on; nor are mere signs of life, for whoever
    sends frames on gives his own.
    """

    __slots__ = (
        "_decode_plain",
        "_decoder",
        "_end",
        "_ends",
        "_feed_plain",
        "_framer",
        "_marking",
        "_named",
        "_relays",
        "_runs",
    )

    def __init__(
        self,
        framer: Framer,
        decoder: Decoder,
        named: Callable[[bytes], bytes],
        marking: Marking | None,
        *,
        end: bytes,
        ends: bytes,
    ) -> None:
        self._framer = framer
        self._decoder = decoder
        plain = has_plain(framer, decoder)
        self._feed_plain = cast("PlainFramer", framer).feed_plain if plain else None
        self._decode_plain = cast("PlainDecoder", decoder).decode_plain if plain else None
        self._named = named
        self._marking = marking
        self._end = end
        self._ends = ends
        self._relays = False
        """Something was sent on."""
        self._runs = TextRuns(self._as_sent, decoder, end=end)

    @property
    def done(self) -> bool:
        """As of a `Decoder`."""
        return self._decoder.done

    @done.setter
    def done(self, done: bool) -> None:
        self._decoder.done = done

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        """The events of what `WholeFrames` gives."""
        events: list[StreamEvent] = []
        self.decode_plain((frame.data,), events)
        return events

    def decode_plain(self, values: Sequence[bytes], events: list[StreamEvent], /) -> None:
        """Add to `events` those of such pieces, up to the end marker."""
        runs = self._runs
        for whole in values:
            run = None if self._decoder.done else runs.read(whole)
            if run is not None:  # as nearly every read is
                self._run_on(run, events)
                continue
            while whole and not self._decoder.done:
                size = self._first_of(whole)
                first, whole = whole[:size], whole[size:]
                if (run := runs.read(first)) is None:
                    self._take(first, events)
                else:
                    self._run_on(run, events)

    def close(self) -> Sequence[StreamEvent]:
        """The body has ended; where the wire has an end marker, the caller gets one."""
        if frames := _Frames(self._framer.close()):
            last: list[StreamEvent] = []
            self._decode(frames, last)
            self._send_on(self._rewritten(frames), last, 0)
            return last
        events = self._decoder.close()
        return [Relayed(self._ends), *events] if self._ends and self._relays else events

    def _run_on(self, run: tuple[bytes, StreamEvent], events: list[StreamEvent]) -> None:
        self._relays = True
        events.append(Relayed(run[0]))
        if run[1].content:
            events.append(run[1])

    def _first_of(self, whole: bytes) -> int:
        """How many bytes of `whole` are taken first, as if they had come alone."""
        if self._runs.wanted:
            at = whole.find(self._end)
            return at + len(self._end) if at >= 0 else len(whole)
        return self._runs.cut(whole)

    def _take(self, whole: bytes, events: list[StreamEvent]) -> None:
        at = len(events)
        frames: Sequence[Any] | None = None if self._feed_plain is None else self._feed_plain(whole)
        if frames is None:
            frames = self._framer.feed(whole)
        if len(frames) == 1 and whole.endswith(self._end):  # as nearly every read
            self._decode(frames, events)
            single, said = whole, events[at:]
        else:
            single, said = b"", []
            whole = self._several(frames, whole, events)
        if whole and (len(events) > at or self._decoder.done or _say_something(frames)):
            self._send_on(whole, events, at)
        self._runs.learn(single, said)

    def _several(self, given: Sequence[Any], whole: bytes, events: list[StreamEvent]) -> bytes:
        """Add the events of any number of frames to `events`; what of `whole`, which they are, is sent on."""
        at, frames = len(events), _Frames(given)
        try:
            self._decode(frames, events)
            if not whole.endswith(self._end):  # the last frame of the body, cut off
                frames = _Frames(self._framer.close())
                self._decode(frames, events)
                sound = self._end == b"\n" or whole.startswith(_FIELDS)  # and no whole answer in its place
                return self._rewritten(frames) if sound else b""
        except CallError:
            if sound_frames := frames[: frames.taken - 1]:
                self._send_on(self._rewritten(sound_frames), events, at)
            raise
        return whole if frames.taken == len(frames) else self._rewritten(frames[: frames.taken])

    def _send_on(self, whole: bytes, events: list[StreamEvent], at: int) -> None:
        """Have the caller get `whole` frames before the events from `at` on."""
        self._relays, marking = True, self._marking
        events.insert(at, Relayed(self._as_sent(whole)))
        if marking is not None and marking.seen:
            events[at:] = events_marked(events[at:], marking.mark)

    def _as_sent(self, whole: bytes) -> bytes:
        named = self._named(whole)
        return named if self._marking is None else self._marking(named)

    def _decode(self, frames: Sequence[Any], events: list[StreamEvent]) -> None:
        if self._decode_plain is not None and frames and type(frames[0]) is bytes:
            self._decode_plain(frames, events)
            return
        decoder = self._decoder
        for frame in frames:
            events += decoder.decode(frame)
            if decoder.done:
                return

    def _rewritten(self, frames: Sequence[bytes | SseEvent]) -> bytes:
        return b"".join(_frame(each, self._end) for each in frames)


_FIELDS = (b"data:", b"event:", b":", b"id:", b"retry:")


def _say_something(frames: Sequence[Any]) -> bool:
    return any(not isinstance(each, SseEvent) or each.event != "ping" for each in frames)


def _frame(frame: bytes | SseEvent, end: bytes) -> bytes:
    name, data = frame if isinstance(frame, SseEvent) else ("", frame)
    if end == b"\n":
        return data + end
    lines = b"".join(b"data: %b\n" % line for line in data.split(b"\n"))
    return (b"event: %b\n" % name.encode() if name else b"") + lines + b"\n"


class Renaming:
    """Puts the public name of the model into frames, and touches nothing else of them.

    Frames of one answer begin alike: where one was read with care and its beginning holds the name, the same
    beginning is replaced in the following ones unread. With `data: ` before it, it cannot stand anywhere
    else: within a text its quotes would be escaped. Lines of JSON are looked at one by one.
    """

    __slots__ = ("_end", "_holder", "_new", "_old", "_public")

    def __init__(self, model: str, *, holder: str, end: bytes) -> None:
        self._public = rewriting.written(model)
        self._holder = holder
        self._end = end
        self._old = self._new = b""

    def __call__(self, whole: bytes) -> bytes:
        """`whole` frames with that name."""
        old = self._old
        if old and whole.startswith(old) and whole.find(_NAME, len(old)) < 0:  # one frame, like those before
            return self._new + whole[len(old) :]
        count = whole.count(_NAME)
        if not count:
            return whole
        if old and len(self._end) == 2 and whole.count(old) == count:
            return whole.replace(old, self._new)
        return self._end.join(map(self._frame, whole.split(self._end)))

    def _frame(self, frame: bytes) -> bytes:
        if _NAME not in frame:
            return frame
        return b"\n".join(map(self._line, frame.split(b"\n")))

    def _line(self, line: bytes) -> bytes:
        at = line.find(b"{")
        if at < 0 or _NAME not in line:
            return line
        if self._old and line.startswith(self._old) and line.count(_NAME) == 1:
            return self._new + line[len(self._old) :]
        given = rewriting.members(line[at:])
        if given is None:
            return line
        if not self._holder:
            return self._renamed(line, at, given)
        held = rewriting.members(bytes(given.get(self._holder, b"")))
        if held is None or "model" not in held:
            return line
        held["model"] = self._public
        given[self._holder] = Raw(rewriting.joined(held))
        return line[:at] + rewriting.joined(given)

    def _renamed(self, line: bytes, at: int, given: dict[str, Raw]) -> bytes:
        if "model" not in given:
            return line
        name = bytes(given["model"])
        given["model"] = self._public
        self._learn(line, at, name)
        return line[:at] + rewriting.joined(given)

    def _learn(self, line: bytes, at: int, name: bytes) -> None:
        key = line.find(_NAME, at)
        start = line.find(name, key + len(_NAME))
        head = line[: start + len(name)]
        known = rewriting.members(head[at:] + b"}")  # an object as yet: all before is its own
        if known is not None and [*known][-1] == "model" and bytes(known["model"]) == name:
            self._old, self._new = head, head[:start] + bytes(self._public)


_NAME = b'"model"'


class Marking:
    """Puts the mark of the upstream on what only that can read, in the members that hold such.

    Attributes:
        mark: of the upstream; seen: there was something that looks like it.
    """

    __slots__ = ("_signs", "mark", "seen")

    def __init__(self, mark: str, signs: Sequence[bytes]) -> None:
        self.mark = mark
        self.seen = False
        self._signs = signs

    def __call__(self, whole: bytes) -> bytes:
        """`whole` frames with it."""
        if not self._holds(whole):
            return whole
        self.seen = True
        return b"\n".join(map(self._line, whole.split(b"\n")))

    def members(self, given: dict[str, Raw]) -> dict[str, Raw]:
        """An object with it."""
        return {
            name: rewriting.written(marked(jsonio.loads(bytes(value)), self.mark))
            if self._holds(bytes(value))
            else value
            for name, value in given.items()
        }

    def _line(self, line: bytes) -> bytes:
        at = line.find(b"{")
        given = rewriting.members(line[at:]) if at >= 0 and self._holds(line) else None
        return line if given is None else line[:at] + rewriting.joined(self.members(given))

    def _holds(self, data: bytes) -> bool:
        held = False
        for sign in self._signs:  # not `any`, which makes a generator for each read
            held = held or sign in data
        return held
