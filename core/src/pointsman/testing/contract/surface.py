"""What every surface owes the gateway, its callers and the models that they ask."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, get_args

import pytest
from msgspec import Struct

from pointsman.errors import RequestError, Unavailable
from pointsman.plugins.routes import wrong_routes
from pointsman.surface import Caller, ProblemDetails, ProblemKind, Route, Surface, Understood, WholeReply
from pointsman.testing.contract.enforcement import Contract, check_made, on_virtual_loop
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import least_seconds_of
from pointsman.testing.loop import run
from pointsman.testing.surface_host import AskedCall, Served, SurfaceHost, events_of_answer
from pointsman.types import ChatRequest, ChatResponse, EmbedRequest, EmbedResponse, Request, Usage

_KEY = "canary-key-5c0ffee5"
_CARRIERS = {"authorization": f"Bearer {_KEY}", "x-api-key": _KEY, "cookie": f"session={_KEY}"}
_MODELS = ("small-7f", "large-9c")
_WORDS = "It is raining in Paris, and nobody minds."
_ANSWER = ChatResponse(_WORDS, usage=Usage(7, 9), model="upstream-model", id="one")
_VECTORS = EmbedResponse([[0.5, -1.0], [0.25, 1.0]], Usage(3, 0), "upstream-model")
_LONGEST = 0.1
"""Seconds that a request may keep the loop, with the making of a surface and one problem."""
_FAULTS = frozenset(("overloaded", "upstream", "timeout", "internal"))
"""Problems that are not of the caller's making."""
_ODD: tuple[Any, ...] = (None, True, 1, 0.5, "x", "", [], {}, [None], [[]], {"a": 1}, "\ud800", -1, 10**30)
_ODD_TEXT = 'a "quoted" word\n\u2028 \U0001f6a6 \ud800 </script> \x00'


class CannedAsk(Struct, frozen=True, kw_only=True):
    """One request as a caller sends it, and what it means.

    Attributes:
        body: JSON.
        model: the public name that it asks for.
        text: words of it that the model must be told.
        stream: whether the answer is to come in pieces.
    """

    path: str
    body: bytes
    model: str
    text: str
    stream: bool = False
    method: str = "POST"
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}


