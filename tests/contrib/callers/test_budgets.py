"""Budgets of callers: what is over a limit is refused before it is sent, and what was used is counted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from routers import config, in_flight

from pointsman import ConfigError, Router
from pointsman.errors import BudgetExceeded
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import Usage
from pointsman_callers.ledger import LedgerUnavailable, MemoryLedger
from pointsman_callers.ledger.kept import KeptLedger

PRICE = {"input": 1, "output": 1}  # 100 microcents a token
ANSWER = ScriptedAnswer("well", usage=Usage(500, 500))


def given(*rules: Mapping[str, Any], database: str | None = None, **changes: Any) -> dict[str, Any]:
    models = {"m": {"deployments": [{"provider": "a", "model": "x", "price": PRICE}]}}
    return {
        **config("ab"),
        "models": models,
        "budgets": {"database": database, "rules": list(rules)},
        **changes,
    }


def routed(upstream: Scripted, settings: dict[str, Any], *plugins: object) -> Router:
    return Router.from_config(settings, plugins=[upstream, *plugins], rng=random.Random(1))


async def count(r: Router, times: int, **options: Any) -> int:
    """Of so many calls, how many were let through."""
    let = 0
    for _ in range(times):
        try:
            await r.chat("m", "hi", **options)
        except BudgetExceeded:
            continue
        let += 1
    return let


@pytest.mark.parametrize("unit", [{"requests": "10/day"}, {"tokens": "10k/day"}, {"money": "0.01 USD/day"}])
def test_ten_of_ten_calls_over_a_limit_are_refused(unit: dict[str, str]) -> None:
    upstream = Scripted()
    upstream.script("a", *[ANSWER] * 30)

    async def main() -> None:
        async with routed(upstream, given({"name": "r", **unit})) as r:
            assert await count(r, 10, caller="ci", max_tokens=500) >= 9
            spent = upstream.count("a")
            await count(r, 2, caller="ci", max_tokens=500)
            before = upstream.count("a")
            assert before - spent <= 1
            assert await count(r, 10, caller="ci", max_tokens=500) == 0
            assert upstream.count("a") == before
            assert await count(r, 1, caller="other", max_tokens=500) == 1

    run(main())


def test_the_error_says_what_is_used_up_and_when_it_is_free_again() -> None:
    async def main() -> BudgetExceeded:
        async with routed(Scripted(), given({"name": "ci-day", "requests": "1/day"})) as r:
            await r.chat("m", "hi", caller="ci")
            with pytest.raises(BudgetExceeded) as raised:
                await r.chat("m", "hi", caller="ci")
            return raised.value

    error = run(main())
    assert (error.rule, error.limit) == ("ci-day", "1 request/day")
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 86_400
    assert "'ci-day' of 'ci' allows 1 request/day: 1 request used" in error.message


async def at_once(r: Router, calls: int, **options: Any) -> list[object]:
    return await asyncio.gather(*(r.chat("m", "hi", **options) for _ in range(calls)), return_exceptions=True)


def test_of_200_calls_at_once_no_more_is_settled_than_the_limit_and_what_was_guessed_too_low() -> None:
    upstream = Scripted()
    rng = random.Random(7)
    used = [rng.randrange(1, 3_000) for _ in range(200)]
    upstream.script("a", *[ScriptedAnswer("x", usage=Usage(3, each), after=rng.random()) for each in used])

    async def main() -> None:
        async with routed(upstream, given({"name": "r", "tokens": "50k/day"})) as r:
            results = await at_once(r, 200, caller="ci")
            (account,) = r.status().budgets
            let = [each for each in results if not isinstance(each, BaseException)]
            assert all(isinstance(each, BudgetExceeded) for each in results if each not in let)
            assert account.held == 0
            assert account.spent == sum(each.usage.total for each in let)  # type: ignore[attr-defined]
            held = 1_024 + 6
            beyond = sum(each.usage.total - held for each in let)  # type: ignore[attr-defined]
            assert account.spent <= 50_000 + max(0, beyond)
            assert account.refused == 200 - len(let)
            assert len(let) == 50_000 // (1_024 + 5)

    run(main())


def test_what_is_held_is_what_runs() -> None:
    upstream = Scripted()
    upstream.script("a", *[ScriptedAnswer("x", after=10.0)] * 5)

    async def main() -> None:
        async with routed(upstream, given({"name": "r", "requests": "100/day"})) as r:
            tasks = [asyncio.ensure_future(r.chat("m", "hi", caller="ci")) for _ in range(5)]
            await asyncio.sleep(1.0)
            assert [each.held for each in r.status().budgets] == [in_flight(r)] == [5]
            for each in tasks[:2]:
                each.cancel()
            await asyncio.wait(tasks[:2])
            (account,) = r.status().budgets
            assert (account.held, account.spent) == (3, 2)  # given up, and perhaps charged for
            await asyncio.wait(tasks)
            (account,) = r.status().budgets
            assert (account.held, account.spent) == (0, 5)

    run(main())


def test_free_deployments_answer_when_the_money_is_gone_if_the_rule_says_so() -> None:
    free = {"provider": "b", "model": "x", "price": {"input": 0, "output": 0}}
    models = {"m": {"deployments": [{"provider": "a", "model": "x", "price": PRICE}], "fallback": ["f"]}}

    async def main(said: str) -> list[str]:
        upstream = Scripted()
        upstream.script("a", *[ANSWER] * 9)
        rule = {"name": "r", "money": "0.001 USD/day", "free": said}
        settings = given(rule, models={**models, "f": {"deployments": [free]}})
        async with routed(upstream, settings) as r:
            answered = []
            for _ in range(3):
                try:
                    answered.append((await r.chat("m", "hi", max_tokens=500)).deployment)
                except BudgetExceeded:
                    answered.append("")
            return answered

    assert run(main("allowed")) == ["a/x", "b/x", "b/x"]
    assert run(main("refused")) == ["a/x", "", ""]


def test_what_nobody_knows_the_price_of_counts_as_nothing_unless_the_rule_refuses_it() -> None:
    unpriced = {"m": {"deployments": ["a/x"]}}

    async def main(said: str) -> int:
        rule = {"name": "r", "money": "1 USD/day", "unknown": said}
        async with routed(Scripted(), given(rule, models=unpriced, prices=[])) as r:
            return await count(r, 3)

    assert run(main("allowed")) == 3
    assert run(main("refused")) == 0


def test_rules_tell_callers_models_and_labels_apart() -> None:
    rules = [
        {"name": "teams", "per": "label:team", "requests": "2/day"},
        {"name": "qa", "per": "all", "only": {"team": ["qa", "ops"]}, "requests": "3/day"},
    ]

    async def main() -> None:
        async with routed(Scripted(), given(*rules)) as r:
            assert await count(r, 3, tags={"team": "qa"}) == 2
            assert await count(r, 3, tags={"team": "ops"}) == 1
            assert await count(r, 3, tags={"team": "web"}) == 2
            assert await count(r, 5) == 5
            told = {(each.rule, each.subject): each.spent for each in r.status().budgets}
            assert told == {("teams", "qa"): 2, ("teams", "ops"): 1, ("teams", "web"): 2, ("qa", ""): 3}

    run(main())


def test_all_rules_of_a_call_hold_or_none() -> None:
    rules = [{"name": "a", "requests": "9/day"}, {"name": "b", "per": "all", "requests": "1/day"}]

    async def main() -> dict[str, int]:
        async with routed(Scripted(), given(*rules)) as r:
            assert await count(r, 5) == 1
            return {each.rule: each.spent + each.held for each in r.status().budgets}

    assert run(main()) == {"a": 1, "b": 1}


def test_a_request_counts_once_however_many_attempts_it_takes() -> None:
    from pointsman.errors import Unavailable

    upstream = Scripted()
    upstream.script("a", *[Unavailable("down", status=503)] * 2, ScriptedAnswer("well"))

    async def main() -> None:
        async with routed(upstream, given({"name": "r", "requests": "1/day"})) as r:
            assert (await r.chat("m", "hi")).attempts == 3
            (account,) = r.status().budgets
            assert (account.spent, account.held) == (1, 0)

    run(main())


def test_an_attempt_that_ends_with_an_error_costs_nothing_also_where_each_request_has_a_price() -> None:
    from pointsman.errors import Unavailable

    upstream = Scripted()
    upstream.script("a", *[Unavailable("down", status=503)] * 2, ANSWER)
    settings = given({"name": "r", "money": "1 USD/day"})
    settings["models"]["m"]["deployments"][0]["price"] = {**PRICE, "request": 0.01}

    async def main() -> None:
        async with routed(upstream, settings) as r:
            reply = await r.chat("m", "hi")
            (account,) = r.status().budgets
            assert reply.attempts == 3
            assert account.spent == reply.cost_microcents

    run(main())


def test_calls_that_answer_no_text_teach_nothing_of_how_long_answers_are() -> None:
    async def held(embeddings: int) -> int:
        upstream = Scripted()
        async with routed(upstream, given({"name": "r", "tokens": "1M/day"})) as r:
            for _ in range(embeddings):
                await r.embed("m", "hi")
            upstream.script("a", ScriptedAnswer("x", after=1.0))
            running = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(0.5)
            (account,) = r.status().budgets
            await running
            return account.held

    async def main() -> None:
        assert await held(30) == await held(0) > 0

    run(main())


class Expiring(MemoryLedger):
    """Remembers how long after its beginning what is held expires."""

    def __init__(self) -> None:
        self.after: list[float] = []

    def hold(self, *said: Any) -> None:
        _id, attempt, _spent, _counted, expires = said
        self.after.append(expires - attempt.at)


def test_a_hold_outlives_its_request_so_that_who_lives_settles_it_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = Expiring()
    monkeypatch.setattr("pointsman_callers.budgets.service.open_ledger", lambda *_: ledger)

    async def main() -> None:
        async with routed(Scripted(), given({"name": "r", "requests": "9/day"}, database="sqlite:p.db")) as r:
            await r.chat("m", "hi", timeout=100)

    run(main())
    assert ledger.after == [pytest.approx(160.0)]


def test_a_reload_keeps_what_was_spent_and_has_the_new_limit_hold() -> None:
    async def main() -> None:
        r = routed(Scripted(), given({"name": "r", "requests": "3/day"}))
        async with r:
            assert await count(r, 2) == 2
            await r.reload(given({"name": "r", "requests": "4/day"}))
            assert await count(r, 5) == 2
            await r.reload(given({"name": "r", "requests": "1/day"}))
            assert await count(r, 5) == 0
            (account,) = r.status().budgets
            assert (account.spent, account.limit) == (4, 1)
            with pytest.raises(ConfigError):
                await r.reload(given({"name": "r", "requests": "9/year"}))
            await asyncio.sleep(2.0)
            assert await count(r, 1) == 0
            await r.reload({key: each for key, each in given().items() if key != "budgets"})
            await asyncio.sleep(2.0)
            assert await count(r, 3) == 3

    run(main())


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    settings = given({"name": "r", "requests": "3/day"}, database=f"sqlite:{tmp_path}/p.db")

    async def once(times: int) -> int:
        async with Router.from_config(settings, plugins=[Scripted()]) as r:
            return await count(r, times, caller="ci")

    assert asyncio.run(once(2)) == 2
    assert asyncio.run(once(5)) == 1
    assert asyncio.run(once(5)) == 0


def test_an_explanation_says_that_a_budget_would_refuse() -> None:
    async def main() -> None:
        async with routed(Scripted(), given({"name": "r", "requests": "1/day"})) as r:
            assert r.explain("m", "hi").chain[0].candidates[0].ready
            await count(r, 1)
            (candidate,) = r.explain("m", "hi").chain[0].candidates
            assert not candidate.ready
            assert [each.kind for each in candidate.reasons] == ["spending"]
            assert "the budget 'r' allows 1 request/day" in str(candidate.reasons[0])
            assert r.status().budgets[0].refused == 0

    run(main())


WRONG = [
    ({"name": "r"}, "it limits nothing"),
    ({"name": "r", "money": "10"}, "an amount per hour, day or month"),
    ({"name": "r", "tokens": "many/day"}, "a count per hour, day or month"),
    ({"name": "r", "requests": "1.5/day"}, "a count per hour, day or month"),
    ({"name": "r", "requests": "1/day", "per": "nobody"}, "or `label:` and the name of a tag"),
    ({"name": "r", "requests": "1/day", "only": {"model": "none"}}, "there is no model 'none'"),
    ({"name": "r", "requests": "1/day", "unknown": "refused"}, "it does nothing without `money`"),
    ({"name": "", "requests": "1/day"}, "name"),
    ({"name": "r", "requests": "1/day", "windows": "rolling"}, "windows"),
]


@pytest.mark.parametrize(("rule", "says"), WRONG)
def test_a_rule_that_cannot_be_right_is_said_to_be_so(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("(", "\\(")):
        routed(Scripted(), given(rule))


@pytest.mark.parametrize("section", ["budgets", "callers"])
def test_a_database_of_a_kind_that_is_unknown_is_found_before_anything_starts(section: str) -> None:
    said = {"providers": {"gpu": {"type": "ollama"}}, section: {"database": "mysql://me:s3cret@db/x"}}

    with pytest.raises(ConfigError, match="begins with mysql://; expected a file") as raised:
        Router.check(said)

    assert "s3cret" not in str(raised.value)


def test_two_rules_of_one_name_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="two rules are called 'r'"):
        routed(Scripted(), given({"name": "r", "requests": "1/day"}, {"name": "r", "tokens": "1/day"}))


class Broken(MemoryLedger):
    """A ledger whose disk is full, until it is not."""

    def __init__(self) -> None:
        self.full = True

    def hold(self, *said: Any) -> None:
        if self.full:
            raise LedgerUnavailable("the disk is full")

    def trouble(self) -> str:
        return "the disk is full" if self.full else ""


@pytest.mark.parametrize(("said", "let"), [("allow", 3), ("refuse", 0)])
def test_what_cannot_be_kept_is_called_or_refused_as_the_configuration_says_and_the_log_tells(
    said: str, let: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Broken()
    monkeypatch.setattr("pointsman_callers.budgets.service.open_ledger", lambda *_: ledger)
    settings = given({"name": "r", "requests": "9/day"}, database="sqlite:p.db")
    settings["budgets"]["on_error"] = said

    async def main() -> None:
        async with routed(Scripted(), settings) as r:
            assert await count(r, 3) == let
            assert [(each.spent, each.held) for each in r.status().budgets] == [(let, 0)]
            assert r.status().budgets_trouble == "the disk is full"
            await asyncio.sleep(3.0)
            ledger.full = False
            assert await count(r, 1) == 1
            await asyncio.sleep(3.0)
            assert r.status().budgets_trouble == ""

    run(main())
    assert [each.message for each in caplog.records if "spent" in each.message] == [
        "what was spent is not kept: the disk is full",
        "what was spent is kept again",
    ]


def kept_in(folder: Path) -> tuple[list[int], list[int]]:
    """What the ledger in `folder` has of tokens: spent, and held still."""
    ledger = KeptLedger("p.db", folder)
    books = ledger.open(1.0)  # a clock by which nothing has expired
    ledger.close()
    return (
        [each.amount for each in books.spent if each.unit == "tokens"],
        [each.amount for hold in books.held for each in hold.counted if each.unit == "tokens"],
    )


def test_what_runs_when_the_router_closes_is_settled_in_the_ledger(tmp_path: Path) -> None:
    upstream = Scripted()
    upstream.script("a", ScriptedAnswer("x", after=1_000))
    settings = given({"name": "r", "tokens": "1M/month"}, database=f"{tmp_path}/p.db")

    async def main() -> None:
        async with routed(upstream, settings) as r:
            call = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1.0)
            assert in_flight(r)
        await asyncio.gather(call, return_exceptions=True)

    run(main())
    spent, held = kept_in(tmp_path)
    assert held == []
    assert len(spent) == 1


def test_a_reload_that_moves_the_ledger_keeps_what_runs_in_the_one_it_began_in(tmp_path: Path) -> None:
    upstream = Scripted()
    upstream.script("a", *[ScriptedAnswer("x", usage=Usage(3, 4), after=20)] * 2)
    (tmp_path / "elsewhere").mkdir()
    limit = {"name": "r", "tokens": "1M/month"}

    async def main() -> None:
        async with routed(upstream, given(limit, database=f"{tmp_path}/p.db")) as r:
            calls = [asyncio.ensure_future(r.chat("m", "hi"))]
            await asyncio.sleep(1.0)
            assert in_flight(r)
            await r.reload(given(limit, database=f"sqlite:{tmp_path}/p.db"))  # the same one
            (account,) = r.status().budgets
            assert account.held > 0
            await r.reload(given(limit, database=f"{tmp_path}/elsewhere/p.db"))
            calls.append(asyncio.ensure_future(r.chat("m", "hi")))
            await asyncio.gather(*calls)
            (account,) = r.status().budgets
            assert (account.spent, account.held) == (7, 0)

    run(main())
    assert kept_in(tmp_path) == ([7], [])
    assert kept_in(tmp_path / "elsewhere") == ([7], [])


def test_a_stream_that_is_left_counts_what_it_delivered_at_least() -> None:
    words = "word " * 400
    upstream = Scripted()
    upstream.script("a", *["ok"] * 40, ScriptedAnswer(words))  # which teach that answers are short

    async def main() -> None:
        rules = {"name": "t", "tokens": "1M/day"}, {"name": "m", "money": "1 USD/day"}
        async with routed(upstream, given(*rules)) as r:
            assert await count(r, 40, caller="ci") == 40
            before = {each.rule: each.spent for each in r.status().budgets}
            async with r.stream("m", "hi", caller="ci", max_tokens=400) as stream:
                text = ""
                while len(text) < 5 * 390:
                    text += (await anext(stream)).text
            after = {each.rule: each.spent for each in r.status().budgets}
            assert after["t"] - before["t"] >= 390
            assert after["m"] - before["m"] >= 390 * 100

    run(main())


def test_an_answer_that_its_upstream_did_not_count_counts_as_long_as_it_is() -> None:
    upstream = Scripted()
    upstream.script("a", *["ok"] * 40, ScriptedAnswer("word " * 400, usage=Usage()))

    async def main() -> None:
        async with routed(upstream, given({"name": "t", "tokens": "1M/day"})) as r:
            assert await count(r, 40, caller="ci") == 40
            (before,) = r.status().budgets
            await r.chat("m", "hi", caller="ci", max_tokens=400)
            (after,) = r.status().budgets
            assert after.spent - before.spent >= 400

    run(main())


def test_one_answer_of_a_length_beyond_all_measure_locks_nobody_else_out() -> None:
    upstream = Scripted()
    upstream.script("a", ScriptedAnswer("x", usage=Usage(5, 2**62)), *["ok"] * 30)

    async def main() -> None:
        async with routed(upstream, given({"name": "t", "tokens": "10k/day"})) as r:
            assert await count(r, 1, caller="ci") == 1
            assert await count(r, 30, caller="other") == 30

    run(main())
