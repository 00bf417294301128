"""What every service owes the router that it lives with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from pointsman.router import Router
from pointsman.service import Service
from pointsman.testing.contract.enforcement import Contract
from pointsman.testing.loop import run
from pointsman.testing.scripted import Scripted

_CONFIGURATION = {"providers": {"a": {"type": "scripted"}}, "models": {"m": {"deployments": ["a/x"]}}}
_CLOSE_WITHIN = 5.0


class ServiceContract(Contract, terms=True):
    """What every service owes the router that it lives with. Write `make`."""

    def make(self, router: Router, directory: Path) -> Service:
        """A fresh service of `router`, always with the same settings; its files go to `directory`."""
        raise NotImplementedError("write `make`, which returns a service")

    def test_one_that_never_began_can_be_closed(self, tmp_path: Path) -> None:
        async def work(router: Router) -> None:
            await _close(self.make(router, tmp_path))

        run(_beside(work))

    def test_it_may_be_closed_twice(self, tmp_path: Path) -> None:
        async def work(router: Router) -> None:
            service = self.make(router, tmp_path)
            await service.start()
            await _close(service)
            await _close(service)

        run(_beside(work))

    def test_another_can_begin_where_one_was_closed(self, tmp_path: Path) -> None:
        async def work(router: Router) -> None:
            for _ in range(2):
                service = self.make(router, tmp_path)
                await service.start()
                await _close(service)

        run(_beside(work))

    def test_nothing_is_at_work_before_it_begins_and_after_it_is_closed(self, tmp_path: Path) -> None:
        async def work(router: Router) -> None:
            tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
            service = self.make(router, tmp_path)
            assert _more(tasks, threads) == [], "it begins before `start`"
            await service.start()
            await _close(service)
            assert _more(tasks, threads) == [], "it goes on after `aclose`"

        run(_beside(work))


async def _beside(work: Callable[[Router], Awaitable[None]]) -> None:
    async with Router.from_config(_CONFIGURATION, plugins=[Scripted()]) as router:
        await work(router)


async def _close(service: Service) -> None:
    try:
        async with asyncio.timeout(_CLOSE_WITHIN):
            await service.aclose()
    except TimeoutError:
        raise AssertionError(f"`aclose` has not returned after {_CLOSE_WITHIN:g} s") from None


def _more(tasks: set[asyncio.Task[object]], threads: set[threading.Thread]) -> list[str]:
    """The names of what is at work beside these."""
    running = [each.get_name() for each in asyncio.all_tasks() - tasks]
    return [*running, *(each.name for each in set(threading.enumerate()) - threads)]
