"""What an upstream's error means: its code, its type and the measured messages, else its status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman.plugin import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    RateLimited,
    Unavailable,
    complaint,
    error_for_status,
    in_vain,
    kind_by_status,
    kind_by_vague_word,
    recognise,
    retry_after,
)
from pointsman_openai.address import names_no_path


def error_of_answer(
    status: int, headers: Mapping[str, str], body: Any, *, wall: float, fallback: str = ""
) -> CallError:
    """The error that an HTTP answer of status 400 or above means.

    Args:
        body: its JSON value, None when it has none.
        wall: seconds since 1970, UTC.
        fallback: the message for a body that says nothing.
    """
    said = complaint(body)
    meant = recognise(status, said.code, said.type, said.message)
    kind = meant.kind
    wait = retry_after.parse_reset(said.wait, wall=wall)
    error = error_for_status(
        status,
        headers,
        _said(kind or kind_by_status(status), said.message or fallback),
        wall=wall,
        code=said.code or said.type,
        kind=kind,
        wait=meant.wait if wait is None else wait,
    )
    error.upstream_request_id = error.upstream_request_id or headers.get("x-correlation-id", "")[:200]
    if isinstance(error, RateLimited) and error.retry_after is None:
        error.retry_after = _reset(headers, wall)
    return in_vain(error) if meant.in_vain else error


def error_of_body(body: Any, *, request_id: str = "") -> CallError:
    """The error in a body or frame that came with a status of success."""
    said = complaint(body)
    meant = recognise(said.status, said.code, said.type, said.message)
    kind = meant.kind
    if kind is None and said.status is not None:
        kind = kind_by_status(said.status)
    kind = kind or kind_by_vague_word(said.code, said.type) or Unavailable
    hint = ""
    if names_no_path(said.message):
        kind, hint = BadResponse, "; this path is not there: base_url should end with /v1 or the like"
    words = _said(kind, said.message or said.code or said.type)[:500]
    error = kind(
        f"the upstream answers with an error: {words}{hint}",
        status=said.status,
        retry_after=meant.wait,
        upstream_request_id=request_id,
        upstream_code=said.code or said.type,
    )
    return in_vain(error) if meant.in_vain else error


def _said(kind: type[CallError] | None, message: str) -> str:
    if kind is AuthenticationFailed:
        return "the upstream rejected the credential" + (f": {message}" if message else "")
    return message


def _reset(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds until the exhausted budgets are full again; the suffixes are open: none, requests, tokens, …"""
    prefix = "x-ratelimit-remaining"
    spent = [
        name.lower().replace("remaining", "reset", 1)
        for name, value in headers.items()
        if name.lower().startswith(prefix) and value.strip() == "0"
    ]
    return retry_after.reset_after(headers, spent, wall=wall)
