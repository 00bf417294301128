"""Random scripts of calls that end in every way; at the end of each nothing may be held, and all is told.

    uv run python benchmarks/lease_scripts.py [--scripts 100000] [--seed 1] [--json]
    uv run python benchmarks/lease_scripts.py --replay 4711

A script is a router with a small random configuration and up to a dozen concurrent calls of it, under a
shuffled schedule in virtual time. Upstreams answer, fail, fall silent, break off, and misbehave; callers
finish, cancel, run into a timeout, leave early, drop streams half-read or unstarted, close twice and from
other tasks; an operator disables, drains and reloads meanwhile. A ledger that is written from the events and
from what reaches the upstreams, and from nothing else, says how much is in flight and which calls are
probes; it is compared with the router at every entry.

Script number n of a run with seed s has the seed s * 1_000_000 + n, and `--replay` runs one by its seed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pprint import pprint
from time import perf_counter
from typing import Any
from unittest.mock import patch

from pointsman import Router, lifecycle
from pointsman.config import Config
from pointsman.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    BadResponse,
    ConnectionFailed,
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    Outcome,
    Overloaded,
    PointsmanError,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    Unsupported,
)
from pointsman.events import AttemptEnded, BreakerChanged, Event, RequestEnded
from pointsman.http.event_stream import EventStream
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.plugins.registry import Plugins
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.resilience.circuit_breaker import LEASE_GRACE
from pointsman.routing.snapshot import Snapshot
from pointsman.testing import Scripted, ScriptedAnswer, ShuffleLoop, run, seeded
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    StreamEvent,
)

WORDS = "the sky is blue because of air"

# ── what upstreams do ────────────────────────────────────────────────────────────────────────────────

_TURNS = 1e-3
"""Seconds of virtual time within which a task surely had its turn."""
REFUSED = "refused"
"""The message of failures of which surely nothing was sent."""

FAILURES: Sequence[Callable[[random.Random], BaseException]] = (
    lambda _: Unavailable("down"),
    lambda _: Unavailable("down", status=503),
    lambda rng: Unavailable("down, come back", retry_after=rng.random() * 3),
    lambda _: ConnectionFailed(REFUSED, sent=False),
    lambda _: ConnectionFailed("reset"),
    lambda rng: RateLimited("slowly", retry_after=rng.choice([None, 0.0, 0.5, 2.0, 200.0])),
    lambda _: Overloaded("busy", retry_after=1.0),
    lambda _: QuotaExhausted("no money"),
    lambda _: AuthenticationFailed("who?"),
    lambda _: ModelNotFound("what?"),
    lambda _: InvalidRequest("no"),
    lambda _: ContextWindowExceeded("too long"),
    lambda _: Unsupported("cannot"),
    lambda _: BadResponse("gibberish"),
    lambda _: AttemptTimeout("silence"),
    lambda _: ZeroDivisionError("a plugin's mistake"),
)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What an upstream does with one call: the answer, and how it handles what surrounds it."""

    answer: ScriptedAnswer
    opening: float = 0.0
    """Seconds until a stream is open."""
    closing: float = 0.0
    """Seconds that `aclose` takes."""
    fails_to_close: bool = False
    fails_to_abort: bool = False


