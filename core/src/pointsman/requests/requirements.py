"""Requirements: the labels that a deployment must carry to be given a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman.errors import InvalidRequest

Labels = Mapping[str, str]

Requirements = Mapping[str, tuple[str, ...]]
"""Label → the values of it that are allowed. A deployment without the label does not meet the rule."""


def as_rule(given: Any) -> Requirements:
    """`{"local": True, "region": ["eu", "uk"]}` as a rule. Raises InvalidRequest."""
    if not isinstance(given, Mapping):
        raise InvalidRequest('require must be a mapping of labels, such as {"local": True}')
    rule: dict[str, tuple[str, ...]] = {}
    for name, value in given.items():
        values = value if isinstance(value, list | tuple | set | frozenset) else (value,)
        if not values:
            raise InvalidRequest(f"require.{name} allows no value at all")
        if not all(isinstance(each, str | bool | int | float) for each in values):
            # Its repr would be a value that no deployment has, and so a rule that nothing meets.
            raise InvalidRequest(f"require.{name}: a value is a text, a number, true or false")
        rule[str(name)] = tuple(as_label(each) for each in values)
    return rule


def as_label(value: Any) -> str:
    """The value of a label as text: `true` for True, so that YAML and Python say the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def merged(one: Requirements, other: Requirements) -> Requirements:
    """The rule that is met by what meets `one` and `other`."""
    if not one or not other:
        return one or other
    rule = dict(one)
    for name, values in other.items():
        rule[name] = tuple(each for each in rule[name] if each in values) if name in rule else values
    return rule


def unmet(rule: Requirements, labels: Labels) -> str | None:
    """Which part of `rule` a deployment with `labels` does not meet, in words; None when it meets all."""
    for name, allowed in rule.items():
        value = labels.get(name)
        if value is None or value not in allowed:
            has = "has no such label" if value is None else f"has {name}={value}"
            return f"the rule {show({name: allowed})} is not met: it {has}"
    return None


def show(rule: Requirements) -> str:
    """A rule for people: `local=true, region=eu|uk`."""
    return ", ".join(f"{name}={'|'.join(values) or 'nothing'}" for name, values in rule.items())
