"""Answers and streams as our values, and the same events however a stream is cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay import assemble, decoded

from pointsman.errors import (
    BadResponse,
    CallError,
    ContextWindowExceeded,
    InvalidRequest,
    Truncated,
    Unavailable,
    Unsupported,
)
from pointsman.http.framing import SseEvent
from pointsman.types import (
    ChatResponse,
    Finished,
    RawDelta,
    ReasoningDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)
from pointsman_ollama.decode import Lines, StreamDecoder, chat_response, embed_response

AT = "2026-08-10T10:00:01.123456789Z"


def line(message: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "", **(message or {})}
    return {"model": "m", "created_at": AT, "message": message, "done": False, **more}


def raw_call(name: str, arguments: Any = None, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments or {}}, **more}


def body(*lines: Any) -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in lines)


def events(*pieces: bytes, seed: str = "req-1/1") -> list[StreamEvent]:
    return decoded(Lines(), StreamDecoder(seed), pieces)


def whole(value: Any, seed: str = "s") -> ChatResponse:
    return chat_response(json.dumps(value).encode(), StreamDecoder(seed))


END = line(done=True, done_reason="stop", prompt_eval_count=3, eval_count=4)


# ── in one piece ─────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_keeps_everything_that_was_said() -> None:
    value = line(
        {"content": "Hi", "thinking": "Hm", "tool_calls": [raw_call("f", {"x": 1.5, "y": "é"}, id="call_a")]},
        done=True,
        done_reason="stop",
        prompt_eval_count=3,
        eval_count=4,
    )

    response = whole(value)

    assert response.text == "Hi"
    assert response.reasoning == "Hm"
    [call] = response.tool_calls
    assert (call.id, call.name, call.index, call.parsed()) == ("call_a", "f", 0, {"x": 1.5, "y": "é"})
    assert response.finish_reason == "tool_calls"
    assert response.native_finish_reason == "stop"
    assert response.usage == Usage(prompt=3, completion=4)
    assert response.model == "m"
    assert response.id == ""
    assert response.raw == value


@pytest.mark.parametrize(
    ("native", "called", "expected"),
    [
        ("stop", False, "stop"),
        ("stop", True, "tool_calls"),
        ("length", False, "length"),
        ("length", True, "length"),
        ("STOP", True, "tool_calls"),
        ("tool_calls", False, "stop"),
        ("news", True, "tool_calls"),
        ("", False, "stop"),
        (None, False, "stop"),
        (None, True, "tool_calls"),
        ("news", False, "other"),
    ],
)
def test_finish_reasons(native: str | None, called: bool, expected: str) -> None:
    message = {"content": "Hi", **({"tool_calls": [raw_call("f")]} if called else {})}
    end = line(message, done=True, **({} if native is None else {"done_reason": native}))

    response = whole(end)
    streamed = assemble(events(body(end)))

    assert response.finish_reason == streamed.finish_reason == expected
    assert response.native_finish_reason == streamed.native_finish_reason == (native or None)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, Usage()),
        ({"eval_count": 4}, Usage(completion=4)),
        ({"prompt_eval_count": 3}, Usage(prompt=3)),
        ({"prompt_eval_count": None, "eval_count": "4"}, Usage()),
        ({"prompt_eval_count": True, "eval_count": -1}, Usage()),
    ],
)
def test_a_count_that_is_absent_is_unknown_and_not_zero(counts: dict[str, Any], expected: Usage) -> None:
    end = line(done=True, **counts)

    assert whole(end).usage == expected
    assert assemble(events(body(end))).usage == expected


@pytest.mark.parametrize(("reason", "what"), [("load", "loaded"), ("unload", "unloaded")])
@pytest.mark.parametrize("said", [{}, {"content": ""}, {"content": "", "thinking": ""}])
def test_an_answer_that_only_loads_the_model_is_none_when_something_was_asked(
    reason: str, what: str, said: dict[str, Any]
) -> None:
    end = line(said, done=True, done_reason=reason)

    with pytest.raises(InvalidRequest, match=f"generated nothing and only {what} the model.* user message"):
        whole(end)
    with pytest.raises(InvalidRequest, match="generated nothing"):
        events(body(line(), end))

    told = chat_response(body(end), StreamDecoder("s", prompted=False))
    assert (told.text, told.finish_reason, told.native_finish_reason) == ("", "stop", reason)


def test_an_answer_with_text_counts_although_its_reason_is_that_of_loading() -> None:
    assert whole(line({"content": "Hi"}, done=True, done_reason="load")).text == "Hi"


@pytest.mark.parametrize("said", ["", "Hi"])
def test_an_answer_that_ends_with_an_error_is_one(said: str) -> None:
    with pytest.raises(Unavailable, match="ended its answer with done_reason 'error'"):
        events(body(line({"content": said}), line(done=True, done_reason="error")))


def test_a_completion_is_read_from_its_top_level() -> None:
    value = {"model": "m", "response": "Hi", "thinking": "Hm", "done": True, "context": [1, 2]}

    response = whole(value)

    assert (response.text, response.reasoning) == ("Hi", "Hm")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {"done": True},
        {"done": True, "message": ["text"]},
        {"hello": "you"},
        {"done": True, "message": {"content": ["parts"]}},
        {"done": True, "message": {"content": "", "tool_calls": {"function": {}}}},
        {"done": True, "message": {"content": "", "tool_calls": [{}]}},
        {"done": True, "message": {"content": "", "tool_calls": [{"function": {"name": ""}}]}},
        {"done": True, "message": {"content": "", "tool_calls": ["f"]}},
        {"done": True, "response": 7},
    ],
)
def test_an_answer_of_another_shape_is_a_bad_response(value: Any) -> None:
    with pytest.raises(BadResponse):
        whole(value)
    with pytest.raises(BadResponse):
        events(body(value))


def test_an_answer_that_is_not_done_is_truncated() -> None:
    with pytest.raises(Truncated):
        whole(line({"content": "Hi"}))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("llama-server process has terminated", Unavailable),
        ({"message": "no upstream", "type": "api_error"}, Unavailable),
        ([], BadResponse),
        (None, BadResponse),
        ("the input length exceeds the context length", ContextWindowExceeded),
    ],
)
def test_an_error_in_a_200_answer_is_raised(error: Any, kind: type[CallError]) -> None:
    with pytest.raises(kind):
        whole({"error": error})
    with pytest.raises(kind):
        events(body({"error": error}))


# ── tool calls ───────────────────────────────────────────────────────────────────────────────────────


def test_calls_are_counted_by_us_across_lines() -> None:
    zero = {"function": {"index": 0, "name": "f", "arguments": {}}}
    whole = assemble(
        events(
            body(
                line({"tool_calls": [{**zero, "id": "a"}, {**zero, "id": "b"}]}),
                line({"tool_calls": [{**zero, "id": "c"}]}),
                line({"tool_calls": [{**zero, "id": "d"}]}, done=True, done_reason="stop"),
            )
        )
    )

    assert [(call.index, call.id) for call in whole.tool_calls] == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]
    assert whole.finish_reason == "tool_calls"


def test_missing_and_repeated_ids_are_made_unique() -> None:
    calls = [raw_call("f"), raw_call("f", id=""), raw_call("f", id="x"), raw_call("f", id="x"), raw_call("g")]

    made = whole(line({"tool_calls": calls}, done=True)).tool_calls

    ids = [call.id for call in made]
    assert ids[2] == "x"
    assert len(set(ids)) == 5
    assert all(each.startswith("call_") and len(each) == 21 for each in (ids[0], ids[1], ids[3], ids[4]))


def test_a_made_id_is_the_same_for_the_same_bytes_and_another_in_another_call() -> None:
    value = line({"tool_calls": [raw_call("f")]}, done=True)

    def made(value: Any, seed: str) -> str:
        return whole(value, seed).tool_calls[0].id

    assert made(value, "one") == made(value, "one")
    assert made(value, "one") != made(value, "two")
    assert made(value, "one") != made({**value, "created_at": "2026-08-10T10:00:02Z"}, "one")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({"x": 1}, '{"x":1}'), ('{"x": 1}', '{"x": 1}'), (None, "{}"), ({}, "{}"), ([1], "[1]")],
)
def test_arguments_become_text(arguments: Any, expected: str) -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": arguments}}

    response = whole(line({"tool_calls": [call]}, done=True))

    assert response.tool_calls == (ToolCall("a", "f", expected),)


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_gives_its_events_in_order() -> None:
    given = body(
        line({"thinking": "H"}),
        line({"thinking": "m", "content": "A"}),
        line(),
        line({"content": "B", "tool_calls": [raw_call("f", {"x": 1}, id="a")]}),
        END,
    )

    assert events(given) == [
        Started(model="m"),
        ReasoningDelta("H"),
        ReasoningDelta("m"),
        TextDelta("A"),
        TextDelta("B"),
        ToolCallDelta(0, "a", "f", '{"x":1}'),
        UsageUpdate(Usage(prompt=3, completion=4)),
        Finished("tool_calls", "stop"),
        RawDelta(
            {
                **END,
                "message": {"role": "assistant", "tool_calls": [raw_call("f", {"x": 1}, id="a")]},
            }
        ),
    ]


def test_an_empty_line_object_is_a_sign_of_life() -> None:
    decoder = StreamDecoder("s")
    decoder.decode(SseEvent("", json.dumps(line({"content": "A"})).encode()))

    assert list(decoder.decode(SseEvent("", json.dumps(line()).encode()))) == []
    assert not decoder.done


def test_the_last_line_may_bring_content_and_lack_its_end() -> None:
    last = json.dumps(line({"content": "all"}, done=True, done_reason="stop")).encode()

    assert assemble(events(last)).text == "all"


def test_what_follows_the_end_is_ignored() -> None:
    assert events(body(END), b"garbage\n") == events(body(END) + b"garbage\n") == events(body(END))


@given(st.integers(0, len(body(line({"content": "é"}), END)) - 3))
def test_a_stream_without_its_end_is_truncated_wherever_it_was_cut(length: int) -> None:
    with pytest.raises(Truncated):
        events(body(line({"content": "é"}), END)[:length])


def test_a_broken_character_is_replaced() -> None:
    broken = body(line({"content": "é"})).replace("é".encode(), b"\xe9")

    assert assemble(events(broken + body(END))).text == "\ufffd"
    assert assemble(events(body(line({"content": "A"})) + broken + body(END))).text == "A\ufffd"


def test_an_error_line_ends_the_stream_with_its_text() -> None:
    with pytest.raises(Unavailable, match="unexpected EOF"):
        events(body(line({"content": "A"}), {"error": "unexpected EOF"}))


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
LINES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "content": TEXT,
            "thinking": TEXT,
            "tool_calls": st.lists(
                st.builds(
                    raw_call,
                    st.sampled_from(["f", "g"]),
                    st.dictionaries(TEXT, TEXT | st.integers(-9, 9), max_size=2),
                    id=st.sampled_from(["", "a", "b"]),
                ),
                max_size=2,
            ),
        },
    ),
    max_size=8,
)


@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r"]), st.data())
@settings(max_examples=150, deadline=None)
def test_a_stream_cut_anywhere_gives_the_same_events(
    messages: list[dict[str, Any]], end: bytes, data: st.DataObject
) -> None:
    lines = [*(line(each) for each in messages), END]
    given = end.join(json.dumps(each, ensure_ascii=False).encode() for each in lines) + end
    offsets = sorted(data.draw(st.lists(st.integers(0, len(given)), max_size=12)))
    pieces = [given[a:b] for a, b in zip([0, *offsets], [*offsets, len(given)], strict=True)]

    cut = events(*pieces)

    assert cut == events(given)
    whole = assemble(cut)
    assert whole.text == "".join(each.get("content", "") for each in messages)
    assert whole.reasoning == "".join(each.get("thinking", "") for each in messages)
    sent = [call["function"] for each in messages for call in each.get("tool_calls", ())]
    assert [(call.name, call.parsed()) for call in whole.tool_calls] == [
        (function["name"], function["arguments"]) for function in sent
    ]
    assert len({call.id for call in whole.tool_calls}) == len(sent)


@given(st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_no_bytes_raise_anything_but_our_errors(noise: bytes) -> None:
    with pytest.raises(CallError):
        events(body(line({"content": "A"})) + noise)


# ── embeddings ───────────────────────────────────────────────────────────────────────────────────────


def test_vectors_keep_their_order_and_the_count_of_tokens() -> None:
    value = {"model": "e", "embeddings": [[1.0, 0.0], [0.0, 1.0]], "prompt_eval_count": 5}

    response = embed_response(value, count=2, dimensions=2)

    assert response.vectors == [[1.0, 0.0], [0.0, 1.0]]
    assert response.usage == Usage(prompt=5)
    assert response.model == "e"


def test_no_texts_give_no_vectors() -> None:
    assert embed_response({"embeddings": []}, count=0, dimensions=4).vectors == []


@pytest.mark.parametrize(
    "value",
    [
        {"embeddings": [[1.0]]},
        {"embeddings": [[1.0], [2.0], [3.0]]},
        {"embeddings": [[1.0], [2.0, 3.0]]},
        {"embeddings": [[1.0], 2.0]},
        {"embeddings": None},
        {"embedding": [1.0]},
        [],
    ],
)
def test_vectors_that_do_not_fit_the_texts_are_a_bad_response(value: Any) -> None:
    with pytest.raises(BadResponse):
        embed_response(value, count=2, dimensions=None)


def test_vectors_of_another_length_than_asked_for_are_not_passed_on() -> None:
    with pytest.raises(Unsupported, match="3 dimensions, not the 2"):
        embed_response({"embeddings": [[1.0, 0.0, 0.0]]}, count=1, dimensions=2)


# ── many at a time ───────────────────────────────────────────────────────────────────────────────────

ODD: list[Any] = [
    None,
    "",
    "x",
    0,
    1,
    False,
    True,
    [],
    {},
    ["x"],
    {"message": "m"},
    {"content": "b"},
    [raw_call("f")],
]
USUAL = json.dumps(line({"content": "a"})).encode()


def twisted() -> Iterator[bytes]:
    """The usual line in which one thing is another or missing; and what is no line."""
    yield from (
        b"{",
        b"null",
        b"[1]",
        b'"s"',
        b"7",
        USUAL.replace(b'"a"', b'"\xff"'),
        USUAL.replace(b"a", b""),
    )
    inner, outer = (
        ("content", "thinking", "tool_calls", "images", "role"),
        ("message", "response", "done", "error"),
    )
    for key, value in itertools.product((*inner, *outer, "model", "done_reason"), (*ODD, KeyError)):
        whole = line({"content": "a"})
        part = whole["message"] if key in inner else whole
        if value is KeyError:
            part.pop(key, None)
        else:
            part[key] = value
        yield json.dumps(whole).encode()


TWISTED = list(twisted())


def assert_both_ways_tell_the_same(lines: Sequence[bytes]) -> None:
    def told(work: Callable[[StreamDecoder, list[StreamEvent]], None]) -> tuple[Any, ...]:
        decoder, heard = StreamDecoder("s"), list[StreamEvent]()
        try:
            work(decoder, heard)
        except CallError as error:
            return heard, type(error), str(error), decoder.done
        return heard, decoder.done

    def one_by_one(decoder: StreamDecoder, heard: list[StreamEvent]) -> None:
        for each in lines:
            if not decoder.done:
                heard += decoder.decode(SseEvent("", each))

    assert told(lambda decoder, heard: decoder.decode_plain(lines, heard)) == told(one_by_one)


def test_many_lines_at_a_time_tell_the_same_as_one_by_one_wherever_a_line_is_odd() -> None:
    for each in TWISTED:
        assert_both_ways_tell_the_same([each, USUAL])
        assert_both_ways_tell_the_same([USUAL, each, USUAL])


@settings(deadline=None)
@given(st.lists(st.just(USUAL) | st.sampled_from(TWISTED), max_size=8))
def test_many_lines_at_a_time_tell_the_same_as_one_by_one(lines: list[bytes]) -> None:
    assert_both_ways_tell_the_same(lines)
