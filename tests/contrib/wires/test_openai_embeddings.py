"""OpenAI's embeddings from the side of the server."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from pointsman.plugin import EmbedRequest, EmbedResponse, InvalidRequest, Understood, Usage
from pointsman_wires import openai_embeddings

ANSWER = EmbedResponse([[0.5, -1.0], [0.25, 1.0]], Usage(3), "upstream", deployment="a/b")


def read(**members: Any) -> Understood:
    body = json.dumps({"model": "m", "input": "Hi"} | members).encode()
    return openai_embeddings.read(body, request_id="r", wall=1.5)


@pytest.mark.parametrize(
    ("given", "texts", "needs"),
    [
        ("Hi", ["Hi"], []),
        (["a", "b"], ["a", "b"], []),
        ([1, 2], ["1 2"], ["input (ids of tokens, not texts)"]),
        ([[1, 2], [3]], ["1 2", "3"], ["input (ids of tokens, not texts)"]),
    ],
)
def test_texts_are_read_and_tokens_are_for_their_own_wire(
    given: Any, texts: list[str], needs: list[str]
) -> None:
    understood = read(input=given)

    assert isinstance(understood.request, EmbedRequest)
    assert list(understood.request.texts) == texts
    assert (understood.wire, understood.needs_wire) == ("openai.embeddings", needs)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, "a"]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [True]}, "input"),
        ({"model": 1}, "model"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**members)

    assert getattr(refused.value, "param", None) == param


def test_vectors_are_lists_of_numbers_unless_base64_is_asked_for() -> None:
    plain = json.loads(read().writer.whole(ANSWER))
    encoded = json.loads(read(encoding_format="base64").writer.whole(ANSWER))

    assert [each["embedding"] for each in plain["data"]] == ANSWER.vectors
    data = [base64.b64decode(each["embedding"]) for each in encoded["data"]]
    assert [list(struct.unpack("<2f", each)) for each in data] == ANSWER.vectors
    del plain["data"], encoded["data"]
    assert plain == encoded
    assert plain == {
        "object": "list",
        "model": "m",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
        "pointsman": {"deployment": "a/b", "attempts": 1},
    }


def test_what_else_is_said_is_named_as_ignored() -> None:
    assert read(user="u", dimensions=2).ignored == ["user"]
