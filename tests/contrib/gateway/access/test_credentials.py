"""Where credentials are looked for, and where not."""

from __future__ import annotations

import pytest

from pointsman_gateway.access.admission import Denied
from pointsman_gateway.access.credentials import presented, session
from pointsman_gateway.access.fields import check_fields


@pytest.mark.parametrize(
    "fields",
    [
        {"authorization": "Bearer abc"},
        {"authorization": "bearer   abc "},
        {"authorization": "abc"},
        {"x-api-key": "abc"},
        {"api-key": " abc"},
        {"x-goog-api-key": "abc"},
        {"authorization": "Bearer abc", "x-api-key": "abc", "api-key": ""},
    ],
)
def test_a_credential_is_found_wherever_clients_put_it(fields: dict[str, str]) -> None:
    assert presented(fields) == ("abc",)


def test_two_different_ones_are_both_found() -> None:
    assert presented({"authorization": "Bearer abc", "x-api-key": "def"}) == ("abc", "def")


@pytest.mark.parametrize(
    "fields", [{}, {"authorization": "Bearer "}, {"authorization": "Bearer"}, {"x-api-key": ""}]
)
def test_an_empty_credential_is_none(fields: dict[str, str]) -> None:
    assert [each for each in presented(fields) if each != "Bearer"] == []


def test_a_credential_that_is_too_long_is_refused() -> None:
    with pytest.raises(Denied) as refused:
        presented({"x-api-key": "k" * 16_385})

    assert refused.value.problem.kind == "authentication"
    assert "kkk" not in refused.value.problem.message


def test_a_session_is_found_among_other_cookies() -> None:
    assert session({"cookie": "a=b; pointsman_session=xyz; c"}) == "xyz"
    assert session({"cookie": "xpointsman_session=xyz"}) == ""
    assert session({}) == ""


def test_two_sessions_are_refused() -> None:
    with pytest.raises(Denied, match="two sessions"):
        session({"cookie": "pointsman_session=a; pointsman_session=b"})


@pytest.mark.parametrize(
    "name", ["authorization", "host", "content-length", "x-api-key", "origin", "content-type"]
)
def test_a_second_line_of_what_stands_once_is_refused(name: str) -> None:
    with pytest.raises(Denied, match="more than once"):
        check_fields({}, {name})


def test_other_lines_may_be_repeated() -> None:
    check_fields({"content-length": "3"}, {"accept", "anthropic-beta"})


def test_two_lengths_of_one_body_are_refused() -> None:
    with pytest.raises(Denied, match="twice"):
        check_fields({"content-length": "3", "transfer-encoding": "chunked"}, ())
