"""The usual answers, read straight from their bytes: the same values as when they are read with care."""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from replay import Exchange, exchanges, openai_endpoint, recorded, sse_frames

from pointsman.errors import PointsmanError
from pointsman.types import ChatResponse, EmbedRequest, EmbedResponse, ReasoningDelta, TextDelta, Usage
from pointsman_openai import decode, shapes
from pointsman_openai.decode import ChatDecoder

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))
import shape_fuzz

SERVERS = ("openai", "openai-compatible", "llamacpp", "ollama", "localai")
ANSWER: Mapping[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Grüße", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 80,
        "completion_tokens": 40,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 8, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_1",
}
CHUNK: Mapping[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1700000000,
    "model": "gpt-4o",
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "choices": [{"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}],
    "usage": None,
    "obfuscation": "ab",
}
VECTORS: Mapping[str, Any] = {
    "object": "list",
    "data": [
        {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]},
        {"object": "embedding", "index": 1, "embedding": [1, 0.0]},
    ],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 9, "total_tokens": 9},
}
TWO = EmbedRequest("m", ("a", "b"))


def changed(value: Mapping[str, Any], path: str, new: Any) -> bytes:
    """The bytes of `value` with `new` at the dotted `path`."""
    result = json.loads(json.dumps(value))
    *names, last = [int(name) if name.isdigit() else name for name in path.split(".")]
    place = result
    for name in names:
        place = place[name]
    place[last] = new
    return json.dumps(result).encode()


# ── what is usual ────────────────────────────────────────────────────────────────────────────────────


def test_the_usual_answer_is_read_from_its_bytes() -> None:
    assert shapes.chat_response(json.dumps(ANSWER).encode(), request_id="req-1") == ChatResponse(
        "Grüße",
        usage=Usage(80, 40, 64, None, 8),
        model="gpt-4o",
        id="chatcmpl-1",
        native_finish_reason="stop",
        upstream_request_id="req-1",
        raw=ANSWER,
    )


def test_the_usual_chunk_is_read_from_its_bytes() -> None:
    delta = shapes.delta_of(json.dumps(CHUNK).encode())

    assert delta is not None
    assert delta.content == " word"


def test_the_usual_vectors_are_read_from_their_bytes() -> None:
    response = shapes.embed_response(json.dumps(VECTORS).encode(), TWO, request_id="req-1")

    assert response == EmbedResponse(
        [[0.5, -0.25], [1, 0.0]],
        Usage(9),
        "text-embedding-3-small",
        upstream_request_id="req-1",
        raw=VECTORS,
    )


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("error", {"message": "no"}),
        ("error", None),
        ("object", "error"),
        ("citations", []),
        ("choices", []),
        ("choices", [ANSWER["choices"][0]] * 2),
        ("choices.0.index", 1),
        ("choices.0.finish_reason", "tool_calls"),
        ("choices.0.finish_reason", None),
        ("choices.0.logprobs", {"content": []}),
        ("choices.0.message.content", None),
        ("choices.0.message.content", [{"type": "text", "text": "x"}]),
        ("choices.0.message.refusal", "no"),
        ("choices.0.message.tool_calls", [{"id": "t"}]),
        ("choices.0.message.extra_content", {}),
        ("choices.0.message.content", "\ud83d"),
        ("usage.prompt_tokens", 80.0),
        ("usage.prompt_tokens", -1),
        ("usage.prompt_tokens", 2**63),
        ("usage.prompt_cache_hit_tokens", 3),
    ],
    ids=lambda each: json.dumps(each)[:40],
)
def test_an_answer_that_is_unusual_in_anything_is_left_to_be_read_with_care(path: str, new: Any) -> None:
    assert shapes.chat_response(changed(ANSWER, path, new), request_id="") is None


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("usage", {"prompt_tokens": 1}),
        ("x_groq", {"id": "r"}),
        ("type", "error"),
        ("choices.0.finish_reason", "stop"),
        ("choices.0.delta.tool_calls", [{"index": 0}]),
        ("choices.0.delta.annotations", [{"type": "url_citation"}]),
        ("choices.0.delta.refusal", "no"),
        ("choices.0.content_filter_results", {}),
        ("choices.0.logprobs", {"content": []}),
    ],
    ids=lambda each: json.dumps(each)[:40],
)
def test_a_chunk_that_is_unusual_in_anything_is_left_to_be_read_with_care(path: str, new: Any) -> None:
    assert shapes.delta_of(changed(CHUNK, path, new)) is None


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("data.0.embedding", "AAAAPwAAgL4="),
        ("data.0.embedding", []),
        ("data.0.embedding", [0.5]),
        ("data.0.embedding", [0.5, None]),
        ("data.0.embedding", [0.5, 2**63]),
        ("data.0.index", 1),
        ("data", [VECTORS["data"][1], VECTORS["data"][0]]),
        ("data", VECTORS["data"][:1]),
        ("error", "no"),
    ],
    ids=lambda each: json.dumps(each)[:40],
)
def test_vectors_that_are_unusual_in_anything_are_left_to_be_read_with_care(path: str, new: Any) -> None:
    assert shapes.embed_response(changed(VECTORS, path, new), TWO, request_id="") is None


