"""What is said of an answer beside its output: the response object. Pure."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pointsman.plugin import ChatResponse, FinishReason, JsonObject, Usage
from pointsman_wires.encoding import json_bytes, text_json
from pointsman_wires.origin import origin

_UNSAID: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What the answer repeats of the request, and what it says where that says nothing."""
_WHY_INCOMPLETE: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Envelope:
    """The response object of one request."""

    def __init__(self, body: JsonObject, *, digits: str, created: int, model: str, stored: bool) -> None:
        self.digits = digits
        self.id = f"resp_{digits}"
        self._said = {name: body[name] for name in _UNSAID if body.get(name) is not None}
        self._model = model
        self._created = created
        self._stored = stored

    def running(self) -> bytes:
        """The object of an answer that has begun."""
        return self._object("in_progress", b"[]")

    def ended(self, output: bytes, answer: ChatResponse) -> tuple[str, bytes]:
        """The status of a whole answer, and its object."""
        reason = _WHY_INCOMPLETE.get(answer.finish_reason)
        status = "completed" if reason is None else "incomplete"
        told = origin(answer).get("pointsman")
        return status, self._object(
            status,
            output,
            incomplete=b'{"reason":"%s"}' % reason.encode() if reason else b"null",
            usage=json_bytes(usage_value(answer.usage)),
            told=json_bytes(told) if told else b"",
        )

    def failed(self, output: bytes, code: str, message: str) -> bytes:
        """The object of an answer that begun and cannot be finished."""
        return self._object("failed", output, error=json_bytes({"code": code, "message": message}))

    def _object(
        self,
        status: str,
        output: bytes,
        *,
        error: bytes = b"null",
        incomplete: bytes = b"null",
        usage: bytes = b"null",
        told: bytes = b"",
    ) -> bytes:
        return b"".join(
            (
                b'{"id":"%s","object":"response","created_at":%d,"status":"%s","error":'
                % (self.id.encode(), self._created, status.encode()),
                error,
                b',"incomplete_details":',
                incomplete,
                b',"model":',
                text_json(self._model),
                b',"output":',
                output,
                b',"usage":',
                usage,
                b',"pointsman":' + told if told else b"",
                self._repeated,
            )
        )

    @cached_property
    def _repeated(self) -> bytes:
        """What is said of the request, to the end of the object: a stream says it three times."""
        return b"," + json_bytes({**_UNSAID, **self._said, "store": self._stored})[1:]


def usage_value(usage: Usage) -> dict[str, Any] | None:
    """Token counts as this wire has them; None where nobody counted."""
    if usage.prompt is None and usage.completion is None:
        return None
    asked, said = usage.prompt or 0, usage.completion or 0
    return {
        "input_tokens": asked,
        "input_tokens_details": {
            "cached_tokens": usage.cached or 0,
            "cache_write_tokens": usage.cache_write or 0,
        },
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": asked + said,
    }
