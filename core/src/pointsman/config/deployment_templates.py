"""Deployments of patterns: what one says of each upstream model that its `*` stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman.config.names import STAR, NamePattern
from pointsman.config.sections import DeploymentConfig, ModelConfig

OF_THE_MODEL = frozenset(("provider", "model", "name", "weight", "priority"))
"""What a deployment says of itself as a member, and not of what can be called there."""


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
    for each in templates:
        text = (
            NamePattern(each.model).match(deployment.model) if each.provider == deployment.provider else None
        )
        if text is not None and filled(each, text).id == deployment.id:
            return each
    return None
