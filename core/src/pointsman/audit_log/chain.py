"""The chain: each line of the log says what the line before it was, so that none can be changed unseen.

A line is `head`, `body` and `tail` in one JSON object, and nothing is written twice to be canonical: what is
signed are the bytes that are there.

    head   {"v":2,"seq":7,"ts":"2026-12-01T09:30:00.125+00:00","event":"request"
    body   ,"salt":"…","request_id":"…",…           what the record says; can be erased, see `tombstone`
    tail   ,"body":"<SHA-256 of body>","prev":"<mac of the line before>"
           ,"mac":"<HMAC-SHA256 of head and tail, by the key of the day in `ts`>"}
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256

from msgspec import Struct

VERSION = 2
GENESIS = "0" * 64
"""What the first record of a chain has in the place of the one before it."""
UNKEYED = b""
"""The key of a chain that anybody can compute: it shows accidents, and what checkpoints elsewhere pin."""

_LINE = re.compile(
    rb'(\{"v":2,"seq":([1-9][0-9]{0,18}),"ts":"([0-9]{4}-[0-9]{2}-[0-9]{2})([^"\\]*)","event":"([a-z_]+)")(.*)'
    rb'(,"body":"([0-9a-f]{64})","prev":"([0-9a-f]{64})"),"mac":"([0-9a-f]{64})"\}'
)
_ERASED = re.compile(rb',"erased":"([0-9]{4}-[0-9]{2}-[0-9]{2})([^"\\]*)","proof":"([0-9a-f]{64})"')
_GAP = re.compile(rb',"salt":"[0-9a-f]*"(?:,"group":true)?,"from_seq":([0-9]+),"count":([0-9]+)[,]?.*')


class Link(Struct, frozen=True, gc=False):
    """Where a chain has come to: the number and the mac of its last record."""

    seq: int = 0
    mac: str = GENESIS


class Line(Struct, frozen=True, gc=False):
    """A line of the log, taken apart.

    Attributes:
        ts: all of it; the key goes by its first ten characters.
        head, body, tail: as the module says, the bytes that are there.
        digest: what the tail says of the body.
    """

    seq: int
    ts: str
    event: str
    head: bytes
    body: bytes
    tail: bytes
    digest: str
    prev: str
    mac: str

    @property
    def link(self) -> Link:
        """Where the chain has come to with it."""
        return Link(self.seq, self.mac)

    @property
    def erased(self) -> bool:
        """Whether what it said was erased."""
        return self.body.startswith(b',"erased"')

    @property
    def begins_group(self) -> bool:
        """Whether all before it was on the disk by the time it was written."""
        return b',"group":true' in self.body[:48]

    def first_seq(self) -> int:
        """The first number that it accounts for: of a gap the first of what is missing."""
        if self.event == "gap" and (gap := _GAP.fullmatch(self.body)):
            first, count = int(gap[1]), int(gap[2])
            if first + count == self.seq:
                return first
        return self.seq


class AuditKeys(Struct, frozen=True):
    """AuditKeys to verify with: of the log, and of single days where only these are known.

    Attributes:
        roots: the keys of the log, newest first; none for a log without a key.
        days: by day (`2026-12-01`) the key of it, as `day_key` makes it.
    """

    roots: Sequence[bytes] = ()
    days: Mapping[str, bytes] = {}

    def __repr__(self) -> str:
        return f"<{len(self.roots)} keys, and of {len(self.days)} days>"

    def of(self, fingerprint: str, day: str) -> bytes | None:
        """The key of that day of a chain whose key has that fingerprint; None where it is not known."""
        if not fingerprint:
            return day_key(UNKEYED, day)
        for root in self.roots:
            if fingerprint_of(root) == fingerprint:
                return day_key(root, day)
        return self.days.get(day)


def day_key(key: bytes, day: str) -> bytes:
    """The key of a day: who is handed it can verify that day, and no other."""
    return hmac.digest(key, b"pointsman audit " + day.encode(), "sha256")


@lru_cache(maxsize=16)
def fingerprint_of(key: bytes) -> str:
    """By what a key is told from others; "" for none. It says nothing about the key."""
    return hmac.digest(key, b"pointsman audit key", "sha256").hex()[:16] if key else ""


def mac_of(key: bytes, signed: bytes) -> str:
    """The mac of these bytes by the key of their day."""
    return hmac.digest(key, signed, "sha256").hex()


def tail_of(body: bytes, prev: str) -> bytes:
    """The end of a line of that `body`, up to its mac."""
    return b',"body":"%s","prev":"%s"' % (sha256(body).hexdigest().encode(), prev.encode())


def head_of(seq: int, ts: str, event: str) -> bytes:
    """The beginning of a line."""
    return b'{"v":2,"seq":%d,"ts":"%s","event":"%s"' % (seq, ts.encode(), event.encode())


def parsed(line: bytes) -> Line | None:
    """A line of the log, with or without its end; None where it is none."""
    found = _LINE.fullmatch(line, 0, len(line) - line.endswith(b"\n"))
    if found is None:
        return None
    head, seq, day, rest, event, body, tail, digest, prev, mac = found.groups()
    return Line(
        int(seq), (day + rest).decode("utf-8", "replace"), event.decode(), head, body, tail,
        digest.decode(), prev.decode(), mac.decode(),
    )  # fmt: skip


def wrong(line: Line, before: Link | None, key: bytes) -> str:
    """What is wrong with a line that follows `before`, in a few words; "" when nothing is.

    Args:
        before: None where nothing is known of what it follows.
        key: of the day of the line.
    """
    if before is not None and line.prev != before.mac:
        return "it does not follow the record before it"
    if before is not None and line.first_seq() != before.seq + 1:
        return f"its number follows {before.seq}"
    if not hmac.compare_digest(mac_of(key, line.head + line.tail), line.mac):
        return "its mac is another one"
    if line.erased:
        return ""  # that it was erased by somebody who may is for `proven` to say
    if sha256(line.body).hexdigest() != line.digest:
        return "what it says was changed"
    return ""


def tombstone(line: Line, ts: str, key: bytes) -> bytes:
    """The line without what it said, which verifies all the same.

    Args:
        ts: when it was erased; key: of that day, which proves that it was done by who may.
    """
    proof = mac_of(key, _erasure(line.mac, ts))
    body = b',"erased":"%s","proof":"%s"' % (ts.encode(), proof.encode())
    return b'%s%s%s,"mac":"%s"}\n' % (line.head, body, line.tail, line.mac.encode())


def proven(line: Line, keys: AuditKeys, fingerprint: str) -> bool:
    """Whether an erased line was erased by somebody with the key, if its chain has one."""
    found = _ERASED.fullmatch(line.body)
    if found is None:
        return False
    day, ts = found[1].decode(), (found[1] + found[2]).decode("utf-8", "replace")
    key = keys.of(fingerprint, day)
    return key is not None and hmac.compare_digest(mac_of(key, _erasure(line.mac, ts)), found[3].decode())


def _erasure(mac: str, ts: str) -> bytes:
    return b"erased " + mac.encode() + b" " + ts.encode()
