"""The transport over httpx and httpcore: slower than aiohttp's, but it knows HTTP/2 and SOCKS.

httpcore 1.0.9 is not safe against `Task.cancel()`: a connection that is assigned to a request whose task
is cancelled before it runs, or between connecting and sending, stays in the pool for ever, neither idle
nor closed. So here

- each exchange runs in a task of its own inside an `anyio.CancelScope`, and only the scope is cancelled;
- after that, connections that no request owns and that are neither idle nor closed are dropped;
- a body that is not read to its end is ended by `abort()`, which waits for nothing and so cannot be
  interrupted halfway.

This reaches into private attributes of httpcore; all of it is in this module, and the tests fail when
they move.

Over HTTP/2 the connection is shared: ending one response early does not close it, and httpcore does not
tell the server, which goes on sending what is then dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from importlib.util import find_spec
from typing import Any

import anyio
import httpcore
import httpx

from pointsman.transports.options import TlsContexts, TransportOptions, TransportUnavailable
from pointsman.transports.readable import is_readable
from pointsman.transports.slots import Slots

REAP_SECONDS = 1.0


class HttpxTransport(httpx.AsyncBaseTransport):
    """One pool of connections, opened by the first request and bound to the loop that it runs on.

    A proxy from the environment is chosen by the host of the first request.
    """

    def __init__(self, options: TransportOptions, *, contexts: TlsContexts | None = None) -> None:
        """Raises: TransportUnavailable when HTTP/2 or a SOCKS proxy is asked for without its package."""
        if options.http2 and find_spec("h2") is None:
            raise TransportUnavailable("HTTP/2 needs the package h2. Try: pip install 'httpx[http2]'")
        if options.wants_socks() and find_spec("socksio") is None:
            raise TransportUnavailable("a SOCKS proxy needs socksio. Try: pip install 'httpx[socks]'")
        self._options = options
        self._contexts = contexts or TlsContexts()
        self._slots = Slots(options.max_connections)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inner: httpx.AsyncHTTPTransport | None = None
        self._secure = False
        self._leftovers: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises: an `httpx.TransportError`; RuntimeError after `aclose()` or on another event loop."""
        self._check_usable()
        request = self._completed(request)
        await self._slots.acquire()
        try:
            self._check_usable()  # it may have been closed while this request waited
            inner = self._opened(request.url)
        except BaseException:
            self._slots.release()
            raise
        response = await self._exchange(inner, request)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=HttpxBody(self, response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection, also those in use. Safe to repeat."""
        self._closed = True
        if self._leftovers:
            await asyncio.wait(self._leftovers, timeout=REAP_SECONDS)
        if self._inner is not None:
            await self._inner.aclose()

    def _check_usable(self) -> None:
        if self._closed:
            raise RuntimeError("this transport is closed")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("this transport belongs to another event loop")

    def _completed(self, request: httpx.Request) -> httpx.Request:
        """`request` with the connect timeout and the Host header that httpcore expects to find."""
        timeout = request.extensions.get("timeout") or {}
        host_missing = "host" not in request.headers
        if timeout.get("connect") is not None and not host_missing:
            return request
        headers = request.headers.raw
        if host_missing:
            headers = [(b"Host", request.url.netloc), *headers]
        return httpx.Request(
            request.method,
            request.url,
            headers=headers,
            stream=request.stream,
            extensions={
                **request.extensions,
                "timeout": {**timeout, "connect": timeout.get("connect") or self._options.connect_timeout},
            },
        )

    def _opened(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        if self._inner is None:
            self._inner = self._open(url)
        if url.scheme == "https" and not self._secure:
            self._pool._ssl_context = self._contexts.context(self._options)
            self._secure = True
        return self._inner

    def _open(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        options = self._options
        limit = options.max_connections or None
        proxy = options.proxy_for(url.scheme, url.host)
        inner = httpx.AsyncHTTPTransport(
            # A context that trusts nobody and reads no file, until the first https URL brings the real one.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            http2=options.http2,
            limits=httpx.Limits(
                max_connections=limit,
                max_keepalive_connections=limit,
                keepalive_expiry=options.keepalive_expiry,
            ),
            proxy=self._proxy(proxy) if proxy is not None else None,
        )
        inner._pool._network_backend = _Backend()
        return inner

    def _proxy(self, url: str) -> httpx.Proxy:
        secure = url.startswith("https://")
        return httpx.Proxy(url, ssl_context=self._contexts.context(self._options) if secure else None)

    @property
    def _pool(self) -> httpcore.AsyncConnectionPool:
        assert self._inner is not None
        return self._inner._pool

    async def _exchange(self, inner: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        """The response, holding the slot that the caller acquired; without a response the slot is free."""
        scope = anyio.CancelScope()
        task = asyncio.get_running_loop().create_task(_run(scope, inner, request))
        try:
            response = await asyncio.shield(task)
        except asyncio.CancelledError:
            scope.cancel()
            await self._reap(task)
            raise
        except BaseException:
            self._slots.release()
            raise
        assert response is not None, "only the branch above cancels the scope"
        return response

    async def _reap(self, task: asyncio.Task[httpx.Response | None]) -> None:
        """Wait for a cancelled exchange, a second at most, whatever happens to the caller meanwhile."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + REAP_SECONDS
        while not task.done() and (left := deadline - loop.time()) > 0:
            # A second cancel changes nothing: the caller raises CancelledError in any case.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task], timeout=left)
        if task.done():
            self._discard(task)
        else:
            task.cancel()
            self._leftovers.add(task)
            task.add_done_callback(self._leftovers.discard)
            task.add_done_callback(self._discard)

    def _discard(self, task: asyncio.Task[httpx.Response | None]) -> None:
        response = None if task.cancelled() or task.exception() else task.result()
        if response is not None:  # it arrived in the very tick of the cancel
            HttpxBody(self, response).abort()
            return
        self._sweep()
        self._slots.release()

    def _end(self, body: HttpxBody, *, keep: bool) -> None:
        """Free the slot of `body`, whose connection goes on living if `keep`."""
        if not keep:
            self._disconnect(body)
        self._slots.release()

    def _disconnect(self, body: HttpxBody) -> None:
        stream: Any = body.pool_stream  # httpcore's PoolByteStream
        if body.shared:
            task = asyncio.ensure_future(stream.aclose())
            self._leftovers.add(task)
            task.add_done_callback(self._leftovers.discard)
            return
        if body.network is not None:
            body.network.abort()
        stream._closed = stream._stream._closed = True
        pool = self._pool
        if stream._pool_request in pool._requests:
            pool._requests.remove(stream._pool_request)
        self._sweep()

    def _sweep(self) -> None:
        """Drop the connections that nobody owns and nobody can use, and let waiting requests move up."""
        pool = self._pool
        owned = {id(waiting.connection) for waiting in pool._requests}
        for connection in pool.connections:
            if id(connection) not in owned and not connection.is_idle() and not connection.is_closed():
                pool._connections.remove(connection)
                _cut(connection)
        for connection in pool._assign_requests_to_connections():
            _cut(connection)


class HttpxBody(httpx.AsyncByteStream):
    """The body of one response, as it came over the wire; iterate it once."""

    def __init__(self, owner: HttpxTransport, response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self.pool_stream = response.stream._httpcore_stream  # type: ignore[attr-defined]  # not public
        self.shared = response.extensions.get("http_version") == b"HTTP/2"
        network = response.extensions.get("network_stream")
        self.network = network if isinstance(network, _Socket) else None
        self._owner = owner
        self._inner = response.stream
        self._iterated = False
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._iterated:
            raise httpx.StreamConsumed
        if not self._open:
            raise httpx.StreamClosed
        self._iterated = True
        try:
            async for chunk in self._inner:
                yield chunk
                if not self._open:
                    raise httpx.ReadError("the response was aborted")
            await self._inner.aclose()
        except BaseException as error:
            aborted = not self._open
            self.abort()
            if aborted and isinstance(error, Exception):
                raise httpx.ReadError("the response was aborted") from error
            raise
        self._close(keep=True)

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._close(keep=False)

    def _close(self, *, keep: bool) -> None:
        if self._open:
            self._open = False
            self._owner._end(self, keep=keep)


async def _run(
    scope: anyio.CancelScope, inner: httpx.AsyncHTTPTransport, request: httpx.Request
) -> httpx.Response | None:
    with scope:
        return await inner.handle_async_request(request)
    return None


def _cut(connection: Any) -> None:
    """Close the socket of a pool connection, which may lie under a proxy's, if it has one yet."""
    while connection is not None:
        network = getattr(connection, "_network_stream", None)
        if isinstance(network, _Socket):
            network.abort()
            return
        connection = getattr(connection, "_connection", None)


class _Backend(httpcore.AnyIOBackend):
    """httpcore's sockets on asyncio, as `_Socket`s."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Socket(await super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Socket(httpcore.AsyncNetworkStream):
    """A network stream that can be closed without waiting."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._socket: socket.socket | None = stream.get_extra_info("socket")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        self.abort()
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            return _Socket(await self._stream.start_tls(ssl_context, server_hostname, timeout))
        except BaseException:  # httpcore leaves the socket open when the handshake is cancelled
            self.abort()
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # asked of every idle connection, several times in each call
            return is_readable(self._socket)
        return self._stream.get_extra_info(info)

    def abort(self) -> None:
        layer: Any = getattr(self._stream, "_stream", None)
        while (below := getattr(layer, "transport_stream", None)) is not None:  # TLS, perhaps in TLS
            layer = below
        transport: asyncio.Transport | None = getattr(layer, "_transport", None)
        if transport is not None:
            transport.abort()
