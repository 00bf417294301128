"""Credentials that end: one refresh for all who need it, and nobody to blame but who gives none."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman._internal.scrubber import Scrubber
from pointsman.auth import Auth, RefreshingAuth, Secret
from pointsman.clock import LoopClock
from pointsman.errors import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    ConnectionFailed,
    NotReady,
    Outcome,
    PermissionDenied,
    PluginError,
    RateLimited,
    Refusal,
    Unavailable,
)
from pointsman.http.client import CallTimeouts, Client, Endpoint
from pointsman.http.failures import Used
from pointsman.http.renewal import AHEAD, LONGEST_PAUSE, WITHIN, Renewal
from pointsman.testing import ShuffleLoop, run

LONG = CallTimeouts(deadline=1e9)


class Tokens(RefreshingAuth):
    """Tokens t-1, t-2, …, each good for `life` seconds; a refresh takes `took`, and does what `script` says."""

    def __init__(
        self,
        *script: BaseException | float,
        life: float | None = None,
        took: float = 0.5,
        first: bool = False,
    ) -> None:
        self.script, self.life, self.took = list(script), life, took
        self.refreshes: list[float] = []
        self.dropped: list[str] = []
        self.secret: Secret | None = Secret("t-0") if first else None

    def current(self) -> Secret:
        if self.secret is None:
            raise NotReady("no token yet")
        return self.secret

    async def refresh(self) -> None:
        loop = asyncio.get_running_loop()
        self.refreshes.append(loop.time())
        does = self.script.pop(0) if self.script else None
        await asyncio.sleep(does if isinstance(does, float) else self.took)
        if isinstance(does, BaseException):
            raise does
        self.secret = Secret(
            f"t-{len(self.refreshes)}", None if self.life is None else loop.time() + self.life
        )

    def rejected(self, secret: Secret) -> bool:
        self.dropped.append(secret.reveal())
        if secret == self.secret:
            self.secret = None
        return True


class Guard(httpx.AsyncBaseTransport):
    """An upstream that takes every token but those in `refuses`, after `wait` seconds."""

    def __init__(self, *refuses: str, wait: float = 0.0) -> None:
        self.refuses, self.wait = refuses, wait
        self.seen: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = request.headers.get("authorization", "nothing").removeprefix("Bearer ")
        self.seen.append(token)
        await asyncio.sleep(self.wait)
        return httpx.Response(401 if token in self.refuses else 200, stream=httpx.ByteStream(b"{}"))


def renewal(auth: Auth, scrubber: Scrubber | None = None) -> Renewal:
    return Renewal(
        auth,
        clock=LoopClock(),
        rng=random.Random(1),
        scrubber=scrubber or Scrubber(),
        plugin="tokens",
        provider="here",
    )


def client(auth: Auth, upstream: httpx.AsyncBaseTransport | None = None) -> Client:
    return Client(
        Endpoint("http://host"),
        upstream or Guard(),
        auth=auth,
        clock=LoopClock(),
        plugins=Used(auth="tokens"),
    )


async def status(made: Client, timeouts: CallTimeouts = LONG) -> int:
    answer, _ = await made.fetch("POST", "/x", {}, timeouts=timeouts)
    return answer.status


async def failure(work: Coroutine[Any, Any, object]) -> CallError:
    with pytest.raises(CallError) as raised:
        await work
    return raised.value


def others() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}  # type: ignore[union-attr]


# ── who waits, and for what ──────────────────────────────────────────────────────────────────────────


def test_a_hundred_calls_without_a_credential_wait_for_one_refresh() -> None:
    async def work() -> None:
        auth, upstream = Tokens(), Guard()
        made = client(auth, upstream)

        assert await asyncio.gather(*(status(made) for _ in range(100))) == [200] * 100
        assert (auth.refreshes, upstream.seen) == ([pytest.approx(0, abs=0.01)], ["t-1"] * 100)

    run(work())


def test_the_clients_of_one_source_share_its_refresh() -> None:
    async def work() -> None:
        auth = Tokens()
        shared = renewal(auth)
        clients = [client(shared) for _ in range(10)]

        await asyncio.gather(*(status(made) for made in clients))

        assert len(auth.refreshes) == 1

    run(work())


def test_a_call_whose_credential_is_good_makes_no_task_and_waits_for_nothing() -> None:
    async def work() -> None:
        made = client(Tokens(life=3600.0, first=True))

        before = others()
        assert await status(made) == 200
        assert others() == before

    run(work())


def test_a_caller_who_is_cancelled_does_not_end_the_refresh_for_the_others() -> None:
    async def work() -> None:
        auth = Tokens()
        made = client(auth)
        first, second = (asyncio.create_task(status(made)) for _ in range(2))
        await asyncio.sleep(0.1)

        first.cancel()

        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second == 200
        assert len(auth.refreshes) == 1

    run(work())


def test_a_refresh_goes_on_when_all_who_wait_for_it_are_gone() -> None:
    async def work() -> None:
        auth = Tokens()
        made = client(auth)
        only = asyncio.create_task(status(made))
        await asyncio.sleep(0.1)
        only.cancel()
        await asyncio.sleep(1)

        assert await status(made) == 200
        assert len(auth.refreshes) == 1

    run(work())


def test_waiting_for_a_refresh_counts_within_the_time_of_the_attempt() -> None:
    async def work() -> None:
        made = client(Tokens(took=5.0))
        began = made.now()

        error = await failure(status(made, CallTimeouts(deadline=began + 2.0)))

        assert error.code == "timeout"
        assert made.now() - began == pytest.approx(2.0, abs=0.01)

    run(work())


def test_a_refresh_that_does_not_end_is_ended_and_said_to_be_so() -> None:
    async def work() -> None:
        made = client(Tokens(1e6))
        began = made.now()

        error = await failure(status(made))

        assert (type(error), error.message) == (
            Unavailable,
            "no credential: its refresh took longer than 10 s",
        )
        assert made.now() - began == pytest.approx(WITHIN, abs=0.01)

    run(work())


def test_a_refresh_that_will_not_be_ended_holds_up_nobody_for_long() -> None:
    class Stubborn(Tokens):
        async def refresh(self) -> None:
            for _ in range(100):
                try:
                    await asyncio.sleep(1e6)
                except asyncio.CancelledError:
                    continue

    async def work() -> None:
        made = client(Stubborn())
        began = made.now()

        error = await failure(status(made))

        assert error.message == "no credential: its refresh has not ended"
        assert made.now() - began <= WITHIN + 1.1
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)

    run(work())


def test_closing_ends_the_refresh_and_begins_no_other() -> None:
    async def work() -> None:
        auth = Tokens(1e6)
        made = client(auth)
        waiting = asyncio.create_task(status(made))
        await asyncio.sleep(0.1)

        await made.aclose()

        assert (await failure(asyncio.wait_for(waiting, 5))).message == "no credential: the router is closed"
        assert (await failure(status(made))).message == "no credential: the router is closed"
        assert (len(auth.refreshes), others()) == (1, set())

    run(work())


# ── ahead of its end ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("life", "ahead"), [(3600.0, AHEAD), (60.0, 6.0), (1.0, 0.1)])
def test_a_credential_that_is_about_to_end_is_refreshed_beside_the_running_calls(
    life: float, ahead: float
) -> None:
    async def work() -> None:
        auth, upstream = Tokens(life=life, took=ahead / 4), Guard()
        made = client(auth, upstream)
        await status(made)
        ends = auth.current().ends
        assert ends is not None

        await asyncio.sleep(ends - ahead - made.now() - ahead / 10)
        await status(made)
        assert len(auth.refreshes) == 1, "too early"

        await asyncio.sleep(ahead / 5)
        began = made.now()
        await asyncio.gather(*(status(made) for _ in range(10)))
        assert made.now() - began < ahead / 100, "nobody waits"
        assert upstream.seen[-1] == "t-1"
        await asyncio.sleep(ahead / 2)
        await status(made)
        assert (len(auth.refreshes), upstream.seen[-1]) == (2, "t-2")

    run(work())


def test_a_credential_that_has_ended_is_not_sent() -> None:
    async def work() -> None:
        auth, upstream = Tokens(life=100.0), Guard()
        made = client(auth, upstream)
        await status(made)

        await asyncio.sleep(200)
        await status(made)

        assert upstream.seen == ["t-1", "t-2"]

    run(work())


def test_while_the_old_one_holds_a_refresh_that_fails_harms_no_call() -> None:
    async def work() -> None:
        auth = Tokens(0.5, *[Unavailable("down")] * 100, life=100.0)
        made, upstream = None, Guard()
        made = client(auth, upstream)
        await status(made)

        await asyncio.sleep(92)
        for _ in range(70):
            assert await status(made) == 200
            await asyncio.sleep(0.1)
        assert set(upstream.seen) == {"t-1"}
        assert 3 <= len(auth.refreshes) <= 6, "one for each pause, not for each call"

        await asyncio.sleep(2)
        assert (await failure(status(made))).message.startswith("no credential: down")

    run(work())


class Fresh(Tokens):
    """Makes its secret anew whenever it is asked."""

    def current(self) -> Secret:
        secret = super().current()
        return Secret(secret.reveal(), secret.ends)


def test_a_source_that_makes_its_secret_anew_each_time_is_refreshed_in_time_too() -> None:
    async def work() -> None:
        auth = Fresh(life=100.0, took=1.0)
        made = client(auth)
        for _ in range(100):
            await status(made)
            await asyncio.sleep(1)

        assert len(auth.refreshes) == 2
        assert auth.refreshes[1] == pytest.approx(92, abs=2)

    run(work())


# ── rejected ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_rejected_credential_is_refreshed_once_for_all_and_the_calls_go_out_once_more() -> None:
    async def work() -> None:
        auth, upstream = Tokens(), Guard(wait=0.1)
        made = client(auth, upstream)
        await status(made)
        upstream.refuses, upstream.seen[:] = ("t-1",), []

        assert await asyncio.gather(*(status(made) for _ in range(50))) == [200] * 50
        assert len(auth.refreshes) == 2
        assert upstream.seen == ["t-1"] * 50 + ["t-2"] * 50

    run(work())


def test_a_call_that_is_late_to_hear_of_it_takes_the_one_that_is_there_by_then() -> None:
    async def work() -> None:
        auth, upstream = Tokens(first=True), Guard("t-0", wait=10.0)
        made = client(auth, upstream)
        late = asyncio.create_task(status(made))
        await asyncio.sleep(5)
        upstream.wait = 0.1
        assert await status(made) == 200

        assert await late == 200
        assert (auth.dropped, len(auth.refreshes)) == (["t-0", "t-0"], 1)

    run(work())


def test_a_credential_that_is_rejected_right_after_its_refresh_is_sent_no_third_time() -> None:
    async def work() -> None:
        auth, upstream = Tokens(), Guard("t-1", "t-2", "t-3")
        assert await status(client(auth, upstream)) == 401
        assert (upstream.seen, len(auth.refreshes)) == (["t-1", "t-2"], 2)

    run(work())


# ── what went wrong ──────────────────────────────────────────────────────────────────────────────────

FAILURES: dict[str, tuple[BaseException, type[CallError], str]] = {
    "refused": (
        AuthenticationFailed("the token endpoint answered 401"),
        AuthenticationFailed,
        "answered 401",
    ),
    "forbidden": (PermissionDenied("not you"), AuthenticationFailed, "not you"),
    "down": (Unavailable("the token endpoint answered 503", status=404), Unavailable, "answered 503"),
    "unreachable": (ConnectionFailed("no connection to x", sent=False), Unavailable, "no connection to x"),
    "gibberish": (BadResponse("no JSON"), Unavailable, "no JSON"),
    "not ready": (NotReady("the agent has none yet"), Unavailable, "the agent has none yet"),
    "a mistake": (
        KeyError("s3cret-words"),
        PluginError,
        "auth plugin 'tokens' failed in refresh(): KeyError",
    ),
    "its own cancellation": (asyncio.CancelledError(), PluginError, "failed in refresh(): CancelledError"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_every_failure_is_an_error_of_the_attempt_that_blames_no_upstream(case: str) -> None:
    raised, kind, words = FAILURES[case]

    async def work() -> None:
        auth, upstream = Tokens(raised), Guard()
        error = await failure(status(client(auth, upstream)))

        assert type(error) is kind
        assert error.message.startswith("no credential: ")
        assert words in error.message
        assert "s3cret" not in error.message
        assert (error.without_credential, error.outcome, error.status) == (True, Outcome.NEUTRAL, None)
        assert error.retry_elsewhere
        assert error.try_fallback
        refused = kind is AuthenticationFailed
        assert error.refusal is (Refusal.CREDENTIAL if refused else Refusal.NO_CREDENTIAL)
        assert (error.retry_after is None) == refused
        assert upstream.seen == []

    run(work())


def test_each_caller_has_an_error_of_its_own() -> None:
    async def work() -> None:
        made = client(Tokens(Unavailable("down")))
        first, second = await asyncio.gather(failure(status(made)), failure(status(made)))
        assert first is not second

    run(work())


def test_after_a_failure_the_next_refresh_waits_for_longer_and_longer() -> None:
    async def work() -> None:
        auth = Tokens(*[Unavailable("down")] * 100, took=0.0)
        made = client(auth)
        while made.now() < 600:
            await failure(status(made))
            await asyncio.sleep(0.05)

        pauses = [after - before for before, after in zip(auth.refreshes, auth.refreshes[1:], strict=False)]
        for number, pause in enumerate(pauses):
            most = min(LONGEST_PAUSE, 2.0**number)
            assert most / 2 <= pause <= most + 0.1
        assert len(auth.refreshes) < 30  # at most every half of the longest pause, after seven shorter ones

    run(work())


def test_a_refresh_that_works_again_begins_the_pauses_anew() -> None:
    async def work() -> None:
        auth = Tokens(Unavailable("down"), Unavailable("down"), 0.0, Unavailable("down"), took=0.0)
        made = client(auth, Guard("t-3"))
        seen = []
        while len(auth.refreshes) < 5:
            try:
                seen.append(await status(made))
            except CallError as error:
                seen.append(error.code)
            await asyncio.sleep(0.05)
        assert auth.refreshes[4] - auth.refreshes[3] <= 1.1
        assert seen[-1] == 200

    run(work())


def test_the_time_that_a_token_endpoint_asks_for_is_kept() -> None:
    async def work() -> None:
        auth = Tokens(RateLimited("slow down", retry_after=42.0), took=0.0)
        made = client(auth)

        error = await failure(status(made))
        assert error.retry_after == pytest.approx(42.0, abs=0.01)
        await asyncio.sleep(41)
        assert (await failure(status(made))).retry_after == pytest.approx(1.0, abs=0.01)
        await asyncio.sleep(1.1)
        assert await status(made) == 200

    run(work())


def test_a_failure_is_logged_once_for_each_refresh_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        made = client(renewal(Tokens(Unavailable("down\x1b[31m"), took=0.0)))
        for _ in range(10):
            await failure(status(made))
        await asyncio.sleep(2)
        await status(made)

    caplog.set_level(logging.INFO, "pointsman")
    run(work())

    assert [each.getMessage() for each in caplog.records] == [
        "provider 'here': no credential: down\\x1b[31m; next try in 1 s",
        "the credential of provider 'here' could be refreshed again",
    ]


class Useless(Tokens):
    """Its refresh does nothing."""

    async def refresh(self) -> None:
        self.refreshes.append(0.0)


class Stale(Tokens):
    """Its refresh gives what has ended, or what there was."""

    async def refresh(self) -> None:
        self.refreshes.append(0.0)
        self.secret = Secret("t-9", self.life)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Useless(), "no token yet"),
        (lambda: Stale(life=-1.0), "what its refresh gave has ended already"),
    ],
)
def test_a_refresh_that_gives_nothing_of_use_has_failed(make: Callable[[], Tokens], words: str) -> None:
    async def work() -> None:
        auth = make()
        made = client(auth)
        for _ in range(20):
            assert words in (await failure(status(made))).message
        assert len(auth.refreshes) == 1

    run(work())


def test_a_refresh_ahead_that_gives_the_same_again_is_not_repeated_with_each_call() -> None:
    async def work() -> None:
        auth = Stale(life=100.0)
        auth.secret = Secret("t-9", 100.0)
        made = client(auth)
        await status(made)
        await asyncio.sleep(95)
        for _ in range(50):
            assert await status(made) == 200
            await asyncio.sleep(0.001)
        assert len(auth.refreshes) == 1

    run(work())


class NoneAtAll(Auth):
    """Raises NotReady, and has no refresh."""

    def current(self) -> Secret:
        raise NotReady("never")

    def sign(self, outgoing: object) -> dict[str, str]:
        return {}


class Numbers(Tokens):
    def current(self) -> Any:
        return 7


class Raising(Tokens):
    def current(self) -> Any:
        raise ZeroDivisionError


class Broken(Tokens):
    def current(self) -> Secret:
        return Secret("two\nlines")


class Sync(Tokens):
    def refresh(self) -> Any:  # type: ignore[override]
        return None


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (NoneAtAll(), "raised NotReady from current(), and has no refresh()"),
        (Numbers(), "returned a int from current(), expected a Secret or None"),
        (Raising(), "failed in current(): ZeroDivisionError"),
        (Broken(), "gave what no header can hold: the value of header 'authorization' has a line break"),
        (Sync(), "returned a NoneType from refresh(), which cannot be awaited: make it async"),
    ],
)
def test_a_source_that_does_not_do_as_it_should_is_named(auth: Auth, words: str) -> None:
    async def work() -> None:
        error = await failure(status(client(auth)))
        assert isinstance(error, PluginError)
        assert words in error.message
        assert "auth plugin 'tokens'" in error.message

    run(work())


def test_every_new_credential_is_hidden_from_then_on() -> None:
    class Keys(Tokens):
        async def refresh(self) -> None:
            self.refreshes.append(0.0)
            self.secret = Secret(f"token-of-number-{len(self.refreshes)}")

    async def work() -> None:
        scrubber = Scrubber()
        made = client(renewal(Keys(), scrubber), Guard("token-of-number-1"))
        await status(made)
        assert scrubber.text("token-of-number-1 and token-of-number-2") == "*** and ***"

    run(work())


def test_a_provider_that_sends_by_itself_can_await_the_same_refresh() -> None:
    async def work() -> None:
        auth = Tokens()
        shared = renewal(auth)
        with pytest.raises(NotReady):
            shared.current()

        await asyncio.gather(shared.refresh(), status(client(shared)), shared.refresh())

        assert shared.current().reveal() == "t-1"  # type: ignore[union-attr]
        assert len(auth.refreshes) == 1

    run(work())


CALLERS = st.lists(
    st.tuples(st.floats(0, 40), st.none() | st.floats(0, 12), st.booleans()), min_size=1, max_size=12
)
SCRIPTS = st.lists(st.floats(0, 15) | st.sampled_from([*FAILURES]), max_size=6)


@settings(max_examples=60, deadline=None)
@given(callers=CALLERS, script=SCRIPTS, life=st.none() | st.floats(0.1, 30), seed=st.integers(0, 99))
def test_however_calls_come_and_go_one_refresh_runs_at_a_time_and_every_call_ends(
    callers: list[tuple[float, float | None, bool]], script: list[Any], life: float | None, seed: int
) -> None:
    class Watched(Tokens):
        running = most = 0

        async def refresh(self) -> None:
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await super().refresh()
            finally:
                self.running -= 1

    async def call(made: Client, begins: float, leaves: float | None) -> object:
        await asyncio.sleep(begins)
        try:
            return await asyncio.wait_for(status(made), leaves)
        except (CallError, TimeoutError) as error:
            return error

    async def work() -> None:
        does = [FAILURES[each][0] if isinstance(each, str) else each for each in script]
        auth = Watched(*does, life=life)
        made = client(auth, Guard(*(f"t-{number}" for number in range(1, 9, 2)), wait=0.01))
        calls = [asyncio.create_task(call(made, begins, leaves)) for begins, leaves, _ in callers]
        for begins, _, cancelled in callers:
            if cancelled:
                asyncio.get_running_loop().call_later(begins + 1, calls[-1].cancel)
        ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 1000)
        await made.aclose()

        kinds = (int, CallError, TimeoutError, asyncio.CancelledError)
        assert all(isinstance(each, kinds) for each in ends), ends
        assert auth.most <= 1
        assert (auth.running, others()) == (0, set())

    run(work(), lambda: ShuffleLoop(seed))


@pytest.mark.parametrize("ends", [float("nan"), float("inf"), 10**400, "soon"])
def test_a_secret_ends_at_an_instant(ends: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Secret("x", ends)
