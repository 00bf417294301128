"""Requests and answers that go on as they were written, for upstreams that speak the caller's wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import length_hint
from typing import Any, cast
from urllib.parse import urlsplit

from msgspec import Raw
from msgspec.structs import replace

from pointsman.auth import Discreet
from pointsman.errors import BadResponse, CallError, InvalidRequest
from pointsman.http.answer import Answer, OpenAnswer
from pointsman.http.event_stream import Decoder, Framer, HttpEventStream, PlainDecoder, PlainFramer, has_plain
from pointsman.http.framing import MAX_LINE, SseEvent
from pointsman.original import Original
from pointsman.provider import Call
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedResponse,
    GenerateRequest,
    Message,
    Relayed,
    Request,
    StreamEvent,
)
from pointsman.wire import rewriting

Body = Mapping[str, Any]


class Relaying(Discreet, frozen=True, kw_only=True):
    """How one request goes on as it was written, and how its answer is read for the books.

    Attributes:
        path: where it goes.
        write: what we would write of a request; of two of them, what differs is written anew.
        configured: the same with what the configuration of the provider says where callers do not, if it
            says anything.
        read: a whole answer.
        events: framer and decoder of a streamed one.
        headers: those of the caller's that go along, and ours.
        synonyms: names of members that say the same, so that only one of them may be there.
        holder: the member of frames that holds the name of the model; "" for the frame itself.
        lines: frames are lines of JSON, not server-sent events.
        ends: the frame that ends a stream, for one that came without.
    """

    unshown = ("headers",)
    path: str
    write: Callable[[Any], Body]
    configured: Callable[[Any], Body] | None = None
    read: Callable[[Answer, bytes], ChatResponse | EmbedResponse]
    events: Callable[[Answer], tuple[Framer, Decoder]] | None = None
    headers: Mapping[str, str] = {}
    synonyms: Sequence[Sequence[str]] = ()
    holder: str = ""
    lines: bool = False
    ends: bytes = b""


def original_of(call: Call) -> Original:
    """The request of `call` as its caller wrote it."""
    if call.original is None:
        raise RuntimeError("this call is not to be relayed: it has no original")
    return call.original


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────


def body_for(how: Relaying, request: Request, call: Call) -> bytes:
    """The body that goes to the upstream: the caller's, but for the model and what was changed since.

    Raises: InvalidRequest for one that is no object; what `how.write` raises for a change that the upstream
        cannot take.
    """
    original = original_of(call)
    given = rewriting.members(original.body)
    if given is None:
        raise InvalidRequest("the body is not a JSON object")
    given["model"] = rewriting.written(call.model)
    if request is not original.request:
        before, after = _told_apart(original.request, request)
        _change(given, how.write(before), how.write(after), how.synonyms)
    if how.configured is not None:
        blank = _blank(request)
        rewriting.fill(given, how.write(blank), how.configured(blank))
    return rewriting.joined(given)


def _change(given: dict[str, Raw], before: Body, after: Body, synonyms: Sequence[Sequence[str]]) -> None:
    for names in synonyms:
        spelled = next((name for name in names if name in given), None)
        before, after = (_spelled(body, names, spelled) for body in (before, after))
    rewriting.change(given, before, after)


def _spelled(body: Body, names: Sequence[str], spelled: str | None) -> Body:
    """`body` with the one of `names` that it has as the caller spelled it."""
    ours = next((name for name in names if name in body), None)
    if spelled is None or ours is None or ours == spelled:
        return body
    return {(spelled if name == ours else name): value for name, value in body.items()}


_TOGETHER = {"tool_choice", "parallel_tool_calls"}
"""Options that are written only where there are tools."""


def _told_apart(before: Any, after: Any) -> tuple[Any, Any]:
    """Two requests that differ in what these differ in, and say nothing else.

    So what is the same costs nothing, and cannot be in the way because we would not write it.
    """
    if type(before) is not type(after):
        return before, after
    changed = {name for name in before.__struct_fields__ if name != "model" and _differ(before, after, name)}
    if changed & _TOGETHER:
        changed.add("tools")
    blank = _blank(after)
    return tuple(  # type: ignore[return-value]  # two of them
        replace(blank, **{name: getattr(each, name) for name in changed}) for each in (before, after)
    )


def _differ(before: Any, after: Any, name: str) -> bool:
    old, new = getattr(before, name), getattr(after, name)
    return old is not new and bool(old != new)


def _blank(request: Request) -> Request:
    match request:
        case ChatRequest():
            return ChatRequest(request.model, _SOMETHING)
        case GenerateRequest():
            return GenerateRequest(request.model, ".")
        case _:
            return type(request)(request.model, (".",))


_SOMETHING = (Message("user", "."),)
"""Messages that any upstream can be sent."""


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


def answered(content: bytes, model: str) -> bytes:
    """The body of an answer with the public name of the model; b"" for what is no JSON object."""
    given = rewriting.members(content)
    if given is None:
        return b""
    if "model" not in given:
        return content
    given["model"] = rewriting.written(model)
    return rewriting.joined(given)


def quoted(content: bytes, base_url: str) -> bytes:
    """The body of an error as its caller may see it; b"" for what is no JSON object."""
    if rewriting.members(content) is None:
        return b""
    host = urlsplit(base_url).netloc.encode()
    return content.replace(base_url.encode(), b"upstream").replace(host, b"upstream") if host else content


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


def relayed_events(how: Relaying, answer: OpenAnswer, call: Call) -> HttpEventStream:
    """The events of a streamed answer, each read's after a `Relayed` with its frames."""
    if how.events is None:
        raise RuntimeError("this is not answered as a stream")
    framer, decoder = how.events(answer)
    end = b"\n" if how.lines else b"\n\n"
    named = Renaming(original_of(call).request.model, holder=how.holder, end=end)
    return HttpEventStream(
        answer, WholeFrames(end), RelayedFrames(framer, decoder, named, end=end, ends=how.ends)
    )


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
        if self._after_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        end, rest = self._end, self._rest
        if not rest and data.endswith(end):  # as nearly every read brings them
            return (data,)
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

    __slots__ = ("_decoder", "_end", "_ends", "_framer", "_named", "_plain", "_relays")

    def __init__(self, framer: Framer, decoder: Decoder, named: Renaming, *, end: bytes, ends: bytes) -> None:
        self._framer = framer
        self._decoder = decoder
        self._plain = has_plain(framer, decoder)
        self._named = named
        self._end = end
        self._ends = ends
        self._relays = False
        """Something was sent on."""

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
        for whole in values:
            if not self._decoder.done:
                self._take(whole, events)

    def close(self) -> Sequence[StreamEvent]:
        """The body has ended; where the wire has an end marker, the caller gets one."""
        if frames := _Frames(self._framer.close()):
            last: list[StreamEvent] = []
            self._decode(frames, last)
            return [Relayed(self._named(self._rewritten(frames))), *last]
        events = self._decoder.close()
        return [Relayed(self._ends), *events] if self._ends and self._relays else events

    def _take(self, whole: bytes, events: list[StreamEvent]) -> None:
        at, frames = len(events), _Frames()
        is_cut = not whole.endswith(self._end)
        try:
            if self._plain and (values := cast("PlainFramer", self._framer).feed_plain(whole)) is not None:
                frames = _Frames(values)
                cast("PlainDecoder", self._decoder).decode_plain(frames, events)
            else:
                frames = _Frames(self._framer.feed(whole))
                self._decode(frames, events)
            if is_cut:  # the last frame of the body
                frames = _Frames(self._framer.close())
                self._decode(frames, events)
        except CallError:
            whole = self._rewritten(frames[: frames.taken - 1])
            raise
        else:
            if is_cut:
                whole = self._rewritten(frames) if whole.startswith(_FIELDS) or self._end == b"\n" else b""
            elif frames.taken < len(frames):
                whole = self._rewritten(frames[: frames.taken])
        finally:
            if whole and (len(events) > at or _say_something(frames)):
                self._relays = True
                events.insert(at, Relayed(self._named(whole)))

    def _decode(self, frames: _Frames, events: list[StreamEvent]) -> None:
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
        count = whole.count(_NAME)
        if not count:
            return whole
        if self._old and len(self._end) == 2 and whole.count(self._old) == count:
            return whole.replace(self._old, self._new)
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
