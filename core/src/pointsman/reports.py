"""What a router says of itself, as values: the state of all it routes to, a dry run, the health of providers.

`to_dict` of each gives what `pointsman status --json`, a gateway and a control socket send: plain data, in
which the deployments of a model are a list. Where something knows an instant, `seconds_left` or `seconds_ago`
says how far away it is; None when it has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

if TYPE_CHECKING:
    from pointsman.config.problems import Problem


class Report(Struct, frozen=True):
    """What can be told as plain data, which JSON can hold."""

    def to_dict(self) -> dict[str, Any]:
        """The fields by their names, and those of the values in them."""
        told: dict[str, Any] = to_builtins(self)
        return told


# ── the state of a deployment ────────────────────────────────────────────────────────────────────────


class BreakerStatus(Report, frozen=True):
    """A circuit breaker. The counts of calls are those of its window.

    Attributes:
        state: `closed`, `open`, `half_open`, `forced_open` or `disabled`.
        epoch: changes of its state so far.
        opens_in_row: how many times it opened since it was last closed.
        open_until: when it lets a probe through, on the router's clock; None while it is not open.
        calls, failures, slow: in the window.
        consecutive_failures: in a row, up to now.
        probes_in_flight, probe_successes: since it let probes through.
        refused: calls that it kept away.
        late_results: reports from before its state changed; they count for nothing.
        lost_leases: probes that were never reported in time.
        listener_errors: of who listens to its changes.
        seconds_left: until it lets a probe through.
    """

    state: str
    epoch: int
    opens_in_row: int
    open_until: float | None
    calls: int
    failures: int
    slow: int
    consecutive_failures: int
    probes_in_flight: int
    probe_successes: int
    refused: int
    late_results: int
    lost_leases: int
    listener_errors: int
    seconds_left: float | None


class EjectionStatus(Report, frozen=True):
    """Whether it fails so much more than the others that it is left out for a while.

    Attributes:
        ejected: it is, now.
        ejected_until: on the router's clock; None while it is not ejected.
        consecutive_failures: in a row, up to now.
        multiplier: how many times the configured length the last one took, less one for each interval since.
        ejections: so far.
        spared: how often one was due and the others could not do without it.
        listener_errors: of who listens to its changes.
        seconds_left: until it is back.
    """

    ejected: bool
    ejected_until: float | None
    consecutive_failures: int
    multiplier: int
    ejections: int
    spared: int
    listener_errors: int
    seconds_left: float | None


class ChecksStatus(Report, frozen=True):
    """The active health checks of its provider.

    Attributes:
        healthy: what they came to.
        row: checks in a row that contradict `healthy`.
        last_at: the last check, on the router's clock; None before one.
        last_error: what it ended with; "" when it was well.
        listener_errors: of who listens to their changes.
        seconds_ago: since the last check.
    """

    healthy: bool
    row: int
    last_at: float | None
    last_error: str
    listener_errors: int
    seconds_ago: float | None


class WarmUpStatus(Report, frozen=True):
    """The way back to full load.

    Attributes:
        active: it has begun, and is not over.
        seconds_left: until `share` is 1 again.
        share: of its load, 0 to 1.
    """

    active: bool
    seconds_left: float
    share: float


class AdaptiveStatus(Report, frozen=True):
    """A limit of calls in flight that is learned.

    Attributes:
        limit: at present, 1 to `maximum`.
        maximum: the `max_in_flight` of the deployment.
        raised, lowered: how many times it was.
    """

    limit: int
    maximum: int
    raised: int
    lowered: int


class CoolDownStatus(Report, frozen=True):
    """Calls are kept away after the upstream said no.

    Attributes:
        refused: what it refuses ("model not found upstream", "credential refused", …); None: an overload.
        seconds_left: until calls go there again.
    """

    refused: str | None
    seconds_left: float


class MeterStatus(Report, frozen=True):
    """One rate.

    Attributes:
        count, period: so many per so many seconds.
        burst: how many may come at once.
        remaining: how many could be taken now.
        next_free: seconds until one can be taken.
        used: taken so far.
    """

    count: int
    period: float
    burst: int
    remaining: int
    next_free: float
    used: int


class LimitStatus(Report, frozen=True):
    """The limits that one scope has for all that share it.

    Attributes:
        name: of the scope: a deployment, or a limit that several share.
        requests, tokens: None for what it does not limit.
    """

    name: str
    requests: MeterStatus | None
    tokens: MeterStatus | None


class LastErrorStatus(Report, frozen=True):
    """What the last call that failed ended with.

    Attributes:
        code: of the error, a name for programs.
        status: of HTTP, None where there was none.
        message: its first 200 characters, without secrets.
        seconds_ago: since that call ended.
    """

    code: str
    status: int | None
    message: str
    seconds_ago: float


class DeploymentStatus(Report, frozen=True):
    """One upstream model at one provider; None for whatever is not configured.

    Attributes:
        id: `provider/upstream-model`, or the name that the configuration gives it.
        provider, model: the name of the provider, and its own name of the model.
        transport: the name of the one that is used; None where there is none.
        weight: its share beside the others of its level, 1 or more.
        priority: its level; 0 comes first.
        state: what operators said: `up`, `draining` or `down`.
        blocked: why it takes no calls; None when it does.
        refused: why a call would not be sent there now: that, or that another priority level comes first.
        breaker: always there; its `state` is `disabled` where none is configured.
        ejection, checks, warm_up, adaptive: the machines that are configured for it.
        in_flight: attempts that run there now.
        max_in_flight: as configured.
        places: calls that it takes at once, now.
        cool_down: None unless calls are kept away.
        limits: those that its calls count against.
        outcomes: how many calls ended how.
        last_error: None before one.
        first_token_ms, total_ms: milliseconds, averaged over half a minute; None before the first.
    """

    id: str
    provider: str
    model: str
    transport: str | None
    weight: int
    priority: int
    state: str
    blocked: str | None
    refused: str | None
    breaker: BreakerStatus
    ejection: EjectionStatus | None
    checks: ChecksStatus | None
    warm_up: WarmUpStatus | None
    adaptive: AdaptiveStatus | None
    in_flight: int
    max_in_flight: int | None
    places: int | None
    cool_down: CoolDownStatus | None
    limits: Sequence[LimitStatus]
    outcomes: Mapping[str, int]
    last_error: LastErrorStatus | None
    first_token_ms: float | None
    total_ms: float | None


# ── the state of all ─────────────────────────────────────────────────────────────────────────────────


class QueueStatus(Report, frozen=True):
    """Who waits for room.

    Attributes:
        waiting: how many callers wait.
        by_priority: how many of `high`, `normal` and `low`.
        keys: how many different `caller`s they are.
        pace: seconds from one departure to the next; 0 before anybody waited.
        served, refused, shed, gave_up: how many left so, up to now; `refused` ones have not entered.
    """

    waiting: int
    by_priority: Sequence[int]
    keys: int
    pace: float
    served: int
    refused: int
    shed: int
    gave_up: int


class BudgetStatus(Report, frozen=True):
    """What is left for second attempts, as a share of the requests.

    Attributes:
        balance, capacity: in thousandths of an attempt.
        requests, retries: up to now.
        refunds: how many of the retries were given back.
        refused: those that were not allowed.
    """

    balance: int
    capacity: int
    requests: int
    retries: int
    refunds: int
    refused: int


class MirrorSideStatus(Report, frozen=True):
    """What the calls of one side came to, of requests that were answered on both.

    Attributes:
        first_token_ms, total_ms: of an attempt, by quantile (`p50`, `p95`), over the last day; empty where
            there were none.
        prompt, completion: tokens, as far as they were counted.
        cost_microcents: in millionths of a US cent, as far as it is known.
        unpriced: calls whose cost is not.
    """

    first_token_ms: Mapping[str, float]
    total_ms: Mapping[str, float]
    prompt: int
    completion: int
    cost_microcents: int
    unpriced: int


class MirrorStatus(Report, frozen=True):
    """The copies of a model's requests that go to another one, since the router began.

    Attributes:
        to: the model that they go to.
        share: of the requests that are answered, as a fraction.
        running: copies under way.
        compared: those that were answered.
        left_out: those that were due and not made, by why: `busy` (as many at once as there may be),
            `unready` (no deployment has half of its room to spare), `budget`, `price` (unknown), `rule`
            (labels), `option` (one that the other model cannot do), `wire` (only the upstream's own wire can
            say it), `closing`.
        failed: those that ended otherwise, by the code of the error, or `cancelled`.
        asked, copies: the two sides of what is compared.
        same_finish: how often both answers ended for the same reason.
        other_finish: the others, as `stop → length`.
        lost_microcents: what the failed ones cost.
        budget: as configured, such as `2 USD/day`; None without one.
        budget_left_microcents: of the present period; None without one.
    """

    to: str
    share: float
    running: int
    compared: int
    left_out: Mapping[str, int]
    failed: Mapping[str, int]
    asked: MirrorSideStatus
    copies: MirrorSideStatus
    same_finish: int
    other_finish: Mapping[str, int]
    lost_microcents: int
    budget: str | None
    budget_left_microcents: int | None


class ModelStatus(Report, frozen=True):
    """One public name that has deployments.

    Attributes:
        strategy: its name.
        degraded: why its strategy chose the last time without the signal that it goes by; None when it
            had that.
        fallback: the models that are tried next, in order.
        queue: None where nobody waits in line.
        retries, hedges: the budgets of these; None without one.
        deployments: by id, in configuration order.
        guards: those that its requests pass, in order, by the names of their plugins.
        mirror: what copies of its requests came to; None where none are made.
    """

    strategy: str
    degraded: str | None
    fallback: Sequence[str]
    queue: QueueStatus | None
    retries: BudgetStatus | None
    hedges: BudgetStatus | None
    deployments: Mapping[str, DeploymentStatus]
    guards: Sequence[str]
    mirror: MirrorStatus | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with a list of the deployments."""
        return _with_list(super().to_dict())


