"""The section `gateway` of a configuration, as settings, with all that is wrong about it and where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pointsman import Config
from pointsman.config.findings import Finding, unknown_key
from pointsman_gateway.addresses import Address
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
    found = [_beyond_this_machine(at) for at in settings.listen if not at.is_local]
    if found:
        raise config.error(found)


def directory_of(config: Config) -> Path:
    """What paths of the section are relative to."""
    return Path() if config.file is None else Path(config.file).parent


def _wrong(settings: GatewaySettings, config: Config, known: Sequence[str]) -> Iterator[Finding]:
    for at in settings.listen:
        if not at.is_local:
            yield _beyond_this_machine(at)
    public = config.public_models()
    for name, surface in (settings.surfaces or {}).items():
        path = (SECTION, "surfaces", name)
        if name not in known:
            yield unknown_key(path, known)
        for at in surface.listen:
            if not at.is_local:
                message = f"takes no key, so it cannot listen at {at}, which other machines can reach"
                yield Finding((*path, "listen"), message, "use 127.0.0.1")
        for number, model in enumerate(surface.models or ()):
            if model not in public:
                yield Finding((*path, "models", number), f"there is no model {model!r}")


def _beyond_this_machine(at: Address) -> Finding:
    message = f"other machines can reach {at}, and nothing says who may ask"
    hint = 'say so: access: {keys: [{name: me, key: "${POINTSMAN_KEY}"}]}, or listen at 127.0.0.1'
    return Finding((SECTION, "listen"), message, hint)
