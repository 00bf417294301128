"""Two routers in two processes, and one Redis: what is shared holds for both together."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import sharing_router
from redis_server import RedisServer
from sharing_router import PLACES, configuration

from pointsman import NoDeploymentAvailable, Router
from pointsman.testing import Scripted

PROGRAM = Path(sharing_router.__file__)
SECONDS = 3.0
LEASE = 1.0


def begun(*arguments: str) -> subprocess.Popen[str]:
    """A process that has said that it is ready."""
    command = [sys.executable, str(PROGRAM), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_let_through_together_what_one_would(redis: RedisServer) -> None:
    with ExitStack() as stack:
        processes = [begun(redis.url, "callers", str(SECONDS)) for _ in range(2)]
        for each in processes:
            stack.callback(each.kill)
        began = time.monotonic()
        for each in processes:
            assert each.stdin is not None
            each.stdin.write(f"{began}\n")
            each.stdin.flush()
        said = [json.loads(each.communicate(timeout=SECONDS + 20)[0]) for each in processes]
    passed, changes = zip(*said, strict=True)

    assert changes == ([], []), "the store was there all the time"

    assert all(passed), "one of them had nothing"
    at = sorted(instant - began for each in passed for instant in each)
    assert sum(1 for t in at if t <= 1.0) >= 100
    beyond = [(n, t) for n, t in enumerate(at, 1) if n > 100 + t * 100 / 60]
    assert beyond == []
    assert len(at) >= 100 + int((SECONDS - 1.5) * 100 / 60), "what is worked off can be had again"


async def soonest(router: Router, within: float) -> float:
    """Seconds until a call of `router` was let through."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        try:
            await router.chat("m", "hello")
        except NoDeploymentAvailable as refused:
            await asyncio.sleep(max(refused.retry_after or 0.0, 0.01))
        else:
            return time.monotonic() - began
    raise AssertionError(f"nothing was let through within {within} s")


def test_the_places_of_a_process_that_was_killed_are_free_when_their_time_is_over(redis: RedisServer) -> None:
    async def beside() -> None:
        holder = begun(redis.url, "holder", f"{LEASE}s")
        try:
            config = configuration(redis.url, lease=f"{LEASE}s", max_in_flight=PLACES)
            async with Router.from_config(config, plugins=[Scripted()]) as router:
                # Longer than a place lives, so that they were renewed.
                try:
                    await soonest(router, 2 * LEASE)
                except AssertionError:
                    pass
                else:
                    raise AssertionError("a place was let to two")
                holder.kill()
                waited = await soonest(router, 5 * LEASE)
                # Of 15 s, as they live where nobody says otherwise, that is less than 20.
                assert waited <= LEASE * 4 / 3, f"{waited:.2f} s"
        finally:
            holder.kill()
            holder.communicate()

    asyncio.run(beside())
