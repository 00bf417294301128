"""What providers share: things made once of a deployment's options."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from pointsman.errors import ConfigError, InvalidRequest
from pointsman.http.client import CallTimeouts
from pointsman.http.provider_base import PerOptions
from pointsman.provider import Call

LIMITS = CallTimeouts(deadline=1.0)


def per_options(make: Callable[[Mapping[str, Any]], Any]) -> PerOptions[Any]:
    return PerOptions("here", "the default", make)


def call(options: Mapping[str, Any]) -> Call:
    return Call("a-model", None, LIMITS, request_id="r", attempt=1, options=options)


def test_the_same_options_are_read_once_and_equal_ones_of_another_deployment_again() -> None:
    read: list[Mapping[str, Any]] = []
    of = per_options(lambda options: read.append(options) or len(read))
    one, other = {"num_ctx": 1}, {"num_ctx": 1}

    found = [of(call(one)), of(call(other)), of(call(one)), of(call(other))]

    assert found == [1, 2, 1, 2]
    assert [each is whose for each, whose in zip(read, (one, other), strict=True)] == [True, True]


def test_options_that_cannot_be_read_are_refused_with_every_call() -> None:
    of = per_options(lambda options: options["missing"])
    options: dict[str, Any] = {"other": 1}

    for _ in range(2):
        with pytest.raises(KeyError):
            of(call(options))
    options["missing"] = "now here"

    assert of(call(options)) == "now here"


def test_options_that_come_and_go_are_never_taken_for_others_and_do_not_pile_up() -> None:
    of = per_options(lambda options: options["n"])

    assert all(of(call({"n": n})) == n for n in range(5000))

    gc.collect()
    assert len(of._made) <= 1000


def test_without_options_there_is_nothing_to_be_made() -> None:
    of = per_options(lambda options: options["missing"])

    assert of(call({})) == "the default"


class Wanted(BaseModel):
    n: int


def refuse(options: Mapping[str, Any]) -> None:
    raise ConfigError("nobody can do that")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Wanted.model_validate, "n: Input should be a valid integer"),
        (refuse, "nobody can do that"),
    ],
)
def test_options_that_are_wrong_are_an_error_of_the_request_that_names_deployment_and_provider(
    make: Callable[[Mapping[str, Any]], Any], said: str
) -> None:
    of = per_options(make)

    with pytest.raises(InvalidRequest) as raised:
        of(call({"n": "canary-in-the-options"}))

    assert "deployment of 'a-model' at provider 'here'" in raised.value.message
    assert said in raised.value.message
    assert "canary" not in str(raised.value)
    assert raised.value.__context__ is None
