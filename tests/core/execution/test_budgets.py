"""Budgets: every attempt is held before anything of it is sent, and settled once, whatever becomes of it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel
from routers import Heard, config, in_flight, router

from pointsman import Router
from pointsman.errors import (
    BudgetExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    PluginError,
    Unavailable,
    Unsupported,
)
from pointsman.plugin import (
    BudgetAccount,
    HoldAsked,
    PointsmanSpec,
    SectionFactory,
    ServiceContext,
    ServiceFactory,
    Usage,
    hookimpl,
)
from pointsman.testing import Scripted, ScriptedAnswer, run


class Held:
    def __init__(self, asked: HoldAsked) -> None:
        self.asked = asked
        self.settled: list[tuple[Usage | None, int | None, bool]] = []

    def settle(
        self, usage: Usage | None, cost_microcents: int | None, *, sent: bool, delivered: int = 0
    ) -> None:
        self.settled.append((usage, cost_microcents, sent))


class Watched:
    """Budgets that refuse some deployments."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.holds: list[Held] = []

    async def hold(self, asked: HoldAsked) -> Held:
        if asked.deployment in self.refused:
            raise BudgetExceeded("used up", rule="r", limit="1 USD/day", retry_after=60.0)
        self.holds.append(Held(asked))
        return self.holds[-1]

    def refusal(self, asked: HoldAsked) -> str:
        return "used up" if asked.deployment in self.refused else ""

    def accounts(self) -> Sequence[BudgetAccount]:
        return []

    @property
    def settled(self) -> list[tuple[Usage | None, int | None, bool]]:
        """Of each hold how it was settled; exactly once."""
        assert {len(each.settled) for each in self.holds} <= {1}
        return [each.settled[0] for each in self.holds]


PRICED = {"provider": "a", "model": "x", "price": {"input": 1, "output": 2}}


async def chat(r: Router) -> None:
    await r.chat("m", "hi", caller="ci", tags={"team": "qa"}, max_tokens=7)


async def stream(r: Router) -> None:
    async with r.stream("m", "hi") as answer:
        async for _ in answer:
            pass


async def generate(r: Router) -> None:
    await r.generate("m", "hi")


async def embed(r: Router) -> None:
    await r.embed("m", ["hi"])


@pytest.mark.parametrize("ask", [chat, stream, generate, embed])
def test_an_attempt_of_each_kind_is_held_and_settled_by_what_it_used(
    ask: Callable[[Router], Any],
) -> None:
    budgets = Watched()

    async def main() -> None:
        async with router(Scripted(), {**config("a"), "models": {"m": {"deployments": [PRICED]}}}) as r:
            r.use_budgets(budgets)
            await ask(r)

    run(main())
    ((usage, cost, sent),) = budgets.settled
    assert sent
    if ask is not stream:  # nothing of the script counts tokens of those
        assert usage is not None
        assert cost is not None
        assert cost > 0


@pytest.mark.parametrize(
    ("text", "counted", "settled"),
    [
        ("well", Usage(0, 0), (None, None)),
        ("well", Usage(3, 0), (3, None)),
        ("", Usage(3, 0), (3, 0)),
        ("well", Usage(3, 2), (3, 2)),
    ],
)
def test_an_upstream_that_counts_nothing_of_what_it_wrote_has_not_counted(
    text: str, counted: Usage, settled: tuple[int | None, int | None]
) -> None:
    budgets, upstream = Watched(), Scripted()
    upstream.default("a", ScriptedAnswer(text, usage=counted))

    async def main() -> None:
        async with router(upstream, {**config("a"), "models": {"m": {"deployments": [PRICED]}}}) as r:
            r.use_budgets(budgets)
            await chat(r)

    run(main())
    ((usage, cost, _sent),) = budgets.settled
    assert usage is not None
    assert (usage.prompt, usage.completion) == settled
    assert (cost is None) is (None in settled)


def test_what_is_asked_says_who_and_how_much_at_most() -> None:
    budgets = Watched()

    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            r.use_budgets(budgets)
            await chat(r)
            await embed(r)

    run(main())
    first, second = (each.asked for each in budgets.holds)
    assert (first.caller, first.tags, first.model, first.deployment) == ("ci", {"team": "qa"}, "m", "a/x")
    assert (first.first, first.attempt, first.most_completion, second.most_completion) == (True, 1, 7, 0)
    assert first.prompt_tokens > 0
    assert first.seconds > 0


