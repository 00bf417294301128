"""A transport for pointsman over aiohttp: `transport: aiohttp`, or `auto` where it is the best there is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from pointsman.plugin import (
    PointsmanSpec,
    TlsContexts,
    TransportContext,
    TransportFactory,
    TransportOptions,
    hookimpl,
)

__all__ = ["AiohttpPlugin", "plugin", "refuses"]


class AiohttpPlugin(PointsmanSpec):
    """Offers the transport `aiohttp`."""

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        # Reading the certificate authorities takes 20 ms: once for all deployments with the same options.
        make = partial(_make, contexts=TlsContexts())
        return (TransportFactory("aiohttp", None, make, rank=20, refuses=refuses),)


def refuses(options: TransportOptions) -> str | None:
    """Why this transport cannot do what `options` ask for; None when it can."""
    if options.http2:
        return "transport 'aiohttp' has no HTTP/2; transport 'httpx' has"
    if options.wants_socks():
        return "transport 'aiohttp' has no SOCKS proxies; transport 'httpx' has"
    return None


def _make(context: TransportContext, *, contexts: TlsContexts) -> Any:
    # Here, because `auto` asks for the rank of a transport that it may not take: aiohttp takes 100 ms.
    from pointsman_aiohttp.transport import AiohttpTransport

    return AiohttpTransport(context.options, contexts=contexts)


plugin = AiohttpPlugin()
