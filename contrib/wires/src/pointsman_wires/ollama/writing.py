"""Our answers as Ollama writes them: one object, or one in each line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.json import Encoder

from pointsman.plugin import (
    ChatResponse,
    Done,
    EmbedResponse,
    ProblemDetails,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ToolCall,
    Usage,
    Writer,
    well_formed,
)
from pointsman_wires.arguments import as_object
from pointsman_wires.encoding import text_json
from pointsman_wires.ollama.problems import JSON, error_line
from pointsman_wires.origin import origin

LINES = "application/x-ndjson"

_DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
_encode = Encoder().encode


class AnswerWriter:
    """Writes one answer of /api/chat or /api/generate.

    Args:
        model: as the caller calls it.
        wall: seconds since 1970 at which it was asked for.
        elapsed: nanoseconds since then.
        logprobs: whether to look for them in what the upstream sent.
    """

    content_type = JSON
    stream_type = LINES

    __slots__ = ("_chat", "_created", "_elapsed", "_head", "_logprobs", "_model", "_tail")

    def __init__(
        self,
        model: str,
        *,
        wall: float,
        chat: bool,
        elapsed: Callable[[], int] | None = None,
        logprobs: bool = False,
    ) -> None:
        self._model = model
        self._created = _instant(wall)
        self._chat = chat
        self._elapsed = elapsed
        self._logprobs = logprobs
        head = b'{"model":' + text_json(model) + b',"created_at":"' + self._created.encode() + b'",'
        self._head = head + (b'"message":{"role":"assistant","content":' if chat else b'"response":')
        self._tail = b'},"done":false}\n' if chat else b',"done":false}\n'

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """The one object."""
        assert isinstance(answer, ChatResponse)
        return self._object(answer, answer.text or answer.refusal or "", answer.reasoning, answer.tool_calls)

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """The lines of `events`; calls of tools stand before the last one, since each comes whole."""
        out: list[bytes] = []
        for event in events:
            match event:
                case TextDelta():
                    out += (self._head, text_json(event.text), self._tail)
                case RefusalDelta():
                    out += (self._head, text_json(event.refusal), self._tail)
                case ReasoningDelta():
                    thinking = text_json(event.reasoning)
                    out += (self._head, b'"","thinking":', thinking, self._tail)
                case Done():
                    self._finish(event.response, out)
        return b"".join(out)

    def failure(self, problem: ProblemDetails) -> bytes:
        """The line that says what broke the answer off."""
        return error_line(problem)

    def heartbeat(self) -> bytes:
        """A line without a text: an empty one would be an error."""
        return self._head + b'""' + self._tail

    def _finish(self, answer: ChatResponse, out: list[bytes]) -> None:
        for call in answer.tool_calls if self._chat else ():
            out += (self._head, b'"","tool_calls":', _encode([self._tool_call(call)]), self._tail)
        out += (self._object(answer, "", None, ()), b"\n")

    def _object(
        self, answer: ChatResponse, text: str, thinking: str | None, calls: Sequence[ToolCall]
    ) -> bytes:
        """The object that has the counts."""
        thought = {"thinking": well_formed(thinking)} if thinking else {}
        said: dict[str, Any] = {"response": well_formed(text), **thought}
        if self._chat:
            message: dict[str, Any] = {"role": "assistant", "content": well_formed(text), **thought}
            if calls:
                message["tool_calls"] = [self._tool_call(each) for each in calls]
            said = {"message": message}
        if self._logprobs and (found := _logprobs_of(answer.raw)):
            said["logprobs"] = found
        head = {"model": self._model, "created_at": self._created}
        return _encode({**head, **said, **self.ending(answer), **origin(answer)})

    # ── what a server that is imitated may say otherwise ─────────────────────────────────────────────

    def ending(self, answer: ChatResponse) -> dict[str, Any]:
        """Why it ended, and what it cost."""
        return {"done": True, "done_reason": _reason(answer), **self._counts(answer)}

    def arguments_of(self, call: ToolCall) -> Any:
        """The arguments of a call, for an encoder."""
        return as_object(call.arguments)

    # ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _tool_call(self, call: ToolCall) -> dict[str, Any]:
        function = {"index": call.index, "name": call.name, "arguments": self.arguments_of(call)}
        return {"id": call.id, "function": function} if call.id else {"function": function}

    def _counts(self, answer: ChatResponse) -> dict[str, int]:
        """Tokens and times; those of the upstream's own where it is one of these. A zero is left out."""
        raw = answer.raw if isinstance(answer.raw, Mapping) else {}
        times = {name: raw[name] for name in _DURATIONS if type(raw.get(name)) is int}
        if not times and self._elapsed is not None:
            times = {"total_duration": self._elapsed()}
            times["eval_duration"] = times["total_duration"]
        return {**{name: each for name, each in times.items() if each}, **_counted(answer.usage)}


