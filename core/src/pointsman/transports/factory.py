"""What a transport plugin offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pointsman.context import Context
from pointsman.transports.options import TransportOptions

if TYPE_CHECKING:
    import httpx


class TransportContext(Context, frozen=True, kw_only=True, eq=False):
    """What the transport of one deployment is made from.

    Attributes:
        options: what is asked of it: TLS, proxy, limits.
        inner: makes the transport of another name with the same options, to stand around it.
    """

    options: TransportOptions
    inner: Callable[[str], httpx.AsyncBaseTransport]


class TransportFactory(Struct, frozen=True):
    """What a transport plugin offers: `make` returns an `httpx.AsyncBaseTransport`; it opens nothing yet.

    `settings` is None when it has none.
    """

    name: str
    settings: type[Any] | None  # Any: the model is the plugin's own
    make: Callable[[TransportContext], Any]
