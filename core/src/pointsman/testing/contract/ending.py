"""Loops and calls that end in time, also with a plugin that does not let itself be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def run_to_end(work: Coroutine[Any, Any, _T], patience: float) -> _T:
    """What `work` returns, on a loop of real time of its own.

    `asyncio.run` waits for ever for tasks that go on when they are cancelled; here they are left after
    `patience` seconds.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        if left := asyncio.all_tasks(loop):
            for each in left:
                each.cancel()
            loop.run_until_complete(asyncio.wait(left, timeout=patience))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def in_time(name: str, method: Callable[[], Awaitable[_T]], patience: float) -> _T:
    """What `method` returns. A limit that only cancels it would wait for one that goes on all the same.

    Raises: AssertionError with `name` when it has not returned after `patience` seconds.
    """

    async def called() -> _T:
        return await method()

    task = asyncio.ensure_future(called())
    await asyncio.wait([task], timeout=patience)
    if not task.done():
        task.cancel()
        raise AssertionError(f"`{name}` has not returned after {patience:g} s")
    return task.result()
