"""Names that somebody has: what would be confused with a new plugin, or hide it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pointsman.config import Config
from pointsman.plugins.known_names import PACKAGES
from pointsman.plugins.registry import Plugins
from pointsman_cli.scaffold.kinds import Beginning
from pointsman_cli.scaffold.naming import Names

_OTHERS_OF_OURS = frozenset(
    f"pointsman-{name}" for name in ("auth-http", "cli", "control", "guards", "simulator", "telemetry")
)
"""Beside those that are known by what they offer."""


def hidden(beginning: Beginning, names: Names, commands: Mapping[str, str]) -> str | None:
    """Why a plugin of these names could never be used, as a sentence; None when it could.

    Args:
        commands: those that the command `pointsman` has of its own.
    """
    if names.distribution in of_ours():
        return (
            f"{names.distribution} is a package of pointsman itself: installing yours would replace it; "
            f"choose another name, such as {_other(names.name)!r}"
        )
    kinds = {beginning.kind, *beginning.names}
    if "section" in kinds and names.name in Config.model_fields:
        return f"every configuration has a key {names.name!r} of its own; choose another name"
    if "command" in kinds and names.name in commands:
        return f"there is a command `pointsman {names.name}`, and it goes first; choose another name"
    return None


def of_ours() -> set[str]:
    """The distributions of this project."""
    return {package for packages in PACKAGES.values() for package in packages.values()} | _OTHERS_OF_OURS


def remarks(beginning: Beginning, names: Names, plugins: Plugins) -> Iterator[str]:
    """What is to be said about plugins that have such a name, each as a sentence."""
    for kind in (beginning.kind, *beginning.names):
        owners = _owners(kind, plugins)
        if names.name in owners:
            yield (
                f"{owners[names.name]} offers a {kind} {names.name!r}, too: where both are installed, a "
                f"configuration has to say which; another name saves that, such as {_other(names.name)!r}"
            )
        elif close := _close(names.name, owners):
            yield f"{owners[close]} offers a {kind} {close!r}: did you mean that one?"
        elif (hint := _known_by_its_word(kind, names.name)) and beginning.kind == "provider":
            yield f"this may need no plugin. {hint}"


def _owners(kind: str, plugins: Plugins) -> dict[str, str]:
    """The distribution of each name of the kind, of those that are installed and of ours."""
    installed = {
        each.name: each.distribution or "another plugin" for each in plugins.listing() if each.kind == kind
    }
    return {**PACKAGES.get(kind, {}), **installed}


def _close(name: str, known: Mapping[str, str]) -> str | None:
    from difflib import get_close_matches

    found = get_close_matches(name, [each for each in known if each], n=1, cutoff=0.85)
    return found[0] if found else None


def _known_by_its_word(kind: str, name: str) -> str:
    from pointsman.plugins.known_names import what_to_write

    return what_to_write(kind, name, ()).strip()


def _other(name: str) -> str:
    return f"my-{name}"
