"""What is suggested in place of a word that nobody knows."""

from __future__ import annotations

from itertools import permutations

import pytest

from pointsman import Router
from pointsman._internal.suggest import did_you_mean, nearest
from pointsman.errors import ConfigError


@pytest.mark.parametrize(
    "known", list(permutations(["success_threshold", "failure_threshold", "failure_rate"]))
)
def test_of_names_that_are_as_near_the_first_of_the_alphabet_is_meant(known: tuple[str, ...]) -> None:
    assert nearest("threshold", known) == "failure_threshold"
    assert nearest("succes_threshold", known) == "success_threshold"


def test_nearer_names_go_before_the_alphabet() -> None:
    assert nearest("timeout", ["reset_timeout", "timeouts"]) == "timeouts"
    assert nearest("time-out", ["timeout", "Time_Out"]) == "Time_Out"
    assert nearest("zzz", ["timeout"]) is None
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"


def test_a_threshold_of_a_breaker_is_that_of_failures() -> None:
    with pytest.raises(ConfigError, match="did you mean 'failure_threshold'"):
        Router.check({"providers": {}, "circuit_breaker": {"threshold": 3}})
