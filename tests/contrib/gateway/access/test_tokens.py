"""Tokens: what is taken of them, and above all what is not."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from pointsman.plugin import ConnectionFailed
from pointsman_gateway.access import key_sets
from pointsman_gateway.access.admission import Denied
from pointsman_gateway.access.key_sets import FixedKeys, PublishedKeys
from pointsman_gateway.access.settings import JwtSettings
from pointsman_gateway.access.tokens import Issuer, Tokens

ISSUER = "https://id.example.com"
SECRET = "s" * 32
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
NOW = 1_800_000_000.0


class HeldClock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> float:
        return 1_000.0 + self.passed

    def wall(self) -> float:
        return NOW + self.passed

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps")


def claims(**other: Any) -> dict[str, Any]:
    said = {
        "iss": ISSUER, "aud": "pointsman", "sub": "alice", "exp": NOW + 300, "nbf": NOW - 10, "iat": NOW - 10,
        **other,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value is not None}


def jwk(key: Any, id: str, **more: Any) -> dict[str, Any]:
    of = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    kind = next((each for base, each in of.items() if isinstance(key, base)), OKPAlgorithm)
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": id, **more}


class Published:
    """An issuer's key set, with how often it was asked for."""

    def __init__(self, *keys: Mapping[str, Any]) -> None:
        self.keys: list[Mapping[str, Any]] = list(keys)
        self.asked = 0
        self.away = False

    async def __call__(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionFailed("not there", sent=False)
        return json.dumps({"keys": self.keys}).encode()


def tokens(published: Published, clock: HeldClock | None = None, **other: Any) -> Tokens:
    clock = clock or HeldClock()
    settings = JwtSettings.model_validate(
        {"issuer": ISSUER, "audience": "pointsman", "jwks": f"{ISSUER}/set", "algorithms": ["RS256"], **other}
    )
    return Tokens([Issuer(settings, PublishedKeys(published, clock, settings.algorithms))], clock)


def shared(clock: HeldClock | None = None) -> Tokens:
    settings = JwtSettings.model_validate(
        {"issuer": ISSUER, "audience": "pointsman", "secret": SECRET, "algorithms": ["HS256"]}
    )
    keys = FixedKeys([key_sets.from_secret(SECRET, ["HS256"])])
    return Tokens([Issuer(settings, keys)], clock or HeldClock(), frozenset(["ci"]))


def signed(key: Any = RSA, algorithm: str = "RS256", id: str | None = "a", **other: Any) -> str:
    headers = {} if id is None else {"kid": id}
    return jwt.encode(claims(**other), key, algorithm, headers=headers)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "EdDSA")],
    ids=lambda each: str(each)[:5],
)
async def test_a_token_of_the_issuer_is_worth_what_it_says(key: Any, algorithm: str) -> None:
    found = await tokens(
        Published(jwk(OTHER, "old"), jwk(key, "a")),
        algorithms=[algorithm],
        models="claim:models",
        operator={"claim": "roles", "has": "admin"},
        labels={"team": "qa"},
    ).find(signed(key, algorithm, models=["assistant"], roles="user admin"))

    assert found is not None
    assert found.caller.name == "alice"
    assert found.caller.models == {"assistant"}
    assert found.caller.operator
    assert found.caller.labels == {"team": "qa"}


async def test_a_claim_that_is_not_there_grants_nothing() -> None:
    entry = {"models": "claim:models", "operator": {"claim": "roles", "has": "admin"}}

    found = await tokens(Published(jwk(RSA, "a")), **entry).find(signed(roles={"admin": True}))

    assert found is not None
    assert found.caller.models == frozenset()
    assert not found.caller.operator


