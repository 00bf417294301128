"""A mirror: a share of the answered requests of one model goes to another one, too, and the two are compared.

A copy is made once its request is answered: until then the upstreams are the caller's alone, and what is not
answered says nothing of the other model. It is one attempt, which waits for nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pointsman._internal.plugin_errors import is_own
from pointsman.clock import Rng
from pointsman.config.model_sections import MirrorConfig
from pointsman.errors import CallError, UnknownModel, Unsupported
from pointsman.events import Events, Mirrored
from pointsman.execution.execution import Execution, begin_request
from pointsman.execution.stream import ChatStream
from pointsman.execution.whole_answer import CHAT, EMBED, GENERATE
from pointsman.mirroring.comparison import Comparison, Figures
from pointsman.mirroring.shadow import Once, Shadow
from pointsman.requests.call_options import CallOptions
from pointsman.requests.requirements import merged, unmet
from pointsman.resilience.spending import Spending
from pointsman.types import ChatRequest, ChatResponse, EmbedRequest, GenerateRequest, Request, Usage

if TYPE_CHECKING:
    from pointsman.execution.guarded import GuardedExecution
    from pointsman.execution.guards_at_work import Response
    from pointsman.routing.pool import Pool
    from pointsman.routing.runtime import Setting

_SHORTEST = 1024
"""Tokens that an answer to a copy may have at least, where money is counted."""


class Due(Struct, frozen=True, eq=False):
    """A copy that is to be made.

    Attributes:
        of: the request that it is a copy of; asked: what that came to.
        pool: that of the deployment where it goes.
        reserved: what it may cost, in millionths of a US cent.
    """

    of: GuardedExecution
    asked: Figures
    request: Request
    pool: Pool
    deployment: str
    reserved: int


class Mirror:
    """The copies of the requests for one model. A reload keeps it for as long as both models are the same.

    Attributes:
        model: the public name whose requests are copied; config: what is said of that.
        comparison: what came of it.
        spending: the money that copies may cost; None for any.
    """

    def __init__(self, model: str, config: MirrorConfig, rng: Rng) -> None:
        self.model = model
        self.comparison = Comparison()
        self.spending: Spending | None = None
        self._rng = rng
        self._shadow = Shadow(rng)
        self._copies: set[asyncio.Task[None]] = set()
        self._stopped = False
        self.configure(config)

    def configure(self, config: MirrorConfig) -> None:
        """Have `config` hold from now on; what was counted stays."""
        self.config = config
        budget = config.budget
        if budget is None:
            self.spending = None
        elif self.spending is None:
            self.spending = Spending(budget.microcents, budget.per)
        else:
            self.spending.configure(budget.microcents, budget.per)

    def spend_on(self, other: Mirror) -> None:
        """What copies to another model have spent counts on, for the budget is that of the model mirrored."""
        if self.spending is not None and other.spending is not None:
            self.spending = other.spending
            self.configure(self.config)

    @property
    def running(self) -> int:
        """Copies under way."""
        return len(self._copies)

    def stop(self) -> None:
        """Make no more copies, and end those under way."""
        self._stopped = True
        for each in self._copies:
            each.cancel()

    def answered(self, execution: GuardedExecution, answer: Response) -> None:
        """A request has its `answer`: by chance a copy of it begins. Nothing here waits or raises."""
        if self._rng.random() >= self.config.share:
            return
        due = self._due(execution, answer)
        if isinstance(due, str):
            self.comparison.left_out[due] += 1
            return
        self._shadow.take(due.deployment)
        task = asyncio.ensure_future(self._make(due))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    # ── whether ──────────────────────────────────────────────────────────────────────────────────────

    def _due(self, execution: GuardedExecution, answer: Response) -> Due | str:
        """The copy to be made, for which money is reserved; or why there is none."""
        original = execution.options.original
        if original is not None and original.needs_wire:
            return "wire"
        if self._stopped or execution.setting.running.closed:
            return "closing"
        if len(self._copies) >= self.config.max_in_flight:
            return "busy"
        try:
            real = execution.snapshot.pool(self.config.to)
        except UnknownModel:  # an upstream that lists it no longer
            return "unready"
        require = merged(real.require, execution.demand.require)
        fit = [each for each in real.deployments if unmet(require, each.labels) is None]
        if not fit:
            return "rule"
        now = execution.now()
        tokens = 0 if real.estimator is None else real.estimator.estimate(execution.request)
        chosen = self._shadow.choose(real, fit, now, tokens)
        if chosen is None:
            return "unready"
        asked = figures(execution, answer)
        request: Request = replace(execution.request, model=self.config.to)
        reserved = 0
        if self.spending is not None:
            request, most = _bounded(request, asked, tokens)
            cost = None if chosen.price is None else chosen.price.microcents(most)
            if cost is None:
                return "price"
            if not self.spending.reserve(cost, execution.setting.clock.wall()):
                return "budget"
            reserved = cost
        return Due(execution, asked, request, self._shadow.of(real), chosen.id, reserved)

    # ── the copy ─────────────────────────────────────────────────────────────────────────────────────

    async def _make(self, due: Due) -> None:
        execution, setting = due.of, due.of.setting
        copy = begin_request(
            _apart(setting), (due.pool,), due.request, execution.operation, _options(execution)
        )
        copy.demand.tried.update(each.id for each in due.pool.deployments if each.id != due.deployment)
        error: BaseException | None = None
        told: Figures | None = None
        try:
            told = figures(copy, await _asked(copy))
        except CallError as failed:
            error = failed
        except BaseException as failed:
            error = failed
            if is_own(failed) and not isinstance(failed, asyncio.CancelledError):
                raise
        finally:
            self._end(due, copy, told, error)
            error = None  # its frames hold this one

    def _end(self, due: Due, copy: Execution, told: Figures | None, error: BaseException | None) -> None:
        """Account for a copy, and tell of it."""
        setting, books = due.of.setting, self.comparison
        self._shadow.give_back(due.deployment)
        now, wall, cost = setting.clock.now(), setting.clock.wall(), copy.cost or 0
        if self.spending is not None:
            self.spending.settle(due.reserved, cost, wall)
        if told is not None:
            books.add(due.asked, told, now)
        elif not copy.made:
            books.left_out[_why(error)] += 1
            return
        else:
            books.failed[error.code if isinstance(error, CallError) else "cancelled"] += 1
            books.lost += cost
        lease = copy.last
        setting.events.emit(
            Mirrored(
                request_id=due.of.request_id,
                operation=copy.operation,
                model=self.model,
                to=self.config.to,
                deployment="" if lease is None else lease.deployment.id,
                result="ok" if told is not None else "error" if isinstance(error, CallError) else "cancelled",
                error=error.code if isinstance(error, CallError) else "",
                detail=setting.scrubber.text(error.message) if isinstance(error, CallError) else "",
                wall=copy.wall,
                seconds=now - copy.started_at,
                first_token=None if told is None else told.first_token,
                usage=copy.usage,
                cost_microcents=copy.cost,
                finish_reason="" if told is None else told.finish,
                asked_deployment="" if due.of.last is None else due.of.last.deployment.id,
                asked_seconds=due.asked.seconds,
                asked_first_token=due.asked.first_token,
                asked_cost_microcents=due.asked.cost,
                asked_finish_reason=due.asked.finish,
            )
        )


def _why(error: BaseException | None) -> str:
    """Why a copy was left out that nobody was asked for."""
    if isinstance(error, Unsupported):
        return "option"
    return "unready" if isinstance(error, CallError) else "closing"


def figures(execution: Execution, answer: Response) -> Figures:
    """What the request came to that has just been answered, by the attempt that answered."""
    lease, now, usage = execution.last, execution.now(), answer.usage
    assert lease is not None
    first = None if lease.first_event_at is None else lease.first_event_at - lease.started_at
    finish = answer.finish_reason if isinstance(answer, ChatResponse) else ""
    seconds = now - lease.started_at
    return Figures(seconds, first, execution.cost, usage.prompt, usage.completion, finish)


def _bounded(request: Request, asked: Figures, tokens: int) -> tuple[Request, Usage]:
    """`request` with a bound for its answer, and the tokens that it can take at most.

    Without a bound nobody could say what a copy may cost. It is several times what the other answer had.
    """
    prompt = 2 * max(asked.prompt or 0, tokens)
    if isinstance(request, EmbedRequest):
        return request, Usage(prompt, 0)
    assert isinstance(request, ChatRequest | GenerateRequest)
    most = request.max_tokens or max(_SHORTEST, 4 * (asked.completion or 0))
    return replace(request, max_tokens=most), Usage(prompt, most)


def _apart(setting: Setting) -> Setting:
    """The same for copies: nobody is told of their attempts, none has a second one, and nothing is shared."""
    silent = Events(scrub=setting.scrubber.text)
    return replace(setting, events=silent, retry=Once(), hedging=None, state=None, admitting=(), budgets=None)


def _options(execution: Execution) -> CallOptions:
    """Of the copy: on nobody's account, and under the rules about data that hold for the request."""
    return CallOptions(priority="low", require=execution.demand.require)


async def _asked(copy: Execution) -> Response:
    if copy.operation == "stream":
        async with ChatStream(lambda: copy) as stream:
            async for _event in stream:
                pass
            return stream.response
    if copy.operation == "generate":
        return await copy.run(GENERATE)
    if copy.operation == "embed":
        return await copy.run(EMBED)
    return await copy.run(CHAT)
