"""The arguments of a call, for wires that have an object where others have its text. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from pointsman.plugin import arguments_object, well_formed

_decode = Decoder().decode


def is_object(text: str) -> bool:
    """Whether `text` is a JSON object, and whole."""
    try:
        return isinstance(_decode(text), dict)
    except (DecodeError, ValueError, RecursionError):
        return False


def as_object(arguments: str) -> Any:
    """The arguments for an encoder, as they were written; what is no object is put into one."""
    text = well_formed(arguments)
    return Raw(text.encode()) if is_object(text) else arguments_object(text)
