"""Answers as chat completions, whole and in chunks. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pointsman.plugin import (
    NOTHING,
    ChatResponse,
    Done,
    EmbedResponse,
    JsonObject,
    ProblemDetails,
    RawDelta,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    openai_objects,
)
from pointsman_wires.encoding import COMMENT, DONE, EVENT_STREAM, JSON, data_frame, json_bytes, text_json
from pointsman_wires.openai_chat.details import DETAILS, numbered
from pointsman_wires.openai_errors import error_frame
from pointsman_wires.origin import origin


class ChatWriter:
    """Writes one answer.

    Args:
        model: as the caller calls it.
        include_usage: whether a stream ends with a chunk of the token counts.
        logprobs: whether to look for them in what the upstream sent.
        members: further ones of the answer and of each chunk.
        choices: how often the answer is given.
    """

    content_type = JSON
    stream_type = EVENT_STREAM

    def __init__(
        self,
        *,
        id: str,
        created: int,
        model: str,
        include_usage: bool = False,
        logprobs: bool = False,
        members: JsonObject = NOTHING,
        choices: int = 1,
    ) -> None:
        self._head: dict[str, Any] = {"id": id, "object": "", "created": created, "model": model}
        if members:
            self._head |= members
        self._include_usage = include_usage
        self._logprobs = logprobs
        self._choices = range(choices)
        self._opened = False
        self._blocks = 0
        self._calls: dict[int, str] = {}
        """The kind of each call that has begun, by its index."""
        self._around: tuple[bytes, bytes] | None = None

    def reason(self, answer: ChatResponse) -> str:
        """Why the answer ended, in a word that clients know."""
        return openai_objects.FINISH[answer.finish_reason]

    # ── whole ────────────────────────────────────────────────────────────────────────────────────────

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """The body of a whole answer."""
        assert isinstance(answer, ChatResponse)
        body = openai_objects.completion(
            answer,
            self._head,
            finish=self.reason(answer),
            logprobs=self._logprobs,
            choices=len(self._choices),
        )
        return json_bytes({**body, **origin(answer)})

    # ── streamed ─────────────────────────────────────────────────────────────────────────────────────

    def begin(self, *, content: str | None) -> bytes:
        """The first chunk, which `events` puts before the first content unless it was written before.

        Args: content: "", or None where the answer begins with a call or a refusal.
        """
        self._opened = True
        return self._chunk({"role": "assistant", "content": content, "refusal": None})

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """The chunks of `events`; `Done` brings the finish reason, the token counts and the end marker."""
        out: list[bytes] = []
        if self._logprobs:
            events = _with_logprobs(events)
        before, after = self._around or self._learned()
        single = len(self._choices) == 1
        for event in events:
            if type(event) is TextDelta and self._opened and single:
                out += (before, text_json(event.text), after)  # as nearly all are
            elif (write := _WRITES.get(type(event))) is not None:
                write(self, event, out)
        return b"".join(out)

    def failure(self, problem: ProblemDetails) -> bytes:
        """The error as an event."""
        return error_frame(problem)

    def heartbeat(self) -> bytes:
        """A comment."""
        return COMMENT

    def _learned(self) -> tuple[bytes, bytes]:
        """What stands before and after the text of a chunk that says nothing else.

        A null byte stands for the text: within texts JSON has none.
        """
        before, after = self._frame(0, b'{"content":\0}').split(b"\0")
        self._around = before, after
        return self._around

    def _chunk(self, delta: JsonObject, **more: Any) -> bytes:
        """A chunk of `delta` for each choice."""
        written = json_bytes(delta)
        return b"".join([self._frame(index, written, **more) for index in self._choices])

    def _frame(
        self, index: int, delta: bytes, *, told: Any = None, finish: str | None = None, **members: Any
    ) -> bytes:
        head = json_bytes({**self._head, "object": "chat.completion.chunk", **members})[:-1]
        ends = b'"usage":null}\n\n' if self._include_usage else b"}\n\n"
        return b'data: %b,"choices":[{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]%b' % (
            head,
            index,
            delta,
            json_bytes(told),
            json_bytes(finish),
            b"," + ends if self._include_usage else ends,
        )

    def _delta(self, members: JsonObject, out: list[bytes], told: Any = None) -> None:
        if not self._opened:
            out.append(self.begin(content=None if "tool_calls" in members or "refusal" in members else ""))
        out.append(self._chunk(members, told=told))

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        self._delta({"content": event.text}, out)

    def _told_text(self, event: _ToldText, out: list[bytes]) -> None:
        self._delta({"content": event.text}, out, event.told)

    def _reasoning(self, event: ReasoningDelta, out: list[bytes]) -> None:
        self._delta({"reasoning_content": event.reasoning}, out)

    def _block(self, event: ReasoningBlock, out: list[bytes]) -> None:
        self._delta({DETAILS: [numbered(event.block, self._blocks)]}, out)
        self._blocks += 1

    def _refusal(self, event: RefusalDelta, out: list[bytes]) -> None:
        self._delta({"refusal": event.refusal}, out)

    def _raw(self, event: RawDelta, out: list[bytes]) -> None:
        told = event.raw.get("logprobs") if self._logprobs else None
        if told or event.extra:
            self._delta(event.extra, out, told)

    def _tool_call(self, event: ToolCallDelta, out: list[bytes]) -> None:
        """The first piece of a call has its id and name and no arguments, the others arguments alone."""
        if event.index not in self._calls:
            begun = self._begun(event.index, event.id, event.name, event.extra)
            self._calls[event.index] = begun["type"]
            self._delta({"tool_calls": [begun]}, out)
        elif event.extra:
            self._delta({"tool_calls": [{"index": event.index, **event.extra}]}, out)
        if event.arguments:
            kind = self._calls[event.index]
            piece = openai_objects.arguments_piece(kind, event.arguments)
            self._delta({"tool_calls": [{"index": event.index, kind: piece}]}, out)

    def _begun(self, index: int, id: str, name: str, extra: JsonObject) -> dict[str, Any]:
        id = id or openai_objects.call_id(self._head["id"], index)
        return {"index": index, **openai_objects.tool_call(id, name, "", extra)}

    def _done(self, event: Done, out: list[bytes]) -> None:
        if not self._opened:
            out.append(self.begin(content=""))
        answer = event.response
        out.append(self._chunk({}, finish=self.reason(answer), **origin(answer)))
        if self._include_usage and (usage := openai_objects.usage(answer.usage)) is not None:
            counted = {"object": "chat.completion.chunk", "choices": [], "usage": usage}
            out.append(data_frame({**self._head, **counted}))
        out.append(DONE)


class _ToldText(StreamEvent, frozen=True):
    """A piece of text with what is told of its tokens, for one chunk."""

    text: str = ""
    told: Any = None


def _with_logprobs(events: Sequence[StreamEvent]) -> list[StreamEvent]:
    """`events` with each piece of text and the logprobs that came with it as one."""
    joined: list[StreamEvent] = []
    for event in events:
        before = joined[-1] if joined else None
        told = event.raw.get("logprobs") if isinstance(event, RawDelta) else None
        if told is None or not isinstance(before, TextDelta):
            joined.append(event)
        else:
            joined[-1] = _ToldText(before.text, told)
    return joined


_WRITES: Mapping[type[StreamEvent], Callable[[ChatWriter, Any, list[bytes]], None]] = {
    TextDelta: ChatWriter._text,
    _ToldText: ChatWriter._told_text,
    ReasoningDelta: ChatWriter._reasoning,
    ReasoningBlock: ChatWriter._block,
    RefusalDelta: ChatWriter._refusal,
    RawDelta: ChatWriter._raw,
    ToolCallDelta: ChatWriter._tool_call,
    Done: ChatWriter._done,
}
