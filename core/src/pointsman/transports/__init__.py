"""Transports: the object that carries one HTTP exchange, one per deployment.

A transport is an `httpx.AsyncBaseTransport`, called directly. The one built in, `httpx`, and those of the
distributions that are developed with it, keep these promises:

- What goes out is what the request holds. Nothing is added but `Host` and the length of a body.
- Nothing is retried, redirected, stored as a cookie or decompressed. A `content-encoding` that a server
  sends although it was asked for `identity` is left to the caller.
- Errors are those of httpx, with the cause kept. A body that ends too early raises, it never just ends.
- A cancelled caller leaves nothing behind: its connection is closed at once and its slot is free again.
- What a server sends beyond its answer reaches nobody, and its connection is not used again. What comes after
  the next request was written is, by HTTP/1.1, the answer to that one.
- A body read to its end gives the connection back; a body closed before that closes the connection.
- The stream of a response is `Abortable`; where a transport has its reads at hand, it is `Immediate`, too.

One that is a `raw.RawTransport`, too, is talked to without the requests and responses of httpx. To all others
our own client sends a `httpx_messages.Request`, which is an `httpx.Request`.

Importing this package loads neither httpx nor anyio.
"""

from __future__ import annotations

from pointsman.transports.options import (
    Abortable,
    Immediate,
    TlsContexts,
    TransportOptions,
    TransportUnavailable,
)

__all__ = ["Abortable", "Immediate", "TlsContexts", "TransportOptions", "TransportUnavailable", "name_of"]


def name_of(transport: object) -> str:
    """What `transport` is called in a configuration, as far as it says so."""
    return str(getattr(transport, "name", type(transport).__name__))
