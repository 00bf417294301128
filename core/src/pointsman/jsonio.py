"""JSON in and out as bytes; `orjson` does it where it is installed, the standard library elsewhere.

What can be written and read does not depend on which of the two does it.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

try:
    import orjson
except ImportError:  # optional: five times faster, nothing else
    orjson = None  # type: ignore[assignment]
    _PLAIN = 0
else:
    # Neither dataclasses nor dates: the standard library cannot write them, so nobody may rely on it.
    _PLAIN = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


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
            if b"null" not in data:
                return data
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def loads(data: bytes | bytearray | str) -> Any:
    """The JSON value of `data`. Raises ValueError, also for NaN and for what is nested too deeply."""
    if orjson is not None:
        try:
            return orjson.loads(data)
        except ValueError:  # half a surrogate pair, which models do produce: the standard library can
            pass
    try:
        return json.loads(data, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("the JSON value is nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")
