"""What a transport is asked to do."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from pointsman._internal.latest_tls import latest_context, no_password, stamps_of
from pointsman._internal.regular_files import read_regular
from pointsman.auth import Discreet, Secret

log = logging.getLogger("pointsman")

_LARGEST_PEM = 16 * 1024 * 1024
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TransportUnavailable(Exception):
    """The transport cannot be opened as asked: unknown, not installed, or unable. Raised at set-up."""


@runtime_checkable
class Abortable(Protocol):
    """The stream of a response that can be ended without waiting.

    Third-party transports (`httpx.MockTransport`, for one) return streams without it; for those a
    caller schedules `aclose()`.
    """

    def abort(self) -> None:
        """Close the connection now and free its slot; unsent and unread bytes are dropped.

        To be called on the thread of the event loop, in any callback. Does nothing once the response
        has ended. A read that waits meanwhile raises `httpx.ReadError`. `aclose()` may still follow.
        """


class Immediate(Protocol):
    """The stream of a response that tells what is here already; whoever reads it saves a wait and a timer."""

    def ready(self) -> bytes | None:
        """What has come since the last time, by whichever way; b"" at the end, after which all is closed.

        None where that takes waiting, or where reading would raise.
        """


class TransportOptions(Discreet, frozen=True):
    """How one deployment is reached. Certificates are always verified.

    Attributes:
        max_connections: requests in flight at most, further ones wait in order; None or 0 is unlimited.
        connect_timeout: seconds for name, socket and TLS handshake, where a request brings no
            `extensions["timeout"]["connect"]` of its own.
        keepalive_expiry: seconds after which an idle connection is not used again.
        http2: offer HTTP/2 in the TLS handshake (transport `httpx` with the package `h2`).
        proxy: its URL, credentials included.
        ca_file: PEM file of the authorities to trust, instead of those that come with httpx.
        client_cert: PEM files of the certificate chain and of its key (None: in the same file).
        client_key_password: of that key; None for one without.
        min_tls: the oldest version of TLS that is spoken.
        trust_env: read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR
            from the environment. A .netrc is never read.
    """

    unshown = ("proxy", "client_key_password")
    max_connections: int | None = 1000
    connect_timeout: float = 5.0
    keepalive_expiry: float = 15.0
    http2: bool = False
    proxy: str | None = None
    ca_file: Path | None = None
    client_cert: tuple[Path, Path | None] | None = None
    trust_env: bool = False
    client_key_password: Secret | None = None
    min_tls: Literal["1.2", "1.3"] = "1.2"

    def proxy_for(self, scheme: str, host: str, port: int | None = None) -> str | None:
        """URL of the proxy towards `scheme://host`, from the options or, where trusted, the environment.

        `port`: None for that of the scheme.
        """
        if self.proxy is not None or not self.trust_env:
            return self.proxy
        from urllib.request import getproxies_environment

        from pointsman.transports.no_proxy import bypasses

        found = getproxies_environment()
        proxy = found.get(scheme) or found.get("all")
        port = port or {"http": 80, "https": 443}.get(scheme)
        if not proxy or bypasses(found.get("no", ""), host, port):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def wants_proxy(self) -> bool:
        """Whether a proxy may stand in the way."""
        return bool(self.proxies())

    def wants_socks(self) -> bool:
        """Whether a SOCKS proxy may stand in the way."""
        return any(proxy.partition("://")[0].lower().startswith("socks") for proxy in self.proxies())

    def proxies(self) -> list[str]:
        """The URLs of the proxies that may stand in the way, credentials included."""
        if self.proxy is not None:
            return [self.proxy]
        if not self.trust_env:
            return []
        from urllib.request import getproxies_environment

        found = getproxies_environment()
        return [proxy for scheme in ("http", "https", "all") if (proxy := found.get(scheme))]

    def ssl_context(self) -> ssl.SSLContext:
        """A new context with these options; reading the authorities takes about 20 ms.

        Raises: TransportUnavailable when one of the files is missing or is not what it should be.
        """
        try:
            return self._ssl_context()
        except (OSError, ValueError) as error:
            named = ", ".join(map(str, self.tls_files())) or "the default authorities"
            raise TransportUnavailable(f"cannot set up TLS from {named}: {error}") from error

    def _ssl_context(self) -> ssl.SSLContext:
        for file in self.tls_files():
            read_regular(file, _LARGEST_PEM)  # OpenSSL would wait for a pipe, and read a device for ever
        if self.trust_env and self.ca_file is not None:
            context = ssl.create_default_context(cafile=str(self.ca_file))
        elif self.trust_env:
            from pointsman._internal.httpx_lazy import httpx

            context = httpx.create_ssl_context(trust_env=True)
        else:
            # What these make by default would write the keys of all sessions where SSLKEYLOGFILE says.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cafile=str(self.ca_file or _usual_authorities()))
        context.minimum_version = _VERSIONS[self.min_tls]
        context.set_alpn_protocols(["h2", "http/1.1"] if self.http2 else ["http/1.1"])
        if self.client_cert is not None:
            password = self.client_key_password
            context.load_cert_chain(*self.client_cert, no_password if password is None else password.reveal())
        return context

    def tls_files(self) -> list[Path]:
        """Those that its certificates are in."""
        return [file for file in (self.ca_file, *(self.client_cert or ())) if file is not None]


def _usual_authorities() -> str:
    import certifi  # what httpx trusts, and comes with it

    return certifi.where()


class TlsContexts:
    """One TLS context per identical options, built when first asked for.

    Whoever opens several transports keeps one of these and hands it to each. Asking at set-up keeps
    the 20 ms out of the first request. Files that are written again hold for new connections.
    """

    def __init__(self) -> None:
        self._built: dict[tuple[object, ...], ssl.SSLContext] = {}

    def context(self, options: TransportOptions) -> ssl.SSLContext:
        """The one of these options. Raises: as `TransportOptions.ssl_context`."""
        key = (
            options.ca_file, options.client_cert, options.client_key_password, options.min_tls, options.http2,
            options.trust_env,
        )  # fmt: skip
        context = self._built.get(key)
        if context is None:
            context = self._built[key] = _context_of(options)
        return context


def _context_of(options: TransportOptions) -> ssl.SSLContext:
    if not options.tls_files():
        return options.ssl_context()
    return latest_context(ssl.PROTOCOL_TLS_CLIENT, _Followed(options).latest)


class _Followed:
    """The context of some options, read again when one of its files has changed."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._seen = self._failed = stamps_of(options.tls_files())
        self._context = options.ssl_context()

    def latest(self) -> ssl.SSLContext:
        """By what the files hold now; while they cannot be used, as between the writing of two, as before."""
        stamps = stamps_of(self._options.tls_files())
        if stamps == self._seen:
            return self._context
        try:
            self._context = self._options.ssl_context()
        except TransportUnavailable as error:
            if stamps != self._failed:
                log.warning("%s; what was read before stays", error)
            self._failed = stamps
        else:
            self._seen = stamps
        return self._context
