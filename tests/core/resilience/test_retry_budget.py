"""The retry budget: what it promises for every window of time, and every step against a model."""

from __future__ import annotations

import math
import os
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_models.budget import BudgetModel

from pointsman.resilience.retry_budget import HEDGES, BudgetSettings, RetryBudget


def granted(budget: RetryBudget, now: float, times: int) -> int:
    return sum(budget.retry(now) for _ in range(times))


def requests(budget: RetryBudget, now: float, times: int) -> None:
    for _ in range(times):
        budget.request(now)


def test_it_begins_with_three_retries_and_not_one_more() -> None:
    budget = RetryBudget()

    assert granted(budget, 0, 10) == 3
    assert (budget.retries, budget.refused) == (3, 7)


def test_ten_requests_of_30_percent_pay_for_exactly_three_retries() -> None:
    budget = RetryBudget(BudgetSettings(reserve=0))
    granted(budget, 0, 3)

    requests(budget, 0, 10)

    assert granted(budget, 0, 10) == 3


def test_60_percent_is_not_rounded_to_100() -> None:
    budget = RetryBudget(BudgetSettings(ratio=0.6, reserve=0))
    granted(budget, 0, 3)

    requests(budget, 0, 1000)

    assert granted(budget, 0, 1000) == 600


@pytest.mark.parametrize("percent", range(1, 101))
def test_every_percentage_is_the_one_that_is_written(percent: int) -> None:
    budget = RetryBudget(BudgetSettings(ratio=percent / 100, reserve=0))
    granted(budget, 0, 3)

    requests(budget, 0, 100)

    assert granted(budget, 0, 200) == percent


@pytest.mark.parametrize("ratio", [0.001, 0.029, 0.3, 1.001, 1.005, 2.003])
def test_a_ratio_is_taken_as_written_to_a_tenth_of_a_percent(ratio: float) -> None:
    budget = RetryBudget(BudgetSettings(ratio=ratio, reserve=0))
    granted(budget, 0, 3)

    requests(budget, 0, 1000)

    assert budget.snapshot(0)["balance"] == round(ratio * 1000) * 1000


def test_a_ratio_is_never_rounded_up() -> None:
    budget = RetryBudget(BudgetSettings(ratio=2 / 3, reserve=0))
    granted(budget, 0, 3)

    requests(budget, 0, 1000)

    assert budget.snapshot(0)["balance"] == 666 * 1000


def test_the_reserve_is_one_retry_a_second_without_any_request() -> None:
    budget = RetryBudget()
    granted(budget, 100, 3)

    assert not budget.retry(100.999999)
    assert budget.retry(101)
    assert granted(budget, 103, 9) == 2


def test_a_quiet_night_saves_up_no_more_than_the_capacity() -> None:
    budget = RetryBudget()
    granted(budget, 0, 3)

    assert granted(budget, 30_000, 100) == 3


def test_the_capacity_is_what_ten_seconds_put_in() -> None:
    budget = RetryBudget(BudgetSettings(reserve=0))
    for second in range(60):
        requests(budget, second, 100)

    assert budget.snapshot(59)["capacity"] == 300 * 1000
    assert granted(budget, 59, 1000) == 300


def test_what_was_saved_up_is_lost_as_the_traffic_ends() -> None:
    budget = RetryBudget(BudgetSettings(reserve=0))
    requests(budget, 0.5, 1000)

    assert budget.snapshot(9.999)["balance"] == 300 * 1000
    assert budget.snapshot(10)["balance"] == 3000


def test_a_retry_that_is_given_back_can_be_taken_again() -> None:
    budget = RetryBudget(BudgetSettings(reserve=0))
    granted(budget, 0, 3)

    budget.refund(0)

    assert granted(budget, 0, 9) == 1


def test_a_refund_fills_no_further_than_the_capacity() -> None:
    budget = RetryBudget()
    budget.retry(0)

    budget.refund(1)  # by now the reserve has filled it

    assert budget.snapshot(1)["balance"] == 3000


def test_nothing_is_given_back_that_was_not_taken() -> None:
    budget = RetryBudget()
    budget.retry(0)
    budget.refund(0)

    with pytest.raises(RuntimeError, match="nobody took"):
        budget.refund(0)


def test_asking_takes_nothing() -> None:
    budget = RetryBudget()

    assert all(budget.allows(0) for _ in range(10))
    assert granted(budget, 0, 10) == 3
    assert not budget.allows(0)


def test_hedges_are_one_in_twenty_requests_however_slowly_they_come() -> None:
    budget = RetryBudget(HEDGES)
    granted(budget, 0, 1)
    hedged = 0
    for second in range(2000):
        budget.request(second)
        hedged += budget.retry(second)

    # What 10 s put in is half a hedge, less than the smallest capacity of one, so nothing is lost.
    assert hedged == 100


def test_a_clock_that_steps_back_adds_nothing() -> None:
    budget = RetryBudget()
    granted(budget, 100, 3)

    assert not budget.retry(50)
    assert not budget.retry(100)
    assert budget.retry(101)


def test_a_clock_that_steps_back_takes_nothing_away() -> None:
    budget = RetryBudget()
    budget.request(100)

    assert granted(budget, 50, 9) == 3


def test_a_request_counts_in_the_tenth_of_the_window_that_begins_with_it() -> None:
    budget = RetryBudget(BudgetSettings(reserve=0))
    budget.request(0.5)
    requests(budget, 1.0, 100)

    assert budget.snapshot(10.999999)["capacity"] == 30 * 1000
    assert budget.snapshot(11)["capacity"] == 3000


