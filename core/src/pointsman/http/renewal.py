"""Credentials that end: one refresh for all who need it, and a pause after one that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from math import inf
from typing import Any

from pointsman._internal.plugin_errors import OWN, during_attempt, fault, is_own
from pointsman._internal.printable import printable_line
from pointsman._internal.scrubber import Scrubber
from pointsman._internal.timeouts import TimeLimit
from pointsman.auth import Auth, Outgoing, Secret
from pointsman.clock import Clock, Rng
from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    NotReady,
    Outcome,
    PermissionDenied,
    PluginError,
    Refusal,
    Unavailable,
)
from pointsman.events import log

WITHIN = 10.0
"""Seconds that a refresh may take."""
AHEAD = 30.0
"""Seconds, or a tenth of its life where that is less, before its end in which a credential is refreshed."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds after a refresh that failed before the next: double with each in a row, a half of it by chance."""
_MOST_ASKED_FOR = 600.0
"""Seconds of a pause that a token endpoint may ask for."""
_GRACE = 1.0
"""Seconds that one which is cancelled may take to end."""
_REFUSED = (AuthenticationFailed, PermissionDenied)


class Renewal(Auth):
    """A source of credentials as its clients use it, which is one object for all of them.

    Whoever needs a credential awaits the same refresh, which is a task of its own: a caller who is cancelled
    does not end it for the others. Where the credential is good nothing is awaited and no task is made.

    Args:
        source: has a `refresh`, a `sign`, or both.
        plugin: what its type is called; `provider`: whose credential it is, for the log.

    Attributes:
        sign: that of the source; None where it has none.
    """

    def __init__(
        self,
        source: Auth,
        *,
        clock: Clock,
        rng: Rng,
        scrubber: Scrubber,
        plugin: str = "",
        provider: str = "",
    ) -> None:
        self.sign: Callable[[Outgoing], Mapping[str, str]] | None = getattr(source, "sign", None)
        self._refresh: Callable[[], Awaitable[None]] | None = getattr(source, "refresh", None)
        self._source = source
        self._clock = clock
        self._rng = rng
        self._scrubber = scrubber
        self._plugin = plugin
        self._provider = provider
        self._known: Secret | None = None
        self._renew_at = self._ends = inf
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0
        self._failure: Callable[[], CallError] | None = None
        self._failures = 0
        self._not_before = -inf
        self._closed = False

    # ── what a provider has that sends by itself ─────────────────────────────────────────────────────

    def current(self) -> Secret | None:
        return self._source.current()

    def rejected(self, secret: Secret) -> bool:
        return self._source.rejected(secret)

    async def refresh(self) -> None:
        """Have another credential, by the refresh that runs already where there is one. Raises CallError."""
        await self._refreshed()

    # ── what a client has ────────────────────────────────────────────────────────────────────────────

    def usable(self) -> Secret | None:
        """The credential to use now. One that is about to end begins to be refreshed.

        Raises: NotReady when it takes a refresh, or has ended; PluginError.
        """
        try:
            secret = self._source.current()
        except NotReady as lack:
            if self._refresh is None:
                did = "raised NotReady from current(), and has no refresh()"
                raise self._fault("current", did) from lack
            raise
        except OWN as failure:
            if isinstance(failure, CallError):
                raise
            raise self._fault("current", failure) from failure
        if secret is not self._known:
            self._heard(secret)
        if self._renew_at != inf and (now := self._clock.now()) >= self._renew_at:
            if now >= self._ends:
                raise NotReady("the credential has ended")
            self._begin(now)
        return secret

    async def secret(self) -> Secret | None:
        """What `usable` gives, after a refresh where it takes one. Raises CallError."""
        try:
            return self.usable()
        except NotReady:
            await self._refreshed()
        try:
            return self.usable()
        except NotReady:  # it was rejected again, or has ended, while this waited for its turn
            raise self._error(self._clock.now()) from None

    def is_replaced(self, secret: Secret) -> bool:
        """Tell the source that `secret` was rejected; whether it says that there is another one."""
        try:
            return self._source.rejected(secret) is True
        except OWN as error:
            self._fault("rejected", error)  # which logs it
            return False

    async def aclose(self) -> None:
        """End the refresh that runs, if any; there will be no other."""
        self._closed = True
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=_GRACE)

    def begin(self) -> None:
        """Have a source with versions get them, where it has none yet, so that no call waits for it."""
        versions = getattr(self._source, "versions", None)
        if versions is not None:
            try:
                versions()
            except NotReady:
                self._begin(self._clock.now())
            except OWN as failure:
                self._fault("versions", failure)  # which logs it

    def trouble(self) -> str:
        """What its source says is wrong, else how its last refresh failed; "" for nothing."""
        try:
            told = getattr(self._source, "trouble", str)()
        except OWN as failure:
            told = self._fault("trouble", failure).message
        if not told and self._failure is not None:
            told = self._failure().message
        return printable_line(self._scrubber.text(str(told)))

    # ── one refresh for all ──────────────────────────────────────────────────────────────────────────

    async def _refreshed(self) -> None:
        now = self._clock.now()
        task = self._begin(now)
        if task is None:
            raise self._error(now)
        # Not `await task`: that would end it when one of those who wait is cancelled.
        await asyncio.wait((task,), timeout=max(0.0, self._began + WITHIN + _GRACE - now))
        if self._failure is not None or not task.done():
            raise self._error(self._clock.now())

    def _begin(self, now: float) -> asyncio.Task[None] | None:
        """The refresh that runs, or one that begins now; None where there may be none."""
        if self._task is not None and not self._task.done():
            return self._task
        if self._closed or self._refresh is None or now < self._not_before:
            return None
        self._began = now
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"refresh {self._provider}")
        return self._task

    async def _run(self) -> None:
        """One refresh. It raises nothing: what went wrong is kept, for all who need to hear of it."""
        before = self._known
        try:
            with TimeLimit(self._clock.now() + WITHIN, _too_late):
                await self._awaited()
            self._expect_another(before)
        except BaseException as error:
            if not is_own(error):
                self._failure = partial(Unavailable, "no credential: its refresh was ended")
                raise
            self._failed(error)
            return
        if self._failures:
            log.warning("the credential of provider %r could be refreshed again", self._provider)
        self._failure, self._failures, self._not_before = None, 0, -inf

    def _expect_another(self, before: Secret | None) -> None:
        """Raise unless there is a credential that is worth more than the one `before`."""
        secret = self._source.current()
        if secret is None or secret.ends is None:
            return
        if secret.ends <= self._clock.now():
            raise Unavailable("what its refresh gave has ended already")
        if before is not None and secret == before and secret.ends == before.ends:
            raise Unavailable("its refresh gave the one that there was")

    async def _awaited(self) -> None:
        assert self._refresh is not None
        waits: Any = self._refresh()
        if not isinstance(waits, Awaitable):
            did = f"returned a {type(waits).__name__} from refresh(), which cannot be awaited: make it async"
            raise self._fault("refresh", did)
        await waits

    def _failed(self, error: BaseException) -> None:
        """Keep what is to be said of a refresh that ended with `error`, and when the next one may begin."""
        self._failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10))
        pause *= 0.5 + self._rng.random() / 2
        if isinstance(error, CallError) and error.retry_after is not None:
            pause = max(pause, min(error.retry_after, _MOST_ASKED_FOR))
        now = self._clock.now()
        self._not_before = now + pause
        self._failure = failure = self._kept(error)
        holds = self._ends - now
        rest = f"; the one there is holds for another {holds:.0f} s" if 0 < holds < inf else ""
        said = failure().message
        log.warning("provider %r: %s; next try in %.0f s%s", self._provider, said, pause, rest)

    def _kept(self, error: BaseException) -> Callable[[], CallError]:
        """Makes the error of each call that hears of `error`."""
        if isinstance(error, PluginError) or not isinstance(error, CallError | NotReady):
            found = error if isinstance(error, PluginError) else self._fault("refresh", error)
            names = {"kind": found.kind, "plugin": found.plugin, "method": found.method}
            return lambda: during_attempt(PluginError(f"no credential: {found.message}", **names))
        said = f"no credential: {printable_line(self._scrubber.shown(error))}"
        return partial(AuthenticationFailed if isinstance(error, _REFUSED) else Unavailable, said)

    def _error(self, now: float) -> CallError:
        """Why there is no credential, for one call: nothing was sent, and the upstream has no part in it."""
        make = self._failure or partial(Unavailable, "no credential: its refresh has not ended")
        if self._closed:
            make = partial(Unavailable, "no credential: the router is closed")
        error = make()
        error.without_credential, error.outcome = True, Outcome.NEUTRAL
        if error.refusal is None:
            error.refusal = Refusal.NO_CREDENTIAL
            error.retry_after = max(0.0, self._not_before - now)
        return error

    def _heard(self, secret: Secret | None) -> None:
        """Learn a credential that is another one than before: what to hide, and when it ends."""
        kind: type = type(secret)
        if secret is not None and not issubclass(kind, Secret):
            did = f"returned a {kind.__name__} from current(), expected a Secret or None"
            raise self._fault("current", did)
        before, self._known = self._known, secret
        if secret is None:
            self._renew_at = self._ends = inf
        elif before is None or secret != before or secret.ends != before.ends:
            self._scrubber.learn(secret.reveal())
            self._ends = self._renew_at = inf
            if secret.ends is not None and self._refresh is not None:
                self._ends = secret.ends
                life = secret.ends - self._clock.now()
                self._renew_at = secret.ends - min(AHEAD, max(0.0, life) / 10)

    def _fault(self, method: str, did: BaseException | str) -> PluginError:
        return during_attempt(fault("auth", self._plugin, method, did, scrub=self._scrubber.text))


def _too_late() -> Exception:
    return Unavailable(f"its refresh took longer than {WITHIN:g} s")
