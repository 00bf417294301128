"""What a dry run says of a call: where it would go and why, in which order, and what would be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import field

from pointsman.reports import LimitStatus, Report


class ExplainedReason(Report, frozen=True):
    """Why a call would not go to a deployment.

    Attributes:
        kind: a word for programs: `breaker`, `rule`, `limit`, `unsupported`, `context_window`, `spending` …
        text: a few words for people.
        seconds_left: until time alone may end it; None when that takes something else.
    """

    kind: str
    text: str
    seconds_left: float | None = None


class ExplainedDeployment(Report, frozen=True, kw_only=True):
    """One deployment of a model, as a candidate for a call.

    Attributes:
        id: as in `status`.
        provider: the configured name of that.
        model: the upstream's own name.
        weight, priority: as configured.
        ready: whether it could take the call.
        reasons: all that keeps the call away, what counts first; none where it is ready.
        score: what the strategy goes by, in the measure that `ExplainedPool.scored_by` names; None where it
            has none.
        in_flight, places: calls that it has now, and that it may have; None for no limit.
        limits: what is left of its rate limits.
        left_out: options that it would be asked without, because it cannot do them.
    """

    id: str
    provider: str
    model: str
    weight: int
    priority: int
    ready: bool
    reasons: Sequence[ExplainedReason] = ()
    score: float | None = None
    in_flight: int
    places: int | None
    limits: Sequence[LimitStatus] = ()
    left_out: Sequence[str] = ()


class ExplainedPool(Report, frozen=True):
    """Where a call would go among the deployments of one model.

    Attributes:
        model: its public name, or a full one.
        strategy: the name of the one that chooses.
        degraded: why its strategy would choose without the signal that it goes by; None when it has it.
        pick: the id of a deployment; None when none is ready.
        ready: ids.
        refused: id → why not.
        scored_by: what the scores of the candidates are; "" where the strategy has none.
        candidates: all deployments, in the order of the configuration.
    """

    model: str
    strategy: str
    degraded: str | None
    pick: str | None
    ready: Sequence[str]
    refused: Mapping[str, str]
    scored_by: str = ""
    candidates: Sequence[ExplainedDeployment] = ()


class ExplainedAttempt(Report, frozen=True, omit_defaults=True):
    """One attempt that the call would make, were all before it to fail.

    Attributes:
        model: of the pool that would choose.
        deployment: its id.
        again: it has failed before in this very call.
        left_out: options that it would be asked without.
    """

    model: str
    deployment: str
    again: bool = False
    left_out: Sequence[str] = ()


class ExplainedWire(Report, frozen=True):
    """The request as it would leave, which it did not.

    Attributes:
        method, url: without what is secret in it.
        headers: by name in lower case; what may be a credential is `****`.
        body: the JSON value that would be sent.
        relayed: whether it would go on as its caller wrote it.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: Any  # whatever its JSON holds
    relayed: bool = False


class ExplainedError(Report, frozen=True):
    """What the call would end with at once.

    Attributes:
        code: as of the error that would be raised, such as `rule_not_met`.
        message: in words.
    """

    code: str
    message: str


class ExplainedCandidate(Report, frozen=True):
    """A model that a selector could pick.

    Attributes:
        model: its public name.
        ready: whether one of its deployments could take a call now.
        guards: those that stand around this model alone.
    """

    model: str
    ready: bool
    guards: Sequence[str]


class ExplainedSelector(Report, frozen=True):
    """What picks the model of a call; it was not asked.

    Attributes:
        selector: its plugin.
        default: the model that is taken when it fails, or is late.
        within: seconds that it has.
        candidates: the models that it could pick, in configuration order.
    """

    selector: str
    default: str
    within: float
    candidates: Sequence[ExplainedCandidate]


class Explanation(Report, frozen=True, kw_only=True, omit_defaults=True):
    """Where a call would go now.

    `to_dict` leaves out what there is none of.

    Attributes:
        model: as it was asked for.
        alias_of: what that means, where it is an alias.
        pattern: the public name with a `*` that matches it.
        guards: those that it would pass first, in order, by the names of their plugins.
        selector: of a model that has one; all the rest is then that of its default.
        pick: the id of the deployment that would be asked first; None when none is.
        chain: the model, then its fallbacks, in order.
        attempts: in order, were each to fail as an upstream that is down.
        waits: nothing is missing but room, so that it would wait in line.
        error: what it would end with at once; None where somebody is asked.
        prompt_tokens, answer_tokens: about how many it has, and how many are reserved for the answer.
        cost_usd: about what those cost at the pick; None where nobody knows its price.
        wire: what the pick would be sent.
        unsent: why `wire` is None.
    """

    model: str
    alias_of: str | None = None
    pattern: str | None = None
    guards: Sequence[str] = field(default_factory=list)
    selector: ExplainedSelector | None = None
    pick: str | None
    chain: Sequence[ExplainedPool]
    attempts: Sequence[ExplainedAttempt] = field(default_factory=list)
    waits: bool = False
    error: ExplainedError | None = None
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost_usd: float | None = None
    wire: ExplainedWire | None = None
    unsent: str = ""
