"""What was spent, by whom and on what, as the ledger has it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, structs

from pointsman.values.usd import usd
from pointsman_database import Session

_DAY_MS = 86_400_000
ERASED = "(erased)"
"""Whose it was of whom nothing is known any more."""
_COLUMNS = {"caller": "caller", "model": "model", "deployment": "deployment", "key": "key_id", "tier": "tier"}
BY = "caller, model, deployment, key, tier, day or label:<tag>"


class Line(Struct, frozen=True):
    """What one of them came to.

    Attributes:
        of: a name; a day as `2026-11-30`; "" where there was none.
        attempts: calls of upstreams that used something, each try by itself.
        prompt, completion: tokens, as far as somebody counted them.
        cost_microcents: millionths of a US cent.
        unpriced: attempts among them whose cost nobody knows; estimated: whose use is a guess.
    """

    of: str
    attempts: int
    prompt: int
    completion: int
    cost_microcents: int
    unpriced: int
    estimated: int


def spend_by(session: Session, by: str, since: float | None, until: float | None) -> Sequence[Line]:
    """One line for each, the dearest first; days in order.

    Args:
        by: one of `BY`.
        since, until: seconds since 1970 UTC; `until` is not in it. None: without that end.

    Raises: ValueError for another `by`.
    """
    what, values = _key(session, by)
    rows = session.execute(
        f"SELECT {what}, COUNT(*), SUM(COALESCE(prompt, 0)), SUM(COALESCE(completion, 0)), "  # noqa: S608  # ours
        "SUM(COALESCE(cost_microcents, 0)), SUM(CASE WHEN cost_microcents IS NULL THEN 1 ELSE 0 END), "
        "SUM(CASE WHEN how = 'counted' THEN 0 ELSE 1 END) "
        "FROM spend WHERE ts >= ? AND ts < ? GROUP BY 1",
        (*values, _ms(since, 0), _ms(until, 2**62)),
    )
    lines = [Line(_shown(by, of), *map(int, numbers)) for of, *numbers in rows]
    if by == "day":
        return sorted(lines, key=lambda each: each.of)
    return sorted(lines, key=lambda each: (-each.cost_microcents, -each.attempts, each.of))


def total(lines: Sequence[Line]) -> Line:
    """All of them together."""
    if not lines:
        return Line("", 0, 0, 0, 0, 0, 0)
    columns = zip(*(structs.astuple(each)[1:] for each in lines), strict=True)
    return Line("", *map(sum, columns))


def as_plain(by: str, since: float | None, until: float | None, lines: Sequence[Line]) -> Mapping[str, Any]:
    """The same for programs."""
    return {
        "by": by,
        "since": _when(since),
        "until": _when(until),
        "lines": [{"of": each.of, **_plain(each)} for each in lines],
        "total": _plain(total(lines)),
    }


def export_of(session: Session, caller: str) -> Sequence[Mapping[str, Any]]:
    """All that the ledger has of the attempts of `caller`, the oldest first, fit to be written as JSON."""
    columns = (
        "ts", "request_id", "attempt", "model", "deployment", "caller", "key_id", "labels",
        "prompt", "completion", "cached", "cache_write", "cost_microcents", "tier", "how",
    )  # fmt: skip
    rows = session.execute(
        f"SELECT {', '.join(columns)} FROM spend WHERE caller = ? ORDER BY ts, id",  # noqa: S608  # ours
        (caller,),
    )
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    return [{**each, "ts": _when(each["ts"] / 1000), "labels": json.loads(each["labels"])} for each in found]


def erase(session: Session, caller: str) -> int:
    """Have nothing say that `caller` made its attempts; how many there were. Sums stay what they are.

    Its budgets begin anew when a router next opens the ledger, and those of a label of that name: what was
    spent is no longer theirs. What it holds at this moment is not touched.
    """
    rows = session.execute(
        "UPDATE spend SET caller = ?, key_id = '', labels = '{}', request_id = '' WHERE caller = ? "
        "RETURNING id",
        (ERASED, caller),
    )
    session.execute(
        "INSERT INTO totals (rule, subject, unit, since, amount) "
        "SELECT rule, ?, unit, since, amount FROM totals WHERE subject = ? "
        "ON CONFLICT (rule, subject, unit, since) DO UPDATE SET amount = totals.amount + excluded.amount",
        (ERASED, caller),
    )
    session.execute("DELETE FROM totals WHERE subject = ?", (caller,))
    return len(rows)


def _key(session: Session, by: str) -> tuple[str, Sequence[str]]:
    """What lines are told apart by, as SQL with its values."""
    if by in _COLUMNS:
        return _COLUMNS[by], ()
    if by == "day":
        return f"ts / {_DAY_MS}", ()
    name = by.removeprefix("label:")
    if name == by or not name or '"' in name or "\0" in name:
        raise ValueError(f"{by!r} is none of {BY}")
    if session.dialect == "postgres":
        return "COALESCE(labels::jsonb ->> ?, '')", (name,)
    return "COALESCE(json_extract(labels, ?), '')", (f'$."{name}"',)


def _shown(by: str, of: Any) -> str:
    return _when(of * _DAY_MS / 1000)[:10] if by == "day" else str(of)  # type: ignore[index]  # it is a time


def _plain(line: Line) -> Mapping[str, Any]:
    return {
        "attempts": line.attempts,
        "prompt_tokens": line.prompt,
        "completion_tokens": line.completion,
        "cost_microcents": line.cost_microcents,
        "cost_usd": float(usd(line.cost_microcents)),
        "unpriced": line.unpriced,
        "estimated": line.estimated,
    }


def _ms(seconds: float | None, otherwise: int) -> int:
    return otherwise if seconds is None else round(seconds * 1000)


def _when(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
