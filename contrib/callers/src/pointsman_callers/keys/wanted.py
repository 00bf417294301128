"""What somebody says that a key is to grant, as people write it, made into a scope."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Any, get_args

from msgspec import UNSET, Struct, UnsetType

from pointsman._internal.suggest import did_you_mean
from pointsman.plugin import InvalidRequest
from pointsman.requests.requirements import Requirements, as_rule
from pointsman.units import parse_duration
from pointsman_callers.keys.scope import PERIODS, Scope, Unit, filled

UNITS: tuple[Unit, ...] = get_args(Unit)
_LIMIT = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*([kM]?)(\s*USD)?\s*/\s*(hour|day|month)")
_TIMES = {"": 1, "k": 1_000, "M": 1_000_000}
_MOST_LABELS = 12
"""With what the gateway says itself, a call has no more tags than go."""
_LONGEST = 200
_LONGEST_VALUE = 256
_MOST_NAMES = 1_000

Texts = Sequence[str]


class Wanted(Struct, forbid_unknown_fields=True):
    """What is said of a key; what is not said is as its maker has it, or stays as it was.

    Attributes:
        models, surfaces: names, or `*`.
        limits: by unit, one or some of `1000/day`, `1M/month`, `10 USD/month`; None for none of that unit.
        expires: an instant as ISO 8601, or a duration from now such as `30d`; None for never.
    """

    name: str | UnsetType = UNSET
    models: str | list[str] | UnsetType = UNSET
    surfaces: str | list[str] | UnsetType = UNSET
    operator: bool | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    require: dict[str, Any] | UnsetType = UNSET
    limits: dict[str, str | list[str] | None] | UnsetType = UNSET
    expires: str | UnsetType | None = UNSET


def scope_of(wanted: Wanted, has: Scope, now: float) -> Scope:
    """The scope of a new key, made by who `has` that one. Raises InvalidRequest."""
    return filled(_read(wanted, {}, now), has)


def rescoped(wanted: Wanted, before: Scope, has: Scope, now: float) -> Scope:
    """`before` with what is said of it anew, for who `has` that scope. Raises InvalidRequest."""
    said = {name: getattr(before, name) for name in Scope.__struct_fields__}
    return filled({**said, **_read(wanted, before.limits, now)}, has)


def checked_name(name: object) -> str:
    """The name of a caller. Raises InvalidRequest."""
    if not isinstance(name, str) or not name.strip() or name != name.strip() or not name.isprintable():
        raise InvalidRequest("name: 1 to 200 visible characters, without spaces around them")
    if len(name) > _LONGEST:
        raise InvalidRequest(f"name: {len(name)} characters; at most {_LONGEST} go")
    return name


_MOST = 1e12
"""Of any unit: USD, tokens, requests."""


def parse_limit(unit: str, text: str) -> tuple[str, float]:
    """`tokens` and `1M/day` as `tokens/day` and a million. Raises InvalidRequest."""
    if unit not in UNITS:
        raise InvalidRequest(f"limits: there is no {unit[:40]!r}; there are {', '.join(UNITS)}")
    found = _LIMIT.fullmatch(text.strip())
    money = unit == "money"
    if found is None or bool(found[3]) is not money:
        example = "10 USD/month" if money else "1000/day"
        raise InvalidRequest(f"limits: {unit} is such as {example!r}, per {', '.join(PERIODS)}")
    amount = float(found[1].replace("_", "")) * _TIMES[found[2]]
    if amount > _MOST:  # also what is infinite, which no budget can be
        raise InvalidRequest(f"limits: {unit} is at most {_MOST:.0e}")
    return f"{unit}/{found[4]}", amount


def written_limits(limits: Mapping[str, float]) -> dict[str, list[str]]:
    """Limits as people write them, by unit."""
    said: dict[str, list[str]] = {}
    for limit, most in limits.items():
        unit, _, period = limit.partition("/")
        amount = f"{most:.2f} USD" if unit == "money" else f"{most:.0f}"
        said.setdefault(unit, []).append(f"{amount}/{period}")
    return said


def _read(wanted: Wanted, limits: Mapping[str, float], now: float) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name in ("models", "surfaces"):
        if (value := getattr(wanted, name)) is not UNSET:
            said[name] = _names(name, value)
    if wanted.operator is not UNSET:
        said["operator"] = wanted.operator
    if wanted.labels is not UNSET:
        said["labels"] = _labels(wanted.labels)
    if wanted.require is not UNSET:
        said["require"] = _rule(wanted.require)
    if wanted.limits is not UNSET:
        said["limits"] = {
            **{limit: most for limit, most in limits.items() if limit.partition("/")[0] not in wanted.limits},
            **dict(_limits(wanted.limits)),
        }
    if wanted.expires is not UNSET:
        said["expires"] = inf if wanted.expires is None else _instant(wanted.expires, now)
    return said


def _names(what: str, value: str | list[str]) -> frozenset[str] | None:
    if value == "*":
        return None
    if isinstance(value, str) or not all(value) or any("*" in each for each in value):
        raise InvalidRequest(f"{what}: a list of names, or '*' for all")
    if len(value) > _MOST_NAMES or max(map(len, value), default=0) > _LONGEST:
        raise InvalidRequest(f"{what}: at most {_MOST_NAMES:,} names of up to {_LONGEST} characters go")
    if not all(each.isprintable() and each == each.strip() for each in value):
        raise InvalidRequest(f"{what}: names of up to {_LONGEST} visible characters")
    return frozenset(value)


def check_surfaces(wanted: Wanted, there_are: Collection[str]) -> None:
    """Raises InvalidRequest for a surface that none of `there_are` is: a key for it would open nothing."""
    named = () if isinstance(wanted.surfaces, UnsetType | str) else wanted.surfaces
    for each in named:
        if each not in there_are:
            hint = did_you_mean(each, there_are, what="there are")
            raise InvalidRequest(f"surfaces: there is no {each[:40]!r}; {hint}")


def _rule(require: dict[str, Any]) -> Requirements:
    rule = as_rule(require)
    _labels(dict.fromkeys(rule, ""), "require")
    for label, values in rule.items():
        if len(values) > _MOST_NAMES or not all(_is_value(each) for each in values):
            raise InvalidRequest(
                f"require.{label}: up to {_MOST_NAMES} values of up to {_LONGEST_VALUE} visible characters"
            )
    return rule


def _is_value(text: str) -> bool:
    return len(text) <= _LONGEST_VALUE and text.isprintable()


def _labels(labels: dict[str, str], what: str = "labels") -> dict[str, str]:
    if len(labels) > _MOST_LABELS:
        raise InvalidRequest(f"{what}: there are {len(labels)}; at most {_MOST_LABELS} go")
    for label, value in labels.items():
        if not label or len(label) > 64 or not label.isprintable() or not _is_value(value):
            raise InvalidRequest(
                f"{what}: names of up to 64 visible characters, values of up to {_LONGEST_VALUE}"
            )
        if what == "labels" and label in ("key_id", "surface", "traceparent"):
            raise InvalidRequest(f"labels: {label} is what the gateway says itself")
    return labels


def _limits(limits: Mapping[str, str | list[str] | None]) -> Iterable[tuple[str, float]]:
    for unit, texts in limits.items():
        for text in [texts] if isinstance(texts, str) else texts or ():
            yield parse_limit(unit, text)


def _instant(text: str, now: float) -> float:
    try:
        at = now + parse_duration(text)
    except ValueError:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidRequest(
                "expires: an instant such as 2027-01-31T12:00:00Z, or a duration such as 30d"
            ) from None
        at = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if not now < at < 1e11:
        raise InvalidRequest("expires: that is over already, or never")
    return at
