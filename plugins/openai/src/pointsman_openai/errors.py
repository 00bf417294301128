"""What an upstream's error means: its code, else its type, else its status. Never its message. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pointsman import hints
from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ContentFiltered,
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    Unsupported,
)
from pointsman.frozen import frozen
from pointsman.statuses import error_for_status

_KINDS: dict[str, type[CallError]] = {
    # out of money
    "insufficient_quota": QuotaExhausted,
    "credit_balance_exhausted": QuotaExhausted,
    "organization_spend_limit_exceeded": QuotaExhausted,
    "project_spend_limit_exceeded": QuotaExhausted,
    "organization_usage_limit_exceeded": QuotaExhausted,
    "billing_hard_limit_reached": QuotaExhausted,
    "billing_not_active": QuotaExhausted,
    "quota_exceeded": QuotaExhausted,
    # too much at once
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "slow_down": RateLimited,
    "requests": RateLimited,
    "tokens": RateLimited,
    # no capacity
    "server_is_overloaded": Overloaded,
    "service_unavailable_error": Overloaded,
    "engine_overloaded": Overloaded,
    "overloaded_error": Overloaded,
    "model_loading": Overloaded,
    "admission_rejected": Overloaded,
    # the request
    "context_length_exceeded": ContextWindowExceeded,
    "exceed_context_size_error": ContextWindowExceeded,
    "content_policy_violation": ContentFiltered,
    "content_filter": ContentFiltered,
    "invalid_prompt": ContentFiltered,
    "moderation_blocked": ContentFiltered,
    "not_supported_error": Unsupported,
    # the model
    "model_not_found": ModelNotFound,
    "DeploymentNotFound": ModelNotFound,
    # the credential
    "invalid_api_key": AuthenticationFailed,
    "authentication_error": AuthenticationFailed,
    "unsupported_country_region_territory": PermissionDenied,
    "request_forbidden": PermissionDenied,
    "permission_error": PermissionDenied,
    "authorization_error": PermissionDenied,
}
_POLICY = r".*_policy(_violation)?"
_KEY = r"\b(sk|gsk|xai|sess|hf)[-_][\w*-]{6,}"

# These say too little to overrule a status, and count only where there is none.
_VAGUE: dict[str, type[CallError]] = {
    "invalid_request_error": InvalidRequest,
    "server_error": Unavailable,
}
_BY_STATUS: dict[int, type[CallError]] = {
    401: AuthenticationFailed,
    402: QuotaExhausted,
    403: PermissionDenied,
    404: ModelNotFound,
    408: Unavailable,
    409: Unavailable,
    429: RateLimited,
}


@frozen
class Complaint:
    """What an error body says; "" and None where it does not."""

    message: str = ""
    code: str = ""
    type: str = ""
    status: int | None = None


def complaint(body: Any) -> Complaint:
    """The error in a body of any of the usual shapes.

    `{"error": {…}}`, `{"error": "text"}`, `{"object": "error", …}`, `{"detail": …}`, `{"message": …}`; a
    number as `code`, or `status_code` beside it, is a status.
    """
    if isinstance(body, str):
        return Complaint(body)
    if not isinstance(body, Mapping):
        return Complaint()
    error = body.get("error")
    if isinstance(error, str):
        return Complaint(error, *_code(body))
    if not isinstance(error, Mapping):
        error = body
    message = error.get("message") or error.get("detail")
    return Complaint(_text(message), *_code(error))


def kind_of(said: Complaint, status: int | None) -> type[CallError] | None:
    """The class of error; None when only the status tells, and the core knows it."""
    for word in (said.code, said.type):
        if word in _KINDS:
            kind = _KINDS[word]
            if kind is RateLimited and status == 503:
                return Overloaded  # the older form of "slow down" is about capacity
            return kind
        if re.fullmatch(_POLICY, word):
            return ContentFiltered
    if status is not None:
        return None
    if said.status is not None:
        return _BY_STATUS.get(said.status) or (Unavailable if said.status >= 500 else InvalidRequest)
    return _VAGUE.get(said.code) or _VAGUE.get(said.type) or Unavailable


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
    kind = kind_of(said, status)
    error = error_for_status(
        status,
        headers,
        _safe(kind or _BY_STATUS.get(status), said.message or fallback),
        wall=wall,
        code=said.code or said.type,
        kind=kind,
    )
    error.upstream_request_id = error.upstream_request_id or headers.get("x-correlation-id", "")[:200]
    if isinstance(error, RateLimited) and error.retry_after is None:
        error.retry_after = _reset(headers, wall)
    return error


def error_of_body(body: Any, *, request_id: str = "") -> CallError:
    """The error in a body or frame that came with a status of success."""
    said = complaint(body)
    kind = kind_of(said, None) or Unavailable
    return kind(
        f"the upstream answers with an error: {_safe(kind, said.message)[:500]}",
        status=said.status,
        upstream_request_id=request_id,
        upstream_code=said.code or said.type,
    )


def _code(error: Mapping[str, Any]) -> tuple[str, str, int | None]:
    """(code, type, status) of an error object; a numeric code is a status and kept as text."""
    code, kind = error.get("code"), error.get("type")
    numbers = [_number(each) for each in (code, error.get("status_code"), error.get("status"))]
    status = next((each for each in numbers if each is not None and 400 <= each <= 599), None)
    known = isinstance(code, str | int) and not isinstance(code, bool)
    return str(code)[:100] if known else "", kind[:100] if isinstance(kind, str) else "", status


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        return int(value)
    return value if isinstance(value, int) else None


def _text(said: Any) -> str:
    if isinstance(said, str):
        return said
    if isinstance(said, list):  # FastAPI: [{"loc": ["body", "model"], "msg": "field required", "input": …}]
        problems = [each for each in said if isinstance(each, Mapping)]
        return "; ".join(f"{_path(each.get('loc'))}{each.get('msg') or ''}" for each in problems)
    return ""


def _path(loc: Any) -> str:
    return ".".join(str(each) for each in loc) + ": " if isinstance(loc, list) else ""


def _safe(kind: type[CallError] | None, message: str) -> str:
    if kind is AuthenticationFailed:
        return "the upstream rejected the credential"  # its own words quote the key
    return re.sub(_KEY, r"\1-***", message)


def _reset(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds until the exhausted budgets are full again; the suffixes are open: requests, tokens, …"""
    prefix = "x-ratelimit-remaining-"
    spent = [
        name.lower().replace("remaining", "reset", 1)
        for name, value in headers.items()
        if name.lower().startswith(prefix) and value.strip() == "0"
    ]
    return hints.reset_after(headers, spent, wall=wall)
