"""The contract of transports: ours keep it, and each rule finds who does not."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from plugin_pages import block
from wrong_transport import Around

import pointsman_aiohttp
import pointsman_h1
from pointsman.builtin.transports import built_in
from pointsman.plugin import (
    TransportFactory,
)
from pointsman.testing.contract import TransportContract

AUTO, HTTPX = built_in()


class TestHttpx(TransportContract):
    factory = HTTPX


class TestAuto(TransportContract):
    factory = AUTO


class TestAiohttp(TransportContract):
    (factory,) = pointsman_aiohttp.plugin.pointsman_transports()


class TestH1(TransportContract):
    (factory,) = pointsman_h1.plugin.pointsman_transports()


# ── each rule finds who breaks it ────────────────────────────────────────────────────────────────────


RULES = [name for name in vars(TransportContract) if name.startswith("test_")]


def rule_of(factory: TransportFactory, named: str, *, patience: float = 0.5) -> Any:
    """The rule whose name begins so, for what `factory` makes."""
    (rule,) = [each for each in RULES if each.startswith(named)]
    return getattr(type("Tried", (TransportContract,), {"factory": factory, "patience": patience})(), rule)


@pytest.mark.parametrize("rule", RULES)
def test_a_transport_that_does_nothing_wrong_is_not_found(rule: str) -> None:
    rule_of(TransportFactory("sound", None, Around), rule, patience=10.0)()


@pytest.mark.parametrize("rule", RULES)
def test_the_example_of_the_page_keeps_it_as_the_page_tests_it(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = block("transport.md", "plugin = ")
    contract = block("transport.md", "(TransportContract):")
    module = ModuleType("pointsman_told")
    monkeypatch.setitem(sys.modules, "pointsman_told", module)

    exec(compile(plugin, "docs/plugins/transport.md", "exec", dont_inherit=True), vars(module))
    exec(compile(contract, "docs/plugins/transport.md", "exec", dont_inherit=True), vars(module))

    getattr(vars(module)["TestTold"](), rule)()
