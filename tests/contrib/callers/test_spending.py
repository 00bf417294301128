"""What the ledger says was spent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from postgres import own_database

from pointsman.plugin import InvalidRequest
from pointsman_callers.ledger import Attempt, Counted, Spent
from pointsman_callers.ledger.instants import instant
from pointsman_callers.ledger.kept import KeptLedger
from pointsman_callers.ledger.picture import draw
from pointsman_callers.ledger.routes import SpendRoutes
from pointsman_callers.ledger.spending import as_plain, erase, export_of, spend_by
from pointsman_cli.app import run as run_command
from pointsman_database import Database

NOW = 1_790_000_000.0  # 2026-09-21, early in the afternoon
DAY = 86_400.0
SEPTEMBER_21 = 1_789_948_800

CONFIG = """
providers: {gpu1: {type: ollama, base_url: "http://127.0.0.1:9"}}
models: {assistant: {deployments: [gpu1/llama3.2]}}
budgets: {database: ./pointsman.db}
"""


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A ledger in which some attempts are."""
    if request.param == "sqlite":
        address = str(tmp_path / "pointsman.db")
        fill(address, tmp_path)
        opened = Database.open(address, tmp_path)
        yield opened
        opened.close()
        return
    with own_database() as (server, name):
        fill(server.url(name), tmp_path)
        opened = Database.open(server.url(name), tmp_path)
        yield opened
        opened.close()


def fill(address: str, directory: Path) -> None:
    ledger = KeptLedger(address, directory)
    ledger.open(NOW)
    rows = [
        ("ci", "small", {"team": "qa"}, 0.0, Spent(prompt=100, completion=10, cost_microcents=5_000_000)),
        ("ci", "large", {"team": "qa"}, -DAY, Spent(prompt=1, completion=1, cost_microcents=250_000_000)),
        ("ann", "large", {'te"am': "x"}, -DAY, Spent(prompt=7, completion=3, cost_microcents=None)),
        ("ann", "small", {"team": "ops"}, -40 * DAY, Spent(cost_microcents=1, estimated=True)),
    ]
    for n, (caller, model, labels, ago, spent) in enumerate(rows):
        attempt = Attempt(NOW + ago, f"r{n}", 1, model, f"p/{model}", caller, f"k-{caller}", labels)
        amount = [Counted("daily", caller, "microcents", SEPTEMBER_21, spent.cost_microcents or 0)]
        ledger.settle(f"h{n}", attempt, spent, amount)
    ledger.close()


def lines(
    database: Database, by: str, since: float | None = None, until: float | None = None
) -> dict[str, int]:
    return {each.of: each.cost_microcents for each in database.read(lambda s: spend_by(s, by, since, until))}


def test_it_is_added_by_whatever_is_asked_for(database: Database) -> None:
    assert lines(database, "caller") == {"ci": 255_000_000, "ann": 1}
    assert [*lines(database, "model").items()] == [("large", 250_000_000), ("small", 5_000_001)]
    assert [*lines(database, "day")] == ["2026-08-12", "2026-09-20", "2026-09-21"]
    assert lines(database, "label:team") == {"qa": 255_000_000, "": 0, "ops": 1}
    assert lines(database, "key") == {"k-ci": 255_000_000, "k-ann": 1}


def test_only_what_began_in_that_time_is_in_it(database: Database) -> None:
    assert lines(database, "caller", since=NOW - 2 * DAY) == {"ci": 255_000_000, "ann": 0}
    assert lines(database, "caller", since=NOW) == {"ci": 5_000_000}
    assert lines(database, "caller", until=NOW) == {"ci": 250_000_000, "ann": 1}


def test_what_nobody_knows_is_counted_and_told(database: Database) -> None:
    plain = as_plain("caller", None, NOW, database.read(lambda s: spend_by(s, "caller", None, None)))

    assert plain["until"] == "2026-09-21T14:13:20Z"
    assert plain["total"] == {
        "attempts": 4,
        "prompt_tokens": 108,
        "completion_tokens": 14,
        "cost_microcents": 255_000_001,
        "cost_usd": 2.55000001,
        "unpriced": 1,
        "estimated": 1,
    }


def test_another_way_to_tell_apart_is_refused(database: Database) -> None:
    for by in ("labels", "label:", 'label:a"b', "caller; DROP TABLE spend"):
        with pytest.raises(ValueError, match="is none of caller, model"):
            lines(database, by)


