"""Whether a version is in a range, as the metadata of distributions write it; how they spell names.

Of PEP 440 this is what ranges of released versions take: numbers and the eight operators. A library that
knows all of it would be one more package for everybody; what is not known here is left to installers.
"""

from __future__ import annotations

import re

# Compiled when they are first needed: that takes as long as all else that is done to find a plugin.
_REQUIREMENT = r"\s*[\w.-]+\s*(?:\[[^]]*\])?\s*\(?(?P<range>[^;()]*)\)?\s*(?P<marker>;.*)?"
_CLAUSE = (
    r"(?P<operator>===?|!=|~=|>=|<=|>|<)v?(?P<release>\d+(?:\.\d+)*)"
    r"(?:(?P<any>\.\*)|[-_.]?(?:a|b|rc|dev|post)\d*)?"
)


def unmet(requirement: str, version: str) -> str | None:
    """The range of `requirement` when `version` is not in it; None when it is, or when that cannot be told.

    A requirement with a marker (`; python_version < "3.13"`) cannot be told. A pre-release is taken for the
    release that it precedes.

    Raises: ValueError when the range is none.
    """
    found = re.fullmatch(_REQUIREMENT, requirement)
    if found is None:
        raise ValueError(f"{requirement!r} is no requirement")
    if found["marker"]:
        return None
    wanted = "".join(found["range"].split())
    release = re.match(r"\d+(?:\.\d+)*", version)
    if not wanted or release is None:
        return None
    clauses = [re.fullmatch(_CLAUSE, each) for each in wanted.split(",") if each]
    if None in clauses:
        raise ValueError(f"{wanted!r} is no range of versions")
    here = _numbers(release[0])
    met = all(
        _meets(here, each["operator"], _numbers(each["release"]), bool(each["any"]))
        for each in clauses
        if each
    )
    return None if met else wanted


def canonical(distribution: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def same_release(one: str, other: str) -> bool:
    """Whether two versions are one: written alike, or numbers that are equal, as 1.2 and 1.2.0."""
    if one == other:
        return True
    if not all(re.fullmatch(r"\d+(?:\.\d+)*", each) for each in (one, other)):
        return False
    length = 1 + max(one.count("."), other.count("."))
    return _padded(_numbers(one), length) == _padded(_numbers(other), length)


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def _meets(here: tuple[int, ...], operator: str, there: tuple[int, ...], any_below: bool) -> bool:
    length = max(len(here), len(there))
    begins = _padded(here, length)[: len(there)] == there
    mine, other = _padded(here, length), _padded(there, length)
    match operator:
        case "==" | "===":
            return begins if any_below else mine == other
        case "!=":
            return not (begins if any_below else mine == other)
        case "~=":
            return mine >= other and mine[: len(there) - 1] == other[: len(there) - 1]
        case ">=":
            return mine >= other
        case "<=":
            return mine <= other
        case ">":
            return mine > other
        case _:
            return mine < other


def _padded(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    """1.2 is 1.2.0."""
    return numbers + (0,) * (length - len(numbers))
