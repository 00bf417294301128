"""Certificates of listeners, read again when their files change."""

from __future__ import annotations

import ssl
from pathlib import Path

from pointsman.plugin import ConfigError
from pointsman_gateway.settings import TlsSettings


class Certificate:
    """A certificate with its key. New connections get what the files held when they were last looked at.

    Raises: ConfigError when they cannot be read, or do not belong together.
    """

    def __init__(self, settings: TlsSettings, directory: Path) -> None:
        self._cert, self._key = directory / settings.cert, directory / settings.key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._stamps()
        self._load(self.context)

    def _load(self, into: ssl.SSLContext) -> None:
        try:
            into.load_cert_chain(self._cert, self._key)
        except (OSError, ssl.SSLError) as error:
            why = error.strerror if type(error) is not ssl.SSLError and error.strerror else "no such pair"
            raise ConfigError(f"gateway.tls: cannot use {self._cert} with {self._key}: {why}") from error

    def _stamps(self) -> list[tuple[int, int]]:
        found = []
        for each in (self._cert, self._key):
            try:
                stat = each.stat()
            except OSError:
                found.append((0, 0))
            else:
                found.append((stat.st_mtime_ns, stat.st_ino))
        return found

    def follow(self, other: Certificate) -> None:
        """Be what `other` is, for new connections of what listens with this one."""
        self._cert, self._key, self._seen = other._cert, other._key, other._seen
        self._load(self.context)

    def reread(self) -> bool:
        """Read the files again if they have changed. Returns: whether they had. Raises ConfigError.

        Of two files one is written first: a pair that does not match yet is not taken, and looked at again.
        """
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self._load(self.context)
        self._seen = stamps
        return True
