"""An event loop that runs whatever is ready in any order, so that a race does not hide behind a habit.

    async def race(seed: int) -> None:
        ...

    explore(race, 200)      # fails with the seed that replays it

Order is all that is left to chance in a single thread. The loop of asyncio always takes the oldest callback
first, so a test sees one of many orders, and a user's machine sooner or later the others.
"""

from __future__ import annotations

import asyncio
import os
import random
from asyncio.base_events import BaseEventLoop
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pointsman.testing.loop import VirtualLoop, run

SEED_VARIABLE = "POINTSMAN_SEED"
"""The environment variable with which a failed test is replayed: it takes the place of all other seeds."""


class ShuffleLoop(VirtualLoop):
    """A `VirtualLoop` that permutes what is ready in each turn; the seed decides how.

    Only the order inside a turn changes: what a turn makes ready still waits for the next one, so nothing is
    ever put off for longer than asyncio would. Two orders are kept, because asyncio itself relies on them:

    - timers that are due in the same turn run by their time; only those of one instant change places;
    - callbacks of transports, protocols and of the loop run in the order in which they were made: a protocol
      hears of its connection before its data, and of its end last.

    `call_soon` promises the order of its calls for everybody's callbacks, and here it does not hold: who
    needs it finds out. What a thread hands in with `call_soon_threadsafe` is not replayed by the seed.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        rng = random.Random(seed)  # noqa: S311 - a test's chance
        # asyncio has no place to hook in: `BaseEventLoop` keeps what is ready in this deque, in all versions.
        self._ready = _Deck(self._ready, rng)  # type: ignore[has-type]  # private

    def _run_once(self) -> None:
        self._ready.shuffled = False
        BaseEventLoop._run_once(self)  # type: ignore[attr-defined]  # private


class _Deck(deque[asyncio.Handle]):
    """The ready queue; it is shuffled when a turn takes its first callback, for by then it is complete."""

    def __init__(self, ready: Iterable[asyncio.Handle], rng: random.Random) -> None:
        super().__init__(ready)
        self.shuffled = True
        self._rng = rng

    def popleft(self) -> asyncio.Handle:
        if not self.shuffled:
            self.shuffled = True
            if len(self) > 1:
                self._shuffle()
        return super().popleft()

    def _shuffle(self) -> None:
        # Other threads may append meanwhile; that goes to the end, and belongs to the next turn.
        before = [super(_Deck, self).popleft() for _ in range(len(self))]
        after = before.copy()
        self._rng.shuffle(after)
        _keep(after, [each for each in before if _belongs_to_asyncio(each)], _belongs_to_asyncio)
        timers = sorted((each for each in after if isinstance(each, asyncio.TimerHandle)), key=_time)
        _keep(after, timers, _is_timer)
        self.extendleft(reversed(after))


def _keep(shuffled: list[asyncio.Handle], order: list[Any], which: Callable[[asyncio.Handle], bool]) -> None:
    """Put those of `which` in `order`, in the places that they drew."""
    if len(order) < 2:
        return
    ordered = iter(order)
    for place, each in enumerate(shuffled):
        if which(each):
            shuffled[place] = next(ordered)


def _time(timer: asyncio.TimerHandle) -> float:
    return timer.when()


def _is_timer(handle: asyncio.Handle) -> bool:
    return isinstance(handle, asyncio.TimerHandle)


def _belongs_to_asyncio(handle: asyncio.Handle) -> bool:
    if isinstance(handle, asyncio.TimerHandle):
        return False
    owner = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]  # private
    return isinstance(owner, asyncio.BaseTransport | asyncio.BaseProtocol | asyncio.AbstractEventLoop)


def explore(work: Callable[[int], Coroutine[Any, Any, object]], seeds: int | Iterable[int] = 100) -> None:
    """Run `work(seed)` on a fresh `ShuffleLoop` for each of `seeds`; a number stands for so many.

    `work` is handed the seed so that the rest of its chance can follow from it too. The first failure is
    raised as it is, with a note that says how to replay it; see `seeded`.
    """
    given = os.environ.get(SEED_VARIABLE)
    if given is not None:
        seeds = [int(given)]
    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        with seeded(seed):
            run(work(seed), partial(ShuffleLoop, seed))


@contextmanager
def seeded(seed: int | None = None) -> Iterator[int]:
    """`with seeded() as seed:` gives a seed, and a failure inside names it, with how to replay it.

    The seed is `seed`, or else what the environment variable POINTSMAN_SEED says, or else a new one.
    """
    if seed is None:
        given = os.environ.get(SEED_VARIABLE)
        seed = random.SystemRandom().getrandbits(32) if given is None else int(given)
    try:
        yield seed
    except Exception as error:
        error.add_note(f"seed {seed}; replay with {SEED_VARIABLE}={seed}")
        raise
