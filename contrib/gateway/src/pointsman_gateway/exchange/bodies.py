"""The body of a request: read within its limits, and found to be sound JSON."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from itertools import chain, compress
from typing import Any

import msgspec
from msgspec import Raw

from pointsman._internal.timeouts import TimeLimit, TimerHeap

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

DEPTH = 64
"""Arrays and objects within one another, at most."""
LONGEST_ARRAY = 10_000
LONGEST_OBJECT = 10_000
"""Members; to look at more would keep everybody else waiting."""
CONTAINERS = 100_000
"""Arrays and objects of one body."""
_BRACKETS = 10 * CONTAINERS
"""What can open one, in texts too: to decode so many takes too long."""


class BodyGone(Exception):
    """The caller went away before the body was complete."""


class BodyTooLarge(Exception):
    """The body is larger than allowed."""


class BodySilent(Exception):
    """The body did not come in time."""


class BodyWrong(Exception):
    """The body is no sound JSON object; the message says what is wrong with it."""


async def read_body(receive: Receive, *, limit: int, idle: float, alarms: TimerHeap) -> bytes:
    """The whole body.

    Args:
        limit: bytes, at most.
        idle: seconds that may pass without any of it.
        alarms: what rings then.

    Raises: BodyGone, BodyTooLarge, BodySilent.
    """
    pieces, size = [], 0
    loop = asyncio.get_running_loop()
    while True:
        with TimeLimit(loop.time() + idle, BodySilent, alarms):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise BodyTooLarge
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


_TOO_WIDE = f"has an object of more than {LONGEST_OBJECT} members"
_TOO_MANY = f"has more than {CONTAINERS} arrays and objects"
_decode: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{"))
"""All bytes but those that open something, in texts too."""
_CONTAINERS = frozenset((dict, list))
_KEY = re.compile(rb'[\s{,]*("(?:[^"\\]++|\\.)*+")\s*:\s*')


def read_object(body: bytes) -> tuple[dict[str, Any], dict[str, Raw]]:
    """The JSON object in `body`, and its members as they were written.

    Raises BodyWrong unless it is one that everybody reads the same way.

    A member that stands there twice would be read one way here and another way elsewhere. What is nested
    too deeply is for nobody to read, and neither is half a character.
    """
    try:
        value: dict[str, Any] = _decode(body)
        members = _members(body)
    except RecursionError:
        raise BodyWrong(f"is nested more than {DEPTH} levels deep") from None
    except msgspec.ValidationError as error:
        raise BodyWrong(_what_is_wrong(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyWrong(f"is no valid JSON: {error}") from None
    if len(members) > LONGEST_OBJECT:
        raise BodyWrong(_TOO_WIDE)
    if _encode(members) != body:  # else it stands there as it would be written, so nothing twice
        _check_repeated(body, members)
    if len(body) > LONGEST_ARRAY or len(body.translate(None, _NO_BRACKETS)) > DEPTH:  # `count` is slower
        if body.count(b"[") + body.count(b"{") > _BRACKETS:
            raise BodyWrong(f"has more than {_BRACKETS} brackets")
        _check_nesting(value)
    return value, members


def _what_is_wrong(error: msgspec.ValidationError) -> str:
    said = str(error)
    return "must be a JSON object" if said.startswith("Expected `object`") else f"is no valid JSON: {said}"


def _check_repeated(body: bytes, members: Mapping[str, Raw]) -> None:
    """Step over one member after the other, by the values that the decoder found: the last one of a name."""
    at, seen = 0, set()
    for _ in range(len(members)):
        key = _KEY.match(body, at)
        assert key is not None, "the decoder found more members"
        name = _decode(key[1])
        value = bytes(members[name])
        if name in seen or not body.startswith(value, key.end()):
            raise BodyWrong(f"has {_shown(name)} twice")
        seen.add(name)
        at = key.end() + len(value)
    repeated = _KEY.match(body, at)
    if repeated is not None:
        raise BodyWrong(f"has {_shown(_decode(repeated[1]))} twice")


def _shown(name: str) -> str:
    return f"the member {name[:64]!r}"


def _check_nesting(value: Any) -> None:
    """Raise BodyWrong for what is nested too deeply, too wide or too much.

    Level by level, and each by passes of C: a long conversation has thousands of values.
    """
    level, count = [value], 0
    for _ in range(DEPTH):
        count += len(level)
        if count > CONTAINERS:
            raise BodyWrong(_TOO_MANY)
        objects: list[dict[str, Any]] = [each for each in level if type(each) is dict]
        arrays: list[list[Any]] = [each for each in level if type(each) is list]
        if objects and max(map(len, objects)) > LONGEST_OBJECT:
            raise BodyWrong(_TOO_WIDE)
        if arrays and max(map(len, arrays)) > LONGEST_ARRAY:
            raise BodyWrong(f"has an array of more than {LONGEST_ARRAY} values")
        inside = [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(arrays)]
        if _CONTAINERS.isdisjoint(map(type, inside)):
            return
        level = list(compress(inside, map(_CONTAINERS.__contains__, map(type, inside))))
    raise BodyWrong(f"is nested more than {DEPTH} levels deep")
