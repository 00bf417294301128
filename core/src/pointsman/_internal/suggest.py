"""The word that somebody probably meant."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 80
"""Characters. A longer word is no slip of the finger, and would take long to compare."""
_MOST = 20


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `word`, None when none is like it."""
    from difflib import get_close_matches  # most programs never have anything to suggest

    if len(word) > _LONGEST:
        return None
    by_plain = {_plain(each): each for each in known}
    found = get_close_matches(_plain(word), by_plain, n=1, cutoff=0.65)
    return by_plain[found[0]] if found else None


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
