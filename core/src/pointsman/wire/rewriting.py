"""A JSON object as it was written, but for a few members; the rest stays byte for byte. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Raw
from msgspec.json import Decoder, encode

from pointsman._internal import jsonio

_members = Decoder(dict[str, Raw]).decode
"""Values stay as they were written, so that this costs a look at the text and one copy."""


class _Absent:
    """What a member is that is not there."""


_ABSENT = _Absent()


class BeginsOtherwise(Exception):
    """A list does not begin as it was understood, so that nobody can tell what to change in it."""


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


def change(
    given: dict[str, Raw],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    beginnings: Collection[str] = (),
) -> None:
    """Write in `given` what `after` says otherwise than `before`, and nothing else.

    Both are what we would write; `given` says the same as `before`, and perhaps more.

    Args: beginnings: members whose lists go on in `given` after what `before` says of them.

    Raises: BeginsOtherwise for such a list that does not begin as `before` says.
    """
    for name in {**before, **after}:
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if old == new:
            continue
        there = jsonio.loads(bytes(given[name])) if name in given else _ABSENT
        if name in beginnings and isinstance(there, list) and _are_lists(old, new):
            _expect_beginning(there, old)
            made: Any = _spliced(there, old, new)
        else:
            made = _changed(there, old, new)
        if made is _ABSENT:
            given.pop(name, None)
        else:
            given[name] = written(made)


def fill(given: dict[str, Raw], before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Write in `given` what `after` says beside `before`, as far as `given` does not say it."""
    for name, new in after.items():
        if before.get(name, _ABSENT) == new:
            continue
        there = jsonio.loads(bytes(given[name])) if name in given else None
        if there is None:
            given[name] = written(new)
        elif isinstance(there, dict) and isinstance(new, Mapping):
            given[name] = written({**new, **there})


def _changed(given: Any, before: Any, after: Any) -> Any:
    """`given` with the differences of `after` from `before`, as deep as all three are alike."""
    if isinstance(given, dict) and _is_object(before) and _is_object(after):
        if _of_another_kind(given, _object(before)):
            return after  # what has changed stands somewhere else in it
        made = dict(given)
        old, new = _object(before), _object(after)
        for name in {**old, **new}:
            was, now = old.get(name, _ABSENT), new.get(name, _ABSENT)
            if was == now:
                continue
            value = _changed(made.get(name, _ABSENT), was, now)
            if value is _ABSENT:
                made.pop(name, None)
            else:
                made[name] = value
        return made if made or after is not _ABSENT else _ABSENT
    if _are_lists(given, before, after) and len(given) == len(before):
        return _spliced(given, before, after)
    if _grew(before, after) and _are_texts(given):
        first, _, last = after.partition(before)
        return [*_text(first), *given, *_text(last)]
    return after


def _grew(before: Any, after: Any) -> bool:
    """Whether a text has got more around it, and is the same inside."""
    return isinstance(before, str) and isinstance(after, str) and bool(before) and before in after


def _are_texts(given: Any) -> bool:
    """Whether a text was written as blocks, which may bear marks that we do not have."""
    blocks = isinstance(given, list) and all(isinstance(each, Mapping) for each in given)
    return blocks and bool(given) and all(each.get("type") == "text" for each in given)


def _text(said: str) -> list[Any]:
    return [{"type": "text", "text": said}] if said else []


def _spliced(given: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> list[Any]:
    """`given` with what stands between the same beginning and end of `before` and `after` changed."""
    both = min(len(before), len(after))
    same = next((n for n in range(both) if before[n] != after[n]), both)
    end = next((n for n in range(both - same) if before[-1 - n] != after[-1 - n]), both - same)
    old, new = before[same : len(before) - end], after[same : len(after) - end]
    there = given[same : same + len(old)]
    if len(old) == len(new):
        new = [
            each if was == now else _changed(each, was, now)
            for each, was, now in zip(there, old, new, strict=True)
        ]
    return [*given[:same], *new, *given[same + len(old) :]]


def _expect_beginning(given: Sequence[Any], before: Sequence[Any]) -> None:
    """Raise BeginsOtherwise unless each of `given` has the members that we would write of it."""
    pairs = list(zip(given, before, strict=False))
    if len(pairs) < len(before) or not all(_has_members_of(*each) for each in pairs):
        raise BeginsOtherwise


def _has_members_of(given: Any, before: Any) -> bool:
    return isinstance(given, Mapping) and isinstance(before, Mapping) and before.keys() <= given.keys()


def _of_another_kind(given: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether what was written is not what we would write of it, such as a document that we have as text."""
    kind = before.get("type", _ABSENT)
    return kind is not _ABSENT and given.get("type", kind) != kind


def _is_object(value: Any) -> bool:
    return value is _ABSENT or isinstance(value, Mapping)


def _object(value: Any) -> Mapping[str, Any]:
    return {} if value is _ABSENT else value


def _are_lists(*values: Any) -> bool:
    return all(isinstance(each, Sequence) and not isinstance(each, str) for each in values)
