"""Ids of tool calls in nine letters and digits, for servers that take no others. Pure."""

from __future__ import annotations

import re
from hashlib import sha256

_LENGTH = 9
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def short_id(id: str) -> str:
    """`id` where it is such an id, else one that is made of it and is always the same for it."""
    if re.fullmatch(r"[0-9A-Za-z]{9}", id):
        return id
    number = int.from_bytes(sha256(id.encode("utf-8", "surrogatepass")).digest(), "big")
    found = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        found.append(_DIGITS[digit])
    return "".join(found)
