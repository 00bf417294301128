"""Names that somebody has: what would be confused with a new plugin, or hide it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pointsman.config import Config
from pointsman.plugins.known_names import PACKAGES, what_to_write
from pointsman.plugins.registry import Plugins
from pointsman_cli.scaffold.kinds import Beginning
from pointsman_cli.scaffold.naming import Names

_OTHERS_OF_OURS = frozenset(
    f"pointsman-{name}"
    for name in ("auth-http", "cli", "control", "guards", "redis", "simulator", "telemetry", "wires")
)
"""Beside those that are known by what they offer."""


def hidden(beginning: Beginning, name: str, commands: Mapping[str, str]) -> str | None:
    """Why a plugin of that name could never be used, as a sentence; None when it could.

    Args:
        commands: those that the command `pointsman` has of its own.
    """
    distribution = Names(name, "").distribution
    if distribution in of_ours():
        return (
            f"{distribution} is a package of pointsman itself: installing yours would replace it; "
            f"choose another name, such as {_other(name)!r}"
        )
    kinds = {beginning.kind, *beginning.names}
    if "section" in kinds and name in Config.model_fields:
        return f"every configuration has a key {name!r} of its own; choose another name"
    if "command" in kinds and name in commands:
        return f"there is a command `pointsman {name}`, and it goes first; choose another name"
    return None


def of_ours() -> set[str]:
    """The distributions of this project."""
    return {package for packages in PACKAGES.values() for package in packages.values()} | _OTHERS_OF_OURS


def shared(beginning: Beginning, name: str, plugins: Plugins) -> dict[str, str]:
    """The distributions that offer something of that name, too, by the kind of what they offer."""
    owners = {kind: _owners(kind, plugins) for kind in (beginning.kind, *beginning.names)}
    return {kind: found[name] for kind, found in owners.items() if name in found}


def remarks(beginning: Beginning, name: str, plugins: Plugins) -> Iterator[str]:
    """What is to be said about plugins that have such a name, each as a sentence."""
    for kind, owner in (found := shared(beginning, name, plugins)).items():
        yield (
            f"{owner} offers a {kind} {name!r}, too: where both are installed, a configuration has to say "
            f"which, as pointsman.yaml does; another name saves that, such as {_other(name)!r}"
        )
    if found:
        return
    owners = _owners(beginning.kind, plugins)
    if close := _close(name, owners):
        yield f"{owners[close]} offers a {beginning.kind} {close!r}: did you mean that one?"
    elif beginning.kind == "provider" and (hint := what_to_write("provider", name, ()).strip()):
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


def _other(name: str) -> str:
    return f"my-{name}"
