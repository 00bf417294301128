"""A fast HTTP/1.1 transport for pointsman: `transport: h1`, or `auto`, which takes it where it can."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, TlsContexts, TransportFactory, hookimpl
from pointsman_h1.transport import H1Transport

__all__ = ["H1Plugin", "H1Transport", "plugin"]


class H1Plugin(PointsmanSpec):
    """Offers the transport `h1`."""

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        # Reading the certificate authorities takes 20 ms: once for all deployments with the same options.
        contexts = TlsContexts()
        return (
            TransportFactory("h1", None, lambda context: H1Transport(context.options, contexts=contexts)),
        )


plugin = H1Plugin()
