"""Streams of the OpenAI wire as our events. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.plugin import (
    ERROR_MEMBERS,
    NOTHING,
    Assembly,
    BadResponse,
    ChatResponse,
    Finished,
    JsonObject,
    RawDelta,
    ReasoningDelta,
    RefusalDelta,
    SseEvent,
    SseFramer,
    Started,
    StreamEvent,
    SurrogateHalves,
    TextDelta,
    ToolCallDelta,
    Truncated,
    Usage,
    UsageUpdate,
    holds_complaint,
    is_complaint,
    jsonio,
    with_exact_numbers,
)
from pointsman_openai.address import not_json
from pointsman_openai.answers import check_inside, content_of, reasoning_of
from pointsman_openai.errors import error_of_body
from pointsman_openai.finish import failure_of, finish_of, says_nothing
from pointsman_openai.reasoning import Details
from pointsman_openai.shapes import Alike, delta_of
from pointsman_openai.tool_calls import Pieces, ToolCalls, has_object_arguments
from pointsman_openai.usage import usage_of
from pointsman_openai.values import as_list, as_object, as_text

_TEXT, _REASONING, _REFUSAL = "text", "reasoning", "refusal"


class ChatDecoder:
    """Chunks of POST /chat/completions as events; also a whole answer in one frame.

    An error in a chunk counts before anything else in it. The answer is complete with `[DONE]`, or when the
    body ends after a finish reason. One that says nothing and gives no reason is none; nor is one without a
    reason that holds something else than chunks, for that is how an error looks which nobody knows.

    Args:
        address: what the base URL should look like, for when a page comes.
    """

    __slots__ = (
        "_address",
        "_alike",
        "_answer_id",
        "_begun",
        "_calls",
        "_details",
        "_finished",
        "_halves",
        "_missed",
        "_model",
        "_nearest",
        "_pieces",
        "_quick",
        "_raw",
        "_request_id",
        "_said",
        "_started",
        "_stray",
        "_usage",
        "_waiting",
        "done",
    )

    def __init__(self, *, request_id: str = "", address: str = "https://host/v1") -> None:
        self.done = False
        self._address = address
        self._request_id = request_id
        self._answer_id = ""
        self._model = ""
        self._begun = False
        self._waiting: list[StreamEvent] = []
        self._started = False
        self._quick = False
        """Started, no half of a character waits, and hardly a chunk was unusual: look for the usual one."""
        self._missed = 0
        self._alike = Alike()
        self._pieces: Pieces | None = None
        self._nearest: Alike | Pieces | None = None
        """What the next chunk is probably like."""
        self._finished = False
        self._said = False
        self._stray: JsonObject | None = None
        """The first frame that is no chunk of an answer."""
        self._calls = ToolCalls()
        self._details = Details()
        self._halves = SurrogateHalves()
        self._raw: dict[str, Any] = {}
        self._usage: Usage | None = None

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        """The events of one frame. Raises the error that it holds; BadResponse when it is not the wire."""
        data = frame.data
        if data.startswith(b"[DONE]"):
            return self._end()
        name = frame.event
        if self._quick and name != "error":
            usual: list[StreamEvent] = []
            if self._take_usual(data, usual):
                return usual
        try:
            chunk = jsonio.loads(data)
        except ValueError as error:
            if name == "error":
                raise error_of_body(data.decode("utf-8", "replace"), request_id=self._request_id) from None
            if not data.strip():
                return ()
            if data.strip().startswith(b"[DONE]"):
                return self._end()
            if data.lstrip()[:1] == b"<":
                raise not_json(data, 200, self._address, request_id=self._request_id) from None
            raise BadResponse(
                f"the upstream's stream holds a frame that is not JSON: {error}",
                upstream_request_id=self._request_id,
            ) from error
        return self._read(chunk, name, data)

    def decode_plain(self, values: Sequence[bytes], events: list[StreamEvent], /) -> None:
        """Add to `events` those of frames without names, given as their data, up to the end marker."""
        rest = iter(values)
        while (data := near.take(rest, events) if (near := self._nearest) else next(rest, None)) is not None:
            if data == b"[DONE]":
                events += self._end()
                return
            if self._quick and self._take_usual(data, events):
                continue
            try:
                chunk = jsonio.loads(data)
            except ValueError:  # also the end marker, where something follows it
                events += self.decode(SseEvent("", data))
                if self.done:
                    return
                continue
            events += self._read(chunk, "", data)

    def run_of(self, frame: bytes, /) -> Sequence[list[str]] | None:
        """As of a `RunDecoder`."""
        return None if _PUT_TOGETHER.search(frame) else ()

    def close(self) -> Sequence[StreamEvent]:
        """The body has ended without `[DONE]`. Raises Truncated unless a finish reason came."""
        if not self._finished:
            raise Truncated(
                "the upstream's stream ended without [DONE] and without a finish reason",
                upstream_request_id=self._request_id,
            )
        self.done = True
        return ()

    def _take_usual(self, data: bytes, events: list[StreamEvent]) -> bool:
        """Add what the usual chunk says; False for any other, and for one that says nothing.

        It only saves time, while `_quick` holds: `_read` would make the same of it.
        """
        delta = delta_of(data)
        if delta is None:
            self._missed += 1
            return False
        text = delta.content
        if reasoning := delta.reasoning_content or delta.reasoning:
            events.append(ReasoningDelta(reasoning))
        elif text:
            self._alike.learn(data, text)
            self._nearest = self._alike
        else:
            return False
        if text:
            events.append(TextDelta(text))
        self._said = True
        return True

    def _read(self, chunk: Any, name: str, data: bytes) -> Sequence[StreamEvent]:
        is_object = isinstance(chunk, dict)
        if name == "error" or (is_complaint(chunk) if is_object else holds_complaint(chunk)):
            raise error_of_body(chunk, request_id=self._request_id)
        if not is_object:
            raise BadResponse(
                "the upstream's stream holds a frame that is no object", upstream_request_id=self._request_id
            )
        events: list[StreamEvent] = []
        choices = as_list(chunk.get("choices"))
        if not self._started:
            self._answer_id = self._answer_id or as_text(chunk.get("id"))
            self._model = self._model or as_text(chunk.get("model"))
            self._begun = self._begun or bool(choices or self._answer_id or self._model)
        for choice in choices:
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                if has_object_arguments(as_object(choice.get("delta") or choice.get("message"))):
                    choice = with_exact_numbers(chunk, data)["choices"][choices.index(choice)]
                self._choice(choice, events)
        if chunk.get("usage") or "x_groq" in chunk:
            self._count(usage_of(chunk), events)
        if not chunk.keys() <= _PLAIN:
            self._odd(chunk, events)
        if self._calls:
            self._learn_piece(chunk, data, events)
        return events if self._started else self._early(events)

    def _learn_piece(self, chunk: JsonObject, data: bytes, events: Sequence[StreamEvent]) -> None:
        if len(events) != 1 or not isinstance(told := events[0], ToolCallDelta):
            return
        if self._pieces is None:
            self._pieces = Pieces(self._calls)
        if self._pieces.learn(chunk, data, told) and self._started and not self._halves:
            self._nearest = self._pieces

    def _odd(self, chunk: JsonObject, events: list[StreamEvent]) -> None:
        """What a chunk has beyond the members of the wire."""
        if self._stray is None and _OF_A_CHUNK.isdisjoint(chunk):
            self._stray = chunk
        if not chunk.keys() <= _ENVELOPE:
            self._keep({key: value for key, value in chunk.items() if key not in _ENVELOPE}, events)

    def _early(self, events: list[StreamEvent]) -> Sequence[StreamEvent]:
        """Before the start: what there is to say waits for an id, or for a part of the answer itself."""
        if self._answer_id or any(event.content or event.kind == "finished" for event in events):
            self._start(events)
            return events
        self._waiting += events
        return ()

    def _start(self, events: list[StreamEvent]) -> None:
        self._begun = self._started = True
        self._look_again()
        events[:0] = [Started(self._answer_id, self._model), *self._waiting]
        self._waiting.clear()

    def _choice(self, choice: Mapping[str, Any], events: list[StreamEvent]) -> None:
        if not ERROR_MEMBERS.isdisjoint(choice):
            check_inside(choice, self._request_id)
        delta = as_object(choice.get("delta"))
        if delta:
            self._delta(delta, events)
        elif message := as_object(choice.get("message")):
            self._message(message, events)
        if choice.get("usage"):  # Moonshot
            self._count(usage_of(choice), events)
        if not choice.keys() <= _OF_A_CHOICE:
            self._keep({key: value for key, value in choice.items() if key not in _OF_A_CHOICE}, events)
        if choice.get("logprobs"):
            self._keep({"logprobs": choice["logprobs"]}, events)
        native = choice.get("finish_reason")
        if native and not self._finished and not says_nothing(native):
            self._finish(native, events)

    def _message(self, message: Mapping[str, Any], events: list[StreamEvent]) -> None:
        """A whole message: the answer; or, behind its pieces, the same again, which may add calls."""
        if not self._said:
            self._delta(message, events)
        elif not self._calls:
            self._take_calls(message.get("tool_calls"), events)

    def _delta(self, delta: Mapping[str, Any], events: list[StreamEvent]) -> None:
        content = delta.get("content")
        text, thoughts = (content, "") if isinstance(content, str) else content_of(content)
        details = delta.get("reasoning_details")
        told = self._details.take(details) if details else ""
        before = len(events)
        if reasoning := self._halves.take(_REASONING, reasoning_of(delta) or thoughts or told):
            events.append(ReasoningDelta(reasoning))
        if text := self._halves.take(_TEXT, text):
            events.append(TextDelta(text))
        if refusal := self._halves.take(_REFUSAL, as_text(delta.get("refusal"))):
            events.append(RefusalDelta(refusal))
        if tool_calls := delta.get("tool_calls"):
            self._take_calls(tool_calls, events)
        elif function := as_object(delta.get("function_call")):  # deprecated: one call, without id
            self._take_calls([{"index": 0, "function": function}], events)
        news = len(events) > before or bool(self._calls or details or self._halves)
        self._said = self._said or news
        if not delta.keys() <= _OF_A_DELTA:
            if not ERROR_MEMBERS.isdisjoint(delta):
                check_inside(delta, self._request_id)
            extra = {key: delta[key] for key in _BACK if delta.get(key)}
            raw = {key: value for key, value in delta.items() if key not in _OF_A_DELTA}
            self._keep(raw, events, extra=extra)
        self._look_again()

    def _look_again(self) -> None:
        self._quick = self._started and not self._halves and self._missed < _PATIENCE
        self._nearest = self._alike if self._quick else None

    def _take_calls(self, pieces: Any, events: list[StreamEvent]) -> None:
        new: list[ToolCallDelta] = []
        self._calls.take(pieces, self._answer_id, new)
        for event in new:
            arguments = self._halves.take(event.index, event.arguments)
            if arguments or event.name or event.extra:
                events.append(ToolCallDelta(event.index, event.id, event.name, arguments, event.extra))

    def _count(self, usage: Usage | None, events: list[StreamEvent]) -> None:
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageUpdate(usage))

    def _keep(
        self, members: Mapping[str, Any], events: list[StreamEvent], *, extra: JsonObject = NOTHING
    ) -> None:
        """What has no place in the answer; what is only repeated is no news."""
        try:
            news = {key: value for key, value in members.items() if value and self._raw.get(key) != value}
        except RecursionError:  # nested too deeply to be compared
            news = dict(members)
        if news or extra:
            self._raw |= news
            events.append(RawDelta(news or NOTHING, extra or NOTHING))

    def _finish(self, native: Any, events: list[StreamEvent]) -> None:
        reason, word = finish_of(native, calls=bool(self._calls))
        if reason == "error":
            raise failure_of(native, request_id=self._request_id)
        self._finished = True
        held: list[ToolCallDelta] = []
        self._calls.finish(self._answer_id, held)
        events += held
        rests = ((index, self._halves.rest(index)) for index in range(len(self._calls)))
        events += [ToolCallDelta(index, arguments=rest) for index, rest in rests if rest]
        if rest := self._halves.rest(_REASONING):
            events.append(ReasoningDelta(rest))
        if rest := self._halves.rest(_TEXT):
            events.append(TextDelta(rest))
        if rest := self._halves.rest(_REFUSAL):
            events.append(RefusalDelta(rest))
        self._look_again()
        self._details.finish(events)
        events.append(Finished(reason, word))

    def _end(self) -> Sequence[StreamEvent]:
        if not self._begun:
            raise BadResponse(
                "the upstream's stream ended before it began", upstream_request_id=self._request_id
            )
        events: list[StreamEvent] = []
        if not self._finished:
            if self._stray is not None:
                raise error_of_body(self._stray, request_id=self._request_id)
            if not self._said and not self._raw:
                raise BadResponse(
                    "the upstream's stream ended without having said anything, not even why",
                    upstream_request_id=self._request_id,
                )
            self._finish(None, events)
        if not self._started:
            self._start(events)
        self.done = True
        return events


def is_events(body: bytes) -> bool:
    """Whether a body is a stream of events."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"data:", b"event:", b"error:", b":"))


