"""One connection, and what happens on it."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Protocol, cast

import httpx

from pointsman.plugin import Whole, last_words
from pointsman_h1.framing import FramingError, ResponseReader
from pointsman_h1.heads import KnownHeads
from pointsman_h1.request import Outgoing

READ_BYTES = 64 * 1024
HIGH_WATER = 128 * 1024
"""Bytes of a body that nobody took yet, beyond which the socket is not read."""
_REFUSED = 300


Found = Whole | ResponseReader | Exception | None
"""What comes of a request: all of the answer; what reads one of which more is to come; what went wrong.

None: the connection was closed before anything was sent, so that the request can go out on another one.
"""


Asked = tuple[bytes, "asyncio.Future[Found]", ResponseReader | None, bool]
"""A request that is to go out: its first bytes; its answer; what reads that, or None where it is read as
`ResponseReader()` does; and whether more follows the first bytes."""


class Owner(Protocol):
    """Whoever lends connections out.

    Attributes:
        buffer: what all of its connections read into: nothing stays there from one read to the next, and a
            thousand idle connections need none of their own.
        heads: what is known of the heads of answers.
    """

    buffer: memoryview
    heads: KnownHeads

    def opened(self, connection: Connection) -> None:
        """`connection` has its socket."""

    def ended(self, connection: Connection, *, keep: bool) -> None:
        """An exchange on `connection` is over, or will not begin; `keep`: it can carry another one."""

    def closed(self, connection: Connection) -> None:
        """`connection` is not to be used again."""


class Connection(asyncio.BufferedProtocol):
    """A socket that carries one exchange after the other.

    `answer` is that of the exchange under way, None while idle and until its first byte was written; `reader`
    reads it, once something came that is not the whole answer. `next` is the request that has not begun.
    `Owner.ended` is called once for each that was asked for, unless nothing of it was sent.

    A request waits for its answer. Everything else waits on one future, and looks again when it is woken: for
    more of the body, for room to write.
    """

    __slots__ = (
        "_buffer",
        "_closed",
        "_owner",
        "_reading_paused",
        "_sending",
        "_transport",
        "_waiter",
        "_write",
        "_writing_paused",
        "answer",
        "idle_since",
        "key",
        "loop",
        "next",
        "reader",
    )

    def __init__(self, key: object, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.key = key
        self.idle_since = 0.0
        self.answer: asyncio.Future[Found] | None = None
        self.reader: ResponseReader | None = None
        self.next: Asked | None = None
        self._owner = owner
        self.loop = loop
        self._buffer = owner.buffer
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._reading_paused = self._writing_paused = self._sending = self._closed = False

    def begin(self) -> None:
        """Write the first bytes of the request that is to go out, unless it was given up."""
        asked = self.next
        if asked is None:
            return
        data, answer, reader, more = asked
        if answer.done():  # it was cancelled, which its task has not heard of yet
            return
        self.next = None
        if self._closed:
            _tell(answer, None)
            self._wake()
            return
        self.answer = answer
        self.reader = reader
        self._sending = more  # from now on, and not only when its task has had its turn
        self._write(data)
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
                self._write(piece)
            self._sending = False
        finally:
            await pieces.aclose()

    def wait(self) -> asyncio.Future[None]:
        """What is done when something has changed, perhaps. One task at a time."""
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("two tasks read one response")
        waiter = self._waiter = asyncio.Future(loop=self.loop)
        return waiter

    def taken(self, reader: ResponseReader) -> None:
        """Tell that the body of `reader` was taken out, so that more may come."""
        if self._reading_paused and self.reader is reader:
            self._reading_paused = False
            self._live.resume_reading()

    def give_up(self, answer: asyncio.Future[Found]) -> None:
        """Nobody wants `answer` any more: nothing is sent if nothing was, or the socket is closed at once."""
        if self.answer is answer:
            self.abort()
        elif self.next is not None and self.next[1] is answer:
            self.next = None
            self._owner.ended(self, keep=not self._closed)
        elif answer.done() and not answer.cancelled() and answer.result() is None:
            self._owner.ended(self, keep=False)  # it would have gone out on another one

    def drop(self, reader: ResponseReader, error: Exception | None = None) -> None:
        """Nobody wants more of what `reader` reads: close the socket, unless it carries another answer."""
        if self.reader is reader:
            self.abort(error)

    def abort(self, error: Exception | None = None) -> None:
        """Close the socket at once; unsent and unread bytes are dropped.

        `error` is what those hear who wait for the answer under way.
        """
        self._closed = True
        self._owner.closed(self)
        if self._transport is not None:
            self._transport.abort()
        if self.answer is not None:
            if self.reader is not None and self.reader.error is None:
                self.reader.error = error
            self._end(error, keep=False)

    # ── called by the event loop ─────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # not every loop's is an instance of it
        self._write = self._transport.write
        if self._closed:
            self._transport.abort()
        else:
            self._owner.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = self._buffer[:nbytes]
        reader = self.reader
        if reader is None:
            answer = self.answer
            if answer is None:  # nobody asked for it
                self.abort()
                return
            # Most answers come in one piece, and most of those need no closer look.
            whole = None if self._closed else self._owner.heads.whole(data.tobytes())
            if whole is not None:
                self.answer = None
                self._owner.ended(self, keep=True)
                if not answer.done():
                    answer.set_result(whole)
                return
            reader = self._read()
        self._feed(reader, data)

    def eof_received(self) -> None:
        if self.answer is None:
            self.abort()
            return
        reader = self._read()
        try:
            reader.eof()
        except FramingError as error:
            self._refuse(error)
        else:
            self._complete(reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._owner.closed(self)
        if self.answer is not None:
            if exc is None:
                self.eof_received()
            else:
                error = _broken(exc, sending=self._sending)
                answer = self.answer
                self._hear_out(answer)
                if self.answer is answer:
                    self.abort(error)
        self._transport = None
        del self._write  # else who keeps an answer would keep the transport: 256 KiB of buffers, over TLS

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

    def _read(self) -> ResponseReader:
        """What reads the answer under way."""
        if self.reader is None:
            self.reader = ResponseReader(heads=self._owner.heads)
        return self.reader

    def _feed(self, reader: ResponseReader, data: memoryview) -> None:
        try:
            reader.feed(data)
        except FramingError as error:
            self._refuse(error)
            return
        if reader.done:
            self._complete(reader)
            return
        if reader.buffered > HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self._live.pause_reading()
        if reader.status:
            answer = self.answer
            if answer is not None and not answer.done():
                answer.set_result(reader)
            self._wake()

    def _complete(self, reader: ResponseReader) -> None:
        if reader.keep_alive and not self._sending and not self._closed:
            self._end(None, keep=True)
        else:
            self.abort()

    def _hear_out(self, answer: asyncio.Future[Found]) -> None:
        """Take in what had come before the connection broke; that may be the whole answer."""
        for piece in last_words(self._transport):
            if self.answer is not answer:
                return
            self._buffer[: len(piece)] = piece
            self.buffer_updated(len(piece))

    def _refuse(self, error: FramingError) -> None:
        refusal = httpx.RemoteProtocolError(str(error))
        refusal.__cause__ = error
        self.abort(refusal)

    def _end(self, error: Exception | None, *, keep: bool) -> None:
        """The exchange under way is over; `error` is for who waits for a head that is not here."""
        reader, answer = self.reader, self.answer
        if keep and self._reading_paused and reader is not None:
            self.taken(reader)  # while it is the one under way: of no other is it heard
        self.reader = self.answer = None
        self._sending = False
        self._owner.ended(self, keep=keep)
        if answer is not None:
            _tell(answer, reader if reader is not None and reader.status else error)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None:
            return
        self._waiter = None  # now, because the next exchange may begin before this one's task runs
        if not waiter.done():
            waiter.set_result(None)


def _tell(answer: asyncio.Future[Found], found: Found) -> None:
    """An error is told as a result: nobody would complain of one that a cancelled task did not fetch."""
    if not answer.done():
        answer.set_result(found)


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
