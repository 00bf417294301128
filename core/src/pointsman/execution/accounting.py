"""How attempts and requests end in the books: the lease given back, estimates taught, one event for each."""

from __future__ import annotations

import logging
from copy import copy
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import force_setattr

from pointsman.errors import (
    AttemptTimeout,
    CallError,
    ConnectionFailed,
    MidStreamError,
    NoDeploymentAvailable,
    Outcome,
    PointsmanError,
    ProviderError,
    Unsupported,
)
from pointsman.events import AttemptEnded, RequestEnded, log
from pointsman.execution.adjusting import amended
from pointsman.execution.time_limits import deadline_passed, is_over
from pointsman.resilience.token_estimate import output_estimate
from pointsman.routing.lease import FailureDetails, Lease
from pointsman.routing.runtime import shutting_down
from pointsman.types import ChatResponse, EmbedResponse, Usage
from pointsman.wire.token_usage import believed, chargeable, plausible

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution

R = TypeVar("R", ChatResponse, EmbedResponse)

_OK = Outcome.OK  # looked up once, as in `lease`
_DEAR = 10**9
"""Millionths of a cent, 10 USD: counts of an attempt that seems to cost more are looked at."""


def succeeded(execution: Execution, lease: Lease, response: R, usage: Usage | None) -> R:
    """End attempt and request with `response`, to which it says where it came from. Returns it.

    A request that guards stand around does not end with it: they have a say first.

    An answer whose upstream gave it no id gets ours. It is completed in place: nobody has seen it yet. One
    that says already where it came from was kept by its provider, and is copied.
    """
    if response.deployment:
        response = copy(response)
        force_setattr(response, "cost_microcents", None)  # of this call, not of that one
    if isinstance(response, ChatResponse) and response.id in ("", response.request_id):
        force_setattr(response, "id", execution.request_id)
    force_setattr(response, "deployment", lease.deployment.id)
    force_setattr(response, "attempts", execution.made)
    force_setattr(response, "request_id", execution.request_id)
    if execution.dropping is not None and isinstance(response, ChatResponse):
        force_setattr(response, "dropped", execution.dropping.of(lease.deployment))
    if usage is None or not (usage.prompt and usage.completion):
        usage = _uncounted(execution, lease, response, usage)
    end_attempt(execution, lease, _OK, None, usage, response.upstream_request_id)
    if execution.cost is not None:
        force_setattr(response, "cost_microcents", execution.cost)
    if execution.ends_with_answer:
        end_request(execution, "ok")
    return response


def _uncounted(
    execution: Execution, lease: Lease, response: ChatResponse | EmbedResponse, usage: Usage | None
) -> Usage | None:
    """`usage` as far as it can be; what came counts by its length where the upstream did not count it."""
    if usage is not None:
        usage = believed(usage, response)
    if (usage is None or usage.completion is None) and isinstance(response, ChatResponse):
        lease.delivered = output_estimate(response) * answers_asked(execution)
    return usage


def end_attempt(
    execution: Execution,
    lease: Lease,
    outcome: Outcome,
    error: CallError | None = None,
    usage: Usage | None = None,
    upstream_request_id: str = "",
) -> None:
    """End the attempt that holds `lease`: once released and told, whatever comes later is ignored."""
    if not lease.is_open:
        return
    now = execution.setting.clock.now()
    tokens = None if usage is None else _counted(execution, lease, usage)
    if lease.deployment.price is not None or execution.cost is not None:
        _charge(execution, lease, outcome, usage)
    if lease.hold is not None:
        lease.usage = _settled(execution, usage, error)
    if outcome is not _OK and lease.coming is not None:  # what was counted by then is a part, or nothing
        lease.delivered = output_estimate(lease.coming.response()) * answers_asked(execution)
    if error is None:
        lease.release(outcome, now, tokens)
    else:
        _release_failed(execution, lease, outcome, error, tokens, now)
        # After it: before that the error may hold a secret that the upstream repeated, also as its id.
        upstream_request_id = upstream_request_id or error.upstream_request_id
    if error is not None or execution.setting.events.attempt_ended:
        _tell_of_attempt(execution, lease, outcome, error, usage, upstream_request_id, now)


def answers_asked(execution: Execution) -> int:
    """How many answers the request asks for at once; only what its caller wrote can ask for several."""
    original = execution.options.original
    return 1 if original is None else original.answers


