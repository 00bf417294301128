"""What every state store owes the routers that share it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import ClassVar, cast

from pointsman.budget import BudgetWindow
from pointsman.state import (
    Admission,
    Admitted,
    BudgetFull,
    BudgetHold,
    BudgetSettlement,
    BudgetTake,
    HeldPlace,
    HoldingStore,
    NoRoom,
    Notice,
    Settlement,
    StateStore,
    Take,
    WantedPlace,
)
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule

_NUMBERS = count()
_LEASE = 0.3
"""Seconds for which places are taken that shall expire."""

Work = Callable[[StateStore, StateStore], Awaitable[None]]


class StateContract(Contract, terms=True):
    """What every state store owes the routers that share it. Write `make`.

    Attributes:
        patience: seconds after which what a store was asked counts as never answered.
    """

    patience: ClassVar[float] = 10.0

    def make(self) -> tuple[StateStore, StateStore]:
        """Two stores, as two routers would have them of the same configuration; what they share is empty."""
        raise NotImplementedError("write `make`, which returns two stores that share")

    @rule("STATE-01", "The first request would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            for each in (one, other):
                check_made("state", each)

        self._try(work)

    @rule("STATE-02", "Two routers would let through twice what one may.")
    def test_no_more_is_let_through_than_there_is_whoever_asks(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            asked = [(one, other)[n % 2].admit(_asked(_take("requests", 1, burst=20))) for n in range(50)]
            answers = await asyncio.gather(*asked)
            admitted = [each for each in answers if isinstance(each, Admitted)]
            refused = [each for each in answers if isinstance(each, NoRoom)]
            assert len(admitted) == 20, f"{len(admitted)} of 50 were let through, where 20 may"
            assert len(refused) == 30, f"answers that are neither Admitted nor NoRoom: {answers!r:.200}"

        self._try(work)

    @rule("STATE-03", "A call would wait for nothing, or come back in vain.")
    def test_a_refusal_names_what_has_no_room_and_for_how_long(self) -> None:
        async def work(one: StateStore, _other: StateStore) -> None:
            tight = _take("tight", 5, burst=5, count=10)
            await _admitted(one, _take("wide", 1), tight)
            answer = await one.admit(_asked(_take("wide", 1), tight))
            assert isinstance(answer, NoRoom), f"it let through what has no room: {answer!r}"
            assert answer.lacking == "tight", f"it names {answer.lacking!r}, where 'tight' has no room"
            assert 0.2 < answer.wait <= 0.5, f"5 of 10 a second are back after 0.5 s, not {answer.wait} s"

        self._try(work)

    @rule("STATE-04", "Each refusal by one limit would use up the others.")
    def test_a_refusal_takes_nothing_of_what_had_room(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            wide, tight = _take("wide", 1, burst=2), _take("tight", 1, burst=1)
            place = WantedPlace("gpu", 2)
            await _admitted(one, wide, tight, place=place)
            for _ in range(5):
                answer = await other.admit(_asked(wide, tight, place=place))
                assert isinstance(answer, NoRoom)
            await _admitted(other, wide, place=place)

        self._try(work)

    @rule("STATE-05", "An upstream would get more calls at once than it bears.")
    def test_there_are_as_many_places_as_there_are_for_all_together(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            place = WantedPlace("gpu", 2)
            first = await _admitted(one, place=place)
            await _admitted(other, place=place)
            answer = await one.admit(_asked(place=place))
            assert isinstance(answer, NoRoom), "three have one of two places"
            assert answer.lacking == "gpu", f"it names {answer.lacking!r}, where 'gpu' has no place"
            await other.settle([Settlement(first, [], None)])
            await _admitted(one, place=place)

        self._try(work)

    @rule("STATE-06", "What a router held that was killed would be taken for ever.")
    def test_a_place_that_nobody_renews_is_free_again(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            place = WantedPlace("gpu", 1)
            await _admitted(one, place=place, seconds=_LEASE)
            assert isinstance(await other.admit(_asked(place=place)), NoRoom)
            await asyncio.sleep(_LEASE * 1.5)
            await _admitted(other, place=place)

        self._try(work)

    @rule("STATE-07", "Long calls would lose their places, and others come on top.")
    def test_a_place_that_is_renewed_stays_taken(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            place = WantedPlace("gpu", 1)
            asked = await _admitted(one, place=place, seconds=_LEASE)
            for _ in range(4):
                await asyncio.sleep(_LEASE / 2)
                await one.renew("one", [HeldPlace(asked.id, "gpu")], _LEASE)
            assert isinstance(await other.admit(_asked(place=place)), NoRoom), "what was renewed is free"

        self._try(work)

    @rule("STATE-08", "Every long estimate would keep others out until it is worked off.")
    def test_what_was_not_used_is_given_back(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            tokens = _take("tokens", 100, burst=100)
            asked = _asked(tokens)
            answer = await one.admit(asked)
            assert isinstance(answer, Admitted), f"an empty store has room: {answer!r}"
            await one.settle([Settlement(asked, [10], answer.receipt)])
            await _admitted(other, _take("tokens", 90, burst=100))
            assert isinstance(await other.admit(_asked(_take("tokens", 5, burst=100))), NoRoom)

        self._try(work)

    @rule("STATE-09", "Who asks for little and uses much would go on for ever.")
    def test_what_was_used_beyond_is_owed(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            asked = _asked(_take("tokens", 10, burst=100))
            answer = await one.admit(asked)
            assert isinstance(answer, Admitted), f"an empty store has room: {answer!r}"
            await one.settle([Settlement(asked, [100], answer.receipt)])
            assert isinstance(await other.admit(_asked(_take("tokens", 5, burst=100))), NoRoom)

        self._try(work)

    @rule("STATE-10", "An answer that came late would break what is settled beside it.")
    def test_settling_what_nobody_knows_any_more_is_no_mistake(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            gone = _asked(_take("gone", 1), place=WantedPlace("gpu", 1))
            known = await _admitted(one, place=WantedPlace("cpu", 1))
            await other.settle([Settlement(gone, [0], None), Settlement(known, [], None)])
            await other.settle([])
            await _admitted(one, place=WantedPlace("cpu", 1))

        self._try(work)

    @rule("STATE-11", "While the store is away, each router would take the whole limit, or none of it.")
    def test_it_counts_the_routers_that_are_there(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            assert await one.renew("one", [], 60.0) == 1
            assert await other.renew("other", [], _LEASE) == 2
            assert await one.renew("one", [], 60.0) == 2
            await asyncio.sleep(_LEASE * 1.5)
            assert await one.renew("one", [], 60.0) == 1, "one that is gone is counted"

        self._try(work)

    @rule("STATE-12", "Each router would find out by itself that an upstream fails.")
    def test_a_notice_reaches_who_watches_and_who_begins_to_while_it_holds(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            early: asyncio.Queue[Notice] = asyncio.Queue()
            watching = asyncio.ensure_future(one.watch(early.put_nowait))
            late: asyncio.Queue[Notice] = asyncio.Queue()
            beginning: asyncio.Future[None] | None = None
            try:
                # Again until it is heard: when watching has begun shows by nothing else.
                heard = await self._published(other, Notice("topic", "key", "né\n", 30.0), early)
                assert (heard.topic, heard.about, heard.value) == ("topic", "key", "né\n")
                beginning = asyncio.ensure_future(other.watch(late.put_nowait))
                held = await self._heard(late)
                assert (held.topic, held.about, held.value) == ("topic", "key", "né\n")
                assert 0 < held.seconds <= 30, f"it holds for {held.seconds} s, of 30 in the beginning"
            finally:
                for each in filter(None, (watching, beginning)):
                    each.cancel()
                    await asyncio.wait([each], timeout=self.patience)
            assert watching.done(), "`watch` goes on although it was cancelled"

        self._try(work)

    @rule("STATE-13", "Each reload leaves something at work, until the process is full of it.")
    def test_nothing_is_at_work_when_it_is_closed(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            before = asyncio.all_tasks()
            await asyncio.gather(*(one.admit(_asked(_take("requests", 1))) for _ in range(3)))
            for each in (one, other, one):
                await each.aclose()
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - before
            assert not left, f"still at work: {left!r:.300}"

        self._try(work)

    @rule("STATE-14", "Two routers would spend twice what one may.")
    def test_where_it_holds_budgets_no_more_is_held_than_there_is_and_settling_twice_is_once(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            if not hasattr(one, "hold"):
                return  # it need not
            stores = [cast("HoldingStore", each) for each in (one, other)]
            holds = [_budget(10) for _ in range(30)]
            answers = await asyncio.gather(*(stores[n % 2].hold(each) for n, each in enumerate(holds)))
            held = [each for each, answer in zip(holds, answers, strict=True) if answer is None]
            full = [each for each in answers if isinstance(each, BudgetFull)]
            assert len(held) == 10, f"{len(held)} of 30 were held, where 10 may"
            assert len(full) == 20, f"answers that are neither None nor BudgetFull: {answers!r:.200}"
            for _ in range(2):
                await stores[0].settle_holds([BudgetSettlement(each, [4]) for each in held])
            said = await stores[1].hold(_budget(100))
            assert isinstance(said, BudgetFull), "it holds more than is left"
            assert (said.spent, said.held) == (40, 0), f"10 holds came to 4 each, and it says {said!r}"

        self._try(work)

    @rule("STATE-15", "What a killed router held would be lost for ever, or never be counted.")
    def test_where_it_holds_budgets_a_hold_that_nobody_renews_is_spent(self) -> None:
        async def work(one: StateStore, other: StateStore) -> None:
            if not hasattr(one, "hold"):
                return
            first, second = cast("HoldingStore", one), cast("HoldingStore", other)
            gone, kept = _budget(30, seconds=_LEASE), _budget(30, seconds=_LEASE)
            assert await first.hold(gone) is None
            assert await first.hold(kept) is None
            await second.renew_holds([BudgetHold(kept.id, kept.takes, 60.0)])
            await asyncio.sleep(_LEASE * 1.5)
            said = await second.hold(_budget(100))
            assert isinstance(said, BudgetFull), "it holds more than is left"
            assert (said.spent, said.held) == (30, 30), f"one of two expired, and it says {said!r}"
            await first.settle_holds([BudgetSettlement(gone, [7])])
            said = await second.hold(_budget(100))
            assert isinstance(said, BudgetFull), "it holds more than is left"
            assert said.spent == 7, f"it was put right to 7, and it says {said!r}"

        self._try(work)

    async def _published(self, by: StateStore, notice: Notice, heard: asyncio.Queue[Notice]) -> Notice:
        for _ in range(20):
            await by.publish(notice)
            try:
                return await asyncio.wait_for(heard.get(), self.patience / 20)
            except TimeoutError:
                continue
        raise AssertionError("a notice that was published is not told to who watches")

    async def _heard(self, told: asyncio.Queue[Notice]) -> Notice:
        try:
            return await asyncio.wait_for(told.get(), self.patience)
        except TimeoutError:
            raise AssertionError("a notice that holds is not told to who begins to watch") from None

    def _try(self, work: Work) -> None:
        """`work` with two fresh stores, in real time: another program may have its own."""

        async def beside() -> None:
            one, other = self.make()
            try:
                async with asyncio.timeout(self.patience * 2):
                    await work(one, other)
            except TimeoutError:
                raise AssertionError(f"it has not answered after {self.patience * 2:g} s") from None
            finally:
                for each in (one, other):
                    await each.aclose()

        asyncio.run(beside())


def _take(limit: str, units: int, *, burst: int = 1000, count: int = 1) -> Take:
    """Of a limit that hardly anything comes back of while a test runs."""
    return Take(limit, units, count, 1.0 if count > 1 else 3600.0, burst)


def _budget(units: int, *, seconds: float = 60.0) -> BudgetHold:
    """Of 100 in a month."""
    take = BudgetTake("budget", units, 100, BudgetWindow("month"))
    return BudgetHold(f"hold-{next(_NUMBERS)}", [take], seconds)


def _asked(*takes: Take, place: WantedPlace | None = None, seconds: float = 60.0) -> Admission:
    return Admission(f"attempt-{next(_NUMBERS)}", takes, place, seconds)


async def _admitted(
    store: StateStore, *takes: Take, place: WantedPlace | None = None, seconds: float = 60.0
) -> Admission:
    """What was admitted. Asserts that it was."""
    asked = _asked(*takes, place=place, seconds=seconds)
    answer = await store.admit(asked)
    assert isinstance(answer, Admitted), f"there is room, and it was refused: {answer!r}"
    return asked
