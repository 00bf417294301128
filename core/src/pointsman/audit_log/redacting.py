"""What of recorded texts is taken out: what has a name here, and what regular expressions match.

Callers write the texts, on the loop they are looked at, and an expression may take hours over one that was
made for it. So those of an operator are looked for by an engine that can be told to give up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

MASK = "***"
PATIENCE = 0.1
"""Seconds that one search may take, a hundred times what it takes."""
NAMED = {
    "email": r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}",
    "iban": r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)",
    "card": r"(?<![\w.])[2-6]\d{3}(?:[ -]?\d){8,15}(?![\w-])",
    "phone": r"(?<!\w)\+[1-9](?:[ ./()-]{0,2}\d){6,14}(?!\d)",
}
"""By forms alone: what only looks like a card is better missing in a record than there. None can be slow.
An account is looked for before a card, which part of it may look like."""


def checked(pattern: str) -> str:
    """`pattern`, a name in `NAMED` or a regular expression that can be looked for. Raises ValueError."""
    if pattern in NAMED:
        return pattern
    try:
        found = re.compile(pattern)
    except re.error as error:
        names = ", ".join(sorted(NAMED))
        raise ValueError(f"is no regular expression: {error}; without one there are {names}") from None
    if found.match("") is not None:
        raise ValueError("it can match nothing, and so would match everywhere")
    _patient(pattern)
    return pattern


class Redaction:
    """Takes `patterns`, all of them `checked`, out of the texts of one record."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._named = [re.compile(said) for name, said in NAMED.items() if name in patterns]
        self._own = [_patient(each) for each in patterns if each not in NAMED]
        self._gave_up = False

    def __call__(self, text: str) -> str:
        """`text` with `***` in place of each match; nothing else once a search took too long."""
        if self._gave_up:  # whoever wrote one such text may have written fifty
            return MASK
        for named in self._named:
            text = named.sub(MASK, text)
        for own in self._own:
            try:
                text = own.sub(MASK, text, timeout=PATIENCE)
            except TimeoutError:
                self._gave_up = True
                return MASK
        return text


def _patient(pattern: str) -> Any:
    try:
        import regex
    except ImportError:
        raise ValueError(
            "expressions of your own need the package regex: pip install 'pointsman[redact]'"
        ) from None
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
