"""What the ledger writes and reads, as work in one transaction; it knows no clock and no thread."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pointsman_callers.ledger import Attempt, Books, Counted, OpenHold, Spent
from pointsman_database import Session

_REMEMBERED = ((60, 2 * 3_600), (1_800, 2 * 86_400), (43_200, 40 * 86_400))
"""Parts of windows begin at multiples of so many seconds, and count for no longer than so many: those of an
hour, a day, a month. The minutes of a month would fill the memory, and nobody asks for them."""
_MOST = 2**63 - 1
_WRITES = 0x6C6564676572
"""The advisory lock of who writes to the ledger."""

_TOTALS = """
SELECT rule, subject, unit, since, amount FROM totals
WHERE (since % ? = 0 AND since >= ?) OR (since % ? = 0 AND since >= ?) OR (since % ? = 0 AND since >= ?)
"""
_HOLD = """
INSERT INTO holds (id, expires, counted, ts, request_id, attempt, model, deployment, caller, key_id, labels,
                   prompt, completion, cost_microcents)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_SPEND = """
INSERT INTO spend (id, ts, request_id, attempt, model, deployment, caller, key_id, labels,
                   prompt, completion, cached, cache_write, cost_microcents, tier, how, counted)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING id
"""
_EXPIRE = """
DELETE FROM holds WHERE expires <= ?
RETURNING id, expires, counted, ts, request_id, attempt, model, deployment, caller, key_id, labels,
          prompt, completion, cost_microcents
"""
_PUT_RIGHT = """
UPDATE spend SET prompt = ?, completion = ?, cached = ?, cache_write = ?, cost_microcents = ?, tier = ?,
                 how = ?, counted = NULL
WHERE id = ?
"""
# No less than nothing, whatever was erased or put right in between.
_ADD = """
INSERT INTO totals (rule, subject, unit, since, amount) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (rule, subject, unit, since) DO UPDATE SET amount =
    CASE WHEN totals.amount + excluded.amount > 0 THEN totals.amount + excluded.amount ELSE 0 END
"""

AT_ONCE = 500
"""Rows that go in one transaction, so that nobody waits long for it."""
_COUNTS_FOR = _REMEMBERED[-1][1]
_OLD_SPEND = """
DELETE FROM spend WHERE id IN (SELECT id FROM spend WHERE ts < ? ORDER BY ts LIMIT ?) RETURNING id
"""
_OLD_TOTALS = """
DELETE FROM totals WHERE (rule, subject, unit, since) IN
    (SELECT rule, subject, unit, since FROM totals WHERE since < ? LIMIT ?) RETURNING since
"""


def put_hold(
    session: Session, id: str, attempt: Attempt, estimate: Spent, counted: Sequence[Counted], expires: float
) -> None:
    """Note a hold."""
    session.execute(
        _HOLD,
        (
            id,
            _ms(expires),
            _written(counted),
            *_whose(attempt),
            _count(estimate.prompt),
            _count(estimate.completion),
            _count(estimate.cost_microcents),
        ),
    )


def put_settlement(
    session: Session, id: str, attempt: Attempt, spent: Spent | None, counted: Sequence[Counted]
) -> None:
    """Note what became of it: once, however often it is asked, and in place of what an expiry had guessed."""
    held = session.execute("DELETE FROM holds WHERE id = ? RETURNING id", (id,))
    if spent is None:
        if not held:
            _take_back(session, id)
        return
    how = "estimated" if spent.estimated else "counted"
    if session.execute(_SPEND, (id, *_whose(attempt), *_used(spent), how, None)):
        _add(session, counted)
        return
    guessed = session.execute("SELECT counted FROM spend WHERE id = ? AND how = 'expired'", (id,))
    if guessed:
        session.execute(_PUT_RIGHT, (*_used(spent), how, id))
        _subtract(session, guessed[0][0])
        _add(session, counted)


