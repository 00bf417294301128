"""Data on stdout, chatter on stderr; tables and colours only where somebody looks at them.

Nothing else here writes. What servers, files and people say may hold anything, and is made printable on its
way out: the only escape sequences that reach a terminal are ours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

    from pointsman_cli.layout import Row


def plain(value: Any) -> Any:
    """`value` as JSON has it: values of fields become objects, without their `raw`; bytes are left out."""
    if (names := _fields_of(type(value))) is not None:
        return {name: plain(getattr(value, name)) for name in names if name != "raw"}
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


def _fields_of(kind: type[Any]) -> Sequence[str] | None:
    """The names of the fields of a Struct, as the core's values are, or of a dataclass; None for the rest."""
    if is_dataclass(kind):
        return [each.name for each in fields(kind)]
    return getattr(kind, "__struct_fields__", None)


def shown(text: str) -> str:
    """`text` as a terminal may have it."""
    from pointsman._internal.printable import printable  # not before something is said: --help needs no core

    return printable(text)


def shown_line(text: str) -> str:
    """The same on one line."""
    from pointsman._internal.printable import printable_line

    return printable_line(text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON that a terminal may have."""
    from pointsman._internal.printable import json_printable

    return json_printable(json.dumps(plain(value), indent=indent, ensure_ascii=False))


def print_json(value: Any) -> None:
    """One JSON document on stdout: indented for a person at a terminal, one line for a program."""
    click.echo(json_text(value, indent=2 if sys.stdout.isatty() else None))


def print_json_line(value: Any) -> None:
    """One line of JSON on stdout, at once."""
    click.echo(json_text(value))


def print_text(text: str, *, nl: bool = True) -> None:
    """Data on stdout, at once."""
    click.echo(shown(text), nl=nl)


def print_prose(text: str) -> None:
    """Sentences of ours on stdout; at a terminal as wide as that."""
    click.echo(_as_wide_as(sys.stdout, shown(text)))


def _as_wide_as(stream: TextIO, text: str) -> str:
    if not stream.isatty():
        return text
    from pointsman_cli.wrapping import wrapped

    return wrapped(text, get_terminal_size().columns)


def print_raw(text: str) -> None:
    """Data on stdout as it came, in UTF-8; for pipes and files only."""
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def print_piece(text: str) -> None:
    """The next piece of an answer on stdout, at once."""
    print_text(text, nl=False)


def writer(*, raw: bool) -> Callable[[str], None]:
    """What writes the pieces of an answer to stdout.

    Raises: UsageError when they are wanted as they came, and stdout is a terminal.
    """
    if raw and sys.stdout.isatty():
        raise click.UsageError("--raw is for pipes and files: an answer as it comes could steer the terminal")
    return print_raw if raw else print_piece


def counted(number: int, what: str, several: str = "") -> str:
    """`1 model`, `3 models`"""
    return f"{number} {what if number == 1 else several or f'{what}s'}"


def say(text: str) -> None:
    """Chatter: a line on stderr, or more of them; at a terminal as wide as that."""
    click.echo(_as_wide_as(sys.stderr, shown(text)), err=True)


def say_json(value: Any) -> None:
    """Chatter for programs: one line of JSON on stderr."""
    click.echo(json_text(value), err=True)


def say_logged(level: str, message: str, **more: Any) -> None:
    """A line, for programs, of the log of a command that runs for long; with the time, in UTC."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    say_json({"log": level, "message": message, **more, "timestamp": at})


def say_over(text: str) -> None:
    """At a terminal: `text` in place of the line of chatter where the cursor stands."""
    click.echo(f"\r\x1b[K{shown_line(text)}", nl=False, err=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """A table at a terminal; otherwise a line with the names and one for each row, with tabs between."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from pointsman_cli.layout import Row

        print_groups(columns, [(title, [Row(row) for row in cells])])
        return
    click.echo("\t".join(columns))
    for row in cells:
        click.echo("\t".join(row))


def print_groups(
    columns: Sequence[str], groups: Iterable[tuple[str, Sequence[Row]]], *, wide: bool = False
) -> None:
    """A table in groups with a title each, for a terminal; its cells have been through `one_line`.

    Args:
        wide: as wide as it is, not as the terminal.
    """
    from pointsman_cli.layout import Group, lay_out

    target = console()
    made = [Group(shown_line(title), rows) for title, rows in groups]
    for line in lay_out(columns, made, width=_ENDLESS if wide else target.width):
        target.print(line, no_wrap=True, overflow="ignore", crop=False)


_ENDLESS = 10_000


def one_line(value: object) -> str:
    """`value` for a cell of a table; nothing for None."""
    return "" if value is None else shown(" ".join(str(value).splitlines()).replace("\t", " "))


def console(stream: TextIO | None = None) -> Console:
    """A rich console on `stream`, stdout by default; it heeds NO_COLOR by itself.

    Text is no markup, whoever said it; it is to be `printable` before it gets here.
    """
    from rich.console import Console

    return Console(file=stream or sys.stdout, highlight=False, markup=False, emoji=False)