def test_the_snapshot_counts_what_happened() -> None:
    budget = RetryBudget()
    requests(budget, 1, 2)
    granted(budget, 1, 4)
    budget.refund(1)

    assert budget.snapshot(1) == {
        "balance": 1000,
        "capacity": 3000,
        "requests": 2,
        "retries": 3,
        "refunds": 1,
        "refused": 1,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ratio", -0.1),
        ("ratio", math.nan),
        ("ratio", math.inf),
        ("ratio", 0.0005),
        ("reserve", -1),
        ("reserve", math.inf),
        ("minimum", 0),
        ("window", 0),
        ("window", math.nan),
    ],
)
def test_a_setting_that_cannot_be_right_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        BudgetSettings(**{name: value})


# --- laws

steps = st.lists(
    st.tuples(
        st.sampled_from(["request"] * 3 + ["retry"] * 3 + ["refund", "ask"]),
        st.one_of(st.just(0), st.integers(0, 3_000_000), st.integers(0, 40_000_000)),
        st.integers(1, 8),
    ),
    max_size=30,
)
ratios = st.integers(0, 1500).map(lambda n: n / 1000)
reserves = st.sampled_from([0.0, 0.001, 0.25, 1.0, 7.5])


@given(steps, ratios, reserves, st.integers(1, 5), st.sampled_from([10.0, 0.7, 1.0]))
def test_in_every_window_retries_stay_within_ratio_reserve_and_capacity(
    steps: list[tuple[str, int, int]], ratio: float, reserve: float, minimum: int, window: float
) -> None:
    budget = RetryBudget(BudgetSettings(ratio=ratio, reserve=reserve, minimum=minimum, window=window))
    share, pace = Fraction(str(ratio)), Fraction(str(reserve))
    at = 0
    events: list[tuple[Fraction, str, Fraction]] = []  # (time, what, capacity just before)
    for word, pause, times in steps:
        at += pause
        now = at / 1e6
        for _ in range(times):
            before = Fraction(budget.snapshot(now)["capacity"], 1000)
            if word == "request":
                budget.request(now)
            elif word == "retry":
                if not budget.retry(now):
                    continue
            elif word == "refund" and budget.refunds < budget.retries:
                budget.refund(now)
            else:
                continue
            events.append((Fraction(at, 10**6), word, before))

    for begin, (begins, _, capacity) in enumerate(events):
        requests = net = 0
        for ends, word, _ in events[begin:]:
            requests += word == "request"
            net += (word == "retry") - (word == "refund")
            assert net <= share * requests + pace * (ends - begins) + capacity


@given(st.lists(st.tuples(st.sampled_from(["request", "retry"]), st.floats(0, 5)), max_size=60))
def test_the_promise_holds_at_any_float_of_time_to_a_microsecond(steps: list[tuple[str, float]]) -> None:
    budget = RetryBudget()
    now = 0.0
    events: list[tuple[float, str]] = []
    for word, pause in steps:
        now += pause
        if word == "request":
            budget.request(now)
        elif not budget.retry(now):
            continue
        events.append((now, word))

    for begin, (begins, _) in enumerate(events):
        for end in range(begin, len(events)):
            words = [word for _, word in events[begin : end + 1]]
            # 60 requests put in at most 18 retries, so that the capacity is at most 18.
            most = 0.3 * words.count("request") + (events[end][0] - begins + 1e-6) + 18
            assert words.count("retry") <= most + 1e-9


def compare(seed: int) -> None:
    rng = random.Random(seed)
    ratio = rng.randrange(0, 1200)
    reserve = rng.choice([0, 1, 250, 1000, 3333])
    minimum = rng.randint(1, 4)
    window = rng.choice([10, 1, 3])
    real = RetryBudget(
        BudgetSettings(ratio=ratio / 1000, reserve=reserve / 1000, minimum=minimum, window=window)
    )
    model = BudgetModel(Fraction(ratio, 1000), Fraction(reserve, 1000), minimum, Fraction(window))
    at = rng.randrange(0, 20_000_000)
    for _ in range(30):
        at += rng.choice(
            [0, 0, -at % 1_000_000, rng.randrange(1000), rng.randrange(2_000_000), rng.randrange(20_000_000)]
        )
        now, exact = at / 1e6, Fraction(at, 10**6)
        word = rng.choice(["request", "request", "request", "retry", "retry", "refund", "look"])
        if word == "request":
            real.request(now)
            model.request(exact)
        elif word == "retry":
            assert real.retry(now) == model.retry(exact)
        elif word == "refund" and real.refunds < real.retries:
            real.refund(now)
            model.refund(exact)
        elif word == "look":
            seen = real.snapshot(now)
            assert seen["balance"] == int(model.balance(exact) * 1000)
            assert seen["capacity"] == int(model.capacity(exact) * 1000)
            assert real.allows(now) == (model.balance(exact) >= 1)
        # What `snapshot` shows is rounded, and asking would settle what shall wait.
        assert 0 <= real._balance <= real._capacity


def test_random_histories_equal_the_reference_model_at_every_step() -> None:
    histories = int(os.environ.get("POINTSMAN_BUDGET_HISTORIES", "40"))
    start = random.randrange(2**32)
    for seed in range(start, start + histories):
        try:
            compare(seed)
        except AssertionError:
            print("seed", seed)
            raise
