"""What is wrong with the models that have a selector: what it can pick, and what has no place beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from functools import partial
from typing import Any

from pointsman._internal.suggest import did_you_mean
from pointsman.config.findings import Finding
from pointsman.config.problems import KeyPath
from pointsman.config.sections import ModelConfig, ProviderConfig

_OF_SELECTORS = ("of", "default", "select_within")
_BESIDE = frozenset(("selector", *_OF_SELECTORS, "guards", "timeouts", "capabilities"))
"""What a model with a selector can say; all else is for those that it picks."""


def selector_findings(
    providers: Mapping[str, ProviderConfig], models: Mapping[str, ModelConfig], data: Mapping[str, Any]
) -> list[Finding]:
    """What is wrong between selectors and `models`. Arguments as of `reference_findings`."""
    named = data.get("models")
    known = set(named if isinstance(named, Mapping) else ())
    known |= {model for each in providers.values() for model in each.models}
    found: list[Finding] = []
    for name, model in models.items():
        path = ("models", name)
        if model.selector is None:
            found += _without_selector(model, path)
        else:
            found += [*_surplus(model, path), *_wrong_of(name, models, known), *_wrong_default(model, path)]
        found += _fallbacks(model, models, path)
    return found


def _without_selector(model: ModelConfig, path: KeyPath) -> Iterator[Finding]:
    for key in _OF_SELECTORS:
        if key in model.model_fields_set:
            hint = "add one, such as `selector: {type: rules, …}`, or take this away"
            yield Finding((*path, key), "does nothing without a `selector`", hint, at_key=True)


def _surplus(model: ModelConfig, path: KeyPath) -> Iterator[Finding]:
    for key in model.model_fields:
        if key in model.model_fields_set and key not in _BESIDE:
            message = "has no place beside a `selector`, whose models have their own"
            yield Finding((*path, key), message, "say it at the models under `of`", at_key=True)
    for key in sorted(model.timeouts.model_fields_set - {"total"}):
        message = "has no place beside a `selector`; of its time limits only `total` counts"
        yield Finding((*path, "timeouts", key), message, "say it at the models under `of`", at_key=True)


def _wrong_of(name: str, models: Mapping[str, ModelConfig], known: Set[str]) -> Iterator[Finding]:
    model, before = models[name], set[str]()
    if not model.of:
        hint = "name the models that the selector can pick, such as `of: [small, large]`"
        yield Finding(("models", name, "of"), "a selector needs at least one model to pick", hint)
    for n, each in enumerate(model.of):
        path = ("models", name, "of", n)
        if each not in known:
            hint_of = partial(did_you_mean, each, known - {name}, what="configured")
            yield Finding(path, f"no model is named {each!r}", hint_of)
        elif each in before:
            yield Finding(path, f"{each!r} is listed twice")
        elif (circle := _circle(name, each, models)) is not None:
            yield Finding(path, f"the selectors form a circle: {' → '.join(circle)}", _PICK)
        elif each in models and models[each].selector is not None:
            yield Finding(path, f"{each!r} has a selector itself, and so no deployments", _PICK)
        before.add(each)


_PICK = "name models with deployments of their own"


def _circle(start: str, at: str, models: Mapping[str, ModelConfig]) -> list[str] | None:
    """The names from `start` by way of `at` back to it; None where none lead there."""
    ways, seen = [[start, at]], {at}
    while ways:
        way = ways.pop()
        if way[-1] == start:
            return way
        model = models.get(way[-1])
        for each in () if model is None or model.selector is None else model.of:
            if each not in seen:
                seen.add(each)
                ways.append([*way, each])
    return None


def _wrong_default(model: ModelConfig, path: KeyPath) -> Iterator[Finding]:
    if model.default is not None and model.of and model.default not in model.of:
        hint = partial(did_you_mean, model.default, model.of, what="there are")
        yield Finding((*path, "default"), f"{model.default!r} is none of the models under `of`", hint)


def _fallbacks(model: ModelConfig, models: Mapping[str, ModelConfig], path: KeyPath) -> Iterator[Finding]:
    for n, fallback in enumerate(model.fallback):
        other = models.get(fallback.to)
        if other is not None and other.selector is not None:
            message = f"{fallback.to!r} has a selector, and picks nothing for what failed elsewhere"
            yield Finding((*path, "fallback", n), message, _PICK)
