"""The arguments of a tool call, as JSON text, whatever form an upstream gives them."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from pointsman._internal import jsonio
from pointsman.errors import BadResponse
from pointsman.wire.surrogates import well_formed

_LONG = re.compile(rb"\d{19}")
"""In what has no such run of digits every whole number has at most 64 bits."""


def arguments_text(value: Any) -> str:
    """The JSON text of `value`, which is an object, its text, or nothing.

    A text stays as it is. One that is itself the JSON of a text was encoded twice, since arguments are an
    object: the text in it counts. Raises BadResponse for what is nested too deeply, and for infinite numbers.
    """
    if isinstance(value, str):
        return _once_encoded(value)
    try:
        return "{}" if value is None else jsonio.dumps(value).decode()
    except RecursionError as error:
        raise BadResponse("the upstream's tool call has arguments that are nested too deeply") from error
    except ValueError as error:  # 1e999
        raise BadResponse("the upstream's tool call has arguments with a number that is none") from error


def arguments_object(text: str) -> dict[str, Any]:
    """The object that `text` is, for APIs that take arguments as one; `{}` for a blank text.

    Models write what is no object, too. It stands in the conversation from then on, and is no reason to end
    that: such a text goes in whole, as `INVALID_JSON`, which tells a model what it wrote.
    """
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": well_formed(text)}


def with_exact_numbers(value: Any, data: bytes) -> Any:
    """`value`, which `jsonio.loads` made of `data`; with its whole numbers as they are, whatever their size.

    For what holds arguments as objects: what the model wrote must not change. Raises BadResponse for a number
    that nobody can read.
    """
    if not _LONG.search(data):
        return value
    try:
        return jsonio.exactly(data)
    except ValueError as error:
        raise BadResponse(f"the upstream's tool call cannot be read: {error}") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"JSON has no number {text[:20]}")
    return number


def _once_encoded(text: str) -> str:
    while text.lstrip().startswith('"'):
        try:
            text = jsonio.loads(text)
        except ValueError:
            break
    return text
