"""What every distribution with plugins owes those who install it, whatever its kinds are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError

from pointsman.errors import PluginError
from pointsman.plugins.discovery import Installed
from pointsman.plugins.interfaces import INTERFACES, lack
from pointsman.testing.checking.import_time import MOST, import_time
from pointsman.testing.checking.offered import NotMade, Offer, Offered, all_settings, closed
from pointsman.testing.contract.enforcement import Contract
from pointsman.testing.contract.rules import rule

_UNKNOWN = "no_plugin_has_this_setting"
_CANARY = "canary-5c0ffee5"
_SECRET_WORDS = frozenset(("key", "token", "secret", "password", "passphrase", "credential", "credentials"))
_ABOUT_ONE = ("endpoint", "env", "file", "id", "name", "path", "url", "variable")
"""Last words of settings that say where a secret is, or which: `key_file`, `token_url`, `key_id`."""
_WITH_SECRETS = ("provider", "auth")
_ENVIRON = dict(os.environ)
"""As it was before a plugin could change it; where Python looks for modules counts as it is."""
_PATIENCE = 60.0


class PluginContract(Contract, terms=True):
    """What an installed distribution owes, seen from outside. `pointsman plugins check` tries it by itself.

    Attributes:
        distribution: what one would `pip install`.
        settings: by `kind.name` or `name`, the settings to make something with; where it can be made without
            any, none are needed.
        slow_import: why importing it may take longer than one and a half times the core.
    """

    distribution: ClassVar[str]
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    slow_import: ClassVar[str] = ""

    # ── what it is ──────────────────────────────────────────────────────────────────────────────────

    @rule("PLUGIN-01", "A configuration that names it would be refused, with its package installed.")
    def test_it_offers_what_its_entry_points_name(self) -> None:
        offered = self._offered()
        for each in self._named(offered):
            try:
                offered.factory(each)
            except PluginError as error:
                raise AssertionError(error.message) from error

    @rule(
        "PLUGIN-02", "It would be installed beside a version that it does not work with, and then left out."
    )
    def test_it_goes_with_this_version_of_pointsman(self) -> None:
        offered = self._offered()
        installed = Installed({})
        for claim in offered.claims:
            misfit = installed.misfit(claim)
            assert misfit is None, f"{self.distribution} {misfit}"

    @rule("PLUGIN-03", "Two routers in one process would find different plugins.")
    def test_asked_again_it_offers_the_same(self) -> None:
        first, second = self._offered(), self._offered()
        for each in self._named(first):
            names = [factory.name for factory in (first.factory(each), second.factory(each))]
            assert names == [each.name, each.name], (
                f"{each}: it is called {names[0]!r}, and then {names[1]!r}"
            )

    # ── what it does ────────────────────────────────────────────────────────────────────────────────

    @rule("PLUGIN-04", "What happens at import happens in every program that names the plugin, unasked.")
    def test_importing_it_does_nothing_else(self) -> None:
        if not self._offered().modules:
            pytest.skip("it has no module: what it offers is data")
        self._check_watched("import", "when it is imported")

    @rule(
        "PLUGIN-05",
        "Hooks are called to look at a configuration, where nobody expects that anything happens.",
    )
    def test_its_hooks_start_nothing(self) -> None:
        self._named(self._offered())
        self._check_watched("hooks", "in its hooks")

    @rule(
        "PLUGIN-06",
        "Checking a configuration builds a router, and must reach nobody and leave nothing behind.",
    )
    def test_making_what_it_offers_starts_nothing(self) -> None:
        self._named(self._offered())
        self._check_watched("make", "when what it offers is made")

    @rule("PLUGIN-07", "Every command, test and worker that names it starts that much later.")
    def test_its_import_takes_at_most_half_as_long_again_as_that_of_the_core(
        self, record_property: Callable[[str, object], None]
    ) -> None:
        modules = self._offered().modules
        if not modules:
            pytest.skip("it has no module: what it offers is data")
        took = import_time(modules)
        record_property("pointsman_note", f"{took}")
        if took.times > MOST and self.slow_import:
            pytest.xfail(f"{took}: {self.slow_import}")
        assert took.times <= MOST, (
            f"it takes {took}; import late what only calls need, "
            "or say why in `slow_import` of a PluginContract"
        )

    # ── what it makes ───────────────────────────────────────────────────────────────────────────────

    @rule("PLUGIN-08", "The first call would fail in place of the start.")
    def test_what_it_makes_has_the_interface_of_its_kind(self, tmp_path: Path) -> None:
        for each, made in self._made(tmp_path):
            wrong = lack(each.kind, made) if each.kind in INTERFACES else None
            assert wrong is None, f"the factory of {each} {wrong}"
            with suppress(Exception):  # another rule says so
                closed(made)

    @rule("PLUGIN-09", "A mistyped key would be ignored, and found when the setting is missed in production.")
    def test_unknown_settings_are_refused(self) -> None:
        for each, model in self._models():
            try:
                model.model_validate({_UNKNOWN: 1})
            except ValidationError as error:
                refused = {key for one in error.errors() for key in one["loc"]}
            else:
                refused = set()
            assert _UNKNOWN in refused, f"{each}: {model.__name__} takes any key; add extra='forbid'"

    @rule("PLUGIN-10", "The error of a configuration lands in a terminal and a log, with what was put wrong.")
    def test_settings_are_refused_without_showing_what_they_hold(self) -> None:
        for each, model in self._models():
            if each.kind not in _WITH_SECRETS and not any(
                may_be_secret(name, each.kind) for name in model.model_fields
            ):
                continue
            said = ""
            for given in ({_UNKNOWN: _CANARY}, _CANARY):
                try:
                    model.model_validate(given)
                except ValidationError as error:
                    said += str(error)
            assert _CANARY not in said, f"{each}: add hide_input_in_errors=True to {model.__name__}"

    @rule("PLUGIN-11", "Settings are shown in tracebacks and logs, and the keys in them would be, too.")
    def test_settings_show_no_secret(self) -> None:
        for each, model in self._models():
            for name, field in model.model_fields.items():
                if not may_be_secret(name, each.kind):
                    continue
                kind: Any = field.annotation
                try:
                    value = TypeAdapter(kind).validate_python(_CANARY)
                except ValidationError:
                    continue  # it is no text
                shown = model.model_construct(**{name: value})
                assert _CANARY not in f"{shown!r} {shown}", (
                    f"{each}: the repr of {model.__name__} shows `{name}`; make it a Secret"
                )

    @rule("PLUGIN-12", "A router whose start fails half way closes what it made, and none of it was used.")
    def test_what_it_made_can_be_closed_unused(self, tmp_path: Path) -> None:
        for each, made in self._made(tmp_path):
            for _ in range(2):
                try:
                    closed(made)
                except Exception as error:  # somebody else's code: anything can happen
                    raise AssertionError(
                        f"{each}: closing it raised {type(error).__name__}: {error}"
                    ) from error

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────

    def _offered(self) -> Offered:
        return Offered(self.distribution, self.settings)

    def _named(self, offered: Offered) -> list[Offer]:
        return [*offered.offers] or pytest.skip("it has no entry point in a group of pointsman")

    def _made(self, directory: Path) -> Iterator[tuple[Offer, Any]]:
        offered = self._offered()
        why = []
        for each in self._named(offered):
            if each.kind == "service":
                why.append(f"{each} needs a router")
                continue
            try:
                yield each, offered.make(each, directory=directory)
            except NotMade as reason:
                why.append(f"{each}: {reason}")
        if len(why) == len(offered.offers):
            pytest.skip("; ".join(why))

    def _models(self) -> list[tuple[Offer, type[BaseModel]]]:
        models = [each for each in all_settings(self._offered()) if not issubclass(each[1], RootModel)]
        return models or pytest.skip("nothing that it offers has settings")

    def _check_watched(self, phase: str, when: str) -> None:
        told = _watched(
            self.distribution, json.dumps({key: dict(value) for key, value in self.settings.items()})
        )
        if phase in told:
            assert not told[phase], f"{when}, it " + ", and it ".join(told[phase])
        elif "error" in told:
            pytest.fail(f"before that, it fails with {told['error']}")


@cache
def _watched(distribution: str, settings: str) -> Mapping[str, Any]:
    """What it does in a process that did nothing before, by phases."""
    command = [sys.executable, "-B", "-m", "pointsman.testing.checking.watch", distribution, settings]
    done = subprocess.run(  # noqa: S603 - it is this Python
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
        env=_ENVIRON | {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        pytest.fail(
            f"it ends the process that it is tried in: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
        )
    told: Mapping[str, Any] = json.loads(lines[-1])
    return told


def may_be_secret(name: str, kind: str) -> bool:
    """By its words. A bare `key` may be that of a mapping, where nothing is sent anywhere."""
    words = name.lower().split("_")
    if words == ["key"] and kind not in _WITH_SECRETS:
        return False
    return words[-1] not in _ABOUT_ONE and not _SECRET_WORDS.isdisjoint(words)
