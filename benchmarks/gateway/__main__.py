"""What a call through the gateway costs, beside proxies, other gateways and a relay written by hand.

    uv run python benchmarks/gateway [--quick] [--rounds 7] [--only whole stream] [--json] [--page]

Each subject is a process, or a tree of them, on one core; callers and the mock upstream are on another. A
round measures every subject in every case, one after the other; medians of the rounds count, and goals are
ratios inside one round. Exit status 1: a goal was missed, or a call of pointsman's failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "peers"))
import asked
import environments
import lab
import machine
import measuring
import programme
import report
import subjects
import upstream
import uvloop
from subjects import OURS, Place, Unusable

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
MARKS = ("<!-- gateway: begin -->", "<!-- gateway: end -->")
MOCK = str(Path(__file__).with_name("mock.py"))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks/gateway", description=__doc__.partition("\n")[0],
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="under two minutes, and without slow peers")
    parser.add_argument("--smoke", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help="7, or 5 with --quick; fewer of what takes long")
    parser.add_argument(
        "--only", nargs="+", choices=programme.NAMES, metavar="CASE", help=" ".join(programme.NAMES)
    )
    parser.add_argument("--subjects", nargs="+", choices=list(subjects.STARTERS), metavar="SUBJECT")
    parser.add_argument("--environments", type=Path, default=environments.default_directory(), metavar="DIR")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", action="store_true", help="refresh the tables in docs/performance.md")
    options = parser.parse_args()
    size = programme.SMOKE if options.smoke else programme.QUICK if options.quick else programme.FULL
    rounds = options.rounds or size.rounds
    chosen = [each for each in programme.cases(size) if options.only is None or each.group in options.only]
    about = f"{machine.description()}; medians of {rounds} rounds"  # before this process is pinned itself
    results = run(chosen, size, rounds=rounds, only=options.subjects, environments_in=options.environments)
    _tell("")
    met = asked.goals(results)
    about += f"; {machine.load()}"
    if options.json:
        print(json.dumps(asked.as_data(results, met, about=about)))
    else:
        text = asked.tables(results, met, about=about)
        if options.page:
            PAGE.write_text(report.page(PAGE.read_text("utf-8"), text, MARKS), "utf-8")
        print(text)
    ours = OURS in results.skipped or any(each.startswith(f"{OURS},") for each in results.errors())
    sys.exit(ours or any(goal.passed is False for goal in met))


def run(
    chosen: Sequence[measuring.Case],
    size: programme.Size,
    *,
    rounds: int,
    only: Sequence[str] | None,
    environments_in: Path,
) -> lab.Results:
    """Start what the cases need, and measure."""
    cores = os.sched_getaffinity(0)
    names = dict.fromkeys(name for case in chosen for name in case.subjects)
    core, other = machine.cores()
    if other is not None:
        machine.pin(other)
    machine.raise_descriptors()
    found: dict[str, subjects.Subject] = {}
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        served = stack.enter_context(upstream.running(other, program=MOCK))
        for name in names:
            if only is not None and name not in only:
                continue
            _tell(f"starting {name}")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-")))
            folder.chmod(0o755)  # a worker of nginx runs as somebody else
            place = Place(folder, served.port, core, environments_in)
            try:
                found[name] = stack.enter_context(subjects.running(name, place))
            except (Unusable, environments.Unavailable) as error:
                skipped[name] = str(error)

        async def everything() -> lab.Results:
            await measuring.warmed(chosen, found, calls=size.warm_up, tell=_tell)
            return await measuring.rounds(chosen, found, count=rounds, cores=cores, tell=_tell)

        results = uvloop.run(everything())
    results.skipped = skipped
    return results


def _tell(text: str) -> None:
    """Progress, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
