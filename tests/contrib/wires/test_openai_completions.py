"""OpenAI's plain completions from the side of the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.plugin import ChatResponse, GenerateRequest, InvalidRequest, Understood, Unsupported, Usage
from pointsman_wires import openai_completions

ANSWER = ChatResponse("on a time", finish_reason="length", usage=Usage(2, 3), deployment="a/b")


def read(**members: Any) -> Understood:
    body = json.dumps({"model": "m", "prompt": "Once"} | members).encode()
    return openai_completions.read(body, request_id="r", wall=1.5)


def test_what_a_request_of_ours_can_say_is_read() -> None:
    asked = read(prompt=["Once"], suffix=".", max_tokens=5, stop=["end"], top_k=3, echo=False, n=1).request

    assert asked == GenerateRequest("m", "Once", ".", max_tokens=5, stop=("end",), top_k=3)


@pytest.mark.parametrize(
    ("members", "needs"),
    [
        ({"prompt": ["a", "b"]}, ["prompt"]),
        ({"prompt": [1, 2]}, ["prompt (ids of tokens, not texts)"]),
        ({"echo": True, "n": 2, "logprobs": 0}, ["echo", "n", "logprobs"]),
        ({"best_of": 1, "logit_bias": {}}, []),
    ],
)
def test_what_only_this_wire_can_say_is_named(members: dict[str, Any], needs: list[str]) -> None:
    understood = read(**members)

    assert (understood.wire, understood.needs_wire) == ("openai.completions", needs)


@pytest.mark.parametrize(
    ("members", "param"),
    [({"prompt": None}, "prompt"), ({"max_tokens": -1}, "max_tokens"), ({"stop": 1}, "stop")],
)
def test_what_cannot_be_right_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**members)

    assert getattr(refused.value, "param", None) == param


def test_a_whole_answer_has_all_that_clients_look_for() -> None:
    body = json.loads(read().writer.whole(ANSWER))

    assert body.pop("id").startswith("cmpl-")
    assert body == {
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"text": "on a time", "index": 0, "logprobs": None, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
        "pointsman": {"deployment": "a/b", "attempts": 1},
    }


def test_a_stream_comes_at_once_and_is_whole() -> None:
    understood = read(stream=True, stream_options={"include_usage": True})

    frames = understood.writer.whole(ANSWER).decode().removesuffix("\n\n").split("\n\n")

    assert understood.writer.content_type.startswith("text/event-stream")
    assert (understood.stream, understood.wire) == (False, "")
    text, finish, usage = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
    assert text["choices"][0] == {"text": "on a time", "index": 0, "logprobs": None, "finish_reason": None}
    assert finish["choices"][0]["finish_reason"] == "length"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 5)
    assert frames[-1] == "data: [DONE]"


def test_a_stream_of_what_only_this_wire_can_say_is_refused() -> None:
    with pytest.raises(Unsupported, match="echo"):
        read(stream=True, echo=True)
