"""`@frozen`: what `@dataclass(frozen=True, slots=True)` makes, in a tenth of the time.

A dataclass compiles six methods of its own when its module is imported, which for all classes that a router
is made of is a good part of its start. These share theirs. To make an instance takes longer in return, so
what every call makes stays an ordinary dataclass.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """`kind` as a frozen dataclass with slots. Its fields may say all but `init`, `hash` and `kw_only`."""
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(kind)
    made.__init__ = _init(made)
    for name, method in _SHARED.items():
        if name not in vars(kind):
            setattr(made, name, method)
    result: type[T] = made
    return result


def _init(made: Any) -> Callable[..., None]:
    own = fields(made)
    names = tuple(each.name for each in own)
    defaults = {each.name: each.default for each in own if each.default is not MISSING}
    factories = {each.name: each.default_factory for each in own if each.default_factory is not MISSING}
    # Those of the slots, which do not ask `__setattr__`.
    setters = [(each.name, getattr(made, each.name).__set__) for each in own]
    check: Callable[[Any], None] | None = getattr(made, "__post_init__", None)

    def __init__(self: Any, *args: Any, **given: Any) -> None:
        if len(args) > len(names) or not given.keys() <= set(names[len(args) :]):
            _refuse(own, args, given)
        values = {**defaults, **dict(zip(names, args, strict=False)), **given}
        for name, make in factories.items():
            if name not in values:
                values[name] = make()
        if len(values) < len(names):
            _refuse(own, args, given)
        for name, put in setters:
            put(self, values[name])
        if check is not None:
            check(self)

    return __init__


def _refuse(own: tuple[Field[Any], ...], args: tuple[Any, ...], given: dict[str, Any]) -> NoReturn:
    """Raise the TypeError that a function with these fields for its arguments would."""
    parameters = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None if _has_default(each) else inspect.Parameter.empty,
        )
        for each in own
    ]
    inspect.Signature(parameters).bind(*args, **given)
    raise AssertionError("unreachable: these arguments fit")


def _has_default(each: Field[Any]) -> bool:
    return each.default is not MISSING or each.default_factory is not MISSING


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, each.name) for each in fields(self) if each.compare)


def _eq(self: Any, other: object) -> bool:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _setattr(_self: Any, name: str, _value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(_self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for each, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)


_SHARED: dict[str, Callable[..., Any]] = {
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__getstate__": _getstate,
    "__setstate__": _setstate,
}
"""What a class has that does not say otherwise."""
