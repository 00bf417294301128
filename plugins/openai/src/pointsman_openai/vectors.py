"""Vectors as lists of numbers or as base64 of one of several kinds of number. Pure."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.plugin import BadResponse, JsonObject

_ARRAYS: Mapping[str, str] = {"float": "f", "int8": "b", "uint8": "B", "binary": "b", "ubinary": "B"}
PACKED = frozenset(("binary", "ubinary"))
"""Kinds that have eight dimensions in each number."""
_ASKED = ("output_dtype", "embedding_type", "encoding_format", "dtype")


def kind_asked(extra: JsonObject) -> str:
    """The kind of number that the caller asked for, by the names that servers have for it."""
    asked = (str(extra.get(name) or "").lower() for name in _ASKED)
    return next((kind for kind in asked if kind in _ARRAYS and kind != "float"), "float")


def vector(given: Any, kind: str, request_id: str) -> Sequence[float]:
    """One vector; what a list holds is not looked at. Raises BadResponse for what is none."""
    if isinstance(given, str):
        return _from_base64(given, kind, request_id)
    if isinstance(given, list):
        return given
    raise BadResponse("the upstream's embedding is not a list of numbers", upstream_request_id=request_id)


def _from_base64(given: str, kind: str, request_id: str) -> Sequence[float]:
    """Little-endian numbers: 32-bit floats, unless another kind was asked for."""
    try:
        numbers = array(_ARRAYS[kind], base64.b64decode(given, validate=True))
    except ValueError as error:
        raise BadResponse(
            f"the upstream's embedding is no base64 of numbers of kind {kind}: {error}",
            upstream_request_id=request_id,
        ) from error
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
