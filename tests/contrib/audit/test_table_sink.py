"""Sinks that keep records in a table: all that is told is there, or counted, and nobody waits who need not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from audited import WALL, At, attempted, ended, refused, sink_at, started
from msgspec import json

from pointsman import ConfigError, Router
from pointsman.plugin import AuditSink, AuditUnavailable
from pointsman.testing import Scripted
from pointsman.testing.contract import AuditContract
from pointsman_audit import plugin
from pointsman_audit.asking import ALL
from pointsman_audit.checking import verified
from pointsman_audit.records_table import RecordsTable
from pointsman_audit.settings import Keep, SqliteSettings
from pointsman_audit.sink import AwaitedTableSink, TableSink
from pointsman_audit.sources import Found, Table
from pointsman_database import Database, DatabaseError


class TestSqlite(AuditContract):
    def make(self, directory: Path) -> AuditSink:
        sink: AuditSink = sink_at(str(directory / "audit.db"), directory)
        return sink


class TestSqliteThatIsAwaited(AuditContract):
    def make(self, directory: Path) -> AuditSink:
        sink: AuditSink = sink_at(str(directory / "audit.db"), directory, mode="fail_closed")
        return sink


def kept(address: str, directory: Path) -> list[Found]:
    """All records but those that begin and end a chain."""
    table = Table(address, directory)
    try:
        return [each for each in table.records(ALL) if each.facts.event not in ("open", "close")]
    finally:
        table.close()


def test_each_event_is_a_row_that_can_be_asked_for(address: str, tmp_path: Path) -> None:
    sink = sink_at(address, tmp_path)
    for event in (started(), attempted(), ended(rule="words", error="refused", result="error"), refused()):
        sink(event)
    sink.close()

    records = kept(address, tmp_path)

    assert [each.facts.event for each in records] == ["start", "attempt", "request", "refused"]
    assert [each.facts.seq for each in records] == [2, 3, 4, 5]
    assert records[2].facts.rule == "words"
    assert (records[2].facts.prompt_tokens, records[2].facts.cost_microcents) == (3, 7)
    assert (records[3].facts.caller, records[3].facts.key_id) == ("ci", "k1")
    assert len({each.place for each in records}) == 1


def test_what_is_no_json_is_counted_as_missing(tmp_path: Path) -> None:
    sink = sink_at("audit.db", tmp_path)
    for tags in ({}, {"x": object()}, {}):
        sink(ended(tags=tags))
    sink.close()

    records = kept("audit.db", tmp_path)

    assert [each.facts.event for each in records] == ["request", "gap", "request"]
    assert [each.facts.seq for each in records] == [2, 4, 5]
    assert (records[1].record["from_seq"], records[1].record["count"]) == (3, 1)
    assert sink.status().dropped == 1
    table = Table("audit.db", tmp_path)
    assert verified(table).ok
    table.close()


def test_two_processes_write_one_table_and_are_told_apart(address: str, tmp_path: Path) -> None:
    sinks = [sink_at(address, tmp_path) for _ in range(2)]
    for n in range(300):
        sinks[n % 2](ended(f"r{n}"))
    for sink in sinks:
        sink.close()

    records = kept(address, tmp_path)

    assert sorted(each.facts.request_id for each in records) == sorted(f"r{n}" for n in range(300))
    by_place = {each.place: [] for each in records}
    for each in records:
        by_place[each.place].append(each.facts.seq)
    assert [sorted(each) for each in by_place.values()] == [[*range(2, 152)]] * 2


def test_text_that_no_database_takes_is_kept_all_the_same(address: str, tmp_path: Path) -> None:
    sink = sink_at(address, tmp_path)
    sink(ended("nul \0 and half a pair \ud800", caller="\0"))
    sink.close()

    (record,) = kept(address, tmp_path)

    assert record.record["request_id"] == "nul \0 and half a pair \ud800"
    assert (record.facts.request_id, record.facts.caller) == ("nul \ufffd and half a pair ?", "\ufffd")


class Failing:
    """A table that fails as long as it is told to."""

    def __init__(self, table: RecordsTable) -> None:
        self.table = table
        self.broken = threading.Event()
        self.tried: list[int] = []
        self.failed = threading.Event()

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.tried.append(len(rows))
        if self.broken.is_set():
            self.failed.set()
            raise DatabaseError("the disk is full")
        self.table.add(rows)

    def keep(self, now: float, **limits: Any) -> int:
        return self.table.keep(now, **limits)

    def close(self) -> None:
        self.table.close()


def failing(tmp_path: Path, make: Callable[..., Any], **settings: Any) -> tuple[Any, Failing]:
    table = Failing(RecordsTable(Database.open("audit.db", tmp_path)))
    made = SqliteSettings.model_validate({"database": "audit.db", **settings})
    return make(lambda: table, made, At().wall), table


def test_what_came_while_the_database_failed_is_there_afterwards_and_what_was_dropped_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink, table = failing(tmp_path, TableSink, buffer=10)
    table.broken.set()
    sink(ended("first"))
    assert table.failed.wait(10)
    for n in range(15):  # ten fit
        sink(ended(f"r{n}"))
    assert "disk is full" in sink.status().trouble
    table.broken.clear()
    sink.close()

    records = kept(str(tmp_path / "audit.db"), tmp_path)

    assert [each.facts.request_id for each in records] == ["first", *(f"r{n}" for n in range(10)), ""]
    gap = records[-1].record
    assert (gap["event"], gap["from_seq"], gap["count"], gap["seq"]) == ("gap", 13, 5, 18)
    assert "disk is full" in caplog.text


async def test_a_request_is_refused_where_no_record_of_it_can_be_kept(tmp_path: Path) -> None:
    sink, table = failing(tmp_path, AwaitedTableSink, mode="fail_closed")
    await sink.admit(started("r0"))
    table.broken.set()

    with pytest.raises(AuditUnavailable):
        await sink.admit(started("r1"))
    with pytest.raises(AuditUnavailable):  # known already: it does not wait
        await sink.admit(started("r2"))

    table.broken.clear()
    await asyncio.to_thread(sink.close)
    assert [each.facts.request_id for each in kept(str(tmp_path / "audit.db"), tmp_path)] == ["r0", "r1"]


@pytest.mark.parametrize("mode", ["drop_counted", "block", "fail_closed"])
async def test_a_request_that_was_answered_has_a_start_and_one_end(tmp_path: Path, mode: str) -> None:
    config = {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x"]}},
        "audit": [
            {"type": "sqlite", "database": str(tmp_path / "audit.db"), "mode": mode},
            {"type": "jsonl", "path": str(tmp_path / "lines")},
        ],
    }
    async with Router.from_config(config, plugins=[Scripted(), plugin]) as router:
        await router.chat("m", "hello", caller="ci", tags={"key_id": "k7"})

    records = kept(str(tmp_path / "audit.db"), tmp_path)
    assert [each.facts.event for each in records] == ["start", "attempt", "request"]
    assert {each.facts.key_id for each in records} == {"k7"}
    assert len({each.facts.request_id for each in records}) == 1
    assert "hello" not in str([each.record for each in records])
    assert list((tmp_path / "lines").iterdir())


CHILD = """
import asyncio, sys
from pathlib import Path
from audited import ended, sink_at, started

