"""What went wrong at Claude, as our errors.

The upstream asks to be read in this order: `error.details.error_code`, then `error.type`, then the status.
Where these say too little (no credit left, a prompt that is too long: both a 400 `invalid_request_error`
like any other), the words count that the core knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pointsman.plugin import (
    BadResponse,
    CallError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Recognised,
    Unavailable,
    complaint,
    error_for_status,
    in_vain,
    kind_by_status,
    kind_by_vague_word,
    recognise,
    retry_after,
)

NOT_CLAUDE = "this is not the Messages API; base_url must end before /v1, such as https://api.anthropic.com"

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
    "conflict_error": Unavailable,
    "request_too_large": InvalidRequest,
    "timeout_error": Unavailable,
}


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
    meant = error.meaning(status)
    kind = meant.kind
    if kind is None and status == 529:
        kind = Overloaded
    message = error.message or otherwise
    if status in (404, 405) and kind is None:
        kind = _of_what_is_missing(error)
    if kind is BadResponse:
        message = f"{message}; {NOT_CLAUDE}" if message else NOT_CLAUDE
    result = error_for_status(
        status, headers, message, wall=wall, code=error.code, kind=kind, wait=meant.wait
    )
    result.upstream_request_id = result.upstream_request_id or error.request_id
    if kind is BadResponse:
        result.retry_same = False  # a wrong address does not get better by waiting
    if isinstance(result, RateLimited) and result.retry_after is None:
        result.retry_after = _replenished_after(headers, wall)
    return in_vain(result) if meant.in_vain else result


def failure_in_stream(body: Any, *, request_id: str = "") -> CallError:
    """The error that a body or an event of a success means; the answer's status says nothing."""
    error = _Error(body)
    meant = error.meaning(error.status)
    kind = meant.kind
    if kind is None and error.type == "not_found_error":
        kind = ModelNotFound
    if kind is None and error.status is not None:
        kind = kind_by_status(error.status)
    kind = kind or kind_by_vague_word(error.code, error.type) or Unavailable
    result = kind(
        f"the upstream broke off its answer: {error.message[:500] or error.code or 'no reason given'}",
        status=error.status,
        retry_after=meant.wait,
        upstream_request_id=error.request_id or request_id,
        upstream_code=error.code,
    )
    return in_vain(result) if meant.in_vain else result


def failed(reason: str | None, *, request_id: str = "") -> CallError:
    """The error of an answer that ends with a `stop_reason` for one: whatever came of it is not whole."""
    return Unavailable(
        f"the upstream ended its answer with stop_reason {reason!r}", upstream_request_id=request_id
    )


class _Error:
    """The error envelope, read with care: edges and proxies answer in other shapes."""

    __slots__ = ("code", "is_claudes", "message", "request_id", "status", "type")

    def __init__(self, body: Any) -> None:
        said = complaint(body)
        envelope = body if isinstance(body, Mapping) else {}
        inner = envelope.get("error")
        details = inner.get("details") if isinstance(inner, Mapping) else None
        code = details.get("error_code") if isinstance(details, Mapping) else None
        self.is_claudes = isinstance(inner, Mapping) and envelope.get("type") == "error"
        self.type = said.type
        self.code = _text(code) or said.code or said.type
        self.status = said.status
        self.message = said.message
        self.request_id = _text(envelope.get("request_id"))[:200]

    def meaning(self, status: int | None) -> Recognised:
        known = recognise(status, self.code, self.type, self.message)
        kind = _BY_CODE.get(self.code) or known.kind or _BY_TYPE.get(self.type)
        return Recognised(kind, known.wait, known.in_vain)


def _of_what_is_missing(error: _Error) -> type[CallError]:
    """What a 404 or 405 is about: the model, something else that the request names, or the address."""
    if not error.is_claudes or re.fullmatch(r"\W*(not found\W*)?", error.message, re.IGNORECASE):
        return BadResponse
    return ModelNotFound if re.search(r"\bmodel\b", error.message, re.IGNORECASE) else InvalidRequest


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
    return retry_after.reset_after(headers, exhausted, wall=wall)
