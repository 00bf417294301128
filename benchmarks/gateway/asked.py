"""What is asked of the gateway, as ratios to others in the same run, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import report
from goals import Goal
from lab import Results
from subjects import DIRECT, OURS


def goals(results: Results) -> list[Goal]:
    """All goals of the cases that were measured."""

    def ratio(figure: str, case: str, other: str) -> float | None:
        return results.ratio(figure, (case, OURS), (case, other))

    prompt = results.median("prompt", OURS, "cpu_us")
    found = [
        ("whole", Goal(1, "CPU per call, to Envoy", 2.2, ratio("cpu_us", "whole", "envoy"))),
        ("whole", Goal(1, "CPU per call, to nginx", 6.0, ratio("cpu_us", "whole", "nginx"))),
        ("whole", Goal(1, "CPU per call, to LiteLLM's proxy", 1 / 100, ratio("cpu_us", "whole", "litellm"))),
        ("whole", Goal(1, "CPU per call, to Portkey's gateway", 1 / 8, ratio("cpu_us", "whole", "portkey"))),
        (
            "stream",
            Goal(
                2, "CPU per chunk sent at once, to the relay", 1.6, ratio("chunk_cpu_us", "stream", "relay")
            ),
        ),
        (
            "stream-apart",
            Goal(
                2,
                "CPU per chunk 10 ms apart, to the relay",
                1.6,
                ratio("chunk_cpu_us", "stream-apart", "relay"),
            ),
        ),
        (
            "held",
            Goal(
                3,
                "calls a second of 1,000 callers on a 1 s upstream, to direct",
                0.95,
                ratio("calls_per_s", "held", DIRECT),
                at_least=True,
            ),
        ),
        (
            "prompt",
            Goal(
                4,
                "CPU of a call with a prompt of 400 KB",
                5.0,
                None if prompt is None else prompt / 1e3,
                unit=" ms",
            ),
        ),
    ]
    return [goal for case, goal in found if case in results.rounds]


def tables(results: Results, met: Sequence[Goal], *, about: str) -> str:
    """Everything that was measured."""
    parts = [f"{about}.\n"]
    header = [
        "subject",
        "CPU, us",
        "least",
        "pointsman to it",
        "calls/s",
        "p50, ms",
        "p99, ms",
        "resident, MiB",
        "failed",
    ]
    medians = results.medians()
    for case, found in results.rounds.items():
        chunked = case.startswith("stream")
        figure = "chunk_cpu_us" if chunked else "cpu_us"
        rows = []
        for name, rounds in found.items():
            good = [each for each in rounds if "error" not in each]
            if not good:
                rows.append([name, *[""] * 7, rounds[0]["error"]])
                continue

            median = medians[case][name]
            ratio = results.ratio(figure, (case, OURS), (case, name))
            rows.append(
                [
                    name,
                    f"{median[figure]:,.1f}",
                    f"{min(each[figure] for each in good):,.1f}",
                    "" if ratio is None else report.ratio(ratio),
                    f"{median['calls_per_s']:,.0f}",
                    f"{median['p50_us'] / 1e3:,.1f}",
                    f"{median['p99_us'] / 1e3:,.1f}",
                    f"{median['resident_mib']:,.0f}",
                    str(sum(each["failed"] for each in good)),
                ]
            )
        parts += [f"`{case}`{', CPU per chunk' if chunked else ''}\n", report.table(header, rows)]
    parts += ["Goals.\n", report.goals_table(met)]
    if results.skipped:
        parts += ["Not to be had here, and what is asked beside them void.\n"]
        parts += ["".join(f"- {name}: {why}\n" for name, why in results.skipped.items())]
    errors = results.errors()
    if errors:
        parts += ["Errors.\n", "".join(f"- {each}\n" for each in errors)]
    versions = (f"{name} {next(iter(found.values()))}" for name, found in results.versions.items())
    return "\n".join([*parts, f"Versions: {', '.join(versions)}.\n"])


def as_data(results: Results, met: Sequence[Goal], *, about: str) -> dict[str, Any]:
    """The same for programs."""
    return {
        "about": about,
        "versions": results.versions,
        "skipped": results.skipped,
        "errors": results.errors(),
        "figures": results.medians(),
        "goals": [
            {
                "goal": goal.number,
                "what": goal.what,
                "limit": goal.limit,
                "at_least": goal.at_least,
                "measured": goal.measured,
                "passed": goal.passed,
            }
            for goal in met
        ],
    }
