"""What work in a database is handed: one transaction, in one of two dialects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Session(Protocol):
    """One transaction. Statements have `?` where values go, whatever the database.

    Attributes:
        dialect: `sqlite` or `postgres`.
    """

    dialect: str

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Sequence[Sequence[Any]]:
        """The rows that a statement has to show, which are none for most of those that write."""

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        """The same statement with the values of each row."""


Work = Callable[[Session], T]
"""Work in a database: the transaction is written when it returns, and undone when it raises."""


class Connection(Session, Protocol):
    """What a database is asked through; one thread uses it at a time."""

    def begin(self) -> None:
        """Open a transaction that may write."""

    def commit(self) -> None:
        """Write it."""

    def rollback(self) -> None:
        """Undo it, if there is one still."""

    @property
    def open(self) -> bool:
        """Whether there is a transaction: some failures end it."""

    def script(self, sql: str) -> None:
        """Run statements one after the other, within the transaction that is open."""

    def close(self) -> None: ...


_OF_STATEMENT = re.compile(r"'(?:[^']|'')*'|[?%]")


@lru_cache(1024)
def for_psycopg(sql: str) -> str:
    """The same statement with the marks that psycopg takes; those within quotes are text."""
    return _OF_STATEMENT.sub(_mark, sql)


def _mark(found: re.Match[str]) -> str:
    return "%s" if found[0] == "?" else found[0].replace("%", "%%")
