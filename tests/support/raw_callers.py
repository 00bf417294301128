"""Callers that speak HTTP byte by byte, and go away whenever they like."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import json

WITHIN = 10.0
"""Seconds that anything here may take."""


class RawCaller:
    """One connection. What it does not do by itself nobody does for it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, url: str, **how: Any) -> RawCaller:
        parts = urlsplit(url)
        assert parts.hostname is not None
        return cls(*await asyncio.open_connection(parts.hostname, parts.port, **how))

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._writer.write(data)

    def post(self, path: str, body: Mapping[str, Any], **fields: str) -> None:
        """A whole request."""
        encoded = json.encode(body)
        head = {"host": "127.0.0.1", "content-type": "application/json", **fields}
        head["content-length"] = str(len(encoded))
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items())
        self.send(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + encoded)

    async def read_until(self, mark: bytes) -> bytes:
        """What comes up to `mark`."""
        async with asyncio.timeout(WITHIN):
            return await self._reader.readuntil(mark)

    async def rest(self) -> bytes:
        """All that comes until the other side closes."""
        async with asyncio.timeout(WITHIN):
            return await self._reader.read()

    async def is_heard(self) -> bool:
        """Whether the other side is still there, once what was written is on its way."""
        await self._writer.drain()
        await asyncio.sleep(0)
        return not self._writer.is_closing() and not self._reader.at_eof()

    def leave(self) -> None:
        """Go away without a word."""
        self._writer.transport.abort()