async def main():
    sink = sink_at("audit.db", Path(sys.argv[1]), mode="fail_closed")
    for n in range(100_000):
        await sink.admit(started(f"r{n}"))
        print(n, flush=True)
        sink(ended(f"r{n}"))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 60])
def test_after_kill_9_all_that_was_admitted_is_there_in_a_chain_that_is_whole(
    lines: int, tmp_path: Path
) -> None:
    support = os.pathsep.join(sys.path)  # the events are made by what makes them here
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": support},
    )
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    told += [each for each in child.stdout if each.endswith("\n")]
    child.wait()
    child.stdout.close()

    sink = sink_at("audit.db", tmp_path)  # the next process goes on beside what it finds
    sink(started("after"))
    sink.close()

    table = Table("audit.db", tmp_path)
    begun = {each.facts.request_id for each in table.records(ALL) if each.facts.event == "start"}
    assert {*(f"r{int(each)}" for each in told), "after"} <= begun
    assert verified(table).ok
    table.close()


async def test_a_server_that_is_away_fails_no_start_and_no_call_and_not_the_other_sink(
    tmp_path: Path,
) -> None:
    pytest.importorskip("psycopg")
    config = {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x"]}},
        "audit": [
            {"type": "postgres", "database": f"postgresql://nobody:a-passw0rd@/audit?host={tmp_path}"},
            {"type": "jsonl", "path": str(tmp_path / "lines")},
        ],
    }
    async with Router.from_config(config, plugins=[Scripted(), plugin]) as router:
        assert (await router.chat("m", "hello")).text

    (file,) = (tmp_path / "lines").iterdir()
    assert "request" in [json.decode(each)["event"] for each in file.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("type", "database", "said"),
    [
        ("sqlite", "postgresql://h/d", "a file"),
        ("postgres", "./audit.db", "a server"),
        ("sqlite", "/proc/1/no/x", "/proc/1"),
    ],
)
def test_an_address_of_the_other_kind_is_refused_when_it_is_made(type: str, database: str, said: str) -> None:
    config = {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x"]}},
        "audit": [{"type": type, "database": database}],
    }
    with pytest.raises(ConfigError, match=said):
        Router.from_config(config, plugins=[Scripted(), plugin])


# ── letting go ───────────────────────────────────────────────────────────────────────────────────────


class TestKeeping:
    day: ClassVar = 86_400.0

    def test_what_is_older_goes_when_somebody_writes(self, address: str, tmp_path: Path) -> None:
        old = sink_at(address, tmp_path, clock=At(WALL - 10 * self.day))
        for n in range(3):
            old(ended(f"old{n}"))
        old.close()
        sink = sink_at(address, tmp_path, keep={"age": "9d"})
        sink(ended("new"))
        sink.close()

        assert [each.facts.request_id for each in kept(address, tmp_path)] == ["new"]

    def test_of_too_much_the_oldest_go_and_what_is_left_verifies(self, address: str, tmp_path: Path) -> None:
        clock = At()
        sink = sink_at(address, tmp_path, clock=clock)
        for n in range(90):  # a chain for each day
            clock.wall_now = WALL + n // 30 * self.day
            sink(ended(f"r{n:03}"))
        sink.close()
        table = RecordsTable(Database.open(address, tmp_path))
        first, *_, last = table.chains()

        gone = table.keep(WALL, age=None, size_bytes=table.size_bytes() - 1, current=last.name)

        left = [each.facts.request_id for each in kept(address, tmp_path)]
        table.close()
        assert gone == first.records == 32
        assert left == [f"r{n:03}" for n in range(30, 90)]
        read = Table(address, tmp_path)
        found = verified(read)
        read.close()
        assert found.ok
        assert (len(found.files), found.records) == (2, 64)

    def test_nothing_goes_unless_it_is_said(self) -> None:
        assert (Keep().age, Keep().size) == (None, None)


def test_a_server_without_its_driver_is_a_mistake_that_is_told_when_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman_audit.sink.find_spec", lambda _name: None)

    with pytest.raises(ConfigError, match=r"pip install 'pointsman-audit\[postgres\]'"):
        sink_at("postgresql://h/d", tmp_path)
