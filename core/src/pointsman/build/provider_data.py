"""Provider types that are data: what a `provider.yaml` says, as a factory of the type that it is like."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from msgspec.structs import replace
from pydantic import AfterValidator, BaseModel, Field, ValidationError, create_model, model_validator

from pointsman import errors
from pointsman._internal.settings import Count, Section, setting
from pointsman._internal.suggest import did_you_mean
from pointsman.config import codes
from pointsman.config.document import Document
from pointsman.config.findings import Finding, findings, kind
from pointsman.config.kinds import BaseUrl, Headers, Word
from pointsman.config.problems import KeyPath, config_error
from pointsman.config.readers.files import parse
from pointsman.config.secret_values import secrets_in
from pointsman.errors import CallError, ConfigError, PluginError
from pointsman.http.client import Endpoint
from pointsman.plugins.data_files import DataFile
from pointsman.provider import Provider, ProviderContext, ProviderFactory
from pointsman.types import ModelInfo
from pointsman.wire.error_patterns import ErrorPattern

_MEANINGS: Mapping[str, type[CallError]] = {
    each.code: each
    for each in (
        errors.AuthenticationFailed,
        errors.BadResponse,
        errors.ContentFiltered,
        errors.ContextWindowExceeded,
        errors.InvalidRequest,
        errors.ModelNotFound,
        errors.Overloaded,
        errors.PermissionDenied,
        errors.QuotaExhausted,
        errors.RateLimited,
        errors.Unavailable,
        errors.Unsupported,
    )
}
"""What an upstream's error can mean, by the code that errors of ours have."""


def _meaning(code: str) -> str:
    if code not in _MEANINGS:
        raise ValueError(f"there is no error {code!r:.50}; {did_you_mean(code, _MEANINGS, what='there are')}")
    return code


