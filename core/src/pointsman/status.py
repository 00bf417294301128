"""What the router knows, as plain data: the state of every deployment, and a dry run of a choice."""

from __future__ import annotations

from typing import Any

from pointsman.config import ModelConfig
from pointsman.config.names import NamePattern, Names
from pointsman.requests.call_options import DEFAULT, CallOptions
from pointsman.resilience.outlier_detection import OutlierDetector
from pointsman.routing.deployment import Deployment
from pointsman.routing.deployment_state import DeploymentState
from pointsman.routing.entrance import ConfiguredSelector
from pointsman.routing.per_call import chain_of_call
from pointsman.routing.pool import Pool
from pointsman.routing.reasons import Reason
from pointsman.routing.snapshot import Snapshot
from pointsman.transports import name_of
from pointsman.types import ModelInfo, Request


def status(snapshot: Snapshot, now: float) -> dict[str, Any]:
    """The live state at `now`.

    Returns: `models`: name → `strategy`, `degraded` (why that chose the last time without the signal that it
        goes by, None when it had that), `fallback`, `guards` (those that its requests pass, in order, by the
        names of their plugins), `queue` (who waits for room, None without one), `retries` and `hedges` (what
        is left of their budgets, in thousandths of one, and how many there were; None without one) and
        `deployments`; `selectors`: name of a model that has one → `selector` (the plugin), `of`, `default`,
        `within` (seconds) and `guards`; `aliases`: name → what it means; `patterns`: pattern → `strategy`,
        `fallback`, `guards`, `deployments` (their ids, with the `*`) and `models`: each name of it that
        somebody asked for, as far as is remembered → as of `models`; `state`: how it is with the store that
        routers share, None without one: `store` (the plugin), `available` (None before it was asked),
        `seconds_ago` since when that is,
        while it is away the `reason` and the `seconds_left` until it is asked again, `replicas` (routers that
        were there when it last answered), `fail` (what becomes of limits meanwhile, unless they say
        otherwise) and `dropped` (settlements that it never heard of); and the `in_flight` of all. Of each
        deployment `id`,
        `provider`, `model`, `transport` (the name of the one that is used, None where there is none),
        `weight`, `priority`, `state`, `blocked` (why it takes no calls, None when it does), `refused` (why a
        call would not be sent there now: that, or that another priority level comes first), `breaker`,
        `in_flight`, `max_in_flight`, `places` (as many as it takes now), `limits`, `outcomes` (how many
        calls ended how), `last_error` of a failed call (`code`, `status`, `message`, None before one), and
        `first_token_ms` and `total_ms` averaged over half a minute (None before the first). Further, each
        None where there is nothing of the kind: `ejection`, `checks`, `warm_up`, `adaptive`, and `cool_down`,
        whose `refused` says what the upstream refuses ("model not found upstream", "credential refused", …;
        None for an overload).
        Where a machine knows an instant, `seconds_left` or `seconds_ago` says how far away it is; None when
        it has none.
    """
    return {
        "models": {
            name: {**_pool(pool, now), "guards": _guards(snapshot, name)}
            for name, pool in snapshot.pools.items()
        },
        "selectors": {
            name: {**_selector(each.selector), "guards": _guards(snapshot, name)}
            for name, each in snapshot.entrances.items()
            if each.selector is not None
        },
        "aliases": dict(snapshot.names.aliases),
        "patterns": {each.text: _pattern(snapshot, each, now) for each in snapshot.names.patterns},
        "state": _state(snapshot, now),
        "in_flight": snapshot.in_flight,
    }


def _pattern(snapshot: Snapshot, pattern: NamePattern, now: float) -> dict[str, Any]:
    model, config = snapshot.config.models[pattern.text], snapshot.config
    matched = {
        name: _pool(pool, now)
        for name, pool in snapshot.remembered.items()
        if snapshot.names.described_as(name) == pattern.text
    }
    return {
        "strategy": (model.strategy or config.strategy).type,
        "fallback": [each.to for each in config.fallback_of(model)],
        "guards": _guards(snapshot, pattern.text),
        "deployments": [each.id for each in model.deployments],
        "models": matched,
    }


