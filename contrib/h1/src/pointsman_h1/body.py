"""The body of a response, as its caller reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine

import httpx

from pointsman_h1.connection import Connection
from pointsman_h1.framing import ResponseReader


class H1Body(httpx.AsyncByteStream):
    """The body of one response, as it came over the wire; iterate it once.

    The connection is free as soon as all of the body is here, read or not.
    """

    __slots__ = ("_aborted", "_connection", "_ended", "_iterated", "_reader")

    def __init__(self, connection: Connection, reader: ResponseReader) -> None:
        self._connection = connection
        self._reader = reader
        self._iterated = False
        self._aborted = False
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._iterated:
            raise httpx.StreamConsumed
        if self._aborted:
            raise httpx.StreamClosed
        self._iterated = True
        return _Pieces(self)

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._ended or self._aborted:
            return
        self._aborted = True
        self._reader.pieces.clear()
        self._connection.drop(self._reader, httpx.ReadError("the response was aborted"))

    def ready(self) -> bytes | None:
        """What has come since the last time; b"" at the end, None where that takes waiting or has failed."""
        reader = self._reader
        if self._aborted:
            return None
        if reader.pieces:
            piece = reader.take()
            self._connection.taken(reader)
            return piece
        if reader.done:
            self._ended = True
            return b""
        return None

    async def next(self) -> bytes:
        """What has come since the last time, waiting for it only where nothing has.

        Raises: StopAsyncIteration at the end, `httpx.TransportError` when the body ends before that.
        """
        reader = self._reader
        while not self._aborted:
            if reader.pieces:
                piece = reader.take()
                self._connection.taken(reader)
                return piece
            if reader.done:
                self._ended = True
                raise StopAsyncIteration
            if reader.error is not None:
                raise reader.error
            try:
                await self._connection.wait()
            except BaseException:
                self.abort()
                raise
        raise httpx.ReadError("the response was aborted")


class _Pieces:
    """Iterates a body. A class, because an asynchronous generator costs more than the pieces themselves."""

    __slots__ = ("_body",)

    def __init__(self, body: H1Body) -> None:
        self._body = body

    def __aiter__(self) -> _Pieces:
        return self

    def __anext__(self) -> Coroutine[None, None, bytes]:
        return self._body.next()
