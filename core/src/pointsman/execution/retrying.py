"""Whether a request goes on after a failed attempt, and the wait until it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pointsman._internal.plugin_errors import OWN, fault
from pointsman.clock import Clock
from pointsman.errors import CallError, DeadlineExceeded, NoDeploymentAvailable
from pointsman.events import RetryPlanned
from pointsman.execution.failover import prepay, ready_elsewhere
from pointsman.execution.queueing import worth_a_place
from pointsman.execution.retry_state import RetryState
from pointsman.retry import Failure
from pointsman.routing.deployment import Deployment

if TYPE_CHECKING:
    from tenacity import AttemptManager, RetryCallState

    from pointsman.execution.execution import Execution

LONGEST_WAIT = 60.0
"""Seconds: a hint beyond it is not waited for inside a request."""
_ROUNDING = 1e-6  # seconds: instants are sums, and a minute must not become more than one by that


class _Way(NamedTuple):
    """Where the next attempt can go: to one of `ready`, or `back` to what failed; neither: into the line.

    `at` is the earliest instant at which it can.
    """

    ready: Sequence[Deployment]
    back: Deployment | None
    at: float


def plan(execution: Execution, error: CallError) -> bool:
    """Decide whether another attempt follows the one that ended with `error`, and after how long a wait.

    Raises: PluginError, from the attempt's error, when the retry policy cannot say.
    """
    if not may_be_retried(error) or execution.setting.running.closed:
        return False
    failures = execution.retry_state()
    now = execution.now()
    failures.spent = failures.spent or execution.made >= execution.retry.attempts
    way = _way(execution, failures, now)
    if way is None:
        return False
    wait: float | None = 0.0
    if not failures.spent:
        wait = _wait_for(execution, failures, error, way, now)
        if wait is None:
            # That ends the retries. Models that have not had an attempt yet still get theirs.
            failures.spent = True
            if (way := _way(execution, failures, now)) is None:
                return False
    wait = max(wait or 0.0, way.at - now)
    if _takes_too_long(wait, way.back, now, execution.deadline):
        return False
    if not (any(not each.live.failing for each in way.ready) or prepay(execution, failures, now)):
        # What is to be had now fails. Only what looks well, maybe in a later level, is still free.
        error.budget_exhausted = not ready_elsewhere(execution, now, well_only=True)
        if error.budget_exhausted:
            return False
    _planned(execution, failures, error, wait)
    return True


def plan_longer_wait(execution: Execution) -> bool:
    """Whether the request, which waited for its way back and found it longer, waits for the rest.

    Other calls lengthen a cool-down meanwhile. False when there is no such way, or it takes too long.
    """
    failures, now = execution.failures, execution.now()
    back = failures.way_back(execution.chain, now)
    if back is None or back[1] <= now or _takes_too_long(back[1] - now, back[0], now, execution.deadline):
        return False
    _planned(execution, failures, failures.last, back[1] - now)
    return True


def _planned(execution: Execution, failures: RetryState, after: CallError | None, delay: float) -> None:
    failures.delay, failures.after = delay, after
    if execution.setting.events.detailed:
        code = "" if after is None else after.code
        execution.tell(RetryPlanned, execution.request.model, execution.made, code, delay)


def may_be_retried(error: BaseException) -> bool:
    """Whether another attempt could end otherwise, wherever it goes; never after a cancellation."""
    if not isinstance(error, CallError) or isinstance(error, NoDeploymentAvailable | DeadlineExceeded):
        return False
    return error.retry_elsewhere or error.retry_same or error.try_fallback


def _way(execution: Execution, failures: RetryState, now: float) -> _Way | None:
    """Where the next attempt can go: elsewhere, else back, else into the line; None for nowhere."""
    if ready := ready_elsewhere(execution, now):
        return _Way(ready, None, now)
    back = None if failures.spent else failures.way_back(execution.chain, now)
    if back is not None:
        return _Way((), *back)
    return _Way((), None, now) if worth_a_place(execution, now) else None


def _takes_too_long(wait: float, back: Deployment | None, now: float, deadline: float) -> bool:
    """Whether `wait` is not waited inside a request: what an upstream asked for, without our jitter."""
    jitter = 0.0 if back is None else back.live.jitter
    return wait - jitter > LONGEST_WAIT + _ROUNDING or now + wait >= deadline


def _wait_for(
    execution: Execution, failures: RetryState, error: CallError, way: _Way, now: float
) -> float | None:
    """Seconds that the policy has the next attempt wait; None when it gives up."""
    elsewhere = way.back is None
    there = 0 if way.back is None else failures.of(way.back)
    failure = Failure(execution.made, error, elsewhere, there, now - execution.started_at)
    did: BaseException | str
    try:
        wait = execution.retry.delay(failure)
    except OWN as raised:
        did = raised
    else:
        number = isinstance(wait, int | float) and not isinstance(wait, bool)
        if wait is None or (number and wait >= 0):
            return wait
        shown = f"{float(wait):g} seconds" if number else f"a {type(wait).__name__}"
        did = f"returned {shown} from delay(), expected seconds from 0 or None"
    policy, scrub = execution.chain[0].retry_name, execution.setting.scrubber.text
    raise execution.complete(fault("retry", policy, "delay", did, scrub=scrub)) from error


class TenacityWaits:
    """The waits between the attempts of one request, which tenacity keeps; how long they are we say.

    Made when there is something to wait for, and fresh for each request: one that tasks share mixes up their
    exceptions. It waits in the loop of the attempts, through tenacity's iterator, and tells that how each
    attempt ended by leaving the block around it, so that no error is raised twice.
    """

    __slots__ = ("_attempt", "_attempts", "_seconds")

    def __init__(self, clock: Clock) -> None:
        from tenacity import AsyncRetrying, retry_if_exception  # a router that is built does not need it yet

        self._seconds = 0.0
        self._attempt: AttemptManager | None = None
        again = retry_if_exception(may_be_retried)
        self._attempts = aiter(AsyncRetrying(retry=again, wait=self._wait, sleep=clock.sleep, reraise=True))

    async def wait(self, planned: RetryState) -> None:
        """Return when the attempt that is planned may begin. Meanwhile nothing holds the error before it."""
        if self._attempt is None:
            self._attempt = await anext(self._attempts)  # the first one, which is over already
        self._seconds = planned.delay
        after, planned.after = planned.after, None
        assert after is not None
        self._attempt.__exit__(type(after), after, None)
        del after
        self._attempt = await anext(self._attempts)

    def _wait(self, _state: RetryCallState) -> float:
        return self._seconds
