"""What is signed of a request, as text: the signature base of RFC 9421, and the digest of RFC 9530. Pure."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from pointsman.plugin import Outgoing

DIGESTS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def content_digest(body: bytes, algorithm: str) -> str:
    """The value of `Content-Digest`: RFC 9530, section 2."""
    return f"{algorithm}={byte_sequence(DIGESTS[algorithm](body).digest())}"


def parameters(covered: Sequence[str], values: Mapping[str, str | int]) -> str:
    """What `Signature-Input` says of one signature: the components, and `values` in their order."""
    inner = " ".join(_string(each) for each in covered)
    more = "".join(
        f";{name}={value if isinstance(value, int) else _string(value)}" for name, value in values.items()
    )
    return f"({inner}){more}"


def signature_base(
    outgoing: Outgoing, headers: Mapping[str, str], covered: Sequence[str], described: str
) -> bytes:
    """The bytes that are signed: RFC 9421, section 2.5.

    Args:
        headers: those of the request and those that the signature adds, by name in lower case.
        covered: names of components, each of which the request has.
        described: what `parameters` made of them.
    """
    lines = [f'"{name}": {_value(name, outgoing, headers)}' for name in covered]
    return "\n".join([*lines, f'"@signature-params": {described}']).encode("latin-1")


def byte_sequence(raw: bytes) -> str:
    """`raw` as a byte sequence of a structured field: RFC 8941, section 3.3.5."""
    return f":{b64encode(raw).decode('ascii')}:"


def _value(name: str, outgoing: Outgoing, headers: Mapping[str, str]) -> str:
    derived = DERIVED.get(name)
    # Blanks of HTTP alone: what else Python strips would be read as part of the value.
    return headers[name].strip(" \t") if derived is None else derived(outgoing)


def _authority(outgoing: Outgoing) -> str:
    """The host as it is asked for, without the port that goes without saying."""
    host = outgoing.headers["host"].lower()
    return host.removesuffix(_DEFAULT_PORTS.get(urlsplit(outgoing.url).scheme, ":"))


def _target(outgoing: Outgoing) -> str:
    """Path and query as they stand in the request line."""
    return "/" + outgoing.url.split("//", 1)[1].partition("/")[2]


DERIVED: Mapping[str, Callable[[Outgoing], str]] = {
    "@method": lambda outgoing: outgoing.method,
    "@authority": _authority,
    "@scheme": lambda outgoing: urlsplit(outgoing.url).scheme,
    "@target-uri": lambda outgoing: outgoing.url,
    "@request-target": _target,
    "@path": lambda outgoing: _target(outgoing).partition("?")[0],
    "@query": lambda outgoing: "?" + _target(outgoing).partition("?")[2],
}
"""The derived components that a request has: RFC 9421, section 2.2; without those that take parameters."""


def _string(text: str) -> str:
    """`text`, printable ASCII, as a string of a structured field: RFC 8941, section 3.3.3."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
