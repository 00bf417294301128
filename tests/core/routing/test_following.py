"""Strategies that follow requests: what they hear of one, and what it costs nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pointsman import Router
from pointsman.errors import Unavailable
from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.strategy import Member, Placing, Strategy, StrategyFactory, follows
from pointsman.testing import Scripted, ScriptedAnswer, run


class Following(PointsmanSpec, Strategy):
    """Takes the first one that is ready, and writes down what it hears."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.fails = False

    @hookimpl
    def pointsman_strategies(self) -> Sequence[StrategyFactory]:
        return [StrategyFactory("following", None, lambda _: self)]

    def place(self, ready: Sequence[Member], placing: Placing, /) -> Member:
        placing.notes = f"placed at {ready[0].id}"
        return ready[0]

    def answered(self, member: Member, placing: Placing, now: float, /) -> None:
        if self.fails:
            raise ValueError("it cannot write")
        self.told.append((member.id, placing.affinity, placing.notes, now))

    def degraded(self) -> str:
        return "nothing to go by"

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        raise AssertionError("it is asked to place")

    def __deepcopy__(self, memo: dict[int, Any]) -> Following:
        return self


def config(strategy: str = "following") -> dict[str, Any]:
    return {
        "providers": {name: {"type": "scripted"} for name in "ab"},
        "models": {"m": {"strategy": strategy, "deployments": ["a/x", "b/x"]}},
    }


def during(strategy: Following, upstream: Scripted, story: Any) -> None:
    async def main() -> None:
        async with Router.from_config(config(), plugins=[upstream, strategy]) as r:
            await story(r)

    run(main())


def test_it_hears_of_a_whole_answer_when_that_is_there_and_of_which_conversation_it_is() -> None:
    strategy, upstream = Following(), Scripted()
    upstream.default("a", ScriptedAnswer(after=2.0))

    async def story(r: Router) -> None:
        await r.chat("m", "hi", affinity="k")

    during(strategy, upstream, story)
    assert [heard[:3] for heard in strategy.told] == [("a/x", "k", "placed at a/x")]
    assert strategy.told[0][3] == pytest.approx(2.0, abs=0.01)


def test_it_hears_of_a_stream_with_its_first_content_and_at_its_end() -> None:
    strategy, upstream = Following(), Scripted()
    upstream.default("a", ScriptedAnswer("one two three", after=2.0, gap=5.0))

    async def story(r: Router) -> None:
        async with r.stream("m", "hi") as stream:
            async for _ in stream:
                pass

    during(strategy, upstream, story)
    assert [heard[3] for heard in strategy.told] == pytest.approx([2.0, 22.0], abs=0.01)


def test_it_hears_nothing_of_an_attempt_that_failed_and_all_of_the_one_that_came_after() -> None:
    strategy, upstream = Following(), Scripted()
    upstream.script("a", Unavailable("down"))

    async def story(r: Router) -> None:
        await r.chat("m", "hi", affinity="k")

    during(strategy, upstream, story)
    assert [heard[:3] for heard in strategy.told] == [("b/x", "k", "placed at b/x")]


def test_it_hears_of_an_answer_of_the_only_one_there_is_that_had_failed_before() -> None:
    strategy, upstream = Following(), Scripted()
    for name in "ab":
        upstream.script(name, Unavailable("down"))

    async def story(r: Router) -> None:
        await r.chat("m", "hi", affinity="k")

    during(strategy, upstream, story)
    assert [heard[1] for heard in strategy.told] == ["k"]


def test_what_fails_at_hearing_costs_nobody_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    strategy = Following()
    strategy.fails = True

    async def story(r: Router) -> None:
        assert (await r.chat("m", "hi")).text == "ok"
        assert (await r.chat("m", "hi")).text == "ok"

    during(strategy, Scripted(), story)
    assert caplog.text.count("failed in answered()") == 1


def test_status_and_explanation_say_why_it_is_degraded() -> None:
    async def story(r: Router) -> None:
        assert r.status().to_dict()["models"]["m"]["degraded"] == "nothing to go by"
        assert r.explain("m").chain[0].degraded == "nothing to go by"

    during(Following(), Scripted(), story)

    async def plain() -> None:
        async with Router.from_config(config("round_robin"), plugins=[Scripted()]) as r:
            assert r.status().to_dict()["models"]["m"]["degraded"] is None
            assert r.explain("m").chain[0].degraded is None

    run(plain())


def test_only_who_writes_place_follows() -> None:
    class Picks(Strategy):
        def pick(self, ready: Sequence[Member], request: object, /) -> Member:
            return ready[0]

    assert not follows(Picks())
    assert follows(Following())


def test_a_request_on_its_way_shows_neither_what_it_asks_nor_whose_it_is() -> None:
    shown = repr(Placing("a diary", "alice"))

    assert "diary" not in shown
    assert "alice" not in shown
