"""The snapshot: one fully built configuration, as a router runs on it: which parts it has never changes.

`build` makes it. A request keeps the one that it started with; a reload replaces it whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections import ChainMap
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast
from weakref import WeakSet

from msgspec import Struct, field
from msgspec.structs import force_setattr

from pointsman._internal.plugin_errors import OWN, Scrub, fault, is_own
from pointsman._internal.suggest import did_you_mean
from pointsman._internal.timeouts import TimeLimit
from pointsman.audit import AuditSink
from pointsman.auth import Auth, is_plain
from pointsman.config import Config, ProviderConfig
from pointsman.config.names import Names
from pointsman.errors import UnknownModel, writable
from pointsman.http.client import Client, Endpoint
from pointsman.provider import Provider, ProviderFactory
from pointsman.resilience.cool_down import Credential
from pointsman.resilience.health_check import HealthChecker, HealthState
from pointsman.resilience.loaded_models import ModelServer
from pointsman.resilience.rate_limit import RateLimitScope
from pointsman.routing.deployment_state import DeploymentState, Readiness
from pointsman.routing.pool import Pool, chain
from pointsman.routing.runtime import Setting
from pointsman.transports.lazy import DeferredTransport

if TYPE_CHECKING:
    from pointsman.http.renewal import Renewal
    from pointsman.routing.entrance import Entrance
    from pointsman.routing.places import Places
    from pointsman.strategy import Strategy

log = logging.getLogger("pointsman")

CLOSE_WITHIN = 5.0
"""Seconds that each thing of a plugin's has to close in."""
_NAME_CUT = 200
_LONGEST_NAME = 500
"""Characters."""
AD_HOC_POOLS = 256
"""Names that no model is called and that are remembered; callers may invent any number."""


class Upstream(Struct, frozen=True):
    """One provider as it runs: the object, and what its clients are made of."""

    config: ProviderConfig
    factory: ProviderFactory
    provider: Provider
    auth: Auth
    open: Callable[[Endpoint], Client]
    own: list[Client]
    """What the provider opened."""
    for_tokens: list[Client]
    """What the source of its credential opened."""
    checks: HealthState | None = None
    prober: HealthChecker | None = None
    warming: list[DeploymentState] = field(default_factory=list)
    """What begins to warm up when its checks pass again."""

    def any_client(self) -> Client | None:
        """A client for calls outside of the configured deployments; None for a provider without endpoint."""
        if not self.own and self.provider.endpoint is not None:
            self.open(self.provider.endpoint)
        return self.own[0] if self.own else None


class Polled(Struct, frozen=True):
    """A server that is asked what it has in memory."""

    provider: Provider
    host: ModelServer
    poller: HealthChecker


