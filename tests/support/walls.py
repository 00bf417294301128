"""A guard that lets nothing through, to see who stands behind it."""

from __future__ import annotations

from pointsman import Refused
from pointsman.plugin import Guard, GuardCall, GuardFactory, PointsmanSpec, Request, hookimpl


class Wall(Guard):
    async def before(self, request: Request, call: GuardCall) -> Request:
        raise Refused(f"no {call.model}")


class Walls(PointsmanSpec):
    """Offers it as `wall`."""

    @hookimpl
    def pointsman_guards(self) -> list[GuardFactory]:
        return [GuardFactory("wall", None, lambda _context: Wall())]
