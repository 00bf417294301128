"""Requests that surfaces understood, handed to the router, and its answers in the shape of the surface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from pointsman.plugin import (
    Caller,
    CallError,
    ChatRequest,
    ChatResponse,
    Done,
    EmbedRequest,
    EmbedResponse,
    EndsRelayed,
    GenerateRequest,
    Original,
    ProblemDetails,
    Relayed,
    Request,
    StreamEvent,
    StreamReply,
    Surface,
    SurfaceRequest,
    Understood,
    WholeReply,
    Writer,
)
from pointsman.requests.call_options import CallOptions, split_options
from pointsman.requests.requirements import merged
from pointsman_gateway.access.admission import Denied
from pointsman_gateway.access.denials import problem_in
from pointsman_gateway.calls.answers import refusal
from pointsman_gateway.calls.call_headers import affinity_of, call_options
from pointsman_gateway.calls.field_values import listed
from pointsman_gateway.calls.observing import Observer
from pointsman_gateway.calls.problems import problem_of
from pointsman_gateway.calls.running import Running, RunningRequests

if TYPE_CHECKING:
    from pointsman import ChatStream, Router

_LONGEST_TRACEPARENT = 256
_WIRE_HEADERS = ("anthropic-", "openai-", "x-stainless-")
"""What the names of headers begin with that belong to a wire."""


Meter = Callable[[SurfaceRequest], None]


class RoutedCalls:
    """Routes the calls of one surface.

    Args:
        name: of the surface, for records.
        meter: counts each against the limits of its caller. Raises Denied.

    Attributes:
        surface: whose shapes answers have; set once it is made, for it is made from this.
        router: who is asked, or what stands before it.
    """

    surface: Surface

    def __init__(
        self, name: str, router: Router, running: RunningRequests, observer: Observer, meter: Meter
    ) -> None:
        self._name = name
        self._meter = meter
        self.router = router
        self._running = running
        self._observer = observer

    async def answer(self, asked: SurfaceRequest, understood: Understood) -> WholeReply | StreamReply:
        """As `Calls.answer`."""
        request = understood.request
        if not asked.caller.may_use(request.model):
            return self._refusal(_not_for(asked.caller, request.model), asked, request.model)
        try:
            self._meter(asked)
        except Denied as denied:
            return self._refusal(denied.problem, asked, request.model)
        with self._begin(asked, request) as running:
            try:
                options = self._options(asked, understood)
                if understood.stream:
                    return await self._streamed(asked, understood, options)
                return await self._whole(asked, understood, options)
            except CallError as error:
                return self._refusal(problem_of(error, asked.request_id), asked)
            except asyncio.CancelledError:
                why = running.was_ended()
                if why is None:
                    raise
                return self._refusal(why, asked)

    def _refusal(self, problem: ProblemDetails, asked: SurfaceRequest, model: str = "") -> WholeReply:
        if (account := self._observer.of(asked.request_id)) is not None:
            account.refuse(problem, model)
        return refusal(self.surface, problem, asked.request_id)

    def _begin(self, asked: SurfaceRequest, request: Request) -> Running:
        return self._running.begin(asked.request_id, model=request.model, caller=asked.caller)

    def _options(self, asked: SurfaceRequest, understood: Understood) -> CallOptions:
        caller = asked.caller
        tags = {**caller.labels, "surface": self._name}
        if caller.key_id:
            tags["key_id"] = caller.key_id
        if traceparent := asked.headers.get("traceparent", ""):
            tags["traceparent"] = traceparent[:_LONGEST_TRACEPARENT]
        options = CallOptions(
            caller=caller.name,
            request_id=asked.request_id,
            tags=tags,
            require=caller.require,
            affinity=affinity_of(asked.headers, asked.document or {}),
            original=_original(asked, understood) if understood.wire else None,
        )
        said = call_options(asked.headers)
        return _with(options, said) if said else options

    async def _whole(self, asked: SurfaceRequest, understood: Understood, options: CallOptions) -> WholeReply:
        answer = await self._asked(understood.request, options)
        dropped = answer.dropped if isinstance(answer, ChatResponse) else ()
        fields = self._about(asked, understood, dropped, relayed=bool(answer.relayed))
        body = answer.relayed
        if not body:
            # Without its origin, for the writer does not know whether that is to be told.
            named = self._observer.full and getattr(understood.writer, "names_deployment", False)
            written = understood.writer.whole(answer if named else replace(answer, deployment=""))
            body = self._with_origin(written, fields)
        return WholeReply(200, body, understood.writer.content_type, fields)

    def _about(
        self, asked: SurfaceRequest, understood: Understood, dropped: Sequence[str], *, relayed: bool = False
    ) -> dict[str, str]:
        """How the answer came about, for its head."""
        account = self._observer.of(asked.request_id)
        fields = self._observer.about(account, understood.request.model)
        ignored = () if relayed else understood.ignored
        if ignored or dropped:
            fields["x-pointsman-ignored"] = listed((*ignored, *dropped))
        return fields

    def _with_origin(self, body: bytes, fields: Mapping[str, str]) -> bytes:
        """`body`, a JSON object that we wrote, with one more member, which SDKs keep."""
        if not (self._observer.full and body.endswith(b"}") and "x-pointsman-deployment" in fields):
            return body
        said: dict[str, Any] = {
            "deployment": fields["x-pointsman-deployment"],
            "attempts": int(fields["x-pointsman-attempts"]),
        }
        if "x-pointsman-cost-usd" in fields:
            said["cost"] = float(fields["x-pointsman-cost-usd"])
        return b'%s,"pointsman":%s}' % (body[:-1], msgspec.json.encode(said))

    def _asked(self, request: Request, options: CallOptions) -> Awaitable[ChatResponse | EmbedResponse]:
        router = self.router
        match request:
            case ChatRequest():
                return router.chat(request, call_options=options)
            case GenerateRequest():
                return router.generate(request, call_options=options)
            case EmbedRequest():
                return router.embed(request, call_options=options)

    async def _streamed(
        self, asked: SurfaceRequest, understood: Understood, options: CallOptions
    ) -> StreamReply:
        stream = self.router.stream(cast("ChatRequest", understood.request), call_options=options)
        try:
            await stream.__aenter__()  # until the first content, or the error
        except BaseException:
            await stream.aclose()
            raise
        writer = understood.writer
        return StreamReply(
            Pieces(stream, writer, self._begin(asked, understood.request), with_origin=self._observer.full),
            writer.stream_type,
            fields=self._about(asked, understood, stream.dropped, relayed=stream.relayed),
            heartbeat=writer.heartbeat(),
        )


class Pieces(AsyncIterator[bytes]):
    """What a stream brings, written; closed before its end it ends the call.

    Args:
        with_origin: its end may say where it came from.
    """

    def __init__(self, stream: ChatStream, writer: Writer, running: Running, *, with_origin: bool) -> None:
        self._stream = stream
        self._with_origin = with_origin
        self._writer = writer
        self._running = running
        self._relayed = False
        self._first = self._latest = b""
        """What was sent on of an answer that is relayed."""
        self._over = False

    async def __anext__(self) -> bytes:
        while not self._over:
            try:
                events = await self._stream.batch()
            except CallError as error:
                self._over = True
                return self._failure(problem_of(error, self._running.id))
            except asyncio.CancelledError:
                why = self._running.was_ended()
                if why is None:
                    raise
                self._over = True
                await self._stream.aclose()
                return self._failure(replace(why, request_id=self._running.id))
            if not events:
                break
            written = self._written(events)
            if written:
                return written
        raise StopAsyncIteration

    def _written(self, events: Sequence[StreamEvent]) -> bytes:
        """What one read brought, as it came where the upstream speaks the caller's wire."""
        if not self._relayed:
            self._relayed = any(isinstance(each, Relayed) for each in events)
            if not self._relayed:
                return self._writer.events(events if self._with_origin else _without_origin(events))
        first = events[0]
        if (
            len(events) <= 2 and type(first) is Relayed and type(events[-1]) is not Relayed
        ):  # as nearly always
            frames = first.data
        else:
            frames = b"".join([each.data for each in events if isinstance(each, Relayed)])
        if frames:
            self._first, self._latest = self._first or frames, frames
        return frames

    def _failure(self, problem: ProblemDetails) -> bytes:
        """What ends the stream, in place of its end."""
        writer = self._writer
        if self._first and isinstance(writer, EndsRelayed):
            return writer.failure_after(self._first, self._latest, problem)
        return writer.failure(problem)

    async def aclose(self) -> None:
        """End the call, wherever it is."""
        self._over = True
        with self._running:
            await self._stream.aclose()


