"""Where one call can go that says so itself: other fallbacks, another strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import CallOptions
from pointsman.routing.lease import Observer
from pointsman.routing.pool import Fallback, Pool, Remembered
from pointsman.strategy import observes

if TYPE_CHECKING:
    from pointsman.routing.deployment import Deployment
    from pointsman.routing.snapshot import Polled, Snapshot


def chain_of_call(snapshot: Snapshot, model: str, options: CallOptions) -> Sequence[Pool]:
    """As `Snapshot.chain`, for a call with these `options`.

    Raises: UnknownModel; InvalidRequest for a strategy, or a fallback, that cannot be named.
    """
    if options.fallbacks is None:
        pools = snapshot.chain(model)
    else:
        named = [snapshot.pool(model), *(_fallback(snapshot, each) for each in options.fallbacks)]
        pools = list({pool.name: pool for pool in named}.values())
    if options.strategy:
        pools = [choosing(snapshot, pool, options.strategy) for pool in pools]
    return pools if options.fallbacks is None else _followed(snapshot, pools)


def _fallback(snapshot: Snapshot, name: str) -> Pool:
    entrance = snapshot.entrance(name)
    if entrance is not None and entrance.selector is not None:
        raise InvalidRequest(
            f"fallbacks: {name!r} has a selector, and picks nothing for what failed elsewhere; "
            f"name one of {', '.join(entrance.selector.of)}"
        )
    return snapshot.pool(name)


def _followed(snapshot: Snapshot, pools: Sequence[Pool]) -> Sequence[Pool]:
    """The first of `pools`, with the others as its fallbacks, and these without any."""
    first, *others = map(copy, pools)
    first.fallback = [Fallback(each.name) for each in others]
    for each in others:
        each.fallback = ()
    for each in (first, *others):
        snapshot.alive.add(each)  # for as long as the call goes on, whatever a reload takes away
    return [first, *others]


def choosing(snapshot: Snapshot, pool: Pool, strategy: str, before: Pool | None = None) -> Pool:
    """`pool` with that strategy in place of its own, made once. Raises InvalidRequest.

    Args:
        before: the one from whose strategy it is to go on.
    """
    if strategy == pool.strategy_name:
        return pool
    if (known := pool.others.get(strategy)) is not None:
        return known
    made = snapshot.another_strategy(strategy, pool, before)
    deployments = pool.deployments
    if made.wants_residency:
        deployments = [_hosted(each, snapshot.hosts) for each in deployments]
    other = replace(
        pool,
        strategy=made,
        strategy_name=strategy,
        deployments=deployments,
        remembered=Remembered(),
        observer=None,
        others={},
    )
    _have_hear(pool, other)
    pool.others[strategy] = other
    snapshot.alive.add(other)
    return other


def _hosted(deployment: Deployment, hosts: Mapping[str, Polled]) -> Deployment:
    """`deployment` with what its server has in memory, where that is asked for others."""
    polled = hosts.get(deployment.provider_name)
    if polled is None or deployment.host is not None:
        return deployment
    polled.host.works_for(deployment.live)
    return replace(deployment, host=polled.host)


def _have_hear(pool: Pool, new: Pool) -> None:
    """Every strategy of `pool` that learns hears of all its attempts, whichever strategy chose for them."""
    everyone = [pool, *pool.others.values(), new]
    learning = [each for each in everyone if observes(each.strategy)]
    for each in everyone:
        others = tuple(one.observer for one in learning if one is not each and one.observer is not None)
        if others and each.observer is None:
            each.observer = Observer(_nothing, each.strategy_name, scrub=pool.scrub)
        if each.observer is not None:
            each.observer.others = others


def _nothing(_member: object, _sample: object) -> None:
    """What a strategy learns that does not."""
