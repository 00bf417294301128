"""What a provider owes the router with a real upstream: recorded once, and replayed without a network."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from msgspec import Struct

from pointsman._internal.scrubber import Scrubber
from pointsman.build.contexts import Contexts
from pointsman.build.transports import Transports
from pointsman.clock import LoopClock, system_rng
from pointsman.errors import AuthenticationFailed, CallError, ModelNotFound, PermissionDenied
from pointsman.plugins.registry import Plugins
from pointsman.provider import Call
from pointsman.testing.contract.assertions import assembled, check_events
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import ProviderSubject
from pointsman.testing.loop import run
from pointsman.testing.recording import Recording, RecordingTransport, ReplayedTransport
from pointsman.testing.replay import call_for, provider_for
from pointsman.transports.options import TransportOptions
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Message, StreamEvent, Tool, Usage

Capability = Literal[
    "chat", "stream", "usage", "tools", "generate", "embed", "models", "unknown_model", "keys"
]
VARIABLE = "POINTSMAN_LIVE"
_QUESTION = "Name three colours of the rainbow, in one short sentence."
_NO_MODEL = "pointsman-no-such-model"
_WRONG_KEY = "pointsman-wrong-key-0000"
_MOST_TOKENS = 100_000
_TOOL = Tool(
    "get_weather",
    "The weather in a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
_TEXTS = ("A pointsman sets the points.", "Rain falls on the sea.", "A pointsman sets the points.")


class Live(Struct, frozen=True, kw_only=True):
    """A real upstream, and what it can do.

    Attributes:
        model: the upstream's name of the model; `embed_model` that for vectors, where it is another.
        recording: the file that keeps the exchanges; beside the test class, where it is relative.
        key: the environment variable that holds the key; None: it needs none.
        can: what is tried. `usage` says that it counts tokens, `unknown_model` that it refuses a model that
            is not there, `keys` that it refuses a wrong key.
        max_tokens: of an answer; None: nothing is said of it.
        patience: seconds that each call has.
    """

    base_url: str
    model: str
    recording: str | Path
    key: str | None = None
    embed_model: str | None = None
    can: Collection[Capability] = ("chat", "stream")
    max_tokens: int | None = 200
    patience: float = 60.0


class _Upstream:
    """One provider and the transport to its upstream, real or recorded."""

    def __init__(self, subject: ProviderSubject, live: Live, transport: Any, key: str | None) -> None:
        self.live, self.transport, self._subject, self._key = live, transport, subject, key
        self.provider = provider_for(
            subject.factory, transport, settings=subject.settings, base_url=live.base_url, key=key
        )

    def call(self, model: str | None = None) -> Call:
        return call_for(
            self.provider,
            self.transport,
            model=model or self.live.model,
            options=self._subject.options,
            seconds=self.live.patience,
            key=self._key,
        )

    def chat(self, text: str = _QUESTION, tools: Sequence[Tool] = ()) -> ChatRequest:
        messages = (Message.user(text),)
        return ChatRequest("public", messages, tools=tuple(tools), max_tokens=self.live.max_tokens)

    async def events(self, request: ChatRequest) -> list[StreamEvent]:
        source = await self.provider.stream(request, self.call())
        events: list[StreamEvent] = []
        try:
            while (some := await source.next(self._until())) is not None:
                events += some
        finally:
            await source.aclose()
        return events

    async def given_up(self, request: ChatRequest) -> None:
        """Read the first events of a stream, and break it off."""
        source = await self.provider.stream(request, self.call())
        await source.next(self._until())
        source.abort()
        await source.aclose()

    def _until(self) -> float:
        return LoopClock().now() + self.live.patience


_LiveWork = Callable[[_Upstream], Awaitable[None]]


class LiveContract(ProviderSubject, terms=True):
    """What a real upstream answers, checked for its shape and its sense. Write `factory` and `live`.

    A `ProviderContract` with `live` has these rules as well.
    """

    live: ClassVar[Live | None] = None

    @rule(
        "LIVE-01",
        "Answers that somebody imagined prove nothing: the first real call would fail.",
    )
    def test_a_real_chat_has_text_an_end_and_usage(self, pytestconfig: pytest.Config) -> None:
        async def work(upstream: _Upstream) -> None:
            response = await upstream.provider.chat(upstream.chat(), upstream.call())
            assert response.text.strip(), "the answer has no text"
            assert response.finish_reason in ("stop", "length"), f"it ends with {response.finish_reason!r}"
            self._check_usage(response.usage)

        self._try("LIVE-01", "chat", pytestconfig, work)

    @rule("LIVE-02", "Real streams have comments, pings and orders of events that no canned one has.")
    def test_a_real_stream_keeps_the_grammar_and_says_as_much_as_a_chat(
        self, pytestconfig: pytest.Config
    ) -> None:
        async def work(upstream: _Upstream) -> None:
            events = await upstream.events(upstream.chat())
            check_events(events)
            response = assembled(events)
            assert response.text.strip(), "the stream has no text"
            assert response.finish_reason in ("stop", "length"), f"it ends with {response.finish_reason!r}"
            self._check_usage(response.usage)
            if "chat" in upstream.live.can:
                whole = await upstream.provider.chat(upstream.chat(), upstream.call())
                lengths = sorted((len(whole.text.strip()), len(response.text.strip())))
                assert lengths[1] <= 20 * max(lengths[0], 10), f"streamed and whole have {lengths} characters"

        self._try("LIVE-02", "stream", pytestconfig, work)

    @rule("LIVE-03", "Agents stand still where a call of a tool comes without name, id or arguments.")
    def test_a_real_model_calls_a_tool(self, pytestconfig: pytest.Config) -> None:
        async def work(upstream: _Upstream) -> None:
            request = upstream.chat("What is the weather in Oslo? Use the tool get_weather.", [_TOOL])
            answers = []
            if "chat" in upstream.live.can:
                answers.append(await upstream.provider.chat(request, upstream.call()))
            if "stream" in upstream.live.can:
                events = await upstream.events(request)
                check_events(events)
                answers.append(assembled(events))
            for response in answers:
                assert response.tool_calls, f"no tool is called; the text is {response.text[:200]!r}"
                call = response.tool_calls[0]
                assert call.id, "a call without an id"
                assert call.name == _TOOL.name, f"the tool {call.name!r} is called"
                assert isinstance(call.parsed(), dict), f"its arguments are {call.parsed()!r}"
                assert response.finish_reason == "tool_calls", f"it ends with {response.finish_reason!r}"

        self._try("LIVE-03", "tools", pytestconfig, work)

    @rule("LIVE-04", "Vectors in another order, or of other sizes, spoil an index without any error.")
    def test_real_vectors_have_one_size_and_the_order_of_their_texts(
        self, pytestconfig: pytest.Config
    ) -> None:
        async def work(upstream: _Upstream) -> None:
            model = upstream.live.embed_model or upstream.live.model
            response = await upstream.provider.embed(EmbedRequest("public", _TEXTS), upstream.call(model))
            vectors = [list(each) for each in response.vectors]
            assert len(vectors) == len(_TEXTS), f"{len(vectors)} vectors for {len(_TEXTS)} texts"
            assert len({len(each) for each in vectors}) == 1, "the vectors have several sizes"
            assert vectors[0], "the vectors are empty"
            assert all(math.isfinite(each) for vector in vectors for each in vector), "a number is not finite"
            same, other = _apart(vectors[0], vectors[2]), _apart(vectors[0], vectors[1])
            assert same < 0.1 * other, "the vectors of one text are as far apart as those of two"

        self._try("LIVE-04", "embed", pytestconfig, work)

    @rule("LIVE-05", "Whoever completes code has no chat to fall back on.")
    def test_a_real_completion_has_text(self, pytestconfig: pytest.Config) -> None:
        async def work(upstream: _Upstream) -> None:
            request = GenerateRequest("public", "One, two, three,", max_tokens=upstream.live.max_tokens)
            response = await upstream.provider.generate(request, upstream.call())
            assert response.text.strip(), "the completion has no text"
            self._check_usage(response.usage)

        self._try("LIVE-05", "generate", pytestconfig, work)

    @rule("LIVE-06", "Callers choose from this list, and health is judged by it.")
    def test_a_real_list_of_models_has_ids(self, pytestconfig: pytest.Config) -> None:
        async def work(upstream: _Upstream) -> None:
            ids = [each.id for each in await upstream.provider.models()]
            assert ids, "there are no models"
            assert all(ids), "a model has no id"
            assert len(set(ids)) == len(ids), "a model stands there twice"
            await upstream.provider.probe()

        self._try("LIVE-06", "models", pytestconfig, work)

    @rule(
        "LIVE-07",
        "A mistyped model would be tried again and elsewhere, as if the upstream were down.",
    )
    def test_a_real_upstream_without_the_model_says_so(self, pytestconfig: pytest.Config) -> None:
        async def work(upstream: _Upstream) -> None:
            error = await _error_of(upstream.provider.chat(upstream.chat(), upstream.call(_NO_MODEL)))
            assert isinstance(error, ModelNotFound), f"expected ModelNotFound, got {error!r}"

        self._try("LIVE-07", "unknown_model", pytestconfig, work)

    @rule(
        "LIVE-08",
        "A key that has expired would look like a fault of the upstream, and open its breaker.",
    )
    def test_a_real_upstream_refuses_a_wrong_key(self, pytestconfig: pytest.Config) -> None:
        async def work(upstream: _Upstream) -> None:
            error = await _error_of(upstream.provider.chat(upstream.chat(), upstream.call()))
            assert isinstance(error, AuthenticationFailed | PermissionDenied), f"got {error!r}"

        self._try("LIVE-08", "keys", pytestconfig, work, key=_WRONG_KEY)

    @rule("LIVE-09", "The upstream goes on computing, and its bill with it, for somebody who has left.")
    def test_a_real_stream_that_is_given_up_is_closed(self, pytestconfig: pytest.Config) -> None:
        async def work(upstream: _Upstream) -> None:
            await upstream.given_up(upstream.chat("Count from one to one hundred, in words."))
            assert all(body.released for body in upstream.transport.bodies), "its connection is left open"

        self._try("LIVE-09", "stream", pytestconfig, work)

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────

    def _try(
        self, name: str, needed: Capability, config: pytest.Config, work: _LiveWork, *, key: str | None = None
    ) -> None:
        live = self.live
        if live is None:
            pytest.skip("no `live`")
        if needed not in live.can:
            pytest.skip(f"{needed!r} is not among what `live` can do")
        path = Path(inspect.getfile(type(self))).parent / live.recording
        recording = Recording(path)
        kept = f"{type(self).__qualname__} {name}"
        if _is_live(config):
            self._record(recording, kept, live, work, key)
        elif kept in recording.exchanges:
            self._replay(recording, kept, live, work, key)
        else:
            pytest.skip(f"{path.name} has no recording of it: pytest --pointsman-live makes one")

    def _record(
        self, recording: Recording, kept: str, live: Live, work: _LiveWork, wrong: str | None
    ) -> None:
        key = os.environ.get(live.key) if live.key is not None else None
        if live.key is not None and not key:
            pytest.fail(f"the environment variable {live.key} holds no key")

        async def real() -> RecordingTransport:
            contexts = Contexts(LoopClock(), system_rng())
            transport = RecordingTransport(
                Transports(Plugins(()), contexts, Scrubber()).open("httpx", TransportOptions())
            )
            upstream = _Upstream(self, live, transport, wrong or key)
            try:
                await work(upstream)
            finally:
                await upstream.provider.aclose()
                await transport.aclose()
            return transport

        recording.keep(kept, asyncio.run(real()).exchanges, key)

    def _replay(
        self, recording: Recording, kept: str, live: Live, work: _LiveWork, wrong: str | None
    ) -> None:
        transport = ReplayedTransport(recording.exchanges[kept])

        async def replayed() -> None:
            upstream = _Upstream(self, live, transport, wrong or "recorded-key-0000")
            try:
                await work(upstream)
            finally:
                await upstream.provider.aclose()

        try:
            run(replayed())
        finally:
            assert transport.mismatch is None, transport.mismatch

    def _check_usage(self, usage: Usage) -> None:
        assert self.live is not None
        for name, count in (("prompt", usage.prompt), ("completion", usage.completion)):
            if count is None:
                assert "usage" not in self.live.can, f"it does not say how many tokens the {name} has"
            else:
                assert 0 < count < _MOST_TOKENS, f"{count} tokens of the {name} cannot be"


def _is_live(config: pytest.Config) -> bool:
    asked = config.getoption("--pointsman-live", default=False)
    return bool(asked) or os.environ.get(VARIABLE, "") not in ("", "0")


async def _error_of(work: Awaitable[Any]) -> CallError:
    try:
        made = await work
    except CallError as error:
        return error
    raise AssertionError(f"expected an error, got {made!r}")


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    return math.dist(one, other)
