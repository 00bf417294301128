"""A database by its address: work in transactions, whichever kind it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from pointsman_database.address import Address, read_address
from pointsman_database.migrations import Applied, State, migrate, state_of
from pointsman_database.session import Connection, Session

if TYPE_CHECKING:
    from pointsman_database.sqlite_file import Immediate

T = TypeVar("T")


class Engine(Protocol):
    """One kind of database."""

    def read(self, work: Callable[[Session], T], /) -> T:
        """What `work` finds; every statement of it sees the same."""

    def submit(self, work: Callable[[Session], T], /) -> Future[T]:
        """What `work` comes to, once it is written."""

    def migrating(self, work: Callable[[Connection], T], /) -> T:
        """Have `work` done, while nobody else changes tables."""

    def trouble(self) -> str:
        """Why nothing can be kept there now; "" where it can."""

    def close(self) -> None: ...


class Database:
    """What one part of a program keeps and asks. All of it may be used from any thread.

    What writes waits in one line and is written together: with one transaction for all that wait, not one for
    each. Work is a function that is handed a `Session`; it is quick, and touches nothing else, for it runs in
    another thread.

    Attributes:
        address: where it is.
    """

    def __init__(self, address: Address, engine: Engine) -> None:
        self.address = address
        self._engine = engine

    @classmethod
    def open(cls, address: str, directory: Path) -> Database:
        """The database at `address`; see `read_address`. A file that is not there is made. It may block.

        Raises: DatabaseError where there is none, or none that this process can use.
        """
        found = read_address(address, directory)
        if found.file is not None:
            from pointsman_database.sqlite_file import SqliteFile

            return cls(found, SqliteFile(found.file))
        from pointsman_database.postgres import Postgres  # psycopg, only for who uses it

        return cls(found, Postgres(found))

    def migrate(self, component: str, folder: Traversable) -> Sequence[Applied]:
        """Have the tables of `component` as this version knows them; what was done for it. It may block.

        Each migration is one transaction. Processes that do it at once wait for each other.

        Raises: NewerSchema; DatabaseError for one that failed, after which what came before it stays.
        """
        return migrate(self._engine.migrating, self.address, component, folder)

    def state(self, component: str, folder: Traversable) -> State:
        """How the tables of `component` stand. It may block."""
        return self._engine.read(lambda session: state_of(session, self.address, component, folder))

    def read(self, work: Callable[[Session], T], /) -> T:
        """What `work` finds; every statement of it sees the same. It blocks.

        Raises: DatabaseError where the database fails; else what `work` raises.
        """
        return self._engine.read(work)

    def write(self, work: Callable[[Session], T], /) -> T:
        """What `work` comes to, once it is written. It blocks.

        Raises: DatabaseError where the database fails, and then nothing was written, unless the connection
            broke at the very end; else what `work` raises, and nothing was written.
        """
        return self.submit(work).result()

    def submit(self, work: Callable[[Session], T], /) -> Future[T]:
        """The same for who does not wait."""
        return self._engine.submit(work)

    async def aread(self, work: Callable[[Session], T], /) -> T:
        """`read`, in a thread."""
        return await asyncio.to_thread(self._engine.read, work)

    async def awrite(self, work: Callable[[Session], T], /) -> T:
        """`write`, while the loop goes on. Work that has begun is written, even for who no longer waits."""
        return await asyncio.wrap_future(self.submit(work))

    def immediate(self, *, patience: float) -> Immediate | None:
        """Writes in the thread that asks, in microseconds; None where the database is not on this machine.

        Args:
            patience: seconds that a write waits for others that write, before it fails.
        """
        from pointsman_database.sqlite_file import SqliteFile

        engine = self._engine
        return engine.immediate(patience) if isinstance(engine, SqliteFile) else None

    def trouble(self) -> str:
        """Why nothing can be kept there now, in words for an operator; "" where it can. It does not block."""
        return self._engine.trouble()

    def close(self) -> None:
        """Write what waits, and give everything back. It may block; once or more."""
        self._engine.close()
