"""What a process left behind that died: torn lines are cut off its end, its chain is looked at and ended."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.json import encode

from pointsman.audit_log.chain import (
    AuditKeys,
    Line,
    Link,
    day_key,
    head_of,
    mac_of,
    parsed,
    tail_of,
    wrong,
)
from pointsman.audit_log.committing import Entry, Origin
from pointsman.audit_log.files import DISK, Disk
from pointsman.audit_log.heads import ENDS, head_in
from pointsman.clock import random_bytes

WITHIN = 2.0
"""Seconds that the files of others are looked at, at a start; what is left is for the next one."""
_TAIL = 64 * 1024


class Examined(Struct, frozen=True):
    """What the bytes of a file come to.

    Attributes:
        good: how many of them are whole lines that follow each other; link: of the last of these.
        torn: how many follow that were never acknowledged.
        broken: the number of the first record that is wrong though it was; 0 for none. why: in words.
        ended: its last record says that none follows.
    """

    good: int = 0
    link: Link = Link()
    torn: int = 0
    broken: int = 0
    why: str = ""
    ended: bool = False


class Recovered(Struct, frozen=True):
    """A file that was looked at.

    Attributes:
        found: as it was; link: the last record of it now.
    """

    name: str
    found: Examined
    link: Link

    def entry(self, ts: str) -> Entry:
        """The record that tells of a broken file."""
        said = {"file": self.name, "record": self.found.broken, "reason": self.found.why}
        return Entry(ts, "broken", b"," + encode(said)[1:-1])


def examined(data: bytes | mmap.mmap, keys: AuditKeys, pin: Link | None = None) -> Examined:
    """Look at the bytes of a file.

    What follows the last good line was never acknowledged unless a later group begins in it: a group is begun
    when the one before is on the disk.

    Args:
        pin: a record that is known to be right, from which on it is looked at.
    """
    at, fingerprint, ended = 0, None, False
    link: Link | None = None
    if pin is not None and (found := data.find(b'"mac":"%s"}\n' % pin.mac.encode())) >= 0:
        at = data.find(b"\n", found) + 1
        link = pin
    opening = parsed(data[: data.find(b"\n") + 1])
    if opening is not None and (head := head_in(opening)) is not None:
        fingerprint = head.chain
    size = len(data)
    while at < size:
        end = data.find(b"\n", at) + 1
        line = parsed(data[at:end]) if end else None
        why = "it is no record" if line is None else _wrong(line, link, keys, fingerprint)
        if line is None or why:
            seq = 1 if link is None else link.seq + 1
            if _goes_on(data, end, keys, fingerprint):
                return Examined(at, link or Link(), 0, seq, why)
            return Examined(at, link or Link(), size - at)
        at, link, ended = end, line.link, line.event in ENDS
    if pin is not None and (link is None or link.seq < pin.seq):
        first = 1 if link is None else link.seq + 1
        return Examined(at, link or Link(), 0, first, f"a checkpoint knows of record {pin.seq}")
    return Examined(at, link or Link(), ended=ended)


def _wrong(line: Line, before: Link | None, keys: AuditKeys, fingerprint: str | None) -> str:
    if fingerprint is None:
        return "its first record is missing"
    key = keys.of(fingerprint, line.ts[:10])
    return "it was made with another key" if key is None else wrong(line, before, key)


def _goes_on(data: bytes | mmap.mmap, at: int, keys: AuditKeys, fingerprint: str | None) -> bool:
    """Whether a group begins from there on: then what is before was acknowledged."""
    while at and at < len(data):
        end = data.find(b"\n", at) + 1
        line = parsed(data[at:end]) if end else None
        if line is not None and line.begins_group and not _wrong(line, None, keys, fingerprint):
            return True
        at = end
    return False


class Recovery:
    """Looks after the files of a directory that nobody holds. Arguments as of `Committer`."""

    def __init__(
        self,
        directory: Path,
        *,
        key: bytes,
        ts: str,
        now: Callable[[], float],
        prefix: str = "audit",
        pins: Mapping[str, Link] | None = None,
        disk: Disk = DISK,
    ) -> None:
        """`pins`: by the name of a file the last record of it that a checkpoint knows."""
        self._directory, self._prefix, self._key = directory, prefix, key
        self._ts, self._now, self._pins, self._disk = ts, now, pins or {}, disk
        self.found: list[Recovered] = []
        self.left = 0

    def run(self) -> Origin:
        """End what has no end, newest first, within `WITHIN` seconds; returns what a new chain goes on from.

        `found` has what was looked at then, and `left` how many files were not.
        """
        origin, until = Origin(), self._now() + WITHIN
        for path in sorted(self._directory.glob(f"{self._prefix}-*.jsonl"), reverse=True):
            if self._now() > until:
                self.left += 1
                continue
            try:
                link = self._look(path) if path.is_file() else None  # to open a pipe waits for its writer
            except OSError:  # it is gone, or not ours to read
                continue
            if link is not None and not origin.name:
                origin = Origin(path.name, link)
        return origin

    def _look(self, path: Path) -> Link | None:
        """The last record of a file that is sound; None where it is held, empty or broken."""
        if (ended := _end_of(path)) is not None:
            return ended
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            if not self._disk.lock(descriptor) or not os.fstat(descriptor).st_size:
                return None
            with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
                found = examined(data, AuditKeys((self._key,)), self._pins.get(path.name))
                torn = bytes(data[found.good :]) if found.torn else b""
            if found.broken:
                self.found.append(Recovered(path.name, found, found.link))
                return None
            link = self._ended(path, descriptor, found, torn)
            self.found.append(Recovered(path.name, found, link))
            return link
        finally:
            os.close(descriptor)

    def _ended(self, path: Path, descriptor: int, found: Examined, torn: bytes) -> Link:
        if torn:
            self._keep(path.with_name(f"{path.name}.torn-{found.good}"), torn)
            os.ftruncate(descriptor, found.good)
        if found.ended or not found.good:
            return found.link
        line, link = recovered_line(found, self._key, self._ts)
        os.write(descriptor, line)
        self._disk.sync(descriptor)
        return link

    def _keep(self, path: Path, torn: bytes) -> None:
        """The bytes that are cut off, in a file of their own."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, torn)
            self._disk.sync(descriptor)
        finally:
            os.close(descriptor)


def recovered_line(found: Examined, key: bytes, ts: str) -> tuple[bytes, Link]:
    """The record that ends a file which has no end, and where the chain has come to with it."""
    seq = found.link.seq + 1
    body = b',"salt":"%s","group":true,"torn_bytes":%d' % (random_bytes(8).hex().encode(), found.torn)
    head, tail = head_of(seq, ts, "recovered"), tail_of(body, found.link.mac)
    mac = mac_of(day_key(key, ts[:10]), head + tail)
    return b'%s%s%s,"mac":"%s"}\n' % (head, body, tail, mac.encode()), Link(seq, mac)


def _end_of(path: Path) -> Link | None:
    """The last record of a file that says that none follows; None for all others."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        last = file.read().splitlines(keepends=True)[-1:]
    line = parsed(last[0]) if last and last[0].endswith(b"\n") else None
    return line.link if line is not None and line.event in ENDS else None
