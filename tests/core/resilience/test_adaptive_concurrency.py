"""Adaptive concurrency, hedging, and the quantiles that both learn from."""

from __future__ import annotations

import math
import os
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.config.sections import HedgeSettings
from pointsman.resilience.adaptive_concurrency import AdaptiveLimit, AdaptiveSettings
from pointsman.resilience.quantiles import Window


def limit(maximum: int = 100, *, median: float | None = 2.0, **settings: object) -> AdaptiveLimit:
    return AdaptiveLimit(AdaptiveSettings(**settings), maximum, lambda now: median)


# --- adaptive concurrency


def test_it_begins_with_the_maximum_unless_it_is_told_otherwise() -> None:
    assert limit(100).limit == 100
    assert limit(100, initial=10).limit == 10
    assert limit(5, initial=10).limit == 5


def test_an_overload_takes_a_tenth_once_per_median() -> None:
    it = limit(100)

    for _ in range(50):  # they were in flight together, and so they fail together
        it.overloaded(10)
    it.overloaded(11.999)
    assert it.limit == 90

    it.overloaded(12)
    assert it.limit == 81


def test_it_never_falls_below_one() -> None:
    it = limit(3)
    for second in range(0, 400, 2):
        it.overloaded(second)

    assert it.limit == 1


def test_it_rises_by_one_per_median_while_half_of_it_is_used() -> None:
    it = limit(100, initial=10)

    for now in (0, 0.5, 1, 1.999):
        it.ok(now, in_flight=5)
    assert it.limit == 11

    it.ok(2, in_flight=5)
    assert it.limit == 11  # 5 is less than half of 11
    it.ok(2, in_flight=6)
    assert it.limit == 12


def test_it_never_exceeds_the_maximum() -> None:
    it = limit(12, initial=10)
    for second in range(0, 40, 2):
        it.ok(second, in_flight=12)

    assert it.limit == 12
    assert it.raised == 2


def test_after_a_fall_it_waits_before_it_rises() -> None:
    it = limit(100)
    it.overloaded(10)

    it.ok(11.9, in_flight=90)
    assert it.limit == 90

    it.ok(12, in_flight=90)
    assert it.limit == 91


def test_after_a_rise_it_may_fall_at_once() -> None:
    it = limit(100, initial=50)
    it.ok(0, in_flight=50)

    it.overloaded(0)

    assert it.limit == 45


def test_while_no_median_is_known_the_pace_is_a_second() -> None:
    it = limit(100, median=None)
    it.overloaded(0)
    it.overloaded(0.999)
    assert it.limit == 90

    it.overloaded(1)
    assert it.limit == 81


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 3), st.integers(0, 60)), max_size=80),
    st.integers(1, 40),
    st.floats(0.1, 5),
)
def test_it_stays_in_its_bounds_and_takes_one_step_per_median_at_most(
    reports: list[tuple[bool, float, int]], maximum: int, median: float
) -> None:
    it = limit(maximum, median=median)
    now = 0.0
    fell: list[float] = []
    rose: list[float] = []
    for good, pause, in_flight in reports:
        now += pause
        before, falls, rises = it.exact, it.lowered, it.raised
        if good:
            it.ok(now, in_flight)
        else:
            it.overloaded(now)
        if it.lowered > falls:
            fell.append(now)
            assert it.exact == max(1.0, before * 0.9)
        elif it.raised > rises:
            rose.append(now)
            assert it.exact == min(maximum, before + 1)
            assert in_flight * 2 >= before
        else:
            assert it.exact == before
        assert 1 <= it.limit <= it.exact <= maximum
        assert isinstance(it.limit, int)

    for steps in (fell, rose):
        assert all(later >= earlier + median for earlier, later in zip(steps, steps[1:], strict=False))


def test_it_finds_the_capacity_of_an_upstream_and_stays_near_it() -> None:
    """One that bears 20 and refuses the rest, with callers that always ask for more."""
    it = limit(200, median=1.0)
    seen = []
    for second in range(600):
        if it.limit > 20:
            it.overloaded(second)
        else:
            it.ok(second, in_flight=it.limit)
        seen.append(it.limit)

    assert set(seen[100:]) <= {17, 18, 19, 20, 21}


@pytest.mark.parametrize(
    ("name", "value"),
    [("decrease", 1), ("decrease", 0), ("increase", 0), ("pace", 0), ("pace", math.nan), ("initial", 0)],
)
def test_an_adaptive_setting_that_cannot_be_right_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        AdaptiveSettings(**{name: value})


def test_a_maximum_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="maximum"):
        limit(0)


def test_the_snapshot_tells_the_limit_and_how_it_moved() -> None:
    it = limit(10)
    it.overloaded(0)
    it.ok(2, in_flight=9)

    assert it.snapshot() == {"limit": 10, "maximum": 10, "raised": 1, "lowered": 1}


