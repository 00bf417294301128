"""Requests that surfaces understood, handed to the router, and its answers in the shape of the surface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from pointsman.plugin import (
    Caller,
    CallError,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
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
from pointsman_gateway.about import Origins, about_fields, cost, with_member
from pointsman_gateway.answers import refusal
from pointsman_gateway.call_headers import affinity_of, call_options
from pointsman_gateway.field_values import listed
from pointsman_gateway.problems import problem_of
from pointsman_gateway.running import ENDED, Running, RunningRequests

if TYPE_CHECKING:
    from pointsman import ChatStream, Router

_WIRE_HEADERS = ("anthropic-", "openai-", "x-stainless-")
"""What the names of headers begin with that belong to a wire."""


class RoutedCalls:
    """Routes the calls of one surface.

    Attributes:
        surface: whose shapes answers have; set once it is made, for it is made from this.
    """

    surface: Surface

    def __init__(self, router: Router, running: RunningRequests) -> None:
        self._router = router
        self._running = running
        self._origins = Origins()

    async def answer(self, asked: SurfaceRequest, understood: Understood) -> WholeReply | StreamReply:
        """As `Calls.answer`."""
        request = understood.request
        if not asked.caller.may_use(request.model):
            return refusal(self.surface, _not_for(asked.caller, request.model), asked.request_id)
        with self._begin(asked, request) as running:
            try:
                options = self._options(asked, understood)
                if understood.stream:
                    return await self._streamed(asked, understood, options)
                return await self._whole(asked, understood, options)
            except CallError as error:
                return refusal(self.surface, problem_of(error, asked.request_id), asked.request_id)
            except asyncio.CancelledError:
                if not running.was_ended():
                    raise
                return refusal(self.surface, ENDED, asked.request_id)

    def _begin(self, asked: SurfaceRequest, request: Request) -> Running:
        return self._running.begin(asked.request_id, model=request.model, caller=asked.caller.name)

    def _options(self, asked: SurfaceRequest, understood: Understood) -> dict[str, Any]:
        options = call_options(asked.headers)
        caller = asked.caller
        options["caller"] = caller.name
        options["request_id"] = asked.request_id
        options["affinity"] = affinity_of(asked.headers, asked.body)
        if caller.labels:
            options["tags"] = {**options.get("tags", {}), **caller.labels}
        if understood.wire:
            options["original"] = _original(asked, understood)
        return options

    async def _whole(
        self, asked: SurfaceRequest, understood: Understood, options: Mapping[str, Any]
    ) -> WholeReply:
        request, writer = understood.request, understood.writer
        answer = await self._asked(request, options)
        origin = self._origins.of(self._router.config, request.model, answer.deployment)
        fields = about_fields(origin, request.model, answer.deployment, answer.attempts)
        charged = cost(origin.price, answer.usage)
        if charged is not None:
            fields["x-pointsman-cost-usd"] = f"{charged:.9f}".rstrip("0").rstrip(".")
        body = answer.relayed
        if not body:
            body = with_member(writer.whole(answer), answer.deployment, answer.attempts, charged)
            if understood.ignored:
                fields["x-pointsman-ignored"] = listed(understood.ignored)
        return WholeReply(200, body, writer.content_type, fields)

    async def _asked(self, request: Request, options: Mapping[str, Any]) -> ChatResponse | EmbedResponse:
        router = self._router
        match request:
            case ChatRequest():
                return await router.chat(request, **options)
            case GenerateRequest():
                said = _said(request, GenerateRequest("", ""))
                return await router.generate(request.model, request.prompt, **said, **options)
            case EmbedRequest():
                said = _said(request, EmbedRequest("", ()))
                return await router.embed(request.model, request.texts, **said, **options)

    async def _streamed(
        self, asked: SurfaceRequest, understood: Understood, options: Mapping[str, Any]
    ) -> StreamReply:
        stream = self._router.stream(cast("ChatRequest", understood.request), **options)
        try:
            await stream.__aenter__()  # until the first content, or the error
        except BaseException:
            await stream.aclose()
            raise
        model, writer = understood.request.model, understood.writer
        origin = self._origins.of(self._router.config, model, stream.deployment)
        return StreamReply(
            Pieces(stream, writer, self._begin(asked, understood.request)),
            writer.stream_type,
            fields=about_fields(origin, model, stream.deployment, stream.attempts),
            heartbeat=writer.heartbeat(),
        )


class Pieces(AsyncIterator[bytes]):
    """What a stream brings, written; closed before its end it ends the call."""

    def __init__(self, stream: ChatStream, writer: Writer, running: Running) -> None:
        self._stream = stream
        self._writer = writer
        self._running = running
        self._relayed = False
        self._over = False

    async def __anext__(self) -> bytes:
        while not self._over:
            try:
                events = await self._stream.batch()
            except CallError as error:
                self._over = True
                return self._writer.failure(problem_of(error, self._running.id))
            except asyncio.CancelledError:
                if not self._running.was_ended():
                    raise
                self._over = True
                await self._stream.aclose()
                return self._writer.failure(replace(ENDED, request_id=self._running.id))
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
                return self._writer.events(events)
        return b"".join([each.data for each in events if isinstance(each, Relayed)])

    async def aclose(self) -> None:
        """End the call, wherever it is."""
        self._over = True
        self._running.end()
        await self._stream.aclose()


def _not_for(caller: Caller, model: str) -> ProblemDetails:
    who = f"{caller.name!r} may" if caller.name else "who is not known may"
    return ProblemDetails(
        "forbidden",
        f"policy: {who} not use the model {model[:200]!r}",
        code="model_not_allowed",
        domain="policy",
        param="model",
    )


def _original(asked: SurfaceRequest, understood: Understood) -> Original:
    headers = {name: value for name, value in asked.headers.items() if name.startswith(_WIRE_HEADERS)}
    return Original(
        understood.wire,
        asked.body,
        understood.request,
        headers,
        "",
        understood.needs_wire,
        understood.opaque,
    )


def _said(request: Request, blank: Request) -> dict[str, Any]:
    """The members of `request` that say something, beside those that the router takes by position."""
    names = [each for each in request.__struct_fields__ if each not in ("model", "prompt", "texts")]
    return {name: getattr(request, name) for name in names if getattr(request, name) != getattr(blank, name)}
