"""The kinds of values that stand in a configuration, each with what it must look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from pointsman.errors import InvalidRequest
from pointsman.requests.requirements import as_label, as_rule


def _speakable(name: str) -> str:
    if not name or name != name.strip() or not name.isprintable():
        raise ValueError("a name must not be empty, begin or end with a space, or hold control characters")
    return name


def _without_slash(name: str) -> str:
    if "/" in _speakable(name):
        raise ValueError("the name of a provider must not contain '/': 'provider/model' is split there")
    return name


def _url(url: str) -> str:
    """An http or https URL without a trailing slash. The message never repeats it: it may hold a password."""
    if not url.strip().isprintable():  # urlsplit leaves line breaks out, and what sends does not
        raise ValueError("has a line break or another control character in it")
    try:
        parts = urlsplit(url.strip())
        port_is_wrong = parts.port == 0
    except ValueError:
        raise ValueError("expected a URL such as http://127.0.0.1:11434") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port_is_wrong:
        if re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?(/[\w./-]*)?", url.strip()):
            raise ValueError("lacks http:// or https:// in front, as in http://127.0.0.1:11434")
        raise ValueError(
            "expected a URL that begins with http:// or https://, such as http://127.0.0.1:11434"
        )
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or password; put the credential under api_key or auth")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query (?…) or fragment (#…)")
    for call in _CALLS:
        if parts.path.rstrip("/").endswith(call):
            shown = parts.path[parts.path.rindex(call) :]
            raise ValueError(f"must end before {shown!r}, which each call adds by itself")
    return url.strip().rstrip("/")


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


def _proxy(proxy: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(proxy.get_secret_value())
        fits = parts.scheme in ("http", "https", "socks5", "socks5h") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("expected the URL of a proxy, such as http://proxy:3128 or socks5://proxy:1080")
    return proxy


def _store(address: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(address.get_secret_value())
        fits = bool(parts.scheme) and bool(parts.hostname or parts.path)
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("expected the URL of a store, such as redis://127.0.0.1:6379/0")
    return address


def _not_blank(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("is empty; set the variable it comes from, or leave the key out")
    if variable := re.fullmatch(r"os\.environ/(\w{1,80})", secret.get_secret_value()):
        raise ValueError(f'is LiteLLM\'s way to name a variable; write "${{{variable[1]}}}"')
    return secret


def _headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ValueError("the name of a header is made of letters, digits and dashes")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value.get_secret_value()):
            raise ValueError(f"the header {name} has a line break or another control character in its value")
        if name.lower() in ("content-length", "transfer-encoding"):
            raise ValueError(f"the header {name} says where a request ends, and each has its own")
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
        raise ValueError(error.message) from None


_IN_THE_CALL = ("messages", "model", "prompt", "texts")


def _defaults(defaults: dict[str, Any]) -> dict[str, Any]:
    for name in _IN_THE_CALL:
        if name in defaults:
            raise ValueError(f"{name!r} cannot have a default: every call says it itself")
    return defaults


def _forced(forced: dict[str, Any]) -> dict[str, Any]:
    for name, value in forced.items():
        if name in _IN_THE_CALL:
            raise ValueError(f"{name!r} cannot be forced: every call says it itself")
        if value is None:
            raise ValueError(f"{name!r} is forced to be nothing; leave it out, or say what it is to be")
    return forced


ModelName = Annotated[str, AfterValidator(_speakable)]
ProviderName = Annotated[str, AfterValidator(_without_slash)]
Word = Annotated[str, Field(min_length=1)]
BaseUrl = Annotated[str, AfterValidator(_url)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]
StoreUrl = Annotated[SecretStr, AfterValidator(_store)]
ApiKey = Annotated[SecretStr, AfterValidator(_not_blank)]
Headers = Annotated[dict[str, SecretStr], AfterValidator(_headers)]
LabelMap = Annotated[dict[str, str], BeforeValidator(_labels)]
RuleMap = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_rule)]
Defaults = Annotated[dict[str, Any], AfterValidator(_defaults)]
Forced = Annotated[dict[str, Any], AfterValidator(_forced)]
