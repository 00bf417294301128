"""Ctrl-C wherever it falls in a blocking call: the interrupt comes out, and the call ends at the upstream."""

from __future__ import annotations

import asyncio
import linecache
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from routers import config

from pointsman import SyncRouter, loop_thread, sync
from pointsman.testing import Scripted, ScriptedAnswer

FILES = {sync.__file__, loop_thread.__file__}


def lines_of(call: Callable[[], object], interrupt_at: int | None = None) -> int:
    """Make `call` in this thread; how many lines of the blocking router it took.

    Args:
        interrupt_at: the number of the line before which KeyboardInterrupt is raised, from 0.
    """
    seen = 0
    held: list[int] = []

    def line(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal seen
        if event == "line":
            # A `with` is told of a second time before its exit; there the interpreter takes no signal.
            if "with " in linecache.getline(frame.f_code.co_filename, frame.f_lineno):
                if frame.f_lineno in held:
                    return line
                held.append(frame.f_lineno)
            seen += 1
            if seen - 1 == interrupt_at:
                raise KeyboardInterrupt
        return line

    def called(frame: FrameType, _event: str, _arg: Any) -> Any:
        return line if frame.f_code.co_filename in FILES and frame.f_code.co_name != "chat" else None

    before = sys.gettrace()
    sys.settrace(called)
    try:
        call()
    finally:
        sys.settrace(before)
    return seen


def held() -> Scripted:
    """An upstream that never answers."""
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=3600))
    return upstream


def settle(r: SyncRouter) -> None:
    """Return when the loop has done what was scheduled before, and what follows from that."""
    for _ in range(5):
        # Its loop is nobody's business but that of whoever asks what happens at each instant.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), r._engine.loop).result(10)


def count_lines() -> int:
    with SyncRouter.from_config(config("a"), plugins=[Scripted()]) as r:
        return lines_of(lambda: r.chat("m", "hi"))


COUNT = count_lines()


def test_a_call_takes_lines_that_can_be_interrupted() -> None:
    assert COUNT > 15


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("at", range(COUNT))
def test_an_interrupt_before_any_line_ends_the_call_and_leaves_the_router_usable(at: int) -> None:
    upstream = held()
    with SyncRouter.from_config(config("a"), plugins=[upstream]) as r:
        with pytest.raises(KeyboardInterrupt):
            lines_of(lambda: r.chat("m", "hi"), interrupt_at=at)
        settle(r)

        assert upstream.in_flight["a"] == 0
        assert r.status().in_flight == 0
        upstream.default("a", "ok")
        assert r.chat("m", "hi").text == "ok"


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("at", range(0, COUNT, 3))
def test_an_interrupt_before_any_line_leaves_a_stream_that_can_be_closed(at: int) -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text="one two three", gap=3600))
    # A line that comes after the wait is reached when the stream has been silent for too long.
    with SyncRouter.from_config(config("a", timeouts={"idle": "50ms"}), plugins=[upstream]) as r:
        with r.stream("m", "hi") as stream:
            assert next(stream).text == "one"
            with pytest.raises(KeyboardInterrupt):
                lines_of(lambda: next(stream), interrupt_at=at)
            settle(r)
        assert upstream.in_flight["a"] == 0
        assert r.status().in_flight == 0


def test_an_interrupt_while_waiting_for_the_answer_ends_the_call() -> None:
    upstream = Scripted()

    def interrupting(_request: Any, _call: Any) -> ScriptedAnswer:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return ScriptedAnswer(after=3600)

    upstream.default("a", interrupting)
    with SyncRouter.from_config(config("a"), plugins=[upstream]) as r:
        with pytest.raises(KeyboardInterrupt):
            r.chat("m", "hi")
        settle(r)
        assert upstream.aborted["a"] == 1
        assert r.status().in_flight == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_a_plugin_that_raises_an_interrupt_ends_its_own_call_and_nobody_elses(
    interrupt: type[BaseException],
) -> None:
    upstream = Scripted()
    upstream.script("a", ScriptedAnswer(error=interrupt))
    at_work = threading.Event()

    def other(_request: Any, _call: Any) -> ScriptedAnswer:
        at_work.set()
        return ScriptedAnswer(after=0.05)

    upstream.default("b", other)
    models = {"m": {"deployments": ["a/x"]}, "n": {"deployments": ["b/x"]}}
    with SyncRouter.from_config(config("ab", models=models), plugins=[upstream]) as r:
        said: list[str] = []
        thread = threading.Thread(target=lambda: said.append(r.chat("n", "hi").text), daemon=True)
        thread.start()
        assert at_work.wait(10)

        with pytest.raises(interrupt):
            r.chat("m", "hi")
        thread.join(10)

        assert said == ["ok"]
        assert r.chat("m", "hi").text == "ok"
        assert r.status().in_flight == 0


def test_a_provider_that_exits_while_it_closes_does_not_keep_the_router_open() -> None:
    r = SyncRouter.from_config(config("a"), plugins=[Scripted()])

    async def exit_() -> None:
        raise SystemExit

    r._router.aclose = exit_  # type: ignore[method-assign]
    thread = threading.Thread(target=r.close, daemon=True)
    thread.start()
    thread.join(10)

    assert not thread.is_alive()
    ending = r._engine._ending  # nobody is left to whom it could be told
    assert ending is not None
    assert type(ending.exception()) is SystemExit
