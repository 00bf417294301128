"""Whole answers that are asked for as streams: the same answers, and nobody computes for a caller who is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay import Scripted, call_for, client_for, context_for, cut

from pointsman import Router, replace
from pointsman.errors import AttemptTimeout, BadResponse, CallError, Truncated, Unavailable
from pointsman.http.client import CallTimeouts
from pointsman.provider import Provider
from pointsman.testing import run
from pointsman.types import ChatRequest, ChatResponse, GenerateRequest, Message
from pointsman_claude import ClaudeProvider, ClaudeSettings
from pointsman_localai import LocalAIProvider, LocalAISettings
from pointsman_ollama.provider import OllamaProvider
from pointsman_ollama.settings import OllamaSettings
from pointsman_openai import OpenAIProvider, OpenAISettings

ENOUGH = 20_000
"""Tokens of an answer that nobody stops."""


# ── a server that looks for its client only when it has a token to send ──────────────────────────────


class TokenServer:
    """Computes a token in each turn of the loop, and sends it at once where a stream was asked for.

    Attributes:
        computed: tokens so far.
        ended: set when it computes no more.
        url: where it listens.
    """

    def __init__(self, chunk: Callable[[str], bytes]) -> None:
        self._chunk = chunk
        self.computed = 0
        self.streamed: bool | None = None
        self.at_work = asyncio.Event()
        self.ended = asyncio.Event()

    async def __aenter__(self) -> TokenServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        self.streamed = json.loads(await reader.readexactly(length)).get("stream", False)
        if self.streamed:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while self.computed < ENOUGH:
                self.computed += 1
                if self.computed == 3:
                    self.at_work.set()
                if self.streamed:
                    data = self._chunk("t ")
                    writer.write(b"%x\r\n%s\r\n" % (len(data), data))
                    await writer.drain()
                await asyncio.sleep(0)
        self.ended.set()
        writer.close()


def line(text: str, **more: Any) -> bytes:
    value = {
        "model": "m",
        "created_at": "t",
        "message": {"role": "assistant", "content": text},
        "done": False,
    }
    return json.dumps({**value, **more}).encode() + b"\n"


def frame(text: str) -> bytes:
    value = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def event(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    value = {"type": "content_block_delta", "index": 0, "delta": delta}
    return b"event: content_block_delta\ndata: " + json.dumps(value).encode() + b"\n\n"


CHUNKS = {"ollama": line, "localai": frame, "openai": frame, "claude": event}
DEFAULTS = {"ollama": True, "localai": True, "openai": False, "claude": False}


@pytest.mark.parametrize("transport", ["httpx", "aiohttp", "h1"])
@pytest.mark.parametrize("chosen", [None, True, False])
@pytest.mark.parametrize("kind", CHUNKS)
async def test_a_server_is_free_at_the_next_token_once_the_caller_of_a_whole_answer_is_gone(
    kind: str, chosen: bool | None, transport: str
) -> None:
    underneath = DEFAULTS[kind] if chosen is None else chosen
    own = {} if chosen is None else {"stream_underneath": chosen}
    async with TokenServer(CHUNKS[kind]) as server:
        config = {
            "providers": {"p": {"type": kind, "base_url": server.url, "api_key": "k-for-tests", **own}},
            "transport": transport,
        }
        async with Router.from_config(config) as router:
            call = asyncio.ensure_future(router.chat("p/m", "hello"))
            await server.at_work.wait()

            call.cancel()

            with pytest.raises(asyncio.CancelledError):
                await call
            await server.ended.wait()
    assert server.streamed is underneath
    assert (server.computed < ENOUGH) is underneath


# ── the same answer ──────────────────────────────────────────────────────────────────────────────────

HELLO = ChatRequest("public", (Message.user("hello"),))


def provider(kind: str, answers: Sequence[tuple[Any, ...]], **own: Any) -> tuple[Provider, Scripted]:
    upstream = Scripted(answers)
    made: dict[str, tuple[type[Provider], Any]] = {
        "ollama": (OllamaProvider, OllamaSettings),
        "localai": (LocalAIProvider, LocalAISettings),
        "openai": (OpenAIProvider, OpenAISettings),
        "claude": (ClaudeProvider, ClaudeSettings),
    }
    factory, model = made[kind]
    return factory(context_for(upstream, settings=model(**own), base_url="http://up")), upstream


async def asked(given: Provider, upstream: httpx.AsyncBaseTransport, **limits: Any) -> ChatResponse:
    assert given.endpoint is not None
    call = call_for(client_for(upstream, given.endpoint), "m")
    return await given.chat(HELLO, replace(call, timeouts=CallTimeouts(**limits)) if limits else call)


TEXT = st.text(st.characters(codec="utf-8"), max_size=4)
CALL = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["call_a", "call_b", "call_c"]),
        "function": st.fixed_dictionaries(
            {
                "name": st.sampled_from("fg"),
                "arguments": st.dictionaries(st.sampled_from("xy"), st.integers(0, 9)),
            }
        ),
    }
)
PIECE = st.fixed_dictionaries(
    {"content": TEXT},
    optional={"thinking": TEXT.filter(bool), "tool_calls": st.lists(CALL, min_size=1, max_size=2)},
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(PIECE, min_size=1, max_size=6),
    st.sampled_from(["stop", "length", None]),
    st.booleans(),
    st.integers(1, 6),
)
def test_an_answer_of_ollama_is_the_same_in_lines_and_in_one_piece(
    pieces: list[dict[str, Any]], reason: str | None, with_usage: bool, seed: int
) -> None:
    end: dict[str, Any] = {"done": True, "total_duration": 5}
    if reason is not None:
        end["done_reason"] = reason
    if with_usage:
        end |= {"prompt_eval_count": 3, "eval_count": 4}
    message: dict[str, Any] = {"role": "assistant", "content": "".join(each["content"] for each in pieces)}
    if thinking := "".join(each.get("thinking", "") for each in pieces):
        message["thinking"] = thinking
    if calls := [call for each in pieces for call in each.get("tool_calls", ())]:
        message["tool_calls"] = calls
    base = {"model": "m", "created_at": "t"}
    lines = [{**base, "message": {"role": "assistant", **each}, "done": False} for each in pieces]
    lines.append({**base, "message": {"role": "assistant", "content": ""}, **end})
    body = b"".join(json.dumps(each).encode() + b"\n" for each in lines)

    async def both() -> list[ChatResponse]:
        streamed = provider("ollama", [(200, cut(body, seed=seed))])
        whole = provider("ollama", [(200, {**base, "message": message, **end})], stream_underneath=False)
        return [await asked(*streamed), await asked(*whole)]

    streamed, whole = run(both())
    assert streamed == whole


@pytest.mark.parametrize("kind", ["localai", "openai"])
@pytest.mark.parametrize("reason", ["stop", "length"])
@pytest.mark.parametrize("calls", [0, 2])
async def test_an_answer_of_the_openai_wire_is_the_same_in_events_and_in_one_piece(
    kind: str, reason: str, calls: int
) -> None:
    made = [
        {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": f"[{n}]"}}
        for n in range(calls)
    ]
    message = {"role": "assistant", "content": "Hi you", "reasoning_content": "Hm", "tool_calls": made}
    counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    base = {"id": "u", "object": "chat.completion", "model": "m"}
    whole = {**base, "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": counts}
    deltas: list[dict[str, Any]] = [{"reasoning_content": "Hm"}, {"content": "Hi"}, {"content": " you"}]
    deltas += [{"tool_calls": [{"index": n, **call}]} for n, call in enumerate(made)]
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": each, "finish_reason": None}]} for each in deltas
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    chunks.append({**base, "choices": [], "usage": counts})
    body = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks) + b"data: [DONE]\n\n"
    id = {"x-correlation-id": "up_1"}

    streamed, upstream = provider(kind, [(200, body, id)], stream_underneath=True)
    one = await asked(streamed, upstream)
    other = await asked(*provider(kind, [(200, whole, id)], stream_underneath=False))

    assert upstream.sent()["stream_options"] == {"include_usage": True}
    assert replace(one, raw=None) == replace(other, raw=None)
    assert one.upstream_request_id == "up_1"


async def test_a_completion_of_ollama_is_asked_for_as_a_stream_too() -> None:
    lines = [{"model": "m", "response": each, "done": False} for each in ("x", ")")]
    end = {"model": "m", "response": "", "done": True, "done_reason": "length", "context": [1, 2]}
    body = b"".join(json.dumps(each).encode() + b"\n" for each in (*lines, end))
    given, upstream = provider("ollama", [(200, body)])
    assert given.endpoint is not None

    response = await given.generate(
        GenerateRequest("p", "def f("), call_for(client_for(upstream, given.endpoint), "m")
    )

    assert upstream.sent()["stream"] is True
    assert (response.text, response.finish_reason) == ("x)", "length")
    assert response.raw == {**end, "response": "x)"}


async def test_an_answer_of_claude_is_the_same_in_events_and_in_one_piece() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "text", "text": "Hi you"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 2**70}},
    ]
    usage = {"input_tokens": 3, "output_tokens": 4}
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    end = {"stop_reason": "tool_use", "stop_sequence": None}
    values: list[dict[str, Any]] = [{"type": "message_start", "message": {**base, "content": []}}]
    for n, block in enumerate(content):
        values.append({"type": "content_block_start", "index": n, "content_block": block})
        values.append({"type": "content_block_stop", "index": n})
    values.append({"type": "message_delta", "delta": end, "usage": usage})
    values.append({"type": "message_stop"})
    body = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in values)

    streamed, upstream = provider("claude", [(200, body, {"request-id": "up_1"})], stream_underneath=True)
    one = await asked(streamed, upstream)
    whole = {**base, "content": content, **end, "usage": usage}
    other = await asked(*provider("claude", [(200, whole, {"request-id": "up_1"})]))

    assert upstream.sent()["stream"] is True
    assert one == other


@pytest.mark.parametrize("kind", ["localai", "openai"])
async def test_what_has_no_place_in_an_answer_is_in_raw_all_the_same(kind: str) -> None:
    tokens = [{"token": each, "logprob": -0.5} for each in ("Hi", " you")]
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": each["token"]}, "logprobs": {"content": [each]}}]}
        for each in tokens
    ]
    body = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks) + b"data: [DONE]\n\n"
    given, upstream = provider(kind, [(200, body)], stream_underneath=True)
    assert given.endpoint is not None

    response = await given.chat(
        replace(HELLO, logprobs=True), call_for(client_for(upstream, given.endpoint), "m")
    )

    assert upstream.sent()["logprobs"] is True
    assert response.text == "Hi you"
    assert response.raw == {"logprobs": {"content": tokens}}


@pytest.mark.parametrize("kind", ["localai", "openai"])
async def test_several_choices_are_asked_for_in_one_piece(kind: str) -> None:
    choices = [{"index": n, "message": {"content": f"Hi {n}"}, "finish_reason": "stop"} for n in range(2)]
    given, upstream = provider(kind, [(200, {"choices": choices})], stream_underneath=True)
    assert given.endpoint is not None

    response = await given.chat(
        replace(HELLO, extra={"n": 2}), call_for(client_for(upstream, given.endpoint), "m")
    )

    assert "stream" not in upstream.sent()
    assert response.raw["choices"] == choices


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────

WRONG: dict[str, tuple[bytes, type[CallError]]] = {
    "it ends too early": (line("a"), Truncated),
    "it fails half way": (line("a") + b'{"error": "runner died"}\n', Unavailable),
    "a line is broken": (line("a") + b"{]\n", BadResponse),
}


@pytest.mark.parametrize("what", WRONG)
async def test_half_an_answer_is_an_error_and_its_connection_is_closed(what: str) -> None:
    body, kind = WRONG[what]
    given, upstream = provider("ollama", [(200, body, {"x-request-id": "up_1"})])

    with pytest.raises(kind) as raised:
        await asked(given, upstream)

    assert raised.value.upstream_request_id == "up_1"
    for _ in range(5):
        await asyncio.sleep(0)  # a transport that cannot abort closes in a task of its own
    assert upstream.bodies[0].closed


class Slow(httpx.AsyncBaseTransport):
    """Answers after `head` seconds, and then sends a piece of the answer after each `gap` seconds."""

    def __init__(self, pieces: Sequence[bytes], *, head: float, gap: float) -> None:
        self.pieces, self.head, self.gap = pieces, head, gap

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self.head)
        return httpx.Response(200, stream=_Slowly(self))


class _Slowly(httpx.AsyncByteStream):
    def __init__(self, owner: Slow) -> None:
        self._owner = owner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._owner.pieces:
            await asyncio.sleep(self._owner.gap)
            yield piece


END = line("", done=True, done_reason="stop")
FRAMES = [frame("a"), b"data: [DONE]\n\n"]
EVENTS = [event("a"), b'data: {"type":"message_stop"}\n\n']


@pytest.mark.parametrize(
    ("kind", "pieces"), [("ollama", [line("a"), END]), ("localai", FRAMES), ("claude", EVENTS)]
)
def test_a_whole_answer_has_the_time_of_its_attempt_however_slow_its_tokens_are(
    kind: str, pieces: list[bytes]
) -> None:
    given, _ = provider(kind, [], stream_underneath=True)
    slow = Slow(pieces, head=10, gap=20)

    assert run(asked(given, slow, deadline=60, first_token=1, idle=1)).text == "a"
    with pytest.raises(AttemptTimeout) as raised:
        run(asked(given, slow, deadline=60, first_token=1, idle=1, attempt=40))

    assert type(raised.value) is AttemptTimeout
