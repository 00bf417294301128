"""The provider over HTTP: what goes out, what comes back, and the settings it is made from."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from replay import Scripted, assemble, call_for, client_for, context_for

from pointsman import Router, replace
from pointsman.errors import BadResponse, ModelNotFound, PermissionDenied, Truncated, Unavailable, Unsupported
from pointsman.http.event_stream import EventStream
from pointsman.provider import Call
from pointsman.types import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    Message,
    StreamEvent,
    TextDelta,
    ToolChoice,
)
from pointsman_ollama import OllamaPlugin, plugin
from pointsman_ollama.provider import OllamaProvider
from pointsman_ollama.settings import OllamaSettings

HELLO = ChatRequest("public", (Message.user("hello"),))
ANSWER = {
    "model": "m",
    "created_at": "2026-08-10T10:00:01Z",
    "message": {"role": "assistant", "content": "Hi"},
}
DONE = {**ANSWER, "done": True, "done_reason": "stop", "eval_count": 1}
ID = {"x-request-id": "up_1"}


def made(
    *answers: Any, base_url: str | None = None, key: str | None = None, **settings: Any
) -> tuple[OllamaProvider, Scripted]:
    transport = Scripted(answers)
    context = context_for(
        transport, settings=OllamaSettings(**settings), base_url=base_url, name="gpu1", key=key
    )
    return OllamaProvider(context), transport


def a_call(
    provider: OllamaProvider,
    transport: httpx.AsyncBaseTransport,
    *,
    key: str | None = None,
    options: dict[str, Any] | None = None,
) -> Call:
    assert provider.endpoint is not None
    return call_for(client_for(transport, provider.endpoint, key=key), "m", options=options)


async def taken(source: EventStream) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    while (more := await source.next(until=1e12)) is not None:
        events += more
    await source.aclose()
    return events


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in values)


async def test_a_chat_is_one_post_that_carries_our_ids_and_no_key() -> None:
    provider, transport = made((200, DONE, ID))

    response = await provider.chat(HELLO, a_call(provider, transport))

    [sent] = transport.requests
    assert sent.method == "POST"
    assert str(sent.url) == "http://127.0.0.1:11434/api/chat"
    assert sent.headers["x-pointsman-request-id"] == "req-1"
    assert sent.headers["x-pointsman-attempt"] == "1"
    assert "authorization" not in sent.headers
    assert transport.sent() == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
    }
    assert (response.text, response.id, response.upstream_request_id) == ("Hi", "", "up_1")
    assert transport.bodies[0].closed


async def test_a_base_url_may_have_a_path_and_a_key() -> None:
    provider, transport = made((200, DONE), base_url="https://ollama.example/proxy/")

    await provider.chat(HELLO, a_call(provider, transport, key="k-1"))

    assert str(transport.requests[0].url) == "https://ollama.example/proxy/api/chat"
    assert transport.requests[0].headers["authorization"] == "Bearer k-1"


async def test_settings_and_the_deployments_options_reach_the_body() -> None:
    provider, transport = made((200, DONE), keep_alive="10m", options={"num_ctx": 8192}, think=False)

    await provider.chat(HELLO, a_call(provider, transport, options={"num_ctx": 4096, "keep_alive": -1}))

    sent = transport.sent()
    assert (sent["keep_alive"], sent["think"], sent["options"]) == (-1, False, {"num_ctx": 4096})


async def test_a_stream_gives_events_and_the_upstreams_id() -> None:
    first = {**ANSWER, "done": False}
    provider, transport = made((200, [lines(first)[:30], lines(first)[30:] + lines(DONE)], ID))

    source = await provider.stream(HELLO, a_call(provider, transport))
    whole = assemble(await taken(source))

    assert transport.sent()["stream"] is True
    assert source.upstream_request_id == "up_1"
    assert (whole.text, whole.finish_reason, whole.model) == ("HiHi", "stop", "m")


@pytest.mark.parametrize("end", [b"", lines({"error": "runner died"})])
@pytest.mark.parametrize("together", [True, False])
async def test_what_came_before_a_failure_is_delivered_however_the_bytes_were_cut(
    end: bytes, together: bool
) -> None:
    content = lines({**ANSWER, "done": False}, {**ANSWER, "done": False})
    provider, transport = made((200, [content + end] if together else [content, end]))
    source = await provider.stream(HELLO, a_call(provider, transport))

    events = list(await source.next(until=1e12) or ())

    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hi", "Hi"]
    with pytest.raises(Unavailable if end else Truncated):
        await taken(source)
    await source.aclose()


@pytest.mark.parametrize("method", ["chat", "stream"])
async def test_an_error_status_is_our_error_and_the_answer_is_read(method: str) -> None:
    provider, transport = made((404, {"error": "model 'm' not found"}, ID))

    with pytest.raises(ModelNotFound, match="ollama pull m") as raised:
        await getattr(provider, method)(HELLO, a_call(provider, transport))

    assert raised.value.upstream_request_id == "up_1"
    assert transport.bodies[0].closed


async def test_what_is_unsupported_is_noticed_before_anything_is_sent() -> None:
    provider, transport = made((200, DONE))
    request = ChatRequest("public", HELLO.messages, tool_choice=ToolChoice("required"))

    for method in (provider.chat, provider.stream):
        with pytest.raises(Unsupported):
            await method(request, a_call(provider, transport))

    assert transport.requests == []


async def test_a_completion_goes_to_generate() -> None:
    provider, transport = made((200, {"model": "m", "response": "x)", "done": True, "done_reason": "length"}))

    response = await provider.generate(GenerateRequest("p", "def f("), a_call(provider, transport))

    assert transport.requests[0].url.path == "/api/generate"
    assert (response.text, response.finish_reason) == ("x)", "length")


async def test_embeddings_go_to_embed_in_one_call() -> None:
    provider, transport = made((200, {"model": "m", "embeddings": [[1.0], [2.0]]}, ID))

    response = await provider.embed(EmbedRequest("p", ["a", "b"]), a_call(provider, transport))

    assert transport.requests[0].url.path == "/api/embed"
    assert transport.sent() == {"model": "m", "input": ["a", "b"]}
    assert response.vectors == [[1.0], [2.0]]
    assert response.upstream_request_id == "up_1"


async def test_an_answer_that_cannot_be_read_names_the_upstreams_call() -> None:
    provider, transport = made((200, {"embeddings": []}, ID))

    with pytest.raises(BadResponse) as raised:
        await provider.embed(EmbedRequest("p", ["a"]), a_call(provider, transport))

    assert raised.value.upstream_request_id == "up_1"


async def test_a_probe_asks_for_the_version() -> None:
    provider, transport = made((200, {"version": "0.32.14"}))

    await provider.probe()

    assert (transport.requests[0].method, transport.requests[0].url.path) == ("GET", "/api/version")
    assert await provider.version() == "0.32.14"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((200, {"ok": True}), BadResponse),
        ((200, "Welcome"), BadResponse),
        ((403, ""), PermissionDenied),
        ((500, {"error": "x"}), Unavailable),
    ],
)
async def test_a_probe_of_something_else_fails(answer: Any, kind: type[Exception]) -> None:
    provider, _ = made(answer)

    with pytest.raises(kind):
        await provider.probe()


async def test_a_provider_opens_nothing_until_it_must_and_closes_what_it_opened() -> None:
    opened: list[Any] = []
    closed: list[Any] = []

    class Watched(Scripted):
        async def aclose(self) -> None:
            closed.append(self)

    transport = Watched([(200, {"version": "1"})])
    context = context_for(transport, settings=OllamaSettings())
    provider = OllamaProvider(
        replace(context, open=lambda end: opened.append(end) or client_for(transport, end))
    )

    await provider.aclose()
    assert (opened, closed) == ([], [])
    await provider.probe()
    await provider.version()
    await provider.aclose()

    assert len(opened) == 1
    assert closed == [transport]


# ── plugin and settings ──────────────────────────────────────────────────────────────────────────────


def test_the_plugin_offers_one_factory_under_the_name_of_its_entry_point() -> None:
    [factory] = plugin.pointsman_providers()

    assert isinstance(plugin, OllamaPlugin)
    assert (factory.name, factory.settings, factory.make) == ("ollama", OllamaSettings, OllamaProvider)
    assert factory.default_base_url == "http://127.0.0.1:11434"
    assert factory.key_variable == "OLLAMA_API_KEY"
    assert not factory.needs_key
    [point] = [each for each in entry_points(group="pointsman.providers") if each.name == "ollama"]
    assert point.load() is plugin


@pytest.mark.parametrize("keep_alive", ["5m", "1h30m", "1.5h", "-1s", "0", "300ms", 0, -1, 90, 2.5, None])
def test_every_form_of_keep_alive_that_ollama_knows_is_taken(keep_alive: Any) -> None:
    assert OllamaSettings(keep_alive=keep_alive).keep_alive == keep_alive


@pytest.mark.parametrize(
    "given",
    [
        {"keep_alive": "300"},
        {"keep_alive": "1d"},
        {"keep_alive": "soon"},
        {"keep_alive": True},
        {"think": "enormous"},
        {"think": 1},
        {"options": [1]},
        {"num_ctx": 8192},
    ],
)
def test_settings_that_cannot_be_right_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OllamaSettings(**given)


@pytest.mark.parametrize("think", [True, False, "low", "medium", "high", "max", None])
def test_think_is_a_switch_or_a_level(think: Any) -> None:
    assert OllamaSettings(think=think).think is think or OllamaSettings(think=think).think == think


async def test_the_example_of_the_readme_is_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = Path(__file__).parents[3] / "plugins" / "ollama" / "README.md"
    file = tmp_path / "pointsman.yaml"
    file.write_text(readme.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0], "utf-8")
    monkeypatch.setenv("OLLAMA_API_KEY", "k-1")

    async with Router.from_config(file) as router:
        provider = router.provider("gpu1")

    assert isinstance(provider, OllamaProvider)
    assert provider.endpoint.base_url == "http://127.0.0.1:11434"
