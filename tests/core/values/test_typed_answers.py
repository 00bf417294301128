"""An answer read as the type that its request named: whichever way it came, and never at the call itself."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any, Literal

import msgspec
import pytest
from pydantic import BaseModel

from pointsman import (
    BadResponse,
    ChatRequest,
    ChatResponse,
    Done,
    FormatNotMet,
    InvalidRequest,
    Message,
    ResponseFormat,
    Router,
    SyncRouter,
    ToolCall,
    Unavailable,
)
from pointsman.testing import Scripted
from pointsman.types import replace
from pointsman.values.typed_answers import typed

BLUE = '{"colour": "blue", "sure": true}'


class Sky(BaseModel):
    colour: Literal["blue", "red"]
    sure: bool = True


class Other(BaseModel):
    colour: str
    sure: bool = True


CONFIG: dict[str, Any] = {
    "providers": {"a": {"type": "scripted"}, "b": {"type": "scripted"}},
    "models": {"m": {"deployments": ["a/x"], "fallback": ["n"]}, "n": {"deployments": ["b/x"]}},
    "retry": "none",
}


def asked_for(kind: Any) -> ChatRequest:
    return ChatRequest("m", (Message.user("sky?"),), response_format=ResponseFormat.of(kind))


def answered(text: str, **fields: Any) -> ChatResponse:
    return typed(ChatResponse(text, **fields), asked_for(Sky))


# ── every way that an answer comes ───────────────────────────────────────────────────────────────────


async def test_a_chat_a_stream_a_completion_and_a_batch_are_read_as_what_they_were_asked_for() -> None:
    upstream = Scripted()
    upstream.default("a", BLUE)
    async with Router.from_config(CONFIG, plugins=[upstream]) as router:
        whole = await router.chat("m", "sky?", response_format=Sky)
        complete = await router.chat(asked_for(Sky))
        completion = await router.generate("m", "sky?", response_format=Sky)
        async with router.stream("m", "sky?", response_format=Sky) as stream:
            events = [event async for event in stream]
        (several,) = [each async for each in router.batch([asked_for(Sky)])]
        named = replace(asked_for(Sky), response_format=Sky)
        (named_in_batch,) = [each async for each in router.batch([named])]

    assert isinstance(events[-1], Done)
    assert several.response is not None
    assert named_in_batch.response is not None
    replies = (whole, complete, completion, stream.response, events[-1].response, several.response)
    for reply in (*replies, named_in_batch.response):
        assert reply.parsed == Sky(colour="blue")
        assert reply.parsed is reply.parsed, "made once"
        assert reply.text == BLUE


def test_a_blocking_router_gives_the_same() -> None:
    upstream = Scripted()
    upstream.default("a", BLUE)
    with SyncRouter.from_config(CONFIG, plugins=[upstream]) as router:
        assert router.chat("m", "sky?", response_format=Sky).parsed == Sky(colour="blue")
        with router.stream("m", "sky?", response_format=Sky) as stream:
            list(stream)
        assert stream.response.parsed == Sky(colour="blue")


async def test_it_does_not_matter_who_answered() -> None:
    upstream = Scripted()
    upstream.script("a", Unavailable("down"))
    upstream.script("b", BLUE)
    async with Router.from_config(CONFIG, plugins=[upstream]) as router:
        reply = await router.chat("m", "sky?", response_format=Sky)

    assert (reply.deployment, reply.parsed) == ("b/x", Sky(colour="blue"))


async def test_an_answer_out_of_the_cache_is_read_as_what_each_caller_asked_for() -> None:
    upstream = Scripted()
    upstream.script("a", BLUE, BLUE)
    config = {**CONFIG, "guards": ["cache"]}
    same = {
        "response_format": ResponseFormat("schema", dict(ResponseFormat.of(Sky).schema or {}), "Sky", True)
    }
    async with Router.from_config(config, plugins=[upstream]) as router:
        first = await router.chat("m", "sky?", response_format=Sky)
        again = await router.chat("m", "sky?", response_format=Sky)
        untyped = await router.chat("m", "sky?", **same)
        async with router.stream("m", "sky?", response_format=Sky) as stream:
            events = [event async for event in stream]
        other = await router.chat("m", "sky?", response_format=Other)

    assert isinstance(events[-1], Done)
    for reply in (first, again, stream.response, events[-1].response):
        assert reply.parsed == Sky(colour="blue")
    assert again.deployment == "", "it was in the cache"
    assert other.parsed == Other(colour="blue")
    assert len(upstream.calls) == 2
    with pytest.raises(RuntimeError, match="named no type"):
        _ = untyped.parsed


# ── what does not fit ────────────────────────────────────────────────────────────────────────────────


async def test_what_does_not_fit_is_an_error_where_it_is_read_and_not_at_the_call() -> None:
    upstream = Scripted()
    upstream.script("a", '{"colour": "c4n4ry"}')
    async with Router.from_config(CONFIG, plugins=[upstream]) as router:
        reply = await router.chat("m", "sky?", response_format=Sky, request_id="r1")

    for _ in range(2):
        with pytest.raises(FormatNotMet) as caught:
            _ = reply.parsed
        error = caught.value
        assert isinstance(error, BadResponse)
        assert error.text == reply.text == '{"colour": "c4n4ry"}'
        assert error.problems == (("colour", "Input should be 'blue' or 'red'"),)
        assert str(error) == "the answer is no Sky: colour: Input should be 'blue' or 'red' (a/x, r1)"
        assert error.__cause__ is None
    assert reply.parse(Other) == Other(colour="c4n4ry")


def test_the_error_travels_with_all_that_it_says() -> None:
    with pytest.raises(FormatNotMet) as caught:
        _ = answered("{}", deployment="a/x").parsed

    error = pickle.loads(pickle.dumps(caught.value))

    assert (error.text, error.problems) == ("{}", (("colour", "Field required"),))
    assert str(error) == str(caught.value)


@pytest.mark.parametrize(
    ("fields", "because"),
    [
        ({"text": '{"col', "finish_reason": "length"}, "since it was cut at its greatest length"),
        ({"tool_calls": (ToolCall("c", "f", "{}"),)}, "since the model asks for tools first"),
        ({"text": "I", "finish_reason": "content_filter"}, "since a content policy ended it"),
        ({"text": "Sure!"}, "the answer is no Sky: Invalid JSON"),
    ],
)
def test_the_error_says_what_explains_most_of_them(fields: dict[str, Any], because: str) -> None:
    with pytest.raises(FormatNotMet, match=because):
        _ = typed(ChatResponse(**fields), asked_for(Sky)).parsed


def test_of_many_things_that_are_wrong_the_message_names_three() -> None:
    class Many(BaseModel):
        a: int
        b: int
        c: int
        d: int
        e: int

    with pytest.raises(
        FormatNotMet, match="a: Field required; b: .*; c: Field required; and 2 more"
    ) as caught:
        ChatResponse("{}").parse(Many)
    assert len(caught.value.problems) == 5


def test_names_that_the_model_chose_steer_no_terminal_and_fill_no_log() -> None:
    chosen = "\x1b]0;x\x07\n" + "k" * 1_000_000

    with pytest.raises(FormatNotMet) as caught:
        ChatResponse(msgspec.json.encode({chosen: "c4n4ry"}).decode()).parse(dict[str, int])

    assert str(caught.value).startswith(r"the answer is no answer: \x1b]0;x\x07\nkkk")
    assert len(str(caught.value)) < 300
    assert caught.value.problems[0][0] == chosen


def test_a_refusal_is_no_value() -> None:
    assert answered("", refusal="I cannot").parsed is None


def test_an_answer_that_was_asked_for_nothing_says_what_to_write() -> None:
    with pytest.raises(
        RuntimeError, match=r"response_format=YourType, or read it with reply.parse\(YourType\)"
    ):
        _ = ChatResponse(BLUE).parsed
    assert ChatResponse(BLUE).parse(Sky) == Sky(colour="blue")
    assert ChatResponse("[1, 2]").parse(list[int]) == [1, 2]


# ── beside the answer ────────────────────────────────────────────────────────────────────────────────


def test_what_an_answer_is_read_as_is_no_part_of_it() -> None:
    plain, read = ChatResponse(BLUE), answered(BLUE)
    assert read.parsed == Sky(colour="blue")

    assert read == plain
    assert repr(read) == repr(plain)
    assert msgspec.structs.asdict(read) == msgspec.structs.asdict(plain)
    assert ChatResponse.__struct_fields__ == type(read).__struct_fields__
    assert "parsed" not in ChatResponse.__struct_fields__
    with pytest.raises(AttributeError):
        read.parsed = None  # type: ignore[misc]


def test_a_copy_is_read_alike_and_a_changed_or_pickled_answer_by_parse() -> None:
    read = answered(BLUE)

    assert copy.copy(read).parsed is read.parsed
    assert copy.deepcopy([read])[0].parsed == read.parsed
    assert copy.deepcopy(read).parsed is not read.parsed
    for other in (replace(read, text='{"colour": "red"}'), pickle.loads(pickle.dumps(read))):
        with pytest.raises(RuntimeError, match="reply.parse"):
            _ = other.parsed
        assert other.parse(Sky).sure


def test_what_was_read_goes_with_the_answer() -> None:
    read = answered(BLUE)
    value = weakref.ref(read.parsed)
    assert value() is not None

    del read
    gc.collect()

    assert value() is None


def test_an_answer_that_others_have_too_is_not_changed() -> None:
    shared = ChatResponse(BLUE)

    assert typed(shared, asked_for(Sky)) is not shared
    assert typed(shared, ChatRequest("m", ())) is shared
    with pytest.raises(RuntimeError):
        _ = shared.parsed


def test_a_request_with_a_type_equals_one_with_its_schema_and_can_be_written() -> None:
    request = asked_for(Sky)
    assert request.response_format is not None
    schema = dict(request.response_format.schema or {})

    assert request == replace(request, response_format=replace(request.response_format, schema=schema))
    assert msgspec.json.decode(msgspec.json.encode(request.response_format))["schema"] == schema
    again = pickle.loads(pickle.dumps(request))
    assert typed(ChatResponse(BLUE), again).parsed == Sky(colour="blue")


def test_a_type_that_has_no_schema_is_refused_before_anything_is_sent() -> None:
    class Plain:
        pass

    upstream = Scripted()
    with SyncRouter.from_config(CONFIG, plugins=[upstream]) as router:
        with pytest.raises(InvalidRequest, match="response_format: .*Plain.* has no JSON Schema"):
            router.chat("m", "sky?", response_format=Plain)
        with pytest.raises(InvalidRequest, match="expected a string, a mapping or a type"):
            router.chat("m", "sky?", response_format=5)
    assert upstream.calls == []


def test_a_format_has_the_name_and_the_strictness_that_it_is_given() -> None:
    assert ResponseFormat.of(Sky).name == "Sky"
    assert ResponseFormat.of(Sky).strict is True
    assert ResponseFormat.of(Sky, name="s", strict=False).name == "s"
    assert ResponseFormat.of(Sky, strict=False).strict is False
    assert ResponseFormat.of(dict[str, int]).strict is None
    with pytest.raises(TypeError, match="cannot be strict"):
        ResponseFormat.of(dict[str, int], strict=True)
