"""A run of frames that differ in one text is read and sent on as if each had been looked at by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import CallError
from pointsman.http import relayed_frames
from pointsman.http.framing import SseFramer
from pointsman.http.relayed_frames import RelayedFrames, Renaming, WholeFrames
from pointsman.types import RawDelta, ReasoningBlock, ReasoningDelta, Relayed, StreamEvent, TextDelta
from pointsman_claude.frames import Frames
from pointsman_claude.stream import MessagesDecoder
from pointsman_ollama.decode import Lines, StreamDecoder
from pointsman_openai.decode import ChatDecoder
from pointsman_openai.responses import ResponsesDecoder
from pointsman_openai.unasked_usage import without_usage

END = b"\n\n"


def openai_frame(text: str, *, ascii: bool, **more: Any) -> bytes:
    delta = {"content": text}
    said = {"id": "c-1", "model": "x-model", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    return b"data: " + json.dumps({**said, **more}, ensure_ascii=ascii).encode() + END


def anthropic_frame(text: str, *, ascii: bool, **more: Any) -> bytes:
    delta = {"type": "text_delta", "text": text}
    said = {"type": "content_block_delta", "index": 0, "delta": delta, **more}
    return b"event: content_block_delta\ndata: " + json.dumps(said, ensure_ascii=ascii).encode() + END


def responses_frame(text: str, *, ascii: bool, **more: Any) -> bytes:
    said = {"type": "response.output_text.delta", **more, "delta": text}
    return b"data: " + json.dumps(said, ensure_ascii=ascii).encode() + END


def ollama_line(text: str, *, ascii: bool, **more: Any) -> bytes:
    said = {"model": "x-model", **more, "message": {"role": "assistant", "content": text}}
    return json.dumps(said, ensure_ascii=ascii, separators=(",", ":")).encode() + b"\n"


OPENAI_OTHERS = (
    b'data: {"id":"c-1","model":"x-model","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
    b'data: {"id":"c-1","model":"x-model","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}\n\n',
    b'data: {"id": "c-1", "model": "x-model", "choices": [{"index": 1, "delta": {"content": "one"}}]}\n\n',
    b": alive\n\n",
)
TWO_LINES = tuple(b"data: [\n" + openai_frame("z", ascii=ascii) for ascii in (True, False))  # of one frame
ANTHROPIC_OTHERS = (
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"thinking_delta","thinking":"hm"}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"signature_delta","signature":"s"}}\n\n',
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m"}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)
LISTED = (
    b'{"model":"x-model","message":{"content":"a","images":["a"]}}\n',
    b'{"model":"x-model","message":{"content":"b","images":["a"]}}\n',
    b'{"model":"x-model","message":{"content":""},"done":true}\n',
)
DETAILS = tuple(
    b'data: {"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","text":"%b"}]}}]}\n\n' % each
    for each in (b"so", b"hm")
)
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
WIRES = {
    "openai": (
        openai_frame,
        (*OPENAI_OTHERS, *TWO_LINES, *DETAILS, STOP),
        SseFramer,
        partial(ChatDecoder, request_id="r"),
        END,
    ),
    "anthropic": (anthropic_frame, ANTHROPIC_OTHERS, Frames, partial(MessagesDecoder, request_id="r"), END),
    "responses": (responses_frame, (), SseFramer, partial(ResponsesDecoder, request_id="r"), END),
    "ollama": (ollama_line, LISTED, Lines, partial(StreamDecoder, "r"), b"\n"),
}

texts = st.one_of(
    st.sampled_from(
        ["a", "b", " the", "word", '"', "\\", '\\"', "\n", "\\\\", "é", "😀", "", '"}', "content"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)


def told(
    wire: str, frames: Sequence[bytes], cuts: Sequence[int], *, cut: bool = False
) -> tuple[list[Any], str, list[StreamEvent], str]:
    """What goes on says, the text, all events, and how it failed."""
    *_, framer, decoder, end = WIRES[wire]
    named = Renaming("public", holder="", end=end)
    reading = RelayedFrames(
        framer(),
        decoder(),
        (lambda whole: named(without_usage(whole))) if cut else named,
        None,
        end=end,
        ends=b"",
    )
    whole, body, events, failed = WholeFrames(end), b"".join(frames), list[StreamEvent](), ""
    edges = sorted({0, *(each % (len(body) + 1) for each in cuts), len(body)})
    try:
        for start, end in zip(edges, edges[1:], strict=False):
            reading.decode_plain(whole.feed_plain(body[start:end]), events)
    except CallError as error:
        failed = str(error)
    sent = b"".join(each.data for each in events if isinstance(each, Relayed))
    text = "".join(each.text for each in events)
    return said(sent), text, in_order(events), failed


def in_order(events: Sequence[StreamEvent]) -> list[StreamEvent]:
    """All but the frames, pieces of one text that follow one another as one."""
    found: list[StreamEvent] = []
    for event in events:
        last = found[-1] if found else None
        if isinstance(event, Relayed) or not (event.content or not isinstance(event, TextDelta)):
            continue
        if isinstance(event, TextDelta) and isinstance(last, TextDelta):
            found[-1] = TextDelta(last.text + event.text)
        elif isinstance(event, ReasoningDelta) and isinstance(last, ReasoningDelta):
            found[-1] = ReasoningDelta(last.reasoning + event.reasoning)
        else:
            found.append(event)
    return found


def said(frames: bytes) -> list[Any]:
    """The values of frames, but for signs of life: those that come alone are not sent on."""
    assert frames.endswith(b"\n") or not frames
    lines = [line.removeprefix(b"data: ") for line in frames.split(b"\n")]
    values = [json.loads(line.decode("utf-8", "replace")) for line in lines if line.startswith(b"{")]
    return [each for each in values if each.get("type") != "ping"]


class NoRuns(relayed_frames.TextRuns):
    """Looks at each frame by itself."""

    @property
    def wanted(self) -> bool:
        return True

    def learn(self, frame: bytes, events: Sequence[StreamEvent]) -> None:
        pass


@pytest.mark.parametrize("wire", WIRES)
@given(data=st.data())
def test_it_makes_no_difference(wire: str, data: st.DataObject) -> None:
    frame, others, *_ = WIRES[wire]
    ascii, usage = data.draw(st.booleans()), data.draw(st.booleans())
    more = {"usage": None} if usage and wire == "openai" else {}
    frames = data.draw(
        st.lists(
            st.one_of(
                texts.map(lambda text: frame(text, ascii=ascii, **more)),
                st.sampled_from(others or (frame("a", ascii=ascii),)),
            ),
            max_size=30,
        )
    )
    cuts = data.draw(st.lists(st.integers(0, 10_000), max_size=6))

    found = told(wire, frames, cuts, cut=bool(more))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relayed_frames, "TextRuns", NoRuns)
        alone = told(wire, frames, cuts, cut=bool(more))
    assert found == alone


@pytest.mark.parametrize("wire", WIRES)
def test_a_run_is_one_event(wire: str) -> None:
    frame, *_ = WIRES[wire]
    frames = [frame(f" word{n}", ascii=True) for n in range(100)]
    *_, framer, decoder, end = WIRES[wire]
    reading = RelayedFrames(framer(), decoder(), Renaming("p", holder="", end=end), None, end=end, ends=b"")
    events: list[StreamEvent] = []

    reading.decode_plain([b"".join(frames)], events)

    assert len(events) <= 7, "two frames are looked at, and the run behind them is a Relayed and a TextDelta"
    assert "".join(each.text for each in events) == "".join(f" word{n}" for n in range(100))


@pytest.mark.parametrize("half", ["\\u00", "\\", "a\\"])
def test_frames_that_are_broken_by_themselves_are_so_in_a_run(half: str) -> None:
    line = '{"model":"x-model","done":false,"message":{"content":"%s"}}\n'
    lines = [(line % each).encode() for each in ("a", "b", half, "41", "c")]

    _, text, _, failed = told("ollama", lines, [])

    assert text == "ab"
    assert "not JSON" in failed


def test_bytes_of_one_character_in_two_frames_are_read_as_when_they_come_alone() -> None:
    line = b'{"model":"x-model","done":false,"message":{"content":"%b"}}\n'
    lines = [line % each for each in (b"a", b"b", b"\xc3", b"\xa9", b"c")]
    each_alone = [sum(map(len, lines[:n])) for n in range(len(lines))]

    assert told("ollama", lines, []) == told("ollama", lines, each_alone)


@pytest.mark.parametrize("kind", ["text", "thinking"])
def test_what_a_decoder_keeps_of_a_block_has_all_of_a_run(kind: str) -> None:
    frame = anthropic_frame("%s", ascii=True).replace(b'"text', b'"' + kind.encode())
    words = [f"w{n} " for n in range(9)]
    *_, signature, stop, begin, end = ANTHROPIC_OTHERS
    run = [begin, *(frame.replace(b"%s", each.encode()) for each in words)]
    rest = [signature, stop, end] if kind == "thinking" else [stop, end]

    _, _, events, failed = told("anthropic", [*run, *rest], [sum(map(len, run))])

    assert not failed
    raw = next(each.raw for each in events if isinstance(each, RawDelta))
    assert [block[kind] for block in raw["content"]] == ["".join(words)]
    blocks = [each.block["thinking"] for each in events if isinstance(each, ReasoningBlock)]
    assert blocks == (["".join(words)] if kind == "thinking" else [])


def test_a_text_that_is_put_together_is_not_taken_from_another_member() -> None:
    parts = b'[{"type": "text", "text": "ab"}, {"type": "text", "text": "cd"}]'
    frame = b'data: {"choices": [{"delta": {"content": %b}}], "x": "%b"}\n\n'
    frames = [frame % (parts, x) for x in (b"abcd", b"abcd", b"other", b"another")]

    _, text, _, _ = told("openai", [openai_frame("", ascii=True), *frames], [])

    assert text == "abcd" * 4


def test_halves_of_a_character_in_two_frames_are_one_character() -> None:
    first, second, *rest = (
        openai_frame("x", ascii=True).replace(b'"x"', b'"%b"' % half)
        for half in (b"start", b"\\ud83d", b"\\ude00")
    )
    sent, text, _, failed = told("openai", [first, second, *rest], [])

    assert (text, failed) == ("start😀", "")
    assert sent == said(b"".join((first, second, *rest)).replace(b"x-model", b"public"))


def test_a_stream_in_which_each_frame_has_a_number_is_decoded_as_ever() -> None:
    frames = [openai_frame(f"w{n}", ascii=True, created=n) for n in range(40)]
    numbered = [each.replace(b'"id": "c-1"', b'"id": "c-%d"' % n) for n, each in enumerate(frames)]

    sent, text, _, _ = told("openai", numbered, [])

    assert text == "".join(f"w{n}" for n in range(40))
    assert [each["model"] for each in sent] == ["public"] * 40


def test_reasoning_is_not_taken_for_text() -> None:
    frames = [openai_frame("a", ascii=True), openai_frame("b", ascii=True)]
    thought = openai_frame("c", ascii=True).replace(b'"content"', b'"reasoning_content"')

    _, text, events, _ = told("openai", [*frames, thought, *frames], [])

    assert text == "abab"
    assert [each.reasoning for each in events if isinstance(each, ReasoningDelta)] == ["c"]
