"""Whatever a plugin does at work, the caller gets one typed error or its answer, and the books close."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, NoReturn

import httpx
import pytest
from pydantic import BaseModel
from routers import Heard, in_flight
from routers import config as scripted

from pointsman import Router
from pointsman.audit import AuditFactory
from pointsman.auth import AuthFactory, Secret
from pointsman.errors import (
    AttemptTimeout,
    CallError,
    ConfigError,
    DeadlineExceeded,
    MidStreamError,
    PluginError,
    RateLimited,
    Unavailable,
)
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.retry import Failure, RetryFactory
from pointsman.strategy import Sample, Strategy, StrategyFactory
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.transports.factory import TransportFactory
from pointsman.types import ChatResponse, EmbedResponse, Finished, ModelInfo, StreamEvent, TextDelta, Usage

SECRET = "the-plugins-own-words"


class Unspeakable(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Nothing:
    """A value of no type that anybody asked for, which cannot be shown either."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")

    __eq__ = __bool__ = __hash__ = __repr__  # type: ignore[assignment]


class Unmade(RateLimited):
    """An error of ours whose constructor does not call ours."""

    def __init__(self) -> None:
        pass


def with_members(**members: Any) -> Callable[[], RateLimited]:
    """An error of ours some of whose members the plugin has set wrongly."""

    def make() -> RateLimited:
        error = RateLimited(SECRET)
        for name, value in members.items():
            setattr(error, name, value)
        return error

    return make


MISSHAPEN: dict[str, Callable[[], RateLimited]] = {
    "made without our constructor": Unmade,
    "that waits for a text": with_members(retry_after="5"),
    "that waits for NaN": with_members(retry_after=math.nan),
    "that waits for ever": with_members(retry_after=math.inf),
    "that waited": with_members(retry_after=-1.0),
    "that waits for an object": with_members(retry_after=Nothing()),
    "with an outcome in words": with_members(outcome="overload"),
    "without an outcome": with_members(outcome=None),
    "with a refusal in words": with_members(refusal="quota"),
    "with a cause of fallbacks in words": with_members(fallback_on="unavailable"),
    "with a status in words": with_members(status="429"),
    "with a number for a code": with_members(code=429),
    "without an id of the upstream": with_members(upstream_request_id=None),
    "from a numbered deployment": with_members(deployment=5),
    "with one note": with_members(__notes__="note"),
    "with numbered notes": with_members(__notes__=[1]),
}


def raising(error: Callable[[], BaseException]) -> Callable[[], Any]:
    def misdeed() -> NoReturn:
        raise error()

    return misdeed


RAISED: dict[str, Callable[[], Any]] = {
    "raises": raising(lambda: ZeroDivisionError(SECRET)),
    "raises StopIteration": raising(StopIteration),
    "raises StopAsyncIteration": raising(StopAsyncIteration),
    "raises CancelledError": raising(asyncio.CancelledError),
    "raises what cannot be shown": raising(Unspeakable),
    "raises our ConfigError": raising(lambda: ConfigError(SECRET)),
    "raises a group": raising(lambda: ExceptionGroup(SECRET, [ValueError(SECRET)])),
}
RETURNED: dict[str, Callable[[], Any]] = {
    "gives None": lambda: None,
    "gives a text": lambda: SECRET,
    "gives an object": Nothing,
    "gives a number": lambda: -1,
    "gives NaN": lambda: math.nan,
    "gives a list": lambda: [SECRET],
    "gives a class": lambda: ChatResponse,
}
MISDEEDS = RAISED | RETURNED


class Odd(PointsmanSpec):
    """Plugins of all kinds that do right, but for one method of one of them."""

    def __init__(self, spot: str = "", misdeed: Callable[[], Any] = lambda: None) -> None:
        self.spot = spot
        self.misdeed = misdeed
        self.done = 0
        self.observed = 0
        self.status = 200

    def at(self, spot: str, right: Any) -> Any:
        """`right`, or what is done wrong at this spot."""
        if spot != self.spot:
            return right
        self.done += 1
        return self.misdeed()

    async def at_last(self, spot: str, right: Any) -> Any:
        found = self.at(spot, right)
        return await found if inspect.iscoroutine(found) else found

    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("odd", BaseModel, lambda context: OddProvider(context, self))]

    @hookimpl
    def pointsman_auth(self) -> list[AuthFactory]:
        return [AuthFactory("odd", BaseModel, lambda _context: OddAuth(self))]

    @hookimpl
    def pointsman_retry_policies(self) -> list[RetryFactory]:
        return [RetryFactory("odd", BaseModel, lambda _context: OddRetry(self))]

    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        return [StrategyFactory("odd", None, lambda _context: OddStrategy(self))]

    @hookimpl
    def pointsman_audit_sinks(self) -> list[AuditFactory]:
        return [AuditFactory("odd", BaseModel, lambda _context: OddSink(self))]

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [TransportFactory("odd", None, lambda _context: OddTransport(self))]


