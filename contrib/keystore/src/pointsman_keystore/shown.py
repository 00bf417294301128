"""What is shown of entries: all but the values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from pointsman_keystore.asking import told_instant
from pointsman_keystore.format import Entries, Version


def fingerprint(version: Version) -> str:
    """Tells two values apart and says nothing of either: 12 digits of their SHA-256."""
    return hashlib.sha256(b"pointsman fingerprint\0" + version.value.reveal().encode()).hexdigest()[:12]


def state(version: Version, versions: Sequence[Version], now: float) -> str:
    """`in use`, `ready`, `early` or `ended`."""
    if version.not_before is not None and now < version.not_before:
        return "early"
    if version.not_after is not None and now >= version.not_after:
        return "ended"
    valid = [
        each
        for each in versions
        if (each.not_before or 0.0) <= now and (each.not_after is None or now < each.not_after)
    ]
    newest = max(valid, key=lambda each: (each.not_before or 0.0, each.not_after or float("inf")))
    return "in use" if newest is version else "ready"


def described(name: str, versions: Sequence[Version], now: float) -> dict[str, Any]:
    """One entry as plain data."""
    return {
        "name": name,
        "versions": [
            {
                "number": each.number,
                "state": state(each, versions, now),
                "not_before": told_instant(each.not_before),
                "not_after": told_instant(each.not_after),
                "created": told_instant(each.created),
                "note": each.note,
                "fingerprint": fingerprint(each),
            }
            for each in versions
        ],
    }


COLUMNS = ("entry", "version", "state", "from", "until", "note")


def rows(entries: Entries, now: float) -> list[list[str]]:
    """A row for each version, the newest first."""
    return [
        [
            name,
            str(each["number"]),
            each["state"],
            each["not_before"] or "-",
            each["not_after"] or "-",
            each["note"],
        ]
        for name in sorted(entries)
        for each in reversed(described(name, entries[name], now)["versions"])
    ]
