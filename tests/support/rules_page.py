"""The page of all rules, made from the contracts. `python tests/support/rules_page.py` writes it."""

from __future__ import annotations

from pathlib import Path

import pointsman.testing.contract as kit
from pointsman.testing.contract import Contract, Rule, rules_of

PAGE = Path(__file__).parents[2] / "docs" / "plugins" / "rules.md"
RETIRED: frozenset[str] = frozenset()
"""Ids of rules that are no more. They are not given again."""
_HEAD = """\
# What does a plugin owe the router?

Every rule of every contract: its id, what it demands, and what breaks for users when it is not kept. Each rule is
one test of the contract named above it, in `pointsman.testing.contract`. Ids never change their meaning, and none is
removed or given again: what is demanded besides is a new rule, with the version that it came with.

This page is made from the contracts, by `python tests/support/rules_page.py`.
"""


def contracts() -> dict[str, type[Contract]]:
    """The contracts that the kit offers, by the name of their rules' kind."""
    found = (getattr(kit, name) for name in kit.__all__)
    classes = [each for each in found if isinstance(each, type) and issubclass(each, Contract)]
    return {rules_of(each)[0].kind: each for each in classes if rules_of(each)}


def page() -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD]
    for kind, contract in sorted(contracts().items()):
        parts.append(f"## {kind.capitalize()}: `{contract.__name__}`\n")
        parts += [_entry(each) for each in rules_of(contract)]
    return "\n".join(parts)


def _entry(rule: Rule) -> str:
    return f"### {rule.id}\n\n**{rule.sentence}.** {rule.why} (since {rule.since})\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
