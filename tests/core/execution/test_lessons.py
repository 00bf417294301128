"""What strategies of several routers learn from each other, through the store that the routers share."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from stores import Shelf

from pointsman import Router
from pointsman.plugin import (
    Learned,
    Member,
    PointsmanSpec,
    Sample,
    Strategy,
    StrategyFactory,
    hookimpl,
)
from pointsman.shared.lessons import EVERY
from pointsman.testing import Scripted, run

SEEDS = itertools.count(1)
LONG = 60.0


class Gossip(Strategy):
    """Picks the first, tells what it has seen, and notes what it hears."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.seen: list[Learned] = []
        self.asked = 0
        self.heard_of: list[Learned] = []
        self.fails = False

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[0]

    def observed(self, member: Member, sample: Sample, /) -> None:
        self.seen.append(Learned(f"{self.model} {sample.outcome}", LONG))

    def learned(self) -> Sequence[Learned]:
        self.asked += 1
        if self.fails:
            raise RuntimeError("lost for words")
        seen, self.seen = self.seen, []
        return seen

    def heard(self, learned: Learned, /) -> None:
        if self.fails:
            raise RuntimeError("deaf")
        if learned.text == "noise":
            raise ValueError("that is nothing")
        self.heard_of.append(learned)

    @property
    def texts(self) -> list[str]:
        return [each.text for each in self.heard_of]


class Gossips(PointsmanSpec):
    """The strategy `gossip` of one router, by model."""

    def __init__(self) -> None:
        self.made: dict[str, Gossip] = {}

    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        return [StrategyFactory("gossip", None, self._make)]

    def _make(self, context: Any) -> Gossip:
        self.made[context.model] = made = Gossip(context.model)
        return made


def router(shelf: Shelf, gossips: Gossips, **changes: Any) -> Router:
    given = {
        "providers": {"a": {"type": "scripted"}},
        "models": {name: {"strategy": "gossip", "deployments": ["a/x"]} for name in ("m", "n")},
        "state": "shelf",
        **changes,
    }
    return Router.from_config(given, plugins=[Scripted(), shelf, gossips], rng=random.Random(next(SEEDS)))


def with_two(work: Callable[[Router, Gossips, Gossips, Shelf], Awaitable[None]]) -> None:
    async def main() -> None:
        shelf, one, other = Shelf(), Gossips(), Gossips()
        async with router(shelf, one) as first, router(shelf, other) as second:
            await second.chat("n", "hello")  # so that it has begun
            await asyncio.sleep(1)
            await work(first, one, other, shelf)

    run(main())


def test_what_one_learned_the_same_model_of_the_other_hears_within_a_quarter_of_a_second() -> None:
    async def work(first: Router, one: Gossips, other: Gossips, _shelf: Shelf) -> None:
        await first.chat("m", "hello")
        await asyncio.sleep(EVERY * 1.01)

        (heard,) = other.made["m"].heard_of
        assert (heard.text, heard.seconds) == ("m ok", LONG)
        assert heard.by
        assert other.made["n"].texts == []
        assert one.made["m"].texts == []

    with_two(work)


def test_strategies_are_asked_before_the_first_call_so_that_they_collect_from_then_on() -> None:
    async def main() -> None:
        gossips = Gossips()
        async with router(Shelf(), gossips):
            assert gossips.made["m"].asked == 1

    run(main())


def test_who_begins_later_hears_of_all_that_still_holds() -> None:
    async def work(first: Router, one: Gossips, _other: Gossips, shelf: Shelf) -> None:
        await first.chat("m", "hello")
        await asyncio.sleep(EVERY * 2)
        for text in ("old", "new"):
            one.made["m"].seen.append(Learned(text, LONG, about="the same"))
            await asyncio.sleep(EVERY * 2)
        late = Gossips()
        async with router(shelf, late) as third:
            await third.chat("n", "hello")
            await asyncio.sleep(0.1)
            assert late.made["m"].texts == ["m ok", "new"]
            assert all(0 < each.seconds < LONG for each in late.made["m"].heard_of)

    with_two(work)


def test_the_store_is_told_four_times_a_second_at_most_however_many_calls_there_are() -> None:
    async def work(first: Router, one: Gossips, other: Gossips, _shelf: Shelf) -> None:
        before = one.made["m"].asked
        for _ in range(200):
            await first.chat("m", "hello")
            await asyncio.sleep(0.01)
        assert one.made["m"].asked - before <= 2 / EVERY + 2
        await asyncio.sleep(EVERY * 1.01)
        assert len(other.made["m"].heard_of) == 200

    with_two(work)


def test_while_the_store_is_away_nobody_is_asked_and_then_nothing_is_lost() -> None:
    async def work(first: Router, one: Gossips, other: Gossips, shelf: Shelf) -> None:
        shelf.away = True
        await asyncio.sleep(30)
        asked = one.made["m"].asked
        await first.chat("m", "hello")
        await asyncio.sleep(30)
        assert one.made["m"].asked == asked
        shelf.away = False
        await asyncio.sleep(10)
        assert "m ok" in other.made["m"].texts

    with_two(work)


def test_one_that_fails_at_it_costs_no_call_and_one_line_of_the_log_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(first: Router, one: Gossips, other: Gossips, _shelf: Shelf) -> None:
        one.made["n"].fails = other.made["m"].fails = True
        caplog.set_level(logging.WARNING)
        for _ in range(5):
            await first.chat("m", "hello")
            await first.chat("n", "hello")
            await asyncio.sleep(1)
        said = [each.message for each in caplog.records]
        assert len([each for each in said if "learned()" in each]) == 2, "of either router one"
        assert len([each for each in said if "heard()" in each]) == 1

    with_two(work)


def test_what_the_other_can_make_nothing_of_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def work(first: Router, one: Gossips, other: Gossips, _shelf: Shelf) -> None:
        one.made["m"].seen += [Learned("noise", LONG), Learned("x" * 2_000_000, LONG), Learned("gone", 0)]
        await asyncio.sleep(1)
        await first.chat("m", "hello")
        await asyncio.sleep(1)
        assert other.made["m"].texts == ["m ok"]

    with_two(work)
    assert not caplog.records


def test_after_a_reload_it_is_the_successor_that_tells_and_hears() -> None:
    async def work(first: Router, one: Gossips, other: Gossips, _shelf: Shelf) -> None:
        before = one.made["m"]
        await first.reload(
            {
                "providers": {"a": {"type": "scripted"}},
                "models": {"m": {"strategy": "gossip", "deployments": ["a/x", "a/y"]}},
                "state": "shelf",
            }
        )
        assert one.made["m"] is not before
        await first.chat("m", "hello")
        await asyncio.sleep(1)
        assert other.made["m"].texts == ["m ok"]
        other.made["m"].seen.append(Learned("and back", LONG))
        await asyncio.sleep(1)
        assert one.made["m"].texts == ["and back"]
        assert before.texts == []

    with_two(work)


def test_without_a_store_nobody_is_asked() -> None:
    async def main() -> None:
        gossips = Gossips()
        async with router(Shelf(), gossips, state=None) as alone:
            await alone.chat("m", "hello")
            await asyncio.sleep(10)
        assert gossips.made["m"].asked == 0

    run(main())
