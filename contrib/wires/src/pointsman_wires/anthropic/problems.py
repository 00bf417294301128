"""Why there is no answer, as the Messages API says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman.plugin import ProblemDetails, ProblemKind, WholeReply, jsonio
from pointsman_wires.encoding import json_bytes, named_frame
from pointsman_wires.retry_fields import retry_fields

_BAD = "invalid_request_error"

_MEANT: Mapping[ProblemKind, tuple[int, str]] = {
    "authentication": (401, "authentication_error"),
    "forbidden": (403, "permission_error"),
    "no_route": (404, "not_found_error"),
    "method": (405, _BAD),
    "unknown_model": (404, "not_found_error"),
    "invalid": (400, _BAD),
    "unsupported": (400, _BAD),
    "context": (400, _BAD),
    "content": (400, _BAD),
    "refused": (400, _BAD),
    "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"),
    # Clients ask again after a 429, and for long: only this one tells them that waiting is in vain.
    "budget": (402, "billing_error"),
    "overloaded": (529, "overloaded_error"),
    "upstream": (500, "api_error"),
    "timeout": (504, "timeout_error"),
    "internal": (500, "api_error"),
}

_TOO_LONG = "prompt is too long"
"""Clients look for these words, and then make the conversation shorter."""


def problem(details: ProblemDetails) -> WholeReply:
    """The answer to a request that has none. Where the upstream's own is there in this shape, it is that."""
    fields = retry_fields(details)
    if details.request_id:
        fields["request-id"] = details.request_id
    if details.body and _is_error(details.body):
        return WholeReply(details.status, details.body, fields=fields)
    status, _ = _MEANT[details.kind]
    return WholeReply(status, json_bytes(_envelope(details)), fields=fields)


def _is_error(body: bytes) -> bool:
    """Whether SDKs can read an upstream's `body`, which may be of another shape."""
    try:
        said = jsonio.loads(body)
    except ValueError:
        return False
    error = said.get("error") if isinstance(said, dict) else None
    return isinstance(error, dict) and isinstance(error.get("type"), str)


def error_frame(details: ProblemDetails) -> bytes:
    """What ends a stream that cannot be finished."""
    return named_frame("error", _envelope(details))


def _envelope(details: ProblemDetails) -> dict[str, Any]:
    message = details.message
    if not message.startswith(f"{details.domain}: "):
        message = f"{details.domain}: {message}"
    if details.kind == "context" and _TOO_LONG not in message.lower():
        message = f"{_TOO_LONG} ({message})"
    error = {"type": _MEANT[details.kind][1], "message": message}
    return {"type": "error", "error": error, "request_id": details.request_id or None}
