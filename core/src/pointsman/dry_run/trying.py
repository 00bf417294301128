"""Cases tried: each on a router of its own, in the state that it assumes; what is otherwise than expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pointsman.build.builder import build
from pointsman.build.loading import plugins_for
from pointsman.clock import system_rng
from pointsman.config import Config
from pointsman.dry_run.cases import Case, Expected, Given, Placed
from pointsman.dry_run.explaining import explain
from pointsman.errors import InvalidRequest, UnknownModel
from pointsman.events import Events
from pointsman.explanations import ExplainedDeployment, Explanation
from pointsman.reports import Report
from pointsman.requests.call_options import split_options
from pointsman.requests.parsing import chat_request
from pointsman.routing.deployment_state import Admin
from pointsman.routing.snapshot import Snapshot

SEED = 1
"""Of what chance decides: the same cases have the same results."""


class CaseResult(Report, frozen=True):
    """How one case went.

    Attributes:
        name: as the file has it, else what is called.
        line: where it begins.
        wrong: what is otherwise than expected, one sentence each; none: all is as expected.
    """

    name: str
    line: int
    wrong: list[str]


def deployments_of(config: Config, plugins: Sequence[object] = ()) -> list[str]:
    """The ids of all deployments. Raises ConfigError."""
    return [*_snapshot(config, plugins).lives]


def tried(placed: Placed, config: Config, plugins: Sequence[object] = ()) -> Iterator[CaseResult]:
    """The results of the cases, in order. Nobody is called.

    Args:
        plugins: plugin objects that need not be installed.

    Raises: ConfigError.
    """
    for case, line in zip(placed.cases.cases, placed.lines, strict=True):
        snapshot = _snapshot(config, plugins)
        now = snapshot.setting.clock.now()
        wrong = [each for given in (placed.cases.given, case.given) for each in assume(snapshot, given, now)]
        wrong += _wrong(case, snapshot, now)
        yield CaseResult(case.name or f"a call for {case.model}", line, wrong)


class _Still:
    """A clock that stands: nothing that is assumed wears off."""

    def now(self) -> float:
        return 1e6

    def wall(self) -> float:
        return 1e9

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits in a dry run")


def _snapshot(config: Config, plugins: Sequence[object]) -> Snapshot:
    return build(
        config,
        plugins_for(config, plugins),
        clock=_Still(),
        rng=system_rng(SEED),
        events=Events(scrub=str),
    )


def assume(snapshot: Snapshot, given: Given, now: float) -> Iterator[str]:
    """Put the deployments of `snapshot`, which nobody calls, into that state; yields what cannot be."""
    for id in given.down:
        snapshot.lives[id].breaker.force_open(now)
    for id in given.disabled:
        snapshot.lives[id].admit(Admin.DOWN)
    for id in given.draining:
        snapshot.lives[id].admit(Admin.DRAINING)
    for id, count in given.in_flight.items():
        snapshot.lives[id].in_flight = count
    for id in given.limited:
        limits = snapshot.lives[id].limits
        if limits is None:
            yield f"given.limited: {id} has no rate limits"
        else:
            limits.lower(now, requests=0, tokens=0)
    snapshot.readiness.invalidate()


# ── what is otherwise than expected ──────────────────────────────────────────────────────────────────


def _wrong(case: Case, snapshot: Snapshot, now: float) -> Iterator[str]:
    try:
        options, rest = split_options(case.options)
        request = chat_request(case.model, case.messages or "…", rest)
        explained = explain(snapshot, request, now, options, operation="stream" if case.stream else "chat")
    except (InvalidRequest, UnknownModel) as error:
        yield from _refusal(case.expect, error.code, error.message)
        if case.expect.pick is not None or case.expect.order:
            yield f"expected a pick, got {error.code}: {error.message}"
        return
    for key, check in _CHECKS.items():
        if key in case.expect.model_fields_set:
            yield from check(case.expect, explained)
    if explained.error is not None and not case.expect.error and case.expect.pick is not None:
        yield f"it ends with {explained.error.code}: {explained.error.message}"


def _refusal(expect: Expected, code: str, message: str) -> Iterator[str]:
    if not expect.error:
        yield f"expected no error, got {code}: {message}"
    elif expect.error != code and expect.error not in message:
        yield f"error: expected {expect.error}, got {code}: {message}"


def _pick(expect: Expected, explained: Explanation) -> Iterator[str]:
    allowed = (expect.pick,) if expect.pick is None or isinstance(expect.pick, str) else expect.pick
    if explained.pick not in allowed:
        wanted = " or ".join(each or "nobody" for each in allowed)
        yield f"pick: expected {wanted}, got {explained.pick or 'nobody'}"


def _order(expect: Expected, explained: Explanation) -> Iterator[str]:
    got = [each.deployment for each in explained.attempts][: len(expect.order)]
    if got != [*expect.order]:
        yield f"order: expected {', '.join(expect.order)}, got {', '.join(got) or 'nobody'}"


def _refused(expect: Expected, explained: Explanation) -> Iterator[str]:
    candidates = {each.id: each for pool in reversed(explained.chain) for each in pool.candidates}
    for id, why in expect.refused.items():
        candidate = candidates.get(id)
        if candidate is None:
            yield f"refused: {id} is no candidate for {explained.model}"
        elif candidate.ready:
            yield f"refused: expected {id} to be refused for {why}, and it is ready"
        elif not _says(candidate, why):
            got = "; ".join(f"{each.kind}: {each.text}" for each in candidate.reasons)
            yield f"refused: expected {id} to be refused for {why}, got {got}"


def _says(candidate: ExplainedDeployment, why: str) -> bool:
    return any(why == each.kind or why in each.text for each in candidate.reasons)


def _ends(expect: Expected, explained: Explanation) -> Iterator[str]:
    error = explained.error
    if error is None:
        yield f"error: expected {expect.error}, and it goes to {explained.pick or 'the queue'}"
    else:
        yield from _refusal(expect, error.code, error.message)


def _left_out(expect: Expected, explained: Explanation) -> Iterator[str]:
    got = set(explained.attempts[0].left_out) if explained.attempts else set[str]()
    if got != {*expect.left_out}:
        yield f"left_out: expected {_named(expect.left_out)}, got {_named(got)}"


def _named(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _sent(expect: Expected, explained: Explanation) -> Iterator[str]:
    if explained.wire is None:
        yield f"sent: what would be sent is not known: {explained.unsent or 'nobody is asked'}"
        return
    body = explained.wire.body if isinstance(explained.wire.body, Mapping) else {}
    for name, value in expect.sent.items():
        if name not in body:
            yield f"sent: expected {name!r}, which the body lacks"
        elif body[name] != value:
            yield f"sent: expected {name}: {value!r}, got {body[name]!r}"


_CHECKS: Mapping[str, Callable[[Expected, Explanation], Iterator[str]]] = {
    "pick": _pick,
    "order": _order,
    "refused": _refused,
    "error": _ends,
    "left_out": _left_out,
    "sent": _sent,
}
