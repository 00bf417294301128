"""What is wrong between the sections of a configuration: names that lead nowhere, in circles, or astray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from functools import partial
from typing import Any

from pointsman._internal.suggest import did_you_mean
from pointsman.config import codes
from pointsman.config.findings import Finding
from pointsman.config.names import STAR, Names
from pointsman.config.problems import KeyPath, show_path
from pointsman.config.sections import DeploymentConfig, FallbackConfig, ModelConfig, ProviderConfig


def reference_findings(
    providers: Mapping[str, ProviderConfig],
    models: Mapping[str, ModelConfig],
    general: Sequence[FallbackConfig],
    data: Mapping[str, Any],
) -> list[Finding]:
    """What is wrong between `providers` and `models`.

    Args:
        general: what models fall back on that name nothing.
        data: what the configuration was made from. They may be only the sound part of it; a reference to what
            is there but wrong is not an error of its own.
    """
    provider_names = _names(data, "providers")
    if not provider_names:  # then whatever refers to one leads nowhere
        hint = "name at least one, such as gpu1: {type: ollama}"
        return [Finding(("providers",), "is empty", hint, code=codes.NO_PROVIDERS)]
    names = names_in(data, providers)
    return [
        *_wrong_listings(providers, models),
        *_wrong_deployments(models, provider_names),
        *_wrong_names(models, provider_names),
        *_disagreements(providers, models),
        *_wrong_limits(providers, models, _names(data, "limits")),
        *_wrong_fallbacks(models, general, names),
        *_wrong_default(data, names),
        *_wrong_mirrors(models, names),
        *_loops(models, names),
    ]


def names_in(data: Mapping[str, Any], providers: Mapping[str, ProviderConfig]) -> Names:
    """What can be asked for by what `data` says, also where that is wrong."""
    listed = (model for each in providers.values() for model in each.listed)
    aliases = data.get("aliases")
    said = aliases.items() if isinstance(aliases, Mapping) else ()
    named = (each for each in _names(data, "models") if isinstance(each, str))
    known = {name: to for name, to in said if isinstance(to, str)}
    discovers = any(each.discovers for each in providers.values())
    return Names((*named, *listed), known, providers=_names(data, "providers"), open_ended=discovers)


def _names(data: Mapping[str, Any], section: str) -> set[str]:
    value = data.get(section)
    return set(value) if isinstance(value, Mapping) else set()


def _wrong_listings(
    providers: Mapping[str, ProviderConfig], models: Mapping[str, ModelConfig]
) -> Iterator[Finding]:
    for name, provider in providers.items():
        before: set[str] = set()
        for n, model in enumerate(provider.listed):
            path = ("providers", name, "models", n)
            if model in before:
                yield Finding(path, f"model {model!r} is listed twice", code=codes.TWICE)
            before.add(model)
            if model in models:
                hint = f"add '{name}/{model}' to its deployments, or take one of the two away"
                yield Finding(
                    path, f"model {model!r} is also configured under models", hint, code=codes.NAME_TAKEN
                )


def _wrong_deployments(models: Mapping[str, ModelConfig], providers: Set[str]) -> Iterator[Finding]:
    for name, model in models.items():
        path = ("models", name, "deployments")
        if not model.deployments and model.selector is None:
            hint = "such as gpu1/llama3.2"
            message, rests_on = "a model needs at least one deployment", (("models", name),)
            yield Finding(path, message, hint, rests_on=rests_on, code=codes.NO_DEPLOYMENTS)
        first: dict[str, int] = {}
        for n, deployment in enumerate(model.deployments):
            if deployment.provider not in providers:
                near = partial(did_you_mean, deployment.provider, providers, what="configured")
                message = f"no provider is named {deployment.provider!r}"
                yield Finding((*path, n, "provider"), message, near, code=codes.NO_SUCH_PROVIDER)
            if first.setdefault(deployment.id, n) != n:
                yield Finding(
                    (*path, n),
                    f"deployment {deployment.id!r} is in this model twice",
                    "give it more weight, or give one of them a name",
                    code=codes.TWICE,
                )


def _wrong_names(models: Mapping[str, ModelConfig], providers: Set[str]) -> Iterator[Finding]:
    for name in models:
        if STAR in name:
            continue  # a pattern: it goes before what can be asked for without
        before, slash, _after = name.partition("/")
        if slash and before in providers:
            yield Finding(
                ("models", name),
                f"the name {name!r} already means a model of the provider {before!r}",
                "choose a name that does not begin with a provider and '/'",
                at_key=True,
                code=codes.NAME_TAKEN,
            )


def _disagreements(
    providers: Mapping[str, ProviderConfig], models: Mapping[str, ModelConfig]
) -> Iterator[Finding]:
    """One id is one deployment, whatever model it is in: only weight and priority belong to the model."""
    known: dict[str, tuple[DeploymentConfig, KeyPath]] = {}
    for provider, settings in providers.items():
        for n, model in enumerate(settings.listed):
            listed = DeploymentConfig(provider=provider, model=model)
            known.setdefault(listed.id, (listed, ("providers", provider, "models", n)))
    for name, public in models.items():
        for n, deployment in enumerate(public.deployments):
            path: KeyPath = ("models", name, "deployments", n)
            other, where = known.setdefault(deployment.id, (deployment, path))
            differs = _differences(deployment, other)
            if differs and where[:2] != path[:2]:
                yield Finding(
                    path,
                    f"deployment {deployment.id!r} is described differently in {show_path(where[:2])}: "
                    f"{', '.join(differs)}",
                    "make them agree (weight and priority may differ), or give one of them a name",
                    code=codes.DESCRIBED_TWICE,
                )


def _differences(one: DeploymentConfig, other: DeploymentConfig) -> list[str]:
    free = {"name", "weight", "priority"}
    return [
        field
        for field in DeploymentConfig.model_fields
        if field not in free and getattr(one, field) != getattr(other, field)
    ]


def _wrong_limits(
    providers: Mapping[str, ProviderConfig], models: Mapping[str, ModelConfig], limits: Set[str]
) -> Iterator[Finding]:
    shared: list[tuple[KeyPath, list[str]]] = [
        (("providers", name), each.shared_limits) for name, each in providers.items()
    ]
    for name, model in models.items():
        for n, deployment in enumerate(model.deployments):
            shared.append((("models", name, "deployments", n), deployment.shared_limits))
    for path, names in shared:
        for n, each in enumerate(names):
            if each not in limits:
                yield Finding(
                    (*path, "shared_limits", n),
                    f"no limit is called {each!r}",
                    partial(_other_limit, each, limits),
                    code=codes.NO_SUCH_LIMIT,
                )


def _other_limit(name: str, limits: Set[str]) -> str:
    return did_you_mean(name, limits) or "add it under the general `limits`"


def _wrong_fallbacks(
    models: Mapping[str, ModelConfig], general: Sequence[FallbackConfig], names: Names
) -> Iterator[Finding]:
    said: list[tuple[KeyPath, str, Sequence[FallbackConfig]]] = [(("fallback",), "", general)]
    said += [(("models", name, "fallback"), name, model.fallback or ()) for name, model in models.items()]
    for place, name, fallbacks in said:
        before: set[str] = set()
        for n, fallback in enumerate(each.to for each in fallbacks):
            path = (*place, n)
            if not names.may_have(fallback):
                hint = partial(names.near, fallback, but=(name,))
                yield Finding(path, f"no model is named {fallback!r}", hint, code=codes.NO_SUCH_MODEL)
            elif names.target(fallback) in before:
                yield Finding(path, f"{fallback!r} is listed twice", code=codes.TWICE)
            before.add(names.target(fallback))


def _wrong_default(data: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    name = data.get("default_model")
    if isinstance(name, str) and not names.may_have(name):
        hint = partial(names.near, name)
        yield Finding(("default_model",), f"no model is named {name!r}", hint, code=codes.NO_SUCH_MODEL)


def _wrong_mirrors(models: Mapping[str, ModelConfig], names: Names) -> Iterator[Finding]:
    for name, model in models.items():
        path, mirror = ("models", name, "mirror"), model.mirror
        if mirror is None or model.selector is not None:  # which has no place beside it
            continue
        to = names.described_as(mirror.to)
        other = models.get(to or "")
        if not names.may_have(mirror.to) or STAR in mirror.to:
            hint = partial(names.near, mirror.to, but=(name,))
            yield Finding((*path, "to"), f"no model is named {mirror.to!r}", hint, code=codes.NO_SUCH_MODEL)
        elif names.target(mirror.to) == name:
            yield Finding((*path, "to"), "a model cannot be mirrored to itself", code=codes.LOOP)
        elif other is not None and other.selector is not None:
            below = "name one of the models under its `of`"
            yield Finding((*path, "to"), f"{mirror.to!r} has a selector", below, code=codes.SELECTOR_BELOW)
        elif other is not None and (
            missed := [each.type for each in other.guards if each not in model.guards]
        ):
            # A copy passes the guards of the model that was asked for; what these are to keep in stays in.
            yield Finding(
                (*path, "to"),
                f"the copies would miss the guards of {mirror.to!r} ({', '.join(missed)})",
                f"name them at {name!r} too, or under the general `guards`",
                code=codes.COPIES_MISS_GUARDS,
            )


def _loops(models: Mapping[str, ModelConfig], names: Names) -> Iterator[Finding]:
    """Each loop of fallbacks once, at the entry that closes it."""
    finished: set[str] = set()
    for start in models:
        way = dict.fromkeys([start])  # in order, and looked up at once
        ahead = [_steps(models, names, start)] if start not in finished else []
        while ahead:
            n, following = next(ahead[-1], (0, None))
            if following is None:
                finished.add(way.popitem()[0])
                ahead.pop()
            elif following in way:
                steps = list(way)
                loop = [*steps[steps.index(following) :], following]
                yield Finding(
                    ("models", steps[-1], "fallback", n),
                    f"the fallbacks form a loop: {' → '.join(loop)}",
                    "take one of these steps away",
                    code=codes.LOOP,
                )
            elif following not in finished:
                way[following] = None
                ahead.append(_steps(models, names, following))


def _steps(models: Mapping[str, ModelConfig], names: Names, name: str) -> Iterator[tuple[int, str | None]]:
    model = models.get(name)
    own = () if model is None or model.fallback is None else model.fallback
    return iter([(n, names.target(each.to)) for n, each in enumerate(own)])
