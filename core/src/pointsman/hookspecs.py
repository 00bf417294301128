"""The hooks: what a plugin may offer. They run once, at set-up, and return named factories.

A plugin is an object with some of these methods, found through an entry point whose name is the name used
in configurations. Inherit `PointsmanSpec`, mark each method with `hookimpl`, and the type checker sees a
wrong one. A hook starts nothing: no network, no files, no tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pluggy

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

PROJECT = "pointsman"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a method of a plugin as one of these hooks."""


class PointsmanSpec:
    """All hooks, each with the default of offering nothing."""

    @hookspec
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        """Kinds of upstream APIs. Entry-point group `pointsman.providers`."""
        return ()

    @hookspec
    def pointsman_auth(self) -> Sequence[AuthFactory]:
        """Sources of credentials. Entry-point group `pointsman.auth`."""
        return ()

    @hookspec
    def pointsman_retry_policies(self) -> Sequence[RetryFactory]:
        """Retry policies. Entry-point group `pointsman.retry`."""
        return ()

    @hookspec
    def pointsman_strategies(self) -> Sequence[StrategyFactory]:
        """Balancing strategies. Entry-point group `pointsman.strategies`."""
        return ()

    @hookspec
    def pointsman_audit_sinks(self) -> Sequence[AuditFactory]:
        """Places for audit records. Entry-point group `pointsman.audit`."""
        return ()

    @hookspec
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        """HTTP transports. Entry-point group `pointsman.transports`."""
        return ()

    @hookspec
    def pointsman_guards(self) -> Sequence[GuardFactory]:
        """What stands around requests. Entry-point group `pointsman.guards`."""
        return ()

    @hookspec
    def pointsman_selectors(self) -> Sequence[SelectorFactory]:
        """What picks the model of a request. Entry-point group `pointsman.selectors`."""
        return ()

    @hookspec
    def pointsman_surfaces(self) -> Sequence[SurfaceFactory]:
        """APIs that callers speak to a gateway. Entry-point group `pointsman.surfaces`."""
        return ()

    @hookspec
    def pointsman_services(self) -> Sequence[ServiceFactory]:
        """What lives with a router. Entry-point group `pointsman.services`."""
        return ()

    @hookspec
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        """Further keys at the top of the configuration. Entry-point group `pointsman.sections`."""
        return ()

    @hookspec
    def pointsman_state_stores(self) -> Sequence[StateFactory]:
        """What several routers share. Entry-point group `pointsman.state`."""
        return ()

    @hookspec
    def pointsman_prices(self) -> Sequence[PriceFactory]:
        """What models cost. Entry-point group `pointsman.prices`."""
        return ()

    @hookspec
    def pointsman_discovery(self) -> Sequence[DiscoveryFactory]:
        """What finds servers and models of providers. Entry-point group `pointsman.discovery`."""
        return ()

    @hookspec
    def pointsman_config_dialects(self) -> Sequence[DialectFactory]:
        """Readers of other programs' configuration files. Entry-point group `pointsman.dialects`."""
        return ()

    @hookspec
    def pointsman_commands(self) -> Sequence[Any]:
        """Click commands for the command line. Entry-point group `pointsman.commands`."""
        return ()