class Snapshot(Struct, frozen=True, eq=False):  # one equals only itself
    """One fully built configuration, whose parts stay the same; a request keeps the one it started with."""

    config: Config
    setting: Setting
    upstreams: Mapping[str, Upstream]
    pools: Mapping[str, Pool]
    lives: Mapping[str, DeploymentState]
    clients: Mapping[str, Client]
    sinks: Sequence[AuditSink]
    scopes: Mapping[str, RateLimitScope]
    """Every rate limit that holds, by its name; a reload takes over as they stand those that say the same."""
    credentials: Sequence[tuple[object, Credential]]
    """What tells a credential from others, and the cool-down of those that use it."""
    hosts: Mapping[str, Polled]
    """The servers that strategies want to know about, by the name of the provider."""
    readiness: Readiness
    alive: WeakSet[Pool]
    """All pools that a request may still use, of this snapshot and of those before it; held weakly, so that
    one goes with the last of them."""
    names: Names
    """What can be asked for by which name."""
    places: Mapping[str, Places]
    """Those that deployments of a pattern share, by the id that its configuration has for them."""
    unlisted: Callable[[Snapshot, str], Pool | None]
    """Makes the pool of a name that no model is called and that means something all the same."""
    another_strategy: Callable[[str, Pool, Pool | None], Strategy]
    """Makes the strategy of that name for a pool that has another one; it goes on from that of the last pool.

    Raises InvalidRequest for one that calls cannot name."""
    entrances: Mapping[str, Entrance] = {}
    """What stands before models, those with a selector too, by the name under which they are described."""
    general_entrance: Entrance | None = None
    """What stands before all that can be asked for and no model describes."""
    chains: dict[str, Sequence[Pool]] = {}
    """What `chain` says of public names that nothing stands before, once it was asked for them."""
    _behind: dict[str, Sequence[Pool]] = {}
    """And of those that something stands before."""
    _named: dict[str, Pool] = {}
    """The pools of names that the configuration says, though no model is called so."""
    _ad_hoc: MutableMapping[str, Pool] = {}
    """And of those that callers came with."""

    @property
    def providers(self) -> dict[str, Provider]:
        """The provider objects by their configured names."""
        return {name: each.provider for name, each in self.upstreams.items()}

    def chain(self, model: str) -> Sequence[Pool]:
        """The pool of `model` and those of its fallbacks, in order, each once. Raises UnknownModel."""
        if (found := self._behind.get(model)) is not None:
            return found
        first = self.pool(model)
        found = tuple(chain(first, self.pool, lambda _pool, _fallback: True))
        if first.name in self.pools or first.name in self._named:
            # Whoever finds it in `chains` looks no further.
            known = self._behind if self.entrance(model) is not None else self.chains
            known[model] = found
        return found

    def entrance(self, model: str) -> Entrance | None:
        """What stands before `model`, which is known or not; None for nothing."""
        if not self.entrances:
            return self.general_entrance
        if (found := self.entrances.get(model)) is not None:
            return found
        return self.entrances.get(self.names.described_as(model) or "", self.general_entrance)

    def pool(self, model: str) -> Pool:
        """The pool of what can be asked for as `model`. Raises UnknownModel."""
        name = self.names.target(model)
        if (pool := self.pools.get(name) or self.remembered.get(name)) is not None:
            return pool
        pool = self.unlisted(self, name) if _can_be_asked_for(name) else None
        if pool is None:
            hint = self.names.near_any(model, what="there are") or "there are none"
            shown = (
                repr(model)
                if len(model) <= _NAME_CUT
                else f"{model[:_NAME_CUT]!r}… ({len(model)} characters)"
            )
            raise UnknownModel(f"no model is called {shown}; {hint}")
        if name in self.names.kept:
            self._named[name] = pool
        else:
            if not self._ad_hoc:
                from cachetools import (
                    LRUCache,  # takes 3 M instructions, and hardly anybody calls by such names
                )

                force_setattr(self, "_ad_hoc", LRUCache(AD_HOC_POOLS))
            self._ad_hoc[name] = pool
        self.alive.add(pool)
        return pool

    @property
    def remembered(self) -> Mapping[str, Pool]:
        """The pools of names that no model is called and that somebody asked for, as far as is known."""
        return ChainMap(self._named, self._ad_hoc)

    @property
    def in_flight(self) -> int:
        """Attempts that hold a lease now, over all deployments: those that no model lists, and those that a
        reload has taken away, too.
        """
        pools = (*self.remembered.values(), *self.alive)
        others = (each.live for pool in pools for each in pool.deployments)
        return sum(live.in_flight for live in {*self.lives.values(), *others})

    def live(self, deployment: str) -> DeploymentState:
        """The state of a deployment. Raises KeyError that names the nearest one, or all."""
        try:
            return self.lives[deployment]
        except KeyError:
            for pool in self.remembered.values():
                for each in pool.deployments:
                    if each.id == deployment:
                        return each.live
            hint = did_you_mean(deployment, self.lives, what="there are")
            raise KeyError(f"no deployment is called {deployment!r}; {hint}") from None

    def retired_by(
        self, new: Snapshot
    ) -> list[tuple[Sequence[DeploymentState], Callable[[], Awaitable[None]]]]:
        """What `new` no longer uses: how to close it, and the states that must be idle before.

        A state that goes on may never be idle; its calls that began before the change belong to requests that
        the caller waits for.
        """
        gone_on, scrub = set(new.lives.values()), self.setting.scrubber.text
        retired: list[tuple[Sequence[DeploymentState], Callable[[], Awaitable[None]]]] = []
        for id, client in self.clients.items():
            if new.clients.get(id) is not client:
                retired.append(([live] if (live := self.lives[id]) not in gone_on else [], client.aclose))
        state = self.setting.state
        if state is not None and new.setting.state is not state:
            retired.append(((), state.aclose))
        gone = [each for each in self._checkers() if each not in new._checkers()]
        retired += [((), each.aclose) for each in gone]
        for name, upstream in self.upstreams.items():
            successor = new.upstreams.get(name)
            if successor is None or successor.provider is not upstream.provider:
                lives = [
                    each.live for pool in self.alive for each in pool.deployments
                    if each.provider is upstream.provider and each.live not in gone_on
                ]  # fmt: skip
                # As a default, for the loop goes on to the next one.
                retired.append((lives, lambda upstream=upstream: _close(upstream, scrub)))  # type: ignore[misc]
        return retired

    def stop_mirrors(self) -> None:
        """Make no more copies of requests, and end those under way: nobody waits for them."""
        for each in self.entrances.values():
            if each.mirror is not None:
                each.mirror.stop()

    def _checkers(self) -> list[HealthChecker]:
        """What asks servers every few seconds: how they are, and what they have in memory."""
        probers = [each.prober for each in self.upstreams.values() if each.prober is not None]
        return [*probers, *(each.poller for each in self.hosts.values())]

    def prepare(self) -> None:
        """Have ready what calls need: nothing is opened, and no loop needs to run. Safe to repeat."""
        own = (
            client for upstream in self.upstreams.values() for client in (*upstream.own, *upstream.for_tokens)
        )
        for client in (*self.clients.values(), *own):
            # Here rather than in the first call, whose time limits run.
            if isinstance(client.transport, DeferredTransport):
                client.transport = client.transport.made()
        policies = [
            self.setting.retry,
            *(each.retry for each in self.pools.values() if each.retry is not None),
        ]
        if any(each.attempts > 1 for each in policies):
            # Nor in the first call that fails: there it would hold up all the others, too.
            import tenacity  # noqa: F401 - `retrying` uses it

    def start(self) -> None:
        """Have ready what calls need, and begin to check the providers where the configuration wants it.

        To be called on the loop that the calls will run on.
        """
        self.prepare()
        for each in self._checkers():
            each.start()
        for upstream in self.upstreams.values():
            if not is_plain(upstream.auth):
                cast("Renewal", upstream.auth).begin()
        if self.setting.state is not None:
            self.setting.state.start(self.lives, self.pools)

    async def aclose(self) -> None:
        """Close all connections and end the checks. The audit sinks stay open for the last records."""
        scrub = self.setting.scrubber.text
        for each in self._checkers():
            await each.aclose()
        for client in self.clients.values():
            await _closed("transport", "", client.aclose, scrub)
        for upstream in self.upstreams.values():
            await _close(upstream, scrub)
        if self.setting.state is not None:
            await _closed("state", "", self.setting.state.aclose, scrub)
        self.setting.alarms.close()

    async def close_sinks(self) -> None:
        """Have the audit sinks write what they hold; in a thread, for disks may be slow."""
        for sink in self.sinks:
            try:
                error = await asyncio.to_thread(_raised_by, sink.close)
            except RuntimeError:
                # The process ends: there is no thread to be had any more, and nobody to hold up. It may begin
                # to at any moment, so that to look first would not do.
                error = _raised_by(sink.close)
            if error is not None:  # a plugin's mistake must not keep the others from writing
                fault("audit", type(sink).__name__, "close", error, scrub=self.setting.scrubber.text)


