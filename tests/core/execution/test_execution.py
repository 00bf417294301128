"""The loop of attempts: what a call that succeeds is spared, and what waiting for another attempt holds."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from routers import config, router

from pointsman import Router
from pointsman.clock import LoopClock
from pointsman.errors import CallError, InvalidRequest, Unavailable
from pointsman.execution.retry_state import NO_FAILURES, RetryState
from pointsman.execution.retrying import TenacityWaits, may_be_retried
from pointsman.testing import Scripted, run


def planned(delay: float, after: CallError) -> RetryState:
    """A request whose next attempt follows `after` in `delay` seconds."""
    state = RetryState()
    state.delay, state.after = delay, after
    return state


def made_for_retries(upstream: Scripted, story: Callable[[Router], Awaitable[None]]) -> list[RetryState]:
    """What there is of it while `upstream` answers, in a `story` with a router of one deployment."""
    before = retry_states()
    made: list[RetryState] = []

    def look(_request: Any, _call: Any) -> str:
        made.extend(each for each in retry_states() if each not in before)
        return "ok"

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            await story(r)

    upstream.default("a", look)
    run(main())
    return made


def retry_states() -> list[RetryState]:
    """All that there are, but for the one that says of every call that nothing has failed.

    By their type: `isinstance` asks what a weak proxy of another test stands for, which may be gone.
    """
    return [each for each in gc.get_objects() if type(each) is RetryState and each is not NO_FAILURES]


def test_a_call_that_succeeds_at_once_has_nothing_made_for_retries() -> None:
    upstream = Scripted()

    async def story(r: Router) -> None:
        await r.chat("m", "hi")
        async with r.stream("m", "hi"):
            pass

    assert made_for_retries(upstream, story) == []
    assert len(upstream.calls) == 2


def test_the_search_finds_what_is_made_for_the_retry_of_one_that_fails() -> None:
    upstream = Scripted()
    upstream.script("a", Unavailable("down"))

    async def story(r: Router) -> None:
        await r.chat("m", "hi")

    assert len(made_for_retries(upstream, story)) == 1


def test_each_wait_between_attempts_is_as_long_as_was_planned_for_it() -> None:
    async def main() -> None:
        loop, waits = asyncio.get_running_loop(), TenacityWaits(LoopClock())
        for seconds in (1.5, 0.25, 40.0):
            began = loop.time()
            await waits.wait(planned(seconds, Unavailable("no")))
            assert loop.time() - began == pytest.approx(seconds, abs=1e-3)

    run(main())


def test_the_error_before_a_wait_is_let_go_of_while_it_lasts() -> None:
    async def main() -> None:
        waits, error = TenacityWaits(LoopClock()), Unavailable("no")
        held = weakref.ref(error)
        waiting = asyncio.ensure_future(waits.wait(planned(5.0, error)))
        del error
        await asyncio.sleep(1)
        assert held() is None
        await waiting

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_a_cancellation_ends_a_wait_at_once() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = asyncio.ensure_future(TenacityWaits(LoopClock()).wait(planned(50.0, Unavailable("no"))))
        await asyncio.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert loop.time() < 2

    run(main())


def test_a_wait_after_what_another_attempt_cannot_mend_raises_that() -> None:
    async def main() -> None:
        with pytest.raises(InvalidRequest, match="as it stands"):
            await TenacityWaits(LoopClock()).wait(planned(1.0, InvalidRequest("as it stands")))

    run(main())


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(), ValueError()])
def test_only_our_own_errors_are_worth_another_attempt(error: BaseException) -> None:
    assert not may_be_retried(error)
    assert may_be_retried(Unavailable("no"))


def test_the_error_of_a_failed_call_holds_nothing_that_holds_it() -> None:
    upstream = Scripted()
    upstream.default("a", lambda *_: Unavailable("down"))

    async def main() -> None:
        async with router(upstream, config("a", retry="none", circuit_breaker={"enabled": False})) as r:
            try:
                await r.chat("m", "hi")
            except Unavailable as error:
                held.append(weakref.ref(error))
            await asyncio.sleep(0)
            assert held[0]() is None

    held: list[weakref.ref[Unavailable]] = []
    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()
