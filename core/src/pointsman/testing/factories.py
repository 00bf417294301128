"""Factories by name, as a router finds them, and that of a provider type in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointsman.build.loading import provider_of
from pointsman.errors import PluginError
from pointsman.plugins.registry import Plugins
from pointsman.provider import ProviderFactory


def installed_factory(kind: str, name: str) -> Any:
    """The factory that an installed plugin, or the core, offers as `name` of that kind.

    Raises: PluginError.
    """
    return Plugins(read_data=provider_of).get(kind, name)


def data_factory(path: Path | str, *, name: str = "data") -> ProviderFactory:
    """The provider type that the `provider.yaml` at `path` describes; what it is like must be installed.

    Raises: ConfigError with all that is wrong in it, each with line and column; PluginError when it cannot be
        read.
    """
    from pointsman.plugins.data_files import read_data

    try:
        file = read_data(Path(path), name)
    except OSError as error:
        raise PluginError(f"{path} cannot be read: {error.strerror}") from error
    return provider_of(file, Plugins(read_data=provider_of).provider)