class OddProvider(Provider):
    def __init__(self, context: ProviderContext, odd: Odd) -> None:
        super().__init__(context)
        self._odd = odd

    async def chat(self, request: Any, call: Call) -> Any:
        if self.name == "dead":
            raise Unavailable("dead")
        return await self._odd.at_last("provider.chat", ChatResponse("ok", usage=Usage(1, 1)))

    async def generate(self, request: Any, call: Call) -> Any:
        return await self._odd.at_last("provider.generate", ChatResponse("ok", usage=Usage(1, 1)))

    async def embed(self, request: Any, call: Call) -> Any:
        return await self._odd.at_last("provider.embed", EmbedResponse([[1.0]], Usage(1, 0)))

    async def stream(self, request: Any, call: Call) -> Any:
        return await self._odd.at_last("provider.stream", OddSource(self._odd))

    async def models(self) -> Any:
        return await self._odd.at_last("provider.models", [ModelInfo("x")])

    async def probe(self) -> Any:
        return await self._odd.at_last("provider.probe", None)

    async def aclose(self) -> None:
        await self._odd.at_last("provider.aclose", None)


class OddSource:
    upstream_request_id = ""

    def __init__(self, odd: Odd) -> None:
        self._odd = odd
        self._events: Iterator[Sequence[StreamEvent] | None] = iter(
            ([TextDelta("one")], [TextDelta("two")], [Finished("stop")], None)
        )
        self._number = 0

    async def next(self, until: float) -> Any:
        self._number += 1
        spot = {1: "source.first", 2: "source.second"}.get(self._number, "source.last")
        return await self._odd.at_last(spot, next(self._events, None))

    def abort(self) -> None:
        self._odd.at("source.abort", None)

    async def aclose(self) -> None:
        await self._odd.at_last("source.aclose", None)


class OddAuth:
    def __init__(self, odd: Odd) -> None:
        self._odd = odd

    def current(self) -> Any:
        return self._odd.at("auth.current", Secret("a-credential"))

    def rejected(self, secret: Secret) -> Any:
        return self._odd.at("auth.rejected", False)


class OddRetry:
    attempts = 3
    budget = None

    def __init__(self, odd: Odd) -> None:
        self._odd = odd

    def delay(self, failure: Failure) -> Any:
        return self._odd.at("retry.delay", 0.0)


class OddStrategy(Strategy):
    def __init__(self, odd: Odd) -> None:
        self._odd = odd

    def pick(self, ready: Sequence[Any], request: object, /) -> Any:
        return self._odd.at("strategy.pick", ready[0])

    def observed(self, member: Any, sample: Sample, /) -> None:
        self._odd.observed += 1
        self._odd.at("strategy.observed", None)

    def __deepcopy__(self, memo: Any) -> Any:
        return self._odd.at("strategy.copy", self)


class OddSink:
    def __init__(self, odd: Odd) -> None:
        self._odd = odd

    def __call__(self, event: Any) -> None:
        self._odd.at("audit.call", None)

    def close(self) -> None:
        self._odd.at("audit.close", None)


BODY = b'{"id":"c","model":"x","choices":[{"index":0,"message":{"content":"ok"},"finish_reason":"stop"}]}'


class OddTransport(httpx.AsyncBaseTransport):
    def __init__(self, odd: Odd) -> None:
        self._odd = odd

    async def handle_async_request(self, request: httpx.Request) -> Any:
        right = httpx.Response(
            self._odd.status, headers={"content-type": "application/json"}, stream=OddBody(self._odd)
        )
        return await self._odd.at_last("transport.request", right)

    async def aclose(self) -> None:
        await self._odd.at_last("transport.aclose", None)


