"""An export that somebody else can verify: the records, the checkpoints, what verifies them, and how."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from math import inf
from pathlib import Path
from tempfile import mkdtemp
from zipfile import ZIP_DEFLATED, ZipFile

from msgspec import Struct

from pointsman_audit.asking import Wanted
from pointsman_audit.checking import as_files
from pointsman_audit.sources import Source, files_in, found, lines_of

README = """\
# Audit records of pointsman

`records/` has the log as it was written, a file for each chain; `checkpoints/`, where it is there, what was
said elsewhere of how far it had come. `SHA256SUMS` has the digest of each file.

To verify, with Python 3.9 or newer and nothing else:

    sha256sum --check SHA256SUMS
    python verify.py records/*.jsonl

For a log with a key: `POINTSMAN_AUDIT_KEY=... python verify.py records/*.jsonl`. It prints for each file how
many records are as they were written, and the number of the first that is not; it ends with 0 or 1,
and with 2 where the log has a key and none was given.

A record that says `erased` was erased since, on somebody's demand: its number, its time and its place in the
chain are as they were. A record `gap` counts records that could not be kept. Where nothing else shows it, the
end of a file may have been cut off: compare the last number with the latest checkpoint.
"""


class Packed(Struct, frozen=True):
    """What is in it."""

    files: int
    records: int
    checkpoints: int


def evidence(
    source: Source, output: Path, *, checkpoints: Path | None = None, since: float = -inf, until: float = inf
) -> Packed:
    """Write the folder `output`, or the archive where its name ends with `.zip`.

    Chains go in as a whole where any of their records is of that time: a part would not verify.

    Raises: FileExistsError where it is there already; OSError, DatabaseError.
    """
    if output.exists():
        raise FileExistsError(f"{output} is there already")
    if output.suffix != ".zip":
        output.mkdir(mode=0o700, parents=True)
        return _write(source, output, checkpoints, Wanted(since=since, until=until))
    folder = Path(mkdtemp(prefix="pointsman-evidence-"))
    try:
        packed = _write(source, folder, checkpoints, Wanted(since=since, until=until))
        made = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(made, "wb") as file, ZipFile(file, "w") as archive:
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                archive.write(path, path.relative_to(folder), ZIP_DEFLATED)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return packed


def _write(source: Source, folder: Path, checkpoints: Path | None, wanted: Wanted) -> Packed:
    records = folder / "records"
    records.mkdir(mode=0o700)
    count = chains = 0
    with as_files(source) as there:
        for path in files_in(there):
            number, is_wanted = _counted(path, wanted)
            if is_wanted:
                shutil.copyfile(path, records / path.name)
                count, chains = count + number, chains + 1
    pinned = _copied(checkpoints, folder / "checkpoints")
    (folder / "verify.py").write_bytes((files("pointsman_audit") / "standalone.py").read_bytes())
    (folder / "README.md").write_text(README)
    _sums(folder)
    return Packed(chains, count, pinned)


def _counted(path: Path, wanted: Wanted) -> tuple[int, bool]:
    count, is_wanted = 0, False
    for line in lines_of(path):
        record = found(path.name, line)
        if record is not None:
            count += 1
            is_wanted = is_wanted or wanted.meets(record.facts)
    return count, is_wanted


def _copied(source: Path | None, folder: Path) -> int:
    paths: Sequence[Path] = () if source is None else sorted(source.glob("checkpoints-*.jsonl"))
    if paths:
        folder.mkdir(mode=0o700)
    for path in paths:
        shutil.copyfile(path, folder / path.name)
    return len(paths)


def _sums(folder: Path) -> None:
    paths = sorted(each for each in folder.rglob("*") if each.is_file())
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in paths]
    (folder / "SHA256SUMS").write_text("".join(lines))
