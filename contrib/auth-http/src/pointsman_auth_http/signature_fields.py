"""What a request says of its signatures and of its body's digest, read as RFC 8941 has it. Pure."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from pointsman_auth_http.signature_base import DIGESTS

_KEY = r"[a-z*][a-z0-9_.*-]*+"
_STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*+"'
_BYTES = r":[A-Za-z0-9+/]*+={0,2}:"
_INTEGER = r"-?\d{1,15}+(?![\d.])"
_OTHER = r"-?\d{1,12}\.\d{1,3}|\?[01]|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*+"
_PARAMETERS = rf"(?:; *+{_KEY}(?:=(?:{_STRING}|{_BYTES}|{_INTEGER}|{_OTHER}))?+)*+"
_INNER = rf"\( *+(?:{_STRING}{_PARAMETERS}(?: ++{_STRING}{_PARAMETERS})*+)?+ *+\)"
_DESCRIBED = re.compile(rf"({_KEY})=({_INNER})({_PARAMETERS})", re.ASCII)
_COMPONENT = re.compile(rf"({_STRING})({_PARAMETERS})", re.ASCII)
_PARAMETER = re.compile(rf"; *+({_KEY})(?:=(?:({_STRING})|({_INTEGER})|({_BYTES}|{_OTHER})))?+", re.ASCII)
_SIGNATURE = re.compile(rf"({_KEY})=({_BYTES}){_PARAMETERS}", re.ASCII)
_COMMA = re.compile(r"[ \t]*+,[ \t]*+")


class Unreadable(ValueError):
    """A field that is none of its kind; says which, and repeats nothing of it."""


class Signed(Struct, frozen=True):
    """One signature of a request, and what its signer says of it.

    Attributes:
        covered: the names of the components.
        values: the parameters that are texts or whole numbers, in their order.
        plain: nothing else is said: no component has parameters, and no parameter is of another kind.
    """

    covered: Sequence[str]
    values: Mapping[str, str | int]
    signature: bytes
    plain: bool = True


def signatures(described: str, signed: str) -> list[Signed]:
    """Those of `Signature-Input` that `Signature` has, too: RFC 9421, section 4. Raises Unreadable."""
    found = {each[1]: _bytes(each[2]) for each in _members("signature", _SIGNATURE, signed)}
    return [
        _signed(each, found[each[1]])
        for each in _members("signature-input", _DESCRIBED, described)
        if each[1] in found
    ]


def digests(field: str) -> Mapping[str, bytes]:
    """What `Content-Digest` says, by the algorithms that we know: RFC 9530, section 2. Raises Unreadable."""
    said = {each[1]: _bytes(each[2]) for each in _members("content-digest", _SIGNATURE, field)}
    return {name: value for name, value in said.items() if name in DIGESTS}


def _signed(member: re.Match[str], signature: bytes) -> Signed:
    components = list(_COMPONENT.finditer(member[2]))
    values: dict[str, str | int] = {}
    plain = not any(each[2] for each in components)
    for each in _PARAMETER.finditer(member[3]):
        if each[1] in values:
            raise Unreadable("signature-input says something twice")
        plain = plain and (each[2] is not None or each[3] is not None)
        values[each[1]] = int(each[3]) if each[3] else _text(each[2] or '""')
    return Signed([_text(each[1]) for each in components], values, signature, plain)


def _members(name: str, kind: re.Pattern[str], field: str) -> Iterator[re.Match[str]]:
    """Those of a dictionary, of which none stands there twice: readers differ in which of two they take."""
    field, at, seen = field.strip(" \t"), 0, set()
    while True:
        member = kind.match(field, at)
        if member is None or member[1] in seen:
            raise Unreadable(f"{name} cannot be read")
        seen.add(member[1])
        yield member
        if member.end() == len(field):
            return
        comma = _COMMA.match(field, member.end())
        if comma is None:
            raise Unreadable(f"{name} cannot be read")
        at = comma.end()


def _bytes(text: str) -> bytes:
    raw = text.strip(":").rstrip("=")
    try:
        return b64decode(raw + "=" * (-len(raw) % 4), validate=True)
    except ValueError:
        raise Unreadable("bytes are not in base64") from None


def _text(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])
