"""What goes wrong in a provider. A line with a mistake ends with what it is; type checkers must say so there."""

from collections.abc import AsyncIterator, Sequence

from pydantic import BaseModel

from pointsman.plugin import (
    Call,
    ChatRequest,
    ChatResponse,
    Decoder,
    EmbedRequest,
    EmbedResponse,
    EventStream,
    HttpEventStream,
    HttpProvider,
    ModelInfo,
    OpenAnswer,
    PointsmanSpec,
    Provider,
    ProviderContext,
    ProviderFactory,
    RateLimited,
    SseEvent,
    SseFramer,
    StrategyContext,
    StrategyFactory,
    StreamEvent,
    TextDelta,
    Usage,
    hookimpl,
)


class Settings(BaseModel):
    loud: bool = False


class NotAwaited(Provider):
    def chat(self, request: ChatRequest, call: Call) -> ChatResponse:  # wrong: is not async
        return ChatResponse(text="hello")

    async def models(self) -> Sequence[str]:  # wrong: gives names, not ModelInfo
        return ["m"]


class Generates(HttpProvider):
    async def stream(self, request: ChatRequest, call: Call) -> AsyncIterator[StreamEvent]:  # wrong: yields
        yield TextDelta("hello")

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        return EmbedResponse(["0.5"])  # wrong: texts are no vectors

    def make_endpoint(self) -> str:  # wrong: an address is no Endpoint
        return "http://127.0.0.1:1"


class Words(Decoder):
    done = False

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        return [frame.data.decode()]  # wrong: text is no event

    def close(self) -> Sequence[StreamEvent]:
        return []


class NoDecoder:
    def decode(self, frame: SseEvent, /) -> list[str]:
        return [frame.data.decode()]


def opened(answer: OpenAnswer) -> EventStream:
    return HttpEventStream(answer, SseFramer(), NoDecoder())  # wrong: is no decoder


def answered(request: ChatRequest) -> ChatResponse:
    request.model = "another"  # wrong: requests do not change
    if request.tools:
        raise RateLimited("busy", retry_after="2")  # wrong: seconds are numbers
    return ChatResponse(txt="hello")  # wrong: there is no such member


def counted() -> Usage:
    return Usage(prompt="3")  # wrong: tokens are numbers


def listed(request: ChatRequest) -> ModelInfo:
    return ModelInfo(request.modell)  # wrong: there is no such member


def chosen(context: StrategyContext) -> Provider:
    raise NotImplementedError(context)


class OtherHook(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[StrategyFactory]:  # wrong: another hook's factories
        return []


class OtherFactory(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [
            ProviderFactory("one", Settings, chosen),  # wrong: another kind's context
            ProviderFactory("two", Settings(), NotAwaited),  # wrong: settings, not their model
            ProviderFactory("three", Settings, Words),  # wrong: makes no provider
            StrategyFactory("four", None, chosen),  # wrong: another kind's factory
        ]


def started(context: ProviderContext) -> str:
    return context.basis_url  # wrong: there is no such member
