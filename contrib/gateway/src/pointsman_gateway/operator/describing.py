"""How routes of ours are described: values from which the OpenAPI document is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {"type": "object", "additionalProperties": True}


def maybe(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def obj(**members: Schema) -> Schema:
    """An object that has all of these members."""
    return {"type": "object", "properties": members, "required": list(members)}


def with_optional(schema: Schema, **members: Schema) -> Schema:
    """The object, with members that may be missing."""
    return {**schema, "properties": {**schema["properties"], **members}}


def array(of: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": of}


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


class Described(Struct, frozen=True):
    """One route.

    Attributes:
        gives: the schema of its answer, or a media type where that is no JSON.
        streams: that it can also be server-sent events.
        takes: the schema of its body; "" for none.
        query: names of parameters, each with its schema and what it is for.
        statuses: those of its refusals beside the ones that every route of its kind has.
        answers: statuses of answers beside 200, each with its schema.
        open: for whom: `public`, `caller` or `operator`.
        socket: it is a WebSocket.
        description: what else is to be known.
    """

    method: str
    path: str
    summary: str
    gives: str
    streams: bool = False
    takes: str = ""
    query: Mapping[str, tuple[Schema, str]] = {}
    statuses: Sequence[int] = ()
    answers: Mapping[int, str] = {}
    open: str = "operator"
    socket: bool = False
    description: str = ""


class Family(Struct, frozen=True):
    """Routes that say in one way why there is no answer.

    Attributes:
        error: the schema of that; "" for plain text.
        usual: by whom a route is open to, the statuses with which each of them can refuse.
        routes: all of them.
        takes_bodies: bodies are read, so that they can be too large or too slow.
    """

    error: str
    usual: Mapping[str, Sequence[int]]
    routes: Sequence[Described]
    takes_bodies: bool = True
