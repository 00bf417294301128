"""The transport: slots, idle connections, new connections."""

from __future__ import annotations

import asyncio
import os
import ssl
from asyncio import get_running_loop

import httpx

from pointsman.plugin import (
    HttpxRequest,
    HttpxResponse,
    RawTransport,
    Reply,
    RequestTemplate,
    Slots,
    TlsContexts,
    TransportOptions,
    TransportUnavailable,
    Whole,
)
from pointsman_h1.body import H1Body
from pointsman_h1.connecting import Resolver, connected
from pointsman_h1.connection import READ_BYTES, Connection, NeverSent
from pointsman_h1.framing import ResponseReader
from pointsman_h1.outbox import Outbox
from pointsman_h1.pace import Pace
from pointsman_h1.pool import IdlePool
from pointsman_h1.reply import H1Reply
from pointsman_h1.request import JOINED, Origin, Outgoing, Template, encoded

OPENED_PER_TURN = 16
"""Connections that one transport begins to open in one turn of the event loop.

A cold exchange of a crowd costs 90 us more than a warm one; it was 145 when all of them began at once, each
with a timer and a look at the resolver.
"""


def refuses(options: TransportOptions) -> str | None:
    """Why this transport cannot do what `options` ask for; None when it can."""
    if options.http2:
        return "transport 'h1' has no HTTP/2; transport 'httpx' has"
    if options.wants_proxy():
        return "transport 'h1' has no proxies; transports 'aiohttp' and 'httpx' have"
    return None


