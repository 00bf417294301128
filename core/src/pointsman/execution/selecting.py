"""The choice of a model for one request, by a selector: in time and among its models, or else the default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pointsman._internal.plugin_errors import fault, is_own
from pointsman._internal.printable import printable_line
from pointsman._internal.timeouts import TimeLimit
from pointsman.errors import writable
from pointsman.events import ModelSelected
from pointsman.requests.requirements import merged
from pointsman.routing.deployment import Demand
from pointsman.routing.entrance import ConfiguredSelector
from pointsman.selector import Candidate, Selection, SelectorCall

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution
    from pointsman.routing.snapshot import Snapshot

_LONGEST_REASON = 200
"""Characters; it goes into events."""


class Picked(Struct, frozen=True):
    """The model that a request goes to, and why; `failed`: the selector did not pick it."""

    name: str
    reason: str
    failed: bool = False


async def select(execution: Execution, selector: ConfiguredSelector, snapshot: Snapshot) -> str:
    """The model that `selector` picks for the request of `execution`, its default where that fails."""
    setting, began = execution.setting, execution.now()
    candidates = [candidate(name, snapshot, execution, began) for name in selector.of]
    choice = await _chosen(execution, selector, candidates, began)
    if setting.events.detailed:
        seconds = execution.now() - began
        said = selector.model, choice.name, choice.reason, choice.failed, seconds
        execution.tell(ModelSelected, *said)
    return choice.name


def candidate(name: str, snapshot: Snapshot, execution: Execution | None, now: float) -> Candidate:
    """The model `name` as a selector sees it, for the request of `execution` or for any."""
    pool, require = snapshot.pool(name), {} if execution is None else execution.options.require
    ready = bool(pool.ready(now, Demand(merged(pool.require, require))))
    return Candidate(name, ready, tuple(each.id for each in pool.deployments))


async def _chosen(
    execution: Execution, selector: ConfiguredSelector, candidates: Sequence[Candidate], began: float
) -> Picked:
    options, scrub = execution.options, execution.setting.scrubber.text
    until = min(began + selector.within, execution.deadline)
    call = SelectorCall(
        execution.request_id,
        execution.operation,
        selector.model,
        options.caller,
        options.tags,
        until,
        options.require,
    )
    limit = TimeLimit(until, TimeoutError, execution.setting.alarms)
    try:
        given: object = await selector.selector.choose(execution.request, candidates, call)
    except BaseException as error:
        if limit.over(error):
            return _late(selector)
        if not is_own(error):
            raise
        fault("selector", selector.name, "choose", error, scrub=scrub)
        return Picked(selector.default, f"the selector failed: {type(error).__name__}", failed=True)
    # The clock is asked, too: a selector that kept the loop to itself was not interrupted.
    if limit.over() or execution.now() >= until:
        return _late(selector)
    choice = verdict(given, selector)
    if choice.failed:
        fault("selector", selector.name, "choose", choice.reason.removeprefix("the selector "), scrub=scrub)
    return choice if not choice.reason else Picked(choice.name, scrub(choice.reason), choice.failed)


def _late(selector: ConfiguredSelector) -> Picked:
    return Picked(selector.default, f"the selector did not pick within {selector.within:g} s", failed=True)


def verdict(given: object, selector: ConfiguredSelector) -> Picked:
    """What it comes to that `selector` returned `given`."""
    name: Any
    reason: Any
    name, reason = (given.name, given.reason) if isinstance(given, Selection) else (given, "")
    if not isinstance(name, str):
        did = f"returned a {type(name).__name__}, expected the name of a model or a Selection"
    elif not isinstance(reason, str):
        did = f"gave a {type(reason).__name__} as its reason, expected text"
    elif name not in selector.of:
        did = f"picked {name!r:.100}, which is none of {', '.join(selector.of)}"
    else:
        return Picked(name, printable_line(writable(reason[:_LONGEST_REASON])))
    return Picked(selector.default, f"the selector {did}", failed=True)
