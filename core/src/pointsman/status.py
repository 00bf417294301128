"""What the router knows, as plain data: the state of every deployment, and a dry run of a choice."""

from __future__ import annotations

from typing import Any

from pointsman.deployment import Deployment, Live
from pointsman.pool import Pool
from pointsman.snapshot import Snapshot
from pointsman.types import Request


def status(snapshot: Snapshot, now: float) -> dict[str, Any]:
    """The live state at `now`.

    Returns: `models`: name → `strategy`, `fallback` and `deployments`, each with `id`, `provider`, `model`,
        `weight`, `priority`, `state`, `blocked` (why it takes no calls, None when it does), `breaker`,
        `in_flight`, `max_in_flight`, `places` (as many as it takes now), `limits`, `outcomes`, and
        `first_token_ms` and `total_ms` averaged over half a minute (None before the first); and the
        `in_flight` of all.
    """
    return {
        "models": {name: _pool(pool, now) for name, pool in snapshot.pools.items()},
        "in_flight": snapshot.in_flight,
    }


def explain(snapshot: Snapshot, request: Request, now: float) -> dict[str, Any]:
    """Where `request` would go at `now`, without anything being called, taken or changed.

    Returns: `model`, `pick` (a deployment id, None when none is ready), and `chain`: for each pool in the
        order of fallbacks its `model`, `strategy`, `pick`, `ready` ids and `refused`: id → reason.
    Raises: UnknownModel.
    """
    chain = [_choice(pool, request, now) for pool in snapshot.chain(request.model)]
    pick = next((pool["pick"] for pool in chain if pool["pick"] is not None), None)
    return {"model": request.model, "pick": pick, "chain": chain}


def _choice(pool: Pool, request: Request, now: float) -> dict[str, Any]:
    refused: dict[str, str] = {}
    ready = pool.ready(now, refused=refused.__setitem__)
    pick = pool.preview(ready, request).id if ready else None
    return {
        "model": pool.name,
        "strategy": pool.strategy_name,
        "pick": pick,
        "ready": [each.id for each in ready],
        "refused": refused,
    }


def _pool(pool: Pool, now: float) -> dict[str, Any]:
    return {
        "strategy": pool.strategy_name,
        "fallback": list(pool.fallback),
        "deployments": [_deployment(each, now) for each in pool.deployments],
    }


def _deployment(deployment: Deployment, now: float) -> dict[str, Any]:
    live = deployment.live
    return {
        "id": deployment.id,
        "provider": deployment.provider.name,
        "model": deployment.model,
        "weight": deployment.weight,
        "priority": deployment.priority,
        "state": live.admin.value,
        "blocked": deployment.blocked(now),
        "breaker": _breaker(live, now),
        "in_flight": live.in_flight,
        "max_in_flight": deployment.max_in_flight,
        "places": deployment.places,
        "limits": [] if live.limits is None else live.limits.snapshot(now),
        "outcomes": dict(live.outcomes),
        "first_token_ms": _ms(live.first_token.value),
        "total_ms": _ms(live.total.value),
    }


def _breaker(live: Live, now: float) -> dict[str, Any]:
    return {"state": "off"} if live.breaker is None else live.breaker.snapshot(now)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)
