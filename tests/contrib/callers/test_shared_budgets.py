"""Budgets that are exact over routers which share a state store, and what becomes of them without it."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis_server import PROGRAM, RedisServer
from routers import config

from pointsman import Router
from pointsman.errors import BudgetExceeded
from pointsman.plugin import (
    BudgetFull,
    BudgetHold,
    BudgetSettlement,
    BudgetTake,
    BudgetWindow,
    MemoryStore,
    system_rng,
)
from pointsman.testing import Scripted, ScriptedAnswer, SystemClock
from pointsman.types import Usage
from pointsman_redis.store import RedisStore

needs_redis = pytest.mark.skipif(PROGRAM is None, reason="there is no redis-server here")


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path_factory.mktemp("r"))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryStore(SystemClock())
        return
    server = request.getfixturevalue("server")
    yield RedisStore(server.url, "p")


def take(account: str = "r", units: int | None = 10, limit: int = 100, **more: Any) -> BudgetTake:
    return BudgetTake(account, units, limit, BudgetWindow("month", **more))


NUMBERS = iter(range(10_000))


def hold(*takes: BudgetTake, seconds: float = 60.0) -> BudgetHold:
    return BudgetHold(f"h{next(NUMBERS)}", takes, seconds)


@pytest.mark.parametrize("kind", ["calendar", "rolling"])
@pytest.mark.parametrize("per", ["hour", "day", "month"])
async def test_no_more_is_held_and_spent_than_the_limit(store: Any, per: Any, kind: Any) -> None:
    def one(units: int | None) -> BudgetTake:
        return BudgetTake("r", units, 100, BudgetWindow(per, kind))

    holds = [hold(one(10)) for _ in range(30)]
    answers = await asyncio.gather(*(store.hold(each) for each in holds))
    held = [each for each, answer in zip(holds, answers, strict=True) if answer is None]
    assert len(held) == 10
    full = next(each for each in answers if each is not None)
    assert (full.lacking, full.spent, full.held) == ("r", 0, 100)
    assert full.wait > 0
    await store.settle_holds([BudgetSettlement(each, [4]) for each in held])
    await store.settle_holds([BudgetSettlement(each, [4]) for each in held])  # twice is once
    assert await store.hold(hold(one(60))) is None
    full = await store.hold(hold(one(1)))
    assert (full.spent, full.held) == (40, 60)
    assert await store.hold(hold(one(None))) is None
    assert (await store.hold(hold(one(101)))).wait is None
    await store.aclose()


async def test_all_accounts_of_a_hold_or_none(store: Any) -> None:
    assert await store.hold(hold(take("a"), take("b", 100))) is None
    assert (await store.hold(hold(take("a"), take("b")))).lacking == "b"
    full = await store.hold(hold(take("a", 95)))
    assert (full.spent, full.held) == (0, 10)
    await store.aclose()


async def test_a_hold_that_nobody_renews_is_spent_and_can_still_be_put_right(store: Any) -> None:
    gone, kept = hold(take(units=30), seconds=0.05), hold(take(units=30), seconds=0.05)
    assert await store.hold(gone) is None
    assert await store.hold(kept) is None
    await store.renew_holds([BudgetHold(kept.id, kept.takes, 60.0)])
    await asyncio.sleep(0.1)
    full = await store.hold(hold(take(units=100)))
    assert (full.spent, full.held) == (30, 30)
    await store.settle_holds([BudgetSettlement(gone, [7]), BudgetSettlement(kept, [0])])
    full = await store.hold(hold(take(units=100)))
    assert (full.spent, full.held) == (7, 0)
    await store.aclose()


async def test_an_account_that_the_store_lost_begins_with_what_the_router_knows(store: Any) -> None:
    known = BudgetTake("r", 10, 100, BudgetWindow("day"), spent=95)
    full = await store.hold(hold(known))
    assert (full.spent, full.held) == (95, 0)
    await store.aclose()


@needs_redis
async def test_windows_begin_and_end_by_the_calendar_also_inside_of_redis(server: RedisServer) -> None:
    store = RedisStore(server.url, "p")
    for per in ("hour", "day", "month"):
        window = BudgetWindow(per)  # type: ignore[arg-type]
        full = await store.hold(hold(BudgetTake(per, 1, 0, window), seconds=1.0))
        assert isinstance(full, BudgetFull)
        assert full.wait is None
        one = BudgetTake(per, 1, 1, window)
        assert await store.hold(hold(one)) is None
        wall = datetime.now(UTC).timestamp()
        full = await store.hold(hold(one))
        assert isinstance(full, BudgetFull)
        assert full.wait == pytest.approx(window.ends(wall) - wall, abs=5.0)
    await store.aclose()


def given(url: str, *rules: dict[str, Any]) -> dict[str, Any]:
    state = {"type": "redis", "url": url, "timeout": "5s"}  # a busy machine is no reason to go by itself
    return {**config("a"), "state": state, "budgets": {"database": None, "rules": list(rules)}}


@needs_redis
async def test_two_routers_hold_200_calls_at_once_to_one_limit(server: RedisServer) -> None:
    rng = random.Random(3)
    let: list[Any] = []

    async def ask(router: Router) -> None:
        try:
            let.append(await router.chat("m", "hi", caller="ci"))
        except BudgetExceeded:
            return

    def made() -> Router:
        upstream = Scripted()
        used = [rng.randrange(1, 3_000) for _ in range(100)]
        answers = [ScriptedAnswer("x", usage=Usage(3, n), after=rng.random() / 10) for n in used]
        upstream.script("a", *answers)
        return Router.from_config(
            given(server.url, {"name": "r", "tokens": "50k/month", "fail": "closed"}),
            plugins=[upstream],
            rng=system_rng(),
        )

    beyond = 0

    def watch(router: Router) -> None:
        budgets: Any = router.budgets
        settle = budgets.settle

        def watched(hold: Any, spent: Any) -> None:
            nonlocal beyond
            beyond += max(0, spent.prompt + spent.completion - hold.held[0].amount)
            settle(hold, spent)

        budgets.settle = watched

    async with made() as one, made() as other:
        watch(one)
        watch(other)
        await asyncio.gather(*(ask((one, other)[n % 2]) for n in range(200)))
        assert 0 < len(let) < 200
        spent = sum(each.usage.total for each in let)
        assert spent <= 50_000 + beyond
        told = [account.spent for router in (one, other) for account in router.status().budgets]
        assert sum(told) == spent


KILLED = """
import asyncio, sys
from pointsman import Router
from pointsman.testing import Scripted, ScriptedAnswer

