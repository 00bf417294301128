"""A request that something stands before: guards and selector, then the attempts, then the guards again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from msgspec import field
from msgspec.structs import replace

from pointsman.clock import request_id
from pointsman.errors import NoDeploymentAvailable, Unsupported
from pointsman.events import RequestStarted
from pointsman.execution.accounting import end_request, fail_request
from pointsman.execution.audited import admitted
from pointsman.execution.execution import Execution, Operation
from pointsman.execution.filtering import Filters
from pointsman.execution.guarded_stream import AnsweredStream, FilteredAttempt
from pointsman.execution.guards_at_work import (
    GuardAtWork,
    Response,
    after,
    before,
    looks_at_answers,
    says_the_same,
)
from pointsman.execution.makers import maker_of
from pointsman.execution.recording import recorded, tell
from pointsman.execution.retry_state import NO_FAILURES
from pointsman.execution.selecting import select
from pointsman.execution.stream_attempt import StreamAttempt
from pointsman.execution.time_limits import deadline_passed
from pointsman.guard import Answered, GuardCall
from pointsman.requests.call_options import CallOptions
from pointsman.requests.requirements import merged
from pointsman.routing.deployment import Demand
from pointsman.routing.entrance import ConfiguredGuard, Entrance, Mirroring
from pointsman.routing.per_call import chain_of_call
from pointsman.routing.snapshot import Snapshot
from pointsman.types import ChatResponse, Request

T = TypeVar("T")


class GuardedExecution(Execution, kw_only=True, eq=False):
    """One request that something stands before. Its chain is empty until it is known where it goes.

    Args:
        entrance: what stands before it; `snapshot`: where its model is looked up.

    Attributes:
        passed: the guards that it has passed, in that order.
        mirror: hears of its answer; None where no copies are made.
        is_recorded: the audit was told what it asked, where some sink records that.
    """

    snapshot: Snapshot
    entrance: Entrance
    passed: list[GuardAtWork] = field(default_factory=list)
    mirror: Mirroring | None = None
    is_recorded: bool = False

    async def run(self, operation: Operation[T]) -> T:
        """As of `Execution`, for answers that come as a whole. Raises what guards raise, too."""
        if self.setting.recording:
            return await recorded(self, self._run(operation))
        return await self._run(operation)

    async def _run(self, operation: Operation[T]) -> T:
        with _ended(self):
            answered = await self.enter()
        if answered is None:
            result, answer = "ok", cast("Response", await super().run(operation))
        else:
            result, answer = answered.result, own_answer(self, answered)
        with _ended(self):
            answer = await self._leave(answer)
        end_request(self, result)
        if self.mirror is not None and answered is None:
            self.mirror.answered(self, answer)
        return cast("T", answer)

    async def open(self) -> StreamAttempt | AnsweredStream:
        """The stream, with something of the answer read or all of it. Raises: as `run`."""
        try:
            return await self._open()
        except BaseException:
            if self.setting.recording:
                tell(self, None)
            raise

    async def _open(self) -> StreamAttempt | AnsweredStream:
        with _ended(self):
            answered = await self.enter()
        if answered is None:
            attempt = cast("FilteredAttempt", await super().run(FilteredAttempt))
            with _ended(self):
                await attempt.begin(self.passed)
            return attempt
        with _ended(self):
            response = own_answer(self, answered)
            assert isinstance(response, ChatResponse)
            stream = AnsweredStream(response, Filters(self, self.passed), self.request)
        end_request(self, answered.result)
        if self.setting.recording:
            tell(self, stream.response)
        return stream

    async def enter(self) -> Answered | None:
        """Pass the guards and choose the model; the answer, where a guard has one.

        Raises: what the request ends with.
        """
        if self.setting.admitting:
            await admitted(self)  # before the guards, for they may ask others what they think of it
        answered = await self._pass(self.entrance.guards)
        if answered is not None:
            return answered
        model, selector = self.request.model, self.entrance.selector
        self.mirror = self.entrance.mirror
        if selector is not None:
            model = await select(self, selector, self.snapshot)
            if (behind := self.snapshot.entrance(model)) is not None:
                self.mirror = behind.mirror
                if (answered := await self._pass(behind.own_guards)) is not None:
                    return answered
        self._expect_one_answer()
        self._route(model)
        return None

    def _expect_one_answer(self) -> None:
        """Raise Unsupported for a request for several answers, of which a guard would look at one."""
        original = self.options.original
        if original is not None and original.several:
            for each in filter(looks_at_answers, self.passed):
                name, said = each.configured.name, original.several
                raise self.complete(Unsupported(f"`{said}`: the guard {name!r} can look at one answer only"))

    async def _leave(self, answer: Response) -> Response:
        """The answer as the guards let it go out; as it was written only where none has a say in it.

        For what was written may say more than they are shown. Of vectors they see all.
        """
        relayed, given = answer.relayed, answer
        if relayed and self.passed:
            given = replace(answer, relayed=b"")  # what they keep may be another caller's answer one day
            if isinstance(answer, ChatResponse) and any(map(looks_at_answers, self.passed)):
                relayed, answer = b"", given
        left = given
        for each in reversed(self.passed):
            left = await after(self, each, left)
        if left is given:
            return answer
        return replace(left, relayed=relayed) if relayed and says_the_same(given, left) else left

    async def _pass(self, guards: Sequence[ConfiguredGuard]) -> Answered | None:
        options, original = self.options, self.options.original
        for guard in guards:
            call = GuardCall(
                self.request_id,
                self.operation,
                self.request.model,
                options.caller,
                options.tags,
                self.deadline,
                require=options.require,
                unsaid=() if original is None else original.needs_wire,
                unseen=() if original is None else original.unseen,
            )
            at_work = GuardAtWork(guard, call)
            given = await before(self, at_work)
            if isinstance(given, Answered):
                return given
            if given is not None:  # else it failed, and is left out
                self.request = given
                self.passed.append(at_work)
        return None

    def _route(self, model: str) -> None:
        """From here on it is a request for `model`, as any other."""
        chain, now, setting = chain_of_call(self.snapshot, model, self.options), self.now(), self.setting
        if setting.running.closed:
            raise self.complete(NoDeploymentAvailable("the router is shutting down", reasons={}))
        if now >= self.deadline:
            raise deadline_passed(self, "before the first attempt")
        first = chain[0]
        tokens = 0 if first.estimator is None else first.estimator.estimate(self.request)
        if first.budget is not None:
            first.budget.request(now)
        if self.operation == "stream" and setting.hedging is not None and first.hedges is not None:
            first.hedges.request(now)
        options, require = self.options, merged(first.require, self.options.require)
        self.demand = Demand(require, tokens, options.affinity, maker_of(options, self.request))
        self.chain, self.budget, self.routed_at = chain, first.budget, now


def begin_guarded(
    snapshot: Snapshot, request: Request, operation: str, options: CallOptions
) -> GuardedExecution:
    """A request that counts as running from now on, until it has ended. Raises UnknownModel."""
    entrance, setting = snapshot.entrance(request.model), snapshot.setting
    assert entrance is not None
    selector = entrance.selector
    # So that what is not there is refused before anybody is asked.
    chain_of_call(snapshot, request.model if selector is None else selector.default, options)
    now = setting.clock.now()
    execution = GuardedExecution(
        setting,
        (),
        request,
        operation,
        options,
        options.request_id or request_id(setting.rng),
        now,
        setting.clock.wall(),
        now + (options.timeout or entrance.total),
        Demand(),
        None,
        NO_FAILURES,
        now,
        snapshot=snapshot,
        entrance=entrance,
        ends_with_answer=operation == "stream",  # whose guards have had their say by then
    )
    setting.running.requests.add(execution)
    if setting.events.detailed:
        execution.tell(RequestStarted, operation, request.model, execution.wall)
    return execution


def own_answer(execution: Execution, answered: Answered) -> Response:
    """The answer that a guard had, as that to this request: a copy, for others may get it too."""
    response, id = answered.response, execution.request_id
    execution.cost = 0  # nobody was asked, whatever it cost when it was kept
    changes: dict[str, Any] = {
        "deployment": "", "attempts": 0, "request_id": id, "relayed": b"", "cost_microcents": 0
    }  # fmt: skip
    if "id" in response.__struct_fields__ and getattr(response, "id", "") in ("", response.request_id):
        changes["id"] = id
    return replace(response, **changes)


class _ended:
    """`with _ended(execution):` ends it with what is raised inside."""

    __slots__ = ("_execution",)

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            fail_request(self._execution, error)
