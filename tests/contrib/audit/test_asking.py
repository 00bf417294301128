"""One question, put to files and to tables, has one answer."""

from __future__ import annotations

import sqlite3
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import asdict, replace

from pointsman_audit.asking import Wanted
from pointsman_audit.rows import COLUMNS, Facts, facts_of, record_in

WORDS = st.sampled_from(["", "a", "b"])
TIMES = st.sampled_from([0.0, 1.0, 2.0, 3.0])
FACTS = st.builds(
    Facts, st.integers(0, 9), TIMES, st.sampled_from(["request", "attempt"]), WORDS, WORDS, WORDS, WORDS, WORDS, WORDS,
    WORDS, WORDS,
)  # fmt: skip
BOUNDS = TIMES | st.just(float("-inf"))
WANTED = st.builds(
    Wanted, caller=WORDS, key_id=WORDS, model=WORDS, deployment=WORDS, outcome=WORDS,
    event=st.sampled_from(["", "request"]), error=WORDS, request_id=WORDS, since=BOUNDS, until=TIMES | st.just(float("inf")),
)  # fmt: skip


@given(st.lists(FACTS, max_size=8), WANTED)
def test_a_table_finds_what_meets_the_question_and_nothing_else(facts: list[Facts], wanted: Wanted) -> None:
    facts = [replace(each, seq=seq) for seq, each in enumerate(facts)]
    table = sqlite3.connect(":memory:")
    table.execute(f"CREATE TABLE audit_records ({', '.join(COLUMNS)})")
    names = COLUMNS[1:-1]
    for each in facts:
        row = [asdict(each)[name] for name in names]
        table.execute(
            f"INSERT INTO audit_records ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", row
        )
    where, values = wanted.sql()

    found = [
        seq for (seq,) in table.execute(f"SELECT seq FROM audit_records WHERE {where} ORDER BY seq", values)
    ]
    table.close()

    assert found == [each.seq for each in facts if wanted.meets(each)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
HEAD: dict[str, Any] = {"seq": 1, "ts": "2026-12-01T00:00:00.000+00:00", "event": "request"}


@given(st.dictionaries(st.sampled_from([*HEAD, *Facts.__struct_fields__, "tags", "usage", "result"]), JSON))
def test_whatever_a_record_holds_it_is_read_or_refused_as_none(said: dict[str, Any]) -> None:
    for record in (said, {**said, **HEAD}):
        try:
            facts = facts_of(record_in(json.encode(record)))
        except ValueError:
            assert record is said
        else:
            assert all(
                isinstance(getattr(facts, name), str) for name in ("event", "caller", "model", "outcome")
            )
