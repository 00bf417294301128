"""What a body says and a request of ours cannot. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


class Unsaid:
    """What a body says and our request cannot.

    Attributes:
        needed: members without which the answer would be another.
        ignored: members without which it is the same.
        opaque: there is something in it that only its maker can read.
    """

    __slots__ = ("ignored", "needed", "opaque")

    def __init__(self) -> None:
        # Dicts, as they keep the order in which the members came.
        self.needed: dict[str, None] = {}
        self.ignored: dict[str, None] = {}
        self.opaque = False

    def needs(self, *names: str) -> None:
        """The answer depends on members of these names."""
        self.needed.update(dict.fromkeys(names))

    def ignores(self, *names: str) -> None:
        """The answer does not depend on members of these names."""
        self.ignored.update(dict.fromkeys(names))

    def ignores_others(self, given: Mapping[str, Any], known: Collection[str], where: str = "") -> None:
        """Nor on those of `given` that are not `known`, but for nulls."""
        if given.keys() - known:
            for name, value in given.items():
                if name not in known and value is not None:
                    self.ignores(f"{where}.{name}" if where else name)
