"""What can be done to the entries of a keystore: plain functions of values; `now` is seconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from pointsman.plugin import Secret
from pointsman_keystore.file import KeystoreError
from pointsman_keystore.format import LARGEST_VALUE, Entries, Version

MOST_VERSIONS = 10
"""Of an entry; of those that have ended the oldest go first."""
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


def checked_name(name: str) -> str:
    """`name`, where an entry can be called so. Raises KeystoreError, which never repeats it."""
    if not re.fullmatch(_NAME, name) or looks_like_a_value(name):
        raise KeystoreError(
            "that is no name of an entry: up to 64 letters, digits, `.`, `_` and `-`, such as `anthropic`. A "
            "credential itself is asked for, or read from standard input"
        )
    return name


def looks_like_a_value(text: str) -> bool:
    """Whether somebody may have written a credential in the place of a name."""
    if re.match(r"(sk|pk|rk|xai|gsk|hf|ghp|gho|pm|api|key|Bearer)[-_ ].{12,}", text) or text.startswith(
        "AIza"
    ):
        return True
    return len(text) >= 24 and bool(re.search(r"\d", text)) and bool(re.search(r"[A-Za-z]", text))


def checked_value(value: str) -> Secret:
    """`value`, where a header can hold it. Raises KeystoreError."""
    if not value:
        raise KeystoreError("the credential is empty")
    if len(value.encode("utf-8", "surrogatepass")) > LARGEST_VALUE:
        raise KeystoreError("the credential is larger than 64 KiB")
    if value != value.strip(" ") or any(ord(each) < 0x20 or 0x7F <= ord(each) < 0xA0 for each in value):
        raise KeystoreError(
            "the credential has a line break, another control character, or a blank at an end"
        )
    if any(ord(each) > 0xFF for each in value):
        raise KeystoreError("the credential has characters that cannot stand in an HTTP header")
    return Secret(value)


def added(
    entries: Entries,
    name: str,
    value: Secret,
    now: float,
    *,
    not_before: float | None = None,
    not_after: float | None = None,
    note: str = "",
) -> Entries:
    """With a new entry. Raises KeystoreError: there is one of that name."""
    if name in entries:
        raise KeystoreError(f"there is an entry {name} already: `pointsman credentials rotate {name}`")
    return {**entries, name: (Version(1, value, now, not_before, not_after, note),)}


def rotated(
    entries: Entries,
    name: str,
    value: Secret,
    now: float,
    *,
    overlap: float,
    not_after: float | None = None,
    note: str = "",
) -> Entries:
    """With a new version that is preferred from `now` on; those before it end `overlap` seconds later."""
    versions = _versions(entries, name)
    if any(each.value == value and _holds(each, now) for each in versions):
        raise KeystoreError(f"the entry {name} has that value already")
    end = now + overlap
    ended = tuple(
        msgspec.structs.replace(
            each, not_after=end if each.not_after is None else min(each.not_after, max(end, now))
        )
        for each in versions
    )
    new = Version(versions[-1].number + 1, value, now, now, not_after, note)
    return {**entries, name: (*ended[-(MOST_VERSIONS - 1) :], new)}


def removed(entries: Entries, name: str, number: int | None = None) -> Entries:
    """Without that entry, or without one version of it. Raises KeystoreError: there is none such."""
    versions = _versions(entries, name)
    if number is None:
        return {key: each for key, each in entries.items() if key != name}
    rest = tuple(each for each in versions if each.number != number)
    if len(rest) == len(versions):
        numbers = ", ".join(str(each.number) for each in versions)
        raise KeystoreError(f"the entry {name} has no version {number}; there are {numbers}")
    return {**entries, name: rest} if rest else removed(entries, name)


def _versions(entries: Entries, name: str) -> Sequence[Version]:
    try:
        return entries[name]
    except KeyError:
        raise lacking(entries, name) from None


def lacking(entries: Entries, name: str) -> KeystoreError:
    """The error of who asks for an entry that there is none of."""
    there = ", ".join(sorted(entries)[:20]) or "none"
    return KeystoreError(
        f"the keystore has no entry {name}; there are: {there}. `pointsman credentials add {name}` adds it"
    )


def _holds(version: Version, now: float) -> bool:
    return version.not_after is None or now < version.not_after
