"""What a routed call costs, beside the practical limit and beside other clients.

    uv run python benchmarks/peers [--quick] [--rounds 5] [--only raw pointsman] [--json] [--page]

Each client runs in a process of its own on one core, with its libraries in an environment of its own, and the
mock upstream on another core. A round measures every client in every scenario, one after the other, so that a
busy machine slows all of them; medians of the rounds count, and goals are ratios inside one round. `--page`
writes the tables into docs/performance.md and the picture beside it. Exit status 1: a goal was missed, or a
call of pointsman's failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import environments
import lab
import machine
import report
from goals import OURS, goals
from lab import Scenario

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "images" / "peers.svg"
EVERYBODY = tuple(environments.REQUIREMENTS)
STREAMING = ("raw", "openai", "litellm", OURS)
RETRYING = ("openai", "litellm", OURS)
LEAN = ("raw", "aiohttp", OURS)


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        seconds: of one measurement.
        levels: numbers of calls at the same time.
        everybody: all clients wherever they can take part, else those that the goals need.
        held: calls at once on the slow upstream.
        growth: calls of the one run that looks at memory.
        variants: seconds for the variants of pointsman.
    """

    seconds: float
    levels: Sequence[int]
    everybody: bool
    held: int
    growth: int
    variants: float


FULL = Size(1.0, (1, 16, 64, 256, 1_000), True, 5_000, 100_000, 8.0)
QUICK = Size(0.15, (16, 64, 256, 1_000), False, 5_000, 10_000, 1.6)
SMOKE = Size(0.0, (16,), False, 20, 20, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks/peers",
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.HelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="about two minutes with all clients, and figures to match"
    )
    parser.add_argument("--smoke", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=EVERYBODY, choices=EVERYBODY, metavar="CLIENT")
    parser.add_argument("--transport", default="auto", help="of pointsman")
    parser.add_argument("--audit", default="jsonl", choices=["jsonl", "memory", "none"], help="of pointsman")
    parser.add_argument("--environments", type=Path, default=environments.default_directory(), metavar="DIR")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", action="store_true", help="refresh docs/performance.md and its picture")
    options = parser.parse_args()
    os.environ |= {"PEERS_TRANSPORT": options.transport, "PEERS_AUDIT": options.audit}  # for its worker

    pythons, skipped = {}, {}
    for name in options.only:
        _tell(f"environment of {name}")
        try:
            pythons[name] = environments.python(name, options.environments)
        except environments.Unavailable as error:
            skipped[name] = str(error)
    size = SMOKE if options.smoke else QUICK if options.quick else FULL
    results = lab.measured(pythons, scenarios(size), rounds=options.rounds, tell=_tell)
    results.skipped = skipped | results.skipped
    usable = {name: python for name, python in pythons.items() if name in results.versions}
    starts = lab.starts(usable, rounds=options.rounds if size is FULL else 1, tell=_tell)
    _tell("")

    met = goals(results, starts)
    kind = "medians" if size is FULL else "quick figures"
    about = (
        f"{machine.description()}, {machine.load()}; {kind} of {options.rounds} rounds; "
        f"pointsman with transport {options.transport} and audit {options.audit}"
    )
    text = report.tables(results, starts, met, about=about, levels=size.levels)
    if options.page:
        PAGE.write_text(report.page(PAGE.read_text("utf-8"), text), "utf-8")
        PICTURE.write_text(report.picture(results), "utf-8")
    if options.json:
        print(json.dumps(report.as_data(results, starts, met, about=about)))
    else:
        print(text)
    ours = OURS in results.skipped or any(each.startswith(f"{OURS},") for each in results.errors())
    sys.exit(ours or any(goal.passed is False for goal in met))


def scenarios(size: Size) -> list[Scenario]:
    """What is measured in each round."""

    def those(needed: Sequence[str], possible: Sequence[str] = EVERYBODY) -> Sequence[str]:
        return possible if size.everybody else needed

    def calls(name: str, clients: Sequence[str], mode: str, concurrent: int) -> Scenario:
        return Scenario(name, clients, "calls", mode, {"concurrent": concurrent, "seconds": size.seconds})

    def streams(name: str, clients: Sequence[str], mode: str, concurrent: int) -> Scenario:
        arguments = {"chunks": 100, "concurrent": concurrent, "seconds": size.seconds}
        return Scenario(name, clients, "streams", mode, arguments)

    held = {"count": size.held}
    # The same once more shows how much of the others' difference is noise.
    kinds = {"plain": {}, "same": {}, "listener": {"listeners": 1}, "plugin": {"plugins": 1}}
    variants = {"concurrent": 16, "seconds": size.variants, "options": kinds}
    growth = {"concurrent": 16, "early": size.growth // 10, "late": size.growth}
    return [
        *(
            calls(f"calls at {level}", EVERYBODY if level == 16 else those(LEAN), "plain", level)
            for level in size.levels
        ),
        streams("chunks at once", those(STREAMING), "chunks=100", 16),
        *(
            streams(f"chunks at once, {level}", LEAN, "chunks=100", level)
            for level in (size.levels if size.everybody else ())
        ),
        # Few at a time, so that the wait for the core is no part of the time until the first token.
        streams("chunks spaced", those(STREAMING), "chunks=100,gap=0.001", 2),
        calls("every tenth a 503", those((OURS,), RETRYING), "fail=10", 16),
        Scenario(
            "in flight on a slow upstream",
            those(("raw", OURS), LEAN),
            "in_flight",
            "delay=1",
            held,
            rounds=5 if size is FULL else 1,
        ),
        Scenario("variants", (OURS,), "variants", "plain", variants),
        Scenario("growth", those((OURS,), LEAN), "growth", "plain", growth, rounds=1, fresh=True),
    ]


def _tell(text: str) -> None:
    """Progress, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
