"""The kinds of plugins: each with its group of entry points, its hook, and what the hook returns."""

from __future__ import annotations

from msgspec import Struct

from pointsman.audit import AuditFactory
from pointsman.auth import AuthFactory
from pointsman.dialect import DialectFactory
from pointsman.discovery import DiscoveryFactory
from pointsman.guard import GuardFactory
from pointsman.prices import PriceFactory
from pointsman.provider import ProviderFactory
from pointsman.retry import RetryFactory
from pointsman.section import SectionFactory
from pointsman.selector import SelectorFactory
from pointsman.service import ServiceFactory
from pointsman.state import StateFactory
from pointsman.strategy import StrategyFactory
from pointsman.surface import SurfaceFactory
from pointsman.transports.factory import TransportFactory


class Kind(Struct, frozen=True):
    """One kind of plugin: its entry-point group, its hook, and the class of what the hook returns.

    `factory` is None where anything with a `name` will do.
    """

    name: str
    group: str
    hook: str
    factory: type | None = None


KINDS = {
    kind.name: kind
    for kind in (
        Kind("provider", "pointsman.providers", "pointsman_providers", ProviderFactory),
        Kind("auth", "pointsman.auth", "pointsman_auth", AuthFactory),
        Kind("retry", "pointsman.retry", "pointsman_retry_policies", RetryFactory),
        Kind("strategy", "pointsman.strategies", "pointsman_strategies", StrategyFactory),
        Kind("audit", "pointsman.audit", "pointsman_audit_sinks", AuditFactory),
        Kind("transport", "pointsman.transports", "pointsman_transports", TransportFactory),
        Kind("guard", "pointsman.guards", "pointsman_guards", GuardFactory),
        Kind("selector", "pointsman.selectors", "pointsman_selectors", SelectorFactory),
        Kind("surface", "pointsman.surfaces", "pointsman_surfaces", SurfaceFactory),
        Kind("service", "pointsman.services", "pointsman_services", ServiceFactory),
        Kind("section", "pointsman.sections", "pointsman_sections", SectionFactory),
        Kind("state", "pointsman.state", "pointsman_state_stores", StateFactory),
        Kind("prices", "pointsman.prices", "pointsman_prices", PriceFactory),
        Kind("discovery", "pointsman.discovery", "pointsman_discovery", DiscoveryFactory),
        Kind("dialect", "pointsman.dialects", "pointsman_config_dialects", DialectFactory),
        Kind("command", "pointsman.commands", "pointsman_commands"),
    )
}
"""Every kind by its name."""
