"""Answers as they are written: whole ones, and streams that are kept alive and read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from pointsman.plugin import StreamReply, WholeReply
from pointsman_gateway.exchange.caller_watch import CallerWatch
from pointsman_gateway.exchange.shortcut import Fields, Shortcut

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

WRITE_WITHIN = 60.0
"""Seconds in which a caller has to make room for one more event."""
_NO_CONTENT = 204
"""An answer without a body, and without a word of how long that is."""
_STREAM_FIELDS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
"""Proxies on the way are to pass each event on when it comes."""


async def send_whole(
    send: Send,
    reply: WholeReply,
    fields: Fields = (),
    *,
    bare: bool = False,
    shortcut: Shortcut | None = None,
) -> None:
    """Write `reply` with `fields` in its head; `bare`: all but its body, which a HEAD does not want."""
    head = [*fields]
    if reply.status != _NO_CONTENT:
        head.append((b"content-length", b"%d" % len(reply.body)))
    if reply.body:
        head.append((b"content-type", reply.content_type.encode("latin-1")))
    body = b"" if bare else reply.body
    if shortcut is None or not shortcut.answer(reply.status, head, body):
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        await send({"type": "http.response.body", "body": body})


async def send_stream(
    send: Send,
    reply: StreamReply,
    watch: CallerWatch,
    fields: Fields = (),
    *,
    heartbeat: float,
    write_within: float = WRITE_WITHIN,
    shortcut: Shortcut | None = None,
) -> None:
    """Write `reply` piece by piece, with `fields` in its head. Its pieces are closed, whatever happens.

    Args:
        heartbeat: seconds of silence after which the caller is told that it lives.
        write_within: seconds in which the caller has to make room for an event, or be given up as unread.
    """
    head = [
        *fields,
        (b"content-type", reply.content_type.encode("latin-1")),
        *_STREAM_FIELDS,
    ]
    pulse = _Pulse(send, reply.heartbeat, heartbeat, write_within, watch, shortcut)
    try:
        if shortcut is None or not shortcut.begin(reply.status, head):
            await send({"type": "http.response.start", "status": reply.status, "headers": head})
        async for piece in reply.pieces:
            if not pulse.wrote(piece):
                await pulse.write(piece)
        await pulse.settle()
        watch.over()
        if shortcut is None or not shortcut.end():
            await send({"type": "http.response.body", "body": b""})
    finally:
        pulse.end()
        await _closed(reply.pieces)


async def _closed(pieces: AsyncIterator[bytes]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


class _Pulse:
    """Looks after one stream, by one timer for all of it.

    Where nothing comes, the caller is told that the stream is alive. Where the caller does not read, the
    stream is ended.
    """

    def __init__(
        self,
        send: Send,
        heartbeat: bytes,
        every: float,
        write_within: float,
        watch: CallerWatch,
        shortcut: Shortcut | None,
    ) -> None:
        self._send = send
        self._shortcut = shortcut
        self._heartbeat = heartbeat
        self._every = every if heartbeat else write_within
        self._write_within = write_within
        self._soonest = min(self._every, write_within)
        self._watch = watch
        self._loop = loop = asyncio.get_running_loop()
        self._since = loop.time()
        self._writing = False
        self._beating: asyncio.Task[None] | None = None
        self._timer = loop.call_at(self._since + self._soonest, self._look)

    def wrote(self, piece: bytes) -> bool:
        """Write one piece where that can be at once; whether it was."""
        if self._beating is not None or self._shortcut is None or not self._shortcut.more(piece):
            return False
        self._since = self._loop.time()
        return True

    async def write(self, piece: bytes) -> None:
        """Write one piece, when there is room."""
        if self._beating is not None:
            await self.settle()
        self._writing, self._since = True, self._loop.time()
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        self._writing, self._since = False, self._loop.time()

    async def settle(self) -> None:
        """Nothing but what follows is written from now on."""
        if self._beating is not None:
            await self._beating
            self._beating = None

    def _look(self) -> None:
        now = self._loop.time()
        due = self._since + (self._write_within if self._writing else self._every)
        if now < due:
            self._timer = self._loop.call_at(min(due, now + self._soonest), self._look)
        elif self._writing:
            self._watch.cancel_owner("unread")
        else:
            if self._heartbeat and self._beating is None:
                self._beating = self._loop.create_task(self._beat())
            self._since = now
            self._timer = self._loop.call_at(now + self._soonest, self._look)

    async def _beat(self) -> None:
        self._writing, self._since = True, self._loop.time()
        await self._send({"type": "http.response.body", "body": self._heartbeat, "more_body": True})
        self._writing, self._since = False, self._loop.time()
        self._beating = None

    def end(self) -> None:
        """Look no further."""
        self._timer.cancel()
        if self._beating is not None:
            self._beating.cancel()
