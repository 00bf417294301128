"""Callers by the certificate that they connected with, which a listener has found to be good."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from pointsman_gateway.access.grants import Grant, granted
from pointsman_gateway.access.settings import SUBJECT_NAMES, CertificateSettings

CERTIFICATE = "pointsman.certificate"
"""The extension of a server that says with which one somebody connected."""


class PeerCertificate(Struct, frozen=True):
    """What one says, once the chain behind it was found to end in an authority that is trusted.

    Attributes:
        subject: its attributes in their order, by the long names that OpenSSL has for them.
        names: its alternative names, such as `DNS:ci.example.com` or `URI:spiffe://example.com/ci`.
        fingerprint: SHA-256 of it, in lower-case hexadecimal digits.
        until: seconds since 1970 after which it is worth nothing.
    """

    subject: Sequence[tuple[str, str]]
    names: frozenset[str]
    fingerprint: str
    until: float


def peer_certificate(transport: Any) -> PeerCertificate | None:
    """The certificate that the other side of a connection has shown, if it has."""
    connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    said: Mapping[str, Any] = (None if connection is None else connection.getpeercert()) or {}
    encoded = None if connection is None or not said else connection.getpeercert(binary_form=True)
    if encoded is None:
        return None
    return PeerCertificate(
        [attribute for part in said.get("subject", ()) for attribute in part],
        frozenset(f"{kind}:{value}" for kind, value in said.get("subjectAltName", ())),
        hashlib.sha256(encoded).hexdigest(),
        ssl.cert_time_to_seconds(said["notAfter"]),
    )


class Certificates:
    """What certificates are worth: of several entries that fit the first."""

    def __init__(self, entries: Sequence[CertificateSettings]) -> None:
        self._entries = [(each, granted(each, "certificate", each.name)) for each in entries]

    def find(self, shown: PeerCertificate, now: float) -> Grant | None:
        """What that one is worth; None where nobody is meant by it, or it has ended on an open connection."""
        if now >= shown.until:
            return None
        return next((grant for each, grant in self._entries if _fits(each, shown)), None)


def _fits(entry: CertificateSettings, shown: PeerCertificate) -> bool:
    if entry.fingerprint is not None:
        return entry.fingerprint == shown.fingerprint
    if entry.san is not None:
        return entry.san in shown.names
    # All of it: who may have an authority sign `CN=ci` in one department is not who has it in another.
    wanted = [(SUBJECT_NAMES.get(name, name), value) for name, value in (entry.subject or {}).items()]
    return sorted(wanted) == sorted(shown.subject)
