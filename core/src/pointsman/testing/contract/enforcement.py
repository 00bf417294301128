"""Contracts whose tests cannot be replaced or removed, only marked as failing with a reason."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from types import FunctionType
from typing import Any, ClassVar

import pytest

from pointsman._internal.suggest import did_you_mean
from pointsman.plugins.interfaces import lack
from pointsman.testing.contract.rules import Rule, in_order, named, refuse_unruly, rule_of
from pointsman.testing.loop import run

_originals: dict[Any, Any] = {}
"""Marked copy → the contract's own test."""


class Contract:
    """The base of all contracts; a class with `terms=True` is one, and its tests are the terms.

    Each test of a contract is a `rule`. A class of tests inherits a contract. What it does not keep yet
    stands in `xfail`: the id of a rule, or the name of its test, and the reason. Such a test must fail, so
    the mark cannot outlive the fault.

    Raises, when a class is defined: TypeError when it replaces or removes a test of its contract, switches
        the whole class off, or marks a test that the contract does not have; for a contract: when one of its
        tests is no rule, or two have one id.
    """

    xfail: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, *, terms: bool = False, **more: Any) -> None:
        super().__init_subclass__(**more)
        if terms:
            cls._terms = {name: each for name, each in vars(cls).items() if name.startswith("test_")}
            refuse_unruly(cls.__name__, _terms_of(cls))
            return
        own = _all_terms(cls)
        for name in own.keys() - _terms_of(cls).keys():
            if inspect.getattr_static(cls, name, None) is None:
                setattr(cls, name, own[name])
        _refuse_replaced(cls, own)
        _refuse_switched_off(cls)
        marks = _marks(cls, own)
        for name, test in own.items():
            found = inspect.getattr_static(cls, name)
            if name in marks:
                setattr(cls, name, _marked(test, marks[name]))
            elif found is not test:
                setattr(cls, name, test)  # a base class marks it, this one keeps it

    _terms: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def _more_terms(cls) -> Mapping[str, Any]:
        """The tests that it has besides, for what its attributes say."""
        return {}


def rules_of(contract: type[Contract]) -> list[Rule]:
    """All rules of a contract, in order."""
    return in_order(each for each in map(rule_of, _all_terms(contract).values()) if each is not None)


def on_virtual_loop(test: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """`test` as a plain test that runs on a loop of its own, where an hour passes at once."""

    def runs(self: Any) -> None:
        run(test(self))

    runs.__name__, runs.__qualname__, runs.__doc__ = test.__name__, test.__qualname__, test.__doc__
    runs.__module__ = test.__module__
    return runs


def check_made(kind: str, made: object) -> None:
    """Assert that `made` is what a router takes for one of that `kind` when it is built."""
    wrong = lack(kind, made)
    assert wrong is None, f"`make` {wrong}"


def _terms_of(cls: type) -> dict[str, Any]:
    terms: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        terms |= vars(base).get("_terms", {})
    return terms


def _all_terms(cls: type[Contract]) -> dict[str, Any]:
    return {**_terms_of(cls), **cls._more_terms()}


def _refuse_replaced(cls: type, terms: Mapping[str, Any]) -> None:
    for name, test in terms.items():
        found = inspect.getattr_static(cls, name, None)
        if found is not test and _originals.get(found) is not test:
            raise TypeError(
                f"{cls.__name__} replaces {name}, a test of its contract; a test that cannot pass yet is "
                f'marked: xfail = {{"{name}": "the reason"}}'
            )


def _refuse_switched_off(cls: type) -> None:
    marks = vars(cls).get("pytestmark", ())
    names = {mark.name for mark in (marks if isinstance(marks, list | tuple) else (marks,))}
    if names & {"skip", "skipif", "xfail"} or vars(cls).get("__test__", True) is False:
        raise TypeError(f"{cls.__name__} switches its whole contract off; mark single tests in `xfail`")


def _marks(cls: type[Contract], terms: Mapping[str, Any]) -> dict[str, str]:
    """The reasons of the tests that cannot pass yet, by name."""
    marks: dict[str, str] = {}
    for key, reason in cls.xfail.items():
        name = named(key, terms)
        if name is None:
            ids = [each.id for each in map(rule_of, terms.values()) if each]
            hint = did_you_mean(key, (*terms, *ids))
            raise TypeError(f"{cls.__name__}.xfail names {key}, which its contract does not have; {hint}")
        if not reason.strip():
            raise TypeError(f"{cls.__name__}.xfail gives no reason for {key}")
        if name in marks:
            raise TypeError(f"{cls.__name__}.xfail marks {name} twice, by its name and as {key}")
        marks[name] = reason
    return marks


def _marked(test: FunctionType, reason: str) -> Any:
    copy = FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    copy.__dict__.update(test.__dict__)
    copy.__qualname__, copy.__doc__, copy.__module__ = test.__qualname__, test.__doc__, test.__module__
    copy.__annotations__ = test.__annotations__
    marked = pytest.mark.xfail(reason=reason, strict=True)(copy)
    _originals[marked] = test
    return marked
