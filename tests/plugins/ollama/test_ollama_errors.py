"""Status and text of a failure as our errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.errors import (
    AuthenticationFailed,
    BadResponse,
    CallError,
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
from pointsman_ollama.errors import error_for, error_in_answer

CASES: list[tuple[int, Any, type[CallError], str]] = [
    (400, "model is required", InvalidRequest, "model is required"),
    (400, 'option "top_k" must be of type integer', InvalidRequest, "integer"),
    (400, '"m" does not support chat', Unsupported, "chat"),
    (400, '"m" does not support thinking', Unsupported, "thinking"),
    (400, "registry.ollama.ai/library/m does not support tools", Unsupported, "tools"),
    (400, "m does not support insert", Unsupported, "insert"),
    (400, "raw mode does not support template, system, or context", InvalidRequest, "raw mode"),
    (400, "the input length exceeds the context length", ContextWindowExceeded, "input length"),
    (
        400,
        "the prompt is longer than the context length currently available to the model; shorten the prompt",
        ContextWindowExceeded,
        "longer",
    ),
    (
        500,
        "input exceeds maximum context length and cannot be truncated further",
        ContextWindowExceeded,
        "maximum",
    ),
    (401, "unauthorized", AuthenticationFailed, "ollama signin"),
    (402, "payment required", QuotaExhausted, "payment"),
    (403, "cloud is disabled", PermissionDenied, "cloud is disabled"),
    (404, "model 'm' not found", ModelNotFound, "ollama pull m"),
    (404, 'model "m" not found, try pulling it first', ModelNotFound, "ollama pull m"),
    (413, "too large", InvalidRequest, "too large"),
    (429, "too many concurrent requests", RateLimited, "concurrent"),
    (
        429,
        "you (x) have reached your weekly usage limit, upgrade for higher limits",
        QuotaExhausted,
        "weekly",
    ),
    (429, "you've reached your hourly usage limit, please wait", QuotaExhausted, "hourly"),
    (499, "request canceled", Unavailable, "canceled"),
    (500, "llama-server process has terminated: signal: killed", Unavailable, "killed"),
    (502, "upstream unreachable", Unavailable, "unreachable"),
    (503, "server busy, please try again.  maximum pending requests exceeded", Unavailable, "busy"),
    (504, {"message": "gateway", "code": None}, Unavailable, "gateway"),
]


@pytest.mark.parametrize(
    ("status", "text", "kind", "said"), CASES, ids=[f"{c[0]}-{c[1]}"[:60] for c in CASES]
)
def test_status_and_text_make_the_error(status: int, text: Any, kind: type[CallError], said: str) -> None:
    headers = {"x-request-id": "req_9"}

    error = error_for(status, headers, json.dumps({"error": text}).encode(), wall=0, model="m")

    assert type(error) is kind
    assert said in error.message
    assert error.message.startswith(f"HTTP {status}: ")
    assert error.status == status
    assert error.upstream_request_id == "req_9"


PLAIN: list[tuple[int, bytes, type[CallError], str]] = [
    (403, b"", PermissionDenied, "OLLAMA_ORIGINS"),
    (404, b"404 page not found", BadResponse, "base_url"),
    (404, b"", BadResponse, "base_url"),
    (405, b"405 method not allowed", BadResponse, "base_url"),
    (500, b"", Unavailable, "HTTP 500"),
    (502, b"<html><body>Bad Gateway</body></html>", Unavailable, "HTML page"),
    (503, b"\xff\xfe", Unavailable, "HTTP 503"),
    (400, b"[1]", InvalidRequest, "[1]"),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), PLAIN)
def test_a_failure_that_is_not_ollamas_json_is_still_classified(
    status: int, body: bytes, kind: type[CallError], said: str
) -> None:
    error = error_for(status, {}, body, wall=0, model="m")

    assert type(error) is kind
    assert said in error.message


def test_a_busy_server_that_says_when_is_overloaded() -> None:
    error = error_for(503, {"retry-after": "7"}, b'{"error":"server busy"}', wall=0)

    assert type(error) is Overloaded
    assert error.retry_after == 7


def test_a_wrong_base_url_is_not_tried_again_there() -> None:
    error = error_for(404, {}, b"404 page not found", wall=0)

    assert error.retry_elsewhere
    assert not error.retry_same


def test_a_long_text_is_cut() -> None:
    assert len(error_for(500, {}, json.dumps({"error": "x" * 9999}).encode(), wall=0).message) < 600
    assert len(error_in_answer("x" * 9999).message) < 600


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("an error was encountered while running the model: unexpected EOF", Unavailable),
        ("pull model manifest: file does not exist", ModelNotFound),
        ("input after truncation exceeds maximum context length", ContextWindowExceeded),
    ],
)
def test_an_error_line_is_known_by_its_text(text: str, kind: type[CallError]) -> None:
    error = error_in_answer(text)

    assert type(error) is kind
    assert text in error.message
