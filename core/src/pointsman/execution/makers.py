"""Who is asked first while a tool is at work: the upstream that made the reasoning which led to its call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointsman.requests.call_options import CallOptions
from pointsman.routing.lease import Lease
from pointsman.types import Request
from pointsman.wire.opaque import awaiting_maker

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution


def maker_of(options: CallOptions, request: Request) -> str:
    """The mark of that upstream; "" where no tool is at work, or nobody's reasoning led to it."""
    original = options.original
    return "" if original is None or original.opaque is None else awaiting_maker(request)


def lease_of_maker(execution: Execution, now: float) -> Lease | None:
    """A lease for a first attempt there, in a fallback's pool too; None where it is not ready."""
    for pool in execution.chain:
        lease = pool.lease_made(execution.request, now, execution.deadline, execution.demand)
        if lease is not None:
            return lease
    return None