def behaviour(rng: random.Random) -> Behaviour:
    """Mostly well, often not."""
    after = rng.choice([0.0, 0.0, rng.random(), rng.random() * 3])
    gap = rng.choice([0.0, rng.random() * 0.5, rng.random() * 3])
    kind = rng.random()
    if kind < 0.45:
        answer = ScriptedAnswer(text=WORDS, after=after, gap=gap)
    elif kind < 0.80:
        error = rng.choice(FAILURES)(rng)
        # "Unsupported" is said before anything is sent, or it is not that.
        unsent = isinstance(error, Unsupported)
        words = 0 if unsent else rng.choice([0, 0, 1, 3])
        answer = ScriptedAnswer(WORDS, 0.0 if unsent else after, gap, error=error, words=words)
    elif kind < 0.87:
        answer = ScriptedAnswer(WORDS, after, gap, cut=True, words=rng.choice([0, 2]))
    elif kind < 0.94:
        answer = ScriptedAnswer(WORDS, after=rng.choice([30.0, 1_000.0]))
    else:
        answer = ScriptedAnswer(WORDS, after, gap=rng.choice([30.0, 1_000.0]))
    return Behaviour(
        answer,
        opening=0.0 if isinstance(answer.error, Unsupported) else rng.choice([0, 0, 0, rng.random(), 30.0]),
        closing=rng.choice([0.0, 0.0, 0.0, rng.random()]),
        fails_to_close=rng.random() < 0.03,
        fails_to_abort=rng.random() < 0.03,
    )


class Unruly(PointsmanSpec):
    """The provider type `unruly`: a `Scripted` whose streams open and close slowly, or not at all.

    `begin` starts another script; `took` is told of every call that reaches an upstream.
    """

    def __init__(self) -> None:
        self.begin(random.Random(0), lambda _provider, _call: None)

    def begin(self, rng: random.Random, took: Callable[[str, Call], None]) -> None:
        self.rng = rng
        self.took = took
        self.scripted = Scripted()
        self.opening = 0

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        (factory,) = Scripted().pointsman_providers()
        return [ProviderFactory("unruly", factory.settings, lambda context: _Unruly(context, self))]


class _Unruly(Provider):
    def __init__(self, context: ProviderContext, script: Unruly) -> None:
        super().__init__(context)
        self._script = script
        (factory,) = script.scripted.pointsman_providers()
        self._inner = factory.make(context)

    def _next(self, call: Call) -> Behaviour:
        try:
            self._script.took(self.name, call)
        except Exception as error:  # to the router it would be one more plugin's mistake
            raise SystemExit(f"the ledger failed: {error!r}") from error
        chosen = behaviour(self._script.rng)
        self._script.scripted.script(self.name, chosen.answer)
        return chosen

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self._next(call)
        return await self._inner.chat(request, call)

    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        self._next(call)
        return await self._inner.generate(request, call)

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        self._next(call)
        return await self._inner.embed(request, call)

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        chosen = self._next(call)
        # Opened at once, so that it is this call's step of the script, and handed out later.
        source = await self._inner.stream(request, call)
        try:
            if chosen.opening:
                await asyncio.sleep(chosen.opening)
        except BaseException:
            source.abort()
            raise
        return _UnrulySource(source, chosen)

    async def probe(self) -> None:
        if self._script.rng.random() < 0.3:
            raise Unavailable("ill")


class _UnrulySource:
    def __init__(self, source: EventStream, behaviour: Behaviour) -> None:
        self._source = source
        self._behaviour = behaviour
        self.upstream_request_id = source.upstream_request_id

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        return await self._source.next(until)

    def abort(self) -> None:
        self._source.abort()
        if self._behaviour.fails_to_abort:
            raise OSError("cannot abort")

    async def aclose(self) -> None:
        if self._behaviour.closing:
            await asyncio.sleep(self._behaviour.closing)
        if self._behaviour.fails_to_close:
            raise OSError("cannot close")
        await self._source.aclose()


# ── a script ─────────────────────────────────────────────────────────────────────────────────────────

