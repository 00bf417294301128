"""Every documented setting does what its description says, and there is a proof of each in the table."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from documented import documented
from proving import PROOFS, Setting

from pointsman import ConfigError

for each in sorted(Path(__file__).parent.glob("proofs_of_*.py")):
    import_module(each.stem)  # which enters its proofs into the table


def test_every_documented_setting_has_a_proof() -> None:
    assert [key for key in documented() if key not in PROOFS] == []


def test_no_proof_is_of_a_setting_that_is_gone() -> None:
    assert PROOFS.keys() <= set(documented())


@pytest.mark.parametrize("key", PROOFS)
def test_a_setting_does_what_its_description_says(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    PROOFS[key](Setting(key, tmp_path, monkeypatch))


class Ignored(Setting):
    """A setting that is never heeded: whatever it is set to, the configuration stays as it was."""

    def to(self, value: object, base: Mapping[str, Any]) -> dict[str, Any]:
        return deepcopy(dict(base))


class Stuck(Setting):
    """A setting whose first value holds for ever."""

    def to(self, value: object, base: Mapping[str, Any]) -> dict[str, Any]:
        return super().to(self.first.setdefault("value", value), base)

    @cached_property
    def first(self) -> dict[str, object]:
        return {}


@pytest.mark.parametrize("fault", [Ignored, Stuck])
@pytest.mark.parametrize("key", PROOFS)
def test_a_proof_fails_where_the_setting_does_nothing(
    key: str, fault: type[Setting], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, ConfigError, KeyError)):
        PROOFS[key](fault(key, tmp_path, monkeypatch))
