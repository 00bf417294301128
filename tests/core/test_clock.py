"""Time and chance: the running loop's, and a seed's."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from pointsman.clock import LoopClock, request_id, system_rng
from pointsman.testing import VirtualLoop, run


def test_the_clock_is_the_running_loops_so_a_virtual_loop_moves_it() -> None:
    async def work() -> float:
        clock = LoopClock()
        before = clock.now()
        await clock.sleep(3600)
        return clock.now() - before

    started = time.monotonic()
    passed = run(work())

    assert 3600 <= passed < 3601
    assert time.monotonic() - started < 60


def test_virtual_time_stands_while_a_thread_is_at_work() -> None:
    async def work() -> tuple[bool, float]:
        loop, go_on = asyncio.get_running_loop(), threading.Event()
        began = loop.time()
        hour = asyncio.ensure_future(asyncio.sleep(3600))
        # The loop has nothing to do but to wait, and the thread goes on only once it does.
        threading.Timer(0.05, go_on.set).start()
        await asyncio.to_thread(go_on.wait, 30)
        waited = hour.done(), loop.time() - began
        hour.cancel()
        return waited

    over, passed = run(work())

    assert not over
    assert passed < 1


def test_one_clock_goes_with_one_loop_after_the_other() -> None:
    clock = LoopClock()
    loops = [VirtualLoop() for _ in range(3)]

    async def later(loop: VirtualLoop, hours: int) -> tuple[float, float]:
        await clock.sleep(hours * 3600)
        return clock.now(), loop.time()

    for hours, loop in enumerate((*loops, loops[0])):
        told, truth = loop.run_until_complete(later(loop, hours))
        assert 0 <= truth - told < 1
    for loop in loops:
        loop.close()


def test_where_no_loop_runs_it_is_the_time_of_the_last_and_before_the_first_there_is_none() -> None:
    clock = LoopClock()
    with pytest.raises(RuntimeError):
        clock.now()
    loop = VirtualLoop()

    async def an_hour() -> float:
        await clock.sleep(3600)
        return clock.now()

    passed = loop.run_until_complete(an_hour())

    assert 0 <= clock.now() - passed < 1
    loop.close()
    assert 0 <= clock.now() - passed < 1


def test_on_a_real_loop_it_is_the_time_of_that_loop() -> None:
    clock = LoopClock()

    async def told() -> tuple[float, float, float]:
        loop = asyncio.get_running_loop()
        return loop.time(), clock.now(), loop.time()

    for _ in range(2):
        before, now, after = asyncio.run(told())
        assert before <= now <= after


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere uvloop may begin at another instant")
def test_on_a_uvloop_it_is_the_same_time_with_what_is_less_than_a_millisecond() -> None:
    uvloop = pytest.importorskip("uvloop")
    clock = LoopClock()

    async def told() -> list[float]:
        loop = asyncio.get_running_loop()
        clock.now()
        within = [clock.now() - loop.time() for _ in range(3)]
        assert all(abs(each) < 1 for each in within)
        return [clock.now() for _ in range(20)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        instants = runner.run(told())
    assert any(abs(each * 1e3 - round(each * 1e3)) > 1e-3 for each in instants)
    assert instants == sorted(instants)


def test_another_thread_is_told_the_time_of_the_loop() -> None:
    clock = LoopClock()
    told: list[float] = []

    async def main() -> float:
        assert clock.now() < 1
        await clock.sleep(3600)
        thread = threading.Thread(target=lambda: told.append(clock.now()))
        thread.start()
        thread.join()
        return clock.now()

    now = run(main())

    assert 0 <= now - told[0] < 1


def test_the_wall_is_utc_of_the_machine() -> None:
    before = time.time()

    assert before <= LoopClock().wall() <= time.time()


def test_a_seed_replays_its_chances_and_none_does_not() -> None:
    assert [system_rng(7).random() for _ in range(2)] == [random.Random(7).random()] * 2
    assert system_rng().random() != system_rng().random()


@settings(deadline=None)
@given(st.integers(0, 2**64))
def test_ids_have_one_shape_and_follow_the_seed(seed: int) -> None:
    note(f"seed {seed}")
    one = request_id(random.Random(seed))

    assert one == request_id(random.Random(seed))
    assert one.startswith("req_")
    assert len(one) == 28
    assert 0 <= int(one[4:], 16) < 2**96