def _counted(execution: Execution, lease: Lease, usage: Usage) -> int | None:
    """The tokens that the attempt which holds `lease` is charged; the estimates of others learn from them."""
    latest, expected = lease is execution.last, execution.demand.tokens
    estimator = execution.chain[0].estimator
    if latest:
        execution.usage = usage
    if not expected and lease.reservation is None:
        return None
    prompt, completion = usage.prompt, usage.completion
    # As `Usage.total` has it; a property is a frame of its own, for 500 instructions.
    total = None if prompt is None or completion is None else prompt + completion
    # What is near the estimate is believed unseen: `plausible` may have to walk the whole request.
    if expected and not 0 <= (total or 0) <= 2 * expected:
        usage = plausible(usage, amended(execution, lease.deployment, execution.request))
        completion, total = usage.completion, usage.total
    if estimator is not None and latest and completion is not None:
        estimator.observe(completion)
    return total


def _charge(execution: Execution, lease: Lease, outcome: Outcome, usage: Usage | None) -> None:
    """Charge the attempt which holds `lease` for its tokens, and the request for the attempt.

    Where nobody knows what the attempt costs that answered, nobody knows it of the request, whatever is known
    of attempts before it.
    """
    price, cost = lease.deployment.price, None
    if usage is None and outcome is _OK:
        usage = Usage()  # uncounted, but it did answer, and may have done so for free
    if price is not None and usage is not None:
        cost = price.microcents(usage)
        if cost is None or cost > _DEAR:
            cost = price.microcents(chargeable(usage, execution.request))
    if cost is not None:
        lease.cost = cost
        execution.cost = cost + (execution.cost or 0)
    elif outcome is _OK:
        execution.cost = None


def _settled(execution: Execution, usage: Usage | None, error: CallError | None) -> Usage | None:
    """What budgets are told that an attempt used; None where nobody knows.

    Upstreams charge nothing for what they answer with an error.
    """
    if usage is None:
        return Usage(0, 0) if error is not None and (error.status or 0) >= 400 else None
    return chargeable(usage, execution.request)


def _release_failed(
    execution: Execution, lease: Lease, outcome: Outcome, error: CallError, tokens: int | None, now: float
) -> None:
    execution.setting.scrubber.error(error)
    if isinstance(error, ProviderError):
        lease.deployment.live.failed_with(error, now)
    # An upstream that says itself what it cannot do was asked, and counted that.
    never_sent = error.without_credential or (isinstance(error, Unsupported) and error.status is None)
    never_sent = never_sent or (isinstance(error, ConnectionFailed) and not error.sent)
    execution.unsent += never_sent and not isinstance(error, Unsupported)
    within, timed_out = execution.deadline - now, isinstance(error, AttemptTimeout)
    ending = FailureDetails(error.retry_after, error.refusal, within, timed_out, not never_sent)
    lease.release(outcome, now, tokens, ending)


def _tell_of_attempt(
    execution: Execution,
    lease: Lease,
    outcome: Outcome,
    error: CallError | None,
    usage: Usage | None,
    upstream_request_id: str,
    now: float,
) -> None:
    options, started_at, first_event_at = execution.options, lease.started_at, lease.first_event_at
    code, message, status = ("", "", None) if error is None else (error.code, error.message, error.status)
    event = AttemptEnded(  # by position: there are two events to each call, and `events` says what names cost
        execution.request_id,
        lease.pool,
        lease.deployment.id,
        lease.number,
        outcome,
        code,
        message,
        status,
        execution.wall + (started_at - execution.started_at),
        now - started_at,
        None if first_event_at is None else first_event_at - started_at,
        usage,
        upstream_request_id,
        lease is execution.hedge,
        options.caller,
        options.tags,
        lease.cost,
    )
    if error is None:
        execution.setting.events.emit(event)
    else:
        execution.setting.events.report(event)


