"""Ollama's own API: chat, completions, embeddings, models; for operators, what is done with models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.json import encode

from pointsman.plugin import (
    CatalogueEntry,
    ProblemDetails,
    Route,
    StreamReply,
    SurfaceContext,
    SurfaceFactory,
    SurfaceRequest,
    Understood,
    WholeReply,
)
from pointsman_gateway.calls.efforts import as_it_can_think
from pointsman_gateway.calls.public_names import named, without_tag
from pointsman_gateway.models.model_operations import ModelOperations
from pointsman_wires import ollama
from pointsman_wires.members import json_object, text_or_none, wrong

VERSION = "0.32.14"
"""Programs look whether it is recent enough for them."""

_JSON = "application/json; charset=utf-8"
_LINES = "application/x-ndjson"
_TEXT = "text/plain; charset=utf-8"


class OllamaSurface:
    """What programs that speak with Ollama find here."""

    def __init__(self, context: SurfaceContext) -> None:
        self._calls = context.calls
        self._clock = context.clock
        self._catalogue = context.catalogue
        self._operations = ModelOperations(context)

    def routes(self) -> Sequence[Route]:
        """All that can be asked for."""
        operations = self._operations
        return (
            Route("GET", "/", self._alive, public=True, json=False),
            Route("GET", "/api/version", self._version, json=False),
            Route("GET", "/api/tags", self._tags, json=False),
            Route("GET", "/api/ps", self._ps, json=False),
            Route("POST", "/api/show", self._show),
            Route("POST", "/api/chat", self._chat),
            Route("POST", "/api/generate", self._generate),
            Route("POST", "/api/embed", self._embed),
            Route("POST", "/api/embeddings", self._embeddings),
            Route("POST", "/api/pull", operations.pull, operator=True),
            Route("POST", "/api/create", operations.create, operator=True),
            Route("POST", "/api/copy", operations.copy, operator=True),
            Route("DELETE", "/api/delete", operations.delete, operator=True),
        )

    def problem(self, problem: ProblemDetails) -> WholeReply:
        """As Ollama says it."""
        return ollama.problem(problem)

    # ── inference ────────────────────────────────────────────────────────────────────────────────────

    async def _chat(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        given = self._given(asked)
        if reason := ollama.only_loads(given, "messages"):
            return self._loaded(asked, given, reason, chat=True)
        return await self._answer(
            asked, ollama.read_chat(given, wall=self._clock.wall(), elapsed=self._elapsed())
        )

    async def _generate(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        given = self._given(asked)
        if reason := ollama.only_loads(given, "prompt"):
            return self._loaded(asked, given, reason, chat=False)
        understood = ollama.read_generate(given, wall=self._clock.wall(), elapsed=self._elapsed())
        return await self._answer(asked, understood)

    async def _embed(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        given = self._given(asked)
        if given.get("input") in ("", [], None):
            model = named(self._catalogue, given["model"], asked.caller)
            return WholeReply(200, encode({"model": model.name, "embeddings": []}), _JSON)
        return await self._answer(asked, ollama.read_embed(given, elapsed=self._elapsed()))

    async def _embeddings(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        return await self._answer(asked, ollama.read_embeddings(self._given(asked)))

    async def _answer(self, asked: SurfaceRequest, understood: Understood) -> WholeReply | StreamReply:
        understood = as_it_can_think(understood, self._catalogue, asked.caller)
        return await self._calls.answer(asked, understood)

    def _given(self, asked: SurfaceRequest) -> dict[str, Any]:
        """The body, with the public name of the model that is meant."""
        given = json_object(asked.body)
        model = text_or_none(given, "model") or text_or_none(given, "name")
        if not model:
            raise wrong("model", "model is required")
        given["model"] = without_tag(self._catalogue, model, asked.caller)
        return given

    def _loaded(self, asked: SurfaceRequest, given: dict[str, Any], reason: str, *, chat: bool) -> WholeReply:
        """Models here are as good as loaded: whoever runs them sees to that."""
        model = named(self._catalogue, given["model"], asked.caller)
        body = ollama.loaded(model.name, reason, wall=self._clock.wall(), chat=chat)
        return WholeReply(200, body, _JSON if given.get("stream") is False else _LINES)

    def _elapsed(self) -> Callable[[], int]:
        """What tells the nanoseconds since now."""
        now, began = self._clock.now, self._clock.now()
        return lambda: int((now() - began) * 1e9)

    # ── models ───────────────────────────────────────────────────────────────────────────────────────

    async def _alive(self, _asked: SurfaceRequest) -> WholeReply:
        return WholeReply(200, b"Ollama is running", _TEXT)

    async def _version(self, _asked: SurfaceRequest) -> WholeReply:
        return WholeReply(200, encode({"version": VERSION}), _JSON)

    async def _tags(self, asked: SurfaceRequest) -> WholeReply:
        return WholeReply(200, ollama.listed(self._cards(asked)), _JSON)

    async def _ps(self, asked: SurfaceRequest) -> WholeReply:
        return WholeReply(200, ollama.running(self._cards(asked)), _JSON)

    async def _show(self, asked: SurfaceRequest) -> WholeReply:
        given = self._given(asked)
        model = named(self._catalogue, given["model"], asked.caller)
        return WholeReply(200, ollama.shown(_card(model)), _JSON)

    def _cards(self, asked: SurfaceRequest) -> list[ollama.ModelCard]:
        return [_card(entry) for entry in self._catalogue.listed(asked.caller)]


def _card(entry: CatalogueEntry) -> ollama.ModelCard:
    able = entry.capabilities
    return ollama.ModelCard(
        entry.name,
        able.can,
        able.context_length,
        entry.created,
        able.family or "pointsman",
        entry.size_bytes,
        entry.parameter_size,
        entry.quantization,
    )


FACTORY = SurfaceFactory("ollama", None, OllamaSurface)
