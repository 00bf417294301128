"""`to_openai` is what OpenAI's own package reads, what our provider of that API reads back, and what gateways write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

from pointsman.plugin import ChatResponse, EmbedResponse, Message, ToolCall, Usage, chat_request, replace
from pointsman_openai.answers import chat_response
from pointsman_wires.openai_chat import ChatWriter
from pointsman_wires.openai_embeddings import EmbeddingsWriter

CALLED = ChatResponse(
    tool_calls=(ToolCall("call_1", "weather", '{"city": "Bonn"}'), ToolCall("", "time", "{}", 1)),
    finish_reason="tool_calls",
    usage=Usage(7, 5, cached=3, reasoning=2),
    model="gpt-5-mini",
    id="chatcmpl-1",
    reasoning="hm",
    deployment="openai/gpt-5-mini",
    request_id="r1",
    raw={"choices": [{"logprobs": {"content": [], "refusal": None}}]},
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COUNTS = st.integers(0, 1000)
ANSWERS = st.builds(
    ChatResponse,
    text=TEXTS,
    tool_calls=st.lists(st.tuples(st.text("abc_", min_size=1, max_size=6), TEXTS), max_size=2).map(
        lambda calls: tuple(
            ToolCall(f"call_{n}", name, json.dumps({"x": x}))
            if n == 0
            else ToolCall(f"call_{n}", name, "{}", n)
            for n, (name, x) in enumerate(calls)
        )
    ),
    finish_reason=st.sampled_from(["stop", "length", "content_filter"]),
    usage=st.just(Usage())
    | st.builds(Usage, COUNTS, COUNTS)
    | st.builds(lambda a, b, c: Usage(a + b, c, cached=a, reasoning=c), COUNTS, COUNTS, COUNTS),
    model=st.just("m"),
    id=st.just("chatcmpl-1"),
    reasoning=st.none() | TEXTS.filter(bool),
    refusal=st.none() | TEXTS.filter(bool),
).map(lambda each: replace(each, finish_reason="tool_calls") if each.tool_calls else each)


@given(ANSWERS)
def test_what_our_provider_reads_of_it_is_the_answer(answer: ChatResponse) -> None:
    body = answer.to_openai(created=1)

    ChatCompletion.model_validate_json(json.dumps(body))
    read = chat_response(json.loads(json.dumps(body)))
    assert replace(read, raw=None, native_finish_reason=None) == answer


def test_it_says_all_that_the_api_has_a_member_for() -> None:
    body = CALLED.to_openai(created=12)
    read = ChatCompletion.model_validate(body)

    assert (read.id, read.created, read.model, read.object) == (
        "chatcmpl-1", 12, "gpt-5-mini", "chat.completion",
    )  # fmt: skip
    (choice,) = read.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.logprobs is not None
    ids = [each.id for each in choice.message.tool_calls or ()]
    assert ids[0] == "call_1"
    assert ids[1].startswith("call_")
    assert read.usage is not None
    assert read.usage.total_tokens == 12
    assert read.usage.prompt_tokens_details is not None
    assert read.usage.prompt_tokens_details.cached_tokens == 3
    assert body["choices"][0]["message"]["reasoning_content"] == "hm"
    assert "pointsman" not in body


def test_it_names_itself_as_it_is_told_to() -> None:
    assert CALLED.to_openai(id="x", model="mine")["id"] == "x"
    assert CALLED.to_openai(id="x", model="mine")["model"] == "mine"
    assert ChatResponse("hi", request_id="r1").to_openai()["id"] == "r1"
    assert ChatResponse("hi").to_openai()["created"] > 1_700_000_000
    assert "usage" not in ChatResponse("hi").to_openai()


@given(ANSWERS)
def test_gateways_write_the_same(answer: ChatResponse) -> None:
    writer = ChatWriter(id="chatcmpl-1", created=1, model="m")

    assert json.loads(writer.whole(answer)) == answer.to_openai(created=1)


def test_its_message_goes_on_a_conversation() -> None:
    message = CALLED.to_openai(id="chatcmpl-1")["choices"][0]["message"]
    request = chat_request("m", [{"role": "user", "content": "?"}, message], {})

    read = request.messages[1]
    assert isinstance(read, Message)
    assert (read.text, read.reasoning) == ("", "hm")
    assert read.tool_calls[0] == CALLED.tool_calls[0]


@pytest.mark.parametrize("encoded", [False, True])
def test_embeddings_are_a_list_that_the_package_reads(encoded: bool) -> None:
    answer = EmbedResponse([[0.5, 1.0], [0.25, 0.0]], Usage(prompt=4), "e", deployment="")
    body: dict[str, Any] = answer.to_openai()

    read = CreateEmbeddingResponse.model_validate(body)
    assert [each.embedding for each in read.data] == [[0.5, 1.0], [0.25, 0.0]]
    assert (read.model, read.usage.total_tokens) == ("e", 4)
    assert answer.to_openai(model="mine")["model"] == "mine"
    written = json.loads(EmbeddingsWriter(model="e", encoded=encoded).whole(answer))
    assert (written == body) is not encoded


def test_a_mapping_of_an_answer_is_fit_for_json_and_says_all() -> None:
    answer = replace(CALLED, relayed=b"{}", extra={"annotations": [{"a": b"\xff"}]})
    plain = answer.to_dict()

    assert json.loads(json.dumps(plain)) == plain
    assert set(plain) == set(ChatResponse.__struct_fields__) - {"raw", "relayed"}
    assert plain["tool_calls"][0] == {
        "id": "call_1", "name": "weather", "arguments": '{"city": "Bonn"}', "index": 0, "extra": {},
    }  # fmt: skip
    assert plain["usage"] == {
        "prompt": 7, "completion": 5, "cached": 3, "cache_write": None, "reasoning": 2, "cache_write_hour": None,
        "service_tier": None,
    }  # fmt: skip
    assert plain["extra"] == {"annotations": [{"a": "/w=="}]}
    assert answer.to_dict(raw=True)["raw"] == CALLED.raw
    vectors = EmbedResponse(((0.5, 1.0),), Usage(prompt=4), "e", raw={"x": 1})
    assert vectors.to_dict()["vectors"] == [[0.5, 1.0]]
    assert "raw" not in vectors.to_dict()
    assert vectors.to_dict(raw=True)["raw"] == {"x": 1}
