"""What is wrong with names that mean others: aliases and patterns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pointsman.config import codes
from pointsman.config.deployment_templates import is_template, template_of
from pointsman.config.findings import Finding
from pointsman.config.names import STAR, NamePattern, Names, provider_and_model
from pointsman.config.overrides import SPECIFIC
from pointsman.config.problems import KeyPath, show_path
from pointsman.config.references import names_in
from pointsman.config.sections import DeploymentConfig, ModelConfig, ProviderConfig

_OF_THE_MODEL = frozenset(("provider", "model", "name", "weight", "priority"))
"""What a deployment says of itself as a member, and not of what can be called there."""


def name_findings(
    providers: Mapping[str, ProviderConfig],
    models: Mapping[str, ModelConfig],
    aliases: Mapping[str, str],
    data: Mapping[str, Any],
) -> list[Finding]:
    """What is wrong with `aliases`, and with what has a `*` in it. Arguments as of `reference_findings`."""
    names = names_in(data, providers)
    return [
        *_wrong_aliases(aliases, providers, models, names),
        *_wrong_listings(providers),
        *_wrong_patterns(models),
        *_described_twice(providers, models),
    ]


# ── aliases ──────────────────────────────────────────────────────────────────────────────────────────


def _wrong_aliases(
    aliases: Mapping[str, str],
    providers: Mapping[str, ProviderConfig],
    models: Mapping[str, ModelConfig],
    names: Names,
) -> Iterator[Finding]:
    listed = {model for each in providers.values() for model in each.listed}
    for name, target in aliases.items():
        path = ("aliases", name)
        if name in models or name in listed:
            hint = "choose another name, or take one of the two away"
            yield Finding(
                path, f"{name!r} is the name of a model already", hint, at_key=True, code=codes.NAME_TAKEN
            )
        elif STAR in name:
            hint = "name a model so: its deployments can have the `*`, too"
            yield Finding(path, "an alias is one name, and no pattern", hint, at_key=True, code=codes.PATTERN)
        elif _provider_of(name, providers):
            yield Finding(
                path,
                f"the name {name!r} already means a model of the provider {_provider_of(name, providers)!r}",
                "choose a name that does not begin with a provider and '/'",
                at_key=True,
                code=codes.NAME_TAKEN,
            )
        if target in aliases:
            hint = f"name what it means: {aliases[target]!r}"
            yield Finding(path, f"{target!r} is an alias itself", hint, code=codes.ALIAS_OF_ALIAS)
        elif target in models and STAR in target:
            hint = "name a model that it matches"
            yield Finding(path, f"{target!r} is a pattern", hint, code=codes.PATTERN)
        elif not names.may_have(target) and not _provider_of(target, providers):
            near = partial(names.near_any, target, but=aliases)
            yield Finding(path, f"no model is named {target!r}", near, code=codes.NO_SUCH_MODEL)


def _provider_of(name: str, providers: Mapping[str, ProviderConfig]) -> str:
    """The provider of `provider/upstream-model`; "" for what is none of that."""
    provider, _model = provider_and_model(name)
    return provider if provider in providers else ""


# ── patterns ─────────────────────────────────────────────────────────────────────────────────────────


def _wrong_listings(providers: Mapping[str, ProviderConfig]) -> Iterator[Finding]:
    for name, provider in providers.items():
        for n, model in enumerate(provider.listed):
            if STAR in model:
                hint = f"name a model {model!r} under `models`, with the deployment '{name}/{model}'"
                where = ("providers", name, "models", n)
                yield Finding(where, "a provider lists names, no patterns", hint, code=codes.PATTERN)


def _wrong_patterns(models: Mapping[str, ModelConfig]) -> Iterator[Finding]:
    for name, model in models.items():
        if name.count(STAR) > 1:
            hint = "such as openai/* or gpt-*"
            yield Finding(("models", name), "a pattern has one `*`", hint, at_key=True, code=codes.PATTERN)
        for n, each in enumerate(model.deployments):
            yield from _wrong_template(each, STAR in name, ("models", name, "deployments", n))


def _wrong_template(deployment: DeploymentConfig, of_pattern: bool, path: KeyPath) -> Iterator[Finding]:
    stars = deployment.model.count(STAR)
    if stars and not of_pattern:
        hint = "the `*` is what the one in the name of the model stands for: name that so, too"
        message = "has a `*`, and the name of the model has none"
        yield Finding((*path, "model"), message, hint, code=codes.PATTERN)
    elif stars > 1:
        hint = "the name of the model has one"
        yield Finding((*path, "model"), "has more than one `*`", hint, code=codes.PATTERN)
    elif stars and deployment.name is not None and deployment.name.count(STAR) != 1:
        message = "would be the id of every model that the `*` stands for"
        yield Finding((*path, "name"), message, "have one `*` in it, or leave it out", code=codes.PATTERN)


def _described_twice(
    providers: Mapping[str, ProviderConfig], models: Mapping[str, ModelConfig]
) -> Iterator[Finding]:
    """What can be called is one deployment by whatever name: nothing may hold for it by one of them alone."""
    known: list[tuple[DeploymentConfig, KeyPath]] = [
        (DeploymentConfig(provider=name, model=model), ("providers", name, "models", n))
        for name, provider in providers.items()
        for n, model in enumerate(provider.listed)
        if STAR not in model
    ]
    known += [
        (each, ("models", name, "deployments", n))
        for name, model in models.items()
        for n, each in enumerate(model.deployments)
        if STAR not in each.id or (each.model.count(STAR) == 1 and name.count(STAR) == 1)
    ]
    for n, (each, path) in enumerate(known):
        if not is_template(each) or not _says_more(each, path, models):
            continue
        for other, where in (*known[:n], *known[n + 1 :]):
            if _meet(each, other):
                yield Finding(
                    path,
                    f"what this says would hold for {other.id!r} too, which {show_path(where[:2])} has",
                    "say it there alone, or give this one an id of its own, such as `name: any-*`",
                    code=codes.DESCRIBED_TWICE,
                )
                break


def _meet(template: DeploymentConfig, other: DeploymentConfig) -> bool:
    """Whether some deployment is both, while they stand for themselves."""
    if not is_template(other):
        return template_of(other, [template]) is not None
    if template.provider != other.provider or template.id == other.id:
        return False  # of one id it is seen elsewhere whether they agree
    one, another = NamePattern(template.model), NamePattern(other.model)
    return one.meets(another) and NamePattern(template.id).meets(NamePattern(other.id))


def _says_more(template: DeploymentConfig, path: KeyPath, models: Mapping[str, ModelConfig]) -> bool:
    """Whether it says more than which it is, or its model does."""
    of_its_model = models[str(path[1])].model_fields_set & {*SPECIFIC}
    return bool(template.model_fields_set - _OF_THE_MODEL or of_its_model)