def public_models(snapshot: Snapshot) -> list[ModelInfo]:
    """The public names, with what the configuration says that they can do; aliases as what they mean."""
    named: dict[str, dict[str, Any]] = {
        name: {"deployments": [each.id for each in pool.deployments]} for name, pool in snapshot.pools.items()
    }
    for name, each in snapshot.entrances.items():
        if each.selector is not None:
            named[name] = {"deployments": [], "of": list(each.selector.of)}
    for alias, name in snapshot.names.aliases.items():
        named[alias] = {"alias_of": name, **(named.get(name) or {"deployments": []})}
    config, names = snapshot.config.models, snapshot.names
    return [_public(name, raw, config.get(names.described_as(name) or "")) for name, raw in named.items()]


def _public(name: str, raw: dict[str, Any], configured: ModelConfig | None) -> ModelInfo:
    if configured is None:  # a provider lists it
        return ModelInfo(name, raw=raw)
    said = configured.capabilities
    if said.family is not None:
        raw["family"] = said.family
    return ModelInfo(name, context_window=said.context_length, capabilities=said.can or (), raw=raw)


def explain(
    snapshot: Snapshot, request: Request, now: float, options: CallOptions = DEFAULT
) -> dict[str, Any]:
    """Where `request` with `options` would go at `now`; nothing is called, taken or changed.

    Returns: `model`, where that is so `alias_of` (what it means) and `pattern` (which matches it), `pick` (a
        deployment id, None when none is ready), and `chain`: for each pool in the
        order of fallbacks its `model`, `strategy`, `degraded` (why that would choose without the signal that
        it goes by, None when it has it), `pick`, `ready` ids and `refused`: id → reason. Where guards stand
        before it, `guards`: the names of their plugins in order. Of a model with a selector, which is not
        asked, `selector`: its plugin as `selector`, `default`, `within` (seconds) and `candidates`, each with
        its `model`, whether it is `ready` and its `guards`; `pick` and `chain` are those of the default.
    Raises: UnknownModel, InvalidRequest.
    """
    model, before = request.model, _meaning(request.model, snapshot.names)
    entrance = snapshot.entrance(model)
    if entrance is not None and entrance.guards:
        before["guards"] = _guards(snapshot, model)
    if entrance is not None and (selector := entrance.selector) is not None:
        model = selector.default
        said = _selector(selector)
        candidates = [_candidate(snapshot, name, now) for name in said.pop("of")]
        before["selector"] = {**said, "candidates": candidates}
    pools = chain_of_call(snapshot, model, options)
    chain = [_choice(pool, request, now, options.affinity) for pool in pools]
    pick = next((pool["pick"] for pool in chain if pool["pick"] is not None), None)
    return {"model": request.model, **before, "pick": pick, "chain": chain}


def _meaning(model: str, names: Names) -> dict[str, Any]:
    name = names.target(model)
    pattern = names.pattern(name)
    said = {"alias_of": name} if name != model else {}
    return said if pattern is None else {**said, "pattern": pattern.text}


def _candidate(snapshot: Snapshot, model: str, now: float) -> dict[str, Any]:
    entrance, ready = snapshot.entrance(model), snapshot.pool(model).ready(now, refused=lambda *_: None)
    own = () if entrance is None else entrance.own_guards
    return {"model": model, "ready": bool(ready), "guards": [each.name for each in own]}


def _guards(snapshot: Snapshot, model: str) -> list[str]:
    entrance = snapshot.entrance(model)
    return [] if entrance is None else [each.name for each in entrance.guards]


def _selector(selector: ConfiguredSelector) -> dict[str, Any]:
    return {
        "selector": selector.name,
        "of": list(selector.of),
        "default": selector.default,
        "within": selector.within,
    }


def _state(snapshot: Snapshot, now: float) -> dict[str, Any] | None:
    state, config = snapshot.setting.state, snapshot.config.state
    return None if state is None or config is None else {**state.snapshot(now), "fail": config.fail}


