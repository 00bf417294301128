"""Priority levels: how the load is split, by the definition in fractions."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pointsman.resilience.priority_levels import Level, choose, health, loads, order, panics

level = st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda pair: Level(min(pair), max(pair)))
some_levels = st.lists(level, min_size=1, max_size=4)


def no_draw() -> float:
    raise AssertionError("nothing was to be drawn")


def always(value: float) -> Callable[[], float]:
    return lambda: value


@pytest.mark.parametrize(
    ("healthy", "total", "expected"),
    [(7, 7, 100), (5, 7, 100), (4, 7, 80), (1, 2, 70), (71, 100, 99), (1, 3, 46), (0, 3, 0), (0, 0, 0)],
)
def test_the_health_of_a_level_is_140_percent_of_its_healthy_share(
    healthy: int, total: int, expected: int
) -> None:
    assert health(Level(healthy, total)) == expected


@given(level)
def test_health_is_the_floor_of_the_exact_quotient(pair: tuple[int, int]) -> None:
    healthy, total = pair
    assume(total)

    assert health(Level(healthy, total)) == min(100, math.floor(Fraction(140 * healthy, total)))


@pytest.mark.parametrize(
    ("healths", "split"),
    [
        ([100, 100], [100, 0]),
        ([70, 100], [70, 30]),
        ([0, 100], [0, 100]),
        ([60, 30, 100], [60, 30, 10]),
        ([25, 25], [25, 25]),  # of 50: half each
        ([20, 0, 10], [20, 0, 10]),
        ([0, 0], [0, 0]),
    ],
)
def test_each_level_takes_what_those_before_it_left(healths: list[int], split: list[int]) -> None:
    assert loads(healths) == split


def probabilities(levels: list[Level]) -> list[Fraction]:
    """By the definition of each level's share, one after the other."""
    healths = [
        min(100, math.floor(Fraction(140 * healthy, total))) if total else 0 for healthy, total in levels
    ]
    together = min(100, sum(healths))
    shares: list[Fraction] = []
    for each in healths:
        shares.append(min(Fraction(each, together), 1 - sum(shares, Fraction(0))))
    return shares


@given(some_levels)
def test_over_all_draws_each_level_gets_exactly_its_share(levels: list[Level]) -> None:
    assume(any(map(health, levels)))
    # Every share is a whole number of `whole` slices: one draw from the middle of each is all there is.
    whole = min(100, sum(map(health, levels)))
    chosen = Counter(choose(levels, always((slice + 0.5) / whole)) for slice in range(whole))

    assert [Fraction(chosen[index], whole) for index in range(len(levels))] == probabilities(levels)


@given(some_levels, st.floats(0, 1, exclude_max=True))
def test_a_level_without_health_is_never_chosen_while_another_has_some(
    levels: list[Level], draw: float
) -> None:
    index = choose(levels, always(draw))

    assert health(levels[index]) > 0 or not any(map(health, levels))


@given(st.integers(1, 10**6), st.lists(level, max_size=3))
def test_a_first_level_that_can_bear_everything_takes_it_without_a_draw(
    total: int, rest: list[Level]
) -> None:
    just_enough = -(-total * 100 // 140)

    assert choose([Level(just_enough, total), *rest], no_draw) == 0


def test_one_level_alone_takes_everything_whatever_its_health() -> None:
    assert choose([Level(0, 5)], no_draw) == 0


def test_without_any_health_the_configured_order_decides() -> None:
    assert choose([Level(0, 5), Level(0, 1)], no_draw) == 0


def test_the_largest_draw_below_one_is_still_somebody() -> None:
    assert choose([Level(1, 2), Level(1, 1)], always(math.nextafter(1, 0))) == 1
    assert choose([Level(1, 10), Level(1, 10)], always(math.nextafter(1, 0))) == 1


def test_a_draw_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="below 1"):
        choose([Level(1, 2), Level(1, 1)], always(1.0))


def test_random_draws_spill_three_tenths() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)

    spilled = sum(choose([Level(1, 2), Level(1, 1)], rng.random) for _ in range(10_000))

    assert abs(spilled - 3000) < 6 * math.sqrt(10_000 * 0.3 * 0.7)


@given(some_levels, some_levels)
def test_what_comes_after_changes_nothing_for_those_before_while_there_is_enough(
    levels: list[Level], more: list[Level]
) -> None:
    healths = [health(each) for each in levels]
    assume(sum(healths) >= 100)

    assert loads([*healths, *map(health, more)])[: len(levels)] == loads(healths)


# --- panic


def test_a_level_panics_below_half_only_when_the_levels_together_are_short() -> None:
    assert panics([Level(1, 3)], 0.5) == [True]
    assert panics([Level(1, 2)], 0.5) == [False]  # 70 together, but half is healthy
    assert panics([Level(1, 3), Level(1, 1)], 0.5) == [False, False]  # the second bears it all
    assert panics([Level(1, 3), Level(1, 2)], 0.5) == [False, False]  # 46 + 70
    assert panics([Level(1, 5), Level(1, 2)], 0.5) == [True, False]  # 28 + 70
    assert panics([Level(0, 2), Level(0, 2)], 0.5) == [True, True]
    assert panics([Level(1, 5), Level(36, 70)], 0.5) == [False, False]  # 28 + 72 is just enough


def test_zero_switches_panic_off() -> None:
    assert panics([Level(0, 4), Level(0, 4)], 0) == [False, False]


def test_a_level_without_members_does_not_panic() -> None:
    assert panics([Level(0, 0), Level(0, 1)], 0.5) == [False, True]


@given(some_levels, st.integers(0, 100))
def test_panic_is_its_definition(levels: list[Level], percent: int) -> None:
    together = sum(min(100, 140 * healthy // total) if total else 0 for healthy, total in levels)
    expected = [
        percent > 0 and together < 100 and total > 0 and Fraction(healthy, total) < Fraction(percent, 100)
        for healthy, total in levels
    ]

    assert panics(levels, percent / 100) == expected


# --- the rest


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_the_order_is_the_chosen_level_and_then_all_others_by_priority(pair: tuple[int, int]) -> None:
    first, count = pair

    head, *rest = order(first, count)

    assert head == first
    assert rest == [each for each in range(count) if each != first]
