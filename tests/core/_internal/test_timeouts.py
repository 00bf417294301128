"""The time limit: its own error at its own instant, and nobody else's cancellation ever lost."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import weakref
from contextlib import suppress

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from pointsman._internal.timeouts import TimeLimit, Timeouts, TimerHeap
from pointsman.testing import run


class Late(Exception):
    """What the limits of these tests raise."""


def now() -> float:
    return asyncio.get_running_loop().time()


async def turned_into(error: type[Exception]) -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise error from None


async def cleaning_up_slowly() -> None:
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(60)


def test_the_error_is_the_given_one_and_keeps_its_cause() -> None:
    async def work() -> float:
        with pytest.raises(Late, match="too late") as raised, TimeLimit(now() + 5, lambda: Late("too late")):
            await asyncio.sleep(60)
        assert isinstance(raised.value.__cause__, asyncio.CancelledError)
        return now()

    assert run(work()) == pytest.approx(5, abs=0.01)


def test_what_is_done_in_time_is_not_disturbed_then_or_later() -> None:
    async def work() -> str:
        with TimeLimit(now() + 5, Late):
            await asyncio.sleep(4)
            result = "done"
        await asyncio.sleep(60)
        return result

    assert run(work()) == "done"


def test_none_is_no_limit() -> None:
    async def work() -> float:
        with TimeLimit(None, Late):
            await asyncio.sleep(1e6)
        return now()

    assert run(work()) >= 1e6


def test_a_limit_in_the_past_ends_the_first_wait_but_not_what_needs_none() -> None:
    async def work() -> None:
        with TimeLimit(now() - 1, Late):
            done = 1 + 1
        assert done == 2
        with pytest.raises(Late), TimeLimit(now() - 1, Late):
            await asyncio.sleep(60)
        assert now() < 0.01

    run(work())


def test_an_error_of_the_body_passes_unchanged_before_the_limit_and_is_its_cause_after() -> None:
    async def work() -> None:
        with pytest.raises(ZeroDivisionError), TimeLimit(now() + 5, Late):
            raise ZeroDivisionError
        with pytest.raises(Late) as raised, TimeLimit(now() + 5, Late):
            await turned_into(ZeroDivisionError)
        assert isinstance(raised.value.__cause__, ZeroDivisionError)
        assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]

    run(work())


@pytest.mark.parametrize(("times", "ends"), [(1, 5), (2, 6), (4, 8)])
def test_a_body_that_swallows_the_limit_is_told_again_each_second_and_is_late(times: int, ends: int) -> None:
    async def work() -> float:
        with pytest.raises(Late), TimeLimit(now() + 5, Late):
            for _ in range(times):
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)
        late_at = now()
        assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]
        await asyncio.sleep(60)  # nothing is left that would ring
        return late_at

    assert run(work()) == pytest.approx(ends, abs=0.01)


def test_an_interrupt_is_no_late_body() -> None:
    async def work() -> None:
        with TimeLimit(now() + 5, Late):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt):
        run(work())


def test_a_wait_within_a_wait_has_a_limit_of_its_own() -> None:
    async def work() -> None:
        alarms = TimerHeap()
        limits = Timeouts(alarms)
        with pytest.raises(Late, match="outer"), limits.until(5.0, lambda: Late("outer")):
            assert limits.when == 5.0
            with pytest.raises(Late, match="inner"), limits.until(3.0, lambda: Late("inner")):
                await asyncio.sleep(60)
            assert now() == pytest.approx(3, abs=0.01)
            await asyncio.sleep(60)
        assert now() == pytest.approx(5, abs=0.01)
        assert limits.when == math.inf
        limits.close()
        alarms.close()
        assert alarms._handle is None

    run(work())


def test_a_limit_needs_a_task() -> None:
    with pytest.raises(RuntimeError), TimeLimit(1.0, Late):
        pass


@pytest.mark.parametrize("at", [1.0, 5.0 - 1e-9, 5.0])
@pytest.mark.parametrize("armed_first", ["limit", "cancel"])
def test_a_cancellation_from_outside_is_never_replaced(at: float, armed_first: str) -> None:
    ended: list[str] = []

    async def limited() -> None:
        try:
            with TimeLimit(5.0, Late):
                await asyncio.sleep(60)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    async def work() -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(limited())
        if armed_first == "limit":
            await asyncio.sleep(0)
        loop.call_at(at, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(work())
    assert ended == ["CancelledError"]


def test_a_cancelled_task_that_cleans_up_may_still_use_limits() -> None:
    async def cleaning_up() -> float:
        try:
            await asyncio.sleep(60)
        finally:
            with pytest.raises(Late), TimeLimit(now() + 5, Late):
                await asyncio.sleep(60)
            ended.append(now())

    async def work() -> None:
        task = asyncio.get_running_loop().create_task(cleaning_up())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    ended: list[float] = []
    run(work())
    assert ended == pytest.approx([6], abs=0.01)


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (9.0, 5.0, "inner"),
        (5.0, 9.0, "outer"),
        (5.0, 5.0, "outer"),
        (None, 5.0, "inner"),
        (5.0, None, "outer"),
    ],
)
def test_of_nested_limits_the_earlier_one_speaks_and_of_equal_ones_the_outer(
    outer: float | None, inner: float | None, expected: str
) -> None:
    async def work() -> None:
        limits = TimeLimit(outer, lambda: Late("outer")), TimeLimit(inner, lambda: Late("inner"))
        with pytest.raises(Late, match=expected), limits[0], limits[1]:
            await asyncio.sleep(60)
        assert now() == pytest.approx(5, abs=0.01)
        assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]

    run(work())


def test_an_outer_limit_holds_while_the_inner_one_is_cleaned_up_after() -> None:
    async def work() -> None:
        limits = TimeLimit(5.0, lambda: Late("outer")), TimeLimit(4.5, lambda: Late("inner"))
        with pytest.raises(Late, match="outer"), limits[0], limits[1]:
            await cleaning_up_slowly()
        assert now() == pytest.approx(5, abs=0.01)

    run(work())


# ── any of it ────────────────────────────────────────────────────────────────────────────────────────

instants = st.sampled_from([None, 1.0, 2.0, 3.0])


@settings(deadline=None)
@given(st.lists(instants, min_size=1, max_size=4), instants, instants, st.integers(0, 2**32))
def test_any_nest_of_limits_and_cancellations_ends_with_the_right_word(
    limits: list[float | None], result_at: float | None, cancel_at: float | None, seed: int
) -> None:
    """The earliest event decides. In the same instant several words are right, but `cancelled` never gives
    way to a limit, and the task is left as it was found."""
    note(f"seed {seed}")
    rng = random.Random(seed)
    left: list[int] = []

    async def body() -> str:
        async def inside(outermost: int) -> str:
            if outermost == len(limits):
                await asyncio.sleep(1e9 if result_at is None else result_at - now())
                return "result"
            with TimeLimit(limits[outermost], lambda: Late(str(outermost))):
                return await inside(outermost + 1)

        try:
            return await inside(0)
        except Late as late:
            return str(late)
        finally:
            task = asyncio.current_task()
            assert task is not None
            left.append(task.cancelling())

    async def work() -> str:
        loop = asyncio.get_running_loop()
        loop.call_at(9.0, lambda: task.cancel("end of test"))
        if cancel_at is not None and rng.random() < 0.5:
            loop.call_at(cancel_at, lambda: task.cancel())
            task = loop.create_task(body())
        else:
            task = loop.create_task(body())
            await asyncio.sleep(0)
            if cancel_at is not None:
                loop.call_at(cancel_at, lambda: task.cancel())
        try:
            return await task
        except asyncio.CancelledError:
            return "cancelled"

    ended = run(work())

    events = [(when, str(n)) for n, when in enumerate(limits) if when is not None]
    if result_at is not None:
        events.append((result_at, "result"))
    events.append((9.0 if cancel_at is None else cancel_at, "cancelled"))
    first = min(when for when, _ in events)
    assert ended in {word for when, word in events if when == pytest.approx(first, abs=1e-3)}
    assert left == [1 if ended == "cancelled" else 0] or (cancel_at == first and left == [1])
    if cancel_at == first and result_at != first:
        assert ended == "cancelled"


# ── one wait after another ───────────────────────────────────────────────────────────────────────────

waits = st.lists(
    st.tuples(st.sampled_from([None, 0.0, 1.0, 2.0, 5.0]), st.sampled_from([0.0, 0.5, 1.5, 3.0, 9.0])),
    max_size=8,
)


@settings(deadline=None)
@given(waits, st.booleans())
def test_waits_that_share_a_timer_end_as_if_each_had_its_own(
    given_waits: list[tuple[float | None, float]], closed_between: bool
) -> None:
    async def ends(shared: Timeouts | None) -> list[tuple[str, float]]:
        found: list[tuple[str, float]] = []
        for patience, seconds in given_waits:
            until = None if patience is None else now() + patience
            try:
                with TimeLimit(until, Late) if shared is None else shared.until(until, Late):
                    await asyncio.sleep(seconds)
                found.append(("done", round(now(), 3)))
            except Late:
                found.append(("late", round(now(), 3)))
            if shared is not None and closed_between:
                shared.close()
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        return found

    assert run(ends(Timeouts())) == run(ends(None))


def test_a_limit_holds_for_the_task_that_waits_now_and_for_no_other() -> None:
    async def work() -> None:
        limits = Timeouts()

        async def wait(seconds: float) -> str:
            try:
                with limits.until(now() + 5, Late):
                    await asyncio.sleep(seconds)
            except Late:
                return "late"
            await asyncio.sleep(60)
            return "done"

        first = asyncio.ensure_future(wait(1))
        await asyncio.sleep(2)
        assert await asyncio.ensure_future(wait(60)) == "late"
        assert now() == pytest.approx(7, abs=0.01)
        assert await first == "done"

    run(work())


def test_closing_does_not_take_the_limit_from_a_wait_that_goes_on() -> None:
    async def work() -> None:
        limits = Timeouts()
        asyncio.get_running_loop().call_at(1.0, limits.close)
        with pytest.raises(Late), limits.until(5.0, Late):
            await asyncio.sleep(60)
        assert now() == pytest.approx(5, abs=0.01)

    run(work())


def test_after_closing_nothing_is_left_to_ring() -> None:
    async def work() -> None:
        def late() -> Late:
            return Late()

        alarms = TimerHeap()
        limits = Timeouts(alarms)
        kept = weakref.ref(late)
        with limits.until(60.0, late):
            await asyncio.sleep(1)
        limits.close()
        del limits, late
        alarms.close()
        await asyncio.sleep(0)
        gc.collect()
        assert kept() is None

    run(work())


# ── one timer for all ────────────────────────────────────────────────────────────────────────────────


# In one instant a limit and what it limits may come in either order, so here they never do.
untied = st.lists(
    st.tuples(st.sampled_from([None, 0.3, 1.1, 2.2, 5.4]), st.sampled_from([0.0, 0.5, 1.5, 3.0, 9.0])),
    max_size=8,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0]), untied, st.booleans()), max_size=6))
def test_waits_of_several_tasks_that_share_a_timer_end_as_if_each_had_its_own(
    tasks: list[tuple[float, list[tuple[float | None, float]], bool]],
) -> None:
    async def one(
        alarms: TimerHeap | None, start: float, given_waits: list[tuple[float | None, float]], closes: bool
    ) -> list[tuple[str, float]]:
        await asyncio.sleep(start)
        limits, found = Timeouts(alarms), []
        for patience, seconds in given_waits:
            until = None if patience is None else now() + patience
            try:
                with limits.until(until, Late):
                    await asyncio.sleep(seconds)
                found.append(("done", round(now(), 3)))
            except Late:
                found.append(("late", round(now(), 3)))
            if closes:
                limits.close()
        limits.close()
        return found

    async def ends(alarms: TimerHeap | None) -> list[list[tuple[str, float]]]:
        return await asyncio.gather(*(one(alarms, *each) for each in tasks))

    async def shared() -> list[list[tuple[str, float]]]:
        alarms = TimerHeap()
        found = await ends(alarms)
        alarms.close()
        assert not alarms.heap
        assert alarms._handle is None
        return found

    assert run(shared()) == run(ends(None))


def test_limits_that_were_given_back_do_not_pile_up_and_set_no_timers() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        alarms, set_for = TimerHeap(), []
        call_at = loop.call_at
        loop.call_at = lambda when, *more, **named: set_for.append(when) or call_at(when, *more, **named)  # type: ignore
        waiting = Timeouts(alarms)
        with waiting.until(500.0, Late):
            for n in range(10_000):
                limits = Timeouts(alarms)
                with limits.until(100.0 + n / 100, Late):
                    pass
                limits.close()
                assert len(alarms.heap) < 200
            assert set_for == [500.0, 100.0]
            with pytest.raises(Late), Timeouts(alarms).until(3.0, Late):
                await asyncio.sleep(60)
        assert now() == pytest.approx(3, abs=0.01)

    run(work())


def test_when_nobody_waits_nothing_is_held() -> None:
    async def work() -> None:
        alarms = TimerHeap()
        several = [Timeouts(alarms) for _ in range(5)]
        for limits in several:
            with limits.until(100.0, Late):
                pass
        for limits in several:
            limits.close()
        assert not alarms.heap

    run(work())


def test_limits_of_a_loop_that_is_gone_take_nothing_from_those_of_the_next() -> None:
    alarms, old = TimerHeap(), Timeouts(TimerHeap())

    async def left() -> None:
        nonlocal old
        old = Timeouts(alarms)
        with old.until(now() + 50, Late):
            pass

    async def work() -> float:
        asyncio.get_running_loop().call_at(1.0, old.close)
        with pytest.raises(Late), Timeouts(alarms).until(5.0, Late):
            await asyncio.sleep(60)
        return now()

    run(left())
    assert run(work()) == pytest.approx(5, abs=0.01)


def test_a_timer_of_a_loop_that_is_gone_keeps_no_later_limit_from_ringing() -> None:
    alarms = TimerHeap()

    async def work(at: float) -> float:
        with pytest.raises(Late), Timeouts(alarms).until(now() + at, Late):
            await asyncio.sleep(1e6)
        return now()

    async def left() -> None:
        with Timeouts(alarms).until(now() + 1, Late):
            pass

    run(left())
    assert run(work(5.0)) == pytest.approx(5, abs=0.01)
    assert run(work(2.0)) == pytest.approx(2, abs=0.01)
