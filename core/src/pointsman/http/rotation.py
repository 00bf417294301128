"""Several credentials of one provider, used in turn: a 401 moves on to the next within the same attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from msgspec import Struct

from pointsman._internal.plugin_errors import OWN, fault
from pointsman._internal.scrubber import Scrubber
from pointsman.auth import Auth, CredentialVersion, Fixed, Secret
from pointsman.clock import Clock, Rng
from pointsman.errors import AuthenticationFailed, CallError, NotReady, Outcome, Refusal
from pointsman.http.attaching import Attaching, Send
from pointsman.http.failures import ExchangeErrors
from pointsman.http.renewal import Renewal
from pointsman.resilience.credential_turns import Turn, newest_first, next_turn, whose_turn
from pointsman.transports.raw import Reply, RequestTemplate

_ASK_AGAIN = 1.0
"""Seconds after which a source that had no credential is asked again, where it says nothing of it."""


class RotationSource(Struct, frozen=True):
    """One source of credentials.

    Attributes:
        type: that of its plugin.
        not_before, not_after: as configured, seconds since 1970 UTC.
    """

    type: str
    renewal: Renewal
    source: Auth
    not_before: float | None = None
    not_after: float | None = None

    @property
    def name(self) -> str:
        """Which one of that type it is, where the source itself says so; else ""."""
        return str(getattr(self.source, "name", ""))


class InTurn(Turn):
    """One credential: what a source has at the time, or one of its versions.

    Attributes:
        auth: what clients attach it by.
    """

    __slots__ = ("auth", "of", "version")

    def __init__(self, of: RotationSource, auth: Renewal, version: CredentialVersion | None = None) -> None:
        self.of, self.auth, self.version = of, auth, version
        super().__init__(of.not_before, of.not_after)
        if version is not None:  # both hold
            if version.not_before is not None:
                self.not_before = max(self.not_before, version.not_before)
            if version.not_after is not None:
                self.not_after = min(self.not_after, version.not_after)


class CredentialRotation(Auth):
    """The credentials of one provider, in front of all its clients: the newest that is valid is used.

    One that is rejected rests, a minute at first, while others take its place.
    """

    sign = None

    def __init__(
        self, sources: Sequence[RotationSource], *, clock: Clock, rng: Rng, scrubber: Scrubber, provider: str
    ) -> None:
        self.sources = sources
        self._clock, self._rng = clock, rng
        self._scrubber = scrubber
        self._provider = provider
        self._versions: list[Sequence[CredentialVersion] | None] = [None] * len(sources)
        self._turns: list[list[InTurn]] = [
            [] if hasattr(each.source, "versions") else [InTurn(each, each.renewal)] for each in sources
        ]
        self._preferred = self._in_order()

    # ── whose turn it is ─────────────────────────────────────────────────────────────────────────────

    async def first(self) -> InTurn:
        """The credential to use now. Raises CallError: there is none."""
        failure = await self._loaded(unless_one_is_rested=True)
        turn = self.whose_turn()
        if turn is None:
            raise failure or self._none_is_valid()
        assert isinstance(turn, InTurn)
        return turn

    async def another(self, tried: Sequence[InTurn]) -> InTurn | None:
        """One that is not among those `tried`, which were rejected; None where there is none."""
        await self._loaded()
        turn = next_turn(self._preferred, tried, self._clock.wall(), self._clock.now())
        assert turn is None or isinstance(turn, InTurn)
        return turn

    def rejected_turn(self, turn: InTurn, started: float) -> None:
        """A call that `started` then and carried that credential was answered 401."""
        turn.rejected(self._clock.now(), started)
        if turn.version is not None:
            turn.of.renewal.is_replaced(turn.version.secret)  # it may be, by now: it looks

    def lacks(self, turn: InTurn, error: CallError) -> None:
        """There was nothing to send for it."""
        pause = _ASK_AGAIN if error.retry_after is None else error.retry_after
        turn.lacking(self._clock.now() + pause)

    def begin(self) -> None:
        """Have the sources get what they have, so that no call waits for it."""
        for each in self.sources:
            each.renewal.begin()

    async def aclose(self) -> None:
        """End what runs."""
        for each in self.sources:
            await each.renewal.aclose()

    def whose_turn(self) -> Turn | None:
        """The one that a call would use now, of those that are known."""
        return whose_turn(self._preferred, self._clock.wall(), self._clock.now())

    def turns(self) -> Sequence[InTurn]:
        """What is known of now, without asking for more; those that are preferred first."""
        for index in range(len(self.sources)):
            with suppress(NotReady, CallError):
                self._look(index)
        return self._preferred

    # ── what a provider has that sends by itself ─────────────────────────────────────────────────────

    def current(self) -> Secret | None:
        """That of the turn. Raises NotReady."""
        self.turns()
        turn = self.whose_turn()
        if turn is None:
            raise NotReady("no credential is valid now")
        assert isinstance(turn, InTurn)
        return turn.auth.current()

    def rejected(self, secret: Secret) -> bool:
        started = self._clock.now()
        for turn in self.turns():
            if (turn.version is not None and turn.version.secret == secret) or turn.version is None:
                with suppress(*OWN):
                    if turn.auth.current() == secret and not turn.auth.is_replaced(secret):
                        self.rejected_turn(turn, started)
        return self._one_is_rested()

    async def refresh(self) -> None:
        """Have a credential. Raises CallError."""
        await self.secret()

    async def secret(self) -> Secret | None:
        """The credential to use now. Raises CallError."""
        return await (await self.first()).auth.secret()

    # ── what sources have ────────────────────────────────────────────────────────────────────────────

    async def _loaded(self, *, unless_one_is_rested: bool = False) -> CallError | None:
        """Have the versions of all that have some; why one of them has none now."""
        failure: CallError | None = None
        for index, each in enumerate(self.sources):
            try:
                self._look(index)
            except NotReady:
                if unless_one_is_rested and self._one_is_rested():
                    each.renewal.begin()
                    continue
                try:
                    await each.renewal.refresh()
                    self._look(index)
                except NotReady:  # it was rejected again meanwhile
                    continue
                except CallError as error:
                    failure = error
            except CallError as error:
                failure = error
        return failure

    def _one_is_rested(self) -> bool:
        turn = self.whose_turn()
        return turn is not None and turn.rests_until <= self._clock.now()

    def _look(self, index: int) -> None:
        """Take over what the versions of a source are now. Raises NotReady, PluginError."""
        of = self.sources[index]
        ask: Callable[[], Any] | None = getattr(of.source, "versions", None)
        if ask is None:
            return
        try:
            versions = ask()
        except NotReady:
            raise
        except OWN as failure:
            raise fault("auth", of.type, "versions", failure, scrub=self._scrubber.text) from failure
        if versions is self._versions[index]:
            return
        kept = {_key(each): each for each in self._turns[index]}
        made = [InTurn(of, self._fixed(each), each) for each in versions]
        self._turns[index] = [kept.get(_key(each), each) for each in made]
        self._versions[index] = versions
        self._preferred = self._in_order()

    def _fixed(self, version: CredentialVersion) -> Renewal:
        self._scrubber.learn(version.secret.reveal())
        return Renewal(Fixed(version.secret), clock=self._clock, rng=self._rng, scrubber=self._scrubber)

    def _in_order(self) -> list[InTurn]:
        return newest_first([each for turns in self._turns for each in turns])  # type: ignore[return-value]  # as it was given

    def _none_is_valid(self) -> CallError:
        error = AuthenticationFailed(
            f"no credential: none of provider {self._provider!r} is valid now; `pointsman status` says more"
        )
        error.without_credential, error.outcome = True, Outcome.NEUTRAL
        error.refusal, error.retry_after = Refusal.NO_CREDENTIAL, _ASK_AGAIN
        return error


def _key(turn: InTurn) -> object:
    return (turn.version, turn.not_before, turn.not_after)


class AttachingInTurn:
    """Sends the requests of one client with each credential of a `CredentialRotation` in turn."""

    def __init__(
        self,
        rotation: CredentialRotation,
        authorize: Callable[[str], Mapping[str, str]],
        *,
        clock: Clock,
        scrubber: Scrubber,
        errors: ExchangeErrors,
    ) -> None:
        self._rotation = rotation
        self._clock = clock
        self._make = partial(Attaching, authorize=authorize, clock=clock, scrubber=scrubber, errors=errors)
        self._by_turn: dict[InTurn, Attaching] = {}

    async def exchange(
        self, send: Send, template: RequestTemplate, values: tuple[str, ...], content: bytes
    ) -> Reply:
        """As of `Attaching`; what was answered 401 is sent again with each other credential there is."""
        turn = await self._rotation.first()
        tried: list[InTurn] = []
        while True:
            tried.append(turn)
            started = self._clock.now()
            reply: Reply | None = None
            failure: CallError | None = None
            try:
                reply = await self._attaching(turn).exchange(send, template, values, content)
            except CallError as error:
                if not error.without_credential:
                    raise
                failure = error
                self._rotation.lacks(turn, error)
            else:
                if reply.status != 401:
                    turn.accepted()
                    return reply
                self._rotation.rejected_turn(turn, started)
            following = await self._rotation.another(tried)
            if following is None:
                if reply is None:
                    assert failure is not None
                    raise failure
                return reply
            if reply is not None:
                with suppress(Exception):  # what it says is of no use any more
                    await reply.aclose()
            turn = following

    async def aclose(self) -> None:
        """Nothing of it is its own."""

    def _attaching(self, turn: InTurn) -> Attaching:
        made = self._by_turn.get(turn)
        if made is None:
            if len(self._by_turn) > 2 * len(self._rotation.turns()):  # those of versions that are gone
                self._by_turn.clear()
            made = self._by_turn[turn] = self._make(turn.auth)
        return made
