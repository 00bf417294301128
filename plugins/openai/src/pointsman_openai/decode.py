"""The stream of the OpenAI dialect as our events. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman import jsonio
from pointsman.errors import BadResponse, Truncated
from pointsman.framing import SseEvent, SseFramer
from pointsman.http import MAX_BODY
from pointsman.types import (
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)
from pointsman_openai.answers import (
    as_list,
    as_object,
    as_text,
    called,
    content_of,
    finish_of,
    is_error,
    reasoning_of,
    unique_id,
    usage_of,
)
from pointsman_openai.errors import error_of_body


@dataclass(slots=True)
class _Call:
    """A tool call that is being received: held back until its name is known."""

    index: int
    wire_id: str
    name: str = ""
    pending: str = ""
    announced: bool = False


class ChatDecoder:
    """Chunks of POST /chat/completions as events; also a whole answer in one frame.

    An error in a chunk counts before anything else in it. Pieces of tool calls are joined by index. The
    answer is complete with `[DONE]`, or when the body ends after a finish reason.
    """

    __slots__ = (
        "_answer_id",
        "_calls",
        "_finished",
        "_ids",
        "_order",
        "_request_id",
        "_started",
        "_usage",
        "done",
    )

    def __init__(self, *, request_id: str = "") -> None:
        self.done = False
        self._request_id = request_id
        self._answer_id = ""
        self._started = False
        self._finished = False
        self._calls: dict[int, _Call] = {}  # by the upstream's index
        self._order: list[_Call] = []
        self._ids: set[str] = set()
        self._usage: Usage | None = None

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        """The events of one frame. Raises the error that it holds; BadResponse when it is not the dialect."""
        data = frame.data
        if data.startswith(b"[DONE]"):
            return self._end()
        try:
            chunk = jsonio.loads(data)
        except ValueError as error:
            if not data.strip():
                return ()
            raise BadResponse(
                f"the upstream's stream holds a frame that is not JSON: {error}",
                upstream_request_id=self._request_id,
            ) from error
        name = frame.event
        if self._started and name != "error" and (text := text_alone(chunk)):
            return (TextDelta(text),)
        return self._read(chunk, name)

    def decode_plain(self, values: Sequence[bytes], events: list[StreamEvent], /) -> None:
        """Add to `events` those of frames without names, given as their data, up to the end marker."""
        for data in values:
            if data == b"[DONE]":
                events += self._end()
                return
            try:
                chunk = jsonio.loads(data)
            except ValueError:  # also the end marker, where something follows it
                events += self.decode(SseEvent("", data))
                if self.done:
                    return
                continue
            if self._started and (text := text_alone(chunk)):
                events.append(TextDelta(text))
            else:
                events += self._read(chunk, "")

    def _read(self, chunk: Any, name: str) -> Sequence[StreamEvent]:
        if not isinstance(chunk, dict):
            raise BadResponse(
                "the upstream's stream holds a frame that is no object", upstream_request_id=self._request_id
            )
        if name == "error" or is_error(chunk):
            raise error_of_body(chunk, request_id=self._request_id)
        events: list[StreamEvent] = []
        choices = as_list(chunk.get("choices"))
        if not self._started:
            self._answer_id = as_text(chunk.get("id"))
            model = as_text(chunk.get("model"))
            if choices or self._answer_id or model:
                self._started = True
                events.append(Started(self._answer_id, model))
        for choice in choices:
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                self._choice(choice, events)
        if chunk.get("usage") or "x_groq" in chunk:
            usage = usage_of(chunk)
            if usage is not None and usage != self._usage:
                self._usage = usage
                events.append(UsageUpdate(usage))
        return events

    def close(self) -> Sequence[StreamEvent]:
        """The body has ended without `[DONE]`. Raises Truncated unless a finish reason came."""
        if not self._finished:
            raise Truncated(
                "the upstream's stream ended without [DONE] and without a finish reason",
                upstream_request_id=self._request_id,
            )
        self.done = True
        return ()

    def _choice(self, choice: Mapping[str, Any], events: list[StreamEvent]) -> None:
        if choice.get("error"):
            raise error_of_body(choice, request_id=self._request_id)
        delta = as_object(choice.get("delta") or choice.get("message"))
        content = delta.get("content")
        if delta:
            self._delta(delta, content, events)
        native = choice.get("finish_reason")
        if native and not self._finished:
            self._finish(native, events)

    def _delta(self, delta: Mapping[str, Any], content: Any, events: list[StreamEvent]) -> None:
        if reasoning := reasoning_of(delta):
            events.append(ReasoningDelta(reasoning))
        if content:
            text, thoughts = (content, "") if isinstance(content, str) else content_of(content)
            if thoughts and not reasoning:
                events.append(ReasoningDelta(thoughts))
            if text:
                events.append(TextDelta(text))
        if refusal := as_text(delta.get("refusal")):
            events.append(RefusalDelta(refusal))
        if tool_calls := delta.get("tool_calls"):
            for position, piece in enumerate(as_list(tool_calls)):
                self._piece(as_object(piece), position, events)
        elif function := as_object(delta.get("function_call")):  # deprecated: one call, without id
            self._piece({"index": 0, "function": function}, 0, events)

    def _piece(self, piece: Mapping[str, Any], position: int, events: list[StreamEvent]) -> None:
        wire_id = as_text(piece.get("id"))
        name, arguments = called(piece)
        call = self._call(piece.get("index"), position, wire_id, name)
        call.name = call.name or name
        call.wire_id = call.wire_id or wire_id
        if call.announced:
            if arguments:
                events.append(ToolCallDelta(call.index, arguments=arguments))
            return
        call.pending += arguments
        if call.name:
            self._announce(call, events)

    def _call(self, index: Any, position: int, wire_id: str, name: str) -> _Call:
        """The call that a piece belongs to: by its index; without one, by its id or its place."""
        if type(index) is not int:
            same_id = (key for key, call in self._calls.items() if wire_id and call.wire_id == wire_id)
            fresh = len(self._order) if wire_id or name else max(position, len(self._order) - 1)
            index = next(same_id, fresh)
        call = self._calls.get(index)
        # Some servers number all parallel calls 0: another id with another name begins another call.
        another = call is not None and name and wire_id and call.name and wire_id != call.wire_id
        if call is None or another:
            call = self._calls[index] = _Call(len(self._order), wire_id)
            self._order.append(call)
        return call

    def _announce(self, call: _Call, events: list[StreamEvent]) -> None:
        call.announced = True
        call_id = unique_id(call.wire_id, call.index, self._answer_id, self._ids)
        events.append(ToolCallDelta(call.index, call_id, call.name, call.pending))

    def _finish(self, native: Any, events: list[StreamEvent]) -> None:
        self._finished = True
        for call in self._order:
            if not call.announced:
                self._announce(call, events)
        reason, word = finish_of(native, calls=bool(self._order))
        events.append(Finished(reason, word))

    def _end(self) -> Sequence[StreamEvent]:
        if not self._started:
            raise BadResponse(
                "the upstream's stream ended before it began", upstream_request_id=self._request_id
            )
        self.done = True
        events: list[StreamEvent] = []
        if not self._finished:
            self._finish(None, events)
        return events


def text_alone(chunk: Any) -> str:
    """The text of a chunk that has nothing else to say, as nearly every one; "" of any other.

    It only saves time: where it gives a text, looking at everything gives the same.
    """
    try:
        (choice,) = chunk["choices"]
        delta = choice["delta"]
        text = delta["content"]
        if choice["index"] != 0 or choice["finish_reason"] or chunk["object"] == "error":
            return ""
    except (KeyError, TypeError, ValueError):
        return ""
    if type(text) is not str or "error" in choice:
        return ""
    if "error" in chunk or "x_groq" in chunk or chunk.get("usage"):
        return ""
    if len(delta) > 1 and any(value and key not in _NO_NEWS for key, value in delta.items()):
        return ""
    return text


_NO_NEWS = ("content", "role")


class EitherFramer:
    """Server-sent events, or a whole JSON answer as one frame, whichever the body turns out to be.

    For a body that calls itself JSON although a stream was asked for: the server may not stream at all.
    """

    __slots__ = ("_events", "_first", "_pieces", "_size")

    def __init__(self) -> None:
        self._events: SseFramer | None = None
        self._first = b""
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes. Raises BadResponse for an answer above 64 MiB."""
        if self._events is not None:
            return self._events.feed(data)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MAX_BODY:
            raise BadResponse(f"the upstream's answer is longer than {MAX_BODY} bytes")
        self._first = self._first or data.lstrip()[:1]
        if self._first in (b"", b"{"):
            return []
        self._events = SseFramer()
        return self._events.feed(b"".join(self._pieces))

    def close(self) -> list[SseEvent]:
        """The whole answer, unless it was events or is empty. Raises what the framer of events raises."""
        if self._events is not None:
            return self._events.close()
        body = b"".join(self._pieces)
        return [SseEvent("", body)] if body.strip() else []
