"""What the tables of `sqlite` and `postgres` keep of what happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audited import At, ended, sink_at
from postgres import own_database
from proving import Setting, ask, ask_often, during, proves
from routers import config

from pointsman import Router
from pointsman.audit_log.chain import AuditKeys
from pointsman.testing import Scripted
from pointsman_audit.asking import ALL
from pointsman_audit.checking import verified
from pointsman_audit.records_table import RecordsTable
from pointsman_audit.sources import Found, Table
from pointsman_database import DatabaseError


def both(name: str) -> tuple[str, str]:
    return f"audit:sqlite.{name}", f"audit:postgres.{name}"


def database(setting: Setting, name: str) -> str:
    """The address of an empty one of the kind."""
    if "sqlite" in setting.key:
        return str(setting.folder / f"{name}.db")
    with own_database() as (server, own):
        return server.url(own)


def sink(setting: Setting, address: str, **more: Any) -> dict[str, Any]:
    kind = setting.key.partition(":")[2].partition(".")[0]
    return {"type": kind, "database": address, **more}


def kept(address: str, folder: Path) -> list[Found]:
    """The records of what happened, without those of the chain itself."""
    table = Table(address, folder)
    try:
        return [each for each in table.records(ALL) if each.facts.event not in ("open", "close")]
    finally:
        table.close()


@proves(*both("database"))
def records_are_in_that_database(setting: Setting) -> None:
    for name in ("one", "two"):
        address, other = database(setting, name), database(setting, f"not-{name}")
        during(setting.to(address, config("a", audit=[sink(setting, other)])), Scripted(), ask)
        assert [each.facts.event for each in kept(address, setting.folder)] == ["start", "attempt", "request"]


class Broken:
    """A table that takes nothing while `is_so`; `tried` once somebody has tried."""

    def __init__(self, setting: Setting) -> None:
        self.is_so = True
        self.tried = threading.Event()
        add = RecordsTable.add

        def refuse(table: RecordsTable, rows: Sequence[Any]) -> None:
            if self.is_so:
                self.tried.set()
                raise DatabaseError("the disk is full")
            add(table, rows)

        setting.environment.setattr(RecordsTable, "add", refuse)


@proves(*both("mode"))
def requests_wait_for_their_row_or_do_not(setting: Setting) -> None:
    ends = {}
    for mode in ("drop_counted", "block", "fail_closed"):
        broken, address = Broken(setting), database(setting, mode)

        async def story(r: Router, mode: str = mode, broken: Broken = broken) -> None:
            ends[mode] = await ask(r)
            broken.is_so = False

        base = config("a", audit=[sink(setting, address)])
        during(setting.to(mode, base), Scripted(), story)
    assert ends == {"drop_counted": "ok", "block": "AuditUnavailable", "fail_closed": "AuditUnavailable"}


@proves(*both("buffer"))
def so_many_rows_wait_for_the_database_and_further_ones_are_dropped(setting: Setting) -> None:
    def dropped(value: int) -> int:
        broken, address = Broken(setting), database(setting, str(value))

        async def story(r: Router) -> None:
            await ask(r)
            assert await asyncio.to_thread(broken.tried.wait, 10)
            await ask_often(r, 10)
            broken.is_so = False

        during(setting.to(value, config("a", audit=[sink(setting, address)])), Scripted(), story)
        gaps = [each.record for each in kept(address, setting.folder) if each.facts.event == "gap"]
        return sum(each["count"] for each in gaps)

    assert 20 <= dropped(10) <= 23  # of 33, when the database was tried with up to three of them
    assert dropped(1000) == 0


@proves(*both("key"))
def the_chain_of_a_table_can_be_verified_with_that_key_alone(setting: Setting) -> None:
    for n, key in enumerate(("0123456789abcdef", "another key of the log")):
        setting.environment.setenv(f"AUDIT_KEY_{n}", key)
        address = database(setting, str(n))
        base = config("a", audit=[sink(setting, address)])
        during(setting.to({"env": f"AUDIT_KEY_{n}"}, base), Scripted(), ask)
        for tried in (key, "not the key of it"):
            table = Table(address, setting.folder)
            found = verified(table, keys=AuditKeys((tried.encode(),)))
            table.close()
            assert found.ok == (tried == key)


@proves(*both("keep"))
def what_is_older_goes_from_a_table(setting: Setting) -> None:
    def left(value: dict[str, str]) -> list[str]:
        address = database(setting, str(len(value)))
        old = sink_at(address, setting.folder, clock=At(1_000_000_000.0))
        old(ended("old"))
        old.close()
        during(setting.to(value, config("a", audit=[sink(setting, address)])), Scripted(), ask)
        return [each.facts.event for each in kept(address, setting.folder)]

    new = ["start", "attempt", "request"]
    assert left({}) == ["request", *new]
    assert left({"age": "90d"}) == new


@proves(*both("content"))
def what_is_asked_and_answered_is_a_row_as_it_says(setting: Setting) -> None:
    for n, (fields, has) in enumerate([(["messages"], "asked"), (["answer"], "answered")]):
        address = database(setting, str(n))
        base = config("a", audit=[sink(setting, address)])
        during(setting.to({"fields": fields}, base), Scripted(), ask)
        told = [each.record for each in kept(address, setting.folder) if each.facts.event == "content"]
        assert [[side for side in ("asked", "answered") if side in each] for each in told] == [[has]]
