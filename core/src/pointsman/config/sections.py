"""The sections of a configuration, each checked by itself.

What belongs to a plugin (the settings of a strategy, the further keys of a provider) is kept as it was
written: `Named.settings`, `ProviderConfig.settings`. Nothing here shows or dumps a value that may be secret.
"""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, NoReturn, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from pointsman.errors import InvalidRequest
from pointsman.requests.requirements import as_label, as_rule
from pointsman.units import Duration, Percent, Rate

_MASK = "**********"


# ── kinds of values ──────────────────────────────────────────────────────────────────────────────────


def _no_truth_value(value: object) -> object:
    """`true` is a number to Python, and surely a mistake in a configuration."""
    if isinstance(value, bool):
        raise ValueError("expected a whole number, not true or false")
    return value


def _no_number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    return value


def _speakable(name: str) -> str:
    if not name or name != name.strip() or not name.isprintable():
        raise ValueError("a name must not be empty, begin or end with a space, or hold control characters")
    return name


def _without_slash(name: str) -> str:
    if "/" in _speakable(name):
        raise ValueError("the name of a provider must not contain '/': 'provider/model' is split there")
    return name


def _url(url: str) -> str:
    """An http or https URL without a trailing slash. The message never repeats it: it may hold a password."""
    try:
        parts = urlsplit(url.strip())
        port_is_wrong = parts.port == 0
    except ValueError:
        raise ValueError("expected a URL such as http://127.0.0.1:11434") from None
    if re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?(/[\w./-]*)?", url.strip()):
        raise ValueError("lacks http:// or https:// in front, as in http://127.0.0.1:11434")
    if parts.scheme not in ("http", "https") or not parts.hostname or port_is_wrong:
        raise ValueError(
            "expected a URL that begins with http:// or https://, such as http://127.0.0.1:11434"
        )
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or password; put the credential under api_key or auth")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query (?…) or fragment (#…)")
    if call := re.search(_CALLS, parts.path):
        raise ValueError(f"must end before {call[0]!r}, which each call adds by itself")
    return url.strip().rstrip("/")


_CALLS = r"/((chat/)?completions|embeddings|messages|api/(chat|generate|embed|tags))/?$"
"""The paths of single calls, which people copy out of an example with curl."""


def _proxy(proxy: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(proxy.get_secret_value())
        fits = parts.scheme in ("http", "https", "socks5", "socks5h") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("expected the URL of a proxy, such as http://proxy:3128 or socks5://proxy:1080")
    return proxy


def _not_blank(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("is empty; set the variable it comes from, or leave the key out")
    if variable := re.fullmatch(r"os\.environ/(\w{1,80})", secret.get_secret_value()):
        raise ValueError(f"is LiteLLM's way to name a variable; write ${{{variable[1]}}}")
    return secret


def _headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ValueError("the name of a header is made of letters, digits and dashes")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value.get_secret_value()):
            raise ValueError(f"the header {name} has a line break or another control character in its value")
    return headers


def _labels(labels: object) -> object:
    """YAML's `true` and Python's True are the same label."""
    if not isinstance(labels, Mapping):
        return labels
    return {
        name: as_label(value) if isinstance(value, bool | int | float) else value
        for name, value in labels.items()
    }


def _rule(rule: object) -> object:
    try:
        return as_rule(rule)
    except InvalidRequest as error:
        raise ValueError(error.message) from None


_IN_THE_CALL = ("messages", "model", "prompt", "texts")


def _defaults(defaults: dict[str, Any]) -> dict[str, Any]:
    for name in _IN_THE_CALL:
        if name in defaults:
            raise ValueError(f"{name!r} cannot have a default: every call says it itself")
    return defaults


Count = Annotated[int, Field(le=1_000_000_000), BeforeValidator(_no_truth_value)]
Number = Annotated[float, Field(allow_inf_nan=False, le=1e9), BeforeValidator(_no_number)]
ModelName = Annotated[str, AfterValidator(_speakable)]
ProviderName = Annotated[str, AfterValidator(_without_slash)]
Word = Annotated[str, Field(min_length=1)]
BaseUrl = Annotated[str, AfterValidator(_url)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]
ApiKey = Annotated[SecretStr, AfterValidator(_not_blank)]
Headers = Annotated[dict[str, SecretStr], AfterValidator(_headers)]
LabelMap = Annotated[dict[str, str], BeforeValidator(_labels)]
RuleMap = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_rule)]
Defaults = Annotated[dict[str, Any], AfterValidator(_defaults)]


# ── sections ─────────────────────────────────────────────────────────────────────────────────────────

# Where the default of a field is a section, it is constructed rather than validated: validating it would
# build its schema at import, and the schema of `Config` holds all of that once more.


# In place of `dict` and `list`: pydantic asks every factory for its signature, and that of a built-in class
# is parsed from text, which was a quarter of the time in which the schema of `Config` is built.
def no_entries() -> dict[str, Any]:
    return {}


