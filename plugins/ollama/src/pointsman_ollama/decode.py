"""Ollama's answers as our types and events. Pure: no I/O, no clock, no chance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict, replace

from pointsman.plugin import (
    MAX_BODY,
    MAX_LINE,
    Assembly,
    BadResponse,
    ChatResponse,
    EmbedResponse,
    Finished,
    FinishReason,
    InvalidRequest,
    JsonLineFramer,
    JsonObject,
    RawDelta,
    ReasoningDelta,
    SseEvent,
    Started,
    StreamEvent,
    SurrogateHalves,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Truncated,
    Unavailable,
    Usage,
    UsageUpdate,
    arguments_text,
    check_vectors,
    holds_complaint,
    json_or_none,
    jsonio,
    snippet,
    with_exact_numbers,
)
from pointsman_ollama import shapes
from pointsman_ollama.errors import NOT_OLLAMA, error_in_answer


def chat_response(body: bytes, decoder: StreamDecoder) -> ChatResponse:
    """The answer of /api/chat or /api/generate out of its whole body, in one piece or in lines.

    Raises: what the decoder raises.
    """
    usual = _usual_response(body)
    return any_response(body, decoder) if usual is None else usual


def any_response(body: bytes, decoder: StreamDecoder) -> ChatResponse:
    """As `chat_response`, without looking whether the body is a usual one; the outcome is the same."""
    framer, said = Lines(), Assembly()
    for frame in (*framer.feed(body), *framer.close()):
        if not decoder.done:
            said.extend(decoder.decode(frame))
    if not decoder.done:
        decoder.close()
    return with_texts(said.response())


def _usual_response(body: bytes) -> ChatResponse | None:
    """The answer of a whole body of the usual shape, in 4 us instead of 100; None of any other."""
    if len(body) > MAX_LINE or len(body.splitlines()) > 1:
        return None  # one piece may be several lines, too: the framer tells them apart
    try:
        answer = shapes.whole(body)
    except shapes.UNUSUAL:
        return None
    native = answer.done_reason or None
    finish, texts = _finish_reason(native, called=False), answer.texts
    # Whether an answer without any text is one, nobody here can know.
    if not answer.done or texts is None or not any(texts) or finish == "error":
        return None
    text, thinking = texts
    return ChatResponse(
        text,
        finish_reason=finish,
        usage=Usage(prompt=answer.prompt_eval_count, completion=answer.eval_count),
        model=answer.model,
        reasoning=thinking or None,
        native_finish_reason=native,
        raw=jsonio.loads(body),
    )


def with_texts(answer: ChatResponse) -> ChatResponse:
    """A whole answer that came in lines, with its texts in `raw`, as it would have come in one piece."""
    texts = {"thinking": answer.reasoning} if answer.reasoning else {}
    raw = dict(answer.raw)
    if isinstance(message := raw.get("message"), Mapping):
        raw["message"] = {**message, "content": answer.text, **texts}
    else:
        raw |= {"response": answer.text, **texts}
    return replace(answer, raw=raw)


def usual_embed_response(body: bytes, *, count: int, dimensions: int | None) -> EmbedResponse | None:
    """What `embed_response` makes of a body of the usual shape, in a third of the time; else None."""
    try:
        answer = shapes.embeddings(body)
    except shapes.UNUSUAL:
        return None
    vectors = answer.embeddings
    lengths = set(map(len, vectors))
    if len(vectors) != count or len(lengths) != 1 or 0 in lengths:
        return None
    if dimensions is not None and dimensions not in lengths:
        return None
    prompt = answer.prompt_eval_count
    return EmbedResponse(
        vectors,
        usage=Usage(prompt=None if prompt is UNSET else prompt),
        model=answer.model,
        # Not decoded once more: nearly all of it is numbers, and these are here.
        raw={name: value for name, value in asdict(answer).items() if value is not UNSET},
    )


def embed_response(value: Any, *, count: int, dimensions: int | None) -> EmbedResponse:
    """The vectors of /api/embed.

    Args:
        count: how many texts were sent.
        dimensions: the length that was asked for, if one was.

    Raises: BadResponse when the vectors are not one of equal length for each text; Unsupported when
        their length is not the one asked for.
    """
    answer = _object(value)
    vectors = answer.get("embeddings")
    if not isinstance(vectors, list) or not all(isinstance(each, list) for each in vectors):
        raise BadResponse("Ollama's answer has no list of vectors")
    if len(vectors) != count:
        raise BadResponse(f"Ollama gave {len(vectors)} vectors for {count} texts")
    check_vectors(vectors, dimensions)
    return EmbedResponse(
        vectors=[list(map(float, each)) for each in vectors],
        usage=Usage(prompt=_count(answer, "prompt_eval_count")),
        model=_label(answer, "model"),
        raw=value,
    )


class Lines(JsonLineFramer):
    """The lines of a stream; or a whole answer, when a server that does not stream writes it over several.

    Half an object at the end is dropped: it was cut off, which is not the same as malformed, and the decoder
    will miss the end marker.
    """

    __slots__ = ("_begun", "_spread", "_spread_bytes")

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._spread: list[bytes] = []
        self._spread_bytes = 0

    def feed_plain(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes. Raises BadResponse for a whole answer above 64 MiB."""
        lines = super().feed_plain(data)
        if self._begun or not lines:
            return lines
        if not self._spread and (lines[0].rstrip().endswith(b"}") or not lines[0].lstrip().startswith(b"{")):
            self._begun = True
            return lines
        self._spread += lines
        self._spread_bytes += sum(map(len, lines))
        if self._spread_bytes > MAX_BODY:
            raise BadResponse(f"the upstream's answer is longer than {MAX_BODY} bytes")
        return []

    def feed(self, data: bytes) -> list[SseEvent]:
        """The same as events."""
        return [SseEvent("", line) for line in self.feed_plain(data)]

    def close(self) -> list[SseEvent]:
        """The last line, when it lacks nothing but its end; or the whole answer."""
        last = b"\n".join((*self._spread, *(frame.data for frame in super().close())))
        cut_off = last.lstrip().startswith(b"{") and json_or_none(last) is None
        return [] if cut_off or not last.strip() else [SseEvent("", last)]


