"""A caller's records erased: what they say goes, that they were there stays, and the chain still verifies."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.json import encode

from pointsman.audit_log.chain import UNKEYED, AuditKeys, Line, day_key, parsed, tombstone
from pointsman.audit_log.files import DISK
from pointsman.audit_log.heads import first_record, head_in
from pointsman_audit.asking import Wanted
from pointsman_audit.rows import row_of
from pointsman_audit.sources import Folder, Source, Table, files_in, found, lines_of


class Erased(Struct, frozen=True):
    """What became of it.

    Attributes:
        records: whose content is gone.
        left: places that still hold some, each with why.
    """

    records: int
    left: Sequence[str] = ()


KeyOf = Callable[[str], bytes | None]
"""The key of today, for a chain whose key has that fingerprint; None where it is not known."""


def erase(source: Source, caller: str, now: float, keys: AuditKeys | None = None) -> Erased:
    """Erase what the records of `caller` say. Each of them stays as a tombstone: its number, time and kind.

    A file that a process still writes is left, for it cannot be changed under its hands.

    Args:
        now: seconds since 1970.
        keys: of the log; a chain that has a key is left where it is not among them.

    Raises: OSError, DatabaseError.
    """
    assert caller, "nobody's records are those of all who are not known"
    ts = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    keys = keys or AuditKeys()

    def key_of(fingerprint: str) -> bytes | None:
        return keys.of(fingerprint, ts[:10]) if fingerprint else day_key(UNKEYED, ts[:10])

    if isinstance(source, Table):
        return _in_table(source, caller, ts, key_of)
    assert isinstance(source, Folder), "there are two kinds"
    return _in_files(source, caller, ts, key_of)


def _in_files(source: Folder, caller: str, ts: str, key_of: KeyOf) -> Erased:
    count, left = 0, []
    for path in files_in(source.path):
        theirs = sum(_is_of(caller, path.name, line) for line in lines_of(path))
        if not theirs:
            continue
        head = first_record(path)
        key = key_of("" if head is None else head.chain)
        if path.suffix == ".gz":
            left.append(f"{path.name}: it is packed; unpack it first")
        elif key is None:
            left.append(f"{path.name}: its key is not given")
        elif not _rewrite(path, caller, ts, key):
            left.append(f"{path.name}: it is being written; ask again when it is over")
        else:
            count += theirs
    return Erased(count, left)


def _is_of(caller: str, place: str, line: bytes) -> bool:
    record = found(place, line)
    return record is not None and record.facts.caller == caller


def _rewrite(path: Path, caller: str, ts: str, key: bytes) -> bool:
    """Put another file in its place, whole or not at all; False where a process has it that still writes."""
    with path.open("r+b") as held:
        if not DISK.lock(held.fileno()):
            return False
        _replace(path, caller, ts, key)
    return True


def _replace(path: Path, caller: str, ts: str, key: bytes) -> None:
    new = path.with_name(f".{path.name}.erasing")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for line in lines_of(path):
            file.write(_erased(line, ts, key) if _is_of(caller, path.name, line) else line)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _erased(line: bytes, ts: str, key: bytes) -> bytes:
    chained: Line | None = parsed(line)
    if chained is not None:
        return tombstone(chained, ts, key)
    record = found("", line)  # of a version without a chain
    assert record is not None, "it was found"
    kept = {name: record.record[name] for name in ("v", "seq", "ts", "event") if name in record.record}
    return encode({**kept, "erased": ts}) + b"\n"


def _in_table(source: Table, caller: str, ts: str, key_of: KeyOf) -> Erased:
    keys_of, count, left = dict[str, bytes | None](), 0, list[str]()
    where, values = Wanted(caller=caller).sql()
    changed = []
    for id, writer, text in source.table.select(where, values):
        if writer not in keys_of:
            keys_of[writer] = key_of(_fingerprint(source, writer))
            if keys_of[writer] is None:
                left.append(f"{writer}: its key is not given")
        if (key := keys_of[writer]) is not None:
            line = _erased(text.encode() + b"\n", ts, key)
            changed.append((*row_of(writer, line), id))
            count += 1
    source.table.replace(changed)
    return Erased(count, left)


def _fingerprint(source: Table, writer: str) -> str:
    for _, _, text in source.table.select("writer = ? AND event = 'open'", (writer,), most=1):
        line = parsed(text.encode())
        head = None if line is None else head_in(line)
        return "" if head is None else head.chain
    return ""
