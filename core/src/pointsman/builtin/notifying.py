"""What the system tells of changes in folders, by watchfiles: a thread that says when it is time to look."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

_GROUPED = 200
"""Milliseconds in which changes are told of together."""
_STEP = 100
"""Milliseconds between looks of the library at what it was told."""
_LOG = "watchfiles.main"
"""The logger of the library."""
_PATIENCE = 500
"""Milliseconds after which the thread looks whether it is still wanted."""


class Notifications:
    """Calls `changed` on `loop` after something changed in `folders`, until it is stopped.

    The library is imported in the thread, for it takes as long as a call. One that cannot watch, as where the
    system has no watches left, ends without a word: whoever is told looks by itself, too.
    """

    def __init__(
        self, folders: frozenset[str], loop: asyncio.AbstractEventLoop, changed: Callable[[], None]
    ) -> None:
        self.folders = folders
        self._loop = loop
        self._changed = changed
        self._stopped = threading.Event()
        # No daemon: one that the interpreter ends within the library takes the process with it.
        self._thread = threading.Thread(target=self._run, name="pointsman-watch", daemon=False)
        self._thread.start()

    def stop(self) -> None:
        """Tell of nothing more; the thread ends within a moment."""
        self._stopped.set()

    async def aclose(self) -> None:
        """The same, and wait for that."""
        self.stop()
        await asyncio.to_thread(self._thread.join)  # which virtual time waits for, too

    def _run(self) -> None:
        # The library logs at INFO whatever changes in the folder, also files that nobody asked about.
        log = logging.getLogger(_LOG)
        log.addFilter(self._is_of_others)
        try:
            with suppress(OSError, ImportError):
                self._watch()
        finally:
            log.removeFilter(self._is_of_others)

    def _is_of_others(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread.ident

    def _watch(self) -> None:
        from watchfiles import watch

        told = watch(
            *sorted(self.folders),
            watch_filter=None,
            debounce=_GROUPED,
            step=_STEP,
            stop_event=self._stopped,
            rust_timeout=_PATIENCE,
            yield_on_timeout=True,
            recursive=False,
        )
        first = True
        for changes in told:
            # At the end of the program nobody may be left who would stop it.
            if self._loop.is_closed() or not threading.main_thread().is_alive():
                return
            if changes or first:  # nobody was told of what changed before this began
                self._tell(self._changed)
            first = False

    def _tell(self, what: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(what)


def folders_of(paths: Iterable[str]) -> frozenset[str]:
    """The folders in which something happens when one of the files at `paths` changes, or a link to it."""
    found = set()
    for path in paths:
        for each in (os.path.abspath(path), os.path.realpath(path)):
            folder = each if os.path.isdir(each) else os.path.dirname(each)
            if os.path.isdir(folder):
                found.add(folder)
    return frozenset(found)
