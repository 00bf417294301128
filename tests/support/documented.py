"""Every setting that the documentation lists: the rows of its table, and what plugins have of their own."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from pointsman.plugins.registry import Plugins
from pointsman_cli.config_schema import config_table


def documented() -> list[str]:
    """Each by its key: as in the table, or `kind:name.field` for that of a plugin."""
    rows = [row.key for row in config_table()]
    return [*rows, *(f"{kind}:{name}.{field}" for kind, name, field in settings_of_plugins())]


def settings_of_plugins(*more: object) -> Iterator[tuple[str, str, str]]:
    """(kind, name, field) of every setting of the plugins that are built in, installed, or among `more`."""
    plugins = Plugins(list(more))
    for kind in ("provider", "auth", "retry", "strategy", "audit", "guard", "selector"):
        for name in plugins.names(kind):
            factory = plugins.get(kind, name)
            for part in ("settings", "options"):
                model: type[BaseModel] | None = getattr(factory, part, None)
                for field in () if model is None else model.model_fields:
                    yield kind if part == "settings" else part, name, field
