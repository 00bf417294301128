"""Both kinds of database keep the same promises."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest
from postgres import own_database

from pointsman_database import Database, DatabaseError, NewerSchema, Session
from pointsman_database import sqlite as sqlite_module
from pointsman_database.session import Connection, for_psycopg
from pointsman_database.writing import Writer

BEGIN = "CREATE TABLE kept (name TEXT PRIMARY KEY, worth BIGINT NOT NULL);\n"


def begin(database: Database, folder: Path) -> None:
    write_migration(folder, 1, "begin", BEGIN)
    database.migrate("tests", folder)


def write_migration(folder: Path, version: int, name: str, sql: str) -> None:
    folder.mkdir(exist_ok=True)
    for dialect in ("sqlite", "postgres"):
        (folder / f"{version:04}_{name}.{dialect}.sql").write_text(sql)


def put(name: str, worth: int = 1) -> object:
    def work(session: Session) -> str:
        session.execute("INSERT INTO kept (name, worth) VALUES (?, ?)", (name, worth))
        return name

    return work


def names(session: Session) -> list[str]:
    return [row[0] for row in session.execute("SELECT name FROM kept ORDER BY name")]


def test_what_was_written_is_there_when_it_is_opened_again(address: str, tmp_path: Path) -> None:
    first = Database.open(address, tmp_path)
    begin(first, tmp_path / "m")
    assert first.write(put("a")) == "a"
    first.close()

    second = Database.open(address, tmp_path)

    assert second.read(names) == ["a"]
    second.close()


def test_work_that_fails_leaves_nothing_of_itself_and_all_of_what_was_written_with_it(
    database: Database, tmp_path: Path
) -> None:
    begin(database, tmp_path / "m")
    began, go = threading.Event(), threading.Event()

    def holds_up(session: Session) -> None:
        began.set()
        go.wait(10)

    def fails(session: Session) -> None:
        session.execute("INSERT INTO kept (name, worth) VALUES ('half', 1)")
        raise ValueError("no more")

    first = database.submit(holds_up)
    began.wait(10)
    waiting: list[Future[object]] = [database.submit(each) for each in (put("a"), fails, put("a"), put("b"))]
    go.set()

    first.result(10)
    assert waiting[0].result(10) == "a"
    with pytest.raises(ValueError, match="no more"):
        waiting[1].result(10)
    with pytest.raises(DatabaseError, match="(?i)unique"):
        waiting[2].result(10)
    assert waiting[3].result(10) == "b"
    assert database.read(names) == ["a", "b"]


async def test_the_loop_goes_on_while_something_is_written(database: Database, tmp_path: Path) -> None:
    begin(database, tmp_path / "m")

    written = await asyncio.gather(*(database.awrite(put(f"n{n:02}")) for n in range(20)))

    assert await database.aread(names) == sorted(written)


def test_close_writes_what_waits(address: str, tmp_path: Path) -> None:
    database = Database.open(address, tmp_path)
    begin(database, tmp_path / "m")
    waiting = [database.submit(put(f"n{n:03}")) for n in range(300)]

    database.close()

    assert all(each.done() for each in waiting)
    with pytest.raises(RuntimeError, match="closed"):
        database.submit(put("late"))


def test_migrations_are_done_once_in_order_and_noted(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write_migration(folder, 1, "begin", BEGIN)
    write_migration(
        folder, 2, "labels", "ALTER TABLE kept ADD COLUMN label TEXT;\nCREATE INDEX l ON kept (label);\n"
    )
    assert database.state("tests", folder).waiting == ["0001 begin", "0002 labels"]

    done = database.migrate("tests", folder)

    assert [each.name for each in done] == ["begin", "labels"]
    assert database.migrate("tests", folder) == []
    state = database.state("tests", folder)
    assert (state.version, state.known, state.waiting) == (2, 2, [])


def test_a_migration_that_fails_is_undone_and_those_before_it_stay(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "m"
    write_migration(folder, 1, "begin", BEGIN)
    write_migration(folder, 2, "broken", "CREATE TABLE half (a TEXT);\nNONSENSE;\n")

    with pytest.raises(DatabaseError, match="0002 broken of tests failed and was undone"):
        database.migrate("tests", folder)

    assert database.state("tests", folder).version == 1
    with pytest.raises(DatabaseError, match="half"):
        database.read(lambda session: session.execute("SELECT * FROM half"))


def test_a_newer_schema_is_refused_with_what_helps(database: Database, tmp_path: Path) -> None:
    begin(database, tmp_path / "m")
    database.write(
        lambda session: session.execute(
            "INSERT INTO schema_version (component, version, name, applied_at) VALUES ('tests', 7, 'later', 'x')"
        )
    )

    with pytest.raises(NewerSchema, match="version 7, and this program knows version 1: use the newer"):
        database.migrate("tests", tmp_path / "m")


def test_many_that_migrate_at_once_do_it_once(address: str, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write_migration(folder, 1, "begin", BEGIN)
    write_migration(folder, 2, "more", "ALTER TABLE kept ADD COLUMN label TEXT;\n")
    opened = [Database.open(address, tmp_path) for _ in range(6)]
    done: list[object] = []
    threads = [
        threading.Thread(target=lambda each=each: done.extend(each.migrate("tests", folder)))
        for each in opened
    ]

    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(done) == 2
    for each in opened:
        each.close()


def test_marks_for_values_are_those_outside_of_quotes() -> None:
    assert for_psycopg("SELECT '?%''?' , ?, 5 % 2") == "SELECT '?%%''?' , %s, 5 %% 2"


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    database = Database.open("kept/pointsman.db", tmp_path)
    begin(database, tmp_path / "m")
    database.write(put("a"))

    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "kept").iterdir()}

    assert set(modes.values()) == {0o600}
    assert "pointsman.db-wal" in modes
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    database.close()


def test_an_immediate_write_is_read_by_others_at_once(tmp_path: Path) -> None:
    database = Database.open("pointsman.db", tmp_path)
    begin(database, tmp_path / "m")
    immediate = database.immediate(patience=0.05)
    assert immediate is not None

    immediate.write(put("a"))

    assert database.read(names) == ["a"]
    database.close()


def test_a_log_into_which_others_never_cease_to_write_begins_anew_once_it_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "_LONG_LOG_PAGES", 5)
    database = Database.open("pointsman.db", tmp_path)
    begin(database, tmp_path / "m")
    database.close()
    file = tmp_path / "pointsman.db"
    writing, tidying = (sqlite_module.SqliteConnection(file, patience=0.05) for _ in range(2))

    @contextmanager
    def as_who_reads_ends() -> Iterator[None]:
        reading.execute("ROLLBACK")
        yield

    for n in range(10):
        writing.execute("INSERT INTO kept (name, worth) VALUES (?, 1)", (str(n),))
    reading = sqlite3.connect(file, isolation_level=None)
    reading.execute("BEGIN")
    assert reading.execute("SELECT count(*) FROM kept").fetchall() == [(10,)]
    writing.execute("INSERT INTO kept (name, worth) VALUES ('not moved', 1)")
    tidying.checkpoint(nullcontext())  # neither waits for who reads, nor fails
    tidying.checkpoint(as_who_reads_ends())
    long = file.with_name("pointsman.db-wal").stat().st_size
    for n in range(100, 110):
        writing.execute("INSERT INTO kept (name, worth) VALUES (?, 1)", (str(n),))

    assert file.with_name("pointsman.db-wal").stat().st_size == long
    assert len(writing.execute("SELECT name FROM kept")) == 21
    for each in (writing, tidying, reading):
        each.close()


def test_who_writes_tidies_when_asked_and_not_after_a_second_of_quiet() -> None:
    happened: list[str] = []

    class Nowhere:
        def begun(self) -> Connection:
            return cast("Connection", Mock(open=True))

        def given_up(self, error: Exception) -> Exception:
            return error

        def idle(self) -> None:
            happened.append("tidied")

    def said(word: str, meanwhile: threading.Event | None = None) -> Callable[[Session], None]:
        def work(_session: Session) -> None:
            happened.append(word)
            if meanwhile is not None:
                assert meanwhile.wait(30)

        return work

    writer, asked = Writer(Nowhere(), "writes"), threading.Event()
    first = writer.submit(said("first", asked))
    writer.tidy()
    second = writer.submit(said("second"))
    asked.set()
    first.result(30)
    second.result(30)
    writer.submit(said("third")).result(30)
    writer.close()

    assert happened[:4] in (["first", "second", "tidied", "third"], ["first", "tidied", "second", "third"])


def test_an_immediate_write_waits_for_nobody_for_long_and_says_who_is_in_the_way(tmp_path: Path) -> None:
    database = Database.open("pointsman.db", tmp_path)
    begin(database, tmp_path / "m")
    immediate = database.immediate(patience=0.01)
    assert immediate is not None
    other = sqlite3.connect(tmp_path / "pointsman.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(DatabaseError, match="another process has written to it for too long"):
        immediate.write(put("a"))
    assert "another process" in database.trouble()

    other.execute("ROLLBACK")
    immediate.write(put("a"))
    assert database.trouble() == ""
    other.close()
    database.close()


def test_a_file_that_was_removed_takes_nothing_more(tmp_path: Path) -> None:
    database = Database.open("pointsman.db", tmp_path)
    begin(database, tmp_path / "m")
    (tmp_path / "pointsman.db").unlink()

    with pytest.raises(DatabaseError, match="removed or replaced while it was in use"):
        database.write(put("a"))
    assert "removed" in database.trouble()
    database.close()


def test_no_immediate_write_goes_to_a_file_that_is_known_to_be_removed_and_one_that_came_back_goes_on(
    tmp_path: Path,
) -> None:
    database = Database.open("pointsman.db", tmp_path)
    begin(database, tmp_path / "m")
    immediate = database.immediate(patience=0.05)
    assert immediate is not None
    immediate.write(put("a"))
    (tmp_path / "pointsman.db").rename(tmp_path / "elsewhere.db")

    assert "removed" in database.trouble()
    with pytest.raises(DatabaseError, match="removed or replaced while it was in use"):
        immediate.write(put("b"))

    (tmp_path / "elsewhere.db").rename(tmp_path / "pointsman.db")
    immediate.write(put("c"))
    assert database.read(names) == ["a", "c"]
    database.close()


def test_what_is_no_database_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, and no database at all. " * 100)

    with pytest.raises(DatabaseError, match=r"notes\.txt: file is not a database; it is no file of SQLite"):
        Database.open("notes.txt", tmp_path)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mysql://root:s3cret-canary@host/db", "begins with mysql://"),
        ("", "no file for a database"),
        (":memory:", "would keep nothing"),
        ("postgresql://u:s3cret-canary@host", "ends with the name of a database"),
        ("postgresql://u:s3cret-canary@host:port/x", "no address of a Postgres"),
        ("postgresql://u:s3cret-canary@127.0.0.1:1/x?nonsense=1", "nonsense"),
        ("postgresql://u:pass@s3cret-canary@127.0.0.1:1/x", "written as %40"),
        ("postgresql://u:12/s3cret-canary@127.0.0.1:1/x", "written as %40"),
        ("postgresql://u:12/x?s3cret-canary@127.0.0.1:1/x", "written as %40"),
        ("postgresql://u:12/x#s3cret-canary@127.0.0.1:1/x", "written as %40"),
        ("host=127.0.0.1 user=u password=s3cret-canary", "written as a URL"),
        ("postgresql://127.0.0.1:1/x?password=s3cret-canary&port=s3cret-canary", "\\*\\*\\*"),
        ("postgresql://u:s3cret-canary@127.0.0.1:1/x", "(?i)refused"),
    ],
)
def test_an_address_that_will_not_do_is_told_without_its_password(
    address: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DatabaseError, match=said) as caught:
        Database.open(address, tmp_path)

    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_connections_that_broke_are_made_anew(tmp_path: Path) -> None:
    with own_database() as (server, name):
        database = Database.open(server.url(name), tmp_path)
        begin(database, tmp_path / "m")
        database.write(put("a"))
        database.read(names)

        server.break_connections(name)

        assert database.write(put("b")) == "b"
        assert database.read(names) == ["a", "b"]
        assert "passw0rd" not in repr(database.address)
        database.close()


def test_a_file_that_one_process_opens_twice_loses_nothing_to_another_that_comes_and_goes(
    tmp_path: Path,
) -> None:
    """Whoever believes to be the last takes the log away, and what is written to it then goes with it."""
    first = Database.open("pointsman.db", tmp_path)
    begin(first, tmp_path / "m")
    first.write(put("a"))
    second = Database.open("pointsman.db", tmp_path)

    assert elsewhere(tmp_path, "write") == ["a", "elsewhere"]

    first.write(put("b"))
    assert elsewhere(tmp_path, "read") == ["a", "b", "elsewhere"]
    second.close()
    first.close()


_ELSEWHERE = """
import sys
from pathlib import Path
from pointsman_database import Database
database = Database.open("pointsman.db", Path(sys.argv[1]))
if sys.argv[2] == "write":
    database.write(lambda session: session.execute("INSERT INTO kept VALUES ('elsewhere', 1)"))
print(*(row[0] for row in database.read(lambda session: session.execute("SELECT name FROM kept ORDER BY name"))))
database.close()
"""


def elsewhere(directory: Path, what: str) -> list[str]:
    """What another process finds, which opens the database and closes it again."""
    command = [sys.executable, "-c", _ELSEWHERE, str(directory), what]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
