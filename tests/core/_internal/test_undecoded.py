"""JSON that is kept as bytes until somebody reads it, in a field that looks as if it had been there decoded."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman._internal.undecoded import Undecoded
from pointsman.types import ChatResponse, EmbedResponse

BODY = {"id": "c", "choices": [{"index": 0, "text": "Grüße"}], "usage": None}
DATA = json.dumps(BODY).encode()
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", [ChatResponse, lambda raw: EmbedResponse([], raw=raw)])
def test_raw_is_the_plain_value_of_its_bytes_and_the_same_one_each_time(kind: Any) -> None:
    response = kind(raw=Undecoded(DATA))

    assert type(response.raw) is dict
    assert response.raw == BODY
    assert response.raw is response.raw
    assert json.loads(json.dumps(response.raw)) == BODY


def test_raw_that_is_not_undecoded_stays_what_it_is() -> None:
    assert ChatResponse().raw is None
    assert ChatResponse(raw=BODY).raw is BODY


def test_a_response_is_equal_to_one_whose_raw_is_there_and_unequal_to_others() -> None:
    undecoded, decoded = ChatResponse("x", raw=Undecoded(DATA)), ChatResponse("x", raw=BODY)

    assert undecoded == decoded
    assert decoded == ChatResponse("x", raw=Undecoded(DATA))
    assert ChatResponse(raw=Undecoded(b" [1 ]")) == ChatResponse(raw=Undecoded(b"[1]"))
    assert undecoded != ChatResponse("x", raw=Undecoded(b"[]"))
    assert undecoded != ChatResponse("x")


def test_a_response_shows_its_raw_decoded() -> None:
    assert f"raw={BODY!r}" in repr(ChatResponse(raw=Undecoded(DATA)))


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))],
    ids=["copy", "deep", "pickle"],
)
def test_copies_have_the_value_too(again: Any) -> None:
    response = again(ChatResponse("x", raw=Undecoded(DATA)))

    assert type(response.raw) is dict
    assert response == ChatResponse("x", raw=BODY)


def test_raw_cannot_be_assigned() -> None:
    response = ChatResponse(raw=Undecoded(DATA))

    with pytest.raises((AttributeError, FrozenInstanceError)):
        response.raw = None  # type: ignore[misc]  # that is what is tested


@given(JSON, JSON)
def test_what_is_undecoded_is_equal_to_its_value_and_to_nothing_else(one: Any, other: Any) -> None:
    undecoded = Undecoded(json.dumps(one).encode())

    assert undecoded == one
    assert one == undecoded
    assert (undecoded == other) is (one == other)
    assert (undecoded == Undecoded(json.dumps(other).encode())) is (one == other)
    assert repr(undecoded) == repr(one)
    assert pickle.loads(pickle.dumps(undecoded)) == one


def test_what_is_undecoded_has_no_hash_as_its_value_has_none() -> None:
    with pytest.raises(TypeError):
        hash(Undecoded(DATA))
