"""Counts of the last seconds are those of the last ten buckets, whatever was counted when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pointsman.resilience.time_buckets import BUCKETS, TimeBuckets

# Exact in binary, so that the definition and the ring divide alike.
widths = st.sampled_from([0.25, 1.0, 3.0, 1_000_000.0])
steps = st.lists(st.sampled_from([0.0, 0.125, 0.5, 1.0, 2.75, 9.5, 10.0, 40.0]), max_size=60)


def counted(buckets: TimeBuckets[list[float]], now: float | None = None) -> list[float]:
    """Everything that counts, in the order in which it came."""
    return [each for bucket in buckets.within(now) for each in bucket]


def add(buckets: TimeBuckets[list[float]], now: float) -> list[list[float]]:
    """Count `now` at `now`, as those do who count often; what counts no longer because of that."""
    gone = buckets.turn(now) if now >= buckets.ends else []
    buckets.current.append(now)
    return gone


def moved(to: list[float], these: list[float]) -> None:
    to += these


@given(widths, steps, st.sampled_from([0.0, 0.5, 7.0, 30.0]))
def test_what_counts_is_what_came_in_the_last_ten_buckets(
    width: float, waits: list[float], later: float
) -> None:
    buckets = TimeBuckets[list[float]](width, list)
    came: list[float] = []
    now = 0.0
    for wait in waits:
        now += wait * width
        add(buckets, now)
        came.append(now)
        assert counted(buckets) == [each for each in came if each // width > now // width - BUCKETS]

    then = now + later * width
    assert counted(buckets, then) == [each for each in came if each // width > then // width - BUCKETS]
    assert counted(buckets) == [each for each in came if each // width > now // width - BUCKETS]


@given(widths, steps)
def test_everything_counts_or_was_returned_once_as_gone(width: float, waits: list[float]) -> None:
    buckets = TimeBuckets[list[float]](width, list)
    came: list[float] = []
    gone: list[float] = []
    now = 0.0
    for wait in waits:
        now += wait * width
        gone += [each for bucket in add(buckets, now) for each in bucket]
        came.append(now)

    assert sorted(gone) + counted(buckets) == came


@given(widths, widths, steps)
def test_sorted_into_other_buckets_everything_counts_at_the_middle_of_its_own(
    width: float, other_width: float, waits: list[float]
) -> None:
    buckets, other = TimeBuckets[list[float]](width, list), TimeBuckets[list[float]](other_width, list)
    now = 0.0
    for wait in waits:
        now += wait * width
        add(buckets, now)

    buckets.sorted_into(other, moved)

    middles = {each: (each // width + 0.5) * width // other_width for each in counted(buckets)}
    newest = max(middles.values(), default=0)
    assert counted(other) == [
        each
        for each, number in middles.items()
        for _ in range(counted(buckets).count(each))
        if number > newest - BUCKETS
    ]


def test_what_came_late_is_counted_with_the_newest() -> None:
    buckets = TimeBuckets[list[float]](1.0, list)
    add(buckets, 25.0)

    add(buckets, 3.0)

    assert buckets.current == [25.0, 3.0]
