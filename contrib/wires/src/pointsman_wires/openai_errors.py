"""Why there is no answer, in the words of OpenAI's API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pointsman.plugin import ProblemDetails, ProblemKind, WholeReply, jsonio
from pointsman_wires.encoding import data_frame, json_bytes
from pointsman_wires.retry_fields import retry_fields

_BAD = "invalid_request_error"


class _Words(Struct, frozen=True):
    """A kind of problem in OpenAI's words; `code` is ours where it is None, and null where it is ""."""

    status: int
    type: str
    code: str | None = None
    param: str = ""


_WORDS: Mapping[ProblemKind, _Words] = {
    "authentication": _Words(401, _BAD, "invalid_api_key"),
    "forbidden": _Words(403, "permission_error"),
    "no_route": _Words(404, _BAD, ""),
    "method": _Words(405, _BAD, ""),
    "unknown_model": _Words(404, _BAD, "model_not_found", "model"),
    "invalid": _Words(400, _BAD, "invalid_value"),
    "unsupported": _Words(400, _BAD, "unsupported_parameter"),
    "context": _Words(400, _BAD, "context_length_exceeded", "messages"),
    "content": _Words(400, _BAD, "content_policy_violation"),
    "refused": _Words(400, _BAD),
    "too_large": _Words(413, _BAD, "request_too_large"),
    "rate_limit": _Words(429, "rate_limit_error", "rate_limit_exceeded"),
    "budget": _Words(429, "insufficient_quota", "insufficient_quota"),
    "overloaded": _Words(503, "service_unavailable_error", "server_is_overloaded"),
    "upstream": _Words(502, "server_error"),
    "timeout": _Words(504, "server_error"),
    "internal": _Words(500, "server_error"),
}


def problem(details: ProblemDetails) -> WholeReply:
    """The answer to a request that has none. Where the upstream's own words are there, it is they."""
    fields = retry_fields(details)
    if details.kind == "budget":
        fields = {"x-should-retry": "false"}
    if details.body and (said := _in_this_wire(details.body)):
        return WholeReply(details.status, said, fields=fields)
    body = json_bytes({"error": error_object(details)})
    return WholeReply(_WORDS[details.kind].status, body, fields=fields)


def _in_this_wire(body: bytes) -> bytes:
    """An upstream's body as SDKs can read it; b"" where it is of another shape."""
    try:
        said = jsonio.loads(body)
    except ValueError:
        return b""
    error = said.get("error") if isinstance(said, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return b""
    if isinstance(error.get("code"), str | None):
        return body
    return json_bytes({**said, "error": {**error, "code": str(error["code"])}})  # a number, as some have it


def error_object(details: ProblemDetails) -> dict[str, Any]:
    """The `error` member: all four keys, `code` a text or null."""
    words = _WORDS[details.kind]
    code = details.code if words.code is None else words.code
    return {
        "message": details.message,
        "type": words.type,
        "param": details.param or words.param or None,
        "code": code or None,
    }


def error_frame(details: ProblemDetails) -> bytes:
    """What ends a stream of chunks that cannot be finished: the error, and no end marker."""
    return data_frame({"error": error_object(details)})
