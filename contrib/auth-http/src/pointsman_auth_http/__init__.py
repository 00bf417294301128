"""Credentials that sign and refresh: `http_signature` and `oauth_client_credentials`."""

from __future__ import annotations

from pointsman.plugin import AuthFactory, PointsmanSpec, hookimpl
from pointsman_auth_http import http_signature, oauth
from pointsman_auth_http.http_signature import HttpSignature, HttpSignatureSettings
from pointsman_auth_http.oauth import ClientCredentials, ClientCredentialsSettings

__all__ = [
    "AuthHttpPlugin",
    "ClientCredentials",
    "ClientCredentialsSettings",
    "HttpSignature",
    "HttpSignatureSettings",
    "plugin",
]


class AuthHttpPlugin(PointsmanSpec):
    """Offers the two sources of credentials."""

    @hookimpl
    def pointsman_auth(self) -> list[AuthFactory]:
        """One factory for each name."""
        return [http_signature.FACTORY, oauth.FACTORY]


plugin = AuthHttpPlugin()
