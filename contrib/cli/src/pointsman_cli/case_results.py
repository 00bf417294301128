"""Cases of calls, tried and told: one line each, and below it what is otherwise than expected."""

from __future__ import annotations

import sys
from pathlib import Path

from pointsman_cli.configured import keyless_configuration
from pointsman_cli.errors import FAILED
from pointsman_cli.options import Asked
from pointsman_cli.output import print_json, print_text, say


async def tried(asked: Asked, file: str) -> int | None:
    """Try the cases in `file` and print the results: 1 when one is not as expected. Raises ConfigError."""
    from pointsman.dry_run.cases import read_cases
    from pointsman.dry_run.trying import deployments_of
    from pointsman.dry_run.trying import tried as results_of

    config = await keyless_configuration(asked)
    placed = read_cases(Path(file), deployments_of(config))
    results = [*results_of(placed, config)]
    failed = [each for each in results if each.wrong]
    if asked.json:
        print_json({"cases": [each.to_dict() for each in results], "failed": len(failed)})
        return FAILED if failed else None
    for each in results:
        print_text(f"{'FAIL' if each.wrong else 'ok  '} {placed.file}:{each.line} {each.name}")
        for wrong in each.wrong:
            print_text(f"       {wrong}")
    sys.stdout.flush()  # before what is said of it
    say(f"{len(results) - len(failed)} of {len(results)} cases are as expected")
    return FAILED if failed else None
