"""The key set of an issuer, fetched over a connection of ours."""

from __future__ import annotations

from urllib.parse import urlsplit

from pointsman.auth import Fixed
from pointsman.plugin import Client, Clock, Endpoint, TransportOptions, Unavailable

_WITHIN = 5.0
"""Seconds: requests wait for it."""


class SetClient:
    """Asks one URL; follows no redirect, takes no proxy from the environment, checks every certificate."""

    def __init__(self, url: str, clock: Clock) -> None:
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._clock = clock
        self._client: Client | None = None

    async def fetch(self) -> bytes:
        """The document. Raises CallError."""
        client = self._client or self._open()
        answer, body = await client.fetch("GET", self._path, timeouts=client.within(_WITHIN))
        if answer.status != 200:
            raise Unavailable(f"{self._origin} answered {answer.status}")
        return body

    def _open(self) -> Client:
        from pointsman.builtin.httpx.transport import HttpxTransport  # takes time to import

        transport = HttpxTransport(TransportOptions(max_connections=2))
        self._client = Client(Endpoint(self._origin), transport, auth=Fixed(None), clock=self._clock)
        return self._client

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            await self._client.aclose()
