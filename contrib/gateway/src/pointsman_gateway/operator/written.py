"""The configuration as it holds: secrets masked, and for what was said where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman.config import Config
from pointsman.config.origins import DEFAULT, MASKED, resolved
from pointsman_gateway.settings import GatewaySettings


def written_config(config: Config, gateway: Mapping[str, Any]) -> Mapping[str, Any]:
    """What holds of `config`, and of the section `gateway`.

    Returns: `file`; `values`, with all defaults; `origins`: path of each value that was said → where it
        comes from, as `pointsman config show --resolved` tells it: `pointsman.yaml:12, environment KEY`. All
        else is a default.
    """
    values = config.model_dump(mode="json", exclude_none=True)
    values["gateway"] = gateway
    origins = {each.path: each.origin for each in resolved(config) if each.origin != DEFAULT}
    return {"file": config.file, "values": values, "origins": origins}


def written_settings(settings: GatewaySettings) -> Mapping[str, Any]:
    """What holds of the section `gateway`. What only a surface knows may be a secret, and is masked."""
    said = settings.model_dump(mode="json", exclude_none=True, fallback=str)
    for name, surface in (settings.surfaces or {}).items():
        said["surfaces"][name].update(dict.fromkeys(surface.own, MASKED))
    return said
