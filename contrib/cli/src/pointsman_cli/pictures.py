"""What pictures that commands draw have in common: colours, and which files they go into."""

from __future__ import annotations

from importlib import import_module
from math import floor, log10
from typing import Any

from pointsman.errors import ConfigError

COLOURS = ("#3366aa", "#dd7733", "#449955", "#aa4477", "#997733", "#55aacc", "#777777", "#cc5555")
OTHERS = "#bbbbbb"
_ENDS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)


def check_plot(file: str, extra: str) -> None:
    """Raise ConfigError when nothing can be drawn into a file of that name.

    Args:
        extra: what brings matplotlib, which draws a .png: such as `pointsman-forecast[plot]`.
    """
    if file.endswith(".png"):
        figures(extra)
    elif not file.endswith(".svg"):
        raise ConfigError(f"--plot {file}: a picture is .svg, or .png with {extra}")


def figures(extra: str) -> Any:
    """The module `matplotlib.figure`. Raises ConfigError where there is none."""
    try:
        return import_module("matplotlib.figure")
    except ImportError:
        raise ConfigError(
            f"a picture as .png needs matplotlib: pip install '{extra}'; .svg needs nothing"
        ) from None


def round_up(value: float) -> float:
    """The next number that an axis can well end with; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return float(next((n * power for n in _ENDS if value <= n * power), 10 * power))
