"""The stream decoder against the quirks of compatible servers, and against noise."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay import Assembled, assemble, constructed, cut, decoded

from pointsman.errors import (
    BadResponse,
    CallError,
    InvalidRequest,
    Overloaded,
    RateLimited,
    Truncated,
    Unavailable,
)
from pointsman.http.framing import SseEvent, SseFramer
from pointsman.types import (
    EmbedRequest,
    Finished,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)
from pointsman_openai.answers import chat_response, embed_response, model_infos
from pointsman_openai.decode import ChatDecoder


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "c1", "model": "m", "choices": [choice], **more}


def tool(index: Any = None, id: str | None = None, name: str | None = None, arguments: Any = "") -> Any:
    piece: dict[str, Any] = {"function": {"arguments": arguments}}
    if index is not None:
        piece["index"] = index
    if id is not None:
        piece["id"] = id
    if name is not None:
        piece["function"]["name"] = name
    return {"tool_calls": [piece]}


def body_of(*chunks: Any, done: bool = True) -> bytes:
    frames = [each if isinstance(each, str) else f"data: {json.dumps(each)}\n\n" for each in chunks]
    return ("".join(frames) + ("data: [DONE]\n\n" if done else "")).encode()


def events_of_chunks(*chunks: Any, done: bool = True) -> list[Any]:
    return decoded(SseFramer(), ChatDecoder(request_id="r1"), [body_of(*chunks, done=done)])


def whole_of(*chunks: Any, done: bool = True) -> Assembled:
    return assemble(events_of_chunks(*chunks, done=done))


def calls_of(*chunks: Any) -> Sequence[tuple[str, str, str]]:
    whole = whole_of(*chunks, chunk(finish="tool_calls"))
    return [(call.id, call.name, call.arguments) for call in whole.tool_calls]


@pytest.mark.parametrize(
    "deep", ["[" * 990 + "]" * 990, '{"a":' * 990 + "1" + "}" * 990], ids=["lists", "objects"]
)
def test_what_is_repeated_and_nested_as_deeply_as_json_can_be_read_is_kept(deep: str) -> None:
    odd = f'data: {{"id":"c","choices":[],"odd":{deep}}}\n\n'

    whole = whole_of(odd, odd, chunk({"content": "hi"}), chunk(finish="stop"))

    assert (whole.text, whole.finish_reason, list(whole.raw)) == ("hi", "stop", ["odd"])


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_text_stream_gives_its_events_in_order() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert events_of_chunks(
        chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}, finish="stop"),
        {"id": "c1", "model": "m", "choices": [], "usage": usage},
    ) == [
        Started("c1", "m"),
        TextDelta("Hel"),
        TextDelta("lo"),
        Finished("stop", "stop"),
        UsageUpdate(Usage(3, 2)),
    ]


@given(
    st.none() | st.text() | st.just(0) | st.just([{"type": "text", "text": "x"}]),
    st.sampled_from([None, "", "stop"]),
)
def test_a_delta_of_nothing_but_text_is_read_like_any_other(content: Any, finish: str | None) -> None:
    end = chunk(finish="stop")
    assert events_of_chunks(chunk({"content": content}, finish), end) == events_of_chunks(
        chunk({"content": content, "role": "assistant"}, finish), end
    )


USUAL = {
    "id": "c1",
    "model": "m",
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": None, "finish_reason": None}],
}
ODD: list[Any] = [None, "", "x", "error", "stop", 0, 1, 0.0, False, True, [], {}, [None], [{"text": "p"}]]
ODD += [
    {"message": "m", "code": 429},
    {"content": "b"},
    {"prompt_tokens": 1},
    {"usage": {"prompt_tokens": 2}},
]
ODD += [[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}], [{"delta": {"content": "b"}}]]
DELTA_KEYS = (
    "content", "role", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call", "x",
)  # fmt: skip
CHOICE_KEYS = ("index", "delta", "finish_reason", "error", "message", "x")
CHUNK_KEYS = ("choices", "object", "error", "usage", "x_groq", "id", "model", "x")


def twisted() -> Iterator[bytes]:
    """The usual chunk in which one thing is another, or missing, or there twice; and what is no chunk."""
    yield from (b"", b" ", b"{", b"null", b"[1]", b'"s"', b"7", b"[DONE]", b"[DONE] x", b"[]", b"\xff")
    for level, keys in enumerate((CHUNK_KEYS, CHOICE_KEYS, DELTA_KEYS)):
        for key, value in itertools.product(keys, (*ODD, KeyError)):
            chunk = copy.deepcopy(USUAL)
            choice = chunk["choices"][0]  # type: ignore[index]
            part: Any = (chunk, choice, choice["delta"])[level]  # type: ignore[index]
            if value is KeyError:
                part.pop(key, None)
            else:
                part[key] = value
            yield json.dumps(chunk).encode()
    (choice,) = USUAL["choices"]
    for index in (0, 1, None):
        other = {"index": index, "delta": {"content": "b"}}
        yield from (
            json.dumps({**USUAL, "choices": two}).encode() for two in ([choice, other], [other, choice])
        )


TWISTED = list(twisted())
USUAL_FRAME = json.dumps(USUAL).encode()


def told(decoder: ChatDecoder, work: Callable[[list[StreamEvent]], None]) -> tuple[Any, ...]:
    """The events, how it ended, and what the decoder says of it."""
    events: list[StreamEvent] = []
    try:
        work(events)
    except CallError as error:
        return events, type(error), str(error), decoder.done
    return events, decoder.done


def assert_all_ways_tell_the_same(frames: Sequence[bytes]) -> None:
    quick, one_by_one, thorough = ChatDecoder(), ChatDecoder(), ChatDecoder()

    def each(events: list[StreamEvent]) -> None:
        for data in frames:
            if not one_by_one.done:
                events += one_by_one.decode(SseEvent("", data))

    def everything(events: list[StreamEvent]) -> None:
        for data in frames:
            if thorough.done:
                return
            try:
                chunk = json.loads(data)
            except ValueError:
                events += thorough.decode(SseEvent("", data))
            else:
                events += thorough._read(chunk, "", b"")

    expected = told(thorough, everything)
    assert told(quick, lambda events: quick.decode_plain(frames, events)) == expected
    assert told(one_by_one, each) == expected


def test_what_is_quick_tells_the_same_as_looking_at_everything_wherever_a_chunk_is_odd() -> None:
    for frame in TWISTED:
        assert_all_ways_tell_the_same([frame, USUAL_FRAME])
        assert_all_ways_tell_the_same([USUAL_FRAME, frame, USUAL_FRAME])


@settings(deadline=None)
@given(st.lists(st.just(USUAL_FRAME) | st.sampled_from(TWISTED), max_size=8))
def test_what_is_quick_tells_the_same_as_looking_at_everything(frames: list[bytes]) -> None:
    assert_all_ways_tell_the_same(frames)


def test_an_end_without_its_marker_is_complete_after_a_finish_reason() -> None:
    assert whole_of(chunk({"content": "a"}), chunk(finish="stop"), done=False).finish_reason == "stop"


def test_an_end_without_marker_and_finish_reason_is_truncated() -> None:
    with pytest.raises(Truncated):
        events_of_chunks(chunk({"content": "a"}), done=False)
    with pytest.raises(Truncated):
        events_of_chunks(done=False)


def test_a_marker_before_any_answer_is_a_bad_response() -> None:
    with pytest.raises(BadResponse):
        events_of_chunks()


def test_the_first_of_several_finish_reasons_stands() -> None:
    assert (
        whole_of(chunk({"content": "a"}), chunk(finish="length"), chunk(finish="stop")).finish_reason
        == "length"
    )


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        ("model_length", "length"),
        ("MAX_TOKENS", "length"),
        ("FinishReason.MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("STOP", "stop"),
        ("end-turn", "stop"),
        ("tool_calls", "stop"),
        ("function_call", "stop"),
        ("something new", "other"),
        *((word, "stop") for word in ("", "null", "None", "NULL", "FINISH_REASON_UNSPECIFIED", None)),
    ],
)
def test_a_finish_reason_is_mapped_and_kept(native: str | None, reason: str) -> None:
    whole = whole_of(chunk({"content": "a"}, finish=native))
    nothing = native is None or native.lower() in ("", "null", "none", "finish_reason_unspecified")
    assert (whole.finish_reason, whole.native_finish_reason) == (reason, None if nothing else native)


@pytest.mark.parametrize("native", ["stop", "STOP", "tool_calls", "end_turn", "function_call", "null", None])
def test_calls_win_over_the_word(native: str | None) -> None:
    whole = whole_of(chunk(tool(0, "a", "f", "{}")), chunk(finish=native))
    answer = {
        "choices": [
            {"message": {"tool_calls": [{"id": "a", "function": {"name": "f"}}]}, "finish_reason": native}
        ]
    }
    assert whole.finish_reason == chat_response(answer).finish_reason == "tool_calls"
    assert whole.native_finish_reason == chat_response(answer).native_finish_reason


@pytest.mark.parametrize("native", ["length", "content_filter", "something new"])
def test_a_word_that_says_more_than_the_calls_stands(native: str) -> None:
    assert whole_of(chunk(tool(0, "a", "f", "{")), chunk(finish=native)).finish_reason in (native, "other")


@pytest.mark.parametrize("text", [None, "", "half"])
@pytest.mark.parametrize(
    ("native", "kind"),
    [("error", Unavailable), ("ERROR", Unavailable), ("abort", Unavailable), ("insufficient_system_resource", Overloaded)],
)  # fmt: skip
def test_an_answer_that_ends_with_an_error_is_none(
    native: str, kind: type[CallError], text: str | None
) -> None:
    with pytest.raises(kind, match=native):
        events_of_chunks(chunk({"content": text}), chunk(finish=native))
    with pytest.raises(kind, match=native):
        chat_response({"choices": [{"message": {"content": text}, "finish_reason": native}]})


def test_a_stream_that_says_nothing_and_not_why_is_none() -> None:
    with pytest.raises(BadResponse, match="without having said anything"):
        events_of_chunks(chunk({"role": "assistant", "content": ""}))
    assert whole_of(chunk({"role": "assistant", "content": ""}, finish="stop")).text == ""


def test_without_a_finish_reason_tool_calls_tell_why_it_ended() -> None:
    whole = whole_of(chunk(tool(0, "a", "f", "{}")))
    assert (whole.finish_reason, whole.native_finish_reason) == ("tool_calls", None)


def test_what_follows_the_end_marker_is_ignored() -> None:
    body = body_of(chunk({"content": "a"}, finish="stop")) + body_of("data: {broken\n\n", {"error": "late"})
    assert assemble(decoded(SseFramer(), ChatDecoder(), [body])).text == "a"


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"error": {"message": "m", "type": "server_error"}}, Unavailable),
        (chunk({"content": "x"}, error={"code": 429, "message": "m"}), RateLimited),
        ('event: error\ndata: {"message": "m", "code": 400}\n\n', InvalidRequest),
        ({"object": "error", "message": "m", "code": 400}, InvalidRequest),
        ({"error": "plain words"}, Unavailable),
        ({"id": "c", "choices": [{"index": 0, "error": {"code": 502, "message": "m"}}]}, Unavailable),
        ("data: {broken\n\n", BadResponse),
        ("data: [1]\n\n", BadResponse),
        ('data: "text"\n\n', BadResponse),
    ],
)
def test_an_error_frame_ends_the_stream_with_its_error(frame: Any, expected: type[CallError]) -> None:
    for before in ([], [chunk({"content": "a"})]):
        with pytest.raises(CallError) as caught:
            events_of_chunks(*before, frame)
        assert type(caught.value) is expected
        assert caught.value.upstream_request_id == "r1"


def test_invalid_utf8_is_replaced() -> None:
    body = b'data: {"id":"c","choices":[{"delta":{"content":"a\xff"},"finish_reason":"stop"}]}\n\n'
    assert assemble(decoded(SseFramer(), ChatDecoder(), [body])).text == "a\ufffd"


def test_an_error_of_null_is_none() -> None:
    assert whole_of(chunk({"content": "a"}, finish="stop", error=None)).text == "a"


# ── tool calls ───────────────────────────────────────────────────────────────────────────────────────


def test_pieces_are_joined_by_index() -> None:
    assert calls_of(
        chunk(tool(0, "a", "f")),
        chunk(tool(0, arguments='{"x"')),
        chunk(tool(1, "b", "g")),
        chunk(tool(1, arguments="{}")),
        chunk(tool(0, arguments=":1}")),
    ) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]


def test_id_and_name_stand_in_the_first_piece_only() -> None:
    events = events_of_chunks(
        chunk(tool(0, "a", "f", "")), chunk(tool(0, "a", "f", "{}")), chunk(finish="tool_calls")
    )
    assert [event for event in events if isinstance(event, ToolCallDelta)] == [
        ToolCallDelta(0, "a", "f", ""),
        ToolCallDelta(0, "", "", "{}"),
    ]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        # one id for all
        ([tool(0, "a", "f", "{}"), tool(1, "a", "f", "[]")], [("a", "f", "{}"), ("a-1", "f", "[]")]),
        # no ids
        ([tool(0, None, "f", "{}"), tool(1, "", "g", "[]")], [("c1-0", "f", "{}"), ("c1-1", "g", "[]")]),
        # no index
        ([tool(None, "a", "f", "{"), tool(None, None, None, "}")], [("a", "f", "{}")]),
        ([tool(None, "a", "f", "{}"), tool(None, "b", "g", "[]")], [("a", "f", "{}"), ("b", "g", "[]")]),
        # every call numbered 0
        ([tool(0, "a", "f", "{}"), tool(0, "b", "g", "[]")], [("a", "f", "{}"), ("b", "g", "[]")]),
        # another id with every piece, but no name: still the same call
        ([tool(0, "a", "f", "{"), tool(0, "b", None, "}")], [("a", "f", "{}")]),
        # numbered from 1
        ([tool(1, "a", "f", "{}"), tool(2, "b", "g", "[]")], [("a", "f", "{}"), ("b", "g", "[]")]),
        # the name comes later
        ([tool(0, "a", None, "{"), tool(0, None, "f", "}")], [("a", "f", "{}")]),
        # arguments as an object, or null
        ([tool(0, "a", "f", {"x": 1})], [("a", "f", '{"x":1}')]),
        ([tool(0, "a", "f", None), tool(0, None, None, "{}")], [("a", "f", "{}")]),
        # the deprecated form
        (
            [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}],
            [("c1-0", "f", "{}")],
        ),
    ],
)
def test_tool_calls_of_odd_servers_are_understood(chunks: Any, expected: Any) -> None:
    assert calls_of(*(chunk(each) for each in chunks)) == expected


def test_several_calls_in_one_chunk_without_index_stay_apart() -> None:
    both = {
        "tool_calls": [*tool(None, "a", "f", "{}")["tool_calls"], *tool(None, "b", "g", "[]")["tool_calls"]]
    }
    assert calls_of(chunk(both)) == [("a", "f", "{}"), ("b", "g", "[]")]


# ── text, reasoning, usage ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("delta", "text", "reasoning"),
    [
        ({"reasoning_content": "hm"}, "", "hm"),
        ({"reasoning": "hm", "content": None}, "", "hm"),
        ({"reasoning": "hm", "reasoning_content": "hm"}, "", "hm"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, "", "hm"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", ""),
        ({"content": 0, "reasoning": ["x"]}, "", ""),
    ],
)
def test_text_and_reasoning_are_found(delta: Any, text: str, reasoning: str) -> None:
    whole = whole_of(chunk(delta), chunk(finish="stop"))
    assert (whole.text, whole.reasoning) == (text, reasoning)


def test_a_refusal_is_streamed_apart() -> None:
    whole = whole_of(chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk(finish="stop"))
    assert (whole.refusal, whole.text) == ("I won't", "")


def test_other_choices_are_ignored() -> None:
    other = {
        "id": "c1",
        "model": "m",
        "choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}],
    }
    whole = whole_of(chunk({"content": "yes"}), other, chunk(finish="stop"))
    assert (whole.text, whole.finish_reason) == ("yes", "stop")


def test_usage_on_every_chunk_is_told_when_it_changes() -> None:
    def counts(n: int) -> dict[str, int]:
        return {"prompt_tokens": 3, "completion_tokens": n}

    events = events_of_chunks(
        chunk({"content": "a"}, usage=counts(1)),
        chunk({}, usage=counts(1)),
        chunk({}, "stop", usage=counts(2)),
    )
    assert [event.usage for event in events if isinstance(event, UsageUpdate)] == [Usage(3, 1), Usage(3, 2)]


def test_usage_details_are_read() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert whole_of(chunk({}, "stop", usage=usage)).usage == Usage(10, 5, 4, 2, 3)


def test_usage_stands_in_other_places_at_other_servers() -> None:
    deepseek = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}
    assert whole_of(chunk({}, "stop", usage=deepseek)).usage == Usage(10, 5, 4)
    groq = {"usage": {"prompt_tokens": 10, "completion_tokens": 5}}
    assert whole_of(chunk({}, "stop", x_groq=groq)).usage == Usage(10, 5)


def test_nonsense_counts_are_unknown() -> None:
    usage = {"prompt_tokens": -1, "completion_tokens": "many", "prompt_tokens_details": 3}
    assert whole_of(chunk({}, "stop", usage=usage)).usage == Usage()


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_answer_in_place_of_a_stream_is_decoded() -> None:
    message = {
        "role": "assistant",
        "content": "hello",
        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
    }
    answer = {
        "id": "c1",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    for seed in (None, 1, 2):
        events = decoded(SseFramer(), ChatDecoder(), cut(json.dumps(answer).encode(), seed=seed))
        whole = assemble(events)
        assert (whole.text, whole.finish_reason, whole.usage) == ("hello", "tool_calls", Usage(1, 2))
        assert [(call.id, call.name) for call in whole.tool_calls] == [("a", "f")]


def test_events_that_call_themselves_json_are_decoded() -> None:
    body = body_of(chunk({"content": "hé"}, finish="stop"))
    for seed in (None, 1, 2):
        assert assemble(decoded(SseFramer(), ChatDecoder(), cut(body, seed=seed))).text == "hé"


@settings(deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=8),
    st.lists(st.integers(0, 2000), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_text_cut_anywhere_arrives_whole(texts: list[str], offsets: list[int], newline: str) -> None:
    chunks = [chunk({"content": text}) for text in texts]
    body = (
        b"".join(
            b"data: "
            + json.dumps(each, ensure_ascii=False).encode("utf-8", "surrogatepass")
            + (newline * 2).encode()
            for each in [*chunks, chunk(finish="stop")]
        )
        + f"data: [DONE]{newline * 2}".encode()
    )
    edges = sorted({offset % len(body) for offset in offsets} | {0, len(body)})
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]

    assert assemble(decoded(SseFramer(), ChatDecoder(), pieces)).text == "".join(texts)


STREAMS = [each.body for each in constructed("openai") if each.kind == "sse"]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(STREAMS), st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=3)), max_size=4))
def test_noise_gives_events_or_one_of_our_errors(body: bytes, edits: list[tuple[int, bytes]]) -> None:
    for offset, noise in edits:
        at = offset % (len(body) + 1)
        body = body[:at] + noise + body[at + len(noise) :]
    with suppress(CallError):
        decoded(SseFramer(), ChatDecoder(), cut(body, seed=4))


KEYS = [
    "id",
    "model",
    "choices",
    "index",
    "delta",
    "message",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "type",
    "text",
    "data",
    "embedding",
    "reasoning",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 5)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "x", "0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(JSON, JSON)
def test_any_json_gives_an_answer_or_one_of_our_errors(first: Any, second: Any) -> None:
    for read in (
        lambda: chat_response(first),
        lambda: chat_response({"choices": [{"index": 0, "message": first}], "usage": second}),
        lambda: embed_response({"data": [first]}, EmbedRequest("m", ("a",))),
        lambda: model_infos(first, provider="p"),
        lambda: events_of_chunks(
            {"choices": [{"index": 0, "delta": first, "finish_reason": second}]}, second
        ),
        lambda: events_of_chunks(chunk({"tool_calls": [first, second]})),
    ):
        with suppress(CallError):
            read()
