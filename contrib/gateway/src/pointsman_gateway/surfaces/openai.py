"""OpenAI's API: chat completions, plain completions, embeddings, responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

from pointsman.plugin import (
    ProblemDetails,
    Route,
    StreamReply,
    SurfaceContext,
    SurfaceFactory,
    SurfaceRequest,
    Understood,
    WholeReply,
)
from pointsman_gateway.surfaces.openai_responses import Responses, ResponsesSettings
from pointsman_wires import (
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_errors,
    openai_responses,
)

Read = Callable[..., Understood]
"""Reads a body in one of the wires."""


class OpenAISettings(BaseModel):
    """What is kept for callers of the Responses API; nothing when it is not said."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    responses: ResponsesSettings | None = None


class OpenAISurface:
    """What programs that speak with OpenAI find here."""

    def __init__(self, context: SurfaceContext) -> None:
        self._calls = context.calls
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
        )

    def problem(self, problem: ProblemDetails) -> WholeReply:
        """As OpenAI says it."""
        return openai_errors.problem(problem)

    async def aclose(self) -> None:
        """Write what is to be kept."""
        await self._responses.aclose()

    async def _chat(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        if openai_responses.is_responses_body(asked.body):
            return await self._answered(asked, openai_responses.read_on_chat_path)
        return await self._answered(asked, openai_chat.read)

    async def _completion(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        return await self._answered(asked, openai_completions.read)

    async def _embeddings(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        return await self._answered(asked, openai_embeddings.read)

    async def _answered(self, asked: SurfaceRequest, read: Read) -> WholeReply | StreamReply:
        understood = read(asked.body, request_id=asked.request_id, wall=self._wall())
        return await self._calls.answer(asked, understood)


FACTORY = SurfaceFactory("openai", OpenAISettings, OpenAISurface)
