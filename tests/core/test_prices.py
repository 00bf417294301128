"""What a call costs by a price: exact, rounded once, and unknown where it was not counted."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pointsman import ChatResponse
from pointsman.prices import Price
from pointsman.types import Usage

USD = st.decimals(0, 1000, places=6).map(str)  # as people write them, and finer than anybody charges
TOKENS = st.integers(0, 3_000_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Counts whose parts are within their whole."""
    prompt = draw(TOKENS)
    cached = draw(st.integers(0, prompt))
    return Usage(prompt, draw(TOKENS), cached, draw(st.integers(0, prompt - cached)))


def in_fractions(price: dict[str, Any], usage: Usage) -> Fraction:
    """The same by the book, in microcents, before it is rounded."""
    assert usage.prompt is not None
    assert usage.completion is not None
    over = [each for each in price.get("tiers", ()) if usage.prompt > each["above"]]
    rate = max(over, key=lambda each: each["above"]) if over else price
    cached, written = usage.cached or 0, usage.cache_write or 0
    usd = (
        (usage.prompt - cached - written) * Fraction(rate["input"])
        + cached * Fraction(rate.get("cached", rate["input"]))
        + written * Fraction(rate.get("cache_write", rate["input"]))
        + usage.completion * Fraction(rate["output"])
    ) / 1_000_000 + Fraction(price.get("request", 0))
    return usd * 10**8


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    price: dict[str, Any] = {"input": draw(USD), "output": draw(USD)}
    for name in ("cached", "cache_write", "request"):
        if draw(st.booleans()):
            price[name] = draw(USD)
    above = draw(st.lists(st.integers(1, 1_000_000), max_size=3, unique=True))
    price["tiers"] = [{"above": each, "input": draw(USD), "output": draw(USD)} for each in above]
    return price


@given(prices(), usages())
def test_a_cost_is_within_half_a_unit_of_what_fractions_say(price: dict[str, Any], usage: Usage) -> None:
    cost, exact = Price(**price).microcents(usage), in_fractions(price, usage)

    assert cost is not None
    assert cost - Fraction(1, 2) <= exact < cost + Fraction(1, 2), "half up"


@given(prices(), st.lists(usages(), max_size=20))
def test_the_costs_of_many_calls_are_off_by_half_a_unit_each_at_most(
    price: dict[str, Any], calls: list[Usage]
) -> None:
    sum_of_integers = sum(Price(**price).microcents(each) or 0 for each in calls)

    assert abs(sum_of_integers - sum(in_fractions(price, each) for each in calls)) <= Fraction(len(calls), 2)


@given(USD, USD, usages(), st.integers(0, 1000), st.integers(0, 1000))
def test_more_tokens_never_cost_less(a: str, b: str, usage: Usage, more: int, said: int) -> None:
    price = Price(input=a, output=b, cached=0, cache_write=a)
    assert usage.prompt is not None
    assert usage.completion is not None
    larger = Usage(usage.prompt + more, usage.completion + said, usage.cached, usage.cache_write)

    less, grown = price.microcents(usage), price.microcents(larger)

    assert less is not None
    assert grown is not None
    assert less <= grown


@pytest.mark.parametrize(
    ("usage", "microcents"),
    [
        (Usage(1, 0), 15),  # 0.15 USD per million is 15 millionths of a cent each
        (Usage(1_000_000, 0), 15_000_000),
        (Usage(0, 1), 60),
        (Usage(1000, 100, cached=400), 600 * 15 + 3000 + 6000),
        (Usage(1, 0, cached=1), 8),  # 7.5: half up
        (Usage(10, 0, cache_write=10), 10 * 15),  # as `input`
        (Usage(0, 0), 0),
    ],
)
def test_a_price_of_0_15_is_that_and_no_float(usage: Usage, microcents: int) -> None:
    assert Price(input=0.15, output=0.6, cached=0.075).microcents(usage) == microcents


@given(st.integers(0, 10**15))
def test_a_tenth_of_a_dollar_is_a_tenth_however_many_tokens(tokens: int) -> None:
    assert Price(input=0.1, output=0).microcents(Usage(tokens, 0)) == tokens * 10


def test_a_prompt_as_long_as_the_edge_is_not_above_it() -> None:
    tier = {"above": 200_000, "input": 6, "output": 22.5}
    price = Price(input=3, output=15, cached=0.3, tiers=[tier])

    assert price.microcents(Usage(200_000, 10)) == 200_000 * 300 + 10 * 1500
    assert price.microcents(Usage(200_001, 10)) == 200_001 * 600 + 10 * 2250, "all of it, the answer too"
    assert price.microcents(Usage(200_001, 0, cached=200_001)) == 200_001 * 600, (
        "without `cached` as its input"
    )


def test_of_several_tiers_the_last_one_that_was_passed_holds_in_whichever_order_they_are_written() -> None:
    tiers = [{"above": above, "input": above, "output": 0} for above in (20, 10, 30)]
    price = Price(input=1, output=0, tiers=tiers)

    costs = [price.microcents(Usage(tokens, 0)) for tokens in (10, 11, 20, 21, 30, 31)]

    assert costs == [1000, 11 * 1000, 20 * 1000, 21 * 2000, 30 * 2000, 31 * 3000]


