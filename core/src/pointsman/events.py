"""What happened: requests, attempts, breakers, reloads; and listeners that cannot hurt the path."""

# The annotations are not put off as elsewhere: `NamedTuple` would have to compile each of them.
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pointsman._internal.plugin_errors import OWN, Scrub, log_raised
from pointsman.errors import Outcome
from pointsman.types import Usage

log = logging.getLogger("pointsman")
log.addHandler(logging.NullHandler())  # without a word, unless the application wants to hear it
NO_TAGS: Mapping[str, str] = MappingProxyType({})


class AttemptEnded(NamedTuple):
    """One attempt at one deployment is over.

    Attributes:
        number: 1 for the first attempt of the request.
        outcome: what it says about the deployment.
        error: the stable code of the error, "" for none; `detail` is its message.
        status: the HTTP status of an error, None when there was none.
        wall: when it began, seconds since 1970 UTC.
        seconds: how long it took, from choice to last byte.
        first_token: seconds until the first content, None when there was none or no stream.
        hedge: it was made beside another one that was late.
        caller, tags: as the caller gave them.
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


class RequestEnded(NamedTuple):
    """One request is over; there is exactly one such event for each, also for cancelled ones.

    Attributes:
        operation: `chat`, `stream`, `generate` or `embed`.
        model: the public name that was asked for; `pool` is the one that answered, after fallbacks.
        result: `ok`, `error`, `cancelled` or `abandoned`.
        attempts: how many attempts it took, 0 when none was made.
        caller, tags: as the caller gave them.
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


class BreakerChanged(NamedTuple):
    """The breaker of a deployment went from one state to another."""

    deployment: str
    old: str
    new: str
    reason: str


class HealthChanged(NamedTuple):
    """A deployment was ejected, or a provider's checks began to fail or to pass.

    Attributes:
        subject: the id of the deployment, or the name of the provider.
        healthy: as it is from now on.
    """

    subject: str
    healthy: bool
    reason: str


class Reloaded(NamedTuple):
    """The router runs on a new configuration. The counts are of deployments."""

    kept: int
    added: int
    removed: int


Event = AttemptEnded | RequestEnded | BreakerChanged | HealthChanged | Reloaded
Listener = Callable[[Event], None]


class Events:
    """Tells listeners what happened. A listener that raises is counted and logged once, nothing more.

    Attributes:
        journal: hears of what is not everyday, whoever else listens.
        detailed: it is to be told of attempts that begin, too.
    """

    __slots__ = ("_complained", "_scrub", "detailed", "failures", "journal", "listeners")

    def __init__(self, *, scrub: Scrub) -> None:
        self._scrub = scrub
        self.listeners: tuple[Listener, ...] = ()
        self.journal: Listener | None = None
        self.detailed = False
        self.failures = 0
        self._complained: set[int] = set()

    def add(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` from now on; returns what ends it. It must not block.

        One that was added twice is told twice, and each addition ends by itself.
        """
        self.listeners += (listener,)
        added = True

        def remove() -> None:
            nonlocal added
            if added:
                added = False
                at = next(n for n, each in enumerate(self.listeners) if each is listener)
                self.listeners = self.listeners[:at] + self.listeners[at + 1 :]
                self._complained.discard(id(listener))

        return remove

    def report(self, event: Event) -> None:
        """Tell of something that is not everyday: a failure or a change."""
        self.emit(event)
        if self.journal is not None:
            self.journal(event)

    def emit(self, event: Event) -> None:
        """Tell all listeners, in the order in which they were added."""
        for listener in self.listeners:
            try:
                listener(event)
            except OWN as error:
                self.failures += 1
                if id(listener) not in self._complained:
                    self._complained.add(id(listener))
                    message = "a listener failed; further failures of it are only counted"
                    log_raised(message, error, self._scrub)
