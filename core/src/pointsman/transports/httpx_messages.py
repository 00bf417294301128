"""Requests, responses and replies for transports that speak httpx, without what most calls never need.

Making an `httpx.Headers` of ten pairs of bytes takes longer than writing them to the socket, so here it waits
until somebody asks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import httpx

from pointsman.errors import BadResponse
from pointsman.transports.raw import Pairs, Reply, RequestTemplate, named


async def exchange_over(
    transport: httpx.AsyncBaseTransport, shared: RequestTemplate, values: tuple[str, ...], content: bytes
) -> Reply:
    """What `RawTransport.exchange` gives, of any transport."""
    return HttpxReply(await transport.handle_async_request(HttpxRequest(shared, values, content)))


class HttpxRequest(httpx.Request):
    """The request that `RawTransport.exchange` would send."""

    _headers: httpx.Headers | None

    def __init__(self, shared: RequestTemplate, values: tuple[str, ...], content: bytes) -> None:
        # All that the initializer of httpx would set: it takes longer than all the rest of the request.
        self.method = shared.method
        self.url = shared.url
        self.stream = httpx.ByteStream(content)
        self.extensions = dict(shared.extensions)
        self._headers = None
        self._pairs = [*shared.fields, *shared.own_fields(values, content)]
        self._body = content

    @property
    def headers(self) -> httpx.Headers:
        if self._headers is None:
            self._headers = httpx.Headers(self._pairs)
        return self._headers

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        self._headers = headers

    @property
    def content(self) -> bytes:
        return self._body


class HttpxResponse(httpx.Response):
    """A response whose head came as `pairs`."""

    _headers: httpx.Headers | None

    def __init__(
        self, status: int, pairs: Pairs, stream: httpx.AsyncByteStream, extensions: Mapping[str, Any]
    ) -> None:
        super().__init__(status, stream=stream, extensions=dict(extensions))
        # After it, for it sets headers of its own, which are empty.
        self._headers = None
        self._pairs = pairs

    @property
    def headers(self) -> httpx.Headers:
        if self._headers is None:
            self._headers = httpx.Headers(self._pairs)
        return self._headers

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        self._headers = headers


class HttpxReply:
    """The `Reply` that a response of httpx makes."""

    __slots__ = ("_headers", "_iterator", "_stream", "abort", "ready", "status")

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self._headers = response.headers
        self._stream = response.stream
        self._iterator: AsyncIterator[bytes] | None = None
        self.abort: Callable[[], object] | None = getattr(response.stream, "abort", None)
        self.ready: Callable[[], bytes | None] = getattr(response.stream, "ready", _never)

    @property
    def fields(self) -> dict[str, str]:
        return named(self._headers.raw)

    def next(self) -> Awaitable[bytes]:
        if self._iterator is None:
            if not isinstance(self._stream, httpx.AsyncByteStream):
                raise BadResponse("the transport gave a body that cannot be read asynchronously")
            self._iterator = aiter(self._stream)
        return anext(self._iterator)

    async def aclose(self) -> None:
        if isinstance(self._stream, httpx.AsyncByteStream):
            await self._stream.aclose()


def _never() -> None:
    """Of a body that cannot tell what is here without waiting."""
