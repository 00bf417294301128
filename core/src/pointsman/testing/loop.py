"""An event loop whose time is a number: an hour of traffic passes in a second."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_TICK = 1e-6
_REAL_WAIT = 5.0
_LOOK_EVERY = 64


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs callbacks at their time without waiting for it; time begins at 0.

    A timer armed at "now" never finds its moment unless time moves, so every idle turn takes a microsecond.
    While a thread is at work for it, as by `asyncio.to_thread`, time stands, for up to five real seconds.
    When nothing is scheduled at all, other threads get as long to wake the loop; after that it raises
    RuntimeError, for the code under test would hang for ever.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.in_threads = set[asyncio.Future[Any]]()
        super().__init__(_VirtualSelector(self))

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As any loop does."""
        work = super().run_in_executor(executor, func, *args)
        self.in_threads.add(work)
        work.add_done_callback(self.in_threads.discard)
        return work

    def time(self) -> float:
        return self.now


class _VirtualSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(_REAL_WAIT)
            if not ready:
                raise RuntimeError("deadlock: nothing is scheduled and nothing can wake the loop")
            return ready
        if timeout and self._loop.in_threads and (ready := super().select(_REAL_WAIT)):
            return ready
        self._loop.now += max(timeout, _TICK)
        self._turns += 1
        # With nothing registered but the loop's own pipe there is nothing to see: what another thread calls
        # is in the queue already. A look now and then keeps the pipe empty, and lets signals in.
        if len(self.get_map()) > 1 or self._turns % _LOOK_EVERY == 0:
            return super().select(0)
        return []


def run(work: Coroutine[Any, Any, T], loop: Callable[[], asyncio.AbstractEventLoop] = VirtualLoop) -> T:
    """What `work` returns, run to its end on a fresh loop that `loop` makes, such as a `ShuffleLoop`."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)
