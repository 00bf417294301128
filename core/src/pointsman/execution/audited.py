"""Requests that audit sinks have to take before they are made. Without such sinks none of this is called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pointsman._internal.plugin_errors import fault, is_own
from pointsman._internal.timeouts import TimeLimit
from pointsman.errors import AuditUnavailable
from pointsman.events import RequestStarted
from pointsman.execution.time_limits import deadline_passed

if TYPE_CHECKING:
    from pointsman.audit import AwaitedAuditSink
    from pointsman.execution.execution import Execution


async def admitted(execution: Execution) -> None:
    """Return once every sink that is awaited has taken the request, which it is shown once.

    Raises: AuditUnavailable when one does not; DeadlineExceeded when none has by the request's deadline.
    """
    if execution.is_admitted:
        return
    execution.is_admitted = True
    setting, options = execution.setting, execution.options
    started = RequestStarted(
        execution.request_id,
        execution.operation,
        execution.request.model,
        execution.wall,
        options.caller,
        options.tags,
    )
    late = partial(deadline_passed, execution, "before the audit had taken it")
    with TimeLimit(execution.deadline, late, setting.alarms):
        for sink in setting.admitting:
            await _taken(sink, started, execution)
    execution.routed_at = execution.now()


async def _taken(sink: AwaitedAuditSink, started: RequestStarted, execution: Execution) -> None:
    try:
        await sink.admit(started)
    except BaseException as error:
        if isinstance(error, AuditUnavailable) or not is_own(error):
            raise
        fault("audit", type(sink).__name__, "admit", error, scrub=execution.setting.scrubber.text)
    else:
        return
    raise AuditUnavailable("an audit sink failed as it was to take the request; the log says more")
