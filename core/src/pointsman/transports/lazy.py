"""A transport whose library is imported when it is needed, so that building a router does not wait for it.

That of aiohttp takes 0.15 s and 10 MiB, for connections that may never open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pointsman._internal import httpx_lazy

if TYPE_CHECKING:
    import httpx


class DeferredTransport:
    """Stands in for the transport that `make()` returns, until somebody wants it.

    `make` must be sure to succeed: what may be refused is to be made, and refused, at set-up. `name()` is
    what it will be called.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport], name: Callable[[], str]) -> None:
        self._make = make
        self._name = name
        self._made: httpx.AsyncBaseTransport | None = None
        self._closed = False

    @property
    def name(self) -> str:
        return self._name()

    def made(self) -> httpx.AsyncBaseTransport:
        """The transport itself, always the same. Raises RuntimeError when this was closed before."""
        if self._made is None:
            if self._closed:
                raise RuntimeError("this transport is closed")
            # Before the transport imports it by itself, and with it the command line of httpx and rich.
            _ = httpx_lazy.httpx
            self._made = self._make()
        return self._made

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.made().handle_async_request(request)

    async def aclose(self) -> None:
        self._closed = True
        if self._made is not None:
            await self._made.aclose()