def _header(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError("the name of a header is made of letters, digits and dashes")
    return name


def _of_credential(name: str) -> str:
    if _header(name).lower() in _NOT_FREE:
        raise ValueError(f"the header {name} has a meaning of its own in every request")
    return name


def _printable(prefix: str) -> str:
    if not (prefix.isascii() and prefix.isprintable()):
        raise ValueError("expected printable ASCII, such as 'Key '")
    return prefix


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("expected the name of an environment variable, such as ACME_API_KEY")
    return name


Meaning = Annotated[str, AfterValidator(_meaning)]
HeaderName = Annotated[str, AfterValidator(_of_credential)]
Prefix = Annotated[str, AfterValidator(_printable)]
Variable = Annotated[str, AfterValidator(_variable)]
Words = Annotated[str, Field(min_length=1, max_length=200)]


class CredentialData(Section):
    """Where the credential goes, and what usually holds it."""

    variable: Variable | None = setting(default=None)
    header: HeaderName | None = setting(default=None)
    prefix: Prefix = setting(default="", max_length=50)
    needed: bool = setting(default=True)

    def check(self, _context: object) -> None:
        if self.prefix and self.header is None:
            raise ValueError("says a prefix and no header for it; name both")


class ErrorData(Section):
    """What one kind of error means."""

    means: Meaning = setting()
    status: Annotated[Count, Field(ge=200, le=599)] | None = setting(default=None)
    code: Words | None = setting(default=None)
    message: Words | None = setting(default=None)

    def check(self, _context: object) -> None:
        if self.status is None and self.code is None and self.message is None:
            raise ValueError("says none of status, code and message, and would fit every error")


class ModelData(Section):
    """A model that is offered; its id alone is short for `{id: …}`."""

    id: Word = setting()
    context_window: Annotated[Count, Field(ge=1)] | None = setting(default=None)
    capabilities: list[Word] = setting(default_factory=list)

    @classmethod
    def from_other(cls, value: object) -> object:
        return {"id": value} if isinstance(value, str) else value


class ProviderData(Section):
    """The whole of a `provider.yaml`."""

    like: Word = setting()
    base_url: BaseUrl | None = setting(default=None)
    base_url_form: BaseUrl | None = setting(default=None)
    credential: CredentialData | None = setting(default=None)
    headers: Headers = setting(default_factory=dict)
    settings: dict[str, Any] = setting(default_factory=dict)
    errors: Annotated[list[ErrorData], Field(max_length=100)] = setting(default_factory=list)
    models: Annotated[list[ModelData], Field(max_length=2000)] = setting(default_factory=list)

    def check(self, _context: object) -> None:
        if self.base_url is not None and self.base_url_form is not None:
            raise ValueError("says a base_url, and what one looks like; keep one of them")


def provider_type(file: DataFile, base: Callable[[str], ProviderFactory]) -> ProviderFactory:
    """The provider type that `file` describes.

    Args:
        base: the provider type of a name; raises PluginError.

    Raises: ConfigError with all that is wrong, each with line and column.
    """
    document = parse(file.content, suffix=".yaml", file=file.shown)
    document.expect_ours()
    data = document.data
    if not isinstance(data, Mapping):
        message = f"expected a mapping, not {kind(data)}"
        raise _error(document, [Finding((), message, "begin with 'like:'", code=codes.NO_MAPPING)])
    found = list(_said_where_it_must_not_be(data))
    said = _read(data, found)
    if said is None:
        raise _error(document, found)
    try:
        like = base(said.like)
    except PluginError as error:
        wrong = Finding(("like",), error.message, code=codes.NO_SUCH_PLUGIN)
        raise _error(document, [*found, wrong]) from error
    settings = _settings_with(file.name, like.settings, said.settings, found)
    if found:
        raise _error(document, found)
    return _factory(file.name, said, like, settings)


def _error(document: Document, found: Sequence[Finding]) -> ConfigError:
    problems = []
    for each in {(each.path, each.message): each for each in found}.values():
        hint = each.hint() if callable(each.hint) else each.hint
        problems.append(document.problem(each.path, each.message, hint, key=each.at_key, code=each.code))
    return config_error(problems, file=document.file)


# ── what it may say ──────────────────────────────────────────────────────────────────────────────────

_SECTIONS: Mapping[str, type[Section]] = {
    "credential": CredentialData,
    "errors": ErrorData,
    "models": ModelData,
}
_KEYS = ("api_key", "apikey", "key", "token", "secret", "password", "auth")
_CARRIES_CREDENTIAL = r"(?:.*[-_])?(?:auth|authorization|cookie|key|token|secret|password)"
"""Names of headers whose values are nobody's to publish."""
_NOT_FREE = ("connection", "content-length", "content-type", "host", "transfer-encoding")
"""Names of headers that are no place for a credential."""
_LIKE_CREDENTIAL = (
    r"(?:bearer|basic|token)\s+\S{8}|(?:sk|pk|rk|key)[-_][\w-]{12}|gh[pousr]_\w{20}|xox[abps]-|AKIA[0-9A-Z]{12}"
    r"|AIza[\w-]{20}|eyJ[\w-]{10,}\.[\w-]{4}|-----BEGIN"
)
"""How credentials begin. Each part is of bounded length or ends at the next blank."""


def _read(data: Mapping[str, Any], found: list[Finding]) -> ProviderData | None:
    try:
        return ProviderData.model_validate(dict(data))
    except ValidationError as error:
        found += [_with_our_hint(each) for each in findings(error, ProviderData)]
        return None


def _with_our_hint(finding: Finding) -> Finding:
    """`finding`, which was made as one of a configuration, with what would help here."""
    path = finding.path
    if not finding.at_key or not finding.message.startswith("unknown key"):
        return Finding(path, finding.message, None, finding.at_key, code=finding.code)
    key = str(path[-1])
    if len(path) == 1 and key.casefold() in _KEYS:
        hint: str | None = "a credential belongs to who uses this; write credential: {variable: ACME_API_KEY}"
    else:
        section = ProviderData if len(path) == 1 else _SECTIONS.get(str(path[0]))
        hint = did_you_mean(key, section.model_fields) if section is not None else None
    return Finding(path, finding.message, hint, at_key=True, code=finding.code)


def _said_where_it_must_not_be(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Credentials, and references that nobody follows."""
    headers = data.get("headers")
    for name in headers if isinstance(headers, Mapping) else ():
        if re.fullmatch(_CARRIES_CREDENTIAL, str(name), re.IGNORECASE):
            hint = f"write credential: {{variable: ACME_API_KEY, header: {name}}}"
            message = "this header carries a credential, which no package holds"
            yield Finding(("headers", name), message, hint, code=codes.CREDENTIAL_IN_DATA)
    for path, text in _texts(data, ()):
        # What stands in `errors` are the upstream's words, and some of them speak of tokens.
        if path[0] != "errors" and re.match(_LIKE_CREDENTIAL, text.strip(), re.IGNORECASE):
            hint = "it belongs into the environment of who uses this, never into a package; withdraw it"
            yield Finding(path, "this looks like a credential", hint, code=codes.CREDENTIAL_IN_DATA)
        elif "${" in text:
            hint = "a configuration can say ${…}; data cannot"
            yield Finding(path, "nothing is filled in here", hint, code=codes.REFERENCE_IN_DATA)


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, (*path, key))
    elif isinstance(value, list):
        for n, each in enumerate(value):
            yield from _texts(each, (*path, n))


# ── what becomes of it ───────────────────────────────────────────────────────────────────────────────


def _settings_with(
    name: str, model: Any, defaults: Mapping[str, Any], found: list[Finding]
) -> type[BaseModel]:
    """`model` with other defaults, each as its own validators have it; what a configuration says wins."""
    if not defaults:
        return model  # type: ignore[no-any-return]
    if not (isinstance(model, type) and issubclass(model, BaseModel)) or not model.model_fields:
        message = "the type that this is like has no settings"
        found.append(Finding(("settings",), message, code=codes.NO_SETTINGS))
        return BaseModel
    try:
        made = model.model_validate(dict(defaults))
    except ValidationError as error:
        wrong = findings(error, model, foreign=True)
        # What must be said and is not here, the configuration says.
        found += [
            replace(each, path=("settings", *each.path)) for each in wrong if each.message != "is missing"
        ]
    else:
        if any(True for _ in secrets_in(made)):
            hint = "a configuration says it"
            secret = Finding(("settings",), "one of these is a secret", hint, code=codes.CREDENTIAL_IN_DATA)
            found.append(secret)

    def with_defaults(cls: Any, value: Any) -> Any:  # noqa: ARG001 - by this name pydantic knows what it is
        return {**defaults, **value} if isinstance(value, Mapping) else value

    validators: dict[str, Any] = {"with_defaults": model_validator(mode="before")(with_defaults)}
    return create_model(f"{model.__name__} of {name}", __base__=model, __validators__=validators)


def _factory(
    name: str, said: ProviderData, like: ProviderFactory, settings: type[BaseModel]
) -> ProviderFactory:
    dress = _Dress(said)

    def make(context: ProviderContext) -> Provider:
        return dress(like.make(context), like.name)

    credential = said.credential
    elsewhere = said.base_url is not None or said.base_url_form is not None
    return replace(
        like,
        name=name,
        settings=settings,
        make=make,
        default_base_url=said.base_url if elsewhere else like.default_base_url,
        base_url_form=said.base_url_form if elsewhere else like.base_url_form,
        presets=None,
        # At another address the key of the type that it is like is none.
        needs_key=credential.needed if credential else like.needs_key and not elsewhere,
        key_variable=credential.variable if credential else None if elsewhere else like.key_variable,
        models=[
            ModelInfo(each.id, context_window=each.context_window, capabilities=tuple(each.capabilities))
            for each in said.models
        ]
        or like.models,
    )


class _Dress:
    """Has the calls of a provider go out, and its errors read, as the data say."""

    def __init__(self, said: ProviderData) -> None:
        self._headers = {name: value.reveal() for name, value in said.headers.items()}
        credential = said.credential
        self._authorize = None
        if credential is not None and credential.header is not None:
            self._authorize = _Credential(credential.header, credential.prefix)
        self._patterns = [
            ErrorPattern(_MEANINGS[each.means], each.status, each.code or "", each.message or "")
            for each in said.errors
        ]

    def __call__(self, provider: Provider, like: str) -> Provider:
        """`provider`, changed. Raises ConfigError when its calls do not go over HTTP."""
        if not (self._headers or self._authorize or self._patterns):
            return provider
        endpoint = getattr(provider, "endpoint", None)
        if not isinstance(endpoint, Endpoint):
            raise ConfigError(
                f"providers of type {like!r} have no endpoint for headers, credential or errors"
            )
        provider.endpoint = replace(
            endpoint,
            headers={**endpoint.headers, **self._headers},
            authorize=self._authorize or endpoint.authorize,
            patterns=[*self._patterns, *endpoint.patterns],
        )
        return provider


class _Credential:
    """The credential in a header of its own."""

    __slots__ = ("_header", "_prefix")

    def __init__(self, header: str, prefix: str) -> None:
        self._header = header
        self._prefix = prefix

    def __call__(self, secret: str) -> Mapping[str, str]:
        return {self._header: f"{self._prefix}{secret}"}
