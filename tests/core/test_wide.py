"""A wide value is a frozen dataclass like any other to whoever makes one, looks at it, or derives from it."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.types import ChatRequest, ChatResponse
from pointsman.wide import wide


@dataclass(frozen=True, slots=True)
class Usual:
    first: str
    second: int = 2
    third: Sequence[str] = ()
    fourth: Mapping[str, Any] = field(default_factory=dict)


@wide
@dataclass(frozen=True, slots=True)
class Wide:
    first: str
    second: int = 2
    third: Sequence[str] = ()
    fourth: Mapping[str, Any] = field(default_factory=dict)


def seen(made: Any) -> object:
    """What an object or an error looks like, but for the name of its class."""
    return repr(made).replace("Usual", "Wide")


def made(kind: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Any:
    try:
        return kind(*args, **named)
    except TypeError as error:
        return error


@given(
    st.lists(st.integers(), max_size=5),
    st.dictionaries(st.sampled_from(["first", "second", "third", "fourth", "fifth"]), st.integers()),
)
def test_it_is_made_of_the_same_arguments_or_fails_with_the_same_words(
    args: list[int], named: dict[str, int]
) -> None:
    usual, wide_one = made(Usual, args, named), made(Wide, args, named)

    assert seen(wide_one) == seen(usual)
    if isinstance(usual, Usual):
        assert type(wide_one) is Wide
        assert hash(replace(wide_one, fourth=1)) == hash(replace(usual, fourth=1))
        assert wide_one == made(Wide, args, named) != usual
        assert seen(replace(wide_one, second=-1)) == seen(replace(usual, second=-1))


def test_it_cannot_be_changed_once_it_is_made() -> None:
    value = Wide("x")

    for name in ("first", "fourth"):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, 1)
        with pytest.raises(FrozenInstanceError):
            delattr(value, name)
    assert not hasattr(value, "__dict__")
    assert value == Wide("x")


def test_objects_do_not_share_what_a_factory_makes() -> None:
    assert Wide("x").fourth is not Wide("x").fourth


def test_it_survives_copying_and_pickling() -> None:
    value = Wide("x", third=("y",))

    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert type(other) is Wide
        assert other == value
        with pytest.raises(FrozenInstanceError):
            other.first = "z"


def test_what_derives_from_it_may_have_more() -> None:
    class Loose(Wide):
        """Has a dictionary of its own."""

    @dataclass(frozen=True, slots=True)
    class More(Wide):
        fifth: int = 5

    assert type(Loose("x")) is Loose
    assert Loose("x", 3).second == 3
    assert type(More("x")) is More
    assert (More("x", fifth=6).first, More("x", fifth=6).fifth) == ("x", 6)
    for value in (Loose("x"), More("x")):
        with pytest.raises(FrozenInstanceError):
            value.first = "y"  # type: ignore[misc]


def test_people_and_tools_see_its_arguments() -> None:
    assert inspect.signature(Wide) == inspect.signature(Usual)
    assert [each.name for each in fields(Wide)] == ["first", "second", "third", "fourth"]
    match Wide("x", 7):
        case Wide(first, second):
            assert (first, second) == ("x", 7)


@pytest.mark.parametrize("kind", [ChatRequest, ChatResponse])
def test_every_field_of_a_wide_value_is_set_to_what_is_said_and_to_its_default(kind: Any) -> None:
    class General(kind):  # type: ignore[misc]
        """Is made the usual way."""

    said = {each.name: object() for each in fields(kind)}
    given_nothing = kind(**{name: "x" for name in ("model", "messages") if kind is ChatRequest})
    general = General(**{name: "x" for name in ("model", "messages") if kind is ChatRequest})

    for name, value in said.items():
        assert getattr(kind(**said), name) is value
        assert getattr(kind(*said.values()), name) is value
        assert getattr(given_nothing, name) == getattr(general, name)
