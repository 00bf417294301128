"""Retry policies: how often, and how long between."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman.build.contexts import Contexts
from pointsman.builtin.retry import BUILT_IN, HOP, Exponential, ExponentialSettings, NoRetry, full_jitter
from pointsman.clock import LoopClock
from pointsman.errors import Unavailable
from pointsman.retry import Failure


class Fixed:
    """Chance that always falls on `x`."""

    def __init__(self, x: float) -> None:
        self.x = x

    def random(self) -> float:
        return self.x

    def getrandbits(self, k: int, /) -> int:
        return int(self.x * (1 << k))


ALMOST_ONE = Fixed(1 - 2**-53)


def failure(number: int = 1, *, elsewhere: bool = False, failures: int = 1, elapsed: float = 1.0) -> Failure:
    return Failure(number, Unavailable("no"), elsewhere, failures, elapsed=elapsed)


seconds = st.floats(1e-3, 1e6)


@settings(deadline=None)
@given(st.integers(0, 10**9), seconds, seconds, st.integers(0, 2**64))
def test_full_jitter_stays_between_nothing_and_its_cap(
    failures: int, base: float, cap: float, seed: int
) -> None:
    note(f"seed {seed}")

    wait = full_jitter(failures, base=base, cap=cap, rng=random.Random(seed))

    assert 0 <= wait <= cap
    assert wait <= base * 2.0 ** min(failures, 64)


@pytest.mark.parametrize(
    ("failures", "most"), [(0, 0.5), (1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (10_000, 8)]
)
def test_full_jitter_uses_the_whole_range_which_doubles_up_to_the_cap(failures: int, most: float) -> None:
    assert full_jitter(failures, base=0.5, cap=8, rng=Fixed(0)) == 0
    assert full_jitter(failures, base=0.5, cap=8, rng=ALMOST_ONE) == pytest.approx(most)


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 40), st.booleans(), st.integers(0, 100), st.integers(0, 2**64))
def test_exponential_gives_up_after_its_attempts_and_never_waits_longer_than_its_cap(
    attempts: int, number: int, elsewhere: bool, failures: int, seed: int
) -> None:
    note(f"seed {seed}")
    policy = Exponential(
        ExponentialSettings(attempts=attempts, base_delay=0.5, max_delay=3), random.Random(seed)
    )

    wait = policy.delay(failure(number, elsewhere=elsewhere, failures=failures))

    if number >= attempts:
        assert wait is None
    else:
        assert wait is not None
        assert 0 <= wait <= (HOP if elsewhere else 3)


def test_going_elsewhere_costs_a_blink_and_going_back_a_backoff() -> None:
    policy = Exponential(ExponentialSettings(), ALMOST_ONE)

    assert policy.delay(failure(1, elsewhere=True, failures=5)) == 0
    assert policy.delay(failure(2, elsewhere=True, failures=5)) == pytest.approx(0.05)
    assert policy.delay(failure(failures=1)) == pytest.approx(1.0)
    assert policy.delay(failure(failures=2)) == pytest.approx(2.0)


@given(st.integers(2, 20), st.floats(0, 1e6), st.floats(0, 1, exclude_max=True))
def test_who_met_two_bad_deployments_waits_no_longer_than_an_attempt_took_and_never_over_50_ms(
    number: int, elapsed: float, chance: float
) -> None:
    policy = Exponential(ExponentialSettings(attempts=20), Fixed(chance))

    wait = policy.delay(failure(number, elsewhere=True, elapsed=elapsed))

    assert wait == (None if number == 20 else pytest.approx(chance * min(0.05, elapsed / number)))


def test_no_retry_is_one_attempt() -> None:
    assert NoRetry().attempts == 1
    assert NoRetry().delay(failure(elsewhere=True)) is None


def test_settings_are_read_in_the_words_of_the_configuration() -> None:
    settings = ExponentialSettings.model_validate({"attempts": 5, "base_delay": "250ms", "max_delay": "1m"})

    assert (settings.attempts, settings.base_delay, settings.max_delay) == (5, 0.25, 60)
    assert ExponentialSettings() == ExponentialSettings(attempts=4, base_delay=0.5, max_delay=8, budget=1)


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"attempts": 21}, {"base_delay": 0}, {"base_delay": "-1s"}, {"max_delay": "0s"},
     {"max_delay": "soon"}, {"max_delay": float("inf")}, {"base_delay": float("nan")}, {"tries": 3}],
)  # fmt: skip
def test_settings_that_cannot_be_right_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExponentialSettings.model_validate(wrong)


def test_the_built_in_policies_are_made_from_their_settings() -> None:
    contexts = Contexts(LoopClock(), Fixed(0))

    policies = {
        each.name: each.make(contexts.retry(each.name, each.settings.model_validate({}))) for each in BUILT_IN
    }

    assert {name: policy.attempts for name, policy in policies.items()} == {"exponential": 4, "none": 1}
