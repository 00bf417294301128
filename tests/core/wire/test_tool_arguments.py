"""Arguments of tool calls as text, in every form in which they come."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import BadResponse
from pointsman.wire.tool_arguments import arguments_object, arguments_text

OBJECTS = st.dictionaries(
    st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=4
)


@given(OBJECTS, st.integers(0, 3))
def test_an_object_its_text_and_its_text_encoded_again_mean_the_same(value: Any, times: int) -> None:
    text = json.dumps(value)
    encoded = text
    for _ in range(times):
        encoded = json.dumps(encoded)

    assert arguments_text(encoded) == text
    assert json.loads(arguments_text(value)) == value


@pytest.mark.parametrize("text", ["", "{}", '{"q":1}', ' {"q" : 1}', "{broken", '"broken', "[1]", "null"])
def test_a_text_that_is_encoded_once_stays_as_the_model_wrote_it(text: str) -> None:
    assert arguments_text(text) == text


def test_no_arguments_are_an_empty_object() -> None:
    assert arguments_text(None) == "{}"


def test_arguments_nested_too_deeply_are_a_bad_response() -> None:
    value: Any = {}
    for _ in range(100_000):
        value = {"a": value}

    with pytest.raises(BadResponse):
        arguments_text(value)


@pytest.mark.parametrize("value", [math.inf, {"x": [-math.inf]}])
def test_a_number_beyond_all_floats_is_told(value: object) -> None:
    with pytest.raises(BadResponse, match="number that is none"):
        arguments_text(value)


@given(OBJECTS)
def test_the_text_of_an_object_is_that_object(value: Any) -> None:
    assert arguments_object(json.dumps(value)) == value
    assert arguments_object(" ") == {}


@pytest.mark.parametrize(
    "text", ['{"x": ', "[1]", '"x"', "null", '{"x": NaN}', '{"x": 1e999}', '{"x":' + "[" * 100_000]
)
def test_what_a_model_wrote_that_is_no_object_is_kept_in_one(text: str) -> None:
    assert arguments_object(text) == {"INVALID_JSON": text}


def test_half_a_character_in_what_is_no_object_can_be_sent() -> None:
    assert arguments_object('{"x": "\ud83d') == {"INVALID_JSON": '{"x": "\ufffd'}
