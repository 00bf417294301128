"""Whether records are as they were written, wherever they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from pointsman.audit_log.chain import AuditKeys
from pointsman.audit_log.verify import Verification, verify
from pointsman_audit.sources import Folder, Source, Table

Progress = Callable[[int, int], None]


def verified(
    source: Source,
    *,
    keys: AuditKeys | None = None,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> Verification:
    """What `verify` finds; a table is written out for that, a file for each of its chains, and deleted after.

    Raises: OSError, DatabaseError.
    """
    with as_files(source) as path:
        files = path if path.is_dir() else [path]
        return verify(files, keys=keys, checkpoints=checkpoints, progress=progress)


@contextmanager
def as_files(source: Source) -> Iterator[Path]:
    """The records as the files that `jsonl` would have written; those of a table in a folder for the time."""
    if isinstance(source, Folder):
        yield source.path
        return
    assert isinstance(source, Table), "there are two kinds"
    folder = Path(mkdtemp(prefix="pointsman-audit-"))
    try:
        write_chains(source, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_chains(table: Table, folder: Path) -> None:
    """A file for each chain, as it is kept."""
    for chain in table.table.chains():
        path = folder / f"audit-{chain.name}.jsonl"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for _, _, text in table.table.select("writer = ?", (chain.name,)):
                file.write(text.encode() + b"\n")
