"""Transports made by name, as a router makes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pointsman._internal.scrubber import Scrubber
from pointsman.build.contexts import Contexts
from pointsman.build.transports import Transports
from pointsman.clock import LoopClock, system_rng
from pointsman.plugins.registry import Plugins
from pointsman.transports import TransportOptions
from pointsman.transports.lazy import DeferredTransport


def open_transport(name: str, options: TransportOptions | None = None, plugins: Iterable[object] = ()) -> Any:
    """The transport of that name, which `plugins` may offer, too; that of `auto` as a started router has it.

    Raises: TransportUnavailable.
    """
    transports = Transports(Plugins(plugins), Contexts(LoopClock(), system_rng()), Scrubber())
    made = transports.open(name, options or TransportOptions())
    return made.made() if isinstance(made, DeferredTransport) else made