def test_two_tiers_with_one_edge_are_refused() -> None:
    tier = {"above": 10, "input": 1, "output": 1}
    with pytest.raises(ValidationError, match="two of the `tiers` begin at the same length"):
        Price(input=1, output=1, tiers=[tier, tier])


@pytest.mark.parametrize(
    ("price", "usage", "microcents"),
    [
        ({"input": 1, "output": 1}, Usage(), None),
        ({"input": 1, "output": 1}, Usage(prompt=5), None),
        ({"input": 1, "output": 1}, Usage(completion=5), None),
        ({"input": 1, "output": 0}, Usage(prompt=5), 500),
        ({"input": 0, "output": 1}, Usage(completion=5), 500),
        ({"input": 0, "cached": 1, "output": 1}, Usage(completion=5), None),
        ({"input": 0, "output": 0}, Usage(), 0),
        ({"input": 0, "output": 0, "request": 0.005}, Usage(), 500_000),
        ({"input": 0, "output": 0, "tiers": [{"above": 9, "input": 1, "output": 0}]}, Usage(), None),
    ],
)
def test_it_is_unknown_only_where_something_was_not_counted_that_costs_something(
    price: dict[str, Any], usage: Usage, microcents: int | None
) -> None:
    assert Price(**price).microcents(usage) == microcents


@given(
    st.builds(Usage, *[st.none() | st.integers(-(10**16), 10**16)] * 5),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_no_count_makes_a_cost_below_nothing(usage: Usage, cached: int, written: int) -> None:
    price = Price(input=3, output=5, cached=cached, cache_write=written)

    cost = price.microcents(usage)

    assert cost is None or cost >= 0


def test_a_price_that_is_a_copy_of_another_goes_by_its_own_numbers() -> None:
    price = Price(input=1, output=1)
    assert price.microcents(Usage(10, 0)) == 1000

    assert price.model_copy(update={"input": 2.0}).microcents(Usage(10, 0)) == 2000


@given(st.integers(0, 10**12))
def test_usd_are_the_microcents_exactly(microcents: int) -> None:
    from pointsman import ChatResponse, EmbedResponse

    exact = Decimal(microcents) / 10**8
    assert ChatResponse(cost_microcents=microcents).cost_usd == exact
    assert EmbedResponse([], cost_microcents=microcents).cost_usd == exact
    assert ChatResponse().cost_usd is None


@pytest.mark.parametrize(
    ("microcents", "said"),
    [
        (0, "0"),
        (1, "0.00000001"),
        (50, "0.0000005"),
        (1700, "0.000017"),
        (10**8, "1"),
        (25 * 10**9, "250"),
        (10**20 + 1, "1000000000000.00000001"),
    ],
)
def test_usd_are_printed_without_an_exponent_and_without_zeros_that_say_nothing(
    microcents: int, said: str
) -> None:
    with localcontext(prec=3):  # that of whoever runs in this thread is no concern of it
        cost = ChatResponse(cost_microcents=microcents).cost_usd

    assert cost is not None
    assert (str(cost), f"{cost}", f"{cost:.2f}") == (said, said, f"{Decimal(said):.2f}")
    for same in (copy.deepcopy(cost), pickle.loads(pickle.dumps(cost))):
        assert (str(same), same) == (said, Decimal(said))
    assert json.loads(TypeAdapter(Decimal).dump_json(cost)) == said


def test_what_is_kept_for_an_hour_costs_what_that_costs() -> None:
    price = Price(input=5, output=25, cached=0.5, cache_write=6.25, cache_write_hour=10)

    # As Anthropic has it for Opus 4.5: a write of an hour is twice the input, one of five minutes 1.25 times.
    assert price.microcents(Usage(1_000_000, 0, cache_write=1_000_000)) == 625_000_000
    assert price.microcents(Usage(1_000_000, 0, cache_write=1_000_000, cache_write_hour=1_000_000)) == 10**9
    assert price.microcents(Usage(1_000_000, 0, cache_write=400_000, cache_write_hour=100_000)) == (
        300_000_000 + 187_500_000 + 100_000_000
    )


def test_what_is_kept_for_an_hour_is_part_of_what_is_written() -> None:
    price = Price(input=1, output=1, cache_write=2)

    as_written = price.microcents(Usage(10, 0, cache_write=10))

    assert price.microcents(Usage(10, 0, cache_write=10, cache_write_hour=10_000)) == as_written
    assert price.microcents(Usage(10, 0, cache_write=10, cache_write_hour=-5)) == as_written


def test_a_service_tier_makes_tokens_cost_as_many_times_as_much() -> None:
    price = Price(input=1.25, output=10, request=0.01, service_tiers={"flex": 0.5, "priority": 2})

    ordinary = price.microcents(Usage(1_000_000, 1_000_000))
    assert ordinary == 1_126_000_000
    assert price.microcents(Usage(1_000_000, 1_000_000, service_tier="flex")) == 563_500_000
    assert price.microcents(Usage(1_000_000, 1_000_000, service_tier="priority")) == 2_251_000_000
    assert price.microcents(Usage(1_000_000, 1_000_000, service_tier="scale")) == ordinary


def test_a_service_tier_costs_no_less_than_nothing() -> None:
    with pytest.raises(ValidationError, match="0 or more times as much"):
        Price(input=1, output=1, service_tiers={"flex": -1})
