"""`@frozen`: what `@dataclass(frozen=True, slots=True)` makes, in a tenth of the time.

A dataclass compiles six methods of its own when its module is imported, which for all classes that a router
is made of is a good part of its start. These share theirs. Only `__init__` is worth compiling, and only where
many instances are made: the first few are made by general code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from functools import wraps
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")

_FEW = 10
"""Instances made by general code. A start makes no more of most classes; calls make thousands of theirs."""
_MANY = 4
"""More fields than this are assigned faster to an open object than each is set past `__setattr__`."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """`kind` as a frozen dataclass with slots. Its fields may say all but `init`, `hash` and `kw_only`."""
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(kind)
    made.__dataclass_params__.frozen = True  # frozen dataclasses may derive from it, and no others
    if "__init__" not in vars(kind):
        made.__init__ = _general(made)
        made.__signature__ = _Signature(made)
    for name, method in {**_comparison(made), **_SHARED}.items():
        if name not in vars(kind):
            setattr(made, name, method)
    result: type[T] = made
    return result


# ── making them ──────────────────────────────────────────────────────────────────────────────────────


def _general(made: Any) -> Callable[..., None]:
    """The `__init__` of a new class, which makes way for `_compiled`."""
    own = fields(made)
    names = tuple(each.name for each in own)
    defaults = {each.name: each.default for each in own if each.default is not MISSING}
    factories = {each.name: each.default_factory for each in own if each.default_factory is not MISSING}
    required = set(names) - defaults.keys() - factories.keys()
    # Those of the slots, which do not ask `__setattr__`.
    setters = [(each.name, getattr(made, each.name).__set__) for each in own]
    checks = hasattr(made, "__post_init__")
    so_far = 0

    def __init__(self: Any, *args: Any, **given: Any) -> None:
        nonlocal so_far
        so_far += 1
        values = dict(zip(names, args, strict=False), **given)
        fits = len(values) == len(args) + len(given) and required <= values.keys() <= set(names)
        if so_far > _FEW or not fits:
            made.__init__ = _compiled(made)
            made.__init__(self, *args, **given)  # which knows what to say of arguments that do not fit
            return
        values = {**defaults, **values}
        for name, make in factories.items():
            if name not in values:
                values[name] = make()
        for name, put in setters:
            put(self, values[name])
        if checks:
            self.__post_init__()

    return __init__


def _compiled(made: Any) -> Callable[..., None]:
    """The `__init__` for the fields of `made` that dataclasses compile."""
    usual = _init_of_dataclass(made)
    return usual if len(fields(made)) <= _MANY else wraps(usual)(_init_of_open(made, usual))


def _init_of_dataclass(made: Any) -> Callable[..., None]:
    """The `__init__` of a frozen dataclass with the fields of `made` and nothing else."""
    # The docstring is for nobody, but without one `dataclass` works one out, which is slow.
    body: dict[str, Any] = {"__annotations__": {}, "__qualname__": made.__qualname__, "__doc__": made.__doc__}
    for each in fields(made):
        body["__annotations__"][each.name] = each.type
        if each.default is not MISSING:
            body[each.name] = each.default
        elif each.default_factory is not MISSING:
            body[each.name] = field(default_factory=each.default_factory)
    if hasattr(made, "__post_init__"):
        body["__post_init__"] = None  # it is looked up in the object
    template = type(made.__name__, (), body)
    return vars(dataclass(frozen=True, eq=False, repr=False, match_args=False)(template))["__init__"]  # type: ignore[no-any-return]


def _init_of_open(made: Any, usual: Callable[..., None]) -> Callable[..., None]:
    """The same for objects that are open while it fills them: nobody has one before it is complete.

    It is written out, as `dataclass` does it: to hand all arguments on to another function would cost as
    much again.
    """
    names = [each.name for each in fields(made)]
    known: dict[str, Any] = {
        "_set": _set,
        "_made": made,
        "_opened": _opened(made),
        "_usual": usual,
        "_no": MISSING,
    }
    parameters, make, fill = [], [], [f"self.{name} = {name}" for name in names]
    for each in fields(made):
        if each.default is not MISSING:
            known[f"_default_{each.name}"] = each.default
            parameters.append(f"{each.name}=_default_{each.name}")
        elif each.default_factory is not MISSING:
            known[f"_make_{each.name}"] = each.default_factory
            parameters.append(f"{each.name}=_no")
            make.append(f"if {each.name} is _no: {each.name} = _make_{each.name}()")
        else:
            parameters.append(each.name)
    lines = [
        *make,
        # A subclass may have more to it than can be opened.
        f"if self.__class__ is not _made: return _usual(self, {', '.join(names)})",
        "_set(self, '__class__', _opened)",
        *fill,
        "self.__class__ = _made",
        *(["self.__post_init__()"] if hasattr(made, "__post_init__") else []),
    ]
    head = f"def __init__(self, {', '.join(parameters)}):"
    exec("\n  ".join((head, *lines)), known)  # noqa: S102 - nothing but names of fields
    return known["__init__"]  # type: ignore[no-any-return]


def _opened(made: type[Any]) -> type[Any]:
    """A class whose objects are as those of `made`, but that their fields can be assigned."""
    # Only with both of them is assigning to it what it is in other classes: one slot of the type.
    usually = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(made.__name__, (made,), {"__slots__": (), **usually})


_set = object.__setattr__


class _Signature:
    """Sends whoever asks a class for its signature on to its `__init__`, compiled first so that it has it."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def __get__(self, _instance: object, _owner: type[Any]) -> NoReturn:
        self._made.__init__ = _compiled(self._made)
        raise AttributeError("__signature__")


# ── what they share ──────────────────────────────────────────────────────────────────────────────────


def _comparison(made: Any) -> dict[str, Callable[..., Any]]:
    """Equality and hash: those of a tuple of the fields."""
    names = [each.name for each in fields(made) if each.compare]

    def few(self: Any) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in names)

    # Of fewer than two names `attrgetter` makes no tuple.
    compared: Callable[[Any], Any] = attrgetter(*names) if len(names) > 1 else few

    def __eq__(self: Any, other: object) -> bool:
        return compared(self) == compared(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(compared(self))

    return {"__eq__": __eq__, "__hash__": __hash__}


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
    "__repr__": _repr,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__getstate__": _getstate,
    "__setstate__": _setstate,
}
"""What a class has that does not say otherwise."""
