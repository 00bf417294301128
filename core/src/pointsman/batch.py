"""Many requests at once: a bounded number in flight, results as they finish or in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman.errors import PointsmanError
from pointsman.requests.checks import expect, shown
from pointsman.types import ChatRequest, ChatResponse

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

_SLOWEST, _FASTEST = 1e-6, 1e9
"""Requests per minute."""
_Chat = Callable[[ChatRequest], Awaitable[ChatResponse]]


class BatchResult(Struct, frozen=True):
    """What became of one request: a `response`, or else an `error`.

    Attributes:
        index: which one it is, in the order in which they were given, from 0.
        request: as it was given.
        response: the whole answer; None where it failed.
        error: why it failed; None where it did not.
    """

    index: int
    request: ChatRequest
    response: ChatResponse | None = None
    error: PointsmanError | None = None


class Batch:
    """The results of many requests; iterate over it. Leaving early cancels what still runs.

    Requests are taken from the iterable only as places become free, so it may be endless.
    """

    def __init__(
        self,
        chat: _Chat,
        requests: Iterable[ChatRequest],
        *,
        concurrency: int = 8,
        ordered: bool = False,
        per_minute: float | None = None,
    ) -> None:
        """Nothing starts before the first step.

        Args:
            concurrency: requests in flight at most, 1 or more.
            ordered: give the results in the order of the requests; a slow one then holds back later ones,
                and no further request is begun while `concurrency` finished ones wait for it.
            per_minute: requests begun per minute at most, evenly paced; None for no limit.
        """
        if not isinstance(concurrency, int) or concurrency < 1:
            raise ValueError(f"concurrency is {shown(concurrency)}; expected a whole number of 1 or more")
        if per_minute is not None and not (
            isinstance(per_minute, int | float) and _SLOWEST <= per_minute <= _FASTEST
        ):
            raise ValueError(f"per_minute is {shown(per_minute)}; expected more than 0")
        self._chat = chat
        self._requests = enumerate(requests)
        self._concurrency = concurrency
        self._ordered = ordered
        self._pace = None if per_minute is None else _pace(per_minute)
        self._running: set[asyncio.Task[BatchResult]] = set()
        self._held: dict[int, BatchResult] = {}
        self._next = 0
        self._exhausted = False

    def __aiter__(self) -> Batch:
        return self

    async def __aenter__(self) -> Batch:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def __anext__(self) -> BatchResult:
        try:
            while True:
                # Places are filled first: a caller who works through what is held must not run them dry.
                self._start()
                if (result := self._pop()) is not None:
                    return result
                if not self._running:
                    break
                done, self._running = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                # `done` is a set: of those that finished together the earliest request comes first.
                for result in sorted((task.result() for task in done), key=lambda each: each.index):
                    self._held[result.index] = result
        except BaseException:
            await self.aclose()
            raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel what still runs and wait until it is gone."""
        self._exhausted = True
        running, self._running = self._running, set()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task in running:
            if not task.cancelled():
                task.exception()  # seen, so that nobody warns of it

    def __del__(self) -> None:
        for task in getattr(self, "_running", ()):  # `__init__` may have raised before there was any
            if not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)

    def _pop(self) -> BatchResult | None:
        if self._ordered:
            result = self._held.pop(self._next, None)
        else:
            result = self._held.pop(next(iter(self._held))) if self._held else None
        if result is not None:
            self._next += 1
        return result

    def _start(self) -> None:
        while not self._exhausted and len(self._running) + len(self._held) < self._concurrency:
            try:
                index, request = next(self._requests)
            except StopIteration:
                self._exhausted = True
                return
            self._running.add(asyncio.ensure_future(_one(self._chat, self._pace, index, request)))


async def _one(chat: _Chat, pace: AsyncLimiter | None, index: int, request: ChatRequest) -> BatchResult:
    # No method: a task that holds the batch would keep it alive, and dropping it would cancel nothing.
    if pace is not None:
        await pace.acquire()
    try:
        # `chat` would take a text for the name of a model.
        expect(request, f"requests[{index}]", ChatRequest, "a ChatRequest")
        return BatchResult(index, request, response=await chat(request))
    except PointsmanError as error:
        return BatchResult(index, request, error=error)


def _pace(per_minute: float) -> AsyncLimiter:
    from aiolimiter import AsyncLimiter  # imported when it is asked for: most programs never pace a batch

    return AsyncLimiter(1, 60.0 / per_minute)
