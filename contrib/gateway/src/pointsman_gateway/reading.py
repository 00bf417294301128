"""The section `gateway` of a configuration, as settings, with all that is wrong about it and where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pointsman import Config
from pointsman.config import codes
from pointsman.config.findings import Finding
from pointsman_gateway.access.listening import refusal
from pointsman_gateway.listening.addresses import Address
from pointsman_gateway.settings import GatewaySettings

SECTION = "gateway"


def gateway_settings(config: Config) -> GatewaySettings:
    """What `config` says of the gateway.

    What a router finds wrong with it that is built from `config` (see `checking`) is not looked at again.

    Raises: ConfigError with all that is wrong, each with its place.
    """
    found: list[Finding] = []
    settings = config.validate_settings(GatewaySettings, config.sections.get(SECTION, {}), (SECTION,), found)
    if settings is None:
        raise config.error(found)
    return settings.beside(directory_of(config))


def check_reach(settings: GatewaySettings, config: Config) -> None:
    """Raises ConfigError where it would listen to other machines without a word on who may ask."""
    found = list(_beyond_this_machine(settings))
    if found:
        raise config.error(found)


def directory_of(config: Config) -> Path:
    """What paths of the section are relative to."""
    return config.directory


def _beyond_this_machine(settings: GatewaySettings) -> Iterator[Finding]:
    for at in settings.listen:
        if (refused := refusal(_host(at), settings.access)) is not None:
            yield Finding((SECTION, "listen"), refused, code=codes.NEEDS_ANOTHER)


def _host(at: Address) -> str:
    return "" if at.path is not None else at.host
