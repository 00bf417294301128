"""Which plugins a configuration names, and where. Nothing is imported to know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pointsman._internal.settings import Section
from pointsman.config.model import Config
from pointsman.config.named import Named
from pointsman.config.problems import KeyPath, show_path
from pointsman.config.sections import ProviderConfig

_KINDS = {
    "strategy": "strategy",
    "retry": "retry",
    "auth": "auth",
    "audit": "audit",
    "transport": "transport",
    "guards": "guard",
    "selector": "selector",
    "state": "state",
    "prices": "prices",
    "discover": "discovery",
}
"""The kind of what is named at a key."""


def uses(config: Config) -> dict[tuple[str, str], list[str]]:
    """By kind and name, the places that name it, such as `models.assistant.strategy`."""
    found: dict[tuple[str, str], list[str]] = {}
    for path, kind, name in _named(config, ()):
        found.setdefault((kind, name), []).append(show_path(path))
    for key in config.sections:
        found.setdefault(("section", key), []).append(show_path((key,)))
    return found


def sections_of_credentials(config: Config, providers: Iterable[str] | None = None) -> dict[str, Any]:
    """The sections that sources of credentials go by: those that are called as their types."""
    names = config.providers if providers is None else providers
    types = {each.type for name in names for each in config.providers[name].credentials}
    return {key: value for key, value in config.sections.items() if key in types}


def _named(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str, str]]:
    if isinstance(value, ProviderConfig):
        yield path, "provider", value.type
        if value.api_key is not None:
            yield (*path, "api_key"), "auth", "static"
    if isinstance(value, Named):
        key = next((each for each in reversed(path) if isinstance(each, str)), "")
        if key in _KINDS:
            yield path, _KINDS[key], value.type
        return
    for step, each in _inside(value):
        yield from _named(each, (*path, step))


def _inside(value: object) -> Iterable[tuple[str | int, object]]:
    """What stands in a section, a mapping or a list, each with its key or index."""
    if isinstance(value, Section):
        return value
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()
