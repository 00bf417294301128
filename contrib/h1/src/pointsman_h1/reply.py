"""A response, as our own client takes it."""

from __future__ import annotations

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
