"""How long the attempts of a request may take, and what it is called when one takes longer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pointsman._internal.timeouts import Timeouts
from pointsman.errors import AttemptTimeout, CallError, DeadlineExceeded, FirstTokenTimeout, IdleTimeout
from pointsman.events import TRACEPARENT
from pointsman.execution.failover import goes_elsewhere
from pointsman.http.client import CallTimeouts
from pointsman.http.headers import passed_on
from pointsman.provider import Call
from pointsman.requests.call_options import show_limit
from pointsman.routing.lease import Lease

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution
    from pointsman.original import Original

_EARLY = 1e-6
"""Seconds, more than those by which an event loop may run a timer too early."""


def call(execution: Execution, lease: Lease, time: Timeouts, original: Original | None = None) -> Call:
    """What the provider is handed for the attempt that holds `lease`, whose limits `time` keeps.

    Args:
        original: what it is to relay, if that is what it is asked for.
    """
    deployment, options = lease.deployment, execution.options
    return Call(  # by position, both: classes take names for twice the price
        deployment.model,
        deployment.client,
        CallTimeouts(
            execution.deadline,
            options.first_token_timeout or deployment.first_token,
            options.idle_timeout or deployment.idle,
            deployment.attempt,
            time,
        ),
        execution.request_id,
        lease.number,
        deployment.options,
        original,
        _trace(execution, lease)
        if TRACEPARENT in options.tags or execution.setting.events.traces is not None
        else "",
    )


def _trace(execution: Execution, lease: Lease) -> str:
    """What the upstream is told of the trace that the attempt which holds `lease` belongs to."""
    named = execution.setting.events.named(execution.request_id, lease.number, execution.options.tags)
    return passed_on(named)


def ends(execution: Execution, lease: Lease) -> float:
    """The instant at which the attempt that holds `lease` ends, wherever it is by then."""
    attempt = lease.deployment.attempt
    return execution.deadline if attempt is None else min(execution.deadline, lease.started_at + attempt)


def late(execution: Execution, lease: Lease) -> AttemptTimeout:
    """The error of an attempt that is at work when it ends."""
    deployment = lease.deployment
    limit = ("attempt", deployment.attempt)
    if ends(execution, lease) >= execution.deadline:
        limit = ("total", execution.total)
    return AttemptTimeout(f"{deployment.id} did not answer within {show_limit(execution.options, *limit)}")


def opening_ends(execution: Execution, lease: Lease) -> tuple[float, Callable[[], AttemptTimeout]]:
    """The instant by which a stream must have its first content, and the error when it has not."""
    at = ends(execution, lease)
    first_token = execution.options.first_token_timeout or lease.deployment.first_token
    if lease.started_at + first_token >= at:
        return at, partial(late, execution, lease)
    return (
        lease.started_at + first_token,
        lambda: late(execution, lease) if lease.slow else _no_first_token(execution, lease),
    )


def _no_first_token(execution: Execution, lease: Lease) -> FirstTokenTimeout:
    limit = show_limit(execution.options, "first_token", lease.deployment.first_token)
    return FirstTokenTimeout(f"{lease.deployment.id} sent no first token within {limit}")


def put_off(execution: Execution, lease: Lease, until: float) -> float:
    """The end of an attempt whose first content has not come by `until`.

    Where nobody else can be asked it goes on: the work that has been done must not be thrown away.
    """
    if goes_elsewhere(execution, lease):
        return until
    lease.slow = True
    return ends(execution, lease)


def silent(execution: Execution, lease: Lease) -> AttemptTimeout:
    """The error of a stream that waits for its next content when its time is over."""
    if execution.now() + _EARLY >= ends(execution, lease):
        return late(execution, lease)
    limit = show_limit(execution.options, "idle", lease.deployment.idle)
    return IdleTimeout(f"{lease.deployment.id} fell silent in the middle of the answer, for {limit}")


def is_over(execution: Execution, error: CallError) -> bool:
    """Whether it was the request's own deadline that ended an attempt with `error`."""
    return isinstance(error, AttemptTimeout) and execution.now() + _EARLY >= execution.deadline


def deadline_passed(execution: Execution, when: str, deployment: str = "") -> DeadlineExceeded:
    """The error of a request whose deadline passed `when`, in words, during an attempt at `deployment`."""
    limit = show_limit(execution.options, "total", execution.total)
    error = DeadlineExceeded(f"the deadline of the request passed {when}: {limit}")
    return execution.complete(error, deployment)
