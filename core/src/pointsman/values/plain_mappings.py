"""Values as mappings, lists, texts and numbers, fit to be written as JSON. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct


def plain_mapping(value: Struct, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The fields of `value` by their names, but for those `without`; bytes are base64."""
    return {name: _plain(getattr(value, name)) for name in value.__struct_fields__ if name not in without}


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return plain_mapping(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