def test_a_caller_is_exported_and_erased_and_sums_stay(database: Database) -> None:
    exported = database.read(lambda s: export_of(s, "ann"))
    assert [(each["request_id"], each["labels"], each["how"]) for each in exported] == [
        ("r3", {"team": "ops"}, "estimated"),
        ("r2", {'te"am': "x"}, "counted"),
    ]

    assert database.write(lambda s: erase(s, "ann")) == 2

    assert lines(database, "caller") == {"ci": 255_000_000, "(erased)": 1}
    assert database.read(lambda s: export_of(s, "ann")) == []
    everything = database.read(
        lambda s: [*s.execute("SELECT * FROM spend"), *s.execute("SELECT * FROM totals")]
    )
    assert "ann" not in str(everything)
    assert database.write(lambda s: erase(s, "ci")) == 2
    assert database.read(lambda s: s.execute("SELECT subject, amount FROM totals")) == [
        ("(erased)", 255_000_001)
    ]


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("2026-09-21", False, SEPTEMBER_21),
        ("2026-09-21", True, SEPTEMBER_21 + DAY),
        ("2026-09-21T02:00+02:00", False, SEPTEMBER_21),
        ("2026-09-21T00:00", True, SEPTEMBER_21),
        ("1d", False, NOW - DAY),
    ],
)
def test_a_time_is_what_people_write(text: str, end: bool, expected: float) -> None:
    assert instant(text, NOW, end=end) == expected


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "9999-12-31", ""])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected a day such as"):
        instant(text, NOW, end=True)


def test_the_command_reads_it_without_a_router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pointsman.yaml").write_text(CONFIG)
    fill("pointsman.db", tmp_path)

    shown = run("spend", "--by", "caller", "--since", "2026-01-01", "--until", "2026-12-31")
    said = json.loads(
        run("spend", "--by", "day", "--since", "2026-09-20", "--until", "2026-09-20", "--json").stdout
    )

    assert shown.stdout.splitlines() == [
        "caller\tattempts\tprompt\tcompletion\tUSD",
        "ci\t2\t101\t11\t2.550000",
        "ann\t2\t7\t3\t0.000000",
    ]
    assert "1 attempt cost something that nobody knows" in shown.stderr
    assert [(each["of"], each["cost_usd"]) for each in said["lines"]] == [("2026-09-20", 2.5)]


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_it_is_drawn(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pointsman.yaml").write_text(CONFIG)
    fill("pointsman.db", tmp_path)

    run("spend", "--since", "2026-01-01", "--plot", f"spend.{suffix}")

    drawn = Path(f"spend.{suffix}").read_bytes()
    assert drawn.startswith(b"<svg" if suffix == "svg" else b"\x89PNG")
    assert suffix == "png" or b"large" in drawn


def test_a_picture_of_nothing_is_one(tmp_path: Path) -> None:
    assert draw([], "spent by <model>", ".svg").startswith(b"<svg")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (CONFIG, "pointsman.db is not there yet: nothing was spent"),
        (CONFIG.replace("budgets: {database: ./pointsman.db}", ""), "no section `budgets`"),
    ],
)
def test_where_nothing_is_kept_the_command_says_so(
    config: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pointsman.yaml").write_text(config)

    result = run("spend", code=None)

    assert result.exit_code != 0
    assert said in result.stderr
    assert not Path("pointsman.db").exists()


def test_db_status_and_migrate_bring_the_tables_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pointsman.yaml").write_text(CONFIG)

    before = json.loads(run("db", "status", "--json").stdout)
    assert not Path("pointsman.db").exists()
    done = json.loads(run("db", "migrate", "--json").stdout)
    after = json.loads(run("db", "status", "--json").stdout)

    ledger = [each for each in before if each["component"] == "ledger"]
    assert [(each["version"], each["waiting"]) for each in ledger] == [(0, ["0001 begin"])]
    assert {"component": "ledger", "version": 1, "name": "begin"}.items() <= done[0].items()
    assert [(each["version"], each["waiting"]) for each in after if each["component"] == "ledger"] == [
        (1, [])
    ]
    assert "up to date" in run("db", "migrate").stderr


def test_an_address_in_a_variable_that_is_not_set_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEDGER_URL", raising=False)
    Path("pointsman.yaml").write_text(CONFIG.replace("./pointsman.db", '"${LEDGER_URL}"'))

    result = run("db", "migrate", code=None)

    assert "${LEDGER_URL}, which is not set" in result.stderr


def run(*arguments: str, code: int | None = 0) -> Any:
    with CliRunner().isolation() as (out, err, _both):
        ended = run_command(arguments)
        said = SimpleNamespace(
            exit_code=ended, stdout=out.getvalue().decode(), stderr=err.getvalue().decode()
        )
    if code is not None:
        assert said.exit_code == code, said.stderr
    return said


async def test_operators_are_told_over_http(database: Database) -> None:
    routes = {(each.method, each.path): each for each in SpendRoutes(lambda: database, lambda: NOW).routes()}
    assert all(each.operator for each in routes.values())

    async def ask(method: str, path: str, query: dict[str, str] | None = None, **params: str) -> Any:
        asked: Any = SimpleNamespace(query=query or {}, params=params, method=method)
        return json.loads((await routes[method, path].handler(asked)).body)

    spend = await ask("GET", "/admin/v1/spend", {"by": "caller", "since": "2d"})
    export = await ask("GET", "/admin/v1/spend/callers/{name}", name="ann")
    erased = await ask("DELETE", "/admin/v1/spend/callers/{name}", name="ann")

    assert [each["of"] for each in spend["lines"]] == ["ci", "ann"]
    assert len(export["attempts"]) == 2
    assert erased == {"caller": "ann", "erased": 2}
    for query in ({"by": "x"}, {"since": "x"}, {"sinse": "1d"}):
        with pytest.raises(InvalidRequest):
            await ask("GET", "/admin/v1/spend", query)
