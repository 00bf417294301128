"""What the ledger keeps is right to the call, whatever ends its process and whatever the clock says."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from postgres import own_database

from pointsman.plugin import BudgetWindow
from pointsman_callers.ledger import (
    Attempt,
    Counted,
    LedgerUnavailable,
    MemoryLedger,
    Spent,
    books,
    open_ledger,
)
from pointsman_callers.ledger.books import remembered
from pointsman_callers.ledger.kept import KeptLedger
from pointsman_database import Session

NOW = 1_790_000_000.0
DAY = 1_789_948_800


def attempt(n: int = 1, **more: object) -> Attempt:
    return Attempt(at=NOW, request_id=f"r{n}", attempt=1, model="a", deployment="p/m", **more)  # type: ignore[arg-type]


def money(amount: int, subject: str = "ci", since: int = DAY) -> list[Counted]:
    return [Counted("daily", subject, "microcents", since, amount)]


def spent(cost: int, **more: object) -> Spent:
    return Spent(prompt=10, completion=5, cost_microcents=cost, **more)  # type: ignore[arg-type]


Opened = Callable[[], KeptLedger]


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Makes ledgers at one place, as processes would that come one after the other."""
    if request.param == "sqlite":
        yield lambda: KeptLedger("pointsman.db", tmp_path)
        return
    with own_database() as (server, name):
        yield lambda: KeptLedger(server.url(name), tmp_path)


def amounts(ledger: KeptLedger, wall: float = NOW) -> dict[str, int]:
    """What `ledger` remembers when it is opened, by subject."""
    return {each.subject: each.amount for each in ledger.open(wall).spent}


def test_what_was_settled_is_remembered_and_nothing_is_held(opened: Opened) -> None:
    first = opened()
    first.open(NOW)
    first.hold("h1", attempt(), spent(50), money(50), NOW + 60)
    first.settle("h1", attempt(), spent(20), money(20))
    first.hold("h2", attempt(2), spent(50), money(50), NOW + 60)
    first.settle("h2", attempt(2), spent(70), money(70))
    first.close()

    second = opened()
    books = second.open(NOW + 1)

    assert [(each.subject, each.amount) for each in books.spent] == [("ci", 90)]
    assert books.held == []
    second.close()


def test_a_file_that_was_removed_is_told_before_anything_more_is_spent(tmp_path: Path) -> None:
    ledger = KeptLedger("pointsman.db", tmp_path)
    ledger.open(NOW)
    ledger.hold("h1", attempt(), spent(50), money(50), NOW + 60)
    (tmp_path / "pointsman.db").unlink()

    assert "removed or replaced while it was in use" in ledger.trouble()

    with pytest.raises(LedgerUnavailable, match="removed"):
        ledger.hold("h2", attempt(2), spent(50), money(50), NOW + 60)
    ledger.close()


def test_to_settle_twice_is_to_settle_once(opened: Opened) -> None:
    first = opened()
    first.open(NOW)
    first.hold("h1", attempt(), spent(50), money(50), NOW + 60)
    for _ in range(3):
        first.settle("h1", attempt(), spent(20), money(20))
    first.close()

    second = opened()

    assert amounts(second) == {"ci": 20}
    second.close()


def test_what_was_never_sent_is_spent_by_nobody(opened: Opened) -> None:
    first = opened()
    first.open(NOW)
    first.hold("h1", attempt(), spent(50), money(50), NOW + 60)
    first.settle("h1", attempt(), None, ())
    first.close()

    second = opened()
    books = second.open(NOW)

    assert (books.spent, books.held) == ([], [])
    second.close()


def test_a_hold_that_nobody_settled_is_held_until_it_expires_and_then_spent_as_it_stood(
    opened: Opened,
) -> None:
    first = opened()
    first.open(NOW)
    first.hold("h1", attempt(), spent(50), money(50), NOW + 60)
    first.close()

    second = opened()
    books = second.open(NOW + 1)
    assert [(each.id, each.expires, each.counted) for each in books.held] == [("h1", NOW + 60, money(50))]
    assert second.expired(NOW + 59) == ()
    assert second.expired(NOW + 60) == ()  # a thread looks, which writes in order
    assert second.database is not None
    second.database.write(lambda _: None)
    ended = second.expired(NOW + 60)
    assert [each.counted for each in ended] == [money(50)]
    assert second.expired(NOW + 61) == ()
    second.close()

    third = opened()
    books = third.open(NOW + 62)
    assert (books.spent, books.held) == (money(50), [])
    third.close()


