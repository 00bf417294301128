"""What a request says of its signatures, read; and the vectors of RFC 9421 and 9530, verified."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
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

from pointsman.plugin import ConfigError
from pointsman_auth_http.keys import Algorithm, Verify, private_key, public_key, verifying_secret
from pointsman_auth_http.signature_base import content_digest, parameters, signature_base
from pointsman_auth_http.signature_fields import Signed, Unreadable, digests, signatures

PEMS: dict[Algorithm, str] = {
    "ed25519": ED25519,
    "ecdsa-p256-sha256": ECC_P256,
    "rsa-pss-sha512": RSA_PSS,
}


def public(pem: str) -> bytes:
    key = load_pem_private_key(pem.encode(), None).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def verifier(algorithm: Algorithm) -> Verify:
    if algorithm == "hmac-sha256":
        return verifying_secret(SHARED_SECRET, "it")
    return public_key(public(PEMS[algorithm]), algorithm, "it")


def base_of(signed: Signed) -> bytes:
    headers = {**REQUEST.headers, "content-digest": DIGEST}
    return signature_base(REQUEST, headers, signed.covered, parameters(signed.covered, signed.values))


# ── the vectors ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("vector", "algorithm"),
    [
        (B21, "rsa-pss-sha512"), (B23, "rsa-pss-sha512"), (B25, "hmac-sha256"), (B26, "ed25519"),
    ],
)  # fmt: skip
def test_what_the_rfc_signed_is_read_and_verified_and_any_other_bit_is_not(
    vector: tuple[str, str], algorithm: Algorithm
) -> None:
    (signed,) = signatures(*vector)
    verify = verifier(algorithm)

    assert parameters(signed.covered, signed.values) == vector[0].partition("=")[2]
    assert signed.plain
    assert signed.values["created"] == CREATED
    base = base_of(signed)
    assert verify(signed.signature, base)
    assert not verify(signed.signature, base + b" ")
    assert not verify(signed.signature[:-1] + bytes([signed.signature[-1] ^ 1]), base)
    assert not verify(b"", base)


def test_the_signature_of_an_answer_is_verified_by_its_base() -> None:
    (signed,) = signatures(*B24)
    described = B24[0].partition("=")[2]
    base = (
        f'"@status": 200\n"content-type": application/json\n"content-digest": {RESPONSE_DIGEST}\n'
        f'"content-length": 23\n"@signature-params": {described}'
    ).encode()
    verify = verifier("ecdsa-p256-sha256")

    assert verify(signed.signature, base)
    assert not any(
        verify(each, base) for each in (signed.signature[:-1], signed.signature + b"\0", b"\0" * 64)
    )


def test_the_digests_are_those_of_rfc_9530() -> None:
    assert digests(DIGEST) == {"sha-512": digests(content_digest(REQUEST.body, "sha-512"))["sha-512"]}
    both = f"md5=:AAAA:, {content_digest(b'x', 'sha-256')} , {content_digest(b'x', 'sha-512')}"
    assert list(digests(both)) == ["sha-256", "sha-512"]


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────


def test_of_several_signatures_each_is_read_by_its_label() -> None:
    found = signatures(
        'a=("@method");created=1;keyid="x\\"\\\\", b=( "date"   "@query-param";name="q" );alg="y" ,c=();tag=?1',
        "c=:Yw==:, a=:YQ==:;more=1,b=:Yg:, d=:ZA==:",
    )

    assert [each.signature for each in found] == [b"a", b"b", b"c"]
    assert found[0].values == {"created": 1, "keyid": 'x"\\'}
    assert [each.plain for each in found] == [True, False, False]
    assert found[1].covered == ["date", "@query-param"]


@pytest.mark.parametrize(
    ("described", "signed"),
    [
        ("", "a=:YQ==:"), ('a=("date")', ""), ('a=("date"', "a=:YQ==:"), ('a=("date"),', "a=:YQ==:"),
        ('a="date"', "a=:YQ==:"), ("a=(date)", "a=:YQ==:"), ('A=("date")', "a=:YQ==:"), ("a=()", "a=YQ=="),
        ("a=()", "a=:Y:"), ("a=();created=1;created=2", "a=:YQ==:"), ("a=(), a=()", "a=:YQ==:"),
        ("a=()", "a=:YQ==:, a=:Yg==:"), ("a=();created=1.5.5", "a=:YQ==:"), ('a=();keyid="\xe9"', "a=:YQ==:"),
        ("a=()\n", "a=:YQ==:"), ("a=();created=1234567890123456", "a=:YQ==:"), ("a=() b=()", "a=:YQ==:"),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_none_is_refused(described: str, signed: str) -> None:
    with pytest.raises(Unreadable):
        signatures(described, signed)


@given(st.text(st.sampled_from('ab=();,"\\ :@1.-?\t*'), max_size=60), st.text(max_size=20))
@example('a=("' + "\\\\" * 8000, "a=:YQ==:")
@example("a=(" + '"a" ' * 4000, "a=:YQ==:")
@example("a=()" + ";a" * 8000 + "!", "a=:YQ==:")
def test_nothing_that_can_be_sent_takes_long_or_fails_otherwise(described: str, signed: str) -> None:
    for arguments in (described, "a=:YQ==:"), ("a=()", signed), ("a=()", described):
        try:
            assert all(isinstance(each, Signed) for each in signatures(*arguments))
        except Unreadable:
            pass


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)


@given(
    covered=st.lists(PRINTABLE, max_size=4),
    values=st.dictionaries(
        st.from_regex(r"[a-z*][a-z0-9_.*-]{0,8}", fullmatch=True),
        PRINTABLE | st.integers(-(10**15) + 1, 10**15 - 1),
        max_size=4,
    ),
    signature=st.binary(max_size=80),
)
def test_what_is_written_is_read_as_it_was(
    covered: list[str], values: dict[str, Any], signature: bytes
) -> None:
    described = parameters(covered, values)

    assert signatures(f"x={described}", f"x=:{b64encode(signature).decode()}:") == [
        Signed(covered, values, signature)
    ]


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────


def pem(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize(
    ("content", "algorithm", "said"),
    [
        (b"text", "ed25519", "is no public key in PEM"),
        (ED25519.encode(), "ed25519", "is no public key in PEM"),
        (public(ED25519), "ecdsa-p256-sha256", "is none for ecdsa"),
        (public(RSA_PSS), "ed25519", "is none for ed25519"),
        (pem(ec.generate_private_key(ec.SECP384R1()).public_key()), "ecdsa-p256-sha256", "is none for"),
        (pem(rsa.generate_private_key(65537, 1024).public_key()), "rsa-pss-sha512", "is none for rsa"),
    ],
)
def test_a_key_is_for_one_algorithm(content: bytes, algorithm: Algorithm, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        public_key(content, algorithm, "it")


@pytest.mark.parametrize("algorithm", PEMS)
@settings(max_examples=15, deadline=None)
@given(data=st.binary(max_size=50), other=st.binary(max_size=50))
def test_what_one_side_signs_the_other_verifies_and_nothing_else(
    algorithm: Algorithm, data: bytes, other: bytes
) -> None:
    signature = private_key(PEMS[algorithm].encode(), algorithm, "it")(data)

    verify = verifier(algorithm)
    assert verify(signature, data)
    assert verify(signature, other) is (other == data)


def test_a_private_key_in_another_form_is_no_public_one() -> None:
    key = rsa.generate_private_key(65537, 2048)
    with pytest.raises(ConfigError, match="no public key"):
        public_key(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "rsa-pss-sha512", "it"
        )
