"""What an upstream's error means: its code, its type and the measured messages, else its status. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pointsman.plugin import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    RateLimited,
    Unavailable,
    Unsupported,
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
    fields: tuple[str, ...] = ()
    if kind is None and said.code in _OF_FIELDS:
        kind, fields = Unsupported, _fields(body, said.message)
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
    if isinstance(error, Unsupported):
        error.fields = fields
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


_OF_FIELDS = ("unsupported_parameter", "unsupported_value")
"""The codes of errors that are about one parameter, which the model does not have or not so."""
_FIELDS: Mapping[str, str] = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "reasoning": "reasoning_effort",
    "repetition_penalty": "repeat_penalty",
    "instructions": "messages",
    "input": "messages",
    "text": "response_format",
}
"""Our names of parameters that have others there."""


def _fields(body: Any, message: str) -> tuple[str, ...]:
    """The field of our requests that such an error is about; () where it does not say."""
    error = body.get("error") if isinstance(body, Mapping) else None
    param = error.get("param") if isinstance(error, Mapping) else None
    if not isinstance(param, str):
        quoted = re.search(r"^Unsupported \w+: '([^']{1,100})'", message)
        param = quoted[1] if quoted else ""
    name = re.split(r"[.\[]", param, maxsplit=1)[0]
    return (_FIELDS.get(name, name),) if name else ()


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
