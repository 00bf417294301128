"""The benchmarks against peers measure what they say: the mock upstream counts the calls along."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks" / "peers"))
import lab
import report
import upstream
from goals import Goal, goals
from lab import Figures, Results, Worker

PEERS = Path(lab.__file__).parent


def clients(*names: str) -> list[Any]:
    """Those that run in the project's own environment, where `httptools` need not be installed."""
    missing = importlib.util.find_spec("httptools") is None
    skip = pytest.mark.skipif(missing, reason="httptools is not installed here")
    return [pytest.param(name, marks=[skip] if name == "raw" else []) for name in names]


def asked(name: str, command: str, mode: str, **arguments: Any) -> tuple[Figures, int]:
    """What the worker says, and how many requests the upstream got."""
    with upstream.running() as served:
        worker = Worker(sys.executable, name, core=None)
        try:
            assert "versions" in worker.greeting, worker.greeting
            figures = worker.ask(command, url=served.url(mode), **arguments)
        finally:
            worker.close()
    return figures, served.requests[mode]


@pytest.mark.parametrize("name", clients("raw", "aiohttp", "pointsman"))
def test_every_call_that_is_counted_came_to_the_upstream(name: str) -> None:
    figures, requests = asked(name, "calls", "plain", concurrent=3, seconds=0.01)

    assert figures["failed"] == 0, figures
    assert figures["calls"] == requests - 3  # the warm-up
    assert figures["calls"] >= 3
    assert figures["cpu_us"] > 0
    assert 0 < figures["p50_us"] <= figures["p99_us"]


@pytest.mark.parametrize("name", clients("raw", "aiohttp", "pointsman"))
@pytest.mark.parametrize("mode", ["chunks=7", "chunks=7,gap=0.001"])
def test_every_stream_has_all_its_chunks(name: str, mode: str) -> None:
    figures, requests = asked(name, "streams", mode, chunks=7, concurrent=2, seconds=0.0)

    assert (figures["failed"], figures["calls"], requests) == (0, 2, 4), figures
    assert figures["chunk_cpu_us"] == pytest.approx(figures["cpu_us"] / 7)


@pytest.mark.parametrize("name", clients("raw", "pointsman"))
def test_calls_that_begin_together_all_end(name: str) -> None:
    figures, requests = asked(name, "in_flight", "delay=0.05", count=40)

    assert (figures["failed"], figures["calls"], requests) == (0, 40, 40), figures


def test_pointsman_makes_up_for_failed_answers_and_others_count_them() -> None:
    ours, requests = asked("pointsman", "calls", "fail=2", concurrent=2, seconds=0.0)
    theirs, _ = asked("aiohttp", "calls", "fail=2", concurrent=2, seconds=0.0)

    assert ours["failed"] == 0, ours
    assert requests > ours["calls"] + 2
    assert theirs["failed"] == 1, theirs
    assert "503" in theirs["errors"][0]


def test_memory_and_variants_are_measured() -> None:
    grown, requests = asked("pointsman", "growth", "plain", concurrent=3, early=5, late=11)
    options = {"plain": {}, "listener": {"listeners": 1}, "plugin": {"plugins": 1}}
    variants, _ = asked("pointsman", "variants", "plain", concurrent=2, seconds=0.0, options=options)

    assert (grown["calls"], grown["failed"], requests) == (11, 0, 11)
    assert grown["grown_kib"] == grown["after_kib"] - grown["before_kib"]
    assert variants["failed"] == 0
    assert variants["ratio"].keys() == options.keys()
    assert variants["ratio"]["plain"] == 1


def test_a_client_that_cannot_be_imported_is_skipped_with_the_reason() -> None:
    results = lab.measured({"nobody": sys.executable}, [], rounds=1)

    assert "clients.nobody" in results.skipped["nobody"]


