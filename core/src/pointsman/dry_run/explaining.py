"""Where a call would go: what stands before it, candidates with reasons, the order, what would be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite

from msgspec.structs import replace

from pointsman._internal.plugin_errors import OWN, fault
from pointsman.dry_run.attempts import order
from pointsman.dry_run.rehearsal import Rehearsals
from pointsman.events import Events
from pointsman.execution.execution import Execution
from pointsman.execution.retry_state import RetryState
from pointsman.explanations import (
    ExplainedAttempt,
    ExplainedCandidate,
    ExplainedDeployment,
    ExplainedError,
    ExplainedPool,
    ExplainedReason,
    ExplainedSelector,
    Explanation,
)
from pointsman.requests.call_options import DEFAULT, CallOptions
from pointsman.requests.requirements import merged
from pointsman.resilience.token_estimate import DEFAULT_OUTPUT, input_estimate
from pointsman.routing.deployment import Demand, Deployment
from pointsman.routing.entrance import ConfiguredSelector
from pointsman.routing.per_call import chain_of_call
from pointsman.routing.pool import Pool
from pointsman.routing.reasons import Reason
from pointsman.routing.runtime import Running
from pointsman.routing.snapshot import Snapshot
from pointsman.status import guards_before, limit_status
from pointsman.strategy import Placing
from pointsman.types import ChatRequest, Usage

_KINDS = {"unsupported": "unsupported", "budget_exceeded": "spending"}
"""Of what a deployment would not be asked, by the code of the error."""


def explain(
    snapshot: Snapshot,
    request: ChatRequest,
    now: float,
    options: CallOptions = DEFAULT,
    *,
    operation: str = "chat",
) -> Explanation:
    """Where `request` with `options` would go at `now`; nothing is called, taken or changed.

    Args:
        operation: `chat` or `stream`.

    Raises: UnknownModel, InvalidRequest.
    """
    model, selector = request.model, None
    meant = snapshot.names.target(model)
    pattern = snapshot.names.pattern(meant)
    entrance = snapshot.entrance(model)
    if entrance is not None and entrance.selector is not None:
        model, selector = entrance.selector.default, _selector(snapshot, entrance.selector, now)
    chain = [each.rehearsal() for each in chain_of_call(snapshot, model, options)]
    execution = _execution(snapshot, chain, request, options, operation, now)
    rehearsals = Rehearsals(execution, {name: each.own for name, each in snapshot.upstreams.items()})
    pools = [_pool(each, execution, rehearsals, now) for each in chain]
    planned = order(execution, rehearsals, now)
    first = planned.first
    prompt, answer = _tokens(chain[0], request, first)
    sent = None if first is None else rehearsals.of(first)
    return Explanation(
        model=request.model,
        alias_of=None if meant == request.model else meant,
        pattern=None if pattern is None else pattern.text,
        guards=guards_before(snapshot, request.model),
        selector=selector,
        pick=None if first is None else first.id,
        chain=[_settled(each, execution, planned.attempts) for each in pools],
        attempts=planned.attempts,
        waits=planned.waits,
        error=None if planned.error is None else ExplainedError(planned.error.code, planned.error.message),
        prompt_tokens=prompt,
        answer_tokens=answer,
        cost_usd=None if first is None else _usd(first, prompt, answer),
        wire=None if sent is None or sent.wire is None else sent.wire(),
        unsent="" if sent is None else sent.unsent,
    )


def _execution(
    snapshot: Snapshot,
    chain: Sequence[Pool],
    request: ChatRequest,
    options: CallOptions,
    operation: str,
    now: float,
) -> Execution:
    """One that never runs: nobody hears of it, and it is counted nowhere."""
    first, setting = chain[0], snapshot.setting
    require = merged(first.require, options.require) if first.require else options.require
    return Execution(
        setting=replace(setting, events=Events(scrub=setting.scrubber.text), running=Running()),
        chain=chain,
        request=request,
        operation=operation,
        options=options,
        request_id=options.request_id,
        started_at=now,
        wall=setting.clock.wall(),
        deadline=now + (options.timeout or first.total),
        demand=Demand(
            require, 0 if first.estimator is None else first.estimator.estimate(request), options.affinity
        ),
        budget=first.budget,
        failures=RetryState(),
        routed_at=now,
    )


# ── what stands before it ────────────────────────────────────────────────────────────────────────────


def _selector(snapshot: Snapshot, selector: ConfiguredSelector, now: float) -> ExplainedSelector:
    candidates = [_candidate(snapshot, name, now) for name in selector.of]
    return ExplainedSelector(selector.name, selector.default, selector.within, candidates)


def _candidate(snapshot: Snapshot, model: str, now: float) -> ExplainedCandidate:
    entrance, ready = snapshot.entrance(model), snapshot.pool(model).ready(now, refused=lambda *_: None)
    own = () if entrance is None else entrance.own_guards
    return ExplainedCandidate(model, bool(ready), [each.name for each in own])


# ── the candidates ───────────────────────────────────────────────────────────────────────────────────


def _pool(pool: Pool, execution: Execution, rehearsals: Rehearsals, now: float) -> ExplainedPool:
    demand, refused = execution.demand, dict[str, Reason]()
    ready = pool.ready(now, demand, refused=refused.__setitem__)
    for each in ready:  # in a panic, of some whose health is bad
        refused.pop(each.id, None)
    able = [each for each in ready if rehearsals.of(each).refusal is None] or ready
    pick, degraded = pool.preview(able, execution.request, demand.affinity) if able else (None, "")
    scores = _scores(pool, ready, Placing(execution.request, demand.affinity)) if ready else {}
    return _told(
        ExplainedPool(
            model=pool.name,
            strategy=pool.strategy_name,
            degraded=degraded or None,
            pick=None if pick is None else pick.id,
            ready=(),
            refused={},
            scored_by=getattr(pool.strategy, "scored_by", "") if scores else "",
        ),
        [
            _deployment(each, refused.get(each.id), demand, scores, rehearsals, now)
            for each in pool.deployments
        ],
    )


def _told(pool: ExplainedPool, candidates: Sequence[ExplainedDeployment]) -> ExplainedPool:
    """`pool` with these, and what follows of them."""
    ready = [each.id for each in candidates if each.ready]
    return replace(
        pool,
        candidates=candidates,
        ready=ready,
        refused={each.id: each.reasons[0].text for each in candidates if each.reasons},
        pick=pool.pick if pool.pick in ready else None,
    )


def _deployment(
    deployment: Deployment,
    refused: Reason | None,
    demand: Demand,
    scores: Mapping[str, float],
    rehearsals: Rehearsals,
    now: float,
) -> ExplainedDeployment:
    live, reasons = deployment.live, list[ExplainedReason]()
    if refused is not None:
        all_of_them = [*demand.reasons(deployment), *deployment.reasons(now, demand.tokens)]
        reasons = [_reason(each, now) for each in all_of_them or [refused]]
    refusal = rehearsals.of(deployment).refusal
    if refusal is not None:
        reasons.append(ExplainedReason(_KINDS.get(refusal.code, "context_window"), refusal.message))
    return ExplainedDeployment(
        id=deployment.id,
        provider=deployment.provider_name,
        model=deployment.model,
        weight=deployment.weight,
        priority=deployment.priority,
        ready=not reasons,
        reasons=reasons,
        score=scores.get(deployment.id),
        in_flight=live.in_flight,
        places=live.places,
        limits=[] if live.limits is None else [limit_status(each) for each in live.limits.snapshot(now)],
    )


def _reason(reason: Reason, now: float) -> ExplainedReason:
    left = None if reason.until == inf else max(0.0, reason.until - now)
    return ExplainedReason(reason.why.value, str(reason), left)


def _scores(pool: Pool, ready: Sequence[Deployment], placing: Placing) -> Mapping[str, float]:
    """What the strategy goes by; a plugin's mistake is logged, and costs no more than the scores."""
    ask = getattr(pool.strategy, "scores", None)
    if ask is None:  # it need not inherit ours
        return {}
    try:
        found = dict(ask(ready, placing))
        return {id: float(score) for id, score in found.items() if isfinite(score)}
    except OWN as error:
        fault("strategy", pool.strategy_name, "scores", error, scrub=pool.scrub)
        return {}


