"""A router's metrics for Prometheus, in a registry of their own.

Counters and histograms come from events. What is a state (in flight, queues, breakers, limits) is read when
somebody scrapes. Labels come from the configuration alone: what callers make up is `other`, so that nobody
can make series.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import cached_property
from itertools import compress
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman import Router
from pointsman.plugin import AttemptEnded, Clock, Mirrored, Queued, Reloaded, RequestEnded, StateChanged
from pointsman_telemetry import instruments as table
from pointsman_telemetry.instruments import GAUGES, INSTRUMENTS, Children
from pointsman_telemetry.names import OPERATIONS
from pointsman_telemetry.topology import OTHER, Topology, topology_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily, Metric

    from pointsman import AuditStatus, BudgetAccount, CredentialStatus, DeploymentStatus, LimitStatus

BREAKER = {"closed": 0, "half_open": 1, "open": 2, "forced_open": 2, "disabled": 0}
"""The number of a breaker's state."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TOKENS = ("prompt", "completion", "cached", "cache_write", "reasoning")
_WAITING_AT_MOST = 10_000
"""Requests in queues of which the beginning is remembered."""
_MOST_BUDGETS = 1_000
"""That are shown in a scrape: each is three series."""
_STATES_WITHIN = 2.0
"""Seconds for which a scrape from another thread waits for the router's."""


_counts_in = attrgetter(*_TOKENS)


class _OfRequest(Struct, frozen=True, eq=False):
    """The labels of what is counted of requests that are alike: made once, for each counts in a dozen."""

    ended: tuple[str, ...]
    lasted: tuple[str, ...]
    took: tuple[str, ...]
    input: tuple[str, ...]
    output: tuple[str, ...]


class _OfAttempt(Struct, frozen=True, eq=False):
    """The same of attempts."""

    model: str
    ended: tuple[str, ...]
    spent: tuple[str, ...]
    first: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]


