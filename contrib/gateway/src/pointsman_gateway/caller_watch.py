"""Whoever answers is cancelled when the caller has gone away, whatever is waited for just then."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal

from pointsman_gateway.bodies import Receive

Why = Literal["", "left", "unread", "ending"]
"""The caller went away, does not read, or is told that the gateway ends; "" for none of that."""


class CallerWatch:
    """Cancels the task that entered it when the caller goes away, until it is `over`.

    No framework does so for a handler that has not begun to answer. The body must have been read before.
    A cancellation of its making ends at the end of the `with`: what follows runs on.

    Attributes:
        why: what it has cancelled its owner for.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._owner: asyncio.Task[object] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.why: Why = ""

    def __enter__(self) -> CallerWatch:
        self._owner = asyncio.current_task()
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.cancel_owner("left")

    def cancel_owner(self, why: Why) -> None:
        """End what the owner does, once, as if the caller had gone away."""
        owner, self._owner = self._owner, None
        if owner is not None:
            self.why = why
            owner.cancel()

    def over(self) -> None:
        """All is answered but for the last write: from now on nobody is cancelled."""
        self._owner = None
        if self._watcher is not None:
            self._watcher.cancel()

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
