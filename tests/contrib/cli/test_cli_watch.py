"""`pointsman status --watch`: the live state of a router, again and again, with rates."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from pointsman_cli.watching import Rates, sparkline


@pytest.fixture
def running(servers: Any, application: Any) -> Any:
    """An application with a router over one Ollama server."""
    servers.configure(servers.add("ollama", name="gpu"), more="control: ./pointsman.sock")
    return application()


def facts(pid: int = 1, **outcomes: int) -> dict[str, Any]:
    deployment = {"id": "a/x", "outcomes": {"ok": 0, **outcomes}}
    return {"router": {"pid": pid}, "models": {"m": {"deployments": [deployment]}}}


def test_rates_are_what_was_counted_between_two_looks() -> None:
    rates = Rates()
    rates.look([facts(ok=10)], 100.0)
    assert rates.now == {}

    rates.look([facts(ok=30, upstream_fault=2, overload=2)], 104.0)

    assert rates.now == {(1, "a/x"): (6.0, 1.0)}


def test_a_router_that_begins_anew_has_no_rate_below_zero_and_one_that_is_gone_none() -> None:
    rates = Rates()
    rates.look([facts(ok=10), facts(2, ok=1)], 0.0)
    rates.look([facts(ok=3)], 1.0)

    assert rates.now == {(1, "a/x"): (0.0, 0.0)}
    assert list(rates.history) == [(1, "a/x")]


@pytest.mark.parametrize(("values", "line"), [([], ""), ([0, 0], "▁▁"), ([0, 5, 10], "▁▅█"), ([1e-9], "█")])
def test_a_sparkline_has_the_greatest_value_at_its_top(values: list[float], line: str) -> None:
    assert sparkline(values) == line


def test_piped_it_is_a_line_of_json_for_each_time(running, processes) -> None:
    watch = processes.start("status", "--watch", "100ms", "--json")
    first = json.loads(watch.stdout.readline())
    running.ask()

    calls = 0.0
    while not calls:
        calls = json.loads(watch.stdout.readline())["per_second"]["gpu/llama3.2"]["calls"]
    watch.send_signal(signal.SIGINT)

    assert first["router"]["pid"] == running.process.pid
    assert first["per_second"] == {}
    assert calls > 0
    assert watch.wait(30) == 130


def test_a_configuration_that_was_refused_is_seen_there_too(running, cli, processes, workdir: Path) -> None:
    file = workdir / "pointsman.yaml"
    file.write_text(file.read_text() + "stategy: weighted\n")
    assert cli("reload").code == 2

    piped = processes.start("status", "--watch", "100ms")
    lines = [piped.stdout.readline().decode() for _ in range(5)]
    piped.send_signal(signal.SIGINT)
    terminal = processes.at_terminal("status", "--watch", "100ms", columns=120)
    terminal.until("[PM1101]")
    terminal.process.send_signal(signal.SIGINT)
    terminal.rest()

    assert lines[3].startswith("what the file says now is not used: refused ")
    assert lines[4].endswith("did you mean 'strategy'? [PM1101]\n")
    assert piped.wait(30) == 130


def test_it_ends_with_the_router(running, processes) -> None:
    watch = processes.start("status", "--watch", "100ms")
    assert re.fullmatch(rb"\d\d:\d\d:\d\d\n", watch.stdout.readline())
    assert watch.stdout.readline().startswith(b"process\tmodel\tdeployment\tstate\tin flight\tcalls/s")

    running.close()

    assert watch.wait(30) == 1
    assert b"is shutting down" in watch.stderr.read()


def test_at_a_terminal_it_stays_in_place_and_follows_its_size(
    running, processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    terminal = processes.at_terminal("status", "--watch", "100ms", columns=80)
    terminal.until("gpu/llama3.2")
    terminal.until("\x1b[2K")  # the lines before are written over

    terminal.resize(columns=40)
    before = len(terminal.seen)
    terminal.until("Ctrl-C ends it")
    terminal.until("Ctrl-C ends it")
    terminal.until("Ctrl-C ends it")
    last = terminal.seen[before:].rpartition("Ctrl-C ends it")[0].rpartition("Ctrl-C ends it")[2]
    terminal.process.send_signal(signal.SIGINT)
    terminal.rest()

    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", last).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= 40
    assert terminal.process.returncode == 130
    assert terminal.seen.rstrip().endswith("interrupted")
    assert "\x1b[?25h" in terminal.seen  # the cursor is back


@pytest.mark.parametrize("interval", ["0", "10ms", "2h", "soon"])
def test_an_interval_that_makes_no_sense_is_refused(cli, interval: str) -> None:
    assert cli("status", "--watch", interval).code == 2
