"""What a caller says of the treatment of one call by headers, and which conversation it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from pointsman._internal.suggest import did_you_mean
from pointsman.plugin import InvalidRequest
from pointsman.units import parse_duration

PREFIX = "x-pointsman-"
_OURS = ("timeout", "priority", "require", "affinity", "tags")
_OF_ROUTERS = ("request-id", "attempt", "csrf")
"""What a router sends to its upstream, which may be a gateway, and what our own pages send."""
_LONGEST_KEY = 256


def call_options(headers: Mapping[str, str]) -> dict[str, Any]:
    """The options of `Router.chat` that `headers` ask for. Raises InvalidRequest naming the header."""
    said: dict[str, Any] = {}
    if PREFIX not in "\n".join(headers):  # as nearly always
        return said
    for name, value in headers.items():
        if not name.startswith(PREFIX):
            continue
        about = name.removeprefix(PREFIX)
        if about in _OF_ROUTERS:
            continue
        if about not in _OURS:
            hint = did_you_mean(name, [PREFIX + each for each in _OURS], what="there are")
            raise InvalidRequest(f"there is no header {name[:80]!r}; {hint}")
        said[about] = _read(about, value.strip(), name)
    return said


def _read(about: str, value: str, name: str) -> Any:
    if about == "timeout":
        try:
            return parse_duration(value)
        except ValueError as error:
            raise InvalidRequest(f"{name}: {error}") from None
    if about == "require":
        return _pairs(value, name)
    if about == "tags":
        return {each.strip(): "" for each in value.split(",") if each.strip()} if value else {}
    return value


def _pairs(value: str, name: str) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for each in value.split(","):
        label, equals, wanted = each.partition("=")
        if not equals or not label.strip():
            raise InvalidRequest(f"{name}: expected labels such as 'local=true,region=eu'")
        pairs[label.strip()] = wanted.strip()
    return pairs


_SIGNS = frozenset(
    ("x-claude-code-session-id", "session-id", "thread-id", "x-session-affinity", "x-openwebui-chat-id")
)
_MEMBERS = frozenset(("conversation", "previous_response_id", "prompt_cache_key", "metadata"))


def affinity_of(headers: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """The conversation of a request, by the first of the signs that clients give; "" where there is none.

    Args:
        body: the object in it; an empty one for a body that holds none.
    """
    said = headers.get("x-pointsman-affinity")
    if said:
        return _short(said)
    if _SIGNS.isdisjoint(headers) and _MEMBERS.isdisjoint(body):  # as of programs that hold no conversation
        return ""
    conversation, metadata = body.get("conversation"), body.get("metadata")
    for each in (
        conversation.get("id") if isinstance(conversation, dict) else conversation,
        body.get("previous_response_id"),
        headers.get("x-claude-code-session-id"),
        headers.get("session-id"),
        headers.get("thread-id"),
        headers.get("x-session-affinity"),
        body.get("prompt_cache_key"),
        headers.get("x-openwebui-chat-id"),
        metadata.get("user_id") if isinstance(metadata, dict) else None,
    ):
        if isinstance(each, str) and each:
            return _short(each)
    return ""


def _short(key: str) -> str:
    """`key`, or a digest of one that is longer than what records hold."""
    if len(key) <= _LONGEST_KEY and key.isprintable():
        return key
    return blake2b(key.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
