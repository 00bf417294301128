"""What every provider owes the router."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from pointsman._internal.httpx_lazy import httpx
from pointsman.errors import (
    AttemptTimeout,
    CallError,
    ConnectionFailed,
    Outcome,
    ProviderError,
    Truncated,
    Unsupported,
)
from pointsman.provider import Call, Provider, ProviderFactory
from pointsman.testing.contract.assertions import assembled, check, check_events
from pointsman.testing.contract.canned import CannedBreak, CannedChat, CannedError, CannedModels, CannedStream
from pointsman.testing.contract.enforcement import Contract, on_virtual_loop
from pointsman.testing.contract.harness import KEY, PATIENCE, Bench, cancelled, error_of, exhausted, turns
from pointsman.testing.contract.mutations import (
    distinct,
    other_value,
    renamed,
    some_offsets,
    spoiled,
    word_of,
)
from pointsman.testing.loop import run
from pointsman.testing.replay import ReplayStep, ReplayTransport, Reply, provider_for
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Message, Request

PROMPT = "said in confidence: plum 7291"
_FAILURES = (500, 502, 503, 504, 529)
_EDGE_PAGE = b"<html><head><title>Bad gateway</title></head><body>try later</body></html>"


class ProviderContract(Contract, terms=True):
    """What every provider owes the router, for providers that call through `call.client`.

    Attributes:
        factory: what the plugin offers.
        settings: of the provider, as a configuration has them.
        options: of the deployment.
        base_url: what the configuration says; nothing is ever sent there.
        model: the upstream's name of the model.
        request: what is asked, in whole and as a stream.
        chat_ok, stream_ok: a whole and a streamed answer. None says that the provider has none, and then it
            must say so too.
        stream_tools: a stream that calls tools.
        mid_stream_error: a stream in which the upstream reports a failure.
        models_ok: the list of models; None: the provider cannot list them.
        probe_ok: what a healthy upstream answers to `probe`, where it is not the list of models.
        errors: refusals and what they mean.
        unsupported: requests that the upstream cannot do; chats are tried in whole and as a stream.
    """

    factory: ProviderFactory
    settings: ClassVar[Mapping[str, Any]] = {}
    options: ClassVar[Mapping[str, Any]] = {}
    base_url: str = "http://upstream.test:8000"
    model: str = "model-1"
    request = ChatRequest("public", (Message.user(PROMPT),))
    chat_ok: CannedChat | None = None
    stream_ok: CannedStream | None = None
    stream_tools: CannedStream | None = None
    mid_stream_error: CannedBreak | None = None
    models_ok: CannedModels | None = None
    probe_ok: Reply | None = None
    errors: Sequence[CannedError] = ()
    unsupported: Sequence[Request] = ()

    # ── making one ───────────────────────────────────────────────────────────────────────────────────

    def test_the_factory_makes_a_provider_without_a_loop_and_without_touching_the_network(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("connect", "connect_ex"):
            monkeypatch.setattr(socket.socket, name, _no_network)
        monkeypatch.setattr(socket, "getaddrinfo", _no_network)
        transport = ReplayTransport()

        provider = provider_for(
            self.factory, transport, settings=self.settings, base_url=self.base_url, name="gpu1", key=KEY
        )

        assert isinstance(provider, Provider), f"the factory made {provider!r}, which is no Provider"
        assert provider.name == "gpu1", "the provider does not know its configured name"
        assert provider.endpoint is not None, "this contract is for providers that have an endpoint"
        assert transport.requests == [], "making the provider sent a request"

    def test_unknown_settings_are_refused(self) -> None:
        given_settings = {**self.settings, "no_plugin_has_this_setting": 1}
        with pytest.raises(ValidationError):
            self.factory.settings.model_validate(given_settings)

    def test_settings_are_refused_without_showing_what_they_hold(self) -> None:
        given_settings = {**self.settings, "no_plugin_has_this_setting": KEY}
        with pytest.raises(ValidationError) as caught:
            self.factory.settings.model_validate(given_settings)

        assert KEY not in str(caught.value), "add hide_input_in_errors=True to the model's configuration"

    # ── what is sent ─────────────────────────────────────────────────────────────────────────────────

    @on_virtual_loop
    async def test_a_call_goes_to_the_configured_place_with_the_ids_of_request_and_attempt(self) -> None:
        for ask, reply in self._ways():
            bench = Bench(self, reply)
            await ask(bench, bench.call(request_id="req-77", attempt=3))

            (sent,) = bench.transport.requests
            assert str(sent.url).startswith(self._origin()), f"the call went to {sent.url}"
            assert sent.headers.get("x-pointsman-request-id") == "req-77", "send `headers=call.headers`"
            assert sent.headers.get("x-pointsman-attempt") == "3", "send `headers=call.headers`"

    @on_virtual_loop
    async def test_the_credential_stands_in_the_headers_of_authorize_and_nowhere_else(self) -> None:
        for ask, reply in self._ways():
            bench = Bench(self, reply)
            await ask(bench, bench.call())

            (sent,) = bench.transport.requests
            endpoint = bench.endpoint
            meant = {name.lower() for name, value in endpoint.authorize(KEY).items() if KEY in value}
            holding = {name for name, value in sent.headers.items() if KEY in value}
            assert meant, "`authorize` of the endpoint makes no header of the credential"
            assert holding == meant, f"the credential is in {holding}, `authorize` puts it in {meant}"
            assert KEY not in str(sent.url), "the credential is in the URL"
            assert KEY.encode() not in sent.content, "the credential is in the body"

    def test_no_repr_error_or_log_shows_the_credential_or_the_prompt(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown = run(self._everything_shown())

        shown["the log"] = caplog.text
        for where, text in shown.items():
            assert KEY not in text, f"the credential is in {where}"
            assert PROMPT not in text, f"the prompt is in {where}"

    @on_virtual_loop
    async def test_what_the_upstream_cannot_do_is_refused_before_anything_is_sent(self) -> None:
        bench = Bench(self, Reply())
        missing: list[Callable[[], Awaitable[Any]]] = []
        if self.chat_ok is None:
            missing.append(lambda: bench.provider.chat(self.request, bench.call()))
        if self.stream_ok is None:
            missing.append(lambda: bench.provider.stream(self.request, bench.call()))
        if self.models_ok is None:
            missing.append(bench.provider.models)
        for each in self.unsupported:
            missing += self._asked(bench, each)

        for ask in missing:
            with pytest.raises(Unsupported):
                await ask()
            assert bench.transport.requests == [], "the request was sent all the same"
        if not missing:
            pytest.skip("the provider can do everything that there is a canned answer for")

    # ── whole answers ────────────────────────────────────────────────────────────────────────────────

    @on_virtual_loop
    async def test_a_chat_gives_everything_that_the_answer_says(self) -> None:
        canned = self._chat()
        bench = Bench(self)

        response = await bench.chat(canned.reply)

        check(response, canned)

    @on_virtual_loop
    async def test_a_chat_whose_answer_breaks_off_fails(self) -> None:
        canned = self._chat()
        bench = Bench(self)
        for length in some_offsets(canned.body.rstrip()):
            for ending in ("end", "break"):
                reply = canned.reply.until(length, ending)
                what = f"{length} of {len(canned.body)} bytes and then {ending!r}"
                error = await error_of(bench.chat(reply))
                assert isinstance(error, ProviderError), f"{what}: {error!r}"

    # ── streams ──────────────────────────────────────────────────────────────────────────────────────

    @on_virtual_loop
    async def test_a_stream_gives_everything_that_the_answer_says(self) -> None:
        for canned in self._streams():
            told = await Bench(self).stream(canned.reply)

            assert told.error is None, f"the stream ended with {told.error!r}"
            check_events(told.events)
            check(assembled(told.events), canned)

    @on_virtual_loop
    async def test_a_stream_cut_anywhere_gives_the_same_events(self) -> None:
        canned: list[CannedStream | CannedBreak] = [*self._streams()]
        if self.mid_stream_error is not None:
            canned.append(self.mid_stream_error)
        for each in canned:
            bench = Bench(self)
            whole = await bench.stream(each.reply)
            cuts: dict[str, Reply] = {f"seed {n}": each.reply.cut_by(n) for n in range(1, 30)}
            cuts |= {f"one cut at {n}": each.reply.cut(n) for n in some_offsets(each.body)}
            for how, reply in cuts.items():
                told = await bench.stream(reply)
                assert told.events == whole.events, f"other events with {how}"
                assert _said(told.error) == _said(whole.error), f"another end with {how}"

    @on_virtual_loop
    async def test_a_stream_without_its_end_marker_is_truncated_wherever_it_stops(self) -> None:
        for canned in self._streams():
            bench = Bench(self)
            for length in some_offsets(canned.body[: canned.body.index(canned.end)], first=0):
                for ending in ("end", "break"):
                    reply = canned.reply.until(length, ending)
                    told = await bench.stream(reply)
                    assert isinstance(told.error, Truncated), (
                        f"{length} bytes of {len(canned.body)} and then {ending!r}: expected Truncated, "
                        f"got {told.error!r} after {len(told.events)} events"
                    )

    @on_virtual_loop
    async def test_a_stream_that_stops_inside_its_end_marker_loses_nothing_when_it_ends_well(self) -> None:
        for canned in self._streams():
            bench = Bench(self)
            for length in range(canned.body.index(canned.end), len(canned.body)):
                told = await bench.stream(canned.reply.until(length))
                if told.error is None:
                    response = assembled(told.events)
                    assert response.text == canned.text, f"text is missing after {length} bytes"
                    assert response.finish_reason == canned.finish_reason, f"wrong end after {length} bytes"
                else:
                    assert isinstance(told.error, Truncated), f"{length} bytes gave {told.error!r}"

    @on_virtual_loop
    async def test_nothing_after_the_end_marker_is_read(self) -> None:
        for canned in self._streams():
            bench = Bench(self)
            whole = await bench.stream(canned.reply)
            size = len(canned.body)
            for more in (canned.body, b"\x00\xff{]\n\n", b"data: {\n\n", b"\n\n\n"):
                reply = replace(canned.reply, body=canned.body + more)
                for each in (
                    reply,
                    reply.cut(size),
                    reply.cut_by(1),
                    replace(reply.cut(size), ending="silence"),
                ):
                    told = await bench.stream(each)
                    assert told.error is None, f"what follows the end marker ended it with {told.error!r}"
                    assert told.events == whole.events, "what follows the end marker gave events"

    @on_virtual_loop
    async def test_a_stream_that_falls_silent_times_out_when_it_was_told(self) -> None:
        canned = self._stream()
        bench = Bench(self)
        for length in some_offsets(canned.body[: canned.body.index(canned.end)], first=0, most=20):
            before = bench.now()
            told = await bench.stream(canned.reply.until(length, "silence"))

            assert isinstance(told.error, AttemptTimeout), f"silence after {length} bytes: {told.error!r}"
            assert bench.now() - before < 2 * PATIENCE, "the time that `next` was given has passed"

    @on_virtual_loop
    async def test_a_failure_that_the_upstream_reports_mid_stream_follows_what_came_before(self) -> None:
        canned = self.mid_stream_error
        if canned is None:
            pytest.skip("no canned mid_stream_error")

        told = await Bench(self).stream(canned.reply)

        assert type(told.error) is canned.kind, f"expected {canned.kind.__name__}, got {told.error!r}"
        assert assembled(told.events).text == canned.text, "the text before the failure is not all there"

    # ── errors ───────────────────────────────────────────────────────────────────────────────────────

    @on_virtual_loop
    async def test_each_refusal_has_its_class_and_carries_its_status(self) -> None:
        if not self.errors:
            pytest.skip("no canned errors")
        for canned in self.errors:
            for ask, _ in self._ways():
                bench = Bench(self, canned.reply)
                error = await error_of(ask(bench, bench.call()))
                what = f"status {canned.status} with {canned.body[:80]!r}"
                assert type(error) is canned.kind, f"{what}: expected {canned.kind.__name__}, got {error!r}"
                assert error.status == canned.status, f"{what}: the error says status {error.status}"
                if canned.retry_after is not None:
                    assert error.retry_after == pytest.approx(canned.retry_after), f"{what}: retry_after"
                await bench.check_released()

    @on_virtual_loop
    async def test_a_server_error_may_be_tried_elsewhere_whatever_its_body(self) -> None:
        for status in _FAILURES:
            for body in (b"", b"oops", _EDGE_PAGE, b"{}", b"[]", b'{"error": null}'):
                for ask, _ in self._ways():
                    bench = Bench(self, Reply(status, body))
                    error = await error_of(ask(bench, bench.call()))
                    what = f"status {status} with {body!r} gave {error!r}"
                    assert error.retry_elsewhere, f"{what}, which is not tried elsewhere"
                    assert error.outcome in (Outcome.UPSTREAM_FAULT, Outcome.OVERLOAD), what
                    assert error.status == status, f"{what}, with status {error.status}"

    @on_virtual_loop
    async def test_the_provider_does_not_retry(self) -> None:
        steps: list[ReplayStep] = [
            Reply(500, b"oops"),
            Reply(429, b"{}", {"retry-after": "0"}),
            Reply(200, b"\xff"),
            httpx.ConnectError("refused"),
            httpx.ReadError("reset"),
            None,
        ]
        for step in steps:
            for ask, _ in self._ways():
                bench = Bench(self, step)
                error = await error_of(ask(bench, bench.call()))
                count = len(bench.transport.requests)
                assert count == 1, f"{count} requests for one call that ended with {error!r}"

    @on_virtual_loop
    async def test_a_failed_connection_is_a_connection_failed(self) -> None:
        for ask, _ in self._ways():
            bench = Bench(self, httpx.ConnectError("refused"))
            error = await error_of(ask(bench, bench.call()))
            assert isinstance(error, ConnectionFailed), f"got {error!r}"
            assert not error.sent, "nothing was sent, and the error does not say so"

    @on_virtual_loop
    async def test_an_upstream_that_never_answers_is_given_up_in_time(self) -> None:
        for ask, _ in self._ways():
            bench = Bench(self, None)
            before = bench.now()
            error = await error_of(ask(bench, bench.call(seconds=PATIENCE)))
            assert isinstance(error, AttemptTimeout), f"got {error!r}"
            assert bench.now() - before < 2 * PATIENCE, "pass `limits=call.limits` on"

    def test_whatever_the_upstream_sends_only_our_errors_come_out(self) -> None:
        ways = [(name, canned) for name, canned in self._bodies() if canned is not None]

        @settings(max_examples=100, deadline=None)
        @given(st.sampled_from(ways), st.data())
        def law(way: tuple[str, Reply], data: st.DataObject) -> None:
            name, reply = way
            body = data.draw(
                st.one_of(st.binary(max_size=80), spoiled(reply.body), other_value(reply.body)),
                label="body",
            )
            status = data.draw(st.sampled_from((200, 200, 200, 201, 400, 404, 429, 500)), label="status")
            run(self._only_our_errors(name, replace(reply, status=status, body=body)))

        law()

    # ── cancelling ───────────────────────────────────────────────────────────────────────────────────

    @on_virtual_loop
    async def test_cancelling_before_the_answer_passes_through_and_ends_the_request(self) -> None:
        for ask, _ in self._ways():
            bench = Bench(self, None)
            await cancelled(ask(bench, bench.call()), lambda b=bench: bool(b.transport.requests))  # type: ignore[misc]
            await turns()
            assert bench.transport.cancelled == 1, "the request goes on at the upstream"

    @on_virtual_loop
    async def test_cancelling_while_the_answer_arrives_passes_through_and_closes_it(self) -> None:
        canned = self._chat()
        for length in (0, len(canned.body) // 2):
            bench = Bench(self, canned.reply.until(length, "silence"))
            work = bench.provider.chat(self.request, bench.call())
            await cancelled(work, lambda b=bench: bool(b.transport.bodies))  # type: ignore[misc]
            await bench.check_released()

    @on_virtual_loop
    async def test_cancelling_mid_stream_passes_through_and_abort_closes_it_at_once(self) -> None:
        canned = self._stream()
        for length in (0, len(canned.body) // 2):
            bench = Bench(self, canned.reply.until(length, "silence"))
            source = await bench.provider.stream(self.request, bench.call())
            await cancelled(exhausted(source, bench), lambda: True)

            source.abort()

            await bench.check_released()

    @on_virtual_loop
    async def test_a_stream_closed_early_gives_its_connection_back(self) -> None:
        canned = self._stream()
        for close in ("aclose", "abort"):
            for steps in (0, 1, 2):
                bench = Bench(self, canned.reply.cut_by(2))
                source = await bench.provider.stream(self.request, bench.call())
                for _ in range(steps):
                    await source.next(bench.now() + PATIENCE)
                if close == "aclose":
                    await source.aclose()
                else:
                    source.abort()
                await bench.check_released()

    # ── together ─────────────────────────────────────────────────────────────────────────────────────

    @on_virtual_loop
    async def test_fifty_calls_at_once_do_not_mix(self) -> None:
        for name, canned in (("chat", self.chat_ok), ("stream", self.stream_ok)):
            if canned is None:
                continue
            word = word_of(canned)
            replies = {f"req-{n}": distinct(canned, word, n).cut_by(n + 2) for n in range(50)}
            bench = Bench(self, lambda request, r=replies: r.get(request.headers["x-pointsman-request-id"]))  # type: ignore[misc]

            async def ask(n: int, bench: Bench = bench, name: str = name) -> str:
                call = bench.call(request_id=f"req-{n}")
                if name == "chat":
                    return (await bench.provider.chat(self.request, call)).text
                told = await bench.read(await bench.provider.stream(self.request, call))
                assert told.error is None, f"call {n} ended with {told.error!r}"
                return assembled(told.events).text

            texts = await asyncio.gather(*(ask(n) for n in range(50)))

            for n, text in enumerate(texts):
                assert text == renamed(canned.text, word, n), f"call {n} got {text!r}"

    # ── management ───────────────────────────────────────────────────────────────────────────────────

    @on_virtual_loop
    async def test_models_lists_what_the_upstream_has(self) -> None:
        if self.models_ok is None:
            pytest.skip("no canned models_ok")
        bench = Bench(self, self.models_ok.reply)

        models = await bench.provider.models()

        assert [each.id for each in models] == list(self.models_ok.ids)
        await bench.check_released()

    @on_virtual_loop
    async def test_probe_returns_for_a_healthy_upstream_and_raises_for_any_other(self) -> None:
        healthy = self.probe_ok or (self.models_ok.reply if self.models_ok is not None else None)
        if healthy is None:
            pytest.skip("no canned probe_ok or models_ok")
        await Bench(self, healthy).provider.probe()

        ill: list[ReplayStep] = [Reply(500, b"oops"), Reply(503, b""), httpx.ConnectError("refused"), None]
        for step in ill:
            bench = Bench(self, step)
            error = await error_of(bench.provider.probe())
            assert isinstance(error, ProviderError), f"got {error!r}"
            assert len(bench.transport.requests) == 1, "a probe that fails is not repeated"

    @on_virtual_loop
    async def test_closing_the_provider_closes_what_it_opened(self) -> None:
        bench = Bench(self, self.models_ok.reply if self.models_ok is not None else Reply())
        if self.models_ok is not None:
            await bench.provider.models()
            assert not bench.transport.closed, "the provider's client is closed after one call"

        await bench.provider.aclose()

        used = bool(bench.transport.requests)
        assert bench.transport.closed == used, "close in `aclose` what was made with `context.open`"

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────

    def _origin(self) -> str:
        return self.base_url.split("/", 3)[0] + "//" + self.base_url.split("/", 3)[2]

    def _chat(self) -> CannedChat:
        return self.chat_ok or pytest.skip("the provider has no whole answers")

    def _stream(self) -> CannedStream:
        return self.stream_ok or pytest.skip("the provider has no streams")

    def _streams(self) -> list[CannedStream]:
        return [self._stream(), *([self.stream_tools] if self.stream_tools is not None else [])]

    def _ways(self) -> list[tuple[Callable[[Bench, Call], Coroutine[Any, Any, Any]], Reply]]:
        """How the provider is called, in whole and as a stream to its end, with an answer for each."""

        async def chat(bench: Bench, call: Call) -> None:
            await bench.provider.chat(self.request, call)

        async def stream(bench: Bench, call: Call) -> None:
            told = await bench.read(await bench.provider.stream(self.request, call))
            if told.error is not None:
                raise told.error

        ways: list[tuple[Callable[[Bench, Call], Coroutine[Any, Any, Any]], Reply]] = []
        if self.chat_ok is not None:
            ways.append((chat, self.chat_ok.reply))
        if self.stream_ok is not None:
            ways.append((stream, self.stream_ok.reply))
        return ways or pytest.skip("neither chat_ok nor stream_ok is given")

    def _bodies(self) -> Iterator[tuple[str, Reply | None]]:
        for name in ("chat_ok", "stream_ok", "stream_tools", "mid_stream_error", "models_ok"):
            canned = getattr(self, name)
            yield name, None if canned is None else canned.reply
        for canned in self.errors:
            if self.chat_ok is not None:
                yield "chat_ok", canned.reply

    async def _only_our_errors(self, name: str, reply: Reply) -> None:
        bench = Bench(self, reply)
        try:
            if name == "chat_ok":
                await bench.provider.chat(self.request, bench.call())
            elif name == "models_ok":
                await bench.provider.models()
            else:
                await bench.stream(reply)
        except CallError:
            pass
        await bench.check_released()

    def _asked(self, bench: Bench, request: Request) -> list[Callable[[], Awaitable[Any]]]:
        provider = bench.provider
        match request:
            case GenerateRequest():
                return [lambda: provider.generate(request, bench.call())]
            case EmbedRequest():
                return [lambda: provider.embed(request, bench.call())]
            case _:
                return [
                    lambda: provider.chat(request, bench.call()),
                    lambda: provider.stream(request, bench.call()),
                ]

    async def _everything_shown(self) -> dict[str, str]:
        bench = Bench(self)
        call = bench.call()
        objects = (bench.provider, bench.endpoint, call, call.http)
        shown = {f"the repr of {type(each).__name__}": f"{each!r} {each}" for each in objects}
        steps: list[ReplayStep] = [
            *(each.reply for each in self.errors),
            Reply(200, b"\xff"),
            Reply(401, b""),
            Reply(401, f"the key {KEY} is wrong".encode()),
            Reply(500, f'{{"error": {{"message": "no such key: {KEY}"}}}}'.encode()),
            Reply(500, _EDGE_PAGE),
            httpx.ConnectError("refused"),
            httpx.ReadError("reset"),
            None,
        ]
        if self.mid_stream_error is not None:
            steps.append(self.mid_stream_error.reply)
        for ask, reply in self._ways():
            for step in [*steps, reply.until(len(reply.body) // 2), reply.until(9, "break")]:
                bench = Bench(self, step)
                try:
                    await ask(bench, bench.call())
                except CallError as error:
                    where = f"the {type(error).__name__} of {step!r}"
                    chain = "".join(traceback.format_exception(error))
                    shown[where] = f"{error} {error!r} {vars(error)!r} {chain}"
        return shown


def _said(error: CallError | None) -> tuple[type, str] | None:
    return None if error is None else (type(error), str(error))


def _no_network(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("making the provider touched the network")
