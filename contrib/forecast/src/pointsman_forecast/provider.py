"""Modelled upstreams as a provider type of any name: they stand in for the real ones of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from pointsman.plugin import (
    Call,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    Finished,
    GenerateRequest,
    ModelInfo,
    PointsmanSpec,
    Provider,
    ProviderContext,
    ProviderFactory,
    Request,
    StreamEvent,
    TextDelta,
    Unavailable,
    Usage,
    UsageUpdate,
    hookimpl,
)
from pointsman_forecast.upstreams import Size, Upstream

_PIECE = (TextDelta("…"),)
_LEAST_GAP = 1.0
"""Seconds between two signs that a long answer goes on, at least."""


class Reply(Protocol):
    """The answer to one call, from the question on."""

    @property
    def size(self) -> Size:
        """Tokens of the question and of the answer."""

    @property
    def left(self) -> float:
        """Seconds of work after the first token: to the end, or to where it goes wrong."""

    async def first(self) -> None:
        """Return with the first token. Raises what comes in its place."""

    async def work(self, seconds: float) -> None:
        """Go on for so much of what is `left`."""

    async def end(self) -> None:
        """All is said. Raises what comes instead."""

    def close(self) -> None:
        """Nobody waits for it any more; safe to repeat."""


Replies = Callable[[str, Call], Reply | None]
"""What is known of a call to the provider of that name; None: nothing, so that the upstream is modelled."""
Sizes = Callable[[str, Request], Size]
"""How long the question of a request is and its answer will be, by its id."""


class ModelledPlugin(PointsmanSpec):
    """Offers provider types whose calls go nowhere. Hand it to a router, with the upstreams by provider.

    Args:
        models: by each type that it stands in for, the models that the real one lists.
        replies: has the last word on how a call goes.
    """

    def __init__(
        self,
        models: Mapping[str, Sequence[ModelInfo]],
        upstreams: Mapping[str, Upstream],
        sizes: Sizes,
        replies: Replies = lambda _provider, _call: None,
    ) -> None:
        self._replies = replies
        self._models = models
        self._upstreams = upstreams
        self._sizes = sizes

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        """Whatever a configuration says of their settings is not looked at."""
        return [
            ProviderFactory(type, _AnySettings, self._made, models=models)
            for type, models in self._models.items()
        ]

    def _made(self, context: ProviderContext) -> Provider:
        return _Modelled(context, self._upstreams[context.name], self._sizes, self._replies)


class _AnySettings(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Modelled(Provider):
    def __init__(self, context: ProviderContext, upstream: Upstream, sizes: Sizes, replies: Replies) -> None:
        super().__init__(context)
        self._replies = replies
        self._upstream = upstream
        self._sizes = sizes

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return await self._whole(request, call)

    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        return await self._whole(request, call)

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        answer = self._begin(request, call)
        await _waited(answer)
        return EmbedResponse([[0.0] for _ in request.texts], Usage(answer.size.prompt, 0), call.model)

    async def stream(self, request: ChatRequest, call: Call) -> _Events:
        answer = self._begin(request, call)
        await answer.first()
        return _Events(answer, self._upstream)

    async def models(self) -> Sequence[ModelInfo]:
        trouble = self._upstream.trouble()
        if trouble is not None and not trouble.loading and trouble.after is None:
            raise Unavailable(f"{self.name} is not well")
        return []

    async def in_memory(self) -> Sequence[str]:
        loaded = self._upstream.loaded()
        return await super().in_memory() if loaded is None else loaded

    def _begin(self, request: Request, call: Call) -> Reply:
        known = self._replies(self.name, call)
        if known is not None:
            return known
        return self._upstream.begin(call.model, self._sizes(call.request_id, request))

    async def _whole(self, request: ChatRequest | GenerateRequest, call: Call) -> ChatResponse:
        answer = self._begin(request, call)
        await _waited(answer)
        return ChatResponse("…", usage=_usage(answer.size), model=call.model)


async def _waited(answer: Reply) -> None:
    """Return with its end."""
    try:
        await answer.first()
        if left := answer.left:
            await answer.work(left)
        await answer.end()
    finally:
        answer.close()


class _Events:
    """A streamed answer: its first token, its end, and signs in between where it would seem silent."""

    __slots__ = ("_answer", "_begun", "_left", "_over", "_upstream")

    upstream_request_id = ""

    def __init__(self, answer: Reply, upstream: Upstream) -> None:
        self._answer = answer
        self._upstream = upstream
        self._left = answer.left
        self._begun = self._over = False

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        if self._over:
            return None
        if not self._begun:
            self._begun = True
            return _PIECE
        if left := self._left:
            patience = max(_LEAST_GAP, (until - self._upstream.now()) / 2)
            if left > patience:
                await self._answer.work(patience)
                self._left = left - patience
                return _PIECE
            await self._answer.work(left)
            self._left = 0.0
        await self._answer.end()
        self._over = True
        return [UsageUpdate(_usage(self._answer.size)), Finished("stop")]

    def abort(self) -> None:
        self._answer.close()

    async def aclose(self) -> None:
        self._answer.close()


def _usage(size: Size) -> Usage:
    return Usage(size.prompt, size.answer)
