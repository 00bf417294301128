"""`@frozen` classes, beside the dataclasses that they stand for."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.frozen import frozen


@frozen
class Ours:
    """A class of three fields."""

    size: int
    name: str = field(default="x", repr=False)
    parts: list[int] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("the size is below 0")

    @property
    def double(self) -> int:
        return 2 * self.size


@dataclass(frozen=True, slots=True)
class Theirs:
    """The same class."""

    size: int
    name: str = field(default="x", repr=False)
    parts: list[int] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("the size is below 0")


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


NAMES = st.sampled_from(["size", "name", "parts", "other"])
VALUES = st.integers(-1, 2)


def outcome(act: Callable[[], Any]) -> Any:
    """What comes of `act`: a value, or the type of the error."""
    try:
        return act()
    except Exception as error:
        return type(error)


@given(st.lists(VALUES, max_size=4), st.dictionaries(NAMES, VALUES))
def test_the_same_arguments_fit_and_mean_the_same(args: list[Any], given: dict[str, Any]) -> None:
    ours = outcome(lambda: asdict(Ours(*args, **given)))

    assert ours == outcome(lambda: asdict(Theirs(*args, **given)))


@given(st.tuples(VALUES, VALUES, VALUES), st.tuples(VALUES, VALUES, VALUES))
def test_they_are_equal_hashed_and_shown_alike(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    def seen(kind: Any) -> Any:
        a, b = kind(*one), kind(*other)
        return a == b, hash(a) == hash(b), hash(a), repr(a).removeprefix(kind.__qualname__)

    assert outcome(lambda: seen(Ours)) == outcome(lambda: seen(Theirs))


@pytest.mark.parametrize(
    ("args", "given", "message"),
    [
        ((), {}, "missing a required argument: 'size'"),
        ((1, "y", [], 4), {}, "too many positional arguments"),
        ((1,), {"size": 2}, "multiple values for argument 'size'"),
        ((1,), {"sise": 2}, "got an unexpected keyword argument 'sise'"),
        ((), {"sise": 2}, "missing a required argument: 'size'"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    args: tuple[Any, ...], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Ours(*args, **given)


def test_nothing_can_be_changed_and_nothing_added() -> None:
    ours: Any = Ours(1)

    for name in ("size", "other"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(ours, name, 2)
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'size'"):
        del ours.size
    assert ours == Ours(1)
    assert not hasattr(ours, "__dict__")


def test_it_is_a_dataclass_to_whoever_asks() -> None:
    ours = Ours(1, "y")

    assert is_dataclass(Ours)
    assert [each.name for each in fields(Ours)] == ["size", "name", "parts"]
    assert replace(ours, size=3) == Ours(3, "y")
    assert ours.double == 2
    match ours:
        case Ours(size, name):
            assert (size, name) == (1, "y")


def test_each_instance_has_its_own_defaults() -> None:
    assert Ours(1).parts is not Ours(1).parts


def test_other_kinds_are_never_equal() -> None:
    assert (Ours(1) == Theirs(1)) is False  # type: ignore[comparison-overlap]


def test_it_can_be_pickled_and_copied() -> None:
    ours = Ours(1, "y", [3])

    for each in (pickle.loads(pickle.dumps(ours)), copy.copy(ours), copy.deepcopy(ours)):
        assert (each, each.parts) == (ours, ours.parts)


def test_what_a_class_says_itself_stays() -> None:
    ours = WithItsOwn(1)

    assert (repr(ours), hash(ours), ours) == ("mine", 1, WithItsOwn(2))
