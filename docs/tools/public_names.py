"""What is public, taken apart: what each name is, takes, has, and says of itself."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, is_typeddict

import msgspec
from pydantic import BaseModel

MODULES = ("pointsman.plugin", "pointsman.testing", "pointsman.testing.contract")
_REQUIRED = object()


class Taken(msgspec.Struct, frozen=True):
    """A parameter, or a field of a value. `default` is text; None where one must be given.

    `how` is one of `position` (by position alone), `either`, `name` (by name alone), `*` and `**`.
    """

    name: str
    how: str
    type: str = ""
    default: str | None = None
    doc: str = ""


class Member(msgspec.Struct, frozen=True):
    """What a class or a module has. `takes` is None for what is not called.

    `must`: the class only describes it, and whoever inherits the class writes it.
    """

    name: str
    takes: tuple[Taken, ...] | None
    type: str = ""
    doc: str = ""
    awaited: bool = False
    must: bool = False


class Public(msgspec.Struct, frozen=True):
    """One public name.

    Attributes:
        what: `class`, `function`, `module` or `value`.
        home: the module where it is made, for whoever looks for its source.
        bases: those of its bases that are public in the same module.
        fields: of a value of this class, in order; empty for a class that is no `Struct` and no model.
        text: of a value, how it is written in the source.
    """

    module: str
    name: str
    what: str
    home: str
    doc: str
    takes: tuple[Taken, ...] | None = None
    returns: str = ""
    awaited: bool = False
    bases: tuple[str, ...] = ()
    fields: tuple[Taken, ...] = ()
    members: tuple[Member, ...] = ()
    text: str = ""


@cache
def public_names(module: str) -> list[Public]:
    """All that the module offers, in the order of the alphabet."""
    there = import_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a name that goes is public until it has gone
        values = {name: getattr(there, name) for name in there.__all__}
    of = {value: name for name, value in values.items() if inspect.isclass(value)}
    return [_public(module, name, value, of) for name, value in sorted(values.items())]


def _public(module: str, name: str, value: Any, of: Mapping[type, str]) -> Public:
    if inspect.ismodule(value):
        members = tuple(_of_module(value))
        return Public(module, name, "module", value.__name__, inspect.getdoc(value) or "", members=members)
    if inspect.isclass(value):
        return _class(module, name, value, of)
    if inspect.isroutine(value):
        takes, returns = _signature(value)
        doc = inspect.getdoc(value) or ""
        awaited = inspect.iscoroutinefunction(value)
        return Public(module, name, "function", value.__module__, doc, takes, returns, awaited)
    home, text, doc = _value(module, name)
    return Public(module, name, "value", home, doc, text=text)


def _class(module: str, name: str, kind: type, of: Mapping[type, str]) -> Public:
    bases = tuple(of[each] for each in kind.__mro__[1:] if each in of)
    fields = fields_of(kind)
    takes = fields or _made_from(kind)
    known = {field.name for field in fields}
    members = tuple(each for each in _of_class(kind, of) if each.name not in known)
    doc = inspect.cleandoc(vars(kind).get("__doc__") or "")
    return Public(
        module, name, "class", kind.__module__, doc, takes, bases=bases, fields=fields, members=members
    )


def _made_from(kind: type) -> tuple[Taken, ...] | None:
    """What its constructor takes; None for a class that nobody calls."""
    if getattr(kind, "_is_protocol", False) or issubclass(kind, Enum) or hasattr(kind, "_terms"):
        return None
    return () if kind.__init__ is object.__init__ else _signature(kind.__init__)[0][1:]


# ── fields and parameters ────────────────────────────────────────────────────────────────────────────


def fields_of(kind: type) -> tuple[Taken, ...]:
    """What a value of this class holds, in order; of a `TypedDict`, what may be given."""
    return tuple(_fields(kind))


def _fields(kind: type) -> Iterator[Taken]:
    said = _said_of(kind)
    if issubclass(kind, msgspec.Struct):
        defaults = dict(
            zip(reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__), strict=False)
        )
        for name in kind.__struct_fields__:
            owner = next(each for each in kind.__mro__ if name in vars(each).get("__annotations__", {}))
            by_name = name not in kind.__match_args__
            default = defaults.get(name, msgspec.NODEFAULT)
            text = None if default is msgspec.NODEFAULT else _default(default)
            how = "name" if by_name else "either"
            yield Taken(name, how, _annotation(owner.__annotations__[name]), text, said.get(name, ""))
    elif issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            owner = next(each for each in kind.__mro__ if name in vars(each).get("__annotations__", {}))
            text = None if field.is_required() else _default(field.get_default(call_default_factory=True))
            doc = field.description or said.get(name, "")
            yield Taken(name, "name", _annotation(vars(owner)["__annotations__"][name]), text, doc)
    elif is_typeddict(kind):
        for name, what in kind.__annotations__.items():
            text = None if name in kind.__required_keys__ else "not said"  # type: ignore[attr-defined]
            yield Taken(name, "name", _annotation(what), text, said.get(name, ""))


def _said_of(kind: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of attributes, under `Attributes:` or `Args:`."""
    said: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        doc = inspect.cleandoc(vars(owner).get("__doc__") or "")
        for section in re.findall(r"^(?:Attributes|Args):\n((?:[ ]+.*\n?|\n)+)", doc, re.MULTILINE):
            for names, text in re.findall(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", section, re.MULTILINE):
                said.update(dict.fromkeys(names.split(", "), " ".join(text.split())))
    return said


def _default(value: Any) -> str:
    factory = getattr(value, "factory", None)  # of msgspec
    if factory is not None:
        return f"{factory.__name__}()"
    if inspect.isfunction(value):
        return "a function"
    if isinstance(value, set | frozenset) and value:  # in an order that is always the same
        return f"{type(value).__name__}({{{', '.join(sorted(map(repr, value)))}}})"
    if isinstance(value, int) and not isinstance(value, bool) and value > 9999:
        return f"{value:_}"
    return re.sub(r" at 0x\w+", "", repr(value))


_HOW = {
    inspect.Parameter.POSITIONAL_ONLY: "position",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "either",
    inspect.Parameter.KEYWORD_ONLY: "name",
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def _signature(function: Any) -> tuple[tuple[Taken, ...], str]:
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C
        return (Taken("arguments", "*"), Taken("named", "**")), ""
    takes = tuple(
        Taken(
            each.name,
            _HOW[each.kind],
            _annotation(each.annotation),
            None if each.default is inspect.Parameter.empty else _default(each.default),
        )
        for each in signature.parameters.values()
    )
    return takes, _annotation(signature.return_annotation)


def _annotation(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return ""
    value = getattr(value, "__forward_arg__", value)  # of a NamedTuple
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    return re.sub(r"ClassVar\[(.*)\]", r"\1", text)


# ── members ──────────────────────────────────────────────────────────────────────────────────────────


def _of_class(kind: type, of: Mapping[type, str]) -> Iterator[Member]:
    """What the class has beside what it has of public bases, which stands there."""
    seen: set[str] = set()
    said = _said_of(kind)
    for owner in kind.__mro__:
        if (owner is not kind and owner in of) or owner.__module__.partition(".")[0] != "pointsman":
            continue
        for name in (*vars(owner).get("__annotations__", {}), *vars(owner)):
            if name in seen or (name.startswith("_") and name != "__call__") or name.startswith("test_"):
                continue
            seen.add(name)
            if not any(name in vars(base) for base in kind.__mro__ if base in of and base is not kind):
                member = _member(kind, owner, name)
                yield member if member.doc else msgspec.structs.replace(member, doc=said.get(name, ""))


def _member(kind: type, owner: type, name: str) -> Member:
    described = getattr(kind, "_is_protocol", False) or hasattr(kind, "_terms")
    annotated = _annotation(vars(owner).get("__annotations__", {}).get(name, ""))
    value = vars(owner).get(name, _REQUIRED)
    if value is _REQUIRED:
        return Member(name, None, annotated, _attribute_doc(owner, name), must=described)
    if isinstance(value, property) or not (inspect.isroutine(value) or isinstance(value, classmethod)):
        getter = value.fget if isinstance(value, property) else None
        returns = _signature(getter)[1] if getter is not None else annotated
        doc = inspect.getdoc(getter) if getter is not None else _attribute_doc(owner, name)
        must = described and getter is not None and _is_empty(getter)
        return Member(name, None, returns, doc or "", must=must)
    function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    takes, returns = _signature(inspect.unwrap(function))
    takes = takes if isinstance(value, staticmethod) else takes[1:]
    awaited = inspect.iscoroutinefunction(function)
    must = getattr(kind, "_is_protocol", False) and _is_empty(function)
    return Member(name, takes, returns, inspect.getdoc(function) or "", awaited, must)


def _is_empty(function: Any) -> bool:
    """Whether a method does nothing: no statement beside its docstring, or one that says it is missing."""
    body = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0].body  # type: ignore[attr-defined]
    rest = [
        each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
    ]
    return all(isinstance(each, ast.Raise) for each in rest)


def _attribute_doc(owner: type, name: str) -> str:
    """The text below an attribute in the body of its class."""
    return _below(_body(owner), name)[1]


@cache
def _body(kind: type) -> list[ast.stmt]:
    for node in ast.walk(_tree(kind.__module__)):
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            return node.body
    return []  # made by a call


def _of_module(module: ModuleType) -> Iterator[Member]:
    for name, value in sorted(vars(module).items()):
        if inspect.isroutine(value) and value.__module__ == module.__name__ and not name.startswith("_"):
            takes, returns = _signature(value)
            yield Member(
                name, takes, returns, inspect.getdoc(value) or "", inspect.iscoroutinefunction(value)
            )


# ── values that have no docstring of their own ───────────────────────────────────────────────────────


def _value(module: str, name: str) -> tuple[str, str, str]:
    """Where a constant or the name of a type is made, how, and the text that stands below it there."""
    home = _home(module, name)
    text, doc = _below(_tree(home).body, name)
    return home, text, doc


def _home(module: str, name: str) -> str:
    homes: Mapping[str, str] = getattr(import_module(module), "_HOME_OF", {})
    home = homes.get(name, module)
    for node in ast.walk(_tree(home)):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and name in [each.asname or each.name for each in node.names]
        ):
            return node.module  # the core hands it on
    return home


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(import_module(module)))


def _below(body: list[ast.stmt], name: str) -> tuple[str, str]:
    for n, node in enumerate(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not any(isinstance(each, ast.Name) and each.id == name for each in targets):
            continue
        following = body[n + 1] if n + 1 < len(body) else None
        said = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        doc = inspect.cleandoc(str(following.value.value)) if said else ""  # type: ignore[union-attr]
        value = getattr(node, "value", None)
        return (ast.unparse(value) if value is not None else ""), doc
    return "", ""
