"""Recorded requests go through a router to an upstream of their wire, and nothing of either side is lost.

The body reaches the upstream equal but for the model, headers and query of the wire with it; the answer comes
back equal but for the model, and so do the refusals of what the caller did wrong. One thing is added, and taken
out again: the token counts of OpenAI's chats that are streamed without asking for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest
from replay import Exchange, recorded

from pointsman import Router
from pointsman.errors import CallError, InvalidRequest, MidStreamError, Outcome, Unsupported
from pointsman.original import Original
from pointsman.plugin import PointsmanSpec, TransportFactory, Understood, hookimpl
from pointsman.testing import CannedReply, ReplayTransport, run
from pointsman.types import ChatRequest, EmbedRequest, Relayed
from pointsman_wires import (
    anthropic,
    ollama,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)

Read = Callable[..., Understood]


def _read_prompt(body: bytes, *, request_id: str, wall: float) -> Understood:
    return ollama.read_generate(json.loads(body), wall=wall)


WIRES: Mapping[str, tuple[str, Sequence[str], Mapping[str, Read]]] = {
    "anthropic": ("claude", ["anthropic"], {"/v1/messages": anthropic.read}),
    "openai": (
        "openai",
        ["openai", "openai-compatible", "llamacpp"],
        {
            "/chat/completions": openai_chat.read,
            "/completions": openai_completions.read,
            "/embeddings": openai_embeddings.read,
            "/responses": openai_responses.read,
            "/responses/compact": openai_responses.read_compact,
        },
    ),
    "ollama": ("ollama", ["ollama"], {"/api/chat": ollama.read, "/api/generate": _read_prompt}),
}
PUBLIC = "the public name"
KEY = "sk-upstream-0123456789"


def of(kind: str) -> Iterator[tuple[Exchange, Read]]:
    """The exchanges of a wire that ask a model something, each with what reads its body."""
    _, folders, readers = WIRES[kind]
    for exchange in (each for folder in folders for each in recorded(folder)):
        for end, read in readers.items():
            if (
                exchange.method == "POST"
                and exchange.path.endswith(end)
                and not (end == "/completions" and exchange.path.endswith("/chat/completions"))
                and isinstance(exchange.request, dict)
                and exchange.request.get("model")
                and not _is_asked_whole(exchange, read)
            ):
                yield exchange, read


def _is_asked_whole(exchange: Exchange, read: Read) -> bool:
    """Streams of plain completions are asked for whole, in our own words."""
    streams = bool(exchange.request.get("stream") or exchange.streamed)
    if read is _read_prompt:
        return streams and any(map(exchange.request.get, ("suffix", "raw", "template", "context")))
    return read is openai_completions.read and streams


class Recording(PointsmanSpec):
    """A transport that answers as the upstream of `exchange` did."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.transport = ReplayTransport(lambda _request: self._reply())

    def _reply(self) -> CannedReply:
        assert self.exchange is not None
        return CannedReply(self.exchange.status, self.exchange.body, self.exchange.headers).cut_by(3)

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        return [TransportFactory("recording", None, lambda _context: self.transport)]

    def router(self, kind: str) -> Router:
        provider = {"type": kind, "transport": "recording", "auth": {"type": "static", "value": KEY}}
        given = {
            "providers": {"up": provider},
            "models": {
                PUBLIC: {
                    "deployments": [
                        {"provider": "up", "model": "up-1", "circuit_breaker": {"enabled": False}}
                    ]
                }
            },
            "retry": {"type": "none"},
        }
        return Router.from_config(given, plugins=[self])


async def ask(r: Router, exchange: Exchange, read: Read) -> bytes:
    """What comes back to who asks as the recording did."""
    body = json.dumps({**exchange.request, "model": PUBLIC}).encode()
    understood = read(body, request_id="req-1", wall=1.0)
    headers = {name: str(value) for name, value in exchange.data["request"]["headers"].items()}
    query = str(exchange.data["request"]["path"]).partition("?")[2]
    asked = understood.request
    original = Original(
        understood.wire, body, asked, headers, query, understood.needs_wire, understood.opaque
    )
    if understood.stream:
        assert isinstance(asked, ChatRequest)
        came = b""
        async with r.stream(asked, original=original) as stream:
            while batch := await stream.batch():
                came += b"".join(each.data for each in batch if isinstance(each, Relayed))
        return came
    if isinstance(asked, ChatRequest):
        return (await r.chat(asked, original=original)).relayed
    if isinstance(asked, EmbedRequest):
        return (await r.embed(asked, original=original)).relayed
    return (await r.generate(asked, original=original)).relayed


def parts(body: bytes) -> list[Any]:
    """What the frames of a body say, with the public name where that of the model stands."""
    text = body.decode()
    if text.lstrip()[:1] == "{":
        return [
            named(json.loads(each))
            for each in ([text] if not text.rstrip().count("\n{") else text.split("\n"))
            if each.strip()
        ]
    found: list[Any] = []
    for frame in text.replace("\r\n", "\n").split("\n\n"):
        lines = frame.split("\n")
        data = "\n".join(each[5:].removeprefix(" ") for each in lines if each.startswith("data:"))
        event = [each[6:].strip() for each in lines if each.startswith("event:")]
        if data and event != ["ping"]:
            found.append((event, data if data == "[DONE]" else named(json.loads(data))))
    return found


