"""Requests that their callers signed: who that is, what has to be signed, and what is refused."""

from __future__ import annotations

import hashlib
import random
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman.plugin import ConfigError, Outgoing, Route, WholeReply
from pointsman_auth_http.keys import Algorithm, Sign, private_key, shared_secret
from pointsman_auth_http.signature_base import byte_sequence, content_digest, parameters, signature_base
from pointsman_gateway.access import rules
from pointsman_gateway.access.admission import Denied, Head
from pointsman_gateway.access.gate import Gate
from pointsman_gateway.access.nonces import Nonces
from pointsman_gateway.access.settings import AccessSettings
from pointsman_gateway.exchange.head import head_of

SECRET = b64encode(bytes(range(32))).decode()
KEY = "ci-" + "k" * 32
PRIVATE: dict[Algorithm, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ecdsa-p256-sha256": ec.generate_private_key(ec.SECP256R1()),
    "rsa-pss-sha512": rsa.generate_private_key(65537, 2048),
}
ALL: list[Algorithm] = [*PRIVATE, "hmac-sha256"]
COVERED = ("@method", "@authority", "@path", "@query", "content-digest")
BODY = b'{"model": "m"}'


class At:
    """Both clocks, that of the wall apart."""

    def __init__(self) -> None:
        self.passed, self.set_back = 0.0, 0.0

    def now(self) -> float:
        return self.passed

    def wall(self) -> float:
        return 1_800_000_000.5 + self.passed - self.set_back

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps")


async def handler(asked: object) -> WholeReply:
    return WholeReply()


CHAT = Route("POST", "/v1/chat/completions", handler)


def signers(folder: Path) -> list[dict[str, Any]]:
    """One for each algorithm, with a key of its name."""
    for name, key in PRIVATE.items():
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pem").write_bytes(pem)
    said = [{"name": f"by-{each}", "key_id": each, "algorithm": each} for each in ALL]
    return [
        {
            **each,
            **(
                {"secret": SECRET}
                if each["key_id"] == "hmac-sha256"
                else {"key_file": f"{each['key_id']}.pem"}
            ),
        }
        for each in said
    ]


def gate(folder: Path, clock: At | None = None, said: Mapping[str, Any] | None = None, **more: Any) -> Gate:
    clock = clock or At()
    access = AccessSettings.model_validate({"signatures": signers(folder), "loopback": False, **(said or {})})
    built = rules.build(
        access, pepper=b"p" * 32, clock=clock, directory=folder, hosts=["gw.example.com"], **more
    )
    return Gate(built.rules, clock)


def signing(algorithm: Algorithm) -> Sign:
    if algorithm == "hmac-sha256":
        return shared_secret(SECRET, "it")
    pem = PRIVATE[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private_key(pem, algorithm, "it")


Fields = list[tuple[str, str]]


def signed(
    *,
    algorithm: Algorithm = "ed25519",
    method: str = "POST",
    target: str = "/v1/chat/completions?a=b%20c",
    host: str = "gw.example.com",
    scheme: str = "http",
    body: bytes = BODY,
    covered: tuple[str, ...] = COVERED,
    label: str = "sig1",
    fields: Mapping[str, str] | None = None,
    **values: Any,
) -> Fields:
    """The fields of a signed request; `values` of None are left out."""
    lengths = {"content-length": str(len(body)), "content-type": "application/json"} if body else {}
    digest = {"content-digest": content_digest(body, "sha-256")} if body else {}
    headers = {"host": host, **lengths, **digest, **(fields or {})}
    covered = tuple(each for each in covered if each.startswith("@") or each in headers)
    said = {
        "created": 1_800_000_000,
        "keyid": algorithm,
        "nonce": f"{random.getrandbits(128):032x}",
        **values,
    }
    described = parameters(covered, {name: value for name, value in said.items() if value is not None})
    base = signature_base(
        Outgoing(method, f"{scheme}://{host}{target}", headers, body), headers, covered, described
    )
    signature = byte_sequence(signing(algorithm)(base))
    return [
        *headers.items(),
        ("signature-input", f"{label}={described}"),
        ("signature", f"{label}={signature}"),
    ]


def head(
    fields: Fields, target: str = "/v1/chat/completions?a=b%20c", method: str = "POST", scheme: str = "http"
) -> Head:
    """As a server tells it."""
    path, _, query = target.partition("?")
    return head_of(
        {
            "method": method,
            "scheme": scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields],
            "client": ("10.0.0.9", 1234),
            "server": ("10.0.0.1", 4000),
        }
    )


async def code(at: Gate, asked: Head) -> str:
    """Why not; "" when it is let in."""
    try:
        await at.admit(asked, CHAT)
    except Denied as refused:
        assert refused.problem.kind == "authentication" or refused.problem.code in (
            "two_credentials",
            "nonces_full",
        )
        return refused.problem.code
    return ""


