"""The file that says what a forecast is to assume: traffic, upstreams, faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from pydantic import ValidationError

from pointsman import Config
from pointsman._internal.settings import Section, setting
from pointsman._internal.suggest import did_you_mean
from pointsman.config.document import Document
from pointsman.config.findings import Finding, findings, kind
from pointsman.config.names import provider_and_model
from pointsman.config.problems import config_error
from pointsman.config.readers.files import parse, read
from pointsman.errors import ConfigError
from pointsman_forecast.faults import FaultSettings
from pointsman_forecast.settings import ALL, OF_A_MODEL, UpstreamSettings
from pointsman_forecast.traffic import TrafficSettings


class Scenario(Section):
    """What is assumed of the world outside a router."""

    traffic: TrafficSettings = setting(
        default=TrafficSettings.model_construct(), description="what callers ask for"
    )
    upstreams: dict[str, UpstreamSettings] = setting(
        default_factory=dict,
        description="how they behave, by provider, `provider/model`, provider type, or `*` for all",
    )
    faults: list[FaultSettings] = setting(default_factory=list, description="what goes wrong, and when")


class ScenarioFile(Struct, frozen=True):
    """A scenario, and where each of its values stands."""

    scenario: Scenario
    document: Document

    def check(self, configs: Sequence[Config]) -> None:
        """Raise ConfigError for what is named here and is in none of `configs`."""
        found = list(_misfits(self.scenario, configs))
        if found:
            raise _error(found, self.document)


NOTHING_SAID = ScenarioFile(Scenario.model_construct(), Document({}))
"""What is assumed where nobody says anything."""


def load_scenario(file: str) -> ScenarioFile:
    """What stands in `file`: .yaml, .toml or .json. Raises ConfigError with everything that is wrong."""
    return _checked(read(file))


def scenario_of(text: str, *, file: str | None = None) -> ScenarioFile:
    """What `text` says, which is YAML. Raises ConfigError with everything that is wrong."""
    return _checked(parse(text, suffix=".yaml", file=file))


def _checked(document: Document) -> ScenarioFile:
    data: Any = {} if document.data is None else document.data
    if not isinstance(data, Mapping):
        found = Finding((), f"expected a mapping, not {kind(data)}", "begin with 'traffic:'", code="PM1013")
        raise _error([found], document)
    try:
        return ScenarioFile(Scenario.model_validate(data), document)
    except ValidationError as error:
        raise _error(findings(error, Scenario), document) from None


def _misfits(scenario: Scenario, configs: Sequence[Config]) -> Iterator[Finding]:
    providers = sorted({name for each in configs for name in each.providers})
    types = sorted({each.type for config in configs for each in config.providers.values()})
    for name, upstream in scenario.upstreams.items():
        path = ("upstreams", name)
        provider, model = provider_and_model(name)
        if provider in providers:
            for key in sorted(upstream.model_fields_set - OF_A_MODEL):
                message = f"is of the server, and not of the model {model!r}: say it of {provider!r}"
                yield Finding((*path, key), message, at_key=True, code="PM1303")
        elif name not in (*providers, *types, ALL):
            hint = did_you_mean(provider or name, [*providers, *types])
            yield Finding(path, "is neither a provider nor the type of one", hint, at_key=True, code="PM1201")
    for n, fault in enumerate(scenario.faults):
        provider = provider_and_model(fault.upstream)[0] or fault.upstream
        if provider not in providers:
            hint = did_you_mean(provider, providers)
            yield Finding(
                ("faults", n, "upstream"), f"there is no provider {provider!r}", hint, code="PM1201"
            )
    for asked in scenario.traffic.models or ():
        if not any(
            asked in each.names() or provider_and_model(asked)[0] in each.providers for each in configs
        ):
            hint = configs[0].names().near_any(asked)
            yield Finding(
                ("traffic", "models", asked), f"there is no model {asked!r}", hint, at_key=True, code="PM1202"
            )


def _error(found: Sequence[Finding], document: Document) -> ConfigError:
    problems = []
    for each in found:
        hint = each.hint() if callable(each.hint) else each.hint
        problems.append(document.problem(each.path, each.message, hint, code=each.code, key=each.at_key))
    return config_error(problems, file=document.file)
