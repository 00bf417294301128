"""Damaged streams: an answer or one of our errors, and nothing else. The long run is a benchmark."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pointsman.errors import BadResponse
from pointsman.http.framing import SseEvent, SseFramer
from pointsman.types import StreamEvent, Usage, UsageUpdate
from pointsman_claude.decode import chat_response
from pointsman_claude.stream import MessagesDecoder
from pointsman_ollama import decode as ollama_decode
from pointsman_openai import decode as openai_decode

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import stream_fuzz


def test_a_damaged_stream_ends_in_an_answer_or_an_error_of_ours_however_it_is_cut() -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")

    report = stream_fuzz.run(2_500, 500, seed=seed)

    assert report.findings == [], f"see benchmarks/stream_fuzz.py --seed {seed} --only N"
    assert (report.streams, report.cuts) == (2_500, 500)
    assert {"answer", "BadResponse", "Truncated"} <= set(report.ends)
    assert set(report.mutations) >= {each.__name__ for each in stream_fuzz.MUTATIONS} - {"long_line"}
    assert report.looked_at >= 30
    assert report.slowest[0] < stream_fuzz.SLOW


def test_every_wire_has_streams_to_begin_with_and_each_ends_as_it_should_undamaged() -> None:
    for wire in stream_fuzz.FOLDERS:
        assert len(stream_fuzz.bodies(wire)) >= 4

    ends = {stream_fuzz.stream(1, n, mutate=False).outcome([b""])[1] for n in range(50)}
    whole = {(given := stream_fuzz.stream(1, n, mutate=False)).outcome([given.body])[1] for n in range(200)}

    assert ends <= {"Truncated", "BadResponse"}  # nothing at all is no answer
    assert "answer" in whole


def test_the_fuzzer_notices_an_event_that_holds_what_it_must_not() -> None:
    for event in (UsageUpdate(Usage(prompt=True)), UsageUpdate(Usage(completion=-1))):
        with pytest.raises(TypeError, match="not int"):
            stream_fuzz.check_types(event)


# ── what it found ────────────────────────────────────────────────────────────────────────────────────

MESSAGE = {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 1}}


def claude(*frames: dict[str, Any]) -> list[StreamEvent]:
    decoder = MessagesDecoder()
    events: list[StreamEvent] = []
    for frame in frames:
        events += decoder.decode(SseEvent(frame["type"], json.dumps(frame).encode()))
    return events


def begun(**block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": block}


def piece(**delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


@pytest.mark.parametrize(
    "frames",
    [
        [begun(type="text", text=7)],
        [begun(type="thinking", thinking={"a": 1})],
        [begun(type="tool_use", id=7, name="f")],
        [begun(type="tool_use", id="t", name=[])],
        [begun(type="text"), piece(type="text_delta", text=7)],
        [begun(type="thinking"), piece(type="thinking_delta", thinking=1.5)],
        [begun(type="tool_use", id="t", name="f"), piece(type="input_json_delta", partial_json=-1e19)],
        [{"type": "message_delta", "delta": {"stop_reason": 7}}],
        [
            {
                "type": "message_delta",
                "delta": {"stop_details": {"type": "refusal", "explanation": 7}},
            }
        ],
    ],
    ids=lambda frames: json.dumps(frames[-1])[:60],
)
def test_a_value_of_the_wrong_type_in_claudes_stream_is_a_bad_response(frames: list[dict[str, Any]]) -> None:
    with pytest.raises(BadResponse, match="malformed"):
        claude(*frames)


@pytest.mark.parametrize("count", [True, -1, 1e308, 1.5, "7", [], 10**30], ids=repr)
def test_a_count_of_claudes_that_can_be_none_is_unknown(count: Any) -> None:
    (_, update) = claude(
        {
            "type": "message_start",
            "message": {**MESSAGE, "usage": {"input_tokens": 3, "output_tokens": count}},
        }
    )

    assert update == UsageUpdate(Usage(prompt=3))


@pytest.mark.parametrize("change", [{"stop_reason": 7}, {"content": [{"type": "text", "text": 7}]}], ids=repr)
def test_a_value_of_the_wrong_type_in_claudes_whole_answer_is_a_bad_response(change: dict[str, Any]) -> None:
    with pytest.raises(BadResponse, match="not a message"):
        chat_response({**MESSAGE, "content": [], **change})


@pytest.mark.parametrize("key", ["prompt_eval_count", "eval_count"])
def test_a_count_of_ollamas_that_can_be_none_is_unknown(key: str) -> None:
    # Half a surrogate pair: such a line is read by the standard library, which knows integers of any size.
    line = {"model": "x", "message": {"content": "\ud800"}, "done": True, key: 10**80}

    events = ollama_decode.StreamDecoder("s").decode(SseEvent("", json.dumps(line).encode()))

    assert UsageUpdate(Usage()) in events


def test_arguments_that_are_nested_too_deeply_to_be_written_are_a_bad_response() -> None:
    limit = sys.getrecursionlimit()
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": nested(limit)}}
    delta = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    chat = {"model": "x", "message": {"content": "", "tool_calls": [call]}, "done": True}
    block = {"type": "tool_use", "id": "c", "name": "f", "input": nested(limit)}

    with pytest.raises(BadResponse, match="too deeply"):
        openai_decode.ChatDecoder()._choice(delta["choices"][0], [])
    with pytest.raises(BadResponse, match="too deeply"):
        ollama_decode.StreamDecoder("s")._read(chat, b"")
    with pytest.raises(BadResponse, match="too deeply"):
        chat_response({**MESSAGE, "content": [block]})


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("cuts", [[], [40], [40, 1 << 20]])
def test_a_line_above_the_limit_is_a_bad_response_however_it_is_cut(
    cuts: list[int],
) -> None:
    chunk = {"id": "c", "model": "x", "choices": [{"index": 0, "delta": {"content": "hi"}}]}
    body = b"data: " + json.dumps(chunk).encode() + b"\n\ndata: " + b"x" * (5 << 20) + b"\n\n"
    bounds = [0, *cuts, len(body)]
    parts = [body[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]

    events, error = stream_fuzz.decoded(SseFramer(), openai_decode.ChatDecoder(), parts)

    assert isinstance(error, BadResponse)
    assert [event.text for event in events if event.kind == "text"] == ["hi"]