# ── who that is ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("algorithm", ALL)
async def test_who_signs_is_who_has_the_key_and_needs_no_other(algorithm: Algorithm, tmp_path: Path) -> None:
    at = gate(tmp_path)

    caller = await at.admit(head(signed(algorithm=algorithm)), CHAT)

    assert caller.name == f"by-{algorithm}"
    assert await code(at, head(signed(algorithm=algorithm, alg=algorithm))) == ""


@pytest.mark.parametrize(
    "covered", [("@method", "@target-uri"), ("@method", "@authority", "@request-target")]
)
async def test_what_holds_a_component_stands_for_it(covered: tuple[str, ...], tmp_path: Path) -> None:
    assert await code(gate(tmp_path), head(signed(covered=(*covered, "content-digest")))) == ""


async def test_it_may_do_what_stands_beside_the_key(tmp_path: Path) -> None:
    more = {"models": ["m"], "limits": {"requests": "1/h"}, "labels": {"team": "qa"}}
    at = gate(tmp_path, said={"signatures": [{**each, **more} for each in signers(tmp_path)]})

    caller = await at.admit(head(signed()), CHAT)

    assert (caller.models, caller.labels, caller.operator) == ({"m"}, {"team": "qa"}, False)
    with pytest.raises(Denied) as raised:
        await at.admit(head(signed()), CHAT)
    refused = raised.value
    assert refused.problem.code == "caller_rate_limited"
    assert refused.caller is not None
    assert refused.caller.name == "by-ed25519"


async def test_with_a_key_it_would_be_two_callers(tmp_path: Path) -> None:
    at = gate(tmp_path, said={"keys": [{"name": "ci", "key": KEY}]})

    assert await code(at, head([*signed(), ("x-api-key", KEY)])) == "two_credentials"
    assert await code(at, head([*signed(), ("authorization", "Bearer sk-of-somebody-else")])) == ""
    theirs = signed(keyid="of-somebody-else")
    assert await code(at, head([*theirs, ("x-api-key", KEY)])) == ""
    assert (
        await code(at, head([*signed(nonce="n", target="/else"), ("x-api-key", KEY)])) == "invalid_signature"
    )


async def test_of_several_signatures_ours_is_found_by_its_key_and_two_of_ours_are_refused(
    tmp_path: Path,
) -> None:
    at, one, other = gate(tmp_path), dict(signed()), dict(signed(label="b", algorithm="hmac-sha256"))

    def both(first: Mapping[str, str], second: Mapping[str, str]) -> Fields:
        joined = {name: f"{first[name]}, {second[name]}" for name in ("signature-input", "signature")}
        return [*{**second, **joined}.items()]

    theirs = {"signature-input": 'proxy=("@status";req);keyid="theirs"', "signature": "proxy=:AAAA:"}
    assert await code(at, head(both(theirs, one))) == ""
    assert await code(at, head(both(dict(signed()), other))) == "two_credentials"


async def test_what_is_not_signed_needs_another_credential(tmp_path: Path) -> None:
    at = gate(tmp_path, said={"keys": [{"name": "ci", "key": KEY}]})
    plain = [(name, value) for name, value in signed() if not name.startswith("signature")]

    assert await code(at, head(plain)) == "missing_api_key"
    assert await code(at, head([*plain, ("x-api-key", KEY)])) == ""


async def test_a_websocket_is_opened_with_something_else(tmp_path: Path) -> None:
    fields = signed(method="GET", body=b"", fields={"upgrade": "websocket"})

    assert await code(gate(tmp_path), head(fields, method="GET")) == "signature_not_here"


async def test_the_scheme_is_the_one_that_a_trusted_proxy_tells(tmp_path: Path) -> None:
    fields = signed(scheme="https", covered=(*COVERED, "@scheme"), host="gw.example.com:443")

    assert await code(gate(tmp_path), head(fields, scheme="https")) == ""
    assert await code(gate(tmp_path), head(fields)) == "invalid_signature"


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────

