"""Names of functions that are no longer than all APIs take. Pure."""

from __future__ import annotations

from hashlib import sha256

LONGEST = 64
"""Characters of a function's name at OpenAI, and those that follow it; Anthropic's own may have 128."""
_DIGITS = 8


def short_name(name: str) -> str:
    """`name`, cut and marked where it is too long, always in the same way."""
    return name if len(name) <= LONGEST else marked(name, name)


def marked(name: str, of: str) -> str:
    """The beginning of `name`, and digits that are those of `of` alone."""
    mark = sha256(of.encode("utf-8", "replace")).hexdigest()
    return f"{name[: LONGEST - _DIGITS - 1]}_{mark[:_DIGITS]}"
