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
from pointsman_h1.connection import READ_BYTES, Connection, Found
from pointsman_h1.framing import ResponseReader
from pointsman_h1.heads import KnownHeads
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
        self.heads = KnownHeads()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises: an `httpx.TransportError`; RuntimeError after `aclose()` or on another event loop."""
        outgoing = encoded(request)
        reader = ResponseReader(request.method == "HEAD", outgoing.close, heads=self.heads)
        connection = await self._exchange(outgoing, reader, request)
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
        if type(head) is not Template:
            head = shared.encoded = Template(shared)
        if not head.usual or len(content) > JOINED:
            outgoing = encoded(HttpxRequest(shared, values, content))
            reader = ResponseReader(head.bodiless, head.close, heads=self.heads)
            return _reply(await self._exchange(outgoing, reader, shared), reader)
        data = head.filled(values, content)
        connection = self._free(head.origin) or await self._connection(head.origin, shared)
        while True:
            answer: asyncio.Future[Found] = asyncio.Future(loop=connection.loop)
            connection.next = data, answer, None, False
            self._outbox.put(connection)
            try:
                found = await answer
            except BaseException:
                connection.give_up(answer)
                raise
            if type(found) is Whole:
                return found
            if isinstance(found, ResponseReader):
                return _reply(connection, found)
            connection = await self._again(found, head.origin, shared)

    async def aclose(self) -> None:
        """Close every connection, also those in use. Safe to repeat."""
        self._closed = True
        self._loop = None
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

    def _free(self, origin: Origin) -> Connection | None:
        """An idle connection and a slot, when both are there without waiting.

        Whoever got a slot here gives it back: until the exchange was asked for, and from then on the
        connection does, by `ended`.
        """
        slots, idle = self._slots, self._idle
        if slots.in_use >= slots.limit or idle is None or self._loop is not get_running_loop():
            return None  # also when closed
        connection = idle.take(origin)
        if connection is not None:
            slots.in_use += 1
        return connection

    async def _connection(
        self, origin: Origin, asked: httpx.Request | RequestTemplate, *, slot: bool = False
    ) -> Connection:
        """A connection and a slot, waited for; `slot`: the caller has that.

        Raises: an `httpx.TransportError`.
        """
        if not slot:
            self._usable()
            await self._slots.acquire()
        try:
            idle = self._usable()
            connection = idle.take(origin)
            if connection is None:
                await self._pace.turn()
                self._refuse_when_closed()  # while this request waited
                connection = idle.take(origin) or await self._connect(origin, asked)
        except BaseException:
            self._slots.release()
            raise
        return connection

    async def _again(
        self, found: Found, origin: Origin, asked: httpx.Request | RequestTemplate
    ) -> Connection:
        """Another connection, where nothing was sent on the one before: so the slot is still the caller's."""
        if isinstance(found, Exception):
            raise found
        return await self._connection(origin, asked, slot=True)

    async def _exchange(
        self, outgoing: Outgoing, reader: ResponseReader, asked: httpx.Request | RequestTemplate
    ) -> Connection:
        """The connection of an exchange whose head is in `reader`, once it is there.

        Nothing is sent before the outbox says so.

        Raises: an `httpx.TransportError`, and what the request's stream raises.
        """
        origin = outgoing.origin
        connection = self._free(origin) or await self._connection(origin, asked)
        while True:
            answer: asyncio.Future[Found] = asyncio.Future(loop=connection.loop)
            connection.next = outgoing.data, answer, reader, outgoing.more
            self._outbox.put(connection)
            try:
                if outgoing.more:
                    await connection.send_rest(outgoing, reader)
                found = await answer
            except BaseException:
                connection.give_up(answer)
                raise
            if found is reader:
                return connection
            connection = await self._again(found, origin, asked)

    def _usable(self) -> IdlePool:
        """The pool of idle connections; RuntimeError where this transport must not be used."""
        self._refuse_when_closed()
        loop = get_running_loop()
        if self._idle is None:
            self._loop = loop
            self._outbox = Outbox(loop)
            self._idle = IdlePool(self._options.keepalive_expiry, loop)
        elif self._loop is not loop:
            raise RuntimeError("this transport belongs to another event loop")
        return self._idle

    async def _connect(self, origin: Origin, request: httpx.Request | RequestTemplate) -> Connection:
        """A new connection. Messages hold no path and no query."""
        timeout = request.extensions.get("timeout")
        seconds = (timeout and timeout.get("connect")) or self._options.connect_timeout
        try:
            connection = await self._opened(origin, seconds, request.extensions.get("sni_hostname") or "")
        except (OSError, UnicodeError, OverflowError) as error:
            raise _unconnected(error) from error
        if self._closed:
            connection.abort()
        self._refuse_when_closed()
        return connection

    async def _opened(self, origin: Origin, seconds: float, name: str = "") -> Connection:
        """A connection to `origin`, of which TLS is to prove that it is `name`, if that is given."""
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
                        lambda: connection, sock=sock, ssl=context, server_hostname=(name or host).rstrip(".")
                    )
        except BaseException:
            connection.abort()
            raise
        return connection

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise RuntimeError("this transport is closed")


def _reply(connection: Connection, reader: ResponseReader) -> Reply:
    if reader.done:
        return Whole(reader.status, reader.named(), reader.take())
    return H1Reply(connection, reader)


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
