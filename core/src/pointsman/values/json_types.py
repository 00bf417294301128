"""A Python type as the JSON Schema of an answer, and the text of an answer as a value of that type.

Pydantic does it, and msgspec for what pydantic does not know: its own Structs, and `typing.TypedDict` before
Python 3.12. Pydantic is imported when somebody asks for a type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import DecodeError, Raw, Struct, ValidationError
from msgspec.json import Decoder
from msgspec.json import schema as schema_of

from pointsman.values.schemas import Schema, closed, open_places, plain

WRAPPED = "value"
"""The one member of the object that stands for what is no object, such as a list: upstreams want objects."""
_FENCE = re.compile(r"```(?:json)?[ \t]*\n", re.IGNORECASE)
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME = 64
_REMEMBERED = 128


class Misfit(NamedTuple):
    """What is wrong with a text: where, as `address.0.city`, "" for all of it, and what."""

    path: str
    what: str


class TypedSchema(dict[str, Any]):
    """The JSON Schema of a Python type, which knows what it is of; else a plain mapping."""

    __slots__ = ("python_type",)
    python_type: Any


class JsonType(NamedTuple):
    """What is known of a Python type.

    Attributes:
        name: of at most 64 letters, digits, `_` and `-`.
        schema: of an object, as the type's library makes it, without references where that can be.
        closed: the same as strict modes want it; None where they cannot have it.
        is_wrapped: the type is no object; its value is the member `value` of that object.
        read: makes a value of JSON. Raises: DoesNotFit.
    """

    name: str
    schema: Schema
    closed: Schema | None
    is_wrapped: bool
    read: Callable[[bytes], Any]

    def value(self, text: str) -> Any:
        """What `text` says, which may stand in one fence of Markdown. Raises: DoesNotFit."""
        data = _without_fence(text).encode("utf-8", "backslashreplace")
        return self.read(_unwrapped(data) if self.is_wrapped else data)

    def strict_schema(self, strict: bool | None) -> tuple[Schema, bool | None]:
        """A copy of the schema, and whether upstreams are to hold to it; None: where the type can be strict.

        Raises: TypeError when it must be strict and cannot.
        """
        if strict is not False and self.closed is not None:
            return deepcopy(self.closed), True
        if strict:
            (place, *_) = open_places(self.schema)
            raise TypeError(
                f"{self.name} cannot be strict: {place}; write it otherwise, or leave `strict` out"
            )
        return deepcopy(self.schema), strict


class DoesNotFit(Exception):
    """A text is no value of a type; `misfits` say why."""

    def __init__(self, *misfits: Misfit) -> None:
        super().__init__(*misfits)
        self.misfits = misfits


def json_type(kind: Any) -> JsonType:
    """What is known of the type `kind`. Raises TypeError for one that has no JSON Schema."""
    try:
        hash(kind)
    except TypeError:  # with annotations that cannot be remembered
        return _made(kind)
    return _remembered(kind)


def _made(kind: Any) -> JsonType:
    schema, read = _known(kind)
    made = plain(schema)
    is_wrapped = made.get("type") != "object"
    if is_wrapped:
        made = _wrapped(made)
    return JsonType(_name(kind), made, None if open_places(made) else closed(made), is_wrapped, read)


_remembered = lru_cache(maxsize=_REMEMBERED)(_made)  # pydantic takes a millisecond for a small one


def _known(kind: Any) -> tuple[Schema, Callable[[bytes], Any]]:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _of_msgspec(kind)
    try:
        return _of_pydantic(kind)
    except TypeError as error:
        try:
            return _of_msgspec(kind)
        except TypeError:
            raise error from error.__cause__


def _wrapped(schema: Schema) -> Schema:
    inside = {name: value for name, value in schema.items() if name != "$defs"}
    made: Schema = {"type": "object", "properties": {WRAPPED: inside}, "required": [WRAPPED]}
    return {**made, "$defs": schema["$defs"]} if "$defs" in schema else made


def _name(kind: Any) -> str:
    name = getattr(kind, "__name__", "") if isinstance(kind, type) and not hasattr(kind, "__args__") else ""
    return _NO_NAME.sub("_", name)[:_LONGEST_NAME].strip("_") or "answer"


def _without_fence(text: str) -> str:
    """What stands in the fence around all of `text`, itself where there is none."""
    # Not one pattern for all of it: an upstream can write what makes its search quadratic.
    inside = text.strip()
    fence = _FENCE.match(inside)
    if fence is None or len(inside) < fence.end() + 3 or not inside.endswith("```"):
        return text
    return inside[fence.end() : -3]


def _unwrapped(data: bytes) -> bytes:
    """The member `value` of an object that has no other one; anything else as it is."""
    try:
        found = _members(data)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return data
    return bytes(found[WRAPPED]) if found.keys() == {WRAPPED} else data


_members = Decoder(dict[str, Raw]).decode  # as written, for a number may be larger than any that we read


def _of_pydantic(kind: Any) -> tuple[Schema, Callable[[bytes], Any]]:
    from pydantic import TypeAdapter
    from pydantic import ValidationError as NotValid
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        schema = adapter.json_schema()
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise TypeError(f"{kind!r} has no JSON Schema: {str(error.message).splitlines()[0]}") from error

    def read(data: bytes) -> Any:
        try:
            return adapter.validate_json(data)
        except NotValid as error:
            told = error.errors(include_url=False, include_input=False, include_context=False)
            misfits = [Misfit(".".join(map(str, each["loc"])), each["msg"]) for each in told]
            raise DoesNotFit(*misfits) from None  # its own text would show the answer

    return schema, read


def _of_msgspec(kind: Any) -> tuple[Schema, Callable[[bytes], Any]]:
    decode = Decoder(kind).decode

    def read(data: bytes) -> Any:
        try:
            return decode(data)
        except ValidationError as error:
            what, _, path = str(error).partition(" - at `$")
            where = path.strip("`").replace("[...]", ".*").replace("[", ".").replace("]", "").strip(".")
            raise DoesNotFit(Misfit(where, what)) from None
        except (DecodeError, UnicodeDecodeError) as error:
            raise DoesNotFit(Misfit("", f"Invalid JSON: {error}")) from None
        except RecursionError:
            raise DoesNotFit(Misfit("", "Invalid JSON: recursion limit exceeded")) from None

    return schema_of(kind), read
