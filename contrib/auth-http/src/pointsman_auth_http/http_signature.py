"""`http_signature`: calls signed as RFC 9421 has it, with a digest of the body as RFC 9530 has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pointsman.plugin import (
    AuthContext,
    AuthFactory,
    ConfigError,
    Duration,
    Outgoing,
    Secret,
    SigningAuth,
    read_regular,
)
from pointsman_auth_http.keys import ALGORITHMS, Algorithm, Sign, private_key, shared_secret
from pointsman_auth_http.signature_base import (
    DERIVED,
    byte_sequence,
    content_digest,
    parameters,
    signature_base,
)

_LARGEST_KEY = 64 * 1024
_COVERED = ("@method", "@authority", "@path", "@query", "content-type", "content-digest")
Printable = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[ -~]+$")]


class HttpSignatureSettings(BaseModel):
    """`{type: http_signature, key_id: …, algorithm: ed25519, key_file: …}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    key_id: Printable = Field(description="how the upstream knows the key (`keyid`)")
    algorithm: Algorithm = Field(description=", ".join(f"`{each}`" for each in ALGORITHMS))
    key_file: Path | None = Field(
        default=None, description="PEM file of the private key, without a password; of `hmac-sha256` base64"
    )
    secret: Secret | None = Field(
        default=None, description="the shared secret of `hmac-sha256` in base64, in place of `key_file`"
    )
    covered: tuple[str, ...] = Field(
        default=_COVERED,
        description="what is signed: derived components and header fields, those that a request has",
    )
    digest: Literal["sha-256", "sha-512"] = Field(default="sha-256", description="of the body")
    label: str = Field(
        default="sig1", pattern=r"^[a-z*][a-z0-9_.*-]{0,50}$", description="what the signature is called"
    )
    tag: Printable | None = Field(default=None, description="what the signature is for (`tag`)")
    expires: Duration | None = Field(default=None, ge=1, description="how long it holds, in whole seconds")
    nonce: bool = Field(default=False, description="add a number that is used once")

    @field_validator("covered")
    @classmethod
    def _known(cls, covered: tuple[str, ...]) -> tuple[str, ...]:
        covered = tuple(each.lower() for each in covered)
        for each in covered:
            if each.startswith("@") and each not in DERIVED:
                raise ValueError(f"{each!r} is none of {', '.join(DERIVED)}")
        if len(set(covered)) < len(covered):
            raise ValueError("it names something twice")
        return covered


class HttpSignature(SigningAuth):
    """Adds `Content-Digest`, `Signature-Input` and `Signature`. It holds a key, and never shows it."""

    def __init__(self, context: AuthContext) -> None:
        self._settings: HttpSignatureSettings = context.settings
        self._clock, self._rng = context.clock, context.rng
        self._sign = _key(self._settings)

    def sign(self, outgoing: Outgoing) -> Mapping[str, str]:
        settings = self._settings
        added = {}
        if outgoing.body:
            added["content-digest"] = content_digest(outgoing.body, settings.digest)
        headers = {**outgoing.headers, **added}
        covered = [each for each in settings.covered if each in DERIVED or each in headers]
        described = parameters(covered, self._parameters())
        signature = self._sign(signature_base(outgoing, headers, covered, described))
        added["signature-input"] = f"{settings.label}={described}"
        added["signature"] = f"{settings.label}={byte_sequence(signature)}"
        return added

    def _parameters(self) -> dict[str, str | int]:
        settings, created = self._settings, int(self._clock.wall())
        values: dict[str, str | int] = {"created": created}
        if settings.expires is not None:
            values["expires"] = created + int(settings.expires)
        values["keyid"] = settings.key_id
        if settings.nonce:
            values["nonce"] = f"{self._rng.getrandbits(128):032x}"
        if settings.tag is not None:
            values["tag"] = settings.tag
        return values


def _key(settings: HttpSignatureSettings) -> Sign:
    """What signs. Raises ConfigError."""
    shared = settings.algorithm == "hmac-sha256"
    if (settings.key_file is None) == (settings.secret is None):
        raise ConfigError("give either `key_file` or `secret`")
    if settings.secret is not None:
        if not shared:
            raise ConfigError(f"`secret` is for hmac-sha256; {settings.algorithm} needs a `key_file`")
        return shared_secret(settings.secret.reveal(), "the configuration")
    assert settings.key_file is not None
    source = f"file {settings.key_file}"
    try:
        content = read_regular(settings.key_file, _LARGEST_KEY)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the key {source} cannot be read: {error}") from None
    return (
        shared_secret(content.decode("latin-1"), source)
        if shared
        else private_key(content, settings.algorithm, source)
    )


FACTORY = AuthFactory("http_signature", HttpSignatureSettings, HttpSignature)
