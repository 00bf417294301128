"""What is wrong with the models that have a selector: what it can pick, and what has no place beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pointsman._internal.suggest import did_you_mean
from pointsman.config import codes
from pointsman.config.findings import Finding
from pointsman.config.names import Names
from pointsman.config.problems import KeyPath
from pointsman.config.references import names_in
from pointsman.config.sections import FallbackConfig, ModelConfig, ProviderConfig

_OF_SELECTORS = ("of", "default", "select_within")
_BESIDE = frozenset(("selector", *_OF_SELECTORS, "guards", "timeouts", "capabilities"))
"""What a model with a selector can say; all else is for those that it picks."""


def selector_findings(
    providers: Mapping[str, ProviderConfig],
    models: Mapping[str, ModelConfig],
    general: Sequence[FallbackConfig],
    data: Mapping[str, Any],
) -> list[Finding]:
    """What is wrong between selectors and `models`. Arguments as of `reference_findings`."""
    names = names_in(data, providers)
    found = [*_fallbacks(general, models, names, ("fallback",))]
    for name, model in models.items():
        path = ("models", name)
        if model.selector is None:
            found += _without_selector(model, path)
        else:
            found += [*_surplus(model, path), *_wrong_of(name, models, names), *_wrong_default(model, path)]
        found += _fallbacks(model.fallback or (), models, names, (*path, "fallback"))
    return found


def _without_selector(model: ModelConfig, path: KeyPath) -> Iterator[Finding]:
    for key in _OF_SELECTORS:
        if key in model.model_fields_set:
            hint = "add one, such as `selector: {type: rules, …}`, or take this away"
            message = "does nothing without a `selector`"
            yield Finding((*path, key), message, hint, at_key=True, code=codes.NEEDS_ANOTHER)


def _surplus(model: ModelConfig, path: KeyPath) -> Iterator[Finding]:
    for key in model.model_fields:
        if key in model.model_fields_set and key not in _BESIDE:
            message = "has no place beside a `selector`, whose models have their own"
            yield Finding((*path, key), message, _BELOW, at_key=True, code=codes.NOT_TOGETHER)
    for key in sorted(model.timeouts.model_fields_set - {"total"}):
        message = "has no place beside a `selector`; of its time limits only `total` counts"
        yield Finding((*path, "timeouts", key), message, _BELOW, at_key=True, code=codes.NOT_TOGETHER)


def _wrong_of(name: str, models: Mapping[str, ModelConfig], names: Names) -> Iterator[Finding]:
    model, before = models[name], set[str]()
    if not model.of:
        hint = "name the models that the selector can pick, such as `of: [small, large]`"
        message = "a selector needs at least one model to pick"
        yield Finding(("models", name, "of"), message, hint, code=codes.NOT_SELECTED)
    for n, each in enumerate(model.of):
        path = ("models", name, "of", n)
        meant = names.described_as(each) or ""
        if not names.may_have(each):
            hint_of = partial(names.near, each, but=(name,))
            yield Finding(path, f"no model is named {each!r}", hint_of, code=codes.NO_SUCH_MODEL)
        elif each in before:
            yield Finding(path, f"{each!r} is listed twice", code=codes.TWICE)
        elif (circle := _circle(name, meant, models, names)) is not None:
            message = f"the selectors form a circle: {' → '.join(circle)}"
            yield Finding(path, message, _PICK, code=codes.LOOP)
        elif meant in models and models[meant].selector is not None:
            message = f"{each!r} has a selector itself, and so no deployments"
            yield Finding(path, message, _PICK, code=codes.SELECTOR_BELOW)
        before.add(each)


_PICK = "name models with deployments of their own"
_BELOW = "say it at the models under `of`"


def _circle(start: str, at: str, models: Mapping[str, ModelConfig], names: Names) -> list[str] | None:
    """The names from `start` by way of `at` back to it; None where none lead there."""
    ways, seen = [[start, at]], {at}
    while ways:
        way = ways.pop()
        if way[-1] == start:
            return way
        model = models.get(way[-1])
        of = () if model is None or model.selector is None else model.of
        for each in (names.described_as(name) or "" for name in of):
            if each not in seen:
                seen.add(each)
                ways.append([*way, each])
    return None


def _wrong_default(model: ModelConfig, path: KeyPath) -> Iterator[Finding]:
    if model.default is not None and model.of and model.default not in model.of:
        hint = partial(did_you_mean, model.default, model.of, what="there are")
        message = f"{model.default!r} is none of the models under `of`"
        yield Finding((*path, "default"), message, hint, code=codes.NOT_SELECTED)


def _fallbacks(
    fallbacks: Sequence[FallbackConfig], models: Mapping[str, ModelConfig], names: Names, path: KeyPath
) -> Iterator[Finding]:
    for n, fallback in enumerate(fallbacks):
        other = models.get(names.described_as(fallback.to) or "")
        if other is not None and other.selector is not None:
            message = f"{fallback.to!r} has a selector, and picks nothing for what failed elsewhere"
            yield Finding((*path, n), message, _PICK, code=codes.SELECTOR_BELOW)
