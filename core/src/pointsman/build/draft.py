"""One building of a snapshot: what it is made from, and what is found wrong on the way.

All parts of `build` share one. Problems are collected here and raised together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from math import inf
from typing import TYPE_CHECKING

from pointsman._internal.scrubber import Scrubber, hidden_of
from pointsman.build.contexts import Contexts
from pointsman.build.takeover import Kept
from pointsman.clock import Clock, Rng
from pointsman.config import Config
from pointsman.config.findings import Finding
from pointsman.config.problems import KeyPath, Problem
from pointsman.config.secret_values import secret_places
from pointsman.events import Events
from pointsman.plugins.registry import Plugins
from pointsman.routing.deployment_state import Readiness
from pointsman.routing.snapshot import Snapshot

if TYPE_CHECKING:
    from pointsman.build.tracing import Trace


class Draft:
    """What is built from, on top of which snapshot, and what was found.

    Attributes:
        found: what is wrong.
        warnings: what is allowed and probably not meant.
        adoptions: what kept state takes over from the configuration, once all of it is known to be right.
        now: seconds; minus infinity for a first build, which may come before any loop runs.
        saw_secret: hears of each secret and its place, where somebody wants to.
        trace: sees what plugins make, where somebody wants to.
        listed: false for what no model lists: it shares one client with its like, and nobody has it warm up.
    """

    def __init__(
        self,
        config: Config,
        plugins: Plugins,
        *,
        clock: Clock,
        rng: Rng,
        events: Events,
        previous: Snapshot | None,
        scrubber: Scrubber,
    ) -> None:
        self.config = config
        self.plugins = plugins
        self.clock = clock
        self.rng = rng
        self.contexts = Contexts(clock, rng, config.directory)
        self.events = events
        self.previous = previous
        self.scrubber = scrubber
        self.found: list[Finding] = []
        self.warnings: list[Problem] = []
        self.adoptions: list[Callable[[], None]] = []
        self.now = -inf if previous is None else clock.now()
        self.kept = Kept(previous)
        self.readiness = Readiness() if previous is None else previous.readiness
        self.listed = True
        self.trace: Trace | None = None
        self.saw_secret: Callable[[KeyPath, str], None] | None = None

    def apart(self) -> Draft:
        """One of its own, for what is built later and no model lists."""
        apart = copy(self)
        apart.listed, apart.now = False, self.clock.now()
        apart.found, apart.adoptions = [], []
        return apart

    def hide(self, value: object, path: KeyPath) -> None:
        """Hide the secrets in `value`, which stands at `path`, in whatever is told from now on."""
        for place, secret in secret_places(value, path):
            self.scrubber.know(hidden_of(secret))
            if self.saw_secret is not None:
                self.saw_secret(place, secret)

    def problem(
        self,
        path: KeyPath,
        message: str,
        *,
        code: str,
        hint: str | None = None,
        rests_on: Sequence[KeyPath] = (),
    ) -> None:
        """Note that something is wrong at that place."""
        self.found.append(Finding(path, message, hint, rests_on=tuple(rests_on), code=code))

    def refuse(self) -> None:
        """Raises ConfigError when anything is wrong."""
        if self.found:
            raise self.config.error(self.found)

    def adopt(self) -> None:
        """Have kept state take over what the configuration says."""
        for adopt in self.adoptions:
            adopt()

    def forget_the_past(self) -> None:
        """Let go of the previous snapshot: the providers keep this for the clients that they open later."""
        self.previous, self.kept, self.adoptions = None, Kept(None), []
