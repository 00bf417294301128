"""Texts of others, and numbers, as values of fields in the head of an answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = 20
_LONGEST = 64


def shown(text: str) -> str:
    """`text` with `?` in place of whatever has no place in a head."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if " " <= each <= "~" else "?" for each in text)


def listed(names: Iterable[str]) -> str:
    """What callers named, and may have named anything: the first few, each no longer than need be."""
    all_names = list(names)
    some = [shown(name[:_LONGEST]).replace(",", "?") for name in all_names[:_NAMES]]
    return ",".join([*some, "..."] if len(all_names) > _NAMES else some)


def usd(microcents: int) -> str:
    """Millionths of a cent in USD, all digits that there are and no exponent."""
    whole, parts = divmod(microcents, 10**8)
    return f"{whole}.{parts:08}".rstrip("0").rstrip(".")
