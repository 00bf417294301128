"""How many plugins the kit is tried with, by kind. `python tests/kit/table.py` prints it."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent


def table() -> str:
    """One line for each kind: its rules, the wrong plugins with a rule that must find each, the right ones."""
    from rules_page import contracts

    from cases import RIGHT, WRONG
    from pointsman.testing.contract import rules_of

    for path in sorted(HERE.glob("*_*.py")):
        if path.stem.startswith(("wrong_", "right_")):
            importlib.import_module(path.stem)
    rules = {
        kind.lower(): len(rules_of(contract))
        for kind, contract in contracts().items()
        if kind not in ("PLUGIN", "LIVE")
    }
    wrong, right = Counter(each.kind for each in WRONG), Counter(each.kind for each in RIGHT)
    lines = [f"{'kind':<10} {'rules':>5} {'wrong':>5} {'right':>5}"]
    lines += [f"{kind:<10} {rules[kind]:>5} {wrong[kind]:>5} {right[kind]:>5}" for kind in sorted(rules)]
    return "\n".join([*lines, f"{'all':<10} {sum(rules.values()):>5} {len(WRONG):>5} {len(RIGHT):>5}"])


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
    print(table())