class LinesAtOnce:
    """Writes a whole answer in the shape of a stream, for what cannot be had in pieces."""

    content_type = LINES
    stream_type = LINES

    __slots__ = ("_writer",)

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """What was said, and the line that ends it."""
        assert isinstance(answer, ChatResponse)
        said: list[StreamEvent] = [ReasoningDelta(answer.reasoning)] if answer.reasoning else []
        return self._writer.events([*said, TextDelta(answer.text), Done(answer)])

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """As of the writer within."""
        return self._writer.events(events)

    def failure(self, problem: ProblemDetails) -> bytes:
        """As of the writer within."""
        return self._writer.failure(problem)

    def heartbeat(self) -> bytes:
        """As of the writer within."""
        return self._writer.heartbeat()


class EmbeddingsWriter:
    """Writes the answer of /api/embed."""

    content_type = JSON
    stream_type = LINES

    __slots__ = ("_elapsed", "_model")

    def __init__(self, model: str, *, elapsed: Callable[[], int] | None = None) -> None:
        self._model = model
        self._elapsed = elapsed

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """The vectors, and what they cost."""
        assert isinstance(answer, EmbedResponse)
        body = {"model": self._model, "embeddings": answer.vectors, **self.counts(answer)}
        return _encode({**body, **origin(answer)})

    def counts(self, answer: EmbedResponse) -> dict[str, Any]:
        """What it cost; a server that is imitated may say it otherwise."""
        times = {} if self._elapsed is None else {"total_duration": self._elapsed()}
        return {**times, **_counted(answer.usage)}

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """Nothing: vectors do not come in pieces."""
        return b""

    def failure(self, problem: ProblemDetails) -> bytes:
        """As of any other answer."""
        return error_line(problem)

    def heartbeat(self) -> bytes:
        """Nothing."""
        return b""


class EmbeddingWriter(EmbeddingsWriter):
    """Writes the answer of /api/embeddings, which has one vector."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("")

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """The first vector."""
        assert isinstance(answer, EmbedResponse)
        return _encode({"embedding": answer.vectors[0] if answer.vectors else []})


def loaded(model: str, reason: str, *, wall: float, chat: bool) -> bytes:
    """The answer to somebody who asked for nothing, but that the model is loaded, or leaves."""
    said: dict[str, Any] = {"response": ""}
    if chat:
        said = {"message": {"role": "assistant", "content": ""}}
    head = {"model": model, "created_at": _instant(wall)}
    return _encode({**head, **said, "done": True, "done_reason": reason})


def progress_line(
    status: str, *, digest: str | None = None, total: int | None = None, completed: int | None = None
) -> bytes:
    """One step of what takes long, such as a download."""
    told = {"status": status, "digest": digest, "total": total, "completed": completed}
    return _encode({name: value for name, value in told.items() if value is not None}) + b"\n"


def _instant(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _counted(usage: Usage) -> dict[str, int]:
    counted = {"prompt_eval_count": usage.prompt, "eval_count": usage.completion}
    return {name: count for name, count in counted.items() if count}


def _reason(answer: ChatResponse) -> str:
    if answer.native_finish_reason in ("load", "unload"):
        return answer.native_finish_reason
    return "length" if answer.finish_reason == "length" else "stop"


def _logprobs_of(raw: Any) -> list[Any]:
    """The flat list of them: an Ollama's own, or that of an OpenAI's first choice."""
    if not isinstance(raw, Mapping):
        return []
    choices = raw.get("choices")
    holder = choices[0] if isinstance(choices, list) and choices else raw
    found = holder.get("logprobs") if isinstance(holder, Mapping) else None
    if isinstance(found, Mapping):
        found = found.get("content")
    return found if isinstance(found, list) else []
