"""When requests are written to their sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointsman_h1.connection import Connection


class Outbox:
    """Requests that wait for the loop to have looked at every socket once; then all go out in a row.

    By then a connection that the server has closed meanwhile is known for one, and nothing is sent on it:
    asking each socket before its use would take a system call. And a server that sleeps between two
    requests has to be woken for each of them, which is dearer than the sending; of several in a row only the
    first wakes it.
    """

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Connection] = []

    def put(self, connection: Connection) -> None:
        """Have `connection` begin its exchange, two turns of the loop from now at the latest."""
        waiting = self._waiting
        waiting.append(connection)
        if len(waiting) == 1:
            # What the loop finds at its sockets comes behind what was called soon before: two turns it is.
            self._loop.call_soon(self._loop.call_soon, self._send)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.begin()
