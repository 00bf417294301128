"""Work that shares the speed of a server, against a reckoning that goes from event to event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_forecast.pace import Shared
from pointsman_forecast.world import in_virtual_time

Work = tuple[float, float]
"""When it comes, and how long it takes at full speed."""


def shared(works: Sequence[Work], full_speed: int) -> list[float]:
    """When each is done."""

    async def run() -> list[float]:
        pace, loop = Shared(full_speed), asyncio.get_running_loop()

        async def one(at: float, seconds: float) -> float:
            await asyncio.sleep(at)
            await pace.work(seconds)
            return loop.time()

        return await asyncio.gather(*(one(*each) for each in works))

    return in_virtual_time(run())


def reckoned(works: Sequence[Work], full_speed: int) -> list[float]:
    """The same: from one arrival or end to the next, all go on by as much."""
    left = dict(enumerate(seconds for _, seconds in works))
    ends = [0.0] * len(works)
    now = 0.0
    while left:
        at_work = [n for n in left if works[n][0] <= now]
        coming = [works[n][0] for n in left if works[n][0] > now]
        if not at_work:
            now = min(coming)
            continue
        speed = min(1.0, full_speed / len(at_work))
        step = min([min(left[n] for n in at_work) / speed, *(at - now for at in coming)])
        now += step
        for n in at_work:
            left[n] -= step * speed
            if left[n] <= 1e-9:
                ends[n] = now
                del left[n]
    return ends


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 3)), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_all_at_work_go_on_alike_and_none_faster_than_alone(works: list[Work], full_speed: int) -> None:
    found = shared(works, full_speed)

    assert found == pytest.approx(reckoned(works, full_speed), abs=0.001)


def test_who_gives_up_leaves_its_share_to_the_others() -> None:
    async def run() -> float:
        pace, loop = Shared(1), asyncio.get_running_loop()
        other = asyncio.create_task(pace.work(10))
        mine = asyncio.create_task(pace.work(2))
        await asyncio.sleep(2)  # half of the speed for two seconds
        other.cancel()
        await mine
        return loop.time()

    assert in_virtual_time(run()) == pytest.approx(3, abs=0.001)
