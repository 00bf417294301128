"""The state store in Redis: its contract, and what only a real server shows."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, cast

import pytest
from redis_server import RedisServer

from pointsman import ConfigError, Router
from pointsman.plugin import (
    Admission,
    Admitted,
    BudgetHold,
    BudgetSettlement,
    BudgetTake,
    BudgetWindow,
    HoldingStore,
    Secret,
    Settlement,
    StateStore,
    Take,
    system_rng,
)
from pointsman.testing import Contexts, Scripted, SystemClock
from pointsman.testing.contract import StateContract
from pointsman_redis import plugin
from pointsman_redis.store import RedisSettings

PASSWORD = "redis-password-1234567890"


def made(url: str, prefix: str = "pointsman") -> StateStore:
    factory = plugin.pointsman_state_stores()[0]
    contexts = Contexts(SystemClock(), system_rng())
    return factory.make(contexts.state("redis", RedisSettings(prefix=prefix), address=Secret(url)))


class TestRedisStore(StateContract):
    url = ""

    @pytest.fixture(autouse=True)
    def _server(self, redis: RedisServer) -> None:
        type(self).url = redis.url

    def make(self) -> tuple[StateStore, StateStore]:
        return made(self.url), made(self.url)


def test_a_hold_that_is_asked_for_once_more_is_the_first_one(redis: RedisServer) -> None:
    """As the router does where the answer was late."""
    last, some = (
        BudgetHold(id, [BudgetTake(id, units, limit, BudgetWindow("month"))], 60.0)
        for id, units, limit in (("last", 1, 1), ("some", 5, 100))
    )

    async def main() -> tuple[list[Any], Any]:
        store = made(redis.url)
        holding = cast("HoldingStore", store)
        answers = [await holding.hold(each) for each in (last, last, some, some)]
        await holding.settle_holds([BudgetSettlement(some, [4])])
        said = await holding.hold(
            BudgetHold("more", [BudgetTake("some", 100, 100, BudgetWindow("month"))], 60)
        )
        await store.aclose()
        return answers, said

    answers, said = asyncio.run(main())
    assert answers == [None] * 4
    assert (said.spent, said.held) == (4, 0)


def test_the_promise_holds_for_whatever_is_taken_used_and_given_back(redis: RedisServer) -> None:
    """burst + count x t / period, counted when it was let through, with what was used in the end."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng, count, period, burst = random.Random(seed), 1000, 1.0, 200
    used: list[tuple[float, float, int]] = []

    async def caller(store: StateStore, n: int) -> None:
        for k in range(25):
            asked = Admission(
                f"{n}-{k}", [Take("tokens", rng.randint(1, 60), count, period, burst)], None, 60
            )
            before = time.monotonic()
            answer = await store.admit(asked)
            after = time.monotonic()
            if not isinstance(answer, Admitted):
                await asyncio.sleep(min(answer.wait, 0.01))
                continue
            actual = rng.randint(0, asked.takes[0].units)
            used.append((before, after, actual))
            await asyncio.sleep(rng.random() * 0.02)
            await store.settle([Settlement(asked, [actual], answer.receipt)])

    async def beside() -> None:
        stores = [made(redis.url), made(redis.url)]
        await asyncio.gather(*(caller(stores[n % 2], n) for n in range(8)))
        for each in stores:
            await each.aclose()

    asyncio.run(beside())
    assert len(used) > 40
    for began, _, _ in used:
        for _, ended, _ in used:
            # All that was surely let through in between.
            units = sum(n for before, after, n in used if before >= began and after <= ended)
            assert units <= burst + count * max(0.0, ended - began) / period


def test_fleets_with_other_prefixes_share_nothing(redis: RedisServer) -> None:
    async def beside() -> None:
        one, other = made(redis.url, "one"), made(redis.url, "other")
        for each in (one, other):
            asked = Admission("1", [Take("requests", 1, 1, 3600.0, 1)], None, 60.0)
            assert isinstance(await each.admit(asked), Admitted)
            await each.aclose()

    asyncio.run(beside())


def test_the_address_is_shown_nowhere() -> None:
    given: dict[str, Any] = {
        "providers": {"a": {"type": "scripted"}},
        "state": f"redis://:{PASSWORD}@127.0.0.1:1/0",
    }
    router = Router.from_config(given, plugins=[Scripted()])

    shown = [repr(router), repr(router.status())]
    given["state"] = {"type": "redis", "url": f"redis://:{PASSWORD}@127.0.0.1:1/0", "prefix": "a b"}
    with pytest.raises(ConfigError, match="state.prefix") as wrong:
        Router.from_config(given, plugins=[Scripted()])
    assert PASSWORD not in "".join([*shown, str(wrong.value)])


def test_a_store_without_an_address_is_a_problem_of_the_configuration() -> None:
    given = {"providers": {"a": {"type": "scripted"}}, "state": "redis"}

    with pytest.raises(ConfigError, match=r"says no `url`, such as redis://"):
        Router.from_config(given, plugins=[Scripted()])
