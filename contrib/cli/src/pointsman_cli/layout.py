"""Tables for a terminal: no word is broken, columns line up over all groups, what is long stands below."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

_GAP = 2
_INDENT = "  "
_LEAST = 12
"""Cells that are left of what has to be cut."""
_LEAST_LAST = 32
_NUMBER = re.compile(r"-?[\d.,]+( ?[a-zA-Zµ]{1,2})?")

_STYLES = {
    "ok": "green", "up": "green", "closed": "green", "loaded": "green", "built in": "green",
    "down": "red", "open": "red", "broken": "red", "conflict": "red", "lost": "red",
    "half_open": "yellow", "half-open": "yellow", "draining": "yellow",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row, and what is to be said below it, a line for each."""

    cells: Sequence[str]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Rows with a title of their own; "" for none."""

    title: str
    rows: Sequence[Row]


def lay_out(columns: Sequence[str], groups: Sequence[Group], *, width: int) -> Iterator[Text]:
    """The lines of a table that is at most `width` cells wide.

    Room is made by breaking the last column between words, then by giving a line of its own to a first cell
    that is too long; only then the middle is cut out of what is longest. Titles and notes are wrapped.
    """
    indent = _INDENT if any(group.title for group in groups) else ""
    rows = [row for group in groups for row in group.rows]
    cells = [columns, *(row.cells for row in rows)]
    widths = _widths(cells, width - len(indent))
    right = [_is_number([row.cells[n] for row in rows]) for n in range(len(columns))]
    heads = _lines(columns, widths, right, indent, width=width)
    for n, group in enumerate(groups):
        if group.title:
            yield from (Text(line, style="bold") for line in _wrapped(group.title, width, ""))
        if n == 0:
            for line in heads:
                line.stylize("bold" if not group.title else "dim")
                yield line
        for row in group.rows:
            yield from _lines(row.cells, widths, right, indent, width=width)
            for note in row.notes:
                yield from (Text(line, style="dim") for line in _wrapped(note, width, indent + _INDENT))


def _widths(cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Of each column, so that all of them fit into `width` where that can be."""
    widths = [max(cell_len(row[n]) for row in cells) for n in range(len(cells[0]))]
    excess = sum(widths) + _GAP * (len(widths) - 1) - width
    for column, least in ((len(widths) - 1, _LEAST_LAST), (0, _LEAST)):
        given = min(max(0, excess), max(0, widths[column] - least))
        widths[column] -= given
        excess -= given
    widths[0] = max(
        size for row in cells if (size := cell_len(row[0])) <= max(widths[0], cell_len(cells[0][0]))
    )
    while excess > 0 and max(widths[1:-1], default=0) > _LEAST:
        widths[widths.index(max(widths[1:-1]), 1)] -= 1
        excess -= 1
    return widths


def _lines(
    cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], indent: str, *, width: int
) -> Iterator[Text]:
    """One row: a line, or more when its first cell needs one for itself or its last cell is wrapped."""
    line = Text(indent)
    if len(cells) > 1 and cell_len(cells[0]) > widths[0]:
        yield line + _fitted(cells[0], min(width - len(indent), cell_len(cells[0])), right=False)
        cells = ["", *cells[1:]]
    for cell, size, to_the_right in zip(cells[:-1], widths[:-1], right[:-1], strict=True):
        line.append(_fitted(cell, size, right=to_the_right), style=_style(cell))
        line.append(" " * _GAP)
    last = _wrapped(cells[-1], max(1, widths[-1]), "")
    if right[-1]:
        last = [_fitted(cells[-1], widths[-1], right=True)]
    line.append(last[0], style=_style(cells[-1]))
    line.rstrip()
    yield line
    before = len(indent) + sum(widths[:-1]) + _GAP * (len(widths) - 1)
    yield from (Text(" " * before + each) for each in last[1:])


def _fitted(cell: str, width: int, *, right: bool) -> str:
    """`cell` in exactly `width` cells; the middle of what is too long is left out."""
    length = cell_len(cell)
    if length > width:
        half = (width - 1) // 2
        end = "".join(reversed(set_cell_size(cell[::-1], half)))
        return set_cell_size(cell, width - 1 - half) + "…" + end
    return " " * (width - length) + cell if right else cell + " " * (width - length)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return [indent + line for line in wrapped(text, width - cell_len(indent))]


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken between words alone; at least one line.

    Not by `textwrap`, which counts characters: some take two cells, and others none.
    """
    lines = [""]
    for piece in re.findall(r"\s*\S+", text):  # a word with the blanks before it
        line = lines[-1] + piece if lines[-1] else piece.lstrip()
        if lines[-1] and cell_len(line) > width:
            lines.append(piece.lstrip())
        else:
            lines[-1] = line
    return lines


def _is_number(cells: Sequence[str]) -> bool:
    return any(cells) and all(not cell or _NUMBER.fullmatch(cell) for cell in cells)


def _style(cell: str) -> str:
    return _STYLES.get(cell, "")
