"""The core's own plugin: what is built in, offered through the same hooks as anyone's."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.audit import AuditFactory
from pointsman.auth import AuthFactory
from pointsman.discovery import DiscoveryFactory
from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.prices import PriceFactory
from pointsman.retry import RetryFactory
from pointsman.section import SectionFactory
from pointsman.selector import SelectorFactory
from pointsman.service import ServiceFactory
from pointsman.state import StateFactory
from pointsman.strategy import StrategyFactory
from pointsman.transports.factory import TransportFactory


class BuiltinPlugin(PointsmanSpec):
    """Everything that needs no further package.

    What a configuration does not name is not imported: a hook is called when one of its kind is asked for.
    """

    @hookimpl
    def pointsman_auth(self) -> Sequence[AuthFactory]:
        from pointsman.builtin import auth

        return auth.BUILT_IN

    @hookimpl
    def pointsman_retry_policies(self) -> Sequence[RetryFactory]:
        from pointsman.builtin import retry

        return retry.BUILT_IN

    @hookimpl
    def pointsman_strategies(self) -> Sequence[StrategyFactory]:
        from pointsman.builtin import strategies

        return strategies.BUILT_IN

    @hookimpl
    def pointsman_audit_sinks(self) -> Sequence[AuditFactory]:
        from pointsman.builtin import audit

        return audit.BUILT_IN

    @hookimpl
    def pointsman_selectors(self) -> Sequence[SelectorFactory]:
        from pointsman.builtin import rules

        return rules.BUILT_IN

    @hookimpl
    def pointsman_state_stores(self) -> Sequence[StateFactory]:
        from pointsman.builtin import memory

        return memory.BUILT_IN

    @hookimpl
    def pointsman_prices(self) -> Sequence[PriceFactory]:
        from pointsman.builtin import shipped_prices

        return shipped_prices.BUILT_IN

    @hookimpl
    def pointsman_discovery(self) -> Sequence[DiscoveryFactory]:
        from pointsman.builtin import discoveries  # only for what is not said

        return discoveries.BUILT_IN

    @hookimpl
    def pointsman_services(self) -> Sequence[ServiceFactory]:
        from pointsman.builtin import watching
        from pointsman.control import service

        return (service.SERVICE, watching.SERVICE)

    @hookimpl
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        from pointsman.builtin import watching
        from pointsman.control import service

        return (service.SECTION, watching.SECTION)

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        from pointsman.builtin import transports

        return transports.built_in()


plugin = BuiltinPlugin()
