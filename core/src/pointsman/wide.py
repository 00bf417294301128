"""Immutable values of many fields, quickly made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")


def wide(cls: type[T]) -> type[T]:
    """`cls`, a frozen dataclass with slots, whose objects are made in a third of the time.

    As it refuses plain assignment, such a class sets each field of a new object through
    `object.__setattr__`. Here a new object is an open one, whose fields are simply assigned, until it is
    complete. Nobody has it before that.

    An object of a subclass is made as ever, since a subclass may have more to it.
    """
    usual = vars(cls)["__init__"]
    fill = _assigning(cls)
    # Only with both of them is assigning to it what it is in other classes: one slot of the type.
    usually = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    opened = type(cls.__name__, (cls,), {"__slots__": (), **usually})

    @wraps(usual)
    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        if type(self) is cls:
            _set(self, "__class__", opened)
            fill(self, *args, **kwargs)
            self.__class__ = cls
        else:
            usual(self, *args, **kwargs)

    setattr(cls, "__init__", make)  # noqa: B010 - a type checker would take it for a mistake
    return cls


def _assigning(cls: Any) -> Callable[..., None]:
    """The `__init__` of a dataclass with the fields of `cls` and their defaults that is not frozen."""
    # The docstring is for nobody, but without one `dataclass` works one out, which is slow.
    body: dict[str, Any] = {"__annotations__": {}, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    for each in fields(cls):
        body["__annotations__"][each.name] = each.type
        if each.default is not MISSING:
            body[each.name] = each.default
        elif each.default_factory is not MISSING:
            body[each.name] = field(default_factory=each.default_factory)
    made: Any = dataclass(eq=False, repr=False, match_args=False)(type(cls.__name__, (), body))
    return vars(made)["__init__"]  # type: ignore[no-any-return]


_set = object.__setattr__
