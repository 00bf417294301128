"""What happened: requests, attempts, breakers, reloads; and listeners that cannot hurt the path.

An event that nobody asked for is not made: on the way of a call each place tests one attribute of `Events`.
They are made by position where each call makes some: by name takes 10,100 instructions in place of 1,300.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, get_args, overload

from msgspec import Struct

from pointsman._internal.observers import check
from pointsman._internal.plugin_errors import OWN, Scrub, log_raised
from pointsman.errors import Outcome
from pointsman.types import Usage

log = logging.getLogger("pointsman")
log.addHandler(logging.NullHandler())  # without a word, unless the application wants to hear it
NO_TAGS: Mapping[str, str] = MappingProxyType({})


# All are Structs: one of 16 fields is made in 1,300 instructions; a `NamedTuple` took 4,700. And without
# `gc`: they hold no object that could hold them, so nothing can leak.


class RequestStarted(Struct, frozen=True, gc=False):
    """A request was taken; one RequestEnded follows.

    Attributes:
        request_id: ours, or the caller's.
        operation: `chat`, `stream`, `generate` or `embed`.
        model: the public name that was asked for.
        wall: when it began, seconds since 1970 UTC.
        caller, tags: as the caller gave them.
    """

    request_id: str
    operation: str
    model: str
    wall: float
    caller: str = ""
    tags: Mapping[str, str] = NO_TAGS


class Queued(Struct, frozen=True, gc=False):
    """A request waits in line, because nothing but room is lacking.

    Attributes:
        model: the one in whose line it waits.
    """

    request_id: str
    model: str
    caller: str = ""
    tags: Mapping[str, str] = NO_TAGS


class ModelSelected(Struct, frozen=True, gc=False):
    """A selector picked the model of a request, or failed to.

    Attributes:
        model: the public name that was asked for: that of the selector's model.
        chosen: the model that the request goes to.
        reason: the selector's; where it failed, how.
        failed: it raised, was late or picked none of them, so that its default was taken.
        seconds: how long that took.
    """

    request_id: str
    model: str
    chosen: str
    reason: str
    failed: bool
    seconds: float
    caller: str = ""
    tags: Mapping[str, str] = NO_TAGS


class AttemptStarted(Struct, frozen=True, gc=False):
    """An attempt at a deployment begins; one AttemptEnded follows.

    Attributes:
        model: the pool of the deployment, after fallbacks.
        deployment: the id of the one that is asked.
        number: 1 for the first attempt of the request.
    """

    request_id: str
    model: str
    deployment: str
    number: int
    caller: str = ""
    tags: Mapping[str, str] = NO_TAGS


class FirstToken(Struct, frozen=True, gc=False):
    """The first content of a stream is there.

    Attributes:
        model: the pool of the deployment, after fallbacks.
        number: of the attempt.
        seconds: since the attempt began.
    """

    request_id: str
    model: str
    deployment: str
    number: int
    seconds: float
    caller: str = ""
    tags: Mapping[str, str] = NO_TAGS


class RetryPlanned(Struct, frozen=True, gc=False):
    """An attempt failed, and the request goes on.

    Attributes:
        model: the pool of the deployment that failed.
        number: how many attempts it has made.
        error: the stable code of what the last one ended with.
        delay: seconds until the next one; 0 for at once.
    """

    request_id: str
    model: str
    number: int
    error: str
    delay: float
    caller: str = ""
    tags: Mapping[str, str] = NO_TAGS


class AttemptEnded(Struct, frozen=True, gc=False):
    """One attempt at one deployment is over.

    Attributes:
        request_id: ours, or the caller's.
        model: the pool of the deployment, after fallbacks.
        deployment: the id of the one that was asked.
        number: 1 for the first attempt of the request.
        outcome: what it says about the deployment.
        error: the stable code of the error, "" for none.
        detail: the message of the error.
        status: the HTTP status of an error, None when there was none.
        wall: when it began, seconds since 1970 UTC.
        seconds: how long it took, from choice to last byte.
        first_token: seconds until the first content, None when there was none or no stream.
        usage: tokens as the upstream counted them, None when it did not.
        upstream_request_id: the upstream's own of the call, "" when it gave none.
        hedge: it was made beside another one that was late.
        caller, tags: as the caller gave them.
        cost_microcents: of this attempt, in millionths of a US cent; None where nobody knows.
    """

    request_id: str
    model: str
    deployment: str
    number: int
    outcome: Outcome
    error: str
    detail: str
    status: int | None
    wall: float
    seconds: float
    first_token: float | None
    usage: Usage | None
    upstream_request_id: str
    hedge: bool = False
    caller: str = ""
    tags: Mapping[str, str] = NO_TAGS
    cost_microcents: int | None = None


class RequestEnded(Struct, frozen=True, gc=False):
    """One request is over; there is exactly one such event for each, also for cancelled ones.

    Attributes:
        request_id: ours, or the caller's.
        operation: `chat`, `stream`, `generate` or `embed`.
        model: the public name that was asked for.
        pool: the model that answered, or was asked last, after fallbacks; "" when none was.
        deployment: the id of the one that answered, or failed last; "" when none was asked.
        result: `ok`, `error`, `cancelled`, `abandoned`; `answered` or `cached` where a guard had the answer.
        error: the stable code of the error, "" for none.
        detail: the message of the error.
        attempts: how many attempts it took, 0 when none was made.
        wall: when it began, seconds since 1970 UTC.
        seconds: how long it took, waiting and pauses included.
        usage: tokens of the answer, None when the upstream did not count them.
        caller, tags: as the caller gave them.
        cost_microcents: of its attempts that were counted, together; None where none was, or not the one that
            answered. 0 where a guard had the answer.
        rule: what of the configuration decided that there is no answer, such as the name of a guard; "" for
            none of its rules.
        delivered: about how many tokens of the answer came, by its length, where the upstream had not counted
            all of them: of a stream that was left or broke, and of an answer without counts. Else 0.
    """

    request_id: str
    operation: str
    model: str
    pool: str
    deployment: str
    result: str
    error: str
    detail: str
    attempts: int
    wall: float
    seconds: float
    usage: Usage | None
    caller: str = ""
    tags: Mapping[str, str] = NO_TAGS
    cost_microcents: int | None = None
    rule: str = ""
    delivered: int = 0


class CallerRefused(Struct, frozen=True, gc=False):
    """A gateway refused a request before it came to the router; no other event tells of it.

    Attributes:
        request_id: the gateway's, or the caller's.
        surface: the API that was asked.
        model: the public name that was asked for; "" before that is known.
        caller: who asked; "" for nobody that is known.
        key_id: of the key that was shown, where that has one.
        code: the stable code of why not, such as `invalid_api_key`.
        detail: the same in words.
        status: of the answer, such as 401.
        wall: when it was refused, seconds since 1970 UTC.
    """

    request_id: str
    surface: str
    model: str
    caller: str
    key_id: str
    code: str
    detail: str
    status: int
    wall: float


class BreakerChanged(Struct, frozen=True, gc=False):
    """The breaker of a deployment went from one state to another.

    Attributes:
        deployment: its id.
        old, new: `closed`, `open`, `half_open` or `forced_open`.
        reason: in words, such as `5 failures in a row`.
    """

    deployment: str
    old: str
    new: str
    reason: str


class HealthChanged(Struct, frozen=True, gc=False):
    """A deployment was ejected, or a provider's checks began to fail or to pass.

    Attributes:
        subject: the id of the deployment, or the name of the provider.
        healthy: as it is from now on.
        reason: in words.
    """

    subject: str
    healthy: bool
    reason: str


class Reloaded(Struct, frozen=True, gc=False):
    """The router runs on a new configuration.

    Attributes:
        kept: deployments that stay, with their state.
        added: deployments that are new.
        removed: deployments that are no longer used.
        changes: all that it says otherwise than the one before, a sentence each, without secrets.
    """

    kept: int
    added: int
    removed: int
    changes: tuple[str, ...] = ()


class StateChanged(Struct, frozen=True, gc=False):
    """The store of what routers share went away, or answers again.

    Attributes:
        store: the type that is configured, such as `redis`.
        available: as it is from now on.
        replicas: routers that shared it when it last answered, this one included.
        reason: in words.
    """

    store: str
    available: bool
    replicas: int
    reason: str


class Mirrored(Struct, frozen=True, gc=False):
    """A copy of an answered request has ended, which went to the model that its own is mirrored to.

    Nobody is told of its attempt besides, and it is on no caller's account. What is called `asked_…` is of
    the attempt that answered the caller.

    Attributes:
        request_id: that of the request that it is a copy of; operation: of both.
        model: the public name whose requests are copied.
        to: the one that the copies go to.
        deployment: the id of the one that had the copy; "" for none.
        result: `ok`, `error` or `cancelled`.
        error, detail: the code and the message of what it ended with; "" when it was answered.
        wall: when the copy began, seconds since 1970 UTC.
        seconds: all of it; first_token: until its first content, None where it came as a whole.
        usage: tokens; None where the upstream did not count.
        cost_microcents: in millionths of a US cent; None where nobody knows.
        finish_reason: why the answer ended; "" where there is none.
        asked_deployment: the id of the one that answered the caller.
        asked_seconds: of that attempt.
        asked_first_token: until its first content; None where it came as a whole.
        asked_cost_microcents: of the request, as above.
        asked_finish_reason: why its answer ended.
    """

    request_id: str
    operation: str
    model: str
    to: str
    deployment: str
    result: str
    error: str
    detail: str
    wall: float
    seconds: float
    first_token: float | None
    usage: Usage | None
    cost_microcents: int | None
    finish_reason: str
    asked_deployment: str
    asked_seconds: float
    asked_first_token: float | None
    asked_cost_microcents: int | None
    asked_finish_reason: str


Event = (
    AttemptEnded
    | RequestEnded
    | CallerRefused
    | BreakerChanged
    | HealthChanged
    | Reloaded
    | StateChanged
    | Mirrored
)
"""What a listener hears that names no kinds: what is over, or has changed."""
Progress = RequestStarted | ModelSelected | Queued | AttemptStarted | FirstToken | RetryPlanned
"""What is told only to who asks for it: how far a request has come."""
Listener = Callable[[Event], None]
E = TypeVar("E", bound=Event | Progress)

EVENTS: tuple[type[Event], ...] = get_args(Event)
PROGRESS: tuple[type[Progress], ...] = get_args(Progress)


NamesAttempts = Callable[[str, int, Mapping[str, str]], str]
"""The `traceparent` of an attempt, by the id of its request, its number and the tags; "" for none."""
TRACEPARENT = "traceparent"
"""The tag with which a request belongs to a trace."""


class Events:
    """Tells listeners what happened. A listener that raises is counted and logged once, nothing more.

    Attributes:
        journal: hears of what is not everyday, whoever else listens.
        attempt_ended, request_ended, request_started, attempt_started: somebody wants to hear of that.
        detailed: somebody wants to hear of a `Progress`; of which kind, `wants` tells.
        traces: who has a name for each attempt in the traces of others, if anybody.
    """

    __slots__ = (
        "_complained", "_journal_detailed", "_scrub", "_told", "attempt_ended", "attempt_started", "detailed",
        "failures", "journal", "request_ended", "request_started", "traces",
    )  # fmt: skip

    def __init__(self, *, scrub: Scrub) -> None:
        self._scrub = scrub
        self._told: dict[type, tuple[Callable[[Any], None], ...]] = dict.fromkeys((*EVENTS, *PROGRESS), ())
        self.journal: Listener | None = None
        self._journal_detailed = False
        self.traces: NamesAttempts | None = None
        self.failures = 0
        self._complained: set[int] = set()
        self._look()

    @overload
    def add(self, listener: Listener) -> Callable[[], None]: ...
    @overload
    def add(self, listener: Callable[[E], None], kinds: Iterable[type[E]]) -> Callable[[], None]: ...
    def add(
        self, listener: Callable[[Any], None], kinds: Iterable[type[Any]] | None = None
    ) -> Callable[[], None]:
        """Tell `listener` of `kinds` from now on; returns what ends it. It must not block.

        `kinds` is every `Event` when None. A listener that was added twice is told twice, and each addition
        ends by itself.

        Raises: TypeError for what is no kind of event, for one that is not in a list, and for a listener that
            cannot be called or is async.
        """
        check(listener, kinds)
        wanted = dict.fromkeys(EVENTS if kinds is None else kinds)
        for kind in wanted:
            if kind not in self._told:
                known = ", ".join(each.__name__ for each in self._told)
                raise TypeError(f"{kind!r} is no kind of event; there are {known}")
        for kind in wanted:
            # A tuple, and each time a new one: a listener may add or end one while they are told.
            self._told[kind] += (listener,)
        self._look()
        added = True

        def remove() -> None:
            nonlocal added
            if added:
                added = False
                for kind in wanted:
                    told = self._told[kind]
                    at = next(n for n, each in enumerate(told) if each is listener)
                    self._told[kind] = told[:at] + told[at + 1 :]
                self._complained.discard(id(listener))
                self._look()

        return remove

    def wants(self, kind: type[Event | Progress]) -> bool:
        """Whether somebody listens to that kind; who tells of a `Progress` looks at `detailed` first."""
        return bool(self._told[kind])

    def detail_for_journal(self, wanted: bool) -> None:
        """Have `detailed` be true for the journal's sake, whoever else listens."""
        self._journal_detailed = wanted
        self._look()

    def _look(self) -> None:
        self.attempt_ended = self.wants(AttemptEnded)
        self.request_ended = self.wants(RequestEnded)
        # Of those two each request asks, whoever else wants a detail.
        self.request_started = self.wants(RequestStarted)
        self.attempt_started = self._journal_detailed or self.wants(AttemptStarted)
        self.detailed = self._journal_detailed or any(map(self.wants, PROGRESS))

    def report(self, event: Event) -> None:
        """Tell of something that is not everyday: a failure or a change."""
        self.emit(event)
        if self.journal is not None:
            self.journal(event)

    def emit(self, event: Event | Progress) -> None:
        """Tell those who listen to its kind, in the order in which they were added."""
        for listener in self._told[event.__class__]:
            try:
                listener(event)
            except OWN as error:
                self._failed(listener, error)

    def named(self, request_id: str, attempt: int, tags: Mapping[str, str]) -> str:
        """The `traceparent` of an attempt, by `traces`; as its request brought it where there is no such."""
        if self.traces is not None:
            try:
                return self.traces(request_id, attempt, tags)
            except OWN as error:
                self._failed(self.traces, error)
        return tags.get(TRACEPARENT, "")

    def _failed(self, listener: Callable[..., Any], error: BaseException) -> None:
        self.failures += 1
        if id(listener) not in self._complained:
            self._complained.add(id(listener))
            message = "a listener failed; further failures of it are only counted"
            log_raised(message, error, self._scrub)