class OddBody(httpx.AsyncByteStream):
    def __init__(self, odd: Odd) -> None:
        self._odd = odd

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield BODY[:10]
        yield await self._odd.at_last("transport.body", BODY[10:])

    async def aclose(self) -> None:
        await self._odd.at_last("transport.body.aclose", None)


# ── the walk ─────────────────────────────────────────────────────────────────────────────────────────


def config(kind: str = "odd", **changes: Any) -> dict[str, Any]:
    over_http = {"base_url": "http://127.0.0.1:1/v1", "auth": {"type": "odd"}} if kind == "openai" else {}
    limits = {"requests": "1000/min", "tokens": "1000000/min"}
    return {
        "providers": {"a": {"type": kind, **over_http}, "dead": {"type": "odd"}},
        "models": {
            "m": {
                "strategy": "odd",
                "deployments": [{"provider": "a", "model": "x", "limits": limits}],
            },
            "dies": {"strategy": "odd", "deployments": ["dead/x"]},
        },
        "retry": "odd",
        "transport": "odd",
        "audit": ["odd"],
        "timeouts": {"attempt": "5s", "total": "20s"},
        **changes,
    }


async def chat(router: Router) -> Any:
    return await router.chat("m", "hi")


async def stream(router: Router) -> Any:
    async with router.stream("m", "hi") as events:
        async for _ in events:
            pass
        return events.response


async def leave(router: Router) -> Any:
    async with router.stream("m", "hi") as events:
        await anext(events)


Work = Callable[[Router], Awaitable[Any]]
ENDS: dict[str, tuple[Work, str]] = {
    "provider.chat": (chat, "odd"),
    "provider.generate": (lambda router: router.generate("m", "hi"), "odd"),
    "provider.embed": (lambda router: router.embed("m", "hi"), "odd"),
    "provider.stream": (stream, "odd"),
    "source.first": (stream, "odd"),
    "source.second": (stream, "odd"),
    "source.last": (stream, "odd"),
    "auth.current": (chat, "openai"),
    "transport.request": (chat, "openai"),
    "transport.body": (chat, "openai"),
    "strategy.pick": (chat, "odd"),
    "retry.delay": (lambda router: router.chat("dies", "hi"), "odd"),
}
"""Where a misdeed ends the request: what comes to that spot, and the type of the provider."""
COSTS_NOTHING: dict[str, tuple[Work, str]] = {
    "source.abort": (leave, "odd"),
    "source.aclose": (stream, "odd"),
    "transport.body.aclose": (chat, "openai"),
    "strategy.observed": (chat, "odd"),
    "audit.call": (chat, "odd"),
    "audit.close": (chat, "odd"),
    "provider.aclose": (chat, "odd"),
    "transport.aclose": (chat, "openai"),
}
"""Where it costs the request nothing."""
RIGHT = {
    ("auth.current", "gives None"),
    ("retry.delay", "gives None"),
    ("source.first", "gives None"),
    ("source.second", "gives None"),
    ("source.last", "gives None"),
}
"""What is right to give there."""


async def walked(odd: Odd, work: Work, kind: str) -> tuple[Any, Heard]:
    """What came of `work`, after which nothing is left in the books."""
    spot, odd.spot = odd.spot, ""  # while it is built all is well
    router = Router.from_config(config(kind), plugins=[odd])
    odd.spot = spot
    async with router:
        heard = Heard(router)
        try:
            ended: Any = await work(router)
        except BaseException as error:
            ended = error
        assert in_flight(router) == 0
        for model in router.status().to_dict()["models"].values():
            for each in model["deployments"]:
                sent = sum(1 for attempt in heard.attempts if attempt.deployment == each["id"])
                assert sum(each["outcomes"].values()) == sent
                for limits in each["limits"]:
                    assert limits["requests"]["used"] == sent
        assert len(heard.requests) == 1
        numbers = [each.number for each in heard.attempts]
        assert numbers == list(range(1, heard.requests[0].attempts + 1))
        assert await router.shutdown(grace=0), "a request counts as running"
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    assert asyncio.all_tasks() == {task}
    return ended, heard


def said(error: BaseException) -> str:
    return str(error)


