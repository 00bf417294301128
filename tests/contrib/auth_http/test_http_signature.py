"""HTTP Message Signatures: the vectors of RFC 9421 and 9530, over real sockets, and keys that are none."""

from __future__ import annotations

import logging
import random
import re
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from rfc9421_vectors import (
    B21,
    B23,
    B24,
    B25,
    B26,
    CREATED,
    DIGEST,
    ECC_P256,
    ED25519,
    REQUEST,
    RESPONSE_DIGEST,
    RSA_PSS,
    SHARED_SECRET,
)
from small_server import CHAT, Answered, Request, serving

from pointsman import Router
from pointsman.plugin import AuthContext, Outgoing
from pointsman.testing import SystemClock
from pointsman.testing.contract import AuthContract
from pointsman_auth_http import HttpSignature, HttpSignatureSettings
from pointsman_auth_http.keys import ALGORITHMS, private_key
from pointsman_auth_http.signature_base import DERIVED, content_digest, parameters, signature_base

KEYS = {"ed25519": ED25519, "ecdsa-p256-sha256": ECC_P256, "rsa-pss-sha512": RSA_PSS}


class At(SystemClock):
    """The wall clock of the vectors."""

    def wall(self) -> float:
        return CREATED + 0.9


def signer(folder: Path, algorithm: str, **settings: Any) -> HttpSignature:
    if algorithm == "hmac-sha256":
        settings.setdefault("secret", SHARED_SECRET)
    else:
        settings["key_file"] = folder / "key.pem"
        settings["key_file"].write_text(KEYS[algorithm])
    given = {"key_id": "k", "algorithm": algorithm, **settings}
    return HttpSignature(
        AuthContext(
            name="http_signature",
            settings=HttpSignatureSettings.model_validate(given),
            clock=At(),
            rng=random.Random(1),
            log=logging.getLogger("test"),
            provider="here",
            http=lambda _endpoint: pytest.fail("it asks nobody"),
        )
    )


def key_of(algorithm: str) -> Any:
    return load_pem_private_key(KEYS[algorithm].encode(), None).public_key()


def raw(signature: str) -> bytes:
    """The bytes of the only signature in a header."""
    found = re.fullmatch(r"[^=]+=:([A-Za-z0-9+/=]*):", signature)
    assert found
    return b64decode(found[1])


def verify(algorithm: str, signature: bytes, base: bytes) -> None:
    """Raises InvalidSignature."""
    match algorithm:
        case "ed25519":
            key_of(algorithm).verify(signature, base)
        case "ecdsa-p256-sha256":
            r, s = (int.from_bytes(each, "big") for each in (signature[:32], signature[32:]))
            key_of(algorithm).verify(utils.encode_dss_signature(r, s), base, ec.ECDSA(SHA256()))
        case _:
            pss = padding.PSS(padding.MGF1(SHA512()), 64)
            key_of(algorithm).verify(signature, base, pss, SHA512())


# ── the vectors ──────────────────────────────────────────────────────────────────────────────────────


def test_ed25519_signs_as_b_2_6_has_it(tmp_path: Path) -> None:
    covered = ["date", "@method", "@path", "@authority", "content-type", "content-length"]
    auth = signer(tmp_path, "ed25519", key_id="test-key-ed25519", label="sig-b26", covered=covered)

    added = auth.sign(REQUEST)

    assert (added["signature-input"], added["signature"]) == B26


def test_hmac_sha256_signs_as_b_2_5_has_it(tmp_path: Path) -> None:
    covered = ["date", "@authority", "content-type"]
    auth = signer(tmp_path, "hmac-sha256", key_id="test-shared-secret", label="sig-b25", covered=covered)

    added = auth.sign(REQUEST)

    assert (added["signature-input"], added["signature"]) == B25


@pytest.mark.parametrize(
    ("vector", "covered", "more"),
    [
        (B21, [], {"nonce": "b3k2pp5k7z-50gnwp.yemd"}),
        (
            B23,
            ["date", "@method", "@path", "@query", "@authority", "content-type", "content-digest", "content-length"],
            {},
        ),
    ],
)  # fmt: skip
def test_rsa_pss_sha512_signs_what_b_2_1_and_b_2_3_have(
    vector: tuple[str, str], covered: Sequence[str], more: dict[str, str]
) -> None:
    described = vector[0].partition("=")[2]
    assert parameters(covered, {"created": CREATED, "keyid": "test-key-rsa-pss", **more}) == described
    base = signature_base(REQUEST, {**REQUEST.headers, "content-digest": DIGEST}, covered, described)

    verify("rsa-pss-sha512", raw(vector[1]), base)
    verify("rsa-pss-sha512", private_key(RSA_PSS.encode(), "rsa-pss-sha512", "it")(base), base)


