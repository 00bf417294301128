"""How long calls are kept away from what said no."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.resilience.cool_down import LONGEST, OVERLOAD, REFUSAL, CoolDown, CoolDownSettings, Credential

RNG = random.Random(1)


def lengths(it: CoolDown, times: int) -> list[float]:
    """Of so many cool-downs in a row, without jitter, each with the first call after the one before."""
    found = []
    now = 0.0
    for _ in range(times):
        it.began(now, started=now, rng=RNG)
        found.append(it.asked - now)
        now = it.until
    return found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (OVERLOAD, [10, 20, 40, 80, 120, 120]),
        (REFUSAL, [60, 120, 240, 480, 600, 600]),
        (CoolDownSettings(base=1.0, max=3.0), [1, 2, 3, 3, 3, 3]),
    ],
)
def test_it_doubles_in_a_row_up_to_its_most(settings: CoolDownSettings, expected: list[float]) -> None:
    assert lengths(CoolDown(settings), 6) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("base", "most", "name"),
    [
        (0, 1, "base"),
        (-1, 1, "base"),
        (2, 1, "base"),
        (math.nan, 1, "base"),
        (1, math.inf, "max"),
        (1, math.nan, "max"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(base: float, most: float, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CoolDown(CoolDownSettings(base=base, max=most))


def test_ten_thousand_in_a_row_overflow_nothing() -> None:
    assert lengths(CoolDown(OVERLOAD), 10_000)[-1] == pytest.approx(120)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=30))
def test_calls_of_one_burst_count_once_however_their_ends_are_spread(
    calls: list[tuple[float, float]],
) -> None:
    """All began before the first of them was refused."""
    first = min(began + took for began, took in calls)
    it = CoolDown(OVERLOAD)

    for began, took in sorted(calls, key=lambda each: sum(each)):
        it.began(began + took, started=min(began, first), rng=RNG)

    assert it.in_row == 1
    assert first + 10 <= it.until < first + 11 + 1e-9


def test_a_late_result_of_before_extends_by_what_it_was_told_and_deepens_nothing() -> None:
    it = CoolDown(OVERLOAD)
    it.began(1.0, started=0.0, rng=RNG, hint=2.0)
    it.began(1.5, started=0.5, rng=RNG, hint=1.0)
    assert it.asked == 3.0
    it.began(2.0, started=0.7, rng=RNG, hint=30.0)
    assert (it.asked, it.in_row) == (32.0, 1)
    it.began(2.5, started=1.0, rng=RNG)
    assert (it.asked, it.in_row) == (32.0, 1)


@given(seconds=st.floats(0, 10_000), within=st.floats(0, 10_000), seed=st.integers(0, 1000))
def test_jitter_is_a_tenth_at_most_and_leaves_time_to_whoever_has_enough(
    seconds: float, within: float, seed: int
) -> None:
    it = CoolDown(OVERLOAD)

    it.extend(0.0, seconds, rng=random.Random(seed), within=within)

    held = min(seconds, LONGEST)
    assert it.asked == held
    assert held <= it.until <= held * 1.1 + 1e-9
    if within > held:
        assert it.until < within


def test_a_credential_knows_those_who_use_it_and_keeps_none_alive() -> None:
    class Member:
        def cooled(self) -> None:
            raise AssertionError

    credential, one, two = Credential(), Member(), Member()
    credential.join(one)
    credential.join(one)
    credential.join(two)
    assert credential.members() == [one, two]
    credential.leave(one)
    del two
    assert credential.members() == []
