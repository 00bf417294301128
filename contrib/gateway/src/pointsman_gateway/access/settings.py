"""`access`: who may ask, for what, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, WithJsonSchema

from pointsman._internal.settings import Section, setting
from pointsman.plugin import Rate

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "HS256", "HS384", "HS512",
]  # fmt: skip
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
_LEAST_KEY = 16
_ALL = "*"
_CLAIM = "claim:"
_MODELS: dict[str, Any] = {
    "anyOf": [{"const": _ALL}, {"type": "array", "items": {"type": "string"}}],
    "description": "public names, or `*` for all",
}


def _names(value: object) -> object:
    """`*` is all, as None; a list is its names."""
    if value is None or value == _ALL:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
        raise ValueError("expected a list of public names of models, or '*' for all")
    if _ALL in value:
        raise ValueError("'*' stands alone, for all models: models: '*'")
    if any(_ALL in each for each in value):
        raise ValueError("a list has no patterns: it allows the names in it, letter by letter")
    return tuple(value)


def _names_or_claim(value: object) -> object:
    if isinstance(value, str) and value.startswith(_CLAIM) and len(value) > len(_CLAIM):
        return value
    return _names(value)


def _written_name(name: str) -> str:
    if not name or name != name.strip() or not name.isprintable() or len(name) > 200:
        raise ValueError("a name has 1 to 200 visible characters, without spaces around it")
    return name


def _long_enough(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if len(value) < _LEAST_KEY:
        raise ValueError(
            f"has {len(value)} characters, and a key has {_LEAST_KEY} at least, so that nobody guesses it;"
            " make one with: openssl rand -hex 32"
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("holds what cannot stand in a header; make one with: openssl rand -hex 32")
    return secret


def _safe_url(url: str) -> str:
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise ValueError("expected an https:// URL: whoever can change a key set lets in whom they like")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("must not have a user or a fragment")
    return url


CallerName = Annotated[str, AfterValidator(_written_name)]
Names = Annotated[tuple[str, ...] | None, BeforeValidator(_names), WithJsonSchema(_MODELS)]
NamesOrClaim = Annotated[
    str | tuple[str, ...] | None, BeforeValidator(_names_or_claim), WithJsonSchema(_MODELS)
]
CallerKey = Annotated[SecretStr, AfterValidator(_long_enough)]
KeySetUrl = Annotated[str, AfterValidator(_safe_url)]


class CallerLimits(Section):
    """How much one caller may ask for; what is above is refused with a time, not queued."""

    requests: Rate | None = setting(default=None, description="requests of models, such as `60/min`")
    tokens: Rate | None = setting(
        default=None, description="tokens, prompt and answer, counted when they were used: `200000/min`"
    )
    burst_requests: int | None = setting(
        default=None, ge=1, le=1_000_000_000, description="at once after a rest; without it the rate's count"
    )
    burst_tokens: int | None = setting(
        default=None, ge=1, le=1_000_000_000, description="at once after a rest; without it the rate's count"
    )

    def check(self, _context: Any) -> None:
        if self.requests is None and self.tokens is None:
            raise ValueError("says neither requests nor tokens")


class KeySettings(Section):
    """One key: `{name: ci, key: "${CI_KEY}", models: [assistant]}`."""

    name: CallerName = setting(description="whose it is; what records, limits and fairness go by")
    key: CallerKey = setting(description="the key itself, 16 characters or more; use `${VAR}`")
    models: Names = setting(default=None, description="what may be asked for; without it all")
    limits: CallerLimits | None = setting(default=None, description="how much; without it any")
    labels: Mapping[str, str] = setting(default={}, description="what records say of its calls: `{team: qa}`")
    operator: bool = setting(default=False, description="it may run the router, too")


class OperatorClaim(Section):
    """Which tokens make an operator: `{claim: roles, has: admin}`."""

    claim: str = setting(min_length=1, description="the claim: a list of texts, or texts separated by blanks")
    has: str = setting(min_length=1, description="what has to be among them")


class JwtSettings(Section):
    """Tokens of one issuer. The algorithms are those named here, whatever a token says of itself."""

    issuer: str = setting(min_length=1, description="`iss` of its tokens, letter by letter")
    audience: str = setting(min_length=1, description="what `aud` has to name: this gateway")
    jwks: KeySetUrl | None = setting(default=None, description="https URL of the issuer's key set")
    key_file: Path | None = setting(
        default=None, description="PEM file of its public key, in place of `jwks`"
    )
    secret: SecretStr | None = setting(default=None, description="shared with it, for HS256 and its like")
    algorithms: list[Algorithm] = setting(min_length=1, description="what it signs with: `[RS256]`")
    caller: str = setting(default="sub", min_length=1, description="the claim that names the caller")
    models: NamesOrClaim = setting(
        default=None, description="public names, `claim:name` for what a claim lists; without it all"
    )
    operator: OperatorClaim | None = setting(
        default=None, description="who may run the router; without it none"
    )
    limits: CallerLimits | None = setting(default=None, description="for each of its callers; without it any")
    labels: Mapping[str, str] = setting(default={}, description="what records say of its callers' calls")
    not_before: Literal["required", "optional"] = setting(
        default="required", description="whether a token must have `nbf`; some issuers never set it"
    )

    def check(self, _context: Any) -> None:
        said = [name for name in ("jwks", "key_file", "secret") if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(
                f"needs one of jwks, key_file and secret, and has {' and '.join(said) or 'none'}"
            )
        shared = {each.startswith("HS") for each in self.algorithms}
        if len(shared) > 1:
            # Else its public key could be taken for a shared secret.
            raise ValueError("algorithms has HS* beside others; one issuer signs in one way")
        if shared != {self.secret is not None}:
            raise ValueError("a secret goes with HS256, HS384, HS512, and jwks or key_file with the others")
        if self.secret is not None:
            self._check_secret(self.secret.get_secret_value())

    def _check_secret(self, secret: str) -> None:
        least = max(int(each[2:]) // 8 for each in self.algorithms)
        if len(secret.encode()) < least:
            raise ValueError(f"secret has {len(secret.encode())} bytes, and needs {least} for its algorithm")


class AnonymousSettings(Section):
    """What those may do who bring no key."""

    models: Names = setting(description="what may be asked for, or `*` for all")
    limits: CallerLimits | None = setting(
        default=None, description="for each address from which they come; without it any"
    )
    labels: Mapping[str, str] = setting(default={}, description="what records say of their calls")


def _different(keys: list[KeySettings], _others: Mapping[str, Any]) -> list[KeySettings]:
    for kind, seen in (
        ("name", [each.name for each in keys]),
        ("key", [each.key.get_secret_value() for each in keys]),
    ):
        for at, value in enumerate(seen):
            if value in seen[:at]:
                first, second = keys[seen.index(value)].name, keys[at].name
                raise ValueError(f"two have the same {kind}: {first!r} and {second!r}")
    return keys


def _one_for_each_audience(issuers: list[JwtSettings], _others: Mapping[str, Any]) -> list[JwtSettings]:
    seen = [(each.issuer, each.audience) for each in issuers]
    if len(set(seen)) < len(seen):
        raise ValueError("two entries have the same issuer and audience")
    return issuers


class AccessSettings(Section):
    """Who may ask. Without it, whoever is on this machine, and the gateway listens nowhere else."""

    checks: ClassVar = {"keys": _different, "jwt": _one_for_each_audience}

    keys: list[KeySettings] = setting(default=[], description="keys that stand here")
    jwt: list[JwtSettings] = setting(default=[], description="issuers of tokens")
    anonymous: AnonymousSettings | None = setting(
        default=None, description="what those may do who bring no key; without it nothing, but on loopback"
    )
    loopback: bool = setting(
        default=True, description="whether no key is needed from this machine; not behind a proxy anyhow"
    )

    @property
    def lets_somebody_in(self) -> bool:
        """Whether anybody from elsewhere could be answered at all."""
        return bool(self.keys or self.jwt or self.anonymous is not None)