def test_ecdsa_p256_sha256_signs_in_the_form_that_b_2_4_has() -> None:
    described = B24[0].partition("=")[2]
    base = (
        f'"@status": 200\n"content-type": application/json\n"content-digest": {RESPONSE_DIGEST}\n'
        f'"content-length": 23\n"@signature-params": {described}'
    ).encode()

    verify("ecdsa-p256-sha256", raw(B24[1]), base)
    ours = private_key(ECC_P256.encode(), "ecdsa-p256-sha256", "it")(base)
    assert len(ours) == 64
    verify("ecdsa-p256-sha256", ours, base)


@pytest.mark.parametrize(
    ("body", "algorithm", "value"),
    [
        (b'{"hello": "world"}', "sha-512", DIGEST),
        (b'{"message": "good dog"}', "sha-512", RESPONSE_DIGEST),
        (b'{"hello": "world"}', "sha-256", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
    ],
)
def test_the_digest_is_that_of_rfc_9530(body: bytes, algorithm: str, value: str) -> None:
    assert content_digest(body, algorithm) == value


# ── what is signed ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "host", "expected"),
    [
        (
            "https://example.com/foo?param=Value&Pet=dog",
            "example.com",
            {
                "@path": "/foo",
                "@query": "?param=Value&Pet=dog",
                "@authority": "example.com",
                "@scheme": "https",
            },
        ),
        (
            "https://Example.com:443/",
            "Example.com:443",
            {"@authority": "example.com", "@path": "/", "@query": "?"},
        ),
        (
            "http://h:443/caf%C3%A9/?a",
            "h:443",
            {"@authority": "h:443", "@path": "/caf%C3%A9/", "@query": "?a"},
        ),
        ("http://h:80/a?b?c", "h:80", {"@authority": "h", "@request-target": "/a?b?c", "@query": "?b?c"}),
        (
            "http://[::1]:8080/",
            "[::1]:8080",
            {"@authority": "[::1]:8080", "@target-uri": "http://[::1]:8080/"},
        ),
    ],
)
def test_derived_components_are_those_of_the_request(url: str, host: str, expected: dict[str, str]) -> None:
    outgoing = Outgoing("GET", url, {"host": host}, b"")

    assert {name: DERIVED[name](outgoing) for name in expected} == expected


def test_what_a_request_lacks_is_left_out_and_the_input_says_so(tmp_path: Path) -> None:
    auth = signer(tmp_path, "ed25519")

    without_body = auth.sign(Outgoing("GET", "https://h/", {"host": "h"}, b""))

    assert "content-digest" not in without_body
    assert without_body["signature-input"].startswith(
        'sig1=("@method" "@authority" "@path" "@query");created='
    )
    assert '"content-type" "content-digest"' in auth.sign(REQUEST)["signature-input"]


def test_parameters_stand_in_a_fixed_order_and_are_escaped(tmp_path: Path) -> None:
    auth = signer(
        tmp_path, "ed25519", key_id='a"b\\c', covered=["@method"], expires="5m", nonce=True, tag="t"
    )

    first, second = (auth.sign(REQUEST)["signature-input"] for _ in range(2))

    wanted = rf'sig1=\("@method"\);created={CREATED};expires={CREATED + 300};keyid="a\\"b\\\\c";nonce="(\w{{32}})";tag="t"'
    nonces = [re.fullmatch(wanted, each) for each in (first, second)]
    assert all(nonces)
    assert first != second


@pytest.mark.parametrize("transport", ["httpx", "aiohttp", "h1"])
@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_server_can_verify_every_call_and_notices_a_changed_one(
    algorithm: str, transport: str, tmp_path: Path
) -> None:
    seen: list[bool] = []

    def check(request: Request, body: bytes) -> bool:
        described = request.headers["signature-input"].partition("=")[2]
        covered = re.findall(r'"([^"]+)"', described.partition(")")[0])
        received = Outgoing(
            request.method, f"http://{request.headers['host']}{request.target}", request.headers, body
        )
        digest = content_digest(body, "sha-256") if body else None
        try:
            base = signature_base(received, request.headers, covered, described)
            verify(algorithm, raw(request.headers["signature"]), base)
        except InvalidSignature:
            return False
        return request.headers.get("content-digest") == digest

    def handle(request: Request) -> Answered:
        assert "authorization" not in request.headers
        seen.extend([check(request, request.body), check(request, request.body + b" ")])
        return 200, {"data": []} if request.method == "GET" else CHAT

    (tmp_path / "key.pem").write_text(KEYS[algorithm])
    auth = {
        "type": "http_signature",
        "key_id": "k",
        "algorithm": algorithm,
        "key_file": str(tmp_path / "key.pem"),
    }
    async with serving(handle) as url:
        config = {
            "transport": transport,
            "providers": {"a": {"type": "openai", "base_url": f"{url}/v1", "auth": auth}},
            "models": {"m": {"deployments": ["a/x"]}},
        }
        async with Router.from_config(config) as router:
            assert (await router.chat("m", "caf\xe9")).text == "hi"
            await router.provider("a").models()

    assert seen == [True, False, True, False]


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────

