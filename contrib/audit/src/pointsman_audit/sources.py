"""Where records are read from: folders of JSON lines and tables, by one interface."""

from __future__ import annotations

import gzip
import heapq
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from pointsman.audit_log.chain import AuditKeys
from pointsman.audit_log.retention import let_go
from pointsman.builtin.audit import KeySettings, key_of
from pointsman_audit.asking import Wanted
from pointsman_audit.records_table import RecordsTable
from pointsman_audit.rows import Facts, facts_of, record_in
from pointsman_database import Database, read_address

LONGEST_LINE = 1 << 20
"""Bytes; what is longer is no record."""


class Found(Struct, frozen=True):
    """One record.

    Attributes:
        place: the file that it is in, or who wrote it into a table.
        line: as it was written, without the newline.
    """

    place: str
    line: bytes
    record: Mapping[str, Any]
    facts: Facts


class Source(Protocol):
    """One place with records. What it does blocks.

    Attributes:
        shown: where it is, for people.
    """

    shown: str

    def records(self, wanted: Wanted) -> Iterator[Found]:
        """All that are wanted, the oldest first; lines that are no records are left out."""

    def latest(self, wanted: Wanted, most: int, *, before: str = "") -> tuple[Sequence[Found], str]:
        """The latest that are wanted, the last one first, and what to say as `before` for those before them.

        That is "" where there are none.
        """

    def followed(self, wanted: Wanted) -> Iterator[Found | None]:
        """Those that are written from now on; None whenever there is nothing more by now."""

    def size_bytes(self) -> int:
        """How much room the records take."""

    def prune(
        self,
        wall: Callable[[], float],
        *,
        age: float | None,
        size_bytes: int | None,
        checkpoints: Path | None = None,
        key: bytes = b"",
    ) -> Sequence[str]:
        """Let whole files or chains go that are older or too much; their names. As `let_go`."""

    def close(self) -> None:
        """Give it back."""


def found(place: str, line: bytes) -> Found | None:
    """The record in `line`; None for what is none."""
    try:
        record = record_in(line)
        return Found(place, line.rstrip(b"\n"), record, facts_of(record))
    except ValueError:
        return None


def files_in(path: Path) -> Sequence[Path]:
    """The files of records in a folder, in the order in which they were begun; or the one that `path` is."""
    if not path.is_dir():
        return [path]
    names = (".jsonl", ".jsonl.gz")
    # A pipe of such a name would keep whoever reads it for ever.
    found = (each for each in path.iterdir() if each.name.endswith(names) and each.is_file())
    return sorted(found, key=lambda each: each.name)


def lines_of(path: Path) -> Iterator[bytes]:
    """Its lines, also of one that is packed with gzip. Raises OSError, EOFError."""
    with _opened(path) as file:
        while line := file.readline(LONGEST_LINE):
            yield line


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


class Folder:
    """JSON lines, in the files of a folder or in one file."""

    def __init__(self, path: Path) -> None:
        self.shown = str(path)
        self.path = path

    def records(self, wanted: Wanted) -> Iterator[Found]:
        # Each process writes a file of its own, so that those of one time stand in several.
        return heapq.merge(
            *(self._of(path, wanted) for path in files_in(self.path)), key=lambda each: each.facts.at
        )

    def _of(self, path: Path, wanted: Wanted) -> Iterator[Found]:
        if path.stat().st_mtime < wanted.since:
            return
        for line in lines_of(path):
            if (each := found(path.name, line)) is not None and wanted.meets(each.facts):
                yield each

    def latest(self, wanted: Wanted, most: int, *, before: str = "") -> tuple[Sequence[Found], str]:
        offset = int(before) if before.isdecimal() else 0
        kept = deque(self.records(wanted), maxlen=offset + most + 1)
        shown = [*reversed(kept)][offset : offset + most]
        return shown, str(offset + most) if len(kept) > offset + most else ""

    def followed(self, wanted: Wanted) -> Iterator[Found | None]:
        ends = {path: path.stat().st_size for path in files_in(self.path)}
        yield None
        while True:
            for path in files_in(self.path):
                for line in self._behind(path, ends):
                    if (each := found(path.name, line)) is not None and wanted.meets(each.facts):
                        yield each
            yield None

    def _behind(self, path: Path, ends: dict[Path, int]) -> Iterator[bytes]:
        """Whole lines that were not there before."""
        if path.suffix == ".gz":
            return
        try:
            with path.open("rb") as file:
                file.seek(ends.get(path, 0))
                while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
                    ends[path] = file.tell()
                    yield line
        except FileNotFoundError:  # rotated away
            return

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in files_in(self.path))

    def prune(
        self,
        wall: Callable[[], float],
        *,
        age: float | None,
        size_bytes: int | None,
        checkpoints: Path | None = None,
        key: bytes = b"",
    ) -> Sequence[str]:
        gone = let_go(
            self.path, wall, time.monotonic, age=age, size_bytes=size_bytes, checkpoints=checkpoints, key=key
        )
        return [each.path.name for each in gone]

    def close(self) -> None:
        """Nothing is open."""


