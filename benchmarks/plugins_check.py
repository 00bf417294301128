"""Checks every distribution of this repository as `pointsman plugins check` does, the import times too.

    uv run python benchmarks/plugins_check.py [DISTRIBUTION ...]

Providers are tried with the contracts in tests/. The exit code is 1 when a rule is broken.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from pointsman.testing.checking.run import Checked, CheckNote, check

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = [path.parent for each in ("plugins", "contrib") for path in ROOT.glob(f"{each}/*/pyproject.toml")]


def tests_of(folder: Path) -> list[Path]:
    """Where the contracts of a provider stand."""
    return [*(ROOT / "tests" / "plugins" / folder.name).glob("test_*_contract.py")]


def main(chosen: list[str]) -> int:
    code = 0
    for folder in sorted(FOLDERS):
        name = f"pointsman-{folder.name}"
        if chosen and name not in chosen:
            continue
        told = list(check(name, tests=tests_of(folder)))
        checked = [each for each in told if isinstance(each, Checked)]
        counts = Counter(each.result for each in checked)
        took = next((each.found for each in checked if each.id == "PLUGIN-07"), "")
        print(f"{name:24} {dict(counts)}  import {took}", flush=True)
        bad = [f"{each.id}: {each.found}" for each in checked if each.result == "broken"]
        bad += [each.text for each in told if isinstance(each, CheckNote) and each.fault]
        for each in bad:
            print(f"    {each}")
        code = code or int(bool(bad) or not checked)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
