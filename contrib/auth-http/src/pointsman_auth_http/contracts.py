"""The contracts that are kept here, for `pointsman plugins check pointsman-auth-http`."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, ClassVar

from pointsman.plugin import Auth, AuthContext, Client, Endpoint, system_rng
from pointsman.testing import CannedReply, Contexts, ReplayTransport, SystemClock, client_for
from pointsman.testing.contract import AuthContract, PluginContract
from pointsman_auth_http.http_signature import HttpSignature, HttpSignatureSettings
from pointsman_auth_http.oauth import ClientCredentials, ClientCredentialsSettings

_TOKENS = ReplayTransport(CannedReply(200, b'{"access_token": "token-1", "expires_in": 3600}'))
_SIGNATURE = {"key_id": "k", "algorithm": "hmac-sha256", "secret": b64encode(bytes(range(32))).decode()}
_CLIENT = {"token_url": "https://id.example/token", "client_id": "us", "client_secret": "long-enough"}


def _context(name: str, settings: Any) -> AuthContext:
    def http(endpoint: Endpoint) -> Client:
        return client_for(endpoint, _TOKENS)

    return Contexts(SystemClock(), system_rng()).auth(name, settings, provider="here", http=http)


class OfHttpSignature(AuthContract):
    """With a shared secret; the algorithms differ in nothing that a contract looks at."""

    def make(self) -> Auth:
        return HttpSignature(_context("http_signature", HttpSignatureSettings.model_validate(_SIGNATURE)))


class OfClientCredentials(AuthContract):
    """With an endpoint that gives the same token to everybody."""

    def make(self) -> Auth:
        settings = ClientCredentialsSettings.model_validate(_CLIENT)
        return ClientCredentials(_context("oauth_client_credentials", settings))


class OfTheDistribution(PluginContract):
    """With what each of them cannot be made without."""

    distribution = "pointsman-auth-http"
    settings: ClassVar = {"auth.http_signature": _SIGNATURE, "auth.oauth_client_credentials": _CLIENT}
