"""Requests that go to the upstream as their callers wrote them, and answers that come back as they were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from pointsman import Router
from pointsman.errors import CallError, InvalidRequest, MidStreamError, Unsupported
from pointsman.original import Original
from pointsman.plugin import GuardCall, GuardFactory, PointsmanSpec, TransportFactory, hookimpl, replace
from pointsman.testing import CannedReply, ReplayTransport, run
from pointsman.types import (
    ChatRequest,
    Done,
    EmbedRequest,
    GenerateRequest,
    Message,
    Relayed,
    Request,
    StreamEvent,
    TextDelta,
    Tool,
)
from pointsman_wires.anthropic import for_upstream


class Canned(PointsmanSpec):
    """A transport for all providers."""

    def __init__(self, transport: ReplayTransport) -> None:
        self._transport = transport

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        return [TransportFactory("canned", None, lambda _context: self._transport)]


def router_for(transport: ReplayTransport, *types: str, **model: Any) -> Router:
    """One model `public` with a deployment `<type>/up-1` at each of these, in order of priority."""
    providers = {
        name: {
            "type": name,
            "auth": {"type": "static", "value": "sk-upstream-0123456789"},
            "transport": "canned",
        }
        for name in types
    }
    deployments = [{"provider": name, "model": "up-1", "priority": n} for n, name in enumerate(types)]
    given = {"providers": providers, "models": {"public": {"deployments": deployments, **model}}}
    return Router.from_config(given, plugins=[Canned(transport)])


def asked(**changes: Any) -> ChatRequest:
    return ChatRequest("public", (Message.user("why?"),), **changes)


def original(wire: str, body: object, request: Request, **more: Any) -> Original:
    return Original(wire, json.dumps(body).encode(), request, **more)


def sent(transport: ReplayTransport, n: int = -1) -> Any:
    return json.loads(transport.requests[n].content)


OPENAI = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "up-1-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    "novelty": {"model": "inner", "x": [1, 2.50]},
}
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "up-1-2026",
    "content": [{"type": "text", "text": "ok"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
    "novelty": {"model": "inner"},
}


def reply(value: object, **more: Any) -> CannedReply:
    return CannedReply(body=json.dumps(value).encode(), **more)


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "wire", "answer"), [("openai", "openai.chat", OPENAI), ("claude", "anthropic", CLAUDE)]
)
def test_body_and_answer_are_the_same_but_for_the_model(kind: str, wire: str, answer: Any) -> None:
    body = {
        "model": "public",
        "messages": [{"role": "user", "content": "why?", "novelty": 1}],
        "max_tokens": 7,
        "unknown": {"model": "inner", "n": 1.50},
        "metadata": {"user_id": "u"},
    }
    transport = ReplayTransport(reply(answer))

    async def main() -> None:
        async with router_for(transport, kind) as r:
            request = asked(max_tokens=7)
            got = await r.chat(request, original=original(wire, body, request))
        assert sent(transport) == {**body, "model": "up-1"}
        assert json.loads(got.relayed) == {**answer, "model": "public"}
        assert (got.text, got.usage.total, got.deployment) == ("ok", 4, f"{kind}/up-1")

    run(main())


def test_a_provider_of_another_wire_gets_the_request_and_its_answer_is_not_relayed() -> None:
    transport = ReplayTransport(reply(CLAUDE))

    async def main() -> None:
        async with router_for(transport, "claude") as r:
            request = asked()
            got = await r.chat(request, original=original("openai.chat", {"model": "public"}, request))
        assert got.relayed == b""
        assert sent(transport)["max_tokens"] == 4096

    run(main())


def test_what_only_its_wire_can_say_passes_over_the_others() -> None:
    transport = ReplayTransport(reply(OPENAI))
    body = {"model": "public", "messages": [], "audio": {"voice": "a"}}

    async def main() -> None:
        async with router_for(transport, "claude", "openai") as r:
            request = asked()
            got = await r.chat(request, original=original("openai.chat", body, request, needs_wire=["audio"]))
        assert (got.deployment, got.attempts) == ("openai/up-1", 1)
        assert sent(transport)["audio"] == {"voice": "a"}

    run(main())


def test_without_a_provider_of_its_wire_it_is_refused_by_name() -> None:
    async def main() -> None:
        async with router_for(ReplayTransport(), "claude") as r:
            request = asked()
            given = original("openai.chat", {"model": "public"}, request, needs_wire=["audio", "modalities"])
            with pytest.raises(Unsupported, match="`audio`, `modalities`.*'openai.chat'"):
                await r.chat(request, original=given)
            with pytest.raises(Unsupported, match="`audio`, `modalities`.*'openai.chat'"):
                async with r.stream(request, original=given):
                    pass

    run(main())


def test_defaults_are_written_beside_what_the_caller_wrote() -> None:
    transport = ReplayTransport(reply(OPENAI))
    body = {"model": "public", "messages": [{"role": "user", "content": [{"type": "novelty"}]}], "seed": 1}

    async def main() -> None:
        async with router_for(transport, "openai", defaults={"temperature": 0.5, "max_tokens": 9}) as r:
            request = asked(seed=1)
            await r.chat(request, original=original("openai.chat", body, request))
        assert sent(transport) == {**body, "model": "up-1", "temperature": 0.5, "max_completion_tokens": 9}

    run(main())


def test_of_a_member_that_is_there_twice_the_upstream_gets_one() -> None:
    transport = ReplayTransport(reply(OPENAI))
    body = b'{"model":"secret-1","messages":[],"model":"public"}'

    async def main() -> None:
        async with router_for(transport, "openai") as r:
            request = asked()
            await r.chat(request, original=Original("openai.chat", body, request))
        assert transport.requests[0].content == b'{"model":"up-1","messages":[]}'

    run(main())


def test_a_body_that_is_no_object_is_refused_before_anything_is_sent() -> None:
    transport = ReplayTransport()

    async def main() -> None:
        async with router_for(transport, "openai") as r:
            request = asked()
            with pytest.raises(InvalidRequest, match="not a JSON object"):
                await r.chat(request, original=Original("openai.chat", b"[1]", request))
        assert transport.requests == []

    run(main())


def test_embeddings_and_plain_completions_are_relayed_too() -> None:
    vectors = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
        "model": "up-1",
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
    completion = {
        "id": "cmpl-1",
        "model": "up-1",
        "choices": [{"text": "ok", "index": 0, "finish_reason": "stop"}],
    }
    transport = ReplayTransport(reply(vectors), reply(completion))

    async def main() -> None:
        async with router_for(transport, "openai") as r:
            texts = EmbedRequest("public", ("a",))
            body = {"model": "public", "input": "a", "novelty": 1}
            got = await r.embed(texts, original=original("openai.embeddings", body, texts))
            assert (got.vectors, json.loads(got.relayed)) == ([[0.5, 0.25]], {**vectors, "model": "public"})
            assert sent(transport) == {**body, "model": "up-1"}

            prompt = GenerateRequest("public", "a")
            body = {"model": "public", "prompt": "a", "best_of": 2}
            done = await r.generate(prompt, original=original("openai.completions", body, prompt))
            assert (done.text, json.loads(done.relayed)) == ("ok", {**completion, "model": "public"})
            assert sent(transport) == {**body, "model": "up-1"}
        assert [request.url.path for request in transport.requests] == ["/v1/embeddings", "/v1/completions"]

    run(main())


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


def chunk(content: str | None, model: str = "up-1-2026", **more: Any) -> bytes:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if content is None else None}
    value = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": [choice],
    }
    return b"data: " + json.dumps({**value, **more}, separators=(",", ":")).encode() + b"\n\n"


HELD = '{"model":"up-1-2026"} "model":"up-1-2026"'
OPENAI_STREAM = b"".join(
    (
        chunk("", novelty={"model": "up-1-2026"}),
        chunk("why "),
        chunk(HELD),
        b": a comment\n\n",
        chunk(" not"),
        chunk(None),
        b"data: [DONE]\n\n",
    )
)


def frame(name: str, **value: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **value})}\n\n".encode()


START = {**CLAUDE, "content": [], "stop_reason": None}
CLAUDE_STREAM = b"".join(
    (
        frame("message_start", message=START),
        frame("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        frame("ping"),
        frame("content_block_delta", index=0, delta={"type": "text_delta", "text": "why "}),
        frame("novelty", model="up-1-2026"),
        frame("content_block_delta", index=0, delta={"type": "text_delta", "text": HELD + " not"}),
        frame("content_block_stop", index=0),
        frame("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3}),
        frame("message_stop"),
    )
)


def values(stream: bytes) -> list[Any]:
    """What the frames of a stream say, without comments and pings."""
    found = []
    for each in stream.decode().split("\n\n"):
        data = [line[6:] for line in each.split("\n") if line.startswith("data: ")]
        if data and "event: ping" not in each:
            found.append(data[0] if data[0] == "[DONE]" else json.loads(data[0]))
    return found


def named(value: Any) -> Any:
    """A frame with the public name where the upstream's stood."""
    if isinstance(value, dict) and value.get("object") == "chat.completion.chunk":
        return {**value, "model": "public"}
    if isinstance(value, dict) and "message" in value:
        return {**value, "message": {**value["message"], "model": "public"}}
    return value


