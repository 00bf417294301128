"""What happened lately, with numbers, for readers who come, fall behind, and come back."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from typing import get_args

from pointsman.control.following import event_json, kind_of
from pointsman.events import PROGRESS, Event, Progress

_KEPT = 2_000
"""Events; a reader who comes back later than that hears that there was more."""
SETTLED_EVERY = 0.25
"""Seconds between two sums, in which no more events should come than are kept."""
_AT_ONCE = 100
"""Events that are written in one piece, so that a reader who is behind catches up in steps."""
_MOST_READERS = 100
_NUMBER = re.compile("[0-9]{1,18}")


Sums = Callable[[Iterable[tuple[float, Event | Progress]], int], None]


class TooManyReaders(Exception):
    """No further one can follow for now."""


class Journal:
    """Keeps the latest events, and wakes who waits for the next one.

    What of a request happens on its way is only heard of while somebody reads: to tell it costs every call.

    Args:
        listen: `Router.listen`.
        wall: seconds since 1970.
        run: distinguishes the numbers of this process from those of the one before.
        sums: is given by `settle` what has happened since, each with when, and how many have been forgotten.
    """

    def __init__(
        self,
        listen: Callable[..., Callable[[], None]],
        wall: Callable[[], float],
        run: str,
        sums: Sums = lambda _entries, _lost: None,
    ) -> None:
        self._listen = listen
        self._wall = wall
        self._run = run
        self._entries: deque[tuple[float, Event | Progress]] = deque(maxlen=_KEPT)
        self._number = 0
        self._sums = sums
        self._summed = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._readers = 0
        self._stop = listen(self.add, kinds=get_args(Event))
        self._stop_details: Callable[[], None] | None = None

    def add(self, event: Event | Progress) -> None:
        """Take note of `event`."""
        self._number += 1
        self._entries.append((self._wall(), event))  # written when somebody reads it
        if self._waiting:
            waiting, self._waiting = self._waiting, set()
            for each in waiting:
                if not each.done():
                    each.set_result(None)

    def settle(self) -> None:
        """Have all that happened summed up; beside calls, of whose cost it would be a hundredth."""
        new, self._summed = self._number - self._summed, self._number
        known = min(new, len(self._entries))
        if new:
            self._sums(islice(self._entries, len(self._entries) - known, None), new - known)

    def follow(self, last_id: str) -> AsyncIterator[bytes]:
        """Server-sent events from behind the one with that id; "" for from now on. Close it after use.

        Raises: TooManyReaders.
        """
        if self._readers >= _MOST_READERS:
            raise TooManyReaders
        return _Reader(self, self._position(last_id))

    def _position(self, last_id: str) -> int | None:
        """The number behind which a reader goes on; None for one of another process."""
        if not last_id:
            return self._number
        run, _, number = last_id.partition("-")
        if run != self._run or not _NUMBER.fullmatch(number) or int(number) > self._number:
            return None
        return int(number)

    def read_behind(self, number: int | None) -> tuple[bytes, int] | None:
        """Frames of what happened behind `number`, and the number they end with; None for nothing yet."""
        entries = self._entries
        first = self._number - len(entries) + 1
        missed = number is None or number + 1 < first
        start = first if missed or number is None else number + 1
        end = min(self._number, start + _AT_ONCE - 1)
        if end < start and not missed:
            return None
        frames = [b"event: gap\ndata: {}\n\n"] if missed else []
        frames += [self._frame(at, *entries[at - first]) for at in range(start, end + 1)]
        return b"".join(frames), end

    def _frame(self, number: int, wall: float, event: Event | Progress) -> bytes:
        head = f"id: {self._run}-{number}\nevent: {kind_of(type(event))}\ndata: "
        return head.encode() + event_json(event, wall) + b"\n\n"

    async def more(self) -> None:
        """Return when something further has happened."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            self._waiting.discard(waiting)

    def came(self) -> None:
        """A reader has come."""
        self._readers += 1
        if self._stop_details is None:
            self._stop_details = self._listen(self.add, kinds=PROGRESS)

    def went(self) -> None:
        """One has gone."""
        self._readers -= 1
        if self._readers == 0 and self._stop_details is not None:
            self._stop_details()
            self._stop_details = None

    def close(self) -> None:
        """Hear of nothing any more."""
        self._stop()
        if self._stop_details is not None:
            self._stop_details()


class _Reader(AsyncIterator[bytes]):
    def __init__(self, journal: Journal, position: int | None) -> None:
        self._journal = journal
        self._position = position
        self._began = self._closed = False
        journal.came()

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        if not self._began:
            self._began = True
            return b": events\n\nretry: 2000\n\n"  # so that the reader knows at once that it is one
        while (found := self._journal.read_behind(self._position)) is None:
            await self._journal.more()
        frames, self._position = found
        return frames

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._journal.went()


def kinds() -> Sequence[str]:
    """The names of all events that are told of."""
    return [*map(kind_of, (*get_args(Event), *PROGRESS)), "gap"]
