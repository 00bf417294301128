"""What a configuration says of whatever can be asked for, by whichever name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from pointsman.config.named import Named
from pointsman.config.names import STAR, Names, provider_and_model
from pointsman.config.sections import DeploymentConfig, ModelConfig

if TYPE_CHECKING:
    from pointsman.config.model import Config


class Descriptions:
    """Of one configuration; made once, for whoever has many names looks them all up.

    Attributes:
        names: what can be asked for by which name.
        models: what stands under a name of its own: models, patterns, and what providers list.

    Args:
        servers_of: the names of the servers that were found of a provider.
        usual: what `deployment` is where it says nothing and its provider does.
    """

    def __init__(
        self,
        names: Names,
        models: Mapping[str, ModelConfig],
        providers: Collection[str],
        servers_of: Callable[[str], Sequence[str]],
        usual: Callable[[DeploymentConfig], DeploymentConfig],
    ) -> None:
        self._usual = usual
        self._servers_of = servers_of
        self.names = names
        self.models = models
        self._providers = providers

    def model(self, name: str) -> ModelConfig | None:
        """What holds for the model that can be asked for as `name`; None for one that there is not."""
        name = self.names.target(name)
        if (pattern := self.names.pattern(name)) is not None:
            from pointsman.config.deployment_templates import filled  # few configurations have patterns

            text, model = pattern.match(name) or "", self.models[pattern.text]
            members = [self._member(filled(each, text)) for each in model.deployments]
            return model.model_copy(update={"deployments": members})
        if STAR not in name and name in self.models:
            return self.models[name]
        provider, model_there = provider_and_model(name)
        return self._alone(provider, model_there) if provider in self._providers else None

    def _alone(self, provider: str, model: str) -> ModelConfig:
        """That of a `provider/upstream-model`, which what holds for models in general does not concern."""
        places = self._servers_of(provider) or (provider,)
        members = [self._deployment(DeploymentConfig(provider=each, model=model)) for each in places]
        strategy = Named.model_construct(type="round_robin")
        return ModelConfig.model_construct(deployments=members, strategy=strategy, fallback=[])

    def _member(self, deployment: DeploymentConfig) -> DeploymentConfig:
        """What is said of `deployment`, with the place that it has in its own model."""
        place = {"weight": deployment.weight, "priority": deployment.priority}
        return self._deployment(deployment).model_copy(update=place)

    def _deployment(self, deployment: DeploymentConfig) -> DeploymentConfig:
        """What is said of `deployment`, wherever that stands: to come by another name is no way around it."""
        own = self._own.get(deployment.id)
        if own is not None and (own.provider, own.model) == (deployment.provider, deployment.model):
            return own
        if not self.names.patterns:
            return self._usual(deployment)
        from pointsman.config.deployment_templates import filled_as

        said = (filled_as(each, deployment) for each in self._templates)
        return next((each for each in said if each is not None), self._usual(deployment))

    @cached_property
    def _templates(self) -> list[DeploymentConfig]:
        from pointsman.config.deployment_templates import templates_in

        return templates_in(self.models)

    @cached_property
    def _own(self) -> Mapping[str, DeploymentConfig]:
        """The deployments that are no templates, by their ids."""
        every = (each for model in self.models.values() for each in model.deployments)
        return {each.id: each for each in every if STAR not in each.model}


def descriptions(config: Config) -> Descriptions:
    """Those of `config`: what stands under `models`, and what providers list."""
    listed: dict[str, list[DeploymentConfig]] = {}
    for provider, each in config.providers.items():
        for model in each.listed:
            listed.setdefault(model, []).append(_listed(config, provider, model))
    names = Names(
        (*config.models, *listed),
        config.aliases,
        _mentioned(config),
        providers=config.providers,
        open_ended=any(each.discovers for each in config.providers.values()),
    )
    models = {
        name: ModelConfig(deployments=these) for name, these in listed.items() if name not in config.models
    }
    every = {**config.models, **models}
    if any(each.max_in_flight is not None for each in config.providers.values()):
        every = {name: _usual_of_all(config, each) for name, each in every.items()}
    return Descriptions(names, every, config.providers, config.servers_of, partial(_usual, config))


def _usual_of_all(config: Config, model: ModelConfig) -> ModelConfig:
    return model.model_copy(update={"deployments": [_usual(config, each) for each in model.deployments]})


def _usual(config: Config, deployment: DeploymentConfig) -> DeploymentConfig:
    """The same with what its provider says of all its deployments."""
    provider = config.providers.get(deployment.provider)
    if provider is None or provider.max_in_flight is None or deployment.max_in_flight is not None:
        return deployment
    return deployment.model_copy(update={"max_in_flight": provider.max_in_flight})


def _listed(config: Config, provider: str, model: str) -> DeploymentConfig:
    """That of a model that a provider lists; of one that was found more may be said elsewhere."""
    deployment = DeploymentConfig(provider=provider, model=model)
    if not config.providers[provider].discovers and config.family(provider) == provider:
        return deployment  # both say the same, or the configuration is refused
    every = (each for public in config.models.values() for each in public.deployments)
    own = next((e for e in every if (e.id, e.provider, e.model) == (deployment.id, provider, model)), None)
    return deployment if own is None else own.model_copy(update={"weight": 1, "priority": 0})


def _mentioned(config: Config) -> Iterator[str]:
    """The names that it says itself as what calls may go to."""
    for fallback in (config.fallback, *(model.fallback or () for model in config.models.values())):
        yield from (each.to for each in fallback)
    for model in config.models.values():
        yield from model.of
