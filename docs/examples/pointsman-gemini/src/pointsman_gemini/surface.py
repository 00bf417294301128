"""What can be asked for."""

from collections.abc import Sequence
from typing import Any

from pointsman.plugin import (
    CatalogueEntry,
    InvalidRequest,
    ProblemDetails,
    Route,
    StreamReply,
    Surface,
    SurfaceContext,
    SurfaceRequest,
    Understood,
    UnknownModel,
    WholeReply,
    jsonio,
)
from pointsman_gemini.reading import WIRE, Body
from pointsman_gemini.writing import Writer, written

_METHODS = ["generateContent", "streamGenerateContent"]


class Gemini(Surface):
    """`generateContent`, `streamGenerateContent` as server-sent events, and the models."""

    def __init__(self, context: SurfaceContext) -> None:
        self._calls = context.calls
        self._catalogue = context.catalogue

    def routes(self) -> Sequence[Route]:
        # Of two paths that fit, the first has it: names of models may hold slashes.
        return [
            Route("POST", "/v1beta/models/{model:path}:generateContent", self._whole),
            Route("POST", "/v1beta/models/{model:path}:streamGenerateContent", self._streamed),
            Route("GET", "/v1beta/models", self._models),
            Route("GET", "/v1beta/models/{model:path}", self._model),
        ]

    def problem(self, problem: ProblemDetails) -> WholeReply:
        return written(problem)

    async def _whole(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        return await self._answer(asked, stream=False)

    async def _streamed(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        if asked.query.get("alt") != "sse":
            raise InvalidRequest("streams are given as server-sent events alone: add ?alt=sse")
        return await self._answer(asked, stream=True)

    async def _answer(self, asked: SurfaceRequest, *, stream: bool) -> WholeReply | StreamReply:
        model = asked.params["model"]
        body = Body(model, asked.body)
        writer = Writer(model, asked.request_id)
        understood = Understood(body.request, writer, stream, WIRE, body.needs_wire, body.ignored)
        return await self._calls.answer(asked, understood)

    async def _models(self, asked: SurfaceRequest) -> WholeReply:
        models = [_card(each) for each in self._catalogue.listed(asked.caller)]
        return WholeReply(200, jsonio.dumps({"models": models}))

    async def _model(self, asked: SurfaceRequest) -> WholeReply:
        entry = self._catalogue.entry(asked.params["model"], asked.caller)
        if entry is None:
            raise UnknownModel(f"there is no model {asked.params['model']!r}")
        return WholeReply(200, jsonio.dumps(_card(entry)))


def _card(entry: CatalogueEntry) -> dict[str, Any]:
    return {
        "name": f"models/{entry.name}",
        "displayName": entry.name,
        "inputTokenLimit": entry.capabilities.context_length,
        "supportedGenerationMethods": _METHODS if "completion" in entry.capabilities.can else [],
        "thinking": "thinking" in entry.capabilities.can,
    }
