"""The first record of a file, which says what the file belongs to, and the events that end one."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.json import decode, encode

from pointsman.audit_log.chain import GENESIS, Line, parsed

ENDS = frozenset({"close", "recovered"})
"""The events after which no record follows in a file."""
_LONGEST = 1024 * 1024


class Head(Struct, frozen=True):
    """What the first record of a file says.

    Attributes:
        file: its id, made by chance.
        chain: the fingerprint of the key of its chain; "" for none.
        previous, previous_seq: the file whose chain it goes on, and its last record there; "" for none.
        prev: the mac of that record.
    """

    file: str = ""
    chain: str = ""
    previous: str = ""
    previous_seq: int = 0
    prev: str = GENESIS

    def body(self) -> bytes:
        """It as what a first record says."""
        said = {
            "file": self.file,
            "chain": self.chain,
            "previous": self.previous,
            "previous_seq": self.previous_seq,
        }
        return b"," + encode({name: value for name, value in said.items() if value})[1:-1]


def head_in(line: Line) -> Head | None:
    """What a first record says; None for one that is none."""
    if line.event != "open":
        return None
    try:
        said = decode(b"{" + line.body[1:] + b"}")
        return Head(
            said["file"],
            said.get("chain", ""),
            said.get("previous", ""),
            said.get("previous_seq", 0),
            line.prev,
        )
    except (ValueError, KeyError, TypeError):
        return None


def first_record(path: Path) -> Head | None:
    """What the first record of a file says; None where it has none."""
    with path.open("rb") as file:
        line = parsed(file.readline(_LONGEST))
    return None if line is None else head_in(line)
