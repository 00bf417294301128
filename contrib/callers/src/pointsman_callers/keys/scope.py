"""What a key grants, and that it never grants more than its creator has: plain functions of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Literal, get_args

from msgspec import Struct

Unit = Literal["requests", "tokens", "money"]
Period = Literal["hour", "day", "month"]
PERIODS: tuple[Period, ...] = get_args(Period)

Limits = Mapping[str, float]
"""By unit and period, as `requests/day`: how much at most; money in USD."""


class Scope(Struct, frozen=True):
    """What a key grants.

    Attributes:
        models, surfaces: names; None for all.
        operator: it may run the router.
        labels: what records, and budgets by label, go by.
        require: labels that its calls must meet, each with the values that will do.
        limits: how much may be used.
        expires: seconds since 1970 UTC.
    """

    models: frozenset[str] | None = None
    surfaces: frozenset[str] | None = None
    operator: bool = False
    labels: Mapping[str, str] = {}
    require: Mapping[str, tuple[str, ...]] = {}
    limits: Limits = {}
    expires: float = inf


ALL = Scope(operator=True)
"""What whoever has the database may grant."""


def excess(wanted: Scope, has: Scope) -> str:
    """In which way `wanted` is more than `has`, in words; "" where it is not."""
    for what, mine, theirs in (
        ("models", wanted.models, has.models),
        ("surfaces", wanted.surfaces, has.surfaces),
    ):
        if theirs is not None and (mine is None or not mine <= theirs):
            return f"{what}: {_listed(mine, theirs)}"
    if wanted.operator and not has.operator:
        return "operator: only operators make operators"
    for label, value in has.labels.items():
        if wanted.labels.get(label) != value:
            return f"labels: {label} must be {value!r}"
    for label, values in has.require.items():
        if not set(wanted.require.get(label, ("",))) <= set(values):
            return f"require: {label} must be {' or '.join(values)}"
    for limit, most in has.limits.items():
        if wanted.limits.get(limit, inf) > most:
            return f"limits: {limit} is {most:g} at most"
    if wanted.expires > has.expires:
        return "expires: later than the key that makes it"
    return ""


def met(wanted: Scope, has: Scope) -> Scope:
    """What is left of `wanted` where nothing is granted that `has` does not have."""
    return Scope(
        models=_both(wanted.models, has.models),
        surfaces=_both(wanted.surfaces, has.surfaces),
        operator=wanted.operator and has.operator,
        labels={**wanted.labels, **has.labels},
        require={
            label: _allowed(label, wanted.require, has.require)
            for label in dict.fromkeys((*wanted.require, *has.require))
        },
        limits={
            limit: min(wanted.limits.get(limit, inf), has.limits.get(limit, inf))
            for limit in dict.fromkeys((*wanted.limits, *has.limits))
        },
        expires=min(wanted.expires, has.expires),
    )


def filled(said: Mapping[str, object], has: Scope) -> Scope:
    """A scope of what is `said` of it; what is not said is what the creator `has`, but to be an operator.

    Labels, rules and limits that the creator has are there beside those that are said.
    """
    unsaid = Scope(has.models, has.surfaces, False, has.labels, has.require, has.limits, has.expires)
    members = {name: said.get(name, getattr(unsaid, name)) for name in Scope.__struct_fields__}
    for name in ("labels", "require", "limits"):
        if name in said:
            members[name] = {**getattr(has, name), **said[name]}  # type: ignore[dict-item]  # a mapping, too
    return Scope(**members)  # type: ignore[arg-type]  # whoever said them has read them


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _allowed(
    label: str, one: Mapping[str, tuple[str, ...]], other: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    if label not in one or label not in other:
        return one.get(label, other.get(label, ()))
    return tuple(each for each in one[label] if each in other[label])


def _listed(mine: frozenset[str] | None, theirs: frozenset[str]) -> str:
    if mine is None:
        return f"all, where whoever makes it has {', '.join(sorted(theirs)) or 'none'}"
    return f"whoever makes it has not {', '.join(sorted(mine - theirs))}"
