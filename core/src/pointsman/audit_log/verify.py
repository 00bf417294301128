"""Whether a log is as it was written: every line, every link between files, and what checkpoints pin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.json import decode

from pointsman.audit_log.chain import AuditKeys, Line, Link, parsed, proven, wrong
from pointsman.audit_log.checkpoints import EVERY
from pointsman.audit_log.heads import ENDS, first_record, head_in

LONGEST = 64 * 1024 * 1024
"""Bytes of a line that are read at most; none is nearly as long."""
_STEP = 1024 * 1024
_LOG, _CHECKPOINTS = "audit-*.jsonl", "checkpoints-*.jsonl"


class Flaw(Struct, frozen=True):
    """One thing that is wrong with a log.

    Attributes:
        file: the name of the file.
        seq: the first number that cannot be trusted any more; 0 where it is all of the file.
        kind: `changed`, `missing`, `truncated`, `key`, `no_key`, `file`, `erased`. `no_key`: nobody gave any,
            so that nothing is known of the file, neither good nor bad.
        text: what is wrong, as a sentence without the file's name.
    """

    file: str
    seq: int
    kind: str
    text: str


class VerifiedFile(Struct):
    """What was found in one file.

    Attributes:
        name: of the file; id: the one in its first record.
        records: lines that are as they were written; erased: those of them that were erased since.
        first, last: the numbers of the first and the last of them, 0 for none.
        gaps: records that are missing by the log's own account.
        keyed: its chain has a key.
        ended: its last record says that no other follows.
        torn: bytes at its end that are no line: it is being written, or was when its process died.
        mac: of its last good record.
    """

    name: str
    id: str = ""
    records: int = 0
    erased: int = 0
    first: int = 0
    last: int = 0
    gaps: int = 0
    keyed: bool = False
    ended: bool = False
    torn: int = 0
    mac: str = ""


class Verification(Struct):
    """What `verify` found.

    Attributes:
        files: in the order of their names; findings: what is wrong, at most one for each file.
        compared: a directory of checkpoints was given; checkpoints: how many of them were compared.
        unlinked: files whose predecessor is not there, such as the oldest.
    """

    files: list[VerifiedFile] = field(default_factory=list)
    findings: list[Flaw] = field(default_factory=list)
    compared: bool = False
    checkpoints: int = 0
    unlinked: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def records(self) -> int:
        """Lines that are as they were written."""
        return sum(each.records for each in self.files)


class _Pin(Struct, frozen=True, gc=False):
    """What a file must have at a number, and who says so."""

    mac: str
    by: str


_Pins = dict[str, dict[int, _Pin]]


def verify(
    source: Path | Sequence[Path],
    *,
    keys: AuditKeys | None = None,
    checkpoints: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Look at every line of a log.

    It reads the files once, line by line; what it keeps does not grow with them but for the checkpoints.

    Args:
        source: the directory of the log, or its files.
        keys: of the log; where there are some, a file whose chain has none is a finding.
        checkpoints: the directory that the log's checkpoints go to.
        progress: is told how many bytes of how many were read, now and then.

    Raises: OSError when something cannot be read.
    """
    files = _files(source, _LOG)
    pins: _Pins = {}
    found = Verification(compared=checkpoints is not None)
    keys = keys or AuditKeys()
    told = _Progress(progress, sum(each.stat().st_size for each in files))
    if checkpoints is not None:
        _read_checkpoints(checkpoints, keys, found, pins)
    told_of = frozenset(
        pins
    )  # by checkpoints: where the next file begins, the last of one is pinned once more
    _read_heads(files, pins)
    names = {each.name for each in files}
    for path in files:
        look = _Look(path.name, keys, pins.get(path.name, {}))
        look.through(path, told)
        found.files.append(look.file)
        if look.finding is not None:
            found.findings.append(look.finding)
        if look.previous and look.previous not in names:
            found.unlinked.append(path.name)
    found.findings += _copies(found.files)
    for name in sorted(told_of - names):
        found.findings.append(Flaw(name, 0, "file", "a checkpoint tells of it, and it is not there"))
    if found.compared and not found.checkpoints:
        found.findings += _too_long_for_none(found.files)
    return found