class SurfaceContract(Contract, terms=True):
    """What every surface owes the gateway. Write `make`, and requests for models into `asks`.

    Attributes:
        asks: at least one for each kind of body that it reads, whole and streamed.
    """

    asks: ClassVar[Sequence[CannedAsk]] = ()

    def make(self, host: SurfaceHost) -> Surface:
        """A fresh surface: what `host.make` makes of its factory, always with the same settings."""
        raise NotImplementedError("write `make`, which returns host.make(factory, settings)")

    # ── what it is ──────────────────────────────────────────────────────────────────────────────────

    @rule("SURFACE-01", "The first request would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("surface", self.make(SurfaceHost()))

    @rule("SURFACE-02", "The gateway would refuse to start, with its package installed.")
    def test_its_routes_can_be_asked_for_and_each_is_there_once(self) -> None:
        wrong = wrong_routes(self.make(SurfaceHost()).routes())
        assert wrong is None, f"it is one {wrong}"

    # ── problems ────────────────────────────────────────────────────────────────────────────────────

    @rule("SURFACE-03", "Clients go by the status: they would give up, or ask again, at the wrong time.")
    def test_each_problem_has_a_status_that_says_whose_fault_it_is(self) -> None:
        surface = self.make(SurfaceHost())
        for kind in get_args(ProblemKind):
            reply = _reply(surface.problem(_problem(kind)))
            first, said = (500, "5xx") if kind in _FAULTS else (400, "4xx")
            assert first <= reply.status < first + 100, f"{kind}: status {reply.status}, expected a {said}"

    @rule("SURFACE-04", "A caller who is not told why looks for the reason in the wrong place.")
    def test_each_problem_says_what_went_wrong_whatever_letters_that_has(self) -> None:
        surface = self.make(SurfaceHost())
        for kind in get_args(ProblemKind):
            for message in ("nobody minds the rain", _ODD_TEXT):
                reply = _reply(surface.problem(_problem(kind, message)))
                assert message[:10] in _shown(reply), f"{kind}: its message is not in {reply.body!r:.200}"

    # ── requests and answers ────────────────────────────────────────────────────────────────────────

    @rule("SURFACE-05", "What is lost on the way nobody misses, until the answer makes no sense.")
    @on_virtual_loop
    async def test_what_is_asked_reaches_the_model_that_was_named(self) -> None:
        for ask in self._asks():
            _, (call,) = await self._ask(ask)
            request, caller = call.understood.request, call.asked.caller
            assert request.model == ask.model, f"{ask.path}: it asks {request.model!r}, not {ask.model!r}"
            assert ask.text in _said(request), f"{ask.path}: what it asks for lacks {ask.text!r}"
            assert call.understood.stream == ask.stream, f"{ask.path}: stream is {call.understood.stream}"
            assert caller.name == "somebody", f"{ask.path}: it asks on behalf of {caller.name!r}"

    @rule("SURFACE-06", "The caller would pay for an answer and not see it.")
    @on_virtual_loop
    async def test_the_answer_reaches_the_caller_whole_and_in_pieces(self) -> None:
        for ask in self._asks():
            served, (call,) = await self._ask(ask)
            assert served.status == 200, f"{ask.path}: status {served.status}, expected 200"
            text = served.body.decode()
            if isinstance(call.understood.request, EmbedRequest):
                continue
            lost = _lost(text) if ask.stream else "" if _WORDS in text else _WORDS
            assert not lost, f"{ask.path}: {lost!r} is not in the answer, or not in order: {text!r:.300}"

    @rule("SURFACE-07", "How the network cuts an answer would decide what it says.")
    @on_virtual_loop
    async def test_nothing_is_lost_of_events_that_come_together(self) -> None:
        for ask in self._streamed():
            for size in (1, 3, 100):
                writer, events = (await self._understood(ask)).writer, [*events_of_answer(_ANSWER)]
                parts = [events[at : at + size] for at in range(0, len(events), size)]
                text = b"".join(map(writer.events, parts)).decode()
                lost = _lost(text)
                assert not lost, f"{ask.path}: of {size} events at once {lost!r} is lost in {text!r:.300}"

    @rule("SURFACE-08", "A stream that ends in the midst looks like a short answer.")
    @on_virtual_loop
    async def test_a_failure_in_the_midst_of_a_stream_is_told(self) -> None:
        for ask in self._streamed():
            for begun in (0, 3):
                writer = (await self._understood(ask)).writer
                writer.events([*events_of_answer(_ANSWER)][:begun])
                said = writer.failure(_problem("upstream", "nobody minds the rain"))
                assert b"nobody minds" in said, f"{ask.path}: a failure is written as {said!r:.200}"

    @rule("SURFACE-09", "Whoever sends nonsense would be told that the gateway is broken, and ask again.")
    @on_virtual_loop
    async def test_whatever_is_sent_is_answered_or_refused(self) -> None:
        for ask in self._asks():
            for body in _variants(ask.body):
                surface = self.make(host := SurfaceHost(_ANSWER, models=_MODELS))
                try:
                    served = await host.ask(ask.method, ask.path, body, query=ask.query)
                except RequestError:  # then the gateway says why
                    continue
                except Exception as error:
                    raise AssertionError(f"{ask.path}: {body!r:.200} raises {error!r}") from error
                known = "it answers" if served.status == 200 else f"it answers {served.status} to"
                assert served.status < 500, f"{ask.path}: {known} {body!r:.200}; {surface!r}"

    @rule("SURFACE-10", "A client would take a failure for an answer, or never learn that it may ask again.")
    @on_virtual_loop
    async def test_what_a_model_cannot_answer_is_told_as_the_gateway_says_it(self) -> None:
        for ask in self._asks():
            host = SurfaceHost(Unavailable("nobody minds the rain"), models=_MODELS)
            surface = self.make(host)
            said = _reply(surface.problem(_problem("invalid", "nobody minds the rain")))
            served = await _sent(host, ask)
            assert served.status == said.status, f"{ask.path}: it answers {served.status} in its place"

    # ── what it must not do ─────────────────────────────────────────────────────────────────────────

    @rule("SURFACE-11", "Keys would stand in answers, and from there in logs and caches.")
    @on_virtual_loop
    async def test_no_credential_of_a_caller_stands_in_an_answer(self) -> None:
        for ask in self._everything():
            self.make(host := SurfaceHost(_ANSWER, models=_MODELS))
            served = await _asked(host, ask, Caller("somebody"))
            told = f"{served.fields!r} {served.body.decode('utf-8', 'replace')}"
            assert _KEY not in told, f"{ask.method} {ask.path}: the answer holds the caller's credential"

    @rule("SURFACE-12", "Who may use one model would learn of all the others.")
    @on_virtual_loop
    async def test_nobody_learns_of_models_that_he_may_not_use(self) -> None:
        for ask in self._everything():
            if ask.method == "GET":
                self.make(host := SurfaceHost(_ANSWER, models=_MODELS))
                caller = Caller("somebody", frozenset(_MODELS[:1]))
                served = await _asked(host, ask, caller)
                assert _MODELS[1].encode() not in served.body, f"{ask.path}: it names a model of others"

    @rule("SURFACE-13", "What is left at work goes on when nobody waits for it, and costs what it asks for.")
    @on_virtual_loop
    async def test_nothing_is_left_at_work(self) -> None:
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        for ask in self._everything():
            self.make(host := SurfaceHost(_ANSWER, models=_MODELS))
            await _asked(host, ask, Caller("somebody"))
        left = [*(asyncio.all_tasks() - tasks), *(set(threading.enumerate()) - threads)]
        assert not left, f"still at work: {left!r:.300}"

    @rule(
        "SURFACE-14", "Every stream of the gateway stands still while it reads a body, or writes an answer."
    )
    def test_it_does_not_hold_up_the_loop(self) -> None:
        async def told(ask: CannedAsk) -> None:
            surface = self.make(host := SurfaceHost(_ANSWER, models=_MODELS))
            await _asked(host, ask, Caller("somebody"))
            surface.problem(_problem("upstream"))

        for ask in self._everything():
            took = run(least_seconds_of(lambda ask=ask: told(ask), limit=_LONGEST))  # type: ignore[misc]
            assert took < _LONGEST, f"{ask.method} {ask.path}: nobody else could work for {took:.3f} s"

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────

    def _asks(self) -> Sequence[CannedAsk]:
        return self.asks or pytest.skip("it has nothing in `asks`")

    def _streamed(self) -> Sequence[CannedAsk]:
        return [each for each in self._asks() if each.stream] or pytest.skip("nothing in `asks` is streamed")

    async def _ask(self, ask: CannedAsk) -> tuple[Served, list[AskedCall]]:
        answer = _ANSWER
        self.make(host := SurfaceHost(answer, models=_MODELS))
        served = await _sent(host, ask)
        if [type(each.understood.request) for each in host.calls] == [EmbedRequest]:
            self.make(host := SurfaceHost(_VECTORS, models=_MODELS))
            served = await _sent(host, ask)
        assert len(host.calls) == 1, f"{ask.path}: it asked {len(host.calls)} times: {served.body!r:.200}"
        return served, host.calls

    async def _understood(self, ask: CannedAsk) -> Understood:
        _, (call,) = await self._ask(ask)
        return call.understood

    def _everything(self) -> Iterator[CannedAsk]:
        """Whatever can be asked for without knowing more: the canned requests, and what takes no body."""
        yield from self.asks
        for route in self.make(SurfaceHost()).routes():
            if isinstance(route, Route) and route.method == "GET" and "{" not in route.path:
                yield CannedAsk(method=route.method, path=route.path, body=b"", model="", text="")


def _problem(kind: Any, message: str = "no") -> ProblemDetails:
    return ProblemDetails(kind, message, "some_code", "gateway", "req-1", retry_after=2.0)


def _reply(given: object) -> WholeReply:
    assert isinstance(given, WholeReply), f"problem() gave a {type(given).__name__}, expected a WholeReply"
    assert isinstance(given.body, bytes), f"the body of its problem is a {type(given.body).__name__}"
    return given


def _shown(reply: WholeReply) -> str:
    """All text in a reply, decoded where it says that it is JSON."""
    if "json" not in reply.content_type:
        return reply.body.decode("utf-8", "replace")
    try:
        return "\n".join(_texts(json.loads(reply.body)))
    except ValueError as error:
        raise AssertionError(f"what it says of a problem is no JSON: {error}: {reply.body!r:.200}") from None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _lost(text: str) -> str:
    """From where on the words of the answer are not in `text`, in pieces and in order; "" when they are."""
    rest = _WORDS
    while rest:
        for length in range(len(rest), min(len(rest), 5) - 1, -1):
            _, found, after = text.partition(rest[:length])
            if found:
                rest, text = rest[length:], after
                break
        else:
            return rest
    return ""


def _said(request: Request) -> str:
    if isinstance(request, ChatRequest):
        return "\n".join(message.text for message in request.messages)
    return "\n".join(request.texts) if isinstance(request, EmbedRequest) else request.prompt


def _variants(body: bytes) -> Iterator[bytes]:
    """`body` without each of its members, and with each as something odd."""
    yield b"{}"
    value = json.loads(body)
    for name in value:
        yield json.dumps({key: each for key, each in value.items() if key != name}).encode()
        for odd in _ODD:
            yield json.dumps({**value, name: odd}).encode()
    yield json.dumps({**value, "member_that_nobody_knows": 1}).encode()


async def _sent(host: SurfaceHost, ask: CannedAsk) -> Served:
    return await host.ask(ask.method, ask.path, ask.body, query=ask.query, headers=ask.headers)


async def _asked(host: SurfaceHost, ask: CannedAsk, caller: Caller) -> Served:
    carriers = {**ask.headers, **_CARRIERS}
    try:
        return await host.ask(
            ask.method, ask.path, ask.body, query=ask.query, headers=carriers, caller=caller
        )
    except RequestError as error:
        return Served(400, error.message.encode(), "text/plain")