CONFIG = {"key_id": "k", "algorithm": "ed25519"}
SMALL_RSA = rsa.generate_private_key(65537, 1024)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no key": ({}, "give either `key_file` or `secret`"),
    "two keys": ({"secret": "c2VjcmV0", "key_file": "rsa"}, "give either `key_file` or `secret`"),
    "a secret for a pair": ({"secret": SHARED_SECRET}, "`secret` is for hmac-sha256; ed25519 needs a `key_file`"),
    "no base64": ({"algorithm": "hmac-sha256", "secret": "s3cr3t!"}, "the secret from the configuration is not in base64"),
    "a short secret": ({"algorithm": "hmac-sha256", "secret": "c2VjcmV0"}, "has 6 bytes, of 16 at least"),
    "another kind of key": ({"key_file": "rsa"}, "is none for ed25519"),
    "another curve": ({"key_file": "p384", "algorithm": "ecdsa-p256-sha256"}, "is none for ecdsa-p256-sha256"),
    "a small key": ({"key_file": "small", "algorithm": "rsa-pss-sha512"}, "is none for rsa-pss-sha512"),
    "no key in the file": ({"key_file": "text"}, "is no private key in PEM without a password"),
    "no file": ({"key_file": "nowhere"}, "cannot be read"),
    "a folder": ({"key_file": "."}, "cannot be read"),
    "a device": ({"key_file": "/dev/zero"}, "it is not a regular file"),
    "a large file": ({"key_file": "large"}, "it is larger than 64KiB"),
    "another algorithm": ({"algorithm": "none", "key_file": "rsa"}, "algorithm"),
    "an unknown component": ({"covered": ["@status"], "key_file": "rsa"}, "'@status' is none of @method"),
    "twice the same": ({"covered": ["Date", "date"], "key_file": "rsa"}, "it names something twice"),
    "a line break": ({"key_id": "a\nb", "key_file": "rsa"}, "key_id"),
    "a bad label": ({"label": "Sig 1", "key_file": "rsa"}, "label"),
}  # fmt: skip


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    def pem(key: Any) -> bytes:
        return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    (tmp_path / "rsa").write_text(RSA_PSS)
    (tmp_path / "p384").write_bytes(pem(ec.generate_private_key(ec.SECP384R1())))
    (tmp_path / "small").write_bytes(pem(SMALL_RSA))
    (tmp_path / "text").write_text("sk-s3cr3t-in-the-wrong-place")
    (tmp_path / "large").write_bytes(b"x" * (1 << 17))
    return tmp_path


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_sign_is_said_when_the_router_is_built(case: str, keys: Path) -> None:
    given, said = WRONG[case]
    auth = {"type": "http_signature", **CONFIG, **given}
    if "key_file" in auth:
        auth["key_file"] = str(keys / auth["key_file"])
    config = {"providers": {"a": {"type": "openai", "auth": auth}}, "models": {"m": {"deployments": ["a/x"]}}}

    with pytest.raises(Exception, match=re.escape(said)) as raised:
        Router.from_config(config)

    assert "s3cr3t" not in str(raised.value)


def test_nothing_shows_the_key(tmp_path: Path) -> None:
    auth = signer(tmp_path, "hmac-sha256")

    shown = f"{auth!r} {auth} {vars(auth)}"

    assert SHARED_SECRET not in shown
    assert SHARED_SECRET[:20] not in shown


class TestSigning(AuthContract):
    @pytest.fixture(autouse=True, params=ALGORITHMS)
    def folder(self, tmp_path: Path, request: Any) -> None:
        self.path, self.algorithm = tmp_path, request.param

    def make(self) -> HttpSignature:
        return signer(self.path, self.algorithm)
