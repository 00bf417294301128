"""What a configuration says of whatever can be asked for, by whichever name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property

from pointsman.config.names import STAR, Names, provider_and_model
from pointsman.config.sections import DeploymentConfig, ModelConfig, Named


class Descriptions:
    """Of one configuration; made once, for whoever has many names looks them all up.

    Attributes:
        names: what can be asked for by which name.
        models: what stands under a name of its own: models, patterns, and what providers list.
    """

    def __init__(self, names: Names, models: Mapping[str, ModelConfig], providers: Collection[str]) -> None:
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
        deployment = self._deployment(DeploymentConfig(provider=provider, model=model))
        strategy = Named.model_construct(type="round_robin")
        return ModelConfig.model_construct(deployments=[deployment], strategy=strategy, fallback=[])

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
            return deployment
        from pointsman.config.deployment_templates import filled_as

        said = (filled_as(each, deployment) for each in self._templates)
        return next((each for each in said if each is not None), deployment)

    @cached_property
    def _templates(self) -> list[DeploymentConfig]:
        from pointsman.config.deployment_templates import templates_in

        return templates_in(self.models)

    @cached_property
    def _own(self) -> Mapping[str, DeploymentConfig]:
        """The deployments that are no templates, by their ids."""
        every = (each for model in self.models.values() for each in model.deployments)
        return {each.id: each for each in every if STAR not in each.model}
