"""A credential that was refused is asked for each second: another one is another chance, at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from weakref import ref

from pointsman._internal.plugin_errors import OWN
from pointsman.auth import Auth, Secret
from pointsman.clock import Clock
from pointsman.errors import NotReady
from pointsman.events import log
from pointsman.resilience.cool_down import Credential

_EVERY = 1.0
"""Seconds, as often as a file is looked at."""


class CredentialWatch:
    """Ends the cool-down of a credential once its source gives another one than was refused.

    There is a timer only while the credential is left alone. It knows the credential weakly, so that it ends
    with the router.
    """

    __slots__ = ("_clock", "_credential", "_provider", "_refused", "_source", "_timer")

    def __init__(self, credential: Credential, source: Auth, clock: Clock, provider: str) -> None:
        """`source`: of one that may give another by and by; `provider`: whose it is, for the log."""
        self._credential = ref(credential)
        self._source = source
        self._clock = clock
        self._provider = provider
        self._refused: Secret | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The credential that the source has now was refused."""
        self._refused = self._now()
        if self._timer is None and self._refused is not None:
            self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_EVERY, self._look)

    def _look(self) -> None:
        self._timer = None
        credential = self._credential()
        if credential is None or credential.until <= self._clock.now():
            return
        secret = self._now()
        if secret is None or secret == self._refused:
            self._wait()
            return
        log.warning("provider %r has another credential: it is tried at once", self._provider)
        credential.end()
        for each in credential.members():
            each.cooled()

    def _now(self) -> Secret | None:
        # What goes wrong there is told by the call that needs it.
        with suppress(NotReady, *OWN):
            return self._source.current()
        return None
