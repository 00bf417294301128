"""Time and chance: the running loop's, and a seed's."""

from __future__ import annotations

import random
import time

from hypothesis import given, note, settings
from hypothesis import strategies as st

from pointsman.clock import LoopClock, new_id, system_rng
from pointsman.testing import run


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
    one = new_id("req_", random.Random(seed))

    assert one == new_id("req_", random.Random(seed))
    assert one.startswith("req_")
    assert len(one) == 28
    assert 0 <= int(one[4:], 16) < 2**96
