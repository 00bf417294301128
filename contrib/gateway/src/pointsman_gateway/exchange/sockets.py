"""WebSockets: opened for whom may, spoken with by a surface, and closed when either side goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from pointsman._internal.plugin_errors import log_raised
from pointsman.plugin import SocketCall, SocketRoute, SurfaceRequest, WholeReply
from pointsman_gateway.exchange.bodies import Receive
from pointsman_gateway.exchange.sending import WRITE_WITHIN, Send
from pointsman_gateway.exchange.shortcut import Fields

_AHEAD = 16
"""Messages that are read before somebody asks for them."""
NORMAL = 1000
GOING_AWAY = 1001
MISTAKE = 1011


Begin = Callable[[], AbstractAsyncContextManager[SocketCall]]


class OpenSocket:
    """One WebSocket that was accepted; `begin` begins a call."""

    def __init__(self, send: Send, begin: Begin) -> None:
        self._send = send
        self._begin = begin
        self._messages: asyncio.Queue[str | None] = asyncio.Queue(_AHEAD)
        self._over = False

    async def receive(self) -> str | None:
        """As `Socket.receive`."""
        return None if self._over else await self._messages.get()

    async def send(self, text: str) -> None:
        """As `Socket.send`."""
        if not self._over:
            async with asyncio.timeout(WRITE_WITHIN):
                try:
                    await self._send({"type": "websocket.send", "text": text})
                except OSError:  # the caller has gone; `pump` hears of it, too
                    self._over = True

    def call(self) -> AbstractAsyncContextManager[SocketCall]:
        """As `Socket.call`."""
        return self._begin()

    async def pump(self, receive: Receive) -> None:
        """Read until the caller goes away."""
        while (message := await receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            if text is None:
                text = (message.get("bytes") or b"").decode("utf-8", "replace")
            await self._messages.put(text)
        self._over = True


async def deny_socket(send: Send, reply: WholeReply, fields: Fields) -> None:
    """Answer the upgrade with `reply` in place of a WebSocket, with `fields` in its head."""
    head = [*fields, (b"content-type", reply.content_type.encode("latin-1"))]
    await send({"type": "websocket.http.response.start", "status": reply.status, "headers": head})
    await send({"type": "websocket.http.response.body", "body": reply.body})


async def speak(
    asked: SurfaceRequest,
    route: SocketRoute,
    receive: Receive,
    send: Send,
    *,
    begin: Begin,
    ending: Callable[[Callable[[], Any]], Callable[[], None]],
    scrub: Callable[[str], str],
) -> None:
    """Accept, and let the surface speak until it has ended, the caller has gone, or we end.

    Args:
        begin: begins one more call of the caller's.
        ending: is told what ends it when the gateway does; returns what takes that back.
        scrub: hides secrets in what is logged.
    """
    await send({"type": "websocket.accept"})
    socket = OpenSocket(send, begin)
    reading = asyncio.create_task(socket.pump(receive))
    speaking = asyncio.create_task(_handled(route, asked, socket, scrub))
    ended = asyncio.Event()
    waiting = asyncio.create_task(ended.wait())
    forget = ending(ended.set)
    try:
        await asyncio.wait([reading, speaking, waiting], return_when=asyncio.FIRST_COMPLETED)
        gone = reading.done()
        failed = speaking.done() and not speaking.cancelled() and speaking.result() is not None
    finally:
        forget()
        for each in (reading, speaking, waiting):
            each.cancel()
        await asyncio.wait([reading, speaking, waiting])
    if not gone:
        code = MISTAKE if failed else GOING_AWAY if ended.is_set() else NORMAL
        await send({"type": "websocket.close", "code": code})


async def _handled(
    route: SocketRoute, asked: SurfaceRequest, socket: OpenSocket, scrub: Callable[[str], str]
) -> Exception | None:
    try:
        await route.handler(asked, socket)
    except TimeoutError:
        return None  # of a caller that does not read
    except Exception as error:
        log_raised(f"WebSocket {asked.request_id} failed in its surface", error, scrub)
        return error
    return None
