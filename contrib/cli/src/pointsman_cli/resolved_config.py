"""`pointsman config show --resolved`: every value that holds, and at the end of its line where from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from pointsman._internal.scrubber import Scrubber
from pointsman.build.environment import from_environment
from pointsman.build.loading import plugins_for
from pointsman.build.presets import with_preset
from pointsman.config import Config
from pointsman.config.origins import MASKED, ResolvedValue, resolved
from pointsman.config.plugin_settings import PluginSettings
from pointsman.config.problems import KeyPath
from pointsman.config.secret_values import secrets_in
from pointsman.errors import PluginError
from pointsman.plugins.registry import Plugins

_COLUMN = 44
"""Where comments begin, unless a line is longer."""


def resolved_config(config: Config) -> tuple[ResolvedValue, ...]:
    """Every value of `config` with where it comes from, those of its plugins included. Raises ConfigError."""
    plugins = plugins_for(config)
    elsewhere: dict[KeyPath, tuple[Any, str]] = dict(_addresses(config, plugins))
    for each in from_environment(config, plugins):
        elsewhere[each.path] = each.value, f"environment {each.variable}"
    values = resolved(config, settings=PluginSettings(config, plugins), elsewhere=elsewhere)
    scrubber = Scrubber(secrets_in(config))  # one variable may stand in several places
    return tuple(_scrubbed(each, scrubber) for each in values)


def _scrubbed(each: ResolvedValue, scrubber: Scrubber) -> ResolvedValue:
    if not isinstance(each.value, str) or scrubber.text(each.value) == each.value:
        return each
    return replace(each, value=MASKED, written=MASKED)


def _addresses(config: Config, plugins: Plugins) -> Iterator[tuple[KeyPath, tuple[str, str]]]:
    """Where providers are by themselves: by their preset or type."""
    for name, provider in config.providers.items():
        with suppress(PluginError):  # then a router says so
            factory, said = plugins.provider(provider.type), f"usual of {provider.type}"
            if provider.preset is not None:
                factory, said = with_preset(factory, provider.preset), f"preset {provider.preset}"
            if factory.default_base_url is not None:
                yield ("providers", name, "base_url"), (factory.default_base_url, said)


def as_yaml(values: Sequence[ResolvedValue]) -> str:
    """YAML that reads as the configuration does, with a comment for each value."""
    root: dict[Any, Any] = {}
    for each in values:
        inside = root
        for step in each.keys[:-1]:
            inside = inside.setdefault(step, {})
        inside[each.keys[-1]] = each
    lines = (f"{text:<{_COLUMN}}  # {origin}" if origin else text for text, origin in _lines(root, ""))
    return "\n".join(lines) + "\n"


def _lines(tree: Mapping[Any, Any], indent: str) -> Iterator[tuple[str, str]]:
    """The lines of a mapping or of a list, whose keys are numbers, each with its comment."""
    for step, value in tree.items():
        head = f"{indent}-" if isinstance(step, int) else f"{indent}{_scalar(step)}:"
        if isinstance(value, ResolvedValue):
            yield f"{head} {_scalar(value.written)}", value.origin
        elif (row := _row(value)) is not None:
            yield f"{head} [{', '.join(_scalar(each.written) for each in row)}]", row[0].origin
        elif isinstance(step, int):
            first, *more = _lines(value, f"{indent}  ")
            yield f"{head} {first[0].lstrip()}", first[1]
            yield from more
        else:
            yield head, ""
            yield from _lines(value, f"{indent}  ")


def _row(value: Mapping[Any, Any]) -> list[ResolvedValue] | None:
    """The items of a list that stand in one line: values that come from the same place."""
    items = list(value.values())
    if not all(isinstance(step, int) and isinstance(each, ResolvedValue) for step, each in value.items()):
        return None
    return items if len({each.origin for each in items}) == 1 else None


def _scalar(value: Any) -> str:
    """`value` as YAML: bare where that is what it says, else as JSON, which YAML reads."""
    if isinstance(value, str):
        plain = re.fullmatch(
            r"[A-Za-z_/.][\w./+-]*(:\d+|://[\w./:-]*)?|\d+(\.\d+)?(ms|s|m|h|d|%|/\w+)[\w.]*", value
        )
        if plain and value.lower() not in ("true", "false", "null", "yes", "no", "on", "off", "y", "n", "."):
            return value
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
