"""JSON Schemas as upstreams take them: without references and titles, and closed for strict modes. Pure.

What is common to all: OpenAI's strict mode and Claude want `additionalProperties: false`, and OpenAI's every
property required; Claude refuses bounds; of the schema of a tool Ollama keeps a few words, and no references.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]

_MAPS = ("properties", "$defs")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONES = ("items", "additionalProperties", "not")
_LEFT_OUT = frozenset(("title", "discriminator"))
_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
)  # what both strict modes know
_BOUNDS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
    "pattern", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "format",
    "contentEncoding", "contentMediaType",
)  # fmt: skip
_DEFS = "#/$defs/"


def plain(schema: Mapping[str, Any]) -> Schema:
    """`schema` with what it refers to in its place, titles left out, and `const` as an `enum` of one.

    Only what contains itself stays in `$defs`.
    """
    references = _References(schema.get("$defs") or {})
    made = references.plain({name: value for name, value in schema.items() if name != "$defs"}, ())
    if set(made) == {"$ref"}:  # all of it contains itself; upstreams want an object, not a reference
        made = dict(references.kept[made["$ref"].removeprefix(_DEFS)])
    if references.kept:
        made["$defs"] = references.kept
    return made


class _References:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self.kept: dict[str, Schema] = {}
        """Those that contain themselves."""

    def plain(self, schema: Mapping[str, Any], inside: tuple[str, ...]) -> Schema:
        reference = schema.get("$ref")
        if reference is not None:
            name = str(reference).removeprefix(_DEFS)
            if self._recurs(name):
                return self._kept(name)
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return self.plain({**self._definitions[name], **beside}, (*inside, name))
        made: Schema = {}
        for name, value in schema.items():
            if name in _LEFT_OUT:
                continue
            if name in _MAPS:
                made[name] = {each: self.plain(held, inside) for each, held in value.items()}
            elif name in _LISTS:
                made["anyOf" if name == "oneOf" else name] = [self.plain(each, inside) for each in value]
            elif name in _ONES and isinstance(value, Mapping):
                made[name] = self.plain(value, inside)
            elif name == "const":
                made["enum"] = [value]
            else:
                made[name] = value
        return made

    def _recurs(self, name: str) -> bool:
        """Whether definition `name` contains itself."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            new = set(references(self._definitions[waiting.pop()])) - found
            found |= new
            waiting += new
        return name in found

    def _kept(self, name: str) -> Schema:
        if name not in self.kept:
            self.kept[name] = {}  # it is at work: what it contains may lead here again
            self.kept[name] = self.plain(self._definitions[name], ())
        return {"$ref": f"{_DEFS}{name}"}


def references(schema: Any) -> Iterator[str]:
    """The names of the definitions that `schema` refers to."""
    for _, each in _places(schema, ""):
        if "$ref" in each:
            yield str(each["$ref"]).removeprefix(_DEFS)


def _places(schema: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each schema in `schema`, itself first, and where it is."""
    if not isinstance(schema, Mapping):
        return
    yield where, schema
    for name in _MAPS:
        for each, held in (schema.get(name) or {}).items():
            yield from _places(held, f"{where}.{each}".strip("."))
    for name in _LISTS:
        for held in schema.get(name) or ():
            yield from _places(held, where)
    for name in _ONES:
        yield from _places(schema.get(name), where)


def open_places(schema: Schema) -> list[str]:
    """What of `schema`, which is `plain`, cannot be said in a strict mode; one sentence each."""
    found = []
    for where, each in _places(schema, ""):
        at = where or "it"
        if each.get("type") == "object" and (each.get("additionalProperties") or "properties" not in each):
            found.append(f"{at} takes members of any name")
        elif "prefixItems" in each:
            found.append(f"{at} is a tuple")
        elif len(each.get("allOf") or ()) > 1:
            found.append(f"{at} must meet several schemas at once")
        elif not each.keys() & {"type", "enum", "anyOf", "allOf", "$ref"}:
            found.append(f"{at} may be anything")
    return found


def closed(schema: Mapping[str, Any]) -> Schema:
    """`schema`, which has no open places, as strict modes want it.

    Every member is required and no other one allowed; defaults go; bounds, which not all of them know, are
    told in the description, and hold when the answer is read.
    """
    made: Schema = {}
    for name, value in schema.items():
        if name in _MAPS:
            made[name] = {each: closed(held) for each, held in value.items()}
        elif name == "allOf":
            made |= closed(value[0])
        elif name in _LISTS:
            made[name] = [closed(each) for each in value]
        elif name in _ONES and isinstance(value, Mapping):
            made[name] = closed(value)
        elif name != "default" and (name not in _BOUNDS or (name == "format" and value in _FORMATS)):
            made[name] = value
    bounds = [f"{name}: {schema[name]}" for name in _BOUNDS if name in schema and name not in made]
    if bounds:
        about = made.get("description")
        made["description"] = f"{about} ({', '.join(bounds)})" if about else ", ".join(bounds)
    if made.get("type") == "object":
        made["required"] = list(made["properties"])
        made["additionalProperties"] = False
    return made
