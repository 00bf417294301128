"""What every source of credentials owes the router."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from pointsman._internal.scrubber import HIDDEN_FROM, forms
from pointsman.auth import Auth, Outgoing, Secret
from pointsman.errors import InvalidRequest, NotReady
from pointsman.http.attaching import FRAMING
from pointsman.http.headers import raw_fields
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import blocks_kept_by

_LONGEST = 0.05
_ENOUGH = 1000
_PATIENCE = 10.0
_CENTURY = 100 * 365 * 86_400.0
_HEADERS = {
    "host": "api.example",
    "user-agent": "pointsman",
    "content-type": "application/json",
    "content-length": "14",
    "x-pointsman-request-id": "req_1",
}
_CALLS = (
    Outgoing("POST", "https://api.example/v1/chat", _HEADERS, b'{"text": "hi"}'),
    Outgoing("GET", "https://api.example:8443/v1/models?a=1&b=%2F", {"host": "api.example:8443"}, b""),
    Outgoing("POST", "https://api.example/caf%C3%A9/x?", {**_HEADERS, "x-odd": "caf\xe9"}, bytes(range(256))),
)
_LARGE = Outgoing("POST", "https://api.example/v1/chat", {**_HEADERS}, b"x" * (1 << 20))


class AuthContract(Contract, terms=True):
    """What every source of credentials owes the router. Write `make`.

    One with a `refresh` is given answers of its token endpoint there, as many as are asked for.
    """

    def make(self) -> Auth:
        """A fresh source, which has a credential if it ever has one, at the latest after its `refresh`."""
        raise NotImplementedError("write `make`, which returns a source of credentials")

    def _ready(self) -> tuple[Auth, Secret | None]:
        """A source after the refresh that it may need, and its credential."""
        auth = self.make()
        try:
            return auth, auth.current()
        except NotReady:
            _refresh(auth)
            return auth, auth.current()

    @rule("AUTH-01", "The first call that needs a credential would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("auth", self.make())

    @rule("AUTH-02", "Text that is no Secret is shown wherever somebody prints what holds it.")
    def test_what_it_gives_is_a_secret_or_none(self) -> None:
        _auth, current = self._ready()
        assert current is None or isinstance(current, Secret), f"current() is a {type(current).__name__}"

    @rule("AUTH-03", "It is asked in every attempt, and all other calls wait meanwhile.")
    def test_it_answers_at_once(self) -> None:
        for auth in (self.make(), self._ready()[0]):
            for work in (auth.current, lambda auth=auth: auth.rejected(Secret("of somebody else"))):
                took = _least(work)
                assert took < _LONGEST, f"it keeps the event loop for {took:.3f} s with every call"

    @rule(
        "AUTH-04",
        "The same rejected credential would be sent again and again, until the upstream shuts the account.",
    )
    def test_a_secret_that_was_rejected_is_followed_by_another_where_it_says_so(self) -> None:
        auth, secret = self._ready()
        for _ in range(_ENOUGH):
            if secret is None or not auth.rejected(secret):
                return
            try:
                after = auth.current()
            except NotReady:
                return  # its refresh gets another one
            assert after != secret, "rejected() says that there is another now, and there is none"
            secret = after
        raise AssertionError(f"rejected() still says that there is another, after {_ENOUGH} of them")

    @rule("AUTH-05", "The key would stand in every log line and traceback that mentions the source.")
    def test_nothing_shows_the_secret(self) -> None:
        auth, secret = self._ready()
        if secret is not None:
            assert secret.reveal() not in f"{auth!r} {auth}", "its repr shows the secret"

    @rule("AUTH-06", "Nobody would ever end the wait, so that every call fails.")
    def test_it_is_not_ready_only_where_a_refresh_can_end_that(self) -> None:
        auth = self.make()
        if hasattr(auth, "refresh"):
            return
        try:
            auth.current()
        except NotReady:
            pytest.fail("current() raises NotReady, and there is no refresh()")

    @rule("AUTH-07", "All calls that waited for the refresh would fail, and others would ask for it again.")
    def test_after_a_refresh_there_is_a_credential(self) -> None:
        auth = self.make()
        if not hasattr(auth, "refresh"):
            return
        _refresh(auth)
        try:
            current = auth.current()
        except NotReady:
            pytest.fail("current() raises NotReady right after a refresh()")
        assert current is not None, "current() is None right after a refresh()"

    @rule("AUTH-08", "A credential that seems to hold for decades is never refreshed, and every call fails.")
    def test_a_secret_ends_at_an_instant_of_the_clock_and_not_of_the_calendar(self) -> None:
        _auth, secret = self._ready()
        if secret is None or secret.ends is None:
            return
        # Seconds since 1970 are half a century; those of a clock begin when a machine or a loop does.
        years = (secret.ends - time.monotonic()) / (_CENTURY / 100)
        assert years < 40, f"it ends in {years:.0f} years: write `context.clock.now() + seconds`, not wall()"

    @rule("AUTH-09", "Calls that hear late of a 401 would throw away the good credential, each its own.")
    def test_a_rejection_of_another_secret_leaves_the_present_one(self) -> None:
        auth, secret = self._ready()
        auth.rejected(Secret("of somebody else"))
        try:
            after = auth.current()
        except NotReady:
            pytest.fail("it has none any more, after another one was rejected")
        assert after is not None or secret is None, "it has none any more, after another one was rejected"

    @rule("AUTH-10", "A router that closes would wait for it, or leave it at work.")
    def test_a_refresh_lets_itself_be_cancelled_and_leaves_nothing_at_work(self) -> None:
        auth = self.make()
        if hasattr(auth, "refresh"):
            asyncio.run(_cancelled(auth.refresh))
            _refresh(auth)

    @rule("AUTH-11", "What cannot be sent fails the call, and what frames a message breaks the next one.")
    def test_a_signature_is_made_of_headers_that_can_be_sent(self) -> None:
        for call, headers in self._signed():
            assert isinstance(headers, Mapping), f"sign() is a {type(headers).__name__}, and no mapping"
            for name, value in headers.items():
                kinds = type(name), type(value)
                assert kinds == (str, str), f"sign() has a {kinds[1].__name__} for {name!r:.50}, and no text"
            try:
                names = raw_fields(headers).keys()
            except InvalidRequest as error:
                pytest.fail(f"for {call.method}: {error.message}")
            framing = sorted(each.decode() for each in names & FRAMING)
            assert not framing, f"sign() may not change {', '.join(framing)}"

    @rule("AUTH-12", "Whoever sees one call could send any other in our name.")
    def test_a_signature_depends_on_the_call(self) -> None:
        signed = self._signed()
        if signed:
            texts = {repr(sorted(headers.items())) for _, headers in signed}
            assert len(texts) > 1, "sign() says the same of whatever call"

    @rule("AUTH-13", "However long a body is, all other calls wait until it is signed.")
    def test_signing_does_not_hold_up_the_others(self) -> None:
        auth, _ = self._ready()
        sign: Callable[[Outgoing], Any] | None = getattr(auth, "sign", None)
        if sign is not None:
            took = _least(lambda: sign(_LARGE))
            assert took < _LONGEST, f"it keeps the event loop for {took:.3f} s to sign a body of a megabyte"

    @rule("AUTH-14", "A signature proves who asks without the secret; who sends both has lost the secret.")
    def test_a_signed_call_does_not_carry_the_secret(self) -> None:
        auth, secret = self._ready()
        if secret is None or len(secret.reveal()) < HIDDEN_FROM:
            return
        hidden = forms(secret.reveal())
        for _, headers in self._signed(auth):
            shown = [name for name, value in headers.items() if any(each in value for each in hidden)]
            assert not shown, f"the secret stands in {', '.join(shown)}"

    @rule("AUTH-15", "What is sent would differ from what was signed.")
    def test_signing_does_not_change_the_call(self) -> None:
        auth: Any = self._ready()[0]
        for call, given in zip(_calls(), _calls(), strict=True) if hasattr(auth, "sign") else ():
            auth.sign(given)
            assert given == call, "sign() changes the headers that it is given; return them instead"

    @rule("AUTH-16", "The line end of a file in a header fails every call, or is another header.")
    def test_a_secret_can_stand_in_a_header(self) -> None:
        _auth, secret = self._ready()
        if secret is not None:
            value = secret.reveal()
            assert isinstance(value, str), f"a secret holds a {type(value).__name__}"
            assert value, "a secret is empty; None says that there is none"
            assert value == value.strip(), "a secret begins or ends with white space: strip it"
            assert value.isascii(), "a secret is not of ASCII letters, which a header takes"
            assert value.isprintable(), "a secret holds what cannot be printed, such as a line end"

    @rule("AUTH-17", "Two calls that fail together would use up two credentials, and then all of them.")
    def test_a_secret_that_is_rejected_twice_is_replaced_once(self) -> None:
        auth, first = self._ready()
        if first is None or not auth.rejected(first):
            return
        with suppress(NotReady):
            second = auth.current()
            if second is not None and second != first:
                auth.rejected(first)
                assert auth.current() == second, "a second rejection of the old secret replaced the new one"

    @rule("AUTH-18", "A log is read by more people than may know the key.")
    def test_nothing_that_it_says_or_logs_holds_the_secret(
        self, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        auth, secret = self._ready()
        if secret is None:
            return
        auth.rejected(secret)
        with suppress(NotReady):
            auth.current()
        said = capsys.readouterr()
        for where, text in (("its output", said.out + said.err), ("the log", caplog.text)):
            assert secret.reveal() not in text, f"the secret is in {where}"

    @rule("AUTH-19", "It is asked in every attempt, and the process would grow with each.")
    def test_asking_leaves_nothing_behind_in_memory(self) -> None:
        auth, _ = self._ready()

        def ask(_turn: int) -> None:
            with suppress(NotReady):
                auth.current()

        kept = blocks_kept_by(ask)
        assert kept < 0.5, f"each time it leaves {kept:.1f} blocks of memory behind"

    def _signed(self, auth: Any = None) -> list[tuple[Outgoing, Any]]:
        """What is returned for each call; none where it does not sign."""
        auth = auth or self._ready()[0]
        return [(each, auth.sign(each)) for each in _calls()] if hasattr(auth, "sign") else []


def _calls() -> tuple[Outgoing, ...]:
    """What is signed, as new: one that changes its headers would change them for every rule."""
    return tuple(Outgoing(each.method, each.url, dict(each.headers), each.body) for each in _CALLS)


def _refresh(auth: Any) -> None:
    """Await a refresh as a router does."""

    async def bounded() -> None:
        waits = auth.refresh()
        assert isinstance(waits, Awaitable), f"refresh() is a {type(waits).__name__}: make it async"
        await asyncio.wait_for(waits, _PATIENCE)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"refresh() leaves tasks behind: {sorted(each.get_name() for each in left)}"

    assert hasattr(auth, "refresh"), "current() raises NotReady, and there is no refresh()"
    asyncio.run(bounded())


async def _cancelled(refresh: Callable[[], Any]) -> None:
    task = asyncio.ensure_future(refresh())
    await asyncio.sleep(0)
    ended = not task.cancel()
    done, _ = await asyncio.wait((task,), timeout=_PATIENCE)
    assert done, f"refresh() goes on {_PATIENCE:g} s after it was cancelled"
    assert ended or task.cancelled(), "refresh() catches that it is cancelled, and goes on"


def _least(work: Callable[[], object]) -> float:
    """Seconds that `work` takes, the least of five: a machine that is busy may stop any."""
    took = []
    for _ in range(5):
        began = time.perf_counter()
        with suppress(NotReady):
            work()
        took.append(time.perf_counter() - began)
    return min(took)