def test_what_a_budget_refuses_is_passed_over_without_an_attempt() -> None:
    upstream, budgets = Scripted(), Watched("a/x")

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            r.use_budgets(budgets)
            heard = Heard(r)
            answers = [await r.chat("m", "hi") for _ in range(4)]

            assert {(each.deployment, each.attempts) for each in answers} == {("b/x", 1)}
            assert upstream.count("a") == 0
            assert [each.deployment for each in heard.attempts] == ["b/x"] * 4
            status = r.status().models["m"].deployments["a/x"]
            assert (status.in_flight, status.breaker.state) == (0, "closed")

    run(main())


def test_a_fallback_that_costs_less_answers() -> None:
    upstream, budgets = Scripted(), Watched("a/x")
    given = config("ab")
    given["models"] = {
        "m": {"deployments": ["a/x"], "fallback": ["cheap"]},
        "cheap": {"deployments": ["b/x"]},
    }

    async def main() -> str:
        async with router(upstream, given) as r:
            r.use_budgets(budgets)
            return (await r.chat("m", "hi")).deployment

    assert run(main()) == "b/x"


def test_where_nothing_is_left_the_error_says_which_rule_and_until_when() -> None:
    upstream, budgets = Scripted(), Watched("a/x", "b/x")

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            r.use_budgets(budgets)
            heard = Heard(r)
            for _ in range(10):
                with pytest.raises(BudgetExceeded, match="used up") as raised:
                    await r.chat("m", "hi")
            assert (raised.value.rule, raised.value.limit) == ("r", "1 USD/day")
            assert (raised.value.retry_after, raised.value.attempts) == (60.0, 0)
            assert heard.attempts == []
            assert in_flight(r) == 0

    run(main())
    assert upstream.count("a") == upstream.count("b") == 0


