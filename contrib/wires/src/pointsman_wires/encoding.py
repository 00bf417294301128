"""Values as the JSON and the frames of streams that callers are sent. Pure."""

from __future__ import annotations

import json
from typing import Any

from msgspec.json import Encoder

from pointsman.plugin import jsonio

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"
COMMENT = b": ping\n\n"
"""An event of a stream that says nothing: what tells that it is alive."""
DONE = b"data: [DONE]\n\n"
"""What ends a stream of OpenAI's chunks."""

_encode = Encoder().encode


def text_json(text: str) -> bytes:
    """A text as JSON; half a surrogate pair as its escape."""
    try:
        return _encode(text)
    except ValueError:
        return json.dumps(text).encode()


def json_bytes(value: Any) -> bytes:
    """A value as compact JSON; what is no number is null. Raises TypeError for what JSON cannot hold."""
    try:
        return _encode(value)
    except (ValueError, OverflowError):  # half a surrogate pair, a number of more than 64 bits
        return jsonio.dumps(value)


def data_frame(value: Any) -> bytes:
    """An event without a name."""
    return b"data: " + json_bytes(value) + b"\n\n"


def named_frame(name: str, value: Any) -> bytes:
    """An event of that name."""
    return b"event: " + name.encode() + b"\ndata: " + json_bytes(value) + b"\n\n"
