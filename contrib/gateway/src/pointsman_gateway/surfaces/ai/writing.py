"""Answers of the plain API, written: whole, as server-sent events, and as messages of a WebSocket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.plugin import (
    ChatResponse,
    Done,
    EmbedResponse,
    ProblemDetails,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCall,
    Usage,
    jsonio,
)
from pointsman_gateway.surfaces.ai.envelope import answered, error_of


class PlainWriter:
    """One answer, with what only conversations have where `chat` says that it is one."""

    content_type = "application/json"
    stream_type = "text/event-stream; charset=utf-8"
    names_deployment = True
    """The shape has a place for it, beside what the gateway says of where answers come from."""

    def __init__(
        self, model: str, request_id: str, *, chat: bool = False, session: str | None = None
    ) -> None:
        self._model = model
        self._request_id = request_id
        self._chat = chat
        self._session = session

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """The envelope around all that there is."""
        return answered(self.data(answer), self._request_id).body

    def data(self, answer: ChatResponse | EmbedResponse) -> dict[str, Any]:
        """`{text, model, usage, finishReason, deployment}`, and what conversations have besides."""
        assert isinstance(answer, ChatResponse)
        data: dict[str, Any] = {
            "text": answer.text,
            "model": self._model,
            "usage": usage_of(answer.usage),
            "finishReason": answer.finish_reason,
            "deployment": answer.deployment,
        }
        if answer.refusal is not None:
            data["refusal"] = answer.refusal
        if self._chat:
            calls = [tool_call(each) for each in answer.tool_calls]
            data["message"] = {"role": "assistant", "content": answer.text}
            if calls:
                data["message"]["toolCalls"] = calls
            data["toolCalls"] = calls
            data["sessionId"] = self._session
        return data

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """One message for each piece, and the last with all that is known then."""
        return b"".join(_frame("message", each) for event in events for each in self.pieces(event))

    def pieces(self, event: StreamEvent) -> list[dict[str, Any]]:
        """What an event is here; nothing for most of them."""
        match event:
            case TextDelta():
                return [{"delta": event.text, "isFinal": False}]
            case ReasoningDelta():
                return [{"delta": "", "reasoning": event.reasoning, "isFinal": False}]
            case Done():
                rest = {name: value for name, value in self.data(event.response).items() if name != "text"}
                return [{"delta": "", "isFinal": True, **rest}]
        return []

    def failure(self, problem: ProblemDetails) -> bytes:
        """`event: error`."""
        return _frame("error", {**error_of(problem), "requestId": self._request_id})

    def heartbeat(self) -> bytes:
        """A comment."""
        return b": ping\n\n"


class SocketWriter(PlainWriter):
    """One answer as messages of a WebSocket, a line each, under the id that its caller gave it."""

    stream_type = "application/x-ndjson"

    def __init__(self, id: str, model: str, request_id: str, *, chat: bool, session: str | None) -> None:
        super().__init__(model, request_id, chat=chat, session=session)
        self._id = id

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """`done`, with everything."""
        return self._done(self.data(answer))

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """A `delta` for each piece, and `done`."""
        return b"".join(self._message(each) for event in events for each in self.pieces(event))

    def _message(self, piece: Mapping[str, Any]) -> bytes:
        kind = "done" if piece["isFinal"] else "delta"
        rest = {name: value for name, value in piece.items() if name != "isFinal"}
        if kind == "done":
            del rest["delta"]
            return self._done(rest)
        return _line({"id": self._id, "type": kind, **rest})

    def _done(self, data: Mapping[str, Any]) -> bytes:
        return _line({"id": self._id, "type": "done", **data, "requestId": self._request_id})

    def failure(self, problem: ProblemDetails) -> bytes:
        """`error`."""
        return _line({"id": self._id, "type": "error", **error_of(problem), "requestId": self._request_id})

    def heartbeat(self) -> bytes:
        """None: WebSockets have their own."""
        return b""


def usage_of(usage: Usage) -> dict[str, int]:
    """Tokens, 0 where the upstream did not count."""
    prompt, completion = usage.prompt or 0, usage.completion or 0
    return {"promptTokens": prompt, "completionTokens": completion, "totalTokens": prompt + completion}


def tool_call(call: ToolCall) -> dict[str, Any]:
    """`{id, name, arguments}`, the last as the text that the model wrote."""
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def _frame(name: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), jsonio.dumps(data))


def _line(data: Mapping[str, Any]) -> bytes:
    return jsonio.dumps(data) + b"\n"
