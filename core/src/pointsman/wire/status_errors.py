"""HTTP status → our error: the default table, for providers whose wire says nothing finer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pointsman._internal import jsonio
from pointsman.errors import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    InvalidRequest,
    ModelNotFound,
    Outcome,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)
from pointsman.wire import retry_after

OF_THE_WAY = frozenset({405, 407, 410, 421, 425, 426, 451, 499})
"""Statuses that speak of the way to the upstream and not of the request, as proxies, gateways and moved
addresses say them. Another deployment may be reached; the same one is not asked again."""


def error_for_status(
    status: int,
    headers: Mapping[str, str],
    message: str,
    *,
    wall: float,
    code: str = "",
    kind: type[CallError] | None = None,
    wait: float | None = None,
) -> CallError:
    """The error that an upstream's status means, unless the provider knows better and names its `kind`.

    Args:
        message: what the upstream says, already safe to show.
        wall: seconds since 1970, UTC, for hints given as dates.
        code: the upstream's own code.
        wait: seconds that the body tells to wait; the headers count first.

    `retry-after` is honoured, and `x-should-retry` overrides what the kind says about retrying.
    """
    hint = retry_after.retry_after(headers, wall=wall)
    of_the_way = kind is None and status in OF_THE_WAY
    if hint is None and (status in (429, 503, 529) or kind in (RateLimited, Overloaded)):
        hint = wait
    kind = kind or _kind(status, hint)
    text = f"HTTP {status}: {message[:500]}" if message else f"HTTP {status}"
    error = kind(
        text, status=status, retry_after=hint, upstream_request_id=request_id_of(headers), upstream_code=code
    )
    if of_the_way:
        error.retry_same = False
    match headers.get("x-should-retry", "").strip().lower():
        case "true":
            error.retry_elsewhere = error.retry_same = True
        case "false":
            # The upstream speaks for itself; a rate limit or failure there says nothing about others.
            error.retry_same = False
    return error


def in_vain(error: CallError) -> CallError:
    """`error`, said of a request that is larger than its account's rate ever allows.

    Waiting does not help and others of its kind may pass, so the deployment is not to blame; another may do.
    """
    error.retry_same = False
    error.retry_after = None
    error.outcome = Outcome.CLIENT_FAULT
    return error


def _kind(status: int, hint: float | None) -> type[CallError]:
    match status:
        case 401:
            return AuthenticationFailed
        case 402:
            return QuotaExhausted
        case 403:
            return PermissionDenied
        case 404:
            return ModelNotFound
        case 408 | 409:
            return Unavailable
        case 429:
            return RateLimited
        case 503 | 529 if hint is not None:
            return Overloaded
        case _ if status >= 500 or status in OF_THE_WAY:
            return Unavailable
        case _ if status >= 400:
            return InvalidRequest
        case _:
            return BadResponse


def json_or_none(body: bytes) -> Any:
    """The JSON value of `body`, None when it is empty or none."""
    try:
        return jsonio.loads(body)
    except ValueError:
        return None


def snippet(body: bytes) -> str:
    """The beginning of a body that is not JSON, on one line and without markup, for an error message."""
    text = body[:2000].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text[:1] == "<":
        return "an HTML page instead of an API answer"
    text = re.sub(_MARKUP, " ", text)
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:200]


_ID_NAMES = ("x-request-id", "request-id", "x-correlation-id")
ID_NAMES = frozenset(_ID_NAMES)
"""The header fields, in lower case, that an upstream gives its own id of a call in."""
_LONGEST_ID = 200
_MARKUP = r"<[a-zA-Z!/?][^<>]*>?"


def request_id_of(headers: Mapping[str, str]) -> str:
    """The upstream's own id of a call, "" when it gives none.

    It goes on into errors, logs and the audit: at most 200 characters, of which only printable ASCII is left.
    """
    for name in _ID_NAMES:
        if value := headers.get(name):
            value = value[:_LONGEST_ID]
            if not (value.isascii() and value.isprintable()):
                value = "".join(each for each in value if each.isascii() and each.isprintable())
            if value := value.strip():
                return value
    return ""
