"""What one line owes the line before it, whoever has the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.audit_log.chain import (
    UNKEYED,
    AuditKeys,
    Line,
    Link,
    day_key,
    fingerprint_of,
    head_of,
    mac_of,
    parsed,
    tail_of,
    wrong,
)
from pointsman.audit_log.committing import Committer, Entry
from pointsman.audit_log.heads import Head
from pointsman.audit_log.verify import verify

TS, DAY = "2026-12-01T09:30:00.125+00:00", "2026-12-01"
KEY = b"0123456789abcdef0123456789abcdef"
BEFORE = Link(4, "a" * 64)


def signed(seq: int, *, event: str = "request", body: bytes = b"", prev: str = BEFORE.mac) -> Line:
    """A line with all macs as they must be."""
    head, body = head_of(seq, TS, event), b',"salt":""' + body
    tail = tail_of(body, prev)
    mac = mac_of(day_key(KEY, DAY), head + tail)
    line = parsed(b'%s%s%s,"mac":"%s"}' % (head, body, tail, mac.encode()))
    assert line is not None
    return line


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (signed(5), ""),
        (signed(6), "its number follows 4"),
        (signed(4), "its number follows 4"),
        (signed(5, prev="b" * 64), "it does not follow the record before it"),
        (signed(9, event="gap", body=b',"from_seq":5,"count":4'), ""),
        (signed(9, event="gap", body=b',"from_seq":5,"count":3'), "its number follows 4"),  # 8 is unaccounted
        (signed(9, event="gap", body=b',"from_seq":6,"count":3'), "its number follows 4"),  # so is 5
        (signed(9, event="request", body=b',"from_seq":5,"count":4'), "its number follows 4"),
    ],
)
def test_no_number_is_left_out_also_by_who_has_the_key(line: Line, says: str) -> None:
    assert wrong(line, BEFORE, day_key(KEY, DAY)) == says


@pytest.mark.parametrize("keys", [AuditKeys((KEY,)), AuditKeys(days={DAY: day_key(KEY, DAY)})])
def test_who_has_a_key_of_the_log_or_of_a_day_believes_no_chain_without_one(
    keys: AuditKeys, tmp_path: Path
) -> None:
    log = Committer(tmp_path, wall=lambda: 1_764_581_400.0, now=lambda: 0.0, key=UNKEYED, synced=False)
    log.commit([Entry(TS, "request", b',"request_id":"r"')])
    log.close()

    found = verify(tmp_path, keys=keys)

    assert fingerprint_of(UNKEYED) == ""
    assert [(each.seq, each.kind) for each in found.findings] == [(1, "key")]
    assert verify(tmp_path).ok


@pytest.mark.parametrize(("previous_seq", "found"), [(6, []), (5, [(7, "changed")]), (7, [(7, "changed")])])
def test_a_file_goes_on_with_the_number_after_the_one_that_it_says(
    previous_seq: int, found: list[tuple[int, str]], tmp_path: Path
) -> None:
    head = Head("f", fingerprint_of(KEY), "audit-of-before.jsonl", previous_seq, BEFORE.mac)
    first = signed(7, event="open", body=head.body())
    path = tmp_path / "audit-of-today.jsonl"
    path.write_bytes(b'%s%s%s,"mac":"%s"}\n' % (first.head, first.body, first.tail, first.mac.encode()))

    whole = verify([path], keys=AuditKeys((KEY,)))

    assert [(each.seq, each.kind) for each in whole.findings] == found
