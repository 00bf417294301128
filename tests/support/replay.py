"""Exchanges with real and made-up upstreams, served again whole or cut anywhere.

Recorded exchanges belong to others and stay outside the project, in `../shared/recorded`; where that folder
is absent, their tests are skipped with a reason. The made-up ones are ours: `tests/constructed`.

    @pytest.mark.parametrize("exchange", exchanges("ollama"))               # all of a provider, with ids
    @pytest.mark.parametrize("exchange", exchanges("openai", where=lambda e: e.streamed))

    transport = ReplayTransport(exchange, seed=3)       # serves the response, cut at offsets of seed 3
    client = client_for(transport, base_url)            # the core's client on top of it
    reply = await provider.chat(request, call_for(client, model="m"))

    events = await events_of(await provider.stream(request, call_for(client)))
    events = decoded(SseFramer(), MyDecoder(), cut(exchange.body, seed=3))  # the same without HTTP
    assembled = assemble(events)                        # what the router would make of the events
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from pointsman.clock import LoopClock
from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Truncated,
    Unavailable,
    Unsupported,
)
from pointsman.http.client import CallTimeouts, Client, Endpoint
from pointsman.http.event_stream import Decoder, EventStream, Framer
from pointsman.provider import Call
from pointsman.testing import replay
from pointsman.testing.replay import context_for as context_for
from pointsman.types import (
    Finished,
    RawDelta,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT.parent / "shared" / "recorded"
CONSTRUCTED = ROOT / "tests" / "constructed"


# ── exchanges ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Exchange:
    """One request and its response. `id` is `recorded/<provider>/<file>` or `constructed/...`."""

    id: str
    data: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Exchange({self.id})"

    @property
    def provider(self) -> str:
        """The folder: which wire and product."""
        return self.id.split("/")[1]

    @property
    def method(self) -> str:
        return str(self.data["request"]["method"])

    @property
    def path(self) -> str:
        """The path of the request, without its query."""
        return str(self.data["request"]["path"]).partition("?")[0]

    @property
    def request(self) -> Any:
        """The body that was sent: a JSON value, or a string when it was none."""
        return self.data["request"].get("body")

    @property
    def status(self) -> int:
        return int(self.data["response"]["status"])

    @property
    def headers(self) -> Mapping[str, str]:
        return {name: str(value) for name, value in self.data["response"]["headers"].items()}

    @property
    def body(self) -> bytes:
        return str(self.data["response"]["body"]).encode()

    @property
    def json(self) -> Any:
        """The body of the response as JSON, None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def kind(self) -> str:
        """The form of a successful answer: json, sse, ndjson, jsonl, text; plain for errors and nothing."""
        return str(self.data["body_kind"])

    @property
    def tags(self) -> Sequence[str]:
        return tuple(self.data.get("tags") or ())

    @property
    def truncated(self) -> bool:
        """The body ends early on purpose."""
        return bool(self.data.get("truncated"))

    @property
    def streamed(self) -> bool:
        """A successful answer in frames."""
        return self.status < 400 and self.kind in ("sse", "ndjson")


@cache
def recorded(provider: str) -> tuple[Exchange, ...]:
    """All recorded exchanges of a folder, () when the recordings are not here."""
    return _load(RECORDED, "recorded", provider)


@cache
def constructed(provider: str) -> tuple[Exchange, ...]:
    """All made-up exchanges of a folder, () when it has none."""
    return _load(CONSTRUCTED, "constructed", provider)


def exchange(id: str) -> Exchange:
    """The one exchange of that id, such as `constructed/openai/013-stream-error-frame`; skips without it."""
    kind, provider, _ = id.split("/")
    known = recorded(provider) if kind == "recorded" else constructed(provider)
    for each in known:
        if each.id == id:
            return each
    if kind == "recorded" and not RECORDED.is_dir():
        pytest.skip("the recorded exchanges are not beside the project")
    raise LookupError(id)


def exchanges(*providers: str, where: Callable[[Exchange], bool] = lambda _: True) -> list[Any]:
    """Parameters for `pytest.mark.parametrize`: recorded and made-up exchanges of folders, with ids.

    Without the recordings, one skipped parameter says so.
    """
    found = [each for name in providers for each in (*recorded(name), *constructed(name)) if where(each)]
    params = [pytest.param(each, id=each.id) for each in found]
    if not RECORDED.is_dir():
        absent = pytest.mark.skip(reason="the recorded exchanges are not beside the project")
        params.append(pytest.param(None, id="recorded", marks=absent))
    return params


