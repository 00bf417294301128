"""`pointsman explain --replay`: what it prints, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pointsman_cli.app import run

CONFIG = """providers:
  gpu1: {type: ollama}
  gpu2: {type: ollama}
models:
  assistant:
    deployments: [gpu1/llama3.2, {provider: gpu2, model: llama3.2, priority: 1}]
"""
HEAD = {"v": 1, "model": "assistant", "deployment": "gpu1/llama3.2", "ms": 900}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `explain` where `old.yaml`, `new.yaml` and the log of three requests `audit.jsonl` are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(CONFIG)
    (tmp_path / "new.yaml").write_text(
        CONFIG.replace("gpu1/llama3.2,", "{provider: gpu1, model: llama3.2, priority: 2},")
    )
    lines = [
        json.dumps({**HEAD, "ts": f"2026-11-30T10:0{n}:00.000+00:00", "request_id": f"r{n}", **said})
        for n in range(3)
        for said in (
            {"event": "attempt", "number": 1, "outcome": "ok"},
            {"event": "request", "operation": "chat", "result": "ok", "attempts": 1},
        )
    ]
    (tmp_path / "audit.jsonl").write_text("\n".join([*lines, "{broken", ""]))

    def call(*arguments: str) -> tuple[int, str, str]:
        with CliRunner().isolation() as (out, err, _both):
            code = run(["explain", *arguments])
            return code, out.getvalue().decode(), err.getvalue().decode()

    return call


def test_the_configuration_of_the_log_changes_nothing(cli: Run) -> None:
    code, out, err = cli("--replay", "audit.jsonl", "-c", "old.yaml")

    assert (code, out) == (0, "")
    assert "read 3 requests of 1 file, from 2026-11-30 09:59 to 2026-11-30 10:01 UTC" in err
    assert "skipped audit.jsonl:7: JSON is malformed" in err
    assert "0 of 3 requests (0.0%) would end elsewhere than in the log" in err


@pytest.mark.parametrize("than", [(), ("--than", "old.yaml")])
def test_a_changed_one_tells_from_where_to_where_and_an_example(cli: Run, than: tuple[str, ...]) -> None:
    code, out, err = cli("--replay", "audit.jsonl", "-c", "new.yaml", *than)

    assert code == 0
    assert out.splitlines() == ["from\tto\trequests", "gpu1/llama3.2\tgpu2/llama3.2\t3"]
    assert "  gpu2/llama3.2: 0 before, 3 after" in err
    assert "  r0 (assistant): gpu1/llama3.2; now gpu2/llama3.2" in err
    assert "the log has too few answers of gpu2/llama3.2: they are drawn as is usual for the type" in err


def test_what_the_router_logs_in_virtual_time_is_not_shown(cli: Run, tmp_path: Path) -> None:
    failed = {
        **HEAD,
        "ts": "2026-11-30T10:00:00.000+00:00",
        "outcome": "upstream_fault",
        "error": "unavailable",
    }
    lines = [
        {**failed, "event": kind, "request_id": f"r{n}", "result": "error"}
        for n in range(20)
        for kind in ("attempt", "request")
    ]
    (tmp_path / "down.jsonl").write_text("\n".join(map(json.dumps, lines)))

    _, _, err = cli("--replay", "down.jsonl", "-c", "old.yaml")

    assert "breaker" not in err


def test_json_has_every_change_and_every_broken_line(cli: Run) -> None:
    _, out, _ = cli("--replay", "audit.jsonl", "-c", "new.yaml", "--json")

    told = json.loads(out)
    assert [each["request_id"] for each in told["changes"]] == ["r0", "r1", "r2"]
    assert told["changes"][0]["after"]["path"] == ["gpu2/llama3.2"]
    assert (told["broken"][0]["line"], told["moves"]) == (7, [["gpu1/llama3.2", "gpu2/llama3.2", 3]])


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_log_without_requests_is_the_wrong_one_and_not_one_that_changes_nothing(cli, more) -> None:
    code, out, err = cli("--replay", "old.yaml", "-c", "old.yaml", *more)

    assert (code, out) == (2, "")
    assert "no request is recorded in old.yaml" in err
    assert more or "skipped old.yaml:1: JSON is malformed" in err


def test_what_a_log_says_in_several_lines_is_told_in_one(cli: Run, tmp_path: Path) -> None:
    told = {**HEAD, "event": "request", "ts": "2026-11-30T10:09:00+00:00", "result": "error"}
    line = json.dumps({**told, "request_id": "r9", "error": "over\nerrors: none"})
    (tmp_path / "audit.jsonl").write_text(f"{line}\n")

    code, _out, err = cli("--replay", "audit.jsonl", "-c", "old.yaml")

    assert (code, "\nerrors: none" in err, "over\\nerrors: none" in err) == (0, False, True)


def test_a_log_that_is_not_there_and_a_missing_package_are_told(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = cli("--replay", "nowhere.jsonl", "-c", "old.yaml")

    assert code == 2
    assert "nowhere.jsonl: No such file or directory" in err

    monkeypatch.setitem(sys.modules, "pointsman_forecast", None)
    monkeypatch.delitem(sys.modules, "pointsman_forecast.replayed")
    code, _, err = cli("--replay", "audit.jsonl", "-c", "old.yaml")

    assert code == 2
    assert "pip install pointsman-forecast" in err
