"""The arguments of a tool call, as JSON text, whatever form an upstream gives them."""

from __future__ import annotations

from typing import Any

from pointsman import jsonio
from pointsman.errors import BadResponse


def arguments_text(value: Any) -> str:
    """The JSON text of `value`, which is an object, its text, or nothing.

    A text stays as it is. One that is itself the JSON of a text was encoded twice, since arguments are an
    object: the text in it counts. Raises BadResponse for what is nested too deeply.
    """
    if isinstance(value, str):
        return _once_encoded(value)
    try:
        return "{}" if value is None else jsonio.dumps(value).decode()
    except RecursionError as error:
        raise BadResponse("the upstream's tool call has arguments that are nested too deeply") from error


def _once_encoded(text: str) -> str:
    while text.lstrip().startswith('"'):
        try:
            text = jsonio.loads(text)
        except ValueError:
            break
    return text