async def relayed(r: Router, wire: str) -> tuple[list[list[StreamEvent]], bytes]:
    """The batches of a stream, and what was sent on."""
    request, batches = asked(), []
    body = {"model": "public", "messages": [], "stream": True}
    async with r.stream(request, original=original(wire, body, request)) as stream:
        while batch := await stream.batch():
            batches.append(batch)
    return batches, b"".join(each.data for batch in batches for each in batch if isinstance(each, Relayed))


CUTS = range(40)
STREAMS = [("openai", "openai.chat", OPENAI_STREAM), ("claude", "anthropic", CLAUDE_STREAM)]


@pytest.mark.parametrize(("kind", "wire", "body"), STREAMS)
def test_however_a_stream_is_cut_its_frames_come_back_as_they_were_but_for_the_model(
    kind: str, wire: str, body: bytes
) -> None:
    transport = ReplayTransport(*(CannedReply(200, body).cut_by(seed) for seed in CUTS))

    async def main() -> None:
        async with router_for(transport, kind) as r:
            for seed in CUTS:
                batches, came = await relayed(r, wire)
                assert values(came) == [named(each) for each in values(body)], seed
                done = batches[-1][-1]
                assert isinstance(done, Done)
                assert done.response.text == f"why {HELD} not"
                assert "".join(each.text for batch in batches for each in batch) == done.response.text

    run(main())


