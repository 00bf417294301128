"""One request's way through its attempts: the loop, read aloud.

A call that succeeds at once makes nothing for retries: no state, no task, no wait. Every attempt ends in one
outcome, one release of its lease and one event; every request in one event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import Struct

from pointsman._internal.plugin_errors import during_attempt, fault, is_own, misshapen
from pointsman._internal.timeouts import TimeLimit
from pointsman.clock import request_id
from pointsman.errors import (
    BudgetExceeded,
    CallError,
    FallbackOn,
    ModelNotFound,
    NoDeploymentAvailable,
    Outcome,
    PluginError,
    RequestError,
    Unsupported,
)
from pointsman.event_log import begun
from pointsman.events import AttemptStarted, Progress, RequestStarted
from pointsman.execution.accounting import attempt_failed, end_attempt, end_request, fail_request
from pointsman.execution.admission import is_held
from pointsman.execution.audited import admitted
from pointsman.execution.failover import lease_for, none_available, refund_unused
from pointsman.execution.makers import lease_of_maker, maker_of
from pointsman.execution.queueing import admitted_lease, queued_lease, worth_a_place
from pointsman.execution.retry_state import NO_FAILURES, RetryState
from pointsman.execution.retrying import TenacityWaits, plan, plan_longer_wait
from pointsman.execution.time_limits import deadline_passed, late
from pointsman.requests.call_options import DEFAULT, CallOptions
from pointsman.requests.requirements import merged
from pointsman.resilience.retry_budget import RetryBudget
from pointsman.retry import RetryPolicy
from pointsman.routing.deployment import Demand, Deployment
from pointsman.routing.lease import Lease
from pointsman.routing.pool import Pool
from pointsman.routing.runtime import Setting
from pointsman.types import Request, Usage

if TYPE_CHECKING:
    from pointsman.execution.dropping import Dropping
    from pointsman.execution.stream_attempt import StreamAttempt

T = TypeVar("T", covariant=True)
E = TypeVar("E", bound=CallError)


class Operation(Protocol[T]):
    """What an attempt asks of the deployment that its lease holds."""

    def ask(self, execution: Execution, lease: Lease, /) -> Awaitable[Any]:
        """What comes back. It keeps the time of the attempt, itself or by `Execution.time`."""

    def accepted(self, execution: Execution, lease: Lease, answer: Any, /) -> T:
        """What the request returns for `answer`: it is sound, and the lease ends here or with who has it."""


class Execution(Struct, eq=False):
    """One request. Bound to the task that runs it; nothing in it is shared.

    Args:
        chain: the pool of the model and those of its fallbacks, in order; never empty.
        operation: `chat`, `stream`, `generate` or `embed`, for the record.
        started_at, deadline: instants on the clock; `wall`: the first of them in seconds since 1970 UTC.
        routed_at: the instant at which it began to be routed.
        demand: what a deployment must have, and which of them have been tried.
        budget: what retries are paid from; None for no limit.
        failures: what has gone wrong; `NO_FAILURES` as long as nothing has.

    Attributes:
        made: how many attempts it has made.
        unsent: how many of them never left the process.
        last: the lease of the latest attempt, or of the one of two that answers.
        time: the limit of an attempt that awaits its answer as a whole; None for others.
        hedge: the lease of the attempt that was made beside another one.
        opening: the attempts at a stream that have no content yet: one, or two side by side.
        refusal: the deployment that was chosen last cannot do what is asked, so that it was passed over.
        usage: tokens, as the upstream of `last` counted them.
        cost: of the attempts that have ended and were counted, together, in millionths of a cent; None where
            none was, or not the one that answered.
        is_over: its end was told.
        is_admitted: it was shown to the audit sinks that have to take it first, where there are such.
        ends_with_answer: it is over where an upstream has answered; false where guards have a say then.
        dropping: what is left out of it where deployments refuse it; None as long as nothing is.
    """

    setting: Setting
    chain: Sequence[Pool]
    request: Request
    operation: str
    options: CallOptions
    request_id: str
    started_at: float
    wall: float
    deadline: float
    demand: Demand
    budget: RetryBudget | None
    failures: RetryState
    routed_at: float
    made: int = 0
    last: Lease | None = None
    time: TimeLimit | None = None
    hedge: Lease | None = None
    opening: list[StreamAttempt] = []
    refusal: RequestError | None = None
    usage: Usage | None = None
    cost: int | None = None
    is_over: bool = False
    is_admitted: bool = False
    ends_with_answer: bool = True
    dropping: Dropping | None = None
    unsent: int = 0

    def __repr__(self) -> str:
        return f"<{self.operation} {self.request_id}>"  # and nothing of what was asked

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────

    async def run(self, operation: Operation[T]) -> T:
        """What `operation` returns for the first lease with which it succeeds.

        Raises: the last attempt's error, or why there was no attempt; by then the request has ended.
        """
        try:
            if self.setting.admitting:
                await admitted(self)
            while True:
                lease = None  # anew: what fails before there is one must not end the attempt before
                try:
                    if self.setting.state is None:
                        chosen = self.next_lease() or await queued_lease(self)
                    else:
                        chosen = await admitted_lease(self)
                    if self.setting.budgets is not None and not await is_held(self, chosen):
                        continue
                    self.last = lease = chosen
                    self.made = lease.number = number = self.made + 1
                    self.demand.tried.add(lease.deployment.id)
                    if number > 1 or self.setting.events.attempt_started:
                        self.tell_of_attempt(lease)
                    return operation.accepted(self, lease, await operation.ask(self, lease))
                except BaseException as error:
                    self._failed(lease, error)  # raises when no attempt follows
                # Outside the handler: in it this error, with its frames, would be the context of the next.
                await self._before_next_attempt()
        except CallError as error:
            fail_request(self, error)
            failure = error
        except BaseException as error:
            fail_request(self, error)
            raise
        finally:
            if self.failures is not NO_FAILURES:  # last, for `fail_request` tells of them
                refund_unused(self, self.failures)
                self.failures.forget()
        try:
            raise failure  # here, where the context is whatever the caller was handling
        finally:
            del failure  # as in `_failed`: error and frame would hold each other

    def next_lease(self) -> Lease | None:
        """The lease of the next attempt, at once; None when it has to wait in line for room.

        Raises: why there is none.
        """
        pool = self.chain[0]
        if pool.queue is not None and pool.queue.tickets:
            return None  # or it would overtake those who wait
        lease = None
        if self.last is None:
            # Straight to the pool: `lease_for` has no failures to weigh yet, and no time has passed.
            now = self.routed_at
            lease = (self.demand.maker and lease_of_maker(self, now)) or pool.lease(
                self.request, now, self.deadline, self.demand
            )
        else:
            now = self.now()
            if now >= self.deadline:
                raise deadline_passed(self, "before another attempt") from self.failures.last
        if lease is None:
            lease = lease_for(
                self, now, back=self.refusal is None or isinstance(self.refusal, BudgetExceeded)
            )
        if lease is not None or worth_a_place(self, now):
            return lease
        if self.refusal is not None:
            if self.dropping is not None and self.dropping.goes_round(self):
                return self.next_lease()
            raise self.refusal
        raise none_available(self, now) from self.failures.last

    def tell_of_attempt(self, lease: Lease) -> None:
        """Say that the attempt which holds `lease` begins."""
        begun(self.request_id, lease.deployment.id, lease.number)
        if self.setting.events.attempt_started:
            self.tell(AttemptStarted, lease.pool, lease.deployment.id, lease.number)

    def _failed(self, lease: Lease | None, error: BaseException) -> None:
        """Account for what ended the attempt that holds `lease`, or kept it from having one; plan the next.

        Raises: what the request ends with when no attempt follows.
        """
        try:
            if lease is None:
                if isinstance(error, NoDeploymentAvailable) and plan_longer_wait(self):
                    return
            else:
                error = self._counted(lease, error)
                if isinstance(error, Unsupported):
                    self._passed_over(lease, error)
                    return
                if isinstance(error, CallError):
                    attempt_failed(self, lease, error)
                else:
                    end_attempt(self, lease, Outcome.NEUTRAL, usage=lease.usage)
            self.refusal = None
            if isinstance(error, CallError) and plan(self, error):
                return
            other = self.failures.other
            if isinstance(error, ModelNotFound) and other is not None:
                # That is so only where all of them say it.
                other.attempts, other.budget_exhausted = self.made, error.budget_exhausted
                raise other from None
            raise error
        finally:
            # A frame that holds the error that holds the frame would hold the caller's stream too.
            del error

    def _counted(self, lease: Lease, error: BaseException) -> BaseException:
        """What it counts as that the attempt which holds `lease` ended with `error`, which is its cause."""
        counted: CallError | None = None
        if self.time is not None and self.time.over(error):
            counted = late(self, lease)
        elif not isinstance(error, Unsupported):
            counted = self.plugin_error(lease, self.operation, error)
        self.time = None
        if counted is None:
            return error
        counted.__cause__ = error
        return counted

    def _passed_over(self, lease: Lease, error: Unsupported) -> None:
        """Nothing was sent, so it costs no attempt and no wait: on to one that can."""
        if lease.is_open:
            end_attempt(self, lease, Outcome.CLIENT_FAULT, error=error)
            self.made -= 1
        self.passed_over(self.pool_of(lease), lease.deployment, error)
        if self.failures.delay:
            self.failures.delay = 0.0

    def passed_over(self, pool: Pool, deployment: Deployment, error: Unsupported | BudgetExceeded) -> None:
        """Remember that `deployment`, which `pool` chose, cannot do what is asked, or costs too much."""
        never_asked = error.fallback_on is FallbackOn.UNAVAILABLE
        if not never_asked and self.demand.tried.issuperset(each.id for each in pool.deployments):
            self.retry_state().causes.setdefault(pool.name, set()).add(error.fallback_on)
        from pointsman.execution.adjusting import TooLong

        told = error.told() if isinstance(error, TooLong) else error
        # Without its traceback, which holds the frames, and with them the caller's stream.
        self.refusal = self.complete(told, deployment.id).with_traceback(None)
        if self.chain[0].drops and isinstance(error, Unsupported):
            from pointsman.execution.dropping import remember

            remember(self, deployment, error)

    async def _before_next_attempt(self) -> None:
        """Wait as planned; tenacity only where there is something to wait for.

        Else the turn is kept: a call that goes elsewhere at once would wait for all others that run, and with
        16 of them that was a third of what a failed attempt cost its call.
        """
        failures, self.usage = self.failures, None  # of the attempt before
        if failures.delay:
            failures.waits = failures.waits or TenacityWaits(self.setting.clock)
            await failures.waits.wait(failures)

    # ── what is known of it ──────────────────────────────────────────────────────────────────────────

    def now(self) -> float:
        """Seconds on the clock of `deadline`."""
        return self.setting.clock.now()

    @property
    def total(self) -> float:
        """Seconds that it has."""
        return self.deadline - self.started_at

    @property
    def retry(self) -> RetryPolicy:
        """The one policy of the request: that of the model it asks for."""
        return self.chain[0].retry or self.setting.retry

    def retry_state(self) -> RetryState:
        """What has gone wrong so far; something has, so from now on it is kept."""
        if self.failures is NO_FAILURES:
            self.failures = RetryState()
        return self.failures

    def pool_of(self, lease: Lease) -> Pool:
        """The pool that chose the deployment of `lease`."""
        return next(pool for pool in self.chain if pool.name == lease.pool)

    def complete(self, error: E, deployment: str = "") -> E:
        """`error`, which `deployment` is concerned with, with what only the router knows."""
        error.request_id = self.request_id
        error.attempts = self.made
        error.deployment = error.deployment or deployment
        return error

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
        return during_attempt(fault("provider", plugin, method, did, scrub=self.setting.scrubber.text))

    def tell(self, kind: type[Progress], *said: Any) -> None:
        """Tell who listens to that `kind`, with what `said` between the id of the request and its caller.

        Whoever calls looks at `Events.detailed` first: that is all that a call pays while nobody asks.
        """
        events, options = self.setting.events, self.options
        make: Callable[..., Progress] = kind
        if events.wants(kind):
            events.emit(make(self.request_id, *said, options.caller, options.tags))

    def give_up(self) -> None:
        """End attempt and request in the books, whatever their task still does."""
        for lease in (self.last, self.hedge):
            if lease is not None:
                end_attempt(self, lease, Outcome.NEUTRAL)
        end_request(self, "cancelled")


def begin_request(
    setting: Setting,
    chain: Sequence[Pool],
    request: Request,
    operation: str,
    options: CallOptions = DEFAULT,
) -> Execution:
    """A request that counts as running from now on, until it has ended. Arguments as of `Execution`."""
    first, require, now = chain[0], options.require, setting.clock.now()
    if first.require:
        require = merged(first.require, require)
    tokens = 0 if first.estimator is None else first.estimator.estimate(request)
    if first.budget is not None:
        first.budget.request(now)
    if operation == "stream" and setting.hedging is not None and first.hedges is not None:
        first.hedges.request(now)
    maker = "" if options.original is None or options.original.opaque is None else maker_of(options, request)
    execution = Execution(  # by position: names cost as much again
        setting,
        chain,
        request,
        operation,
        options,
        options.request_id or request_id(setting.rng),
        now,
        setting.clock.wall(),
        now + (options.timeout or first.total),
        Demand(require, tokens, options.affinity, maker),
        first.budget,
        NO_FAILURES,
        now,
    )
    setting.running.requests.add(execution)
    if setting.events.request_started:
        execution.tell(RequestStarted, operation, request.model, execution.wall)
    return execution
