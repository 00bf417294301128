"""Which of the APIs a caller may speak."""

from __future__ import annotations

from pointsman.plugin import Caller
from pointsman_gateway.access.denials import denied


def check_surface(caller: Caller, surface: str) -> None:
    """Raises Denied where `caller` may not ask for a route of `surface`, the one that has the route."""
    if caller.surfaces is not None and surface not in caller.surfaces:
        refused = denied(
            "forbidden",
            "surface_not_allowed",
            f"{caller.name!r} may not use the API {surface!r}",
            domain="policy",
        )
        refused.caller = caller
        raise refused
