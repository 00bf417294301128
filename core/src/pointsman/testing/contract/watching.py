"""What code of others does beside its work: what it opens, starts, keeps, and how long it takes."""

from __future__ import annotations

import asyncio
import builtins
import gc
import io
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

_LONG = 3600.0
_SPANS, _MOST_SPANS = 9, 27
_LITTLE = 0.2
_TRIES = 20
_WAITS = frozenset({io.open, os.open, os.fsync, os.replace, os.rename, time.sleep})
_SOCKET_WAITS = frozenset({"connect", "connect_ex", "sendall", "recv", "recv_into"})
_LOOKED_AT = ("connect", "connect_ex", "bind")


@contextmanager
def network_refused() -> Iterator[list[str]]:
    """No connection is made meanwhile; gives where somebody wanted to go."""
    wanted: list[str] = []

    def refuse(*given: Any, **_named: Any) -> NoReturn:
        wanted.append(repr(given[-1] if isinstance(given[0], socket.socket) else given[0]))
        raise OSError("this contract lets nothing out but by the client")

    names = [(socket.socket, name) for name in _LOOKED_AT] + [(socket, "getaddrinfo")]
    before = [(owner, name, getattr(owner, name)) for owner, name in names]
    for owner, name, _ in before:
        setattr(owner, name, refuse)
    try:
        yield wanted
    finally:
        for owner, name, method in before:
            if owner is socket:
                setattr(owner, name, method)
            else:
                delattr(owner, name)  # it is inherited


@contextmanager
def files_refused() -> Iterator[list[str]]:
    """No file is opened meanwhile; gives which ones somebody wanted to open."""
    wanted: list[str] = []

    def refuse(*given: object, **_named: object) -> NoReturn:
        wanted.append(repr(given[0]))
        raise OSError("this contract lets nobody open a file here")

    before = builtins.open, io.open
    builtins.open = io.open = refuse
    try:
        yield wanted
    finally:
        builtins.open, io.open = before


@contextmanager
def waits_noted() -> Iterator[list[str]]:
    """What this thread calls meanwhile that waits for a disk, a socket or the clock, be it short or long."""
    waits: list[str] = []
    before = sys.getprofile()

    def look(_frame: object, what: str, function: Any) -> None:
        if what != "c_call":
            return
        of = getattr(function, "__self__", None)
        if function in _WAITS or (isinstance(of, socket.socket) and function.__name__ in _SOCKET_WAITS):
            waits.append(function.__name__)

    sys.setprofile(look)
    try:
        yield waits
    finally:
        sys.setprofile(before)


class Company:
    """The tasks and threads that there are, and those that have come since."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._tasks = asyncio.all_tasks() if _in_a_loop() else set()

    def newcomers(self) -> list[str]:
        """What has come since and is still at work, but for the workers of `asyncio.to_thread`."""
        tasks = asyncio.all_tasks() - self._tasks if _in_a_loop() else set()
        threads = set(threading.enumerate()) - self._threads
        workers = ("asyncio_", "ThreadPoolExecutor-asyncio")
        return [
            *(f"task {each.get_name()}" for each in tasks if not each.done()),
            *(f"thread {each.name}" for each in threads if not each.name.startswith(workers)),
        ]


def least_seconds(work: Callable[[], object], *, limit: float) -> float:
    """How long `work` takes at least; it is tried again while that is `limit` or more.

    A busy machine stops a process any time, now and then several times in a row.
    """
    least = inf
    for _ in range(_TRIES):
        began = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - began)
        if least < limit:
            break
    return least


async def least_seconds_of(work: Callable[[], Awaitable[object]], *, limit: float) -> float:
    """As `least_seconds`, on a loop whose waits take no time."""
    least = inf
    for _ in range(_TRIES):
        began = time.perf_counter()
        await work()
        least = min(least, time.perf_counter() - began)
        if least < limit:
            break
    return least


async def longest_turn(work: Callable[[], Awaitable[object]], *, limit: float) -> float:
    """Seconds for which `work` keeps other tasks waiting at a time; the least of several tries."""

    async def tried() -> float:
        longest, task = 0.0, asyncio.ensure_future(work())
        while not task.done():
            began = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - began)
        await task
        return longest

    least = inf
    for _ in range(_TRIES):
        least = min(least, await tried())
        if least < limit:
            break
    return least


async def blocks_kept(
    work: Callable[[int], Awaitable[object]], *, first: int = 150, times: int = 25
) -> float:
    """Blocks of memory that each turn of `work` leaves behind, after so many `first` ones.

    What keeps a bounded number of things has them all by then. `work` is given the number of the turn.
    The rest of the process takes and gives back blocks as well, such as those of a thread that ends, but not
    in most of the spans that are looked at; the least of them would hide what is kept.
    """
    with quick_collections():
        kept, turn = list[int](), 0
        while _go_on(kept, times):
            for _ in range(times if kept else first):
                await work(turn)
                turn += 1
            await asyncio.sleep(_LONG)  # for timers that nobody needs any more
            gc.collect()
            kept.append(sys.getallocatedblocks())
    return _lately(kept) / times


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def blocks_kept_by(work: Callable[[int], object], *, first: int = 200, times: int = 50) -> float:
    """As `blocks_kept`, of work that nobody awaits."""
    with quick_collections():
        kept, turn = list[int](), 0
        while _go_on(kept, times):
            for _ in range(times if kept else first):
                work(turn)
                turn += 1
            gc.collect()
            kept.append(sys.getallocatedblocks())
    return _lately(kept) / times


def _go_on(kept: list[int], times: int) -> bool:
    """Whether to look at one more span: what warms up is done some day, and what is kept adds up in each."""
    if (
        len(kept) <= _SPANS or len(kept) % 2
    ):  # two at a time: what others do in every second one stays the less
        return True
    return len(kept) <= _MOST_SPANS and _lately(kept) > _LITTLE * times


def _lately(kept: list[int]) -> float:
    """The blocks that the latest spans added, as most of them did."""
    return median(after - before for before, after in pairwise(kept[-_SPANS - 1 :]))


@contextmanager
def quick_collections() -> Iterator[None]:
    """Only what is made meanwhile is looked at: all that a test process holds takes a tenth of a second."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def open_files() -> set[str]:
    """The files and sockets that this process has open; none where the system does not say."""
    found = set()
    for each in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            name = os.readlink(each)
            if name.startswith(("/", "socket:")) and not name.startswith("/proc/"):
                found.add(f"{name} ({each.name})")
    return found


class Quiet:
    """What a plugin does while it is made and asked: threads, connections. Use it as a context."""

    def __enter__(self) -> Quiet:
        self._network = network_refused()
        self._wanted = self._network.__enter__()
        self._company = Company()
        return self

    def __exit__(self, *error: Any) -> None:
        self._network.__exit__(*error)

    def check(self) -> None:
        """Assert that nothing was opened and nobody is at work."""
        assert not self._wanted, f"it wants to go to {self._wanted[0]}"
        newcomers = self._company.newcomers()
        assert not newcomers, f"it starts {', '.join(newcomers)}"
