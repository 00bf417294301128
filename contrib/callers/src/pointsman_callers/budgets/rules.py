"""Rules: who may use how much, in which window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from pointsman.plugin import BudgetWindow, HoldAsked

Unit = Literal["requests", "tokens", "microcents"]

KEY_TAG = "key_id"
"""The tag by which a gateway says which key a call came with."""
_LABEL = "label:"


class Limit(Struct, frozen=True):
    """So many units in a window; 0 for none at all."""

    unit: Unit
    amount: int
    window: BudgetWindow

    def __str__(self) -> str:
        return f"{shown(self.unit, self.amount)}/{self.window.per}"


class Rule(Struct, frozen=True):
    """Limits of each subject that the rule tells apart.

    Attributes:
        name: of the rule; no two have the same.
        limits: each of another unit.
        per: what makes a subject: `caller`, `model`, `label:<tag>`, `key`, or `all` for all together.
        only: what a call must be for the rule to hold for it: `caller`, `model` or a tag → one of these.
        free: a deployment whose price is 0 may be asked when the money is gone.
        unknown: one whose price nobody knows may be asked; it counts as 0.
        fails_closed: while the store that routers share is away, nothing is let through.
    """

    name: str
    limits: Sequence[Limit]
    per: str = "caller"
    only: Mapping[str, Sequence[str]] = {}
    free: bool = True
    unknown: bool = True
    fails_closed: bool = False

    def subject(self, asked: HoldAsked) -> str | None:
        """Whose account `asked` counts on; None where the rule does not hold for it."""
        for name, allowed in self.only.items():
            if _value(name, asked) not in allowed:
                return None
        if self.per == "all":
            return ""
        if self.per == "key":
            return asked.tags.get(KEY_TAG)
        if self.per.startswith(_LABEL):
            return asked.tags.get(self.per.removeprefix(_LABEL))
        return _value(self.per, asked)


def shown(unit: Unit, amount: int) -> str:
    """`amount` as people write it: `10 USD`, `1000 requests`, `1 request`."""
    if unit != "microcents":
        return f"{amount} {unit.removesuffix('s') if amount == 1 else unit}"
    whole, rest = divmod(amount, 10**8)
    return f"{whole}.{rest:08d}".rstrip("0").rstrip(".") + " USD"


def _value(name: str, asked: HoldAsked) -> str | None:
    if name == "caller":
        return asked.caller
    return asked.model if name == "model" else asked.tags.get(name)
