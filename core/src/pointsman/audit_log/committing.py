"""Groups of records, on their way to the disk: chained, written, synced, and only then counted as kept.

Of one thread, and without one of its own: whoever has a thread, or a test, calls it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path

from msgspec import Struct

from pointsman.audit_log.chain import Link, day_key, fingerprint_of, head_of, mac_of, tail_of
from pointsman.audit_log.files import DISK, Disk, LineFile
from pointsman.audit_log.heads import Head
from pointsman.audit_log.records import Gap, body_of, record_of, timestamp
from pointsman.clock import random_bytes

SLOW = 0.25
"""Seconds after which a disk is slow that has not answered."""
_FULL = frozenset({ENOSPC, EDQUOT, EFBIG})
_log = logging.getLogger("pointsman")


class Entry(Struct, frozen=True, gc=False):
    """A record before it has a number.

    Attributes:
        body: what it says, each member after a comma.
        missing, reason: how many records a `gap` stands for, and why.
        from_seq: the first of those, where they have numbers already; 0 for the next that come.
    """

    ts: str
    event: str
    body: bytes = b""
    missing: int = 0
    reason: str = ""
    from_seq: int = 0


class Rotation(Struct, frozen=True):
    """When a file is followed by another one: bytes, and seconds."""

    size: int = 64 * 1024 * 1024
    age: float = 86_400.0


DAILY = Rotation()


class Origin(Struct, frozen=True):
    """What a chain goes on from: the last file before it, if there is one."""

    name: str = ""
    link: Link = Link()


class Counts(Struct):
    """What the disk did, since the log was opened.

    Attributes:
        syncs: groups that were synced; full: refusals for want of room; failed: of any other kind;
        slow: groups that took longer than `SLOW`; abandoned: files after a failed sync; removed: files that
        somebody deleted.
    """

    syncs: int = 0
    full: int = 0
    failed: int = 0
    slow: int = 0
    abandoned: int = 0
    removed: int = 0


class Committer:
    """Writes entries to a file of its own, and to another when that is full, old, deleted or untrustworthy.

    Attributes:
        link: the number and the mac of the last record that is kept.
        path: the file that is being written.
        counts: what the disk did.
    """

    def __init__(
        self,
        directory: Path,
        *,
        wall: Callable[[], float],
        now: Callable[[], float],
        key: bytes = b"",
        prefix: str = "audit",
        synced: bool = True,
        rotation: Rotation = DAILY,
        rotated: Callable[[], object] = lambda: None,
        disk: Disk = DISK,
        chance: Callable[[int], bytes] = random_bytes,
    ) -> None:
        """Create the first file. Raises OSError.

        Args:
            now: any clock in seconds that only moves forward.
            rotated: called once a file was followed by another.
        """
        self._directory, self._prefix = directory, prefix
        self._wall, self._now, self._chance = wall, now, chance
        self._key, self._disk, self._synced, self._rotation = key, disk, synced, rotation
        self._rotated = rotated
        self._day, self._day_key = "", b""
        self._file = self._created()
        self._headed = False
        self._origin = Origin()
        self._first = 0
        self._gone, self._fate = 0, ""
        self.link = Link()
        self.counts = Counts()

    @property
    def path(self) -> Path:
        return self._file.path

    def go_on_from(self, origin: Origin) -> None:
        """Have the chain begin with the last record of another file. Before the first commit."""
        self._origin = origin

    def commit(self, entries: Sequence[Entry]) -> int:
        """Keep as many of the entries as can be, in order; returns how many are kept for good.

        Raises: OSError when none is, or not all: ask again with the rest. What was kept by then is in `link`.
        """
        try:
            self._prepare()
            return self._write(entries)
        except OSError as error:
            if error.errno in _FULL:
                self.counts.full += 1
            else:
                self.counts.failed += 1
            raise

    def close(self, *, reason: str = "closed") -> None:
        """Say that no record follows, if the disk takes it, and give the file back. Raises OSError."""
        try:
            if self._headed and not self._file.gone:
                self._write([self._own("close", b',"reason":"%s"' % reason.encode())])
        finally:
            self._file.close()

    # ── files ────────────────────────────────────────────────────────────────────────────────────────

    def _created(self) -> LineFile:
        self._begun_at = self._now()
        return LineFile(self._directory, self._wall(), prefix=self._prefix, disk=self._disk)

    def _prepare(self) -> None:
        """Have a file that begins as it should. Raises OSError."""
        if self._file.abandoned:
            self._file = self._created()
            self._headed = False
        elif gone := self._file.gone:
            self._replace_gone(gone)
        elif self._headed and self._is_due():
            self._rotate()
        if not self._headed:
            self._begin()
        if self._gone:
            first, count = self._gone, self.link.seq - self._gone
            self._write([Entry(self._ts(), "gap", b"", count, f"file {self._fate}", first)])
            # A file that is deleted as well takes the account of this one with it.
            self._first, self._gone = first, 0

    def _begin(self) -> None:
        of = self._origin
        said = Head(self._chance(8).hex(), fingerprint_of(self._key), of.name, of.link.seq)
        # Where another writer's chain is gone on with, the numbers begin anew: several may go on from there.
        self._write([self._own("open", said.body())], prev=of.link.mac)
        self._headed, self._first = True, self.link.seq
        self._origin = Origin(self._file.path.name, self.link)

    def _is_due(self) -> bool:
        return self._file.size >= self._rotation.size or self._now() - self._begun_at >= self._rotation.age

    def _rotate(self) -> None:
        try:
            following = self._created()
        except OSError as error:  # there is a file, and it works
            _log.warning("the audit goes on in %s: %s", self._file.path.name, error.strerror)
            self._begun_at = self._now()
            return
        former = self._file
        try:
            self._write([self._own("close", b',"reason":"rotated"')])
        except OSError:
            self._disk.remove(following.path)
            following.close()
            raise
        self._file, self._headed = following, False
        self._origin = Origin(former.path.name, self.link)
        former.close()
        self._rotated()

    def _replace_gone(self, fate: str) -> None:
        """Begin another file when that of before is gone: its first record counts what went with it."""
        # The old one is closed last: where no new one can be had, it is still there to be tried.
        gone, self._file = self._file, self._created()
        self.counts.removed += 1
        _log.error("the audit file %s was %s; going on in %s", gone.path, fate, self._file.path)
        self._headed, self._origin = False, Origin(gone.path.name, self.link)
        self._gone, self._fate = self._gone or self._first, fate
        gone.close()

    def _own(self, event: str, body: bytes) -> Entry:
        return Entry(self._ts(), event, body)

    def _ts(self) -> str:
        return timestamp(int(self._wall() * 1e3))

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────

    def _write(self, entries: Sequence[Entry], *, prev: str = "") -> int:
        began = self._now()
        data, links = self._lines(entries, prev)
        whole, failure = self._file.append(data, len(entries))
        if whole:
            if self._synced:
                self._sync()
            self.link = links[whole - 1]
        if self._now() - began > SLOW:
            self.counts.slow += 1
        if failure is not None:
            raise _Partly(whole, failure)
        return whole

    def _sync(self) -> None:
        try:
            self._file.sync()
        except OSError:
            # What is in it now nobody can know, whatever the next attempt says: never again this file.
            self._file.abandon()
            self.counts.abandoned += 1
            if self._headed:  # else nothing in it is kept
                self._origin = Origin(self._file.path.name, self.link)
            raise
        self.counts.syncs += 1

    def _lines(self, entries: Sequence[Entry], prev: str) -> tuple[bytes, list[Link]]:
        seq, mac = self.link.seq, prev or self.link.mac
        salts, at = self._chance(8 * len(entries)).hex().encode(), 0
        written, links, group = [], [], b',"group":true' if self._synced else b""
        for entry in entries:
            body = entry.body
            if entry.event == "gap":
                first = entry.from_seq or seq + 1
                if not entry.from_seq:
                    seq += entry.missing
                body = body_of(record_of(Gap(first, entry.missing, entry.reason), 0, entry.ts))
            seq += 1
            body = b',"salt":"%s"%s%s' % (salts[at : at + 16], group, body)
            at, group = at + 16, b""
            head, tail = head_of(seq, entry.ts, entry.event), tail_of(body, mac)
            if entry.ts[:10] != self._day:
                self._day = entry.ts[:10]
                self._day_key = day_key(self._key, self._day)
            mac = mac_of(self._day_key, head + tail)
            written.append(b'%s%s%s,"mac":"%s"}\n' % (head, body, tail, mac.encode()))
            links.append(Link(seq, mac))
        return b"".join(written), links


class _Partly(OSError):
    """The disk took so many of the entries, and no more.

    Attributes:
        kept: how many are kept.
    """

    def __init__(self, kept: int, why: OSError) -> None:
        super().__init__(why.errno, why.strerror or type(why).__name__)
        self.kept = kept


def kept_of(error: OSError) -> int:
    """How many of the entries of a commit that failed are kept."""
    return error.kept if isinstance(error, _Partly) else 0
