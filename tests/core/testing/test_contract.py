"""The contracts themselves: what keeps them. That each rule finds who breaks it is tried in tests/kit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict

from pointsman.builtin.retry import Exponential, ExponentialSettings, NoRetry
from pointsman.builtin.strategies import LeastConnections, RoundRobin, Weighted
from pointsman.errors import (
    ModelNotFound,
    ProviderError,
    RateLimited,
    Truncated,
    Unavailable,
)
from pointsman.http.answer import Answer
from pointsman.http.client import Endpoint
from pointsman.http.event_stream import EventStream, HttpEventStream
from pointsman.http.framing import JsonLineFramer, SseEvent
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.strategy import Strategy
from pointsman.testing.contract import (
    CannedBreak,
    CannedChat,
    CannedError,
    CannedModels,
    CannedStream,
    Contract,
    ProviderContract,
    RetryContract,
    StrategyContract,
    rules_of,
)
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    Finished,
    Message,
    ModelInfo,
    StreamEvent,
    TextDelta,
    Usage,
    UsageUpdate,
)
from pointsman.wire.status_errors import error_for_status, snippet

pytest_plugins = ["pytester"]


# ── the built-in strategies and policies keep theirs ─────────────────────────────────────────────────


class TestRoundRobin(StrategyContract):
    def make(self, rng: Any) -> Strategy:
        return RoundRobin(rng)


class TestWeighted(StrategyContract):
    def make(self, rng: Any) -> Strategy:
        return Weighted(rng)


class TestLeastConnections(StrategyContract):
    def make(self, rng: Any) -> Strategy:
        return LeastConnections(rng)


class TestExponential(RetryContract):
    def make(self, rng: Any) -> Exponential:
        return Exponential(ExponentialSettings(attempts=4, base_delay=0.5, max_delay=8.0), rng)


class TestNoRetry(RetryContract):
    def make(self, rng: Any) -> NoRetry:
        return NoRetry()


# ── a provider that keeps its contract, and many that do not ─────────────────────────────────────────


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Decoder:
    """Lines such as {"text": "…"}, and at last {"done": true, "tokens": 3}."""

    def __init__(self) -> None:
        self.done = False

    def decode(self, frame: SseEvent) -> Sequence[StreamEvent]:
        line = read(frame.data)
        if isinstance(error := line.get("error"), str):
            raise Unavailable(error)
        if line.get("done"):
            self.done = True
            return [UsageUpdate(usage(line)), Finished("stop")]
        text = line.get("text")
        return [TextDelta(text)] if text and isinstance(text, str) else []

    def close(self) -> Sequence[StreamEvent]:
        raise Truncated("no end marker")


class WholeLines(JsonLineFramer):
    def close(self) -> list[SseEvent]:
        return []


class Toy(Provider):
    """A small wire, spoken well."""

    decoder: Callable[[], Any] = Decoder
    framer: Callable[[], Any] = WholeLines

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.context = context
        self.endpoint: Endpoint = Endpoint(context.base_url or "")
        self.own: Any = None

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        answer = await self.send(request, call, stream=False)
        value = await answer.json()
        text = value.get("text") if isinstance(value, dict) else None
        if not isinstance(text, str):
            raise ProviderError("no text")
        return ChatResponse(text=text, usage=usage(value))

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        return HttpEventStream(await self.send(request, call, stream=True), self.framer(), self.decoder())

    async def models(self) -> Sequence[ModelInfo]:
        self.own = self.own or self.context.open(self.endpoint)
        answer, value = await self.own.json("GET", "/models", timeouts=self.own.within(5))
        if answer.status >= 400:
            raise error_for_status(answer.status, answer.headers, "", wall=0)
        if not isinstance(value, list):
            raise ProviderError("no list of models")
        return [ModelInfo(each) for each in value if isinstance(each, str)]

    async def aclose(self) -> None:
        if self.own is not None:
            await self.own.aclose()

    async def send(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        self.check(request)
        answer = await self.post(request, call, stream=stream)
        if answer.status >= 400:
            body = await answer.read()
            raise error_for_status(answer.status, answer.headers, snippet(body), wall=call.client.wall())
        return answer

    def check(self, request: ChatRequest) -> None:
        self.takes_only(request, "extra")

    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        said = [[each.role, each.text] for each in request.messages]
        body = {"model": call.model, "said": said, "stream": stream, **request.extra}
        return await call.client.send(
            "POST", "/chat", body, timeouts=call.timeouts, headers=call.headers, stream=stream
        )


def read(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ProviderError("no JSON") from error
    return value if isinstance(value, dict) else {}


def usage(value: dict[str, Any]) -> Usage:
    tokens = value.get("tokens")
    return Usage(completion=tokens if isinstance(tokens, int) else None)


def factory(provider: Callable[[ProviderContext], Provider], settings: type[BaseModel] = Settings) -> Any:
    return ProviderFactory("toy", settings, provider)


class TestToy(ProviderContract):
    factory = factory(Toy)
    chat_ok = CannedChat(
        body=b'{"text": "The sky is blue", "tokens": 3}', text="The sky is blue", usage=Usage(completion=3)
    )
    stream_ok = CannedStream(
        body=b'{"text": "The"}\n\n{"text": " heaven is blue"}\n{"done": true, "tokens": 3}\n',
        end=b'"done"',
        text="The heaven is blue",
        usage=Usage(completion=3),
    )
    mid_stream_error = CannedBreak(
        body=b'{"text": "The"}\n{"error": "out of blue"}\n', text="The", kind=Unavailable
    )
    models_ok = CannedModels(body=b'["a", "b"]', ids=("a", "b"))
    errors = (
        CannedError(status=404, body=b"", kind=ModelNotFound),
        CannedError(status=429, body=b"", headers={"retry-after": "3"}, kind=RateLimited, retry_after=3.0),
    )
    unsupported = (ChatRequest("public", (Message.user("hello"),), tools=("t",)),)  # type: ignore[arg-type]


class ForgetsHeadersAndLimits(Toy):
    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        return await call.client.send("POST", "/chat", {}, timeouts=call.client.within(3600))


class Loose(BaseModel):
    """Takes everything, and shows it."""

    number: int = 0


class Shows(BaseModel):
    model_config = ConfigDict(extra="forbid")


def outcome(subject: type[Contract], name: str, request: pytest.FixtureRequest) -> BaseException | None:
    """What the test `name` of a contract ends with; None when it passes."""
    test = getattr(subject(), name)
    wanted = [each for each in ("monkeypatch", "caplog") if each in test.__func__.__code__.co_varnames[:2]]
    try:
        test(**{each: request.getfixturevalue(each) for each in wanted})
    except (Exception, pytest.fail.Exception) as error:
        return error
    return None


def test_time_limits_that_are_not_passed_on_are_found(request: pytest.FixtureRequest) -> None:
    subject = type("Broken", (TestToy,), {"factory": factory(ForgetsHeadersAndLimits)})

    found = outcome(subject, "test_an_upstream_that_never_answers_is_given_up_in_time", request)

    assert "timeouts=call.timeouts" in str(found)


def test_settings_that_take_anything_or_show_it_are_found(request: pytest.FixtureRequest) -> None:
    loose = type("Broken", (TestToy,), {"factory": factory(Toy, Loose)})
    shows = type("Broken", (TestToy,), {"factory": factory(Toy, Shows)})

    assert outcome(loose, "test_unknown_settings_are_refused", request) is not None
    hides = "test_settings_are_refused_without_showing_what_they_hold"
    assert "hide_input_in_errors" in str(outcome(shows, hides, request))


def test_a_provider_without_canned_streams_must_say_that_it_has_none(request: pytest.FixtureRequest) -> None:
    subject = type("Silent", (TestToy,), {"stream_ok": None, "unsupported": ()})

    name = "test_what_the_upstream_cannot_do_is_refused_before_anything_is_sent"

    assert outcome(subject, name, request) is not None


def test_an_end_marker_that_is_not_in_the_body_once_is_refused() -> None:
    for body in (b"no end", b"end end"):
        with pytest.raises(ValueError, match="times in the body"):
            CannedStream(body=body, end=b"end" if body.startswith(b"end") else b"[DONE]")


# ── no test is replaced or removed ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("replacement", [None, lambda self: None, 7])
def test_a_test_of_a_contract_cannot_be_replaced_or_removed(replacement: Any) -> None:
    with pytest.raises(TypeError, match="replaces test_the_provider_does_not_retry"):
        type("Cheat", (TestToy,), {"test_the_provider_does_not_retry": replacement})


def test_nor_by_a_class_that_comes_before_the_contract() -> None:
    class Mixin:
        def test_the_provider_does_not_retry(self) -> None: ...

    with pytest.raises(TypeError, match="replaces test_the_provider_does_not_retry"):
        type("Cheat", (Mixin, TestToy), {})


@pytest.mark.parametrize(
    "way", [{"__test__": False}, {"pytestmark": pytest.mark.skip}, {"pytestmark": [pytest.mark.xfail]}]
)
def test_nor_can_all_of_them_be_switched_off(way: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="switches its whole contract off"):
        type("Cheat", (TestToy,), way)


@pytest.mark.parametrize(
    ("xfail", "why"),
    [
        ({"test_the_provider_does_not_rety": "soon"}, "did you mean 'test_the_provider_does_not_retry'"),
        ({"test_the_provider_does_not_retry": " "}, "no reason"),
    ],
)
def test_a_mark_names_a_test_that_there_is_and_gives_a_reason(xfail: dict[str, str], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        type("Cheat", (TestToy,), {"xfail": xfail})


def test_tests_of_ones_own_may_be_added() -> None:
    class More(TestToy):
        def test_something_else(self) -> None: ...

    assert More().test_something_else() is None


def test_a_mark_holds_for_its_class_and_those_below_until_they_say_otherwise() -> None:
    name = "test_the_provider_does_not_retry"

    class Marked(TestToy):
        xfail: ClassVar = {name: "an SDK does it"}

    class Below(Marked):
        pass

    class Cured(Marked):
        xfail: ClassVar = {}

    def marks(subject: type) -> list[Any]:
        return [mark.kwargs for mark in getattr(getattr(subject, name), "pytestmark", [])]

    strict = [{"reason": "an SDK does it", "strict": True}]
    assert [marks(each) for each in (TestToy, Marked, Below, Cured)] == [[], strict, strict, []]


def test_a_marked_test_must_fail_and_an_unmarked_one_must_not(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from pointsman.builtin.retry import (NoRetry)
        from pointsman.testing.contract import RetryContract

        class Late(NoRetry):
            def delay(self, failure):
                return 1.0

        class TestMarked(RetryContract):
            xfail = {"test_there_is_no_attempt_beyond_the_last": "not yet"}

            def make(self, rng):
                return Late()

        class TestMarkedInVain(TestMarked):
            def make(self, rng):
                return NoRetry()

        class TestUnmarked(TestMarked):
            xfail = {}
        """
    )

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "-q")

    result.assert_outcomes(passed=3 * len(rules_of(RetryContract)) - 3, xfailed=1, failed=2)
    result.stdout.fnmatch_lines(["*XPASS(strict)*not yet*"])
