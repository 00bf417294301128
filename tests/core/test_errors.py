"""The tree of errors: as it is drawn, with what a caller needs, and able to travel."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

import pointsman
from pointsman import errors
from pointsman.errors import (
    CallError,
    ConfigError,
    ConnectionFailed,
    MidStreamError,
    NoDeploymentAvailable,
    Outcome,
    PluginError,
    PointsmanError,
    ProviderError,
    RequestError,
)
from pointsman.types import Usage

ALL = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, PointsmanError) and each is not CallError
]
CALL = [each for each in ALL if issubclass(each, CallError)]


def made(kind: type[CallError]) -> CallError:
    given = {"deployment": "gpu1/x", "retry_after": 2.5}
    if kind is MidStreamError:
        return MidStreamError("broke", cause=made(ConnectionFailed), text="hel", events=3, usage=Usage(1, 2))
    if issubclass(kind, NoDeploymentAvailable):
        return kind("none", reasons={"a": "full"}, retry_after=2.5)
    if kind is PluginError:
        return PluginError("failed", kind="strategy", plugin="odd", method="pick", deployment="gpu1/x")
    if issubclass(kind, ConnectionFailed):
        return kind("reset", sent=False, **given)  # type: ignore[arg-type]
    return kind("what happened", status=503, upstream_request_id="u1", upstream_code="x", **given)  # type: ignore[arg-type]


def test_the_tree_is_the_one_that_is_drawn() -> None:
    drawn: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│├└─ ]*)([A-Z]\w+)(\s{2,}\S.*)?$", line):
            drawn.append((len(match[1]), match[2]))

    path: list[tuple[int, str]] = []
    for depth, name in drawn:
        path = [(d, n) for d, n in path if d < depth]
        if path:
            assert issubclass(getattr(errors, name), getattr(errors, path[-1][1])), name
        path.append((depth, name))
    assert sorted(name for _, name in drawn) == sorted(each.__name__ for each in ALL)


def test_every_error_is_public() -> None:
    assert [each.__name__ for each in ALL if each.__name__ not in pointsman.__all__] == []


@pytest.mark.parametrize("kind", CALL)
def test_errors_that_cannot_be_retried_anywhere_are_the_callers_own_or_final(kind: type[CallError]) -> None:
    error = made(kind)

    assert isinstance(error.outcome, Outcome)
    if issubclass(kind, RequestError):
        assert error.outcome is Outcome.CLIENT_FAULT
        assert not error.retry_same
    elif issubclass(kind, ProviderError):
        assert error.try_fallback
    else:
        assert error.outcome is Outcome.NEUTRAL
        assert not error.retry_same


@pytest.mark.parametrize("kind", CALL)
@pytest.mark.parametrize(
    "travel", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_an_error_that_goes_to_another_process_keeps_all_it_carries(
    kind: type[CallError], travel: object
) -> None:
    error = made(kind)
    error.request_id, error.attempts = "req_1", 2

    arrived = travel(error)  # type: ignore[operator]

    assert type(arrived) is kind
    assert arrived.message == error.message
    assert str(arrived) == str(error)
    before, after = dict(vars(error)), dict(vars(arrived))
    causes = [str(each.pop("cause", None)) for each in (before, after)]
    assert before == after
    assert causes[0] == causes[1]


def test_a_configuration_error_carries_all_its_problems() -> None:
    error = pickle.loads(pickle.dumps(ConfigError("two problems", ["a", "b"])))

    assert (error.message, error.problems) == ("two problems", ("a", "b"))


def test_a_broken_stream_carries_what_its_cause_did() -> None:
    cause = ProviderError(
        "x", deployment="d", status=500, retry_after=3, upstream_request_id="u", upstream_code="c"
    )

    broken = MidStreamError("broke", cause=cause)

    shared = ("deployment", "status", "retry_after", "upstream_request_id", "upstream_code")
    assert [getattr(broken, name) for name in shared] == [getattr(cause, name) for name in shared]
    assert broken.cause is cause


def test_an_error_without_words_still_has_a_message() -> None:
    assert PointsmanError().message == "PointsmanError"


def test_codes_are_words_for_programs() -> None:
    assert [each for each in ALL if not re.fullmatch("[a-z_]+", each.code)] == []
    assert {each.__name__ for each in ALL if each.code == "error"} == {"PointsmanError"}
