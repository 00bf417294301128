"""The whole of what holds of a configuration, and where each value comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct, structs
from pydantic import BaseModel, RootModel

from pointsman._internal.scrubber import MASK
from pointsman._internal.settings import Section
from pointsman.config.interpolate import references
from pointsman.config.model import Config
from pointsman.config.named import Named
from pointsman.config.plugin_settings import KINDS_AT, PluginSettings, as_mapping
from pointsman.config.problems import KeyPath, show_path
from pointsman.config.secret_values import could_be_secret, is_secret
from pointsman.config.sections import ProviderConfig
from pointsman.config.shown_values import fields_of, is_quantity, shown, shown_carefully
from pointsman.units import Allowance, Rate

MASKED = MASK
"""In place of what may be secret."""

DEFAULT = "default"

Elsewhere = Mapping[KeyPath, tuple[Any, str]]
"""Values that a configuration does not say and somebody else does, and who."""


class ResolvedValue(Struct, frozen=True):
    """One value that holds.

    Attributes:
        keys: the way to it.
        value: as JSON has it; `MASKED` in place of what may be secret.
        written: the same as people write it, such as `10m` for 600.
        origin: where it comes from, such as `pointsman.yaml:12`, `pointsman.yaml:12, environment KEY`,
            `default`, `preset groq`.
    """

    keys: KeyPath
    value: Any
    written: Any
    origin: str

    @property
    def path(self) -> str:
        """As in `models.assistant.deployments[0].weight`."""
        return show_path(self.keys)


def resolved(
    config: Config,
    *,
    settings: PluginSettings | None = None,
    elsewhere: Elsewhere = MappingProxyType({}),
    environ: Mapping[str, str] | None = None,
) -> tuple[ResolvedValue, ...]:
    """Every value of `config` that holds, defaults included, in the order of the configuration.

    What is None because nobody said it is left out.

    Args:
        settings: who knows what settings of plugins mean; without it, the plugins that are installed.
        elsewhere: what holds where the configuration is silent, such as the address of a preset.
        environ: which variables are set, of those that have a value to take their place.
    """
    known = PluginSettings(config) if settings is None else settings
    walk = _Walk(config, known, elsewhere, os.environ if environ is None else environ)
    return tuple(walk.all())


class _Walk:
    def __init__(
        self,
        config: Config,
        settings: PluginSettings,
        elsewhere: Elsewhere,
        environ: Mapping[str, str],
    ) -> None:
        self._config = config
        self._settings = settings
        self._elsewhere = elsewhere
        self._environ = environ

    def all(self) -> Iterator[ResolvedValue]:
        for name, value, annotation in fields_of(self._config):
            if name != "include":
                yield from self._values(
                    value, (name,), annotation, said=name in self._config.model_fields_set
                )
        for name, given in self._config.sections.items():
            yield from self._of_plugin("section", name, given, (name,))

    def _values(
        self, value: Any, path: KeyPath, annotation: Any, *, said: bool, ours: bool = True
    ) -> Iterator[ResolvedValue]:
        if not said and path in self._elsewhere:
            value, origin = self._elsewhere[path]
            yield structs.replace(self._leaf(value, path, annotation, said=False, ours=ours), origin=origin)
            return
        match value:
            case RootModel():
                yield from self._values(value.root, path, annotation, said=said, ours=ours)
            case Section() | BaseModel():
                yield from self._fields(value, path, said=said, ours=ours)
            case Mapping() if value:
                for key, each in value.items():
                    yield from self._values(each, (*path, str(key)), annotation, said=said, ours=ours)
            case list() | tuple() if value:
                for n, each in enumerate(value):
                    yield from self._values(each, (*path, n), annotation, said=said, ours=ours)
            case _:
                if said or not (value is None or value in ((), [], {})):
                    yield self._leaf(value, path, annotation, said=said, ours=ours)

    def _fields(
        self, section: Section | BaseModel, path: KeyPath, *, said: bool, ours: bool
    ) -> Iterator[ResolvedValue]:
        names = type(section).model_fields
        for (name, value, annotation), field in zip(fields_of(section), names, strict=True):
            here = said and field in section.model_fields_set
            if name == "select_within" and not here and getattr(section, "selector", "") is None:
                continue  # it means nothing there, and is refused
            if value is not None or here or self._elsewhere:
                yield from self._values(value, (*path, name), annotation, said=here, ours=ours)
        if isinstance(section, ProviderConfig):
            yield from self._of_plugin("provider", section.type, section.settings, path, said=said)
        elif isinstance(section, Named):
            kinds = [KINDS_AT[key] for key in path if key in KINDS_AT]
            kind = kinds[-1] if kinds else ""
            yield from self._of_plugin(kind, section.type, section.settings, path, said=said)
        elif isinstance(section, Section) and section.more:
            yield from self._values(section.more, path, None, said=said, ours=ours)

    def _of_plugin(
        self, kind: str, name: str, given: Any, path: KeyPath, *, said: bool = True
    ) -> Iterator[ResolvedValue]:
        """The settings of a plugin, as the plugin reads them where it can be asked."""
        made = self._settings.read(kind, name, as_mapping(given))
        if isinstance(made, Mapping) and not made:
            return
        # Settings that were not read declare nothing: beside a key that is misspelt there may be a secret.
        read = isinstance(made, Section | BaseModel)
        ours = read and self._settings.shows(kind, name) is shown_carefully
        yield from self._values(made, path, None, said=said, ours=ours)

    def _leaf(self, value: Any, path: KeyPath, annotation: Any, *, said: bool, ours: bool) -> ResolvedValue:
        origin = self._origin(path) if said else DEFAULT
        plain = _plain(value, ours=ours)
        if plain is _SECRET or (said and could_be_secret(plain, path, ours=ours)):
            return ResolvedValue(path, MASKED, MASKED, origin)
        written = shown(value, annotation) if is_quantity(value, annotation) else plain
        return ResolvedValue(path, plain, written, origin)

    def _origin(self, path: KeyPath) -> str:
        """Where a value comes from that was said."""
        place = self._config.spot(path) or "no file"
        if self._config.by_dialect:
            place = f"dialect, {place}"
        more = [_of_reference(each, self._environ) for each in references(self._config.raw(path))]
        return ", ".join([place, *more])


def _of_reference(reference: str, environ: Mapping[str, str]) -> str:
    if reference.startswith("file:"):
        return f"file {reference.removeprefix('file:')}"
    name, has_default, _default = reference.partition(":-")
    return f"default of ${{{name}}}" if has_default and not environ.get(name) else f"environment {name}"


_SECRET = object()


def _plain(value: Any, *, ours: bool) -> Any:
    """`value` as JSON has it; `_SECRET` for what is declared as one."""
    if is_secret(value):
        return _SECRET
    match value:
        case Enum():
            return value.value
        case float() if value.is_integer():
            return int(value)
        case bool() | int() | float() | str() | None:
            return value
        case Rate() | Allowance() | Path():
            return str(value)
        case Mapping() | list() | tuple():
            return type(value)() if isinstance(value, Mapping) else []
        case _:
            return str(value) if ours else _SECRET
