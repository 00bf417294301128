"""Cheapest: which price counts for which call, and what happens to ties and unknown prices."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategy_members import Member

from pointsman.prices import Price
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Image, Message, Text
from pointsman_strategies import Cheapest, CheapestSettings

LONG_PROMPT = ChatRequest("m", [Message.user("x" * 40_000)], max_tokens=10)
LONG_ANSWER = ChatRequest("m", [Message.user("hi")])


def test_the_answer_depends_on_what_is_long() -> None:
    cheap_input = Member("in", price=Price(input=1, output=20))
    cheap_output = Member("out", price=Price(input=3, output=8))
    strategy = Cheapest()

    assert strategy.pick((cheap_input, cheap_output), LONG_PROMPT) is cheap_input
    assert strategy.pick((cheap_input, cheap_output), LONG_ANSWER) is cheap_output


def test_a_long_prompt_goes_by_the_prices_of_its_tier() -> None:
    tiered = Member("t", price=Price(input=1, output=1, tiers=[{"above": 5_000, "input": 9, "output": 9}]))
    flat = Member("f", price=Price(input=2, output=2))

    assert Cheapest().pick((tiered, flat), LONG_ANSWER) is tiered
    assert Cheapest().pick((tiered, flat), LONG_PROMPT) is flat, "10,000 tokens"


def test_what_a_call_costs_beside_its_tokens_counts() -> None:
    by_call = Member("c", price=Price(input=1, output=1, request=0.001))
    by_token = Member("t", price=Price(input=2, output=2))

    assert Cheapest().pick((by_call, by_token), LONG_ANSWER) is by_token, (
        "0.001 USD beside those of 500 tokens"
    )
    assert Cheapest().pick((by_call, by_token), LONG_PROMPT) is by_call


def test_a_free_one_wins_however_busy_it_is_and_the_next_cheapest_when_it_is_not_ready() -> None:
    free, dear, dearer = (
        Member("free", in_flight=50, price=Price(input=0, output=0)),
        Member("dear", price=Price(input=1, output=1)),
        Member("dearer", price=Price(input=2, output=2)),
    )

    assert Cheapest().pick((dearer, dear, free), LONG_ANSWER) is free
    assert Cheapest().pick((dearer, dear), LONG_ANSWER) is dear


def test_an_unknown_price_comes_last() -> None:
    assert (
        Cheapest().pick((Member("?"), Member("a", price=Price(input=99, output=99))), LONG_ANSWER).id == "a"
    )


def test_without_any_price_it_says_that_it_is_degraded() -> None:
    unknown, known = Member("?"), Member("a", price=Price(input=1, output=1))
    strategy = Cheapest()

    said = []
    for ready in ((unknown,), (unknown, known), (unknown, Member("??")), (known,)):
        strategy.pick(ready, LONG_ANSWER)
        said.append(strategy.degraded())

    assert said == [why := "no deployment that is ready has a price", "", why, ""]


@pytest.mark.parametrize("price", [None, Price(input=1, output=2)])
def test_equal_prices_are_least_connections(price: Price | None) -> None:
    members = tuple(Member(f"d{i}", price=price) for i in range(3))
    strategy = Cheapest()

    for _ in range(30):
        picked = strategy.pick(members, LONG_ANSWER)
        assert isinstance(picked, Member)
        picked.in_flight += 1

    assert [each.in_flight for each in members] == [10, 10, 10]


def test_a_tolerance_makes_nearly_equal_prices_share() -> None:
    members = (
        Member("a", price=Price(input=1, output=1)),
        Member("b", price=Price(input=1.05, output=1.05)),
        Member("c", price=Price(input=2, output=2)),
    )
    strategy = Cheapest(CheapestSettings.model_validate({"tolerance": "10%"}))

    picks = Counter(strategy.pick(members, LONG_ANSWER).id for _ in range(20))

    assert picks == {"a": 10, "b": 10}


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=6),
    st.integers(0, 5_000),
    st.integers(1, 4_000),
)
def test_nobody_ready_would_have_been_cheaper(
    prices: list[tuple[float, float]], characters: int, most: int
) -> None:
    members = tuple(
        Member(f"d{i}", price=Price(input=each[0], output=each[1])) for i, each in enumerate(prices)
    )
    request = GenerateRequest("m", "x" * characters, max_tokens=most)
    strategy = Cheapest()

    chosen = strategy.pick(members, request)

    prompt, answer = strategy.tokens(request)
    costs = {
        each.id: prompt * each.price.input + answer * each.price.output for each in members if each.price
    }
    assert costs[chosen.id] == min(costs.values())
    assert answer == min(500, most)


def test_pictures_count_and_embeddings_answer_nothing() -> None:
    strategy = Cheapest()
    picture = ChatRequest("m", [Message.user([Text("a" * 400), Image(b"..")])])

    assert strategy.tokens(picture) == (1101, 500)
    assert strategy.tokens(EmbedRequest("m", ["a" * 40])) == (11, 0)