def _settled(
    pool: ExplainedPool, execution: Execution, attempts: Sequence[ExplainedAttempt]
) -> ExplainedPool:
    """With what was found out while the order was made: a deployment takes the call without some options."""
    first = next((each.deployment for each in attempts if each.model == pool.model), pool.pick)
    dropping = execution.dropping
    candidates = pool.candidates
    if dropping is not None:
        candidates = [_asked_without(each, dropping.left_out) for each in candidates]
    return _told(replace(pool, pick=first), candidates)


def _asked_without(
    candidate: ExplainedDeployment, left_out: Mapping[str, Sequence[str]]
) -> ExplainedDeployment:
    names = left_out.get(candidate.id, ())
    if not names:
        return candidate
    reasons = [each for each in candidate.reasons if each.kind != "unsupported"]
    return replace(candidate, ready=not reasons, reasons=reasons, left_out=names)


# ── what it would take ───────────────────────────────────────────────────────────────────────────────


def _tokens(pool: Pool, request: ChatRequest, first: Deployment | None) -> tuple[int, int]:
    """About how many tokens the prompt has, and the answer at most."""
    if first is not None and first.amends is not None:
        request = first.amends.of(request)
    usual = DEFAULT_OUTPUT if pool.estimator is None else pool.estimator.output
    return input_estimate(request), usual if request.max_tokens is None else min(request.max_tokens, usual)


def _usd(deployment: Deployment, prompt: int, answer: int) -> float | None:
    counted = None if deployment.price is None else deployment.price.microcents(Usage(prompt, answer))
    return None if counted is None else counted / 1e8
