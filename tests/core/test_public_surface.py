"""What plugins rely on stays: the record of docs/tools/public_surface.json, and what it would notice."""

from __future__ import annotations

import re
import warnings

import pytest
from public_names import MODULES, public_names
from public_surface import CALLED_BY_THE_ROUTER, RECORD, broken, recorded, surface, with_additions
from reference_page import COMMAND, PAGE, WITHDRAW, page

import pointsman.plugin as public

NAMES = [each for module in MODULES for each in public_names(module)]
NOW = surface()


def test_nothing_that_was_promised_to_plugins_is_gone_or_asks_for_more() -> None:
    assert broken(recorded(), NOW) == [], WITHDRAW


def test_what_is_new_is_promised_too() -> None:
    assert with_additions(recorded(), NOW) == RECORD.read_text("utf-8"), f"record it: {COMMAND}"


def test_the_reference_says_what_the_interfaces_say() -> None:
    assert PAGE.read_text("utf-8") == page(), f"make it anew: {COMMAND}"


def test_every_public_name_says_what_it_is() -> None:
    assert [f"{each.name} of {each.home}" for each in NAMES if not each.doc] == []


def test_the_reference_has_an_entry_for_every_public_name() -> None:
    entries = set(re.findall(r"^### (\w+)$", PAGE.read_text("utf-8"), re.MULTILINE))

    assert entries == {each.name for each in NAMES}


def test_what_the_router_calls_is_among_what_is_public() -> None:
    assert set(NOW) >= CALLED_BY_THE_ROUTER


WAS = {
    "m.Thing": "class (url timeout=) of Base",
    "m.Thing.size": "attribute",
    "m.Thing.put": "method (/key value :force=)",
    "m.find": "async function (name *more)",
    "m.Own": "class",
    "m.Own.close": "method ()",
    "m.OwnContext": "class (:name) of Context",
    "pointsman.plugin.Strategy": "class",
    "pointsman.plugin.Strategy.pick": "must method (/ready /request)",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"m.find": None}, "m.find is gone"),
        ({"m.Thing.size": None}, "m.Thing.size is gone"),
        ({"m.Thing.size": "method ()"}, "m.Thing.size was attribute, and is method"),
        ({"m.Thing": "class (url timeout=)"}, "m.Thing is no longer a Base"),
        ({"m.Thing": "class (url) of Base"}, "m.Thing takes no timeout any more"),
        ({"m.Thing": "class (url timeout) of Base"}, "m.Thing took timeout=, and takes timeout"),
        ({"m.Thing": "class (url :timeout=) of Base"}, "m.Thing took timeout=, and takes :timeout="),
        ({"m.Thing": "class (url timeout= proxy) of Base"}, "m.Thing needs proxy, which nobody gives"),
        ({"m.Thing": "class (url proxy= timeout=) of Base"}, "m.Thing takes its parameters in another order"),
        ({"m.Thing": "class of Base"}, "m.Thing could be called, and cannot"),
        ({"m.Thing.put": "method (key/ value :force=)"}, "m.Thing.put takes no key any more"),
        ({"m.Thing.put": "method (/key value :force)"}, "m.Thing.put took :force=, and takes :force"),
        ({"m.find": "function (name *more)"}, "m.find was async function, and is function"),
        ({"m.find": "async function (name)"}, "m.find takes no more any more"),
        ({"m.Own.close": "must method ()"}, "m.Own.close had a default, and has none"),
        ({"m.Own.open": "must method ()"}, "whoever inherits m.Own would have to write it"),
        ({"pointsman.plugin.Strategy.pick": "must method (/ready /request call=)"}, "is given call"),
    ],
)  # fmt: skip
def test_what_a_plugin_would_miss_is_said(change: dict[str, str | None], said: str) -> None:
    now = {path: what for path, what in {**WAS, **change}.items() if what is not None}

    assert any(said in each for each in broken(WAS, now)), broken(WAS, now)


@pytest.mark.parametrize(
    "change",
    [
        {"m.Other": "class (anything)"},
        {"m.Own.more": "method (x)"},
        {"m.Thing": "class (url timeout= :proxy=) of Base Mixin"},
        {"m.Thing": "class (url= timeout= proxy=) of Base"},
        {"m.Thing.put": "method (key value force=)"},
        {"m.OwnContext": "class (:name :directory) of Context"},
        {"pointsman.plugin.Strategy.pick": "method (/ready /request)"},
    ],
)
def test_what_only_adds_breaks_nothing(change: dict[str, str]) -> None:
    assert broken(WAS, {**WAS, **change}) == []


# ── names that go ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def going(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that was deprecated in 0.3."""
    monkeypatch.setitem(vars(public)["_GOING"], "PlainFramer", ("0.3", "write Framer"))
    monkeypatch.delitem(vars(public), "PlainFramer", raising=False)
    return "PlainFramer"


def test_whoever_uses_a_name_that_will_go_is_told_until_when_and_what_to_write(going: str) -> None:
    for _ in range(2):  # each place that uses it, not only the first
        with pytest.warns(DeprecationWarning, match=going) as told:
            getattr(public, going)

    (warning,) = told
    assert str(warning.message) == (
        "pointsman.plugin.PlainFramer is deprecated since 0.3 and goes with 0.5: write Framer"
    )
    assert warning.filename == __file__


def test_a_name_that_will_go_works_as_before(going: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)

        assert public.Framer in getattr(public, going).__mro__
        assert going in public.__all__


def test_every_name_that_will_go_is_still_there() -> None:
    assert set(vars(public)["_GOING"]) <= set(public.__all__)
