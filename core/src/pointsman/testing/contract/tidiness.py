"""What a provider owes the router beside the answer: what it keeps, changes, opens and delays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from inspect import isawaitable, iscoroutine
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from pointsman.errors import CallError
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.harness import PATIENCE, Bench, cancelled
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import ProviderSubject, Way
from pointsman.testing.contract.watching import Company, blocks_kept, least_seconds_of, network_refused
from pointsman.testing.replay import CannedReply, ReplayStep
from pointsman.types import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    Image,
    Message,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
)

_LONGEST = 0.05
_NO_TIME = 0.001
_CALLERS = 12


class TidinessTerms(ProviderSubject, terms=True):
    """A call leaves nothing behind, changes nothing that it was given, and holds nobody up."""

    @rule("PROVIDER-48", "What one attempt changes in a request, the next one sends to somebody else.")
    @on_virtual_loop
    async def test_nothing_that_a_call_is_given_is_changed(self) -> None:
        for way in self._operations():
            bench = Bench(self, way.reply, anyhow=True)
            for request in _variants(way.request):
                call = replace(bench.call(), options=deepcopy(dict(self.options)))
                before, options = deepcopy(asdict(request)), deepcopy(call.options)
                with suppress(CallError):
                    await way.ask(bench, call, request)
                for name, value in asdict(request).items():
                    assert value == before[name], f"{way.name}: it changes `{name}` of its request"
                assert call.options == options, f"{way.name}: it changes the options of the deployment"

    @rule("PROVIDER-49", "All other calls of the process stand still meanwhile.")
    @on_virtual_loop
    async def test_a_call_never_keeps_the_event_loop(self) -> None:
        async for name, ask in self._every_call():
            took = await least_seconds_of(ask, limit=_LONGEST)
            assert took < _LONGEST, (
                f"{name}: it keeps the event loop for {took:.3f} s; await, or use a thread"
            )

    @rule("PROVIDER-50", "Whoever waits for the answer waits longer, and the router cannot know why.")
    @on_virtual_loop
    async def test_a_call_waits_for_nothing_but_its_upstream(self) -> None:
        loop = asyncio.get_running_loop()
        async for name, ask in self._every_call():
            before = loop.time()
            await ask()
            waited = loop.time() - before
            assert waited < _NO_TIME, (
                f"{name}: it waits {waited:g} s by itself; waiting is the router's business"
            )

    @rule(
        "PROVIDER-51",
        "Calls leave by a way that has neither the proxy, nor the limits, nor the time of the others.",
    )
    @on_virtual_loop
    async def test_nothing_goes_out_but_by_the_client(self) -> None:
        with network_refused() as wanted:
            async for name, ask in self._every_call():
                try:
                    await ask()
                except Exception as error:
                    if not wanted:
                        raise
                    raise AssertionError(f"{name}: it wants to go to {wanted[0]} by itself") from error
                assert not wanted, f"{name}: it wants to go to {wanted[0]} by itself; use `call.client`"

    @rule("PROVIDER-52", "A router that was closed goes on, and what is left adds up with each reload.")
    @on_virtual_loop
    async def test_nothing_is_at_work_when_it_is_closed(self) -> None:
        company = Company()
        for way in self._operations():
            for step in self._steps(way):
                bench = Bench(self, step, anyhow=True)
                await _asked(way, bench)
                await bench.provider.aclose()
            if bench.provider.endpoint is None:
                continue  # nobody can say when it waits
            bench = Bench(self, None)
            await cancelled(way.ask(bench), lambda b=bench: bool(b.transport.requests))  # type: ignore[misc]
            await bench.provider.aclose()
        await asyncio.sleep(2)  # of a loop on which that takes no time
        assert not (left := company.newcomers()), f"it goes on after `aclose`: {', '.join(left)}"

    @rule("PROVIDER-53", "The process grows with each call until the machine ends it.")
    @on_virtual_loop
    async def test_calls_leave_nothing_behind_in_memory(self) -> None:
        ways = self._operations()
        benches = [Bench(self, way.reply, anyhow=True) for way in ways]

        async def ask(turn: int) -> None:
            bench, way = benches[turn % len(ways)], ways[turn % len(ways)]
            bench.transport.requests.clear()
            bench.transport.bodies.clear()
            bench.reply = CannedReply(500, b"%d" % turn) if turn % 7 == 6 else way.reply
            await _asked(way, bench, _numbered(way.request, turn), bench.call(request_id=f"req-{turn}"))

        kept = await blocks_kept(ask)
        # Each way has its share of the turns, and each thing that is kept is some blocks.
        assert kept < 0.5, f"each call leaves {kept:.1f} blocks of memory behind; keep nothing of a call"

    @rule("PROVIDER-54", "A reload or a shutdown ends with a traceback, or never.")
    @on_virtual_loop
    async def test_it_may_be_closed_twice_and_asked_once_more(self) -> None:
        bench = Bench(self, anyhow=True)
        await bench.provider.aclose()
        for way in self._operations():
            bench = Bench(self, way.reply, anyhow=True)
            await _asked(way, bench)
            for _ in range(2):
                await bench.provider.aclose()
            await _asked(way, bench)
            await bench.provider.aclose()
        managed = self.models_ok.reply if self.models_ok is not None else CannedReply()
        bench = Bench(self, managed, anyhow=True)
        for _ in range(2):
            with suppress(CallError):
                await bench.provider.models()
            await bench.provider.aclose()

    @rule("PROVIDER-55", "A prompt is answered to somebody else.")
    @on_virtual_loop
    async def test_calls_at_once_send_what_each_was_given(self) -> None:
        for way in self._operations():
            Bench(self)  # which leaves those alone that send nothing
            alone = [await self._sent(way, [n]) for n in range(_CALLERS)]
            together = await self._sent(way, range(_CALLERS))
            for n, sent in enumerate(alone):
                assert together.get(n) == sent[n], (
                    f"{way.name}: call {n} of {_CALLERS} sent another's request"
                )

    @rule("PROVIDER-56", "The router cannot end a stream that nobody wants any more, or fails where it does.")
    @on_virtual_loop
    async def test_a_stream_has_the_members_that_the_router_uses_in_any_order(self) -> None:
        canned = self._stream()
        for order in (
            ("aclose", "aclose"),
            ("abort", "aclose"),
            ("aclose", "abort"),
            ("abort", "abort", "next"),
        ):
            for steps in (0, 1):
                bench = Bench(self, canned.reply.cut_by(2), anyhow=True)
                source = await bench.provider.stream(self.request, bench.call())
                assert isinstance(source.upstream_request_id, str), (
                    "`upstream_request_id` of a stream is a text"
                )
                for _ in range(steps):
                    events = await source.next(bench.now() + PATIENCE)
                    assert events is None or isinstance(events, Sequence), (
                        f"next() gives a {type(events).__name__}"
                    )
                for method in order:
                    await _ended(source, method, bench.now() + PATIENCE)
                await bench.check_released()

    @rule("PROVIDER-57", "Models stand twice in every list, or under no name at all.")
    @on_virtual_loop
    async def test_models_are_listed_once_each_time_that_they_are_asked_for(self) -> None:
        if self.models_ok is None:
            pytest.skip("no canned models_ok")
        bench = Bench(self, self.models_ok.reply)
        for _ in range(2):
            ids = [each.id for each in await bench.provider.models()]
            assert all(isinstance(each, str) and each for each in ids), f"a model without a name: {ids}"
            assert len(set(ids)) == len(ids), f"a model that is listed twice: {ids}"
            assert ids == list(self.models_ok.ids), f"the second time they are {ids}"

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────────

    def _steps(self, way: Way) -> Iterator[ReplayStep]:
        """What an upstream may do: answer, refuse, fail, break off."""
        yield way.reply
        yield CannedReply(500, b"oops")
        yield CannedReply(429, b"{}", {"retry-after": "2"})
        yield way.reply.until(len(way.reply.body) // 2, "break")

    async def _every_call(self) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """All that can be asked, whatever comes of it, by name."""
        for way in self._operations():
            for step in self._steps(way):
                bench = Bench(self, step, anyhow=True)
                yield way.name, lambda w=way, b=bench: _asked(w, b)  # type: ignore[misc]
        if self.models_ok is not None:
            yield "models", self._managed(Bench(self, self.models_ok.reply))

    def _managed(self, bench: Bench) -> Callable[[], Awaitable[None]]:
        async def manage() -> None:
            await bench.provider.models()

        return manage

    async def _sent(self, way: Way, numbers: Sequence[int]) -> dict[int, bytes]:
        """What is sent for the requests of these numbers, which are made at once."""
        bench = Bench(self, way.reply, anyhow=True)
        calls = [
            _asked(way, bench, _numbered(way.request, n), bench.call(request_id=f"req-{n}")) for n in numbers
        ]
        await asyncio.gather(*calls)
        sent = bench.transport.requests
        found = {each.headers.get("x-pointsman-request-id", ""): each.content for each in sent}
        return {n: found[f"req-{n}"] for n in numbers if f"req-{n}" in found}


async def _asked(way: Way, bench: Bench, request: Request | None = None, call: Any = None) -> None:
    """Ask, whatever comes of it."""
    with suppress(CallError):
        await way.ask(bench, call, request)


async def _ended(source: Any, method: str, until: float) -> None:
    if method == "next":
        with suppress(CallError):
            await source.next(until)
        return
    made = getattr(source, method)()
    if method == "abort":
        if iscoroutine(made):
            made.close()
        assert not isawaitable(made), "abort() is async; nobody awaits it"
    else:
        await made


def _numbered(request: Request, n: int) -> Request:
    match request:
        case ChatRequest():
            return replace(request, messages=(Message.user(f"question {n}"),))
        case GenerateRequest():
            return replace(request, prompt=f"question {n}")
        case EmbedRequest():
            return replace(request, texts=tuple(f"{each} {n}" for each in request.texts))


def _variants(request: Request) -> Iterator[Request]:
    """Requests with everything in them that could be changed, as far as the provider takes it."""
    extra = {"extra": {"a": {"b": [1]}}}
    yield request
    yield replace(request, **extra)
    if isinstance(request, EmbedRequest):
        yield replace(request, texts=list(request.texts))
        return
    yield replace(request, stop=["x", "y"])
    if isinstance(request, GenerateRequest):
        return
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    yield replace(request, tools=[Tool("t", "d", deepcopy(schema))])
    yield replace(request, response_format=ResponseFormat("schema", deepcopy(schema)))
    yield replace(request, logit_bias={"7": 1.0}, metadata={"a": "b"})
    called = [ToolCall("c", "t", "{}")]
    yield replace(
        request,
        messages=[
            Message.system("be brief"),
            Message.user([Text("a"), Image(b"\x89PNG")]),
            Message.assistant("", called),
            Message.tool("c", "x", name="t"),
        ],
        tools=[Tool("t", "d", deepcopy(schema))],
    )
    yield replace(request, messages=[Message.system("be brief"), Message.user("a"), Message.assistant("b")])
