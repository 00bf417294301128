"""What accounts owe in any order of holds and settlements, under any clock: limits, sums, and nothing below 0."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from routers import config

from pointsman import Router
from pointsman.errors import BudgetExceeded
from pointsman.plugin import BudgetWindow
from pointsman.testing import Scripted, ScriptedAnswer, explore
from pointsman.types import Usage
from pointsman_callers.budgets.accounts import Accounts, Wanted
from pointsman_callers.budgets.rules import Limit, Rule

DAY = 86_400.0


class Machine(RuleBasedStateMachine):
    """Two rules of one call; the clock goes where it likes, and limits change."""

    held: Bundle[Any] = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.accounts = Accounts()
        self.wall = 20_000 * DAY
        self.open: list[Any] = []
        self.limits = {"a": 100, "b": 150}
        self.beyond = 0
        self.most = {"a": 100, "b": 150}

    def limit(self, name: str) -> Limit:
        kind: Any = "calendar" if name == "a" else "rolling"
        return Limit("tokens", self.limits[name], BudgetWindow("day", kind))

    def wanted(self, amount: int | None) -> list[Wanted]:
        return [
            Wanted(Rule(name, [self.limit(name)], "all"), self.limit(name), "", amount)
            for name in self.limits
        ]

    @rule(target=held, amount=st.integers(0, 60) | st.none())
    def hold(self, amount: int | None) -> Any:
        wanted = self.wanted(amount)
        before = {name: self.of(name) for name in self.limits}
        lacking = self.accounts.lacking(wanted, self.wall)
        full = [n for n in self.limits if sum(before[n]) + max(amount or 0, 1) > self.limits[n]]
        assert (lacking is not None) == (amount is not None and bool(full))
        if lacking is not None:
            assert lacking.wait is None or lacking.wait >= 0
            assert {n: self.of(n) for n in self.limits} == before  # all or nothing
            return None
        one = self.accounts.hold(wanted, self.wall)
        self.open.append(one)
        return one

    @rule(one=consumes(held), actual=st.integers(-20, 90))
    def settle(self, one: Any, actual: int) -> None:
        if one is not None:
            self.open.remove(one)
            counted = self.accounts.settle(one, [actual] * len(one))
            assert all(each.amount == max(0, actual) for each in counted)
            self.beyond += max(0, actual - one[0].amount)

    @rule(seconds=st.sampled_from([0.1, 60.0, 3_600.0, DAY, 40 * DAY, -60.0, -DAY, -400 * DAY]))
    def turn_the_clock(self, seconds: float) -> None:
        self.wall = max(DAY, self.wall + seconds)

    @rule(name=st.sampled_from("ab"), limit=st.integers(0, 300))
    def change_the_limit(self, name: str, limit: int) -> None:
        self.limits[name] = limit
        self.most[name] = max(self.most[name], limit)
        self.accounts.limit([Rule(name, [self.limit(name)], "all")])

    def of(self, name: str) -> tuple[int, int]:
        for rule_name, _, account in self.accounts.items():
            if rule_name == name:
                return account.spent(self.wall), account.held(self.wall)
        return 0, 0

    @invariant()
    def what_is_held_is_what_is_open(self) -> None:
        for name, _, account in self.accounts.items():
            parts = account.parts.values()
            mine = [each for one in self.open for each in one if each.rule == name]
            assert sum(held for _, held in parts) == sum(each.amount for each in mine)
            assert all(spent >= 0 <= held for spent, held in parts)

    @invariant()
    def no_window_has_more_than_its_limit_and_what_was_guessed_too_low(self) -> None:
        for _, _, account in self.accounts.items():
            if account.limit.window.kind == "calendar":
                for spent, held in account.parts.values():
                    assert spent + held <= self.most["a"] + self.beyond


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAccounts = Machine.TestCase


def daily(amount: int, subject: str = "") -> Wanted:
    limit = Limit("tokens", 10**6, BudgetWindow("day"))
    return Wanted(Rule("r", [limit], "all"), limit, subject, amount)


def test_what_is_held_is_kept_however_many_parts_there_are_and_however_far_the_clock_went() -> None:
    accounts = Accounts()
    held = accounts.hold([daily(7)], DAY)
    for day in range(1_000, 1_300):
        accounts.settle(accounts.hold([daily(1)], day * DAY), [1])

    ((_, _, account),) = accounts.items()
    assert account.held(DAY) == 7
    accounts.settle(held, [5])
    assert account.used(DAY) == (5, 0)


def test_an_account_whose_window_is_over_is_kept_while_something_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pointsman_callers.budgets.accounts._ACCOUNTS", 3)
    accounts = Accounts()
    accounts.hold([daily(7, "at work")], DAY)
    for n in range(3):
        accounts.settle(accounts.hold([daily(1, f"of yesterday {n}")], DAY), [1])
    accounts._tidy_at = 3
    accounts.hold([daily(1, "of today")], 3 * DAY)

    assert [subject for _, subject, _ in accounts.items()] == ["at work", "of today"]


def test_in_any_order_of_what_happens_at_once_the_sum_of_holds_is_what_runs() -> None:
    async def race(seed: int) -> None:
        rng = random.Random(seed)
        upstream = Scripted()
        upstream.script(
            "a",
            *[
                ScriptedAnswer("x", usage=Usage(1, rng.randrange(2_000)), after=rng.random())
                for _ in range(20)
            ],
        )
        given = {
            **config("a"),
            "budgets": {"database": None, "rules": [{"name": "r", "per": "all", "tokens": "9k/day"}]},
        }
        async with Router.from_config(given, plugins=[upstream], rng=random.Random(seed)) as router:

            def look() -> None:
                status = router.status()
                for each in status.budgets:
                    holds = each.held / 1_029
                    assert holds <= status.in_flight, f"{each.held} held by {status.in_flight} attempts"

            tasks = [asyncio.ensure_future(router.chat("m", "hi")) for _ in range(20)]
            while not all(each.done() for each in tasks):
                look()
                if rng.random() < 0.3:
                    rng.choice(tasks).cancel()
                await asyncio.sleep(rng.random() / 5)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(
                not isinstance(each, Exception) or isinstance(each, BudgetExceeded) for each in results
            )
            await asyncio.sleep(1.0)
            (account,) = router.status().budgets
            assert (account.held, router.status().in_flight) == (0, 0)

    explore(race, 30)
