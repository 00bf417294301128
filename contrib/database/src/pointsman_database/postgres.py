"""Postgres, as a database: a pool for who reads, and one thread that writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from pointsman_database.address import Address
from pointsman_database.errors import DatabaseError
from pointsman_database.session import Connection, Session, for_psycopg
from pointsman_database.spare import Spare
from pointsman_database.writing import Writer

try:
    import psycopg
except ImportError:
    raise DatabaseError(
        "an address of Postgres needs psycopg: pip install 'pointsman-database[postgres]'"
    ) from None

T = TypeVar("T")
_PATIENCE = 10.0
"""Seconds until a connection must be there."""
_MIGRATES = 0x706F696E74736D
"""The advisory lock of who changes tables: the same number in every process."""


class PostgresConnection:
    """A connection for one thread at a time."""

    dialect = "postgres"

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._psycopg = connection

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Sequence[Sequence[Any]]:
        cursor = self._psycopg.execute(for_psycopg(sql), values)
        return cursor.fetchall() if cursor.description is not None else ()

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        with self._psycopg.cursor() as cursor:
            cursor.executemany(for_psycopg(sql), rows)

    def begin(self) -> None:
        self._psycopg.execute("BEGIN")

    def begin_reading(self) -> None:
        """Open a transaction that sees the same however long it takes."""
        self._psycopg.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def commit(self) -> None:
        self._psycopg.execute("COMMIT")

    def rollback(self) -> None:
        if not self._psycopg.closed:
            self._psycopg.rollback()

    @property
    def open(self) -> bool:
        return self._psycopg.info.transaction_status in (
            psycopg.pq.TransactionStatus.INTRANS,
            psycopg.pq.TransactionStatus.INERROR,
        )

    @property
    def usable(self) -> bool:
        """Whether it is there still."""
        return not self._psycopg.closed and not self._psycopg.broken

    def script(self, sql: str) -> None:
        self._psycopg.execute(sql)

    def close(self) -> None:
        self._psycopg.close()


class Postgres:
    """One database at a server. A connection that breaks is made anew with the next work."""

    def __init__(self, address: Address) -> None:
        assert address.url is not None
        self._shown = address.shown
        self._url = address.url
        self._trouble = ""
        self._writing: PostgresConnection | None = None
        # One now, for a wrong address or password is to be told now and not with the first call.
        self._readers: Spare[PostgresConnection] = Spare()
        self._readers.give_back(self._connected())
        self._writer = Writer(self, "writes to postgres")

    def read(self, work: Callable[[Session], T], /) -> T:
        try:
            connection = self._begun(self._readers.take(), PostgresConnection.begin_reading)
            try:
                return work(connection)
            finally:
                connection.rollback()
                if connection.usable:
                    self._readers.give_back(connection)
        except psycopg.Error as error:
            raise self.given_up(error) from error

    def submit(self, work: Callable[[Session], T], /) -> Future[T]:
        return self._writer.submit(work)

    def migrating(self, work: Callable[[Connection], T], /) -> T:
        connection = self._connected()
        try:
            connection.execute("SELECT pg_advisory_lock(?)", (_MIGRATES,))  # ends with the connection
            return work(connection)
        except psycopg.Error as error:
            raise self.given_up(error) from error
        finally:
            connection.close()

    def trouble(self) -> str:
        return self._trouble

    def close(self) -> None:
        self._writer.close()
        if self._writing is not None:
            self._writing.close()
        self._readers.close()

    # What the writer asks for, in its thread.

    def begun(self) -> Connection:
        self._writing = self._begun(self._writing, PostgresConnection.begin)
        return self._writing

    def given_up(self, error: Exception) -> Exception:
        if not isinstance(error, psycopg.Error):
            return error
        told = DatabaseError(f"{self._shown}: {self._without_password(error)}")
        if isinstance(error, psycopg.OperationalError):
            self._trouble = str(told)
        return told

    def idle(self) -> None:
        """The server tidies by itself."""

    def _begun(
        self, kept: PostgresConnection | None, begin: Callable[[PostgresConnection], None]
    ) -> PostgresConnection:
        """A connection with a transaction: the one that was kept, unless it broke meanwhile."""
        if kept is not None:
            try:
                begin(kept)
            except psycopg.OperationalError:
                kept.close()
            else:
                return kept
        made = self._connected()
        begin(made)
        self._trouble = ""
        return made

    def _connected(self) -> PostgresConnection:
        try:
            return PostgresConnection(
                psycopg.connect(
                    self._url.reveal(),
                    autocommit=True,
                    connect_timeout=int(_PATIENCE),
                    application_name="pointsman",
                )
            )
        except psycopg.Error as error:
            # Without its cause: messages of a wrong address repeat that, password and all.
            raise self.given_up(error) from None

    def _without_password(self, error: Exception) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        for each in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(each, "***")
        return text

    def _secrets(self) -> set[str]:
        """The passwords of the address, in the forms that a message may quote: as it is, and escaped."""
        url = self._url.reveal()
        parts = urlsplit(url)
        try:
            read = psycopg.conninfo.conninfo_to_dict(url)  # also those that are said after a `?`
            found = {str(read[each]) for each in ("password", "sslpassword") if read.get(each)}
        except psycopg.Error:  # what libpq cannot read it quotes: then nothing after the place is shown
            found = {parts.query}
        found |= {each for each in (parts.password, unquote(parts.password or "")) if each}
        return {form for each in found if each for form in (each, quote(each, safe=""))}
