"""Idle connections."""

from __future__ import annotations

import asyncio

from pointsman_h1.connection import Connection


class IdlePool:
    """Takes and gives in constant time, last in first out, so that those not needed grow old and expire.

    Age is looked at when a connection is taken, and by one timer for all of them.
    """

    def __init__(self, expiry: float, loop: asyncio.AbstractEventLoop) -> None:
        """`expiry`: seconds after which an idle connection is not used again."""
        self._expiry = expiry
        self._loop = loop
        # By origin, oldest first: a dict gives its last item, and any by name, without looking for it.
        self._idle: dict[object, dict[Connection, None]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def take(self, key: object) -> Connection | None:
        """The connection to `key` that was given last, if there is one that can be used."""
        stack = self._idle.get(key)
        if not stack:
            return None
        oldest = self._loop.time() - self._expiry
        while stack:
            connection, _ = stack.popitem()
            if connection.idle_since > oldest:
                return connection
            connection.abort()
        return None

    def give(self, connection: Connection) -> None:
        connection.idle_since = self._loop.time()
        stack = self._idle.get(connection.key)
        if stack is None:
            stack = self._idle[connection.key] = {}
        stack[connection] = None
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._expiry, self._expire)

    def discard(self, connection: Connection) -> None:
        """Forget `connection`, if it is here."""
        stack = self._idle.get(connection.key)
        if stack is not None:
            stack.pop(connection, None)

    def close(self) -> None:
        """Stop the timer."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _expire(self) -> None:
        self._sweep = None
        oldest = self._loop.time() - self._expiry
        for key, stack in list(self._idle.items()):
            while stack and (connection := next(iter(stack))).idle_since <= oldest:
                connection.abort()
                stack.pop(connection, None)
            if not stack:
                del self._idle[key]
        if self._idle:
            since = min(next(iter(stack)).idle_since for stack in self._idle.values())
            self._sweep = self._loop.call_at(since + self._expiry, self._expire)
