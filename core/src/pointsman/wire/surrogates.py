"""Text that can always be written: halves of surrogate pairs joined, lone ones replaced. Pure.

Models and the servers before them cut text where they like, also within a character that JSON writes as two
escapes. Half of one is no character: print, files and web frameworks fail on it.
"""

from __future__ import annotations

REPLACEMENT = "\ufffd"


def well_formed(text: str) -> str:
    """`text` with the pairs in it joined, and U+FFFD for each half that is alone."""
    if text.isascii() or is_well_formed(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_well_formed(text: str) -> bool:
    """Whether `text` can be written in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class SurrogateHalves:
    """Several texts that come in pieces, each known by a key; a first half waits for the second one."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[object, str] = {}

    def __bool__(self) -> bool:
        """Whether a half waits."""
        return bool(self._held)

    def take(self, key: object, piece: str) -> str:
        """What can be said of the text `key` now that `piece` has come."""
        if not piece or (not self._held and piece.isascii()):
            return piece
        piece = self._held.pop(key, "") + piece
        if "\ud800" <= piece[-1] <= "\udbff":
            self._held[key] = piece[-1]
            piece = piece[:-1]
        return well_formed(piece)

    def rest(self, key: object) -> str:
        """What is left of the text `key` at its end: U+FFFD for a half, else nothing."""
        return REPLACEMENT if self._held.pop(key, "") else ""
