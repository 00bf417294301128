"""A response, as our own client takes it."""

from __future__ import annotations

from contextlib import suppress

from pointsman_h1.body import H1Body


class H1Reply(H1Body):
    """The `Reply` of `H1Transport.exchange`."""

    __slots__ = ()

    @property
    def status(self) -> int:
        return self._reader.status

    def named(self) -> dict[str, str]:
        return self._reader.named()

    def whole(self) -> bytes | None:
        reader = self._reader
        if self._aborted or not reader.done:
            return None
        self._ended = True
        return reader.take()


class OpenReply(H1Reply):
    """One of whose body more may come. Dropped without being closed, it closes its connection."""

    __slots__ = ()

    def __del__(self) -> None:
        if self._connection.reader is self._reader:
            # Perhaps on the thread of the garbage collector, or after the loop has closed.
            with suppress(RuntimeError):
                self._connection.loop.call_soon_threadsafe(self._connection.abort, self._reader)
