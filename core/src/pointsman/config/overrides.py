"""What holds for one deployment of what can be said in general, for a model and for a deployment.

The most specific that is said holds, key by key: the deployment, then the first model that lists it and says
something, then the general section. Models that share a deployment must not say different things about it,
for it has one state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from pointsman._internal.settings import Order, Section
from pointsman.config import codes
from pointsman.config.findings import Finding
from pointsman.config.problems import KeyPath
from pointsman.config.sections import DeploymentConfig, ModelConfig
from pointsman.resilience.circuit_breaker import BreakerSettings
from pointsman.resilience.cool_down import OverloadSettings, RefusalSettings
from pointsman.units import format_duration

SPECIFIC = ("circuit_breaker", "overload", "refusal")
"""The sections that stand in general, at a model and at a deployment."""

S = TypeVar("S", bound=Section)


def merged(general: S, *more: Section | None) -> S:
    """What all say together, key by key; the last one that says a key wins."""
    levels: list[Section] = [general, *(each for each in more if each is not None)]
    if len(levels) == 1:
        return general
    said = {key: value for each in levels for key, value in _said(each).items()}
    return type(general).model_validate(said)


class Specific:
    """What holds for each deployment: the most specific that is said.

    Args:
        general: the general section of each name in `SPECIFIC`.
    """

    def __init__(self, general: Mapping[str, Section], models: Mapping[str, ModelConfig]) -> None:
        self._general = general
        self._of_models: dict[str, dict[str, Section]] = {section: {} for section in SPECIFIC}
        for model in models.values():
            for section, saying in self._of_models.items():
                if (own := getattr(model, section)) is not None:
                    for each in model.deployments:
                        saying.setdefault(each.id, own)

    def breaker(self, deployment: DeploymentConfig) -> BreakerSettings:
        """Its `circuit_breaker`."""
        return cast("BreakerSettings", self.of("circuit_breaker", deployment))

    def overload(self, deployment: DeploymentConfig) -> OverloadSettings:
        """Its `overload`."""
        return cast("OverloadSettings", self.of("overload", deployment))

    def refusal(self, deployment: DeploymentConfig) -> RefusalSettings:
        """Its `refusal`."""
        return cast("RefusalSettings", self.of("refusal", deployment))

    def of(self, section: str, deployment: DeploymentConfig) -> Section:
        """Its section of that name."""
        model = self._of_models[section].get(deployment.id)
        return merged(self._general[section], model, getattr(deployment, section))


def specific_findings(
    general: Mapping[str, Section], outliers: Section | None, models: Mapping[str, ModelConfig]
) -> Iterator[Finding]:
    """Where two models disagree about one deployment, and settings that contradict each other."""
    specific = Specific(general, models)
    if outliers is not None:
        yield from _contradictions(("outliers",), outliers, said=outliers)
    for section in SPECIFIC:
        yield from _contradictions((section,), general[section], said=general[section])
        saying = {name: own for name, each in models.items() if (own := getattr(each, section)) is not None}
        for name, own in saying.items():
            path: KeyPath = ("models", name, section)
            yield from _contradictions(path, merged(general[section], own), said=own)
        yield from _conflicts(section, saying, models)
        for name, model in models.items():
            for n, each in enumerate(model.deployments):
                if (own := getattr(each, section)) is not None:
                    path = ("models", name, "deployments", n, section)
                    yield from _contradictions(path, specific.of(section, each), said=own)


def _conflicts(
    section: str, saying: Mapping[str, Section], models: Mapping[str, ModelConfig]
) -> Iterator[Finding]:
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, own in saying.items():
        for each in models[name].deployments:
            said = _without(_said(own), getattr(each, section))
            other, before = first.setdefault(each.id, (name, said))
            if said != before:
                yield Finding(
                    ("models", name, section),
                    f"says something else of deployment {each.id!r} than models.{other} does",
                    "a deployment has one state: let both say the same, or say it at the deployment",
                    code=codes.DESCRIBED_TWICE,
                )
                break


def _without(said: dict[str, Any], own: Section | None) -> dict[str, Any]:
    kept = {} if own is None else _said(own)
    return {key: value for key, value in said.items() if key not in kept}


def _said(section: Section) -> dict[str, Any]:
    return {
        key: getattr(section, key) for key in type(section).model_fields if key in section.model_fields_set
    }


def _contradictions(path: KeyPath, holds: Section, *, said: Section) -> Iterator[Finding]:
    """What is wrong within the settings that hold, at the key that is `said` here."""
    for order in holds.orders:
        least, most = getattr(holds, order.least), getattr(holds, order.most)
        if least <= most:
            continue
        if order.least in said.model_fields_set:
            more = f"is {_shown(order, least)}, more than {order.most} ({_shown(order, most)}){order.because}"
            yield Finding((*path, order.least), more, code=codes.OUT_OF_ORDER)
        elif order.most in said.model_fields_set:
            less = (
                f"is {_shown(order, most)}, less than {order.least} ({_shown(order, least)}){order.because}"
            )
            yield Finding((*path, order.most), less, code=codes.OUT_OF_ORDER)


def _shown(order: Order, value: float) -> str:
    return str(value) if order.because else format_duration(value)
