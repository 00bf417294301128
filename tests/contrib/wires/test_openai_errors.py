"""Why there is no answer, in OpenAI's words; and the list of models."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from msgspec import Struct

from pointsman.plugin import ProblemDetails, ProblemKind
from pointsman_wires import model_list
from pointsman_wires.openai_errors import error_frame, problem


def details(kind: ProblemKind, **members: Any) -> ProblemDetails:
    return ProblemDetails(kind, "gateway: no", "some_code", "gateway", "r", **members)


@pytest.mark.parametrize("kind", get_args(ProblemKind))
def test_every_problem_has_all_four_members_and_a_code_that_is_a_text(kind: ProblemKind) -> None:
    reply = problem(details(kind))

    error = json.loads(reply.body)["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["message"] == "gateway: no"
    assert isinstance(error["code"], str | None)
    assert 400 <= reply.status < 600


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("authentication", (401, "invalid_request_error", "invalid_api_key")),
        ("unknown_model", (404, "invalid_request_error", "model_not_found")),
        ("unsupported", (400, "invalid_request_error", "unsupported_parameter")),
        ("rate_limit", (429, "rate_limit_error", "rate_limit_exceeded")),
        ("budget", (429, "insufficient_quota", "insufficient_quota")),
        ("overloaded", (503, "service_unavailable_error", "server_is_overloaded")),
        ("upstream", (502, "server_error", "some_code")),
        ("timeout", (504, "server_error", "some_code")),
    ],
)
def test_problems_have_the_words_that_clients_know(kind: ProblemKind, said: tuple[int, str, str]) -> None:
    reply = problem(details(kind))

    error = json.loads(reply.body)["error"]
    assert (reply.status, error["type"], error["code"]) == said


@pytest.mark.parametrize(
    ("members", "fields"),
    [
        ({}, {}),
        ({"retry_after": 0.2}, {"retry-after": "1"}),
        ({"retry_after": 119.1}, {"retry-after": "120"}),
        ({"retry_after": 120.5}, {"x-should-retry": "false"}),
        ({"retry_after": 5.0, "should_retry": False}, {"x-should-retry": "false"}),
        ({"retry_after": 5.0, "should_retry": True}, {"retry-after": "5", "x-should-retry": "true"}),
    ],
)
def test_nobody_is_told_to_wait_for_hours(members: dict[str, Any], fields: dict[str, str]) -> None:
    assert problem(details("rate_limit", **members)).fields == fields


def test_an_empty_budget_is_not_asked_again() -> None:
    assert problem(details("budget", retry_after=3.0)).fields == {"x-should-retry": "false"}


def test_the_upstreams_own_words_go_on_as_they_came() -> None:
    reply = problem(details("invalid", body=b'{"error":{"message":"as it came"}}', status=422))

    assert (reply.status, reply.body) == (422, b'{"error":{"message":"as it came"}}')


@pytest.mark.parametrize("body", [b"<html>", b'"no"', b'{"error":"no"}', b'{"error":{"message":1}}'])
def test_words_of_another_shape_are_told_in_this_one(body: bytes) -> None:
    reply = problem(details("invalid", body=body, status=422))

    assert (reply.status, json.loads(reply.body)["error"]["message"]) == (400, "gateway: no")


def test_a_code_that_is_a_number_becomes_a_text() -> None:
    reply = problem(details("invalid", body=b'{"error":{"code":400,"message":"no","type":""}}', status=400))

    assert json.loads(reply.body) == {"error": {"code": "400", "message": "no", "type": ""}}


def test_an_error_in_a_stream_is_an_event_without_an_end_marker() -> None:
    frame = error_frame(details("upstream"))

    assert frame.startswith(b'data: {"error":{')
    assert frame.endswith(b"\n\n")
    assert b"[DONE]" not in frame


class _Model(Struct):
    name: str
    created: int


def test_a_list_of_models_is_one_page_that_both_sdks_take() -> None:
    page = json.loads(model_list.listing([_Model("a", 1700000000), _Model("org/b", 0)]))

    assert page["data"][0] == {
        "id": "a",
        "object": "model",
        "type": "model",
        "created": 1700000000,
        "created_at": "2023-11-14T22:13:20Z",
        "owned_by": "pointsman",
        "display_name": "a",
    }
    assert (page["object"], page["has_more"], page["first_id"], page["last_id"]) == (
        "list",
        False,
        "a",
        "org/b",
    )


def test_a_list_of_no_models_is_empty() -> None:
    assert json.loads(model_list.listing([]))["data"] == []
