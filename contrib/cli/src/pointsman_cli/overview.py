"""A status for people: deployments by model, without what says nothing, and who can take no call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pointsman_cli.output import one_line, print_groups, print_table, print_text

if TYPE_CHECKING:
    from pointsman_cli.layout import Row

Facts = Mapping[str, Any]
"""A model, a deployment or a provider, as `Router.status` and `Router.health` describe it."""

NOBODY_ASKED: Facts = {}
_MOST_NAMES = 5
"""Of one pattern, in a line."""

_COLUMNS: Mapping[str, Callable[[Facts], object]] = {
    "weight": lambda each: each["weight"],
    "priority": lambda each: each["priority"],
    "state": lambda each: each["state"],
    "breaker": lambda each: each["breaker"]["state"],
    "in flight": lambda each: _load(each),
    "calls": lambda each: sum(each["outcomes"].values()),
    "errors": lambda each: _errors(each),
    "first token": lambda each: _ms(each["first_token_ms"]),
    "limits left": lambda each: _left(each),
}
_SILENT = {
    "weight": {"1"}, "priority": {"0"}, "state": {"up"}, "breaker": {"closed", "off", "disabled"},
    "in flight": {"0"}, "calls": {"0"}, "errors": {""}, "first token": {""}, "limits left": {""},
}  # fmt: skip
"""What says nothing when it stands in every row of a column."""
_ERRORS = {"upstream_fault": "fault", "overload": "overload", "client_fault": "bad request"}


def print_providers(health: Mapping[str, Facts]) -> None:
    """Each provider as it answered just now."""
    rows = [
        [name, "ok" if each["ok"] else "down", f"{each['ms']:.0f} ms", each.get("error", "")]
        for name, each in health.items()
    ]
    columns = ["provider", "state", "took", "error"]
    if not any(error for *_, error in rows):
        rows, columns = [row[:-1] for row in rows], columns[:-1]
    print_table(columns, rows)


def print_deployments(
    models: Mapping[str, Facts], *, health: Mapping[str, Facts] = NOBODY_ASKED, wide: bool = False
) -> None:
    """The deployments of each model: grouped at a terminal, else a line with tabs for each.

    Args:
        health: how the providers answered just now.
        wide: at a terminal all columns, as wide as they are.
    """
    if sys.stdout.isatty():
        _print_groups(models, health, wide=wide)
    else:
        rows = [
            [name, model["strategy"], each["id"], *(tell(each) for tell in _COLUMNS.values()),
             why_not(each), _last_error(each)]
            for name, model in models.items()
            for each in model["deployments"]
        ]  # fmt: skip
        print_table(["model", "strategy", "deployment", *_COLUMNS, "why not now", "last error"], rows)
    for name, model in models.items():
        queue = model["queue"]
        if queue is not None and queue["waiting"]:
            print_text(f"{name}: {queue['waiting']} waiting for room, one goes every {queue['pace']:.1f} s")


def print_selectors(selectors: Mapping[str, Facts]) -> None:
    """A line for each model whose requests go to others, as a selector picks."""
    for name, each in selectors.items():
        of = ", ".join(each["of"])
        picks = f"the selector {each['selector']} picks one of {of}"
        print_text(f"{name}: {picks}; {each['default']} by default")


def print_names(status: Facts) -> None:
    """A line for each name that means another, and for each pattern."""
    for name, meant in status.get("aliases", {}).items():
        print_text(f"{name}: another name of {meant}")
    for name, each in status.get("patterns", {}).items():
        asked = f"; asked for: {', '.join(sorted(each['models'])[:_MOST_NAMES])}" if each["models"] else ""
        more = len(each["models"]) - _MOST_NAMES
        asked += f" and {more} more" if more > 0 else ""
        print_text(f"{name}: every name of that form, at {', '.join(each['deployments'])}{asked}")


def print_state(state: Facts | None) -> None:
    """A line about the store that routers share, where there is one."""
    if state is None or state["available"] is None:
        return
    since = f"for {state['seconds_ago']:.0f} s"
    if state["available"]:
        print_text(f"shared through {state['store']}: there {since}, routers: {state['replicas']}")
    else:
        meanwhile = {"local": "each goes by its share", "closed": "nothing limited is let through"}
        print_text(
            f"shared through {state['store']}: away {since}, routers that were there: {state['replicas']}; "
            f"{meanwhile[state['fail']]}: {state['reason']}"
        )


def _print_groups(models: Mapping[str, Facts], health: Mapping[str, Facts], *, wide: bool) -> None:
    deployments = [each for model in models.values() for each in model["deployments"]]
    columns = {
        name: tell
        for name, tell in _COLUMNS.items()
        if wide or not {one_line(tell(each)) for each in deployments} <= _SILENT[name]
    }
    groups = [
        (_title(name, model), [_row(each, columns, health) for each in model["deployments"]])
        for name, model in models.items()
    ]
    print_groups(["deployment", *columns], groups, wide=wide)


def _title(name: str, model: Facts) -> str:
    fallback = f", then {', '.join(model['fallback'])}" if model["fallback"] else ""
    degraded = f"; degraded: {model['degraded']}" if model.get("degraded") else ""
    return f"{name} ({model['strategy']}{fallback}{degraded})"


def _row(
    deployment: Facts, columns: Mapping[str, Callable[[Facts], object]], health: Mapping[str, Facts]
) -> Row:
    from pointsman_cli.layout import Row

    last = _last_error(deployment)
    notes = [f"last error {last}" if last else ""]
    if deployment["blocked"] is not None or deployment["refused"] is None:  # else it is only not its turn
        notes = [why_not(deployment), *notes]
    if deployment["provider"] in _down(health):
        notes = [f"{deployment['provider']} is down", *notes]
    return Row(
        [one_line(cell) for cell in (deployment["id"], *(tell(deployment) for tell in columns.values()))],
        [one_line(note) for note in notes if note],
    )


def _load(deployment: Facts) -> str:
    """`3`, or `3/4` where so many places are."""
    places = deployment["places"]
    return f"{deployment['in_flight']}" if places is None else f"{deployment['in_flight']}/{places}"


def _errors(deployment: Facts) -> str:
    """`3 fault, 1 overload`"""
    outcomes = deployment["outcomes"]
    return ", ".join(f"{outcomes[name]} {word}" for name, word in _ERRORS.items() if outcomes.get(name))


def _ms(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.0f} ms"


def _last_error(deployment: Facts) -> str:
    """`12 s ago: unavailable 503: …`"""
    last = deployment["last_error"]
    if last is None:
        return ""
    status = "" if last["status"] is None else f" {last['status']}"
    return f"{_age(last['seconds_ago'])} ago: {last['code']}{status}: {last['message']}"


def _age(seconds: float) -> str:
    """`12 s`, `5 min`, `3 h`, `2 d`"""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _left(deployment: Facts) -> str:
    """`498/500 requests, 12000/200000 tokens`"""
    return ", ".join(
        f"{scope[unit]['remaining']}/{scope[unit]['burst']} {unit}"
        for scope in deployment["limits"]
        for unit in ("requests", "tokens")
        if scope[unit] is not None
    )


# ── who can take calls ───────────────────────────────────────────────────────────────────────────────


def unable(models: Mapping[str, Facts], health: Mapping[str, Facts]) -> list[str]:
    """The models that can take no call, neither themselves nor by their fallbacks.

    Args:
        health: how the providers answered just now; those that were not asked count as well.
    """
    down = _down(health)
    able = {
        name
        for name, model in models.items()
        if any(each["provider"] not in down and _takes(each) for each in model["deployments"])
    }
    chains = {name: {name, *_fallbacks(name, models)} for name in models}
    # Of a name that a pattern matches nobody knows before it was asked for.
    return [name for name, chain in chains.items() if chain <= models.keys() and not able & chain]


def _down(health: Mapping[str, Facts]) -> set[str]:
    return {name for name, each in health.items() if not each["ok"]}


def _takes(deployment: Facts) -> bool:
    """Whether a call could go there, now or as soon as there is room: to be busy is no fault."""
    ejection, checks, cool_down = deployment["ejection"], deployment["checks"], deployment["cool_down"]
    return deployment["refused"] is None or (
        deployment["state"] == "up"
        and deployment["breaker"]["state"] not in ("open", "forced_open")
        and not (ejection and ejection["ejected"])
        and not (checks and not checks["healthy"])
        and not (cool_down and cool_down["refused"])
    )


def _fallbacks(name: str, models: Mapping[str, Facts]) -> Iterator[str]:
    """Every model that takes what `name` cannot; a chain goes over its fallbacks' own."""
    waiting, seen = list(models[name]["fallback"]), {name}
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            yield each
            waiting += models[each]["fallback"] if each in models else ()