class Metrics:
    """The metrics of one router, from now until `close`. Make it in the loop of the router.

    Args:
        surfaces: the names that the label `surface` may have, beside "" for calls of the program itself. A
            gateway says it of its requests by the tag `surface`.
        clock: of the router.
    """

    def __init__(self, router: Router, *, clock: Clock, surfaces: Iterable[str] = ()) -> None:
        self._router = router
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._requests_said: dict[tuple[str, ...], _OfRequest] = {}
        self._attempts_said: dict[tuple[str, ...], _OfAttempt] = {}
        self.know(surfaces)
        self._waiting: dict[str, float] = {}
        self._stores: dict[str, bool] = {}
        self._of = of = {each: Children(each) for each in INSTRUMENTS}
        self._requests = of[table.REQUESTS]
        self._duration = of[table.DURATION]
        self._first_token = of[table.FIRST_TOKEN]
        self._attempts = of[table.ATTEMPTS]
        self._tokens = of[table.TOKENS]
        self._cost = of[table.COST]
        self._queue = of[table.QUEUE]
        self._overhead = of[table.OVERHEAD]
        self._reloads = of[table.RELOADS]
        self._http = of[table.HTTP]
        self._http_duration = of[table.HTTP_DURATION]
        self._rejected = of[table.REJECTED][()]  # there from the beginning, as a rate needs it
        self._gen_ai_duration = of[table.GEN_AI_DURATION]
        self._gen_ai_tokens = of[table.GEN_AI_TOKENS]
        self._gen_ai_first = of[table.GEN_AI_FIRST]
        self._ends = [
            router.listen(self._ended, kinds=[RequestEnded]),
            router.listen(self._attempted, kinds=[AttemptEnded]),
            router.listen(self._queued, kinds=[Queued]),
            router.listen(self._reloaded, kinds=[Reloaded]),
            router.listen(self._state_changed, kinds=[StateChanged]),
            router.listen(self._mirrored, kinds=[Mirrored]),
        ]

    @cached_property
    def registry(self) -> CollectorRegistry:
        """Where Prometheus reads them."""
        from pointsman_telemetry.collector import registry_of  # with the library, for whoever asks

        return registry_of(self)

    @cached_property
    def topology(self) -> Topology:
        """The names of the configuration that runs; forgotten with each reload."""
        return topology_of(self._router)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All of it as a body and its content type: OpenMetrics where `accept` asks for that."""
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def close(self) -> None:
        """Count nothing further."""
        for end in self._ends:
            end()
        self._ends.clear()

    def know(self, surfaces: Iterable[str]) -> None:
        """From now on these are the names that the label `surface` may have."""
        self._surfaces = frozenset({"", *surfaces})
        self._requests_said.clear()

    # ── what only a gateway knows ────────────────────────────────────────────────────────────────────

    def answered(self, method: str, status: int, seconds: float) -> None:
        """A request over HTTP was answered; an unknown `method` counts as `other`."""
        method = method if method in METHODS else OTHER
        self._http[method, str(status)].value += 1
        self._http_duration[method,].observe(seconds)
        if status == 429:
            self._rejected.value += 1

    def refused(self, surface: str, error: str) -> None:
        """A request was refused by the gateway itself, with the code `error`, and no model was asked."""
        surface = surface if surface in self._surfaces else OTHER
        self._requests[surface, OTHER, "refused", error].value += 1

    def overhead(self, surface: str, seconds: float) -> None:
        """Of a request, `seconds` were ours and not an upstream's."""
        self._overhead[surface if surface in self._surfaces else OTHER,].observe(seconds)

    def reload_failed(self) -> None:
        """A reload was refused, so that the router runs on as it was."""
        self._reloads["failed",].value += 1

    # ── what happened ────────────────────────────────────────────────────────────────────────────────

    def _ended(self, event: RequestEnded) -> None:
        surface, usage = event.tags.get("surface", ""), event.usage
        known = (event.operation, surface, event.model, event.deployment, event.result, event.error)
        said = self._requests_said.get(known) or self._say_of_request(event, surface, known)
        self._requests[said.ended].value += 1
        self._duration[said.lasted].observe(event.seconds)
        if self._waiting:
            self._waiting.pop(event.request_id, None)
        if not event.deployment:
            return
        self._gen_ai_duration[said.took].observe(event.seconds)
        if usage is not None:
            if usage.prompt is not None:
                self._gen_ai_tokens[said.input].observe(usage.prompt)
            if usage.completion is not None:
                self._gen_ai_tokens[said.output].observe(usage.completion)

    def _say_of_request(self, event: RequestEnded, surface: str, known: tuple[str, ...]) -> _OfRequest:
        topology, model = self.topology, self.topology.model(event.model)
        if surface not in self._surfaces:
            surface = OTHER
        upstream = (OPERATIONS.get(event.operation, OTHER), *topology.upstream(event.deployment))
        said = _OfRequest(
            (surface, model, event.result, event.error),
            (surface, model),
            (*upstream, event.error),
            (*upstream, "input"),
            (*upstream, "output"),
        )
        if model == event.model and len(self._requests_said) < table.SERIES_AT_MOST:
            self._requests_said[known] = said
        return said

    def _attempted(self, event: AttemptEnded) -> None:
        usage, known = event.usage, (event.model, event.deployment, event.outcome, event.error)
        said = self._attempts_said.get(known) or self._say_of_attempt(event, known)
        if self._waiting and (queued := self._waiting.pop(event.request_id, None)) is not None:
            self._queue[said.model,].observe(max(0.0, event.wall - queued))
        self._attempts[said.ended].value += 1
        if event.first_token is not None:
            self._first_token[said.spent].observe(event.first_token)
            self._gen_ai_first[said.first].observe(event.first_token)
        if event.cost_microcents is not None:
            self._cost[said.spent].value += event.cost_microcents
        if usage is None:
            return
        counts = _counts_in(usage)
        for labels, count in compress(zip(said.tokens, counts, strict=True), counts):
            self._tokens[labels].value += count

    def _say_of_attempt(self, event: AttemptEnded, known: tuple[str, ...]) -> _OfAttempt:
        topology = self.topology
        model, deployment = topology.model(event.model), topology.deployment(event.deployment)
        said = _OfAttempt(
            model,
            (deployment, str(event.outcome), event.error),
            (model, deployment),
            ("chat", *topology.upstream(event.deployment)),
            tuple([(model, deployment, type) for type in _TOKENS]),
        )
        if (model, deployment) == known[:2] and len(self._attempts_said) < table.SERIES_AT_MOST:
            self._attempts_said[known] = said
        return said

    def _queued(self, event: Queued) -> None:
        if len(self._waiting) < _WAITING_AT_MOST:
            self._waiting[event.request_id] = self._clock.wall()

    def _reloaded(self, _event: Reloaded) -> None:
        self.__dict__.pop("topology", None)
        self._requests_said.clear()
        self._attempts_said.clear()
        self._reloads["ok",].value += 1

    def _state_changed(self, event: StateChanged) -> None:
        self._stores[event.store] = event.available

    def _mirrored(self, event: Mirrored) -> None:
        of, where = self._of, (self.topology.model(event.model), self.topology.model(event.to))
        of[table.MIRRORED][*where, event.result, event.error].value += 1
        of[table.MIRROR_COST][*where, "copy"].value += event.cost_microcents or 0
        if event.result != "ok":
            return  # what was not answered is compared with nothing
        of[table.MIRROR_COST][*where, "asked"].value += event.asked_cost_microcents or 0
        of[table.MIRROR_FINISH][*where, event.asked_finish_reason, event.finish_reason].value += 1
        for side, seconds, first_token in (
            ("asked", event.asked_seconds, event.asked_first_token),
            ("copy", event.seconds, event.first_token),
        ):
            of[table.MIRROR_DURATION][*where, side].observe(seconds)
            if first_token is not None:
                of[table.MIRROR_FIRST_TOKEN][*where, side].observe(first_token)

    # ── what is so now ───────────────────────────────────────────────────────────────────────────────

    def states(self) -> Iterator[Metric]:
        """The gauges, read from the router."""
        from importlib.metadata import version

        from prometheus_client.core import GaugeMetricFamily

        found = {
            name: GaugeMetricFamily(name, says, labels=labels.split())
            for name, (says, labels) in GAUGES.items()
        }
        found["pointsman_build_info"].add_metric([version("pointsman")], 1)
        for store, available in self._stores.items():
            found["pointsman_state_available"].add_metric([store], int(available))
        remaining = dict[tuple[str, str], float]()  # several deployments may share a limit
        seen = set[str]()  # and several models a deployment
        status = self._router.status()
        refused = status.configuration.refused is not None
        found["pointsman_config_refused"].add_metric([], int(refused))
        for provider, left in _credentials_end(status.credentials).items():
            found["pointsman_credential_expires_seconds"].add_metric([provider], left)
        for sink in status.audit:
            _add_audit(found, sink)
        for name, pool in status.models.items():
            lacks = float(pool.degraded is not None)
            found["pointsman_strategy_degraded"].add_metric([name, pool.strategy], lacks)
            if pool.queue is not None:
                found["pointsman_queue_length"].add_metric([name], pool.queue.waiting)
            for id, each in pool.deployments.items():
                if id not in seen:
                    seen.add(id)
                    _add_deployment(found, each)
                    remaining |= _remaining(each.limits)
        for labels, value in remaining.items():
            found["pointsman_limit_remaining"].add_metric(labels, value)
        for account in status.budgets[:_MOST_BUDGETS]:
            _add_budget(found, account)
        if status.budgets:
            found["pointsman_budgets_failing"].add_metric([], int(bool(status.budgets_trouble)))
        return iter(found.values())

    def collected(self) -> Iterator[Metric]:
        """All of it, also from another thread."""
        yield from [each.family() for each in self._of.values()]
        yield from self._states_from_anywhere()

    def _states_from_anywhere(self) -> Iterable[Metric]:
        """The same, also from another thread than the router's; nothing when that does not answer in time."""
        if _running() is self._loop:
            return self.states()
        asked: Future[list[Metric]] = Future()

        def answer() -> None:
            if asked.set_running_or_notify_cancel():
                try:
                    asked.set_result(list(self.states()))
                except Exception as error:
                    asked.set_exception(error)

        self._loop.call_soon_threadsafe(answer)
        try:
            return asked.result(_STATES_WITHIN)
        except TimeoutError:
            asked.cancel()
            return ()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _add_budget(found: dict[str, GaugeMetricFamily], account: BudgetAccount) -> None:
    money = account.unit == "microcents"
    labels = [account.rule, account.subject, "usd" if money else account.unit]
    for name, amount in (("spent", account.spent), ("held", account.held), ("limit", account.limit)):
        found[f"pointsman_budget_{name}"].add_metric(labels, amount / 1e8 if money else amount)


