"""One request's way through its attempts: where the next one goes, when, and when to give up.

The first attempt is a plain call, and so is one that follows at once elsewhere. Only when there is something
to wait for is anything of the retry machinery made. Every attempt ends here in one outcome, one release of
its lease and one event; every request in one event.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from msgspec.structs import force_setattr

from pointsman._internal.plugin_errors import OWN, during_attempt, fault, is_own, misshapen
from pointsman._internal.timeouts import ExtensibleLimits, TimeLimit, Timeouts
from pointsman.clock import new_id
from pointsman.errors import (
    AttemptTimeout,
    BadResponse,
    CallError,
    ConnectionFailed,
    DeadlineExceeded,
    FirstTokenTimeout,
    IdleTimeout,
    ModelNotFound,
    NoDeploymentAvailable,
    Outcome,
    PluginError,
    PointsmanError,
    ProviderError,
    RuleNotMet,
    Unsupported,
)
from pointsman.event_log import begun
from pointsman.events import AttemptEnded, RequestEnded, log
from pointsman.execution.hedging import hedge_after, may_hedge
from pointsman.execution.retrying import RetryState, cut, pause
from pointsman.http.client import AttemptTimeouts
from pointsman.provider import Call
from pointsman.requests.call_options import DEFAULT, CallOptions, show_limit
from pointsman.requests.requirements import merged
from pointsman.resilience.admission_queue import AdmissionQueue, NotYet
from pointsman.resilience.fair_queue import Priority
from pointsman.resilience.retry_budget import RetryBudget
from pointsman.retry import Failure, RetryPolicy
from pointsman.routing.deployment import Demand, Deployment
from pointsman.routing.lease import Lease
from pointsman.routing.pool import Pool, chain
from pointsman.routing.runtime import Setting
from pointsman.types import ChatResponse, EmbedRequest, EmbedResponse, Request, Usage
from pointsman.wire.token_usage import plausible, unsound

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
R = TypeVar("R", ChatResponse, EmbedResponse)

_PRIORITIES = {"high": Priority.HIGH, "normal": Priority.NORMAL, "low": Priority.LOW}
_EARLY = 1e-6
"""Seconds, more than those by which an event loop may run a timer too early."""
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


class Execution:
    """The state of one request. Bound to the task that runs it; nothing in it is shared.

    Args:
        chain: the pool of the model and those of its fallbacks, in order; never empty.
        operation: `chat`, `stream`, `generate` or `embed`, for the record.
    """

    __slots__ = (
        "_budget",
        "_chain",
        "_demand",
        "_failures",
        "_finished",
        "_hedge",
        "_last",
        "_setting",
        "_usage",
        "deadline",
        "made",
        "operation",
        "request",
        "request_id",
        "started_at",
        "terms",
        "wall",
    )

    def __init__(
        self,
        setting: Setting,
        chain: Sequence[Pool],
        request: Request,
        operation: str,
        terms: CallOptions = DEFAULT,
    ) -> None:
        self._setting = setting
        self._chain = chain
        self.request = request
        self.operation = operation
        self.request_id = terms.request_id or new_id("req_", setting.rng)
        self.started_at = now = setting.clock.now()
        self.wall = setting.clock.wall()
        self.terms = terms
        first = chain[0]
        require = terms.require
        if first.require:
            require = merged(first.require, require)
        self._demand = Demand(require, first.estimate(request))
        self.deadline = now + (terms.timeout or first.total)
        self._budget = first.budget
        if self._budget is not None:
            self._budget.request(now)
        if setting.hedging is not None and operation == "stream" and (hedges := first.hedges) is not None:
            hedges.request(now)
        self.made = 0
        self._failures: RetryState | None = None
        self._last: Lease | None = None
        self._hedge: Lease | None = None
        self._usage: Usage | None = None
        self._finished = False
        setting.running.requests.add(self)

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────

    async def run(self, once: Callable[[Lease], Awaitable[T]]) -> T:
        """What `once` returns for the first lease with which it succeeds.

        `once` must end its lease by `ok`, or leave that to its caller on success; on any exception it is
        ended here. Raises the last attempt's error, or why there was no attempt.
        """
        try:
            return await self._attempt(once)
        except CallError as error:
            if not _may_be_retried(error):
                raise
            return await self._again(once, error)

    async def _again(self, once: Callable[[Lease], Awaitable[T]], error: CallError) -> T:
        """What `once` returns after its failure with `error`: at once elsewhere, or after a wait."""
        failures = self._failed_before
        try:
            while self._plan(error):
                if failures.delay:
                    result = await self._after_waiting(once, error)
                    break
                try:
                    result = await self._attempt(once)
                    break
                except CallError as another:
                    error = another
            else:
                raise error
        except ModelNotFound as not_found:
            # That is so only where all of them say it.
            if failures.other is None:
                raise
            failures.other.attempts, failures.other.budget_exhausted = self.made, not_found.budget_exhausted
            raise failures.other from None
        finally:
            # A frame that holds the error that holds the frame would hold the caller's stream too.
            del error
            if failures.prepaid and self._budget is not None:
                # The retry was cancelled while it waited, or found no deployment that can take it: nothing
                # of it ever left the process.
                failures.prepaid = False
                self._budget.refund(self._setting.clock.now())
        failures.forget()
        return result

    async def _after_waiting(self, once: Callable[[Lease], Awaitable[T]], error: CallError) -> T:
        """The same, with the wait that is planned and any that follow."""
        failure: CallError | None = error
        planned = True
        del error

        async def attempt() -> T:
            nonlocal failure
            if failure is not None:
                # The attempt that already failed: tenacity hears of it as of its own first one.
                failed, failure = failure, None
                try:
                    raise failed
                finally:
                    del failed  # as in `_again`
            return await self._attempt(once)

        def worth_another(error: BaseException) -> bool:
            nonlocal planned
            if planned:
                planned = False
                return True
            return isinstance(error, CallError) and self._plan(error)

        from tenacity import AsyncRetrying, retry_if_exception  # a router that is built does not need it yet

        # A fresh object for this request: a shared one mixes up the exceptions of concurrent tasks.
        retrying = AsyncRetrying(
            retry=retry_if_exception(worth_another),
            stop=self._given_up,
            wait=self._wait,
            sleep=partial(pause, self._setting.clock),
            reraise=True,
        )
        result: T = await retrying(attempt)
        return result

    def _given_up(self, _state: RetryCallState) -> bool:
        return self._failed_before.delay is None

    def _wait(self, _state: RetryCallState) -> float:
        return self._failed_before.delay or 0.0

    @property
    def _retry(self) -> RetryPolicy:
        """The one policy of the request: that of the model it asks for."""
        return self._chain[0].retry or self._setting.retry

    @property
    def _failed_before(self) -> RetryState:
        """What has gone wrong so far; from the first time somebody asks on, it is kept."""
        if self._failures is None:
            self._failures = RetryState()
        return self._failures

    @property
    def _last_error(self) -> CallError | None:
        return None if self._failures is None else self._failures.last

    @property
    def _retryable(self) -> Collection[str]:
        return () if self._failures is None else self._failures.retryable

    async def _attempt(self, once: Callable[[Lease], Awaitable[T]]) -> T:
        refusal: Unsupported | None = None
        while True:
            try:
                lease = self._at_once(refusal) or await self._in_line()
            except NoDeploymentAvailable:
                if not await self._waited_again():
                    raise
                continue
            self._begins(lease)
            self._last = lease
            try:
                return await once(lease)
            except Unsupported as error:
                # Nothing was sent, so it costs no attempt and no wait: on to one that can.
                if lease.is_open:
                    self.end(lease, Outcome.CLIENT_FAULT, error=error)
                    self.made -= 1
                # Without its traceback, which holds this frame, and with it the caller's stream.
                refusal = self._complete(error, lease.deployment).with_traceback(None)
            except BaseException as error:
                fault = self.plugin_error(lease, self.operation, error)
                if fault is not None:
                    self._failed(lease, fault)
                    raise fault from error
                if isinstance(error, CallError):
                    self._failed(lease, error)
                else:
                    self.end(lease, Outcome.NEUTRAL)
                raise

    # ── where the next attempt goes ──────────────────────────────────────────────────────────────────

    def _at_once(self, refusal: Unsupported | None) -> Lease | None:
        """The hold on the deployment that takes the next attempt, or the error that says why not.

        None: nothing but room is lacking, and it has to wait in line, or else it would overtake others.
        """
        queue = self._chain[0].queue
        if queue is not None and not queue.is_empty:
            return None
        try:
            return self._found(refusal)
        except (NoDeploymentAvailable, Unsupported):
            if queue is None or not self._worth_a_place(self._setting.clock.now(), queue):
                raise
            return None

    def _begins(self, lease: Lease) -> None:
        self.made = lease.number = number = self.made + 1
        self._demand.tried.add(lease.deployment.id)
        if number > 1 or self._setting.events.detailed:
            begun(self.request_id, lease.deployment.id, number)

    async def _in_line(self) -> Lease:
        demand, queue, failures = self._demand, self._chain[0].queue, self._failures
        assert queue is not None
        until = self._patience(self._setting.clock.now(), queue)

        def attempt(now: float) -> Lease | NotYet:
            held = self._seek(now)
            if held is not None:
                return held
            lacking = self._lacking(now)
            if min(lacking.values(), default=inf) >= until:
                raise self._none_available(now)
            instants = [each.available_at(now, demand.tokens) for each in lacking]
            return NotYet(
                min((at for at in instants if at is not None), default=inf),
                # A picky caller must not hold up those behind it, who can use what it cannot.
                pass_on=bool(demand.require or demand.tried),
                closed=all(each.live.cooling_until > now for each in lacking),
            )

        try:
            held = await queue.wait(
                attempt,
                key=self.terms.caller,
                priority=_PRIORITIES[self.terms.priority],
                deadline=self.deadline,
                needs=(
                    frozenset(demand.tried),
                    frozenset(self._retryable),
                    failures is not None and failures.prepaid,
                    tuple(demand.require.items()),
                    demand.tokens,
                ),
            )
        except CallError as error:
            raise self._complete(error, None) from self._last_error
        now = self._setting.clock.now()
        if now >= self.deadline:
            # Its turn came before the deadline, and the loop came round to it after.
            held.release(Outcome.NEUTRAL, now, sent=False)
            raise self._deadline_passed("when its turn in the queue had come") from self._last_error
        return held

    def _lacking(self, now: float) -> dict[Deployment, float]:
        """Those that could take the next attempt, had they but room, and when each may have it."""
        demand = self._demand
        return {
            each: at
            for pool in self._open_pools(now)
            for each in pool.allowed(demand.require)
            if each.id not in demand.tried or each.id in self._retryable
            if (at := each.room_at(now, demand.tokens)) is not None
        }

    def _patience(self, now: float, queue: AdmissionQueue[Lease]) -> float:
        """Until when a caller who comes to `queue` now waits in line."""
        return min(now + queue.line.settings.wait, self.deadline)

    def _worth_a_place(self, now: float, queue: AdmissionQueue[Lease]) -> bool:
        """Whether there may be room for the next attempt before its time in line is over."""
        return min(self._lacking(now).values(), default=inf) < self._patience(now, queue)

    async def _waited_again(self) -> bool:
        """Whether the request, which waited for its way back and found it longer, has waited for the rest.

        Other calls lengthen a cool-down meanwhile. False when there is no such way, or it takes too long.
        """
        failures = self._failures
        if failures is None:
            return False
        now = self._setting.clock.now()
        back = failures.way_back(self._chain, now)
        if back is None or back[1] <= now or self._takes_too_long(back[1] - now, back[0], now):
            return False
        await pause(self._setting.clock, back[1] - now)
        return True

    def _found(self, refusal: Unsupported | None) -> Lease:
        # No time has passed before the first attempt.
        now = self.started_at if self._last is None else self._setting.clock.now()
        if now >= self.deadline:
            raise self._deadline_passed("before another attempt") from self._last_error
        held = self._seek(now, back=refusal is None)
        if held is not None:
            return held
        if refusal is not None:
            raise refusal
        raise self._none_available(now) from self._last_error

    def _seek(self, now: float, *, back: bool = True) -> Lease | None:
        """A lease on what was not tried, else, when it may go `back`, on what failed; None for none."""
        demand, expires = self._demand, self.deadline
        if self._failures is None:
            lease = self._chain[0].lease(self.request, now=now, expires=expires, demand=demand)
            if lease is not None or len(self._chain) == 1:
                return lease
        else:
            demand.well_only = not self._affordable(now)
        for pool in self._open_pools(now):
            lease = pool.lease(self.request, now=now, expires=expires, demand=demand)
            if lease is not None:
                return self._charged(lease, now)
        failures = self._failures
        if failures is None or failures.spent or not (back and failures.retryable) or demand.well_only:
            return None
        for pool in self._chain:
            for each in failures.fewest_first(pool.ready(now, demand.again())):
                lease = pool.hold(each, now, expires, demand)
                if lease is not None:
                    return self._charged(lease, now)
        return None

    def _affordable(self, now: float) -> bool:
        """Whether an attempt at what fails can be paid for."""
        budget = self._budget
        return budget is None or self._failed_before.prepaid or budget.allows(now)

    def _charged(self, lease: Lease, now: float) -> Lease:
        """`lease`, paid for if its attempt adds to what fails: to what this request tried, or failed last.

        Whatever was planned, what counts is the deployment that takes the attempt.
        """
        budget, failures = self._budget, self._failures
        if budget is None or failures is None:
            return lease
        prepaid, failures.prepaid = failures.prepaid, False
        if lease.deployment.live.failing or lease.deployment.id in self._demand.tried:
            if not prepaid:
                budget.retry(now)  # it is there, or only those that look well could have been chosen
            lease.paid = (budget,)
        elif prepaid:
            budget.refund(now)
        return lease

    def _open_pools(self, now: float) -> Sequence[Pool]:
        """The pools that may take the next attempt, in order.

        Every pool of the chain that has something ready keeps one attempt in reserve: three dead deployments
        must not use up the attempts that the fallback would have answered.
        """
        failures = self._failures or RetryState()
        pools = [pool for pool in self._led_to(failures) if pool.name not in failures.closed]
        if failures.spent:
            return [pool for pool in pools if pool.name not in failures.causes]
        left = self._retry.attempts - self.made
        while len(pools) > 1:
            head, *rest = pools
            waiting = [pool for pool in rest if pool.ready(now, self._demand)]
            if not (head.name in failures.causes and waiting and left <= len(waiting)):
                break
            pools = rest
        return pools

    def _led_to(self, failures: RetryState) -> Sequence[Pool]:
        """The pools of the chain to which what has happened so far leads."""
        if len(self._chain) == 1:
            return self._chain
        by_name = {pool.name: pool for pool in self._chain}
        return chain(self._chain[0], by_name.__getitem__, failures.follows)

    def _none_available(self, now: float) -> NoDeploymentAvailable:
        pools = self._led_to(self._failures or RetryState())
        errors = [pool.none_available(now, self._demand) for pool in pools]
        # Pools that may not take the request at all are no reason to come back later.
        errors = [error for error in errors if not isinstance(error, RuleNotMet)] or errors[:1]
        if len(errors) == 1:
            return self._complete(errors[0], None)
        waits = [error.retry_after for error in errors if error.retry_after is not None]
        return self._complete(
            NoDeploymentAvailable(
                "; ".join(error.message for error in errors),
                reasons={id: why for error in errors for id, why in error.reasons.items()},
                retry_after=min(waits, default=None),
            ),
            None,
        )

    # ── after a failure ──────────────────────────────────────────────────────────────────────────────

    def _failed(self, lease: Lease, error: CallError) -> None:
        deployment = lease.deployment
        failures = self._failed_before
        failures.last = self._complete(error, deployment)
        if self.is_over(error):
            # Our own deadline ended it. A deployment that had its fair time until then and said nothing is to
            # blame all the same: one that accepts calls and never answers must not stay in service.
            waited = self._setting.clock.now() - lease.started_at
            blamed = waited >= deployment.first_token and lease.first_event_at is None
            self.end(lease, error.outcome if blamed else Outcome.NEUTRAL, error=error)
            raise self.deadline_passed(deployment) from error
        if not lease.is_open:
            # It failed beside another attempt, and was accounted for then.
            return
        self.end(lease, error.outcome, error=error)
        failures.add(error, deployment, self._pool(lease))

    def _plan(self, error: CallError) -> bool:
        """Decide whether another attempt is made, and set how long to wait for it."""
        failures = self._failed_before
        failures.delay = None
        if not _may_be_retried(error) or self._setting.running.closed:
            return False
        now = self._setting.clock.now()
        failures.spent = failures.spent or self.made >= self._retry.attempts
        way = self._way(now)
        if way is None:
            return False
        wait: float | None = 0.0
        if not failures.spent:
            wait = self._wait_for(error, way, now)
            if wait is None:
                # That ends the retries. Models that have not had an attempt yet still get theirs.
                failures.spent = True
                if (way := self._way(now)) is None:
                    return False
        wait = max(wait or 0.0, way.at - now)
        if self._takes_too_long(wait, way.back, now):
            return False
        if not (any(not each.live.failing for each in way.ready) or self._prepaid(now)):
            # What is to be had now fails. Only what looks well, maybe in a later level, is still free.
            error.budget_exhausted = not self._ready(now, well_only=True)
            if error.budget_exhausted:
                return False
        failures.delay = wait
        return True

    def _way(self, now: float) -> _Way | None:
        """Where the next attempt can go: elsewhere, else back, else into the line; None for nowhere."""
        if ready := self._ready(now):
            return _Way(ready, None, now)
        failures, queue = self._failed_before, self._chain[0].queue
        back = None if failures.spent else failures.way_back(self._chain, now)
        if back is not None:
            return _Way((), *back)
        if queue is not None and self._worth_a_place(now, queue):
            return _Way((), None, now)
        return None

    def _wait_for(self, error: CallError, way: _Way, now: float) -> float | None:
        """Seconds that the policy has the next attempt wait; None when it gives up."""
        failure = Failure(
            number=self.made,
            error=error,
            elsewhere=way.back is None,
            failures=0 if way.back is None else self._failed_before.of(way.back),
            elapsed=now - self.started_at,
        )
        return self._delay(failure)

    def _takes_too_long(self, wait: float, back: Deployment | None, now: float) -> bool:
        """Whether `wait` is not waited inside a request: what an upstream asked for, without our jitter."""
        jitter = 0.0 if back is None else back.live.jitter
        return wait - jitter > LONGEST_WAIT + _ROUNDING or now + wait >= self.deadline

    def _delay(self, failure: Failure) -> float | None:
        """What the retry policy says. Raises PluginError, from the attempt's error, when it cannot be."""
        did: BaseException | str
        try:
            wait = self._retry.delay(failure)
        except OWN as error:
            did = error
        else:
            number = isinstance(wait, int | float) and not isinstance(wait, bool)
            if wait is None or (number and wait >= 0):
                return wait
            shown = f"{float(wait):g} seconds" if number else f"a {type(wait).__name__}"
            did = f"returned {shown} from delay(), expected seconds from 0 or None"
        scrub = self._setting.scrubber.text
        unmet = fault("retry", self._chain[0].retry_name, "delay", did, scrub=scrub)
        raise self._complete(unmet, None) from failure.error

    def _ready(self, now: float, *, well_only: bool = False) -> Sequence[Deployment]:
        """What the next attempt could go to at once, of those that this request has not tried."""
        self._demand.well_only = well_only
        return [each for pool in self._open_pools(now) for each in pool.ready(now, self._demand)]

    def _prepaid(self, now: float) -> bool:
        """Whether the next attempt may go to what fails: it is charged now, so that nobody waits in vain."""
        failures = self._failed_before
        if self._budget is not None and not failures.prepaid:
            failures.prepaid = self._budget.retry(now)
            return failures.prepaid
        return True

    # ── a second attempt beside one that is late ─────────────────────────────────────────────────────

    def hedge_after(self, lease: Lease) -> float | None:
        """Seconds without content after which a second attempt beside `lease` is worth it; None for never."""
        settings, window = self._setting.hedging, lease.deployment.live.window
        if settings is None or window is None or not self._may_hedge(elsewhere=True):
            return None
        late = window.quantile(settings.quantile, lease.started_at, at_least=settings.minimum_samples)
        return hedge_after(late, settings.floor)

    def hedge(self, beside: Lease) -> Lease | None:
        """A lease for the second attempt, elsewhere in the same pool; None when there is to be none.

        It counts as an attempt and is paid from the budgets of hedges and of retries. It overtakes nobody
        who waits in line.
        """
        now = self._setting.clock.now()
        pool, queue = self._pool(beside), self._chain[0].queue
        if self._setting.running.closed or now >= self.deadline or not (queue is None or queue.is_empty):
            return None
        if self.made >= self._retry.attempts:
            return None
        if not self._may_hedge(elsewhere=bool(pool.ready(now, self._demand))):
            return None
        budgets = self._hedge_budgets()
        if not all(each.allows(now) for each in budgets):
            return None
        self._demand.well_only = False
        lease = pool.lease(self.request, now=now, expires=self.deadline, demand=self._demand)
        if lease is None:
            return None
        for each in budgets:
            each.retry(now)
        lease.paid = budgets
        self._begins(lease)
        self._hedge = lease
        return lease

    def chosen(self, lease: Lease) -> None:
        """Of two attempts side by side, `lease` holds the one that answers."""
        self._last = lease

    def failed_beside(self, lease: Lease, error: BaseException) -> None:
        """Account for an attempt that failed beside another: it alone decides nothing."""
        if isinstance(error, Unsupported):
            self.end(lease, Outcome.CLIENT_FAULT, error=error)
            if lease is self._hedge:
                self.made -= 1  # nothing of it was sent, so it costs nothing
        elif isinstance(error, CallError):
            with suppress(DeadlineExceeded):  # the other one is told the same
                self._failed(lease, error)
        else:
            self.end(lease, Outcome.NEUTRAL)

    def _hedge_budgets(self) -> list[RetryBudget]:
        return [each for each in (self._chain[0].hedges, self._budget) if each is not None]

    def _may_hedge(self, *, elsewhere: bool) -> bool:
        hedges = 0 if self._hedge is None else 1
        overloads = 0 if self._failures is None else self._failures.overloads
        return may_hedge(committed=False, hedges=hedges, overloads=overloads, elsewhere=elsewhere)

    def _pool(self, lease: Lease) -> Pool:
        return next(pool for pool in self._chain if pool.name == lease.pool)

    def plugin_error(self, lease: Lease, method: str, did: BaseException | str) -> PluginError | None:
        """What it counts as that the provider of `lease` raised `did`, or did wrong in words.

        None for what is no mistake of the plugin's: a sound error of ours, or the end of the caller's task.
        """
        if isinstance(did, CallError):
            if (wrong := misshapen(did)) is None:
                return None
            did = f"raised {wrong} from {method}()"
        elif isinstance(did, BaseException) and not is_own(did):
            return None
        plugin = lease.deployment.plugin
        return during_attempt(fault("provider", plugin, method, did, scrub=self._setting.scrubber.text))

    # ── the end of an attempt, the end of the request ────────────────────────────────────────────────

    def now(self) -> float:
        """Seconds on the clock of `deadline`."""
        return self._setting.clock.now()

    def call(self, lease: Lease, time: Timeouts) -> Call:
        """What the provider is handed for the attempt that holds `lease`, whose limits `time` keeps."""
        deployment = lease.deployment
        terms = self.terms
        return Call(  # by position, both: classes take names for twice the price
            deployment.model,
            deployment.client,
            AttemptTimeouts(
                self.deadline,
                terms.first_token_timeout or deployment.first_token,
                terms.idle_timeout or deployment.idle,
                deployment.attempt,
                time,
            ),
            self.request_id,
            lease.number,
            deployment.options,
        )

    # ── how long it may take ─────────────────────────────────────────────────────────────────────────

    def ends(self, lease: Lease) -> float:
        """The instant at which the attempt that holds `lease` ends, wherever it is by then."""
        attempt = lease.deployment.attempt
        return self.deadline if attempt is None else min(self.deadline, lease.started_at + attempt)

    def limit(self, lease: Lease) -> Timeouts:
        """The limit of an attempt that awaits its answer as a whole."""
        until = self.deadline if lease.deployment.attempt is None else self.ends(lease)
        return TimeLimit(until, lambda: self.late(lease), self._setting.alarms)

    def limits(self) -> ExtensibleLimits:
        """The limits of the waits of an attempt that awaits one thing after another."""
        return ExtensibleLimits(self._setting.alarms)

    def late(self, lease: Lease) -> AttemptTimeout:
        """The error of an attempt that is at work when it ends."""
        deployment = lease.deployment
        limit = self._total if self.ends(lease) >= self.deadline else ("attempt", deployment.attempt)
        return AttemptTimeout(f"{deployment.id} did not answer within {show_limit(self.terms, *limit)}")

    def opening_ends(self, lease: Lease) -> tuple[float, Callable[[], AttemptTimeout]]:
        """The instant by which a stream must have its first content, and the error when it has not."""
        ends = self.ends(lease)
        first_token = self.terms.first_token_timeout or lease.deployment.first_token
        if lease.started_at + first_token >= ends:
            return ends, lambda: self.late(lease)
        return (
            lease.started_at + first_token,
            lambda: self.late(lease) if lease.slow else self._no_first_token(lease),
        )

    def put_off(self, lease: Lease, until: float) -> float:
        """The end of an attempt whose first content has not come by `until`.

        Where nobody else can be asked it goes on: the work that has been done must not be thrown away.
        """
        if self._goes_elsewhere(lease):
            return until
        lease.slow = True
        return self.ends(lease)

    def _goes_elsewhere(self, lease: Lease) -> bool:
        """Whether another attempt would begin elsewhere at once, should that of `lease` fail now.

        Back to what failed does not count: the one at work may be about to answer.
        """
        if self._setting.running.closed:
            return False
        now, failures = self.now(), self._failures or RetryState()
        if failures.spent or self.made >= self._retry.attempts:
            begun = {lease.pool, *failures.causes}
            pools = [each for each in self._led_to(failures) if each.name not in begun | failures.closed]
        else:
            pools = list(self._open_pools(now))
        self._demand.well_only = self._budget is not None and not self._budget.allows(now)
        return any(pool.ready(now, self._demand) for pool in pools)

    def _no_first_token(self, lease: Lease) -> FirstTokenTimeout:
        limit = show_limit(self.terms, "first_token", lease.deployment.first_token)
        return FirstTokenTimeout(f"{lease.deployment.id} sent no first token within {limit}")

    def silent(self, lease: Lease) -> AttemptTimeout:
        """The error of a stream that waits for its next content when its time is over."""
        if self.now() + _EARLY >= self.ends(lease):
            return self.late(lease)
        limit = show_limit(self.terms, "idle", lease.deployment.idle)
        return IdleTimeout(f"{lease.deployment.id} fell silent in the middle of the answer, for {limit}")

    def is_over(self, error: CallError) -> bool:
        """Whether it was the request's own deadline that ended an attempt with `error`."""
        return isinstance(error, AttemptTimeout) and self.now() + _EARLY >= self.deadline

    def deadline_passed(self, deployment: Deployment) -> DeadlineExceeded:
        """The error of a request whose deadline passed during an attempt at `deployment`."""
        return self._deadline_passed(f"while {deployment.id} was at work", deployment)

    def _deadline_passed(self, when: str, deployment: Deployment | None = None) -> DeadlineExceeded:
        limit = show_limit(self.terms, *self._total)
        return self._complete(
            DeadlineExceeded(f"the deadline of the request passed {when}: {limit}"), deployment
        )

    @property
    def _total(self) -> tuple[str, float]:
        return "total", self._chain[0].total

    def check(self, response: object, lease: Lease) -> None:
        """Raise what it counts as when `response`, which a provider returned, is no answer to the request."""
        expected = EmbedResponse if self.operation == "embed" else ChatResponse
        if not isinstance(response, expected):
            did = f"returned a {type(response).__name__}, expected {expected.__name__}"
        elif (wrong := unsound(response.usage)) is not None:
            did = f"returned an answer whose usage {wrong}"
        elif isinstance(response, ChatResponse):
            return
        elif _is_list(response.vectors):
            self._count_vectors(response, lease)
            return
        else:
            did = "returned an answer whose vectors are no list"
        unmet = self.plugin_error(lease, self.operation, did)
        assert unmet is not None
        raise unmet

    def _count_vectors(self, response: EmbedResponse, lease: Lease) -> None:
        assert isinstance(self.request, EmbedRequest)
        wanted, got = len(self.request.texts), len(response.vectors)
        if got != wanted:
            raise BadResponse(
                f"{lease.deployment.id} returned {got} vectors for {wanted} texts",
                upstream_request_id=response.upstream_request_id,
            )

    def signed(self, response: R, lease: Lease) -> R:
        """`response` with where it came from; an answer whose upstream gave it no id gets ours.

        It is completed in place: nobody has seen it yet. One that says already where it came from was kept by
        its provider, and is copied.
        """
        if response.deployment:
            response = copy(response)
        complete = force_setattr
        if isinstance(response, ChatResponse) and response.id in ("", response.request_id):
            complete(response, "id", self.request_id)
        complete(response, "deployment", lease.deployment.id)
        complete(response, "attempts", self.made)
        complete(response, "request_id", self.request_id)
        return response

    def end(
        self,
        lease: Lease,
        outcome: Outcome,
        *,
        error: CallError | None = None,
        usage: Usage | None = None,
        upstream_request_id: str = "",
    ) -> None:
        """End the attempt that holds `lease`: once released and told, whatever comes later is ignored."""
        if not lease.is_open:
            return
        setting = self._setting
        now = setting.clock.now()
        events = setting.events
        expected = self._demand.tokens
        believed = usage
        if usage is not None and expected and not 0 <= (usage.total or 0) <= 2 * expected:
            believed = plausible(usage, self.request)
        tokens = None if believed is None else believed.total
        if error is None:
            lease.release(outcome, now, tokens=tokens)
            tell, code, message, status = events.emit, "", "", None
        else:
            setting.scrubber.error(error)
            tell, code, message, status = events.report, error.code, error.message, error.status
            if isinstance(error, ProviderError):
                lease.deployment.live.failed_with(error, now)
            upstream_request_id = upstream_request_id or error.upstream_request_id
            lease.release(
                outcome,
                now,
                retry_after=error.retry_after,
                refusal=error.refusal,
                within=self.deadline - now,
                timed_out=isinstance(error, AttemptTimeout),
                sent=not (
                    isinstance(error, Unsupported) or (isinstance(error, ConnectionFailed) and not error.sent)
                ),
                tokens=tokens,
            )
        if believed is not None and lease is self._last:
            self._usage = usage
            self._chain[0].learn(believed)
        if error is None and not events.attempt_ended:
            return
        tell(
            AttemptEnded(  # by position: there are two events to each call, and names double their cost
                self.request_id,
                lease.pool,
                lease.deployment.id,
                lease.number,
                outcome,
                code,
                message,
                status,
                self.wall + (lease.started_at - self.started_at),
                now - lease.started_at,
                lease.first_token if lease.first_event_at is not None else None,
                usage,
                upstream_request_id,
                lease is self._hedge,
                self.terms.caller,
                self.terms.tags,
            )
        )

    def finish(self, result: str, error: BaseException | None = None) -> None:
        """End the request as `ok`, `error`, `cancelled` or `abandoned`. Only the first call counts."""
        if self._finished:
            return
        self._finished = True
        try:
            if error is not None or self._setting.events.request_ended:
                self._tell_end(result, error)
        finally:
            self._setting.running.ended(self)

    def _tell_end(self, result: str, error: BaseException | None) -> None:
        events = self._setting.events
        lease = self._last
        tell, code, message = events.emit, "", ""
        if error is not None:
            tell = events.report
            if isinstance(error, PointsmanError):
                code, message = error.code, error.message
        tell(
            RequestEnded(
                self.request_id,
                self.operation,
                self.request.model,
                "" if lease is None else lease.pool,
                "" if lease is None else lease.deployment.id,
                result,
                code,
                message,
                self.made,
                self.wall,
                self._setting.clock.now() - self.started_at,
                self._usage,
                self.terms.caller,
                self.terms.tags,
            )
        )

    def give_up(self) -> None:
        """End attempt and request in the books, whatever their task still does."""
        for lease in (self._last, self._hedge):
            if lease is not None:
                self.end(lease, Outcome.NEUTRAL)
        self.finish("cancelled")

    def failed(self, error: BaseException) -> None:
        """End the request with `error`: `error` when it is one of ours or a bug, else `cancelled`."""
        if isinstance(error, PointsmanError):
            self._setting.scrubber.error(error)
        if isinstance(error, CallError):
            self._complete(error, None)
            if self._failures is not None:
                self._failures.tell(error)
            cut(error, keep=log.isEnabledFor(logging.DEBUG))
        self.finish("error" if isinstance(error, Exception) else "cancelled", error)

    def _complete(self, error: _E, deployment: Deployment | None) -> _E:
        """`error` with what only the router knows."""
        error.request_id = self.request_id
        error.attempts = self.made
        if deployment is not None and not error.deployment:
            error.deployment = deployment.id
        return error


_E = TypeVar("_E", bound=CallError)


def _is_list(given: object) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)


def _may_be_retried(error: CallError) -> bool:
    """Whether another attempt could end otherwise, wherever it goes."""
    if isinstance(error, NoDeploymentAvailable | DeadlineExceeded):
        return False
    return error.retry_elsewhere or error.retry_same or error.try_fallback
