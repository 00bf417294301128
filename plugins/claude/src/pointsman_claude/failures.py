"""What went wrong at Claude, as our errors.

The upstream asks to be read in this order: `error.details.error_code`, then `error.type`, then the status,
and never the message. There is one exception, noted below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman import hints
from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)
from pointsman.statuses import error_for_status

_BY_CODE: Mapping[str, type[CallError]] = {
    "enforced_spend_limit_reached": QuotaExhausted,
    "contract_spend_limit_reached": QuotaExhausted,
    "linked_organization_spend_limit_reached": QuotaExhausted,
    "linked_organization_billing_unavailable": QuotaExhausted,
    "ramp_limit_exceeded": RateLimited,
    "request_body_too_large_after_decoding": InvalidRequest,
    "cmek_key_unreachable": Unavailable,
    "cmek_context_unavailable": Unavailable,
    "compaction_unavailable": Overloaded,
}
_BY_TYPE: Mapping[str, type[CallError]] = {
    "authentication_error": AuthenticationFailed,
    "billing_error": QuotaExhausted,
    "permission_error": PermissionDenied,
    "not_found_error": ModelNotFound,
    "conflict_error": Unavailable,
    "request_too_large": InvalidRequest,
    "rate_limit_error": RateLimited,
    "timeout_error": Unavailable,
    "overloaded_error": Overloaded,
}
# These two say no more than a status does, so where there is a status it is the finer one (408, 409, 402).
_GENERAL_TYPES: Mapping[str, type[CallError]] = {
    "invalid_request_error": InvalidRequest,
    "api_error": Unavailable,
}
# A prompt that is too long has neither a code nor a type of its own: it is a 400 `invalid_request_error`
# like any other. Only the measured beginning of its message ("prompt is too long: N tokens > M maximum")
# tells it apart, and the fallback to a larger window depends on it. Should the wording change, such a call
# ends as a plain InvalidRequest: no fallback, but nothing worse.
_TOO_LONG = "prompt is too long"


def failure(
    status: int, headers: Mapping[str, str], body: Any, *, otherwise: str = "", wall: float
) -> CallError:
    """The error that an answer of `status` 400 or above means.

    Args:
        body: its JSON value; None when it is none, as from an edge in front of the API.
        otherwise: what to show when the body holds no message.
        wall: seconds since 1970, UTC, for hints given as dates.
    """
    error = _Error(body)
    kind = error.kind()
    if kind is None and status == 529:
        kind = Overloaded
    if kind is None and error.too_long(status):
        kind = ContextWindowExceeded
    result = error_for_status(
        status, headers, error.message or otherwise, wall=wall, code=error.code, kind=kind
    )
    result.upstream_request_id = result.upstream_request_id or error.request_id
    if isinstance(result, RateLimited) and result.retry_after is None:
        result.retry_after = _replenished_after(headers, wall)
    return result


def failure_in_stream(body: Any, *, request_id: str = "") -> CallError:
    """The error that an `error` event means; the answer's status was 200 and says nothing."""
    error = _Error(body)
    kind = error.kind() or _GENERAL_TYPES.get(error.type, Unavailable)
    if error.too_long(None):
        kind = ContextWindowExceeded
    return kind(
        f"the upstream broke off its answer: {error.message[:500] or error.code or 'no reason given'}",
        upstream_request_id=error.request_id or request_id,
        upstream_code=error.code,
    )


class _Error:
    """The error envelope, read with care: edges and proxies answer in other shapes."""

    __slots__ = ("code", "message", "request_id", "type")

    def __init__(self, body: Any) -> None:
        envelope = body if isinstance(body, Mapping) else {}
        error = envelope.get("error")
        if not isinstance(error, Mapping):
            error = {}
        details = error.get("details")
        code = details.get("error_code") if isinstance(details, Mapping) else None
        self.type = _text(error.get("type"))
        self.code = _text(code) or self.type
        self.message = _text(error.get("message"))
        self.request_id = _text(envelope.get("request_id"))[:200]

    def kind(self) -> type[CallError] | None:
        return _BY_CODE.get(self.code) or _BY_TYPE.get(self.type)

    def too_long(self, status: int | None) -> bool:
        return (
            status in (400, None)
            and self.type == "invalid_request_error"
            and self.message.startswith(_TOO_LONG)
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _replenished_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds until every exhausted limit is full again; None when the headers do not say.

    Families of limits come and go (`anthropic-ratelimit-…`, priority tier, fast mode): all are read.
    """
    exhausted = [
        name.removesuffix("-remaining") + "-reset"
        for name, value in headers.items()
        if name.startswith("anthropic-") and name.endswith("-remaining") and value.strip() == "0"
    ]
    return hints.reset_after(headers, exhausted, wall=wall)
