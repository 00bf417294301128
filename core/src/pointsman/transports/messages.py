"""Requests and responses that put off what most calls never need.

They are those of httpx. Making an `httpx.Headers` of ten pairs of bytes takes longer than writing them to the
socket, so here it waits until somebody asks; whoever is content with the pairs takes them from `fields`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields as they stand on the wire, in order."""


class Shared:
    """What the requests have in common that go to one path with one credential; it never changes.

    Attributes:
        fields, names: header fields, one for each name; names are in lower case.
        encoded: for the transport, to keep what it makes of the rest; None before that.
    """

    __slots__ = ("encoded", "fields", "method", "names", "url")

    def __init__(self, method: str, url: httpx.URL, fields: Mapping[bytes, bytes]) -> None:
        self.method = method
        self.url = url
        self.fields = tuple(fields.items())
        self.names = frozenset(fields)
        self.encoded: object = None

    def request(self, own: Fields, content: bytes, extensions: Mapping[str, Any]) -> Request:
        """A request with the fields `own` after the shared ones, and `content` for its body."""
        return Request(self, own, content, dict(extensions))


class Request(httpx.Request):
    """A request with the fields of a `Shared` and its `own` after them."""

    _headers: httpx.Headers | None

    def __init__(self, shared: Shared, own: Fields, content: bytes, extensions: dict[str, Any]) -> None:
        # All that the initializer of httpx would set: it takes longer than all the rest of the request.
        self.method = shared.method
        self.url = shared.url
        self.stream = httpx.ByteStream(content)
        self.extensions = extensions
        self._headers = None
        self._shared = shared
        self._body = content
        self.own = own

    @property
    def shared(self) -> Shared | None:
        """What it has in common with others; None once it could have been changed."""
        shared = self._shared
        if self._headers is None and self.url is shared.url and self.method is shared.method:
            return shared
        return None

    @property
    def headers(self) -> httpx.Headers:
        if self._headers is None:
            self._headers = httpx.Headers([*self._shared.fields, *self.own])
        return self._headers

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        self._headers = headers

    @property
    def content(self) -> bytes:
        return self._body


class Response(httpx.Response):
    """A response whose head came as `fields`."""

    _headers: httpx.Headers | None

    def __init__(
        self, status: int, fields: Fields, stream: httpx.AsyncByteStream, extensions: dict[str, Any]
    ) -> None:
        super().__init__(status, stream=stream, extensions=extensions)
        self._headers = None
        self._fields = fields

    @property
    def fields(self) -> Fields:
        """The header fields."""
        return self._fields if self._headers is None else self._headers.raw

    @property
    def headers(self) -> httpx.Headers:
        if self._headers is None:
            self._headers = httpx.Headers(self._fields)
        return self._headers

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        self._headers = headers
