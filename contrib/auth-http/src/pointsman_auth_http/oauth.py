"""`oauth_client_credentials`: a token for a client's id and secret, RFC 6749 section 4.4."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from math import inf
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pointsman.plugin import (
    Answer,
    AuthContext,
    AuthenticationFailed,
    AuthFactory,
    BadResponse,
    CallError,
    Endpoint,
    NotReady,
    RateLimited,
    RefreshingAuth,
    Secret,
    Unavailable,
    json_or_none,
    retry_after,
)

_WITHIN = 10.0
"""Seconds for an answer of the token endpoint."""
_REFUSED = frozenset(
    (
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    )
)
"""Errors that stay until somebody changes something."""
_LONGEST_SHOWN = 200


class ClientCredentialsSettings(BaseModel):
    """`{type: oauth_client_credentials, token_url: …, client_id: …, client_secret: ${…}}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token_url: str = Field(description="where tokens come from")
    client_id: str = Field(min_length=1, description="who we are")
    client_secret: Secret = Field(min_length=1, description="what proves it; use `${VAR}`")
    client_auth: Literal["basic", "post"] = Field(
        default="basic", description="how it is sent: in the header `Authorization`, or in the form"
    )
    scope: str | None = Field(default=None, description="what the token is to allow, separated by blanks")
    audience: str | None = Field(default=None, description="whom the token is for, where the endpoint asks")

    @field_validator("token_url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or "@" in parts.netloc
            or parts.fragment
        ):
            raise ValueError("expected http:// or https:// and a host, without user or fragment")
        return url


class ClientCredentials(RefreshingAuth):
    """The token there is; a refresh asks for another one."""

    def __init__(self, context: AuthContext) -> None:
        self._settings: ClientCredentialsSettings = context.settings
        self._clock = context.clock
        where = urlsplit(self._settings.token_url)
        self._client = context.http(Endpoint(f"{where.scheme}://{where.netloc}"))
        self._path = (where.path or "/") + (f"?{where.query}" if where.query else "")
        self._where = f"the token endpoint {where.scheme}://{where.netloc}{where.path}"
        self._token: Secret | None = None

    def current(self) -> Secret:
        if self._token is None:
            raise NotReady(f"{self._where} was not asked yet")
        return self._token

    def rejected(self, secret: Secret) -> bool:
        # Others may hear late of a token that was replaced by then.
        if secret == self._token:
            self._token = None
        return True

    async def refresh(self) -> None:
        asked = self._clock.now()
        headers = {"content-type": "application/x-www-form-urlencoded", **self._basic()}
        answer, body = await self._client.fetch(
            "POST", self._path, self._form(), timeouts=self._client.within(_WITHIN), headers=headers
        )
        said = json_or_none(body)
        if answer.status != 200:
            raise self._refusal(answer, said)
        self._token = self._read(said, asked)

    def _basic(self) -> Mapping[str, str]:
        """RFC 6749, section 2.3.1: both are encoded as in a form before they are joined."""
        settings = self._settings
        if settings.client_auth != "basic":
            return {}
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret.reveal())}"
        return {"authorization": f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}"}

    def _form(self) -> bytes:
        settings = self._settings
        fields = {"grant_type": "client_credentials", "scope": settings.scope, "audience": settings.audience}
        if settings.client_auth == "post":
            fields |= {
                "client_id": settings.client_id,
                "client_secret": settings.client_secret.reveal(),
            }
        return urlencode({name: value for name, value in fields.items() if value is not None}).encode("ascii")

    def _read(self, said: Any, asked: float) -> Secret:
        """The token of an answer. Raises BadResponse, which shows nothing of what may be a token."""
        token = said.get("access_token") if isinstance(said, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token.strip():
            raise BadResponse(f"{self._where} gave no access_token that could be sent")
        kind = said.get("token_type", "bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise BadResponse(f"{self._where} gave a token that is not of the type bearer")
        lasts = _seconds(said.get("expires_in"))
        # From when it was asked: the answer may have been on its way for long.
        return Secret(token, None if lasts is None else asked + lasts)

    def _refusal(self, answer: Answer, said: Any) -> CallError:
        """What an answer of another status means: RFC 6749, section 5.2."""
        members = said if isinstance(said, dict) else {}
        words = [members.get(name) for name in ("error", "error_description")]
        code, text = (each if isinstance(each, str) else "" for each in words)
        shown = ": ".join(each for each in (code, text) if each)[:_LONGEST_SHOWN]
        message = f"{self._where} answered {answer.status}" + (f": {shown}" if shown else "")
        wait = retry_after.retry_after(answer.headers, wall=self._clock.wall())
        if answer.status == 429:
            return RateLimited(message, retry_after=wait)
        if answer.status in (401, 403) or (answer.status < 500 and code in _REFUSED):
            return AuthenticationFailed(message)
        return Unavailable(message, retry_after=wait)


def _seconds(lasts: object) -> float | None:
    """How long a token lasts, as far as its endpoint says; some write the number as text."""
    try:
        seconds = float(lasts) if isinstance(lasts, int | float | str) and lasts is not True else 0.0
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < inf else None


FACTORY = AuthFactory("oauth_client_credentials", ClientCredentialsSettings, ClientCredentials)
