"""What stands before models: guards, and the selector that picks one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from proving import Given, Setting, ask, during, proves
from routers import config

from pointsman import Router
from pointsman.plugin import (
    Candidate,
    Guard,
    GuardContext,
    GuardFactory,
    Selector,
    SelectorFactory,
    hookimpl,
    replace,
)
from pointsman.testing import Scripted


class Says(Guard):
    """Writes the model that it stands around behind an answer."""

    def __init__(self, context: GuardContext) -> None:
        self._name = context.model or "all"

    async def after(self, response: Any, call: Any, /) -> Any:
        return replace(response, text=f"{response.text} {self._name}")


class Fails(Guard):
    async def after(self, response: Any, call: Any, /) -> Any:
        raise ValueError


class Waits(Selector):
    """Never picks anything."""

    async def choose(self, request: Any, candidates: Sequence[Candidate], call: Any, /) -> str:
        await asyncio.get_running_loop().create_future()
        return ""


class Last(Selector):
    """The last one that is to be had."""

    async def choose(self, request: Any, candidates: Sequence[Candidate], call: Any, /) -> str:
        return candidates[-1].name


class Guarded(Scripted):
    """Upstreams with guards and selectors beside them; each answers with its name."""

    def __init__(self) -> None:
        super().__init__()
        for name in "ab":
            self.default(name, name)

    @hookimpl
    def pointsman_guards(self) -> list[GuardFactory]:
        return [GuardFactory("says", None, Says), GuardFactory("fails", None, lambda _: Fails())]

    @hookimpl
    def pointsman_selectors(self) -> list[SelectorFactory]:
        return [
            SelectorFactory("waits", None, lambda _: Waits()),
            SelectorFactory("last", None, lambda _: Last()),
        ]


def answers(given: Given, *models: str) -> list[str]:
    async def story(r: Router) -> list[str]:
        return [await ask(r, model) for model in models]

    return during(given, Guarded(), story)


def two(**changes: Any) -> Given:
    given = config("a", retry="none", **changes)
    given["models"]["n"] = {"deployments": ["a/x"]}
    return given


@proves("guards")
def general_guards_stand_around_all_models(setting: Setting) -> None:
    assert answers(setting.to([], two()), "m", "n", "a/x") == ["a", "a", "a"]
    assert answers(setting.to(["says"], two()), "m", "n", "a/x") == ["a all"] * 3
    assert answers(setting.to(["says", "says"], two()), "m") == ["a all all"]


@proves("models.<name>.guards")
def a_model_s_guards_stand_around_it_alone(setting: Setting) -> None:
    assert answers(setting.to([], two()), "m", "n", "a/x") == ["a", "a", "a"]
    assert answers(setting.to(["says"], two(guards=["says"])), "m", "n", "a/x") == [
        "a m all",
        "a all",
        "a all",
    ]


@proves("guards[].type", "models.<name>.guards[].type")
def the_plugin_of_that_name_stands_there(setting: Setting) -> None:
    for value, found in (("says", "a "), ("fails", "PluginError")):
        base = two(guards=[{"type": "says"}])
        base["models"]["m"]["guards"] = [{"type": "says"}]
        assert answers(setting.to(value, base), "m")[0].startswith(found)


@proves("guards[].on_error", "models.<name>.guards[].on_error")
def a_guard_that_fails_refuses_or_is_left_out(setting: Setting) -> None:
    base = two(guards=[{"type": "fails", "on_error": "allow"}])
    base["models"]["m"]["guards"] = [{"type": "fails", "on_error": "allow"}]
    found = [answers(setting.to(each, base), "m") for each in ("refuse", "allow")]
    assert found == [["PluginError"], ["a"]]


def auto(**changes: Any) -> Given:
    given = config("ab", retry="none")
    given["models"] = {
        "auto": {"selector": "waits", "of": ["one", "two"], **changes},
        "one": {"deployments": ["a/x"]},
        "two": {"deployments": ["b/x"]},
    }
    return given


@proves("models.<name>.selector")
def the_selector_picks_the_model(setting: Setting) -> None:
    assert [answers(setting.to(each, auto()), "auto") for each in ("waits", "last")] == [["a"], ["b"]]


@proves("models.<name>.of")
def it_can_pick_these_and_the_first_is_the_default(setting: Setting) -> None:
    for selector, found in (("waits", ["a", "b", "b"]), ("last", ["b", "a", "b"])):
        base = auto(selector=selector)
        values = (["one", "two"], ["two", "one"], ["two"])
        assert [answers(setting.to(each, base), "auto")[0] for each in values] == found


@proves("models.<name>.default")
def the_default_is_taken_when_it_fails(setting: Setting) -> None:
    assert [answers(setting.to(each, auto()), "auto") for each in (None, "one", "two")] == [
        ["a"],
        ["a"],
        ["b"],
    ]


@proves("models.<name>.select_within")
def it_may_take_so_long(setting: Setting) -> None:
    async def story(r: Router) -> float:
        await ask(r, "auto")
        return asyncio.get_running_loop().time()

    for value, seconds in (("1s", 1), ("5s", 5)):
        took = during(setting.to(value, auto()), Guarded(), story)
        assert took == pytest.approx(seconds, abs=0.01)


@proves("selector:rules.rules")
def the_first_rule_that_holds_says_the_model(setting: Setting) -> None:
    for word, found in (("hi", "b"), ("else", "a")):
        assert answers(setting.to([{"contains": word, "use": "two"}], auto()), "auto") == [found]
