"""Every documented failure, by code, by type and by status; whole and in a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    Outcome,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)
from pointsman.http.framing import SseEvent
from pointsman_claude.errors import failure, failure_in_stream
from pointsman_claude.stream import MessagesDecoder

WALL = 1_785_672_000.0  # 2026-08-02T12:00:00Z
TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum"


def envelope(type: str, code: str | None = None, message: str = "why") -> dict[str, Any]:
    error: dict[str, Any] = {"type": type, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": "req_body"}


TABLE: list[tuple[int, Any, type[CallError]]] = [
    (400, envelope("invalid_request_error"), InvalidRequest),
    (400, envelope("invalid_request_error", message=TOO_LONG), ContextWindowExceeded),
    (400, envelope("invalid_request_error", message=f"is it so that {TOO_LONG}"), InvalidRequest),
    (401, envelope("authentication_error"), AuthenticationFailed),
    (402, envelope("billing_error"), QuotaExhausted),
    (402, envelope("invalid_request_error"), QuotaExhausted),
    (402, envelope("billing_error", "linked_organization_billing_unavailable"), QuotaExhausted),
    (402, envelope("billing_error", "linked_organization_spend_limit_reached"), QuotaExhausted),
    (403, envelope("permission_error"), PermissionDenied),
    (404, envelope("not_found_error", message="model: claude-x"), ModelNotFound),
    (404, envelope("not_found_error", message="The model claude-x was not found"), ModelNotFound),
    (404, envelope("not_found_error", message="File not found: file_1"), InvalidRequest),
    (408, envelope("invalid_request_error"), Unavailable),
    (409, envelope("conflict_error"), Unavailable),
    (413, envelope("request_too_large"), InvalidRequest),
    (413, envelope("request_too_large", "request_body_too_large_after_decoding"), InvalidRequest),
    (422, envelope("invalid_request_error"), InvalidRequest),
    (429, envelope("rate_limit_error"), RateLimited),
    (429, envelope("rate_limit_error", "enforced_spend_limit_reached"), QuotaExhausted),
    (429, envelope("rate_limit_error", "contract_spend_limit_reached"), QuotaExhausted),
    (429, envelope("rate_limit_error", "ramp_limit_exceeded"), RateLimited),
    (429, envelope("rate_limit_error", "a_code_of_the_future"), RateLimited),
    (500, envelope("api_error"), Unavailable),
    (503, envelope("api_error", "cmek_key_unreachable"), Unavailable),
    (503, envelope("api_error", "cmek_context_unavailable"), Unavailable),
    (504, envelope("timeout_error"), Unavailable),
    (529, envelope("overloaded_error"), Overloaded),
    (529, envelope("overloaded_error", "compaction_unavailable"), Overloaded),
    (529, envelope("a_type_of_the_future"), Overloaded),
    # The type decides where it disagrees with the status.
    (500, envelope("overloaded_error"), Overloaded),
    (503, envelope("rate_limit_error"), Overloaded),
    # Whatever stands in front of the API may answer anything.
    (400, None, InvalidRequest),
    (401, "no", AuthenticationFailed),
    (429, {}, RateLimited),
    (502, {"error": "bad gateway"}, Unavailable),
    (500, {"error": {"type": 7, "message": None, "details": []}}, Unavailable),
    (529, None, Overloaded),
]


@pytest.mark.parametrize(("status", "body", "kind"), TABLE)
def test_a_failure_means(status: int, body: Any, kind: type[CallError]) -> None:
    error = failure(status, {}, body, wall=WALL)

    assert type(error) is kind
    assert error.status == status
    assert error.retry_after is None


IN_STREAM: list[tuple[Any, type[CallError]]] = [
    (envelope("invalid_request_error"), InvalidRequest),
    (envelope("invalid_request_error", message=TOO_LONG), ContextWindowExceeded),
    (envelope("authentication_error"), AuthenticationFailed),
    (envelope("billing_error"), QuotaExhausted),
    (envelope("permission_error"), PermissionDenied),
    (envelope("not_found_error"), ModelNotFound),
    (envelope("rate_limit_error"), RateLimited),
    (envelope("rate_limit_error", "enforced_spend_limit_reached"), QuotaExhausted),
    (envelope("timeout_error"), Unavailable),
    (envelope("api_error"), Unavailable),
    (envelope("overloaded_error"), Overloaded),
    (envelope("a_type_of_the_future"), Unavailable),
    ({"type": "error"}, Unavailable),
]


@pytest.mark.parametrize(("body", "kind"), IN_STREAM)
def test_a_failure_in_a_stream_means(body: Any, kind: type[CallError]) -> None:
    with pytest.raises(CallError) as caught:
        MessagesDecoder(request_id="req_head").decode(SseEvent("error", json.dumps(body).encode()))

    assert type(caught.value) is kind
    assert caught.value.status is None
    assert caught.value.upstream_request_id == body.get("request_id", "req_head")


def test_the_finest_code_and_the_request_id_are_kept() -> None:
    error = failure(429, {}, envelope("rate_limit_error", "ramp_limit_exceeded"), wall=WALL)

    assert error.upstream_code == "ramp_limit_exceeded"
    assert error.upstream_request_id == "req_body"
    assert failure_in_stream(envelope("api_error")).upstream_code == "api_error"


def test_the_header_names_the_request_before_the_body_does() -> None:
    error = failure(500, {"request-id": "req_head"}, envelope("api_error"), wall=WALL)

    assert error.upstream_request_id == "req_head"


def test_a_rate_limit_without_a_hint_waits_for_the_limit_that_is_used_up() -> None:
    headers = {
        "anthropic-ratelimit-requests-remaining": "12",
        "anthropic-ratelimit-requests-reset": "2026-08-02T12:59:00Z",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-08-02T12:00:20Z",
        "anthropic-priority-output-tokens-remaining": "0",
        "anthropic-priority-output-tokens-reset": "2026-08-02T12:00:30Z",
    }

    assert failure(429, headers, envelope("rate_limit_error"), wall=WALL).retry_after == 30
    hinted = {**headers, "retry-after": "7"}
    assert failure(429, hinted, envelope("rate_limit_error"), wall=WALL).retry_after == 7
    spent = envelope("rate_limit_error", "enforced_spend_limit_reached")
    assert failure(429, headers, spent, wall=WALL).retry_after is None


@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_should_not_retry_on_the_clients_fault_means_here_and_elsewhere(status: int) -> None:
    kind = {403: "permission_error", 404: "not_found_error"}.get(status, "invalid_request_error")

    error = failure(status, {"x-should-retry": "false"}, envelope(kind, message="model: x"), wall=WALL)

    assert not error.retry_same
    # A right or a model that is lacking here says nothing about another deployment.
    assert error.retry_elsewhere is (status in (403, 404))


def test_should_not_retry_leaves_other_credentials_to_try_when_the_money_is_gone() -> None:
    error = failure(
        429, {"x-should-retry": "false"}, envelope("x", "enforced_spend_limit_reached"), wall=WALL
    )

    assert (error.retry_same, error.retry_elsewhere) == (False, True)
    assert error.outcome is Outcome.UPSTREAM_FAULT


def test_should_retry_overrules_the_kind() -> None:
    error = failure(400, {"x-should-retry": "true"}, envelope("invalid_request_error"), wall=WALL)

    assert (error.retry_same, error.retry_elsewhere) == (True, True)
