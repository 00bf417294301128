"""One connection, and what happens on it."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Protocol, cast

import httpx

from pointsman.plugin import last_words
from pointsman_h1.framing import FramingError, ResponseReader
from pointsman_h1.request import Outgoing

READ_BYTES = 64 * 1024
HIGH_WATER = 128 * 1024
"""Bytes of a body that nobody took yet, beyond which the socket is not read."""
_REFUSED = 300


class NeverSent(Exception):
    """The connection was closed before anything of the request was sent, which can go out on another."""


class Owner(Protocol):
    """Whoever lends connections out.

    Attributes:
        buffer: what all of its connections read into: nothing stays there from one read to the next, and a
            thousand idle connections need none of their own.
    """

    buffer: memoryview

    def opened(self, connection: Connection) -> None:
        """`connection` has its socket."""

    def ended(self, connection: Connection, *, keep: bool) -> None:
        """An exchange on `connection` is over, or will not begin; `keep`: it can carry another one."""

    def closed(self, connection: Connection) -> None:
        """`connection` is not to be used again."""


class Connection(asyncio.BufferedProtocol):
    """A socket that carries one exchange after the other.

    `reader` is that of the exchange under way, None while idle and until its first byte was written.
    `next` is the one that was asked for and has not begun: what goes out first, its reader, and whether more
    follows. `Owner.ended` is called for it once, unless its reader hears NeverSent.

    Everything waits on one future, and looks again when it is woken: for the head, for more of the body, for
    room to write.
    """

    __slots__ = (
        "_buffer",
        "_closed",
        "_owner",
        "_reading_paused",
        "_sending",
        "_transport",
        "_waiter",
        "_writing_paused",
        "idle_since",
        "key",
        "loop",
        "next",
        "reader",
    )

    def __init__(self, key: object, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.key = key
        self.idle_since = 0.0
        self.reader: ResponseReader | None = None
        self.next: tuple[bytes, ResponseReader, bool] | None = None
        self._owner = owner
        self.loop = loop
        self._buffer = owner.buffer
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._reading_paused = self._writing_paused = self._sending = self._closed = False

    def begin(self) -> None:
        """Write the first bytes of the exchange that was asked for, unless it was given up."""
        if self.next is None:
            return
        (data, reader, more), self.next = self.next, None
        if self._closed:
            reader.error = NeverSent()
            self._wake()
            return
        self.reader = reader
        self._sending = more  # from now on, and not only when its task has had its turn
        self._live.write(data)
        if more:
            self._wake()

    async def send_rest(self, outgoing: Outgoing, reader: ResponseReader) -> None:
        """Send what does not fit in one piece, no faster than it leaves, unless the server refuses it.

        It begins when the exchange does. Raises: what the request's stream raises.
        """
        await self.wait()
        if self.reader is not reader:
            return
        pieces = outgoing.pieces()
        try:
            async for piece in pieces:
                while self.reader is reader and reader.status < _REFUSED and self._is_held_up():
                    await self.wait()
                if self.reader is not reader or reader.status >= _REFUSED:
                    return
                self._live.write(piece)
            self._sending = False
        finally:
            await pieces.aclose()

    def wait(self) -> asyncio.Future[None]:
        """What is done when something has changed, perhaps. One task at a time."""
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("two tasks read one response")
        waiter = self._waiter = self.loop.create_future()
        return waiter

    def taken(self, reader: ResponseReader) -> None:
        """Tell that the body of `reader` was taken out, so that more may come."""
        if self._reading_paused and self.reader is reader:
            self._reading_paused = False
            self._live.resume_reading()

    def abort(self, reader: ResponseReader | None = None, error: Exception | None = None) -> None:
        """Close the socket at once; unsent and unread bytes are dropped.

        With a `reader` only if its exchange is under way; one that has not begun will not. `error` is what
        those hear who wait.
        """
        current = self.reader
        if reader is not None and current is not reader:
            if self.next is not None and self.next[1] is reader:
                self.next = None
                self._owner.ended(self, keep=not self._closed)
            return
        self._closed = True
        self._owner.closed(self)
        if self._transport is not None:
            self._transport.abort()
        if current is not None:
            if current.error is None:
                current.error = error
            self._end(keep=False)

    # ── called by the event loop ─────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # not every loop's is an instance of it
        if self._closed:
            self._transport.abort()
        else:
            self._owner.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        reader = self.reader
        if reader is None:  # nobody asked for it
            self.abort()
            return
        try:
            reader.feed(self._buffer[:nbytes])
        except FramingError as error:
            self._refuse(reader, error)
            return
        if reader.done:
            self._complete(reader)
            return
        if reader.buffered > HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self._live.pause_reading()
        if reader.status:
            self._wake()

    def eof_received(self) -> None:
        reader = self.reader
        if reader is None:
            self.abort()
            return
        try:
            reader.eof()
        except FramingError as error:
            self._refuse(reader, error)
        else:
            self._complete(reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._owner.closed(self)
        reader = self.reader
        if reader is not None:
            if exc is None:
                self.eof_received()
            else:
                error = _broken(exc, sending=self._sending)
                self._hear_out(reader)
                self.abort(reader, error)
        self._transport = None

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def _live(self) -> asyncio.Transport:
        assert self._transport is not None, "a connection is used between made and lost"
        return self._transport

    def _is_held_up(self) -> bool:
        """Nothing can be written now: the buffers are full, or the connection is about to be lost."""
        return self._writing_paused or self._live.is_closing()

    def _complete(self, reader: ResponseReader) -> None:
        if reader.keep_alive and not self._sending and not self._closed:
            self._end(keep=True)
        else:
            self.abort(reader)

    def _hear_out(self, reader: ResponseReader) -> None:
        """Take in what had come before the connection broke; that may be the whole answer."""
        for piece in last_words(self._transport):
            if self.reader is not reader:
                return
            self._buffer[: len(piece)] = piece
            self.buffer_updated(len(piece))

    def _refuse(self, reader: ResponseReader, error: FramingError) -> None:
        refusal = httpx.RemoteProtocolError(str(error))
        refusal.__cause__ = error
        self.abort(reader, refusal)

    def _end(self, *, keep: bool) -> None:
        if keep and self._reading_paused and self.reader is not None:
            self.taken(self.reader)  # while it is the one under way: of no other is it heard
        self.reader = None
        self._sending = False
        self._owner.ended(self, keep=keep)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None:
            return
        self._waiter = None  # now, because the next exchange may begin before this one's task runs
        if not waiter.done():
            waiter.set_result(None)


def _broken(error: Exception, *, sending: bool) -> httpx.TransportError:
    """The httpx error for a connection that was lost."""
    what = httpx.WriteError if sending else httpx.ReadError
    match error:
        case ssl.SSLError():
            why = f"TLS failed: {error.reason}"
        case OSError(errno=int(number)):
            why = f"the connection broke: {os.strerror(number)}"
        case _:
            why = f"the connection broke: {type(error).__name__}"
    broken = what(why)
    broken.__cause__ = error
    return broken
