"""Python types as JSON Schemas, and texts as their values."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import sys
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from pointsman.values.json_types import DoesNotFit, json_type


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class City(BaseModel):
    """A place."""

    name: str
    area: float = Field(default=1.5, gt=0, description="in km²")


@dataclasses.dataclass
class Sky:
    colour: Colour
    over: City
    seen: datetime.date | None = None


class Paint(TypedDict):
    colour: Literal["red", "blue"]
    layers: int


class Tree(msgspec.Struct):
    name: str
    children: list[Tree] = []


KINDS: list[tuple[Any, str, Any]] = [
    (City, '{"name": "Bonn"}', City(name="Bonn")),
    (Sky, '{"colour": "red", "over": {"name": "Bonn", "area": 2}, "seen": "2026-01-02"}',
     Sky(Colour.RED, City(name="Bonn", area=2), datetime.date(2026, 1, 2))),
    (Paint, '{"colour": "red", "layers": 2}', {"colour": "red", "layers": 2}),
    (Tree, '{"name": "a", "children": [{"name": "b"}]}', Tree("a", [Tree("b")])),
    (list[City], '{"value": [{"name": "Bonn"}]}', [City(name="Bonn")]),
    (list[City], '[{"name": "Bonn"}]', [City(name="Bonn")]),
    (list[Tree], '{"value": [{"name": "a"}]}', [Tree("a")]),
    (City | None, '{"value": {"name": "Bonn"}}', City(name="Bonn")),
    (int, '{"value": 3}', 3),
    (Annotated[list[int], Field(max_length=3), {"not": ["to be", "hashed"]}], '{"value": [3]}', [3]),
    (dict[str, int], '{"value": 3}', {"value": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "value"), KINDS, ids=lambda each: str(each)[:40])
def test_a_text_is_read_as_a_value_of_the_type(kind: Any, text: str, value: Any) -> None:
    assert json_type(kind).value(text) == value
    assert json_type(kind).value(f" ```json\n{text}\n``` \n") == value
    assert json_type(kind).value(f"```\n{text}```") == value


@pytest.mark.parametrize(
    "text",
    [
        'Here it is:\n```json\n{"name": "Bonn"}\n```',
        '```json\n{"name": "Bonn"}\n```\nAnything else?',
        '```json\n{"name": "Bonn"}\n```\n```json\n{"name": "Ulm"}\n```',
        '```python\n{"name": "Bonn"}\n```',
        "",
        "null",
    ],
)
def test_only_one_fence_around_the_whole_is_taken_away(text: str) -> None:
    with pytest.raises(DoesNotFit):
        json_type(City).value(text)


@pytest.mark.parametrize(
    ("kind", "text", "path", "what"),
    [
        (City, '{"name": 3}', "name", "Input should be a valid string"),
        (Sky, '{"colour": "red", "over": {"area": -1, "name": "x"}}', "over.area", "greater than 0"),
        (City, '{"name": "Bo', "", "Invalid JSON"),
        (Tree, '{"name": "a", "children": [{"name": 1}]}', "children.0.name", "Expected `str`, got `int`"),
        (Tree, '{"name": "a', "", "Invalid JSON"),
        (City, '{"name": "\ud800"}', "", "Invalid JSON: unexpected end of hex escape"),
        (list[City], '{"value": [{"nam": "Bonn"}]}', "0.name", "Field required"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place(kind: Any, text: str, path: str, what: str) -> None:
    with pytest.raises(DoesNotFit) as caught:
        json_type(kind).value(text)

    assert caught.value.misfits[0].path == path
    assert what in caught.value.misfits[0].what
    assert caught.value.__suppress_context__, "the library's own error shows the answer"


@pytest.mark.parametrize("kind", [City, Tree, list[City], int])
def test_what_is_nested_without_end_does_not_fit(kind: Any) -> None:
    deep = '{"children": [' * 100_000

    for text in (deep, '{"value": ' + deep):
        with pytest.raises(DoesNotFit, match="recursion limit|Expected `str`|valid string|Field required"):
            json_type(kind).value(text)


def test_a_fence_that_does_not_end_costs_no_search() -> None:
    # At 20 times the length a search that is quadratic takes minutes.
    with pytest.raises(DoesNotFit):
        json_type(City).value("```\n" + " " * 1_000_000 + "x")


def test_what_was_answered_is_not_repeated_by_what_is_wrong_with_it() -> None:
    with pytest.raises(DoesNotFit) as caught:
        json_type(City).value('{"name": "Bonn", "area": "c4n4ry"}')

    assert "c4n4ry" not in str(caught.value)


@pytest.mark.parametrize("kind", [kind for kind, *_ in KINDS], ids=str)
def test_the_schema_is_of_an_object_and_named_so_that_upstreams_take_the_name(kind: Any) -> None:
    known = json_type(kind)

    assert known.schema["type"] == "object"
    assert known.name.replace("_", "").isalnum()
    assert len(known.name) <= 64


def test_what_is_no_object_is_the_one_member_of_one() -> None:
    schema, strict = json_type(list[City]).strict_schema(None)

    assert strict is True
    assert schema == {
        "type": "object",
        "properties": {
            "value": {
                "type": "array",
                "items": {
                    "type": "object",
                    "description": "A place.",
                    "properties": {
                        "name": {"type": "string"},
                        "area": {"type": "number", "description": "in km² (exclusiveMinimum: 0)"},
                    },
                    "required": ["name", "area"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["value"],
        "additionalProperties": False,
    }


def test_strict_is_as_far_as_the_type_can_be_unless_somebody_says() -> None:
    assert json_type(City).strict_schema(None)[1] is True
    assert json_type(City).strict_schema(False) == (json_type(City).schema, False)
    assert json_type(City).schema["required"] == ["name"]
    assert json_type(dict[str, int]).strict_schema(None)[1] is None
    with pytest.raises(TypeError, match=r"answer cannot be strict: it takes members of any name"):
        json_type(dict[str, int]).strict_schema(True)


@pytest.mark.parametrize("kind", [object(), type("Plain", (), {}), "Missing", 5])
def test_what_has_no_schema_is_a_type_error(kind: Any) -> None:
    with pytest.raises(TypeError, match="has no JSON Schema"):
        json_type(kind)


LEAVES: list[Any] = [
    int, str, bool, float, datetime.date, Colour, Literal["a", "b"], Literal[1], City, Paint,
    Annotated[int, Field(ge=0, le=9)],
]  # fmt: skip
kinds = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: inner.map(lambda each: list[each]) | inner.map(lambda each: each | None),  # type: ignore[valid-type]
    max_leaves=3,
)


@given(kinds, st.data())
def test_whatever_the_type_writes_it_reads(kind: Any, data: st.DataObject) -> None:
    if sys.version_info < (3, 12) and "Paint" in str(kind):
        return  # pydantic writes no `typing.TypedDict` there
    value = data.draw(st.from_type(kind).filter(lambda each: each == each))  # NaN is not
    try:
        text = TypeAdapter(kind).dump_json(value).decode()
        again = TypeAdapter(kind).validate_json(text)
    except ValueError:
        return  # such as infinity

    known = json_type(kind)

    assert known.value(text) == again
    if known.is_wrapped:
        assert known.value(f'{{"value": {text}}}') == again
