"""Budgets that routers hold together: what this one holds, and what it has to tell the store of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pointsman.state import BudgetHold, BudgetSettlement, BudgetTake

_AT_ONCE = 200
"""Settlements that go together at most."""
_KEPT = 50_000
"""Those that wait for the store at most; what is beyond counts as it was held."""


class SharedHolds:
    """Holds of one router.

    Args:
        router: its mark.
        seconds: after which a hold that is not renewed counts as spent.
        stir: is called when there is something to tell.
    """

    def __init__(self, router: str, seconds: float, stir: Callable[[], None]) -> None:
        self._router = router
        self._seconds = seconds
        self._stir = stir
        self._number = 0
        self._ended: list[BudgetSettlement] = []
        self.open: dict[str, BudgetHold] = {}
        self.dropped = 0

    def new(self, takes: Sequence[BudgetTake]) -> BudgetHold:
        """One that is to be held."""
        self._number += 1
        return BudgetHold(f"{self._router}-b{self._number}", takes, self._seconds)

    def settle(self, settlement: BudgetSettlement) -> None:
        """It is over; the store is told as soon as it can be."""
        self.open.pop(settlement.hold.id, None)
        if len(self._ended) >= _KEPT:
            self.dropped += 1
            return
        self._ended.append(settlement)
        self._stir()

    @property
    def waiting(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._ended)

    def some(self) -> Sequence[BudgetSettlement]:
        """What is to be told next."""
        return self._ended[:_AT_ONCE]

    def told(self, some: Sequence[BudgetSettlement]) -> None:
        """The store knows of these, which were next."""
        del self._ended[: len(some)]