def _choice(pool: Pool, request: Request, now: float, affinity: str) -> dict[str, Any]:
    refused: dict[str, Reason] = {}
    ready = pool.ready(now, refused=refused.__setitem__)
    pick, degraded = pool.preview(ready, request, affinity) if ready else (None, "")
    return {
        "model": pool.name,
        "strategy": pool.strategy_name,
        "degraded": degraded or None,
        "pick": None if pick is None else pick.id,
        "ready": [each.id for each in ready],
        "refused": {id: str(reason) for id, reason in refused.items()},
    }


def _pool(pool: Pool, now: float) -> dict[str, Any]:
    refused = _refused(pool, now)
    return {
        "strategy": pool.strategy_name,
        "degraded": pool.degraded() or None,
        "fallback": [each.to for each in pool.fallback],
        "queue": None if pool.queue is None else pool.queue.line.snapshot(),
        "retries": None if pool.budget is None else pool.budget.snapshot(now),
        "hedges": None if pool.hedges is None else pool.hedges.snapshot(now),
        "deployments": [_deployment(each, refused.get(each.id), now) for each in pool.deployments],
    }


def _refused(pool: Pool, now: float) -> dict[str, Reason]:
    """Why a call would not be sent there now, by id; in a panic some are ready whose health is bad."""
    refused: dict[str, Reason] = {}
    for each in pool.ready(now, refused=refused.__setitem__):
        refused.pop(each.id, None)
    return refused


def _deployment(deployment: Deployment, refused: Reason | None, now: float) -> dict[str, Any]:
    live = deployment.live
    breaker: dict[str, Any] = live.breaker.snapshot(now)
    reasons = deployment.reasons(now)
    blocked = str(reasons[0]) if reasons else None
    return {
        "id": deployment.id,
        "provider": deployment.provider.name,
        "model": deployment.model,
        "transport": None if deployment.client is None else name_of(deployment.client.transport),
        "weight": deployment.weight,
        "priority": deployment.priority,
        "state": live.admin.value,
        "blocked": blocked,
        # Its own state says more than the order of the levels, of which it may be the cause.
        "refused": None if refused is None else blocked or str(refused),
        "breaker": {**breaker, "seconds_left": _until(breaker["open_until"], now)},
        "ejection": _ejection(deployment.outlier, now),
        "checks": _checks(deployment.outlier, now),
        "warm_up": None if live.warm_up is None else live.warm_up.snapshot(now),
        "adaptive": None if live.adaptive is None else live.adaptive.snapshot(),
        "in_flight": live.in_flight,
        "max_in_flight": live.max_in_flight,
        "places": live.places,
        "cool_down": _cool_down(live, now),
        "limits": [] if live.limits is None else live.limits.snapshot(now),
        "outcomes": {str(outcome): count for outcome, count in live.outcomes.items()},
        "last_error": _last_error(live, now),
        "first_token_ms": _ms(live.first_token.value),
        "total_ms": _ms(live.total.value),
    }


def _last_error(live: DeploymentState, now: float) -> dict[str, Any] | None:
    if live.last_error is None:
        return None
    code, status, message, at = live.last_error
    return {"code": code, "status": status, "message": message, "seconds_ago": max(0.0, now - at)}


def _cool_down(live: DeploymentState, now: float) -> dict[str, Any] | None:
    if live.cooling_until <= now:
        return None
    reason = live.last().reason
    return {"refused": None if reason is None else reason.value, "seconds_left": live.cooling_until - now}


def _ejection(outlier: OutlierDetector | None, now: float) -> dict[str, Any] | None:
    """None when only checks are configured: then nothing is ever ejected."""
    if outlier is None or outlier.settings is None:
        return None
    snapshot: dict[str, Any] = outlier.snapshot(now)
    return {
        "ejected": outlier.ejected(now),
        **snapshot,
        "seconds_left": _until(snapshot["ejected_until"], now),
    }


def _checks(outlier: OutlierDetector | None, now: float) -> dict[str, Any] | None:
    if outlier is None or outlier.checks is None:
        return None
    snapshot: dict[str, Any] = outlier.checks.snapshot()
    at = snapshot["last_at"]
    return {**snapshot, "seconds_ago": None if at is None else max(0.0, now - at)}


def _until(instant: float | None, now: float) -> float | None:
    return None if instant is None else max(0.0, instant - now)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)
