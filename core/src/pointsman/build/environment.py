"""What the environment says where the configuration is silent, as the types of providers read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct
from pydantic import ValidationError

from pointsman.config import AttemptTimeoutSettings, Config, ProviderConfig, codes
from pointsman.config.findings import Finding, findings
from pointsman.config.problems import KeyPath
from pointsman.errors import PluginError
from pointsman.plugins.registry import Plugins
from pointsman.provider import EnvironmentDefault


class FromEnvironment(Struct, frozen=True):
    """A value that a configuration does not say and a variable of the environment does.

    Attributes:
        path: where the value would stand in a configuration.
        value: as it is there.
        variable: its name.
    """

    path: KeyPath
    value: Any
    variable: str


def from_environment(
    config: Config, plugins: Plugins, environ: Mapping[str, str] | None = None
) -> list[FromEnvironment]:
    """What `environ`, by default the process's, says for `config`. Raises ConfigError for what is wrong."""
    environ = os.environ if environ is None else environ
    said: list[FromEnvironment] = []
    wrong: list[Finding] = []
    for name, provider in config.providers.items():
        for each in _defaults(provider, plugins, environ):
            try:
                found = _value(config, name, provider, each)
            except ValidationError as error:
                # The value may hold a password, so what is said is what was expected.
                why = "; ".join(one.message for one in findings(error, ProviderConfig))
                message = f"{each.variable} in the environment: {why}"
                wrong.append(Finding(("providers", name), message, code=codes.VALUE))
            else:
                said += [] if found is None else [FromEnvironment(*found, each.variable)]
    if wrong:
        raise config.error(wrong)
    return said


def with_environment(config: Config, plugins: Plugins, environ: Mapping[str, str] | None = None) -> Config:
    """`config` with what the environment says where it is silent. Raises ConfigError."""
    said = from_environment(config, plugins, environ)
    if not said:
        return config
    providers, default = dict(config.providers), config.default_model
    for each in said:
        match each.path:
            case ("providers", str(name), "timeouts", "attempt"):
                timeouts = providers[name].timeouts.model_copy(update={"attempt": each.value})
                providers[name] = providers[name].model_copy(update={"timeouts": timeouts})
            case ("providers", str(name), str(key)):
                providers[name] = providers[name].model_copy(update={key: each.value})
            case _:
                default = default or each.value
    made = config.model_copy(update={"providers": providers, "default_model": default})
    made._said, made._followed = config.said, config.followed
    return made


def _defaults(
    provider: ProviderConfig, plugins: Plugins, environ: Mapping[str, str]
) -> list[EnvironmentDefault]:
    with suppress(PluginError):  # which is told where the provider is made
        factory = plugins.provider(provider.type)
        if factory.environment is not None and provider.preset is None:
            return list(factory.environment(environ))
    return []


def _value(
    config: Config, name: str, provider: ProviderConfig, said: EnvironmentDefault
) -> tuple[KeyPath, Any] | None:
    """Where it would stand, and as what; None where the configuration says it. Raises ValidationError."""
    path: KeyPath = ("providers", name)
    match said.setting:
        case "base_url" | "max_in_flight" as key if getattr(provider, key) is None:
            made = ProviderConfig.model_validate({"type": provider.type, key: said.value})
            return (*path, key), getattr(made, key)
        case "timeout" if provider.timeouts.attempt is None and config.timeouts.attempt is None:
            timeouts = AttemptTimeoutSettings.model_validate({"attempt": said.value})
            return (*path, "timeouts", "attempt"), timeouts.attempt
        case "default_model" if config.default_model is None:
            model = _callable(config, name, str(said.value))
            return None if model is None else (("default_model",), model)
    return None


def _callable(config: Config, provider: str, model: str) -> str | None:
    """The name by which `model` at `provider` can be called, of callers who named none."""
    if model in config.names():
        return model
    # Where others are said, one that is none of them is not what the configuration is for.
    if config.providers[provider].discovers or not config.public_models():
        return f"{provider}/{model}"
    return None
