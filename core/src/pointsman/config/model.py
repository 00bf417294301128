"""The configuration: one model of the whole file, checked as far as that is possible without plugins.

`Config.load` reads a file and finds everything that is wrong with it at once, each with its place.
`Config.from_mapping` does the same for a mapping made in Python. What belongs to a plugin stays a `Named`
until the build knows the plugin's own model and calls `Config.validate_settings`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, Self, TypeVar, cast

from msgspec import structs
from pydantic import BaseModel, ValidationError

from pointsman._internal.settings import Section, setting
from pointsman.config import codes
from pointsman.config.described import Descriptions, descriptions
from pointsman.config.document import ConfigSource, Document
from pointsman.config.findings import Finding, findings, kind
from pointsman.config.from_files import FilesRead, FromFiles, LoadedFrom, without_locals
from pointsman.config.interpolate import ReadFile, interpolate
from pointsman.config.kinds import ModelName, ProviderName
from pointsman.config.named import Named
from pointsman.config.names import STAR, Names
from pointsman.config.overrides import SPECIFIC, Specific, merged, specific_findings
from pointsman.config.plugin_rules import PluginsConfig
from pointsman.config.problems import MOST_SHOWN, KeyPath, Problem, config_error
from pointsman.config.references import reference_findings
from pointsman.config.sections import (
    DeploymentConfig,
    DiscoverConfig,
    FallbackConfig,
    GuardConfig,
    HedgeSettings,
    LimitsConfig,
    ModelConfig,
    ProviderConfig,
    TimeoutSettings,
)
from pointsman.config.shared import StateConfig
from pointsman.errors import ConfigError
from pointsman.resilience.adaptive_concurrency import AdaptiveSettings
from pointsman.resilience.circuit_breaker import BreakerSettings
from pointsman.resilience.cool_down import OverloadSettings, RefusalSettings
from pointsman.resilience.fair_queue import QueueSettings
from pointsman.resilience.health_check import CheckSettings
from pointsman.resilience.outlier_detection import OutlierSettings
from pointsman.resilience.warm_up import WarmUpSettings
from pointsman.units import Percent

_BY_LOADER = object()
"""The validation context in which the references are left to the loader, which reports them with places."""

M = TypeVar("M", bound=BaseModel | Section)
C = TypeVar("C", bound="Config")


Further = Callable[["Config"], Sequence[Finding]]
"""What somebody who knows the plugins finds wrong with a configuration."""


class Config(FromFiles):
    """Everything that a router is told. Keys beyond these are sections, which belong to plugins."""

    include: list[str] = setting(
        default_factory=list,
        description="further files that are part of this one, relative to it: names, or patterns with `*`",
    )
    providers: dict[ProviderName, ProviderConfig] = setting(description="the upstreams, by a name of yours")
    models: dict[ModelName, ModelConfig] = setting(
        default_factory=dict,
        description="what callers can ask for, by public name, or by a pattern with one `*`, such as `gpt-*`",
    )
    aliases: dict[ModelName, ModelName] = setting(
        default_factory=dict,
        description="further names of models, or of `provider/upstream-model`: `{gpt-4o: assistant}`",
    )
    default_model: ModelName | None = setting(
        default=None,
        description="for callers of the gateway and commands that name none; without it the first",
    )
    strategy: Named = setting(
        default=Named.model_construct(type="round_robin"), description="how models that name none choose"
    )
    fallback: list[FallbackConfig] = setting(
        default_factory=list,
        description="models to try next, for those that name none, without the model itself",
    )
    guards: list[GuardConfig] = setting(
        default_factory=list,
        description="what stands around every request, whatever its model, in this order",
    )
    retry: Named = setting(
        default=Named.model_construct(type="exponential"), description="how often, and how long between"
    )
    circuit_breaker: BreakerSettings = setting(
        default=BreakerSettings.model_construct(), description="when a failing deployment is left alone"
    )
    overload: OverloadSettings = setting(
        default=OverloadSettings.model_construct(),
        description="when a deployment is tried again that was overloaded",
    )
    refusal: RefusalSettings = setting(
        default=RefusalSettings.model_construct(),
        description="when a deployment is tried again that refused us",
    )
    timeouts: TimeoutSettings = setting(
        default=TimeoutSettings.model_construct(), description="how long calls may take"
    )
    limits: dict[str, LimitsConfig] = setting(
        default_factory=dict,
        description="rate limits that several providers or deployments share, by name",
    )
    queue: QueueSettings | None = setting(
        default=QueueSettings.model_construct(),
        description="where callers wait for room; null: they are refused at once",
    )
    health: CheckSettings | None = setting(default=None, description="ask providers whether they are well")
    outliers: OutlierSettings | None = setting(
        default=None, description="leave out what fails again and again, beside the circuit breaker"
    )
    warm_up: WarmUpSettings | None = setting(
        default=WarmUpSettings.model_construct(),
        description="take on load slowly after coming back; null: at once",
    )
    adaptive_concurrency: AdaptiveSettings | None = setting(
        default=None, description="find the number of calls that a deployment bears"
    )
    hedging: HedgeSettings | None = setting(
        default=None, description="send a stream that is late with its first token elsewhere as well"
    )
    panic_threshold: Percent = setting(
        default=0.5,
        description="with a smaller share of a level healthy, its health is not believed; 0: always believed",
    )
    state: StateConfig | None = setting(
        default=None,
        description="where routers keep what they share, as `redis://…`; without it each is by itself",
    )
    prices: list[Named] = setting(
        default_factory=lambda: [Named.model_construct(type="shipped")],
        description="who knows what models cost, asked in this order; without it `[shipped]`; `[]`: nobody",
    )
    audit: list[Named] = setting(default_factory=list, description="where records of requests go")
    transport: Named = setting(
        default=Named.model_construct(type="auto"),
        description="HTTP implementation: `h1`, `aiohttp` or `httpx`; `auto` takes the first that will do",
    )
    plugins: PluginsConfig = setting(
        default=PluginsConfig.model_construct(),
        description="which installed plugins may be used; and the distribution for a name that two offer",
    )

    _warnings = tuple[Problem, ...]()
    _said = cast("Config | None", None)
    _families = cast("Mapping[str, str]", {})

    @classmethod
    def load(
        cls,
        file: ConfigSource,
        *,
        environ: Mapping[str, str] | None = None,
        read_file: ReadFile | None = None,
        further: Further | None = None,
        plugins: Iterable[object] = (),
    ) -> Self:
        """The configuration in `file`: .yaml, .yml, .toml or .json, at most 1 MiB. Reads files: it blocks.

        Args:
            file: or a folder, or several of both, which are merged as if one included the others.
            environ: the variables of `${VAR}`; the process's own when None.
            read_file: how `${file:…}` is read.
            further: asked, when something is wrong, what else is wrong with what is left without it.
            plugins: plugin objects that need not be installed, whose sections are known, too.

        Raises: ConfigError with everything that is wrong.
        """
        from pointsman.config.readers.files import (
            read,  # its patterns take milliseconds, for nothing without a file
        )

        made = without_locals(lambda: cls._from_document(read(file), environ, read_file, further, plugins))
        made._given = structs.replace(made._given, source=file)
        return made

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        suffix: str = ".yaml",
        file: str | None = None,
        environ: Mapping[str, str] | None = None,
        read_file: ReadFile | None = None,
        further: Further | None = None,
        plugins: Iterable[object] = (),
    ) -> Self:
        """The configuration in `text`, read as a file with that suffix; `file` is its name in messages."""
        from pointsman.config.readers.files import parse

        return without_locals(
            lambda: cls._from_document(
                parse(text, suffix=suffix, file=file), environ, read_file, further, plugins
            )
        )

    @classmethod
    def from_mapping(
        cls,
        mapping: Mapping[str, Any],
        *,
        environ: Mapping[str, str] | None = None,
        read_file: ReadFile | None = None,
        further: Further | None = None,
        plugins: Iterable[object] = (),
    ) -> Self:
        """The configuration in a mapping shaped like the file, `${…}` included.

        Raises: ConfigError with everything that is wrong.
        """
        return without_locals(
            lambda: cls._from_document(Document(mapping), environ, read_file, further, plugins)
        )

    @classmethod
    def _from_document(
        cls,
        document: Document,
        environ: Mapping[str, str] | None,
        read_file: ReadFile | None,
        further: Further | None,
        plugins: Iterable[object],
    ) -> Self:
        if not isinstance(document.data, Mapping):
            empty = document.data is None
            message = "is empty" if empty else f"expected a mapping, not {kind(document.data)}"
            problem = document.problem((), message, "begin with 'providers:'", code=codes.NO_MAPPING)
            raise config_error([problem], file=document.file)
        warnings: tuple[Problem, ...] = ()
        if not _looks_native(document.data):
            from pointsman.config.translation import translated  # looks for plugins: for nothing, mostly

            document, warnings, _dialect = translated(document, plugins)
        document.expect_ours()
        reading = FilesRead(read_file)
        data, faults = interpolate(
            document.data,
            environ=os.environ if environ is None else environ,
            read_file=reading,
        )
        unresolved = [Finding(path, message, hint, code=code) for path, message, hint, code in faults]
        if data.get("include"):
            followed = "is followed where a configuration is read from a file"
            unresolved.append(Finding(("include",), followed, code=codes.INCLUDE))
        surplus = [key for key in data if key not in cls.model_fields]
        unknown = _unknown(surplus, cls.model_fields, plugins) if surplus else []
        config, wrong = _checked(cls, data, [*unresolved, *unknown], document, further)
        if config is None:
            raise config_error(_problems(wrong, document), file=document.file)
        config._source = document
        config._given = LoadedFrom(referred_to=reading.files)
        config.warn(warnings)
        return config

    def check(self, context: object) -> None:
        if context is not _BY_LOADER:
            data = {"providers": self.providers, "models": self.models, "aliases": self.aliases}
            wrong = self._findings(data)
            if wrong:
                raise ValueError("\n".join(map(str, _problems(wrong, Document(None)))))

    def _findings(self, data: Mapping[str, Any]) -> list[Finding]:
        """What is wrong between the sections; `data` is what they were made from."""
        return [
            *reference_findings(self.providers, self.models, self.fallback, data),
            *self._wrong_names(data),
            *self._wrong_selectors(data),
            *specific_findings(self._general(), self.outliers, self.models),
        ]

    def _wrong_names(self, data: Mapping[str, Any]) -> Sequence[Finding]:
        models = (*self.models, *(model for each in self.providers.values() for model in each.listed))
        deployments = (each.model for model in self.models.values() for each in model.deployments)
        if not self.aliases and not any(STAR in each for each in (*models, *deployments)):
            return ()
        from pointsman.config.name_findings import name_findings  # for those that have some

        return name_findings(self.providers, self.models, self.aliases, data)

    def _wrong_selectors(self, data: Mapping[str, Any]) -> Sequence[Finding]:
        keys = {"selector", "of", "default", "select_within"}
        if all(keys.isdisjoint(model.model_fields_set) for model in self.models.values()):
            return ()
        from pointsman.config.selecting import selector_findings  # for those that have some

        return selector_findings(self.providers, self.models, self.fallback, data)

    def _general(self) -> dict[str, Section]:
        return {name: getattr(self, name) for name in SPECIFIC}

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """One with other values, which are not validated; what else is wrong is told with its place."""
        made = super().model_copy(update=update).from_where(self)
        made._families = self._families
        return made

    @property
    def said(self) -> Config:
        """What somebody has written of it: without what was found of providers since."""
        return self if self._said is None else self._said

    def family(self, provider: str) -> str:
        """The provider that somebody has configured, where `provider` is a server that was found of it."""
        return self._families.get(provider, provider)

    def servers_of(self, provider: str) -> list[str]:
        """What the servers that were found of `provider` are called, as providers."""
        return [each for each, family in self._families.items() if family == provider]

    def specific(self) -> Specific:
        """What holds for each deployment of what models and deployments can say for themselves."""
        return Specific(self._general(), self.models)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is allowed here and probably not meant, as far as somebody has looked."""
        return self._warnings

    def warn(self, warnings: Iterable[Problem]) -> None:
        """Somebody has looked, and this is what was found."""
        self._warnings = tuple(warnings)

    @property
    def file(self) -> str | None:
        """The file or folder it was loaded from, or several of them with commas between, to be shown."""
        return self._source.file

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that it was made of, as it is named: included ones, and those of `${file:…}`."""
        return tuple(dict.fromkeys((*self._source.files, *self._given.referred_to)))

    def problem(
        self,
        path: KeyPath,
        message: str,
        hint: str | None = None,
        *,
        code: str | None = None,
        key: bool = False,
    ) -> Problem:
        """The problem `message` at `path`, with the place in the file; of the key itself when `key`."""
        return self._source.problem(path, message, hint, code=code, key=key)

    def error(self, found: Sequence[Finding]) -> ConfigError:
        """The error that carries what was found, each thing once."""
        return config_error(_problems(found, self._source), file=self.file)

    def validate_settings(
        self,
        model: type[M] | None,
        settings: object,
        path: KeyPath,
        found: list[Finding],
    ) -> M | None:
        """The settings of a plugin as an instance of its model; what is wrong is added to `found`.

        Args:
            settings: a mapping, mostly; what stands in a section can be something else.
            model: None, or `BaseModel` itself, when the plugin takes no settings.
            path: where the settings stand, such as `("providers", "gpu1")` or `("models", "a", "strategy")`.

        Returns: None when something is wrong, or when there is no model.
        """
        is_provider = len(path) == 2 and path[0] == "providers"
        is_guard = path[-2:-1] == ("guards",)
        also = tuple(
            ProviderConfig.model_fields
            if is_provider
            else GuardConfig.model_fields
            if is_guard
            else StateConfig.model_fields
            if path == ("state",)
            else DiscoverConfig.model_fields
            if path[-1:] == ("discover",)
            else ("type",)
        )
        checked: Any = _no_settings() if model is None or model is BaseModel else model
        try:
            made = checked.model_validate(dict(settings) if isinstance(settings, Mapping) else settings)
        except ValidationError as error:
            wrong = findings(error, checked, also=also, foreign=True)
        else:
            return made if model is not None and isinstance(made, model) else None
        found += [structs.replace(each, path=(*path, *each.path)) for each in wrong]
        return None

    @property
    def model_by_default(self) -> str | None:
        """The public name for callers that name none; None where there is no model at all."""
        return self.default_model or next(iter(self.public_models()), None)

    def public_models(self) -> dict[str, ModelConfig]:
        """Every public name: those under `models` but for patterns, then those that providers list."""
        return {name: model for name, model in self._descriptions.models.items() if STAR not in name}

    def described_models(self) -> dict[str, ModelConfig]:
        """The same with the patterns."""
        return dict(self._descriptions.models)

    def names(self) -> Names:
        """What can be asked for by which name."""
        return self._descriptions.names

    def described(self, name: str) -> ModelConfig | None:
        """What holds for the model that can be asked for as `name`; None for one that there is not.

        Of a pattern it is what it says for that name, and `provider/upstream-model` is one deployment.
        """
        return self._descriptions.model(name)

    @cached_property
    def _descriptions(self) -> Descriptions:
        return descriptions(self)

    def fallback_of(self, model: ModelConfig) -> Sequence[FallbackConfig]:
        """What `model` falls back on: its own word, else the general one."""
        return self.fallback if model.fallback is None else model.fallback

    def timeouts_for(self, model: str, deployment: DeploymentConfig) -> TimeoutSettings:
        """What holds for calls of `model` at `deployment`: the most specific that is said.

        In this order: the deployment, the model, the provider, the general `timeouts`.
        """
        merged = dict(self.timeouts)
        provider, public = self.providers.get(deployment.provider), self.models.get(model)
        for level in (provider and provider.timeouts, public and public.timeouts, deployment.timeouts):
            if level is not None:
                merged.update((name, value) for name, value in level if value is not None)
        return TimeoutSettings.model_construct(**merged)  # each value was validated where it was said

    def health_for(self, provider: ProviderConfig) -> CheckSettings | None:
        """How `provider` is checked; None when it is not."""
        if provider.health is None:
            return self.health
        return None if provider.health is False else merged(self.health or CheckSettings(), provider.health)


def _problems(found: Sequence[Finding], document: Document) -> list[Problem]:
    """What was found, each thing once, in the order of the file, with the hints of those that are shown."""
    once = {(each.path, each.message): each for each in found}.values()
    placed = sorted(once, key=lambda each: document.order(each.path, key=each.at_key))
    problems = []
    for n, each in enumerate(placed):
        shown = n < MOST_SHOWN
        hint = (each.hint() if callable(each.hint) else each.hint) if shown else None
        problems.append(
            document.problem(each.path, each.message, hint, code=each.code, key=each.at_key, shown=shown)
        )
    return problems


def _looks_native(data: Mapping[str, Any]) -> bool:
    """Whether nobody needs to ask if `data` is in a dialect: each of its providers has a type."""
    providers = data.get("providers")
    return isinstance(providers, Mapping) and all(
        isinstance(each, Mapping) and "type" in each for each in providers.values()
    )


def _unknown(surplus: Iterable[str], known: Iterable[str], plugins: Iterable[object]) -> Iterable[Finding]:
    from pointsman.config.unknown_sections import unknown_sections  # looks for plugins: for nothing, mostly

    return unknown_sections(surplus, known, plugins)


@cache
def _no_settings() -> type[BaseModel]:
    class NoSettings(BaseModel, extra="forbid"):
        """For a plugin that takes no settings."""

    return NoSettings


def _checked(
    model: type[C],
    data: Mapping[str, Any],
    unresolved: Sequence[Finding],
    document: Document,
    further: Further | None,
) -> tuple[C | None, list[Finding]]:
    """The configuration or None, and what is wrong.

    When values are wrong, the references and what is `further` to be known are looked for in what is left
    without them, so that one run shows all.
    """
    wrong = list(unresolved)
    try:
        config = model.model_validate(data, context=_BY_LOADER)
    except ValidationError as error:
        without = {finding.path for finding in unresolved}
        wrong += [
            each
            for each in findings(error, model)
            if not any(each.path[:n] in without for n in range(len(each.path) + 1))
        ]
    else:
        if not wrong and not config._findings(data):
            return config, []
    from pointsman.config.salvage import ValidPart  # most configurations are right

    sound = ValidPart(data, spare={"providers": {}})
    rest = sound.model(model, wrong, context=_BY_LOADER)
    if rest is None:
        return None, wrong
    rest._source = document
    more = [*rest._findings(data), *(further(rest) if further is not None else ())]
    return None, wrong + [sound.restored(each) for each in more if not sound.touches(each)]
