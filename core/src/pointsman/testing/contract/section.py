"""What every section owes those who write configurations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ValidationError

from pointsman.config.model import Config
from pointsman.section import SectionFactory
from pointsman.testing.contract.enforcement import Contract
from pointsman.testing.contract.harness import KEY
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.secrecy import secrets
from pointsman.testing.contract.watching import Quiet, files_refused

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ODD: Sequence[Any] = (None, True, -1, 0.5, "", "other", [], [None], [[]], {}, {"a": None}, {"a": {"a": []}})


class SectionContract(Contract, terms=True):
    """What every section owes those who write configurations. Write `factory` and `values`.

    Attributes:
        factory: what the plugin offers.
        values: what may stand at the key, as plain data.
    """

    factory: SectionFactory
    values: ClassVar[Sequence[Any]] = ()

    @rule("SECTION-01", "The key would be another's, or nobody could write it.")
    def test_its_name_is_a_key_that_is_free(self) -> None:
        name = self.factory.name
        assert _NAME.fullmatch(name), f"{name!r} is no key: lower-case letters, digits and underscores"
        assert name not in Config.model_fields, f"{name!r} is a key of the router's own"

    @rule("SECTION-02", "What the documentation shows would be refused.")
    def test_it_takes_what_may_stand_there(self) -> None:
        assert self.values, "write `values`: what may stand at the key"
        for value in self.values:
            made = self.factory.settings.model_validate(deepcopy(value))
            assert isinstance(made, BaseModel), f"{value!r} becomes a {type(made).__name__}"

    @rule("SECTION-03", "A misspelt setting would be left out without a word.")
    def test_settings_that_it_does_not_know_are_refused(self) -> None:
        for value in self._mappings():
            with pytest.raises(ValidationError):
                self.factory.settings.model_validate({**value, "no_plugin_has_this_setting": 1})

    @rule(
        "SECTION-04", "A key that stands in the wrong place would be in the log of whoever starts the router."
    )
    def test_what_is_refused_is_not_shown(self) -> None:
        for value in self._mappings():
            with pytest.raises(ValidationError) as caught:
                self.factory.settings.model_validate({**value, "no_plugin_has_this_setting": KEY})
            assert KEY not in str(caught.value), "add hide_input_in_errors=True to the model's configuration"

    @rule("SECTION-05", "The secret of a service is in every traceback that shows its settings.")
    def test_settings_show_no_secret_that_they_hold(self) -> None:
        for value in self._mappings():
            for name, said in secrets(self.factory.settings, value):
                assert KEY not in f"{said!r} {said}", f"settings show `{name}`: make it a Secret"

    @rule("SECTION-06", "A mistake in a configuration would end with a traceback in place of its line.")
    def test_whatever_stands_there_it_raises_nothing_but_what_is_wrong(self) -> None:
        for value in (*_ODD, *(each for own in self.values for each in _changed(own))):
            try:
                self.factory.settings.model_validate(deepcopy(value))
            except ValidationError:
                continue
            except Exception as error:
                raise AssertionError(f"{value!r:.200} ends with {error!r}; raise ValueError") from error

    @rule("SECTION-07", "Every reload would end the service and begin it again.")
    def test_the_same_value_means_the_same_each_time(self) -> None:
        for value in self.values:
            given = deepcopy(value)
            first, second = (self.factory.settings.model_validate(given) for _ in range(2))
            assert given == value, f"it changes {value!r:.200} while it reads it"
            assert first == second, f"{value!r:.200} means something else the second time"

    @rule("SECTION-08", "A check of a configuration would do what a start does.")
    def test_reading_it_opens_nothing_and_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        with Quiet() as quiet, files_refused() as opened:
            for value in self.values:
                try:
                    self.factory.settings.model_validate(deepcopy(value))
                except (OSError, ValidationError) as error:
                    if not opened:
                        raise AssertionError(f"{value!r:.200} ends with {error!r}") from error
        assert not opened, f"it opens {opened[0]}; that is for the service, when it begins"
        quiet.check()
        assert not (said := capsys.readouterr().out), f"it prints {said[:80]!r}"

    @rule("SECTION-09", "Nobody's editor could say what may stand there.")
    def test_what_may_stand_there_can_be_described(self) -> None:
        described = self.factory.settings.model_json_schema()
        assert isinstance(described, dict), f"the schema of its settings is a {type(described).__name__}"

    def _mappings(self) -> list[dict[str, Any]]:
        """The values that are mappings of settings; those of a `RootModel` are the caller's own."""
        settings = self.factory.settings
        if getattr(settings, "__pydantic_root_model__", False):
            pytest.skip("what stands there is no mapping of settings")
        return [dict(deepcopy(each)) for each in self.values if isinstance(each, Mapping)]


def _changed(value: Any) -> list[Any]:
    """The value with something odd at each of its keys."""
    if not isinstance(value, Mapping):
        return []
    return [{**deepcopy(dict(value)), key: odd} for key in value for odd in _ODD]
