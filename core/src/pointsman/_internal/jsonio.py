"""JSON in and out as bytes; `orjson` does it where it is installed, the standard library elsewhere.

What can be written and read, and as what, does not depend on which of the two does it.
"""

from __future__ import annotations

import json
from typing import Any

try:
    import orjson
except ImportError:  # optional: five times faster, nothing else
    orjson = None  # type: ignore[assignment]
    _PLAIN = 0
else:
    # Neither dataclasses nor dates: the standard library cannot write them, so nobody may rely on it.
    _PLAIN = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


_NULLS = (b":null", b",null", b"[null")
"""Where a null can stand in compact JSON, except alone."""


def dumps(value: Any) -> bytes:
    """`value` as compact UTF-8 JSON.

    Raises: TypeError for what JSON cannot hold, ValueError for NaN, infinities and circles, RecursionError.
    """
    if orjson is not None:
        try:
            data = orjson.dumps(value, option=_PLAIN)
        except TypeError:  # integers above 64 bits, lone surrogates: the standard library can
            pass
        else:
            # orjson writes NaN as null, so that a mistake would go out as if it were meant.
            # The second look is for long base64, in which the four letters come by chance.
            if b"null" not in data or not (data == b"null" or any(map(data.__contains__, _NULLS))):
                return data
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def loads(data: bytes | bytearray | str) -> Any:
    """The JSON value of `data`.

    One odd field does not cost the rest: NaN and infinities are null, bytes that are no UTF-8 are U+FFFD, and
    half a surrogate pair stays. Whole numbers of more than 64 bits are floats, or null where no float is as
    large; `exactly` keeps them.

    Raises: ValueError, also for what is nested too deeply.
    """
    if orjson is not None:
        try:
            return orjson.loads(data)
        except ValueError:  # what is said above: the standard library can
            pass
    return _loads(data, _as_64_bits)


def exactly(data: bytes | bytearray | str) -> Any:
    """As `loads`, but whole numbers are whole numbers up to 4,300 digits, the most that Python reads.

    Several times slower. Raises ValueError also for longer ones.
    """
    return _loads(data, int)


def _loads(data: bytes | bytearray | str, number: Any) -> Any:
    if not isinstance(data, str):
        data = data.decode(json.detect_encoding(data), "replace")
    try:
        return json.loads(data, parse_constant=_nothing, parse_int=number)
    except RecursionError:
        raise ValueError("the JSON value is nested too deeply") from None


def _as_64_bits(digits: str) -> int | float | None:
    if len(digits) > _DIGITS:
        return None
    number = int(digits)
    if -(1 << 63) <= number < 1 << 64:
        return number
    return float(digits) if abs(number) < 1e308 else None


_DIGITS = 310
"""Of the longest number that may be a float, and its sign."""


def _nothing(_constant: str) -> None:
    return None
