"""What is kept of a caller elsewhere: each part that keeps something brings how it is exported and erased.

A part offers, as an entry point of `pointsman.belongings`, an object with `export(config, caller, key_id)`,
which returns plain data, and `erase(config, caller, key_id)`, which returns how many rows or records went, or
a mapping with that as `erased` and what is `left`, in words.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

GROUP = "pointsman.belongings"


def exported(config: Any, caller: str, key_id: str) -> dict[str, Any]:
    """By part, all that it keeps of `caller`. It blocks."""
    return {each.name: each.load().export(config, caller, key_id) for each in _parts()}


def erased(config: Any, caller: str, key_id: str) -> dict[str, Any]:
    """By part, how much of `caller` went. It blocks."""
    return {each.name: each.load().erase(config, caller, key_id) for each in _parts()}


def _parts() -> list[Any]:
    return sorted(entry_points(group=GROUP), key=lambda each: each.name)
