"""A configuration as it holds, for people: with all defaults, and without anything that may be secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from pointsman._internal.scrubber import Scrubber
from pointsman.build.loading import plugins_for
from pointsman.config import Config, Named
from pointsman.config.origins import MASKED
from pointsman.config.plugin_settings import KINDS_AT
from pointsman.config.secret_values import looks_secret, secrets_in
from pointsman.errors import PluginError
from pointsman.plugins.discovery import CORE
from pointsman.plugins.known_names import our_distributions
from pointsman.plugins.registry import Plugins


def shown_config(config: Config) -> dict[str, Any]:
    """`config` with all defaults and all secrets masked.

    Of what only a plugin knows, what our own do not declare as a secret is shown, and all else is masked.
    """
    shown = config.model_dump(mode="json", exclude_none=True)
    plugins = plugins_for(config)
    for kind, named, masked in _named("", config, shown):
        masked.update(_harmless(plugins, kind, named))
    scrubber = Scrubber(secrets_in(config))
    scrubbed: dict[str, Any] = _scrubbed(shown, scrubber)
    return scrubbed


def _scrubbed(value: Any, scrubber: Scrubber) -> Any:
    """`value` without credentials that stand elsewhere in the configuration."""
    if isinstance(value, Mapping):
        return {key: _scrubbed(each, scrubber) for key, each in value.items()}
    if isinstance(value, list):
        return [_scrubbed(each, scrubber) for each in value]
    return MASKED if isinstance(value, str) and scrubber.text(value) != value else value


def _named(key: str, value: Any, shown: Any) -> Iterator[tuple[str, Named, dict[str, Any]]]:
    """What is named in `value`, which stands at `key`: its kind, and its part of `shown`."""
    if isinstance(value, Named) and value.settings and key in KINDS_AT:
        yield KINDS_AT[key], value, shown
    elif isinstance(value, list | tuple):
        for each, part in zip(value, shown, strict=True):
            yield from _named(key, each, part)
    elif isinstance(value, Mapping) or hasattr(value, "model_fields_set"):
        for name, each in value.items() if isinstance(value, Mapping) else value:
            if name in shown:
                yield from _named(name, each, shown[name])


def _harmless(plugins: Plugins, kind: str, named: Named) -> Mapping[str, Any]:
    """Those of its settings that cannot be secret."""
    with suppress(PluginError, ValueError):
        # Others may have keys in plain texts and paths; ours are declared as secrets.
        if plugins.origin(kind, named.type) in (CORE, *our_distributions()):
            made: Any = plugins.get(kind, named.type).settings.model_validate(named.settings)
            said = {name: getattr(made, name, None) for name in named.settings}
            return {name: plain for name, each in said.items() if (plain := _plain(each)) is not None}
    return {}


def _plain(value: Any) -> bool | int | float | str | None:
    """`value` where it is of a kind that holds no secrets; None where it may."""
    match value:
        case Enum():
            return _plain(value.value)
        case Path():
            return str(value)
        case str():
            return None if looks_secret(value) else value
        case bool() | int() | float():
            return value
    return None
