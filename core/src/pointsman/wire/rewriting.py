"""A JSON object as it was written, but for a few members; the rest stays byte for byte. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw
from msgspec.json import Decoder, encode

from pointsman._internal import jsonio

_members = Decoder(dict[str, Raw]).decode
"""Values stay as they were written, so that this costs a look at the text and one copy."""


class _Absent:
    """What a member is that is not there."""


_ABSENT = _Absent()


def members(body: bytes) -> dict[str, Raw] | None:
    """The members of a JSON object, each as it was written; None for what is no object.

    Of members with the same name the last one counts, as for whoever else reads the body.
    """
    try:
        return _members(body)
    except (ValueError, RecursionError):
        return None


def written(value: Any) -> Raw:
    """`value` as a member is written."""
    return Raw(jsonio.dumps(value))


def joined(given: Mapping[str, Raw]) -> bytes:
    """A JSON object of these members."""
    return encode(given)


def change(given: dict[str, Raw], before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Write in `given` what `after` says otherwise than `before`, and nothing else.

    Both are what we would write; `given` says the same as `before`, and perhaps more.
    """
    for name in {**before, **after}:
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if old == new:
            continue
        if new is _ABSENT:
            given.pop(name, None)
        else:
            there = jsonio.loads(bytes(given[name])) if name in given else _ABSENT
            given[name] = written(_changed(there, old, new))


def _changed(given: Any, before: Any, after: Any) -> Any:
    """`given` with the differences of `after` from `before`, as deep as all three are alike."""
    if isinstance(given, dict) and isinstance(before, Mapping) and isinstance(after, Mapping):
        return _object(given, before, after)
    if _are_lists(given, before, after) and len(given) == len(before) == len(after):
        return [
            each if old == new else _changed(each, old, new)
            for each, old, new in zip(given, before, after, strict=True)
        ]
    return after


def _object(given: dict[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(given)
    for name in {**before, **after}:
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if old == new:
            continue
        if new is _ABSENT:
            result.pop(name, None)
        else:
            result[name] = _changed(result.get(name, _ABSENT), old, new)
    return result


def _are_lists(*values: Any) -> bool:
    return all(isinstance(each, Sequence) and not isinstance(each, str) for each in values)
