"""Connections made by httpcore, kept so that a call costs the same however many of them there are.

httpcore 1.0.9's own pool looks at all its connections several times whenever a request begins or ends, and
loses some of them to `Task.cancel()`. With 1,000 calls held one more cost 7.2 ms of CPU by it, and 0.8 by
this. So that pool only makes connections here (its public `create_connection`, which knows proxies, SOCKS and
HTTP/2), and carries no request.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore
from anyio.streams.tls import TLSStream

from pointsman._internal.httpx_lazy import httpx
from pointsman.transports.options import TlsContexts, TransportOptions
from pointsman.transports.readable import is_readable

Key = tuple[bytes, bytes, int]
"""Scheme, host and port."""


class Connection:
    """One connection, the exchanges on it, and its sockets.

    Attributes:
        http: httpcore's; it may still have to be connected, which the first request does.
        users: how many exchanges hold it; more than one only with HTTP/2, or where that may come of it.
        multiplexed: it speaks HTTP/2.
        lost: it was cut.
    """

    __slots__ = ("_backend", "http", "key", "lost", "multiplexed", "users")

    def __init__(self, key: Key, http: httpcore.AsyncConnectionInterface, backend: _Backend) -> None:
        self.key = key
        self.http = http
        self.users = 0
        self.multiplexed = False
        self.lost = False
        self._backend = backend

    def holds_more(self) -> bool:
        """Whether bytes beyond the last answer were read along with it, which would begin the next one.

        httpcore goes on with them as if they had been asked for.
        """
        if self.multiplexed:  # what comes says for itself which request it answers
            return False
        http: Any = self.http
        while http is not None:  # that of a proxy, or yet to be connected, has another one inside
            state = getattr(http, "_h11_state", None)
            if state is not None:
                return bool(state.trailing_data[0])
            http = getattr(http, "_connection", None)
        return True

    def cut(self) -> None:
        """Close its sockets without waiting; whoever reads or writes there gets an error."""
        self.lost = True
        self._backend.abort()


class Connections:
    """The connections of one transport: who takes one leaves it once, when the exchange is over.

    Those that rest lie in a stack for each origin, and the newest is taken first. What HTTP/2 can share is
    taken by everybody. No step looks at more than a few connections, save those that it closes for good.
    """

    def __init__(self, options: TransportOptions, contexts: TlsContexts) -> None:
        self._options = options
        self._contexts = contexts
        self._open: set[Connection] = set()
        self._resting: dict[Key, deque[Connection]] = {}
        self._shared: dict[Key, Connection] = {}
        self._unshared: set[Key] = set()
        """Origins that answered in HTTP/1.1: there, nobody waits for a connection that another one opens."""

    def __len__(self) -> int:
        return len(self._open)

    @property
    def in_use(self) -> int:
        """How many connections carry an exchange."""
        return sum(connection.users > 0 for connection in self._open)

    def take(self, origin: httpcore.Origin) -> Connection:
        """A connection to `origin`, fit for use as far as can be known, or one yet to be connected.

        Raises: TransportUnavailable when TLS cannot be set up.
        """
        key = (origin.scheme, origin.host, origin.port)
        connection = self._sharing(key) or self._rested(key) or self._new(key, origin)
        connection.users += 1
        return connection

    def answered(self, connection: Connection, version: bytes) -> None:
        """The server answered on `connection` in this version of HTTP: that says whether it can be shared."""
        if version == b"HTTP/2":
            connection.multiplexed = True
            self._shared.setdefault(connection.key, connection)
            self._unshared.discard(connection.key)
        elif self._shared.get(connection.key) is connection:
            del self._shared[connection.key]
            self._unshared.add(connection.key)

    def leave(self, connection: Connection) -> None:
        """End one exchange, in whatever way; a connection that can carry no other one is closed."""
        connection.users -= 1
        if connection.users:
            return
        http = connection.http
        if connection.lost or http.is_closed() or not http.is_idle() or connection.holds_more():
            self._drop(connection)
        elif self._shared.get(connection.key) is not connection:
            if connection.multiplexed:  # there is another one to share
                self._drop(connection)
            else:
                self._resting.setdefault(connection.key, deque()).append(connection)
        for resting in self._resting.values():
            # The one at the bottom has rested longest, so nothing above it has expired before it.
            while resting and resting[0].http.has_expired():
                self._drop(resting.popleft())

    def close(self) -> None:
        """Cut all of them, also those in use."""
        self._resting.clear()
        for connection in list(self._open):
            self._drop(connection)

    def _sharing(self, key: Key) -> Connection | None:
        connection = self._shared.get(key)
        if connection is None:
            return None
        if connection.http.is_available() and not connection.http.has_expired():
            return connection
        del self._shared[key]
        if not connection.users:
            self._drop(connection)
        return None

    def _rested(self, key: Key) -> Connection | None:
        resting = self._resting.get(key)
        while resting:
            connection = resting.pop()
            if not connection.http.has_expired():  # which a connection is, too, when it has become readable
                return connection
            self._drop(connection)
        return None

    def _new(self, key: Key, origin: httpcore.Origin) -> Connection:
        options = self._options
        secure = origin.scheme == b"https"
        backend = _Backend()
        maker = httpcore.AsyncConnectionPool(
            ssl_context=self._contexts.context(options) if secure else None,
            proxy=self._proxy(origin),
            keepalive_expiry=options.keepalive_expiry,
            http2=options.http2,
            network_backend=backend,
        )
        if options.max_connections and len(self._open) >= options.max_connections:
            self._drop_oldest()
        connection = Connection(key, maker.create_connection(origin), backend)
        self._open.add(connection)
        if options.http2 and secure and key not in self._unshared:
            self._shared[key] = connection
        return connection

    def _proxy(self, origin: httpcore.Origin) -> httpcore.Proxy | None:
        url = self._options.proxy_for(origin.scheme.decode(), origin.host.decode(), origin.port)
        if url is None:
            return None
        proxy = httpx.Proxy(url)  # which takes the credentials out of the URL
        secure = proxy.url.scheme == "https"
        return httpcore.Proxy(
            core_url(proxy.url),
            auth=proxy.raw_auth,
            ssl_context=self._contexts.context(self._options) if secure else None,
        )

    def _drop_oldest(self) -> None:
        """Make room: close one that rests, of another origin."""
        for resting in self._resting.values():
            if resting:
                self._drop(resting.popleft())
                return

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        if self._shared.get(connection.key) is connection:
            del self._shared[connection.key]
        connection.cut()


def core_url(url: httpx.URL) -> httpcore.URL:
    """`url` as httpcore takes it."""
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


class _Backend(httpcore.AnyIOBackend):
    """What opens the sockets of one connection, and can close all of them without waiting."""

    def __init__(self) -> None:
        self._transports: list[asyncio.Transport] = []
        self._aborted = False

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        transport: asyncio.Transport = stream._stream._transport  # type: ignore[attr-defined]  # anyio's
        self._transports.append(transport)
        if self._aborted:
            transport.abort()
        return _Socket(stream, transport)

    def abort(self) -> None:
        self._aborted = True
        for transport in self._transports:
            transport.abort()


HEARD_FROM = 64 * 1024
"""Bytes of a request, beyond which an answer is listened for while it is sent."""


class _Socket(httpcore.AsyncNetworkStream):
    """A network stream, with TLS or without, that closes its socket without a farewell."""

    def __init__(
        self, stream: httpcore.AsyncNetworkStream, transport: asyncio.Transport, *, secured: bool = False
    ) -> None:
        self._written = 0
        self._secured = secured
        self._stream = stream
        self._transport = transport
        self._socket: socket.socket | None = stream.get_extra_info("socket")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._written = 0
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._written += len(buffer)
        if self._secured or self._written <= HEARD_FROM:
            await self._stream.write(buffer, timeout)
        else:
            await self._write_unless_refused(buffer)

    async def _write_unless_refused(self, buffer: bytes) -> None:
        """Write a piece of a large request, while listening: a server may refuse it and read no further.

        httpcore takes a failure to write for just that, and goes on to read the answer. Over TLS what comes
        may be something else.
        """
        protocol = self._stream._stream._protocol  # type: ignore[attr-defined]  # anyio's
        self._transport.resume_reading()
        heard = asyncio.ensure_future(protocol.read_event.wait())
        writing: asyncio.Future[Any] | None = None
        try:
            if is_readable(self._socket):  # to write now might fail, and then nobody could read any more
                await heard
            else:
                writing = asyncio.ensure_future(self._stream.write(buffer))
                await asyncio.wait((writing, heard), return_when=asyncio.FIRST_COMPLETED)
            if not _refuses(protocol.read_queue):
                await (writing or self._stream.write(buffer))
            elif writing is None or not writing.done():
                raise httpcore.WriteError("the server answered before all of the request was sent")
        finally:
            self._transport.pause_reading()
            heard.cancel()
            if writing is not None:
                writing.cancel()
                writing.add_done_callback(_retrieved)

    async def aclose(self) -> None:
        self._transport.abort()
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:  # httpcore leaves the socket open when the handshake is cancelled
            self._transport.abort()
            raise
        return _Socket(secured, self._transport, secured=True)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # asked of an idle connection before it is used again
            return self._holds_more() or is_readable(self._socket)
        return self._stream.get_extra_info(info)

    def _holds_more(self) -> bool:
        """Whether something was read from the socket, or may be on its way through TLS, that nobody took."""
        stream: Any = self._stream._stream  # type: ignore[attr-defined]  # anyio's
        while isinstance(stream, TLSStream):
            if stream._ssl_object.pending() or stream._read_bio.pending:
                return True
            stream = stream.transport_stream
        return bool(stream._protocol.read_queue)


def _refuses(received: Sequence[bytes]) -> bool:
    """Whether a final answer other than a success begins with this."""
    head = b"".join(received)[:12] if received else b""
    return head.startswith(b"HTTP/1.") and head[9:10] in (b"3", b"4", b"5")


def _retrieved(writing: asyncio.Future[Any]) -> None:
    if not writing.cancelled():
        writing.exception()  # or asyncio would log that nobody looked at it
