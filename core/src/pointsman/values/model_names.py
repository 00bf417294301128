"""Which of the names that a server has for its models callers can use as they are."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 500
"""Characters."""
_USUAL_TAG = ":latest"


def callable_names(listed: Iterable[str]) -> list[str]:
    """Those of the models that a server lists which can be called by their own names, each once.

    The tag that is meant without one is left out, and so is a name with a `*`, which would be a pattern.
    """
    names = [each.removesuffix(_USUAL_TAG) for each in listed if isinstance(each, str)]
    return list(dict.fromkeys(each for each in names if _can_be_called(each)))


def _can_be_called(name: str) -> bool:
    return 0 < len(name) <= _LONGEST and name == name.strip() and name.isprintable() and "*" not in name
