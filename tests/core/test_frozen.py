"""`@frozen` classes, beside the dataclasses that they stand for.

The first instances of a class are made in another way than those after, and those of many fields in a third.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman import types
from pointsman.frozen import frozen

usual = dataclass(frozen=True, slots=True)


def _not_zero(self: Any) -> None:
    if self.size == 0:
        raise ValueError("the size is 0")


def _double(self: Any) -> int:
    return 2 * int(self.size)


def narrow(kind: Callable[[Any], Any]) -> Any:
    """A class of three fields, of that kind."""

    @kind
    class Narrow:
        """Three fields."""

        size: int
        name: str = field(default="x", repr=False)
        parts: list[int] = field(default_factory=list, compare=False)
        __post_init__ = _not_zero
        double = property(_double)

    return Narrow


def wide(kind: Callable[[Any], Any]) -> Any:
    """A class of six fields, of that kind."""

    @kind
    class Wide:
        """Six fields."""

        size: int
        name: str = field(default="x", repr=False)
        parts: list[int] = field(default_factory=list, compare=False)
        third: Sequence[str] = ()
        fourth: Mapping[str, Any] = field(default_factory=dict)
        fifth: int = 5
        __post_init__ = _not_zero
        double = property(_double)

    return Wide


def new(shape: Callable[..., Any]) -> Any:
    """A frozen class of which there is no instance yet."""
    return shape(frozen)


def worn(shape: Callable[..., Any]) -> Any:
    """A frozen class of which there are many instances."""
    made = shape(frozen)
    for n in range(1, 100):
        made(n)
    return made


SHAPES = pytest.mark.parametrize("shape", [narrow, wide])
AGES = pytest.mark.parametrize("age", [new, worn])
NAMES = st.sampled_from(["size", "name", "parts", "third", "fourth", "fifth", "other"])
VALUES = st.integers(-1, 2)


def outcome(act: Callable[[], Any]) -> Any:
    """What comes of `act`: a value, or the kind of the error and its words."""
    try:
        return act()
    except Exception as error:
        return type(error), str(error)


@SHAPES
@AGES
@given(args=st.lists(VALUES, max_size=7), named=st.dictionaries(NAMES, VALUES))
def test_the_same_arguments_fit_and_mean_the_same_and_others_are_refused_in_the_same_words(
    shape: Any, age: Any, args: list[Any], named: dict[str, Any]
) -> None:
    ours, theirs = age(shape), shape(usual)

    assert outcome(lambda: asdict(ours(*args, **named))) == outcome(lambda: asdict(theirs(*args, **named)))


@SHAPES
@given(st.tuples(VALUES, VALUES, VALUES), st.tuples(VALUES, VALUES, VALUES))
def test_they_are_equal_hashed_and_shown_alike(
    shape: Any, one: tuple[Any, ...], other: tuple[Any, ...]
) -> None:
    def seen(kind: Any) -> Any:
        a, b = kind(*one, fourth=()) if shape is wide else kind(*one), kind(*other)
        return a == b, a != b, hash(a) == hash(replace(a)), hash(a), repr(a)

    assert outcome(lambda: seen(shape(frozen))) == outcome(lambda: seen(shape(usual)))


@SHAPES
@AGES
def test_nothing_can_be_changed_and_nothing_added(shape: Any, age: Any) -> None:
    ours = age(shape)
    value = ours(1)

    for name in ("size", "parts", "other"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(value, name, 2)
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'size'"):
        del value.size
    assert value == ours(1)
    assert type(value) is ours
    assert not hasattr(value, "__dict__")


@SHAPES
@AGES
def test_it_is_a_dataclass_to_whoever_asks(shape: Any, age: Any) -> None:
    ours = age(shape)
    value = ours(1, "y")

    assert is_dataclass(ours)
    assert [each.name for each in fields(ours)][:3] == ["size", "name", "parts"]
    assert replace(value, size=3) == ours(3, "y")
    assert value.double == 2
    match value:
        case ours(size, name):
            assert (size, name) == (1, "y")


@SHAPES
@AGES
def test_people_and_tools_see_its_parameters(shape: Any, age: Any) -> None:
    ours = age(shape)

    assert str(inspect.signature(ours)) == str(inspect.signature(shape(usual)))
    assert ours(1).size == 1


def test_a_subclass_with_an_init_of_its_own_shows_that() -> None:
    class More(narrow(frozen)):  # type: ignore[misc]
        def __init__(self, more: int) -> None:
            super().__init__(more)

    assert str(inspect.signature(More)) == "(more: 'int') -> 'None'"


@SHAPES
@AGES
def test_what_derives_from_it_may_have_more(shape: Any, age: Any) -> None:
    ours = age(shape)

    class Loose(ours):  # type: ignore[misc]
        """Has a dictionary of its own."""

    @dataclass(frozen=True, slots=True)
    class More(ours):  # type: ignore[misc]
        last: int = 5

    for _ in range(100):
        loose, more = Loose(1, "y"), More(1, last=6)
        assert (type(loose), loose.size, loose.name, loose.parts) == (Loose, 1, "y", [])
        assert (type(more), more.size, more.parts, more.last) == (More, 1, [], 6)
        for value in (loose, more):
            with pytest.raises(FrozenInstanceError):
                value.size = 2
    with pytest.raises(TypeError, match="cannot inherit non-frozen dataclass from a frozen one"):
        dataclass(type("Open", (ours,), {}))


@SHAPES
@AGES
def test_each_instance_has_its_own_defaults(shape: Any, age: Any) -> None:
    ours = age(shape)

    assert ours(1).parts is not ours(1).parts


def test_other_kinds_are_never_equal() -> None:
    assert (narrow(frozen)(1) == narrow(usual)(1)) is False


def test_a_field_equals_itself_whatever_it_says() -> None:
    @frozen
    class One:
        """A single field."""

        value: float

    nan = float("nan")

    assert One(nan) == One(nan)
    assert hash(One(2.0)) == hash((2.0,))


@frozen
class Small:
    """Where pickle finds it."""

    size: int
    parts: list[int]


@frozen
class Large:
    """Where pickle finds it."""

    size: int
    parts: list[int]
    third: int = 3
    fourth: int = 4
    fifth: int = 5


@pytest.mark.parametrize("kind", [Small, Large])
def test_it_can_be_pickled_and_copied(kind: Any) -> None:
    for n in range(100):
        ours = kind(n, [3])

        for each in (pickle.loads(pickle.dumps(ours)), copy.copy(ours), copy.deepcopy(ours)):
            assert (type(each), each) == (kind, ours)
            with pytest.raises(FrozenInstanceError):
                each.size = 2


@frozen
class WithItsOwn:
    """What a class says itself stays."""

    size: int

    def __repr__(self) -> str:
        return "mine"

    def __eq__(self, _other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


def test_what_a_class_says_itself_stays() -> None:
    ours = WithItsOwn(1)

    assert (repr(ours), hash(ours), ours) == ("mine", 1, WithItsOwn(2))


@pytest.mark.parametrize(
    "kind", [types.Text, types.ToolCall, types.Message, types.ChatRequest, types.ChatResponse]
)
def test_every_field_of_a_value_is_what_is_said(kind: Any) -> None:
    said = {each.name: object() for each in fields(kind)}

    for _ in range(100):
        for value in (kind(**said), kind(*said.values())):
            assert all(getattr(value, name) is each for name, each in said.items())


def test_fields_may_have_the_names_of_builtins() -> None:
    @frozen
    class Odd:
        type: str
        id: int
        object: str = "o"
        super: str = "s"
        list: Sequence[str] = field(default_factory=tuple)

    made = [Odd("t", n) for n in range(20)]

    assert [each.id for each in made] == [*range(20)]
    assert {(type(each), each.type, each.object, each.super, each.list) for each in made} == {
        (Odd, "t", "o", "s", ())
    }
