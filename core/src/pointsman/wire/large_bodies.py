"""Requests that carry much: pictures, files and sound of more than a megabyte.

To write twenty of them takes a tenth of a second, in which an event loop would do nothing else. So they are
written in a thread, piece by piece: between the pieces others come to run.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import Any

from pointsman._internal import jsonio
from pointsman.errors import InvalidRequest
from pointsman.text_messages import TextMessages
from pointsman.types import Message, Text

LARGE = 1 << 20
"""Bytes of all parts, or characters of their URLs, from which on it is worth a thread."""
_PIECE = 3 << 18  # a multiple of three: then the pieces' base64 is that of the whole


def has_large_parts(messages: Sequence[Message]) -> bool:
    """Whether the parts of `messages` carry more than `LARGE`."""
    if isinstance(messages, TextMessages):
        return False
    carried = 0
    for message in messages:
        if type(message.content) is not str:  # a text as it was given; `parts` would make one part of it
            for part in message.parts:
                if not isinstance(part, Text):
                    carried += len(part.data or part.url or "")
    return carried > LARGE


async def written_in_thread(make: Callable[[], Any]) -> bytes:
    """The JSON of what `make` returns, unless it is that: both made in a thread.

    Raises InvalidRequest, and what `make` raises.
    """

    def work() -> bytes:
        body = make()
        try:
            return body if type(body) is bytes else jsonio.dumps(body)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"the request cannot be written as JSON: {error}") from error

    return await asyncio.to_thread(work)


def base64_of(data: bytes) -> str:
    """`data` in base64, made piece by piece."""
    if len(data) <= _PIECE:
        return base64.b64encode(data).decode("ascii")
    pieces = (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))
    return "".join([base64.b64encode(piece).decode("ascii") for piece in pieces])