@pytest.mark.parametrize("misdeed", MISDEEDS)
@pytest.mark.parametrize("spot", ENDS)
def test_a_misdeed_ends_the_request_with_one_error_that_names_the_plugin(
    spot: str, misdeed: str, caplog: pytest.LogCaptureFixture
) -> None:
    if (spot, misdeed) in RIGHT:
        pytest.skip("this is right to give")
    work, kind = ENDS[spot]
    odd = Odd(spot, MISDEEDS[misdeed])

    ended, heard = run(walked(odd, work, kind))

    assert odd.done
    assert isinstance(ended, CallError), ended
    assert heard.requests[0].result == "error"
    assert SECRET not in said(ended)
    assert not any(SECRET in each.detail for each in (*heard.attempts, *heard.requests))
    fault = ended.cause if isinstance(ended, MidStreamError) else ended
    assert isinstance(fault, PluginError)
    assert fault.kind == spot.partition(".")[0].replace("source", "provider")
    assert fault.plugin == "odd"
    assert fault.method in said(fault) or misdeed in RETURNED
    assert ended.request_id == heard.requests[0].request_id
    if spot != "strategy.pick":
        assert fault.deployment in ("a/x", "dead/x") or spot == "retry.delay"
        assert ended.attempts == len(heard.attempts) >= 1
    assert any(each.name == "pointsman" and each.levelno == logging.ERROR for each in caplog.records)
    if misdeed == "raises":
        assert SECRET in caplog.text
        assert "Traceback" in caplog.text


@pytest.mark.parametrize("misdeed", MISDEEDS)
@pytest.mark.parametrize("spot", COSTS_NOTHING)
def test_a_misdeed_after_the_answer_costs_it_nothing(spot: str, misdeed: str) -> None:
    work, kind = COSTS_NOTHING[spot]
    odd = Odd(spot, MISDEEDS[misdeed])

    ended, heard = run(walked(odd, work, kind))

    assert odd.done
    if work is leave:
        assert ended is None
        assert heard.requests[0].result == "cancelled"
    else:
        assert ended.text == ("ok" if work is chat else "onetwo")
        assert heard.requests[0].result == "ok"


@pytest.mark.parametrize("spot", [*ENDS, *COSTS_NOTHING])
def test_an_interrupt_passes_through_and_the_books_close(spot: str) -> None:
    if spot in (
        "audit.close",
        "audit.call",
        "provider.aclose",
        "transport.aclose",
        "source.abort",
        "strategy.observed",
    ):
        pytest.skip("there it interrupts what closes the books, or another thread")
    work, kind = (ENDS | COSTS_NOTHING)[spot]

    ended, heard = run(walked(Odd(spot, raising(KeyboardInterrupt)), work, kind))

    assert type(ended) is KeyboardInterrupt
    assert heard.requests[0].result in ("cancelled", "ok")


@pytest.mark.parametrize(
    "spot", [each for each in ENDS if each.split(".")[0] in ("provider", "source", "transport")]
)
def test_what_blocks_ends_with_its_limit(spot: str) -> None:
    work, kind = ENDS[spot]
    odd = Odd(spot, lambda: asyncio.sleep(3600))

    ended, _ = run(walked(odd, work, kind))

    fault = ended.cause if isinstance(ended, MidStreamError) else ended
    assert isinstance(fault, AttemptTimeout | DeadlineExceeded), ended


@pytest.mark.parametrize("spot", ["source.aclose", "provider.aclose", "transport.aclose"])
def test_what_blocks_while_it_closes_is_left(spot: str) -> None:
    work, kind = COSTS_NOTHING[spot]

    ended, heard = run(walked(Odd(spot, lambda: asyncio.sleep(3600)), work, kind))

    assert heard.requests[0].result == "ok", ended


# ── each kind ────────────────────────────────────────────────────────────────────────────────────────


def test_what_learns_wrongly_is_told_of_every_call_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    odd = Odd("strategy.observed", RAISED["raises"])

    async def main() -> None:
        async with Router.from_config(config(), plugins=[odd]) as router:
            for _ in range(3):
                assert (await router.chat("m", "hi")).text == "ok"
            assert odd.observed == odd.done == 3

    run(main())
    assert sum("observed" in each.getMessage() for each in caplog.records) == 1


def test_the_error_of_a_retry_policy_comes_from_that_of_the_attempt() -> None:
    async def main() -> None:
        async with Router.from_config(config(), plugins=[Odd("retry.delay", lambda: "soon")]) as router:
            with pytest.raises(PluginError, match=r"returned a str from delay\(\)") as raised:
                await router.chat("dies", "hi")
            assert isinstance(raised.value.__cause__, Unavailable)
            assert (raised.value.attempts, raised.value.method) == (1, "delay")

    run(main())


