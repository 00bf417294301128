"""Model management: pull with progress, lists, details, copy, delete."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from replay import Scripted, context_for

from pointsman.errors import (
    BadResponse,
    ConnectionFailed,
    IdleTimeout,
    ModelNotFound,
    Truncated,
    Unavailable,
)
from pointsman.types import ModelInfo
from pointsman_ollama.manage import ModelDetails, PullProgress, RunningModel
from pointsman_ollama.provider import OllamaProvider
from pointsman_ollama.settings import OllamaSettings

STEPS = [
    {"status": "pulling manifest"},
    {"status": "pulling abc", "digest": "sha256:abc", "total": 10},
    {"status": "pulling abc", "digest": "sha256:abc", "total": 10, "completed": 10},
    {"status": "success"},
]


def made(transport: httpx.AsyncBaseTransport) -> OllamaProvider:
    return OllamaProvider(context_for(transport, settings=OllamaSettings(), name="gpu1"))


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in values)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_pull_tells_its_progress(size: int) -> None:
    body = lines(*STEPS)
    transport = Scripted([(200, [body[n : n + size] for n in range(0, len(body), size)])])

    steps = [step async for step in made(transport).pull("llama3.2")]

    assert steps == [
        PullProgress("pulling manifest"),
        PullProgress("pulling abc", "sha256:abc", 10, None),
        PullProgress("pulling abc", "sha256:abc", 10, 10),
        PullProgress("success"),
    ]
    assert transport.requests[0].url.path == "/api/pull"
    assert transport.sent() == {"model": "llama3.2", "stream": True}
    assert transport.bodies[0].closed


async def test_a_pull_sends_nothing_before_its_first_step_and_can_be_left() -> None:
    transport = Scripted([(200, lines(*STEPS))])

    async with made(transport).pull("m", insecure=True) as pull:
        assert transport.requests == []
        assert (await anext(pull)).status == "pulling manifest"

    assert transport.sent()["insecure"] is True
    assert transport.bodies[0].closed
    assert [step async for step in pull] == []


async def test_a_model_is_made_of_what_is_said_and_tells_its_steps() -> None:
    transport = Scripted([(200, lines(STEPS[0], STEPS[-1]))])

    steps = [step.status async for step in made(transport).create("mine", **{"from": "base", "system": "s"})]

    assert steps == ["pulling manifest", "success"]
    assert transport.requests[0].url.path == "/api/create"
    assert transport.sent() == {"from": "base", "system": "s", "model": "mine", "stream": True}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((200, lines(STEPS[0], {"error": "pull model manifest: file does not exist"})), ModelNotFound),
        ((200, lines(STEPS[0], {"error": "max retries exceeded"})), Unavailable),
        ((200, lines(*STEPS[:-1])), Truncated),
        ((200, b""), Truncated),
        ((200, lines(STEPS[0]) + b"{"), Truncated),
        ((200, lines(STEPS[0]) + b"{\n"), BadResponse),
        ((200, lines({"hello": "you"})), BadResponse),
        ((500, {"error": "no space left on device"}), Unavailable),
    ],
)
async def test_a_pull_that_fails_says_so_and_closes(answer: Any, kind: type[Exception]) -> None:
    transport = Scripted([answer])
    pull = made(transport).pull("m")

    with pytest.raises(kind):
        [step async for step in pull]

    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert transport.bodies[0].closed
    assert [step async for step in pull] == []


async def test_a_pull_passes_a_failed_connection_on() -> None:
    class Refusing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused")

    with pytest.raises(ConnectionFailed):
        await anext(made(Refusing()).pull("m"))


async def test_a_pull_that_falls_silent_times_out() -> None:
    class Silent(httpx.AsyncByteStream):
        closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield lines(STEPS[0])
            await asyncio.Event().wait()

        async def aclose(self) -> None:
            self.closed = True

    class Transport(httpx.AsyncBaseTransport):
        body = Silent()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=self.body)

    transport = Transport()
    pull = made(transport).pull("m", idle=0.02)

    assert (await anext(pull)).status == "pulling manifest"
    with pytest.raises(IdleTimeout):
        await anext(pull)


async def test_models_come_with_size_capabilities_and_context() -> None:
    raw = {
        "name": "qwen3:4b",
        "modified_at": "1970-01-01T01:00:09.123456789+01:00",
        "size": 2497293931,
        "capabilities": ["completion", "tools", 7],
        "details": {"family": "qwen3", "context_length": 40960},
    }
    bare = {"model": "old", "modified_at": "0001-01-01T00:00:00Z"}
    transport = Scripted([(200, {"models": [raw, bare]})])

    assert await made(transport).models() == [
        ModelInfo("qwen3:4b", "gpu1", 9, 40960, ("completion", "tools"), 2497293931, raw),
        ModelInfo("old", "gpu1", raw=bare),
    ]


async def test_running_models_say_where_they_are_and_for_how_long() -> None:
    model = {"name": "m", "size": 9, "size_vram": 0, "expires_at": "2026-08-10T10:00:30.123456Z"}
    transport = Scripted([(200, {"models": [model, {"name": "n", "expires_at": "never"}]})])

    assert await made(transport).ps() == [
        RunningModel("m", 9, 0, datetime(2026, 8, 10, 10, 0, 30, 123456, UTC)),
        RunningModel("n"),
    ]


@pytest.mark.parametrize("value", [{}, {"models": None}, [], {"models": ["m"]}])
async def test_a_list_of_another_shape_is_a_bad_response(value: Any) -> None:
    provider = made(Scripted([(200, value)]))

    for ask in (provider.models, provider.ps):
        with pytest.raises(BadResponse):
            await ask()


async def test_show_tells_what_a_model_is() -> None:
    raw = {
        "details": {"family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"},
        "model_info": {"general.architecture": "llama", "llama.context_length": 131072},
        "capabilities": ["completion", "tools"],
    }
    transport = Scripted([(200, raw)])

    assert await made(transport).show("llama3.2") == ModelDetails(
        "llama3.2", "llama", "3.2B", "Q4_K_M", 131072, ("completion", "tools"), raw
    )
    assert transport.sent() == {"model": "llama3.2"}
    assert await made(Scripted([(200, {})])).show("x") == ModelDetails("x", raw={})


async def test_show_of_a_missing_model_names_it() -> None:
    provider = made(Scripted([(404, {"error": "model 'x' not found"})]))

    with pytest.raises(ModelNotFound, match="ollama pull x"):
        await provider.show("x")


async def test_copy_and_delete_have_bodies_and_no_answer() -> None:
    transport = Scripted([(200, "")])
    provider = made(transport)

    await provider.copy("a", "b")
    await provider.delete("b")

    assert [(each.method, each.url.path) for each in transport.requests] == [
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
    ]
    assert transport.sent(0) == {"source": "a", "destination": "b"}
    assert transport.sent(1) == {"model": "b"}