def expire(session: Session, wall: float) -> None:
    """Have what nobody has settled count as spent, as it stood."""
    one_at_a_time(session)
    for row in session.execute(_EXPIRE, (_ms(wall),)):
        id, _, counted, *whose, prompt, completion, cost = row
        used = (prompt, completion, None, None, cost, "")
        if session.execute(_SPEND, (id, *whose, *used, "expired", counted)):
            _add(session, _read(counted))


def remembered(session: Session, wall: float) -> Books:
    """All that a window may still be about."""
    newest = session.execute("SELECT MAX(since) FROM totals")[0][0]
    # By a clock that is far ahead nothing would be remembered, and nothing when somebody sets it right.
    now = int(wall if newest is None else min(wall, newest))
    totals = session.execute(
        _TOTALS, [each for step, seconds in _REMEMBERED for each in (step, now - seconds)]
    )
    held = session.execute("SELECT id, expires, counted FROM holds")
    return Books(
        [Counted(*row) for row in totals],
        [OpenHold(id, expires / 1000, _read(counted)) for id, expires, counted in held],
    )


def let_go(session: Session, wall: float, keep: float) -> bool:
    """Have what is older than `keep` seconds go, but what windows are about still; whether there is more."""
    newest = session.execute("SELECT MAX(ts) FROM spend")[0][0]
    # As above: by a clock that is far ahead all of it would be old.
    now = wall if newest is None else min(wall, newest / 1000)
    spend = session.execute(_OLD_SPEND, (_ms(now - keep), AT_ONCE))
    totals = session.execute(_OLD_TOTALS, (int(now - max(keep, _COUNTS_FOR)), AT_ONCE))
    return AT_ONCE in (len(spend), len(totals))


def ended_as_held(session: Session, ids: Iterable[str], wall: float) -> set[str]:
    """Have holds expire; those of `ids` that were spent as they stood."""
    expire(session, wall)
    found = (session.execute("SELECT id FROM spend WHERE id = ? AND how = 'expired'", (id,)) for id in ids)
    return {row[0] for rows in found for row in rows}


def one_at_a_time(session: Session) -> None:
    """Have processes that write many entries at once take turns: else they might wait in a ring."""
    if session.dialect == "postgres":
        session.execute("SELECT pg_advisory_xact_lock(?)", (_WRITES,))


def _take_back(session: Session, id: str) -> None:
    """Nothing was used of what an expiry had guessed."""
    for (counted,) in session.execute(
        "DELETE FROM spend WHERE id = ? AND how = 'expired' RETURNING counted", (id,)
    ):
        _subtract(session, counted)


def _add(session: Session, counted: Iterable[Counted], sign: int = 1) -> None:
    for each in counted:
        session.execute(
            _ADD, (_text(each.rule), _text(each.subject), each.unit, each.since, sign * _count(each.amount))
        )


def _subtract(session: Session, counted: str) -> None:
    _add(session, _read(counted), -1)


def _whose(attempt: Attempt) -> tuple[Any, ...]:
    labels = json.dumps(dict(attempt.labels), sort_keys=True) if attempt.labels else "{}"
    return (
        _ms(attempt.at),
        _text(attempt.request_id),
        attempt.attempt,
        _text(attempt.model),
        _text(attempt.deployment),
        _text(attempt.caller),
        _text(attempt.key_id),
        labels.replace("\\u0000", "\\ufffd"),  # which no Postgres reads as JSON
    )


def _used(spent: Spent) -> tuple[Any, ...]:
    tokens = spent.prompt, spent.completion, spent.cached, spent.cache_write, spent.cost_microcents
    return (*map(_count, tokens), spent.tier)


def _count(number: int | None) -> Any:
    """At least nothing, and no more than a column holds."""
    return None if number is None else max(0, min(number, _MOST))


def _text(text: str) -> str:
    """What a database can hold."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[tuple[str, str, str, int, int]])


def _written(counted: Iterable[Counted]) -> str:
    rows = [(_text(e.rule), _text(e.subject), e.unit, e.since, _count(e.amount)) for e in counted]
    return _encoder.encode(rows).decode()


def _read(counted: str) -> list[Counted]:
    return [Counted(*row) for row in _decoder.decode(counted)]