def test_a_command_that_fails_is_an_error_and_the_worker_goes_on() -> None:
    worker = Worker(sys.executable, "aiohttp", core=None)
    try:
        nowhere = {"url": "http://127.0.0.1:9/plain/v1", "concurrent": 1, "seconds": 0.0}
        failed = worker.ask("streams", chunks=1, **nowhere)
        again = worker.ask("calls", **nowhere)
    finally:
        worker.close()

    assert failed["failed"] == failed["calls"] == 1
    assert again["errors"]


def test_a_run_gives_well_formed_json_and_a_page(tmp_path: Path) -> None:
    """The whole program, with the clients that are installed here."""
    done = subprocess.run(
        [sys.executable, str(PEERS), "--smoke", "--rounds", "1", "--only", "pointsman", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert found["errors"] == []
    assert found["skipped"] == {}
    assert set(found["figures"]["calls at 16"]) == {"pointsman"}
    assert found["starts"].keys() == {"python", "pointsman", "pointsman --help"}
    assert {each["goal"] for each in found["goals"]} == {1, 2, 3, 5, 6, 7, 8}
    assert all(each["passed"] in (True, False, None) for each in found["goals"])


def test_ratios_are_taken_inside_a_round_and_missing_clients_leave_a_goal_open() -> None:
    def rounds(*values: float) -> list[Figures]:
        return [{"cpu_us": value} for value in values]

    ours = [*rounds(10, 40), {"error": "its process has ended"}, *rounds(90)]
    theirs = [*rounds(5, 10, 1, 30)]
    results = Results({"calls at 16": {"pointsman": ours, "raw": theirs}})

    aiohttp, _, raw, *_ = goals(results, {})

    assert (raw.what, raw.measured, raw.passed) == ("CPU per call at 16, to raw", 3, True)
    assert (aiohttp.measured, aiohttp.passed) == (None, None)


def test_the_start_has_goals_in_seconds_and_mebibytes_and_ratios_are_written_as_such() -> None:
    starts: dict[str, list[Figures]] = {
        "pointsman": [{"cpu_s": each, "resident_mib": 41.5} for each in (0.19, 0.21, 0.9)]
    }
    calls: dict[str, list[Figures]] = {"pointsman": [{"cpu_us": 9}], "litellm": [{"cpu_us": 900}]}
    met = goals(Results({"calls at 16": calls}), starts)

    text = report.tables(Results(), starts, met, about="", levels=())

    assert "| 8 | CPU of the import and of a router built | at most 0.2 s | 0.21 s | **no** |" in text
    assert "| 8 | resident memory then | at most 40 MiB | 41.5 MiB | **no** |" in text
    assert "| 8 | CPU of `pointsman --help` | at most 0.25 s |  | not measured |" in text
    assert "| 2 | CPU per call at 16, to LiteLLM's Router | at most 1/60 times | 1/100 times | yes |" in text


def test_a_goal_is_met_at_its_limit_and_missed_beyond() -> None:
    assert Goal(1, "", 1.0, 1.0).passed is True
    assert Goal(1, "", 1.0, 1.01).passed is False
    assert Goal(5, "", 0.8, 0.79, at_least=True).passed is False


def test_the_page_is_refreshed_between_its_marks_and_the_picture_is_svg() -> None:
    calls: dict[str, list[Figures]] = {"pointsman": [{"cpu_us": 90.0}], "raw": [{"cpu_us": 18.0}]}
    results = Results({"calls at 16": calls, "chunks at once": {"raw": [{"chunk_cpu_us": 0.5}]}})
    old = (PEERS.parents[1] / "docs" / "performance.md").read_text("utf-8")

    new = report.page(old, "| new |\n")

    assert report.page(new, "| new |\n") == new
    assert new.startswith(old.partition(report.BEGIN)[0] + report.BEGIN)
    assert new.endswith(report.END + old.partition(report.END)[2])
    assert ElementTree.fromstring(report.picture(results)).tag.endswith("svg")
