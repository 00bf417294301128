"""Rounds of measurements: in each round every scenario, in each scenario every client in turn.

Another client begins in each round, so that none always comes after the same one: what a client leaves behind
in the processor's caches, and what its threads still do, is not to the cost of one neighbour alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import upstream

WORKER = Path(__file__).resolve().parent / "worker.py"
PATIENCE = 600.0
"""Seconds after which a worker that does not answer is ended."""
LONG = 10.0
"""Seconds: a measurement that took longer is made in the first round only."""

Figures = dict[str, Any]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Scenario:
    """One measurement of several clients.

    Attributes:
        command: what the worker does, with `arguments`, against the upstream's `mode`.
        rounds: at most so many.
        fresh: in a new process, because the answer depends on what ran there before.
    """

    name: str
    clients: Sequence[str]
    command: str
    mode: str
    arguments: Mapping[str, Any]
    rounds: int = 1_000
    fresh: bool = False


@dataclass
class Results:
    """What came out.

    Attributes:
        rounds: scenario → client → what the worker said, in the order of the rounds.
        versions: client → distribution → version.
        skipped: client → why it was not measured.
    """

    rounds: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def median(self, scenario: str, client: str, figure: str) -> float | None:
        """Over the rounds; None where it was not measured."""
        found = [each[figure] for each in self._good(scenario, client)]
        return statistics.median(found) if found else None

    def total(self, scenario: str, client: str, figure: str) -> int | None:
        """The sum over the rounds; None where it was not measured."""
        found = [each[figure] for each in self._good(scenario, client)]
        return sum(found) if found else None

    def ratio(self, figure: str, one: tuple[str, str], other: tuple[str, str]) -> float | None:
        """The median over the rounds of `one` / `other`, each a scenario and a client."""
        found = [a[figure] / b[figure] for a, b in self._pairs(one, other) if b[figure]]
        return statistics.median(found) if found else None

    def difference(self, figure: str, one: tuple[str, str], other: tuple[str, str]) -> float | None:
        """The median over the rounds of `one` - `other`, each a scenario and a client."""
        found = [a[figure] - b[figure] for a, b in self._pairs(one, other)]
        return statistics.median(found) if found else None

    def medians(self) -> dict[str, dict[str, Figures]]:
        """All figures that are numbers: scenario → client → figure → median."""
        return {
            scenario: {
                client: {
                    "rounds": len(good),
                    **{
                        figure: round(statistics.median(each[figure] for each in good), 3)
                        for figure, value in good[0].items()
                        if isinstance(value, int | float)
                    },
                }
                for client in clients
                if (good := self._good(scenario, client))
            }
            for scenario, clients in self.rounds.items()
        }

    def errors(self) -> list[str]:
        """What failed, in words."""
        found: dict[str, None] = {}
        for scenario, clients in self.rounds.items():
            for client, rounds in clients.items():
                for each in rounds:
                    if "error" in each:
                        found[f"{client}, {scenario}: {each['error']}"] = None
                    elif each.get("failed"):
                        first = next(iter(each.get("errors", ())), "")
                        found[
                            f"{client}, {scenario}: {each['failed']} of {each['calls']} failed: {first}"
                        ] = None
        return list(found)

    def _pairs(self, one: tuple[str, str], other: tuple[str, str]) -> Iterator[tuple[Figures, Figures]]:
        """What the two came to in the same round, where both came to something."""
        lists = [self.rounds.get(scenario, {}).get(client, []) for scenario, client in (one, other)]
        for a, b in zip(*lists, strict=False):
            if "error" not in a and "error" not in b:
                yield a, b

    def _good(self, scenario: str, client: str) -> list[Figures]:
        rounds = self.rounds.get(scenario, {}).get(client, [])
        return [each for each in rounds if "error" not in each]


class Worker:
    """A client's process."""

    def __init__(self, python: str, name: str, core: int | None) -> None:
        command = [python, str(WORKER), name, *([] if core is None else ["--core", str(core)])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment(),
        )  # fmt: skip
        self.greeting = self._answer()

    def ask(self, command: str, **arguments: Any) -> Figures:
        """What the worker measured, or `error`."""
        assert self._process.stdin is not None
        try:
            print(json.dumps({"command": command, **arguments}), file=self._process.stdin, flush=True)
        except OSError:
            return {"error": "its process has ended"}
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> Figures:
        assert self._process.stdout is not None
        timer = threading.Timer(PATIENCE, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        answer: Figures = json.loads(line) if line else {"error": "its process has ended"}
        return answer


def environment() -> dict[str, str]:
    """That of a client: byte code is kept, as it is after any installation, and no proxy stands between."""
    return {
        key: value
        for key, value in os.environ.items()
        if key != "PYTHONDONTWRITEBYTECODE" and not key.lower().endswith("_proxy")
    }


def measured(
    pythons: Mapping[str, str], scenarios: Sequence[Scenario], *, rounds: int, tell: Tell = lambda _: None
) -> Results:
    """All `scenarios`, `rounds` times, of the clients whose interpreters are given."""
    results = Results()
    core, other = machine.cores()
    with ExitStack() as stack:
        served = stack.enter_context(upstream.running(other))
        workers: dict[str, Worker] = {}
        for name, python in pythons.items():
            tell(f"starting {name}")
            worker = Worker(python, name, core)
            stack.callback(worker.close)
            if "error" in worker.greeting:
                results.skipped[name] = worker.greeting["error"]
            else:
                workers[name] = worker
                results.versions[name] = worker.greeting["versions"]
        for number in range(rounds):
            for scenario in scenarios:
                clients = [each for each in scenario.clients if each in workers]
                first = number % len(clients) if clients else 0
                for name in [] if number >= scenario.rounds else [*clients[first:], *clients[:first]]:
                    kept = results.rounds.setdefault(scenario.name, {}).setdefault(name, [])
                    if kept and (kept[0].get("wall_s", 0) > LONG or "error" in kept[0]):
                        continue
                    tell(f"round {number + 1} of {rounds}: {scenario.name}: {name}")
                    worker = Worker(pythons[name], name, core) if scenario.fresh else workers[name]
                    kept.append(
                        worker.ask(scenario.command, url=served.url(scenario.mode), **scenario.arguments)
                    )
                    if scenario.fresh:
                        worker.close()
    return results


def starts(
    pythons: Mapping[str, str], *, rounds: int, tell: Tell = lambda _: None
) -> dict[str, list[Figures]]:
    """What it takes to import a client and set it up: CPU seconds and peak memory of a fresh interpreter.

    `python` does nothing, and `pointsman --help` is the command.
    """
    commands = {"python": [sys.executable, "-c", "pass"]}
    commands |= {name: [python, str(WORKER), name, "--build"] for name, python in pythons.items()}
    if "pointsman" in pythons:
        code = "import sys; from pointsman_cli import main; sys.argv = ['pointsman', '--help']; main()"
        commands["pointsman --help"] = [pythons["pointsman"], "-c", code]
    found: dict[str, list[Figures]] = {}
    for number in range(rounds + 1):
        for name, command in commands.items():
            tell(f"start {number} of {rounds}: {name}")
            figures = _start(command)
            if number:  # the first fills the cache of byte code
                found.setdefault(name, []).append(figures)
    return found


def _start(command: Sequence[str]) -> Figures:
    # A process of its own waits for it, so that the figures are of this one child.
    script = (
        "import json, resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, env=environment()
    )
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["failed"])[-1][:300]}
    cpu, most = json.loads(done.stdout)
    return {"cpu_s": cpu, "resident_mib": most / (1024**2 if sys.platform == "darwin" else 1024)}