class Table:
    """The table of a database."""

    def __init__(self, address: str, directory: Path) -> None:
        self.shown = read_address(address, directory).shown
        self.table = RecordsTable(Database.open(address, directory))

    def records(self, wanted: Wanted) -> Iterator[Found]:
        where, values = wanted.sql()
        for _, writer, text in self.table.select(where, values):
            if (each := found(writer, text.encode())) is not None:
                yield each

    def latest(self, wanted: Wanted, most: int, *, before: str = "") -> tuple[Sequence[Found], str]:
        where, values = wanted.sql()
        start = int(before) if before.isdecimal() else None
        shown, last = list[Found](), ""
        for id, writer, text in self.table.select(where, values, backwards=True, after=start, most=most + 1):
            if len(shown) == most:
                return shown, last
            if (each := found(writer, text.encode())) is not None:
                shown.append(each)
            last = str(id)
        return shown, ""

    def followed(self, wanted: Wanted) -> Iterator[Found | None]:
        where, values = wanted.sql()
        start = self.table.last()
        yield None
        while True:
            for id, writer, text in self.table.select(where, values, after=start):
                start = id
                if (each := found(writer, text.encode())) is not None:
                    yield each
            yield None

    def size_bytes(self) -> int:
        return self.table.size_bytes()

    def prune(
        self,
        wall: Callable[[], float],
        *,
        age: float | None,
        size_bytes: int | None,
        checkpoints: Path | None = None,
        key: bytes = b"",
    ) -> Sequence[str]:
        before = [each.name for each in self.table.chains()]
        # Who writes it keeps its own; what was written today may be anybody's.
        self.table.keep(wall(), age=age, size_bytes=size_bytes, current=before[-1] if before else "")
        left = {each.name for each in self.table.chains()}
        return [name for name in before if name not in left]

    def close(self) -> None:
        self.table.close()


class Place(Struct, frozen=True):
    """Where a configuration, or somebody, says that records are.

    Attributes:
        kind: `jsonl`, `sqlite` or `postgres`.
        at: the path, or the address.
        directory: where paths begin.
        settings: of the sink, where it is one.
    """

    kind: str
    at: str
    directory: Path
    settings: Mapping[str, Any] = {}

    def keys(self) -> AuditKeys:
        """Those of its chain, as far as its settings say it. Raises ConfigError."""
        given = self.settings.get("key")
        key = key_of(KeySettings.model_validate(given)) if given else b""
        return AuditKeys((key,) if key else ())

    def checkpoints(self) -> Path | None:
        """The folder of its checkpoints, where it has one."""
        told = self.settings.get("checkpoints")
        folder = told.get("directory") if isinstance(told, Mapping) else None
        return Path(str(folder)) if folder else None

    def open(self) -> Source:
        """What reads it. Raises OSError, DatabaseError."""
        if self.kind == "jsonl":
            path = self.directory / os.path.expanduser(self.at)
            if not path.exists():
                raise FileNotFoundError(f"there are no records at {path}")
            return Folder(path)
        if self.kind == "sqlite" and not (self.directory / self.at.removeprefix("sqlite:")).exists():
            raise FileNotFoundError(f"there is no database at {self.at}")
        return Table(self.at, self.directory)


def place_named(text: str, directory: Path) -> Place:
    """What somebody means who names a folder, a file or an address."""
    if text.startswith(("postgresql:", "postgres:")):
        return Place("postgres", text, directory)
    path = directory / os.path.expanduser(text)
    if text.startswith("sqlite:") or (path.is_file() and _is_sqlite(path)):
        return Place("sqlite", text, directory)
    return Place("jsonl", text, directory)


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def with_settings(place: Place, configured: Sequence[Place]) -> Place:
    """`place`, with what a configuration says of the sink that writes there; as it is where none does."""
    where = _where(place)
    for each in configured:
        if _where(each) == where:
            return replace(place, settings=each.settings)
        if each.kind == "jsonl" and isinstance(where, Path) and _where(each) == where.parent:
            # Of the other files that checkpoints tell of nothing was asked.
            return replace(
                place, settings={name: each.settings[name] for name in ("key",) if name in each.settings}
            )
    return place


def _where(place: Place) -> Path | str:
    if place.kind == "postgres":
        return place.at
    return (place.directory / os.path.expanduser(place.at.removeprefix("sqlite:"))).resolve()


_AT = {"jsonl": "path", "sqlite": "database", "postgres": "database"}


def places_in(section: object, directory: Path) -> Sequence[Place]:
    """Where the section `audit` of a configuration has records written that can be read again."""
    places = []
    for each in section if isinstance(section, list) else ():
        kind = str(each.get("type")) if isinstance(each, Mapping) else ""
        if (key := _AT.get(kind)) and each.get(key):
            at = each[key]
            text = at.reveal() if hasattr(at, "reveal") else str(at)
            # A path of `jsonl` begins where the process runs, as its sink has it.
            places.append(Place(kind, text, Path() if kind == "jsonl" else directory, each))
    return places
