"""What is read by the usual shapes is what the tolerant way would have made of the same bytes, state included.

`POINTSMAN_SHAPES=1000000` is how many damaged whole answers the long run reads, and a tenth of it streams;
`POINTSMAN_SEED` chooses others.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest
from damage import nearly, piece, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from replay import RECORDED, Exchange, constructed, exchanges, recorded

from pointsman.errors import CallError
from pointsman.http.framing import SseEvent
from pointsman.types import ReasoningDelta, TextDelta, ToolCallDelta
from pointsman_claude import shapes
from pointsman_claude.decode import usual_response
from pointsman_claude.frames import Frames
from pointsman_claude.stream import MessagesDecoder, any_answer, whole_answer

CASES = int(os.environ.get("POINTSMAN_SHAPES", "3000"))
SEED = int(os.environ.get("POINTSMAN_SEED", "1"))

USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 4,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 5},
    "service_tier": "standard",
    "inference_geo": "not_available",
}
ANSWER: dict[str, Any] = {
    "model": "claude-x",
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [
        {"type": "text", "text": "Hello"},
        {"citations": None, "type": "text", "text": " \u00e9\U0001f600"},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "stop_details": None,
    "usage": USAGE,
}


def outcome(read: Callable[[], Any]) -> Any:
    """What `read` returns or raises, so that whatever differs is unequal."""
    try:
        return told_of(read())
    except CallError as error:
        return type(error), str(error), error.upstream_request_id, error.status, error.retry_after


def told_of(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [told_of(each) for each in value]
    return type(value), {name: told(getattr(value, name)) for name in value.__struct_fields__}


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


def an_answer(random: Random) -> dict[str, Any]:
    """A whole answer of the usual shape, or with one thing in it that it seldom has."""
    answer = json.loads(json.dumps(ANSWER))
    answer["content"] = [{"type": "text", "text": piece(random)} for _ in range(random.randrange(3))]
    answer["stop_reason"] = random.choice(
        ["end_turn", "max_tokens", "refusal", "tool_use", "error", "New", "", None]
    )
    answer["usage"] = {name: USAGE[name] for name in USAGE if random.random() < 0.8}
    match random.randrange(12):
        case 0:
            answer["content"].append({"type": "tool_use", "id": "t", "name": "f", "input": {"n": 2**70}})
        case 1:
            answer["content"].insert(0, {"type": "thinking", "thinking": "hm", "signature": "s"})
        case 2:
            answer["stop_details"] = {"type": "refusal", "explanation": "no"}
        case 3:
            answer["error"] = {"type": "overloaded_error", "message": "busy"}
        case 4:
            answer["content"].append(
                {"type": "text", "text": "c", "citations": random.choice((None, [], ["x"]))}
            )
    return answer


def check_answer(body: bytes) -> bool:
    """Compare both ways of reading; whether `body` is a usual one."""
    way = outcome(lambda: whole_answer(body, request_id="req_1"))
    assert way == outcome(lambda: any_answer(body, request_id="req_1")), body
    return usual_response(body) is not None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_a_whole_answer_is_read_as_the_tolerant_way_reads_it(random: Random) -> None:
    check_answer(nearly(an_answer(random), random))


def test_so_are_very_many_of_which_a_good_part_is_usual_and_a_good_part_is_not() -> None:
    usual = sum(check_answer(nearly(an_answer(random), random)) for random in seeds(CASES, "answer"))

    assert CASES // 10 < usual < CASES * 9 // 10


def seeds(count: int, what: str) -> Iterable[Random]:
    return (Random(f"{SEED} {what} {n}") for n in range(count))


def test_the_usual_answer_is_read_straight_from_its_bytes() -> None:
    body = json.dumps(ANSWER).encode()

    usual = usual_response(body, request_id="req_1")

    assert usual is not None
    assert usual.text == "Hello é\U0001f600"
    assert (usual.raw, usual.upstream_request_id, usual.finish_reason) == (ANSWER, "req_1", "stop")


@pytest.mark.parametrize(
    "unusual",
    [
        {"error": {"message": "no"}},
        {"content": [{"type": "text", "text": "a", "citations": [{"cited_text": "b"}]}]},
        {"content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"content": [{"text": "a"}]},
        {"type": "text"},
        {"stop_reason": "error"},
        {"stop_details": {"type": "refusal", "explanation": "no"}},
        {"usage": {"input_tokens": 3.0}},
        {"usage": {"input_tokens": 1 << 62}},
        {"usage": {"input_tokens": -1}},
        {"usage": {"cache_creation": {"ephemeral_1h_input_tokens": 1 << 64}}},
        {"usage": {"input_tokens": True}},
        {"new": 1},
        {"id": None},
    ],
    ids=repr,
)
def test_what_is_not_usual_is_left_to_the_tolerant_way(unusual: dict[str, Any]) -> None:
    assert usual_response(json.dumps({**ANSWER, **unusual}).encode()) is None


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


def delta(index: Any, kind: str, name: str, text: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: text}}


def a_stream(random: Random) -> list[dict[str, Any]]:
    """The events of an answer, its blocks in any order; now and then a delta comes under another index."""
    frames: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**ANSWER, "content": [], "stop_reason": None}},
        {"type": "ping"},
    ]
    for number in range(random.randrange(4)):
        index = random.choice((number, number, number, 2**70 + 1))
        block, kind, name = random.choice(
            (
                ({"type": "text", "text": ""}, "text_delta", "text"),
                ({"type": "thinking", "thinking": "", "signature": "s"}, "thinking_delta", "thinking"),
                (
                    {"type": "tool_use", "id": "t", "name": "f", "input": {}},
                    "input_json_delta",
                    "partial_json",
                ),
                ({"type": "server_tool_use", "id": "u", "name": "w"}, "input_json_delta", "partial_json"),
            )
        )
        if random.random() < 0.9:
            frames.append({"type": "content_block_start", "index": index, "content_block": block})
        for _ in range(random.randrange(4)):
            at = index if random.random() < 0.9 else random.choice((0, 1, 9, -1, None, "0", True, 2**31))
            frames.append(delta(at, kind, name, piece(random)))
        if random.random() < 0.9:
            frames.append({"type": "content_block_stop", "index": index})
    if random.random() < 0.3:
        random.shuffle(frames)
    return [
        *frames,
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]


def framed(random: Random) -> list[SseEvent]:
    """The frames of a stream, some of them damaged."""
    wrong = random.choice((0, 0.1, 0.4))
    names = ("", "error", "ping", "content_block_delta", "message_start", "new")
    return [
        SseEvent(
            random.choice(names) if random.random() < wrong / 4 else frame["type"],
            nearly(frame, random) if random.random() < wrong else json.dumps(frame).encode(),
        )
        for frame in a_stream(random)
    ]


def check_stream(frames: Iterable[SseEvent], found: Counter[str] | None = None) -> None:
    """Compare both ways, frame by frame; later events tell what an earlier frame left in the decoder.

    A frame that raises ends a stream, but here it goes on: nothing of it may have been taken in by one alone.
    """
    either, tolerant = MessagesDecoder(request_id="req_1"), MessagesDecoder(request_id="req_1")
    for frame in frames:
        said = outcome(lambda: either.decode(frame))  # noqa: B023
        assert said == outcome(lambda: tolerant.decode_any(frame)), frame  # noqa: B023
        assert either.done == tolerant.done
        if found is not None and frame.event == "content_block_delta":
            found[kind_of(frame.data)] += 1


def kind_of(data: bytes) -> str:
    """Which kind of usual delta it is; "" for none."""
    try:
        return shapes.block_delta(data).delta.kind
    except shapes.UNUSUAL:
        return ""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_a_stream_gives_the_events_that_the_tolerant_way_gives(random: Random) -> None:
    check_stream(framed(random))


def test_so_do_very_many_in_which_all_kinds_of_usual_deltas_come_and_others() -> None:
    found: Counter[str] = Counter()
    for random in seeds(CASES // 10, "stream"):
        check_stream(framed(random), found)

    assert set(found) == {"", "text_delta", "thinking_delta", "input_json_delta"}
    assert min(found.values()) > CASES // 100


def test_a_delta_of_a_block_that_needs_its_start_is_the_same_error_and_leaves_nothing_behind() -> None:
    lost = SseEvent(
        "content_block_delta", json.dumps(delta(0, "input_json_delta", "partial_json", "{")).encode()
    )
    text = SseEvent("content_block_delta", json.dumps(delta(0, "text_delta", "text", "hi")).encode())

    check_stream([lost, text, lost, SseEvent("message_stop", b'{"type":"message_stop"}')])


def test_a_delta_under_a_number_above_64_bits_belongs_to_the_block_that_began_under_it() -> None:
    large = 2**70 + 1
    frames = [
        *(
            {"type": "content_block_start", "index": n, "content_block": {"type": "text", "text": ""}}
            for n in (large, 0)
        ),
        delta(large, "text_delta", "text", "first"),
        {"type": "message_stop"},
    ]

    check_stream(SseEvent(frame["type"], json.dumps(frame).encode()) for frame in frames)


@pytest.mark.parametrize(
    "block", [{}, {"type": None}, {"type": 7}, {"type": ["text"]}, {"type": "new"}], ids=repr
)
def test_a_delta_of_a_block_that_is_none_is_the_same_error(block: dict[str, Any]) -> None:
    frames = [
        {"type": "content_block_start", "index": 0, "content_block": block},
        delta(0, "text_delta", "text", "hi"),
        delta(0, "input_json_delta", "partial_json", "{"),
        {"type": "message_stop"},
    ]

    check_stream(SseEvent(frame["type"], json.dumps(frame).encode()) for frame in frames)


def test_half_a_character_from_the_tolerant_way_is_joined_by_a_usual_delta() -> None:
    decoder = MessagesDecoder()
    first = decoder.decode(
        SseEvent("content_block_delta", json.dumps(delta(0, "text_delta", "text", "a\ud83d")).encode())
    )
    second = decoder.decode(
        SseEvent("content_block_delta", json.dumps(delta(0, "text_delta", "text", "b")).encode())
    )

    assert [*first, *second] == [TextDelta("a"), TextDelta("\ufffdb")]


def test_usual_deltas_are_text_reasoning_and_pieces_of_calls() -> None:
    decoder = MessagesDecoder()
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    begin = {"type": "content_block_start", "index": 2, "content_block": block}
    decoder.decode(SseEvent("content_block_start", json.dumps(begin).encode()))
    events = [
        *decoder.decode(
            SseEvent("content_block_delta", json.dumps(delta(0, "thinking_delta", "thinking", "hm")).encode())
        ),
        *decoder.decode(
            SseEvent("content_block_delta", json.dumps(delta(1, "text_delta", "text", "hi")).encode())
        ),
        *decoder.decode(
            SseEvent(
                "content_block_delta", json.dumps(delta(2, "input_json_delta", "partial_json", "{")).encode()
            )
        ),
    ]

    assert events == [ReasoningDelta("hm"), TextDelta("hi"), ToolCallDelta(0, arguments="{")]


# ── what servers send ────────────────────────────────────────────────────────────────────────────────


def succeeds(exchange: Exchange) -> bool:
    return exchange.path == "/v1/messages" and exchange.status < 400


@pytest.mark.parametrize("exchange", exchanges("anthropic", where=succeeds))
def test_a_recorded_answer_is_read_alike(exchange: Exchange) -> None:
    if exchange.streamed:
        framer = Frames()
        check_stream([*framer.feed(exchange.body), *framer.close()])
    else:
        check_answer(exchange.body)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded exchanges are not beside the project")
def test_most_recorded_deltas_and_answers_of_text_are_usual() -> None:
    found: Counter[str] = Counter()
    texts: Counter[bool] = Counter()
    for exchange in filter(succeeds, (*recorded("anthropic"), *constructed("anthropic"))):
        if exchange.streamed:
            framer = Frames()
            for frame in (*framer.feed(exchange.body), *framer.close()):
                if frame.event == "content_block_delta":
                    found[kind_of(frame.data)] += 1
        elif {block["type"] for block in (exchange.json or {}).get("content", ())} == {"text"}:
            texts[usual_response(exchange.body) is not None] += 1

    assert found[""] * 20 < found.total()  # signatures and citations
    assert texts[True] > texts[False] * 5
