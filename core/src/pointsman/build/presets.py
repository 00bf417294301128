"""Presets of provider types: data in the wheel of the plugin, of which only those that are named are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable

from msgspec.structs import replace

from pointsman._internal.suggest import did_you_mean
from pointsman.build.provider_data import provider_type
from pointsman.errors import ConfigError, PluginError
from pointsman.plugins.data_files import DataFile
from pointsman.plugins.known_names import preset_called
from pointsman.provider import ProviderFactory

_SUFFIX = ".yaml"
_VALUE = r"(?P<package>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<folder>[\w-]+(?:/[\w-]+)*)"


def preset_names(factory: ProviderFactory) -> list[str]:
    """The presets of a provider type, sorted; none is read. Raises PluginError when they are not there."""
    return sorted(_files(factory)) if factory.presets is not None else []


def with_preset(factory: ProviderFactory, name: str) -> ProviderFactory:
    """The provider type as its preset `name` has it.

    Raises: PluginError when it has no such preset, or the data of that are wrong.
    """
    if factory.presets is None:
        raise PluginError(f"providers of type {factory.name} have no presets")
    found = _files(factory)
    if name not in found:
        meant = preset_called(name, found)
        hint = f"did you mean {meant!r}?" if meant else did_you_mean(name, found, what="there are")
        raise PluginError(f"providers of type {factory.name} have no preset {name!r}; {hint}")
    shown = f"{factory.presets.replace(':', '/')}/{name}{_SUFFIX}"
    try:
        made = provider_type(DataFile(name, shown, found[name].read_bytes()), _only(factory))
    except ConfigError as error:
        said = "; ".join(str(each) for each in error.problems) or error.message
        raise PluginError(f"the preset {name!r} of provider type {factory.name} is wrong: {said}") from error
    return replace(made, name=factory.name)


def _only(factory: ProviderFactory) -> Callable[[str], ProviderFactory]:
    def base(name: str) -> ProviderFactory:
        if name != factory.name:
            raise PluginError(f"a preset of {factory.name!r} is like that, and not like {name!r}")
        return factory

    return base


def _files(factory: ProviderFactory) -> dict[str, Traversable]:
    """By name the files of the presets. Raises PluginError."""
    said = re.fullmatch(_VALUE, factory.presets or "")
    try:
        if said is None:
            raise ValueError("expected package:folder")
        folder = files(said["package"]).joinpath(*said["folder"].split("/"))
        there = [each for each in folder.iterdir() if each.name.endswith(_SUFFIX)]
    except (
        ImportError,
        OSError,
        TypeError,
        ValueError,
    ) as error:  # Type: of no package
        raise PluginError(
            f"the presets of provider type {factory.name} are not at {factory.presets!r}: {error}"
        ) from error
    return {each.name.removesuffix(_SUFFIX): each for each in there}