def no_items() -> list[Any]:
    return []


class _Unpickled:
    """What may hold secrets, which a pickle would write out."""

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a configuration holds secrets and is not pickled; hand on where it came from")


class Section(_Unpickled, BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class _Open(_Unpickled, BaseModel):
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


class AttemptTimeouts(Section):
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


class Timeouts(Section):
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


class BreakerConfig(Section):
    """When a deployment that keeps failing is left alone, and how it comes back."""

    enabled: bool = Field(
        default=True, description="false: failures are counted, and nothing follows from them"
    )
    failure_threshold: Count = Field(
        default=5, ge=1, description="failures in a row that open it", json_schema_extra={"unit": "calls"}
    )
    window: Duration = Field(default=30.0, gt=0, description="the time over which the rates are taken")
    minimum_calls: Count = Field(
        default=20,
        ge=1,
        description="fewer calls in the window make no rate",
        json_schema_extra={"unit": "calls"},
    )
    failure_rate: Percent = Field(default=0.5, gt=0, description="the share of failed calls that opens it")
    slow_rate: Percent = Field(default=0.8, gt=0, description="the share of slow calls that opens it")
    slow_after: Duration = Field(
        default=30.0, gt=0, description="a call is slow when its first content takes longer"
    )
    reset_timeout: Duration = Field(
        default=15.0,
        gt=0,
        description="how long it stays open the first time; doubles each time, plus up to a fifth",
    )
    max_reset_timeout: Duration = Field(
        default_factory=lambda data: max(300.0, data.get("reset_timeout", 0.0)),
        gt=0,
        description="it never stays open longer, apart from that fifth; at least `reset_timeout`",
        json_schema_extra={"default": 300.0},
    )
    half_open_max_calls: Count = Field(
        default=2,
        ge=1,
        description="trial calls at a time while half open",
        json_schema_extra={"unit": "calls"},
    )
    success_threshold: Count = Field(
        default_factory=lambda data: min(2, data.get("half_open_max_calls", 2)),
        ge=1,
        description="trial calls that must succeed to close it; at most `half_open_max_calls`",
        json_schema_extra={"default": 2, "unit": "calls"},
    )
    count_overload: bool = Field(
        default=False, description="an overloaded upstream (429, 503 with a hint) counts too"
    )


class OverloadConfig(Section):
    """For how long a deployment is left alone that is overloaded and does not say when to come back."""

    base: Duration = Field(default=10.0, gt=0, description="the first time; doubles with each in a row")
    max: Duration = Field(
        default_factory=lambda data: max(120.0, data.get("base", 0.0)),
        gt=0,
        description="never longer, apart from a tenth; at least `base`",
        json_schema_extra={"default": 120.0},
    )


class RefusalConfig(Section):
    """For how long a deployment is left alone that refuses us: the key, the account or the model is wrong."""

    base: Duration = Field(default=60.0, gt=0, description="the first time; doubles with each in a row")
    max: Duration = Field(
        default_factory=lambda data: max(600.0, data.get("base", 0.0)),
        gt=0,
        description="never longer, apart from a tenth; at least `base`",
        json_schema_extra={"default": 600.0},
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


class QueueConfig(Section):
    """Where callers wait when only room is lacking: in turn by fairness key, by priority, never for long."""

    length: Count = Field(default=1000, ge=1, description="callers that may wait for one model")
    wait: Duration = Field(default=5.0, gt=0, description="nobody waits longer; who would is refused at once")
    lowest_share: Percent = Field(
        default=0.1, gt=0, lt=0.5, description="of the turns is kept for each priority below the highest"
    )


class PriceConfig(Section):
    """What a deployment charges, in one currency for all, per 1,000,000 tokens."""

    input: Number = Field(ge=0, description="for the prompt")
    output: Number = Field(ge=0, description="for the answer")
    cached: Number | None = Field(
        default=None,
        ge=0,
        description="for what the upstream had in its cache, which `cheapest` cannot foresee and leaves out",
    )


class HealthConfig(Section):
    """Checks that ask every provider, free of charge, whether it is well; there are none without this."""

    interval: Duration = Field(default=15.0, ge=0.01, description="between checks, a fifth more or less")
    timeout: Duration = Field(default=5.0, gt=0, description="a check that takes longer has failed")
    rise: Count = Field(default=2, ge=1, description="checks in a row that must pass to end an illness")
    fall: Count = Field(default=3, ge=1, description="checks in a row that must fail to begin one")


class OutlierConfig(Section):
    """Deployments that fail again and again are left out for a while; there is none of it without this."""

    failure_threshold: Count = Field(default=5, ge=1, description="failures in a row that eject")
    base_ejection: Duration = Field(default=30.0, gt=0, description="the first time; longer each time")
    max_ejection: Duration = Field(
        default_factory=lambda data: max(300.0, data.get("base_ejection", 0.0)),
        gt=0,
        description="it is never out longer, plus a tenth; at least `base_ejection`",
        json_schema_extra={"default": 300.0},
    )
    interval: Duration = Field(default=10.0, gt=0, description="in health: the next ejection is shorter")
    max_ejected: Percent = Field(default=0.5, gt=0, description="of a level at most, and never the last")


class WarmUpConfig(Section):
    """How a deployment that comes back takes on load, so that it is not buried at once."""

    window: Duration = Field(default=30.0, gt=0, description="until it takes as much as the others")
    minimum: Percent = Field(default=0.1, gt=0, description="the share that it begins with")
    aggression: Number = Field(default=1.0, gt=0, description="1: evenly; more: faster at the beginning")


class AdaptiveConfig(Section):
    """Finds out how many calls a deployment bears, below its `max_in_flight`; off without this."""

    decrease: Percent = Field(default=0.9, gt=0, lt=1, description="the limit after an overload, as a share")
    increase: Number = Field(default=1.0, gt=0, description="added for each window without one")
    pace: Duration = Field(default=1.0, gt=0, description="the window until the first tokens tell a better")


class HedgingConfig(Section):
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
    auth: Named | None = Field(
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
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the usual"
    )
    client_cert: FilePath | None = Field(
        default=None, description="PEM file of our certificate, for upstreams that ask"
    )
    client_key: FilePath | None = Field(
        default=None, description="PEM file of its key; without it in `client_cert`"
    )
    http2: bool = Field(default=False, description="offer HTTP/2")
    trust_env: bool = Field(
        default=False, description="heed HTTP_PROXY, NO_PROXY, SSL_CERT_FILE and their like"
    )
    keepalive: Duration = Field(default=15.0, description="an idle connection is not used again after this")
    limits: LimitsConfig | None = Field(
        default=None, description="for all its deployments together: the limits of the account"
    )
    shared_limits: list[str] = Field(
        default_factory=no_items, description="names under the general `limits` that it counts against"
    )
    headers: Headers = Field(default_factory=no_entries, description="more headers for every call")
    health: HealthConfig | Literal[False] | None = Field(
        default=None,
        description="in place of the general `health`, key by key; false: it is not checked",
        json_schema_extra={"as_general": True},
    )
    timeouts: AttemptTimeouts = Field(
        default=AttemptTimeouts.model_construct(), description="in place of the general `timeouts`"
    )

    @field_validator("auth")
    @classmethod
    def _one_credential(cls, value: Named | None, info: ValidationInfo) -> Named | None:
        if value is not None and info.data.get("api_key") is not None:
            raise ValueError("stands beside api_key; keep one of them")
        return value

    @field_validator("client_key")
    @classmethod
    def _key_of_a_certificate(cls, value: FilePath | None, info: ValidationInfo) -> FilePath | None:
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
    limits: LimitsConfig | None = Field(default=None, description="its own rate limits")
    shared_limits: list[str] = Field(
        default_factory=no_items, description="names under the general `limits` that it counts against"
    )
    price: PriceConfig | None = Field(default=None, description="for the strategy `cheapest`")
    defaults: Defaults = Field(
        default_factory=no_entries, description="options of calls that do not say them"
    )
    options: dict[str, Any] = Field(
        default_factory=no_entries, description="what only this provider type knows"
    )
    timeouts: AttemptTimeouts = Field(
        default=AttemptTimeouts.model_construct(), description="in place of those of model and provider"
    )
    circuit_breaker: BreakerConfig | None = Field(
        default=None, description="in place of that of the model, key by key", json_schema_extra=_AS_GENERAL
    )
    overload: OverloadConfig | None = Field(
        default=None, description="in place of that of the model, key by key", json_schema_extra=_AS_GENERAL
    )
    refusal: RefusalConfig | None = Field(
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

    strategy: Named | None = Field(
        default=None, description="how to choose, in place of the general `strategy`"
    )
    deployments: list[DeploymentConfig] = Field(
        default_factory=no_items,
        description="where calls can go, 1 or more: mappings, or `provider/upstream-model`",
    )
    fallback: list[FallbackConfig] = Field(
        default_factory=no_items,
        description="models to try next, in this order: names, or `{to: big, on: [content_filtered]}`",
    )
    defaults: Defaults = Field(
        default_factory=no_entries, description="options of calls that do not say them"
    )
    timeouts: ModelTimeouts = Field(
        default=ModelTimeouts.model_construct(), description="in place of the general `timeouts`"
    )
    retry: Named | None = Field(
        default=None, description="in place of the general `retry`, for requests that ask for this model"
    )
    circuit_breaker: BreakerConfig | None = Field(
        default=None,
        description="in place of the general one, key by key, for all its deployments",
        json_schema_extra=_AS_GENERAL,
    )
    overload: OverloadConfig | None = Field(
        default=None, description="in place of the general one, key by key", json_schema_extra=_AS_GENERAL
    )
    refusal: RefusalConfig | None = Field(
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
