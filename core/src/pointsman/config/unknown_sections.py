"""Keys at the top of a configuration that are neither the core's nor a section of any plugin's."""

from __future__ import annotations

from collections.abc import Iterable

from pointsman.config.findings import Finding, unknown_key
from pointsman.plugins.known_names import PACKAGES
from pointsman.plugins.registry import Plugins


def unknown_sections(
    surplus: Iterable[str], known: Iterable[str], plugins: Iterable[object]
) -> list[Finding]:
    """Those of the keys `surplus` that nobody knows.

    Args:
        known: what the core knows.
        plugins: plugin objects that need not be installed.
    """
    sections = {*Plugins(plugins).names("section"), *PACKAGES["section"]}
    every = [*known, *sorted(sections)]
    return [unknown_key((key,), every) for key in surplus if key not in sections]