def until(look: Callable[[], object]) -> list:  # type: ignore[type-arg]
    """What `look` finds, when it finds something: what writes is another thread."""
    for _ in range(10_000):
        if found := look():
            return list(found)  # type: ignore[call-overload]
        os.sched_yield()
    raise AssertionError("it never did")


def test_an_actual_that_comes_after_its_expiry_takes_the_place_of_the_guess(opened: Opened) -> None:
    first, beside = opened(), opened()
    first.open(NOW)
    first.hold("h1", attempt(), spent(50), money(50), NOW + 60)
    first.hold("h2", attempt(2), spent(50), money(50), NOW + 60)
    first.hold("h3", attempt(3), spent(50), money(50), NOW + 60)
    first.settle("h3", attempt(3), None, ())
    first.expired(NOW)  # what a thread writes is written in order

    until(lambda: beside.open(NOW + 61).spent or beside.close())
    beside.close()
    first.settle("h1", attempt(), spent(20), money(20))
    first.settle("h2", attempt(2), None, ())
    first.close()

    last = opened()
    assert amounts(last) == {"ci": 20}
    last.close()


def test_an_amount_that_was_erased_meanwhile_is_never_less_than_nothing(tmp_path: Path) -> None:
    ledger = KeptLedger("pointsman.db", tmp_path)
    ledger.open(NOW)
    ledger.hold("h1", attempt(), spent(50), money(50), NOW - 1)
    until(lambda: KeptLedger("pointsman.db", tmp_path).open(NOW).spent)
    with sqlite3.connect(tmp_path / "pointsman.db") as connection:
        connection.execute("UPDATE totals SET amount = 10")
    connection.close()

    ledger.settle("h1", attempt(), None, ())
    ledger.close()

    last = KeptLedger("pointsman.db", tmp_path)
    assert amounts(last) == {"ci": 0}
    last.close()


def test_a_clock_that_was_far_ahead_forgets_nothing(tmp_path: Path) -> None:
    first = KeptLedger("pointsman.db", tmp_path)
    first.open(NOW)
    first.settle("h1", attempt(), spent(20), money(20))
    first.close()

    wrong = KeptLedger("pointsman.db", tmp_path)
    ahead = amounts(wrong, NOW + 10 * 365 * 86400)
    wrong.settle("h2", attempt(2), spent(5), money(5, since=DAY + 10 * 365 * 86400))
    wrong.close()

    right = KeptLedger("pointsman.db", tmp_path)
    assert ahead == {"ci": 20}
    assert sorted(each.amount for each in right.open(NOW + 5).spent) == [5, 20]
    right.close()


def test_of_each_window_all_that_counts_is_remembered_and_little_else(opened: Opened) -> None:
    rng = random.Random(3)
    wall = 1.7e9 + rng.random() * 1e8
    rolling, calendar = (
        [BudgetWindow(per, kind) for per in ("hour", "day", "month")]  # type: ignore[arg-type]
        for kind in ("rolling", "calendar")
    )
    parts = {
        (each.kind, each.per, each.part(at))
        for each in (*rolling, *calendar)
        for at in (wall, each.begins(wall) + 1, *(wall - rng.random() * 86_400 * 30 for _ in range(300)))
    }

    def fill(session: Session) -> None:
        session.execute_many(
            "INSERT INTO totals (rule, subject, unit, since, amount) VALUES (?, ?, 'tokens', ?, 1)", parts
        )

    ledger = opened()
    ledger.open(wall)
    assert ledger.database is not None
    ledger.database.write(fill)
    books = ledger.database.read(lambda session: remembered(session, wall))
    ledger.close()

    found = {(each.rule, each.subject, each.since) for each in books.spent}
    for each in (*rolling, *calendar):
        counts = {part for part in parts if part[:2] == (each.kind, each.per)}
        assert {part for part in counts if each.begins(wall) <= part[2] < each.ends(wall)} <= found
    assert len(found) < len(parts) / 2


def test_text_that_no_database_holds_is_kept_as_far_as_it_can_be(opened: Opened) -> None:
    first = opened()
    first.open(NOW)
    strange = attempt(caller="a\0b\ud800", labels={"team": "x\0y"})
    first.hold("h1", strange, spent(1), money(1, "a\0b\ud800"), NOW + 60)
    first.settle("h1", strange, spent(10**30), money(10**30, "a\0b\ud800"))
    first.close()

    second = opened()
    assert amounts(second) == {"a\ufffdb?": 2**63 - 1}
    second.close()