class StreamDecoder:
    """The lines of a /api/chat (or /api/generate) as events; an answer in one piece is one line.

    Tool calls come whole, each in one event. A line without content is a sign of life.

    Args:
        seed: differs from call to call; tool calls that come without an id get one derived from it.
        prompted: something was asked, so that an answer which only tells that the model was loaded is none.
    """

    __slots__ = (
        "_calls",
        "_content_seen",
        "_halves",
        "_in_line",
        "_in_message",
        "_prompted",
        "_quick",
        "_started",
        "done",
    )

    def __init__(self, seed: str, *, prompted: bool = True) -> None:
        self.done = False
        self._calls = ToolCalls(seed)
        self._prompted = prompted
        self._started = False
        self._content_seen = False
        self._halves = SurrogateHalves()
        self._quick = False
        """There was content, and no half of a character waits: mere text needs no closer look."""
        self._in_line: dict[str, list[Any]] = {}
        self._in_message: dict[str, list[Any]] = {}

    def decode(self, frame: SseEvent) -> Sequence[StreamEvent]:
        """The events of one line. Raises BadResponse, and the error that the line holds."""
        return self._read(self._json(frame.data), frame.data)

    def decode_plain(self, values: Sequence[bytes], events: list[StreamEvent]) -> None:
        """Add to `events` those of whole lines, up to the last one of the answer. Raises as `decode` does."""
        for data in values:
            if not (self._quick and _add_usual(data, events)):
                events += self._read(self._json(data), data)
                if self.done:  # and none is taken out behind it
                    return

    def run_of(self, frame: bytes) -> Sequence[list[str]] | None:
        """As of a `RunDecoder`."""
        return None if b"[" in frame else ()  # what stands in lists is put together

    def close(self) -> Sequence[StreamEvent]:
        """Raises Truncated: had the answer been complete, nobody would ask."""
        raise Truncated("Ollama's answer ended before its line with done:true")

    def _read(self, value: Any, data: bytes) -> list[StreamEvent]:
        line = _object(value)
        events: list[StreamEvent] = []
        if not self._started:
            if line.keys().isdisjoint(_OF_AN_ANSWER):
                raise BadResponse(f"the answer is not one of Ollama's; {NOT_OLLAMA}")
            self._started = True
            events.append(Started(model=_label(line, "model")))
        text, thinking, raw_calls = _content(line)
        if raw_calls:
            line = with_exact_numbers(line, data)
            raw_calls = _content(line)[2]
        self._keep(line)
        text, thinking = self._halves.take("text", text), self._halves.take("thinking", thinking)
        if thinking:
            events.append(ReasoningDelta(thinking))
        if text:
            events.append(TextDelta(text))
        if raw_calls:
            calls = self._calls.read(raw_calls, line)
            events += [ToolCallDelta(call.index, call.id, call.name, call.arguments) for call in calls]
        self._content_seen = self._content_seen or bool(thinking or text or raw_calls)
        self._quick = self._content_seen and not self._halves
        if line.get("done") is True:
            events += self._end(line)
        return events

    def _end(self, line: JsonObject) -> list[StreamEvent]:
        native = _native_reason(line)
        finish = _finish_reason(native, called=self._calls.count > 0)
        if finish == "error":
            raise Unavailable(f"Ollama ended its answer with done_reason {native!r}")
        if native in _ONLY_LOADED and self._prompted and not self._content_seen:
            raise _only_loaded(native)
        self.done = True
        events: list[StreamEvent] = []
        if rest := self._halves.rest("thinking"):
            events.append(ReasoningDelta(rest))
        if rest := self._halves.rest("text"):
            events.append(TextDelta(rest))
        return [*events, UsageUpdate(_usage(line)), Finished(finish, native), RawDelta(self._raw(line))]

    def _raw(self, last: JsonObject) -> JsonObject:
        """The last line with all lists of those before, and without the texts."""
        raw = {**last, **self._in_line}
        if isinstance(message := raw.get("message"), Mapping):
            raw["message"] = _without_texts({**message, **self._in_message})
            return raw
        return _without_texts(raw)

    def _keep(self, line: JsonObject) -> None:
        """Keep the lists of a line for `raw`: calls, pictures, probabilities and what else there will be."""
        for holder, kept in ((line, self._in_line), (line.get("message"), self._in_message)):
            if isinstance(holder, Mapping):
                for name, value in holder.items():
                    if type(value) is list:
                        kept.setdefault(name, []).extend(value)

    def _json(self, data: bytes) -> Any:
        try:
            return jsonio.loads(data)
        except ValueError as error:
            if not self._started:
                raise BadResponse(f"{snippet(data)}; {NOT_OLLAMA}") from error
            raise BadResponse(f"a line of Ollama's answer is not JSON: {error}") from error