# --- hedging


@pytest.mark.parametrize(
    ("name", "value"),
    [("quantile", 0), ("quantile", 1), ("floor", -1), ("floor", math.inf), ("minimum_samples", 0)],
)
def test_a_hedge_setting_that_cannot_be_right_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        HedgeSettings(**{name: value})


# --- quantiles


def exact_quantile(samples: list[float], percent: int) -> float:
    """The smallest sample with at least so many percent of all at or below it."""
    ordered = sorted(samples)
    return next(each for n, each in enumerate(ordered, 1) if 100 * n >= percent * len(ordered))


def is_near(answer: float | None, exact: float, error: float) -> bool:
    exact = min(max(exact, Window.LEAST), Window.MOST)
    return answer is not None and abs(answer - exact) <= error * exact * (1 + 1e-9)


@given(
    st.lists(st.floats(1e-4, 5000), min_size=1, max_size=60),
    st.integers(1, 100),
    st.sampled_from([0.05, 0.01, 0.2]),
)
def test_every_quantile_is_within_the_stated_error_of_the_exact_one(
    samples: list[float], percent: int, error: float
) -> None:
    window = Window(error=error)
    for sample in samples:
        window.add(sample, 10)

    assert is_near(window.quantile(percent / 100, 10), exact_quantile(samples, percent), error)


@pytest.mark.parametrize(("q", "n"), [(0.07, 100), (0.55, 20), (0.95, 20), (0.5, 3), (1.0, 7), (0.001, 5)])
def test_the_rank_is_the_exact_one_where_the_product_of_floats_is_not(q: float, n: int) -> None:
    window = Window(error=0.001)
    for sample in range(1, n + 1):
        window.add(sample, 0)

    assert is_near(window.quantile(q, 0), math.ceil(Fraction(str(q)) * n), 0.001)


def test_long_tails_keep_their_quantiles_as_time_passes() -> None:
    samples_each = int(os.environ.get("POINTSMAN_WINDOW_SAMPLES", "1500"))
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    window = Window(60)
    past: list[tuple[float, float]] = []
    now = 1000.0
    for n in range(samples_each):
        now += rng.expovariate(2) if n % 500 else rng.uniform(0, 100)
        sample = rng.lognormvariate(0, 1.5)
        window.add(sample, now)
        past.append((now, sample))
        if n % 25 == 0:
            oldest = now // 6 - 9
            past = [(at, each) for at, each in past if at // 6 >= oldest]
            assert window.count(now) == len(past)
            for percent in (50, 95, 99):
                assert is_near(
                    window.quantile(percent / 100, now),
                    exact_quantile([each for _, each in past], percent),
                    0.05,
                )


def test_a_sample_counts_for_nine_tenths_of_the_window_at_least_and_never_longer() -> None:
    for at in (0.0, 29.0, 29.999):
        window = Window(300)
        window.add(1, at)

        assert window.count(at + 270) == 1
        assert window.count(at + 300) == 0
        assert window.quantile(0.5, at + 300) is None


def test_what_expires_takes_its_answers_along() -> None:
    window = Window(300)
    window.add(10, 0)
    window.add(0.1, 40)
    assert is_near(window.quantile(1, 40), 10, 0.05)

    assert is_near(window.quantile(1, 301), 0.1, 0.05)


def test_with_too_few_samples_there_is_no_answer() -> None:
    window = Window()
    assert window.quantile(0.95, 0) is None
    for _ in range(19):
        window.add(1, 0)

    assert window.quantile(0.95, 0, at_least=20) is None
    window.add(1, 0)
    assert window.quantile(0.95, 0, at_least=20) is not None


@pytest.mark.parametrize("wrong", [-1.0, 0.0, math.nan, math.inf, 1e300])
def test_no_sample_can_break_it(wrong: float) -> None:
    window = Window()
    window.add(wrong, 0)

    answer = window.quantile(0.5, 0)
    assert answer is not None
    assert Window.LEAST <= answer <= Window.MOST


def test_a_clock_that_steps_back_counts_on() -> None:
    window = Window(300)
    window.add(1, 1000)
    window.add(1, 10)

    assert window.count(1000) == 2


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    window = Window()
    before = sum(each.itemsize * len(each) for each in [*window._slices.within(), window._all])
    for n in range(20_000):
        window.add(n / 10, n)

    assert (
        sum(each.itemsize * len(each) for each in [*window._slices.within(), window._all]) == before < 20_000
    )


@pytest.mark.parametrize(("seconds", "error"), [(0, 0.05), (math.inf, 0.05), (1, 0), (1, 1), (1, math.nan)])
def test_a_window_that_cannot_be_right_is_refused(seconds: float, error: float) -> None:
    with pytest.raises(ValueError, match="seconds|error"):
        Window(seconds, error=error)
