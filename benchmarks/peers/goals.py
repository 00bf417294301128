"""The goals: what pointsman may cost, as ratios to others in the same run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab import Figures, Results

OURS = "pointsman"
SCHEDULED_US = 99_000
"""From the first to the last of a hundred chunks that are sent a millisecond apart."""


@dataclass(frozen=True)
class Goal:
    """One line of the table: `measured` must be at most `limit`, or at least where `at_least`."""

    number: int
    what: str
    limit: float
    measured: float | None
    at_least: bool = False
    unit: str = " times"

    @property
    def passed(self) -> bool | None:
        """None where it was not measured."""
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def goals(results: Results, starts: Mapping[str, Sequence[Figures]]) -> list[Goal]:
    """All goals, in their order, with what was measured."""
    return [
        *_calls(results),
        *_streams(results),
        *_under_stress(results),
        *_starts(starts),
        *_further(results),
    ]


def _calls(results: Results) -> list[Goal]:
    def ratio(concurrent: int, other: str) -> float | None:
        scenario = f"calls at {concurrent}"
        return results.ratio("cpu_us", (scenario, OURS), (scenario, other))

    def own(concurrent: int) -> float | None:
        return results.ratio("cpu_us", (f"calls at {concurrent}", OURS), ("calls at 16", OURS))

    return [
        Goal(1, "CPU per call at 16, to bare aiohttp", 1.0, ratio(16, "aiohttp")),
        Goal(1, "CPU per call at 64, to bare aiohttp", 1.0, ratio(64, "aiohttp")),
        Goal(1, "CPU per call at 16, to raw", 5.0, ratio(16, "raw")),
        Goal(1, "CPU per call at 64, to raw", 5.0, ratio(64, "raw")),
        Goal(2, "CPU per call at 16, to LiteLLM's Router", 1 / 60, ratio(16, "litellm")),
        Goal(2, "CPU per call at 16, to the openai SDK", 1 / 15, ratio(16, "openai")),
        Goal(2, "CPU per call at 16, to TensorZero embedded", 1 / 3, ratio(16, "tensorzero")),
        Goal(3, "CPU per call at 256, to that at 16", 1.6, own(256)),
        Goal(3, "CPU per call at 1,000, to that at 16", 1.6, own(1_000)),
    ]


def _streams(results: Results) -> list[Goal]:
    def ratio(other: str) -> float | None:
        return results.ratio("chunk_cpu_us", ("chunks at once", OURS), ("chunks at once", other))

    added = results.difference("first_us", ("chunks spaced", OURS), ("chunks spaced", "raw"))
    spread = results.median("chunks spaced", OURS, "spread_us")
    return [
        Goal(5, "CPU per chunk sent at once, to raw", 2.2, ratio("raw")),
        Goal(5, "CPU per chunk sent at once, to the openai SDK", 1 / 10, ratio("openai")),
        Goal(5, "CPU per chunk sent at once, to LiteLLM's Router", 1 / 30, ratio("litellm")),
        Goal(5, "added to raw until the first token", 1_000, added, unit=" us"),
        Goal(
            5,
            "first to last chunk, to how they were sent: nothing is held back",
            0.8,
            None if spread is None else spread / SCHEDULED_US,
            at_least=True,
        ),
    ]


def _under_stress(results: Results) -> list[Goal]:
    held = "in flight on a slow upstream"
    failing, plain = (("every tenth a 503", OURS), ("calls at 16", OURS))
    return [
        Goal(6, "errors of 5,000 calls on a 1 s upstream", 0, results.total(held, OURS, "failed"), unit=""),
        Goal(6, "wall time of these, to raw", 1.5, results.ratio("wall_s", (held, OURS), (held, "raw"))),
        Goal(7, "errors with every tenth answer a 503", 0, results.total(*failing, "failed"), unit=""),
        Goal(7, "p99 of these, to undisturbed", 3.0, results.ratio("p99_us", failing, plain)),
        Goal(7, "CPU per call of these, to undisturbed", 1.5, results.ratio("cpu_us", failing, plain)),
    ]


def _starts(starts: Mapping[str, Sequence[Figures]]) -> list[Goal]:
    def median(program: str, figure: str) -> float | None:
        found = [each[figure] for each in starts.get(program, ()) if figure in each]
        return statistics.median(found) if found else None

    command = f"{OURS} --help"
    return [
        Goal(8, "CPU of the import and of a router built", 0.20, median(OURS, "cpu_s"), unit=" s"),
        Goal(8, "resident memory then", 40.0, median(OURS, "resident_mib"), unit=" MiB"),
        Goal(8, f"CPU of `{command}`", 0.25, median(command, "cpu_s"), unit=" s"),
    ]


def _further(results: Results) -> list[Goal]:
    grown = results.median("growth", OURS, "grown_kib")
    turns = [each["ratio"] for each in results.rounds.get("variants", {}).get(OURS, []) if "ratio" in each]

    def more(variant: str) -> float | None:
        return statistics.median(each[variant] for each in turns) if turns else None

    return [
        Goal(
            8,
            "growth of resident memory, from a tenth of the calls to all",
            1.0,
            None if grown is None else grown / 1024,
            unit=" MiB",
        ),
        Goal(8, "CPU per call with one more listener", 1.05, more("listener")),
        Goal(8, "CPU per call with one more plugin", 1.05, more("plugin")),
    ]
