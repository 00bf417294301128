"""Why there is no answer, as Ollama says it: one text. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.plugin import ProblemDetails, ProblemKind, WholeReply, jsonio
from pointsman_wires.encoding import json_bytes
from pointsman_wires.retry_fields import retry_fields

JSON = "application/json; charset=utf-8"

_STATUSES: Mapping[ProblemKind, int] = {
    "authentication": 401,
    "forbidden": 403,
    "no_route": 404,
    "method": 405,
    "unknown_model": 404,
    "too_large": 413,
    "rate_limit": 429,
    "budget": 429,
    "overloaded": 503,
    "upstream": 502,
    "timeout": 504,
    "internal": 500,
}
"""Of all others it is 400."""
_WORDS: Mapping[ProblemKind, str] = {
    "unknown_model": "not found",
    "overloaded": "server busy, please try again",
}
"""What programs look for in the text, beside the status."""
_NO_PAGE = b"404 page not found"


def problem(details: ProblemDetails) -> WholeReply:
    """The answer to a request that has none. Where the upstream's own is there in this shape, it is that."""
    fields = retry_fields(details)
    if details.body and _is_error(details.body):
        return WholeReply(details.status, details.body, JSON, fields)
    if details.kind == "no_route":
        return WholeReply(404, _NO_PAGE, "text/plain", fields)
    body = json_bytes({"error": error_text(details)})
    return WholeReply(_STATUSES.get(details.kind, 400), body, JSON, fields)


def _is_error(body: bytes) -> bool:
    """Whether clients can read an upstream's `body`, which may be of another shape."""
    try:
        said = jsonio.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and isinstance(said.get("error"), str)


def error_line(details: ProblemDetails) -> bytes:
    """What ends a stream that cannot be finished."""
    return json_bytes({"error": error_text(details)}) + b"\n"


def error_text(details: ProblemDetails) -> str:
    """What went wrong, with the domain of the fault before it."""
    message = details.message
    if not message.startswith(f"{details.domain}: "):
        message = f"{details.domain}: {message}"
    words = _WORDS.get(details.kind, "")
    return message if words in message else f"{message} ({words})"
