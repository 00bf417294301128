"""Values made from JSON schemas."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from pointsman_simulator.examples import example


class Node(BaseModel):
    name: str = Field(min_length=3, max_length=4)
    left: Node | None
    children: list[Node]


class Many(BaseModel):
    count: int = Field(ge=5, le=7)
    ratio: float = Field(gt=0, lt=1)
    tags: list[str] = Field(min_length=2, max_length=3)
    kind: int | str
    pair: tuple[int, str]


TYPES: list[Any] = [Node, Many, list[Many], dict[str, Any], int, bool, float | None, str]


@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(seed=st.integers(0, 1000))
def test_what_is_made_from_a_schema_is_allowed_by_it(kind: Any, seed: int) -> None:
    adapter = TypeAdapter(kind)

    adapter.validate_python(example(adapter.json_schema(), Random(seed)))


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#"}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, {"properties": {"a": {"$ref": "#"}}},
     {"type": "array", "items": {"$ref": "#"}}, {"$ref": "#/missing"}, {"items": True, "type": "array"}],
    ids=str,
)  # fmt: skip
def test_a_schema_that_never_ends_gives_something_that_does(schema: dict[str, Any]) -> None:
    example(schema, Random(1))


@given(st.integers(-50, 50), st.integers(0, 50), st.integers(0, 9))
def test_numbers_keep_to_their_bounds(low: int, more: int, seed: int) -> None:
    both = {"type": "integer", "minimum": low, "maximum": low + more}

    assert low <= example(both, Random(seed)) <= low + more
    assert example({"type": "integer", "minimum": low}, Random(seed)) >= low
    assert example({"type": "integer", "maximum": low}, Random(seed)) <= low
    assert example({"type": "integer", "exclusiveMaximum": low}, Random(seed)) < low
