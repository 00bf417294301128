"""`pointsman config diff`: two configurations, and what differs between them in what they mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pointsman_cli.output import console, print_text, shown_line

if TYPE_CHECKING:
    from pointsman import Config
    from pointsman.config.difference import Change
    from pointsman.config.problems import Problem

_SIGNS = {
    "added": ("+", "green"),
    "removed": ("-", "red"),
    "changed": ("~", "yellow"),
    "reordered": ("~", "yellow"),
}


def compared(old: str, new: str) -> Sequence[Change]:
    """What `new` means that `old` does not. Raises ConfigError with all that is wrong with any of the two."""
    from pointsman import ConfigError, Router
    from pointsman.config.difference import differences
    from pointsman.config.problems import config_error

    read: list[Config] = []
    problems: list[Problem] = []
    for each in (old, new):
        try:
            read.append(Router.check(each))
        except ConfigError as error:
            found: Sequence[Problem] = error.problems  # type: ignore[assignment]  # they stand below `errors`
            problems += [problem for problem in found if problem not in problems]
    if problems:
        raise config_error(problems, file=problems[0].file)
    return differences(read[0], read[1])


def print_changes(changes: Sequence[Change]) -> None:
    """A line for each, with a sign before it; at a terminal in colours and as wide as that."""
    if not sys.stdout.isatty():
        for each in changes:
            print_text(f"{_SIGNS[each.kind][0]} {shown_line(str(each))}")
        return
    from textwrap import wrap

    from rich.text import Text

    target = console()
    for each in changes:
        sign, style = _SIGNS[each.kind]
        first, *more = wrap(
            shown_line(str(each)), target.width - 2, break_long_words=False, break_on_hyphens=False
        )
        target.print(Text.assemble((sign, style), " ", first), soft_wrap=True)
        for line in more:
            target.print(Text(f"  {line}"), soft_wrap=True)