WRONG: list[tuple[str, Callable[[], Fields]]] = [
    ("signature_unreadable", lambda: [*signed(), ("signature-input", "x=(")]),
    ("signature_unreadable", lambda: [each for each in signed() if each[0] != "signature"]),
    ("signature_unreadable", lambda: [*signed(), ("signature", "sig1=:AAAA:")]),
    *[
        ("signature_incomplete", lambda each=each: signed(covered=tuple(set(COVERED) - {each})))
        for each in COVERED
    ],
    ("signature_incomplete", lambda: signed(created=None)),
    ("signature_incomplete", lambda: signed(nonce=None)),
    ("signature_incomplete", lambda: signed(nonce="")),
    ("signature_incomplete", lambda: signed(nonce="n" * 257)),
    ("signature_incomplete", lambda: signed(created="1800000000")),
    ("signature_incomplete", lambda: signed(expires="soon")),
    ("signature_incomplete", lambda: signed(fields={"content-digest": "md5=:AAAA:"})),
    ("signature_incomplete", lambda: signed(fields={"content-digest": "no digest"})),
    ("signature_expired", lambda: signed(created=1_800_000_000 - 300)),
    ("signature_expired", lambda: signed(created=1_800_000_061)),
    ("signature_expired", lambda: signed(expires=1_800_000_000)),
    ("invalid_signature", lambda: signed(algorithm="hmac-sha256", keyid="ed25519")),
    ("invalid_signature", lambda: signed(alg="hmac-sha256")),
    ("invalid_signature", lambda: signed(keyid="nobody")),
    ("invalid_signature", lambda: signed(keyid=None)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "fields"), WRONG, ids=[f"{at}-{said}" for at, (said, _) in enumerate(WRONG)]
)
async def test_every_refusal_has_a_code(said: str, fields: Callable[[], Fields], tmp_path: Path) -> None:
    expected = "signature_incomplete" if (made := fields()) and "keyid" not in str(made) else said
    assert await code(gate(tmp_path), head(made)) == expected


async def test_nothing_tells_which_keys_there_are(tmp_path: Path) -> None:
    at = gate(tmp_path)

    async def answer(**changes: Any) -> Any:
        with pytest.raises(Denied) as raised:
            await at.admit(head(signed(**changes)), CHAT)
        return raised.value.problem

    for wrong in ({"target": "/"}, {"created": 1}, {"nonce": None}, {"covered": ("@method",)}):
        assert await answer(keyid="ed25519", **wrong) == await answer(keyid="nobody", **wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"}, {"target": "/v1/chat/completions?a=b c"}, {"target": "/v1/chat/completions?a=b+c"},
        {"target": "/v1/chat/completions"}, {"target": "/v1/chat/completions/?a=b%20c"},
        {"target": "/v1//chat/completions?a=b%20c"}, {"target": "/v1/%63hat/completions?a=b%20c"},
        {"target": "/v1/chat/completions?a=b%20c&"}, {"target": "/v1/chat/completions?A=b%20c"},
    ],
)  # fmt: skip
async def test_what_was_signed_is_what_came_letter_by_letter(change: dict[str, str], tmp_path: Path) -> None:
    assert await code(gate(tmp_path), head(signed(), **change)) == "invalid_signature"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_what_is_changed_is_refused_or_reads_the_same(data: Any, tmp_path: Path) -> None:
    at = gate(tmp_path)
    covered = (*COVERED, "content-type", "x-more")
    fields = signed(algorithm="hmac-sha256", covered=covered, fields={"x-more": "One, two"})
    before = head(fields)
    which = data.draw(st.integers(0, len(fields) - 1))
    name, value = fields[which]
    cut = data.draw(st.integers(0, len(value)))
    changed = data.draw(
        st.sampled_from(
            [
                [(name, value[:cut] + data.draw(st.sampled_from(" \t,;=:\"a\xa0\x85A/")) + value[cut:])],
                [(name, value[:cut] + value[cut + 1 :])], [(name, value.swapcase())],
                [(name, f" {value}\t")], [(name, value), (name, value)], [(name.upper(), value)], [],
                [(name, value[:cut]), (name, value[cut:])],
            ]
        )
    )  # fmt: skip
    sent = data.draw(st.permutations([*fields[:which], *changed, *fields[which + 1 :]]))
    after = head([(name.lower(), value) for name, value in sent])  # as servers have names

    said = await code_or_refused(at, after)

    if said == "":
        blanks = re.compile(r"^[ \t]+|[ \t]+$")
        same = [
            blanks.sub("", each.headers.get(name, "")) for name in covered[4:] for each in (before, after)
        ]
        assert same[::2] == same[1::2]
        assert before.headers["host"].lower() == after.headers["host"].strip(" \t").lower()


async def code_or_refused(at: Gate, asked: Head) -> str:
    try:
        await at.admit(asked, CHAT)
    except Denied as refused:
        return refused.problem.code
    return ""


def test_a_body_is_the_one_of_its_digest_or_nobody_reads_it(tmp_path: Path) -> None:
    check = gate(tmp_path).rules.check_body
    assert check is not None
    right = content_digest(BODY, "sha-256")

    check({}, BODY)
    check({"content-digest": f"md5=:AAAA:, {right}, {content_digest(BODY, 'sha-512')}"}, BODY)
    for wrong in (right + " ,", f"{right}, {content_digest(b'', 'sha-512')}", "md5=:AAAA:", ""):
        with pytest.raises(Denied) as raised:
            check({"content-digest": wrong}, BODY)
        assert raised.value.problem.code == "digest_mismatch"
    with pytest.raises(Denied):
        check({"content-digest": right}, BODY + b" ")


