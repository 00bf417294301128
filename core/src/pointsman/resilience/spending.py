"""How much money may be spent in an hour, a day or a month, counted so that it holds with many at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

LENGTHS: Mapping[str, int] = {"hour": 13, "day": 10, "month": 7}
"""The periods there are: of an instant in ISO 8601, the characters that are the same all through one."""


class Spending:
    """What was spent in the present period of the calendar, in UTC, and what is promised.

    Whoever is about to spend reserves as much as it may come to, and settles what it came to: so many at once
    together keep to the limit as one would.

    Args:
        limit: millionths of a US cent, 0 or more; per: one of `LENGTHS`.

    Attributes:
        spent: in the present period; reserved: for what is under way.
    """

    __slots__ = ("_period", "limit", "per", "reserved", "spent")

    def __init__(self, limit: int, per: str) -> None:
        self.spent = self.reserved = 0
        self._period = ""
        self.configure(limit, per)

    def configure(self, limit: int, per: str) -> None:
        """Have another limit hold from now on; what was spent stays spent, in a period as long as before."""
        self.limit = limit
        self.per = per

    def reserve(self, amount: int, wall: float) -> bool:
        """Promise `amount`, 0 or more; false when that could be more than is left, and nothing is promised.

        Args:
            wall: seconds since 1970 UTC.
        """
        self._turn(wall)
        if self.spent + self.reserved + amount > self.limit:
            return False
        self.reserved += amount
        return True

    def settle(self, reserved: int, actual: int, wall: float) -> None:
        """Of what was promised, `reserved` came to `actual`, which counts in the period that ends it."""
        self._turn(wall)
        self.reserved -= reserved
        self.spent += actual

    def left(self, wall: float) -> int:
        """What could be promised now; below 0 where more was spent than was promised."""
        self._turn(wall)
        return self.limit - self.spent - self.reserved

    def _turn(self, wall: float) -> None:
        """What is under way stays promised: it will be spent in the period that has begun."""
        period = f"{self.per} {datetime.fromtimestamp(wall, UTC).isoformat()[: LENGTHS[self.per]]}"
        if period != self._period:
            if self._period.partition(" ")[0] in ("", self.per):
                self.spent = 0
            self._period = period