_OF_AN_ANSWER = ("message", "response", "done", "model")


def _add_usual(data: bytes, events: list[StreamEvent]) -> bool:
    """Add to `events` those of a line that has only text to say, as nearly every one; False of any other.

    It only saves time: after the first content, looking at everything gives the same.
    """
    try:
        line = shapes.line(data)
    except shapes.UNUSUAL:
        return False
    if line.done or (texts := line.texts) is None:
        return False
    text, thinking = texts
    if thinking:
        events.append(ReasoningDelta(thinking))
    if text:
        events.append(TextDelta(text))
    return True


def _without_texts(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in holder.items() if name not in ("content", "response", "thinking")}


class ToolCalls:
    """The tool calls of one answer as they come, counted and named by us.

    Ollama's own `index` is not used: old servers omit it, and others begin again with each line. An id that
    is missing or already taken is replaced by one that depends on the call alone, so that the same bytes
    give the same id, and on seed and time of the answer, so that the next turn gives another.
    """

    __slots__ = ("_ids", "_seed", "count")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._ids: set[str] = set()
        self.count = 0

    def read(self, raw: Sequence[Any], line: JsonObject) -> list[ToolCall]:
        """The calls of one line, as our values."""
        return [self._one(each, _label(line, "created_at")) for each in raw]

    def _one(self, raw: Any, created_at: str) -> ToolCall:
        function = raw.get("function", raw) if isinstance(raw, Mapping) else None  # some leave it out
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(name, str) or not name.strip():
            raise BadResponse("Ollama's answer has a tool call without the name of a function")
        index, self.count = self.count, self.count + 1
        given = raw.get("id")
        if not isinstance(given, str) or not given or given in self._ids:
            given = _made_id(self._seed, created_at, index, name)
        self._ids.add(given)
        return ToolCall(given, name, arguments_text(function.get("arguments")), index)


