"""OpenAI's API: chat completions, plain completions, embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from pointsman_wires import openai_chat, openai_completions, openai_embeddings, openai_errors

Read = Callable[..., Understood]
"""Reads a body in one of the wires."""


class OpenAISurface:
    """What programs that speak with OpenAI find here."""

    def __init__(self, context: SurfaceContext) -> None:
        self._calls = context.calls
        self._wall = context.clock.wall

    def routes(self) -> Sequence[Route]:
        """All that can be asked for."""
        return (
            Route("POST", "/v1/chat/completions", self._chat, aliases=("/chat/completions",)),
            Route("POST", "/v1/completions", self._completion),
            Route("POST", "/v1/embeddings", self._embeddings, aliases=("/embeddings",)),
        )

    def problem(self, problem: ProblemDetails) -> WholeReply:
        """As OpenAI says it."""
        return openai_errors.problem(problem)

    async def _chat(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        return await self._answered(asked, openai_chat.read)

    async def _completion(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        return await self._answered(asked, openai_completions.read)

    async def _embeddings(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        return await self._answered(asked, openai_embeddings.read)

    async def _answered(self, asked: SurfaceRequest, read: Read) -> WholeReply | StreamReply:
        understood = read(asked.body, request_id=asked.request_id, wall=self._wall())
        return await self._calls.answer(asked, understood)


FACTORY = SurfaceFactory("openai", None, OpenAISurface)
