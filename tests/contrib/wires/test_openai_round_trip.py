"""What is written as OpenAI's chat says the same when it is read by the provider of that API."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pointsman.plugin import (
    Assembly,
    ChatResponse,
    Done,
    Finished,
    RawDelta,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)
from pointsman_openai.answers import chat_response, completion_response
from pointsman_openai.decode import chat_of_events
from pointsman_wires.openai_chat import ChatWriter
from pointsman_wires.openai_completions import CompletionWriter

TEXTS = st.text(max_size=12)
NAMES = st.text("abcdefgh_", min_size=1, max_size=6)
COUNTS = st.integers(0, 1000)
USAGES = st.one_of(
    st.just(Usage()),
    st.builds(lambda prompt, more: Usage(prompt, more), COUNTS, COUNTS),
    st.builds(
        lambda cached, more, said: Usage(cached + more, said, cached, reasoning=0), COUNTS, COUNTS, COUNTS
    ),
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[StreamEvent], ChatResponse]:
    """A stream that ends well, as a provider gives it, and what it comes to."""
    events: list[StreamEvent] = [
        *map(ReasoningDelta, draw(st.lists(TEXTS.filter(bool), max_size=3))),
        *map(TextDelta, draw(st.lists(TEXTS.filter(bool), max_size=4))),
        *map(RefusalDelta, draw(st.lists(TEXTS.filter(bool), max_size=2))),
    ]
    for index in range(draw(st.integers(0, 2))):
        value = draw(st.dictionaries(TEXTS, TEXTS, max_size=2))
        arguments = json.dumps(value, ensure_ascii=draw(st.booleans()))
        at = draw(st.integers(0, len(arguments)))
        events.append(ToolCallDelta(index, f"call_{index}", draw(NAMES), arguments[:at]))
        events.append(ToolCallDelta(index, arguments=arguments[at:]))
    calls = any(isinstance(each, ToolCallDelta) for each in events)
    events += [
        UsageUpdate(draw(USAGES)),
        Finished("tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))),
    ]
    assembly = Assembly()
    assembly.extend(events)
    answer = assembly.response()
    return [*events, Done(answer)], answer


def writer(**members: bool) -> ChatWriter:
    return ChatWriter(id="chatcmpl-1", created=1, model="m", **members)


def same(read: ChatResponse, meant: ChatResponse) -> None:
    """What is read is what was meant, but for names of our own and what a wire cannot tell."""
    calls = tuple(ToolCall(each.id, each.name, each.arguments, each.index) for each in read.tool_calls)
    native = None
    assert replace(read, raw=None, id="", model="", native_finish_reason=native, tool_calls=calls) == replace(
        meant, raw=None, native_finish_reason=native
    )


def cut(events: Sequence[StreamEvent], sizes: Sequence[int]) -> list[Sequence[StreamEvent]]:
    """`events` in batches."""
    batches, at = [], 0
    for size in sizes:
        batches.append(events[at : at + size])
        at += size
    return [*batches, events[at:]]


@settings(max_examples=60)
@given(streams(), st.lists(st.integers(0, 4), max_size=6), st.booleans())
def test_a_stream_says_the_same_however_it_comes(
    stream: tuple[list[StreamEvent], ChatResponse], sizes: list[int], logprobs: bool
) -> None:
    events, answer = stream
    streamed = writer(include_usage=True, logprobs=logprobs)

    written = b"".join(map(streamed.events, cut(events, sizes)))

    same(chat_of_events(written, request_id=""), answer)


@settings(max_examples=40)
@given(streams())
def test_a_whole_answer_says_the_same(stream: tuple[list[StreamEvent], ChatResponse]) -> None:
    _, answer = stream

    written = writer().whole(answer)

    same(chat_response(json.loads(written)), answer)


@settings(max_examples=40)
@given(TEXTS, USAGES)
def test_a_plain_completion_says_the_same(text: str, usage: Usage) -> None:
    answer = ChatResponse(text, finish_reason="length", usage=usage)

    written = CompletionWriter(id="cmpl-1", created=1, model="m").whole(answer)

    same(completion_response(json.loads(written)), answer)


def test_the_logprobs_of_a_piece_stand_beside_it() -> None:
    told = {"content": [{"token": "a", "logprob": -0.5}], "refusal": None}
    streamed = writer(logprobs=True)

    written = streamed.events([TextDelta("a"), RawDelta({"logprobs": told}), TextDelta("b")])

    frames = written.decode().removesuffix("\n\n").split("\n\n")
    choices = [json.loads(each.removeprefix("data: "))["choices"][0] for each in frames]
    assert [(each["delta"].get("content"), each["logprobs"]) for each in choices] == [
        ("", None),
        ("a", told),
        ("b", None),
    ]


def test_an_answer_that_is_given_twice_has_each_chunk_twice() -> None:
    twice = ChatWriter(id="chatcmpl-1", created=1, model="m", choices=2)

    written = twice.events([TextDelta("a"), Done(ChatResponse("a"))])

    frames = written.decode().removesuffix("\n\n").split("\n\n")[:-1]
    choices = [json.loads(each.removeprefix("data: "))["choices"] for each in frames]
    assert [[each["index"] for each in some] for some in choices] == [[0], [1]] * 3