def _load(root: Path, kind: str, provider: str) -> tuple[Exchange, ...]:
    return tuple(
        Exchange(f"{kind}/{provider}/{path.stem}", json.loads(path.read_text("utf-8")))
        for path in sorted((root / provider).glob("*.json"))
    )


# ── serving ──────────────────────────────────────────────────────────────────────────────────────────


def cut(body: bytes, *, seed: int | None) -> list[bytes]:
    """`body` in pieces: whole for None; else cut at random offsets, also inside characters and line ends.

    Seed 1 gives single bytes (up to 8 kB), the others pieces of a size that depends on the seed.
    """
    if seed is None or not body:
        return [body] if body else []
    if seed == 1 and len(body) <= 8_000:
        return [body[n : n + 1] for n in range(len(body))]
    rng = random.Random(seed)
    count = rng.choice((1, 3, 10, max(1, len(body) // 20)))
    offsets = sorted(rng.sample(range(1, len(body)), min(count, len(body) - 1))) if len(body) > 1 else []
    return [body[a:b] for a, b in zip([0, *offsets], [*offsets, len(body)], strict=True)]


class Pieces(httpx.AsyncByteStream):
    """A response body in given pieces; `broken` ends it with a broken connection instead of cleanly."""

    def __init__(self, pieces: Iterable[bytes], *, broken: bool = False) -> None:
        self._pieces = list(pieces)
        self._broken = broken
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._broken:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    async def aclose(self) -> None:
        self.closed = True


class ReplayTransport(httpx.AsyncBaseTransport):
    """Serves one exchange's response to every request, and keeps the requests and the bodies it gave.

    Args:
        seed: None serves the body whole, else cut as `cut` says.
        broken: the connection breaks after the body instead of ending.
    """

    def __init__(self, exchange: Exchange, *, seed: int | None = None, broken: bool = False) -> None:
        self._exchange = exchange
        self._seed = seed
        self._broken = broken
        self.requests: list[httpx.Request] = []
        self.bodies: list[Pieces] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        served = self._exchange
        body = Pieces(cut(served.body, seed=self._seed), broken=self._broken)
        self.bodies.append(body)
        return httpx.Response(served.status, headers=dict(served.headers), stream=body)


@dataclass
class Scripted(httpx.AsyncBaseTransport):
    """Answers requests from a list, in order: `(status, body)` or `(status, body, headers)`.

    A body may be bytes, a string, a list of pieces, or anything else, which becomes JSON. The last answer is
    repeated. `requests` holds what came; `sent(n)` is the JSON body of the nth.
    """

    answers: Sequence[tuple[Any, ...]]
    requests: list[httpx.Request] = field(default_factory=list)
    bodies: list[Pieces] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        status, given, headers = (*answer, {})[:3]
        match given:
            case bytes():
                pieces = [given]
            case str():
                pieces = [given.encode()]
            case list() if all(isinstance(each, bytes) for each in given):
                pieces = given
            case _:
                pieces = [json.dumps(given).encode()]
        body = Pieces(pieces)
        self.bodies.append(body)
        return httpx.Response(status, headers=headers, stream=body)

    def sent(self, n: int = 0) -> Any:
        """The JSON body of request number `n`, None when it had none."""
        content = self.requests[n].content
        return json.loads(content) if content else None


def client_for(
    transport: httpx.AsyncBaseTransport, endpoint: Endpoint | str, *, key: str | None = None
) -> Client:
    """The core's client over `transport`, with the running loop's clock."""
    return replay.client_for(endpoint, transport, key=key)


def call_for(
    client: Client | None,
    model: str = "model",
    *,
    seconds: float = 60.0,
    options: Mapping[str, Any] | None = None,
) -> Call:
    """One attempt for `model` with `seconds` of time."""
    limits = client.within(seconds) if client is not None else CallTimeouts(deadline=seconds)
    return Call(model, client, limits, request_id="req-1", attempt=1, options=options or {})


async def events_of(source: EventStream, *, seconds: float = 10.0) -> list[StreamEvent]:
    """All events of a stream that a provider's `stream` gave, which is then closed."""
    events: list[StreamEvent] = []
    until = LoopClock().now() + seconds
    try:
        while (some := await source.next(until)) is not None:
            events += some
    finally:
        await source.aclose()
    return events


# ── decoding without HTTP ────────────────────────────────────────────────────────────────────────────


def decoded(framer: Framer, decoder: Decoder, pieces: Iterable[bytes]) -> list[StreamEvent]:
    """The events of a body that comes in `pieces` and then ends, as the core's `HttpEventStream` makes them."""
    events: list[StreamEvent] = []
    for piece in pieces:
        for frame in framer.feed(piece):
            if not decoder.done:
                events += decoder.decode(frame)
        if decoder.done:
            return events
    for frame in framer.close():
        if not decoder.done:
            events += decoder.decode(frame)
    if not decoder.done:
        events += decoder.close()
    return events


@dataclass
class Assembled:
    """What a stream's events say in all."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    reasoning_blocks: list[Any] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    usage: Usage | None = None
    id: str = ""
    model: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def assemble(events: Iterable[StreamEvent]) -> Assembled:
    """Join a stream's events; asserts what every stream owes.

    One `Started`, the first event of all; `id` and `name` only in the first piece of a tool call; at most
    one `Finished`; no content event that is empty.
    """
    whole = Assembled()
    calls: dict[int, list[str]] = {}
    for position, event in enumerate(events):
        match event:
            case Started():
                assert position == 0, "Started is not the first event, or not the only one"
                whole.id, whole.model = event.id, event.model
            case TextDelta():
                assert event.text, "an empty text delta"
                whole.text += event.text
            case ReasoningDelta():
                assert event.reasoning, "an empty reasoning delta"
                whole.reasoning += event.reasoning
            case RawDelta():
                assert event.raw or event.extra, "an empty raw delta"
                whole.raw |= event.raw
                whole.extra |= event.extra
            case RefusalDelta():
                assert event.refusal, "an empty refusal delta"
                whole.refusal += event.refusal
            case ReasoningBlock():
                whole.reasoning_blocks.append(event.block)
            case ToolCallDelta():
                if event.index in calls:
                    assert not event.id, "a tool call's id is repeated"
                    assert not event.name, "a tool call's name is repeated"
                    assert event.arguments, "an empty tool call delta"
                    calls[event.index][2] += event.arguments
                else:
                    assert event.id, "a tool call without id"
                    calls[event.index] = [event.id, event.name, event.arguments]
            case UsageUpdate():
                whole.usage = event.usage
            case Finished():
                assert whole.finish_reason is None, "finished twice"
                whole.finish_reason, whole.native_finish_reason = event.finish_reason, event.native
            case _:
                raise AssertionError(f"unexpected event {event!r}")
    whole.tool_calls = [ToolCall(call[0], call[1], call[2], index) for index, call in sorted(calls.items())]
    return whole


# ── frames, read independently of the core ───────────────────────────────────────────────────────────


def sse_frames(body: bytes) -> list[tuple[str, str]]:
    """(event, data) of every complete server-sent event, by the plainest reading of the standard."""
    text = body.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    frames = []
    for block in text.split("\n\n")[:-1]:
        name, data = "", []
        for line in block.split("\n"):
            key, _, value = line.partition(":")
            if key == "event":
                name = value.strip()
            elif key == "data":
                data.append(value.removeprefix(" "))
        if data:
            frames.append((name, "\n".join(data)))
    return frames


def json_lines(body: bytes) -> list[Any]:
    """The values of a body of JSON lines."""
    return [json.loads(line) for line in body.decode().split("\n") if line.strip()]


# ── what an exchange of the OpenAI wire says, read independently of the plugin ────────────────────


@dataclass
class Expected:
    """What an OpenAI-style answer amounts to, by the plainest reading of the recording.

    `calls` are (name, arguments) in order; `usage` is (prompt, completion, cached, reasoning).
    """

    error: type[CallError] | None = None
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    finish: str | None = None
    usage: tuple[int | None, int | None, int | None, int | None] | None = None
    id: str = ""
    model: str = ""


def openai_endpoint(exchange: Exchange) -> str:
    """`chat`, `completions`, `embeddings` or `models`; for others `-` and what it is instead."""
    path = exchange.path
    if exchange.provider in ("ollama", "localai") and not path.startswith("/v1/"):
        return f"- {exchange.provider}'s own API"
    if exchange.method == "POST":
        if path.endswith("/chat/completions"):
            return "chat"
        if path.endswith("/completions"):
            return "completions" if exchange.kind != "sse" else "- plain completions are never streamed"
        if path.endswith("/embeddings"):
            return "embeddings"
    if exchange.method == "GET" and path.endswith("/models"):
        return "models"
    for word in ("responses", "conversations", "threads", "batches", "files", "moderations", "rerank"):
        if f"/{word}" in path:
            return f"- {word}"
    for word in ("audio", "images", "fine_tuning", "vector_stores"):
        if f"/{word}/" in path:
            return f"- {word}"
    return {"GET": "- one model or server properties", "DELETE": "- deletion"}.get(
        exchange.method, "- another wire"
    )


def openai_expected(exchange: Exchange) -> Expected:
    """What a chat or completions exchange amounts to."""
    if exchange.status >= 400:
        return Expected(error=openai_error(exchange.status, exchange.json))
    if exchange.kind == "sse":
        return _expected_of_stream(exchange)
    body = exchange.json
    choice = next(each for each in body["choices"] if each.get("index", 0) == 0)
    if "text" in choice and "message" not in choice:
        message: dict[str, Any] = {"content": choice["text"]}
    else:
        message = choice.get("message") or {}
    result = Expected(finish=choice.get("finish_reason") or None, id=body["id"], model=body["model"])
    _take(result, message)
    calls = message.get("tool_calls") or []
    if message.get("function_call"):
        calls = [{"function": message["function_call"]}]
    result.calls = [(each["function"]["name"], each["function"]["arguments"]) for each in calls]
    result.usage = _counts(body.get("usage"))
    return result


def _expected_of_stream(exchange: Exchange) -> Expected:
    result = Expected()
    calls: dict[int, list[str]] = {}
    ended = False
    for name, data in sse_frames(exchange.body):
        if data == "[DONE]":
            ended = True
            break
        chunk = json.loads(data)
        if name == "error" or chunk.get("error"):
            result.error = openai_error(None, chunk)
            return result
        result.id = result.id or chunk["id"]
        result.model = result.model or chunk["model"]
        result.usage = _counts(chunk.get("usage") or chunk.get("x_groq", {}).get("usage")) or result.usage
        for choice in chunk["choices"]:
            if choice["index"] != 0:
                continue
            delta = choice.get("delta") or {}
            _take(result, delta)
            for piece in delta.get("tool_calls") or []:
                call = calls.setdefault(piece["index"], ["", ""])
                call[0] = call[0] or piece["function"].get("name") or ""
                call[1] += piece["function"].get("arguments") or ""
            result.finish = result.finish or choice.get("finish_reason")
    result.calls = [(call[0], call[1]) for _, call in sorted(calls.items())]
    if not ended and result.finish is None:
        result.error = Truncated
    return result


def _take(result: Expected, message: Mapping[str, Any]) -> None:
    result.text += message.get("content") or ""
    result.reasoning += message.get("reasoning_content") or message.get("reasoning") or ""
    result.refusal += message.get("refusal") or ""


def _counts(usage: Any) -> tuple[int | None, int | None, int | None, int | None] | None:
    if not usage:
        return None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    if cached is None:
        cached = usage.get("prompt_cache_hit_tokens", usage.get("cached_tokens"))
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    return usage.get("prompt_tokens"), usage.get("completion_tokens"), cached, reasoning


def openai_error(status: int | None, body: Any) -> type[CallError]:
    """The class that wire/openai.md section 2, wire/localai.md section 8 and the status table ask for."""
    error = (body or {}).get("error") or {}
    code, kind = error.get("code"), error.get("type")
    if "insufficient_quota" in (code, kind) or kind == "quota_exceeded":
        return QuotaExhausted
    words = str(error.get("message", "")) if isinstance(error, Mapping) else ""
    if "too large to process" in words:
        return ContextWindowExceeded
    if "--jinja" in words or words.startswith("image input is not supported"):
        return Unsupported  # the server lacks it, another may not
    if code == "context_length_exceeded" or kind == "exceed_context_size_error":
        return ContextWindowExceeded
    if code in ("model_not_found", "DeploymentNotFound"):
        return ModelNotFound
    if code == "server_is_overloaded" or kind in ("admission_rejected", "model_loading"):
        return Overloaded
    if kind == "not_supported_error" or code in ("unsupported_parameter", "unsupported_value"):
        return Unsupported  # the model lacks it, another may not
    if isinstance(code, int) and code == 503 and status == 503:
        return Overloaded  # LocalAI's cool-down and capacity: with Retry-After
    status = status or (code if isinstance(code, int) else None) or error.get("status_code")
    table: dict[int | None, type[CallError]] = {
        400: InvalidRequest,
        401: AuthenticationFailed,
        403: PermissionDenied,
        404: ModelNotFound,
        413: InvalidRequest,
        422: InvalidRequest,
        429: RateLimited,
    }
    return table.get(status, Unavailable)
