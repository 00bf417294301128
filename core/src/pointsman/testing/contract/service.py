"""What every service owes the router that it lives with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from pointsman.build.loading import as_config
from pointsman.router import Router
from pointsman.service import Service
from pointsman.testing.contract.ending import in_time, run_to_end
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import open_files
from pointsman.testing.scripted import Scripted

_CONFIGURATION = {"providers": {"a": {"type": "scripted"}}, "models": {"m": {"deployments": ["a/x"]}}}
_LONGEST = 0.05
_WORKER = "a thread of asyncio.to_thread"


class ServiceContract(Contract, terms=True):
    """What every service owes the router that it lives with. Write `make`.

    Attributes:
        patience: seconds after which whatever has not returned never will.
    """

    patience: ClassVar[float] = 5.0

    def make(self, router: Router, directory: Path) -> Service:
        """A fresh service of `router`, always with the same settings; its files go to `directory`."""
        raise NotImplementedError("write `make`, which returns a service")

    @rule("SERVICE-01", "The start would go wrong half way, in place of being refused before.")
    def test_it_has_the_interface_of_its_kind(self, tmp_path: Path) -> None:
        async def work(host: _Host) -> None:
            check_made("service", self.make(host.router, tmp_path))

        self._try(work)

    @rule(
        "SERVICE-02",
        "A router whose start failed closes all its services, also those whose turn never came.",
    )
    def test_one_that_never_began_can_be_closed(self, tmp_path: Path) -> None:
        async def work(host: _Host) -> None:
            await host.close(self.make(host.router, tmp_path))

        self._try(work)

    @rule(
        "SERVICE-03",
        "Closing after a failure comes on top of closing at the end, and must not hide the failure.",
    )
    def test_it_may_be_closed_twice(self, tmp_path: Path) -> None:
        async def work(host: _Host) -> None:
            service = self.make(host.router, tmp_path)
            await host.start(service)
            await host.close(service)
            await host.close(service)

        self._try(work)

    @rule(
        "SERVICE-04",
        "A reload that changes its section would fail because the old one still holds a port or a file.",
    )
    def test_another_can_begin_where_one_was_closed(self, tmp_path: Path) -> None:
        async def work(host: _Host) -> None:
            for _ in range(2):
                service = self.make(host.router, tmp_path)
                await host.start(service)
                await host.close(service)

        self._try(work)

    @rule(
        "SERVICE-05",
        "Checking a configuration would start things, and closing a router would leave them behind.",
    )
    def test_nothing_is_at_work_before_it_begins_and_after_it_is_closed(self, tmp_path: Path) -> None:
        async def work(host: _Host) -> None:
            service = self.make(host.router, tmp_path)
            begun = host.at_work()
            assert not begun, f"it begins before `start`: {begun}"
            told = host.router.told()
            assert not told, f"it listens before `start`: {told}"
            await host.start(service)
            await host.close(service)
            left = host.at_work()
            assert not left, f"it goes on after `aclose`: {left}"
            told = host.router.told()
            assert not told, f"it still listens after `aclose`: {told}"

        self._try(work)

    @rule("SERVICE-06", "All calls stand still while it begins, also at a reload.")
    def test_the_loop_goes_on_while_it_begins_and_ends(self, tmp_path: Path) -> None:
        async def work(host: _Host) -> None:
            lags = [await host.lag(self.make(host.router, tmp_path)) for _ in range(3)]
            assert min(lags) < _LONGEST, f"it keeps the event loop for {min(lags):.3f} s; use a thread"

        self._try(work)

    @rule("SERVICE-07", "Each reload leaves a file or a socket, until the process may open no more.")
    def test_nothing_is_left_open_when_it_is_closed(self, tmp_path: Path) -> None:
        async def work(host: _Host) -> None:
            before = open_files()
            for _ in range(2):
                service = self.make(host.router, tmp_path)
                await host.start(service)
                await host.close(service)
            await asyncio.sleep(0)
            left = sorted(open_files() - before)
            assert not left, f"open after `aclose`: {', '.join(left)}"

        self._try(work)

    @rule("SERVICE-08", "A router that is closed while it begins would leave half a service behind.")
    def test_a_start_that_is_given_up_leaves_nothing_when_it_is_closed(self, tmp_path: Path) -> None:
        async def work(host: _Host) -> None:
            for turns in (1, 2, 5):
                service = self.make(host.router, tmp_path)
                starting = asyncio.ensure_future(service.start())
                for _ in range(turns):
                    await asyncio.sleep(0)
                starting.cancel()
                await asyncio.wait([starting], timeout=self.patience)
                assert starting.done(), "`start` goes on although it was cancelled"
                await host.close(service)
            left = host.at_work()
            assert not left, f"it goes on after `aclose`: {left}"
            told = host.router.told()
            assert not told, f"it still listens after `aclose`: {told}"

        self._try(work)

    def _try(self, work: Callable[[_Host], Awaitable[None]]) -> None:
        """`work` beside a fresh router, on a loop of real time: in that of tests an hour passes while a
        thread works.
        """

        async def beside() -> None:
            plugins = (Scripted(),)
            router = _Attended(as_config(_CONFIGURATION, plugins), plugins=plugins)
            async with router:
                host = _Host(router, self.patience)
                try:
                    await work(host)
                finally:
                    host.dismiss()

        run_to_end(beside(), self.patience)


class _Attended(Router):
    """A router that knows who listens to it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._told: dict[object, str] = {}

    def listen(
        self, listener: Callable[[Any], None], *, kinds: Iterable[type[Any]] | None = None
    ) -> Callable[[], None]:
        end = super().listen(listener) if kinds is None else super().listen(listener, kinds=kinds)
        token = object()
        self._told[token] = getattr(listener, "__qualname__", repr(listener))

        def ended() -> None:
            self._told.pop(token, None)
            end()

        return ended

    def told(self) -> list[str]:
        """The names of those who listen."""
        return [*self._told.values()]


