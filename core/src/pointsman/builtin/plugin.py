"""The core's own plugin: what is built in, offered through the same hooks as anyone's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from pointsman.audit import AuditFactory
from pointsman.auth import AuthFactory
from pointsman.dialect import DialectFactory
from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.retry import RetryFactory
from pointsman.section import SectionFactory
from pointsman.service import ServiceFactory
from pointsman.strategy import StrategyFactory
from pointsman.transports import fastest, open_transport
from pointsman.transports.factory import TransportContext, TransportFactory
from pointsman.transports.lazy import DeferredTransport
from pointsman.transports.options import TlsContexts


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
    def pointsman_services(self) -> Sequence[ServiceFactory]:
        from pointsman.control.service import SERVICE  # sockets, and a model: for nothing without `control`

        return (SERVICE,)

    @hookimpl
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        from pointsman.control.service import SECTION

        return (SECTION,)

    @hookimpl
    def pointsman_config_dialects(self) -> Sequence[DialectFactory]:
        from pointsman.builtin import dialects  # only for what is no configuration of ours

        return dialects.BUILT_IN

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        # Reading the certificate authorities takes 20 ms: once for all deployments with the same options.
        contexts = TlsContexts()
        return (
            TransportFactory("auto", None, partial(_auto, contexts=contexts)),
            TransportFactory("aiohttp", None, partial(_named, contexts=contexts)),
            TransportFactory("httpx", None, partial(_named, contexts=contexts)),
        )


def _named(context: TransportContext, *, contexts: TlsContexts) -> Any:
    return open_transport(context.name, context.options, contexts=contexts)


def _auto(context: TransportContext, *, contexts: TlsContexts) -> Any:
    """What `auto` comes to, with the import of its library put off unless it may be refused."""
    options = context.options
    make = partial(open_transport, "auto", options, contexts=contexts)
    # HTTP/2 and SOCKS proxies need further packages. Without them there is always one that will do.
    if options.http2 or options.wants_socks():
        return make()
    return DeferredTransport(make, partial(fastest, options))


plugin = BuiltinPlugin()
