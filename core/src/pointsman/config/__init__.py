"""The configuration: one model of the whole file, and errors that say where."""

from pointsman.config.model import Config
from pointsman.config.sections import (
    AttemptTimeoutSettings,
    DeploymentConfig,
    GuardConfig,
    LimitsConfig,
    ModelConfig,
    ModelTimeouts,
    Named,
    ProviderConfig,
    TimeoutSettings,
)

__all__ = [
    "AttemptTimeoutSettings",
    "Config",
    "DeploymentConfig",
    "GuardConfig",
    "LimitsConfig",
    "ModelConfig",
    "ModelTimeouts",
    "Named",
    "ProviderConfig",
    "TimeoutSettings",
]
