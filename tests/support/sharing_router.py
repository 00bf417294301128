"""One router in a process of its own: `python sharing_router.py URL callers|holder SECONDS`.

It prints a line when it is ready, and begins when it reads one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from pointsman import NoDeploymentAvailable, Router, StateChanged
from pointsman.testing import Scripted, ScriptedAnswer

LIMITED = {"requests": "100/min", "burst_requests": 100}
CALLERS = 20
TAKES = 0.1
"""Seconds for an answer: else one process may take all that there is before the other one has begun."""
PLACES = 4


def configuration(url: str, *, lease: str = "15s", **deployment: object) -> dict[str, object]:
    return {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": [{"provider": "a", "model": "x", **deployment}]}},
        "queue": None,
        # Patient, for a busy machine: what is shared is shown here, not what becomes of it without Redis.
        "state": {"type": "redis", "url": url, "lease": lease, "timeout": "5s"},
    }


async def call_for(url: str, seconds: float) -> None:
    """Twenty callers that ask as soon as they are allowed to; prints when each call was let through.

    And what became of the store meanwhile, which is nothing.
    """
    passed: list[float] = []
    changes: list[str] = []
    upstream = Scripted()

    def answer(_request: object, _call: object) -> ScriptedAnswer:
        passed.append(time.monotonic())
        return ScriptedAnswer(after=TAKES)

    upstream.default("a", answer)
    async with Router.from_config(configuration(url, limits=LIMITED), plugins=[upstream]) as router:
        router.listen(lambda change: changes.append(str(change)), kinds=[StateChanged])
        print("ready", flush=True)
        ends = float(sys.stdin.readline()) + seconds

        async def caller() -> None:
            while time.monotonic() < ends:
                try:
                    await router.chat("m", "hello")
                except NoDeploymentAvailable as refused:
                    wait = refused.retry_after or 0.0
                    await asyncio.sleep(min(max(wait, 0.001), max(0.0, ends - time.monotonic())))

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
    print(json.dumps([passed, changes]))


async def hold(url: str, lease: str) -> None:
    """Attempts in all places, none of which ever ends."""
    upstream = Scripted()
    all_at_work = asyncio.Event()

    def endless(_request: object, _call: object) -> ScriptedAnswer:
        if upstream.count("a") == PLACES:
            all_at_work.set()
        return ScriptedAnswer(after=3600)

    upstream.default("a", endless)
    config = configuration(url, lease=lease, max_in_flight=PLACES)
    async with Router.from_config(config, plugins=[upstream]) as router:
        calls = [asyncio.ensure_future(router.chat("m", "hello")) for _ in range(PLACES)]
        await all_at_work.wait()
        print("ready", flush=True)
        await asyncio.gather(*calls)


if __name__ == "__main__":
    _, address, what, said = sys.argv
    asyncio.run(call_for(address, float(said)) if what == "callers" else hold(address, said))
