"""Plugins: every distribution that offers some, each imported in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires
from typing import Any

from pointsman_cli.doctor.configuration import Given
from pointsman_cli.doctor.findings import Checked, fail, ok, warn
from pointsman_cli.plugin_list import rows_of

_KEPT_OUT = ("left out", "denied", "not allowed", "not chosen")


def installed(case: Given) -> Iterator[Checked]:
    """A line for each distribution, and one for each name of it that cannot be used."""
    from pointsman.config.plugin_rules import rules_said
    from pointsman.errors import ConfigError

    try:
        rules = rules_said(case.data or None) if case.config is None else case.config.plugins.rules
    except ConfigError:
        rules = rules_said({"plugins": {"allow": []}})  # who cannot be asked lets in nobody
    by_distribution: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows_of(case.config, rules, check=True):
        by_distribution.setdefault(str(row.data["distribution"]), []).append(row.data)
    for name, offered in by_distribution.items():
        yield from _of_one(name, offered)


def _of_one(distribution: str, offered: Sequence[Mapping[str, Any]]) -> Iterator[Checked]:
    wrong = [each for each in offered if each["state"] in ("broken", "conflict")]
    for each in wrong:
        tell = fail if each["used_by"] else warn
        hint = f"used by {', '.join(each['used_by'])}" if each["used_by"] else "nothing here uses it"
        yield tell(f"{distribution}: {each['kind']} {each['name']}", str(each["error"]), hint)
    if len(wrong) < len(offered):
        yield ok(f"{distribution} {offered[0]['version'] or ''}".rstrip(), _described(distribution, offered))


def _described(distribution: str, offered: Sequence[Mapping[str, Any]]) -> str:
    """What it offers, what is not let in, how long its imports took, and for which versions of us it is."""
    kinds: dict[str, list[str]] = {}
    for each in offered:
        kinds.setdefault(each["kind"], []).append(each["name"])
    said = [f"{kind} {', '.join(names)}" for kind, names in kinds.items()]
    kept_out = sorted({each["state"] for each in offered} & {*_KEPT_OUT})
    said += [f"{state}: {', '.join(e['name'] for e in offered if e['state'] == state)}" for state in kept_out]
    # One module is imported once, whatever it offers.
    times = {each["module"]: each["import_ms"] for each in offered if each["import_ms"] is not None}
    said += [f"imported in {sum(times.values()):.0f} ms"] if times else []
    said += [f"for {wanted}"] if (wanted := _wants(distribution)) else []
    return "; ".join(said)


def _wants(distribution: str) -> str:
    """What it requires of us, such as `pointsman>=0.1`; "" where it says nothing."""
    try:
        stated = requires(distribution) or ()
    except PackageNotFoundError:
        return ""
    ours = (each.partition(";")[0].strip() for each in stated)
    return next((each for each in ours if each.removeprefix("pointsman").lstrip()[:1] in tuple("=<>!~")), "")
