"""What `pointsman serve` says whenever its router runs on another configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pointsman_cli.options import Asked
from pointsman_cli.output import say, say_logged

if TYPE_CHECKING:
    from pointsman import Reloaded, Router


class ReloadNotes:
    """Tells on which configuration the router runs, after each change of the file or of what was found.

    Either is a `Reloaded`; only where the file says something else has that `changes`.
    """

    def __init__(self, asked: Asked, router: Router) -> None:
        self._asked = asked
        self._router = router
        self._names = tuple(router.config.names())
        self._read = router.config.said

    def __call__(self, event: Reloaded) -> None:
        config = self._router.config
        file, before, read = config.file, self._names, self._read
        self._names, self._read = tuple(config.names()), config.said
        found = [f"model {each} added" for each in self._names if each not in before]
        found += [f"model {each} removed" for each in before if each not in self._names]
        if event.changes:
            self._say(f"runs on the changed {file}", event.changes)
        elif found or event.added or event.removed:
            counts = f"deployments added: {event.added}, removed: {event.removed}"
            self._say(f"what discovery finds has changed; {counts}", found)
        elif config.said is not read:  # else what was found is only weighed or labelled otherwise
            self._say(f"{file} was read again, and means the same", ())

    def _say(self, message: str, changes: Sequence[str]) -> None:
        if self._asked.log_as_json:
            say_logged("info", message, changes=changes)
            return
        say(message)
        for each in changes:
            say(f"  {each}")
