"""A response of which more is to come, as our own client takes it."""

from __future__ import annotations

from contextlib import suppress

from pointsman_h1.body import H1Body


class H1Reply(H1Body):
    """The `Reply` of `H1Transport.exchange`. Dropped without being closed, it closes its connection."""

    __slots__ = ()

    @property
    def status(self) -> int:
        return self._reader.status

    @property
    def fields(self) -> dict[str, str]:
        return self._reader.named()

    def __del__(self) -> None:
        if self._connection.reader is self._reader:
            # Perhaps on the thread of the garbage collector, or after the loop has closed.
            with suppress(RuntimeError):
                self._connection.loop.call_soon_threadsafe(self._connection.drop, self._reader)
