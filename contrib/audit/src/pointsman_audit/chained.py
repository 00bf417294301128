"""The chain of a table: as the files of `jsonl` have it, so that what verifies these verifies it, too.

A chain is what would be a file: it begins with a record `open`, which says what it goes on from. Each day
has its own, so that what is older can go as a whole and the rest still verifies.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from pointsman.audit_log.chain import GENESIS, day_key, fingerprint_of, head_of, mac_of, tail_of
from pointsman.audit_log.heads import Head

MOST = 100_000
"""Records of one chain."""


class TableChain:
    """Makes the lines of one writer, one after the other. Of one thread.

    Args:
        key: of the log; b"" for a chain that anybody can compute.

    Attributes:
        name: of the chain at work, which no other has.
        seq: the number of its last line.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._day, self._day_key = "", b""
        self._prev = GENESIS
        self._count = 0
        self._latest = ""
        self.name = ""
        self.seq = 0

    def is_over(self, ts: str) -> bool:
        """Whether a line of that time belongs into another chain, which is then to be opened."""
        return not self.name or ts[:10] != self.name_day or self._count >= MOST

    @property
    def name_day(self) -> str:
        """The day of the chain at work, `2026-12-01`."""
        return f"{self.name[:4]}-{self.name[4:6]}-{self.name[6:8]}"

    def opened(self, ts: str) -> bytes:
        """The first line of another chain, which goes on from the one at work."""
        previous = f"audit-{self.name}.jsonl" if self.name else ""
        moment = datetime.fromisoformat(ts).astimezone(UTC)
        self.name = f"{moment:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"
        self._count = 0
        last = self.seq if previous else 0
        head = Head(secrets.token_hex(8), fingerprint_of(self._key), previous, last)
        return self._line(ts, "open", head.body())

    def closed(self) -> tuple[str, bytes]:
        """The name of the chain at work, and its last line, of the time of the one before it."""
        return self.name, self._line(self._latest, "close", b"")

    def line(self, ts: str, event: str, body: bytes) -> bytes:
        """The line of a record that says `body`, as `body_of` has it."""
        return self._line(ts, event, body)

    def passed_over(self, count: int) -> int:
        """So many numbers are of records that are not there; the first of them."""
        first = self.seq + 1
        self.seq += count
        return first

    def _line(self, ts: str, event: str, said: bytes) -> bytes:
        if ts[:10] != self._day:
            self._day, self._day_key = ts[:10], day_key(self._key, ts[:10])
        self.seq += 1
        self._count += 1
        self._latest = ts
        head = head_of(self.seq, ts, event)
        body = b',"salt":"%s"%s' % (secrets.token_hex(8).encode(), said)
        tail = tail_of(body, self._prev)
        self._prev = mac_of(self._day_key, head + tail)
        return b'%s%s%s,"mac":"%s"}' % (head, body, tail, self._prev.encode())
