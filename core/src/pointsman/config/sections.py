"""The sections of a configuration, each checked by itself.

What belongs to a plugin (the settings of a strategy, the further keys of a provider) is kept as it was
written: `Named.settings`, `ProviderConfig.settings`. Nothing here shows or dumps a value that may be secret.
"""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from pointsman._internal.settings import Count, Rare, Section, Unpickled, no_entries, no_items
from pointsman.config.kinds import (
    ApiKey,
    BaseUrl,
    Defaults,
    Headers,
    LabelMap,
    ModelName,
    ProxyUrl,
    RuleMap,
    Word,
)
from pointsman.resilience.circuit_breaker import BreakerSettings
from pointsman.resilience.cool_down import OverloadSettings, RefusalSettings
from pointsman.resilience.health_check import CheckSettings
from pointsman.strategy import Price
from pointsman.units import Duration, Percent, Rate

_MASK = "**********"


# Where the default of a field is a section, it is constructed rather than validated: validating it would
# build its schema at import, and the schema of `Config` holds all of that once more.


class _Open(Unpickled, BaseModel):
    """A mapping that also takes keys of a plugin.

    Which of those are secret only the plugin knows, so none is shown or dumped.
    """

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, defer_build=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The keys that belong to the plugin, as they were written."""
        return dict(self.__pydantic_extra__ or {})

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        plugin_keys = self.__pydantic_extra__ or {}
        for name, value in super().__repr_args__():
            yield name, _MASK if name in plugin_keys else value

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # What `model_serializer` would do, whose module takes 2 ms to import.
        serialization = core_schema.wrap_serializer_function_ser_schema(_masked)
        return {**handler(source), "serialization": serialization}


def _masked(model: _Open, dump: core_schema.SerializerFunctionWrapHandler) -> dict[str, Any]:
    """`model` as `dump` writes it, without what the keys of a plugin hold."""
    dumped: dict[str, Any] = dump(model)
    return {name: _MASK if name in model.settings else value for name, value in dumped.items()}


class Named(_Open):
    """Something that a plugin offers, by name, with the plugin's own settings: `{type: jsonl, path: x}`.

    The name alone is short for `{type: name}`.
    """

    type: Word = Field(description="the name that the plugin offers")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"type": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_text(handler.resolve_ref_schema(handler(core)))


class AttemptTimeoutSettings(Section):
    """How long the parts of one attempt may take, where that differs from `timeouts`."""

    connect: Duration | None = Field(default=None, gt=0, description="until the connection stands")
    first_token: Duration | None = Field(
        default=None, gt=0, description="of a stream, until its first content, where it could go elsewhere"
    )
    idle: Duration | None = Field(
        default=None, gt=0, description="of a stream, between two pieces of content"
    )
    attempt: Duration | None = Field(default=None, gt=0, description="one attempt as a whole")


class ModelTimeouts(Section):
    """How long calls of one model may take, where that differs from `timeouts`."""

    first_token: Duration | None = Field(
        default=None, gt=0, description="of a stream, until its first content, where it could go elsewhere"
    )
    idle: Duration | None = Field(
        default=None, gt=0, description="of a stream, between two pieces of content"
    )
    total: Duration | None = Field(default=None, gt=0, description="the request, with all attempts and waits")
    attempt: Duration | None = Field(default=None, gt=0, description="one attempt as a whole")


class TimeoutSettings(Section):
    """How long calls may take, unless something more specific says otherwise."""

    connect: Duration = Field(default=5.0, gt=0, description="until the connection stands")
    first_token: Duration = Field(
        default=60.0, gt=0, description="of a stream, until its first content, where it could go elsewhere"
    )
    idle: Duration = Field(default=60.0, gt=0, description="of a stream, between two pieces of content")
    total: Duration = Field(default=600.0, gt=0, description="the request, with all attempts and waits")
    attempt: Duration | None = Field(
        default=None, gt=0, description="one attempt as a whole; without it only `total` bounds an attempt"
    )
    drain: Duration = Field(
        default=30.0, ge=0, description="for calls that run when a deployment or the router is drained"
    )


class LimitsConfig(Section):
    """How much may be asked for; what is above waits in the queue. At least one of the two."""

    requests: Rate | None = Field(default=None, description="requests, such as `500/min`")
    tokens: Rate | None = Field(default=None, description="tokens, prompt and answer: `200000/min`")
    burst_requests: Count | None = Field(
        default=None, ge=1, description="at once after a rest; without it the rate's count"
    )
    burst_tokens: Count | None = Field(
        default=None, ge=1, description="at once after a rest; without it the rate's count"
    )
    oversize: Literal["refuse", "full"] = Field(
        default="refuse", description="a request above the burst: `refuse` it, or wait for a `full` bucket"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.requests is None and self.tokens is None:
            raise ValueError("says neither requests nor tokens")
        return self


class HedgeSettings(Section):
    """A second attempt beside one that is late with its first token; the first content wins."""

    quantile: Percent = Field(
        default=0.95, gt=0, lt=1, description="late: so many of the last 5 minutes were sooner"
    )
    floor: Duration = Field(default=1.0, description="and never sooner than this")
    budget: Percent = Field(
        default=0.05, ge=0.001, le=1, description="second attempts for each stream, at most"
    )
    minimum_samples: Count = Field(default=20, ge=1, description="with fewer first tokens nothing is late")


class ProviderConfig(_Open):
    """One upstream: where it is, how to authenticate, how to connect; other keys belong to its type."""

    type: Word = Field(description="the provider type, such as `ollama` or `openai`: a plugin offers it")
    base_url: BaseUrl | None = Field(
        default=None, description="where the API is; without it the type's usual place"
    )
    api_key: ApiKey | None = Field(
        default=None, description="the credential, as `${OPENAI_API_KEY}`; or use `auth`"
    )
    auth: Rare[Named] | None = Field(
        default=None, description="where the credential comes from: `{type: env, name: …}`"
    )
    models: list[ModelName] = Field(
        default_factory=no_items,
        description="upstream models to offer under their own names; a name that several list is one pool",
    )
    labels: LabelMap = Field(
        default_factory=no_entries, description="what rules can require: `{local: true, region: eu}`"
    )
    transport: Word | None = Field(default=None, description="in place of the general `transport`")
    proxy: ProxyUrl | None = Field(default=None, description="URL of a proxy, credentials included")
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the usual"
    )
    client_cert: Path | None = Field(
        default=None, description="PEM file of our certificate, for upstreams that ask"
    )
    client_key: Path | None = Field(
        default=None, description="PEM file of its key; without it in `client_cert`"
    )
    http2: bool = Field(default=False, description="offer HTTP/2")
    trust_env: bool = Field(
        default=False, description="heed HTTP_PROXY, NO_PROXY, SSL_CERT_FILE and their like"
    )
    keepalive: Duration = Field(default=15.0, description="an idle connection is not used again after this")
    limits: Rare[LimitsConfig] | None = Field(
        default=None, description="for all its deployments together: the limits of the account"
    )
    shared_limits: list[str] = Field(
        default_factory=no_items, description="names under the general `limits` that it counts against"
    )
    headers: Headers = Field(default_factory=no_entries, description="more headers for every call")
    health: CheckSettings | Literal[False] | None = Field(
        default=None,
        description="in place of the general `health`, key by key; false: it is not checked",
        json_schema_extra={"as_general": True},
    )
    timeouts: Rare[AttemptTimeoutSettings] = Field(
        default=AttemptTimeoutSettings.model_construct(), description="in place of the general `timeouts`"
    )

    @field_validator("auth")
    @classmethod
    def _one_credential(cls, value: Named | None, info: ValidationInfo) -> Named | None:
        if value is not None and info.data.get("api_key") is not None:
            raise ValueError("stands beside api_key; keep one of them")
        return value

    @field_validator("client_key")
    @classmethod
    def _key_of_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("client_cert", value) is None:
            raise ValueError("needs client_cert beside it")
        return value

    @property
    def credential(self) -> Named | None:
        """Where the credential comes from; `api_key` is short for `{type: static, value: …}`."""
        if self.api_key is not None:
            return Named.model_validate({"type": "static", "value": self.api_key})
        return self.auth


_AS_GENERAL: dict[str, Any] = {"as_general": True}
"""A section whose keys stand in the table of settings once, under the general section of that name."""


class DeploymentConfig(Section):
    """One upstream model at one provider. `provider/upstream-model` is short for the mapping."""

    provider: Word = Field(description="the name of a configured provider")
    model: Word = Field(description="the upstream's own name of the model")
    name: ModelName | None = Field(default=None, description="its id in place of `provider/model`")
    weight: Count = Field(default=1, ge=1, description="its share, relative to the others")
    priority: Count = Field(
        default=0, ge=0, description="0 goes first; higher ones take what those before cannot"
    )
    max_in_flight: Count | None = Field(
        default=None,
        ge=1,
        description="attempts at the same time; without it any",
        json_schema_extra={"unit": "attempts"},
    )
    limits: Rare[LimitsConfig] | None = Field(default=None, description="its own rate limits")
    shared_limits: list[str] = Field(
        default_factory=no_items, description="names under the general `limits` that it counts against"
    )
    price: Rare[Price] | None = Field(default=None, description="for the strategy `cheapest`")
    defaults: Defaults = Field(
        default_factory=no_entries, description="options of calls that do not say them"
    )
    options: dict[str, Any] = Field(
        default_factory=no_entries, description="what only this provider type knows"
    )
    timeouts: Rare[AttemptTimeoutSettings] = Field(
        default=AttemptTimeoutSettings.model_construct(),
        description="in place of those of model and provider",
    )
    circuit_breaker: Rare[BreakerSettings] | None = Field(
        default=None, description="in place of that of the model, key by key", json_schema_extra=_AS_GENERAL
    )
    overload: Rare[OverloadSettings] | None = Field(
        default=None, description="in place of that of the model, key by key", json_schema_extra=_AS_GENERAL
    )
    refusal: Rare[RefusalSettings] | None = Field(
        default=None,
        description="in place of that of the model, key by key; a wrong credential goes by the general one",
        json_schema_extra=_AS_GENERAL,
    )
    labels: LabelMap = Field(
        default_factory=no_entries, description="what rules can require: `{local: true, region: eu}`"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: object) -> object:
        if isinstance(value, Mapping | DeploymentConfig):
            return value
        if isinstance(value, str):
            provider, slash, model = value.partition("/")
            if provider and slash and model:
                return {"provider": provider, "model": model}
        raise ValueError("expected 'provider/upstream-model', such as 'gpu1/llama3.2', or a mapping")

    @property
    def id(self) -> str:
        """Its name, or `provider/upstream-model`."""
        return self.name or f"{self.provider}/{self.model}"

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_text(handler.resolve_ref_schema(handler(core)), pattern="^[^/]+/.+$")


class FallbackConfig(Section):
    """A model to try next, and after what. Its name alone is short for `{to: name}`."""

    to: str = Field(description="the model")
    on: list[Literal["content_filtered", "context_window", "unavailable"]] = Field(
        default=["context_window", "unavailable"],
        min_length=1,
        description="what it follows; without it too long a prompt and all failures, but no content policy",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"to": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_text(handler.resolve_ref_schema(handler(core)))


class ModelConfig(Section):
    """One public name: the deployments behind it, how to choose among them, and what follows them."""

    strategy: Rare[Named] | None = Field(
        default=None, description="how to choose, in place of the general `strategy`"
    )
    deployments: list[DeploymentConfig] = Field(
        default_factory=no_items,
        description="where calls can go, 1 or more: mappings, or `provider/upstream-model`",
    )
    fallback: list[Rare[FallbackConfig]] = Field(
        default_factory=no_items,
        description="models to try next, in this order: names, or `{to: big, on: [content_filtered]}`",
    )
    defaults: Defaults = Field(
        default_factory=no_entries, description="options of calls that do not say them"
    )
    timeouts: Rare[ModelTimeouts] = Field(
        default=ModelTimeouts.model_construct(), description="in place of the general `timeouts`"
    )
    retry: Rare[Named] | None = Field(
        default=None, description="in place of the general `retry`, for requests that ask for this model"
    )
    circuit_breaker: Rare[BreakerSettings] | None = Field(
        default=None,
        description="in place of the general one, key by key, for all its deployments",
        json_schema_extra=_AS_GENERAL,
    )
    overload: Rare[OverloadSettings] | None = Field(
        default=None, description="in place of the general one, key by key", json_schema_extra=_AS_GENERAL
    )
    refusal: Rare[RefusalSettings] | None = Field(
        default=None,
        description="in place of the general one, key by key; not for a wrong credential, which others share",
        json_schema_extra=_AS_GENERAL,
    )
    require: RuleMap = Field(
        default_factory=no_entries,
        description="labels that a deployment must carry to get a call, fallbacks too: `{local: true}`",
    )


def _or_text(schema: dict[str, Any], **text: Any) -> dict[str, Any]:
    described: dict[str, Any] = {key: schema.pop(key) for key in ("title", "description") if key in schema}
    return {**described, "anyOf": [{"type": "string", **text}, schema]}