def named(value: Any) -> Any:
    if isinstance(value, dict):
        if "model" in value:
            value = {**value, "model": PUBLIC}
        for holder in ("message", "response"):
            if isinstance(held := value.get(holder), dict) and "model" in held:
                value = {**value, holder: {**held, "model": PUBLIC}}
    return value


@pytest.mark.parametrize("kind", WIRES)
def test_nothing_of_a_recorded_exchange_is_lost(kind: str) -> None:
    found = [(exchange, read) for exchange, read in of(kind) if exchange.status == 200]
    if not found:
        pytest.skip("the recorded exchanges are not beside the project")
    recording, done, without = Recording(), 0, 0

    async def main() -> None:
        nonlocal done, without
        async with recording.router(WIRES[kind][0]) as r:
            for recording.exchange, read in found:
                exchange = recording.exchange
                try:
                    came = await ask(r, exchange, read)
                except InvalidRequest:
                    assert exchange.id in UNREAD
                    continue
                except MidStreamError:
                    assert b'"error"' in exchange.body
                    continue
                sent = recording.transport.requests[-1]
                unasked = has_unasked_counts(exchange)
                expects = {**exchange.request, **(unasked or {}), "model": "up-1"}
                assert json.loads(sent.content) == expects, exchange.id
                check_head(exchange, sent)
                came = came.replace(b"pm.%b." % r.provider("up").mark.encode(), b"")  # of opaque reasoning
                expected = [
                    each for each in parts(exchange.body) if each != STRAY or "/chat/" in exchange.path
                ]
                if unasked:
                    expected = without_counts(expected)
                    without += expected != parts(exchange.body)
                assert parts(came) == expected, exchange.id
                done += 1
        assert done >= LEAST[kind]
        assert bool(without) == (kind == "openai"), "nothing had to be taken out"

    run(main())


def has_unasked_counts(exchange: Exchange) -> dict[str, Any] | None:
    """What is added to the request, if anything."""
    asked = exchange.request
    options = asked.get("stream_options") or {}
    if not exchange.path.endswith("/chat/completions") or not asked.get("stream"):
        return None
    return None if options.get("include_usage") else {"stream_options": {**options, "include_usage": True}}


def without_counts(frames: Sequence[Any]) -> list[Any]:
    """Frames without the one of mere counts, and without `null` in place of counts."""
    kept = []
    for event, said in frames:
        if isinstance(said, dict) and "usage" in said:
            if said["usage"] is not None and not said.get("choices"):
                continue
            if said["usage"] is None:
                said = {name: value for name, value in said.items() if name != "usage"}
        kept.append((event, said))
    return kept


STRAY = ([], "[DONE]")
"""What ends a chat, and has no place in the other wires, though servers send it there, too."""
UNREAD = (
    "recorded/openai-compatible/014-chat-file",
    "recorded/openai/084-compact-prev-id",
    "recorded/openai/085-compact-prev-id",
)
"""Bodies that the wire's own reader refuses: a file as mere base64, which one server takes; a conversation that is
made shorter without any input."""
LEAST = {"anthropic": 100, "openai": 220, "ollama": 30}
"""Exchanges that are compared at least."""


def check_head(exchange: Exchange, sent: httpx.Request) -> None:
    """The headers of the API went along, and its query; the credential is ours."""
    given = exchange.data["request"]["headers"]
    for name in ("anthropic-version", "anthropic-beta", "openai-beta"):
        assert given.get(name, "") in sent.headers.get(name, "") or name not in given, exchange.id
    assert ("?beta=true" in str(sent.url)) == ("?beta=true" in exchange.data["request"]["path"])
    assert KEY in sent.headers.get("authorization", sent.headers.get("x-api-key", ""))


@pytest.mark.parametrize("kind", WIRES)
def test_a_refusal_of_what_the_caller_did_comes_back_in_the_words_of_the_upstream(kind: str) -> None:
    found = [(exchange, read) for exchange, read in of(kind) if exchange.status >= 400]
    if not found:
        pytest.skip("there is no such recorded exchange beside the project")

    async def main() -> None:
        for exchange, read in found:
            recording = Recording()
            recording.exchange = exchange
            async with recording.router(WIRES[kind][0]) as r:
                with pytest.raises(CallError) as caught:
                    await ask(r, exchange, read)
            error = caught.value
            if not recording.transport.requests:
                assert isinstance(error, InvalidRequest | Unsupported), exchange.id
            elif error.outcome is Outcome.CLIENT_FAULT:
                assert error.status == exchange.status
                said = exchange.body if exchange.body.startswith(b"{") else b"{}"  # a text is nobody's shape
                assert json.loads(error.body or b"{}") == json.loads(said), exchange.id
            else:
                assert error.body == b"", exchange.id

    run(main())
