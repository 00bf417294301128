"""Built-in transports: `httpx`, and `auto`, which is the best of those that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

from pointsman.transports.factory import TransportContext, TransportFactory
from pointsman.transports.lazy import DeferredTransport
from pointsman.transports.options import TlsContexts, TransportOptions


def built_in() -> Sequence[TransportFactory]:
    """The factories, which share what of TLS takes time to read."""
    # Reading the certificate authorities takes 20 ms: once for all deployments with the same options.
    make = partial(_httpx, contexts=TlsContexts())
    return (
        TransportFactory("auto", None, _auto),
        TransportFactory("httpx", None, make, rank=10, refuses=_lacks),
    )


def _auto(context: TransportContext) -> Any:
    options = context.options

    def name() -> str:
        return context.candidates()[0]

    # What may be refused is to be refused at set-up: HTTP/2 and SOCKS proxies need further packages. For all
    # else there is always one that will do, and importing its library can wait until the router starts.
    if options.http2 or options.wants_socks():
        return context.inner(name())
    return DeferredTransport(lambda: context.inner(name()), name)


def _lacks(options: TransportOptions) -> str | None:
    if options.http2 and find_spec("h2") is None:
        return "HTTP/2 needs the package h2. Try: pip install 'httpx[http2]'"
    if options.wants_socks() and find_spec("socksio") is None:
        return "a SOCKS proxy needs socksio. Try: pip install 'httpx[socks]'"
    return None


def _httpx(context: TransportContext, *, contexts: TlsContexts) -> Any:
    from pointsman.builtin.httpx.transport import HttpxTransport  # loads httpx, httpcore and anyio

    return HttpxTransport(context.options, contexts=contexts)
