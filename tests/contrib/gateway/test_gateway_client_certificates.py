"""Callers that connect with certificates, over real TLS; what the listener asks of them, and takes up anew."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from gateways import MODEL, PLAIN, configuration, gateway_for
from pydantic import ValidationError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pointsman import Router
from pointsman.plugin import ConfigError
from pointsman_gateway.listening.tls import Certificate
from pointsman_gateway.settings import GatewaySettings, TlsSettings
from pointsman_simulator import Reply, Simulator

OURS, THEIRS, STRANGE = trustme.CA(), trustme.CA(), trustme.CA()
SERVER = OURS.issue_cert("127.0.0.1")
CI = THEIRS.issue_cert("ci.example.com", common_name="ci")
BOT = THEIRS.issue_cert("bot@example.com", common_name="bot")
KEY = "key-" + "k" * 32


def files_in(folder: Path) -> dict[str, str]:
    """Those of the listener, with authorities of callers beside them."""
    SERVER.private_key_pem.write_to_path(folder / "key.pem")
    SERVER.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    THEIRS.cert_pem.write_to_path(folder / "callers.pem")
    return {
        "cert": str(folder / "cert.pem"),
        "key": str(folder / "key.pem"),
        "client_ca": str(folder / "callers.pem"),
    }


def caller(shown: trustme.LeafCert | None, **more: Any) -> ssl.SSLContext:
    """What a caller connects with."""
    context = ssl.create_default_context()
    OURS.configure_trust(context)
    if shown is not None:
        shown.configure_cert(context)
    for name, value in more.items():
        setattr(context, name, value)
    return context


def fingerprint(of: trustme.LeafCert) -> str:
    der = ssl.PEM_cert_to_DER_cert(of.cert_chain_pems[0].bytes().decode())
    return hashlib.sha256(der).hexdigest().upper()


CALLERS = [
    {"name": "ci", "san": "DNS:ci.example.com", "models": [MODEL], "labels": {"team": "qa"}},
    {"name": "bot", "fingerprint": fingerprint(BOT), "operator": True},
]


def settings(folder: Path, *, tls: dict[str, Any] | None = None, **access: Any) -> dict[str, Any]:
    return {
        "tls": {**files_in(folder), **(tls or {})},
        "access": {"certificates": CALLERS, "loopback": False, **access},
    }


async def asked(url: str, shown: trustme.LeafCert | None, path: str = "/v1/things/a", **more: Any) -> Any:
    """Who is thought to ask, or why not."""
    async with httpx.AsyncClient(verify=caller(shown)) as client:
        answer = await client.get(f"{url}{path}", **more)
    said = answer.json()
    return said.get("caller") if answer.status_code == 200 else said["code"]


async def test_who_connects_with_a_certificate_needs_no_key(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    async with gateway_for(upstream, surfaces=[PLAIN], settings=settings(tmp_path)) as served:
        assert await asked(served.url, CI) == "ci"
        assert await asked(served.url, BOT) == "bot"
        assert await asked(served.url, THEIRS.issue_cert("other.example.com")) == "missing_api_key"
        for strange in (None, STRANGE.issue_cert("ci.example.com")):
            with pytest.raises(httpx.HTTPError):
                await asked(served.url, strange)

        async with httpx.AsyncClient(verify=caller(CI)) as client:  # one connection, two requests
            for model, status in (MODEL, 200), ("private", 403):
                body = {"model": model, "text": "Why?"}
                assert (await client.post(f"{served.url}/v1/say", json=body)).status_code == status


async def test_where_it_is_optional_a_key_does_and_both_are_two_callers(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    keys = [{"name": "by-key", "key": KEY}]
    optional = settings(tmp_path, tls={"client_certificates": "optional"}, keys=keys)
    async with gateway_for(upstream, surfaces=[PLAIN], settings=optional) as served:
        with_key = {"headers": {"x-api-key": KEY}}
        assert await asked(served.url, None, **with_key) == "by-key"
        assert await asked(served.url, None) == "missing_api_key"
        assert await asked(served.url, THEIRS.issue_cert("other"), **with_key) == "by-key"
        assert await asked(served.url, CI, **with_key) == "two_credentials"
        assert await asked(served.url, CI, headers={"x-api-key": "of-somebody-else"}) == "ci"


async def test_a_browser_that_shows_one_on_a_page_of_others_lets_nobody_in(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    async with gateway_for(upstream, surfaces=[PLAIN], settings=settings(tmp_path)) as served:
        page = {"headers": {"origin": "https://evil.example"}}
        assert await asked(served.url, CI, **page) == "origin_not_allowed"
        assert await asked(served.url, CI, headers={"sec-fetch-site": "cross-site"}) == "origin_not_allowed"
        async with httpx.AsyncClient(verify=caller(BOT)) as client:
            status = f"{served.url}/admin/v1/status"
            assert "csrf" in (await client.get(status)).text
            assert (await client.get(status, headers={"x-pointsman-csrf": "1"})).status_code == 200
        async with httpx.AsyncClient(verify=caller(CI)) as client:
            assert "not_an_operator" in (await client.get(status)).text


async def test_a_websocket_is_opened_by_one_and_its_calls_are_of_that_caller(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    tls = {"client_certificates": "optional"}
    async with gateway_for(upstream, settings=settings(tmp_path, tls=tls)) as served:
        url = served.url.replace("https://", "wss://") + "/api/v1/ai/ws"
        async with connect(url, ssl=caller(CI), proxy=None) as socket:
            await socket.send('{"id": "1", "type": "generate", "prompt": "Why?"}')
            async with asyncio.timeout(10):
                said = [str(await socket.recv()) for _ in range(1)]
        with pytest.raises(InvalidStatus, match="401"):
            async with connect(url, ssl=caller(None), proxy=None):
                pass

    assert "error" not in said[0]


async def test_an_oldest_version_is_kept_to(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai")
    old = caller(CI, maximum_version=ssl.TLSVersion.TLSv1_2)
    for version, answered in ("1.2", True), ("1.3", False):
        with_version = settings(tmp_path, tls={"min_version": version})
        async with (
            gateway_for(upstream, surfaces=[PLAIN], settings=with_version) as served,
            httpx.AsyncClient(verify=old) as client,
        ):
            try:
                said = (await client.get(f"{served.url}/v1/things/a")).status_code == 200
            except httpx.HTTPError:
                said = False
        assert said is answered


async def test_an_authority_that_is_taken_away_is_so_for_the_next_connection(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    said = settings(tmp_path)
    async with gateway_for(upstream, surfaces=[PLAIN], settings=said) as served:
        resumed = caller(CI)
        async with httpx.AsyncClient(verify=resumed) as client:
            assert (await client.get(f"{served.url}/v1/things/a")).json()["caller"] == "ci"
            STRANGE.cert_pem.write_to_path(tmp_path / "callers.pem")
            again = {"listen": "127.0.0.1:0", "surfaces": {PLAIN.name: {}}, **said}
            await served.gateway.reload(
                GatewaySettings.model_validate(again), Router.check(configuration(upstream))
            )
            assert (await client.get(f"{served.url}/v1/things/a")).json()["caller"] == "ci"  # it is open
        async with httpx.AsyncClient(verify=resumed) as client:
            with pytest.raises(httpx.HTTPError):
                await client.get(f"{served.url}/v1/things/a")
        assert await asked(served.url, STRANGE.issue_cert("ci.example.com")) == "ci"


@pytest.mark.parametrize(
    ("subject", "fits"),
    [({"CN": "ci", "O": "trustme v1.2.1", "OU": "x"}, False), ({"CN": "ci"}, False), (None, True)],
)
async def test_a_subject_is_all_of_it(
    subject: dict[str, str] | None, fits: bool, simulator: Simulator, tmp_path: Path
) -> None:
    shown = caller(CI)
    parts = x509.load_pem_x509_certificate(CI.cert_chain_pems[0].bytes()).subject
    whole = {each.rfc4514_attribute_name: each.value for each in parts}
    upstream = await simulator.add("openai")
    one = [{"name": "ci", "subject": subject or whole}]
    async with (
        gateway_for(upstream, surfaces=[PLAIN], settings=settings(tmp_path, certificates=one)) as served,
        httpx.AsyncClient(verify=shown) as client,
    ):
        answer = await client.get(f"{served.url}/v1/things/a")
    assert (answer.status_code == 200) is fits


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"client_ca": "key.pem"}, r"gateway\.tls\.client_ca: cannot use .*: no certificates in PEM"),
        ({"client_ca": "nowhere.pem"}, r"gateway\.tls\.client_ca: cannot use .*: No such file"),
        ({"key": "locked.pem"}, "the key has a password, and none was given"),
        ({"key": "callers.pem"}, "no such pair"),
    ],
)
def test_what_cannot_be_used_is_said_and_nobody_is_asked_for_a_password(
    changed: dict[str, str], said: str, tmp_path: Path
) -> None:
    files = files_in(tmp_path)
    key = load_pem_private_key(SERVER.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cr3t"))
    (tmp_path / "locked.pem").write_bytes(locked)
    with pytest.raises(ConfigError, match=said):
        Certificate(TlsSettings.model_validate({**files, **changed}), tmp_path)


TLS = {"cert": "c.pem", "key": "k.pem"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tls": {**TLS, "client_certificates": "optional"}}, "needs client_ca"),
        ({"tls": {**TLS, "min_version": "1.1"}}, "1.2"),
        ({"tls": TLS, "access": {"certificates": CALLERS}}, "needs tls.client_ca"),
        ({"access": {"certificates": [{"name": "a"}]}}, "one of subject, san and fingerprint"),
        ({"access": {"certificates": [{"name": "a", "san": "ci"}]}}, "pattern"),
        ({"access": {"certificates": [{"name": "a", "fingerprint": "ab"}]}}, "64 hexadecimal digits"),
        (
            {"access": {"keys": [{"name": "ci", "key": KEY}], "certificates": CALLERS}},
            "'ci' is a name under keys, too",
        ),
    ],
)
def test_what_cannot_be_is_said(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        GatewaySettings.model_validate(wrong)
