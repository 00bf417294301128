"""What the answer is to look like: our own value, checked, and words and mappings, read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import shown
from pointsman.requests.checks import expect
from pointsman.types import FormatKind, JsonObject, ResponseFormat

_KINDS = get_args(FormatKind)
_WORDS = {
    "text": ResponseFormat("text"),
    "json": ResponseFormat("json"),
    "json_object": ResponseFormat("json"),
}


def as_response_format(given: ResponseFormat | str | JsonObject | None) -> ResponseFormat | None:
    """`text`, `json`, a JSON Schema, or OpenAI's `response_format` mapping."""
    if given is None:
        return None
    format = given if isinstance(given, ResponseFormat) else _read(given)
    if format.kind not in _KINDS:
        raise InvalidRequest(
            f"response_format.kind is {shown(format.kind)}; expected one of {', '.join(_KINDS)}"
        )
    if format.kind == "schema":
        expect(format.schema, Mapping, "response_format.schema", "a JSON Schema")
    return format


def _read(given: str | JsonObject) -> ResponseFormat:
    if isinstance(given, str):
        if given not in _WORDS:
            raise InvalidRequest(f"response_format {shown(given)}; expected text, json or a JSON Schema")
        return _WORDS[given]
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"response_format is a {type(given).__name__}; expected a string or a mapping")
    match given.get("type"):
        case "text" | "json_object" as word:
            return _WORDS[word]
        case "json_schema":
            spec = given.get("json_schema")
            if not isinstance(spec, Mapping):
                raise InvalidRequest("response_format of type 'json_schema' lacks the mapping json_schema")
            name = spec.get("name", "answer")
            return ResponseFormat(
                "schema", spec.get("schema"), name, spec.get("strict"), spec.get("description")
            )
        case _:
            return ResponseFormat("schema", given)
