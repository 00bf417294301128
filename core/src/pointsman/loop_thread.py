"""What a blocking router runs on: an event loop in a thread of its own, with one router, in one process."""

from __future__ import annotations

import asyncio
import atexit
import os
import selectors
import sys
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from pointsman.router import Router

T = TypeVar("T")

_END_WITHIN = 2.0
"""Seconds that cancelled calls have to give everything back."""
_EXIT_WITHIN = 5.0
"""Seconds that the end of the process waits for connections to be closed and records to be written."""


class Handover(Generic[T]):
    """One coroutine on its way from a caller's thread to the loop, where its result comes from.

    Whoever takes the coroutine first owns it: the loop, which runs it, or the caller, who gives it up. So it
    is never closed while it runs, and never runs for a caller who has gone, wherever an interrupt falls.
    """

    __slots__ = ("_task", "_work", "result")

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.result: Future[T] = Future()
        self._work = [work]  # a list, because of two threads that `pop` only one gets it, without a lock
        self._task: asyncio.Task[T] | None = None

    def begin(self) -> asyncio.Task[T] | None:
        """Run it, on the running loop; None when it was given up before."""
        work = self._take()
        if work is not None:
            self._task = asyncio.get_running_loop().create_task(work)
            self._task.add_done_callback(self._ended)
        return self._task

    def give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """From the caller's thread: it ends, or never begins."""
        work = self._take()
        if work is not None:
            work.close()
            return
        with suppress(RuntimeError):  # the loop is closed, and with it whatever ran there
            loop.call_soon_threadsafe(self._cancel)

    def _take(self) -> Coroutine[Any, Any, T] | None:
        try:
            return self._work.pop()
        except IndexError:
            return None

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.result.cancel()
        elif (error := task.exception()) is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(task.result())


class Engine:
    """A loop, its thread, and the router that runs there.

    Attributes:
        lock: held while something is handed to the loop, or the end begins.
        abandoned: this process was forked from the one in which the thread runs.
    """

    def __init__(self, router: Router) -> None:
        self.router = router
        self.abandoned = False
        self.lock = threading.Lock()
        self._selector = _OwnSelector()
        self.loop = (
            asyncio.SelectorEventLoop(self._selector) if hasattr(os, "fork") else asyncio.new_event_loop()
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._ended = False
        # Here rather than in the thread: a process that is forked while another thread imports a module can
        # never import it itself.
        router.prepare()
        # A daemon, or the interpreter would wait for it before `_end_all` can end it.
        self._thread = threading.Thread(target=self._serve, name="pointsman", daemon=True)
        self._thread.start()
        _ENGINES.add(self)
        _end_with_process()

    def begin(self, call: Handover[Any]) -> None:
        """Run what was handed over. On the loop."""
        task = call.begin()
        if task is not None:
            self._tasks.add(task)  # the loop itself holds tasks only weakly
            task.add_done_callback(self._tasks.discard)

    def refuse_own_thread(self) -> None:
        """Raise RuntimeError when called from the loop's own thread, which would wait for itself for ever."""
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "a SyncRouter was called from its own thread (by a listener, or by the iterable of a batch) "
                "and would wait for itself for ever"
            )

    def end(self, within: float | None = None) -> None:
        """Cancel what runs, close the router and end the thread; wait for it, `within` seconds at most."""
        self.end_soon()
        if not self.abandoned:
            self._thread.join(within)

    def end_soon(self) -> None:
        """The same without waiting, from any thread. Safe to repeat."""
        if not self.abandoned:
            with suppress(RuntimeError):  # it has ended
                self.loop.call_soon_threadsafe(self._begin_to_end)

    def abandon(self) -> None:
        """In a forked process: let go of what belongs to the process before, without telling anybody."""
        self.abandoned = True
        self.lock = threading.Lock()  # somebody who is not here may hold the other one
        self._selector.disown()
        # Connections that are forgotten complain to their loop; they are not ours to close.
        self.loop.set_exception_handler(lambda _loop, _context: None)

    def _serve(self) -> None:
        try:
            while not self._ended:
                # A plugin that exits, or raises an interrupt of its own, ends its call, and nobody else's.
                with suppress(KeyboardInterrupt, SystemExit):
                    self.loop.run_forever()
        finally:
            self.loop.close()

    def _begin_to_end(self) -> None:
        if self._ending is None:
            self._ending = self.loop.create_task(self._end())

    async def _end(self) -> None:
        """Cancel what runs and close the router after it, so that its last records are written too."""
        try:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_END_WITHIN)
            await self.router.aclose()
            await self.loop.shutdown_asyncgens()
        finally:
            self._ended = True
            self.loop.stop()


class _OwnSelector(selectors.DefaultSelector):
    """A selector that a forked process can let go of.

    What the kernel watches for is shared with the process before: whoever closes a socket or a loop there
    would have the other one wait for ever.
    """

    _disowned = False

    def disown(self) -> None:
        """Give back what came from the process before, and know nothing from now on."""
        null = os.open(os.devnull, os.O_RDWR)
        for each in list(self.get_map()):
            os.dup2(null, each, inheritable=False)
        os.close(null)
        self.close()
        self._disowned = True

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {} if self._disowned else super().get_map()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        if self._disowned:
            raise KeyError(fileobj)
        return super().get_key(fileobj)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._disowned:
            return selectors.SelectorKey(fileobj, -1, events, data)
        return super().register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        if self._disowned:
            raise KeyError(fileobj)
        return super().unregister(fileobj)


_ENGINES: WeakSet[Engine] = WeakSet()
"""All that run. A process has one exit and forks as a whole, so this cannot be anybody's in particular."""


def _abandon_all() -> None:
    for each in tuple(_ENGINES):
        each.abandon()
        _FORGOTTEN.append(each)
    _ENGINES.clear()


_FORGOTTEN: list[Engine] = []
"""Those of the process before. They stay to the end, so that nothing of them is closed behind its back."""


def _end_all() -> None:
    engines = tuple(_ENGINES)
    for each in engines:
        each.end_soon()
    for each in engines:
        each.end(_EXIT_WITHIN)


def _end_with_process() -> None:
    """In a process of `multiprocessing`, which ends without `atexit`, have all end with what it does run."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _end_all, exitpriority=10)


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
