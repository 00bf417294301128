"""The transport over aiohttp: HTTP/1.1 only, and faster than that over httpx.

aiohttp survives `Task.cancel()` without help, but for one thing: its queue for a free connection can lose
a wake-up. So the queue is ours (`Slots`) and the connector is unlimited.

Idle connections. One on which more has come than its answer is not used again (`_Handler`), and aiohttp
does not use one again after the loop has seen it close. Here the socket is looked at once more before a
connection is used again, because the loop may be about to find out, and one on which something unasked has
arrived (a 408 before closing, say) is thrown away; so a request never goes to a connection that is known to
be dead. What remains is the race in which the server closes while the request is on its way. It fails with
`RemoteProtocolError` or `ReadError` before any byte of a response, and whether to try again is for the router
to say; aiohttp's own silent repetition of idempotent requests is switched off.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import multidict
import yarl
from aiohttp.client_proto import ResponseHandler

from pointsman.plugin import (
    Slots,
    TlsContexts,
    TransportOptions,
    TransportUnavailable,
    is_readable,
    last_words,
)
from pointsman_aiohttp import refuses

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader
    from aiohttp.tracing import Trace

# aiohttp warns above 1 MiB of plain bytes; larger bodies are handed over in pieces.
PIECE_BYTES = 256 * 1024
HEADER_BYTES = 64 * 1024
DNS_SECONDS = 30


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One session, opened by the first request and bound to the loop that it runs on."""

    name = "aiohttp"

    def __init__(self, options: TransportOptions, *, contexts: TlsContexts | None = None) -> None:
        """Raises: TransportUnavailable where `refuses` says why."""
        if (refusal := refuses(options)) is not None:
            raise TransportUnavailable(refusal)
        self._options = options
        self._contexts = contexts or TlsContexts()
        self._slots = Slots(options.max_connections)
        self._session: aiohttp.ClientSession | None = None
        self._connector: _Connector | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._proxies: dict[tuple[str, str, int | None], str | None] = {}
        self._bodies: set[AiohttpBody] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises: an `httpx.TransportError`; RuntimeError after `aclose()` or on another event loop."""
        self._check_usable()
        url = request.url
        scheme = url.scheme
        if scheme not in ("http", "https") or not url.host:
            raise httpx.UnsupportedProtocol(f"a URL with scheme {scheme!r} and host {url.host!r}")
        headers = _headers(request)
        data = _data(request, headers)
        await self._slots.acquire()
        try:
            answer = await self._opened().request(
                request.method,
                # Neither quoted again nor with credentials, which aiohttp would turn into a header.
                yarl.URL(
                    f"{scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}", encoded=True
                ),
                data=data,
                headers=headers,
                allow_redirects=False,
                ssl=True if scheme == "http" else self._contexts.context(self._options),
                server_hostname=request.extensions.get("sni_hostname"),
                proxy=self._proxy(scheme, url.host, url.port),
                timeout=self._timeout(request),
            )
        except BaseException as error:
            self._slots.release()
            if isinstance(error, (aiohttp.ClientError, OSError, ValueError)):
                raise _translated(error, request) from error
            raise
        version = answer.version
        return httpx.Response(
            answer.status,
            headers=list(answer.raw_headers),
            stream=AiohttpBody(self, answer),
            extensions={
                "http_version": b"HTTP/1.0" if version is not None and version.minor == 0 else b"HTTP/1.1",
                "reason_phrase": (answer.reason or "").encode("utf-8", "replace"),
            },
        )

    async def aclose(self) -> None:
        """Close every connection, also those in use. Safe to repeat."""
        self._closed = True
        for body in list(self._bodies):
            body.abort()
        if self._session is not None and self._connector is not None:
            self._connector.abort_in_use()
            await self._session.close()

    def _check_usable(self) -> None:
        if self._closed:
            raise RuntimeError("this transport is closed")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("this transport belongs to another event loop")

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:  # while this request waited for its slot
            raise RuntimeError("this transport is closed")
        if self._session is None:
            self._connector = _Connector(
                self,
                limit=0,
                keepalive_timeout=self._options.keepalive_expiry,
                ttl_dns_cache=DNS_SECONDS,
                resolver=aiohttp.ThreadedResolver(),
            )
            self._session = aiohttp.ClientSession(
                connector=self._connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                auto_decompress=False,
                max_line_size=HEADER_BYTES,
                max_field_size=HEADER_BYTES,
            )
            self._session._retry_connection = False
        return self._session

    def _proxy(self, scheme: str, host: str, port: int | None) -> str | None:
        if self._options.proxy is not None or not self._options.trust_env:
            return self._options.proxy
        key = scheme, host, port
        if key not in self._proxies:
            self._proxies[key] = self._options.proxy_for(scheme, host, port)
        return self._proxies[key]

    def _timeout(self, request: httpx.Request) -> aiohttp.ClientTimeout:
        asked = request.extensions.get("timeout")
        connect = (asked and asked.get("connect")) or self._options.connect_timeout
        timeout = self._timeouts.get(connect)
        if timeout is None:
            if len(self._timeouts) > 100:  # a caller who asks for what is left of a deadline
                self._timeouts.clear()
            timeout = self._timeouts[connect] = aiohttp.ClientTimeout(total=None, connect=connect)
        return timeout

    def _begin(self, body: AiohttpBody) -> None:
        self._bodies.add(body)

    def _end(self, body: AiohttpBody) -> None:
        self._bodies.discard(body)
        self._slots.release()


class AiohttpBody(httpx.AsyncByteStream):
    """The body of one response, as it came over the wire; iterate it once."""

    def __init__(self, owner: AiohttpTransport, answer: aiohttp.ClientResponse) -> None:
        self._owner = owner
        self._answer = answer
        self._iterated = False
        self._open = True
        owner._begin(self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._iterated:
            raise httpx.StreamConsumed
        if not self._open:
            raise httpx.StreamClosed
        self._iterated = True
        content = self._answer.content
        try:
            while chunk := await content.readany():
                yield chunk
                if not self._open:
                    raise httpx.ReadError("the response was aborted")
        except BaseException as error:
            aborted = not self._open
            reset = _was_reset(self._answer)
            self.abort()
            if isinstance(error, (aiohttp.ClientError, OSError, RuntimeError)):
                raise _broken(error, aborted=aborted, reset=reset) from error
            raise
        self.abort()  # at the end aiohttp has taken the connection back, and this frees the slot

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._answer.close()  # which aborts the connection, unless that is back in the pool
            self._owner._end(self)


class _Handler(ResponseHandler):
    """A connection that is not used again once more has come on it than its answer.

    Where the answer ends only aiohttp's parser knows, and it does not tell: it begins to read another one.
    But it does tell whether the answer was complete before the last byte of what came.
    """

    _body: StreamReader | None = None

    def set_response_params(self, **params: Any) -> None:
        self._body = None  # a new answer is expected
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        if data[0].code >= 200:
            self._body = data[1]
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        if len(data) > 1 and not self._is_complete():
            super().data_received(data[:-1])
            data = data[-1:]
        if data and (self._is_complete() or self._reading_paused):
            # Complete already; or the parser keeps something back, and what that is nobody can see.
            self.force_close()
        super().data_received(data)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        if isinstance(exc, OSError):  # of who writes, perhaps before the loss of the connection is told
            self._hear_out()
        super().set_exception(exc, *cause)

    def connection_lost(self, exc: BaseException | None) -> None:
        if isinstance(exc, OSError):
            self._hear_out()
        super().connection_lost(exc)

    def _hear_out(self) -> None:
        """Take in what had come before the connection broke; that may be the whole answer."""
        if self.transport is not None and self.transport.is_closing():
            for piece in last_words(self.transport):
                self.data_received(piece)

    def _is_complete(self) -> bool:
        return self._body is not None and self._body.is_eof()


class _Connector(aiohttp.TCPConnector):
    """A connector that closes at once and does not trust an idle connection that has received something."""

    def __init__(self, owner: AiohttpTransport, **options: Any) -> None:
        super().__init__(**options)
        self._owner = weakref.ref(owner)
        self._factory = partial(_Handler, loop=self._loop)  # type: ignore[assignment]  # a kind of it

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close and not _is_stale(protocol.transport):
                return connection
            connection.close()
        return None

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        # aiohttp would flush what is unsent and, over TLS, wait for the peer's farewell: a server that
        # reads nothing would keep the socket open for as long as it likes.
        if (should_close or protocol.should_close) and protocol.transport is not None:
            protocol.transport.abort()
        super()._release(key, protocol, should_close=should_close)

    @property
    def closed(self) -> bool:
        # The session asks, and would complain when it is dropped along with a transport that nobody closed.
        return self._closed or self._owner() is None

    def __del__(self, *warnings: Any) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(RuntimeError):  # the loop is closed
            self.abort_in_use()
            for protocol, _ in chain.from_iterable(self._conns.values()):
                if protocol.transport is not None:
                    protocol.transport.abort()

    def abort_in_use(self) -> None:
        for protocol in list(self._acquired):
            if protocol.transport is not None:  # None: still connecting
                protocol.transport.abort()


def _is_stale(transport: asyncio.Transport | None) -> bool:
    return transport is None or is_readable(transport.get_extra_info("socket"))


def _headers(request: httpx.Request) -> multidict.CIMultiDict[str]:
    # aiohttp writes text as UTF-8, so that decoding as UTF-8 puts the same bytes on the wire.
    try:
        return multidict.CIMultiDict([(name.decode(), value.decode()) for name, value in request.headers.raw])
    except UnicodeDecodeError as error:
        raise httpx.LocalProtocolError("transport 'aiohttp' sends headers in ASCII or UTF-8 only") from error


def _data(request: httpx.Request, headers: multidict.CIMultiDict[str]) -> bytes | AsyncIterator[bytes] | None:
    stream = request.stream
    if not isinstance(stream, httpx.ByteStream):
        assert isinstance(stream, httpx.AsyncByteStream)
        headers.popall("Transfer-Encoding", None)  # aiohttp sets it itself, and insists
        return aiter(stream)
    body = b"".join(stream)
    if len(body) <= PIECE_BYTES:
        return body or None
    headers.setdefault("Content-Length", str(len(body)))
    return _pieces(body)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]


def _was_reset(answer: aiohttp.ClientResponse) -> bool:
    connection = answer.connection
    protocol = connection.protocol if connection is not None else None
    return protocol is not None and isinstance(protocol.exception(), OSError)


def _translated(error: Exception, request: httpx.Request) -> httpx.TransportError:
    """The httpx error for a request that brought no response. Messages hold no path and no query."""
    where = request.url.netloc.decode("ascii")
    match error:
        case aiohttp.ClientHttpProxyError():
            return httpx.ProxyError(f"the proxy refused to connect to {where}: {error.status}")
        case aiohttp.ClientSSLError():
            return httpx.ConnectError(f"no TLS: {error}")
        case aiohttp.ClientConnectorError(errno=int(number)) if number > 0:
            return httpx.ConnectError(os.strerror(number))
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(str(error.os_error))
        case aiohttp.ServerFingerprintMismatch():
            return httpx.ConnectError(f"{where} showed another certificate than expected")
        case aiohttp.ConnectionTimeoutError() | TimeoutError():
            return httpx.ConnectTimeout("it did not stand in time")
        case aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError(f"{where} disconnected without sending a response")
        case aiohttp.ClientResponseError():
            what = error.message.partition("\n")[0].rstrip(" :")  # further lines quote what came
            return httpx.RemoteProtocolError(f"{where} sent something that is not HTTP: {what}")
        case aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError(f"{where} sent a broken response")
        case aiohttp.InvalidURL() | ValueError():
            return httpx.LocalProtocolError(f"the request cannot be sent: {type(error).__name__}")
        case ssl.SSLError():
            return httpx.ReadError(f"TLS to {where} failed: {error.reason}")
        case OSError(errno=int(number)):
            return httpx.ReadError(f"the connection to {where} broke: {os.strerror(number)}")
        case _:
            return httpx.ReadError(f"the connection to {where} broke: {type(error).__name__}")


def _broken(error: Exception, *, aborted: bool, reset: bool) -> httpx.TransportError:
    """The httpx error for a body that ended before its end."""
    if aborted:
        return httpx.ReadError("the response was aborted")
    if reset or not isinstance(error, aiohttp.ClientPayloadError):
        return httpx.ReadError(f"the connection broke within the body: {type(error).__name__}")
    return httpx.RemoteProtocolError("the connection ended before the body did")
