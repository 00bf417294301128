"""What the router knows: the state of every deployment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import astuple

from pointsman.config.names import NamePattern
from pointsman.credential_status import credentials_of
from pointsman.reports import (
    AdaptiveStatus,
    AuditStatus,
    BreakerStatus,
    BudgetStatus,
    ChecksStatus,
    ConfigurationStatus,
    CoolDownStatus,
    DeploymentStatus,
    DiscoveryStatus,
    EjectionStatus,
    LastErrorStatus,
    LimitStatus,
    MeterStatus,
    MirrorStatus,
    ModelStatus,
    PatternStatus,
    QueueStatus,
    Report,
    SelectorStatus,
    Status,
    StoreStatus,
    WarmUpStatus,
)
from pointsman.resilience.outlier_detection import OutlierDetector
from pointsman.routing.deployment import Deployment
from pointsman.routing.deployment_state import DeploymentState
from pointsman.routing.pool import Pool
from pointsman.routing.reasons import Reason
from pointsman.routing.snapshot import Snapshot
from pointsman.transports import name_of
from pointsman.types import ModelInfo

S = TypeVar("S", bound=Report)


def status(
    snapshot: Snapshot,
    now: float,
    configuration: ConfigurationStatus,
    discoveries: Sequence[DiscoveryStatus] = (),
) -> Status:
    """The live state at `now` of a router that runs on `configuration`, and of what looks for more."""
    return Status(
        models={name: _model(snapshot, pool, now) for name, pool in snapshot.pools.items()},
        selectors={
            name: SelectorStatus(
                each.selector.name,
                list(each.selector.of),
                each.selector.default,
                each.selector.within,
                guards_before(snapshot, name),
            )
            for name, each in snapshot.entrances.items()
            if each.selector is not None
        },
        aliases=dict(snapshot.names.aliases),
        patterns={each.text: _pattern(snapshot, each, now) for each in snapshot.names.patterns},
        state=_store(snapshot, now),
        in_flight=snapshot.in_flight,
        configuration=configuration,
        discoveries=discoveries,
        credentials=credentials_of(snapshot.upstreams, now, snapshot.setting),
        budgets=() if snapshot.setting.budgets is None else list(snapshot.setting.budgets.accounts()),
        audit=_audit(snapshot),
        budgets_trouble=_budgets_trouble(snapshot),
    )


def _budgets_trouble(snapshot: Snapshot) -> str:
    # Not all budgets keep what they count, and so not all can say it.
    why: str = getattr(snapshot.setting.budgets, "trouble", str)()
    return snapshot.setting.scrubber.text(why)


def _audit(snapshot: Snapshot) -> Sequence[AuditStatus]:
    told, named = [], Counter[str]()
    for configured, sink in zip(snapshot.config.audit, snapshot.sinks, strict=False):
        named[configured.type] += 1
        if hasattr(sink, "status"):
            number = named[configured.type]
            name = configured.type if number == 1 else f"{configured.type}-{number}"
            told.append(AuditStatus(name, *astuple(sink.status())))
    return told


def _pattern(snapshot: Snapshot, pattern: NamePattern, now: float) -> PatternStatus:
    model, config = snapshot.config.models[pattern.text], snapshot.config
    return PatternStatus(
        strategy=(model.strategy or config.strategy).type,
        fallback=[each.to for each in config.fallback_of(model)],
        guards=guards_before(snapshot, pattern.text),
        deployments=[each.id for each in model.deployments],
        models={
            name: _model(snapshot, pool, now)
            for name, pool in snapshot.remembered.items()
            if snapshot.names.described_as(name) == pattern.text
        },
    )


def public_models(snapshot: Snapshot) -> list[ModelInfo]:
    """The public names, with what is said or known of what they can do; aliases as what they mean."""
    named: dict[str, dict[str, Any]] = {
        name: {"deployments": [each.id for each in pool.deployments]} for name, pool in snapshot.pools.items()
    }
    for name, each in snapshot.entrances.items():
        if each.selector is not None:
            named[name] = {"deployments": [], "of": list(each.selector.of)}
    for alias, name in snapshot.names.aliases.items():
        named[alias] = {"alias_of": name, **(named.get(name) or {"deployments": []})}
    return [_public(snapshot, name, raw) for name, raw in named.items()]


def _public(snapshot: Snapshot, name: str, raw: dict[str, Any]) -> ModelInfo:
    """What the configuration says of a public name, else what holds wherever a call of it goes."""
    configured = snapshot.config.models.get(snapshot.names.described_as(name) or "")
    said = None if configured is None else configured.capabilities  # None where a provider lists it
    if said is not None and said.family is not None:
        raw["family"] = said.family
    members = _members(snapshot, raw.get("of", [raw.get("alias_of", name)]))
    windows = [each.context_window for each in members if each.context_window is not None]
    window, can = (None, None) if said is None else (said.context_length, said.can)
    return ModelInfo(
        name,
        context_window=window or min(windows, default=None),
        capabilities=_common(members) if can is None else can,
        raw=raw,
    )


def _members(snapshot: Snapshot, models: Sequence[str]) -> list[Deployment]:
    pools = (snapshot.pools.get(each) for each in models)
    return [each for pool in pools if pool is not None for each in pool.deployments]


def _common(members: Sequence[Deployment]) -> Sequence[str]:
    """What all of them are known to be able to do."""
    known = [each.capabilities or () for each in members]
    return tuple(each for each in known[0] if all(each in can for can in known)) if known else ()


def guards_before(snapshot: Snapshot, model: str) -> list[str]:
    """The guards that a call of `model` passes, in order, by the names of their plugins."""
    entrance = snapshot.entrance(model)
    return [] if entrance is None else [each.name for each in entrance.guards]


def _told(kind: type[S], said: Mapping[str, Any], **more: Any) -> S:
    """What a machine says of itself, which knows no router, as the report of it."""
    return kind(**said, **more)


def _store(snapshot: Snapshot, now: float) -> StoreStatus | None:
    state, config = snapshot.setting.state, snapshot.config.state
    return (
        None if state is None or config is None else _told(StoreStatus, state.snapshot(now), fail=config.fail)
    )


def _model(snapshot: Snapshot, pool: Pool, now: float) -> ModelStatus:
    refused = _refused(pool, now)
    return ModelStatus(
        strategy=pool.strategy_name,
        degraded=pool.degraded() or None,
        fallback=[each.to for each in pool.fallback],
        queue=None if pool.queue is None else _told(QueueStatus, pool.queue.line.snapshot()),
        retries=None if pool.budget is None else _told(BudgetStatus, pool.budget.snapshot(now)),
        hedges=None if pool.hedges is None else _told(BudgetStatus, pool.hedges.snapshot(now)),
        deployments={each.id: _deployment(each, refused.get(each.id), now) for each in pool.deployments},
        guards=guards_before(snapshot, pool.name),
        mirror=_mirror(snapshot, pool.name, now),
    )


def _mirror(snapshot: Snapshot, model: str, now: float) -> MirrorStatus | None:
    entrance = snapshot.entrance(model)
    if entrance is None or entrance.mirror is None:
        return None
    from pointsman.mirroring.reporting import mirror_status  # few routers have one

    return mirror_status(entrance.mirror, now, snapshot.setting.clock.wall())


def _refused(pool: Pool, now: float) -> dict[str, Reason]:
    """Why a call would not be sent there now, by id; in a panic some are ready whose health is bad."""
    refused: dict[str, Reason] = {}
    for each in pool.ready(now, refused=refused.__setitem__):
        refused.pop(each.id, None)
    return refused


def _deployment(deployment: Deployment, refused: Reason | None, now: float) -> DeploymentStatus:
    live = deployment.live
    reasons = deployment.reasons(now)
    blocked = str(reasons[0]) if reasons else None
    return DeploymentStatus(
        id=deployment.id,
        provider=deployment.provider.name,
        model=deployment.model,
        transport=None if deployment.client is None else name_of(deployment.client.transport),
        weight=deployment.weight,
        priority=deployment.priority,
        state=live.admin.value,
        blocked=blocked,
        # Its own state says more than the order of the levels, of which it may be the cause.
        refused=None if refused is None else blocked or str(refused),
        breaker=_breaker(live, now),
        ejection=_ejection(deployment.outlier, now),
        checks=_checks(deployment.outlier, now),
        warm_up=None if live.warm_up is None else _told(WarmUpStatus, live.warm_up.snapshot(now)),
        adaptive=None if live.adaptive is None else _told(AdaptiveStatus, live.adaptive.snapshot()),
        in_flight=live.in_flight,
        max_in_flight=live.max_in_flight,
        places=live.places,
        cool_down=_cool_down(live, now),
        limits=[] if live.limits is None else [limit_status(each) for each in live.limits.snapshot(now)],
        outcomes={str(outcome): count for outcome, count in live.outcomes.items()},
        last_error=_last_error(live, now),
        first_token_ms=_ms(live.first_token.value),
        total_ms=_ms(live.total.value),
    )


def _breaker(live: DeploymentState, now: float) -> BreakerStatus:
    said: dict[str, Any] = live.breaker.snapshot(now)
    return _told(BreakerStatus, said, seconds_left=_until(said["open_until"], now))


def limit_status(said: Mapping[str, Any]) -> LimitStatus:
    """A rate limit, as it tells of itself."""
    requests, tokens = said["requests"], said["tokens"]
    return LimitStatus(
        said["name"],
        None if requests is None else _told(MeterStatus, requests),
        None if tokens is None else _told(MeterStatus, tokens),
    )


def _last_error(live: DeploymentState, now: float) -> LastErrorStatus | None:
    if live.last_error is None:
        return None
    code, status, message, at = live.last_error
    return LastErrorStatus(code, status, message, seconds_ago=max(0.0, now - at))


def _cool_down(live: DeploymentState, now: float) -> CoolDownStatus | None:
    if live.cooling_until <= now:
        return None
    reason = live.last().reason
    return CoolDownStatus(None if reason is None else reason.value, live.cooling_until - now)


def _ejection(outlier: OutlierDetector | None, now: float) -> EjectionStatus | None:
    """None when only checks are configured: then nothing is ever ejected."""
    if outlier is None or outlier.settings is None:
        return None
    said: dict[str, Any] = outlier.snapshot(now)
    left = _until(said["ejected_until"], now)
    return _told(EjectionStatus, said, ejected=outlier.ejected(now), seconds_left=left)


def _checks(outlier: OutlierDetector | None, now: float) -> ChecksStatus | None:
    if outlier is None or outlier.checks is None:
        return None
    said: dict[str, Any] = outlier.checks.snapshot()
    at = said["last_at"]
    return _told(ChecksStatus, said, seconds_ago=None if at is None else max(0.0, now - at))


def _until(instant: float | None, now: float) -> float | None:
    return None if instant is None else max(0.0, instant - now)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)