def test_who_is_signed_by_nobody_pays_for_no_digest(tmp_path: Path) -> None:
    assert gate(tmp_path, said={"signatures": [], "loopback": True}).rules.check_body is None


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_signature_is_good_once_whatever_happens_in_between(tmp_path: Path) -> None:
    clock = At()
    at = gate(tmp_path, clock)
    sent = head(signed())

    assert await code(at, sent) == ""
    for seconds in (0.0, 299.0):
        clock.passed = seconds
        assert await code(at, sent) == "signature_replayed"
    clock.passed = 360.0
    assert await code(at, sent) == "signature_expired"
    assert await code(at, head(signed(created=1_800_000_360))) == ""  # which forgets the first
    clock.set_back = 360.0
    assert await code(at, sent) == "signature_replayed"


async def test_a_reload_forgets_no_nonce(tmp_path: Path) -> None:
    clock = At()
    at, sent = gate(tmp_path, clock), head(signed())
    assert await code(at, sent) == ""

    at.rules = gate(tmp_path, clock).rules

    assert await code(at, sent) == "signature_replayed"


async def test_what_was_signed_before_the_gateway_began_is_not_taken(tmp_path: Path) -> None:
    assert await code(gate(tmp_path), head(signed(created=1_799_999_999))) == "signature_replayed"


async def test_what_fails_uses_no_nonce(tmp_path: Path) -> None:
    at = gate(tmp_path)
    assert await code(at, head(signed(nonce="n", target="/else"))) == "invalid_signature"

    assert await code(at, head(signed(nonce="n"))) == ""
    assert await code(at, head(signed(nonce="n", algorithm="hmac-sha256"))) == ""  # of another key


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 400)), max_size=40))
def test_nothing_is_taken_twice_and_nobody_takes_more_than_there_is_room_for(
    steps: list[tuple[str, int, int]],
) -> None:
    clock = At()
    nonces = Nonces(clock, most=2)
    taken: dict[tuple[str, int, int], float] = {}

    for key, number, seconds in steps:
        clock.passed += seconds
        created = 1_800_000_000 + int(clock.passed) // 100 * 100
        kept = [at for (whose, *_), at in taken.items() if whose == key and clock.passed < at + 360]
        try:
            nonces.take(key, f"{number}-{created}", created)
        except Denied as refused:
            full = refused.problem.code == "nonces_full"
            assert len(kept) >= 2 if full else (key, number, created) in taken
            assert not full or refused.problem.retry_after is not None
        else:
            assert (key, number, created) not in taken
            assert len(kept) < 2
            taken[key, number, created] = clock.passed


# ── what can be configured ───────────────────────────────────────────────────────────────────────────

ONE = {"name": "ci", "key_id": "k", "algorithm": "ed25519", "key_file": "k.pem"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([{**ONE, "secret": SECRET}], "one of key_file and secret"),
        ([{**ONE, "key_file": None}], "one of key_file and secret"),
        ([{**ONE, "key_file": None, "secret": SECRET}], "ed25519 needs a key_file"),
        ([{**ONE, "algorithm": "none"}], "ed25519"),
        ([ONE, ONE], "the same key_id"),
        ([{**ONE, "key_id": "\xe9"}], "visible ASCII"),
        ([{**ONE, "name": "taken"}], "'taken' is a name under keys, too"),
    ],
)
def test_what_cannot_be_is_said(wrong: list[dict[str, Any]], said: str) -> None:
    keys = [{"name": "taken", "key": KEY}]
    with pytest.raises(ValidationError, match=said) as raised:
        AccessSettings.model_validate({"keys": keys, "signatures": wrong})
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), ("text", "is no public key"), (SECRET, "is no public key")],
)
def test_a_file_that_holds_no_key_is_named(content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "k.pem").write_text(content)
    with pytest.raises(ConfigError, match=f"gateway.access.signatures: of 'ci': .*{said}") as raised:
        gate(tmp_path, said={"signatures": [ONE]})
    assert SECRET not in str(raised.value)


def test_no_key_shows(tmp_path: Path) -> None:
    at = gate(tmp_path)
    assert SECRET not in f"{at.rules!r} {at.rules.signatures!r} {vars(at.rules.signatures)}"


def test_a_digest_of_nothing_is_one(tmp_path: Path) -> None:
    check = gate(tmp_path).rules.check_body
    assert check is not None
    check({"content-digest": f"sha-256={byte_sequence(hashlib.sha256(b'').digest())}"}, b"")