class SelectorStatus(Report, frozen=True):
    """A public name whose requests go to one of several models, as a selector picks.

    Attributes:
        selector: its plugin.
        of: the models.
        default: the one that is taken when it fails, or is late.
        within: seconds that it has.
        guards: as of a model.
    """

    selector: str
    of: Sequence[str]
    default: str
    within: float
    guards: Sequence[str]


class PatternStatus(Report, frozen=True):
    """A public name with a `*`, which stands for many.

    Attributes:
        strategy: its name.
        fallback, guards: as of a model.
        deployments: their ids, with the `*`.
        models: each name of it that somebody asked for, as far as is remembered.
    """

    strategy: str
    fallback: Sequence[str]
    guards: Sequence[str]
    deployments: Sequence[str]
    models: Mapping[str, ModelStatus]

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with a list of the deployments of each model."""
        return _with_lists(super().to_dict())


class StoreStatus(Report, frozen=True):
    """The store that routers share.

    Attributes:
        store: its plugin.
        available: None before it was asked.
        seconds_ago: since when that is so.
        reason: why it is away.
        seconds_left: until it is asked again, while it is away.
        replicas: routers that were there when it last answered.
        dropped: settlements that it never heard of.
        fail: what becomes of limits while it is away, unless they say otherwise: `local` or `closed`.
    """

    store: str
    available: bool | None
    seconds_ago: float | None
    reason: str | None
    seconds_left: float | None
    replicas: int
    dropped: int
    fail: str


class AuditStatus(Report, frozen=True):
    """How it stands with an audit sink that says so.

    Attributes:
        sink: its plugin, with a number behind it where several have one.
        mode: what becomes of requests while it cannot write, such as `drop_counted`.
        seq: the number of the last record that is kept.
        waiting: records that are not kept yet.
        dropped: records that never will be, since the sink was made.
        disk_full, io_errors, slow: how often what it writes to was full, failed otherwise, or took too long.
        trouble: why it cannot write just now; "" where it can.
    """

    sink: str
    mode: str
    seq: int
    waiting: int
    dropped: int
    disk_full: int
    io_errors: int
    slow: int
    trouble: str


class CredentialStatus(Report, frozen=True):
    """One credential of a provider, without its value.

    Attributes:
        provider: the configured name.
        source: the type of the plugin that it comes from, such as `env`.
        name: which of the credentials of that source it is, or which source of that type; "" where nothing
            tells.
        state: `in_use`; `ready` where another is preferred; `early` or `ended` where it may not be used yet,
            or not any more; `resting` after a 401; `missing` where there is none to be had.
        not_before, not_after: when it may be used, seconds since 1970 UTC; None: no such limit.
        seconds_left: until `not_after`, or 0.0; None without one.
        rests_for: seconds until it is used again after a 401; None where it does not rest.
        trouble: what is wrong with where it comes from; "" for nothing.
    """

    provider: str
    source: str
    name: str
    state: str
    not_before: float | None = None
    not_after: float | None = None
    seconds_left: float | None = None
    rests_for: float | None = None
    trouble: str = ""


class BudgetAccount(Report, frozen=True):
    """How it stands with one budget of one subject, such as the money that one caller may spend in a month.

    Attributes:
        rule: the name of its rule.
        subject: whose it is, such as a caller or a team; "" for all together.
        unit: `requests`, `tokens` or `microcents` (millionths of a US cent).
        per: `hour`, `day` or `month`.
        window: `calendar` or `rolling`.
        limit, spent, held: in units; held is what attempts that run may still use.
        resets_in: seconds until some of it is free again; None where nothing is used.
        refused: attempts that found no room, since it was first used; a call may make several.
    """

    rule: str
    subject: str
    unit: str
    per: str
    window: str
    limit: int
    spent: int
    held: int
    resets_in: float | None
    refused: int = 0


class RefusedConfiguration(Report, frozen=True):
    """A configuration that a reload was to take, and did not.

    Attributes:
        at: when, seconds since 1970 UTC.
        problems: what is wrong with it, each with `message` and, where known, `path`, `hint`, `file`, `line`
            and `column`.
    """

    at: float
    problems: Sequence[Problem]


class ConfigurationStatus(Report, frozen=True):
    """The configuration that a router runs on.

    Attributes:
        file: that it was loaded from; None for one that was made in Python.
        loaded_at: when it came into use, seconds since 1970 UTC.
        changes: what the last reload has changed, a sentence each.
        refused: a later one that was not taken; None when there is none.
    """

    file: str | None = None
    loaded_at: float = 0.0
    changes: Sequence[str] = ()
    refused: RefusedConfiguration | None = None


class DiscoveryStatus(Report, frozen=True):
    """What looks for servers or models of a provider.

    Attributes:
        provider: that of the configuration, or one of the servers that were found of it, as `gpu@10.0.0.7`.
        type: what looks, such as `dns`; `models` where the provider is asked for its models.
        servers, models: what was found last, and goes on; None for what it does not look for.
        last_at: its last answer, on the router's clock; None before one.
        error: what has gone wrong since; "" for nothing.
        seconds_ago: since its last answer.
    """

    provider: str
    type: str
    servers: Sequence[str] | None
    models: Sequence[str] | None
    last_at: float | None
    error: str
    seconds_ago: float | None


class Status(Report, frozen=True):
    """The live state of a router: `status.models["assistant"].deployments["gpu/llama3.2"].in_flight`.

    Attributes:
        models: the public names that have deployments.
        selectors: those that have a selector.
        aliases: further names → what they mean.
        patterns: the public names with a `*`.
        state: how it is with the store that routers share; None without one.
        in_flight: attempts that run now, over all deployments.
        configuration: what it runs on, since when, and what it did not take since.
        discoveries: what looks for servers and models of providers.
        credentials: how it stands with those of providers, without their values.
        budgets: how it stands with each that was used.
        audit: how it stands with the audit sinks that say so.
        budgets_trouble: why what was spent cannot be kept now; "" where it can, or nothing is to be kept.
    """

    models: Mapping[str, ModelStatus]
    selectors: Mapping[str, SelectorStatus]
    aliases: Mapping[str, str]
    patterns: Mapping[str, PatternStatus]
    state: StoreStatus | None
    in_flight: int
    configuration: ConfigurationStatus = ConfigurationStatus()
    discoveries: Sequence[DiscoveryStatus] = ()
    credentials: Sequence[CredentialStatus] = ()
    budgets: Sequence[BudgetAccount] = ()
    audit: Sequence[AuditStatus] = ()
    budgets_trouble: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with a list of the deployments of each model."""
        told = _with_lists(super().to_dict())
        for pattern in told["patterns"].values():
            _with_lists(pattern)
        return told


def _with_lists(told: dict[str, Any]) -> dict[str, Any]:
    for model in told["models"].values():
        _with_list(model)
    return told


def _with_list(model: dict[str, Any]) -> dict[str, Any]:
    model["deployments"] = [*model["deployments"].values()]
    return model


# ── the health of providers ──────────────────────────────────────────────────────────────────────────


class ProviderHealth(Report, frozen=True, omit_defaults=True):
    """How one provider answered.

    Attributes:
        ok: whether it is well.
        ms: milliseconds that it took.
        error: why it is not well; None, and left out of `to_dict`, when it is.
    """

    ok: bool
    ms: float
    error: str | None = None


class Health(Report, frozen=True):
    """How the providers answered just now.

    Attributes:
        providers: by name.
    """

    providers: Mapping[str, ProviderHealth]

    @property
    def ok(self) -> bool:
        """Whether all of them are well."""
        return all(each.ok for each in self.providers.values())

    def to_dict(self) -> dict[str, Any]:
        """Name of a provider → `ok`, `ms` and, when it is not well, `error`."""
        told: dict[str, Any] = super().to_dict()["providers"]
        return told
