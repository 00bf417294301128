"""Certificates of listeners, and whose of callers are asked for, read again when their files change."""

from __future__ import annotations

import ssl
from pathlib import Path

from pointsman._internal.latest_tls import latest_context, no_password, stamps_of
from pointsman.plugin import ConfigError, read_regular
from pointsman_gateway.settings import TlsSettings

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_LARGEST_PEM = 16 * 1024 * 1024
_VERIFY = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL}


class Certificate:
    """A certificate with its key. New connections get what the files held when they were last looked at.

    Raises: ConfigError when they cannot be read, or do not belong together.
    """

    def __init__(self, settings: TlsSettings, directory: Path) -> None:
        self._settings, self._directory = settings, directory
        self.context = latest_context(ssl.PROTOCOL_TLS_SERVER, lambda: self._latest)
        self._seen = stamps_of(self._files())
        self._latest = self._read()

    def _files(self) -> list[Path | None]:
        settings, at = self._settings, self._directory
        client_ca = None if settings.client_ca is None else at / settings.client_ca
        return [at / settings.cert, at / settings.key, client_ca]

    def _read(self) -> ssl.SSLContext:
        cert, key, client_ca = self._files()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSIONS[self._settings.min_version]
        context.set_alpn_protocols(["http/1.1"])
        assert cert is not None
        assert key is not None
        try:
            for each in cert, key:  # OpenSSL would wait for a pipe, and read a device for ever
                read_regular(each, _LARGEST_PEM)
            context.load_cert_chain(cert, key, no_password)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"gateway.tls: cannot use {cert} with {key}: {_why(error, 'no such pair')}"
            ) from error
        if client_ca is not None:
            try:
                read_regular(client_ca, _LARGEST_PEM)
                context.load_verify_locations(client_ca)
            except (OSError, ValueError) as error:
                why = _why(error, "no certificates in PEM")
                raise ConfigError(f"gateway.tls.client_ca: cannot use {client_ca}: {why}") from error
            context.verify_mode = _VERIFY[self._settings.client_certificates or "required"]
        return context

    def follow(self, other: Certificate) -> None:
        """Be what `other` is, for new connections of what listens with this one."""
        self._settings, self._directory = other._settings, other._directory
        self._seen, self._latest = other._seen, other._latest

    def reread(self) -> bool:
        """Read the files again if they have changed. Returns: whether they had. Raises ConfigError.

        Of two files one is written first: a pair that does not match yet is not taken, and looked at again.
        """
        stamps = stamps_of(self._files())
        if stamps == self._seen:
            return False
        self._latest = self._read()
        self._seen = stamps
        return True


def _why(error: OSError | ValueError, otherwise: str) -> str:
    if isinstance(error, ssl.SSLError):
        return otherwise
    return (error.strerror if isinstance(error, OSError) else str(error)) or otherwise
