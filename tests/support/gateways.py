"""A gateway in this process, on a free port, in front of simulated upstreams.

async def test_…(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    async with gateway_for(upstream) as gateway:
        … gateway.url …
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct, json

from pointsman import Router
from pointsman.plugin import (
    ChatRequest,
    ChatResponse,
    Done,
    EmbedResponse,
    InvalidRequest,
    Message,
    PointsmanSpec,
    ProblemDetails,
    Route,
    StreamEvent,
    StreamReply,
    SurfaceContext,
    SurfaceFactory,
    SurfaceRequest,
    Understood,
    WholeReply,
    hookimpl,
)
from pointsman_gateway.access.admission import Access
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Upstream

MODEL = "assistant"
"""The public name of the one model that all upstreams offer."""


class Served(Struct, frozen=True, eq=False):
    """A gateway that runs, with what it stands on; `url` is without a slash at its end."""

    url: str
    gateway: Gateway
    router: Router


def configuration(*upstreams: Upstream, **changes: Any) -> dict[str, Any]:
    """One model, `assistant`, with a deployment at each of `upstreams`; `changes` replace top-level keys."""
    return {
        "providers": {
            each.name: {
                "type": each.wire,
                "base_url": each.base_url,
                **({} if each.site.api_key is None else {"api_key": each.site.api_key}),
            }
            for each in upstreams
        },
        "models": {
            MODEL: {"deployments": [f"{each.name}/{next(iter(each.site.models))}" for each in upstreams]}
        },
        **changes,
    }


@asynccontextmanager
async def gateway_for(
    *upstreams: Upstream,
    surfaces: Sequence[SurfaceFactory] | None = None,
    access: Access | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 1,
    write_within: float = 60.0,
    **changes: Any,
) -> AsyncIterator[Served]:
    """A gateway on a free port of 127.0.0.1 in front of `upstreams`.

    Args:
        surfaces: in place of the built-in ones.
        settings: of the section `gateway`.
        changes: top-level keys of the configuration of its router, such as `models`.
    """
    asked = {"listen": "127.0.0.1:0", **(settings or {})}
    plugins: Sequence[object] = ()
    if surfaces is not None:
        asked["surfaces"] = {each.name: {} for each in surfaces} | asked.get("surfaces", {})
        plugins = [Offers(surfaces)]
    rng = random.Random(seed)
    async with Router.from_config(configuration(*upstreams, **changes), rng=rng) as router:
        gateway = Gateway(
            router,
            GatewaySettings.model_validate(asked),
            plugins=plugins,
            access=access,
            write_within=write_within,
            rng=rng,
        )
        async with gateway:
            yield Served(gateway.url, gateway, router)


class Offers(PointsmanSpec):
    """A plugin that offers surfaces."""

    def __init__(self, surfaces: Sequence[SurfaceFactory]) -> None:
        self._surfaces = surfaces

    @hookimpl
    def pointsman_surfaces(self) -> Sequence[SurfaceFactory]:
        return self._surfaces


# ── the smallest surface ─────────────────────────────────────────────────────────────────────────────


class _Say(Struct):
    model: str
    text: str
    stream: bool = False


class PlainWriter:
    """Answers are their text; what ends a stream is `.`, and what breaks it `!`."""

    content_type = "text/plain"
    stream_type = "text/plain; charset=utf-8"

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        assert isinstance(answer, ChatResponse)
        return answer.text.encode()

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        return b"".join(b"\n." if isinstance(each, Done) else each.text.encode() for each in events)

    def failure(self, problem: ProblemDetails) -> bytes:
        return f"\n!{problem.code}".encode()

    def heartbeat(self) -> bytes:
        return b"~"


class PlainSurface:
    """`POST /say {model, text, stream}`; problems are JSON objects of all that is known."""

    def __init__(self, context: SurfaceContext) -> None:
        self._calls = context.calls

    def routes(self) -> Sequence[Route]:
        return [
            Route("POST", "/v1/say", self.say, aliases=["/say"]),
            Route("GET", "/v1/things/{id:path}", self.thing),
            Route("GET", "/open", self.thing, public=True),
        ]

    async def say(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        try:
            said = json.decode(asked.body, type=_Say)
        except Exception as error:
            raise InvalidRequest(str(error)) from None
        request = ChatRequest(said.model, [Message.user(said.text)])
        return await self._calls.answer(asked, Understood(request, PlainWriter(), said.stream))

    async def thing(self, asked: SurfaceRequest) -> WholeReply:
        known = {"path": asked.path, "params": dict(asked.params), "caller": asked.caller.name}
        return WholeReply(200, json.encode(known))

    def problem(self, problem: ProblemDetails) -> WholeReply:
        return WholeReply(_STATUS.get(problem.kind, 500), json.encode(problem))


_STATUS = {
    "authentication": 401, "forbidden": 403, "no_route": 404, "method": 405, "unknown_model": 404,
    "invalid": 400, "unsupported": 400, "context": 400, "content": 400, "refused": 403, "too_large": 413,
    "rate_limit": 429, "budget": 429, "overloaded": 503, "upstream": 502, "timeout": 504, "internal": 500,
}  # fmt: skip
PLAIN = SurfaceFactory("plain", None, PlainSurface)
