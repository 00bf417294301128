"""The surface of OpenAI's API: which handler reads which body."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pointsman.plugin import (
    Caller,
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    InvalidRequest,
    Route,
    SurfaceContext,
    SurfaceRequest,
    Understood,
    WholeReply,
)
from pointsman_gateway.surfaces.openai import FACTORY, OpenAISettings


class Recorded:
    """Calls that are kept and answered with nothing."""

    def __init__(self) -> None:
        self.understood: list[Understood] = []

    async def answer(self, asked: SurfaceRequest, understood: Understood) -> WholeReply:
        self.understood.append(understood)
        return WholeReply()


def made() -> tuple[dict[str, Route], Recorded]:
    """The routes by path, aliases included, and the calls that they make."""
    calls = Recorded()
    context = SimpleNamespace(calls=calls, settings=OpenAISettings(), clock=SimpleNamespace(wall=lambda: 1.5))
    routes = FACTORY.make(cast("SurfaceContext", context)).routes()
    return {path: route for route in routes for path in (route.path, *route.aliases)}, calls


def asked(path: str, body: Any) -> SurfaceRequest:
    return SurfaceRequest("POST", path, {}, {}, {}, json.dumps(body).encode(), Caller(), "r")


@pytest.mark.parametrize(
    ("path", "body", "kind", "wire"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}, ChatRequest, "chat"),
        ("/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}, ChatRequest, "chat"),
        ("/v1/completions", {"prompt": "Hi"}, GenerateRequest, "completions"),
        ("/v1/embeddings", {"input": "Hi"}, EmbedRequest, "embeddings"),
        ("/embeddings", {"input": "Hi"}, EmbedRequest, "embeddings"),
    ],
)
async def test_a_body_is_read_by_what_its_path_says(path: str, body: Any, kind: type, wire: str) -> None:
    routes, calls = made()

    await routes[path].handler(asked(path, {"model": "m", **body}))

    (understood,) = calls.understood
    assert isinstance(understood.request, kind)
    assert understood.wire == f"openai.{wire}"


async def test_a_body_that_cannot_be_read_never_reaches_the_router() -> None:
    routes, calls = made()

    with pytest.raises(InvalidRequest, match="messages"):
        await routes["/v1/chat/completions"].handler(asked("/v1/chat/completions", {"model": "m"}))

    assert calls.understood == []
