"""A record as a row: the columns that are asked for, beside the whole of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import DecodeError, Struct
from msgspec.json import decode

COLUMNS = (
    "writer", "seq", "at", "event", "request_id", "caller", "key_id", "model", "deployment", "outcome",
    "error", "rule", "ms", "prompt_tokens", "completion_tokens", "cost_microcents", "record",
)  # fmt: skip
INSERT = (
    f"INSERT INTO audit_records ({', '.join(COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT DO NOTHING"
)
"""A transaction that was written, and of which nobody heard so, is written once more."""
_MOST = 2**63 - 1


class Facts(Struct, frozen=True):
    """What is asked of a record, wherever it is kept.

    Attributes:
        at: when it was told, seconds since 1970.
        outcome: of an attempt, or the result of a request.
    """

    seq: int
    at: float
    event: str
    request_id: str = ""
    caller: str = ""
    key_id: str = ""
    model: str = ""
    deployment: str = ""
    outcome: str = ""
    error: str = ""
    rule: str = ""
    ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_microcents: int | None = None


def facts_of(record: Mapping[str, Any]) -> Facts:
    """What `record` says, whatever it is.

    Raises: ValueError for what is no record.
    """
    try:
        at = datetime.fromisoformat(record["ts"]).timestamp()
        seq, event = record["seq"], record["event"]
    except (KeyError, TypeError, ValueError):
        raise ValueError("it has no `seq`, `ts` and `event`") from None
    if not (isinstance(event, str) and _whole(seq) is not None):
        raise ValueError("its `seq` is no number, or its `event` no name")
    tags, usage = record.get("tags"), record.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    labels = tags if isinstance(tags, Mapping) else {}
    ms = record.get("ms")
    return Facts(
        seq,
        at,
        event,
        _text(record.get("request_id")),
        _text(record.get("caller")),
        _text(record.get("key_id") or labels.get("key_id")),
        _text(record.get("model")),
        _text(record.get("deployment")),
        _text(record.get("outcome") or record.get("result")),
        _text(record.get("error")),
        _text(record.get("rule")),
        float(ms) if isinstance(ms, int | float) else None,
        _whole(usage.get("prompt")),
        _whole(usage.get("completion")),
        _whole(record.get("cost_microcents")),
    )


def record_in(line: bytes) -> Mapping[str, Any]:
    """The record in a line of JSON. Raises ValueError for what is none."""
    try:
        record = decode(line)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        try:
            record = json.loads(line)  # which alone takes half a pair
        except RecursionError:
            raise ValueError("it is too deep") from None
    if not isinstance(record, dict):
        raise ValueError("it is no object")
    return record


def row_of(writer: str, line: bytes) -> tuple[Any, ...]:
    """The values of `COLUMNS` for one line of JSON."""
    facts = facts_of(record_in(line))
    at = (getattr(facts, name) for name in COLUMNS[1:-1])
    return (writer, *at, line.decode("utf-8", "replace").rstrip("\n"))


def _text(value: object) -> str:
    # Neither database takes all that JSON can say: no half of a pair, and Postgres no NUL.
    if not isinstance(value, str):
        return ""
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _whole(value: object) -> int | None:
    """`value`, where it is a number that both databases hold."""
    return value if isinstance(value, int) and -_MOST <= value <= _MOST else None
