"""What a router shares with others: made from the configuration, or taken over as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.config import DeploymentConfig
from pointsman.resilience.rate_limit import RateLimitScope
from pointsman.shared.limits import SharedLimits, SharedScope
from pointsman.shared.store import SharedState

if TYPE_CHECKING:
    from pointsman.config.shared import StateConfig


def shared_state(config: StateConfig, draft: Draft, factories: Factories) -> SharedState | None:
    """That of `config`: the one that runs, when it says the same; None with problems."""
    old = draft.previous
    if old is not None and old.setting.state is not None and _made_the_same(config, old.config.state):
        return old.setting.state
    draft.hide(config.url, ("state", "url"))
    context = partial(draft.contexts.state, address=config.url)
    store = factories.made("state", config, ("state",), context)
    if store is None:
        return None
    return SharedState(
        store,
        config.type,
        lease=config.lease,
        timeout=config.timeout,
        clock=draft.clock,
        rng=draft.rng,
        events=draft.events,
        scrub=draft.scrubber.text,
    )


def shared_limits(
    scopes: Sequence[RateLimitScope],
    state: SharedState,
    config: DeploymentConfig,
    *,
    fail: Literal["local", "closed"],
) -> SharedLimits | None:
    """What the calls of a deployment count against in all routers; None when that is nothing."""
    shared = [each for each in scopes if isinstance(each, SharedScope)]
    if not shared and config.max_in_flight is None:
        return None
    return SharedLimits(
        shared,
        state.standing,
        deployment=config.id,
        places=config.max_in_flight,
        fails_closed=fail == "closed",
    )


def _made_the_same(config: StateConfig, old: StateConfig | None) -> bool:
    """Whether the same store is made of both; what becomes of limits without it is theirs."""
    if old is None:
        return False
    names = ("type", "url", "lease", "timeout", "settings")
    return all(getattr(config, name) == getattr(old, name) for name in names)
