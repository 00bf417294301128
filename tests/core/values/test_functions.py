"""Functions as tools: what their signatures and docstrings say to a model."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from pointsman import InvalidRequest, SyncRouter, Tool
from pointsman.testing import Scripted


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


class Place(BaseModel):
    """Where."""

    name: str
    floor: int = 0


@dataclasses.dataclass
class Span:
    start: int
    end: int | None = None


async def weather(
    city: str,
    unit: Unit = Unit.C,
    days: Annotated[int, Field(ge=1, le=7, description="how far to look")] = 1,
    *,
    detail: Literal["short", "long"] = "short",
    at: Optional[Place] = None,  # noqa: UP045 - as many write it
    tags: list[str] | None = None,
    span: Span = Span(1, 2),  # noqa: B008 - it is not changed
) -> str:
    """The weather of a city,
    now or soon.

    It is not always right.

    Args:
        city: its name,
            as people there write it: in full
        unit (Unit): of temperatures
        days: not this one
        tags, span: more

    Returns:
        unit: nothing of a parameter
    """
    raise NotImplementedError


def test_a_tool_says_what_signature_and_docstring_say() -> None:
    assert Tool.from_function(weather) == Tool(
        "weather",
        "The weather of a city, now or soon.",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "its name, as people there write it: in full"},
                "unit": {
                    "type": "string",
                    "enum": ["celsius", "fahrenheit"],
                    "default": "celsius",
                    "description": "of temperatures",
                },
                "days": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 7,
                    "description": "how far to look",
                    "default": 1,
                },
                "detail": {"type": "string", "enum": ["short", "long"], "default": "short"},
                "at": {
                    "anyOf": [
                        {
                            "type": "object",
                            "description": "Where.",
                            "properties": {
                                "name": {"type": "string"},
                                "floor": {"type": "integer", "default": 0},
                            },
                            "required": ["name"],
                        },
                        {"type": "null"},
                    ],
                    "default": None,
                },
                "tags": {
                    "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
                    "default": None,
                    "description": "more",
                },
                "span": {
                    "type": "object",
                    "properties": {
                        "start": {"type": "integer"},
                        "end": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                    },
                    "required": ["start"],
                    "default": {"start": 1, "end": 2},
                    "description": "more",
                },
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    )


def test_what_is_said_beside_the_function_wins() -> None:
    tool = Tool.from_function(weather, name="look", description="Looks.", strict=True)

    assert (tool.name, tool.description, tool.strict) == ("look", "Looks.", True)
    assert tool.parameters["required"] == ["city", "unit", "days", "detail", "at", "tags", "span"]
    assert tool.parameters["properties"]["days"]["description"] == "how far to look (minimum: 1, maximum: 7)"


def test_methods_and_partial_functions_are_taken_without_what_is_bound() -> None:
    class Station:
        def look(self, city: str) -> str:
            """Looks."""
            return city

        @staticmethod
        def heat(degrees: float) -> float:
            return degrees

        def __call__(self, x: int) -> int:
            return x

    assert Tool.from_function(Station().look).parameters["required"] == ["city"]
    assert Tool.from_function(Station.heat).parameters["required"] == ["degrees"]
    assert Tool.from_function(Station(), name="station").parameters["required"] == ["x"]
    partial = functools.partial(Station().look)
    assert Tool.from_function(partial, name="p").parameters["required"] == ["city"]
    with pytest.raises(TypeError, match="'self' has no annotation; hand in a method of an object"):
        Tool.from_function(Station.look)


def test_a_model_neither_sees_nor_chooses_what_a_partial_function_binds() -> None:
    def look(city: str, key: str, days: int = 3) -> None:
        """Looks.

        Args:
            key: whose.
        """

    tool = Tool.from_function(functools.partial(functools.partial(look, key="c4n4ry"), days=2))

    assert (tool.name, tool.description) == ("look", "Looks.")
    assert list(tool.parameters["properties"]) == ["city"]
    assert "c4n4ry" not in str(tool)


def test_a_parameter_may_have_any_name() -> None:
    def odd(json: str, _x: int, model_config: int, schema: int = 1) -> None:
        """"""

    tool = Tool.from_function(odd)

    assert list(tool.parameters["properties"]) == ["json", "_x", "model_config", "schema"]
    assert tool.description == ""


def test_a_function_without_parameters_is_a_tool_too() -> None:
    def now() -> str:
        """The time."""
        return ""

    assert Tool.from_function(now).parameters == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


class Opaque:
    pass


def test_what_a_model_could_not_give_is_named() -> None:
    def several(a: int, *more: int) -> None: ...
    def named(a: int, **more: int) -> None: ...
    def first(a: int, /) -> None: ...
    def bare(a: int, b) -> None: ...  # type: ignore[no-untyped-def]
    def opaque(a: int, what: Opaque) -> None: ...
    def loose(a: dict[str, int]) -> None: ...

    def unknown(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def called(a: Callable[[], int]) -> None: ...

    wrong: list[tuple[Callable[..., Any], str]] = [
        (several, r"several\(\): the parameter 'more' takes any number of arguments"),
        (named, r"named\(\): the parameter 'more' takes arguments of any name"),
        (first, r"first\(\): the parameter 'a' cannot be given by its name"),
        (bare, r"bare\(\): the parameter 'b' has no annotation$"),
        (opaque, r"opaque\(\): the parameter 'what' has no JSON Schema: .*Opaque"),
        (called, r"called\(\) has no JSON Schema: .*Callable"),
        (unknown, r"unknown\(\): an annotation cannot be read: name 'Missing' is not defined"),
        (lambda: 1, "a tool cannot be called '<lambda>'; give it a name"),
        (Place, "^Place is no function"),
        ("x", "^a str is no function"),
    ]
    for function, said in wrong:
        with pytest.raises(TypeError, match=said):
            Tool.from_function(function)
    with pytest.raises(TypeError, match=r"loose\(\) cannot be strict: a takes members of any name"):
        Tool.from_function(loose, strict=True)


def test_a_default_that_json_cannot_say_is_left_out() -> None:
    def odd(a: int = object()) -> None: ...  # type: ignore[assignment]

    assert Tool.from_function(odd).parameters["properties"] == {"a": {"type": "integer"}}


def test_functions_are_handed_to_a_call_as_they_are() -> None:
    def bare(a) -> None: ...  # type: ignore[no-untyped-def]

    upstream = Scripted()
    config = {"providers": {"a": {"type": "scripted"}}, "models": {"m": {"deployments": ["a/x"]}}}
    with SyncRouter.from_config(config, plugins=[upstream]) as router:
        router.chat("m", "hi", tools=[weather], tool_choice="weather")
        with pytest.raises(
            InvalidRequest, match=r"tools\[1\]: bare\(\): the parameter 'a' has no annotation"
        ):
            router.chat("m", "hi", tools=[weather, bare])

    assert upstream.calls[0][1].tools == (Tool.from_function(weather),)


LEAVES: list[Any] = [
    int, str, bool, float, Unit, Place, Span, Literal["a", "b"], Annotated[int, Field(ge=0, le=9)], None,
]  # fmt: skip
kinds = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        inner.map(lambda each: list[each]),  # type: ignore[valid-type]
        inner.map(lambda each: dict[str, each]),  # type: ignore[valid-type]
        inner.map(lambda each: Optional[each]),  # noqa: UP045
    ),
    max_leaves=4,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 12) | st.sampled_from(["a", "celsius", ""]) | st.just(0.5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "floor", "start", "end"]), inner, max_size=2)
    ),
    max_leaves=4,
)
TYPES = {
    "integer": int,
    "number": (int, float),
    "string": str,
    "boolean": bool,
    "array": list,
    "object": dict,
}
TYPES["null"] = type(None)


def takes(schema: dict[str, Any], value: Any) -> bool:
    """Whether `value` is what a schema of the words that occur here describes."""
    if "anyOf" in schema:
        return any(takes(each, value) for each in schema["anyOf"])
    if "enum" in schema and value not in schema["enum"]:
        return False
    kind = schema["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if kind == "integer" and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if kind == "array":
        return all(takes(schema["items"], each) for each in value)
    if kind != "object":
        return True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if not value.keys() >= set(schema.get("required", ())):
        return False
    for name, each in value.items():
        inside = known.get(name, others)
        if inside is False or (isinstance(inside, dict) and not takes(inside, each)):
            return False
    return True


@given(kinds, st.lists(values, min_size=5, max_size=5))
def test_the_schema_takes_what_the_annotation_takes_and_nothing_else(kind: Any, given: list[Any]) -> None:
    def function(x: Any) -> None: ...

    function.__annotations__["x"] = kind
    schema, adapter = Tool.from_function(function).parameters, TypeAdapter(kind)
    for value in given:
        try:  # strictly, as JSON, for a schema has no "5" that is a number
            adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError:
            accepted = False
        else:
            accepted = True
        assert takes(dict(schema), {"x": value}) is accepted, value
