"""Token counts that a caller did not ask for are taken out of a stream, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pointsman_openai.unasked_usage import ask_for_usage, without_usage

COUNTS = {"prompt_tokens": 1, "completion_tokens": 2}
SAID = {"choices": [{"index": 0, "delta": {"content": "a"}}]}


def frames(*chunks: Any, spaced: bool = False) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    return b"".join(b"data: %b\n\n" % json.dumps(each, separators=separators).encode() for each in chunks)


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        (frames({**SAID, "usage": None}), frames(SAID)),
        (frames({**SAID, "usage": None, "obfuscation": "x"}), frames({**SAID, "obfuscation": "x"})),
        (frames({"usage": None, **SAID}), frames(SAID)),
        (frames({**SAID, "usage": None}, {**SAID, "usage": None}), frames(SAID, SAID)),
        (frames({"choices": [], "usage": COUNTS}), b""),
        (frames({**SAID, "usage": None}, {"choices": [], "usage": COUNTS}), frames(SAID)),
        (b": alive\n\n" + frames({"usage": COUNTS}) + b"data: [DONE]\n\n", b": alive\n\ndata: [DONE]\n\n"),
        (frames({**SAID, "usage": None}, spaced=True), frames(SAID)),
    ],
)
def test_what_tells_counts_alone_is_taken_out(came: bytes, goes: bytes) -> None:
    assert without_usage(came).replace(b", ", b",").replace(b'": ', b'":') == goes


@pytest.mark.parametrize(
    "came",
    [
        frames(SAID),
        frames({**SAID, "usage": COUNTS}),
        frames({"choices": [{"delta": {"content": ""}, "usage": None}]}),
        frames({"choices": [], "x": {"usage": None}}),
        frames({"choices": [{"delta": {"content": ',"usage":null}'}}]}),
        b'data: "usage"\n\n',
        b'data: {"usage": broken\n\n',
    ],
)
def test_all_else_stays_as_it_came(came: bytes) -> None:
    assert without_usage(came) == came


json_values = st.recursive(
    st.none() | st.text(max_size=9) | st.just("usage") | st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["usage", "choices", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(["usage", "choices", "a", "b"]), json_values), max_size=4))
def test_however_frames_are_made_only_such_members_and_frames_are_lost(chunks: list[Any]) -> None:
    came = without_usage(frames(*chunks))

    said = [json.loads(each.removeprefix(b"data: ")) for each in came.split(b"\n\n") if each]
    assert said == [without_null(each) for each in chunks if not tells_counts_alone(each)]


def tells_counts_alone(chunk: Any) -> bool:
    choices = chunk.get("choices")
    return isinstance(chunk.get("usage"), dict) and (choices is None or choices == [])


def without_null(chunk: Any) -> Any:
    return {name: value for name, value in chunk.items() if name != "usage" or value is not None}


@pytest.mark.parametrize(
    ("given", "asks"),
    [
        ({"stream": True}, {"include_usage": True}),
        ({"stream": True, "stream_options": None}, {"include_usage": True}),
        (
            {"stream": True, "stream_options": {"a": 1, "include_usage": False}},
            {"a": 1, "include_usage": True},
        ),
        ({"stream": True, "stream_options": {"include_usage": True}}, None),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, None),
        ({"stream": True, "stream_options": ["wrong"]}, None),
        ({"stream": False}, None),
        ({}, None),
    ],
)
def test_counts_are_asked_for_where_a_caller_does_not(given: dict[str, Any], asks: Any) -> None:
    members = {name: Raw(json.dumps(value).encode()) for name, value in given.items()}

    taken_out = ask_for_usage(members)

    assert (taken_out is not None) == (asks is not None)
    expected = given if asks is None else {**given, "stream_options": asks}
    assert {name: json.loads(bytes(value)) for name, value in members.items()} == expected
