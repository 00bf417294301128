"""How a key is written: `pm_<id>_<secret><check>`, in letters and digits that a double click takes whole.

The check tells typos, and keys that were cut off, without asking anybody; scanners for leaked secrets go by
it, too.
"""

from __future__ import annotations

import re
import secrets
from zlib import crc32

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID = 8
_SECRET = 43
"""Digits to the base of 62 that 256 bits take."""
_CHECK = 6
START = "pm_"
_KEY = re.compile(rf"pm_[0-9A-Za-z]{{{_ID}}}_[0-9A-Za-z]{{{_SECRET + _CHECK}}}")


def new_id() -> str:
    """Eight letters and digits by chance."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID))


def new_key(id: str) -> str:
    """A key of that id, with 256 bits by chance."""
    said = f"{START}{id}_{_digits(secrets.randbits(256), _SECRET)}"
    return said + _check(said)


def is_key(text: str) -> bool:
    """Whether `text` is written as a key, its check included."""
    return _KEY.fullmatch(text) is not None and text[-_CHECK:] == _check(text[:-_CHECK])


def id_of(text: str) -> str:
    """The id in a text that begins as keys do; what it is otherwise nobody has looked at."""
    return text[len(START) : len(START) + _ID]


def _check(said: str) -> str:
    return _digits(crc32(said.encode("ascii")), _CHECK)


def _digits(number: int, count: int) -> str:
    found = []
    for _ in range(count):
        number, digit = divmod(number, len(_ALPHABET))
        found.append(_ALPHABET[digit])
    return "".join(reversed(found))