def _with(options: CallOptions, said: Mapping[str, Any]) -> CallOptions:
    """`options` with what the caller says of them, which is checked. Raises InvalidRequest."""
    affinity, tags = options.affinity, {**said.get("tags", {}), **options.tags}
    checked, _ = split_options({**said, "affinity": affinity, "tags": tags})
    return replace(
        checked,
        caller=options.caller,
        request_id=options.request_id,
        original=options.original,
        require=merged(options.require, checked.require),  # of a rule of its key nobody can ask for less
    )


def _without_origin(events: Sequence[StreamEvent]) -> Sequence[StreamEvent]:
    return [
        Done(replace(each.response, deployment="")) if isinstance(each, Done) else each for each in events
    ]


def _not_for(caller: Caller, model: str) -> ProblemDetails:
    who = f"{caller.name!r} may" if caller.name else "who is not known may"
    message = f"{who} not use the model {model[:200]!r}"
    return problem_in("policy", "forbidden", "model_not_allowed", message, param="model", should_retry=False)


def _original(asked: SurfaceRequest, understood: Understood) -> Original:
    headers = {name: value for name, value in asked.headers.items() if name.startswith(_WIRE_HEADERS)}
    return Original(
        understood.wire,
        asked.body,
        understood.request,
        headers,
        urlencode(asked.query) if asked.query else "",
        understood.needs_wire,
        understood.opaque,
        understood.several,
        understood.ignored,
        asked.members,
        understood.answers,
    )
