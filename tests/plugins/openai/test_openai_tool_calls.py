"""Tool calls in pieces: however a server numbers, names and cuts them, the same calls come out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay import assemble, decoded

from pointsman.errors import BadResponse
from pointsman.http.framing import SseFramer
from pointsman.types import ChatRequest
from pointsman.wire.assembly import Assembly
from pointsman_openai.answers import chat_response
from pointsman_openai.decode import ChatDecoder
from pointsman_openai.wire import Quirks, chat_body


class Intended(NamedTuple):
    """A call that the model makes, with its arguments cut into pieces."""

    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


@st.composite
def intended(draw: st.DrawFn) -> Intended:
    text = json.dumps(
        draw(st.dictionaries(st.sampled_from("abc"), st.integers() | st.text(max_size=4), max_size=2))
    )
    cuts = sorted(draw(st.sets(st.integers(1, len(text) - 1), max_size=3)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    empty = [""] if draw(st.booleans()) else []  # as OpenAI begins
    return Intended(draw(st.sampled_from(["look", "go"])), (*empty, *pieces))


# What servers do, by what it leaves out. Where neither number nor id tells calls apart, names do.
NUMBERS = ("proper", "from one", "as text", "all zero", "none", "null", "new for each piece")
IDS = ("first", "every", "none", "empty")
NAMES = ("first", "every")


def rendered(calls: list[Intended], numbers: str, ids: str, names: str) -> Iterator[dict[str, Any]]:
    """The pieces of `calls`, one after the other."""
    count = 0
    for n, call in enumerate(calls):
        for m, arguments in enumerate(call.pieces):
            piece: dict[str, Any] = {"type": "function", "function": {"arguments": arguments}}
            match numbers:
                case "proper":
                    piece["index"] = n
                case "from one":
                    piece["index"] = n + 1
                case "as text":
                    piece["index"] = str(n)
                case "all zero":
                    piece["index"] = 0
                case "null":
                    piece["index"] = None
                case "new for each piece":
                    piece["index"] = count
            if ids == "every" or (ids == "first" and m == 0):
                piece["id"] = f"id{n}"
            elif ids == "empty":
                piece["id"] = ""
            if names == "every" or m == 0:
                piece["function"]["name"] = call.name
            elif ids == "empty":
                piece["function"]["name"] = ""
            count += 1
            yield piece


def streamed(chunks: list[list[dict[str, Any]]]) -> list[tuple[str, str]]:
    choices: list[Any] = [
        {"index": 0, "delta": {"tool_calls": each}, "finish_reason": None} for each in chunks
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    frames = [f"data: {json.dumps({'id': 'c', 'model': 'm', 'choices': [each]})}\n\n" for each in choices]
    whole = assemble(decoded(SseFramer(), ChatDecoder(), ["".join([*frames, "data: [DONE]\n\n"]).encode()]))
    assert [each.index for each in whole.tool_calls] == list(range(len(whole.tool_calls)))
    assert len({each.id for each in whole.tool_calls}) == len(whole.tool_calls)
    return [(each.name, each.arguments) for each in whole.tool_calls]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("numbers", NUMBERS)
@settings(deadline=None, max_examples=30)
@given(st.lists(intended(), min_size=1, max_size=4))
def test_every_way_of_writing_calls_gives_the_calls(
    numbers: str, ids: str, names: str, calls: list[Intended]
) -> None:
    if numbers == "new for each piece" and names == "every":
        return  # then every piece looks like the first one of a call
    pieces = list(rendered(calls, numbers, ids, names))
    assert streamed([[each] for each in pieces]) == [(each.name, each.arguments) for each in calls]


@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("numbers", NUMBERS)
@settings(deadline=None, max_examples=30)
@given(st.lists(intended(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_several_pieces_may_come_in_one_chunk(
    numbers: str, ids: str, calls: list[Intended], chance: Any
) -> None:
    chunks: list[list[dict[str, Any]]] = [[]]
    for piece in rendered(calls, numbers, ids, "first"):
        chunks[-1].append(piece)
        if chance.random() < 0.5:
            chunks.append([])
    assert streamed(chunks) == [(each.name, each.arguments) for each in calls]


@pytest.mark.parametrize("ids", IDS)
@settings(deadline=None, max_examples=30)
@given(st.lists(intended(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_calls_with_numbers_may_take_turns(ids: str, calls: list[Intended], chance: Any) -> None:
    waiting = [
        list(rendered([call] * (n + 1), "proper", ids, "first"))[-len(call.pieces) :]
        for n, call in enumerate(calls)
    ]
    pieces = [each.pop(0) for each in waiting]
    while any(waiting):
        pieces.append(chance.choice([each for each in waiting if each]).pop(0))
    assert streamed([[each] for each in pieces]) == [(each.name, each.arguments) for each in calls]


@settings(deadline=None, max_examples=50)
@given(st.lists(intended(), min_size=1, max_size=4), st.sampled_from(NUMBERS), st.sampled_from(IDS))
def test_a_whole_answer_has_the_same_calls(calls: list[Intended], numbers: str, ids: str) -> None:
    whole = [Intended(each.name, (each.arguments,)) for each in calls]
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": list(rendered(whole, numbers, ids, "first")),
    }
    answer = chat_response({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    assert [(each.name, each.arguments) for each in answer.tool_calls] == [
        (each.name, each.arguments) for each in calls
    ]


def piece(**function: Any) -> dict[str, Any]:
    return {"index": 0, "id": "a", "function": function}


@pytest.mark.parametrize(
    "nameless",
    [
        piece(arguments="{}"),
        piece(name="", arguments="{}"),
        piece(name=None),
        {"id": "a"},
        piece(name=" \n", arguments="{}"),
    ],
)
def test_a_call_without_a_name_is_never_a_success(nameless: dict[str, Any]) -> None:
    with pytest.raises(BadResponse, match="without a name"):
        streamed([[nameless]])
    with pytest.raises(BadResponse, match="without a name"):
        chat_response({"choices": [{"message": {"tool_calls": [nameless]}, "finish_reason": "tool_calls"}]})


def test_a_call_that_changes_its_name_is_never_a_success() -> None:
    with pytest.raises(BadResponse, match="first one of 'look' and then of 'go'"):
        streamed([[piece(name="look", arguments="")], [piece(name="go", arguments="{}")]])


def test_a_single_call_may_stand_without_its_list() -> None:
    call = piece(name="look", arguments="{}")
    answer = chat_response({"choices": [{"message": {"tool_calls": call}, "finish_reason": "stop"}]})
    assert [each.name for each in answer.tool_calls] == ["look"]
    assert streamed([call]) == [("look", "{}")]  # type: ignore[list-item]


@pytest.mark.parametrize("value", [5, True, 0, [1]])
def test_arguments_of_any_kind_are_kept(value: Any) -> None:
    call = piece(name="look", arguments=value)
    answer = chat_response({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "stop"}]})
    assert answer.tool_calls[0].arguments == json.dumps(value)
    assert streamed([[call]]) == [("look", json.dumps(value))]


def test_calls_that_stand_only_in_the_whole_message_behind_the_pieces_are_there() -> None:
    whole = {"content": "ab", "tool_calls": [piece(name="look", arguments="{}")]}
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "ab"}}]},
        {"choices": [{"index": 0, "delta": {}, "message": whole, "finish_reason": "stop"}]},
    ]
    frames = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks)
    answer = assemble(decoded(SseFramer(), ChatDecoder(), [frames + b"data: [DONE]\n\n"]))
    assert answer.text == "ab"
    assert [(each.name, each.arguments) for each in answer.tool_calls] == [("look", "{}")]
    assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        {"id": "a", "type": "custom", "custom": {"name": "look", "input": "any text"}},
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": ' {"q": 1}\n'}},
    ],
)
def test_a_call_goes_back_as_it_came(call: dict[str, Any], stream: bool) -> None:
    if stream:
        pieces = [{"choices": [{"index": 0, "delta": {"tool_calls": [{**call, "index": 0}]}}]}]
        frames = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in pieces)
        said = Assembly()
        said.extend(decoded(SseFramer(), ChatDecoder(), [frames + b"data: [DONE]\n\n"]))
        answer = said.response()
    else:
        answer = chat_response({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "stop"}]})
    (sent,) = chat_body(ChatRequest("m", [answer.message]), "m", Quirks(), stream=False)["messages"]
    assert sent["tool_calls"] == [call]


def test_a_piece_that_says_nothing_is_no_call() -> None:
    assert streamed([[{"index": 0, "function": {}}], [piece(name="look", arguments="{}")], [{}]]) == [
        ("look", "{}")
    ]


@pytest.mark.parametrize("cut", [1, 3, 99])
def test_arguments_that_were_written_twice_are_read_once(cut: int) -> None:
    twice = json.dumps('{"q":1}')
    pieces = [piece(name="look", arguments=twice[:cut]), piece(arguments=twice[cut:])]
    assert streamed([[each] for each in pieces]) == [("look", '{"q":1}')]


def test_what_else_a_call_has_comes_along() -> None:
    signed = {**piece(name="look", arguments="{}"), "extra_content": {"google": {"thought_signature": "s"}}}
    answer = chat_response({"choices": [{"message": {"tool_calls": [signed]}, "finish_reason": "stop"}]})
    assert answer.tool_calls[0].extra == {"extra_content": {"google": {"thought_signature": "s"}}}
    assert answer.message.tool_calls == answer.tool_calls


def test_long_numbers_in_arguments_that_are_objects_stay_exact() -> None:
    number = 2**70 + 1
    message = {"tool_calls": [piece(name="look", arguments={"n": number})]}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    (call,) = chat_response(json.loads(body.replace(str(number).encode(), b"1.0")), body).tool_calls
    assert call.parsed() == {"n": number}
    assert streamed([[piece(name="look", arguments={"n": number})]]) == [("look", f'{{"n":{number}}}')]
