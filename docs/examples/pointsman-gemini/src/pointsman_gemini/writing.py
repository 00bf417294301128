"""Answers as Gemini gives them: whole, in pieces, and why there is none."""

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.plugin import (
    ChatResponse,
    Done,
    EmbedResponse,
    ProblemDetails,
    StreamEvent,
    TextDelta,
    Usage,
    WholeReply,
    jsonio,
    well_formed,
)

_FINISH = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_STATUS: Mapping[str, tuple[int, str]] = {
    "authentication": (401, "UNAUTHENTICATED"),
    "forbidden": (403, "PERMISSION_DENIED"),
    "refused": (403, "PERMISSION_DENIED"),
    "no_route": (404, "NOT_FOUND"),
    "method": (405, "UNIMPLEMENTED"),
    "unknown_model": (404, "NOT_FOUND"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "budget": (429, "RESOURCE_EXHAUSTED"),
    "overloaded": (503, "UNAVAILABLE"),
    "upstream": (502, "UNAVAILABLE"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "internal": (500, "INTERNAL"),
}


class Writer:
    """One answer of `model`."""

    content_type = "application/json"
    stream_type = "text/event-stream; charset=utf-8"

    def __init__(self, model: str, id: str) -> None:
        self._about = {"modelVersion": model, "responseId": id}

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        assert isinstance(answer, ChatResponse)
        return jsonio.dumps(self._said([*_parts(answer.text), *_calls(answer)], answer))

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        frames = []
        for event in events:
            if isinstance(event, TextDelta):
                frames.append(self._said(_parts(event.text)))
            elif isinstance(event, Done):
                frames.append(self._said(_calls(event.response), event.response))
        return b"".join(map(_frame, frames))

    def failure(self, problem: ProblemDetails) -> bytes:
        return _frame(error_of(problem)[1])

    def heartbeat(self) -> bytes:
        return b":\n\n"

    def _said(self, parts: Sequence[Any], answer: ChatResponse | None = None) -> dict[str, Any]:
        """A piece; with `answer` the last one, which says how it ended and what it took."""
        candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
        if answer is None:
            return {"candidates": [candidate], **self._about}
        candidate["finishReason"] = _FINISH.get(answer.finish_reason, "OTHER")
        return {"candidates": [candidate], "usageMetadata": _usage(answer.usage), **self._about}


def written(details: ProblemDetails) -> WholeReply:
    status, said = error_of(details)
    return WholeReply(status, jsonio.dumps(said))


def error_of(details: ProblemDetails) -> tuple[int, dict[str, Any]]:
    """The status, and the body that says the same."""
    status, name = _STATUS.get(details.kind, (400, "INVALID_ARGUMENT"))
    return status, {"error": {"code": status, "message": well_formed(details.message), "status": name}}


def _parts(text: str) -> list[dict[str, Any]]:
    return [{"text": text}] if text else []


def _calls(answer: ChatResponse) -> list[dict[str, Any]]:
    return [{"functionCall": {"name": each.name, "args": each.parsed()}} for each in answer.tool_calls]


def _usage(usage: Usage) -> dict[str, int]:
    prompt, completion = usage.prompt or 0, usage.completion or 0
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": completion,
        "totalTokenCount": prompt + completion,
    }


def _frame(said: Mapping[str, Any]) -> bytes:
    return b"data: %b\r\n\r\n" % jsonio.dumps(said)
