"""What a transport plugin offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        inner: makes the transport of another name with the same options, to stand around it; `auto` is one.
        candidates: gives the names of the transports that have a rank and can do what the options ask for,
            the highest rank first, at least one. Plugins are imported for it; one that is broken is passed
            over, which the log says. Raises TransportUnavailable.
    """

    options: TransportOptions
    inner: Callable[[str], httpx.AsyncBaseTransport]
    candidates: Callable[[], Sequence[str]]


def _refuses_nothing(options: TransportOptions) -> None:
    """Of a transport that can do whatever is asked."""


class TransportFactory(Struct, frozen=True):
    """What a transport plugin offers: `make` returns an `httpx.AsyncBaseTransport`; it opens nothing yet.

    Attributes:
        settings: None when it has none.
        rank: `auto` takes the transport of the highest rank that refuses nothing, whoever it comes from; one
            of rank 0 only serves who names it. Built in is `httpx` with 10; ours beside it are `aiohttp` with
            20 and `h1` with 30.
        refuses: why it cannot do what the options ask for, None when it can. It is asked before `make`.
    """

    name: str
    settings: type[Any] | None  # Any: the model is the plugin's own
    make: Callable[[TransportContext], Any]
    rank: int = 0
    refuses: Callable[[TransportOptions], str | None] = _refuses_nothing
