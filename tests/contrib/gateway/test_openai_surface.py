"""The surface of OpenAI's API: which handler reads which body."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.plugin import Caller, ChatRequest, EmbedRequest, GenerateRequest
from pointsman.testing import SurfaceHost
from pointsman_gateway.surfaces.openai import FACTORY, OpenAISettings


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
    host = SurfaceHost()
    host.make(FACTORY, OpenAISettings())

    await host.ask("POST", path, json.dumps({"model": "m", **body}).encode())

    (call,) = host.calls
    assert isinstance(call.understood.request, kind)
    assert call.understood.wire == f"openai.{wire}"


async def test_a_body_that_cannot_be_read_never_reaches_the_router() -> None:
    host = SurfaceHost()
    host.make(FACTORY, OpenAISettings())

    served = await host.ask("POST", "/v1/chat/completions", b'{"model": "m"}')

    assert (served.status, host.calls) == (400, [])
    assert "messages" in json.loads(served.body)["error"]["message"]


@pytest.mark.parametrize("name", ["small", "org/large"])
async def test_a_model_is_told_by_its_name_whatever_that_holds(name: str) -> None:
    host = SurfaceHost(models=["small", "org/large"])
    host.make(FACTORY, OpenAISettings())

    one = json.loads((await host.ask("GET", f"/v1/models/{name}")).body)
    page = json.loads((await host.ask("GET", "/v1/models")).body)

    assert one["id"] == name
    assert one in page["data"]


async def test_a_model_that_a_caller_may_not_use_is_not_there() -> None:
    host = SurfaceHost(models=["small", "large"])
    host.make(FACTORY, OpenAISettings())
    caller = Caller("somebody", frozenset(["small"]))

    page = json.loads((await host.ask("GET", "/v1/models", caller=caller)).body)
    served = await host.ask("GET", "/v1/models/large", caller=caller)

    assert [each["id"] for each in page["data"]] == ["small"]
    assert served.status == 400  # as the host tells all that a handler raises