class _Look:
    """The lines of one file, one after the other."""

    def __init__(
        self, name: str, keys: AuditKeys, pins: Mapping[int, _Pin], see: Callable[[Line], None] | None = None
    ) -> None:
        self.file = VerifiedFile(name)
        self.finding: Flaw | None = None
        self.previous = ""
        self._keys, self._tell = keys, see
        self._fingerprint = ""
        self._day, self._key = "", b""
        self._link: Link | None = None
        self._unmet = dict(pins)

    def through(self, path: Path, told: _Progress) -> None:
        with path.open("rb") as file:
            for line in iter(lambda: file.readline(LONGEST), b""):
                told.read(len(line))
                if self.finding is None:
                    self._see(line)
        self._end()

    def _see(self, raw: bytes) -> None:
        if not raw.endswith(b"\n"):
            self.file.torn = len(raw)
            return
        line, expected = parsed(raw), 1 if self._link is None else self._link.seq + 1
        if line is None:
            self._bad(expected, "changed", "it is no record")
        elif self._link is None and not self._begins(line):
            return
        elif (key := self._key_of(line)) is None:
            given = self._keys.roots or self._keys.days
            self._bad(line.seq, "key" if given else "no_key", "it was made with a key that is not given")
        elif why := wrong(line, self._link, key):
            if self._link is not None and line.first_seq() > expected:
                self._bad(expected, "missing", f"the next that is there is {line.seq}")
            else:
                self._bad(min(expected, line.seq) if self._link is None else expected, "changed", why)
        elif line.erased and not proven(line, self._keys, self._fingerprint):
            self._bad(line.seq, "erased", "it was erased by somebody without the key")
        else:
            self._good(line)

    def _begins(self, line: Line) -> bool:
        head = head_in(line)
        if head is None:
            self._bad(1, "missing", "its first record is missing")
            return False
        self.file.id, self.previous = head.file, head.previous
        self._fingerprint, self.file.keyed = head.chain, bool(head.chain)
        if (self._keys.roots or self._keys.days) and not head.chain:
            self._bad(line.seq, "key", "its chain has no key")
            return False
        if line.seq != 1 and (not head.previous or head.previous_seq != line.seq - 1):
            self._bad(line.seq, "changed", "it does not go on where it says")
            return False
        return True

    def _key_of(self, line: Line) -> bytes | None:
        if line.ts[:10] != self._day:
            key = self._keys.of(self._fingerprint, line.ts[:10])
            if key is None:
                return None
            self._day, self._key = line.ts[:10], key
        return self._key

    def _good(self, line: Line) -> None:
        file, pin = self.file, self._unmet.pop(line.seq, None)
        if pin is not None and pin.mac != line.mac:
            self._bad(line.seq, "changed", f"{pin.by} knows it otherwise")
            return
        file.records += 1
        file.erased += line.erased
        file.gaps += line.seq - line.first_seq()
        file.first, file.last, file.mac = file.first or line.seq, line.seq, line.mac
        file.ended = line.event in ENDS
        self._link = line.link
        if self._tell is not None:
            self._tell(line)

    def _end(self) -> None:
        if self.finding is not None or not self._unmet:
            return
        last, first = max(self._unmet), self.file.last + 1
        by = self._unmet[last].by
        if last < first:
            self._bad(last, "changed", f"{by} knows of a record of that number, and there is none")
        else:
            self._bad(first, "truncated", f"records {first} to {last} are missing, of which {by} knows")

    def _bad(self, seq: int, kind: str, text: str) -> None:
        self.finding = Flaw(self.file.name, seq, kind, text)


class _Progress:
    """Tells how far the reading has come, in steps."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress, self._total = progress, total
        self._bytes = self._next = 0

    def read(self, count: int) -> None:
        self._bytes += count
        if self._progress is not None and self._bytes >= self._next:
            self._next = self._bytes + _STEP
            self._progress(self._bytes, self._total)


def _files(source: Path | Sequence[Path], pattern: str) -> list[Path]:
    """Those that are files: what else has such a name, a pipe for one, could keep a reader for ever."""
    found = source.glob(pattern) if isinstance(source, Path) else source
    return sorted((each for each in found if each.is_file()), key=lambda each: each.name)


def _read_heads(files: Sequence[Path], pins: _Pins) -> None:
    """What the beginnings of files say of those before them goes into `pins`."""
    for path in files:
        if (head := first_record(path)) is not None and head.previous:
            pins.setdefault(head.previous, {})[head.previous_seq] = _Pin(head.prev, path.name)


def _copies(files: Sequence[VerifiedFile]) -> list[Flaw]:
    """Files that are there twice, whose records would be counted twice."""
    names: dict[str, str] = {}
    return [
        Flaw(file.name, 0, "file", f"it is {first} once more")
        for file in files
        if file.records and (first := names.setdefault(file.id, file.name)) != file.name
    ]


def _too_long_for_none(files: Sequence[VerifiedFile]) -> list[Flaw]:
    """The files that are so long that there was a checkpoint."""
    found = "it is so long that it had checkpoints, and there are none"
    return [Flaw(each.name, 0, "file", found) for each in files if each.last - each.first >= EVERY]


def _read_checkpoints(directory: Path, keys: AuditKeys, found: Verification, pins: _Pins) -> None:
    """Verify the checkpoints, which are a log of their own; what they pin goes into `pins`."""
    retired: set[str] = set()
    for path in _files(directory, _CHECKPOINTS):

        def see(line: Line, by: str = path.name) -> None:
            said: dict[str, Any] = decode(b"{" + line.body[1:] + b"}")
            if line.event == "checkpoint":
                pins.setdefault(said["log"], {})[said["at"]] = _Pin(said["of"], by)
                found.checkpoints += 1
            elif line.event == "retired":
                retired.add(said["log"])

        look = _Look(path.name, keys, {}, see)
        look.through(path, _Progress(None, 0))
        if look.finding is not None:
            found.findings.append(look.finding)
    for name in retired:
        pins.pop(name, None)
