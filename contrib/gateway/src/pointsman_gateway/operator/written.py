"""The configuration as it holds: secrets masked, and for what was said where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pointsman.config import Config
from pointsman_gateway.settings import GatewaySettings

Path = tuple[str | int, ...]
_MASK = "**********"


def written_config(config: Config, gateway: Mapping[str, Any]) -> Mapping[str, Any]:
    """What holds of `config`, and of the section `gateway`.

    Returns: `file`; `values`, with all defaults; `origins`: path of each value that was said → `line:column`
        in the file. All else is a default.
    """
    values = config.model_dump(mode="json", exclude_none=True)
    said = config.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    values["gateway"] = gateway
    origins = {}
    for path in _leaves(said):
        found = config.problem(path, "")
        if found.line is not None:
            origins[found.path] = f"{found.line}:{found.column}"
    return {"file": config.file, "values": values, "origins": origins}


def written_settings(settings: GatewaySettings) -> Mapping[str, Any]:
    """What holds of the section `gateway`. What only a surface knows may be a secret, and is masked."""
    said = settings.model_dump(mode="json", exclude_none=True, fallback=str)
    for name, surface in (settings.surfaces or {}).items():
        said["surfaces"][name].update(dict.fromkeys(surface.own, _MASK))
    return said


def _leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, (*path, name))
    elif isinstance(value, list) and value:
        for at, each in enumerate(value):
            yield from _leaves(each, (*path, at))
    elif path:
        yield path
