"""The contracts themselves: what keeps them, and that each fault is found by the test that is meant for it."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from pydantic import BaseModel, ConfigDict

from pointsman import replace
from pointsman.builtin.retry import Exponential, ExponentialSettings, NoRetry
from pointsman.builtin.strategies import LeastConnections, RoundRobin, Weighted
from pointsman.errors import (
    InvalidRequest,
    ModelNotFound,
    Overloaded,
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
from pointsman.retry import Failure
from pointsman.strategy import Member, Strategy
from pointsman.testing.contract import (
    CannedBreak,
    CannedChat,
    CannedError,
    CannedModels,
    CannedStream,
    Contract,
    FakeMember,
    ProviderContract,
    RetryContract,
    StrategyContract,
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
        try:
            return [ModelInfo(str(each)) for each in value]
        except TypeError as error:
            raise ProviderError("no list of models") from error

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


class Retries(Toy):
    async def send(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        try:
            return await super().send(request, call, stream=stream)
        except Unavailable:
            return await super().send(request, call, stream=stream)


class RetriesConnections(Toy):
    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        try:
            return await super().post(request, call, stream=stream)
        except ProviderError:
            return await super().post(request, call, stream=stream)


class SwallowsCancellation(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        try:
            return await super().chat(request, call)
        except BaseException:
            raise Unavailable("something went wrong") from None


class ReplacesCancellation(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        try:
            return await super().chat(request, call)
        except asyncio.CancelledError:
            raise asyncio.CancelledError("of my own") from None


class SwallowsCancellationMidStream(Toy):
    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        source = await super().stream(request, call)

        class Deaf:
            upstream_request_id = ""
            abort, aclose = source.abort, source.aclose

            async def next(self, until: float) -> Any:
                try:
                    return await source.next(until)
                except asyncio.CancelledError:
                    return None

        return Deaf()


class KeepsTheConnection(Toy):
    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        source = await super().stream(request, call)

        class Open:
            upstream_request_id = ""
            next, aclose = source.next, source.aclose

            def abort(self) -> None: ...

        return Open()


class EndsTruncatedStreams(Toy):
    class decoder(Decoder):
        def close(self) -> Sequence[StreamEvent]:
            return [Finished("stop")]


class ReadsOn(Toy):
    class decoder(Decoder):
        def decode(self, frame: SseEvent) -> Sequence[StreamEvent]:
            events = super().decode(frame)
            self.seen, self.done = getattr(self, "seen", False) or self.done, False
            return events

        def close(self) -> Sequence[StreamEvent]:
            return () if getattr(self, "seen", False) else super().close()


class DependsOnCuts(Toy):
    class framer(WholeLines):
        def feed(self, data: bytes) -> list[SseEvent]:
            return [SseEvent("", line) for line in data.split(b"\n") if line.endswith(b"}")]


class SharesItsDecoder(Toy):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        framer = WholeLines()
        self.framer = lambda: framer


class SharesItsAnswer(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.answer = await self.send(request, call, stream=False)
        await asyncio.sleep(0)
        value = await self.answer.json() if self.answer._iterator is None else {}
        return ChatResponse(text=value.get("text", ""), usage=usage(value))


class LosesUsage(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return replace(await super().chat(request, call), usage=Usage())


class LosesTheEnd(Toy):
    class decoder(Decoder):
        def decode(self, frame: SseEvent) -> Sequence[StreamEvent]:
            return [each for each in super().decode(frame) if not isinstance(each, Finished)]


class LeaksTheKey(Toy):
    async def send(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        try:
            return await super().send(request, call, stream=stream)
        except ModelNotFound as error:
            secret = self.context.auth.current()
            raise ModelNotFound(
                f"not found with key {secret.reveal() if secret else ''}", status=error.status
            ) from error


class LeaksThePrompt(Toy):
    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        try:
            return await super().post(request, call, stream=stream)
        except ProviderError as error:
            raise Unavailable(f"could not send {request.messages[-1].text}") from error


class ShowsTheKey(Toy):
    def __repr__(self) -> str:
        secret = self.context.auth.current()
        return f"Toy({secret.reveal() if secret else None})"


class KeyInTheBody(Toy):
    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        secret = self.context.auth.current()
        body = {"key": secret.reveal() if secret else None}
        return await call.client.send("POST", "/chat", body, timeouts=call.timeouts, headers=call.headers)


class ForgetsHeadersAndLimits(Toy):
    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        return await call.client.send("POST", "/chat", {}, timeouts=call.client.within(3600))


class LeavesRefusalsOpen(Toy):
    async def send(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        answer = await self.post(request, call, stream=stream)
        if answer.status >= 400:
            raise error_for_status(answer.status, answer.headers, "", wall=0)
        return answer


class BlamesTheCaller(Toy):
    async def send(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        try:
            return await super().send(request, call, stream=stream)
        except (Unavailable, Overloaded) as error:
            raise InvalidRequest(error.message, status=error.status) from error


class ForgetsTheStatus(Toy):
    async def send(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        try:
            return await super().send(request, call, stream=stream)
        except ModelNotFound as error:
            raise ModelNotFound(error.message) from error


class TrustsTheUpstream(Toy):
    class decoder(Decoder):
        def decode(self, frame: SseEvent) -> Sequence[StreamEvent]:
            json.loads(frame.data)["text"] if b"done" not in frame.data else None
            return super().decode(frame)


class RefusesTooLate(Toy):
    def check(self, request: ChatRequest) -> None: ...

    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Answer:
        answer = await super().post(request, call, stream=stream)
        super().check(request)
        return answer


class CallsOutWhenMade(Toy):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        with socket.socket() as upstream:
            upstream.connect(("127.0.0.1", 9))


class NeedsALoop(Toy):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.started = context.clock.now()


class ForgetsItsClient(Toy):
    async def aclose(self) -> None: ...


class AlwaysHealthy(Toy):
    async def probe(self) -> None: ...


class Loose(BaseModel):
    """Takes everything, and shows it."""

    number: int = 0


class Shows(BaseModel):
    model_config = ConfigDict(extra="forbid")


# A class → the test of the contract that must find its fault.
BROKEN: dict[Any, str] = {
    Retries: "test_the_provider_does_not_retry",
    RetriesConnections: "test_the_provider_does_not_retry",
    SwallowsCancellation: "test_cancelling_before_the_answer_passes_through_and_ends_the_request",
    ReplacesCancellation: "test_cancelling_while_the_answer_arrives_passes_through_and_closes_it",
    SwallowsCancellationMidStream: "test_cancelling_mid_stream_passes_through_and_abort_closes_it_at_once",
    KeepsTheConnection: "test_a_stream_closed_early_gives_its_connection_back",
    EndsTruncatedStreams: "test_a_stream_without_its_end_marker_is_truncated_wherever_it_stops",
    ReadsOn: "test_nothing_after_the_end_marker_is_read",
    DependsOnCuts: "test_a_stream_cut_anywhere_gives_the_same_events",
    SharesItsDecoder: "test_fifty_calls_at_once_do_not_mix",
    SharesItsAnswer: "test_fifty_calls_at_once_do_not_mix",
    LosesUsage: "test_a_chat_gives_everything_that_the_answer_says",
    LosesTheEnd: "test_a_stream_gives_everything_that_the_answer_says",
    LeaksTheKey: "test_no_repr_error_or_log_shows_the_credential_or_the_prompt",
    LeaksThePrompt: "test_no_repr_error_or_log_shows_the_credential_or_the_prompt",
    ShowsTheKey: "test_no_repr_error_or_log_shows_the_credential_or_the_prompt",
    KeyInTheBody: "test_the_credential_stands_in_the_headers_of_authorize_and_nowhere_else",
    ForgetsHeadersAndLimits: "test_a_call_goes_to_the_configured_place_with_the_ids_of_request_and_attempt",
    LeavesRefusalsOpen: "test_each_refusal_has_its_class_and_carries_its_status",
    BlamesTheCaller: "test_a_server_error_may_be_tried_elsewhere_whatever_its_body",
    ForgetsTheStatus: "test_each_refusal_has_its_class_and_carries_its_status",
    TrustsTheUpstream: "test_whatever_the_upstream_sends_only_our_errors_come_out",
    RefusesTooLate: "test_what_the_upstream_cannot_do_is_refused_before_anything_is_sent",
    CallsOutWhenMade: "test_the_factory_makes_a_provider_without_a_loop_and_without_touching_the_network",
    NeedsALoop: "test_the_factory_makes_a_provider_without_a_loop_and_without_touching_the_network",
    ForgetsItsClient: "test_closing_the_provider_closes_what_it_opened",
    AlwaysHealthy: "test_probe_returns_for_a_healthy_upstream_and_raises_for_any_other",
}


def outcome(subject: type[Contract], name: str, request: pytest.FixtureRequest) -> BaseException | None:
    """What the test `name` of a contract ends with; None when it passes."""
    test = getattr(subject(), name)
    wanted = [each for each in ("monkeypatch", "caplog") if each in test.__func__.__code__.co_varnames[:2]]
    try:
        test(**{each: request.getfixturevalue(each) for each in wanted})
    except (Exception, pytest.fail.Exception) as error:
        return error
    return None


@pytest.fixture
def no_shrinking() -> Iterator[None]:
    """A fault is found here, not explained."""
    before = settings.get_current_profile_name()
    settings.register_profile(
        "no shrinking", settings(), phases=[Phase.explicit, Phase.generate], database=None
    )
    settings.load_profile("no shrinking")
    yield
    settings.load_profile(before)


@pytest.mark.usefixtures("no_shrinking")
@pytest.mark.parametrize("provider", BROKEN, ids=lambda each: each.__name__)
def test_a_fault_is_found_by_the_test_that_is_meant_for_it(
    provider: Any, request: pytest.FixtureRequest
) -> None:
    subject = type("Broken", (TestToy,), {"factory": factory(provider)})

    assert outcome(subject, BROKEN[provider], request) is not None
    assert outcome(TestToy, BROKEN[provider], request) is None


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


# ── broken strategies and policies ───────────────────────────────────────────────────────────────────


class Stranger(Strategy):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return FakeMember(ready[0].id)


class Stuck(Strategy):
    """Keeps to its first pick, ready or not."""

    first: Member | None = None

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        self.first = self.first or ready[0]
        return self.first


class NeedsTwo(Strategy):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[1]


class OwnChance(Strategy):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return random.choice(ready)


class Forgetful(Strategy):
    """Says what it knows, and does not read it."""

    count = 0

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        self.count += 1
        return ready[self.count % len(ready)]

    def state(self) -> dict[str, object]:
        return {"count": self.count}


class Credulous(Forgetful):
    def restore(self, state: Any, /) -> None:
        self.count = state["count"]


class Worried(Strategy):
    """Cannot bear that time stands still."""

    last = -1.0

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[0]

    def observed(self, member: Member, sample: Any, /) -> None:
        self.rate = 1 / (sample.now - self.last)
        self.last = sample.now


class Async(Strategy):
    async def pick(self, ready: Sequence[Member], request: object, /) -> Member:  # type: ignore[override]
        return ready[0]


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (Stranger, "test_what_is_picked_was_ready_whoever_joins_or_leaves"),
        (Stuck, "test_every_choice_of_ready_members_can_be_picked_from"),
        (Stuck, "test_the_only_one_that_is_ready_is_picked"),
        (NeedsTwo, "test_the_only_one_that_is_ready_is_picked"),
        (OwnChance, "test_the_same_chance_gives_the_same_picks"),
        (OwnChance, "test_without_a_source_of_chance_every_instance_does_the_same"),
        (Forgetful, "test_a_successor_goes_on_where_its_predecessor_was"),
        (Credulous, "test_a_state_that_is_none_is_refused_as_a_value_error_or_ignored"),
        (Worried, "test_what_is_picked_was_ready_whoever_joins_or_leaves"),
        (Async, "test_picking_is_synchronous_and_needs_no_loop"),
    ],
)
def test_a_faulty_strategy_is_found(strategy: Any, name: str, request: pytest.FixtureRequest) -> None:
    subject = type("Broken", (StrategyContract,), {"make": lambda self, rng: strategy()})

    assert outcome(subject, name, request) is not None


class Policy:
    attempts: Any = 3

    def __init__(self, delay: Callable[[Failure], Any], attempts: Any = 3) -> None:
        self.attempts = attempts
        self.given = delay

    def delay(self, failure: Failure) -> Any:
        return None if failure.number >= 3 else self.given(failure)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Policy(lambda f: 0.0, attempts=0), "test_a_request_may_make_at_least_one_attempt"),
        (lambda: Policy(lambda f: 0.0, attempts=2), "test_there_is_no_attempt_beyond_the_last"),
        (lambda: Policy(lambda f: -1.0), "test_a_delay_is_a_number_of_seconds_or_none"),
        (lambda: Policy(lambda f: float("inf")), "test_a_delay_is_a_number_of_seconds_or_none"),
        (
            lambda: Policy(lambda f: random.random()),
            "test_only_the_time_and_chance_that_are_handed_in_decide",
        ),
    ],
)
def test_a_faulty_policy_is_found(make: Any, name: str, request: pytest.FixtureRequest) -> None:
    subject = type("Broken", (RetryContract,), {"make": lambda self: make()})

    assert outcome(subject, name, request) is not None


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

    result.assert_outcomes(passed=9, xfailed=1, failed=2)
    result.stdout.fnmatch_lines(["*XPASS(strict)*not yet*"])