ENDS = (
    "finish",
    "finish",
    "cancel",
    "cancel and wait",
    "timeout",
    "leave early",
    "throw",
    "abandon",
    "drop unstarted",
    "close twice",
    "close unstarted",
    "close from outside",
    "read slowly",
)
OPERATIONS = ("chat", "stream", "stream", "stream", "embed", "generate")


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of a script: when it begins, and how its caller ends it."""

    operation: str
    model: str
    begins: float
    end: str
    at: float
    """Seconds after the beginning, for what happens at a time of its own."""
    words: int
    """Events that are read, for what happens after some."""
    timeout: float | None
    priority: str
    caller: str


@dataclass(frozen=True, slots=True)
class Script:
    """Everything that is decided beforehand."""

    seed: int
    config: dict[str, Any]
    calls: tuple[Asked, ...]
    operator: tuple[tuple[float, str, str], ...]
    """(when, what, deployment)"""


def script(seed: int) -> Script:
    """The script of that seed."""
    rng = random.Random(seed)
    config = configuration(rng)
    models = list(config["models"])
    ids = [
        each["provider"] + "/" + each["model"] for m in config["models"].values() for each in m["deployments"]
    ]
    calls = tuple(asked(rng, [*models, models[0], models[0], ids[0]]) for _ in range(rng.randint(1, 12)))
    operator: list[tuple[float, str, str]] = []
    if rng.random() < 0.2:
        for _ in range(rng.randint(1, 3)):
            what = rng.choice(["disable", "enable", "drain", "reload", "reset", "force open", "status"])
            operator.append((rng.random() * 5, what, rng.choice(ids)))
    return Script(seed, config, calls, tuple(operator))


def asked(rng: random.Random, models: Sequence[str]) -> Asked:
    """A random call of one of `models`."""
    return Asked(
        operation=rng.choice(OPERATIONS),
        model=rng.choice(models),
        begins=rng.choice([0.0, 0.0, rng.random(), rng.random() * 10]),
        end=rng.choice(ENDS),
        at=rng.choice([0.0, rng.random() * 0.1, rng.random() * 5]),
        words=rng.randint(1, 5),
        timeout=rng.choice([None, None, rng.random() * 3 + 0.001]),
        priority=rng.choice(["high", "normal", "low"]),
        caller=rng.choice(["", "x", "y"]),
    )


def configuration(rng: random.Random) -> dict[str, Any]:
    """A router with 1 to 4 deployments, and small numbers wherever there is a threshold."""
    providers = "abcd"[: rng.randint(1, 4)]
    limited = rng.random() < 0.5

    def deployments(model: str) -> list[dict[str, Any]]:
        chosen = rng.sample(providers, rng.randint(1, len(providers)))
        return [
            {
                "provider": name,
                "model": model,
                "weight": rng.randint(1, 4),
                "priority": rng.choice([0, 0, 0, 1]),
                **({"max_in_flight": rng.randint(1, 3)} if limited else {}),
            }
            for name in chosen
        ]

    half_open = rng.randint(1, 3)
    config: dict[str, Any] = {
        "providers": {name: {"type": "unruly"} for name in providers},
        "models": {"m": {"deployments": deployments("x")}},
        "strategy": rng.choice(["round_robin", "weighted", "least_connections"]),
        "circuit_breaker": {
            "enabled": rng.random() < 0.8,
            "failure_threshold": rng.randint(1, 3),
            "minimum_calls": rng.randint(2, 6),
            "reset_timeout": rng.choice([0.1, 0.5, 2.0]),
            "max_reset_timeout": 4.0,
            "half_open_max_calls": half_open,
            "success_threshold": rng.randint(1, half_open),
            "count_overload": rng.random() < 0.3,
        },
        "timeouts": {
            "total": rng.choice([1.0, 5.0, 20.0, 60.0]),
            "first_token": rng.choice([0.5, 2.0, 10.0]),
            "idle": rng.choice([0.5, 2.0, 10.0]),
            **({"attempt": rng.choice([0.5, 3.0])} if rng.random() < 0.5 else {}),
        },
        "retry": {
            "type": "exponential",
            "attempts": rng.randint(1, 5),
            "base_delay": rng.choice([0.01, 0.5]),
            "max_delay": 2.0,
            "budget": rng.choice([None, 0.0, 0.2, 1.0]),
        },
        "panic_threshold": rng.choice([0.0, 0.5, 1.0]),
    }
    if rng.random() < 0.4:
        config["models"]["n"] = {"deployments": deployments(rng.choice(["x", "y"]))}
        config["models"]["m"]["fallback"] = ["n"]
        _agree(config["models"])
    if rng.random() < 0.3:
        config["outliers"] = {"failure_threshold": rng.randint(1, 3), "base_ejection": 1.0}
    if rng.random() < 0.3:
        config["health"] = {"interval": 1.0, "timeout": 0.5, "rise": 1, "fall": 1}
    if rng.random() < 0.3:
        config["warm_up"] = rng.choice([None, {"window": 2.0}])
    if limited and rng.random() < 0.4:
        config["adaptive_concurrency"] = {}
    if rng.random() < 0.4:
        config["hedging"] = {
            "minimum_samples": rng.randint(1, 3),
            "floor": rng.choice([0.05, 0.3]),
            "budget": rng.choice(["5%", "100%"]),
        }
    queues = [None, {"length": rng.randint(1, 4), "wait": rng.choice([0.2, 2.0])}, {}]
    config["queue"] = rng.choice(queues)
    if rng.random() < 0.4:
        requests = {"requests": f"{rng.randint(1, 5)}/s", "burst_requests": rng.randint(1, 3)}
        tokens = {"tokens": "3000/s", "oversize": "full"}
        config["limits"] = {"account": rng.choice([requests, tokens, {**requests, **tokens}])}
        for each in rng.sample(providers, rng.randint(1, len(providers))):
            config["providers"][each]["shared_limits"] = ["account"]
    return config


def _agree(models: Mapping[str, Any]) -> None:
    """A deployment of two models has one limit."""
    first = {(each["provider"], each["model"]): each for each in models["m"]["deployments"]}
    for each in models["n"]["deployments"]:
        same = first.get((each["provider"], each["model"]))
        if same is not None and "max_in_flight" in same:
            each["max_in_flight"] = same["max_in_flight"]


# ── the ledger ───────────────────────────────────────────────────────────────────────────────────────


class Ledger:
    """What is in flight and who is a probe, as events and upstreams tell it.

    It reads no state of the router but to compare. `wrong` collects what does not add up.
    """

    def __init__(self, script: Script) -> None:
        config = script.config
        self.wrong: list[str] = []
        self.open: dict[tuple[str, str, int], Call] = {}
        """Attempts at work: (deployment, request, number)."""
        self.in_flight: Counter[str] = Counter()
        self.begun: Counter[str] = Counter()
        """Attempts that reached an upstream, by request; those that were not sent do not count."""
        self.ended: dict[str, RequestEnded] = {}
        self.attempts = 0
        self.outcomes: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Attempts of which nothing was sent, by provider."""
        self.taken: Counter[str] = Counter()
        """All attempts, by provider."""
        self._hedging = "hedging" in config
        self._held_before = config["queue"] is not None or self._hedging
        """Who had to wait in line, or runs in a task of its own, holds its lease for a turn of the loop
        before the upstream hears of it."""
        self._not_begun: Counter[str] = Counter()
        """Attempts that were over before their upstream heard of them, by request."""
        self.hedges: Counter[str] = Counter()
        """How second attempts ended."""
        self._unsent: Counter[str] = Counter()
        self._charges: dict[tuple[str, str, int], tuple[int, int]] = {}
        """What an attempt takes of the budget of retries, at least and at most. Who holds a lease for a turn
        before the upstream hears of it was charged by what was known then."""
        self._tried: dict[str, set[str]] = {}
        """Deployments that heard of a request, by request."""
        self._failing: dict[str, tuple[bool, float]] = {}
        """Whether the latest call of a deployment ended badly, and since when that is so."""
        self._probes: dict[str, dict[tuple[str, str, int], float]] = {}
        self._passed: Counter[str] = Counter()
        self._most_probes: int = config["circuit_breaker"]["half_open_max_calls"]
        self._limits = {
            f"{each['provider']}/{each['model']}": each["max_in_flight"]
            for model in config["models"].values()
            for each in model["deployments"]
            if "max_in_flight" in each
        }
        self.router: Router | None = None

    def took(self, provider: str, call: Call) -> None:
        """A call reached an upstream."""
        deployment = f"{provider}/{call.model}"
        key = (deployment, call.request_id, call.attempt)
        self._must(key not in self.open, f"{key} reached the upstream twice at the same time")
        self._must(call.request_id not in self.ended, f"{key} began after its request had ended")
        self.open[key] = call
        self.in_flight[deployment] += 1
        self.begun[call.request_id] += 1
        self.attempts += 1
        self.taken[provider] += 1
        now = asyncio.get_running_loop().time()
        self._charge(deployment, call, now)
        self._must(now < call.timeouts.deadline, f"{key} began after its deadline")
        most = self._limits.get(deployment)
        running = self.in_flight[deployment]
        self._must(most is None or running <= most, f"{running} in flight at {deployment}, {most} allowed")
        probes = self._probes.get(deployment)
        if probes is not None:
            for lost in [each for each, until in probes.items() if until <= now]:
                del probes[lost]
            probes[key] = call.timeouts.deadline + LEASE_GRACE
            at_most = self._most_probes - self._passed[deployment]
            self._must(len(probes) <= at_most, f"{len(probes)} probes at {deployment}, {at_most} allowed")
        self._compare(deployment)

    def _charge(self, deployment: str, call: Call, now: float) -> None:
        """The first attempt is free, and so is one elsewhere where all looks well."""
        tried = self._tried.setdefault(call.request_id, set())
        failing, since = self._failing.get(deployment, (False, -1.0))
        pays = call.attempt > 1 and (failing or deployment in tried)
        unsure = call.attempt > 1 and self._held_before and now - since < _TURNS
        self._charges[deployment, call.request_id, call.attempt] = (
            int(pays and not unsure),
            int(pays or unsure),
        )
        tried.add(deployment)

    def heard(self, event: Event) -> None:
        """The router told of something."""
        match event:
            case AttemptEnded():
                self._attempt(event)
            case RequestEnded():
                self._request(event)
            case BreakerChanged():
                id = event.deployment
                self._probes.pop(id, None)
                self._passed[id] = 0
                if event.new == "half_open":
                    self._probes[id] = {}
                self._must(event.new != "open" or event.old != "open", f"{id} opened twice")

    def _attempt(self, event: AttemptEnded) -> None:
        id = event.deployment
        key = (id, event.request_id, event.number)
        self.outcomes[event.outcome.value] += 1
        if event.hedge:
            self.hedges[event.outcome.value] += 1
        if self._hedging and event.outcome is Outcome.NEUTRAL and key not in self.open:
            self._not_begun[event.request_id] += 1
            self._never_sent(id)
            self._charges[key] = (int(event.hedge), int(event.number > 1))
            return
        if self.open.pop(key, None) is None:
            self.wrong.append(f"{key} ended and was not at work")
            return
        self.in_flight[id] -= 1
        if event.error == "unsupported":
            self._unsent[event.request_id] += 1
            self._charges[key] = (0, 0)
        elif event.hedge:
            self._charges[key] = (1, 1)
        failing = (
            event.outcome in (Outcome.UPSTREAM_FAULT, Outcome.OVERLOAD) or event.error == "model_not_found"
        )
        if event.outcome is Outcome.OK or failing:
            before, since = self._failing.get(id, (False, -1.0))
            now = asyncio.get_running_loop().time()
            self._failing[id] = (failing, since if failing == before else now)
        if event.error == "unsupported" or event.detail == REFUSED:
            self.refused[id.partition("/")[0]] += 1
        probes = self._probes.get(id)
        if probes is not None and probes.pop(key, None) is not None and event.outcome is Outcome.OK:
            self._passed[id] += 1
        self._must(event.seconds >= 0, f"{key} took {event.seconds} s")
        self._compare(id)

    def _request(self, event: RequestEnded) -> None:
        id = event.request_id
        self._must(id not in self.ended, f"{id} ended twice")
        self.ended[id] = event
        still = [key for key in self.open if key[1] == id]
        self._must(not still, f"{id} ended while {still} were at work")
        sent = self.begun[id] + self._not_begun[id] - self._unsent[id]
        self._must(sent == event.attempts, f"{id} says {event.attempts} attempts, {sent} were made")

    def _never_sent(self, deployment: str) -> None:
        """It took from the limits what it gave back only if surely nothing was sent: nobody knows here."""
        self.taken[deployment.partition("/")[0]] += 1

    def _compare(self, deployment: str) -> None:
        assert self.router is not None
        snapshot = self.router._snapshot
        live = snapshot.lives.get(deployment)
        if live is not None:
            here = self.in_flight[deployment]
            same = here <= live.in_flight if self._held_before else here == live.in_flight
            self._must(same, f"{deployment} counts {live.in_flight}, ledger {here}")
            most = self._limits.get(deployment)
            self._must(most is None or live.in_flight <= most, f"{deployment} has {live.in_flight} of {most}")
        self._must(self.in_flight[deployment] >= 0, f"{deployment} has less than nothing in flight")

    def closing(self, started: int) -> None:
        """Compare everything, when all calls are over."""
        assert self.router is not None
        snapshot = self.router._snapshot
        self._must(not self.open, f"still at work: {sorted(self.open)}")
        self._must(self.router.status().in_flight == 0, "status says that something is in flight")
        self._must(len(self.ended) == started, f"{started} requests began, {len(self.ended)} ended")
        self._must(set(self.begun) <= set(self.ended), "an attempt belongs to no request")
        for id, live in snapshot.lives.items():
            self._must(live.in_flight == 0, f"{id} has {live.in_flight} in flight")
            self._must(live.late_releases == 0, f"{id} had {live.late_releases} second releases")
            self._must(not live.idle.waiting, f"somebody still waits for {id} to be idle")
            if live.breaker is not None:
                probes = live.breaker.snapshot()["probes_in_flight"]
                self._must(probes == 0, f"{id} has {probes} probes in flight")
        self._must(self.router._events.failures == 0, "the ledger itself failed")
        self._budgets(snapshot)
        self._meters(snapshot)
        for name, pool in snapshot.pools.items():
            if pool.queue is not None:
                self._must(pool.queue.is_empty, f"somebody still waits for {name}")
                self._must(len(pool.queue.line) == 0, f"the line of {name} is not empty")

    def _budgets(self, snapshot: Snapshot) -> None:
        least: Counter[str] = Counter()
        most: Counter[str] = Counter()
        for (_, request, _), (low, high) in self._charges.items():
            least[self.ended[request].model] += low
            most[self.ended[request].model] += high
        for name, pool in snapshot.pools.items():
            if pool.budget is not None:
                taken = pool.budget.retries - pool.budget.refunds
                self._must(
                    least[name] <= taken <= most[name],
                    f"budget of {name}: {taken} taken, {least[name]} to {most[name]} due",
                )

    def _meters(self, snapshot: Snapshot) -> None:
        """Every attempt that was sent has taken one request of the limit, and no other has."""
        sharing = [name for name, each in snapshot.config.providers.items() if each.shared_limits]
        sent = sum(self.taken[name] - self.refused[name] for name in sharing)
        for limit in snapshot.scopes.values():
            if limit.requests is not None:
                used = limit.requests.used
                self._must(used == sent, f"{limit.name}: {used} requests taken, {sent} sent")
        for id, live in snapshot.lives.items():
            if live.limits is not None:
                self._must(live.limits.late == 0, f"{id} settled {live.limits.late} reservations twice")

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)


