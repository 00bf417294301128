"""Finding patterns in a text that comes in pieces, so that no piece gets out which is part of a match.

What can still become part of one is held back, and no more: from the first position at which some pattern,
given more text, could match across the end. Every pattern has a longest match, so that much is held at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from re import _parser  # type: ignore[attr-defined]  # the one that says how long a match can be
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import regex
from pydantic import AfterValidator, Field

LONGEST = 16_384
"""Characters of the longest match that a pattern may have."""
_CONTEXT = 256
"""Characters before what is judged that stay, for a pattern that looks back."""
_SHORT = 700
"""How far nearly all of the patterns that are ours reach, in characters."""
_PATIENCE_FOR_OURS = 5.0
"""Seconds that one search for a pattern that is ours may take, a hundred times what it takes."""
_ANY = regex.compile(r"(?s:.)")
_UNBOUNDED = "it can match any number of characters; bound what repeats, as in {1,200}"


class Found(NamedTuple):
    """A match of the pattern `name`, in `text`."""

    name: str
    start: int
    end: int
    text: str


Said = Callable[[Found], str | None]
"""What stands in place of a match; None: it stays, since it only looks like one. May raise."""


def checked(pattern: str) -> str:
    """`pattern`, when its matches have a length, from 1 to `LONGEST` characters. Raises ValueError."""
    try:
        parsed = _parser.parse(pattern)
        least, most = parsed.getwidth()
        regex.compile(pattern)
    except Exception as error:  # `re.error` has two names, one of them deprecated, and there are others
        raise ValueError(f"is no regular expression: {error}") from None
    if least == 0:
        raise ValueError("it can match nothing, and so would match everywhere")
    if most > LONGEST:
        raise ValueError(f"its longest match has more than {LONGEST:,} characters: {_UNBOUNDED}")
    if _looks(parsed, _BACK) > _CONTEXT:
        raise ValueError(f"it looks back over more than {_CONTEXT} characters")
    return pattern


class _Open(NamedTuple):
    """A pattern that may go on past the end: from where on, and at which characters it can begin."""

    name: str
    pattern: Any
    reach: int
    begins: Any = _ANY


Pattern = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(checked)]
"""A pattern in settings."""


class Screen:
    """Several patterns, in the order in which they count where two match at one place.

    Args:
        patterns: by name; all of them `checked`.
        ours: more of them, without groups and back references, so that they can also be looked for as one.
        begins: with which characters those of `ours` begin whose matches are long.
        patience: seconds that one search for one of `patterns` may take, and a microsecond for each character
            of the text.
    """

    def __init__(
        self,
        patterns: Mapping[str, str],
        ours: Mapping[str, str] = MappingProxyType({}),
        begins: Mapping[str, str] = MappingProxyType({}),
        *,
        ignore_case: bool = False,
        patience: float = 0.1,
    ) -> None:
        flags = regex.IGNORECASE if ignore_case else 0
        theirs = {name: regex.compile(text, flags) for name, text in patterns.items()}
        # Each by itself where all matches are wanted: the engine skips to what a pattern must have, and is
        # five times as fast. As one where it is only asked whether some pattern goes on.
        self._patterns = {**theirs, **{name: regex.compile(text, flags) for name, text in ours.items()}}
        self._open = [_Open(name, theirs[name], _reach(text)) for name, text in patterns.items()]
        for name, text in ours.items():
            if (reach := _reach(text)) > _SHORT:
                first = regex.compile(begins[name]) if name in begins else _ANY
                self._open.append(_Open(name, self._patterns[name], reach, first))
        if ours:
            as_one = regex.compile("|".join(f"(?:{text})" for text in ours.values()), flags)
            self._open.append(_Open("ours", as_one, _SHORT))
        self._patience = patience
        self._theirs = frozenset(patterns)

    def searching(self, text: str) -> Callable[[int], Found | None]:
        """What gives the first match in `text` that begins at a position or later, asked in rising order.

        Raises: RuntimeError after `patience`.
        """
        # Each pattern's next match is kept: a text with many of one would be read again for each of them.
        ahead: dict[str, Any] = {}

        def search(start: int) -> Found | None:
            first: Any = None
            said = ""
            for name, pattern in self._patterns.items():
                match = ahead.get(name, pattern)
                if match is pattern or (match is not None and match.start() < start):
                    match = ahead[name] = self._within(name, pattern.search, text, start)
                if match is not None and (first is None or match.start() < first.start()):
                    first, said = match, name
            return None if first is None else Found(said, first.start(), first.end(), first.group())

        return search

    def open_at(self, text: str, start: int) -> int:
        """The first position, `start` or later, from which more text could make a match; else the length."""
        first = len(text)
        for name, pattern, reach, begins in self._open:
            # What begins before that is over: a piece may be long, and each position costs its time.
            for at in begins.finditer(text, max(start, len(text) - reach), first):
                if self._within(name, pattern.fullmatch, text, at.start(), partial=True) is not None:
                    first = at.start()
                    break
        return first

    def _within(self, name: str, find: Callable[..., Any], text: str, start: int, **more: Any) -> Any:
        # No text makes one of ours slow: what is late there is the machine, and no call should fail for that.
        patience = (self._patience if name in self._theirs else _PATIENCE_FOR_OURS) + len(text) * 1e-6
        try:
            return find(text, start, timeout=patience, **more)
        except TimeoutError:
            raise RuntimeError(f"the pattern {name!r} took longer than {patience:.3g} s") from None

    def whole(self, text: str, said: Said) -> str:
        """`text`, of which all is there, with what `said` says in place of each match."""
        held = Held(self, said)
        held.take(text)
        return held.end()


class Held:
    """A text that comes in pieces. What comes out, put together, is what `Screen.whole` makes of it."""

    def __init__(self, screen: Screen, said: Said) -> None:
        self._screen = screen
        self._said = said
        self._text = ""
        self._out = 0  # what stands before it is out already

    def take(self, piece: str) -> None:
        """The next piece, of which nothing is asked yet."""
        self._text += piece

    def feed(self, piece: str) -> str:
        """What can go out, now that `piece` is there too."""
        self.take(piece)
        return self._released(at_end=False)

    def end(self) -> str:
        """What was held back; nothing follows."""
        return self._released(at_end=True)

    def _released(self, *, at_end: bool) -> str:
        text, out, pieces = self._text, self._out, list[str]()
        limit = self._limit(out, at_end=at_end)
        if limit == out:
            return ""
        # What begins before the limit is not changed by what follows: from there no pattern gets to the end.
        search = self._screen.searching(text)
        while (found := search(out)) is not None and found.start < limit:
            said = self._said(found)
            if said is None:  # whatever else begins within it may be one
                pieces.append(text[out : found.start + 1])
                out = found.start + 1
                continue
            pieces += (text[out : found.start], said)
            out = found.end
            if out > limit:
                limit = self._limit(out, at_end=at_end)
        pieces.append(text[out:limit])
        out = max(out, limit)
        kept = max(0, out - _CONTEXT)
        self._text, self._out = text[kept:], out - kept
        return "".join(pieces)

    def _limit(self, start: int, *, at_end: bool) -> int:
        return len(self._text) if at_end else self._screen.open_at(self._text, start)


def _reach(pattern: str) -> int:
    """How far from its beginning `pattern` looks at most, with what its lookaheads do."""
    parsed = _parser.parse(pattern)
    return (
        int(parsed.getwidth()[1]) + _looks(parsed, _AHEAD) + 2
    )  # `$` looks at the end of the line behind it


_AHEAD, _BACK = 1, -1


def _looks(said: Any, way: int) -> int:
    """How far all that looks ahead, or back, in `said`, a part of a parsed pattern, does together."""
    if isinstance(said, _parser.SubPattern):
        return sum(_looks(each, way) for each in said.data)
    if not isinstance(said, tuple | list):
        return 0
    within = sum(_looks(each, way) for each in said)
    match said:
        case (kind, (looks, part)) if looks == way and str(kind).startswith("ASSERT"):
            within += int(part.getwidth()[1])
    return within
