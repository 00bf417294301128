"""Whoever answers is cancelled when the caller has gone away, whatever is waited for just then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from pointsman_gateway.exchange.bodies import Receive

OnGone = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes what to call when the caller has gone away, at once if it has; returns what takes that back."""
Why = Literal["", "left", "unread", "ending"]
"""The caller went away, does not read, or is told that the gateway ends; "" for none of that."""


class CallerWatch:
    """Cancels the task that entered it when the caller goes away, until it is `over`.

    No framework does so for a handler that has not begun to answer. The body must have been read before.
    A cancellation of its making ends at the end of the `with`: what follows runs on.

    Args:
        on_gone: of a server that tells by a call; else `receive` is waited for in a task, which costs more.

    Attributes:
        why: what it has cancelled its owner for.
    """

    def __init__(self, receive: Receive, on_gone: OnGone | None = None) -> None:
        self._receive = receive
        self._on_gone = on_gone
        self._owner: asyncio.Task[object] | None = None
        self._end: Callable[[], object] | None = None
        self.why: Why = ""

    def __enter__(self) -> CallerWatch:
        self._owner = asyncio.current_task()
        if self._on_gone is not None:
            self._end = self._on_gone(self._left)
        else:
            self._end = asyncio.create_task(self._watch()).cancel
        return self

    def _left(self) -> None:
        self.cancel_owner("left")

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left()

    def cancel_owner(self, why: Why) -> None:
        """End what the owner does, once, as if the caller had gone away."""
        owner, self._owner = self._owner, None
        if owner is not None:
            self.why = why
            owner.cancel()

    def over(self) -> None:
        """All is answered but for the last write: from now on nobody is cancelled."""
        self._owner = None
        end, self._end = self._end, None
        if end is not None:
            end()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.over()
        if not self.why:
            return False
        task = asyncio.current_task()
        assert task is not None
        left = task.uncancel()
        # Of others who cancelled it, too, nothing is kept from them.
        return isinstance(error, asyncio.CancelledError) and left == 0
