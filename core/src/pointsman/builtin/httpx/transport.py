"""The transport over httpx and httpcore: slower than aiohttp's, but it knows HTTP/2 and SOCKS.

httpcore 1.0.9 is not safe against `Task.cancel()`: what a connection is about to do when its task is
cancelled may leave it neither idle nor closed. So here

- each exchange runs in a task of its own inside an `anyio.CancelScope`, and only the scope is cancelled;
- the connections are our own to keep (module `connections`), and one that is neither idle nor closed when
  its exchange is over is cut;
- a body that is not read to its end is ended by `abort()`, which waits for nothing and so cannot be
  interrupted halfway.

Over HTTP/2 the connection is shared: ending one response early does not close it, and httpcore does not
tell the server, which goes on sending what is then dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpcore

from pointsman._internal.httpx_lazy import httpx
from pointsman.builtin.httpx.connections import Connection, Connections, core_url
from pointsman.builtin.httpx.quiet_logs import keep_quiet
from pointsman.transports.fair_semaphore import Slots
from pointsman.transports.options import TlsContexts, TransportOptions

REAP_SECONDS = 1.0
_CORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


class HttpxTransport(httpx.AsyncBaseTransport):
    """Connections that are opened as requests need them, bound to the loop of the first one."""

    name = "httpx"

    def __init__(self, options: TransportOptions, *, contexts: TlsContexts | None = None) -> None:
        keep_quiet()
        self._connect_timeout = options.connect_timeout
        self._slots = Slots(options.max_connections)
        self._connections = Connections(options, contexts or TlsContexts())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leftovers: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises: an `httpx.TransportError`; RuntimeError after `aclose()` or on another event loop."""
        self._check_usable()
        sendable = self._sendable(request)
        await self._slots.acquire()
        body = await self._exchange(sendable)
        return httpx.Response(
            body.head.status, headers=body.head.headers, stream=body, extensions=body.head.extensions
        )

    async def aclose(self) -> None:
        """Close every connection, also those in use. Safe to repeat."""
        self._closed = True
        if self._leftovers:
            await asyncio.wait(self._leftovers, timeout=REAP_SECONDS)
        self._connections.close()

    def _check_usable(self) -> None:
        if self._closed:
            raise RuntimeError("this transport is closed")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("this transport belongs to another event loop")

    def _sendable(self, request: httpx.Request) -> httpcore.Request:
        """`request` as httpcore takes it, with the connect timeout and the Host header that it expects."""
        url, headers, extensions = request.url, request.headers.raw, request.extensions
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"only http and https are supported, not {url.scheme[:20]!r}")
        timeout = extensions.get("timeout") or {}
        if timeout.get("connect") is None:
            extensions = {**extensions, "timeout": {**timeout, "connect": self._connect_timeout}}
        if "host" not in request.headers:
            headers = [(b"Host", url.netloc), *headers]
        assert isinstance(request.stream, httpx.AsyncByteStream)
        return httpcore.Request(
            request.method, core_url(url), headers=headers, content=request.stream, extensions=extensions
        )

    async def _exchange(self, request: httpcore.Request) -> HttpxBody:
        """The answer, holding the slot that the caller acquired; without an answer the slot is free."""
        scope = anyio.CancelScope()
        task = asyncio.get_running_loop().create_task(self._run(scope, request))
        try:
            # Shielded: a cancellation must reach httpcore by the scope alone.
            body = await asyncio.shield(task)
        except asyncio.CancelledError:
            scope.cancel()
            await self._reap(task)
            raise
        except BaseException as error:
            self._slots.release()
            if isinstance(error, _CORE_ERRORS):
                raise _as_httpx(error) from error
            raise
        assert body is not None, "only the branch above cancels the scope"
        return body

    async def _run(self, scope: anyio.CancelScope, request: httpcore.Request) -> HttpxBody | None:
        with scope:
            return await self._send(request)
        return None

    async def _send(self, request: httpcore.Request) -> HttpxBody:
        connections = self._connections
        while True:
            self._check_usable()  # it may have been closed while this request waited
            connection = connections.take(request.url.origin)
            try:
                response = await connection.http.handle_async_request(request)
            except httpcore.ConnectionNotAvailable:  # nothing was sent: it can carry no further request
                connections.leave(connection)
            except BaseException:
                connections.leave(connection)
                raise
            else:
                connections.answered(connection, response.extensions["http_version"])
                return HttpxBody(self, connection, response)

    async def _reap(self, task: asyncio.Task[HttpxBody | None]) -> None:
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

    def _discard(self, task: asyncio.Task[HttpxBody | None]) -> None:
        body = None if task.cancelled() or task.exception() else task.result()
        if body is not None:  # it arrived in the very tick of the cancel
            body.abort()
        else:
            self._slots.release()

    def _end(self, body: HttpxBody, *, keep: bool) -> None:
        """Free the slot of `body`, whose connection goes on living if `keep`."""
        connection = body.connection
        if keep:
            self._connections.leave(connection)
        elif connection.multiplexed:
            task = asyncio.ensure_future(self._leave_shared(body))
            self._leftovers.add(task)
            task.add_done_callback(self._leftovers.discard)
        else:
            connection.cut()
            self._connections.leave(connection)
        self._slots.release()

    async def _leave_shared(self, body: HttpxBody) -> None:
        try:
            await body.stream.aclose()
        finally:
            self._connections.leave(body.connection)


class HttpxBody(httpx.AsyncByteStream):
    """The body of one response, as it came over the wire; iterate it once."""

    def __init__(self, owner: HttpxTransport, connection: Connection, head: httpcore.Response) -> None:
        self.connection = connection
        self.head = head
        self.stream: Any = head.stream  # httpcore's own kind, which can also be closed
        self._owner = owner
        self._iterated = False
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._iterated:
            raise httpx.StreamConsumed
        if not self._open:
            raise httpx.StreamClosed
        self._iterated = True
        try:
            async for chunk in self.stream:
                yield chunk
                if not self._open:
                    raise httpx.ReadError("the response was aborted")
            await self.stream.aclose()
        except BaseException as error:
            aborted = not self._open
            self.abort()
            if aborted and isinstance(error, Exception):
                raise httpx.ReadError("the response was aborted") from error
            if isinstance(error, _CORE_ERRORS):
                raise _as_httpx(error) from error
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


def _as_httpx(error: Exception) -> httpx.TransportError:
    """An error of httpcore's as the one of httpx that has the same name."""
    kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__, httpx.TransportError)
    return kind(str(error).partition(": bytearray(")[0])  # behind it h11 quotes what came
