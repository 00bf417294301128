"""`pointsman audit`, on the same records in a table and in files."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from audited import WALL, At, attempted, ended, refused, sink_at, started
from click.testing import CliRunner

from pointsman_audit.checking import write_chains
from pointsman_audit.sources import Table
from pointsman_cli.app import run

Run = Callable[..., tuple[int, str, str]]
DAY = 86_400.0


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `pointsman audit` in a directory of its own; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POINTSMAN_CONFIG", raising=False)
    monkeypatch.setenv("TZ", "UTC")

    def call(*arguments: str) -> tuple[int, str, str]:
        with CliRunner().isolation() as (out, err, _both):
            code = run(["audit", *arguments])
            return code, out.getvalue().decode(), err.getvalue().decode()

    return call


@pytest.fixture(params=["table", "files"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where six requests of two callers over two days are recorded, and one refusal."""
    clock = At()
    sink = sink_at("audit.db", tmp_path, clock=clock)
    for n in range(6):
        clock.wall_now = WALL + n // 3 * DAY
        caller, more = ("ci", {}) if n % 2 else ("qa", {"result": "error", "error": "unavailable"})
        sink(started(f"r{n}", caller=caller))
        sink(attempted(f"r{n}", caller=caller))
        sink(ended(f"r{n}", caller=caller, **more))
    sink(refused("r9", "ci"))
    sink.close()
    if request.param == "table":
        yield "audit.db"
        return
    folder = tmp_path / "audit"
    folder.mkdir()
    table = Table("audit.db", tmp_path)
    write_chains(table, folder)
    table.close()
    yield "audit"


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_query_shows_what_is_wanted_the_oldest_first(cli: Run, place: str) -> None:
    code, out, _ = cli("query", place, "--caller", "ci", "--event", "request", "--json")
    assert (code, [each["request_id"] for each in lines(out)]) == (0, ["r1", "r3", "r5"])

    _, out, _ = cli("query", place, "--event", "request", "--limit", "2", "--json")
    assert [each["request_id"] for each in lines(out)] == ["r4", "r5"]

    _, out, _ = cli("query", place, "--outcome", "error", "--until", "2023-11-15", "--json")
    assert [each["request_id"] for each in lines(out)] == ["r0", "r2"]

    _, out, _ = cli("query", place, "--request", "r1")
    assert out.splitlines()[1].split("\t")[1:6] == ["start", "ci", "m", "", ""]


def test_what_stands_in_a_record_steers_no_terminal(cli: Run, tmp_path: Path) -> None:
    sink = sink_at("odd.db", tmp_path)
    sink(ended("r\x1b[2Jx", model="\u202eevil\x07"))
    sink.close()

    for command in (["query"], ["tail"], ["stats"], ["export"], ["query", "--json"], ["tail", "--json"]):
        _, out, _ = cli(command[0], "odd.db", *command[1:])
        assert not {"\x1b", "\x07", "\u202e"} & set(out), command
        assert "evil" in out


def test_the_tail_is_a_line_for_each_of_the_latest(cli: Run, place: str) -> None:
    _, out, _ = cli("tail", place, "-n", "3")

    *_, request, refusal, close = out.splitlines()
    assert request.split("  ")[1:] == ["request", "ci", "m", "a/x", "ok", "100 ms", "r5"]
    assert refusal.split("  ")[1:] == ["refused", "ci", "m", "caller_rate_limited", "r9"]
    assert close.split("  ")[1:] == ["close"]


def test_what_there_is_is_counted_by_event_caller_model_and_day(cli: Run, place: str) -> None:
    code, out, _ = cli("stats", place, "--json")

    said = json.loads(out)
    assert code == 0
    assert said["events"]["request"] == 6
    assert said["callers"]["ci"] == {
        "requests": 3, "errors": 0, "prompt_tokens": 9, "completion_tokens": 6, "cost_microcents": 21, "refused": 1,
    }  # fmt: skip
    assert said["callers"]["qa"]["errors"] == 3
    assert list(said["days"]) == ["2023-11-14", "2023-11-15"]
    assert (said["missing"], said["models"]["m"]["requests"]) == (0, 6)
    assert cli("stats", place)[1].splitlines()[0].startswith(f"{said['place']}: 23 records, ")