class H1Transport(httpx.AsyncBaseTransport, RawTransport):
    """HTTP/1.1 on asyncio, as `pointsman.transports` promises; bound to the loop of its first request.

    A request goes out on a kept connection only if nothing had come on it meanwhile. Once a byte of it was
    written, nothing is tried again here.
    """

    name = "h1"

    def __init__(self, options: TransportOptions, *, contexts: TlsContexts | None = None) -> None:
        """Raises: TransportUnavailable where `refuses` says why."""
        if (refusal := refuses(options)) is not None:
            raise TransportUnavailable(refusal)
        self._options = options
        self._contexts = contexts or TlsContexts()
        self._slots = Slots(options.max_connections)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: IdlePool | None = None
        self._pace = Pace(OPENED_PER_TURN)
        self._resolver = Resolver()
        self._connections: set[Connection] = set()
        self.buffer = memoryview(bytearray(READ_BYTES))
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises: an `httpx.TransportError`; RuntimeError after `aclose()` or on another event loop."""
        outgoing = encoded(request)
        reader = ResponseReader(request.method == "HEAD", outgoing.close)
        rest = outgoing if outgoing.more else None
        connection = await self._exchange(outgoing.data, reader, outgoing.origin, request, rest)
        return HttpxResponse(
            reader.status,
            reader.headers,
            (H1Body if reader.done else H1Reply)(connection, reader),
            {
                "http_version": b"HTTP/1.1" if reader.minor else b"HTTP/1.0",
                "reason_phrase": reader.reason,
            },
        )

    async def exchange(self, shared: RequestTemplate, values: tuple[str, ...], content: bytes) -> Reply:
        head = shared.encoded
        if not isinstance(head, Template):
            head = shared.encoded = Template(shared)
        reader = ResponseReader(head.bodiless, head.close)
        if head.plain and len(content) <= JOINED:
            data, rest = head.filled(values, content), None
        else:
            outgoing = encoded(HttpxRequest(shared, values, content))
            data, rest = outgoing.data, outgoing if outgoing.more else None
        connection = await self._exchange(data, reader, head.origin, shared, rest)
        if reader.done:
            return Whole(reader.status, reader.named(), reader.take())
        return H1Reply(connection, reader)

    async def aclose(self) -> None:
        """Close every connection, also those in use. Safe to repeat."""
        self._closed = True
        if self._idle is not None:
            self._idle.close()
        for connection in list(self._connections):
            connection.abort(error=httpx.ReadError("the transport was closed"))
        await asyncio.sleep(0)  # the loop closes their sockets in its next turn

    # ── called by connections ────────────────────────────────────────────────────────────────────────

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def ended(self, connection: Connection, *, keep: bool) -> None:
        if keep and self._idle is not None:
            self._idle.give(connection)
        self._slots.release()

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._idle is not None:
            self._idle.discard(connection)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────

    async def _exchange(
        self,
        data: bytes,
        reader: ResponseReader,
        origin: Origin,
        asked: httpx.Request | RequestTemplate,
        outgoing: Outgoing | None,
    ) -> Connection:
        """The connection of an exchange whose head is in `reader`, once it is there.

        Nothing is sent before the outbox says so. Whoever got a slot here gives it back: this, until the
        exchange was asked for, and from then on the connection, by `ended`.

        Args:
            data: what goes out first.
            outgoing: brings what follows; None when that is nothing.

        Raises: an `httpx.TransportError`, and what the request's stream raises.
        """
        idle = self._idle
        if self._closed or idle is None or self._loop is not get_running_loop():
            idle = self._usable()
        if not self._slots.take():
            await self._slots.acquire()
        while True:
            try:
                connection = idle.take(origin)
                if connection is None:
                    await self._pace.turn()
                    self._refuse_when_closed()  # while this request waited
                    connection = idle.take(origin) or await self._connect(origin, asked)
            except BaseException:
                self._slots.release()
                raise
            connection.next = data, reader, outgoing is not None
            self._outbox.put(connection)
            try:
                if outgoing is not None:
                    await connection.send_rest(outgoing, reader)
                while not reader.status:
                    if reader.error is not None:
                        raise reader.error
                    await connection.wait()
            except NeverSent:  # so the next connection may have it, and the slot is still ours
                reader.error = None
            except BaseException:
                connection.abort(reader)
                raise
            else:
                return connection

    def _usable(self) -> IdlePool:
        """The pool of a transport that is used for the first time; RuntimeError where it must not be used."""
        if self._closed:
            raise RuntimeError("this transport is closed")
        if self._idle is not None:
            raise RuntimeError("this transport belongs to another event loop")
        self._loop = get_running_loop()
        self._outbox = Outbox(self._loop)
        self._idle = IdlePool(self._options.keepalive_expiry, self._loop)
        return self._idle

    async def _connect(self, origin: Origin, request: httpx.Request | RequestTemplate) -> Connection:
        """A new connection. Messages hold no path and no query."""
        timeout = request.extensions.get("timeout")
        seconds = (timeout and timeout.get("connect")) or self._options.connect_timeout
        try:
            connection = await self._opened(origin, seconds)
        except (OSError, UnicodeError, OverflowError) as error:
            raise _unconnected(error) from error
        if self._closed:
            connection.abort()
        self._refuse_when_closed()
        return connection

    async def _opened(self, origin: Origin, seconds: float) -> Connection:
        scheme, raw_host, port = origin
        host = raw_host.decode("ascii")
        assert self._loop is not None, "a request has begun"
        loop = self._loop
        deadline = loop.time() + seconds
        addresses = await self._resolver.addresses(host, port, deadline=deadline)
        context = self._contexts.context(self._options) if scheme == "https" else None
        sock = await connected(addresses, deadline=deadline, loop=loop)
        connection = Connection(origin, self, loop)
        try:
            if context is None:  # nothing is waited for but the loop
                await loop.create_connection(lambda: connection, sock=sock)
            else:
                async with asyncio.timeout_at(deadline):
                    await loop.create_connection(
                        lambda: connection, sock=sock, ssl=context, server_hostname=host.rstrip(".")
                    )
        except BaseException:
            connection.abort()
            raise
        return connection

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise RuntimeError("this transport is closed")


def _unconnected(error: Exception) -> httpx.TransportError:
    """The httpx error for a connection that did not come about: why. The client knows to where."""
    match error:
        case TimeoutError():
            ends = f": {error}" if error.args and error.errno is None else ""  # of several addresses
            return httpx.ConnectTimeout(f"it did not stand in time{ends}")
        case ssl.SSLError():
            return httpx.ConnectError(f"no TLS: {error}")
        case OSError(errno=int(number)) if number > 0:
            why = os.strerror(number)
        case _:
            why = str(error)
    return httpx.ConnectError(why)
