"""What was asked and answered, told to the audit sinks that record it. Without any nothing is called."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar, cast

from pointsman._internal.plugin_errors import OWN, fault
from pointsman.audit import AuditedExchange

if TYPE_CHECKING:
    from pointsman.execution.guarded import GuardedExecution
    from pointsman.types import ChatResponse, EmbedResponse

T = TypeVar("T")


async def recorded(execution: GuardedExecution, answer: Awaitable[T]) -> T:
    """What `answer` gives, told with its request, as is a request that has none. Raises what it raises."""
    given: T | None = None
    try:
        given = await answer
        return given
    finally:
        tell(execution, cast("ChatResponse | EmbedResponse | None", given))


def tell(execution: GuardedExecution, answer: ChatResponse | EmbedResponse | None) -> None:
    """Tell each sink of the request and its answer, once."""
    if execution.is_recorded:
        return
    execution.is_recorded = True
    setting, options, request = execution.setting, execution.options, execution.request
    id, scrub = execution.request_id, setting.scrubber.text
    exchange = AuditedExchange(id, options.caller, options.tags, request, answer, scrub)
    for sink in setting.recording:
        try:
            sink.exchanged(exchange)
        except OWN as error:  # to record it costs nobody an answer
            fault("audit", type(sink).__name__, "exchanged", error, scrub=scrub)
