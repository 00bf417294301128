"""`pointsman plugins check`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pointsman_cli.errors import FAILED, USAGE, Failed
from pointsman_cli.options import Asked, json_option, pass_asked
from pointsman_cli.output import print_json, print_table, print_text, say, say_over

if TYPE_CHECKING:
    from pointsman.testing.checking.run import Checked, CheckEvent, CheckNote

_RESULTS = {"held": "held", "broken": "broken", "expected": "expected to fail", "skipped": "not tried"}


@click.command("check")
@click.argument("distribution", metavar="DIST")
@click.option(
    "--tests",
    metavar="PATH",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A file or folder with its contracts, in place of those that it names; may be given again.",
)
@click.option(
    "--rule",
    "rules",
    metavar="ID",
    multiple=True,
    help="Only this rule, as in PROVIDER-07, or all of a kind, as in PROVIDER; may be given again.",
)
@json_option
@pass_asked
def command(asked: Asked, distribution: str, tests: Sequence[Path], rules: Sequence[str]) -> int | None:
    """Try the contracts of an installed plugin.

    That runs in a process of its own. Its contract classes are the entry points of the group
    `pointsman.contracts`; without them, what needs no answers of an upstream is tried. The exit code is 1
    when a rule is broken, and 2 when nothing can be tried.
    """
    from pointsman.testing.checking.run import Checked, CheckImpossible, CheckNote, check

    checked: list[Checked] = []
    remarks: list[CheckNote] = []
    try:
        for told in _shown(check(distribution, tests=tests, rules=rules)):
            if isinstance(told, Checked):
                checked.append(told)
            elif isinstance(told, CheckNote):
                remarks.append(told)
    except CheckImpossible as error:
        raise Failed(str(error), code=USAGE) from None
    broken = [each for each in checked if each.result == "broken"]
    faults = [each.text for each in remarks if each.fault]
    tried = [each for each in checked if each.result != "skipped"]  # a contract may skip all of its rules
    ok = not broken and not faults and bool(tried)
    if asked.json:
        told_as = {"distribution": distribution, "ok": ok, "rules": checked, "remarks": remarks}
        print_json(told_as)
    else:
        _print(checked, broken)
        for remark in remarks:
            say(f"{'error' if remark.fault else 'not tried'}: {remark.text}")
        say(f"{distribution}: {_summary(checked)}")
    if checked and not tried and not faults:
        return USAGE
    return None if ok else FAILED


def _shown(told: Iterator[CheckEvent]) -> Iterator[CheckEvent]:
    """The same, with a line on the terminal that says how far it is."""
    from pointsman.testing.checking.run import CheckBegun, Checked

    at_terminal = _at_terminal()
    count = done = 0
    try:
        for each in told:
            if isinstance(each, CheckBegun):
                count = each.count
            elif isinstance(each, Checked):
                done += 1
                if at_terminal:
                    say_over(f"{done} of {count}  {each.id}  {each.sentence}")
            yield each
    finally:
        if at_terminal and done:
            say_over("")


def _at_terminal() -> bool:
    return sys.stderr.isatty()


def _print(checked: Sequence[Checked], broken: Sequence[Checked]) -> None:
    rows = [[each.id, _RESULTS[each.result], f"{each.seconds:.2f}", each.of, _what(each)] for each in checked]
    print_table(["rule", "result", "seconds", "class", "what"], rows)
    for each in broken:
        print_text(f"\n{each.id}  {each.sentence}")
        for name, text in (("found", each.found), ("reason", each.why), ("more", each.link)):
            print_text(f"{name:>8}  " + text.strip().replace("\n", "\n" + " " * 10))


def _what(each: Checked) -> str:
    """The sentence of the rule, and what there is to say about this time."""
    return each.sentence if each.result == "broken" or not each.found else f"{each.sentence}: {each.found}"


def _summary(checked: Sequence[Checked]) -> str:
    counts = Counter(each.result for each in checked)
    parts = [f"{counts['held']} of {len(checked)} rules held"]
    parts += [
        f"{counts[name]} {_RESULTS[name]}" for name in ("broken", "expected", "skipped") if counts[name]
    ]
    return ", ".join(parts)
