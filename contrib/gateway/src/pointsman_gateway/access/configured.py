"""From the section `gateway` to the rules of access."""

from __future__ import annotations

from pathlib import Path

from pointsman.plugin import Caller, Clock
from pointsman_gateway.access.rules import Built, build
from pointsman_gateway.access.settings import AccessSettings
from pointsman_gateway.settings import GatewaySettings, SurfaceSettings

_ANYWHERE = frozenset(("", "0.0.0.0", "::"))  # noqa: S104 - not to listen there, but never to be called so


def rules_of(settings: GatewaySettings, *, pepper: bytes, clock: Clock, directory: Path) -> Built:
    """What `settings` say of access. Raises ConfigError."""
    surfaces = (settings.surfaces or {}).items()
    return build(
        settings.access or AccessSettings(),
        pepper=pepper,
        clock=clock,
        directory=directory,
        hosts=[*settings.hosts, *(each.host for each in settings.listen if each.host not in _ANYWHERE)],
        origins=settings.cors,
        behind_proxy=bool(settings.trusted_proxies),
        keyless={name: _scope(each) for name, each in surfaces if each.listen},
    )


def _scope(surface: SurfaceSettings) -> Caller:
    """What may be done at a listener of its own, where nobody brings a key."""
    return Caller(models=None if surface.models is None else frozenset(surface.models))