async def main():
    upstream = Scripted()
    upstream.script("a", *[ScriptedAnswer("late", after=60.0)] * 3)
    settings = {
        "providers": {"a": {"type": "scripted"}}, "models": {"m": {"deployments": ["a/x"]}},
        "state": {"type": "redis", "url": sys.argv[1], "lease": "1s", "timeout": "5s"},
        "budgets": {"database": None, "rules": [{"name": "r", "requests": "3/month"}]},
    }
    async with Router.from_config(settings, plugins=[upstream]) as r:
        tasks = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(3)]
        while sum(each.held for each in r.status().budgets) < 3:
            await asyncio.sleep(0.01)
        print("held", flush=True)
        await asyncio.wait(tasks)

asyncio.run(main())
"""


@needs_redis
async def test_what_a_killed_process_held_ends_by_itself(server: RedisServer) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, server.url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"held\n"
    finally:
        child.kill()
        await child.communicate()
    store = RedisStore(server.url, "pointsman")
    one = BudgetTake("r/requests/calendar/", 1, 3, BudgetWindow("month"))
    full = await store.hold(hold(one))
    assert isinstance(full, BudgetFull)
    for _ in range(400):
        full = await store.hold(hold(one))
        assert isinstance(full, BudgetFull)
        if not full.held:
            break
        await asyncio.sleep(0.01)
    assert (full.held, full.spent) == (0, 3)
    await store.aclose()


@needs_redis
@pytest.mark.parametrize(("fail", "let"), [("local", 2), ("closed", 0)])
async def test_without_the_store_each_router_counts_by_itself_or_lets_nothing_through(
    server: RedisServer, fail: str, let: int
) -> None:
    server.stop()
    rule = {"name": "r", "requests": "2/month", "fail": fail}
    through = 0
    async with Router.from_config(given(server.url, rule), plugins=[Scripted()]) as router:
        for _ in range(5):
            try:
                await router.chat("m", "hi")
            except BudgetExceeded:
                continue
            through += 1
    assert through == let
