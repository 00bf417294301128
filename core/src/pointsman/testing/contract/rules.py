"""Rules of contracts: each test is one, with an id that never means anything else and a reason.

    @rule("PROVIDER-07", "A prompt in a log outlives every promise of confidence.")
    def test_no_log_shows_the_prompt(self) -> None: ...

What a rule demands is the sentence that its test's name is. An id never means anything else: what a plugin
that kept a rule may break now is another rule, with the next number; `since` says from which version on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

PAGE = "docs/plugins/rules.md"
_ATTRIBUTE = "pointsman_rule"
"""Of a test that is a rule; the plugin of pytest looks for it without importing anything."""
_ID = re.compile(r"[A-Z][A-Z0-9]*(?:-[A-Z][A-Z0-9]*)*-\d\d+")
_Test = TypeVar("_Test", bound=Callable[..., Any])


class Rule(Struct, frozen=True):
    """What a plugin owes, under an id that others can name it by.

    `why` says what breaks for users when it is not kept.
    """

    id: str
    test: str
    why: str
    since: str

    @property
    def kind(self) -> str:
        """What stands before the number: the kind of plugin, in capitals."""
        return self.id.rpartition("-")[0]

    @property
    def sentence(self) -> str:
        """What is demanded, as the test's name says it."""
        words = self.test.removeprefix("test_").replace("_", " ")
        return words[:1].upper() + words[1:]

    @property
    def link(self) -> str:
        """Where the rule stands in the documentation."""
        return f"{PAGE}#{self.id.lower()}"


def rule(id: str, why: str, *, since: str = "0.1") -> Callable[[_Test], _Test]:
    """Make a test of a contract the rule `id`; it stands above every other decorator.

    Raises: ValueError when the id is no KIND-01, or `why` is no sentence.
    """
    if _ID.fullmatch(id) is None:
        raise ValueError(f"{id!r} is no id of a rule; write the kind in capitals and a number, as in AUTH-07")
    if len(why.split()) < 3 or not why.endswith("."):
        raise ValueError(f"{id}: say in one sentence, with its full stop, what breaks when it is not kept")

    def mark(test: _Test) -> _Test:
        setattr(test, _ATTRIBUTE, Rule(id, test.__name__, why, since))
        return test

    return mark


def rule_of(test: object) -> Rule | None:
    """The rule that `test` is; None for a test that is none."""
    return getattr(test, _ATTRIBUTE, None)


def refuse_unruly(name: str, tests: Mapping[str, Any]) -> None:
    """Raise TypeError when one of the tests of the contract `name` is no rule, or two have one id."""
    known: dict[str, str] = {}
    for each, test in tests.items():
        found = rule_of(test)
        if found is None:
            raise TypeError(
                f"{name}.{each} is no rule; write above its other decorators "
                '@rule("KIND-01", "what breaks for users when it is not kept.")'
            )
        other = known.setdefault(found.id, each)
        if other != each:
            raise TypeError(f"{name}: {other} and {each} are both the rule {found.id}")


def named(key: str, tests: Mapping[str, Any]) -> str | None:
    """The name of the test that `key` means, itself a name or the id of a rule; None: there is none."""
    if key in tests:
        return key
    return next((name for name, test in tests.items() if (r := rule_of(test)) and r.id == key), None)


def in_order(rules: Iterable[Rule]) -> list[Rule]:
    """By kind, and then by number."""
    return sorted(rules, key=lambda each: (each.kind, int(each.id.rpartition("-")[2])))
