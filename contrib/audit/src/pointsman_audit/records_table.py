"""The table of records in a database: rows added, asked for, and let go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from msgspec import Struct

from pointsman import Config
from pointsman.plugin import Secret
from pointsman_audit.rows import COLUMNS, INSERT
from pointsman_database import Database
from pointsman_database.components import Component


def _addresses(config: Config) -> Sequence[str]:
    """Where a configuration keeps them."""
    sinks = (each for each in config.audit if each.type in ("sqlite", "postgres"))
    said = (each.settings.get("database") for each in sinks)
    return [each.reveal() if isinstance(each, Secret) else str(each) for each in said if each is not None]


TABLES = Component("audit", files("pointsman_audit") / "migrations", _addresses)
"""For `pointsman db`."""
_PAGE = 1_000
_AT_ONCE = 5_000
"""Rows that are deleted in one transaction, so that who writes need not wait for long."""


class Chain(Struct, frozen=True):
    """One chain of records, as a file would be.

    Attributes:
        latest: when its last record was told, seconds since 1970.
    """

    name: str
    latest: float
    records: int
    size_bytes: int


def chains_to_let_go(
    chains: Sequence[Chain], now: float, *, age: float | None, excess_bytes: int
) -> Sequence[Chain]:
    """Those of `chains`, the oldest first, that are older than `age`, and as many as make up the excess."""
    gone = []
    for each in chains:
        if (age is not None and each.latest < now - age) or excess_bytes > 0:
            gone.append(each)
            excess_bytes -= each.size_bytes
    return gone


class RecordsTable:
    """The records in one database. All of it may be used from any thread, and blocks.

    Raises: DatabaseError where the database fails, here and in every method.
    """

    def __init__(self, database: Database) -> None:
        try:
            database.migrate(TABLES.name, TABLES.folder)
        except BaseException:
            database.close()
            raise
        self._database = database

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep `rows`, values of `rows.COLUMNS`, all of them or none."""
        self._database.write(lambda session: session.execute_many(INSERT, rows))

    def select(
        self,
        where: str,
        values: Sequence[Any],
        *,
        backwards: bool = False,
        after: int | None = None,
        most: int | None = None,
    ) -> Iterator[tuple[int, str, str]]:
        """Id, writer and text of each record that meets a condition, in the order of their writing.

        Args:
            where: SQL over the columns, of the caller's own making, with `?` where `values` go.
            after: the id behind which it begins.
            most: how many; all when None.
        """
        order, compared = ("DESC", "<") if backwards else ("ASC", ">")
        start, left, size = after, most, _PAGE
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            bound = "" if start is None else f" AND id {compared} ?"
            sql = (
                f"SELECT id, writer, record FROM audit_records WHERE {where}{bound} "  # noqa: S608  # no text of others
                f"ORDER BY id {order} LIMIT {size}"
            )
            given = (*values, start) if start is not None else tuple(values)
            page = self._database.read(lambda session, sql=sql, given=given: session.execute(sql, given))  # type: ignore[misc]
            yield from page
            if len(page) < size:
                return
            start, left = page[-1][0], None if left is None else left - len(page)

    def last(self) -> int:
        """The id of the latest record; 0 for none."""
        rows = self._database.read(lambda session: session.execute("SELECT max(id) FROM audit_records"))
        return rows[0][0] or 0

    def size_bytes(self) -> int:
        """Of the text of all records."""
        sql = "SELECT COALESCE(sum(length(record)), 0) FROM audit_records"
        return int(self._database.read(lambda session: session.execute(sql))[0][0])

    def replace(self, changed: Sequence[tuple[Any, ...]]) -> None:
        """Put other values in place of rows.

        Args:
            changed: of each, a row of `rows.COLUMNS` and the id of the one in whose place it goes.
        """
        sql = f"UPDATE audit_records SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ?"  # noqa: S608
        self._database.write(lambda session: session.execute_many(sql, changed))

    def keep(self, now: float, *, age: float | None, size_bytes: int | None, current: str = "") -> int:
        """Let whole chains go, so that the rest still verifies; how many records went.

        Args:
            now: seconds since 1970.
            age: seconds; what has nothing younger goes.
            size_bytes: what is beyond it goes, the oldest first.
            current: the chain that is being written, which stays.
        """
        chains = [each for each in self.chains() if each.name != current]
        gone = chains_to_let_go(chains, now, age=age, excess_bytes=self._excess(size_bytes))
        for each in gone:
            self._remove(each.name)
        return sum(each.records for each in gone)

    def _excess(self, size_bytes: int | None) -> int:
        return 0 if size_bytes is None else max(0, self.size_bytes() - size_bytes)

    def chains(self) -> Sequence[Chain]:
        """What is there, in the order in which they began."""
        sql = (
            "SELECT writer, max(at), count(*), sum(length(record)) "
            "FROM audit_records GROUP BY writer ORDER BY min(id)"
        )
        return [Chain(*row) for row in self._database.read(lambda session: session.execute(sql))]

    def _remove(self, name: str) -> None:
        """A part at a time, from its end, so that who writes need not wait for long."""
        sql = f"SELECT id FROM audit_records WHERE writer = ? ORDER BY id DESC LIMIT {_AT_ONCE}"  # noqa: S608
        while ids := self._database.read(lambda session: session.execute(sql, (name,))):
            gone = [(row[0],) for row in ids]
            self._database.write(
                lambda session, gone=gone: session.execute_many(
                    "DELETE FROM audit_records WHERE id = ?", gone
                )  # type: ignore[misc]
            )

    def close(self) -> None:
        """Give the database back."""
        self._database.close()
