"""A gateway without a socket or a router: it hands requests to a surface and answers its calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pointsman.build.contexts import Contexts
from pointsman.clock import system_rng
from pointsman.errors import CallError
from pointsman.plugins.routes import pattern
from pointsman.surface import (
    Caller,
    Capabilities,
    CatalogueEntry,
    ProblemDetails,
    Route,
    SocketRoute,
    StreamReply,
    Surface,
    SurfaceFactory,
    SurfaceRequest,
    Understood,
    WholeReply,
)
from pointsman.testing.clock import StillClock
from pointsman.types import (
    ChatResponse,
    Done,
    EmbedRequest,
    EmbedResponse,
    Finished,
    ReasoningDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageUpdate,
)

SOMEBODY = Caller("somebody")
_PIECE = 5
"""Characters of a text that one event brings."""
_VECTOR = (0.5, -1.0)
"""What texts are turned into where the answer is a text, which no embedding is."""
_SEED = 20


class Served(Struct, frozen=True):
    """What a caller got, whether it came at once or in pieces."""

    status: int
    body: bytes
    content_type: str
    fields: Mapping[str, str] = {}
    pieces: Sequence[bytes] = ()


class AskedCall(Struct, frozen=True, eq=False):
    """What a surface asked a model for."""

    asked: SurfaceRequest
    understood: Understood


class SurfaceHost:
    """Serves one surface after another. It is the `Calls`, the `Catalogue` and the `Tickets` of each.

    Args:
        answer: what every model says; an error: what comes in its place.
        models: the public names that there are.

    Attributes:
        calls: what was asked for, in order.
        surface: the one that it serves.
    """

    def __init__(
        self,
        answer: ChatResponse | EmbedResponse | CallError | None = None,
        *,
        models: Sequence[str] = ("small", "large"),
    ) -> None:
        self.answer_with = ChatResponse("It is raining.") if answer is None else answer
        self.calls: list[AskedCall] = []
        self.surface: Surface
        self._models = [CatalogueEntry(name, Capabilities(), 1_700_000_000) for name in models]

    def make(self, factory: SurfaceFactory, settings: Any = None, *, router: Any = None) -> Surface:
        """What `factory` makes, which it serves from then on; `router` is for one that looks at it."""
        contexts = Contexts(StillClock(), system_rng(_SEED))
        context = contexts.surface(
            factory.name, settings, router=router, calls=self, catalogue=self, tickets=self
        )
        self.surface = factory.make(context)
        return self.surface

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        caller: Caller = SOMEBODY,
    ) -> Served:
        """What the surface answers. Raises LookupError when none of its routes is this one."""
        route, params = self._route(method, path)
        asked = SurfaceRequest(method, path, params, query or {}, headers or {}, body, caller, "req-1")
        try:
            reply = await route.handler(asked)
        except CallError as error:
            reply = self.surface.problem(problem_of(error))
        if isinstance(reply, WholeReply):
            return Served(reply.status, reply.body, reply.content_type, reply.fields)
        pieces = [piece async for piece in reply.pieces]
        return Served(reply.status, b"".join(pieces), reply.content_type, reply.fields, pieces)

    def _route(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        for route in self.surface.routes():
            if isinstance(route, SocketRoute) or route.method != method:
                continue
            for each in (route.path, *route.aliases):
                if (found := pattern(each).fullmatch(path)) is not None:
                    return route, found.groupdict()
        raise LookupError(f"the surface has no route for {method} {path}")

    # ── what a gateway is to a surface ───────────────────────────────────────────────────────────────

    async def answer(self, asked: SurfaceRequest, understood: Understood) -> WholeReply | StreamReply:
        """As of `Calls`."""
        self.calls.append(AskedCall(asked, understood))
        answer, request, writer = self.answer_with, understood.request, understood.writer
        if isinstance(answer, CallError):
            return self.surface.problem(problem_of(answer))
        if isinstance(answer, ChatResponse) and isinstance(request, EmbedRequest):
            answer = EmbedResponse([_VECTOR] * len(request.texts), answer.usage, answer.model)
        if understood.stream and isinstance(answer, ChatResponse):
            return StreamReply(_pieces(answer, understood), writer.stream_type, heartbeat=writer.heartbeat())
        return WholeReply(200, writer.whole(answer), writer.content_type)

    def listed(self, caller: Caller) -> Sequence[CatalogueEntry]:
        """As of `Catalogue`."""
        return [each for each in self._models if caller.may_use(each.name)]

    def entry(self, name: str, caller: Caller) -> CatalogueEntry | None:
        """As of `Catalogue`."""
        return next((each for each in self.listed(caller) if each.name == name), None)

    def issue(self, asked: SurfaceRequest) -> tuple[str, float]:
        """As of `Tickets`."""
        return f"ticket-of-{asked.caller.name}", 30.0


def problem_of(error: CallError) -> ProblemDetails:
    """`error` as a surface is told of it: as that of a request which could not be read."""
    param, details = getattr(error, "param", "") or "", getattr(error, "details", ())
    return ProblemDetails("invalid", error.message, error.code, "caller", "req-1", param, details=details)


async def _pieces(answer: ChatResponse, understood: Understood) -> AsyncIterator[bytes]:
    events = [*events_of_answer(answer)]
    for at in range(0, len(events), 2):
        if piece := understood.writer.events(events[at : at + 2]):
            yield piece


def events_of_answer(answer: ChatResponse) -> Iterator[StreamEvent]:
    """A stream that comes to `answer`."""
    yield Started(answer.id, answer.model)
    if answer.reasoning:
        yield ReasoningDelta(answer.reasoning)
    for at in range(0, len(answer.text), _PIECE):
        yield TextDelta(answer.text[at : at + _PIECE])
    for n, call in enumerate(answer.tool_calls):
        yield ToolCallDelta(n, call.id, call.name)
        yield ToolCallDelta(n, arguments=call.arguments)
    yield UsageUpdate(answer.usage)
    yield Finished(answer.finish_reason)
    yield Done(answer)
