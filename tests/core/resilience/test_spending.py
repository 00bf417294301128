"""Money per period of the calendar: never more than the limit while nobody spends more than was promised."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pointsman.resilience.spending import Spending

DAY = 86_400.0


def test_what_is_under_way_counts_until_it_is_settled() -> None:
    spending = Spending(10, "day")
    assert spending.reserve(6, 0.0)
    assert not spending.reserve(5, 0.0)
    spending.settle(6, 2, 0.0)
    assert spending.reserve(8, 0.0)
    assert spending.left(0.0) == 0


def test_a_new_day_begins_at_midnight_utc() -> None:
    spending = Spending(10, "day")
    assert spending.reserve(10, DAY - 1)
    spending.settle(10, 10, DAY - 1)
    assert not spending.reserve(1, DAY - 1)
    assert spending.reserve(10, DAY)


def test_a_month_is_one_of_the_calendar() -> None:
    spending = Spending(10, "month")
    spending.reserve(10, 0.0)
    spending.settle(10, 10, 0.0)
    assert not spending.reserve(1, 31 * DAY - 1)
    assert spending.reserve(1, 31 * DAY)


def test_what_is_under_way_at_midnight_counts_on_the_new_day() -> None:
    spending = Spending(10, "day")
    spending.reserve(6, DAY - 1)
    assert not spending.reserve(5, DAY)
    spending.settle(6, 6, DAY)
    assert spending.left(DAY) == 4


def test_another_limit_keeps_what_was_spent() -> None:
    spending = Spending(10, "day")
    spending.reserve(6, 0.0)
    spending.settle(6, 6, 0.0)
    spending.configure(7, "day")
    assert spending.left(0.0) == 1


@given(
    limit=st.integers(0, 100),
    steps=st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1), st.integers(0, 3 * 24)), max_size=60),
)
def test_no_day_costs_more_than_its_limit(limit: int, steps: list[tuple[int, float, int]]) -> None:
    spending, hours, by_day = Spending(limit, "day"), 0, dict[int, int]()
    under_way: list[tuple[int, int]] = []
    for amount, part, later in steps:
        hours += later % 5
        if spending.reserve(amount, hours * 3600.0):
            under_way.append((amount, int(amount * part)))
        if len(under_way) > 2 or part > 0.5:
            while under_way:
                promised, actual = under_way.pop()
                spending.settle(promised, actual, hours * 3600.0)
                by_day[hours // 24] = by_day.get(hours // 24, 0) + actual
    assert all(spent <= limit for spent in by_day.values())