def _add_deployment(found: dict[str, GaugeMetricFamily], state: DeploymentStatus) -> None:
    id, breaker = state.id, BREAKER[state.breaker.state]
    found["pointsman_in_flight"].add_metric([id], state.in_flight)
    found["pointsman_breaker_state"].add_metric([id], breaker)
    found["ai_proxy_circuit_breaker_state"].add_metric([id], breaker)


def _credentials_end(told: Iterable[CredentialStatus]) -> dict[str, float]:
    """Seconds until the last credential of each provider ends; without those of which one has no end."""
    left = dict[str, float]()
    for each in told:
        usable = each.state in ("in_use", "ready", "resting")
        mine = (inf if each.seconds_left is None else each.seconds_left) if usable else 0.0
        left[each.provider] = max(left.get(each.provider, 0.0), mine)
    return {provider: seconds for provider, seconds in left.items() if seconds != inf}


def _add_audit(found: dict[str, GaugeMetricFamily], state: AuditStatus) -> None:
    found["pointsman_audit_waiting"].add_metric([state.sink], state.waiting)
    found["pointsman_audit_dropped"].add_metric([state.sink], state.dropped)
    found["pointsman_audit_failing"].add_metric([state.sink], int(bool(state.trouble)))
    for kind in ("disk_full", "io_errors", "slow"):
        found["pointsman_audit_disk"].add_metric([state.sink, kind], getattr(state, kind))


def _remaining(limits: Iterable[LimitStatus]) -> dict[tuple[str, str], float]:
    return {
        (limit.name, unit): meter.remaining
        for limit in limits
        for unit, meter in (("requests", limit.requests), ("tokens", limit.tokens))
        if meter is not None
    }
