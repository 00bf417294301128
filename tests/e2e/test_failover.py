"""Failover to what is well, with the default settings, over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from pointsman_simulator import Fault, Reply

DOWN = Reply(fault=Fault.status(500))


async def priorities(fleet) -> None:
    """a before b before c; the first two answer 500."""
    for priority, name in enumerate("abc"):
        upstream = await fleet.add("openai", name, deployment={"priority": priority})
        if name != "c":
            upstream.default = DOWN


async def test_a_burst_over_two_dead_levels_is_answered_by_the_third(fleet) -> None:
    await priorities(fleet)

    async with fleet.router() as router:
        replies = await asyncio.gather(*(router.chat("m", "hi") for _ in range(50)))

    assert {each.deployment.partition("/")[0] for each in replies} == {"c"}


async def test_ten_calls_one_after_the_other_over_two_dead_levels_are_all_answered(fleet) -> None:
    await priorities(fleet)

    async with fleet.router() as router:
        replies = [await router.chat("m", "hi") for _ in range(10)]

    assert {each.deployment.partition("/")[0] for each in replies} == {"c"}


@pytest.mark.parametrize("width", [1, 30])
async def test_with_two_of_three_dead_and_a_fallback_none_of_300_calls_fails(fleet, width: int) -> None:
    for name in "abc":
        upstream = await fleet.add("openai", name)
        if name != "c":
            upstream.default = DOWN
    await fleet.add("openai", "spare")
    spare = fleet._deployments.pop()
    room = asyncio.Semaphore(width)

    async with fleet.router(model={"fallback": ["big"]}, more={"big": {"deployments": [spare]}}) as router:

        async def call() -> None:
            async with room:
                await router.chat("m", "hi")

        await asyncio.gather(*(call() for _ in range(300)))