@pytest.mark.parametrize(("kind", "wire", "body"), STREAMS)
def test_lines_may_end_as_in_other_systems(kind: str, wire: str, body: bytes) -> None:
    transport = ReplayTransport(CannedReply(200, body.replace(b"\n", b"\r\n")).cut_by(1))

    async def main() -> None:
        async with router_for(transport, kind) as r:
            _, came = await relayed(r, wire)
        assert values(came) == [named(each) for each in values(body)]

    run(main())


@pytest.mark.parametrize(("kind", "wire", "body"), STREAMS)
def test_what_follows_the_end_marker_is_not_sent_on(kind: str, wire: str, body: bytes) -> None:
    transport = ReplayTransport(CannedReply(200, body + b"event: data\ndata: [DONE]\n\ndata: more\n\n"))

    async def main() -> None:
        async with router_for(transport, kind) as r:
            _, came = await relayed(r, wire)
        assert values(came) == [named(each) for each in values(body)]

    run(main())


def test_an_end_without_its_marker_gets_one_where_the_answer_is_whole() -> None:
    body = OPENAI_STREAM.removesuffix(b"data: [DONE]\n\n")
    transport = ReplayTransport(CannedReply(200, body))

    async def main() -> None:
        async with router_for(transport, "openai") as r:
            _, came = await relayed(r, "openai.chat")
        assert came.endswith(b"\n\ndata: [DONE]\n\n")

    run(main())


@pytest.mark.parametrize(("kind", "wire", "body"), STREAMS)
@pytest.mark.parametrize(
    "frame_of_error",
    [
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"full"}}\n\n',
        b"data: {no JSON\n\n",
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_frame_with_an_error_is_not_sent_on_and_all_before_it_are(
    kind: str, wire: str, body: bytes, frame_of_error: bytes, seed: int
) -> None:
    before = body[: body.index(b"not") - 30]
    before = before[: before.rindex(b"\n\n") + 2]
    reply = CannedReply(200, before + frame_of_error + before)
    transport = ReplayTransport(reply.cut_by(1) if seed else reply)
    events: list[StreamEvent] = []

    async def main() -> None:
        async with router_for(transport, kind) as r:
            request = asked()
            given = original(wire, {"model": "public", "stream": True}, request)
            with pytest.raises(MidStreamError):
                async with r.stream(request, original=given) as stream:
                    while batch := await stream.batch():
                        events.extend(batch)
        came = b"".join(each.data for each in events if isinstance(each, Relayed))
        assert values(came) == [named(each) for each in values(before)]
        assert any(isinstance(each, TextDelta) for each in events)

    run(main())


