"""Checkpoints: where a log has come to, told in another place, so that nobody can cut its end off unseen.

They are a log of their own, in the same format, in a directory that whoever can write the log should not be
able to write; or messages of a Python logger; or both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from msgspec.json import decode, encode

from pointsman.audit_log.chain import AuditKeys, Line, Link, parsed, wrong
from pointsman.audit_log.committing import Committer, Entry
from pointsman.audit_log.heads import first_record
from pointsman.audit_log.records import timestamp
from pointsman.audit_log.recovery import Recovery

EVERY = 1_000
SECONDS = 60.0
"""After so many records there is one, and after so many seconds in which something was recorded."""
PREFIX = "checkpoints"
_NEWEST = 8


class Checkpoints:
    """Tells where a log has come to, when it is time.

    Attributes:
        failed: checkpoints that could not be written.
    """

    def __init__(
        self,
        directory: Path | None,
        logger: str,
        *,
        key: bytes,
        wall: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        """`directory`: None for none; `logger`: a name, "" for none. Raises OSError."""
        self._now, self._wall, self._key = now, wall, key
        self._log = logging.getLogger(logger) if logger else None
        self._to = (
            None if directory is None else Committer(directory, wall=wall, now=now, key=key, prefix=PREFIX)
        )
        self._directory = directory
        self._told = Link()
        self._at = now()
        self.failed = 0

    def recover(self) -> None:
        """Look after what a process left behind here, and go on from that."""
        if self._to is not None and self._directory is not None:
            ts = timestamp(int(self._wall() * 1e3))
            recovery = Recovery(self._directory, key=self._key, ts=ts, now=self._now, prefix=PREFIX)
            self._to.go_on_from(recovery.run())

    def due_in(self, link: Link) -> float | None:
        """Seconds until one is due of a log that has come to `link`; None where nothing is to be told."""
        if link.seq == self._told.seq:
            return None
        if link.seq - self._told.seq >= EVERY:
            return 0.0
        return max(0.0, self._at + SECONDS - self._now())

    def tell(self, log: str, link: Link) -> None:
        """Tell that the file named `log` has come to `link`."""
        if link.seq == self._told.seq:
            return
        said = encode({"log": log, "at": link.seq, "of": link.mac})
        entry = Entry(timestamp(int(self._wall() * 1e3)), "checkpoint", b"," + said[1:-1])
        if self._log is not None:
            self._log.info("%s", said.decode())
        if self._to is not None:
            try:
                self._to.commit([entry])
            except OSError as error:
                self.failed += 1
                logging.getLogger("pointsman").error(
                    "an audit checkpoint cannot be written: %s", error.strerror
                )
                return
        self._told, self._at = link, self._now()

    def close(self) -> None:
        """Write the last. Raises OSError."""
        if self._to is not None:
            self._to.close()


def pinned(directory: Path | None, keys: AuditKeys) -> dict[str, Link]:
    """By the name of a file the last record of it that the newest checkpoints know of."""
    pins: dict[str, Link] = {}
    if directory is None:
        return pins
    for path in sorted(directory.glob(f"{PREFIX}-*.jsonl"), reverse=True)[:_NEWEST]:
        head = first_record(path)
        if head is None:
            continue
        before: Link | None = None
        for raw in path.read_bytes().splitlines(keepends=True):
            line = parsed(raw)
            key = None if line is None else keys.of(head.chain, line.ts[:10])
            if line is None or key is None or wrong(line, before, key):
                break
            before = line.link
            if line.event == "checkpoint":
                _pin(line, pins)
    return pins


def _pin(line: Line, pins: dict[str, Link]) -> None:
    said = decode(b"{" + line.body[1:] + b"}")
    if said["at"] > pins.get(said["log"], Link()).seq:
        pins[said["log"]] = Link(said["at"], said["of"])
