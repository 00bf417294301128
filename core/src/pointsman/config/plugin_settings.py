"""The settings of plugins as the plugins read them, for whoever compares or shows configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pointsman._internal.plugin_errors import OWN
from pointsman.config.shown_values import Shows, hidden, shown_carefully

if TYPE_CHECKING:
    from pointsman.config.model import Config
    from pointsman.plugins.registry import Plugins

KINDS_AT = {
    "audit": "audit",
    "auth": "auth",
    "guards": "guard",
    "prices": "prices",
    "retry": "retry",
    "selector": "selector",
    "state": "state",
    "strategy": "strategy",
    "transport": "transport",
}
"""What kind of plugin is named at a key of this name."""


class PluginSettings:
    """Asks the plugins. They are looked for when first one is asked.

    Args:
        plugins: where they are found; None: among those that are installed and that `config` lets in.
    """

    def __init__(self, config: Config, plugins: Plugins | None = None) -> None:
        self._config = config
        self._plugins = plugins

    def read(self, kind: str, name: str, settings: Any) -> Any:
        """What the plugin makes of `settings`: units, short forms and defaults are then all alike.

        They come back as they are where there is no such plugin, or where it does not take them.
        """
        try:
            model: Any = self._found.get(kind, name).settings
            return settings if model in (None, BaseModel) else model.model_validate(settings)
        except OWN:  # somebody else's code; who builds a router hears of it
            return settings

    def shows(self, kind: str, name: str) -> Shows:
        """How its settings may be shown: ours declare what is secret, those of others not for certain."""
        from pointsman.plugins.discovery import CORE
        from pointsman.plugins.known_names import our_distributions

        try:
            self._found.get(kind, name)  # what nobody offers has no origin
            known = self._found.origin(kind, name) in (CORE, *our_distributions())
        except OWN:
            known = False
        return shown_carefully if known else hidden

    @property
    def _found(self) -> Plugins:
        if self._plugins is None:
            from pointsman.plugins.registry import (
                Plugins,
            )  # looks at all that is installed: for nothing, mostly

            self._plugins = Plugins(rules=self._config.plugins.rules)
        return self._plugins


def as_mapping(settings: Any) -> Any:
    """A copy of `settings` where it is a mapping, which a validator may change."""
    return dict(settings) if isinstance(settings, Mapping) else settings
