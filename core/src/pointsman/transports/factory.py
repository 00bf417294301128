"""What a transport plugin offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pointsman.frozen import frozen


@frozen
class TransportFactory:
    """`make(options)` returns an `httpx.AsyncBaseTransport` for `TransportOptions`; it opens nothing yet."""

    name: str
    make: Callable[[Any], Any]