def test_records_as_they_were_written_verify_and_a_change_is_found_with_its_number(
    cli: Run, place: str, tmp_path: Path
) -> None:
    code, out, _ = cli("verify", place)
    assert (code, out.splitlines()[-1].strip()) == (0, "as it was written")

    if place == "audit.db":
        import sqlite3

        with sqlite3.connect(tmp_path / place) as table:
            table.execute(
                "UPDATE audit_records SET record = replace(record, '\"qa\"', '\"me\"') WHERE seq = 4"
            )
        table.close()
    else:
        path = min((tmp_path / place).iterdir())
        path.write_bytes(path.read_bytes().replace(b'"caller":"qa"', b'"caller":"me"', 3))

    code, out, _ = cli("verify", place, "--json")
    said = json.loads(out)
    assert (code, said["ok"]) == (1, False)
    assert [each["seq"] for each in said["findings"]] == [4 if place == "audit.db" else 2]
    code, out, _ = cli("verify", place)
    assert f"from number {said['findings'][0]['seq']} on: " in out


def test_where_there_is_nothing_to_read_it_ends_with_2(cli: Run, tmp_path: Path) -> None:
    assert cli("verify", "./nowhere")[0] == 2
    (tmp_path / "empty").mkdir()
    assert cli("verify", "./empty", "--checkpoints", "./nowhere")[0] == 2
    code, _, err = cli("query")
    assert code == 2
    assert "keeps no records" in err


def test_without_a_place_it_is_the_first_of_the_configuration(cli: Run, place: str, tmp_path: Path) -> None:
    sink = "{type: sqlite, database: ./audit.db}" if place == "audit.db" else "{type: jsonl, path: ./audit}"
    (tmp_path / "pointsman.yaml").write_text(
        f"audit: [logging, {sink}]\nproviders: {{a: {{type: nothing}}}}\n"
    )

    _, out, _ = cli("query", "--json", "--event", "refused")

    assert [each["request_id"] for each in lines(out)] == ["r9"]


def test_all_of_a_caller_can_be_handed_out_and_erased_and_the_rest_still_verifies(
    cli: Run, place: str, tmp_path: Path
) -> None:
    code, _, err = cli("export", place, "--caller", "ci", "-o", "ci.jsonl")
    assert (code, "10 records" in err) == (0, True)
    assert {each["caller"] for each in lines((tmp_path / "ci.jsonl").read_text())} == {"ci"}
    assert cli("export", place, "-o", "ci.jsonl")[0] == 2  # nothing is written over

    code, out, _ = cli("erase", place, "--caller", "ci", "--yes", "--json")

    assert (code, json.loads(out)) == (0, {"caller": "ci", "records": 10, "left": []})
    assert cli("query", place, "--caller", "ci", "--json")[1] == ""
    found = json.loads(cli("verify", place, "--json")[1])
    assert (found["ok"], found["records"], sum(each["erased"] for each in found["files"])) == (True, 23, 10)
    assert "ci" not in str([path.read_bytes() for path in tmp_path.glob("audit/*")])
    assert len(lines(cli("query", place, "--caller", "qa", "--json")[1])) == 9


def test_the_tables_of_audit_can_be_made_before_a_router_runs(tmp_path: Path, cli: Run) -> None:
    (tmp_path / "pointsman.yaml").write_text(
        "audit: [logging, {type: sqlite, database: ./records.db}]\nproviders: {a: {type: ollama}}\n"
    )

    with CliRunner().isolation() as (out, _err, _both):
        assert run(["db", "migrate", "--json"]) == 0
        assert run(["db", "status", "--json"]) == 0
        said = [each for each in out.getvalue().decode().splitlines() if "waiting" in each]

    (audit,) = [each for each in json.loads(said[-1]) if each["component"] == "audit"]
    assert (audit["database"], audit["waiting"]) == (str(tmp_path / "records.db"), [])
    assert (tmp_path / "records.db").exists()


def test_nothing_is_erased_where_nobody_can_say_yes_and_it_says_how_a_script_does(
    cli: Run, place: str
) -> None:
    code, _, err = cli("erase", place, "--caller", "ci")

    assert (code, "nobody has said yes: --yes does" in err) == (2, True)
    assert len(lines(cli("query", place, "--caller", "ci", "--json")[1])) == 10


def test_a_file_that_is_being_written_is_left_and_named(cli: Run, tmp_path: Path, place: str) -> None:
    if place == "audit.db":
        pytest.skip("a table can be changed while others write")
    last = max((tmp_path / place).iterdir())
    with last.open("r+b") as held:  # as its writer has it
        fcntl.flock(held, fcntl.LOCK_EX)
        code, out, err = cli("erase", place, "--caller", "ci", "--yes")

    assert code == 1
    assert "3 records of ci erased" in out
    assert f"{last.name}: it is being written" in err


