"""Who is asked first while a tool is at work: the upstream that made the reasoning which led to its call."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.original import Original
from pointsman.routing.deployment import Demand
from pointsman.routing.pool import Pool
from pointsman.types import Request
from pointsman.wire.opaque import awaiting_maker


def maker_of(original: Original | None, request: Request) -> str:
    """The mark of that upstream; "" where no tool is at work, or nobody's reasoning led to it."""
    return "" if original is None or original.opaque is None else awaiting_maker(request)


def pool_of_maker(chain: Sequence[Pool], demand: Demand, now: float) -> Pool:
    """The pool of `chain` where it is ready, a fallback's too; the first one where it is nowhere."""
    return next((pool for pool in chain if pool.made_by(demand, now)), chain[0])
