"""`access`: who may ask, for what, and how often."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from pointsman._internal.settings import Section, setting
from pointsman.config.kinds import RuleMap
from pointsman.plugin import Rate, Secret

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
_SURFACES: dict[str, Any] = {
    "anyOf": [{"const": _ALL}, {"type": "array", "items": {"type": "string"}}],
    "description": "names of surfaces, or `*` for all",
}
_MODELS_OR_CLAIM: dict[str, Any] = {
    "anyOf": [{"type": "string", "pattern": rf"^{_CLAIM}."}, *_MODELS["anyOf"]],
    "description": _MODELS["description"],
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


def _surfaces(value: object) -> object:
    if value is None or value == _ALL:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
        raise ValueError("expected a list of names of surfaces, such as [openai], or '*' for all")
    return tuple(value)


def _written_name(name: str) -> str:
    if not name or name != name.strip() or not name.isprintable() or len(name) > 200:
        raise ValueError("a name has 1 to 200 visible characters, without spaces around it")
    return name


def _key_id(text: str) -> str:
    if not 1 <= len(text) <= 200 or not text.isascii() or not text.isprintable():
        raise ValueError("the id of a key has 1 to 200 visible ASCII characters")
    return text


def _long_enough(secret: Secret) -> Secret:
    value = secret.reveal()
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
SurfaceNames = Annotated[tuple[str, ...] | None, BeforeValidator(_surfaces), WithJsonSchema(_SURFACES)]
NamesOrClaim = Annotated[
    str | tuple[str, ...] | None, BeforeValidator(_names_or_claim), WithJsonSchema(_MODELS_OR_CLAIM)
]
CallerKey = Annotated[Secret, AfterValidator(_long_enough)]
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


class CallerSettings(Section):
    """One caller, and what it may do, however it is known."""

    name: CallerName = setting(description="whose it is; what records, limits and fairness go by")
    models: Names = setting(default=None, description="what may be asked for; without it all")
    limits: CallerLimits | None = setting(default=None, description="how much; without it any")
    labels: Mapping[str, str] = setting(default={}, description="what records say of its calls: `{team: qa}`")
    operator: bool = setting(default=False, description="it may run the router, too")
    require: RuleMap = setting(
        default={}, description="labels that each of its calls must meet: `{region: eu}`"
    )
    surfaces: SurfaceNames = setting(default=None, description="the APIs that it may speak; without it all")


class KeySettings(CallerSettings):
    """One key: `{name: ci, key: "${CI_KEY}", models: [assistant]}`."""

    key: CallerKey = setting(description="the key itself, 16 characters or more; use `${VAR}`")


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
    secret: Secret | None = setting(default=None, description="shared with it, for HS256 and its like")
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
            self._check_secret(self.secret.reveal())

    def _check_secret(self, secret: str) -> None:
        least = max(int(each[2:]) // 8 for each in self.algorithms)
        if len(secret.encode()) < least:
            raise ValueError(f"secret has {len(secret.encode())} bytes, and needs {least} for its algorithm")


SignatureAlgorithm = Literal["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512", "hmac-sha256"]
"""By the names of RFC 9421."""
KeyId = Annotated[str, AfterValidator(_key_id)]


class SignatureSettings(CallerSettings):
    """One who signs requests: `{name: ci, key_id: ci-1, algorithm: ed25519, key_file: ci.pem}`."""

    key_id: KeyId = setting(description="how requests name the key: `keyid` of their signatures")
    algorithm: SignatureAlgorithm = setting(description="how it signs, whatever a request says of that")
    key_file: Path | None = setting(
        default=None, description="PEM file of its public key; of `hmac-sha256` the secret in base64"
    )
    secret: Secret | None = setting(
        default=None, description="the secret of `hmac-sha256` in base64, in place of `key_file`"
    )

    def check(self, _context: Any) -> None:
        if (self.key_file is None) == (self.secret is None):
            raise ValueError("needs one of key_file and secret")
        if self.secret is not None and self.algorithm != "hmac-sha256":
            raise ValueError(f"a secret goes with hmac-sha256; {self.algorithm} needs a key_file")


SUBJECT_NAMES = {
    "CN": "commonName", "O": "organizationName", "OU": "organizationalUnitName", "C": "countryName",
    "ST": "stateOrProvinceName", "L": "localityName", "UID": "userId", "DC": "domainComponent",
}  # fmt: skip
"""The attributes of subjects that have short names."""
_SAN = r"^(DNS|URI|email|IP Address):."


def _fingerprint(value: object) -> object:
    digits = value.replace(":", "").lower() if isinstance(value, str) else ""
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise ValueError(
            "expected 64 hexadecimal digits: openssl x509 -noout -fingerprint -sha256 -in cert.pem"
        )
    return digits


Fingerprint = Annotated[str, BeforeValidator(_fingerprint)]


class CertificateSettings(CallerSettings):
    """One who connects with a certificate: `{name: ci, san: "DNS:ci.example.com"}`."""

    subject: Mapping[str, str] | None = setting(
        default=None, min_length=1, description="all of its subject: `{O: Example, CN: ci}`"
    )
    san: str | None = setting(
        default=None,
        pattern=_SAN,
        description="one of its alternative names: `DNS:…`, `URI:…`, `email:…`, `IP Address:…`",
    )
    fingerprint: Fingerprint | None = setting(default=None, description="its SHA-256, in hexadecimal digits")

    def check(self, _context: Any) -> None:
        if sum(each is not None for each in (self.subject, self.san, self.fingerprint)) != 1:
            raise ValueError("needs one of subject, san and fingerprint")


class AnonymousSettings(Section):
    """What those may do who bring no key."""

    models: Names = setting(description="what may be asked for, or `*` for all")
    limits: CallerLimits | None = setting(
        default=None, description="for each address from which they come; without it any"
    )
    labels: Mapping[str, str] = setting(default={}, description="what records say of their calls")


def _different(keys: list[KeySettings], _others: Mapping[str, Any]) -> list[KeySettings]:
    for kind, values in (
        ("name", [each.name for each in keys]),
        ("key", [each.key.reveal() for each in keys]),
    ):
        first: dict[str, str] = {}
        for each, value in zip(keys, values, strict=True):
            if value in first:
                raise ValueError(f"two have the same {kind}: {first[value]!r} and {each.name!r}")
            first[value] = each.name
    return keys


def _different_signers(
    signers: list[SignatureSettings], others: Mapping[str, Any]
) -> list[SignatureSettings]:
    ids = [each.key_id for each in signers]
    if len(set(ids)) < len(ids):
        raise ValueError("two have the same key_id")
    _check_named_once(signers, others, "keys")
    return signers


def _different_holders(
    holders: list[CertificateSettings], others: Mapping[str, Any]
) -> list[CertificateSettings]:
    _check_named_once(holders, others, "keys", "signatures")
    return holders


def _check_named_once(entries: Sequence[Any], others: Mapping[str, Any], *kinds: str) -> None:
    # Of one kind several may be of one caller, of which one is about to go.
    for kind in kinds:
        named = {each.name for each in others.get(kind) or ()} & {each.name for each in entries}
        if named:
            raise ValueError(
                f"{min(named)!r} is a name under {kind}, too; one that is known otherwise needs another"
            )


def _one_for_each_audience(issuers: list[JwtSettings], _others: Mapping[str, Any]) -> list[JwtSettings]:
    seen = [(each.issuer, each.audience) for each in issuers]
    if len(set(seen)) < len(seen):
        raise ValueError("two entries have the same issuer and audience")
    return issuers


class AccessSettings(Section):
    """Who may ask. Without it, whoever is on this machine, and the gateway listens nowhere else."""

    checks: ClassVar = {
        "keys": _different,
        "jwt": _one_for_each_audience,
        "signatures": _different_signers,
        "certificates": _different_holders,
    }

    keys: list[KeySettings] = setting(default=[], description="keys that stand here")
    jwt: list[JwtSettings] = setting(default=[], description="issuers of tokens")
    signatures: list[SignatureSettings] = setting(default=[], description="who signs requests: RFC 9421")
    certificates: list[CertificateSettings] = setting(
        default=[], description="who connects with a certificate; needs `tls.client_ca`"
    )
    anonymous: AnonymousSettings | None = setting(
        default=None, description="what those may do who bring no key; without it nothing, but on loopback"
    )
    stored_keys: bool = setting(
        default=False,
        description="keys of the section `callers` let in, so that other addresses than loopback will do",
    )
    loopback: bool = setting(
        default=True, description="whether no key is needed from this machine; not behind a proxy anyhow"
    )

    @property
    def lets_somebody_in(self) -> bool:
        """Whether anybody from elsewhere could be answered at all."""
        return self.asks_for_credentials or self.stored_keys or self.anonymous is not None

    @property
    def names(self) -> list[str]:
        """The callers that are named here."""
        signers = [each.name for each in self.signatures]
        return [*(each.name for each in self.keys), *signers, *(each.name for each in self.certificates)]

    @property
    def entries(self) -> Mapping[str, Sequence[CallerSettings]]:
        """What stands here of callers, by the ids that records have of what they are known by."""
        named: Sequence[KeySettings | CertificateSettings] = (*self.keys, *self.certificates)
        found: dict[str, list[CallerSettings]] = {}
        for id, entry in (*((each.name, each) for each in named), *((s.key_id, s) for s in self.signatures)):
            found.setdefault(id, []).append(entry)
        return found

    @property
    def asks_for_credentials(self) -> bool:
        """Whether anybody is known by what a request, or its connection, brings."""
        return bool(self.keys or self.jwt or self.signatures or self.certificates)
