"""The core's own plugin: what is built in, offered through the same hooks as anyone's."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.audit import AuditFactory
from pointsman.auth import AuthFactory
from pointsman.builtin import audit, auth, retry, strategies, transports
from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.retry import RetryFactory
from pointsman.strategy import StrategyFactory
from pointsman.transports.factory import TransportFactory


class BuiltinPlugin(PointsmanSpec):
    """Everything that needs no further package."""

    @hookimpl
    def pointsman_auth(self) -> Sequence[AuthFactory]:
        return auth.BUILT_IN

    @hookimpl
    def pointsman_retry_policies(self) -> Sequence[RetryFactory]:
        return retry.BUILT_IN

    @hookimpl
    def pointsman_strategies(self) -> Sequence[StrategyFactory]:
        return strategies.BUILT_IN

    @hookimpl
    def pointsman_audit_sinks(self) -> Sequence[AuditFactory]:
        return audit.BUILT_IN

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        return transports.built_in()


plugin = BuiltinPlugin()