def chat_of_events(body: bytes, *, request_id: str) -> ChatResponse:
    """The answer of a server that streams although it was not asked to. Raises what its stream raises."""
    framer, decoder, assembly = SseFramer(), ChatDecoder(request_id=request_id), Assembly()
    for frames in (framer.feed(body), framer.close()):
        for frame in frames:
            if not decoder.done:
                assembly.extend(decoder.decode(frame))
    if not decoder.done:
        assembly.extend(decoder.close())
    return assembly.response(request_id)


_PUT_TOGETHER = re.compile(rb'"reasoning_details"|"content"\s*:\s*\[')
"""What is told by several pieces of one frame, or of several."""
_PATIENCE = 4
"""Chunks that were looked at in vain: to do so costs a seventh of what it costs to read one with care."""
_PLAIN = frozenset(
    (
        "id", "object", "created", "model", "choices", "usage",
        "service_tier", "system_fingerprint", "provider", "obfuscation",
    )
)  # fmt: skip
"""Members of a chunk that say nothing about the answer."""
_ENVELOPE = _PLAIN | {"x_groq", "error"}
_OF_A_CHUNK = frozenset(("choices", "usage", "x_groq"))
_OF_A_CHOICE = frozenset(
    ("index", "delta", "finish_reason", "native_finish_reason", "logprobs", "message", "usage", "error")
)
_OF_A_DELTA = frozenset(
    (
        "role", "content", "refusal", "tool_calls", "function_call",
        "reasoning", "reasoning_content", "reasoning_details",
    )
)  # fmt: skip
_BACK = ("extra_content",)
"""Members of a message that its upstream wants back."""
