"""The word that somebody probably meant."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 80
"""Characters. A longer word is no slip of the finger, and would take long to compare."""
_MOST = 20


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` most like `word`, of several the first by the alphabet; None when none is."""
    from difflib import SequenceMatcher, get_close_matches  # most programs never have anything to suggest

    if len(word) > _LONGEST:
        return None
    by_plain, plain = {_plain(each): each for each in known}, _plain(word)
    found = get_close_matches(plain, by_plain, cutoff=0.65)  # of equals the last by the alphabet comes first
    best = max(sorted(found), key=lambda each: SequenceMatcher(None, each, plain).ratio(), default=None)
    return None if best is None else by_plain[best]


def did_you_mean(word: str, known: Iterable[str], *, what: str = "known") -> str | None:
    """`did you mean 'strategy'?`; when nothing is near, all of `known` after `what`; None without any."""
    choices = sorted(set(known))
    best = nearest(word, choices)
    if best is not None:
        return f"did you mean {best!r}?"
    more = f" and {len(choices) - _MOST} more" if len(choices) > _MOST else ""
    return f"{what}: {', '.join(choices[:_MOST])}{more}" if choices else None


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_")
