"""Which deployments a request would go to, for what asks them about it and has no need of the reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pointsman.routing.deployment import Demand, Deployment
from pointsman.status import guards_before
from pointsman.types import Request

if TYPE_CHECKING:
    from pointsman.router import Router


def would_be_asked(
    router: Router, request: Request, *, able: Callable[[Deployment], bool]
) -> Sequence[Deployment]:
    """Those that are ready and `able`, the one first that would be picked; nothing is taken or changed.

    None where guards see its requests first. Raises UnknownModel.
    """
    snapshot, now, model = router._snapshot, router._now(), request.model
    entrance = snapshot.entrance(model)
    if entrance is not None and entrance.selector is not None:
        model = entrance.selector.default
    pool = snapshot.pool(model)
    if guards_before(snapshot, request.model):
        return ()
    # Who is told why others are left out leaves nothing to chance.
    ready = [each for each in pool.ready(now, Demand(pool.require), refused=lambda *_: None) if able(each)]
    if len(ready) < 2:  # else a strategy is copied, which of hundreds of deployments takes milliseconds
        return ready
    first, _ = pool.preview(ready, request)
    return sorted(ready, key=lambda each: each is not first)
