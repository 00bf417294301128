"""JSON: the same with and without orjson, and nothing but ValueError for what is none."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pointsman._internal import jsonio

plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters()),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=10,
)


@pytest.fixture(params=["orjson", "standard library"], autouse=True, scope="module")
def library(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test runs with both; which one is there is decided at import, hence the patch."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "orjson":
            assert jsonio.orjson is not None
        else:
            patch.setattr(jsonio, "orjson", None)
        yield request.param


@settings(deadline=None)
@given(plain)
@example({"a": "null", "b": None})
@example(2**70)
@example("\ud83d")
def test_what_is_written_is_read_back(value: Any) -> None:
    assert json.loads(jsonio.dumps(value)) == value
    if not _has_big_integer(value):
        assert jsonio.loads(jsonio.dumps(value)) == value


def _has_big_integer(value: Any) -> bool:
    """orjson reads what is above 64 bits as a float."""
    if isinstance(value, dict):
        return any(map(_has_big_integer, value.values()))
    if isinstance(value, list):
        return any(map(_has_big_integer, value))
    return isinstance(value, int) and abs(value) >= 2**63


def test_it_is_written_compactly_and_in_bytes() -> None:
    assert jsonio.dumps({"a": [1, "x"], "b": True}) == b'{"a":[1,"x"],"b":true}'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_rather_than_sent_as_null(value: float) -> None:
    for wrapped in (value, {"temperature": value}, [None, [value]]):
        with pytest.raises(ValueError, match="JSON"):
            jsonio.dumps(wrapped)


@dataclasses.dataclass
class Point:
    x: int = 1


class Place(msgspec.Struct):
    x: int = 1


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"x", Point(), Place(), datetime.datetime(2024, 1, 1), {"a": Point()}, {"a": Place()}],
)
def test_what_json_cannot_hold_is_a_type_error_with_either_library(value: Any) -> None:
    with pytest.raises(TypeError):
        jsonio.dumps(value)


def test_circles_and_towers_are_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)

    with pytest.raises((ValueError, RecursionError)):
        jsonio.dumps(circle)


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"{", b"[1,]", b"nul", b"\xff", b"Nan", b'"\x01"', b"1 2",
     b"<html>", b"[" * 100_000, b'{"a":' * 100_000],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        jsonio.loads(data)


def test_half_a_surrogate_pair_is_read_for_models_do_cut_them() -> None:
    assert jsonio.loads(b'{"content":"\\ud83d"}') == {"content": "\ud83d"}


@settings(deadline=None)
@given(
    st.one_of(
        st.binary(max_size=30), st.text('[]{}",:0123456789.eE-+truefalsn\\u d8', max_size=30).map(str.encode)
    )
)
def test_no_bytes_raise_anything_but_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        jsonio.loads(data)


def test_one_odd_field_does_not_cost_the_rest(library: None) -> None:
    data = b'{"a": NaN, "b": [Infinity, -Infinity], "c": "x\xff", "d": "\\ud83d", "e": 1}'
    assert jsonio.loads(data) == {"a": None, "b": [None, None], "c": "x\ufffd", "d": "\ud83d", "e": 1}


BEYOND = [2**64, -(2**63) - 1, 2**70, 10**300]
WITHIN = [2**64 - 1, -(2**63), 2**53 + 1, 0]


@pytest.mark.parametrize("number", [*BEYOND, *WITHIN])
def test_a_whole_number_beyond_64_bits_is_a_float_unless_it_is_read_exactly(
    number: int, library: None
) -> None:
    data = b'{"a": [%d, 1.5]}' % number
    read = jsonio.loads(data)["a"][0]
    assert read == (float(number) if number in BEYOND else number)
    assert type(read) is (float if number in BEYOND else int)
    assert jsonio.exactly(data) == {"a": [number, 1.5]}


@pytest.mark.parametrize(
    "value", [math.nan, {"a": math.nan}, [math.nan], [1, math.inf], {"a": [{"b": -math.inf}]}]
)
def test_no_number_is_found_wherever_it_stands(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        jsonio.dumps(value)


def test_the_letters_of_null_within_a_text_do_not_make_it_slow(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    if library == "orjson":
        monkeypatch.setattr(jsonio.json, "dumps", None)
    assert jsonio.dumps({"picture": "QUJDnullQUJD"}) == b'{"picture":"QUJDnullQUJD"}'


@pytest.mark.parametrize("digits", [310, 311, 4301, 6000])
def test_a_number_of_any_length_costs_no_more_than_itself(digits: int) -> None:
    data = b'{"a": 1, "b": [' + b"9" * digits + b"]}"
    assert jsonio.loads(data) == {"a": 1, "b": [None]}
