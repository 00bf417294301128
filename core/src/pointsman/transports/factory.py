"""What a transport plugin offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TransportFactory:
    """`make(options)` returns an `httpx.AsyncBaseTransport` for `TransportOptions`; it opens nothing yet."""

    name: str
    make: Callable[[Any], Any]
