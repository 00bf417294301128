"""Reloads, what is found of providers, and the end of a router, at the same time; and who hears of it when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, model_validator
from told_discoveries import Told, servers

from pointsman import Config, Reloaded, Router, SyncRouter
from pointsman.plugin import PointsmanSpec, Strategy, StrategyFactory, hookimpl
from pointsman.plugins import discovery
from pointsman.testing import Scripted, run

TURNS = range(0, 24, 6)
"""Of the loop, after which something else happens, too."""


def given(weight: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "providers": {"a": {"type": "scripted", "discover": {"type": "told", "interval": "10s"}}},
        "models": {"m": {"deployments": [{"provider": "a", "model": "x", "weight": weight}]}},
        **changes,
    }


def ids(r: Router) -> list[str]:
    return list(r.status().models["m"].deployments)


def weights(r: Router) -> list[int]:
    return [each.weight for each in r.status().models["m"].deployments.values()]


async def asked_again(told: Told) -> None:
    """Return while the answer is awaited."""
    before = told.asked["a"]
    for _ in range(100_000):
        if told.asked["a"] > before:
            return
        await asyncio.sleep(0.0005)
    raise AssertionError("it is asked no more")


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def nothing_left() -> list[asyncio.Task[Any]]:
    """The tasks beside this one that go on."""
    await asyncio.sleep(0)
    return [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]


@pytest.mark.parametrize("later", TURNS)
def test_of_reloads_at_once_the_last_holds_and_what_was_found_meanwhile_as_well(later: int) -> None:
    told = Told(a=servers("10.0.0.1"))

    async def main() -> None:
        async with Router.from_config(given(), plugins=[Scripted(), told]) as r:
            told.found["a"] = servers("10.0.0.1", "10.0.0.2")
            told.after = 0.001
            await asked_again(told)
            await turns(later)
            await asyncio.gather(*(r.reload(given(weight)) for weight in (2, 3, 4)))
            await asyncio.sleep(1)
            assert ids(r) == ["a@10.0.0.1/x", "a@10.0.0.2/x"]
            assert weights(r) == [4, 4]
            assert r.status().configuration.changes == ("m: weight of a/x 3 → 4",)

    run(main())


@pytest.mark.parametrize("later", TURNS)
def test_a_router_that_is_closed_during_a_reload_or_while_something_is_found_leaves_nothing(
    later: int,
) -> None:
    told = Told(a=servers("10.0.0.1"))
    unforeseen: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, what: unforeseen.append(what))
        async with Router.from_config(given(), plugins=[Scripted(), told]) as r:
            told.found["a"] = servers("10.0.0.1", "10.0.0.2")
            told.after = 0.001
            await asked_again(told)
            reload = asyncio.ensure_future(r.reload(given(2)))
            await turns(later)
        (failed,) = await asyncio.gather(reload, return_exceptions=True)
        assert failed is None or str(failed) == "this router is closed"
        assert await nothing_left() == []
        assert told.closed["a"] == 1

    run(main())
    assert unforeseen == []


def test_who_hears_of_a_reload_finds_the_router_on_what_it_is_told_of() -> None:
    found: list[tuple[list[int], bool]] = []

    async def main() -> None:
        async with Router.from_config(given(), plugins=[Scripted(), Told(a=servers("10.0.0.1"))]) as r:

            def hear(event: Reloaded) -> None:
                found.append((weights(r), r.status().configuration.changes == event.changes))

            r.listen(hear, kinds=[Reloaded])
            await r.reload(given(2))
            await r.reload(given(2))
            await r.reload(given(3))

    run(main())

    assert found == [([2], True), ([2], True), ([3], True)]


class _Settings(BaseModel):
    size: int = 1

    @model_validator(mode="after")
    def _note(self) -> _Settings:
        _Noting.threads.add(threading.current_thread().name)
        return self


class _Noting(PointsmanSpec):
    threads: ClassVar[set[str]] = set()

    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        return [StrategyFactory("noting", _Settings, lambda _context: _First())]


class _First(Strategy):
    def pick(self, ready: Any, request: object, /) -> Any:
        return ready[0]


def test_configurations_are_compared_beside_the_loop() -> None:
    def config(size: int) -> Config:
        said = given(strategy={"type": "noting", "size": size})
        del said["providers"]["a"]["discover"]
        return Router.check(said, plugins=[Scripted(), _Noting()])

    async def main() -> None:
        async with Router.from_config(config(1), plugins=[Scripted(), _Noting()]) as r:
            changed = config(2)
            _Noting.threads.clear()
            await r.reload(changed)

    run(main())

    assert len(_Noting.threads) == 2


def test_two_routers_of_one_configuration_are_reloaded_each_for_itself() -> None:
    told = Told(a=servers("10.0.0.1"))

    async def main() -> None:
        config = Router.check(given(), plugins=[Scripted(), told])
        async with (
            Router.from_config(config, plugins=[Scripted(), told]) as one,
            Router.from_config(config, plugins=[Scripted(), told]) as other,
        ):
            await one.reload(given(2))
            assert (weights(one), weights(other)) == ([2], [1])
            assert other.status().configuration.changes == ()
            assert len(other.status().discoveries) == 1
            await one.aclose()
            assert (await other.chat("m", "hi")).deployment == "a@10.0.0.1/x"

    run(main())


def test_a_blocking_router_is_reloaded_by_several_threads_at_once() -> None:
    told = Told(a=servers("10.0.0.1"))

    with SyncRouter.from_config(given(), plugins=[Scripted(), told]) as r:
        threads = [threading.Thread(target=r.reload, args=(given(weight),)) for weight in (2, 3, 4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        (weight,) = [each.weight for each in r.status().models["m"].deployments.values()]
        assert weight in (2, 3, 4)
        assert r.chat("m", "hi").deployment == "a@10.0.0.1/x"


def test_no_call_waits_while_a_reload_reads_what_is_installed_and_what_is_found_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told(a=servers("10.0.0.1"))
    read_by: list[int] = []

    def read() -> Iterator[Distribution]:
        read_by.append(threading.get_ident())
        return distributions()

    monkeypatch.setattr(discovery, "distributions", read)

    async def main() -> None:
        async with Router.from_config(given(), plugins=[Scripted(), told]) as r:
            read_by.clear()
            told.found["a"] = servers("10.0.0.1", "10.0.0.2")
            await asyncio.sleep(30)
            assert len(ids(r)) == 2
            assert read_by == []

            await r.reload(given(2))
            assert weights(r) == [2, 2]
            assert read_by
            assert threading.get_ident() not in read_by

    run(main())
