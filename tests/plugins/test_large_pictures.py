"""Pictures and documents of more than a megabyte are written beside the loop, whatever the wire."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import pytest
from replay import Scripted, call_for, client_for, context_for

from pointsman.errors import InvalidRequest
from pointsman.provider import Provider
from pointsman.types import ChatRequest, File, GenerateRequest, Image, Message, Part, Text
from pointsman_claude import ClaudeProvider, ClaudeSettings
from pointsman_ollama.provider import OllamaProvider
from pointsman_ollama.settings import OllamaSettings

MESSAGE = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
LINE = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "response": "Hi", "done": True}


class Watched(bytes):
    """Bytes that know in which threads pieces were taken of them."""

    def __new__(cls, size: int) -> Watched:
        made = super().__new__(cls, bytes(range(256)) * (size // 256))
        made.threads = set()
        return made

    threads: set[int]

    def __getitem__(self, key: Any) -> Any:
        self.threads.add(threading.get_ident())
        return super().__getitem__(key)


def provider(kind: str) -> tuple[Provider, Scripted]:
    upstream = Scripted([(200, MESSAGE if kind == "claude" else LINE)])
    if kind == "claude":
        return ClaudeProvider(context_for(upstream, settings=ClaudeSettings(), key="k")), upstream
    return OllamaProvider(context_for(upstream, settings=OllamaSettings())), upstream


async def asked(kind: str, how: str, part: Part, extra: dict[str, Any] | None = None) -> str:
    given, upstream = provider(kind)
    assert given.endpoint is not None
    call = call_for(client_for(upstream, given.endpoint), "m")
    match how:
        case "generate":
            assert isinstance(part, Image)
            await given.generate(GenerateRequest("p", "look", images=(part,)), call)
        case "chat":
            await given.chat(ChatRequest("p", (Message.user((Text("?"), part)),), extra=extra or {}), call)
        case _:
            source = await given.stream(ChatRequest("p", (Message.user((Text("?"), part)),)), call)
            await source.aclose()
    return json.dumps(upstream.sent())


WAYS = [
    *((kind, how, Image) for kind in ("claude", "ollama") for how in ("chat", "stream")),
    ("claude", "chat", File),
    ("ollama", "generate", Image),
]


@pytest.mark.parametrize(("kind", "how", "part"), WAYS)
async def test_a_large_one_is_written_in_another_thread(kind: str, how: str, part: Any) -> None:
    data = Watched(2 << 20)

    sent = await asked(kind, how, part(data))

    assert data.threads
    assert threading.get_ident() not in data.threads
    assert base64.b64encode(data).decode() in sent


@pytest.mark.parametrize(("kind", "how", "part"), WAYS)
async def test_a_small_one_needs_no_thread(kind: str, how: str, part: Any) -> None:
    data = bytes(range(256)) * 16

    assert base64.b64encode(data).decode() in await asked(kind, how, part(data))


@pytest.mark.parametrize("kind", ["claude", "ollama"])
async def test_a_large_request_that_cannot_be_written_is_refused_as_a_small_one_is(kind: str) -> None:
    for size in (256, 2 << 20):
        with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
            await asked(kind, "chat", Image(Watched(size)), extra={"x": object()})
