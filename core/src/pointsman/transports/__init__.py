"""Transports: the object that carries one HTTP exchange, one per deployment.

A transport is an `httpx.AsyncBaseTransport`, called directly. Those built in, `httpx` and `aiohttp`, and that
of the distribution pointsman-h1 keep these promises:

- What goes out is what the request holds. Nothing is added but `Host` and the length of a body.
- Nothing is retried, redirected, stored as a cookie or decompressed. A `content-encoding` that a server
  sends although it was asked for `identity` is left to the caller.
- Errors are those of httpx, with the cause kept. A body that ends too early raises, it never just ends.
- A cancelled caller leaves nothing behind: its connection is closed at once and its slot is free again.
- What a server sends beyond its answer reaches nobody, and its connection is not used again. What comes after
  the next request was written is, by HTTP/1.1, the answer to that one.
- A body read to its end gives the connection back; a body closed before that closes the connection.
- The stream of a response is `Abortable`; that of `h1` is `Immediate`, too.

h1 is `direct.Direct`, too: our own client talks to it without the requests and responses of httpx. To all
others it sends a `messages.Request`, which is an `httpx.Request`.

Importing this package loads neither httpx, anyio nor aiohttp.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pointsman.transports.options import (
    Abortable,
    Immediate,
    TlsContexts,
    TransportOptions,
    TransportUnavailable,
)

if TYPE_CHECKING:
    import httpx

__all__ = [
    "TRANSPORTS",
    "Abortable",
    "Immediate",
    "TlsContexts",
    "TransportOptions",
    "TransportUnavailable",
    "fastest",
    "name_of",
    "open_transport",
]

TRANSPORTS = ("aiohttp", "auto", "h1", "httpx")


def open_transport(
    name: str, options: TransportOptions | None = None, *, contexts: TlsContexts | None = None
) -> httpx.AsyncBaseTransport:
    """A new transport, which opens nothing before its first request.

    Args:
        name: one of `TRANSPORTS`; `auto` is the fastest that is installed and can do what `options` ask for:
            h1, which knows neither HTTP/2 nor proxies, else aiohttp, which knows neither HTTP/2 nor SOCKS
            proxies, else httpx.
        contexts: where TLS contexts are shared between transports with identical options;
            without it the transport builds its own.

    Raises: TransportUnavailable for an unknown name, a library that is missing or one that cannot do it.
    """
    options = options or TransportOptions()
    if name == "auto":
        name = fastest(options)
    if name == "httpx":
        from pointsman.builtin.httpx.transport import HttpxTransport

        return HttpxTransport(options, contexts=contexts)
    if name == "aiohttp":
        if find_spec("aiohttp") is None:
            raise TransportUnavailable(
                "transport 'aiohttp' needs the package aiohttp. Try: pip install 'pointsman[aiohttp]'"
            )
        from pointsman.transports.over_aiohttp import AiohttpTransport

        return AiohttpTransport(options, contexts=contexts)
    if name == "h1":
        return _h1(options, contexts)
    raise TransportUnavailable(f"there is no transport {name!r}; there are: {', '.join(TRANSPORTS)}")


def fastest(options: TransportOptions) -> str:
    """The name of the transport that `auto` comes to."""
    if not options.http2 and not options.wants_proxy() and find_spec(_H1):
        return "h1"
    if not options.http2 and not options.wants_socks() and find_spec("aiohttp"):
        return "aiohttp"
    return "httpx"


def name_of(transport: object) -> str:
    """What `transport` is called in a configuration, as far as it says so."""
    return str(getattr(transport, "name", type(transport).__name__))


_H1 = "pointsman_h1"


def _h1(options: TransportOptions, contexts: TlsContexts | None) -> httpx.AsyncBaseTransport:
    if find_spec(_H1) is None:
        raise TransportUnavailable(
            "transport 'h1' needs the package pointsman-h1. Try: pip install pointsman-h1"
        )
    try:
        # Not an import statement: the core depends on no plugin, and this one runs only when asked for.
        module = import_module(_H1)
    except ImportError as error:
        raise TransportUnavailable(
            f"transport 'h1' cannot be imported: {error}. Try: pip install --force-reinstall pointsman-h1"
        ) from error
    transport: httpx.AsyncBaseTransport = module.H1Transport(options, contexts=contexts)
    return transport
