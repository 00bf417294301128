"""What every transport owes the router."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import pytest
from msgspec import Struct

from pointsman._internal.httpx_lazy import httpx
from pointsman._internal.scrubber import Scrubber
from pointsman.build.contexts import Contexts
from pointsman.build.transports import Transports
from pointsman.clock import LoopClock, system_rng
from pointsman.plugins.registry import Plugins
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.local_server import PIECES, LocalServer
from pointsman.testing.contract.rules import rule
from pointsman.transports.factory import TransportFactory
from pointsman.transports.httpx_messages import exchange_over
from pointsman.transports.options import TransportOptions, TransportUnavailable
from pointsman.transports.raw import RawTransport, Reply, RequestTemplate

_CANARY = "canary-5c0ffee5"
_PROXY = f"://user:{_CANARY}@127.0.0.1:9"
_ASKED = {
    "nothing in particular": TransportOptions(),
    "no limit": TransportOptions(max_connections=None),
    "HTTP/2": TransportOptions(http2=True),
    "a proxy": TransportOptions(proxy=f"http{_PROXY}"),
    "a SOCKS proxy": TransportOptions(proxy=f"socks5{_PROXY}"),
}
_OURS = {b"host", b"accept", b"x-pointsman-request-id", b"content-length"}
_Exchange = Callable[[RequestTemplate, tuple[str, ...], bytes], Awaitable[Reply]]
_Work = Callable[["_Bench"], Awaitable[None]]


class TransportContract(Contract, terms=True):
    """What every transport owes the router. Write `factory`, or `make`.

    Each test talks to a server on this machine, as the router does: one that is a `RawTransport` is tried
    with and without the requests of httpx.

    Attributes:
        factory: what the plugin offers.
        settings: of the transport, as a configuration has them.
        patience: seconds after which whatever has not come to an end never will.
    """

    factory: TransportFactory
    settings: ClassVar[Mapping[str, Any]] = {}
    patience: ClassVar[float] = 5.0

    def make(self, options: TransportOptions) -> httpx.AsyncBaseTransport:
        """A fresh transport."""
        factory, contexts = self.factory, Contexts(LoopClock(), system_rng())
        others = Transports(Plugins(()), contexts, Scrubber())
        made: httpx.AsyncBaseTransport = factory.make(
            contexts.transport(
                factory.name,
                None if factory.settings is None else factory.settings.model_validate(self.settings),
                options=options,
                inner=partial(others.open, options=options),
                candidates=partial(others.candidates, options),
            )
        )
        return made

    @rule("TRANSPORT-01", "The first call would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        transport = self.make(TransportOptions())
        check_made("transport", transport)
        asyncio.run(transport.aclose())

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────

    @rule("TRANSPORT-02", "What is decoded or renamed on the way is decoded twice, or not found.")
    def test_an_answer_comes_as_it_was_sent(self) -> None:
        async def work(bench: _Bench) -> None:
            whole = await bench.told("/whole")
            assert (whole.status, whole.fields.get("x-said"), whole.body) == (200, "so", b"all of it")
            coded = await bench.told("/coded")
            assert coded.body == b"not really", "it looks into what it carries"

        self._try(work)

    @rule(
        "TRANSPORT-03",
        "Upstreams check signatures, and names of clients are nobody's business; what is added "
        "breaks the one and tells the other.",
    )
    def test_what_goes_out_is_what_the_request_holds(self) -> None:
        async def work(bench: _Bench) -> None:
            await bench.told("/whole", "POST", b"a body")
            head, _, body = bench.server.requests[0].partition(b"\r\n\r\n")
            line, *lines = head.split(b"\r\n")
            assert line == b"POST /whole?key=" + _CANARY.encode() + b" HTTP/1.1"
            assert body == b"a body"
            names = [each.partition(b":")[0].lower() for each in lines]
            assert sorted(names) == sorted(_OURS), f"header fields {names}"

        self._try(work)

    @rule(
        "TRANSPORT-04",
        "A redirect would carry the credential elsewhere, and what is asked again is paid for again.",
    )
    def test_nothing_is_followed_or_asked_again(self) -> None:
        async def work(bench: _Bench) -> None:
            assert [(await bench.told(path)).status for path in ("/moved", "/busy")] == [302, 503]
            await bench.fails("/gone")
            assert len(bench.server.requests) == 3, f"{len(bench.server.requests)} requests in place of 3"
            assert not [each for each in bench.server.requests if b"\r\ncookie:" in each.lower()]

        self._try(work)

    @rule("TRANSPORT-05", "The first token would come with the last.")
    def test_what_has_come_of_an_answer_is_told_before_the_rest_is_sent(self) -> None:
        async def work(bench: _Bench) -> None:
            reply = await bench.ask("/pieces")
            for piece in PIECES:
                assert await _some(reply) == piece
                bench.server.go_on()
            assert await _some(reply) is None, "the body goes on after its end"

        self._try(work)

    @rule("TRANSPORT-06", "The call would wait for a body until its time is up.")
    def test_an_answer_without_a_body_is_over_with_its_head(self) -> None:
        async def work(bench: _Bench) -> None:
            for method, path in (("GET", "/empty"), ("HEAD", "/head"), ("GET", "/204"), ("GET", "/304")):
                assert (await bench.told(path, method)).body == b"", f"{method} {path} has a body"

        self._try(work)

    # ── failures ─────────────────────────────────────────────────────────────────────────────────────

    @rule("TRANSPORT-07", "Half an answer would pass for a whole one.")
    def test_an_answer_that_breaks_off_is_an_error_and_never_a_short_one(self) -> None:
        async def work(bench: _Bench) -> None:
            for path in ("/cut", "/cut-chunked", "/broken", "/cut-head", "/gone"):
                await bench.fails(path)

        self._try(work)

    @rule(
        "TRANSPORT-08",
        "Only what was surely not sent may be sent again without the danger that it is paid for twice.",
    )
    def test_an_upstream_that_is_not_there_is_a_connect_error(self) -> None:
        async def work(bench: _Bench) -> None:
            error = await bench.fails("/whole", port=_closed_port())
            assert isinstance(error, httpx.ConnectError), f"{type(error).__name__}: was anything sent?"

        self._try(work)

    # ── giving up ────────────────────────────────────────────────────────────────────────────────────

    @rule("TRANSPORT-09", "The upstream goes on computing for somebody who has left.")
    def test_a_call_that_is_given_up_closes_its_connection(self) -> None:
        async def work(bench: _Bench) -> None:
            for path in ("/silent", "/begun"):
                await bench.give_up(path)
                await bench.deserted(f"after a call to {path} was cancelled")

        self._try(work)

    @rule("TRANSPORT-10", "Callers who have read enough would use up the connections one by one.")
    def test_an_answer_that_is_closed_early_closes_its_connection(self) -> None:
        async def work(bench: _Bench) -> None:
            for close in (_close, _abort):
                reply = await bench.ask("/begun")
                assert await _some(reply) is not None
                await close(reply)
                await bench.deserted("after its answer was closed")

        self._try(work)

    @rule("TRANSPORT-11", "The limit that protects a small server would be no limit.")
    def test_no_more_requests_are_under_way_than_it_may_have(self) -> None:
        async def work(bench: _Bench) -> None:
            first = await bench.ask("/pieces")
            second = asyncio.ensure_future(bench.told("/whole"))
            with suppress(TimeoutError):
                async with asyncio.timeout(min(0.2, self.patience / 2)):
                    await bench.server.asked(2)
            assert len(bench.server.requests) == 1, "max_connections is 1, and there are 2 requests"
            await _close(first)
            assert (await second).status == 200

        self._try(work, max_connections=1)

    @rule(
        "TRANSPORT-12",
        "Each failure would take one connection out of use, until a healthy upstream is out of reach.",
    )
    def test_the_place_is_free_again_however_a_call_ends(self) -> None:
        async def work(bench: _Bench) -> None:
            for end in bench.ends():
                await end()
                assert (await bench.told("/whole")).status == 200

        self._try(work, max_connections=1)

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────

    @rule(
        "TRANSPORT-13",
        "A router is built where no event loop runs, and may be closed before anybody called.",
    )
    def test_it_can_be_made_without_a_loop_and_closed_without_a_request(self) -> None:
        transport = self.make(TransportOptions())

        asyncio.run(_twice_closed(transport))

    @rule("TRANSPORT-14", "A program would not end, because a call waits in a transport that is closed.")
    def test_closing_it_ends_what_is_open(self) -> None:
        async def work(bench: _Bench) -> None:
            begun = await bench.ask("/begun")
            assert await _some(begun) is not None
            reading = asyncio.ensure_future(_some(begun))
            waiting = asyncio.ensure_future(bench.ask("/silent"))
            await bench.server.asked(2)
            await _twice_closed(bench.transport)
            for each in (reading, waiting):
                with pytest.raises((httpx.TransportError, RuntimeError)):
                    await each
            await bench.deserted("though it was closed")
            with pytest.raises(RuntimeError):
                await bench.ask("/whole")

        self._try(work)

    @rule("TRANSPORT-15", "A second loop, as in tests and notebooks, would hang for ever.")
    def test_another_event_loop_is_served_or_refused(self) -> None:
        async def work(bench: _Bench) -> None:
            async def elsewhere() -> None:
                async with asyncio.timeout(self.patience):
                    assert (await bench.told("/whole")).body == b"all of it"

            await bench.told("/whole")
            with suppress(RuntimeError):
                await asyncio.to_thread(asyncio.run, elsewhere())

        self._try(work)

    # ── what it says ─────────────────────────────────────────────────────────────────────────────────

    @rule("TRANSPORT-16", "Somebody reads this instead of an answer, and has to know what to change.")
    def test_what_it_refuses_it_says_in_words(self) -> None:
        for what, options in _ASKED.items():
            made = self._made_or_refused(options)
            assert not isinstance(made, str) or len(made.split()) > 2, f"{what}: {made!r} tells nobody why"

    @rule(
        "TRANSPORT-17",
        "The password of a proxy, or a key in an address, would stand in every log line of a failure.",
    )
    def test_neither_a_password_nor_the_way_of_a_request_is_shown(self) -> None:
        async def work(bench: _Bench) -> None:
            await bench.told("/whole")
            errors = [await bench.fails("/gone"), await bench.fails("/whole", port=_closed_port())]
            for each in (bench.transport, *errors):
                assert _CANARY not in f"{each!r} {each}", f"it stands in that of a {type(each).__name__}"

        self._try(work)
        for options in _ASKED.values():
            made = self._made_or_refused(options)
            assert _CANARY not in f"{made!r} {made}", "the password of a proxy is shown"

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────

    def _made_or_refused(self, options: TransportOptions) -> object:
        """A transport, or why there is none."""
        refusal = self.factory.refuses(options) if hasattr(self, "factory") else None
        if refusal is not None:
            return refusal
        try:
            return self.make(options)
        except TransportUnavailable as error:
            return str(error)

    def _try(self, work: _Work, **options: Any) -> None:
        """`work` with a fresh transport and a fresh server, by each way that the transport has."""
        for raw in (False, True):
            transport = self.make(TransportOptions(**options))
            asyncio.run(self._run(transport, raw, work))
            if not isinstance(transport, RawTransport):
                break

    async def _run(self, transport: Any, raw: bool, work: _Work) -> None:
        async with LocalServer() as server:
            try:
                async with asyncio.timeout(self.patience * 2):
                    await work(_Bench(transport, raw, server, self.patience))
            except TimeoutError:
                raise AssertionError("it waits for what will never come") from None
            finally:
                await transport.aclose()


class _Told(Struct):
    status: int
    fields: dict[str, str]
    body: bytes


class _Bench:
    """One transport and one server; it asks as the router does."""

    def __init__(self, transport: Any, raw: bool, server: LocalServer, patience: float) -> None:
        self.transport, self.server, self._patience = transport, server, patience
        self._exchange: _Exchange = transport.exchange if raw else partial(exchange_over, transport)

    async def ask(
        self, path: str, method: str = "GET", content: bytes = b"", *, port: int | None = None
    ) -> Reply:
        """An answer whose head is here."""
        url = httpx.URL(f"http://127.0.0.1:{port or self.server.port}{path}?key={_CANARY}")
        fields = {b"host": url.netloc, b"accept": b"*/*"}
        own = (b"x-pointsman-request-id",)
        shared = RequestTemplate(method, url, fields, own, counted=bool(content))
        return await self._exchange(shared, ("1",), content)

    async def told(self, path: str, method: str = "GET", content: bytes = b"") -> _Told:
        """An answer, read to its end."""
        reply = await self.ask(path, method, content)
        body = b""
        while (piece := await _some(reply)) is not None:
            body += piece
        return _Told(reply.status, reply.fields, body)

    async def fails(self, path: str, *, port: int | None = None) -> Exception:
        """The error that an answer ends with, which is one of httpx."""
        try:
            reply = await self.ask(path, port=port)
            body = b""
            try:
                while (piece := await _some(reply)) is not None:
                    body += piece
            finally:
                await _close(reply)
        except httpx.TransportError as error:
            return error
        except (OSError, EOFError) as error:
            raise AssertionError(f"{path}: {type(error).__name__} is no error of httpx") from error
        raise AssertionError(f"{path} broke off, and passes for an answer with the body {body!r}")

    async def give_up(self, path: str) -> None:
        """Cancel a call, before its head or within its body, and see the cancellation come out again."""
        before = len(self.server.requests)

        async def call() -> None:
            reply = await self.ask(path)
            try:
                while await _some(reply) is not None:
                    begun.set()
            finally:
                await _close(reply)

        begun = asyncio.Event()
        task = asyncio.ensure_future(call())
        await (self.server.asked(before + 1) if path == "/silent" else begun.wait())
        task.cancel()
        await asyncio.wait([task], timeout=self._patience)
        assert task.cancelled(), "a cancellation does not come out as it went in"

    async def deserted(self, when: str) -> None:
        """Assert that no connection is open."""
        try:
            async with asyncio.timeout(self._patience):
                await self.server.deserted()
        except TimeoutError:
            raise AssertionError(f"a connection is left open {when}") from None

    def ends(self) -> Sequence[Callable[[], Awaitable[object]]]:
        """The ways in which a call can end."""

        async def closed_early(close: Callable[[Reply], Awaitable[None]]) -> None:
            await close(await self.ask("/begun"))

        async def closed_twice() -> None:
            reply = await self.ask("/whole")
            await _close(reply)
            await _close(reply)

        return (
            *(partial(self.told, path) for path in ("/whole", "/204", "/moved")),
            *(partial(self.fails, path) for path in ("/cut", "/broken", "/gone")),
            partial(self.fails, "/whole", port=_closed_port()),
            *(partial(self.give_up, path) for path in ("/silent", "/begun")),
            *(partial(closed_early, close) for close in (_close, _abort)),
            closed_twice,
        )


async def _some(reply: Reply) -> bytes | None:
    """What comes next of a body; None at its end."""
    while True:
        piece = reply.ready()
        if piece is None:
            try:
                piece = await reply.next()
            except StopAsyncIteration:
                return None
            if not piece:
                continue
        return piece or None


async def _close(reply: Reply) -> None:
    await reply.aclose()


async def _abort(reply: Reply) -> None:
    if reply.abort is None:
        await reply.aclose()
    else:
        reply.abort()


async def _twice_closed(transport: Any) -> None:
    await transport.aclose()
    await transport.aclose()


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