# ── words ────────────────────────────────────────────────────────────────────────────────────────────


def why_not(deployment: Facts) -> str:
    """Why a call would not be sent there now, or would get less than its share; "" when nothing is wrong."""
    refused, blocked, warm_up = deployment["refused"], deployment["blocked"], deployment["warm_up"]
    if refused is None and blocked is not None:
        return f"used although it is {_in_words(deployment, blocked)}: too few others are well"
    if refused is not None:
        return _in_words(deployment, refused)
    if warm_up is not None and warm_up["active"]:
        return f"warming up: {warm_up['share']:.0%} of its share, {warm_up['seconds_left']:.0f} s left"
    return ""


def _in_words(deployment: Facts, why: str) -> str:
    """`why`, and what else is known of it: since when, for how long, what a check said."""
    ejection, checks, breaker = deployment["ejection"], deployment["checks"], deployment["breaker"]
    if why == "unhealthy: ejected" and ejection is not None and ejection["ejected"]:
        return f"{why} for failures in a row, back in {ejection['seconds_left']:.0f} s"
    if why == "unhealthy: its checks fail" and checks is not None and checks["last_error"]:
        return f"{why}: {checks['last_error']}"
    if why == "circuit breaker open" and breaker["seconds_left"] is not None:
        return f"{why}, a probe in {breaker['seconds_left']:.0f} s"
    return why
