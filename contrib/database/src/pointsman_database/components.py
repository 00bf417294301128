"""What has tables: each part of pointsman that keeps something brings its own, numbered, in its wheel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from importlib.resources.abc import Traversable

from msgspec import Struct

from pointsman import Config

GROUP = "pointsman.databases"
"""The entry points by which `pointsman db` finds them."""


class Component(Struct, frozen=True):
    """One part with tables of its own.

    Attributes:
        name: as it stands in `schema_version`.
        folder: where its migrations are: `0001_begin.sql`, or `0001_begin.sqlite.sql` beside
            `0001_begin.postgres.sql` where the two databases cannot read the same.
        addresses: where it keeps them by a configuration; empty where that does not use it.
    """

    name: str
    folder: Traversable
    addresses: Callable[[Config], Sequence[str]]


def components() -> Sequence[Component]:
    """Those of all that is installed, by name."""
    found: list[Component] = [each.load() for each in entry_points(group=GROUP)]
    return sorted(found, key=lambda each: each.name)
