"""The section `gateway` of a configuration, as settings, with all that is wrong about it and where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pointsman import Config
from pointsman._internal.suggest import did_you_mean
from pointsman.config.findings import Finding, unknown_key
from pointsman_gateway.access.listening import refusal
from pointsman_gateway.listening.addresses import Address
from pointsman_gateway.settings import GatewaySettings

SECTION = "gateway"


def gateway_settings(config: Config, known: Sequence[str]) -> GatewaySettings:
    """What `config` says of the gateway. `known` are the surfaces that are installed.

    Raises: ConfigError with all that is wrong, each with its place.
    """
    found: list[Finding] = []
    said = config.sections.get(SECTION, {})
    settings = config.validate_settings(GatewaySettings, said, (SECTION,), found)
    if settings is not None:
        found += _wrong(settings, config, known)
    if found or settings is None:
        raise config.error(found)
    return settings


def check_reach(settings: GatewaySettings, config: Config) -> None:
    """Raises ConfigError where it would listen to other machines without a word on who may ask."""
    found = list(_beyond_this_machine(settings))
    if found:
        raise config.error(found)


def directory_of(config: Config) -> Path:
    """What paths of the section are relative to."""
    return Path() if config.file is None else Path(config.file).parent


def _wrong(settings: GatewaySettings, config: Config, known: Sequence[str]) -> Iterator[Finding]:
    addresses = [str(each) for each in settings.addresses() if each.path is not None or each.port]
    for twice in sorted({each for each in addresses if addresses.count(each) > 1}):
        yield Finding((SECTION, "listen"), f"{twice} is to be listened at twice")
    public = config.public_models()
    for name, surface in (settings.surfaces or {}).items():
        path = (SECTION, "surfaces", name)
        if name not in known:
            yield unknown_key(path, known)
        for number, model in enumerate(surface.models or ()):
            if model not in public:
                hint = partial(did_you_mean, model, public, what="there are")
                yield Finding((*path, "models", number), f"there is no model {model!r}", hint)


def _beyond_this_machine(settings: GatewaySettings) -> Iterator[Finding]:
    for at in settings.listen:
        if (refused := refusal(_host(at), settings.access)) is not None:
            yield Finding((SECTION, "listen"), refused)


def _host(at: Address) -> str:
    return "" if at.path is not None else at.host
