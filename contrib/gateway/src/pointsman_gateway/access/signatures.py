"""Requests that their callers signed: RFC 9421, and a digest of the body as RFC 9530 has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hmac import compare_digest
from pathlib import Path

from msgspec import Struct

from pointsman.plugin import ConfigError, Outgoing, read_regular
from pointsman_auth_http.keys import Verify, public_key, verifying_secret
from pointsman_auth_http.signature_base import DERIVED, DIGESTS, parameters, signature_base
from pointsman_auth_http.signature_fields import Signed, Unreadable, digests, signatures
from pointsman_gateway.access.admission import Denied, Head
from pointsman_gateway.access.denials import denied
from pointsman_gateway.access.grants import Grant, granted
from pointsman_gateway.access.nonces import AHEAD, WINDOW, Clock, Nonces
from pointsman_gateway.access.origins import has_body
from pointsman_gateway.access.settings import SignatureSettings

_LARGEST_KEY = 64 * 1024
_LONGEST_NONCE = 256
_COVERED_BY: Mapping[str, frozenset[str]] = {
    "@method": frozenset(("@method",)),
    "@authority": frozenset(("@authority", "@target-uri")),
    "@path": frozenset(("@path", "@request-target", "@target-uri")),
    "@query": frozenset(("@query", "@request-target", "@target-uri")),
    "content-digest": frozenset(("content-digest",)),
}
"""What has to be covered, and what holds all of it."""


class _Key(Struct, frozen=True, eq=False):
    algorithm: str
    verify: Verify
    grant: Grant

    def __repr__(self) -> str:
        return f"_Key({self.grant.source!r})"


class Signatures:
    """What the signatures of requests are worth. Raises ConfigError for a file that holds no such key.

    Args:
        directory: where relative paths start.
    """

    def __init__(self, keys: Sequence[SignatureSettings], clock: Clock, directory: Path) -> None:
        self._clock = clock
        self._keys = {each.key_id: _key(each, directory) for each in keys}

    def find(self, head: Head, nonces: Nonces) -> Grant | None:
        """What the signature is worth; None for one of a key of somebody else's.

        Raises: Denied for one that cannot be read, or is of a key of ours and is not, or no longer, right.
        """
        ours = [each for each in _read(head) if each.values.get("keyid") in self._keys]
        if len(ours) > 1:
            raise denied("invalid", "two_credentials", "two signatures are of keys of ours; send one of them")
        if not ours:
            return None
        key = self._keys[str(ours[0].values["keyid"])]
        created = self._check(ours[0], head, key)
        nonces.take(str(ours[0].values["keyid"]), str(ours[0].values["nonce"]), created)
        return key.grant

    def refusal(self, head: Head) -> Denied:
        """Why one in which `find` found nothing is not taken: as one of ours that is wrong in the same way.

        So nobody learns by what is said, nor by how long it takes, which keys there are.
        """
        try:
            self._check(_read(head)[0], head, next(iter(self._keys.values())))
        except Denied as refused:
            return refused
        return invalid_signature()

    @staticmethod
    def check_body(fields: Mapping[str, str], body: bytes) -> None:
        """Raises Denied for a body that is not the one of its `Content-Digest`, before anybody reads it."""
        field = fields.get("content-digest")
        if field is None:
            return
        try:
            said = digests(field)
        except Unreadable:
            said = {}
        if not said or not all(
            compare_digest(DIGESTS[name](body).digest(), each) for name, each in said.items()
        ):
            raise denied(
                "authentication", "digest_mismatch", "the body is not the one that content-digest is of"
            )

    def _check(self, signed: Signed, head: Head, key: _Key) -> int:
        """When it was signed. Raises Denied unless it is complete, young enough and by `key`."""
        _check_covered(signed, head)
        created = self._check_time(signed.values)
        described = parameters(signed.covered, signed.values)
        base = signature_base(_request(head), head.headers, signed.covered, described)
        # How it is signed the key says, whatever the request says.
        fits = signed.values.get("alg", key.algorithm) == key.algorithm
        if not (key.verify(signed.signature, base) and fits):
            raise invalid_signature()
        return created

    def _check_time(self, values: Mapping[str, str | int]) -> int:
        """When it was signed. Raises Denied where that is too long ago, or yet to come."""
        now, created, expires = self._clock.wall(), values["created"], values.get("expires")
        assert isinstance(created, int), "that was looked at"
        if not now - WINDOW <= created <= now + AHEAD or (isinstance(expires, int) and now >= expires):
            raise denied(
                "authentication",
                "signature_expired",
                f"created is not within the last {WINDOW:g} s by our clock, or expires has passed;"
                " sign it anew, and look at the clock",
            )
        return created


def invalid_signature() -> Denied:
    """The one answer to what no key of ours has signed as it came."""
    return denied(
        "authentication",
        "invalid_signature",
        "no key that is known here has signed this request as it came; look at keyid, the key and its"
        " algorithm, and at what proxies change",
    )


def _read(head: Head) -> Sequence[Signed]:
    """The signatures of a request, one at least. Raises Denied."""
    try:
        found = signatures(head.headers["signature-input"], head.headers.get("signature", ""))
    except Unreadable as error:
        raise denied(
            "authentication", "signature_unreadable", f"{error}: RFC 9421, section 4, says how it is written"
        ) from None
    if not found:
        raise denied(
            "authentication",
            "signature_unreadable",
            "signature has none of those that signature-input describes",
        )
    return found


def _check_covered(signed: Signed, head: Head) -> None:
    """Raises Denied unless all is said of the signature, and covered by it, that has to be."""
    values, fields = signed.values, head.headers
    if not signed.plain or _repeats(signed.covered):
        raise denied(
            "authentication",
            "signature_incomplete",
            "components with parameters, or named twice, are not taken; sign whole ones",
        )
    for name, kind in ("created", int), ("nonce", str), ("keyid", str):
        value = values.get(name)
        if not isinstance(value, kind) or value == "":
            raise denied("authentication", "signature_incomplete", f"the signature has to say {name}")
    if len(str(values["nonce"])) > _LONGEST_NONCE or not isinstance(values.get("expires", 0), int):
        raise denied(
            "authentication",
            "signature_incomplete",
            f"a nonce has {_LONGEST_NONCE} characters at most; expires is a number",
        )
    for name, by in _COVERED_BY.items():
        needed = name != "content-digest" or has_body(fields)
        if needed and by.isdisjoint(signed.covered):
            raise denied("authentication", "signature_incomplete", f"the signature has to cover {name}")
    for name in signed.covered:
        if not (name in DERIVED if name.startswith("@") else name in fields):
            raise denied(
                "authentication",
                "signature_incomplete",
                "the signature covers something that the request has not",
            )
    if has_body(fields) and not _readable(fields["content-digest"]):
        raise denied(
            "authentication", "signature_incomplete", f"content-digest has to be by {' or '.join(DIGESTS)}"
        )


def _readable(field: str) -> bool:
    try:
        return bool(digests(field))
    except Unreadable:
        return False


def _repeats(names: Collection[str]) -> bool:
    return len(set(names)) < len(names)


def _request(head: Head) -> Outgoing:
    """The request as whoever signed it had it; where proxies are trusted, by the scheme that they tell."""
    scheme = "https" if head.secure else "http"
    query = f"?{head.query}" if head.query else ""
    url = f"{scheme}://{head.headers['host'].lower()}{head.raw_path.decode('latin-1')}{query}"
    return Outgoing(head.method, url, head.headers, b"")


def _key(settings: SignatureSettings, directory: Path) -> _Key:
    where = f"gateway.access.signatures: of {settings.name!r}"
    try:
        verify = _verifier(settings, directory)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return _Key(settings.algorithm, verify, granted(settings, "signature", settings.key_id))


def _verifier(settings: SignatureSettings, directory: Path) -> Verify:
    if settings.secret is not None:
        return verifying_secret(settings.secret.reveal(), "the configuration")
    assert settings.key_file is not None, "its settings have one of the two"
    path = directory / settings.key_file
    try:
        content = read_regular(path, _LARGEST_KEY)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the key file {path} cannot be read: {error}") from None
    if settings.algorithm == "hmac-sha256":
        return verifying_secret(content.decode("latin-1"), f"file {path}")
    return public_key(content, settings.algorithm, f"file {path}")
