"""The configuration: one model of the whole file, and errors that say where."""

from pointsman.config.model import Config
from pointsman.config.named import CredentialConfig, Named
from pointsman.config.sections import (
    AttemptTimeoutSettings,
    DeploymentConfig,
    GuardConfig,
    LimitsConfig,
    ModelConfig,
    ModelTimeouts,
    ProviderConfig,
    TimeoutSettings,
)

__all__ = [
    "AttemptTimeoutSettings",
    "Config",
    "CredentialConfig",
    "DeploymentConfig",
    "GuardConfig",
    "LimitsConfig",
    "ModelConfig",
    "ModelTimeouts",
    "Named",
    "ProviderConfig",
    "TimeoutSettings",
]
