"""Lines for a terminal: broken between words, and what belongs to one stands a little to the right."""

from __future__ import annotations

import textwrap

_FURTHER = "  "


def wrapped(text: str, width: int) -> str:
    """`text` with no line longer than `width`, unless a word is, or a caret below it points into it."""
    lines = text.split("\n")
    return "\n".join(
        "\n".join(_parts(line, below, width)) for line, below in zip(lines, [*lines[1:], ""], strict=True)
    )


def _parts(line: str, below: str, width: int) -> list[str]:
    if len(line) <= width or (below.strip() and not below.strip(" ^")):
        return [line]
    indent = line[: len(line) - len(line.lstrip())] + _FURTHER
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        replace_whitespace=False,
        expand_tabs=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
