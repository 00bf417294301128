"""Budgets whose service has not started: what is asked of them waits until it has."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from pointsman.budget import Budgets, Hold, HoldAsked
from pointsman.errors import ConfigError, NoDeploymentAvailable
from pointsman.reports import BudgetAccount


class _Begins(Protocol):
    def budgets_begun(self) -> Awaitable[Budgets | None]: ...


class AwaitedBudgets:
    """Stands in for them: a router that was asked before it began must not let calls pass unseen."""

    def __init__(self, lifecycle: _Begins) -> None:
        self._lifecycle = lifecycle

    async def hold(self, asked: HoldAsked) -> Hold | None:
        try:
            budgets = await self._lifecycle.budgets_begun()
        except ConfigError as error:
            raise NoDeploymentAvailable(f"budgets have not begun: {error.message}", reasons={}) from error
        return None if budgets is None else await budgets.hold(asked)

    def refusal(self, _asked: HoldAsked) -> str:
        return ""

    def accounts(self) -> Sequence[BudgetAccount]:
        return ()
