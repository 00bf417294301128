"""Values of a configuration as people write them, and none that may be secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema

from pointsman._internal.settings import Section
from pointsman.config.named import Named
from pointsman.config.problems import readable
from pointsman.config.sections import FallbackConfig
from pointsman.units import Allowance, Rate, format_duration, format_percent

Shows = Callable[[Any, Any], str | None]
"""What a value looks like at a key with that annotation; None where it may be secret."""

_MOST = 60
"""Characters of a value that are shown."""


def shown(value: Any, annotation: Any = None) -> str | None:
    """`value`, which one of our own keys holds: a text there is no secret unless it is declared as one."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return _cut(readable(value)) if value else '""'
    if isinstance(value, list | tuple):
        return _list(value, annotation, shown)
    return shown_carefully(value, annotation)


def shown_carefully(value: Any, annotation: Any = None) -> str | None:
    """The same of a key that may hold anything: of texts only those that are one of a few known words."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case Enum():
            return readable(str(value.value))
        case int() | float():
            return _number(value, unit_of(annotation))
        case Rate() | Allowance() | Path():
            return _cut(readable(str(value)))
        case FallbackConfig():
            usual = set(value.on) == set(FallbackConfig.model_fields["on"].default)
            after = "" if usual else f" (on {', '.join(sorted(value.on))})"
            return f"{readable(value.to)}{after}"
        case Named():
            return readable(value.type)
        case str():
            return readable(value) if value in _words(annotation) else None
        case list() | tuple():
            return _list(value, annotation, shown_carefully)
    return None  # a secret, for one


def hidden(_value: Any, _annotation: Any = None) -> str | None:
    """Of a key that only somebody else knows: nothing."""
    return None


def fields_of(section: Section | BaseModel) -> Iterator[tuple[str, Any, Any]]:
    """Each key of `section` that is declared, its value, and what may stand there."""
    if isinstance(section, Section):
        yield from ((name, value, _Late(type(section), name)) for name, value in section)
        return
    for name, field in type(section).model_fields.items():
        yield field.alias or name, getattr(section, name), field


def is_quantity(value: Any, annotation: Any) -> bool:
    """Whether people write `value` with a unit."""
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(unit_of(annotation))


def unit_of(annotation: Any) -> str:
    """`seconds` or `fraction`; "" for what is counted in neither."""
    for each in _parts(annotation):
        if isinstance(each, WithJsonSchema):
            return str((each.json_schema or {}).get("unit", ""))
    return ""


class _Late:
    """What may stand at a key of a section; evaluated for the few that differ."""

    def __init__(self, section: type[Section], name: str) -> None:
        self._section = section
        self._name = name

    @property
    def annotation(self) -> Any:
        return self._section.annotation(self._name)


def _parts(annotation: Any) -> Iterator[Any]:
    """An annotation, and all that it is made of."""
    yield annotation
    yield from getattr(annotation, "metadata", ())
    own = getattr(annotation, "annotation", None)  # of a key
    if own is not None:
        yield from _parts(own)
    for each in getattr(annotation, "__metadata__", ()):
        yield each
    for each in get_args(annotation):
        if get_origin(annotation) is not Literal:
            yield from _parts(each)


def _words(annotation: Any) -> set[Any]:
    """The words of which one must stand there; none where any text may."""
    return {word for each in _parts(annotation) if get_origin(each) is Literal for word in get_args(each)}


def _number(value: float, unit: str) -> str:
    if unit == "seconds":
        return format_duration(value)
    if unit == "fraction":
        return format_percent(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _list(values: list[Any] | tuple[Any, ...], annotation: Any, shows: Shows) -> str | None:
    each = [shows(value, annotation) for value in values]
    if any(isinstance(value, Mapping | Section | BaseModel) for value in values) and None in each:
        return f"{len(values)} {'entry' if len(values) == 1 else 'entries'}"
    return None if None in each else _cut(", ".join(map(str, each)) or "none")


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"
