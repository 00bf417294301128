"""What the configuration says of access, made into what decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman.plugin import Caller, Clock, ConfigError
from pointsman_gateway.access import key_sets
from pointsman_gateway.access.certificates import Certificates
from pointsman_gateway.access.fetching import SetClient
from pointsman_gateway.access.grants import Grant, GrantSource
from pointsman_gateway.access.key_sets import FixedKeys, KeySource, PublishedKeys
from pointsman_gateway.access.keys import KeyTable
from pointsman_gateway.access.settings import AccessSettings, JwtSettings

if TYPE_CHECKING:
    from pointsman_gateway.access.signatures import Signatures

LOCAL = Grant(Caller(operator=True), "loopback")
"""What whoever is on this machine may do."""


class Rules(Struct, frozen=True, eq=False):
    """What the configuration says of access; a reload makes others.

    Attributes:
        hosts: names that we are known under, in lower case.
        origins: of web pages that may ask although they are not ours.
        behind_proxy: proxies are trusted to say who asks, so that nobody is on this machine.
        keyless: by surface with a listener of its own, what may be done there without a key.
        signatures: what signed requests are worth; None where nobody signs any.
        certificates: what those are worth that callers connect with.
    """

    access: AccessSettings
    keys: KeyTable
    sources: Sequence[GrantSource] = ()
    hosts: frozenset[str] = frozenset()
    origins: Collection[str] = ()
    behind_proxy: bool = False
    keyless: Mapping[str, Caller] = {}
    signatures: Signatures | None = None
    certificates: Certificates = Certificates(())

    @property
    def check_body(self) -> Callable[[Mapping[str, str], bytes], None] | None:
        """What holds a body to its `Content-Digest`; None where nobody signs that."""
        return None if self.signatures is None else self.signatures.check_body

    def still(self, begun: Grant) -> Grant | None:
        """What somebody may do now whose session began with `begun`; None for nothing any more."""
        kind, _, _name = begun.source.partition(":")
        if kind == "key":
            return self.keys.again(begun.digest)
        if kind == "jwt":
            known = any(begun.source.startswith(f"jwt:{each.issuer}:") for each in self.access.jwt)
            return begun if known else None
        return begun if kind != "loopback" or self.access.loopback else None

    def others_in(self, rules: Rules) -> frozenset[str]:
        """The ids of what callers are known by that are gone in `rules`, or grant something else there."""
        then, now = self.access.entries, rules.access.entries
        return frozenset(id for id, entry in then.items() if now.get(id) != entry)


class Built(Struct, frozen=True, eq=False):
    """Rules, with what ends what they have opened."""

    rules: Rules
    closing: Sequence[Callable[[], Awaitable[None]]] = ()

    async def aclose(self) -> None:
        """Close the connections to issuers."""
        for close in self.closing:
            await close()


def build(
    access: AccessSettings,
    *,
    pepper: bytes,
    clock: Clock,
    directory: Path,
    hosts: Collection[str] = (),
    origins: Collection[str] = (),
    behind_proxy: bool = False,
    keyless: Mapping[str, Caller] | None = None,
) -> Built:
    """The rules of a configuration; nothing is asked of an issuer yet.

    Args:
        pepper: what the digests of keys are made with; the same over reloads, so that sessions go on.
        directory: where relative paths start.

    Raises: ConfigError for a file of a key.
    """
    closing: list[Callable[[], Awaitable[None]]] = []
    issuers = [(each, _keys_of(each, clock, directory, closing)) for each in access.jwt]
    sources: list[GrantSource] = []
    if issuers:
        from pointsman_gateway.access.tokens import Issuer, Tokens  # nobody else needs what it imports

        names = frozenset(access.names)
        sources.append(Tokens([Issuer(each, keys) for each, keys in issuers], clock, names))
    rules = Rules(
        access,
        KeyTable(access.keys, pepper),
        sources,
        hosts=frozenset(each.lower().rstrip(".") for each in hosts),
        origins=frozenset(each.lower() for each in origins),
        behind_proxy=behind_proxy,
        keyless=keyless or {},
        signatures=_signatures(access, clock, directory) if access.signatures else None,
        certificates=Certificates(access.certificates),
    )
    return Built(rules, closing)


def _signatures(access: AccessSettings, clock: Clock, directory: Path) -> Signatures:
    if find_spec("pointsman_auth_http") is None:
        raise ConfigError(
            "gateway.access.signatures: needs the package pointsman-auth-http."
            " Try: pip install 'pointsman-gateway[signatures]'"
        )
    from pointsman_gateway.access.signatures import Signatures  # as above

    return Signatures(access.signatures, clock, directory)


def _keys_of(
    issuer: JwtSettings, clock: Clock, directory: Path, closing: list[Callable[[], Awaitable[None]]]
) -> KeySource:
    if issuer.secret is not None:
        return FixedKeys([key_sets.from_secret(issuer.secret.reveal(), issuer.algorithms)])
    if find_spec("cryptography") is None:
        raise ConfigError(
            f"gateway.access.jwt: {', '.join(issuer.algorithms)} needs the package cryptography."
            " Try: pip install 'pointsman-gateway[jwt]'"
        )
    if issuer.key_file is not None:
        return FixedKeys([key_sets.from_file(directory / issuer.key_file, issuer.algorithms)])
    assert issuer.jwks is not None, "its settings have one of the three"
    client = SetClient(issuer.jwks, clock)
    keys = PublishedKeys(client.fetch, clock, issuer.algorithms)
    closing += [keys.aclose, client.aclose]
    return keys