@pytest.mark.parametrize(
    "request_", [EmbedRequest("m", ("a", "b"), 3), EmbedRequest("m", ("a", "b"), extra={"dtype": "int8"})]
)
def test_vectors_of_other_dimensions_or_numbers_are_left_to_be_read_with_care(request_: EmbedRequest) -> None:
    assert shapes.embed_response(json.dumps(VECTORS).encode(), request_, request_id="") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xef\xbb\xbf" + json.dumps(ANSWER).encode(),
        json.dumps(ANSWER).encode("utf-16"),
        json.dumps(ANSWER).encode()[:-1],
        json.dumps(ANSWER).encode() + b"x",
        json.dumps(ANSWER).encode().replace(b"fp_1", b"fp\xff"),
        b'{"choices":' * 100_000,
        b"[" * 100_000,
    ],
    ids=["nothing", "mark", "utf-16", "cut", "more", "bytes", "deep objects", "deep lists"],
)
def test_what_is_no_json_or_hardly_any_is_left_to_be_read_with_care(content: bytes) -> None:
    assert shapes.chat_response(content, request_id="") is None
    assert shapes.embed_response(content, TWO, request_id="") is None
    assert shapes.delta_of(content) is None


# ── in a stream ──────────────────────────────────────────────────────────────────────────────────────


def test_the_usual_chunk_waits_until_the_half_of_a_character_before_it_has_found_its_other_half() -> None:
    decoder = ChatDecoder()
    events: list[Any] = []
    texts = ("a", "\ud83d", "\ude00b", "c")

    decoder.decode_plain([changed(CHUNK, "choices.0.delta.content", text) for text in texts], events)

    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a", "\U0001f600b", "c"]


def test_thoughts_come_before_the_text_of_the_same_chunk() -> None:
    decoder = ChatDecoder()
    events: list[Any] = []
    both = changed(CHUNK, "choices.0.delta", {"content": "a", "reasoning_content": "b"})

    decoder.decode_plain([json.dumps(CHUNK).encode(), both], events)

    assert events[-2:] == [ReasoningDelta("b"), TextDelta("a")]


def test_a_stream_of_unusual_chunks_is_looked_at_in_vain_a_few_times_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[bytes] = []
    monkeypatch.setattr(decode, "delta_of", lambda data: looked.append(data))
    decoder = ChatDecoder()
    events: list[Any] = []

    decoder.decode_plain([json.dumps(CHUNK).encode()] * 100, events)

    assert len(looked) < 10
    assert [event.text for event in events[1:]] == [" word"] * 100


