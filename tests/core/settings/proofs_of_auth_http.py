"""What signatures and tokens are made of: what an upstream and a token endpoint get to see."""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from proving import Given, Setting, proves

from pointsman import Router
from pointsman.plugin import PointsmanSpec, TransportFactory, hookimpl
from pointsman.testing import run

ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]
}
TOKEN = {"access_token": "token-of-the-proof", "token_type": "bearer", "expires_in": 60}


class Wire(PointsmanSpec):
    """Keeps all requests; a token for those to `/token`, an answer for others."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        def answer(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            said = TOKEN if request.url.path.endswith("/token") else ANSWER
            return httpx.Response(200, stream=httpx.ByteStream(json.dumps(said).encode()))

        return [TransportFactory("wire", None, lambda _context: httpx.MockTransport(answer))]


def with_auth(**auth: Any) -> Given:
    return {
        "transport": "wire",
        "providers": {"a": {"type": "openai", "base_url": "http://up/v1", "auth": auth}},
        "models": {"m": {"deployments": ["a/x"]}},
        "retry": "none",
    }


def requests(given: Given) -> list[httpx.Request]:
    """What goes out for one chat, in order."""

    async def main() -> list[httpx.Request]:
        wire = Wire()
        async with Router.from_config(given, plugins=[wire]) as router:
            await router.chat("m", "hi")
        return wire.requests

    return run(main())


# ── signatures ───────────────────────────────────────────────────────────────────────────────────────


def secret(text: str) -> str:
    return b64encode(text.encode().ljust(32)).decode()


SIGNED = {
    "type": "http_signature", "key_id": "k", "algorithm": "hmac-sha256", "secret": secret("first"), "covered": []
}  # fmt: skip


def signed(setting: Setting, value: object, **auth: Any) -> Mapping[str, str]:
    (request,) = requests(setting.to(value, with_auth(**{**SIGNED, **auth})))
    return request.headers


def proves_who(headers: Mapping[str, str], key: str) -> bool:
    """Whether that is the signature of nothing but its own parameters, by that secret."""
    base = f'"@signature-params": {headers["signature-input"].partition("=")[2]}'
    signature = hmac.digest(b64decode(key), base.encode(), "sha256")
    return headers["signature"] == f"sig1=:{b64encode(signature).decode()}:"


@proves("auth:http_signature.key_id")
def the_key_is_named(setting: Setting) -> None:
    for value in ("one", "other"):
        assert f';keyid="{value}"' in signed(setting, value)["signature-input"]


@proves("auth:http_signature.secret")
def the_secret_signs(setting: Setting) -> None:
    for value in (secret("one"), secret("other")):
        assert proves_who(signed(setting, value), value)


@proves("auth:http_signature.key_file")
def the_key_in_the_file_signs(setting: Setting) -> None:
    for value in ("one", "other"):
        (setting.folder / value).write_text(secret(value))
        headers = signed(setting, str(setting.folder / value), secret=None)
        assert proves_who(headers, secret(value))


@proves("auth:http_signature.algorithm")
def the_algorithm_decides_what_the_file_holds(setting: Setting) -> None:
    def file(content: bytes) -> str:
        path: Path = setting.folder / "key"
        path.write_bytes(content)
        return str(path)

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for value, content, length in (("hmac-sha256", secret("x").encode(), 32), ("ed25519", pem, 64)):
        headers = signed(setting, value, secret=None, key_file=file(content), algorithm="hmac-sha256")
        assert len(b64decode(headers["signature"].partition(":")[2].rstrip(":"))) == length


@proves("auth:http_signature.covered")
def what_is_covered_is_listed(setting: Setting) -> None:
    for value in (["@method"], ["host", "@path"]):
        listed = " ".join(f'"{each}"' for each in value)
        assert signed(setting, value)["signature-input"].startswith(f"sig1=({listed});")


@proves("auth:http_signature.digest")
def the_body_has_that_digest(setting: Setting) -> None:
    for value in ("sha-256", "sha-512"):
        assert signed(setting, value)["content-digest"].startswith(f"{value}=:")


@proves("auth:http_signature.label")
def the_signature_is_called_so(setting: Setting) -> None:
    for value in ("ours", "theirs"):
        headers = signed(setting, value)
        assert {headers[each].partition("=")[0] for each in ("signature", "signature-input")} == {value}


@proves("auth:http_signature.tag")
def the_signature_is_for_that(setting: Setting) -> None:
    for value in ("app", "web"):
        assert signed(setting, value)["signature-input"].endswith(f';tag="{value}"')


@proves("auth:http_signature.expires")
def the_signature_ends_then(setting: Setting) -> None:
    for value, seconds in (("1m", 60), ("2m", 120)):
        found = re.search(r";created=(\d+);expires=(\d+);", signed(setting, value)["signature-input"])
        assert found
        assert int(found[2]) - int(found[1]) == seconds


@proves("auth:http_signature.nonce")
def a_number_is_used_once_where_that_is_asked_for(setting: Setting) -> None:
    for value in (True, False):
        assert (";nonce=" in signed(setting, value)["signature-input"]) == value


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────

CLIENT = {
    "type": "oauth_client_credentials", "token_url": "http://id/token", "client_id": "me", "client_secret": "long-enough"
}  # fmt: skip


def asked(setting: Setting, value: object, **auth: Any) -> httpx.Request:
    """The request for the token that the call then carries."""
    token, call = requests(setting.to(value, with_auth(**{**CLIENT, **auth})))
    assert call.headers["authorization"] == f"Bearer {TOKEN['access_token']}"
    return token


def form(request: httpx.Request) -> dict[str, str]:
    return dict(parse_qsl(request.content.decode()))


@proves("auth:oauth_client_credentials.token_url")
def tokens_come_from_there(setting: Setting) -> None:
    for value in ("http://one/token", "http://other/a/token"):
        assert str(asked(setting, value).url) == value


@proves("auth:oauth_client_credentials.client_id", "auth:oauth_client_credentials.client_secret")
def the_client_says_who_it_is(setting: Setting) -> None:
    field = setting.key.partition(".")[2]
    for value in ("some-long-word", "another-long-word"):
        assert form(asked(setting, value, client_auth="post"))[field] == value


@proves("auth:oauth_client_credentials.client_auth")
def the_client_says_so_in_the_header_or_in_the_form(setting: Setting) -> None:
    for value in ("basic", "post"):
        request = asked(setting, value)
        assert ("authorization" in request.headers) == (value == "basic")
        assert ("client_secret" in form(request)) == (value == "post")


@proves("auth:oauth_client_credentials.scope", "auth:oauth_client_credentials.audience")
def the_token_is_asked_for_that(setting: Setting) -> None:
    field = setting.key.partition(".")[2]
    for value in ("a b", "https://api"):
        assert form(asked(setting, value))[field] == value