def test_a_truncated_stream_is_an_error_also_where_it_is_relayed() -> None:
    transport = ReplayTransport(CannedReply(200, chunk("why ")))

    async def main() -> None:
        async with router_for(transport, "openai") as r:
            with pytest.raises(MidStreamError):
                await relayed(r, "openai.chat")

    run(main())


def test_a_stream_that_is_whole_json_is_not_sent_on_in_that_shape() -> None:
    transport = ReplayTransport(reply(OPENAI))

    async def main() -> None:
        async with router_for(transport, "openai") as r:
            batches, came = await relayed(r, "openai.chat")
        assert came == b""
        assert isinstance(batches[-1][-1], Done)
        assert batches[-1][-1].response.text == "ok"

    run(main())


# ── Ollama ───────────────────────────────────────────────────────────────────────────────────────────


def line(text: str, *, done: bool = False, **more: Any) -> bytes:
    value = {"model": "up-1:latest", "message": {"role": "assistant", "content": text}, "done": done, **more}
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


CALL_OF_TOOL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"function": {"name": "f", "arguments": {"model": "up-1:latest"}}}],
}
LINES = b"".join(
    (
        line("why "),
        line(HELD),
        line("", novelty={"model": "up-1:latest"}),
        line(" not", message_id={"model": "up-1:latest"}),
        json.dumps({"model": "up-1:latest", "message": CALL_OF_TOOL, "done": False}).encode() + b"\n",
        line("", done=True, done_reason="stop", prompt_eval_count=3, eval_count=4),
    )
)


def test_lines_of_ollama_come_back_as_they_were_but_for_the_model() -> None:
    transport = ReplayTransport(*(CannedReply(200, LINES).cut_by(seed) for seed in CUTS))
    expected = [{**json.loads(each), "model": "public"} for each in LINES.splitlines()]

    async def main() -> None:
        async with router_for(transport, "ollama") as r:
            for seed in CUTS:
                batches, came = await relayed(r, "ollama")
                assert [json.loads(each) for each in came.splitlines()] == expected, seed
                assert isinstance(batches[-1][-1], Done)
                assert batches[-1][-1].response.text == f"why {HELD} not"

    run(main())


def test_a_last_line_of_ollama_may_lack_its_end() -> None:
    transport = ReplayTransport(CannedReply(200, LINES.rstrip()))

    async def main() -> None:
        async with router_for(transport, "ollama") as r:
            _, came = await relayed(r, "ollama")
        assert len(came.splitlines()) == len(LINES.splitlines())
        assert came.endswith(b"\n")

    run(main())


def test_what_the_configuration_of_ollama_says_fills_what_the_caller_does_not() -> None:
    transport = ReplayTransport(CannedReply(200, line("ok", done=True)))
    body = {
        "model": "public",
        "messages": [{"role": "user", "content": "why?"}],
        "stream": False,
        "options": {"num_ctx": 4096, "novelty": 1},
    }

    async def main() -> None:
        given = {
            "providers": {
                "ollama": {
                    "type": "ollama",
                    "transport": "canned",
                    "keep_alive": "1h",
                    "options": {"num_ctx": 9, "top_k": 3},
                }
            },
            "models": {
                "public": {
                    "deployments": [{"provider": "ollama", "model": "up-1"}],
                    "defaults": {"temperature": 0.5},
                }
            },
        }
        async with Router.from_config(given, plugins=[Canned(transport)]) as r:
            request = asked()
            got = await r.chat(request, original=original("ollama", body, request))
        assert sent(transport) == {
            **body,
            "model": "up-1",
            "keep_alive": "1h",
            "options": {"num_ctx": 4096, "novelty": 1, "top_k": 3, "temperature": 0.5},
        }
        assert (got.text, json.loads(got.relayed)["model"]) == ("ok", "public")

    run(main())


