"""Whose turn it is among several credentials: a plain function of what is known of them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pointsman.resilience.credential_turns import (
    FIRST_REST,
    LONGEST_REST,
    Turn,
    newest_first,
    next_turn,
    whose_turn,
)

INSTANTS = st.one_of(st.none(), st.integers(0, 9).map(float))


def turn(not_before: float | None, not_after: float | None, rests_until: float) -> Turn:
    made = Turn(not_before, not_after)
    made.rests_until = rests_until
    return made


TURNS = st.lists(st.builds(turn, INSTANTS, INSTANTS, st.integers(-5, 9).map(float)), max_size=5)


@given(TURNS, st.integers(-1, 10), st.integers(-1, 10))
def test_the_newest_that_is_valid_and_rested_is_used_and_one_that_rests_only_where_all_do(
    turns: Sequence[Turn], wall: int, now: int
) -> None:
    chosen = whose_turn(newest_first(turns), wall, now)

    valid = [each for each in turns if each.not_before <= wall < each.not_after]
    rested = [each for each in valid if each.rests_until <= now]
    if not valid:
        assert chosen is None
    elif rested:
        assert chosen in rested
        assert all(
            (each.not_before, each.not_after) <= (chosen.not_before, chosen.not_after) for each in rested
        )
    else:
        assert chosen in valid
        assert all(each.rests_until >= chosen.rests_until for each in valid)


@given(TURNS, st.integers(-1, 10), st.integers(-1, 10))
def test_one_call_tries_each_valid_one_once_and_those_that_rest_last(
    turns: Sequence[Turn], wall: int, now: int
) -> None:
    preferred, tried = newest_first(turns), list[Turn]()
    while (following := next_turn(preferred, tried, wall, now)) is not None:
        tried.append(following)

    assert sorted(map(id, tried)) == sorted(id(each) for each in turns if each.is_valid(wall))
    resting = [each.rests_until > now for each in tried]
    assert resting == sorted(resting)


@given(st.lists(st.tuples(st.floats(0, 2_000), st.floats(0, 100)), max_size=12))
def test_a_rejected_one_rests_a_minute_and_twice_as_long_each_time_up_to_ten(
    rejections: Sequence[tuple[float, float]],
) -> None:
    one, now, counted, heard = Turn(), 0.0, 0, float("-inf")
    for later, took in rejections:
        now += later
        if now - took >= heard:
            counted, heard = counted + 1, now
        one.rejected(now, started=now - took)
        assert one.rests_until == heard + min(LONGEST_REST, FIRST_REST * 2 ** (counted - 1))

    one.accepted()
    assert one.rests_until < 0


def test_calls_that_were_under_way_when_one_was_rejected_do_not_have_it_rest_longer() -> None:
    one = Turn()
    one.rejected(now=10.0, started=9.0)
    for late in range(1_000):
        one.rejected(now=10.0 + late / 1_000, started=9.5)

    assert one.rests_until == 10.0 + FIRST_REST


def test_the_first_listed_goes_first_where_nothing_else_tells_them_apart() -> None:
    first, second, ends = Turn(), Turn(), Turn(not_after=100.0)

    assert newest_first([ends, first, second]) == [first, second, ends]
