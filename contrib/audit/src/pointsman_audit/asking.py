"""Which records are wanted: the same question for files and for tables."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from msgspec import Struct

from pointsman_audit.rows import Facts

_EQUAL = ("caller", "key_id", "model", "deployment", "outcome", "event", "error", "request_id")


class Wanted(Struct, frozen=True):
    """Records that are wanted; "" stands for any.

    Attributes:
        outcome: of an attempt, or the result of a request.
        since, until: when they were told, seconds since 1970; `until` itself is not in it.
    """

    caller: str = ""
    key_id: str = ""
    model: str = ""
    deployment: str = ""
    outcome: str = ""
    event: str = ""
    error: str = ""
    request_id: str = ""
    since: float = -inf
    until: float = inf

    def meets(self, facts: Facts) -> bool:
        """Whether a record that says so is wanted."""
        return self.since <= facts.at < self.until and all(
            not (wanted := getattr(self, name)) or wanted == getattr(facts, name) for name in _EQUAL
        )

    def sql(self) -> tuple[str, Sequence[Any]]:
        """The same as a condition over the columns of a table, and its values."""
        terms, values = ["1 = 1"], list[Any]()
        for name in _EQUAL:
            if wanted := getattr(self, name):
                terms.append(f"{name} = ?")
                values.append(wanted)
        for term, bound in (("at >= ?", self.since), ("at < ?", self.until)):
            if abs(bound) != inf:
                terms.append(term)
                values.append(bound)
        return " AND ".join(terms), values


ALL = Wanted()
