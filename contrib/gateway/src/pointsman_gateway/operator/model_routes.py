"""What operators see of models, and do with them: who has which, in memory or on disk; pull and delete."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.json import encode
from msgspec.structs import replace

from pointsman.plugin import (
    Caller,
    CallError,
    Catalogue,
    CatalogueEntry,
    ModelInfo,
    ProblemDetails,
    Route,
    StreamReply,
    SurfaceRequest,
    Unsupported,
    WholeReply,
)
from pointsman_gateway.access.denials import denied
from pointsman_gateway.models.step_stream import StepStream
from pointsman_gateway.operator.noting import noted

if TYPE_CHECKING:
    from pointsman import Router

PREFIX = "/admin/v1/models"
_WITHIN = 5.0
"""Seconds for a server to say what it has in memory: somebody waits for the page."""
_ANYBODY = Caller()


class _Offer(Struct, frozen=True):
    """What a provider has.

    Attributes:
        models: by the names that the provider has for them.
        warm: those in memory; None where it does not tell.
        trouble: why it does not answer; "" where it does.
    """

    models: Mapping[str, ModelInfo]
    warm: frozenset[str] | None
    trouble: str = ""

    def has(self, model: str) -> bool | None:
        """None where nobody knows."""
        return None if self.trouble or not self.models else _plain(model) in self.models

    def has_warm(self, model: str) -> bool | None:
        """None where nobody knows."""
        return None if self.warm is None else _plain(model) in self.warm


class ModelRoutes:
    """Routes at `/admin/v1/models`; a model of a provider is called `provider/model`."""

    def __init__(self, router: Router, catalogue: Catalogue) -> None:
        self._router = router
        self._catalogue = catalogue

    def routes(self) -> Sequence[Route]:
        """All of them."""
        one = f"{PREFIX}/{{id:path}}"
        return [
            Route("GET", PREFIX, self.models, operator=True),
            Route("POST", f"{one}/pull", self.pull, operator=True, json=False),
            Route("DELETE", one, self.delete, operator=True, json=False),
        ]

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    async def models(self, _asked: SurfaceRequest) -> WholeReply:
        """All names, and what each provider has; the upstreams are asked now."""
        offers = await self._offers()
        listed = {each.name: each for each in self._catalogue.listed(_ANYBODY)}
        models = [self._model(name, listed.get(name), offers) for name in self._router.config.names()]
        providers = [self._provider(name, offer) for name, offer in offers.items()]
        return _json({"models": models, "providers": providers})

    async def _offers(self) -> Mapping[str, _Offer]:
        names = list(self._router.config.providers)
        known, health, servers = await asyncio.gather(
            self._router.models(), self._router.health(), asyncio.gather(*map(self._server, names))
        )
        offers: dict[str, _Offer] = {}
        for name, server in zip(names, servers, strict=True):
            listed = [each for each in known if each.provider == name]
            state = health.providers.get(name)
            offers[name] = server or _Offer(_by_name(name, listed), None)
            if state is not None and not state.ok:
                offers[name] = replace(offers[name], trouble=str(state.error))
        return offers

    async def _server(self, name: str) -> _Offer | None:
        """What a server has now whose models come and go; None for others, and where it does not answer."""
        provider = self._router.provider(name)
        if not hasattr(provider, "in_memory"):
            return None
        try:
            async with asyncio.timeout(_WITHIN):
                listed, warm = await asyncio.gather(provider.models(), provider.in_memory())
        except (CallError, TimeoutError):  # `health` has the reason
            return None
        return _Offer(_by_name(name, listed), frozenset(map(_plain, warm)))

    def _model(
        self, name: str, entry: CatalogueEntry | None, offers: Mapping[str, _Offer]
    ) -> Mapping[str, Any]:
        config = self._router.config
        model, alias = config.described(name), config.names().aliases.get(name)
        deployments = () if model is None else model.deployments
        able = None if entry is None else entry.capabilities
        return {
            "name": name,
            "alias_of": alias,
            "of": [] if model is None or model.selector is None else list(model.of),
            "can": [] if able is None else list(able.can),
            "context_length": None if able is None else able.context_length,
            "family": "" if able is None else able.family,
            "deployments": [
                {
                    "id": each.id,
                    "provider": each.provider,
                    "model": each.model,
                    "there": offers[each.provider].has(each.model) if each.provider in offers else None,
                    "warm": offers[each.provider].has_warm(each.model) if each.provider in offers else None,
                }
                for each in deployments
            ],
        }

    def _provider(self, name: str, offer: _Offer) -> Mapping[str, Any]:
        from pointsman_cli.pulling import can_pull  # only who looks needs it

        provider = self._router.provider(name)
        return {
            "name": name,
            "type": self._router.config.providers[name].type,
            "pull": can_pull(provider),
            "delete": hasattr(provider, "delete"),
            "trouble": self._router.scrub(offer.trouble) or None,
            "models": [
                {
                    "name": model,
                    "size_bytes": each.size_bytes,
                    "context_length": each.context_window,
                    "warm": offer.has_warm(model),
                }
                for model, each in offer.models.items()
            ],
        }

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────

    async def pull(self, asked: SurfaceRequest) -> StreamReply:
        """Fetch a model; its steps as they come, and at the end that it is there, or why not."""
        from pointsman_cli.pulling import can_pull, steps

        provider, model = self._place(asked.params["id"])
        if not can_pull(provider):
            raise Unsupported(f"the provider {provider.name!r} cannot pull models")
        noted(asked, f"pull {asked.params['id']}")
        pieces = steps(provider, model)
        told = StepStream(
            pieces,
            await anext(pieces, None),
            asked.request_id,
            write=_progress,
            failed=_failed,
            done=_event("done", {}),
        )
        return StreamReply(told, lasting=True)

    async def delete(self, asked: SurfaceRequest) -> WholeReply:
        """Delete a model from the disk of its server."""
        id = asked.params["id"]
        provider, model = self._place(id)
        if not hasattr(provider, "delete"):
            raise Unsupported(f"the provider {provider.name!r} cannot delete models")
        noted(asked, f"delete {id}")
        await provider.delete(model)
        return _json({"id": id, "deleted": True})

    def _place(self, id: str) -> tuple[Any, str]:
        """The provider, and its name for the model. Raises Denied."""
        name, slash, model = id.partition("/")
        if not slash or not model or name not in self._router.config.providers:
            there = ", ".join(self._router.config.providers)
            message = f"a model is called by its provider and its name there; providers are {there}"
            raise denied("no_route", "unknown_provider", message)
        return self._router.provider(name), model


def _progress(step: Any) -> bytes:
    names = ("status", "part", "total", "completed", "unit")
    return _event("progress", {name: getattr(step, name) for name in names})


def _failed(problem: ProblemDetails) -> bytes:
    return _event("error", {"code": problem.code, "message": problem.message})


def _by_name(provider: str, listed: Iterable[ModelInfo]) -> Mapping[str, ModelInfo]:
    return {_plain(each.id.removeprefix(f"{provider}/")): each for each in listed}


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), encode(data))


def _json(value: object) -> WholeReply:
    return WholeReply(200, encode(value), fields={"cache-control": "no-store"})


def _plain(model: str) -> str:
    """Ollama says `llama3.2:latest` for what everybody calls `llama3.2`."""
    return model.removesuffix(":latest")
