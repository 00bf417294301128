"""What an upstream's error means, by code, then type, then status."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from pointsman.wire.error_body import complaint
from pointsman_openai.errors import error_of_answer, error_of_body

WALL = 1_786_356_000.0
INVALID = "invalid_request_error"


def answer(status: int, body: Any = None, **headers: str) -> CallError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_of_answer(status, named, body, wall=WALL)


def error(code: Any = None, type: Any = None) -> dict[str, Any]:
    return {"error": {"message": "no", "type": type, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "code", "type", "expected"),
    [
        *[
            (400, code, INVALID, InvalidRequest)
            for code in (
                "missing_required_parameter",
                "unknown_parameter",
                "invalid_value",
                "invalid_type",
                "empty_array",
                "empty_string",
                "decimal_above_max_value",
                "invalid_function_parameters",
                "invalid_image_url",
                "invalid_image_format",
                "unsupported_file",
                None,
            )
        ],
        (400, "context_length_exceeded", INVALID, ContextWindowExceeded),
        (400, 400, "exceed_context_size_error", ContextWindowExceeded),
        (400, "model_not_found", INVALID, ModelNotFound),
        (404, "model_not_found", INVALID, ModelNotFound),
        (404, None, INVALID, ModelNotFound),
        (404, "DeploymentNotFound", INVALID, ModelNotFound),
        (400, "content_policy_violation", INVALID, ContentFiltered),
        (400, "content_filter", None, ContentFiltered),
        (400, "invalid_prompt", INVALID, ContentFiltered),
        (400, "bio_policy", INVALID, ContentFiltered),
        (400, "misalignment_policy_violation", INVALID, ContentFiltered),
        (401, "invalid_api_key", INVALID, AuthenticationFailed),
        (401, None, INVALID, AuthenticationFailed),
        (401, 401, "authentication_error", AuthenticationFailed),
        (403, "unsupported_country_region_territory", "request_forbidden", PermissionDenied),
        (403, None, None, PermissionDenied),
        (403, 403, "model_disabled", PermissionDenied),
        (402, None, None, QuotaExhausted),
        (429, "insufficient_quota", "insufficient_quota", QuotaExhausted),
        (429, "credit_balance_exhausted", "insufficient_quota", QuotaExhausted),
        (429, "organization_spend_limit_exceeded", "insufficient_quota", QuotaExhausted),
        (429, "project_spend_limit_exceeded", "insufficient_quota", QuotaExhausted),
        (429, "organization_usage_limit_exceeded", "insufficient_quota", QuotaExhausted),
        (429, None, "insufficient_quota", QuotaExhausted),
        (429, "something_new", "insufficient_quota", QuotaExhausted),
        (429, 429, "quota_exceeded", QuotaExhausted),
        (429, "rate_limit_exceeded", "requests", RateLimited),
        (429, "rate_limit_exceeded", "tokens", RateLimited),
        (429, "slow_down", "rate_limit_error", RateLimited),
        (429, None, None, RateLimited),
        (429, 429, None, RateLimited),
        (503, "slow_down", "service_unavailable_error", Overloaded),
        (503, "server_is_overloaded", "service_unavailable_error", Overloaded),
        (503, None, None, Unavailable),
        (503, None, "admission_rejected", Overloaded),
        (503, "model_loading", "model_loading", Overloaded),
        (500, None, "server_error", Unavailable),
        (500, 500, "server_error", Unavailable),
        (500, 500, INVALID, Unavailable),
        (501, 501, "not_supported_error", Unsupported),
        (400, "unsupported_parameter", INVALID, Unsupported),
        (400, "unsupported_value", INVALID, Unsupported),
        (502, None, None, Unavailable),
        (504, None, None, Unavailable),
        (524, None, None, Unavailable),
        (408, None, None, Unavailable),
        (409, None, None, Unavailable),
        (413, None, None, InvalidRequest),
        (422, None, None, InvalidRequest),
        (400, "tool_use_failed", INVALID, InvalidRequest),
    ],
)
def test_an_error_is_classified(status: int, code: Any, type: Any, expected: type[CallError]) -> None:
    found = answer(status, error(code, type))

    assert found.__class__ is expected
    assert found.status == status
    assert found.upstream_code == (str(code) if code is not None else type or "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "words"}}, "words"),
        ({"error": "words"}, "words"),
        ({"detail": "words"}, "words"),
        (
            {"detail": [{"loc": ["body", "model"], "msg": "field required", "input": "a prompt"}]},
            "body.model: field required",
        ),
        ({"object": "error", "message": "words", "type": "BadRequestError", "code": 400}, "words"),
        ({"message": "words"}, "words"),
        ("words", "words"),
        ({"error": {"message": 7}}, ""),
        (None, ""),
        ([], ""),
    ],
)
def test_the_message_is_found_in_every_usual_shape(body: Any, message: str) -> None:
    assert complaint(body).message == message


def test_a_body_that_is_no_json_leaves_the_status() -> None:
    found = error_of_answer(502, {}, None, wall=WALL, fallback="an HTML page instead of an API answer")
    assert type(found) is Unavailable
    assert str(found) == "HTTP 502: an HTML page instead of an API answer"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "2"}, 2.0),
        ({"retry_after": "2", "retry_after_ms": "1400"}, 1.4),
        ({"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "6m0s"}, 360.0),
        ({"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "120ms"}, 0.12),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int((WALL + 30) * 1000))}, 30.0),
        ({"x_ratelimit_remaining_tokens": "5", "x_ratelimit_reset_tokens": "1m"}, None),
        (
            {
                "x_ratelimit_remaining_tokens": "0",
                "x_ratelimit_reset_tokens": "2s",
                "x_ratelimit_remaining_project-tokens": "0",
                "x_ratelimit_reset_project-tokens": "7s",
                "x_ratelimit_remaining_requests": "10",
                "x_ratelimit_reset_requests": "1h0m0s",
            },
            7.0,
        ),
        ({"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "soon"}, None),
        (
            {"retry_after": "1", "x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "1h"},
            1.0,
        ),
        ({}, None),
    ],
)
def test_a_rate_limit_says_when_to_come_back(headers: dict[str, str], expected: float | None) -> None:
    found = answer(429, error("rate_limit_exceeded", "requests"), **headers)
    assert found.retry_after == (pytest.approx(expected) if expected is not None else None)


def test_a_reset_header_is_no_hint_for_other_errors() -> None:
    found = answer(500, None, x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="1h")
    assert found.retry_after is None


@pytest.mark.parametrize(
    ("body", "expected", "status"),
    [
        ({"error": {"message": "m", "type": "server_error", "code": None}}, Unavailable, None),
        ({"error": {"code": 400, "message": "Token limit reached"}}, InvalidRequest, 400),
        ({"error": {"code": 429, "message": "m"}}, RateLimited, 429),
        ({"error": {"code": 502, "message": "m"}}, Unavailable, 502),
        ({"error": {"code": "502", "message": "m"}}, Unavailable, 502),
        ({"error": {"type": INVALID, "code": "tool_use_failed", "status_code": 400}}, InvalidRequest, 400),
        ({"error": {"type": INVALID}}, InvalidRequest, None),
        ({"error": {"code": "rate_limit_exceeded"}}, RateLimited, None),
        ({"error": {"code": "insufficient_quota"}}, QuotaExhausted, None),
        ({"error": {"code": "server_error", "type": "server_error"}}, Unavailable, None),
        ({"error": "something"}, Unavailable, None),
        ({"error": {"message": "new"}}, Unavailable, None),
    ],
)
def test_an_error_inside_a_success_is_classified(
    body: Any, expected: type[CallError], status: int | None
) -> None:
    found = error_of_body(body, request_id="r1")
    assert type(found) is expected
    assert (found.status, found.upstream_request_id) == (status, "r1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "detail", "loc", "msg"]), inner
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON, st.integers(400, 599))
def test_any_body_gives_an_error_and_never_breaks(body: Any, status: int) -> None:
    assert isinstance(answer(status, body), CallError)
    assert isinstance(error_of_body(body), CallError)


# ── what a model cannot do ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("temperature", ("temperature",)),
        ("max_completion_tokens", ("max_tokens",)),
        ("reasoning.effort", ("reasoning_effort",)),
        ("messages[0].role", ("messages",)),
        ("novelty", ("novelty",)),
        (None, ("top_p",)),
        (7, ("top_p",)),
        ("", ()),
    ],
)
def test_a_parameter_that_a_model_does_not_take_is_named_as_the_field_that_says_it(
    param: Any, fields: tuple[str, ...]
) -> None:
    words = "Unsupported parameter: 'top_p' is not supported with this model."
    body = {"error": {"message": words, "type": INVALID, "param": param, "code": "unsupported_parameter"}}

    found = answer(400, body)

    assert isinstance(found, Unsupported)
    assert found.fields == fields


@pytest.mark.parametrize("code", ["unsupported_parameter", "unsupported_value"])
def test_a_parameter_that_is_not_named_is_no_field(code: str) -> None:
    found = answer(400, error(code))

    assert isinstance(found, Unsupported)
    assert found.fields == ()
