"""How far a request has come, told to those who asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pointsman.events import Progress

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution


def tell(execution: Execution, kind: type[Progress], *said: Any) -> None:
    """Tell who listens to that `kind`, with what stands in it between the id of the request and its caller.

    Whoever calls looks at `Events.detailed` first: that one attribute is all that a call pays while nobody
    asks.
    """
    events, options = execution.setting.events, execution.options
    make: Callable[..., Progress] = kind
    if events.wants(kind):
        events.progress(make(execution.request_id, *said, options.caller, options.tags))
