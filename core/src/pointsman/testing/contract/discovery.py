"""What every discovery owes the router."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import ClassVar

from pointsman.discovery import Discovery, Found, FoundServer, misfit
from pointsman.errors import CallError
from pointsman.testing.contract.ending import in_time, run_to_end
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import Company, longest_turn, network_refused, open_files


class DiscoveryContract(Contract, terms=True):
    """What every discovery owes the router. Write `make` and `away`.

    Attributes:
        patience: seconds that it may take to find something.
        turn: seconds for which it may keep everybody else from working.
    """

    patience: ClassVar[float] = 5.0
    turn: ClassVar[float] = 0.05

    def make(self) -> Discovery:
        """A fresh discovery that finds something: what it asks is there, and has something to say."""
        raise NotImplementedError("write `make`, which returns a discovery that finds something")

    def away(self) -> Discovery:
        """A fresh discovery that cannot find anything: what it asks is away, or says what makes no sense."""
        raise NotImplementedError("write `away`, which returns a discovery whose source is away")

    @rule("DISCOVERY-01", "The first configuration that names it would fail to load.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        async def work() -> None:
            for each in (self.make(), self.away()):
                check_made("discovery", each)
                await self._closed(each)

        run_to_end(work(), self.patience)

    @rule("DISCOVERY-02", "Nothing would be found, and the log would say so for ever.")
    def test_it_finds_something_of_the_right_kind(self) -> None:
        async def work(discovery: Discovery) -> None:
            found = await self._find(discovery)
            wrong = misfit(found)
            assert wrong is None, f"it {wrong}"
            assert found.servers or found.models, (
                "it finds nothing, where `make` says that there is something"
            )

        self._try(work)

    @rule("DISCOVERY-03", "Every server would be taken away and put back each time it is asked.")
    def test_asked_again_it_finds_the_same(self) -> None:
        async def work(discovery: Discovery) -> None:
            first, again = await self._find(discovery), await self._find(discovery)
            assert _says(again) == _says(first), f"it finds {again!r:.200} after {first!r:.200}"

        self._try(work)

    @rule("DISCOVERY-04", "Nobody could tell which of the two is meant.")
    def test_it_finds_each_server_once(self) -> None:
        async def work(discovery: Discovery) -> None:
            found = await self._find(discovery)
            places = [_place(each) for each in found.servers or ()]
            twice = sorted({each for each in places if places.count(each) > 1})
            assert not twice, f"it finds {twice[0]!r} twice; say more by `weight`"

        self._try(work)

    @rule("DISCOVERY-05", "All servers would be taken away as soon as a registry is away.")
    def test_what_it_cannot_ask_it_raises_in_our_words(self) -> None:
        async def work(discovery: Discovery) -> None:
            try:
                found = await self._find(discovery)
            except CallError:
                return
            except Exception as error:
                raise AssertionError(
                    f"it raises {error!r:.200}; expected one of ours, such as Unavailable"
                ) from error
            raise AssertionError(f"it returns {found!r:.200}, where it could ask nobody: raise Unavailable")

        self._try(work, self.away)

    @rule("DISCOVERY-06", "A check of a configuration would need the network, and a start would wait for it.")
    def test_to_make_one_asks_nobody(self) -> None:
        async def work() -> None:
            company = Company()
            with network_refused() as wanted:
                discovery = self.make()
            assert not wanted, f"it wanted to go to {wanted[0]}"
            assert not (left := company.newcomers()), f"at work before it is asked: {', '.join(left)}"
            await self._closed(discovery)

        run_to_end(work(), self.patience)

    @rule("DISCOVERY-07", "A router could not be closed, or would wait for a reload.")
    def test_cancelled_it_ends_and_leaves_nobody_at_work(self) -> None:
        async def work() -> None:
            company = Company()
            discovery = self.make()
            task = asyncio.ensure_future(discovery.find())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=self.patience)
            assert task.done(), "it does not let itself be cancelled"
            with suppress(asyncio.CancelledError, CallError):
                await task
            await self._closed(discovery)
            await asyncio.sleep(0)
            assert not (left := company.newcomers()), f"still at work: {', '.join(left)}"

        run_to_end(work(), self.patience)

    @rule("DISCOVERY-08", "Every stream of the router would stand still while it looks.")
    def test_it_keeps_nobody_else_from_working(self) -> None:
        async def work(discovery: Discovery) -> None:
            took = await longest_turn(lambda: self._find(discovery), limit=self.turn)
            assert took < self.turn, f"nobody else could work for {took:.3f} s: read files in a thread"

        self._try(work)

    @rule("DISCOVERY-09", "It is asked all day, and some day the process may open no more.")
    def test_nothing_is_left_open_when_it_is_closed(self) -> None:
        async def work() -> None:
            before = open_files()
            discovery = self.make()
            for _ in range(2):
                await self._find(discovery)
            await self._closed(discovery)
            left = sorted(open_files() - before)
            assert not left, f"it leaves open: {', '.join(left)}"

        run_to_end(work(), self.patience)

    async def _find(self, discovery: Discovery) -> Found:
        return await in_time("find", discovery.find, self.patience)

    def _try(
        self, work: Callable[[Discovery], Awaitable[None]], make: Callable[[], Discovery] | None = None
    ) -> None:
        async def tried() -> None:
            discovery = (make or self.make)()
            try:
                await work(discovery)
            finally:
                await self._closed(discovery)

        run_to_end(tried(), self.patience)

    async def _closed(self, discovery: Discovery) -> None:
        close = getattr(discovery, "aclose", None)
        if close is not None:
            await in_time("aclose", close, self.patience)


def _place(server: FoundServer) -> str:
    return (server.address or server.base_url or "").rstrip("/")


def _says(found: Found) -> tuple[object, object]:
    servers = {_place(each): (each.weight, dict(each.labels)) for each in found.servers or ()}
    return servers, sorted(found.models or ())
