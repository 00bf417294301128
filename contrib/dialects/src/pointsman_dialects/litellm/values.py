"""What stands in LiteLLM's files: references to variables, numbers in quotes, and texts for nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_VARIABLE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")
_NOTHING = ("", "none", "null")
_LONE_DOLLAR = re.compile(r"\$(?!\{)")


def is_nothing(value: object) -> bool:
    """Whether that says nothing: null, or the text that people write for it."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING)


def written(value: Any, variables: Mapping[str, Any]) -> Any:
    """`value` as our files have it: `os.environ/NAME` is `${NAME}`, and a dollar sign of its own is two.

    Args:
        variables: what `environment_variables` sets, which stands in place of a reference to it.
    """
    if isinstance(value, str):
        variable = _VARIABLE.fullmatch(value.strip())
        if variable is None:
            return _LONE_DOLLAR.sub("$$", value)
        said = variables.get(variable[1])
        return f"${{{variable[1]}}}" if said is None else _LONE_DOLLAR.sub("$$", str(said))
    if isinstance(value, Mapping):
        return {key: written(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [written(each, variables) for each in value]
    return value


def refers(value: object) -> str | None:
    """The variable that `value` is a reference to; None for everything else."""
    found = _VARIABLE.fullmatch(value.strip()) if isinstance(value, str) else None
    return found[1] if found else None


def number(value: object) -> int | float | None:
    """The number that stands there, in quotes or without; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value


def whole(value: object) -> int | None:
    """The whole number that stands there, in quotes or without; None for everything else."""
    found = number(value)
    return found if isinstance(found, int) else None


def per_million(value: object) -> int | float | None:
    """The price of a million tokens, where that of one stands there."""
    price = number(value)
    return None if price is None else number(float(f"{price * 1_000_000:.12g}"))


def variables_in(value: object) -> set[str]:
    """The variables that `value` refers to at any depth."""
    if isinstance(value, Mapping):
        return set().union(*map(variables_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(variables_in, value))
    name = refers(value)
    return {name} if name else set()
