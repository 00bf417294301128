"""A fast HTTP/1.1 transport for pointsman: `transport: h1`, or `auto`, which takes it where it can."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from pointsman.plugin import (
    PointsmanSpec,
    TlsContexts,
    TransportContext,
    TransportFactory,
    hookimpl,
)
from pointsman_h1.transport import H1Transport, refuses

__all__ = ["H1Plugin", "H1Transport", "plugin"]


class H1Plugin(PointsmanSpec):
    """Offers the transport `h1`."""

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        # Reading the certificate authorities takes 20 ms: once for all deployments with the same options.
        make = partial(_make, contexts=TlsContexts())
        return (TransportFactory("h1", None, make, rank=30, refuses=refuses),)


def _make(context: TransportContext, *, contexts: TlsContexts) -> Any:
    return H1Transport(context.options, contexts=contexts)


plugin = H1Plugin()