class LastOne(Watched):
    """Budgets in which one attempt has room."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def hold(self, asked: HoldAsked) -> Held:
        self.asked += 1
        if self.asked > 20:
            raise RuntimeError("asked again and again")
        if self.holds:
            raise BudgetExceeded("used up", rule="r", limit="1 USD/day", retry_after=60.0)
        return await super().hold(asked)


@pytest.mark.parametrize("providers", ["a", "ab", "abc"])
def test_what_a_budget_refuses_after_a_failure_is_not_asked_again_and_again(providers: str) -> None:
    upstream, budgets = Scripted(), LastOne()
    for each in providers:
        upstream.script(each, Unavailable("down", status=503))

    async def main() -> None:
        async with router(upstream, config(providers)) as r:
            r.use_budgets(budgets)
            with pytest.raises(BudgetExceeded, match="used up") as raised:
                await r.chat("m", "hi")
            assert raised.value.attempts == 1
            assert in_flight(r) == 0

    run(main())
    assert budgets.asked == 1 + len(providers)


def test_every_retry_is_held_anew_and_an_answer_that_is_an_error_costs_nothing() -> None:
    upstream, budgets = Scripted(), Watched()
    upstream.script("a", Unavailable("down", status=503))
    upstream.script("b", ScriptedAnswer("well"))

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            r.use_budgets(budgets)
            await r.chat("m", "hi")

    run(main())
    assert [(each.asked.attempt, each.asked.first) for each in budgets.holds] == [(1, True), (2, False)]
    assert budgets.settled[0] == (Usage(0, 0), None, True)


def test_what_was_never_sent_uses_nothing_and_the_next_attempt_counts_as_the_first() -> None:
    upstream, budgets = Scripted(), Watched()
    upstream.script("a", ConnectionFailed("refused", sent=False))
    upstream.script("b", Unsupported("no tools"))

    async def main() -> None:
        async with router(upstream, config("abc")) as r:
            r.use_budgets(budgets)
            await r.chat("m", "hi")

    run(main())
    assert [each.asked.first for each in budgets.holds] == [True, True, True]
    assert [sent for _, _, sent in budgets.settled] == [False, False, True]


def test_a_call_that_is_given_up_settles_what_it_held_as_unknown() -> None:
    upstream, budgets = Scripted(), Watched()
    upstream.script("a", ScriptedAnswer("late", after=30.0))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            r.use_budgets(budgets)
            task = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())
    assert budgets.settled == [(None, None, True)]


def test_a_stream_that_nobody_closes_settles_what_it_held() -> None:
    budgets = Watched()

    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            r.use_budgets(budgets)
            answer = r.stream("m", "hi")
            await answer.__aenter__()
            del answer
            gc.collect()
            await asyncio.sleep(1.0)

    run(main())
    assert len(budgets.settled) == 1


class Slow(Watched):
    """Budgets that take a while."""

    async def hold(self, asked: HoldAsked) -> Held:
        await asyncio.sleep(10.0)
        return await super().hold(asked)


def test_a_call_that_is_given_up_while_its_budgets_are_asked_holds_nothing() -> None:
    upstream, budgets = Scripted(), Slow()

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            r.use_budgets(budgets)
            task = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1.0)
            assert in_flight(r) == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert in_flight(r) == 0

    run(main())
    assert budgets.holds == []
    assert upstream.count("a") == 0


class Broken(Watched):
    async def hold(self, asked: HoldAsked) -> Held:
        raise KeyError(asked.caller)


def test_budgets_that_fail_let_nothing_through(caplog: pytest.LogCaptureFixture) -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            r.use_budgets(Broken())
            with pytest.raises(PluginError, match="budgets"):
                await r.chat("m", "hi")
            assert in_flight(r) == 0

    run(main())
    assert upstream.count("a") == 0


class Silent(Watched):
    """Budgets that never say anything."""

    async def hold(self, asked: HoldAsked) -> Held:
        self.holds.append(Held(asked))
        await asyncio.sleep(3_600)
        raise AssertionError


@pytest.mark.parametrize("ask", ["chat", "stream"])
def test_budgets_that_say_nothing_cost_a_call_no_more_than_its_deadline(ask: str) -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            r.use_budgets(Silent())
            began = asyncio.get_running_loop().time()
            with pytest.raises(DeadlineExceeded, match="its budgets had said"):
                if ask == "chat":
                    await r.chat("m", "hi", timeout=5)
                else:
                    await r.stream("m", "hi", timeout=5).__aenter__()
            assert asyncio.get_running_loop().time() - began == pytest.approx(5)
            assert in_flight(r) == 0

    run(main())
    assert upstream.count("a") == 0


@pytest.mark.parametrize("beside", [Silent, Broken])
def test_budgets_cost_an_attempt_that_runs_nothing_when_they_do_not_let_another_begin_beside_it(
    beside: type[Watched],
) -> None:
    upstream = Scripted()
    given = {
        **config("ab", hedging={"minimum_samples": 2, "budget": "100%"}),
        "retry": {"type": "exponential", "attempts": 3},
    }

    class Second(Watched):
        async def hold(self, asked: HoldAsked) -> Held:
            return await (super().hold(asked) if asked.first else beside().hold(asked))

    async def main() -> None:
        async with router(upstream, given) as r:
            for name in "ab":
                upstream.script(name, *[ScriptedAnswer("quick", after=0.1)] * 3)
            for _ in range(6):
                await stream(r)
            r.use_budgets(Second())
            for name in "ab":
                upstream.script(name, ScriptedAnswer("late", after=30.0))
            began = asyncio.get_running_loop().time()
            await stream(r)
            assert asyncio.get_running_loop().time() - began == pytest.approx(30)
            assert in_flight(r) == 0

    run(main())


def test_the_second_attempt_beside_a_late_one_is_held_too() -> None:
    upstream, budgets = Scripted(), Watched()
    given = {
        **config("ab", hedging={"minimum_samples": 2, "budget": "100%"}),
        "retry": {"type": "exponential", "attempts": 3},
    }

    async def main() -> None:
        async with router(upstream, given) as r:
            for name in "ab":
                upstream.script(name, *[ScriptedAnswer("quick", after=0.1)] * 3)
            for _ in range(6):
                await stream(r)
            r.use_budgets(budgets)
            for name in "ab":
                upstream.script(name, ScriptedAnswer("late", after=30.0))
            await stream(r)

    run(main())
    assert sorted(each.asked.deployment for each in budgets.holds) == ["a/x", "b/x"]
    assert len(budgets.settled) == 2


class Empty(BaseModel):
    pass


class Late:
    """A service that takes a while to have its budgets used."""

    def __init__(self, context: ServiceContext) -> None:
        self._router = context.router
        self._stop: Callable[[], None] | None = None

    async def start(self) -> None:
        await asyncio.sleep(5.0)
        self._stop = self._router.use_budgets(Watched("a/x"))

    async def aclose(self) -> None:
        if self._stop is not None:
            self._stop()


class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        return [SectionFactory("late", Empty, service="late")]

    @hookimpl
    def pointsman_services(self) -> Sequence[ServiceFactory]:
        return [ServiceFactory("late", Empty, Late, before_calls=True)]


def test_a_call_before_the_services_have_begun_waits_for_their_budgets() -> None:
    upstream = Scripted()

    async def main() -> None:
        r = Router.from_config({**config("a"), "late": {}}, plugins=[upstream, Plugin()])
        with pytest.raises(BudgetExceeded):
            await r.chat("m", "hi")
        await r.reload(config("a"))
        await asyncio.sleep(1.0)
        assert r.budgets is None
        await r.chat("m", "hi")
        await r.aclose()

    run(main())
    assert upstream.count("a") == 1