# ── running it ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Tally:
    """What a number of scripts added up to."""

    scripts: int = 0
    calls: int = 0
    attempts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    hedges: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    probed: int = 0


class Failed(AssertionError):
    """A script after which something was wrong."""


UNRULY = Unruly()


@cache
def _found() -> Plugins:
    """The plugins, found once: a search for each of 100,000 routers takes ten times what they do."""
    return Plugins([UNRULY])


def play(seed: int, tally: Tally | None = None) -> None:
    """Run the script of `seed`. Raises Failed, with a note of the seed, when anything is wrong after it."""
    with seeded(seed), patch.object(lifecycle, "plugins_for", lambda *_: _found()):
        run(_play(script(seed), Tally() if tally is None else tally), partial(ShuffleLoop, seed))


class _Inline(ThreadPoolExecutor):
    """Does at once what a reload leaves to a thread: a real one takes real time, which no seed replays."""

    def submit(self, fn: Callable[..., Any], /, *given: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*given, **more))
        except Exception as error:
            future.set_exception(error)
        return future


async def _play(given: Script, tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ShuffleLoop)
    loop.set_default_executor(_Inline())
    complaints: list[str] = []
    loop.set_exception_handler(lambda _loop, context: complaints.append(str(context)))
    ledger = Ledger(given)
    unruly = UNRULY
    unruly.begin(random.Random(given.seed ^ 0x5EED), ledger.took)
    router = Router.from_config(given.config, rng=random.Random(given.seed))
    ledger.router = router
    for live in router._snapshot.lives.values():
        for _ in range(3 if live.window is not None else 0):
            live.window.add(0.01, 0.0)  # else a dozen calls would hardly ever know what late is
    router.listen(ledger.heard)
    opened = []
    router.listen(lambda e: opened.append(e) if isinstance(e, BreakerChanged) else None)
    before = asyncio.all_tasks()
    async with router:
        calls = [Caller(router, each) for each in given.calls]
        operating = [_operate(router, given.config, *each) for each in given.operator]
        ends = await asyncio.gather(*(each.call() for each in calls), *operating, return_exceptions=True)
        for each in ends:
            # A cancelled stream task is what scripts do; anything else is the router's own.
            if isinstance(each, BaseException):
                raise each
        await _two_turns()
        if ledger.open:
            gc.collect()  # a dropped stream may hang in a cycle with the error that its caller got
            await _two_turns()
        ledger.closing(sum(each.started for each in calls))
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before
    busy = +unruly.scripted.in_flight
    wrong = ledger.wrong + complaints
    wrong += [f"pending: {each!r}" for each in left] + ([f"upstreams still at work: {busy}"] if busy else [])
    if wrong:
        raise Failed("\n".join(wrong))
    tally.scripts += 1
    tally.calls += len(ledger.ended)
    tally.attempts += ledger.attempts
    tally.outcomes += ledger.outcomes
    tally.hedges += ledger.hedges
    tally.results += Counter(each.result for each in ledger.ended.values())
    tally.ends += Counter(each.asked.end for each in calls)
    tally.opened += sum(each.new == "open" for each in opened)
    tally.probed += sum(each.new == "half_open" for each in opened)


