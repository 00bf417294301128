"""Errors in all the shapes and places that servers put them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.wire.error_body import MARKS, Complaint, complaint, holds_complaint, is_complaint

REPORTS: list[Any] = [
    {"error": {"message": "words", "code": "c"}},
    {"error": "words"},
    {"error": {"error": {"message": "words"}}},
    {"errors": ["words"]},
    {"errors": [{"code": 10000, "message": "words"}]},
    {"errors": {"message": "words"}},
    {"error_type": "t", "error_message": "words"},
    {"error_code": 336003, "error_msg": "words"},
    {"object": "error", "message": "words", "type": "BadRequestError", "code": 400},
    {"type": "error", "error": {"type": "overloaded_error", "message": "words"}},
    {"type": "error", "message": "words", "code": "c"},
    {"base_resp": {"status_code": 1002, "status_msg": "words"}},
    {"detail": "words"},
    {"detail": {"error": "words"}},
    {"detail": {"message": "words"}},
    {"detail": [{"loc": ["body"], "msg": "words"}]},
    {"message": "words", "code": 500},
    {"msg": "words"},
    {"error": '{"error": {"message": "words", "code": 400}}'},
    {"error": {"message": "Provider returned error", "metadata": {"raw": '{"error": {"message": "words"}}'}}},
]
ANSWERS: list[dict[str, Any]] = [
    {"id": "c1", "object": "chat.completion", "choices": [], "error": None},
    {"choices": [], "error": {}, "errors": []},
    {"choices": [], "base_resp": {"status_code": 0, "status_msg": "success"}},
    {"id": "x", "message": "a note", "choices": []},
    {"model": "m", "message": {"role": "assistant", "content": "hi"}, "done": True},
    {"type": "message", "content": []},
    {"data": [], "object": "list", "msg": "ok", "error_code": 0},
    {},
]


@pytest.mark.parametrize("body", REPORTS)
def test_the_words_of_an_error_are_found(body: Any) -> None:
    assert "words" in complaint(body).message
    assert "words" in complaint([body]).message
    assert "words" in complaint(json.dumps(body)).message


@pytest.mark.parametrize("body", REPORTS)
def test_a_report_in_a_success_is_an_error(body: dict[str, Any]) -> None:
    assert is_complaint(body)
    assert holds_complaint(body)
    assert holds_complaint([{}, body])


@pytest.mark.parametrize("body", ANSWERS)
def test_an_answer_is_no_error(body: dict[str, Any]) -> None:
    assert not is_complaint(body)


def test_googles_list_has_message_word_and_wait() -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "39s"}
    body = [
        {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [{"x": 1}, retry]}}
    ]
    assert complaint(body) == Complaint("m", "429", "RESOURCE_EXHAUSTED", 429, "39s")


def test_what_stands_behind_a_gateway_is_shown_too() -> None:
    metadata = {"raw": "m is temporarily rate-limited", "headers": {"X-RateLimit-Reset": "1754667660000"}}
    said = complaint({"error": {"code": 429, "message": "Provider returned error", "metadata": metadata}})
    assert said.message == "Provider returned error: m is temporarily rate-limited"
    assert said.wait == "1754667660000"


def test_a_word_as_error_is_the_code_of_what_is_said_beside_it() -> None:
    said = complaint({"error": "invalid_token", "error_description": "it has expired"})
    assert (said.code, said.message) == ("invalid_token", "invalid_token: it has expired")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*sorted(MARKS), "code", "details"]), inner)
    ),
    max_leaves=10,
)


@given(JSON)
def test_no_body_breaks_the_reading(body: Any) -> None:
    assert isinstance(complaint(body), Complaint)
    if isinstance(body, dict):
        is_complaint(body)
