"""Streams as servers between us and Claude write them: other numbers, other names, other ways to fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import Assembled, assemble, cut, decoded

from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ContextWindowExceeded,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Truncated,
    Unavailable,
)
from pointsman.types import StreamEvent, Usage
from pointsman.wire.assembly import Assembly
from pointsman_claude.decode import chat_response
from pointsman_claude.frames import Frames
from pointsman_claude.stream import MessagesDecoder, events_of, whole_answer

Frame = dict[str, Any]

START: Frame = {
    "type": "message_start",
    "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []},
}
STOP: Frame = {"type": "message_stop"}
ENDED: Frame = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}

BLOCKS: list[tuple[Frame, list[Frame]]] = [
    (
        {"type": "thinking", "thinking": "", "signature": ""},
        [{"type": "thinking_delta", "thinking": "Hm"}, {"type": "signature_delta", "signature": "s"}],
    ),
    (
        {"type": "text", "text": ""},
        [{"type": "text_delta", "text": "Hi"}, {"type": "text_delta", "text": " you"}],
    ),
    (
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        [{"type": "input_json_delta", "partial_json": each} for each in ("", '{"x":', "1}")],
    ),
    (
        {"type": "text", "text": ""},
        [{"type": "text_delta", "text": "more"}],
    ),
    ({"type": "tool_use", "id": "t2", "name": "g", "input": {}}, []),
]


def stream(*frames: Frame, named: bool = True) -> bytes:
    lines = []
    for each in frames:
        lines.append(f"event: {each['type']}\n" if named and "type" in each else "")
        lines.append(f"data: {json.dumps(each)}\n\n")
    return "".join(lines).encode()


def told(*frames: Frame) -> list[StreamEvent]:
    return decoded(Frames(), MessagesDecoder(), [stream(*frames)])


def whole(*frames: Frame) -> Assembled:
    return assemble(told(*frames))


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────

Numbering = Callable[[int], Any]

NUMBERINGS: dict[str, Numbering] = {
    "the block's": lambda n: n,
    "one more": lambda n: n + 1,
    "one less": lambda n: n - 1,
    "always 0": lambda n: 0,
    "from 7 on": lambda n: n + 7,
    "as text": str,
    "none": lambda n: None,
    "left out": lambda n: ...,
}
names = st.sampled_from(list(NUMBERINGS))


def numbered(kind: str, number: Any, **members: Any) -> Frame:
    return {"type": kind, **({} if number is ... else {"index": number}), **members}


def renumbered(starts: Numbering, deltas: Numbering, stops: Numbering, times: int) -> Iterator[Frame]:
    for n, (block, pieces) in enumerate(BLOCKS):
        yield numbered("content_block_start", starts(n), content_block=block)
        for piece in pieces:
            yield numbered("content_block_delta", deltas(n), delta=piece)
        for _ in range(times):
            yield numbered("content_block_stop", stops(n))


AS_USUAL = list(renumbered(int, int, int, 1))


@given(names, names, names, st.integers(0, 1))
def test_blocks_are_the_same_however_they_are_numbered(
    starts: str, deltas: str, stops: str, times: int
) -> None:
    other = renumbered(NUMBERINGS[starts], NUMBERINGS[deltas], NUMBERINGS[stops], times)

    answer = whole(START, *other, ENDED, STOP)

    usual = whole(START, *AS_USUAL, ENDED, STOP)
    if not times:  # whose block a piece was is anybody's guess then; what it says is not
        answer, usual = (replace(each, raw={}, extra={}) for each in (answer, usual))
    assert answer == usual
    assert (answer.text, answer.reasoning) == ("Hi youmore", "Hm")
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("f", '{"x":1}'), ("g", "{}")]
    assert answer.finish_reason == "tool_calls"


def test_pieces_of_calls_that_come_in_turns_belong_where_their_number_says() -> None:
    frames = [
        numbered("content_block_start", n, content_block={"type": "tool_use", "id": f"t{n}", "name": "f"})
        for n in (0, 1)
    ]
    for piece in ("[", "7", "]"):
        frames += [
            numbered("content_block_delta", n, delta={"type": "input_json_delta", "partial_json": piece})
            for n in (0, 1)
        ]

    assert [call.arguments for call in whole(START, *frames, ENDED, STOP).tool_calls] == ["[7]", "[7]"]


@pytest.mark.parametrize("delta", ["text", "thinking"])
def test_a_delta_whose_block_was_not_begun_begins_it(delta: str) -> None:
    piece = {"type": f"{delta}_delta", delta: "x"}

    answer = whole(START, numbered("content_block_delta", 3, delta=piece), ENDED, STOP)

    assert (answer.text or answer.reasoning) == "x"
    assert answer.raw["content"][0][delta] == "x"


# ── names and blanks ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["ping", "content_block_delta", "message_stop", "future", ""])
@pytest.mark.parametrize("data", ["data:", "data: ", "data:  ", "data", "data:\ndata:"])
@pytest.mark.parametrize("place", range(5))
def test_an_event_without_data_is_passed_over_wherever_it_stands(name: str, data: str, place: int) -> None:
    empty = f"event: {name}\n{data}\n\n".encode() if name else f"{data}\n\n".encode()
    frames = [stream(each) for each in (START, *AS_USUAL, ENDED, STOP)]
    usual = b"".join(frames)
    frames.insert(place * 4 + 1, empty)

    events = decoded(Frames(), MessagesDecoder(), cut(b"".join(frames), seed=3))

    assert events == decoded(Frames(), MessagesDecoder(), [usual])


def test_events_need_no_names() -> None:
    frames = (START, *AS_USUAL, ENDED, STOP)

    unnamed = decoded(Frames(), MessagesDecoder(), [stream(*frames, named=False)])

    assert unnamed == told(*frames)


def test_a_second_start_and_a_second_end_of_the_message_say_nothing_new() -> None:
    refused = {
        "type": "message_delta",
        "delta": {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "No."}},
        "usage": {"input_tokens": 3, "output_tokens": 5},
    }
    later = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"input_tokens": 0}}

    answer = whole(START, START, refused, refused, later, STOP)

    assert (answer.refusal, answer.finish_reason) == ("No.", "content_filter")
    assert answer.usage == Usage(3, 5)


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────

TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum"
FAILURES: dict[str, tuple[Any, type[CallError], str]] = {
    "Claude's": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
        Overloaded,
        "Busy",
    ),
    "without a type": ({"error": {"type": "rate_limit_error", "message": "Slow"}}, RateLimited, "Slow"),
    "of OpenAI": (
        {"error": {"message": "no funds", "type": "x", "code": "insufficient_quota"}},
        QuotaExhausted,
        "no funds",
    ),
    "a text": ({"error": "backend died"}, Unavailable, "backend died"),
    "without its envelope": ({"type": "overloaded_error", "message": "Busy"}, Overloaded, "Busy"),
    "flat names": (
        {"error_type": "api_error", "error_message": "backend died"},
        Unavailable,
        "backend died",
    ),
    "a text of JSON": ({"error": json.dumps({"message": TOO_LONG})}, ContextWindowExceeded, TOO_LONG),
    "an object": ({"object": "error", "message": "backend died", "code": 503}, Unavailable, "backend died"),
    "a detail": ({"detail": "backend died"}, Unavailable, "backend died"),
    "a status": ({"error": {"code": 401, "message": "bad key"}}, AuthenticationFailed, "bad key"),
    "beside a known type": (
        {"type": "message_delta", "delta": {}, "error": {"message": "backend died"}},
        Unavailable,
        "backend died",
    ),
}
BEGINNING = [START, *AS_USUAL]


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("name", [None, "error", "message_delta", "future"])
@pytest.mark.parametrize("place", [0, 1, 3, 6, len(BEGINNING)])
def test_a_failure_breaks_the_stream_with_its_words_wherever_and_however_it_is_told(
    how: str, name: str | None, place: int
) -> None:
    value, kind, words = FAILURES[how]
    line = f"event: {name}\n" if name else ""
    body = stream(*BEGINNING[:place]) + f"{line}data: {json.dumps(value)}\n\n".encode()
    body += stream(ENDED, STOP) + b"data: [DONE]\n\n"

    with pytest.raises(CallError) as caught:
        decoded(Frames(), MessagesDecoder(), cut(body, seed=2))

    assert type(caught.value) is kind
    assert words in caught.value.message


@pytest.mark.parametrize("data", ["", "data: null", "data: []", 'data: "x"', "data: 5", "data:"])
@pytest.mark.parametrize("place", [0, 6])
def test_an_event_of_the_name_error_breaks_the_stream_whatever_it_holds(place: int, data: str) -> None:
    before, after = stream(*BEGINNING[:place]), stream(*BEGINNING[place:], ENDED, STOP)
    with pytest.raises(Unavailable):
        decoded(Frames(), MessagesDecoder(), [before + f"event: error\n{data}\n\n".encode() + after])


@pytest.mark.parametrize("place", [0, 6])
def test_a_list_with_an_error_breaks_the_stream_with_its_words(place: int) -> None:
    listed = b'data: [{"error": {"message": "it broke"}}]\n\n'
    before, after = stream(*BEGINNING[:place]), stream(*BEGINNING[place:], ENDED, STOP)
    with pytest.raises(Unavailable, match="it broke"):
        decoded(Frames(), MessagesDecoder(), [before + listed + after])
    with pytest.raises(Unavailable, match="it broke"):
        whole_answer(b'[{"error": {"message": "it broke"}}]')


@pytest.mark.parametrize("place", [0, 6])
def test_a_failure_may_be_told_as_text(place: int) -> None:
    body = stream(*BEGINNING[:place]) + b"event: error\ndata: Internal server error\n\n"

    with pytest.raises(Unavailable, match="Internal server error"):
        decoded(Frames(), MessagesDecoder(), [body])


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_failure_in_place_of_a_stream_is_read_without_its_frame(how: str, indent: int | None) -> None:
    value, kind, words = FAILURES[how]
    body = json.dumps(value, indent=indent).encode()

    with pytest.raises(CallError) as caught:
        decoded(Frames(), MessagesDecoder(), cut(body, seed=3))

    assert type(caught.value) is kind
    assert words in caught.value.message
    if "delta" not in value:
        with pytest.raises(kind):
            chat_response(value)


@pytest.mark.parametrize("place", range(1, len(BEGINNING) + 1))
def test_a_stream_without_its_last_event_is_not_whole(place: int) -> None:
    for more in ([], [ENDED]):
        with pytest.raises(Truncated):
            told(*BEGINNING[:place], *more)


# ── what the unified answer has no place for ─────────────────────────────────────────────────────────

CITATION = {"type": "char_location", "cited_text": "a"}
SEARCH: list[Frame] = [
    {"type": "text", "text": "Let me see."},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"encrypted_content": "e"}]},
    {"type": "future_block", "data": {"a": [1]}},
    {"type": "text", "text": "Found.", "citations": [CITATION, CITATION]},
]


def as_stream(block: Frame) -> tuple[Frame, list[Frame]]:
    """How a whole block is streamed."""
    match block["type"]:
        case "text":
            deltas = [{"type": "citations_delta", "citation": each} for each in block.get("citations", ())]
            text = [{"type": "text_delta", "text": each} for each in block["text"]]
            empty = {"type": "text", "text": "", **({"citations": []} if deltas else {})}
            return empty, [*deltas, *text]
        case "server_tool_use":
            piece = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            return {**block, "input": {}}, [piece]
        case _:
            return block, []


def test_a_stream_keeps_the_message_as_it_would_have_come_in_one_piece() -> None:
    message = {
        **START["message"],
        "content": SEARCH,
        "stop_reason": "pause_turn",
        "stop_sequence": None,
        "container": {"id": "c"},
        "usage": {"input_tokens": 1, "output_tokens": 5, "server_tool_use": {"web_search_requests": 1}},
    }
    frames: list[Frame] = [{**START, "message": {**START["message"], "usage": {"input_tokens": 1}}}]
    for n, block in enumerate(SEARCH):
        begun, pieces = as_stream(block)
        frames.append(numbered("content_block_start", n, content_block=begun))
        frames += [numbered("content_block_delta", n, delta=piece) for piece in pieces]
        frames.append(numbered("content_block_stop", n))
    end = {name: message[name] for name in ("stop_reason", "stop_sequence", "container")}
    frames.append({"type": "message_delta", "delta": end, "usage": message["usage"]})
    said = Assembly()
    said.extend(told(*frames, STOP))

    streamed, one = said.response(), chat_response(message)

    assert streamed.raw == message
    assert streamed == one
    assert streamed.extra == {"content": SEARCH}


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ([], False),
        ([{"type": "text", "text": "a"}], False),
        ([BLOCKS[0][0], BLOCKS[1][0], BLOCKS[2][0]], False),
        ([BLOCKS[1][0], BLOCKS[0][0]], True),
        ([BLOCKS[2][0], BLOCKS[1][0]], True),
        ([{"type": "container_upload", "file_id": "f"}], True),
        ([{"type": "text", "text": "a", "citations": None}], False),
        ([{"type": "text", "text": "a", "citations": [{"cited_text": "b"}]}], True),
        ([{**BLOCKS[2][0], "caller": {"type": "code_execution", "tool_id": "t"}}], True),
    ],
)
def test_a_message_carries_its_blocks_only_when_they_could_not_be_written_from_the_rest(
    content: list[Frame], kept: bool
) -> None:
    response = chat_response({"type": "message", "content": content})

    assert response.extra == ({"content": content} if kept else {})
    assert response.message.extra == response.extra


def test_the_events_of_a_whole_answer_add_up_to_it() -> None:
    response = chat_response(
        {
            **START["message"],
            "content": [{**BLOCKS[0][0], "signature": "s"}, {"type": "text", "text": "a"}, BLOCKS[2][0]],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 1},
        }
    )
    said = Assembly()
    said.extend(events_of(response))

    assert said.response() == response


@pytest.mark.parametrize(
    ("given", "text"),
    [('{"q":1}', '{"q":1}'), ('"{\\"q\\":1}"', '{"q":1}'), ({"q": 1}, '{"q":1}'), (None, "{}"), ("", "{}")],
)
def test_the_input_of_a_call_may_be_text(given: Any, text: str) -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": given}

    (call,) = chat_response({"content": [block]}).tool_calls
    frames = [numbered("content_block_start", 0, content_block=block), numbered("content_block_stop", 0)]

    assert call.arguments == text
    assert whole(START, *frames, ENDED, STOP).tool_calls[0].arguments == text


@pytest.mark.parametrize("name", ["", " ", None, 7])
def test_a_call_without_a_name_is_never_a_success(name: Any) -> None:
    block = {"type": "tool_use", "id": "t", "name": name, "input": {}}

    with pytest.raises(CallError):
        chat_response({"content": [block]})
    with pytest.raises(CallError):
        told(START, numbered("content_block_start", 0, content_block=block), ENDED, STOP)


def test_the_thoughts_of_other_servers_are_counted_in_what_was_said() -> None:
    counts = {"output_tokens": 4, "output_tokens_details": {"thinking_tokens": 9}}

    assert chat_response({"content": [], "usage": counts}).usage == Usage(completion=13, reasoning=9)


@given(st.text(min_size=1, max_size=6), st.data())
def test_characters_that_were_cut_in_two_are_joined(text: str, data: st.DataObject) -> None:
    units = text.encode("utf-16-le")
    places = data.draw(st.lists(st.integers(0, len(units) // 2), max_size=3), label="places")
    marks = sorted({0, len(units) // 2, *places})
    pieces = [
        units[2 * a : 2 * b].decode("utf-16-le", "surrogatepass")
        for a, b in zip(marks, marks[1:], strict=False)
    ]
    for kind, name in (("text", "text"), ("thinking", "thinking")):
        begun = numbered("content_block_start", 0, content_block={"type": kind, name: ""})
        deltas = [
            numbered("content_block_delta", 0, delta={"type": f"{kind}_delta", name: piece})
            for piece in pieces
        ]
        answer = whole(START, begun, *deltas, numbered("content_block_stop", 0), ENDED, STOP)
        assert (answer.text or answer.reasoning) == text
        assert answer.raw["content"][0][name] == text


def test_half_a_character_that_stays_alone_is_replaced() -> None:
    begun = numbered("content_block_start", 0, content_block={"type": "text", "text": ""})
    half = numbered("content_block_delta", 0, delta={"type": "text_delta", "text": "a\ud83d"})

    assert whole(START, begun, half, ENDED, STOP).text == "a\ufffd"
    assert chat_response({"content": [{"type": "text", "text": "\udc4d"}]}).text == "\ufffd"


@pytest.mark.parametrize("number", [2**64, -(2**70), 10**30, 12345678901234567890123])
def test_large_numbers_of_a_call_are_not_changed(number: int) -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"n": number}}
    frames = [numbered("content_block_start", 0, content_block=block), ENDED, STOP]

    for answer in (whole(START, *frames), whole_answer(json.dumps({"content": [block]}).encode())):
        assert answer.tool_calls[0].arguments == f'{{"n":{number}}}'


# ── what only counts or names ────────────────────────────────────────────────────────────────────────

ODD: list[Any] = [None, "12", 1.5, -1, True, [1], {}, {"output_tokens_details": 5}, {"input_tokens": "12"}]


@pytest.mark.parametrize("odd", ODD)
def test_odd_counts_and_names_do_not_cost_an_answer(odd: Any) -> None:
    text = [{"type": "text", "text": "hi"}]
    message = {"id": odd, "type": "message", "model": odd, "usage": odd, "content": text}
    assert chat_response({**message, "stop_reason": "end_turn"}).text == "hi"
    started = {
        "type": "message_start",
        "message": {**START["message"], "id": odd, "model": odd, "usage": odd},
    }
    answer = whole(started, *AS_USUAL, {**ENDED, "usage": odd}, STOP)
    assert answer.text == "Hi youmore"
    assert answer.usage in (None, Usage())
