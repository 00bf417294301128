"""What a transport plugin offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct


class TransportFactory(Struct, frozen=True):
    """`make(options)` returns an `httpx.AsyncBaseTransport` for `TransportOptions`; it opens nothing yet."""

    name: str
    make: Callable[[Any], Any]
