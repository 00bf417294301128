"""The kinds of values that stand in a configuration, each with what it must look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from pointsman.auth import Secret
from pointsman.config import codes
from pointsman.config.problems import WrongValue
from pointsman.config.secret_values import UnshownOptions
from pointsman.errors import InvalidRequest
from pointsman.requests.requirements import as_label, as_rule


def _speakable(name: str) -> str:
    if not name or name != name.strip() or not name.isprintable():
        raise WrongValue(
            codes.NAME, "a name must not be empty, begin or end with a space, or hold control characters"
        )
    return name


def _without_slash(name: str) -> str:
    if "/" in _speakable(name):
        raise WrongValue(
            codes.NAME, "the name of a provider must not contain '/': 'provider/model' is split there"
        )
    return name


def _url(url: str) -> str:
    """An http or https URL without a trailing slash. The message never repeats it: it may hold a password."""
    if not url.strip().isprintable():  # urlsplit leaves line breaks out, and what sends does not
        raise WrongValue(codes.URL, "has a line break or another control character in it")
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise WrongValue(codes.URL, "expected a URL such as http://127.0.0.1:11434") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        if re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?(/[\w./-]*)?", url.strip()):
            raise WrongValue(codes.URL, "lacks http:// or https:// in front, as in http://127.0.0.1:11434")
        raise WrongValue(
            codes.URL, "expected a URL that begins with http:// or https://, such as http://127.0.0.1:11434"
        )
    if not _has_a_port_that_can_be(parts):
        raise WrongValue(codes.URL, "must have a port from 1 to 65535, such as http://127.0.0.1:11434")
    if parts.username is not None or parts.password is not None:
        raise WrongValue(codes.URL, "holds a user name or password; put the credential under api_key or auth")
    if parts.query or parts.fragment:
        raise WrongValue(codes.URL, "must not have a query (?…) or fragment (#…)")
    for call in _CALLS:
        if parts.path.rstrip("/").endswith(call):
            shown = parts.path[parts.path.rindex(call) :]
            raise WrongValue(codes.URL, f"must end before {shown!r}, which each call adds by itself")
    return url.strip().rstrip("/")


def _has_a_port_that_can_be(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


_CALLS = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/messages",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/tags",
)
"""The paths of single calls, which people copy out of an example with curl."""


def _address(address: str) -> str:
    try:
        return str(ip_address(address.strip().removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError("expected an IP address, such as 10.0.0.7 or fd00::7") from None


def _proxy(proxy: Secret) -> Secret:
    try:
        parts = urlsplit(proxy.reveal())
        fits = parts.scheme in ("http", "https", "socks5", "socks5h") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise WrongValue(
            codes.URL, "expected the URL of a proxy, such as http://proxy:3128 or socks5://proxy:1080"
        )
    return proxy


def _store(address: Secret) -> Secret:
    try:
        parts = urlsplit(address.reveal())
        fits = bool(parts.scheme) and bool(parts.hostname or parts.path)
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise WrongValue(codes.URL, "expected the URL of a store, such as redis://127.0.0.1:6379/0")
    return address


def _not_blank(secret: Secret) -> Secret:
    if not secret.reveal().strip():
        raise WrongValue(codes.CREDENTIAL, "is empty; set the variable it comes from, or leave the key out")
    if variable := re.fullmatch(r"os\.environ/(\w{1,80})", secret.reveal()):
        raise WrongValue(
            codes.CREDENTIAL, f'is LiteLLM\'s way to name a variable; write "${{{variable[1]}}}"'
        )
    return secret


def _headers(headers: dict[str, Secret]) -> dict[str, Secret]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise WrongValue(codes.HEADER, "the name of a header is made of letters, digits and dashes")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value.reveal()):
            raise WrongValue(
                codes.HEADER, f"the header {name} has a line break or another control character in its value"
            )
        if name.lower() in ("content-length", "transfer-encoding"):
            raise WrongValue(
                codes.HEADER, f"the header {name} says where a request ends, and each has its own"
            )
    return headers


def _labels(labels: object) -> object:
    """YAML's `true` and Python's True are the same label."""
    if not isinstance(labels, Mapping):
        return labels
    return {
        name: as_label(value) if isinstance(value, bool | int | float) else value
        for name, value in labels.items()
    }


def _rule(rule: object) -> object:
    try:
        return as_rule(rule)
    except InvalidRequest as error:
        raise WrongValue(codes.VALUE, error.message) from None


_IN_THE_CALL = ("messages", "model", "prompt", "texts")


def _defaults(defaults: dict[str, Any]) -> dict[str, Any]:
    for name in _IN_THE_CALL:
        if name in defaults:
            raise WrongValue(codes.OPTION, f"{name!r} cannot have a default: every call says it itself")
    return defaults


def _forced(forced: dict[str, Any]) -> dict[str, Any]:
    for name, value in forced.items():
        if name in _IN_THE_CALL:
            raise WrongValue(codes.OPTION, f"{name!r} cannot be forced: every call says it itself")
        if value is None:
            raise WrongValue(
                codes.OPTION, f"{name!r} is forced to be nothing; leave it out, or say what it is to be"
            )
    return forced


def _instant(value: object) -> object:
    """Seconds since 1970 UTC. A day or a time without a zone is meant in UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            value = None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, float):  # it was read before
        return value
    raise WrongValue(codes.VALUE, "expected an instant, such as 2026-12-01T00:00:00Z")


ModelName = Annotated[str, AfterValidator(_speakable)]
ProviderName = Annotated[str, AfterValidator(_without_slash)]
Instant = Annotated[
    float, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Word = Annotated[str, Field(min_length=1)]
BaseUrl = Annotated[str, AfterValidator(_url)]
IpAddress = Annotated[str, AfterValidator(_address)]
ProxyUrl = Annotated[Secret, AfterValidator(_proxy)]
StoreUrl = Annotated[Secret, AfterValidator(_store)]
ApiKey = Annotated[Secret, AfterValidator(_not_blank)]
Headers = Annotated[dict[str, Secret], AfterValidator(_headers)]
_LABEL = {"type": ["string", "boolean", "number"]}
LabelMap = Annotated[
    dict[str, str],
    BeforeValidator(_labels),
    WithJsonSchema({"type": "object", "additionalProperties": _LABEL}),
]
RuleMap = Annotated[
    dict[str, tuple[str, ...]],
    BeforeValidator(_rule),
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"anyOf": [_LABEL, {"type": "array", "items": _LABEL}]}}
    ),
]
Defaults = Annotated[UnshownOptions, AfterValidator(_defaults)]
Forced = Annotated[UnshownOptions, AfterValidator(_forced)]