@pytest.mark.parametrize(
    "other",
    [
        {"aud": "someone-else"}, {"aud": None}, {"aud": ["x", "y"]}, {"aud": {"pointsman": 1}},
        {"exp": NOW - 61}, {"exp": None}, {"exp": "never"}, {"exp": True}, {"exp": 1e300},
        {"nbf": NOW + 61}, {"nbf": None}, {"iat": NOW + 61},
        {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": "a\nb"}, {"sub": "x" * 201}, {"sub": ["alice"]},
    ],
    ids=str,
)  # fmt: skip
async def test_a_token_whose_claims_do_not_hold_is_refused(other: dict[str, Any]) -> None:
    token = jwt.api_jws.encode(json.dumps(claims(**other)).encode(), RSA, "RS256", headers={"kid": "a"})

    with pytest.raises(Denied) as refused:
        await tokens(Published(jwk(RSA, "a"))).find(token)

    assert refused.value.problem.code == "invalid_token"


@pytest.mark.parametrize("other", [{"exp": NOW - 59}, {"nbf": NOW + 59}, {"aud": ["x", "pointsman"]}])
async def test_clocks_may_differ_by_a_minute(other: dict[str, Any]) -> None:
    assert await tokens(Published(jwk(RSA, "a"))).find(signed(**other)) is not None


async def test_an_issuer_without_nbf_can_be_let_be() -> None:
    assert await tokens(Published(jwk(RSA, "a")), not_before="optional").find(signed(nbf=None)) is not None


def _part(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(header: Any, body: Any, signature: str = "") -> str:
    return f"{_part(header)}.{_part(body)}.{signature}"


PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _hs_with_public_key() -> str:
    head, body = _part({"alg": "HS256", "kid": "a"}), _part(claims())
    import hmac

    signature = hmac.digest(PEM.encode(), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


FORGED = {
    "alg none": forged({"alg": "none", "kid": "a"}, claims()),
    "alg None": forged({"alg": "NONE", "kid": "a"}, claims(), "AAAA"),
    "no alg": forged({"kid": "a"}, claims(), "AAAA"),
    "alg a list": forged({"alg": ["RS256"], "kid": "a"}, claims(), "AAAA"),
    "the public key as a secret": _hs_with_public_key(),
    "another key": signed(OTHER),
    "another algorithm of the same key": signed(RSA, "PS256"),
    "its own key in the head": jwt.encode(
        claims(), OTHER, "RS256", headers={"kid": "a", "jwk": jwk(OTHER, "a"), "jku": "https://evil.example"}
    ),
    "extensions": jwt.encode(claims(), RSA, "RS256", headers={"kid": "a", "crit": ["exp"]}),
    "no signature": signed().rpartition(".")[0] + ".",
    "another body": ".".join([signed().split(".")[0], _part(claims(sub="root")), signed().split(".")[2]]),
    "deep": "ey" + "J" * 8 + "." + urlsafe_b64encode(b'{"a":' * 3000).decode() + ".x",
    "no json": "eyJ.eyJ.x",
    "not ascii": "eyJ\xe9.eyJ.x",
}


@pytest.mark.parametrize("how", FORGED)
async def test_no_forged_token_is_taken(how: str) -> None:
    with pytest.raises(Denied) as refused:
        await tokens(Published(jwk(RSA, "a"))).find(FORGED[how])

    assert refused.value.problem.kind == "authentication"


async def test_a_claim_that_stands_twice_is_refused() -> None:
    body = json.dumps(claims())[:-1] + ', "sub": "root"}'
    token = jwt.api_jws.encode(body.encode(), RSA, "RS256", headers={"kid": "a"})

    with pytest.raises(Denied, match="cannot be read"):
        await tokens(Published(jwk(RSA, "a"))).find(token)


async def test_a_token_cannot_call_itself_as_a_configured_key() -> None:
    with pytest.raises(Denied, match="as a key"):
        await shared().find(jwt.encode(claims(sub="ci"), SECRET, "HS256"))


async def test_a_token_of_an_issuer_that_nobody_named_is_none_of_ours() -> None:
    assert await tokens(Published(jwk(RSA, "a"))).find(signed(iss="https://evil.example")) is None
    assert await tokens(Published(jwk(RSA, "a"))).find("pm_abcdefgh_" + "k" * 43) is None


async def test_an_expired_token_is_forgotten_by_those_who_know_it() -> None:
    clock = HeldClock()
    known, token = shared(clock), jwt.encode(claims(), SECRET, "HS256")
    assert await known.find(token) is not None
    clock.passed = 361

    with pytest.raises(Denied, match="expired"):
        await known.find(token)


async def test_a_set_is_asked_for_once_by_all_who_wait_for_it() -> None:
    published = Published(jwk(RSA, "a"))
    known = tokens(published)

    found = await asyncio.gather(*(known.find(signed(jti=str(n))) for n in range(20)))

    assert all(each is not None for each in found)
    assert published.asked == 1


async def test_an_unknown_key_is_asked_for_once_a_minute_and_then_refused() -> None:
    published, clock = Published(jwk(RSA, "a")), HeldClock()
    known = tokens(published, clock)
    await known.find(signed())

    for n in range(5):
        with pytest.raises(Denied):
            await known.find(signed(OTHER, id=f"made up {n}"))
    assert published.asked == 1

    clock.passed = 61
    published.keys = [jwk(OTHER, "b")]
    assert await known.find(signed(OTHER, id="b")) is not None
    assert published.asked == 2
    with pytest.raises(Denied):
        await known.find(signed())  # its key is no longer in the set, and what was known of it is void


async def test_a_set_that_cannot_be_had_goes_on_to_hold_for_a_day() -> None:
    published, clock = Published(jwk(RSA, "a")), HeldClock()
    known = tokens(published, clock)
    await known.find(signed(exp=NOW + 1e6))
    published.away = True

    clock.passed = 86_000
    assert await known.find(signed(exp=NOW + 1e6, jti="2")) is not None
    await asyncio.sleep(0)
    clock.passed = 86_500
    with pytest.raises(Denied) as refused:
        await known.find(signed(exp=NOW + 1e6, jti="3"))

    assert refused.value.problem.code == "key_set_unavailable"


@pytest.mark.parametrize(
    "key",
    [
        jwk(RSA, "a", use="enc"), jwk(RSA, "a", alg="RS512"), {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "a"}, {"kty": "RSA", "kid": "a"}, jwk(EC, "a"), "nothing",
    ],
    ids=range(7),
)  # fmt: skip
async def test_keys_that_cannot_verify_are_passed_over(key: Any) -> None:
    with pytest.raises(Denied) as refused:
        await tokens(Published(key)).find(signed())

    assert refused.value.problem.code == "key_set_unavailable"
