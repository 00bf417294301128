"""The contracts that are kept here, for `pointsman plugins check pointsman-guards`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pointsman.plugin import Guard, system_rng
from pointsman.testing import Contexts, SystemClock
from pointsman.testing.contract import GuardContract, PluginContract
from pointsman_guards import plugin

_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "cache": {},
    "redact": {},
    "size": {"messages": 100},
    "words": {"words": ["forbidden"]},
}


def _made(name: str) -> Guard:
    (factory,) = (each for each in plugin.pointsman_guards() if each.name == name)
    assert factory.settings is not None
    settings = factory.settings.model_validate(_SETTINGS[name])
    return factory.make(Contexts(SystemClock(), system_rng()).guard(name, settings, model=None))


class OfCache(GuardContract):
    """With its defaults."""

    def make(self) -> Guard:
        return _made("cache")


class OfRedact(GuardContract):
    """With its defaults."""

    def make(self) -> Guard:
        return _made("redact")


class OfSize(GuardContract):
    """With a bound that no request of the contract meets."""

    def make(self) -> Guard:
        return _made("size")


class OfWords(GuardContract):
    """With a word that no request of the contract has."""

    def make(self) -> Guard:
        return _made("words")


class OfTheDistribution(PluginContract):
    """With what each of them cannot be made without."""

    distribution = "pointsman-guards"
    settings: ClassVar = {f"guard.{name}": settings for name, settings in _SETTINGS.items()}
