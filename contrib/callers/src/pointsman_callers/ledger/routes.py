"""`/admin/v1/spend`: what was spent over HTTP, for operators."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pointsman.plugin import InvalidRequest, Route, SurfaceRequest, WholeReply
from pointsman_callers.ledger.instants import instant
from pointsman_callers.ledger.spending import as_plain, erase, export_of, spend_by
from pointsman_database import Database

PATH = "/admin/v1/spend"


class SpendRoutes:
    """What operators ask of the ledger.

    Args:
        database: where that is kept at the time.
        wall: seconds since 1970 UTC.
    """

    def __init__(self, database: Callable[[], Database], wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._wall = wall

    def routes(self) -> Sequence[Route]:
        """All of them."""
        one = f"{PATH}/callers/{{name}}"
        return [
            Route("GET", PATH, self.spend, operator=True),
            Route("GET", one, self.export, operator=True),
            Route("DELETE", one, self.erase, operator=True, json=False),
        ]

    async def spend(self, asked: SurfaceRequest) -> WholeReply:
        for name in asked.query:
            if name not in ("by", "since", "until"):
                raise InvalidRequest(f"there is no parameter {name[:64]!r}; this takes by, since, until")
        now, query = self._wall(), asked.query
        by = query.get("by", "model")
        try:
            since = instant(query.get("since", "30d"), now)
            until = instant(query["until"], now, end=True) if "until" in query else now
            lines = await self._database().aread(lambda session: spend_by(session, by, since, until))
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        return _json(as_plain(by, since, until, lines))

    async def export(self, asked: SurfaceRequest) -> WholeReply:
        name = asked.params["name"]
        found = await self._database().aread(lambda session: export_of(session, name))
        return _json({"caller": name, "attempts": found})

    async def erase(self, asked: SurfaceRequest) -> WholeReply:
        name = asked.params["name"]
        erased = await self._database().awrite(lambda session: erase(session, name))
        return _json({"caller": name, "erased": erased})


def _json(value: Any) -> WholeReply:
    return WholeReply(200, msgspec.json.encode(value), fields={"cache-control": "no-store"})
