"""Verifies audit logs of pointsman; needs nothing but Python.

python verify.py records/*.jsonl

The key, where the log has one, is in the variable POINTSMAN_AUDIT_KEY. It ends with 0 where all is as it
was written, with 1 where something is not, with 2 where a key is needed and none is there.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import sys
from collections.abc import Iterable

LINE = re.compile(
    rb'(\{"v":2,"seq":(\d+),"ts":"(\d{4}-\d\d-\d\d)[^"\\]*","event":"([a-z_]+)")(.*)'
    rb'(,"body":"([0-9a-f]{64})","prev":"([0-9a-f]{64})"),"mac":"([0-9a-f]{64})"\}\n'
)
ERASED = re.compile(rb',"erased":"((\d{4}-\d\d-\d\d)[^"\\]*)","proof":"([0-9a-f]{64})"')
GAP = re.compile(rb'.*?,"from_seq":(\d+),"count":(\d+)')


def signature(key: bytes, day: bytes, data: bytes) -> bytes:
    """The HMAC of `data`, by the key of that day, in hexadecimal."""
    of_day = hmac.new(key, b"pointsman audit " + day, hashlib.sha256).digest()
    return hmac.new(of_day, data, hashlib.sha256).hexdigest().encode()


def first_wrong(lines: Iterable[bytes], key: bytes) -> tuple[int, int]:
    """The number of the first record that is not as it was written, 0 for none; how many before it are."""
    prev, last, good = b"", 0, 0
    for line in lines:
        found = LINE.fullmatch(line)
        if found is None:
            return last + 1, good
        head, seq, day, event, body, tail, digest, before, mac = found.groups()
        first = seq = int(seq)
        gap = GAP.match(body) if event == b"gap" else None
        if gap and int(gap[1]) + int(gap[2]) == seq:
            first = int(gap[1])
        is_signed = signature(key, day, head + tail) == mac
        if erased := ERASED.fullmatch(body):
            is_said = signature(key, erased[2], b"erased " + mac + b" " + erased[1]) == erased[3]
        else:
            is_said = hashlib.sha256(body).hexdigest().encode() == digest
        follows = (before == prev and first == last + 1) if prev else event == b"open"
        if not (is_signed and is_said and follows):
            return seq if not prev and event == b"open" else last + 1, good
        prev, last, good = mac, seq, good + 1
    return 0, good


def is_keyed(first: bytes) -> bool:
    """Whether the chain that begins with this record was made with a key."""
    found = LINE.fullmatch(first)
    return found is not None and found[4] == b"open" and b',"chain":"' in found[5]


if __name__ == "__main__":
    if not sys.argv[1:] or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    wrong, key, unread = 0, os.environ.get("POINTSMAN_AUDIT_KEY", "").encode(), 0
    for name in sys.argv[1:]:
        with open(name, "rb") as file:
            if not key and is_keyed(file.readline()):
                sys.stdout.write(f"{name}: made with a key; set POINTSMAN_AUDIT_KEY\n")
                unread += 1
                continue
            file.seek(0)
            seq, good = first_wrong(file, key)
        said = f"; number {seq} is not" if seq else ""
        sys.stdout.write(f"{name}: {good} records are as they were written{said}\n")
        wrong += seq > 0
    sys.exit(1 if wrong else 2 if unread else 0)
