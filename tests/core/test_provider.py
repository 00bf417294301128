"""What providers share: things made once of a deployment's options."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

import pytest

from pointsman.provider import PerOptions


def test_the_same_options_are_read_once_and_equal_ones_of_another_deployment_again() -> None:
    read: list[Mapping[str, Any]] = []
    of = PerOptions(lambda options: read.append(options) or len(read))
    one, other = {"num_ctx": 1}, {"num_ctx": 1}

    found = [of(one), of(other), of(one), of(other)]

    assert found == [1, 2, 1, 2]
    assert [each is whose for each, whose in zip(read, (one, other), strict=True)] == [True, True]


def test_options_that_cannot_be_read_are_refused_with_every_call() -> None:
    of = PerOptions(lambda options: options["missing"])
    options: dict[str, Any] = {}

    for _ in range(2):
        with pytest.raises(KeyError):
            of(options)
    options["missing"] = "now here"

    assert of(options) == "now here"


def test_options_that_come_and_go_are_never_taken_for_others_and_do_not_pile_up() -> None:
    of = PerOptions(lambda options: options["n"])

    assert all(of({"n": n}) == n for n in range(5000))

    gc.collect()
    assert len(of._made) <= 1000
