"""The sections of a configuration, each checked by itself.

What belongs to a plugin (the settings of a strategy, the further keys of a provider) is kept as it was
written: `Named.settings`, `ProviderConfig.settings`. Nothing here shows or dumps a value that may be secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import GetJsonSchemaHandler, TypeAdapter, WrapValidator
from pydantic_core import CoreSchema

from pointsman._internal.settings import Count, Section, setting
from pointsman.auth import Secret
from pointsman.config import codes
from pointsman.config.kinds import (
    ApiKey,
    BaseUrl,
    Defaults,
    Forced,
    Headers,
    IpAddress,
    LabelMap,
    ModelName,
    ProxyUrl,
    RuleMap,
    Word,
)
from pointsman.config.model_sections import CapabilityConfig, MirrorConfig, SystemPromptConfig
from pointsman.config.named import CredentialConfig, Named, Open, one_or_several, or_text
from pointsman.config.problems import WrongValue
from pointsman.config.secret_values import UnshownOptions
from pointsman.prices import Price
from pointsman.resilience.circuit_breaker import BreakerSettings
from pointsman.resilience.cool_down import OverloadSettings, RefusalSettings
from pointsman.resilience.health_check import CheckSettings
from pointsman.units import Duration, Percent, Rate

_AS_GENERAL: dict[str, Any] = {"as_general": True}
"""A section whose keys stand in the table of settings once, under the general section of that name."""


class GuardConfig(Named):
    """One guard: `{type: redact, …}`, with its own settings. The name alone is short for `{type: name}`."""

    on_error: Literal["refuse", "allow"] = setting(
        default="refuse",
        description="when it fails: `refuse` the request, or `allow` it without this guard",
    )


class DiscoverConfig(Named):
    """What finds the servers of a provider: `{type: dns, interval: 30s}`, with its own settings.

    The name alone is short for `{type: name}`.
    """

    interval: Duration = setting(default=30.0, ge=0.1, description="how often it looks")


def _true(value: bool, _others: object) -> bool:
    if not value:
        raise ValueError("expected true; without it write a list of models in place of this")
    return value


class DiscoverModels(Section):
    """In place of a list: ask the provider which models it has. `discover` is short for it."""

    checks = {"discover": _true}  # noqa: RUF012

    discover: bool = setting(description="`true`: ask it, and go on asking")
    interval: Duration = setting(default=60.0, ge=0.1, description="how often it is asked")
    include: list[Word] = setting(
        default=["*"], description="names to offer, where `*` stands for anything: `[llama*]`"
    )
    exclude: list[Word] = setting(
        default_factory=list, description="names not to offer of those: `['*embed*']`"
    )

    found = tuple[str, ...]()
    """What it offers, once it was asked; no setting."""

    @classmethod
    def from_other(cls, value: object) -> object:
        return {"discover": True} if value == "discover" else value

    def having(self, found: Sequence[str]) -> DiscoverModels:
        """The same, once the provider has been found to offer these."""
        made = self.model_copy(update={})
        made.found = tuple(found)
        return made

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return or_text(super().__get_pydantic_json_schema__(core, handler), const="discover")


class AttemptTimeoutSettings(Section):
    """How long the parts of one attempt may take, where that differs from `timeouts`."""

    connect: Duration | None = setting(default=None, gt=0, description="until the connection stands")
    first_token: Duration | None = setting(
        default=None, gt=0, description="of a stream, until its first content, where it could go elsewhere"
    )
    idle: Duration | None = setting(
        default=None, gt=0, description="of a stream, between two pieces of content"
    )
    attempt: Duration | None = setting(default=None, gt=0, description="one attempt as a whole")


class ModelTimeouts(Section):
    """How long calls of one model may take, where that differs from `timeouts`."""

    first_token: Duration | None = setting(
        default=None, gt=0, description="of a stream, until its first content, where it could go elsewhere"
    )
    idle: Duration | None = setting(
        default=None, gt=0, description="of a stream, between two pieces of content"
    )
    total: Duration | None = setting(
        default=None, gt=0, description="the request, with all attempts and waits"
    )
    attempt: Duration | None = setting(default=None, gt=0, description="one attempt as a whole")


class TimeoutSettings(Section):
    """How long calls may take, unless something more specific says otherwise."""

    connect: Duration = setting(default=5.0, gt=0, description="until the connection stands")
    first_token: Duration = setting(
        default=60.0, gt=0, description="of a stream, until its first content, where it could go elsewhere"
    )
    idle: Duration = setting(default=60.0, gt=0, description="of a stream, between two pieces of content")
    total: Duration = setting(default=600.0, gt=0, description="the request, with all attempts and waits")
    attempt: Duration | None = setting(
        default=None, gt=0, description="one attempt as a whole; without it only `total` bounds an attempt"
    )
    drain: Duration = setting(
        default=30.0, ge=0, description="for calls that run when a deployment or the router is drained"
    )


class LimitsConfig(Section):
    """How much may be asked for; what is above waits in the queue. At least one of the two."""

    requests: Rate | None = setting(default=None, description="requests, such as `500/min`")
    tokens: Rate | None = setting(default=None, description="tokens, prompt and answer: `200000/min`")
    burst_requests: Count | None = setting(
        default=None, ge=1, description="at once after a rest; without it the rate's count"
    )
    burst_tokens: Count | None = setting(
        default=None, ge=1, description="at once after a rest; without it the rate's count"
    )
    oversize: Literal["refuse", "full"] = setting(
        default="refuse", description="a request above the burst: `refuse` it, or wait for a `full` bucket"
    )
    fail: Literal["local", "closed"] | None = setting(
        default=None, description="in place of the `fail` of `state`: while that is away"
    )

    def check(self, _context: object) -> None:
        if self.requests is None and self.tokens is None:
            raise WrongValue(codes.SAYS_NOTHING, "says neither requests nor tokens")


class HedgeSettings(Section):
    """A second attempt beside one that is late with its first token; the first content wins."""

    quantile: Percent = setting(
        default=0.95, gt=0, lt=1, description="late: so many of the last 5 minutes were sooner"
    )
    floor: Duration = setting(default=1.0, description="and never sooner than this")
    budget: Percent = setting(
        default=0.05, ge=0.001, le=1, description="second attempts for each stream, at most"
    )
    minimum_samples: Count = setting(default=20, ge=1, description="with fewer first tokens nothing is late")


def _one_credential(
    auth: CredentialConfig | list[CredentialConfig] | None, others: Mapping[str, Any]
) -> CredentialConfig | list[CredentialConfig] | None:
    if auth is not None and others.get("api_key") is not None:
        raise WrongValue(codes.NOT_TOGETHER, "stands beside api_key; keep one of them")
    return auth


def _of_a_certificate(key: Any, others: Mapping[str, Any]) -> Any:
    # Where the certificate is missing because it is wrong, there is one.
    if key is not None and others.get("client_cert", key) is None:
        raise WrongValue(codes.NEEDS_ANOTHER, "needs client_cert beside it")
    return key


def _list_or_discover(value: object, _union: object) -> list[str] | DiscoverModels:
    # As below.
    if value == "discover" or isinstance(value, Mapping | DiscoverModels):
        return DiscoverModels.model_validate(value)
    return _list_of_models().validate_python(value)


@cache
def _list_of_models() -> TypeAdapter[list[str]]:
    return TypeAdapter(list[ModelName])


def _checks_or_false(value: object, _union: object) -> CheckSettings | Literal[False] | None:
    # A union would say of each of its members what is wrong.
    return value if value is None or value is False else CheckSettings.model_validate(value)


class ProviderConfig(Open):
    """One upstream: where it is, how to authenticate, how to connect; other keys belong to its type."""

    checks = {  # noqa: RUF012
        "auth": _one_credential, "client_key": _of_a_certificate, "client_key_password": _of_a_certificate,
    }  # fmt: skip

    type: Word = setting(description="the provider type, such as `ollama` or `openai`: a plugin offers it")
    preset: Word | None = setting(
        default=None, description="which of those that the type knows it is, such as `openrouter` of `openai`"
    )
    base_url: BaseUrl | None = setting(
        default=None, description="where the API is; without it the usual place of the type or preset"
    )
    api_key: ApiKey | None = setting(
        default=None, description="the credential, as `${OPENAI_API_KEY}`; or use `auth`"
    )
    auth: Annotated[CredentialConfig | list[CredentialConfig] | None, WrapValidator(one_or_several)] = (
        setting(
            default=None,
            description="where the credential comes from: `{type: env, name: …}`; a list for several: one "
            "that is rejected gives way to the next",
        )
    )
    address: IpAddress | None = setting(
        default=None,
        description="connect to this IP address in place of where the name in `base_url` leads",
    )
    discover: DiscoverConfig | None = setting(
        default=None, description="what finds its servers, such as `dns`: each becomes a deployment"
    )
    models: Annotated[DiscoverModels | list[ModelName], WrapValidator(_list_or_discover)] = setting(
        default_factory=list,
        description="upstream models to offer under their own names; a name that several list is one pool; "
        "or `discover` to ask it which it has",
    )
    max_in_flight: Count | None = setting(
        default=None,
        ge=1,
        description="attempts at the same time at each of its deployments that says nothing of it",
        json_schema_extra={"unit": "attempts"},
    )
    labels: LabelMap = setting(
        default_factory=dict, description="what rules can require: `{local: true, region: eu}`"
    )
    transport: Named | None = setting(default=None, description="in place of the general `transport`")
    proxy: ProxyUrl | None = setting(default=None, description="URL of a proxy, credentials included")
    ca_file: Path | None = setting(
        default=None, description="PEM file of the authorities to trust instead of the usual"
    )
    client_cert: Path | None = setting(
        default=None, description="PEM file of our certificate, for upstreams that ask"
    )
    client_key: Path | None = setting(
        default=None, description="PEM file of its key; without it in `client_cert`"
    )
    client_key_password: Secret | None = setting(
        default=None, description="password of that key, as `${KEY_PASSWORD}`"
    )
    min_tls: Literal["1.2", "1.3"] = setting(
        default="1.2", description="the oldest version of TLS: `1.2` or `1.3`"
    )
    http2: bool = setting(default=False, description="offer HTTP/2")
    trust_env: bool = setting(
        default=False, description="heed HTTP_PROXY, NO_PROXY, SSL_CERT_FILE and their like"
    )
    keepalive: Duration = setting(default=15.0, description="an idle connection is not used again after this")
    limits: LimitsConfig | None = setting(
        default=None, description="for all its deployments together: the limits of the account"
    )
    shared_limits: list[str] = setting(
        default_factory=list, description="names under the general `limits` that it counts against"
    )
    headers: Headers = setting(default_factory=dict, description="more headers for every call")
    health: Annotated[CheckSettings | Literal[False] | None, WrapValidator(_checks_or_false)] = setting(
        default=None,
        description="in place of the general `health`, key by key; false: it is not checked",
        json_schema_extra=_AS_GENERAL,
    )
    timeouts: AttemptTimeoutSettings = setting(
        default=AttemptTimeoutSettings.model_construct(), description="in place of the general `timeouts`"
    )

    @property
    def listed(self) -> Sequence[str]:
        """The upstream models that it offers under their own names, found ones too."""
        return self.models.found if isinstance(self.models, DiscoverModels) else self.models

    @property
    def discovers(self) -> bool:
        """Whether it may come to have models that nobody lists."""
        return self.discover is not None or isinstance(self.models, DiscoverModels)

    @property
    def credentials(self) -> Sequence[CredentialConfig]:
        """Where its credentials come from; `api_key` is short for `{type: static, value: …}`."""
        if self.api_key is not None:
            return (CredentialConfig.model_validate({"type": "static", "value": self.api_key}),)
        if self.auth is None:
            return ()
        return tuple(self.auth) if isinstance(self.auth, list) else (self.auth,)


class DeploymentConfig(Section):
    """One upstream model at one provider. `provider/upstream-model` is short for the mapping."""

    provider: Word = setting(description="the name of a configured provider")
    model: Word = setting(description="the upstream's own name of the model")
    name: ModelName | None = setting(default=None, description="its id in place of `provider/model`")
    weight: Count = setting(default=1, ge=1, description="its share, relative to the others")
    priority: Count = setting(
        default=0, ge=0, description="0 goes first; higher ones take what those before cannot"
    )
    max_in_flight: Count | None = setting(
        default=None,
        ge=1,
        description="attempts at the same time; without it any",
        json_schema_extra={"unit": "attempts"},
    )
    limits: LimitsConfig | None = setting(default=None, description="its own rate limits")
    shared_limits: list[str] = setting(
        default_factory=list, description="names under the general `limits` that it counts against"
    )
    price: Price | None = setting(default=None, description="what it costs, in place of what `prices` know")
    context_window: Count | None = setting(
        default=None,
        ge=1,
        description="how long question and answer may be together; certainly longer ones are not sent there",
        json_schema_extra={"unit": "tokens"},
    )
    defaults: Defaults = setting(default_factory=dict, description="options of calls that do not say them")
    forced: Forced = setting(
        default_factory=dict, description="options that hold whatever a call says; they win over the model's"
    )
    system: SystemPromptConfig | None = setting(
        default=None, description="text around the system prompt, outside of that of the model"
    )
    options: UnshownOptions = setting(default_factory=dict, description="what only this provider type knows")
    timeouts: AttemptTimeoutSettings = setting(
        default=AttemptTimeoutSettings.model_construct(),
        description="in place of those of model and provider",
    )
    circuit_breaker: BreakerSettings | None = setting(
        default=None, description="in place of that of the model, key by key", json_schema_extra=_AS_GENERAL
    )
    overload: OverloadSettings | None = setting(
        default=None, description="in place of that of the model, key by key", json_schema_extra=_AS_GENERAL
    )
    refusal: RefusalSettings | None = setting(
        default=None,
        description="in place of that of the model, key by key; a wrong credential goes by the general one",
        json_schema_extra=_AS_GENERAL,
    )
    labels: LabelMap = setting(
        default_factory=dict, description="what rules can require: `{local: true, region: eu}`"
    )

    @classmethod
    def from_other(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return value
        if isinstance(value, str):
            provider, slash, model = value.partition("/")
            if provider and slash and model:
                return {"provider": provider, "model": model}
        raise WrongValue(
            codes.DEPLOYMENT_FORM, "expected 'provider/upstream-model', such as 'gpu1/llama3.2', or a mapping"
        )

    @property
    def id(self) -> str:
        """Its name, or `provider/upstream-model`."""
        return self.name or f"{self.provider}/{self.model}"

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return or_text(super().__get_pydantic_json_schema__(core, handler), pattern="^[^/]+/.+$")


class FallbackConfig(Section):
    """A model to try next, and after what. Its name alone is short for `{to: name}`."""

    to: str = setting(description="the model")
    on: list[Literal["content_filtered", "context_window", "unavailable"]] = setting(
        default=["context_window", "unavailable"],
        min_length=1,
        description="what it follows; without it too long a prompt and all failures, but no content policy",
    )

    @classmethod
    def from_other(cls, value: object) -> object:
        return {"to": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return or_text(super().__get_pydantic_json_schema__(core, handler))


class ModelConfig(Section):
    """One public name: the deployments behind it, how to choose among them, and what follows them."""

    strategy: Named | None = setting(
        default=None, description="how to choose, in place of the general `strategy`"
    )
    deployments: list[DeploymentConfig] = setting(
        default_factory=list,
        description="where calls can go, 1 or more: mappings, or `provider/upstream-model`",
    )
    selector: Named | None = setting(
        default=None,
        description="what picks one of the models under `of` for each request: `{type: rules, …}`",
    )
    of: list[ModelName] = setting(
        default_factory=list, description="the models that `selector` can pick, 1 or more"
    )
    default: ModelName | None = setting(
        default=None, description="the one of them that is taken when it fails; without it the first"
    )
    select_within: Duration = setting(default=2.0, gt=0, description="how long it may take to pick")
    guards: list[GuardConfig] = setting(
        default_factory=list,
        description="what stands around its requests, inside the general `guards`, in order",
    )
    fallback: list[FallbackConfig] | None = setting(
        default=None,
        description="models to try next, in this order: names, or `{to: big, on: [content_filtered]}`; "
        "without it the general `fallback`, and `[]` for none",
    )
    defaults: Defaults = setting(default_factory=dict, description="options of calls that do not say them")
    forced: Forced = setting(
        default_factory=dict, description="options that hold whatever a call says: `{temperature: 0}`"
    )
    system: SystemPromptConfig | None = setting(
        default=None, description="text around the system prompt of every request"
    )
    unsupported: Literal["refuse", "drop"] = setting(
        default="refuse",
        description="an option that no deployment can do: `refuse` the request, or `drop` the option",
    )
    timeouts: ModelTimeouts = setting(
        default=ModelTimeouts.model_construct(), description="in place of the general `timeouts`"
    )
    retry: Named | None = setting(
        default=None, description="in place of the general `retry`, for requests that ask for this model"
    )
    circuit_breaker: BreakerSettings | None = setting(
        default=None,
        description="in place of the general one, key by key, for all its deployments",
        json_schema_extra=_AS_GENERAL,
    )
    overload: OverloadSettings | None = setting(
        default=None, description="in place of the general one, key by key", json_schema_extra=_AS_GENERAL
    )
    refusal: RefusalSettings | None = setting(
        default=None,
        description="in place of the general one, key by key; not for a wrong credential, which others share",
        json_schema_extra=_AS_GENERAL,
    )
    require: RuleMap = setting(
        default_factory=dict,
        description="labels that a deployment must carry to get a call, fallbacks too: `{local: true}`",
    )
    mirror: MirrorConfig | None = setting(
        default=None, description="has another model asked what this one was asked, to compare the two"
    )
    capabilities: CapabilityConfig = setting(
        default=CapabilityConfig.model_construct(),
        description="what lists of models say of it, in place of what is known otherwise",
    )

    @property
    def chosen_by_default(self) -> str:
        """Which of the models under `of` is taken when the selector fails."""
        return self.default or self.of[0]
