"""Deployments of patterns: what one says of each upstream model that its `*` stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman.config.names import STAR, NamePattern
from pointsman.config.sections import DeploymentConfig, ModelConfig


def is_template(deployment: DeploymentConfig) -> bool:
    """Whether its upstream model is what a name is asked for by."""
    return STAR in deployment.model


def templates_in(models: Mapping[str, ModelConfig]) -> list[DeploymentConfig]:
    """Those of all models that are."""
    return [each for model in models.values() for each in model.deployments if is_template(each)]


def filled(deployment: DeploymentConfig, text: str) -> DeploymentConfig:
    """That of a name in which `*` stands for `text`."""
    if not is_template(deployment):
        return deployment
    name = deployment.name and deployment.name.replace(STAR, text)
    return deployment.model_copy(update={"model": deployment.model.replace(STAR, text), "name": name})


def template_of(
    deployment: DeploymentConfig, templates: Sequence[DeploymentConfig]
) -> DeploymentConfig | None:
    """The one that says what holds for `deployment`, by whatever name it is called; None for none.

    Where there are several they say the same: else the configuration is refused.
    """
    return next((each for each in templates if filled_as(each, deployment) is not None), None)


def filled_as(template: DeploymentConfig, deployment: DeploymentConfig) -> DeploymentConfig | None:
    """What `template` says of `deployment`; None where that is none of those that it stands for."""
    text = (
        NamePattern(template.model).match(deployment.model)
        if template.provider == deployment.provider
        else None
    )
    made = None if text is None else filled(template, text)
    return made if made is not None and made.id == deployment.id else None