@pytest.mark.parametrize("wait", [math.inf, None])
def test_a_retry_policy_may_give_up_in_two_ways(wait: float | None) -> None:
    async def main() -> None:
        async with Router.from_config(config(), plugins=[Odd("retry.delay", lambda: wait)]) as router:
            with pytest.raises(Unavailable):
                await router.chat("dies", "hi")

    run(main())


def test_a_credential_that_cannot_be_rejected_is_still_rejected() -> None:
    async def main() -> None:
        odd = Odd("auth.rejected", RAISED["raises"])
        odd.status = 401
        ended, _ = await walked(odd, chat, "openai")
        assert type(ended).__name__ == "AuthenticationFailed"
        assert odd.done

    run(main())


def test_a_fault_is_retried_elsewhere_and_not_on_the_same() -> None:
    given = config(retry={"type": "exponential", "attempts": 4})
    given["providers"]["b"] = {"type": "odd"}

    async def main() -> None:
        async with Router.from_config(given, plugins=[Odd("provider.chat", RAISED["raises"])]) as router:
            heard = Heard(router)
            with pytest.raises(PluginError):
                await router.chat("m", "hi")
            assert len(heard.attempts) == 1
            assert heard.attempts[0].outcome == "upstream_fault"

    run(main())


@pytest.mark.parametrize("error", MISSHAPEN)
@pytest.mark.parametrize("spot", ["provider.chat", "provider.embed", "provider.stream"])
def test_an_error_of_ours_in_the_wrong_shape_is_a_fault_of_the_plugin(spot: str, error: str) -> None:
    work, kind = ENDS[spot]

    ended, heard = run(walked(Odd(spot, raising(MISSHAPEN[error])), work, kind))

    assert isinstance(ended, PluginError)
    assert (ended.plugin, ended.method) == ("odd", spot.partition(".")[2])
    assert SECRET not in said(ended)
    assert heard.requests[0].result == "error"


@pytest.mark.parametrize("error", MISSHAPEN)
def test_an_error_in_the_wrong_shape_breaks_a_stream_and_the_books_close(error: str) -> None:
    def raise_later() -> Any:
        return MISSHAPEN[error]()

    upstream = Scripted()
    upstream.default("a", lambda _request, _call: ScriptedAnswer("one two", error=raise_later(), words=1))

    async def main() -> None:
        async with Router.from_config(scripted("a"), plugins=[upstream]) as router:
            heard = Heard(router)
            with pytest.raises(MidStreamError) as broken:
                async with router.stream("m", "hi") as stream:
                    async for _ in stream:
                        pass
            assert isinstance(broken.value.cause, PluginError)
            assert [each.result for each in heard.requests] == ["error"]
            assert in_flight(router) == 0

    run(main())


@pytest.mark.parametrize("misdeed", [*MISDEEDS, "blocks"])
@pytest.mark.parametrize("spot", ["provider.models", "provider.probe"])
def test_one_bad_provider_hides_no_others(spot: str, misdeed: str) -> None:
    does = MISDEEDS.get(misdeed, lambda: asyncio.sleep(3600))

    async def main() -> None:
        given = config()
        given["providers"] = {"a": {"type": "odd"}, "dead": {"type": "scripted"}}
        from pointsman.testing import Scripted

        async with Router.from_config(given, plugins=[Odd(spot, does), Scripted()]) as router:
            names = {each.id for each in await router.models()}
            assert {"m", "dies", "dead/scripted-model"} <= names
            health = (await router.health()).to_dict()
            assert health["dead"]["ok"]
            if spot == "provider.probe" and misdeed not in RETURNED:
                assert not health["a"]["ok"]
                assert SECRET not in health["a"]["error"]
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling()

    run(main())


@pytest.mark.parametrize("misdeed", RAISED)
def test_an_explanation_of_a_strategy_that_cannot_be_copied_is_its_fault(misdeed: str) -> None:
    async def main() -> None:
        async with Router.from_config(config(), plugins=[Odd("strategy.copy", RAISED[misdeed])]) as router:
            with pytest.raises(PluginError, match="strategy plugin 'odd'"):
                router.explain("m")

    run(main())
