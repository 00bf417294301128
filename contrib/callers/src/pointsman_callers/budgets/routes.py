"""`/admin/v1/budgets`: how it stands with budgets over HTTP, for operators."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pointsman.plugin import Budgets, Route, SurfaceRequest, WholeReply

PATH = "/admin/v1/budgets"


class BudgetRoutes:
    """What operators ask of `budgets`."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    def routes(self) -> Sequence[Route]:
        """All of them."""
        return [Route("GET", PATH, self.accounts, operator=True)]

    async def accounts(self, _asked: SurfaceRequest) -> WholeReply:
        found = [each.to_dict() for each in self._budgets.accounts()]
        return WholeReply(200, msgspec.json.encode({"budgets": found}), fields={"cache-control": "no-store"})
