"""OpenAI's API: chat completions, plain completions, embeddings, responses, models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, cast

from pointsman._internal.settings import Section, setting
from pointsman.plugin import (
    ProblemDetails,
    Route,
    StreamReply,
    SurfaceContext,
    SurfaceFactory,
    SurfaceRequest,
    Understood,
    UnknownModel,
    WholeReply,
)
from pointsman_gateway.surfaces.openai_responses import Responses, ResponsesSettings
from pointsman_wires import (
    model_list,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_errors,
    openai_responses,
)
from pointsman_wires.bodies import object_of

if TYPE_CHECKING:
    from pydantic import BaseModel

_SHOWN = 100
"""Characters of a name that somebody asked for."""

Read = Callable[..., Understood]
"""Reads a body in one of the wires."""


class OpenAISettings(Section):
    """What is kept for callers of the Responses API; nothing when it is not said."""

    responses: ResponsesSettings | None = setting(default=None)


class OpenAISurface:
    """What programs that speak with OpenAI find here."""

    def __init__(self, context: SurfaceContext) -> None:
        self._calls = context.calls
        self._catalogue = context.catalogue
        self._wall = context.clock.wall
        settings: OpenAISettings = context.settings
        self._responses = Responses(context, settings.responses)

    def routes(self) -> Sequence[Route]:
        """All that can be asked for."""
        return (
            Route("POST", "/v1/chat/completions", self._chat, aliases=("/chat/completions",)),
            Route("POST", "/v1/completions", self._completion),
            Route("POST", "/v1/embeddings", self._embeddings, aliases=("/embeddings",)),
            *self._responses.routes(),
            Route("GET", "/v1/models", self._models, aliases=("/models",)),
            Route("GET", "/v1/models/{model:path}", self._model),
        )

    def problem(self, problem: ProblemDetails) -> WholeReply:
        """As OpenAI says it."""
        return openai_errors.problem(problem)

    async def aclose(self) -> None:
        """Write what is to be kept."""
        await self._responses.aclose()

    # Not async, all three: what they have to await is for whoever asks to await.

    def _chat(self, asked: SurfaceRequest) -> Awaitable[WholeReply | StreamReply]:
        given = object_of(asked.body) if asked.document is None else asked.document
        if openai_responses.is_responses_body(given):
            return self._answered(asked, openai_responses.read_on_chat_path, given)
        return self._answered(asked, openai_chat.read_members, given)

    def _completion(self, asked: SurfaceRequest) -> Awaitable[WholeReply | StreamReply]:
        return self._answered(asked, openai_completions.read, asked.body)

    def _embeddings(self, asked: SurfaceRequest) -> Awaitable[WholeReply | StreamReply]:
        return self._answered(asked, openai_embeddings.read, asked.body)

    async def _models(self, asked: SurfaceRequest) -> WholeReply:
        return WholeReply(200, model_list.listing(self._catalogue.listed(asked.caller)))

    async def _model(self, asked: SurfaceRequest) -> WholeReply:
        name = asked.params["model"]
        entry = self._catalogue.entry(name, asked.caller)
        if entry is None:
            raise UnknownModel(f"there is no model {name[:_SHOWN]!r} here")
        return WholeReply(200, model_list.single(entry))

    def _answered(
        self, asked: SurfaceRequest, read: Read, given: object
    ) -> Awaitable[WholeReply | StreamReply]:
        return self._calls.answer(asked, read(given, request_id=asked.request_id, wall=self._wall()))


FACTORY = SurfaceFactory("openai", cast("type[BaseModel]", OpenAISettings), OpenAISurface)
