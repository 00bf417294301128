"""Which configuration a router runs on, since when, and which one it was given since and did not take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from pointsman._internal.scrubber import Scrubber
from pointsman.clock import Clock
from pointsman.config.problems import Problem
from pointsman.errors import ConfigError
from pointsman.event_log import refused

if TYPE_CHECKING:
    from pointsman.reports import ConfigurationStatus


class InUse:
    """What `Status.configuration` says, but for the file.

    Attributes:
        changes: what the last reload has changed, a sentence each.
    """

    def __init__(self, clock: Clock, scrubber: Scrubber) -> None:
        self._clock = clock
        self._scrubber = scrubber
        self._refused: tuple[float, Sequence[Problem]] | None = None
        self._told: ref[ConfigError] | None = None
        self.taken(())

    def taken(self, changes: Sequence[str]) -> None:
        """Another one is in use from now on; what was refused before is over."""
        self.changes = tuple(changes)
        self._loaded_at = self._clock.wall()
        self._refused = None

    def refuse(self, error: ConfigError) -> None:
        """That one was not taken, which the log says, too: once, however many hand the error on."""
        if self._told is not None and self._told() is error:
            return
        # Weakly, as what it was raised by holds all that was built for it.
        self._told = ref(error)
        message = self._scrubber.shown(error)
        problems = cast("tuple[Problem, ...]", error.problems) or (Problem(message),)
        self._refused = self._clock.wall(), problems
        refused(message)

    def status(self, file: str | None) -> ConfigurationStatus:
        """What there is to say, of what was loaded from `file`."""
        from pointsman.reports import ConfigurationStatus, RefusedConfiguration  # most programs never ask

        wrong: Any = self._refused
        return ConfigurationStatus(
            file, self._loaded_at, self.changes, None if wrong is None else RefusedConfiguration(*wrong)
        )
