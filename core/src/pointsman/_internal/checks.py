"""Checks that the settings of several machines share. Pure."""

from __future__ import annotations

import math


def positive(settings: object, *names: str) -> None:
    """Raises ValueError that says which of the attributes `names` is not above 0 and finite."""
    for name in names:
        value = getattr(settings, name)
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}")
