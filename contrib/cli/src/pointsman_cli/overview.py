"""A status for people: deployments by model, without what says nothing, and who can take no call."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pointsman_cli.output import counted, one_line, print_groups, print_table, print_text

if TYPE_CHECKING:
    from pointsman_cli.layout import Row

Facts = Mapping[str, Any]
"""A model, a deployment or a provider, as `Router.status` and `Router.health` describe it."""

NOBODY_ASKED: Facts = {}
_MOST_BUDGETS = 20
"""Lines for budgets; the fullest come first."""
_MOST_NAMES = 5
"""Of one pattern, in a line."""

_COLUMNS: Mapping[str, Callable[[Facts], object]] = {
    "weight": lambda each: each["weight"],
    "priority": lambda each: each["priority"],
    "state": lambda each: each["state"],
    "breaker": lambda each: each["breaker"]["state"],
    "in flight": lambda each: load_of(each),
    "calls": lambda each: sum(each["outcomes"].values()),
    "errors": lambda each: _errors(each),
    "first token": lambda each: in_ms(each["first_token_ms"]),
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


def print_discoveries(status: Facts) -> None:
    """A line for each thing that looks for servers or models: what it found last, and what is wrong since."""
    for each in status.get("discoveries", ()):
        found = [*(each["servers"] or ()), *(each["models"] or ())]
        shown = ", ".join(found[:_MOST_NAMES]) + (", …" if len(found) > _MOST_NAMES else "")
        when = "no answer yet" if each["seconds_ago"] is None else f"{each['seconds_ago']:.0f} s ago"
        error = f"; it fails: {each['error']}" if each["error"] else ""
        print_text(f"{each['provider']}: {each['type']} found {shown or 'nothing'} ({when}){error}")


def print_budgets(status: Facts) -> None:
    """A line for each budget that was used, the fullest first."""
    from pointsman.units import format_duration

    accounts = sorted(status.get("budgets", ()), key=_fullness, reverse=True)
    for each in accounts[:_MOST_BUDGETS]:
        whose = f" of {each['subject']}" if each["subject"] else ""
        held = f", {_amount(each['held'], each)} held" if each["held"] else ""
        wait = each["resets_in"]
        free = "" if wait is None else f"; some is free again in {format_duration(int(wait))}"
        refused = f", refused: {each['refused']}" if each["refused"] else ""
        print_text(
            f"budget {each['rule']}{whose}: {_amount(each['spent'], each)} of "
            f"{_amount(each['limit'], each)}/{each['per']} used{held}{refused}{free}"
        )
    if (more := len(accounts) - _MOST_BUDGETS) > 0:
        print_text(f"and {counted(more, 'budget')} more")
    if why := status.get("budgets_trouble"):
        print_text(f"what was spent is not kept now: {why}")


def _fullness(account: Facts) -> float:
    return float((account["spent"] + account["held"]) / max(1, account["limit"]))


def _amount(amount: int, account: Facts) -> str:
    unit: str = account["unit"]
    if unit == "microcents":
        return _usd(amount)
    return f"{amount} {unit.removesuffix('s') if amount == 1 else unit}"


def print_mirrors(models: Mapping[str, Facts]) -> None:
    """Lines for each model whose requests are copied to another one, with what came of it."""
    for name, model in models.items():
        if (mirror := model.get("mirror")) is None:
            continue
        money = (
            f", {_usd(mirror['budget_left_microcents'])} left of {mirror['budget']}"
            if mirror["budget"]
            else ""
        )
        print_text(
            f"{name}: {100 * mirror['share']:.4g}% of its answered requests go to {mirror['to']}, too: "
            f"{mirror['compared']} compared{_counts(mirror['failed'], 'failed')}"
            f"{_counts(mirror['left_out'], 'left out')}{money}"
        )
        if mirror["compared"]:
            print_text(f"  {name}: {_side(mirror['asked'])}")
            print_text(f"  {mirror['to']}: {_side(mirror['copies'])}")
            same, others = mirror["same_finish"], mirror["other_finish"]
            print_text(f"  ended for the same reason: {same} of {mirror['compared']}{_reasons(others)}")


def _counts(counts: Mapping[str, int], what: str) -> str:
    """`, 3 left out (2 busy, 1 budget)`; "" for none."""
    said = ", ".join(f"{count} {why}" for why, count in counts.items())
    return f", {sum(counts.values())} {what} ({said})" if counts else ""


def _reasons(counts: Mapping[str, int]) -> str:
    """` (2 length → stop)`; "" for none."""
    return f" ({', '.join(f'{count} {both}' for both, count in counts.items())})" if counts else ""


def _side(side: Facts) -> str:
    """`first token p50 120 ms p95 300 ms, total p50 900 ms p95 2100 ms, 0.0123 USD`"""
    parts = [
        f"{what} {' '.join(f'{name} {ms:.0f} ms' for name, ms in side[key].items())}"
        for what, key in (("first token", "first_token_ms"), ("total", "total_ms"))
        if side[key]
    ]
    unknown = f" and {counted(side['unpriced'], 'call')} of unknown cost" if side["unpriced"] else ""
    return ", ".join([*parts, f"{_usd(side['cost_microcents'])}{unknown}"])


def _usd(microcents: int) -> str:
    from pointsman.values.usd import usd

    return f"{usd(microcents)} USD"


def print_credentials(status: Facts) -> None:
    """A line for each credential that is not all there is to say: of several, with an end, or in trouble."""
    told: list[Facts] = status.get("credentials", ())
    several = Counter(each["provider"] for each in told)
    for each in told:
        if several[each["provider"]] > 1 or each["not_after"] is not None or each["trouble"]:
            print_text(f"credential of {each['provider']}: {credential_line(each)}")


def credential_line(told: Facts) -> str:
    """How it stands with one credential, which is not in it."""
    name = f" {told['name']!r}" if told["name"] else ""
    ends, rests = told["seconds_left"], told["rests_for"]
    when = "" if not ends else f", ends in {_age(ends)}"
    when += "" if rests is None else f", was rejected and rests for another {_age(rests)}"
    trouble = f"; {told['trouble']}" if told["trouble"] else ""
    return f"{told['source']}{name}: {told['state'].replace('_', ' ')}{when}{trouble}"


def print_audit(status: Facts) -> None:
    """A line for each audit sink that cannot write now, or has lost something."""
    for each in status.get("audit", ()):
        if each["trouble"] or each["dropped"]:
            lost = f"records lost: {each['dropped']:,}, waiting: {each['waiting']:,}"
            trouble = f"; {each['trouble']}" if each["trouble"] else ""
            print_text(f"audit {each['sink']} ({each['mode']}): {lost}{trouble}")


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


def print_refused(configuration: Facts | None, now: float) -> None:
    """What is wrong with a configuration that the router was to take and did not; nothing without one.

    Args:
        now: seconds since 1970 UTC.
    """
    for each in lines_of_refused(configuration, now):
        print_text(each)


def lines_of_refused(configuration: Facts | None, now: float) -> Sequence[str]:
    """The same, as lines."""
    refused = None if configuration is None else configuration["refused"]
    if refused is None:
        return ()
    age = _age(max(0.0, now - refused["at"]))
    problems = (f"  {line_of_problem(each)}" for each in refused["problems"])
    return (f"what the file says now is not used: refused {age} ago", *problems)


def line_of_problem(problem: Facts) -> str:
    """`pointsman.yaml:3:7: models.m.strategy: …; did you mean …? [PM1401]`"""
    where = ":".join(str(each) for each in (problem["file"], problem["line"], problem["column"]) if each)
    text = f"{problem['message']}; {problem['hint']}" if problem["hint"] else problem["message"]
    code = f" [{problem['code']}]" if problem.get("code") else ""
    return one_line(": ".join(each for each in (where, problem["path"], text) if each) + code)


def _print_groups(models: Mapping[str, Facts], health: Mapping[str, Facts], *, wide: bool) -> None:
    deployments = [each for model in models.values() for each in model["deployments"]]
    columns = {
        name: tell
        for name, tell in _COLUMNS.items()
        if wide or not {one_line(tell(each)) for each in deployments} <= _SILENT[name]
    }
    groups = [
        (title_of(name, model), [_row(each, columns, health) for each in model["deployments"]])
        for name, model in models.items()
    ]
    print_groups(["deployment", *columns], groups, wide=wide)


def title_of(name: str, model: Facts) -> str:
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


def load_of(deployment: Facts) -> str:
    """`3`, or `3/4` where so many places are."""
    places = deployment["places"]
    return f"{deployment['in_flight']}" if places is None else f"{deployment['in_flight']}/{places}"


def _errors(deployment: Facts) -> str:
    """`3 fault, 1 overload`"""
    outcomes = deployment["outcomes"]
    return ", ".join(f"{outcomes[name]} {word}" for name, word in _ERRORS.items() if outcomes.get(name))


def in_ms(milliseconds: float | None) -> str:
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
