"""No deadline depends on the plugin: the router ends what it waits for, whatever a provider does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel
from routers import Heard, in_flight

from pointsman import Router
from pointsman.errors import (
    AttemptTimeout,
    CallError,
    DeadlineExceeded,
    IdleTimeout,
    MidStreamError,
    Outcome,
    Unavailable,
)
from pointsman.http.client import Endpoint
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.testing import Scripted, run
from pointsman.types import ChatResponse, EmbedResponse, Started, StreamEvent, TextDelta

Act = Callable[[], Awaitable[None]]
GRACE = 1.0


async def sleeps() -> None:
    await asyncio.sleep(3600)


async def swallows() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(3600)


async def swallows_and_goes_on() -> None:
    await swallows()
    await asyncio.sleep(3600)


async def makes_something_else_of_it() -> None:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        raise Unavailable("it was me") from None


async def waits_in_a_task() -> None:
    await asyncio.ensure_future(asyncio.sleep(3600))


async def waits_for_several() -> None:
    await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(3600))


LATE: dict[str, tuple[Act, float]] = {
    "sleeps": (sleeps, 0),
    "swallows": (swallows, 0),
    "swallows and goes on": (swallows_and_goes_on, GRACE),
    "makes something else of it": (makes_something_else_of_it, 0),
    "waits in a task": (waits_in_a_task, 0),
    "waits for several": (waits_for_several, 0),
}


class Heedless(PointsmanSpec):
    """Providers that heed no limit: `heedless` over HTTP, as it says, and `own` by other means.

    `act` is what they do before they answer; `before` and `after` are what a stream gives before and after
    its first content, with `act` for each None in it.
    """

    def __init__(self, act: Act, stream: Sequence[Sequence[StreamEvent] | None] = ()) -> None:
        self.act = act
        self.opens: Act | None = None
        self.stream = stream
        self.closes: Act | None = None

    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [
            ProviderFactory("own", BaseModel, lambda context: HeedlessProvider(context, self)),
            ProviderFactory("heedless", BaseModel, lambda context: OverHttp(context, self)),
        ]


class HeedlessProvider(Provider):
    def __init__(self, context: ProviderContext, plugin: Heedless) -> None:
        super().__init__(context)
        self._plugin = plugin

    async def chat(self, request: Any, call: Call) -> ChatResponse:
        await self._plugin.act()
        return ChatResponse("late")

    generate = chat

    async def embed(self, request: Any, call: Call) -> EmbedResponse:
        await self._plugin.act()
        return EmbedResponse([[1.0]])

    async def stream(self, request: Any, call: Call) -> Source:
        if self._plugin.opens is not None:
            await self._plugin.opens()
        return Source(self._plugin)


class OverHttp(HeedlessProvider):
    endpoint = Endpoint("http://127.0.0.1:1")


class Source:
    upstream_request_id = ""

    def __init__(self, plugin: Heedless) -> None:
        self._plugin = plugin
        self._left = list(plugin.stream)
        self.closed = False

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        events = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        if events is None:
            await self._plugin.act()
            return []
        if events == ["end"]:
            return None
        if not events:
            await asyncio.sleep(0.25)
        return events

    def abort(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        if self._plugin.closes is not None:
            await self._plugin.closes()


def config(kind: str, **timeouts: Any) -> dict[str, Any]:
    return {
        "providers": {"a": {"type": kind}},
        "models": {"m": {"deployments": ["a/x"]}},
        "retry": "none",
        "timeouts": timeouts,
    }


CALLS: dict[str, Callable[[Router], Awaitable[Any]]] = {
    "chat": lambda router: router.chat("m", "hi"),
    "generate": lambda router: router.generate("m", "hi"),
    "embed": lambda router: router.embed("m", "hi"),
}


def now() -> float:
    return asyncio.get_running_loop().time()


async def ended(router: Router, work: Awaitable[Any], error: type[CallError], at: float) -> CallError:
    """What `work` raised, at that instant; by then nothing of it is left in the books."""
    heard = Heard(router)
    began = now()
    with pytest.raises(CallError) as raised:
        await work
    assert type(raised.value) is error
    assert now() - began == pytest.approx(at, abs=0.01)
    assert in_flight(router) == 0
    assert [each.result for each in heard.requests] == ["error"]
    assert len(heard.attempts) == 1
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    return raised.value


def with_another(kind: str, **timeouts: Any) -> dict[str, Any]:
    """As `config`, and another model to go to: with nowhere else to go a late first token is waited for."""
    given = config(kind, **timeouts)
    given["providers"]["z"] = {"type": "scripted"}
    given["models"]["m"]["fallback"] = ["n"]
    given["models"]["n"] = {"deployments": ["z/x"]}
    return given


async def moved_on(router: Router, work: Awaitable[Any], at: float) -> str:
    """What was said of the first attempt, which had no first token by then, when `work` ended well elsewhere."""
    heard = Heard(router)
    await work
    first, second = heard.attempts
    assert (first.error, second.deployment) == ("first_token_timeout", "z/x")
    assert first.seconds == pytest.approx(at, abs=0.01)
    assert in_flight(router) == 0
    return first.detail


async def read(router: Router, **options: Any) -> None:
    async with router.stream("m", "hi", **options) as stream:
        async for _ in stream:
            pass


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("kind", ["own", "heedless"])
def test_a_whole_answer_ends_at_the_limit_of_the_attempt(kind: str, operation: str, late: str) -> None:
    act, grace = LATE[late]

    async def work() -> None:
        async with Router.from_config(config(kind, attempt="2s"), plugins=[Heedless(act)]) as router:
            error = await ended(router, CALLS[operation](router), AttemptTimeout, 2 + grace)
            assert error.message == "a/x did not answer within `timeouts.attempt` of 2 s"

    run(work())


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("kind", ["own", "heedless"])
def test_a_whole_answer_ends_at_the_deadline(kind: str, operation: str, late: str) -> None:
    act, grace = LATE[late]

    async def work() -> None:
        async with Router.from_config(config(kind, total="2s"), plugins=[Heedless(act)]) as router:
            error = await ended(router, CALLS[operation](router), DeadlineExceeded, 2 + grace)
            assert error.message.endswith("while a/x was at work: `timeouts.total` of 2 s")

    run(work())


def test_a_limit_of_the_callers_own_is_named_as_the_caller_wrote_it() -> None:
    async def work() -> None:
        plugin = Heedless(sleeps, [None])
        async with Router.from_config(with_another("own"), plugins=[plugin, Scripted()]) as router:
            late = await ended(router, router.chat("m", "hi", timeout=1.5), DeadlineExceeded, 1.5)
            assert late.message.endswith(": `timeout` of 1.5 s")
            said = await moved_on(router, read(router, first_token_timeout=3), 3)
            assert said == "a/x sent no first token within `first_token_timeout` of 3 s"

    run(work())


def test_who_is_cancelled_at_the_limit_is_cancelled() -> None:
    async def work() -> None:
        async with Router.from_config(config("own", total="2s"), plugins=[Heedless(sleeps)]) as router:
            heard = Heard(router)
            task = asyncio.ensure_future(router.chat("m", "hi"))
            asyncio.get_running_loop().call_at(now() + 2, task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert in_flight(router) == 0
            assert [each.result for each in heard.requests] == ["cancelled"]

    run(work())


def test_an_attempt_that_is_late_fails_over_at_its_limit() -> None:
    async def work() -> None:
        plugin = Heedless(swallows)
        given = {
            "providers": {"a": {"type": "own"}, "b": {"type": "heedless"}},
            "models": {"m": {"deployments": ["a/x", {"provider": "b", "model": "x", "priority": 1}]}},
            "timeouts": {"attempt": "2s"},
        }
        async with Router.from_config(given, plugins=[plugin]) as router:
            heard = Heard(router)
            task = asyncio.ensure_future(router.chat("m", "hi"))
            await asyncio.sleep(2.5)
            plugin.act = lambda: asyncio.sleep(0)
            assert heard.attempts[0].outcome is Outcome.UPSTREAM_FAULT
            assert heard.attempts[0].error == "timeout"
            task.cancel()
            await asyncio.wait([task])

    run(work())


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────

WORD = [TextDelta("word")]
ROLE = [Started("id", "x")]


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("kind", ["own", "heedless"])
def test_a_stream_that_does_not_open_ends_at_first_token(kind: str, late: str) -> None:
    act, grace = LATE[late]

    async def work() -> None:
        plugin = Heedless(act, [[]])
        plugin.opens = act
        given = with_another(kind, first_token="2s")
        async with Router.from_config(given, plugins=[plugin, Scripted()]) as router:
            said = await moved_on(router, read(router), 2 + grace)
            assert said == "a/x sent no first token within `timeouts.first_token` of 2 s"

    run(work())


@pytest.mark.parametrize("before", [[], [ROLE], [ROLE, []]], ids=["nothing", "role", "role and ping"])
@pytest.mark.parametrize("late", LATE)
def test_what_is_no_content_is_no_first_token(late: str, before: list[Sequence[StreamEvent]]) -> None:
    act, grace = LATE[late]

    async def work() -> None:
        plugin = Heedless(act, [*before, None])
        given = with_another("own", first_token="2s")
        async with Router.from_config(given, plugins=[plugin, Scripted()]) as router:
            await moved_on(router, read(router), 2 + grace)

    run(work())


@pytest.mark.parametrize(
    ("timeouts", "error", "at"),
    [
        ({"first_token": "2s", "total": "5s"}, DeadlineExceeded, 5),
        ({"attempt": "3s"}, AttemptTimeout, 3),
        ({"total": "4s"}, DeadlineExceeded, 4),
        ({"first_token": "3s", "attempt": "3s"}, AttemptTimeout, 3),
    ],
)
def test_signs_of_life_for_ever_are_no_first_token(
    timeouts: dict[str, str], error: type[CallError], at: float
) -> None:
    async def work() -> None:
        async with Router.from_config(config("own", **timeouts), plugins=[Heedless(sleeps, [[]])]) as router:
            await ended(router, read(router), error, at)

    run(work())


class Restless(Source):
    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        return self._left.pop(0) if len(self._left) > 1 else []


@pytest.mark.parametrize(
    ("stream", "error", "at"), [([[]], DeadlineExceeded, 0.05), ([WORD, []], MidStreamError, 0.04)]
)
def test_signs_of_life_without_a_pause_hold_up_neither_the_loop_nor_the_limit(
    stream: Any, error: type[CallError], at: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "Source", Restless)

    async def work() -> None:
        limits = {"first_token": "10ms", "idle": "10ms", "total": "50ms"}
        async with Router.from_config(config("own", **limits), plugins=[Heedless(sleeps, stream)]) as router:
            await ended(router, read(router), error, at)

    run(work())


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize(
    ("timeouts", "options", "cause", "at", "words"),
    [
        ({"idle": "2s"}, {}, IdleTimeout, 2, "for `timeouts.idle` of 2 s"),
        ({}, {"idle_timeout": 2}, IdleTimeout, 2, "for `idle_timeout` of 2 s"),
        ({"attempt": "2s"}, {}, AttemptTimeout, 2, "within `timeouts.attempt` of 2 s"),
        ({"total": "2s"}, {}, DeadlineExceeded, 2, "`timeouts.total` of 2 s"),
    ],
)
def test_a_stream_that_falls_silent_ends_at_the_limit(
    late: str, timeouts: dict[str, str], options: dict[str, Any], cause: Any, at: float, words: str
) -> None:
    act, grace = LATE[late]

    async def work() -> None:
        plugin = Heedless(act, [WORD, None])
        async with Router.from_config(config("own", **timeouts), plugins=[plugin]) as router:
            error = await ended(router, read(router, **options), MidStreamError, at + grace)
            assert isinstance(error, MidStreamError)
            assert type(error.cause) is cause
            assert error.text == "word"
            assert words in error.message

    run(work())


def test_signs_of_life_keep_a_stream_for_three_more_gaps() -> None:
    async def work() -> None:
        plugin = Heedless(sleeps, [WORD, []])
        async with Router.from_config(config("own", idle="2s"), plugins=[plugin]) as router:
            error = await ended(router, read(router), MidStreamError, 8)
            assert isinstance(error.__cause__, IdleTimeout)

    run(work())


@pytest.mark.parametrize("late", LATE)
def test_a_whole_stream_waits_a_second_for_its_source_to_close(late: str) -> None:
    act, grace = LATE[late]

    async def work() -> None:
        plugin = Heedless(act, [WORD, ["end"]])  # type: ignore[list-item]
        plugin.closes = act
        async with Router.from_config(config("own"), plugins=[plugin]) as router:
            heard = Heard(router)
            await read(router)
            assert now() == pytest.approx(1 + grace, abs=0.01)
            assert [each.result for each in heard.requests] == ["ok"]

    run(work())


def test_a_slow_reader_is_no_silent_upstream() -> None:
    async def work() -> None:
        plugin = Heedless(sleeps, [WORD, WORD, ["end"]])  # type: ignore[list-item]
        async with Router.from_config(config("own", idle="2s"), plugins=[plugin]) as router:
            async with router.stream("m", "hi") as stream:
                async for _ in stream:
                    await asyncio.sleep(100)
            assert stream.response.text == "wordword"

    run(work())


# ── one timer ────────────────────────────────────────────────────────────────────────────────────────


def test_no_call_leaves_a_timer_behind() -> None:
    ended: list[asyncio.AbstractEventLoop] = []
    at: list[float] = []

    async def work() -> None:
        plugin = Heedless(lambda: asyncio.sleep(0.5), [WORD, ["end"]])  # type: ignore[list-item]
        async with Router.from_config(config("own", total="1h"), plugins=[plugin]) as router:
            for _ in range(3):
                await asyncio.gather(router.chat("m", "hi"), router.embed("m", "hi"), read(router))
            await router.reload(config("own", total="2h"))
            ended.append(asyncio.get_running_loop())
            at.append(now())
            await asyncio.Event().wait()

    # What the loop says when there is nothing that will ever wake it; were there a timer, it would ring first.
    with pytest.raises(RuntimeError, match="deadlock"):
        run(work())
    assert [each.time() for each in ended] == pytest.approx(at, abs=1)