class _Host:
    """One router, and what was at work in it before the service came."""

    def __init__(self, router: _Attended, patience: float) -> None:
        self.router, self._patience = router, patience
        self._tasks, self._threads = asyncio.all_tasks(), set(threading.enumerate())
        self._workers = ThreadPoolExecutor(thread_name_prefix=_WORKER)
        asyncio.get_running_loop().set_default_executor(self._workers)

    async def start(self, service: Service) -> None:
        await in_time("start", service.start, self._patience)

    async def close(self, service: Service) -> None:
        await in_time("aclose", service.aclose, self._patience)

    async def lag(self, service: Service) -> float:
        """How long the loop was kept at most while the service began and ended."""
        loop, longest = asyncio.get_running_loop(), 0.0

        async def beat() -> None:
            nonlocal longest
            while True:
                before = loop.time()
                await asyncio.sleep(0)
                longest = max(longest, loop.time() - before)

        beating = asyncio.ensure_future(beat())
        try:
            await asyncio.sleep(0)
            await self.start(service)
            await self.close(service)
        finally:
            beating.cancel()
        return longest

    def at_work(self) -> list[str]:
        """The names of the tasks and threads that have come since, but for workers that wait for work."""
        tasks = [each.get_name() for each in asyncio.all_tasks() - self._tasks]
        workers, threads = set(), []
        for each in set(threading.enumerate()) - self._threads:
            if each.name.startswith(_WORKER):
                workers.add(each)
            else:
                threads.append(each.name)
        self.dismiss()
        for each in workers:
            each.join(self._patience)
        return [*tasks, *threads, *(each.name for each in workers if each.is_alive())]

    def dismiss(self) -> None:
        """Send the workers home, and wait for none that never comes to an end; others take their place."""
        self._workers.shutdown(wait=False)
        self._workers = ThreadPoolExecutor(thread_name_prefix=_WORKER)
        asyncio.get_running_loop().set_default_executor(self._workers)