def test_who_is_in_the_way_costs_no_settlement_and_refuses_holds_until_it_is_gone(tmp_path: Path) -> None:
    now = [0.0]
    ledger = KeptLedger("pointsman.db", tmp_path, clock=lambda: now[0])
    ledger.open(NOW)
    ledger.hold("h1", attempt(), spent(50), money(50), NOW + 60)
    other = sqlite3.connect(tmp_path / "pointsman.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    ledger.settle("h1", attempt(), spent(20), money(20))
    with pytest.raises(LedgerUnavailable, match="another process"):
        ledger.hold("h2", attempt(2), spent(50), money(50), NOW + 60)
    assert "1 entries wait" in ledger.trouble()

    other.execute("ROLLBACK")
    other.close()
    now[0] += 2
    ledger.hold("h3", attempt(3), spent(50), money(50), NOW + 60)
    assert ledger.trouble() == ""
    ledger.close()
    last = KeptLedger("pointsman.db", tmp_path)
    books = last.open(NOW)
    assert (books.spent, [each.id for each in books.held]) == (money(20), ["h3"])
    last.close()


def test_a_server_that_was_away_gets_what_waited(tmp_path: Path) -> None:
    now = [0.0]
    with own_database() as (server, name):
        ledger = KeptLedger(server.url(name), tmp_path, clock=lambda: now[0])
        ledger.open(NOW)
        server.asks(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        server.break_connections(name)
        ledger.settle("h1", attempt(), spent(20), money(20))
        assert "not currently accepting" in until(lambda: [ledger.trouble()] if ledger.trouble() else [])[0]
        with pytest.raises(LedgerUnavailable):
            ledger.hold("h2", attempt(2), spent(50), money(50), NOW + 60)

        server.asks(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        now[0] += 2
        ledger.close()

        last = KeptLedger(server.url(name), tmp_path)
        assert amounts(last) == {"ci": 20}
        last.close()


CHILD = """
import sys
from pathlib import Path
from pointsman_callers.ledger import Attempt, Counted, Spent
from pointsman_callers.ledger.books import remembered
from pointsman_callers.ledger.kept import KeptLedger
from pointsman_database import Session

ledger = KeptLedger("pointsman.db", Path(sys.argv[1]))
ledger.open(1_790_000_000.0)
for n in range(100_000):
    attempt = Attempt(at=1_790_000_000.0, request_id=f"r{n}", attempt=1, model="a", deployment="p/m", caller="ci")
    held = [Counted("daily", "ci", "microcents", 1_789_948_800, 7)]
    ledger.hold(f"h{n}", attempt, Spent(cost_microcents=7), held, 1_790_000_060.0)
    print(f"held {n}", flush=True)
    actual = [Counted("daily", "ci", "microcents", 1_789_948_800, 3)]
    ledger.settle(f"h{n}", attempt, Spent(cost_microcents=3), actual)
    print(f"settled {n}", flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 97, 500])
def test_after_kill_9_the_ledger_is_right_to_the_call(lines: int, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(lines):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    said = [*child.stdout]
    child.wait()
    child.stdout.close()
    complete = lines + len([each for each in said if each.endswith("\n")])
    told_held, told_settled = (complete + 1) // 2, complete // 2

    ledger = KeptLedger("pointsman.db", tmp_path)
    books = ledger.open(NOW + 1)

    settled = sum(each.amount for each in books.spent)
    held = sum(each.amount for hold in books.held for each in hold.counted)
    # What it had told before it was killed; and at most the one step that it was killed in.
    assert told_settled <= settled // 3 <= told_settled + 1
    assert told_held <= settled // 3 + held // 7 <= told_held + 1
    assert settled % 3 == 0
    assert held in (0, 7)
    ledger.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), st.integers(0, 3), st.integers(0, 100)),
        st.tuples(st.just("settle"), st.integers(0, 30), st.one_of(st.none(), st.integers(0, 200))),
        st.tuples(st.just("clock"), st.integers(-200, 200), st.just(0)),
        st.tuples(st.just("kill"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=40)
@example([("hold", 0, 0), ("settle", 0, None), ("settle", 0, 1)])
@given(steps)
def test_however_it_is_used_and_killed_it_says_what_a_simple_model_says(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int | None]]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    wall = NOW
    ledger = KeptLedger("pointsman.db", folder)
    ledger.open(wall)
    abandoned = []
    holds: dict[str, tuple[str, int, float]] = {}  # what is held, until when
    ended: dict[str, tuple[str, int, bool]] = {}  # what it came to, and whether somebody said so
    for n, (what, which, amount) in enumerate(steps):
        if what == "hold":
            assert amount is not None
            ledger.hold(f"h{n}", attempt(n), spent(amount), money(amount, f"s{which}"), wall + 60)
            holds[f"h{n}"] = (f"s{which}", amount, wall + 60)
        elif what == "settle" and (known := [*holds, *ended]):
            id = known[which % len(known)]
            subject = (holds.get(id) or ended[id])[0]
            told = None if amount is None else spent(amount)
            ledger.settle(id, attempt(n), told, () if amount is None else money(amount, subject))
            if id in holds or not ended[id][2]:
                holds.pop(id, None)
                # Of an attempt of which nothing was used nothing is kept, so that what is heard later counts.
                ended[id] = (subject, amount or 0, amount is not None)
        elif what == "clock":
            wall += which
        elif what == "kill":
            abandoned.append(ledger)  # nothing of it is closed, as nothing is of a process that was killed
            ledger = KeptLedger("pointsman.db", folder)
            ledger.open(wall)
            for id in [id for id, (_, _, expires) in holds.items() if expires <= wall]:
                subject, held, _ = holds.pop(id)
                ended[id] = (subject, held, False)

    abandoned.append(ledger)
    last = KeptLedger("pointsman.db", folder)
    books = last.open(0.0)  # a clock by which nothing has expired

    expected: dict[str, int] = {}
    for subject, came_to, _ in ended.values():
        expected[subject] = expected.get(subject, 0) + came_to
    found = {each.subject: each.amount for each in books.spent}
    assert all(each >= 0 for each in found.values())
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}
    assert {each.id: each.counted[0].amount for each in books.held} == {
        id: each[1] for id, each in holds.items()
    }
    for each in (*abandoned, last):
        each.close()


@pytest.mark.parametrize("keep", [None, 86_400.0])
def test_what_need_not_be_kept_goes_a_little_at_a_time_and_what_counts_still_stays(
    opened: Opened, keep: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "AT_ONCE", 2)
    day = 86_400
    ledger = opened()
    ledger.open(NOW)
    for n, age in enumerate([0, 1, 20, 30, 50, 60, 70, 80]):
        at = attempt(n)
        at = msgspec.structs.replace(at, at=NOW - age * day - 1)
        ledger.settle(f"h{n}", at, spent(1), money(1, since=DAY - age * day))
    database = ledger.database
    assert database is not None

    def rows() -> tuple[int, int]:
        ledger.expired(NOW)
        return database.read(
            lambda session: (
                session.execute("SELECT COUNT(*) FROM spend")[0][0],
                session.execute("SELECT COUNT(*) FROM totals")[0][0],
            )
        )

    until(lambda: [8] if rows() == (8, 8) else [])

    ledger.keep = keep
    left = (8, 8) if keep is None else (2, 4)
    until(lambda: [left] if rows() == left else [])

    assert [rows(), rows()] == [left, left]
    ledger.close()


def test_by_a_clock_that_is_far_ahead_nothing_is_old(tmp_path: Path) -> None:
    ledger = KeptLedger("pointsman.db", tmp_path, keep=86_400.0)
    ledger.open(NOW)
    ledger.settle("h", attempt(), spent(1), money(1))
    database = ledger.database
    assert database is not None

    assert not database.write(lambda session: books.let_go(session, NOW + 1e9, 86_400.0))
    assert database.read(lambda session: session.execute("SELECT id FROM spend")) != []
    ledger.close()


def test_a_ledger_without_a_place_keeps_nothing(tmp_path: Path) -> None:
    ledger = open_ledger(None, tmp_path)
    assert isinstance(ledger, MemoryLedger)
    ledger.settle("h1", attempt(), spent(1), money(1))
    assert (ledger.open(NOW).spent, ledger.trouble()) == ((), "")
    assert isinstance(open_ledger("./pointsman.db", tmp_path), KeptLedger)
