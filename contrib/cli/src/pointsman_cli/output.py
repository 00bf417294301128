"""Data on stdout, chatter on stderr; tables and colours only where somebody looks at them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console


def plain(value: Any) -> Any:
    """`value` as JSON has it: dataclasses become objects, without their `raw`; bytes are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value) if each.name != "raw"}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, str | int | float | bool) or value is None:
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return None
    if isinstance(value, Iterable):
        return [plain(each) for each in value]
    return str(value)


def print_json(value: Any) -> None:
    """One JSON document on stdout: indented for a person at a terminal, one line for a program."""
    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(plain(value), indent=indent, ensure_ascii=False))


def print_json_line(value: Any) -> None:
    """One line of JSON on stdout, at once."""
    click.echo(json.dumps(plain(value), ensure_ascii=False))
    sys.stdout.flush()


def say(text: str) -> None:
    """Chatter: one line on stderr."""
    click.echo(text, err=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """A table at a terminal; otherwise a line with the names and one for each row, with tabs between."""
    shown = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold", header_style="bold")
        for row in shown:
            table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
        console().print(table)
        return
    click.echo("\t".join(columns))
    for row in shown:
        click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))


def console(stream: TextIO | None = None) -> Console:
    """A rich console on `stream`, stdout by default; it heeds NO_COLOR by itself.

    Text is shown as it is: what servers say is no markup.
    """
    from rich.console import Console

    return Console(file=stream or sys.stdout, highlight=False, markup=False, emoji=False)


_STYLES = {
    "ok": "green", "up": "green", "closed": "green", "loaded": "green", "built in": "green",
    "down": "red", "open": "red", "broken": "red", "conflict": "red", "lost": "red",
    "half_open": "yellow", "half-open": "yellow", "draining": "yellow",
}  # fmt: skip


def _style(cell: str) -> str:
    return _STYLES.get(cell, "")
