"""What goes wrong in plugins of other kinds. As in provider.py."""

from collections.abc import Sequence

from pydantic import BaseModel

from pointsman.plugin import (
    Answered,
    AuditFactory,
    AuditSink,
    Auth,
    AuthContext,
    AuthFactory,
    BudgetSettings,
    ChatResponse,
    EmbedResponse,
    Event,
    Failure,
    Guard,
    GuardCall,
    Member,
    Request,
    RetryContext,
    RetryPolicy,
    Sample,
    Secret,
    Selector,
    SelectorCall,
    Strategy,
    StrategyContext,
    StreamEvent,
    StreamFilter,
)

Response = ChatResponse | EmbedResponse


class ById(Strategy):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[0].id  # wrong: an id is no member

    def observed(self, member: Member, sample: Sample, /) -> None:
        sample.seconds = 0.0  # wrong: samples do not change
        print(member.price)  # wrong: not every member has one

    def state(self) -> list[str]:  # wrong: a state is a mapping
        return []


class Slow(Strategy):
    async def pick(self, ready: Sequence[Member], request: object, /) -> Member:  # wrong: is async
        return ready[0]


class Loose(RetryPolicy):
    attempts = "three"  # wrong: is a number
    budget = BudgetSettings()

    def delay(self, failure: Failure, *, factor: float) -> float | None:  # wrong: takes more
        return factor


class Plain(Auth):
    def current(self) -> str:  # wrong: a credential is a Secret
        return "key"

    def rejected(self, secret: Secret) -> bool:
        return secret.value == "key"  # wrong: only reveal() shows it


class Awaited(AuditSink):
    async def __call__(self, event: Event) -> None:  # wrong: is async
        print(event)

    def close(self) -> None:
        pass


class Forgets(Guard):
    async def before(self, request: Request, call: GuardCall, /) -> Request | Answered:  # wrong: or None
        if call.caller:
            return request

    async def after(self, response: Response, call: GuardCall, /) -> str:  # wrong: gives text
        return call.model

    def stream(self, call: GuardCall, /) -> StreamFilter | None:
        return Filter()  # wrong: has no end()


class Filter:
    def feed(self, event: StreamEvent, /) -> Sequence[StreamEvent]:
        return [event]


class Judge(Selector):
    async def choose(self, request: Request, of: Sequence[str], call: SelectorCall, /) -> str:  # wrong: names
        return of[0]


def timed(context: RetryContext) -> float:
    return context.clock.time()  # wrong: a clock has now()


def made(context: AuthContext) -> Strategy:
    raise NotImplementedError(context)


AuditFactory("awaited", BaseModel, Awaited)  # wrong: takes no context
AuthFactory("plain", BaseModel, made)  # wrong: makes a strategy
StrategyContext("chat")  # wrong: members are said by name