async def _two_turns() -> None:
    """What a dropped stream has put off to the next turn is done, in whichever order that turn went."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def _operate(router: Router, config: dict[str, Any], when: float, what: str, deployment: str) -> None:
    await asyncio.sleep(when)
    breaker = router._snapshot.live(deployment).breaker
    now = asyncio.get_running_loop().time()
    match what:
        case "disable":
            router.disable(deployment)
        case "enable":
            router.enable(deployment)
        case "drain":
            await router.drain(deployment, timeout=1.0)
            router.enable(deployment)
        case "reload":
            await router.reload(Config.from_mapping(config))
        case "reset" if breaker is not None:
            breaker.reset(now)
        case "force open" if breaker is not None:
            breaker.force_open(now)
            await asyncio.sleep(1)
            breaker.reset(asyncio.get_running_loop().time())
        case _:
            router.status()
            router.explain("m")


class Caller:
    """Makes one call and ends it as the script says."""

    def __init__(self, router: Router, asked: Asked) -> None:
        self._router = router
        self.asked = asked
        self.started = 0

    async def call(self) -> None:
        """Returns when the call is over, however it ended."""
        asked = self.asked
        await asyncio.sleep(asked.begins)
        work = self._stream if asked.operation == "stream" else self._plain
        if not asked.end.startswith("cancel"):
            return await _quietly(work)
        task = asyncio.ensure_future(_quietly(work))
        await asyncio.sleep(asked.at)
        task.cancel()
        if asked.end == "cancel and wait":
            await asyncio.sleep(asked.at)
            task.cancel()
        await asyncio.wait([task])
        return None

    @property
    def _options(self) -> dict[str, Any]:
        asked = self.asked
        options = {"priority": asked.priority, "caller": asked.caller}
        return options if asked.timeout is None else {**options, "timeout": asked.timeout}

    async def _plain(self) -> None:
        self.started = 1
        asked, router = self.asked, self._router
        match asked.operation:
            case "chat":
                work: Coroutine[Any, Any, object] = router.chat(asked.model, "hi", **self._options)
            case "embed":
                work = router.embed(asked.model, "hi", **self._options)
            case _:
                work = router.generate(asked.model, "hi", **self._options)
        if asked.end == "timeout":
            async with asyncio.timeout(asked.at):
                await work
        else:
            await work

    async def _stream(self) -> None:
        asked = self.asked
        stream = self._router.stream(asked.model, "hi", **self._options)
        match asked.end:
            case "drop unstarted":
                return
            case "close unstarted":
                await stream.aclose()
                await stream.aclose()
                return
        self.started = 1
        match asked.end:
            case "abandon":
                for _ in range(asked.words):
                    await anext(stream, None)
            case "close from outside":
                reader = asyncio.ensure_future(_quietly(self._read, stream))
                await asyncio.sleep(asked.at)
                if not stream.request_id:
                    self.started = 0  # it may be closed before its first step
                await stream.aclose()
                await asyncio.wait([reader])
                self.started = int(bool(stream.request_id))
            case "timeout":
                async with asyncio.timeout(asked.at):
                    await self._read(stream)
            case _:
                await self._read(stream)
                if asked.end == "close twice":
                    await stream.aclose()
                    await asyncio.gather(stream.aclose(), stream.aclose())

    async def _read(self, stream: Any) -> None:
        asked = self.asked
        async with stream:
            read = 0
            async for _ in stream:
                read += 1
                if asked.end == "read slowly":
                    await asyncio.sleep(asked.at)
                if asked.end == "leave early" and read == asked.words:
                    break
                if asked.end == "throw" and read == asked.words:
                    raise KeyError("the caller's own")


async def _quietly(work: Callable[..., Coroutine[Any, Any, object]], *given: Any) -> None:
    """Callers live with what the router says; everything else is a find."""
    try:
        await work(*given)
    except (PointsmanError, TimeoutError, KeyError):
        return
    except RuntimeError as error:
        if not str(error).startswith("this stream is closed"):
            raise


# ── the command ──────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scripts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", type=int, help="run the script of this seed only, and print it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.getLogger("pointsman").setLevel(logging.CRITICAL + 1)
    if options.replay is not None:
        pprint(script(options.replay), width=110)
        play(options.replay)
        return
    tally = Tally()
    failed: dict[int, str] = {}
    began = perf_counter()
    for n in range(options.scripts):
        seed = options.seed * 1_000_000 + n
        try:
            play(seed, tally)
        except Exception as error:
            failed[seed] = f"{type(error).__name__}: {error}"
            print(f"seed {seed}: {failed[seed]}", file=sys.stderr, flush=True)
    figures = {
        "seed": options.seed,
        "scripts": options.scripts,
        "failed": failed,
        "requests": tally.calls,
        "attempts": tally.attempts,
        "results": dict(tally.results),
        "outcomes": dict(tally.outcomes),
        "second_attempts": dict(tally.hedges),
        "ends": dict(tally.ends),
        "breakers_opened": tally.opened,
        "breakers_probed": tally.probed,
        "seconds": round(perf_counter() - began, 1),
    }
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:16} {value}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
