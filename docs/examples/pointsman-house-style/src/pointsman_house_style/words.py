"""The words of the house in place of others, in a whole text and in one that comes in pieces."""

from __future__ import annotations

import re
from collections.abc import Mapping


class Words:
    """Puts the house's words in place of others, wherever these stand as whole words, however they are cased.

    Attributes:
        longest: characters of the longest of the others.
    """

    def __init__(self, instead: Mapping[str, str]) -> None:
        ordered = sorted(instead, key=len, reverse=True)  # of two that begin alike the longer one
        self.longest = max(map(len, ordered), default=0)
        self._house = [instead[each] for each in ordered]
        # A group for each, so that the one that was found is known by its number: by its text it could not
        # be looked up, for there are letters whose capitals are no letters of their own.
        either = "|".join(f"({re.escape(each)})" for each in ordered)
        self._pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)

    def in_whole(self, text: str) -> str:
        """`text` in the words of the house."""
        return self._pattern.sub(self._instead, text)

    def in_pieces(self) -> Pieces:
        """The same for a text that comes in pieces."""
        return Pieces(self)

    def up_to(self, cut: int, text: str, at: int) -> tuple[str, int]:
        """`text` from `at` to `cut`, or to the end of a word that begins before; and where that is."""
        said: list[str] = []
        for found in self._pattern.finditer(text, at):
            if found.start() >= cut:
                break
            said += text[at : found.start()], self._instead(found)
            at = found.end()
        if at < cut:
            said.append(text[at:cut])
            at = cut
        return "".join(said), at

    def _instead(self, found: re.Match[str]) -> str:
        word = self._house[(found.lastindex or 1) - 1]
        return word[:1].upper() + word[1:] if found[0][:1].isupper() else word


class Pieces:
    """A text that comes in pieces: what goes out is the same however it was cut.

    It holds back as many characters as the longest word has, for these may be the beginning of one.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._before = ""  # what went out last: whether a word begins after it depends on that
        self._held = ""

    def feed(self, piece: str) -> str:
        """What of the text can go out by now."""
        text = self._before + self._held + piece
        return self._out(text, cut=len(text) - self._words.longest)

    def end(self) -> str:
        """What was held back."""
        text = self._before + self._held
        return self._out(text, cut=len(text))

    def _out(self, text: str, cut: int) -> str:
        start = len(self._before)
        if cut <= start:
            self._held = text[start:]
            return ""
        said, at = self._words.up_to(cut, text, start)
        self._before, self._held = text[at - 1 : at], text[at:]
        return said