def test_completions_and_embeddings_of_ollama_are_relayed_too() -> None:
    done = {"model": "up-1:latest", "response": "ok", "done": True, "done_reason": "stop"}
    vectors = {"model": "up-1:latest", "embeddings": [[0.5, 0.25]], "total_duration": 1}
    transport = ReplayTransport(reply(done), reply(vectors))

    async def main() -> None:
        async with router_for(transport, "ollama") as r:
            prompt = GenerateRequest("public", "a")
            body = {"model": "public", "prompt": "a", "stream": False, "raw": True}
            got = await r.generate(prompt, original=original("ollama", body, prompt))
            assert (got.text, json.loads(got.relayed)) == ("ok", {**done, "model": "public"})
            assert sent(transport) == {**body, "model": "up-1"}
            texts = EmbedRequest("public", ("a",))
            body = {"model": "public", "input": "a", "truncate": False}
            made = await r.embed(texts, original=original("ollama", body, texts))
            assert (made.vectors, json.loads(made.relayed)) == ([[0.5, 0.25]], {**vectors, "model": "public"})
            assert sent(transport) == {**body, "model": "up-1"}
        assert [request.url.path for request in transport.requests] == ["/api/generate", "/api/embed"]

    run(main())


# ── reasoning that only its maker can read ───────────────────────────────────────────────────────────

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "sig=="}
HIDDEN = {"type": "redacted_thinking", "data": "blob=="}
THINKING = {**CLAUDE, "content": [THOUGHT, HIDDEN, *CLAUDE["content"]]}
THINKING_STREAM = b"".join(
    (
        frame("message_start", message=START),
        frame("content_block_start", index=0, content_block={**THOUGHT, "thinking": "", "signature": ""}),
        frame("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"}),
        frame("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "sig=="}),
        frame("content_block_stop", index=0),
        frame("content_block_start", index=1, content_block=HIDDEN),
        frame("content_block_stop", index=1),
        frame("content_block_start", index=2, content_block={"type": "text", "text": ""}),
        frame("content_block_delta", index=2, delta={"type": "text_delta", "text": "ok"}),
        frame("content_block_stop", index=2),
        frame("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3}),
        frame("message_stop"),
    )
)


def two_accounts(transport: ReplayTransport) -> Router:
    providers = {
        name: {
            "type": "claude",
            "transport": "canned",
            "auth": {"type": "static", "value": f"sk-{name}-0123456789"},
        }
        for name in ("one", "two")
    }
    models = {name: {"deployments": [{"provider": name, "model": "up-1"}]} for name in providers}
    return Router.from_config({"providers": providers, "models": models}, plugins=[Canned(transport)])


def assistant_turns(body: Any) -> list[Any]:
    return [each["content"] for each in body["messages"] if each["role"] == "assistant"]


@pytest.mark.parametrize("lane", ["same wire", "another wire"])
@pytest.mark.parametrize("stream", [True, False])
def test_opaque_reasoning_goes_back_to_its_maker_only(lane: str, stream: bool) -> None:
    transport = ReplayTransport(
        CannedReply(200, THINKING_STREAM) if stream else reply(THINKING), reply(CLAUDE)
    )

    def given(body: Any, request: ChatRequest) -> Original:
        wire, opaque = ("anthropic", for_upstream) if lane == "same wire" else ("another", None)
        return original(wire, body, request, opaque=opaque)

    async def main() -> None:
        async with two_accounts(transport) as r:
            request = ChatRequest("one", (Message.user("why?"),))
            first = given({"model": "one", "max_tokens": 9, "messages": []}, request)
            if stream:
                async with r.stream(request, original=first) as answer:
                    events = [event async for event in answer]
                got = answer.response
                came = b"".join(each.data for each in events if isinstance(each, Relayed))
            else:
                got = await r.chat(request, original=first)
                came = got.relayed
            mark = r.provider("one").mark
            assert mark != r.provider("two").mark
            blocks = [
                {**THOUGHT, "signature": f"pm.{mark}.sig=="},
                {**HIDDEN, "data": f"pm.{mark}.blob=="},
            ]
            assert [dict(each) for each in got.reasoning_blocks] == blocks
            assert (came.count(b"sig=="), came.count(f"pm.{mark}.".encode())) == (
                (1, 2) if lane == "same wire" else (0, 0)
            )

            said = {"type": "text", "text": "ok"}
            turns = [
                {"role": "user", "content": "why?"},
                {"role": "assistant", "content": [*blocks, said]},
                {"role": "user", "content": "and?"},
            ]
            for name, expected in (("one", [THOUGHT, HIDDEN, said]), ("two", [said])):
                request = ChatRequest(name, (Message.user("why?"), got.message, Message.user("and?")))
                body = {"model": name, "max_tokens": 9, "messages": turns}
                await r.chat(request, original=given(body, request))
                (turn,) = assistant_turns(sent(transport))
                assert turn in (expected, said["text"]), name

    run(main())


def test_blobs_that_bear_no_mark_go_on_as_they_came() -> None:
    transport = ReplayTransport(reply(CLAUDE))
    turns = [{"role": "user", "content": "why?"}, {"role": "assistant", "content": [THOUGHT, HIDDEN]}]

    async def main() -> None:
        async with two_accounts(transport) as r:
            request = ChatRequest("one", (Message.user("why?"),))
            body = {"model": "one", "max_tokens": 9, "messages": turns}
            await r.chat(request, original=original("anthropic", body, request, opaque=for_upstream))
        assert sent(transport)["messages"] == turns

    run(main())


def test_a_mark_stays_the_same_and_tells_neither_name_nor_credential() -> None:
    async def main() -> None:
        async with two_accounts(ReplayTransport()) as r, two_accounts(ReplayTransport()) as again:
            mark = r.provider("one").mark
            assert mark == again.provider("one").mark
            assert re.fullmatch("[0-9a-f]{12}", mark)

    run(main())


# ── LocalAI ──────────────────────────────────────────────────────────────────────────────────────────


def test_localai_relays_what_has_no_tools_and_translates_the_rest() -> None:
    transport = ReplayTransport(reply(OPENAI))
    body = {"model": "public", "messages": [{"role": "user", "content": "why?"}], "grammar": "root ::= x"}

    async def main() -> None:
        async with router_for(transport, "localai") as r:
            request = asked()
            got = await r.chat(request, original=original("openai.chat", body, request))
            assert sent(transport) == {**body, "model": "up-1"}
            assert got.relayed
            request = asked(tools=(Tool("f"),))
            got = await r.chat(request, original=original("openai.chat", body, request))
            assert "grammar" not in sent(transport)
            assert not got.relayed

    run(main())


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_error_of_the_callers_making_carries_the_words_of_the_upstream() -> None:
    said = {
        "error": {
            "message": "bad https://api.openai.com/v1/x sk-upstream-0123456789",
            "type": "invalid_request_error",
        }
    }
    transport = ReplayTransport(reply(said, status=400))

    async def main() -> None:
        async with router_for(transport, "openai") as r:
            request = asked()
            given = original("openai.chat", {"model": "public"}, request)
            for call in (r.chat(request, original=given), r.stream(request, original=given).__aenter__()):
                with pytest.raises(InvalidRequest) as caught:
                    await call
                assert (caught.value.status, json.loads(caught.value.body)) == (
                    400,
                    {"error": {"message": "bad upstream/x ***", "type": "invalid_request_error"}},
                )
            with pytest.raises(InvalidRequest) as caught:
                await r.chat(request)
            assert caught.value.body == b""

    run(main())


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_other_errors_carry_nothing_of_the_upstreams(status: int) -> None:
    transport = ReplayTransport(reply({"error": {"message": "no", "type": "x"}}, status=status))

    async def main() -> None:
        async with router_for(transport, "openai", retry={"type": "none"}) as r:
            request = asked()
            with pytest.raises(CallError) as caught:
                await r.chat(request, original=original("openai.chat", {"model": "public"}, request))
            assert caught.value.body == b""

    run(main())


# ── guards ───────────────────────────────────────────────────────────────────────────────────────────


class Hides:
    """Takes a word out of what is asked and answered, as far as it is told to."""

    def __init__(self, *, asked: bool = False, answered: bool = False) -> None:
        self._asked = asked
        self._answered = answered
        self.seen: list[Any] = []
        self.unsaid: Sequence[str] = ()

    async def before(self, request: Any, call: GuardCall) -> Any:
        self.unsaid = call.unsaid
        if not self._asked:
            return request
        messages = [replace(each, content=each.text.replace("secret", "…")) for each in request.messages]
        return replace(request, messages=messages)

    async def after(self, response: Any, _call: GuardCall) -> Any:
        self.seen.append(response)
        return replace(response, text="…") if self._answered else response

    def stream(self, _call: GuardCall) -> Any:
        return Passing() if self._answered else None


class Passing:
    def feed(self, event: StreamEvent) -> list[StreamEvent]:
        return [event]

    def end(self) -> list[StreamEvent]:
        return []


class Guarding(PointsmanSpec):
    def __init__(self, guard: Hides) -> None:
        self._guard = guard

    @hookimpl
    def pointsman_guards(self) -> Sequence[GuardFactory]:
        return [GuardFactory("hides", None, lambda _context: self._guard)]


def guarded(transport: ReplayTransport, guard: Hides, kind: str) -> Router:
    given = {
        "providers": {
            kind: {
                "type": kind,
                "auth": {"type": "static", "value": "sk-upstream-0123456789"},
                "transport": "canned",
            }
        },
        "models": {
            "public": {"deployments": [{"provider": kind, "model": "up-1"}], "guards": [{"type": "hides"}]}
        },
    }
    return Router.from_config(given, plugins=[Canned(transport), Guarding(guard)])


@pytest.mark.parametrize(
    ("kind", "wire", "answer"), [("openai", "openai.chat", OPENAI), ("claude", "anthropic", CLAUDE)]
)
def test_of_what_a_guard_changes_only_that_is_written_anew(kind: str, wire: str, answer: Any) -> None:
    transport = ReplayTransport(reply(answer))
    turns = [
        {"role": "user", "content": "hi", "novelty": 1},
        {"role": "assistant", "content": [{"type": "text", "text": "ho", "novelty": 2}]},
        {"role": "user", "content": "a secret", "novelty": 3},
    ]
    body = {"model": "public", "max_tokens": 5, "messages": turns, "novelty": 4}
    messages = (Message.user("hi"), Message.assistant("ho"), Message.user("a secret"))

    async def main() -> None:
        async with guarded(transport, guard := Hides(asked=True), kind) as r:
            request = ChatRequest("public", messages, max_tokens=5)
            got = await r.chat(request, original=original(wire, body, request, needs_wire=["novelty"]))
        assert guard.unsaid == ["novelty"]
        assert sent(transport) == {
            **body,
            "model": "up-1",
            "messages": [*turns[:2], {**turns[2], "content": "a …"}],
        }
        assert json.loads(got.relayed) == {**answer, "model": "public"}
        assert [each.relayed for each in guard.seen] == [b""]

    run(main())


def test_an_answer_that_a_guard_changed_is_not_relayed() -> None:
    transport = ReplayTransport(reply(OPENAI))

    async def main() -> None:
        async with guarded(transport, Hides(answered=True), "openai") as r:
            request = asked()
            got = await r.chat(request, original=original("openai.chat", {"model": "public"}, request))
        assert (got.text, got.relayed) == ("…", b"")

    run(main())


@pytest.mark.parametrize("filters", [True, False])
def test_a_stream_is_relayed_unless_a_guard_filters_it(filters: bool) -> None:
    transport = ReplayTransport(CannedReply(200, OPENAI_STREAM))

    async def main() -> None:
        async with guarded(transport, Hides(answered=filters), "openai") as r:
            _, came = await relayed(r, "openai.chat")
        assert bool(came) is not filters

    run(main())


# ── what a provider of OpenAI's API says otherwise ───────────────────────────────────────────────────


def test_what_the_configuration_says_that_a_model_cannot_do_is_not_relayed_to_it() -> None:
    transport = ReplayTransport(reply(OPENAI))

    async def main() -> None:
        provider = {
            "type": "openai",
            "transport": "canned",
            "base_url": "http://127.0.0.1:9/v1",
            "unsupported": ["tools"],
        }
        given = {
            "providers": {"up": provider},
            "models": {"public": {"deployments": [{"provider": "up", "model": "up-1"}]}},
        }
        async with Router.from_config(given, plugins=[Canned(transport)]) as r:
            request = asked(tools=(Tool("f"),))
            with pytest.raises(Unsupported, match="tools"):
                await r.chat(request, original=original("openai.chat", {"model": "public"}, request))
        assert transport.requests == []

    run(main())


def test_what_a_provider_adds_to_bodies_is_added_to_those_of_callers() -> None:
    transport = ReplayTransport(reply(OPENAI))
    body = {"model": "public", "messages": [{"role": "user", "content": "why?"}], "reasoning_effort": "none"}

    async def main() -> None:
        async with router_for(transport, "localai") as r:
            request = asked(reasoning_effort="none")
            await r.chat(request, original=original("openai.chat", body, request))
        assert sent(transport) == {**body, "model": "up-1", "metadata": {"enable_thinking": "false"}}

    run(main())
