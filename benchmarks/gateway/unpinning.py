"""Everybody on all cores for a while, where each has a core of its own otherwise."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import cpu_time


@contextmanager
def unpinned(cores: Set[int]) -> Iterator[None]:
    """This process and all below it may run on `cores`, until the block ends."""
    before: dict[int, set[int]] = {}
    for thread in _threads():
        with contextlib.suppress(OSError):  # it may have ended
            before[thread] = os.sched_getaffinity(thread)
            os.sched_setaffinity(thread, cores)
    try:
        yield
    finally:
        own = before[os.getpid()]
        parents = {pid: before.get(pid, own) for pid in cpu_time.tree(os.getpid())}
        for pid, cores_before in parents.items():
            for thread in _threads_of(pid):
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(thread, before.get(thread, cores_before))


def _threads() -> Iterator[int]:
    for pid in cpu_time.tree(os.getpid()):
        yield from _threads_of(pid)


def _threads_of(pid: int) -> list[int]:
    try:
        return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
