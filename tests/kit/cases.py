"""The plugins that the kit is tried with: wrong ones that it must find, and right ones that it must not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import pytest
from msgspec import Struct

from pointsman.testing.contract import Contract, rules_of

C = TypeVar("C", bound=type)
Fixtures = Callable[[str], Any]


class Wrong(Struct, frozen=True):
    """A plugin that breaks one rule.

    Attributes:
        subject: the class of tests of its author.
        rule: the id of the rule that must find it.
        what: what is wrong, in one sentence.
        also: ids of rules that find it besides, because what it does breaks these, too.
        alone: no other rule is tried, because each would take real time.
    """

    subject: type[Contract]
    rule: str
    what: str
    also: frozenset[str] = frozenset()
    alone: bool = False

    @property
    def kind(self) -> str:
        return self.rule.rpartition("-")[0].lower()

    @property
    def name(self) -> str:
        return self.subject.__name__


class Right(Struct, frozen=True):
    """A plugin that breaks none, in a way that few would think of."""

    subject: type[Contract]
    what: str

    @property
    def kind(self) -> str:
        return rules_of(self.subject)[0].kind.lower()

    @property
    def name(self) -> str:
        return self.subject.__name__


COSTLY = frozenset({"PROVIDER-14", "PROVIDER-15", "PROVIDER-25", "PROVIDER-53"})
"""What tries hundreds of answers, one of them at random: with a wrong plugin only where that is meant."""
WRONG: list[Wrong] = []
RIGHT: list[Right] = []


def wrong(rule: str, what: str, *also: str, alone: bool = False, **attributes: Any) -> Callable[[C], C]:
    """Note a plugin, or the class of its tests, as one that `rule` must find."""

    def note(plugin: C) -> C:
        WRONG.append(Wrong(_subject(plugin, attributes), rule, what, frozenset(also), alone))
        return plugin

    return note


def right(what: str, **attributes: Any) -> Callable[[C], C]:
    """Note a plugin, or the class of its tests, as one that no rule may find."""

    def note(plugin: C) -> C:
        RIGHT.append(Right(_subject(plugin, attributes), what))
        return plugin

    return note


def _subject(plugin: Any, attributes: dict[str, Any]) -> type[Contract]:
    """The class of tests: itself, or that of `tried_by` with the plugin in it."""
    if issubclass(plugin, Contract):
        return type(plugin.__name__, (plugin,), attributes) if attributes else plugin
    return type(plugin.__name__, (plugin.tried_by,), {**plugin.tried_by.offering(plugin), **attributes})


_left: list[tuple[threading.Thread, threading.Event]] = []


def leave_a_thread() -> None:
    """Begin a thread that is at work until the test ends, however long that takes on a busy machine."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, name="left alone", daemon=True)
    thread.start()
    _left.append((thread, ended))


def end_threads() -> None:
    """End those of `leave_a_thread`, so that the next test has none of them."""
    for thread, ended in _left:
        ended.set()
        thread.join()
    _left.clear()


def found(
    subject: type[Contract], fixtures: Fixtures, rules: Collection[str] | None = None
) -> dict[str, str]:
    """The rules that the plugin breaks, by id, with the beginning of what each says; of all, or of some."""
    broken: dict[str, str] = {}
    for each in rules_of(subject):
        if rules is None or each.id in rules:
            end = ending(subject, each.test, fixtures)
            if end is not None and not isinstance(end, pytest.skip.Exception):
                broken[each.id] = f"{type(end).__name__}: {end}"[:600]
    return broken


def rules_for(case: Wrong) -> set[str]:
    """What is tried with a wrong plugin: all rules, but for the costly ones where they are not meant."""
    if case.alone:
        return {case.rule}
    meant = {case.rule, *case.also}
    return {each.id for each in rules_of(case.subject)} - (COSTLY - meant)


def ending(subject: type[Contract], test: str, fixtures: Fixtures) -> BaseException | None:
    """What one test of a class ends with, with the fixtures that it wants; None when it passes."""
    method = getattr(subject(), test)
    code = method.__func__.__code__
    wanted = code.co_varnames[1 : code.co_argcount]
    given = {name: fixtures(name) for name in wanted}
    try:
        method(**given)
    except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
        return error
    finally:
        if "monkeypatch" in given:
            given["monkeypatch"].undo()
        if "caplog" in given:  # or all rules after it would log everything
            logging.getLogger().setLevel(logging.WARNING)
    return None