def _can_be_asked_for(model: str) -> bool:
    """Whether an upstream may have a model of that name. What callers make up goes into records."""
    return len(model) <= _LONGEST_NAME and writable(model) == model


async def _close(upstream: Upstream, scrub: Scrub) -> None:
    if not is_plain(upstream.auth):
        await _closed("auth", "", cast("Renewal", upstream.auth).aclose, scrub)
    await _closed("provider", upstream.factory.name, upstream.provider.aclose, scrub)
    for client in (*upstream.own, *upstream.for_tokens):
        await _closed("transport", getattr(upstream.config.transport, "type", ""), client.aclose, scrub)


async def _closed(kind: str, plugin: str, close: Callable[[], Awaitable[None]], scrub: Scrub) -> None:
    """Close something of a plugin; one that fails at it, or takes too long, must not keep the others open."""
    late = partial(TimeoutError, f"not closed within {CLOSE_WITHIN:g} s")
    try:
        with TimeLimit(asyncio.get_running_loop().time() + CLOSE_WITHIN, late):
            await close()
    except BaseException as error:
        if not is_own(error):
            raise
        fault(kind, plugin, "aclose", error, scrub=scrub)


def _raised_by(close: Callable[[], None]) -> BaseException | None:
    """What `close` raises: no future carries a StopIteration, so its thread would not be heard of."""
    try:
        close()
    except OWN as error:
        return error
    return None