def plain(text: str, **members: Any) -> bytes:
    """A chunk that says `text`, with other `members`, written as most servers write it."""
    choices = [{"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}]
    value = {**CHUNK, "choices": choices, **members}
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The chunks that are read as a whole from now on."""
    looked: list[bytes] = []

    def delta_of(data: bytes) -> shapes.Delta | None:
        looked.append(data)
        return shapes.delta_of(data)

    monkeypatch.setattr(decode, "delta_of", delta_of)
    return looked


@pytest.mark.parametrize("spaces", ["", " "])
@pytest.mark.parametrize("paddings", [None, ["", "aB3", "x" * 20, "_"]], ids=["plain", "padded"])
def test_of_chunks_that_differ_in_nothing_but_their_text_the_text_alone_is_read(
    monkeypatch: pytest.MonkeyPatch, paddings: list[str] | None, spaces: str
) -> None:
    texts = ["a", "b", 'say "no"', "Grüße", "tab\t", "", "\\", "}]}", "\U0001f600"]
    chunks = [
        plain(text, obfuscation=(paddings or "x")[n % len(paddings or "x")]) for n, text in enumerate(texts)
    ]
    chunks = [chunk.replace(b'"content":', b'"content":' + spaces.encode()) for chunk in chunks]
    looked = looked_at(monkeypatch)
    decoder = ChatDecoder()
    events: list[Any] = []

    decoder.decode_plain(chunks, events)

    assert [event.text for event in events[1:]] == [text for text in texts if text]
    assert looked == chunks[1:2], "the first one is read with care, as it begins the answer"


@pytest.mark.parametrize(
    "odd",
    [
        plain("c", error={"message": "no"}),
        plain("c", usage={"prompt_tokens": 1}),
        plain("c", citations=["https://a"]),
        plain("c", id="chatcmpl-2"),
        plain("c", obfuscation=""),
        plain("c").replace(b'"c"', b'"c","content":"d"'),
        plain("c").replace(b'"c"', b'"c","role":"assistant"'),
        plain("c").replace(b'"c"', b"null"),
        plain("c").replace(b'"c"', b'["c"]'),
        plain("c").replace(b'"c"', b'"\\ud83d"'),
        plain("c").replace(b'"c"', b'"c"},"finish_reason":"stop","delta":{"content":"d"'),
        plain("c").replace(b'"c"', b'"c"},"x":{"content":"d"'),
        plain("c").replace(b'"obfuscation":"ab"', b'"obfuscation":"ab","error":"no"'),
    ],
)
def test_a_chunk_that_differs_in_more_is_read_as_if_none_had_been_like_it(odd: bytes) -> None:
    before = [plain("a"), plain("b"), plain("b")]

    def told(decoder: ChatDecoder) -> tuple[list[Any], str]:
        events: list[Any] = []
        try:
            decoder.decode_plain([*before, odd, plain("e")], events)
        except PointsmanError as error:
            return events, str(error)
        return events, ""

    assert told(ChatDecoder()) == told(shape_fuzz.CarefulDecoder())


@pytest.mark.parametrize(
    "odd",
    [
        plain("c").replace(b'"c"', b'"c","d"'),
        plain("c").replace(b'"c"', b'"c'),
        plain("c").replace(b'"c"', b""),
        plain("c").replace(b'"c"', b'"\xff"'),
        plain("c").replace(b'"c"', b'"\t"'),
        plain("c")[:-1],
        plain("c").replace(b'"ab"', b'"ab'),
    ],
)
def test_a_chunk_that_is_no_json_is_none_also_behind_its_like(odd: bytes) -> None:
    test_a_chunk_that_differs_in_more_is_read_as_if_none_had_been_like_it(odd)


def test_a_stream_whose_chunks_are_never_alike_is_not_compared_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = looked_at(monkeypatch)
    chunks = [plain("a", created=n) for n in range(100)]
    decoder = ChatDecoder()
    events: list[Any] = []

    decoder.decode_plain([*chunks, chunks[-1]], events)

    assert len(events) == 102
    assert len(looked) == 100, "the last one, which is like that before it, is read as a whole as well"


def test_a_stream_that_says_something_else_around_its_texts_after_a_while_is_compared_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = looked_at(monkeypatch)
    seconds = [plain("a", created=n // 10) for n in range(100)]  # as llama.cpp says the time
    decoder = ChatDecoder()
    events: list[Any] = []

    decoder.decode_plain(seconds, events)

    assert len(events) == 101
    assert len(looked) == 10


# ── pieces of calls ──────────────────────────────────────────────────────────────────────────────────


def piece(arguments: str, **members: Any) -> bytes:
    call = {"index": 0, "function": {"arguments": arguments}, **members}
    choices = [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]
    return json.dumps({"id": "chatcmpl-1", "choices": choices}).encode()


def begun(name: str = "look", number: int = 0, call_id: str = "c1") -> bytes:
    return piece("", index=number, id=call_id, function={"name": name, "arguments": ""})


def test_pieces_of_a_call_that_differ_in_their_arguments_alone_are_not_read_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[bytes] = []
    whole = ChatDecoder._read
    monkeypatch.setattr(
        ChatDecoder,
        "_read",
        lambda self, chunk, name, data: read.append(data) or whole(self, chunk, name, data),
    )
    letters = json.dumps({"text": "a\n\u00e4\u20ac" * 20}, ensure_ascii=False)
    decoder = ChatDecoder()
    events: list[Any] = []

    decoder.decode_plain([begun(), *map(piece, letters), piece("", function={})], events)

    assert "".join(event.arguments for event in events[1:]) == letters
    assert len(read) == 3, "the first of the call, the first of its pieces, and the one that is not like it"


@pytest.mark.parametrize(
    "odd",
    [
        begun("go", 1, "c2"),
        begun("go", 0, "c2"),
        piece("1", index=1),
        piece("1", index="0"),
        piece("1", index=True),
        piece("1", id="c1"),
        piece("1", function={"name": "look", "arguments": "1"}),
        piece("1", extra_content={"google": 1}),
        piece("1", function={"arguments": {"a": 1}}),
        piece("1").replace(b'"1"', b'"\\ud83d"'),
        piece("1").replace(b'"1"', b'"1","arguments":"2"'),
        piece("1").replace(b'"1"', b'"1"},"error":{"message":"no"'),
        piece("1").replace(b'"1"', b'"1'),
        plain("c"),
    ],
)
def test_whatever_comes_amid_the_pieces_of_a_call_says_the_same_read_either_way(odd: bytes) -> None:
    before = [begun(), piece('{"a":'), piece("1"), piece("1")]

    shape_fuzz.compare("stream", [*before, odd, piece("1"), piece("}")])
    shape_fuzz.compare("stream", [begun(), odd, odd, odd, *before[1:], piece("}")])


# ── both ways ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [1_027_453, 1_050_018])
def test_an_answer_that_counts_nothing_says_no_tier_read_either_way(n: int) -> None:
    shape_fuzz.compare(*shape_fuzz.case(random.Random(n)))


@given(st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_whatever_an_answer_holds_it_says_the_same_read_either_way(rng: random.Random) -> None:
    shape_fuzz.compare(*shape_fuzz.case(rng))


def test_many_damaged_answers_say_the_same_read_either_way() -> None:
    """The short version of benchmarks/shape_fuzz.py."""
    seed = int(os.environ.get("POINTSMAN_SEED", "20261130"))
    print(f"seed {seed}")

    report = shape_fuzz.run(4096, seed=seed)

    assert report.findings == []
    assert report.cases == 4096
    assert report.ends["answer usual"] > 100
    assert report.ends["embeddings usual"] > 50
    assert report.ends["stream done, some usual"] > 500
    assert {"answer careful", "answer BadResponse", "embeddings careful"} <= set(report.ends)


MEMBERS = st.sampled_from(sorted(shape_fuzz.NAMES))
STRINGS = st.text(st.characters(codec="utf-8"), max_size=3) | st.sampled_from(
    ["stop", "error", "\ud83d", "\ude00x"]
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=True)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(MEMBERS, inner, max_size=2),
    max_leaves=4,
)
PLACES = st.sampled_from(
    [
        *((ANSWER, path) for path in ("", "choices.0.", "choices.0.message.", "usage.")),
        *((CHUNK, path) for path in ("", "choices.0.", "choices.0.delta.")),
        *((VECTORS, path) for path in ("", "data.0.", "usage.")),
    ]
)


@given(PLACES, MEMBERS, VALUES)
@example((ANSWER, "usage."), "prompt_tokens", 3.0)
@example((ANSWER, "usage."), "total_tokens", True)
@example((CHUNK, "choices.0."), "finish_reason", "")
@settings(max_examples=500, deadline=None)
def test_whatever_a_member_is_it_says_the_same_read_either_way(
    place: tuple[Mapping[str, Any], str], name: str, value: Any
) -> None:
    usual, path = place
    data = changed(usual, path + name, value)

    if usual is CHUNK:
        whole = json.dumps(CHUNK).encode()
        shape_fuzz.compare("stream", [whole, data, whole, b"[DONE]"])
    else:
        shape_fuzz.compare("answer" if usual is ANSWER else "embeddings", [data])


def chats(*, streamed: bool) -> Sequence[Any]:
    return exchanges(*SERVERS, where=lambda e: openai_endpoint(e) == "chat" and (e.kind == "sse") == streamed)


@pytest.mark.parametrize("exchange", chats(streamed=False))
def test_every_answer_there_is_says_the_same_read_either_way(exchange: Exchange) -> None:
    shape_fuzz.compare("answer", [exchange.body])


@pytest.mark.parametrize("exchange", chats(streamed=True))
def test_every_stream_there_is_says_the_same_read_either_way(exchange: Exchange) -> None:
    shape_fuzz.compare("stream", frames_of(exchange))


def test_most_answers_and_streams_of_real_servers_are_usual_ones() -> None:
    whole = [e for name in SERVERS for e in recorded(name) if openai_endpoint(e) == "chat" and e.status < 400]
    if not whole:
        pytest.skip("the recorded exchanges are not beside the project")
    plain = [e for e in whole if not {"tool_call", "parallel_tools", "logprobs"}.intersection(e.tags)]

    answers = Counter(shape_fuzz.compare("answer", [e.body]) for e in plain if e.kind != "sse")
    streams = Counter(shape_fuzz.compare("stream", frames_of(e)) for e in plain if e.kind == "sse")

    assert answers["usual"] > 0.5 * answers.total()
    assert streams["done, some usual"] > 0.5 * streams.total()


def frames_of(exchange: Exchange) -> list[bytes]:
    """The data of the frames of a stream that have no names."""
    return [data.encode() for name, data in sse_frames(exchange.body) if not name]


def test_the_fuzzer_notices_two_ways_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "chat_response", lambda _content, request_id: ChatResponse("x", raw={}))

    with pytest.raises(shape_fuzz.Differ):
        shape_fuzz.compare_answer([json.dumps(ANSWER).encode()])
