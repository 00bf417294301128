"""Anthropic's API: messages, counts of their tokens, models."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.json import encode

from pointsman.plugin import (
    ProblemDetails,
    Route,
    StreamReply,
    SurfaceContext,
    SurfaceFactory,
    SurfaceRequest,
    WholeReply,
)
from pointsman_gateway.calls.efforts import as_it_can_think
from pointsman_gateway.calls.public_names import named
from pointsman_gateway.calls.token_counts import count_for
from pointsman_wires import anthropic, model_list


class AnthropicSurface:
    """What programs that speak with Anthropic find here."""

    def __init__(self, context: SurfaceContext) -> None:
        self._context = context
        self._calls = context.calls
        self._wall = context.clock.wall
        self._catalogue = context.catalogue

    def routes(self) -> Sequence[Route]:
        """All that can be asked for."""
        return (
            Route("POST", "/v1/messages", self._messages),
            Route("POST", "/v1/messages/count_tokens", self._count),
            Route("GET", "/v1/models", self._models, json=False),
            Route("GET", "/v1/models/{id:path}", self._model, json=False),
        )

    def problem(self, problem: ProblemDetails) -> WholeReply:
        """As Anthropic says it."""
        return anthropic.problem(problem)

    async def _messages(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        understood = anthropic.read(asked.body, request_id=asked.request_id, wall=self._wall())
        return await self._calls.answer(asked, as_it_can_think(understood, self._catalogue, asked.caller))

    async def _count(self, asked: SurfaceRequest) -> WholeReply:
        understood = anthropic.read_count(asked.body, request_id=asked.request_id, wall=self._wall())
        count = await count_for(self._context, asked, understood)
        return WholeReply(200, encode({"input_tokens": count.tokens}), fields=count.fields())

    async def _models(self, asked: SurfaceRequest) -> WholeReply:
        return WholeReply(200, model_list.listing(self._catalogue.listed(asked.caller)))

    async def _model(self, asked: SurfaceRequest) -> WholeReply:
        return WholeReply(200, model_list.single(named(self._catalogue, asked.params["id"], asked.caller)))


FACTORY = SurfaceFactory("anthropic", None, AnthropicSurface)