def attempt_failed(execution: Execution, lease: Lease, error: CallError) -> None:
    """Account for an attempt that ended with `error`, and remember what that means for the next one.

    Raises: DeadlineExceeded when it was the request's own deadline that ended it; NoDeploymentAvailable when
        the router ended it.
    """
    deployment, failures = lease.deployment, execution.retry_state()
    failures.last = execution.complete(error, deployment.id)
    if (closed := ended_by_router(execution, error)) is not None:
        end_attempt(execution, lease, Outcome.NEUTRAL, closed, lease.usage)
        raise closed from error
    if is_over(execution, error):
        # Our own deadline ended it. A deployment that had its fair time until then and said nothing is to
        # blame all the same: one that accepts calls and never answers must not stay in service.
        waited = execution.now() - lease.started_at
        blamed = waited >= deployment.first_token and lease.first_event_at is None
        end_attempt(execution, lease, error.outcome if blamed else Outcome.NEUTRAL, error, lease.usage)
        raise deadline_passed(execution, f"while {deployment.id} was at work", deployment.id) from error
    if lease.is_open:  # else it failed beside another attempt, and was accounted for then
        end_attempt(execution, lease, error.outcome, error, lease.usage)
        failures.add(error, deployment, execution.pool_of(lease))


def ended_by_router(execution: Execution, error: CallError) -> NoDeploymentAvailable | None:
    """What it counts as that an attempt lost its connection because the router closes; None otherwise."""
    if not execution.setting.running.closed or error.outcome is not Outcome.UPSTREAM_FAULT:
        return None
    return execution.complete(shutting_down())


def end_request(execution: Execution, result: str, error: BaseException | None = None) -> None:
    """End the request as `ok`, `error`, `cancelled` or `abandoned`. Only the first call counts."""
    if execution.is_over:
        return
    execution.is_over = True  # before anybody is told: a listener that closes the stream comes by here again
    try:
        if error is not None or execution.setting.events.request_ended:
            _tell_of_request(execution, result, error)
    finally:  # whatever the telling raises: a router that closes waits for the last of them
        running = execution.setting.running
        running.requests.discard(execution)
        if not running.requests and running.idle.waiting:
            running.idle.tell()


def _tell_of_request(execution: Execution, result: str, error: BaseException | None) -> None:
    options, lease = execution.options, execution.last
    code = message = ""
    if error is not None and isinstance(error, PointsmanError):
        code, message = error.code, error.message
    event = RequestEnded(  # by position, too
        execution.request_id,
        execution.operation,
        execution.request.model,
        "" if lease is None else lease.pool,
        "" if lease is None else lease.deployment.id,
        result,
        code,
        message,
        execution.made,
        execution.wall,
        execution.setting.clock.now() - execution.started_at,
        execution.usage,
        options.caller,
        options.tags,
        execution.cost,
    )
    if lease is not None and lease.delivered:
        force_setattr(event, "delivered", lease.delivered)
    if error is None:
        execution.setting.events.emit(event)
    else:
        if isinstance(error, CallError):
            force_setattr(event, "rule", error.rule)  # here, so that an answer pays nothing for it
        execution.setting.events.report(event)


def fail_request(execution: Execution, error: BaseException) -> None:
    """End the request with `error`: `error` when it is one of ours or a bug, else `cancelled`."""
    if isinstance(error, PointsmanError):
        execution.setting.scrubber.error(error)
    if isinstance(error, CallError):
        execution.complete(error)
        if execution.failures.last is not None:
            execution.failures.tell(error)
        for each in (error, *(before.error for before in error.failures)):
            _cut(each, keep=log.isEnabledFor(logging.DEBUG))
    end_request(execution, "error" if isinstance(error, Exception) else "cancelled", error)


def _cut(error: CallError, *, keep: bool) -> None:
    """Leave of what led to `error` the errors of ours, and no frames: they say all there is to say.

    What is below is another library's, in words that may hold a secret, and a hundred lines of it. Whoever
    wants to `keep` it finds it in `__context__`; it is not printed.
    """
    below: BaseException | None = error
    seen: set[int] = set()
    while isinstance(below, PointsmanError):
        seen.add(id(below))
        cause = below.__cause__
        ours = isinstance(cause, PointsmanError) and id(cause) not in seen  # `raise error from error`
        if not keep:
            below.__traceback__ = below.__context__ = None
        elif not ours:
            below.__context__ = cause or below.__context__
        below.__cause__ = cause if ours else None
        below.__suppress_context__ = keep  # else it is what the caller was handling
        below = below.__cause__
    if isinstance(error, MidStreamError):
        _cut(error.cause, keep=keep)