def _made_id(seed: str, created_at: str, index: int, name: str) -> str:
    key = "\0".join((seed, created_at, str(index), name)).encode("utf-8", "replace")
    return f"call_{hashlib.blake2b(key, digest_size=8).hexdigest()}"


def _object(value: Any) -> JsonObject:
    """`value` when it is an answer; raises the error when it is one."""
    if holds_complaint(value):
        raise error_in_answer(value)
    if not isinstance(value, dict):
        raise BadResponse("Ollama's answer is not a JSON object")
    return value


def _content(answer: JsonObject) -> tuple[str, str, Sequence[Any]]:
    """Text, thinking and raw tool calls: under `message` in a chat, at top level in a completion."""
    if "message" in answer or "response" not in answer:
        holder, key = answer.get("message"), "content"
        if not isinstance(holder, dict):
            raise BadResponse("Ollama's answer has no message")
    else:
        holder, key = answer, "response"
    calls = holder.get("tool_calls") or ()
    if not isinstance(calls, list | tuple):
        raise BadResponse("Ollama's answer has tool calls that are not a list")
    return _string(holder, key), _string(holder, "thinking"), calls


def _label(holder: JsonObject, name: str) -> str:
    """What only names something, "" where it is no text: it must not cost an answer."""
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _string(holder: JsonObject, name: str) -> str:
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadResponse(f"Ollama's answer has a {name} that is not text")
    return value


def _usage(answer: JsonObject) -> Usage:
    """Tokens as counted. A count that is absent is unknown: a prompt from the cache has none."""
    return Usage(prompt=_count(answer, "prompt_eval_count"), completion=_count(answer, "eval_count"))


def _count(answer: JsonObject, name: str) -> int | None:
    value = answer.get(name)
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _only_loaded(native: str) -> InvalidRequest:
    return InvalidRequest(
        f"Ollama generated nothing and only {_ONLY_LOADED[native]} the model (done_reason {native!r}), as it "
        "does when nothing is to be answered; give a user message with content"
    )


def _native_reason(answer: JsonObject) -> str | None:
    return _string(answer, "done_reason") or None


_ONLY_LOADED = {"load": "loaded", "unload": "unloaded"}
_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "load": "stop",
    "unload": "stop",
    "tool_calls": "stop",  # an emulator's word; without calls it is none
    "error": "error",  # LocalAI's layer, which says no more
}


def _finish_reason(native: str | None, *, called: bool) -> FinishReason:
    """Our word for `native`. Ollama says `stop` after tool calls, too, and old servers say nothing at all."""
    reason = "stop" if native is None else _FINISH.get(native.lower(), "other")
    return "tool_calls" if called and reason in ("stop", "other") else reason
