"""Signed requests over real sockets: by our own clients, and by another implementation, in both directions."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from gateways import MODEL, PLAIN, gateway_for
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
    algorithms,
)
from msgspec import json

from pointsman import Router, Unavailable
from pointsman.plugin import AuthenticationFailed
from pointsman_simulator import Reply, Simulator

SECRET = bytes(range(64))
KEYS: dict[str, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ecdsa-p256-sha256": ec.generate_private_key(ec.SECP256R1()),
    "rsa-pss-sha512": rsa.generate_private_key(65537, 2048),
}
THEIRS: dict[str, Any] = {
    "ed25519": algorithms.ED25519,
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "hmac-sha256": algorithms.HMAC_SHA256,
}
COVERED = ("@method", "@authority", "@path", "@query", "content-digest")
ASKED = json.encode({"model": MODEL, "text": "Why?"})


def private(algorithm: str) -> bytes:
    pem = KEYS[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return bytes(pem)


def public(algorithm: str) -> bytes:
    pem = KEYS[algorithm].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return bytes(pem)


def access(folder: Path) -> dict[str, Any]:
    """One caller for each algorithm, by its name."""
    signers: list[dict[str, Any]] = [
        {"name": "hmac-sha256", "secret": b64encode(SECRET).decode()},
        *({"name": each, "key_file": str(folder / f"{each}.pub")} for each in KEYS),
    ]
    for each in KEYS:
        (folder / f"{each}.pub").write_bytes(public(each))
    return {
        "access": {
            "signatures": [
                {**each, "key_id": f"{each['name']}-1", "algorithm": each["name"], "models": [MODEL]}
                for each in signers
            ],
            "loopback": False,
        }
    }


def signed_by_them(
    algorithm: str, url: str, body: bytes = ASKED, method: str = "POST", **more: Any
) -> httpx.Request:
    request = httpx.Request(method, url, content=body, headers={"content-type": "application/json"})
    if algorithm == "hmac-sha256":
        held: dict[str, Any] = {"private_keys": {"hmac-sha256-1": SECRET}}
    else:
        held = {"private_keys": {f"{algorithm}-1": private(algorithm)}}
    resolver = MappingKeyResolver(public_keys={}, **held)
    HTTPMessageSigner(signature_algorithm=THEIRS[algorithm], key_resolver=resolver).sign(
        request,
        **{
            "key_id": f"{algorithm}-1",
            "nonce": os.urandom(8).hex(),
            "covered_component_ids": [each for each in COVERED if body or each != "content-digest"],
            "body": body or None,
            **more,
        },
    )
    return request


async def code_of(client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, str]:
    answer = await client.send(request)
    return answer.status_code, "" if answer.status_code == 200 else answer.json()["code"]


@pytest.mark.parametrize("algorithm", THEIRS)
async def test_what_another_implementation_signs_is_let_in_once_and_as_it_was_signed(
    algorithm: str, simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    async with (
        gateway_for(upstream, surfaces=[PLAIN], settings=access(tmp_path)) as served,
        httpx.AsyncClient() as client,
    ):
        url = f"{served.url}/v1/say?why=a%20b&c=d+e"
        request = signed_by_them(algorithm, url)
        assert await code_of(client, request) == (200, "")
        assert await code_of(client, request) == (401, "signature_replayed")
        whole = ("@method", "@target-uri", "content-digest")
        assert await code_of(client, signed_by_them(algorithm, url, covered_component_ids=whole)) == (200, "")

        other = signed_by_them(algorithm, url)
        sent = httpx.Request("POST", url, headers=other.headers, content=ASKED.replace(b"Why", b"How"))
        assert await code_of(client, sent) == (401, "digest_mismatch")
        sent = httpx.Request("POST", url.replace("b&", "b&x&"), headers=other.headers, content=ASKED)
        assert await code_of(client, sent) == (401, "invalid_signature")

        thing = signed_by_them(algorithm, f"{served.url}/v1/things/caf%C3%A9", b"", "GET")
        assert (await client.send(thing)).json()["caller"] == algorithm
        plain = httpx.Request("POST", url, content=ASKED, headers={"content-type": "application/json"})
        assert await code_of(client, plain) == (401, "missing_api_key")

    assert len(upstream.requests) == 2


@pytest.mark.parametrize("algorithm", THEIRS)
async def test_our_own_client_is_let_in_by_one_signature_a_call(
    algorithm: str, simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    auth: dict[str, Any] = {"type": "http_signature", "key_id": f"{algorithm}-1", "algorithm": algorithm}
    if algorithm == "hmac-sha256":
        auth["secret"] = b64encode(SECRET).decode()
    else:
        (tmp_path / "key.pem").write_bytes(private(algorithm))
        auth["key_file"] = str(tmp_path / "key.pem")
    async with gateway_for(upstream, settings=access(tmp_path)) as served:

        def client(**more: Any) -> Router:
            provider = {"type": "openai", "base_url": f"{served.url}/v1", "auth": {**auth, **more}}
            return Router.from_config(
                {"providers": {"gw": provider}, "models": {MODEL: {"deployments": [f"gw/{MODEL}"]}}}
            )

        async with client(nonce=True) as router:
            answers = [await router.chat(MODEL, "Why?") for _ in range(2)]
            assert [each.text for each in answers] == ["Because."] * 2
            assert await router.provider("gw").models()
            async with router.stream(MODEL, "Why?") as stream:
                [_ async for _ in stream]
                assert stream.text == "Because."
        async with client() as router:  # without a nonce
            with pytest.raises((AuthenticationFailed, Unavailable), match="say nonce"):
                await router.chat(MODEL, "Why?")


@pytest.mark.parametrize("algorithm", THEIRS)
async def test_another_implementation_verifies_what_we_sign(algorithm: str, tmp_path: Path) -> None:
    from pointsman.plugin import Outgoing, system_rng
    from pointsman.testing import Contexts, SystemClock
    from pointsman_auth_http import HttpSignature, HttpSignatureSettings

    given: dict[str, Any] = {
        "key_id": "k",
        "algorithm": algorithm,
        "nonce": True,
        "expires": "1m",
        "tag": "t",
    }
    if algorithm == "hmac-sha256":
        given["secret"], public_key = b64encode(SECRET).decode(), SECRET
    else:
        (tmp_path / "key.pem").write_bytes(private(algorithm))
        given["key_file"], public_key = tmp_path / "key.pem", public(algorithm)
    context = Contexts(SystemClock(), system_rng()).auth(
        "http_signature",
        HttpSignatureSettings.model_validate(given),
        provider="a",
        http=lambda _: pytest.fail("it asks nobody"),
    )
    request = httpx.Request("POST", "http://h.test:80/v1/chat?a=b%20c&", content=ASKED)
    headers = {**request.headers, "host": "h.test", "content-type": "application/json"}

    added = HttpSignature(context).sign(Outgoing("POST", str(request.url), headers, ASKED))
    request.headers.update({"content-type": "application/json", **added})

    verifier = HTTPMessageVerifier(
        signature_algorithm=THEIRS[algorithm],
        key_resolver=MappingKeyResolver(public_keys={"k": public_key}, private_keys={}),
    )
    (result,) = verifier.verify(request, body=ASKED, require_components=COVERED)
    assert result.body == ASKED
