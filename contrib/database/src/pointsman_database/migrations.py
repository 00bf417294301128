"""Tables by numbered migrations, each in a transaction, with a note of what was done."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.resources.abc import Traversable
from typing import TypeVar

from msgspec import Struct

from pointsman_database.address import Address
from pointsman_database.errors import DatabaseError, NewerSchema
from pointsman_database.session import Connection, Session

T = TypeVar("T")
_FILE = re.compile(r"(\d{4})_(\w+)(?:\.(sqlite|postgres))?\.sql")
_NOTES = """
CREATE TABLE IF NOT EXISTS schema_version (
    component TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL, applied_at TEXT NOT NULL,
    PRIMARY KEY (component, version)
)
"""


class Migration(Struct, frozen=True):
    """One step: `sql` makes version `version` of what the one before it left."""

    version: int
    name: str
    sql: str


class Applied(Struct, frozen=True):
    """One that was done. `applied_at` is in ISO 8601, UTC."""

    component: str
    version: int
    name: str
    applied_at: str


class State(Struct, frozen=True):
    """How the tables of a component stand.

    Attributes:
        version: of what is there; 0 for nothing.
        known: the newest that this program knows.
        applied: what was done, in order.
        waiting: the names of what would be done.
    """

    component: str
    version: int
    known: int
    applied: Sequence[Applied]
    waiting: Sequence[str]


def migrations(folder: Traversable, dialect: str) -> Sequence[Migration]:
    """Those in `folder` for one dialect, by number: its own, and those that are for both."""
    found = [
        Migration(int(named[1]), named[2], each.read_text("utf-8"))
        for each in folder.iterdir()
        if (named := _FILE.fullmatch(each.name)) and named[3] in (None, dialect)
    ]
    return sorted(found, key=lambda each: each.version)


def state_of(session: Session, address: Address, component: str, folder: Traversable) -> State:
    """How the tables of `component` stand."""
    return _state(address, component, folder, _applied(session, component))


def state_of_nothing(address: Address, component: str, folder: Traversable) -> State:
    """The same where there is no database yet."""
    return _state(address, component, folder, ())


def _state(address: Address, component: str, folder: Traversable, applied: Sequence[Applied]) -> State:
    known = migrations(folder, address.dialect)
    version = applied[-1].version if applied else 0
    waiting = [f"{each.version:04} {each.name}" for each in known if each.version > version]
    return State(component, version, known[-1].version if known else 0, applied, waiting)


def migrate(
    alone: Callable[[Callable[[Connection], Sequence[Applied]]], Sequence[Applied]],
    address: Address,
    component: str,
    folder: Traversable,
) -> Sequence[Applied]:
    """Do what waits, and return that.

    Args:
        alone: has work done while nobody else migrates.

    Raises: NewerSchema, DatabaseError.
    """
    known = migrations(folder, address.dialect)

    def work(connection: Connection) -> Sequence[Applied]:
        done: list[Applied] = []
        while (made := _next(connection, address, component, known)) is not None:
            done.append(made)
        return done

    return alone(work)


def _next(
    connection: Connection, address: Address, component: str, known: Sequence[Migration]
) -> Applied | None:
    """Do the first of those that wait; None when none does."""
    connection.begin()
    # Looked up within the transaction: another process may have done it while this one waited for the lock.
    connection.execute(_NOTES)
    applied = _applied(connection, component)
    version = applied[-1].version if applied else 0
    newest = known[-1].version if known else 0
    if version > newest:
        raise NewerSchema(
            f"{address.shown}: its tables of {component} are of version {version}, and this program knows "
            f"version {newest}: use the newer pointsman that made them, or another database"
        )
    step = next((each for each in known if each.version > version), None)
    if step is None:
        connection.commit()
        return None
    made = Applied(component, step.version, step.name, datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        connection.script(step.sql)
        connection.execute(
            "INSERT INTO schema_version (component, version, name, applied_at) VALUES (?, ?, ?, ?)",
            (made.component, made.version, made.name, made.applied_at),
        )
        connection.commit()
    except Exception as error:
        raise DatabaseError(
            f"{address.shown}: migration {step.version:04} {step.name} of {component} failed and was undone: "
            f"{error}"
        ) from error
    return made


def _applied(session: Session, component: str) -> Sequence[Applied]:
    if session.dialect == "sqlite":
        there = session.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
        )
    else:
        there = session.execute("SELECT 1 WHERE to_regclass('schema_version') IS NOT NULL")
    if not there:
        return ()
    rows = session.execute(
        "SELECT component, version, name, applied_at FROM schema_version WHERE component = ? ORDER BY 2",
        (component,),
    )
    return [Applied(*row) for row in rows]
