"""The configuration: one model of the whole file, and errors that say where."""

from pointsman.config.model import Config
from pointsman.config.sections import (
    AttemptTimeouts,
    DeploymentConfig,
    LimitsConfig,
    ModelConfig,
    ModelTimeouts,
    Named,
    ProviderConfig,
    Timeouts,
)

__all__ = [
    "AttemptTimeouts",
    "Config",
    "DeploymentConfig",
    "LimitsConfig",
    "ModelConfig",
    "ModelTimeouts",
    "Named",
    "ProviderConfig",
    "Timeouts",
]