@pytest.mark.parametrize("output", ["given", "given.zip"])
def test_evidence_verifies_with_nothing_but_python_and_shows_a_change(
    cli: Run, place: str, tmp_path: Path, output: str
) -> None:
    code, out, _ = cli("evidence", place, "-o", output, "--since", "2023-11-15")
    assert (code, out) == (0, f"{output}: 12 records in 1 file\n")
    folder = tmp_path / "given"
    if output.endswith(".zip"):
        with ZipFile(tmp_path / output) as archive:
            archive.extractall(folder)

    def verify() -> subprocess.CompletedProcess[str]:
        (path,) = (folder / "records").iterdir()
        command = [sys.executable, "-I", "verify.py", str(path)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)

    assert (verify().returncode, "12 records are as they were written" in verify().stdout) == (0, True)
    (path,) = (folder / "records").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"a/x"', b'"b/x"', 1))
    assert (verify().returncode, verify().stdout.split("; ")[1]) == (1, "number 14 is not\n")
    assert (
        subprocess.run(
            ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True
        ).returncode
        == 1
    )


KEYED = "audit: [{type: sqlite, database: ./k.db, key: {file: a.key}}, {type: jsonl, path: ./k, key: {file: a.key}}]"


@pytest.fixture
def keyed(tmp_path: Path) -> Path:
    """A log with a key, in a table and as a folder; the configuration names both, and the file of the key."""
    (tmp_path / "a.key").write_text("0123456789abcdef")
    (tmp_path / "pointsman.yaml").write_text(f"{KEYED}\nproviders: {{a: {{type: nothing}}}}\n")
    sink = sink_at("k.db", tmp_path, key={"file": str(tmp_path / "a.key")})
    sink(started("r1"))
    sink(ended("r1"))
    sink.close()
    (tmp_path / "k").mkdir()
    table = Table("k.db", tmp_path)
    write_chains(table, tmp_path / "k")
    table.close()
    return tmp_path


@pytest.mark.parametrize("named", ["k.db", "sqlite:k.db", "k", "./k/", "a file of k"])
def test_who_names_a_place_of_the_configuration_has_the_key_of_the_configuration(
    cli: Run, keyed: Path, named: str
) -> None:
    place = str(next((keyed / "k").iterdir())) if named == "a file of k" else named

    code, out, _ = cli("verify", place)

    assert (code, out.splitlines()[-1].strip()) == (0, "as it was written")


@pytest.mark.parametrize("place", ["k.db", "k"])
def test_without_its_key_a_log_is_not_said_to_be_wrong(cli: Run, keyed: Path, place: str) -> None:
    (keyed / "pointsman.yaml").unlink()

    code, out, _ = cli("verify", place)
    assert (code, out.splitlines()[-1].strip()) == (
        2,
        "cannot be verified without its key: --key-file, or $POINTSMAN_AUDIT_KEY",
    )

    (keyed / "other.key").write_text("another key of 16 and more")
    code, out, _ = cli("verify", place, "--key-file", "other.key")
    assert (code, out.splitlines()[-1].strip()) == (1, "NOT as it was written")


def test_a_place_can_be_looked_at_whatever_is_wrong_with_the_configuration(cli: Run, keyed: Path) -> None:
    (keyed / "pointsman.yaml").write_text("audit: [{type: jsonl, path: '${NOBODY_SAYS}'}]\n")

    assert cli("verify", "k", "--key-file", "a.key")[0] == 0


def test_an_empty_folder_is_not_said_to_be_as_it_was_written(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    code, out, _ = cli("verify", "empty")

    assert code == 2
    assert out.splitlines() == ["empty: 0 records in 0 files, without a key", "  there is nothing to verify"]


def test_evidence_of_a_log_with_a_key_asks_for_the_key_before_it_says_anything(cli: Run, keyed: Path) -> None:
    cli("evidence", "k", "-o", "given")
    (path,) = (keyed / "given" / "records").iterdir()

    def verify(**environ: str) -> tuple[int, str]:
        command = [sys.executable, "-I", "verify.py", f"records/{path.name}"]
        done = subprocess.run(command, cwd=keyed / "given", env=environ, capture_output=True, text=True)
        return done.returncode, done.stdout

    assert verify() == (2, f"records/{path.name}: made with a key; set POINTSMAN_AUDIT_KEY\n")
    assert verify(POINTSMAN_AUDIT_KEY="0123456789abcdef")[0] == 0
    assert verify(POINTSMAN_AUDIT_KEY="another key of 16 and more")[0] == 1
