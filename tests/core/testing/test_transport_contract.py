"""The contract of transports: ours keep it, and each rule finds who does not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import httpx
import pytest
from msgspec.structs import replace
from plugin_pages import block

import pointsman_aiohttp
import pointsman_h1
from pointsman.builtin.transports import built_in
from pointsman.plugin import (
    RawTransport,
    Reply,
    RequestTemplate,
    TransportContext,
    TransportFactory,
    TransportOptions,
)
from pointsman.testing.contract import TransportContract

AUTO, HTTPX = built_in()


class TestHttpx(TransportContract):
    factory = HTTPX


class TestAuto(TransportContract):
    factory = AUTO


class TestAiohttp(TransportContract):
    (factory,) = pointsman_aiohttp.plugin.pointsman_transports()


class TestH1(TransportContract):
    (factory,) = pointsman_h1.plugin.pointsman_transports()


# ── each rule finds who breaks it ────────────────────────────────────────────────────────────────────


class Around(httpx.AsyncBaseTransport):
    """Hands everything on, rightly."""

    def __init__(self, context: TransportContext) -> None:
        self.inner = context.inner("httpx")
        self.options = context.options

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


class Body(httpx.AsyncByteStream):
    """Hands a body on, rightly."""

    def __init__(self, response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self.stream = response.stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.stream:
            yield piece

    async def aclose(self) -> None:
        await self.stream.aclose()


class Another(Around):
    """Gives each answer a body of another kind."""

    body: ClassVar[type[Body]]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, stream=self.body(response))


class Clipping(Another):
    class body(Body):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self.stream:
                yield piece[:-1]


class Talkative(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["user-agent"] = "somebody"
        return await super().handle_async_request(request)


class Insistent(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.RemoteProtocolError:
            return await super().handle_async_request(request)


class Collecting(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        whole = b"".join([piece async for piece in stream])
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(whole))


class Padding(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        return httpx.Response(204, content=b"none") if response.status_code == 204 else response


class Lenient(Another):
    class body(Body):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for piece in self.stream:
                    yield piece
            except httpx.RemoteProtocolError:
                pass


class Vague(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.ConnectError as error:
            raise httpx.ReadError("something went wrong") from error


class Stubborn(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await asyncio.shield(asyncio.ensure_future(super().handle_async_request(request)))


class Lasting(Another):
    class body(Body):
        async def aclose(self) -> None:
            pass


class Boundless(Around):
    def __init__(self, context: TransportContext) -> None:
        self.inner = HTTPX.make(replace(context, options=TransportOptions()))


class Forgetful(Around):
    """Counts those that fail as under way."""

    def __init__(self, context: TransportContext) -> None:
        super().__init__(context)
        self.places = asyncio.Semaphore(context.options.max_connections or 1000)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.places.acquire()
        response = await super().handle_async_request(request)
        self.places.release()
        return response


class Hasty(Around):
    def __init__(self, context: TransportContext) -> None:
        super().__init__(context)
        self.loop = asyncio.get_running_loop()


class Immortal(Around):
    async def aclose(self) -> None:
        pass


class Attached(Around):
    home: object = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        loop = asyncio.get_running_loop()
        self.home = self.home or loop
        if self.home is not loop:
            raise httpx.ReadError("got mixed up")
        return await super().handle_async_request(request)


class Open(Around):
    def __repr__(self) -> str:
        return f"Open({self.options.proxy})"


class Quoting(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.ConnectError as error:
            raise httpx.ConnectError(f"no connection to {request.url}") from error


class Astray(Around, RawTransport):
    """Right for those who ask in the words of httpx, and for nobody else."""

    async def exchange(self, shared: RequestTemplate, values: tuple[str, ...], content: bytes) -> Reply:
        raise ConnectionResetError


class Parting(Around):
    def aclose(self) -> Any:
        yield


BROKEN: list[tuple[type[Around], str]] = [
    (Parting, "test_it_has_the_interface_of_its_kind"),
    (Clipping, "test_an_answer_comes_as_it_was_sent"),
    (Astray, "test_an_answer_comes_as_it_was_sent"),
    (Talkative, "test_what_goes_out_is_what_the_request_holds"),
    (Insistent, "test_nothing_is_followed_or_asked_again"),
    (Collecting, "test_what_has_come_of_an_answer_is_told_before_the_rest"),
    (Padding, "test_an_answer_without_a_body_is_over_with_its_head"),
    (Lenient, "test_an_answer_that_breaks_off_is_an_error_and_never"),
    (Astray, "test_an_answer_that_breaks_off_is_an_error_and_never"),
    (Vague, "test_an_upstream_that_is_not_there_is_a_connect_error"),
    (Stubborn, "test_a_call_that_is_given_up_closes_its_connection"),
    (Lasting, "test_an_answer_that_is_closed_early_closes_its_connection"),
    (Boundless, "test_no_more_requests_are_under_way_than_it_may_have"),
    (Forgetful, "test_the_place_is_free_again_however_a_call_ends"),
    (Hasty, "test_it_can_be_made_without_a_loop_and_closed_without"),
    (Immortal, "test_closing_it_ends_what_is_open"),
    (Attached, "test_another_event_loop_is_served_or_refused"),
    (Open, "test_neither_a_password_nor_the_way_of_a_request_is_shown"),
    (Quoting, "test_neither_a_password_nor_the_way_of_a_request_is_shown"),
]
RULES = [name for name in vars(TransportContract) if name.startswith("test_")]


def rule_of(factory: TransportFactory, named: str, *, patience: float = 0.5) -> Any:
    """The rule whose name begins so, for what `factory` makes."""
    (rule,) = [each for each in RULES if each.startswith(named)]
    return getattr(type("Tried", (TransportContract,), {"factory": factory, "patience": patience})(), rule)


@pytest.mark.parametrize(("transport", "rule"), BROKEN)
def test_a_faulty_transport_is_found(transport: type[Around], rule: str) -> None:
    with pytest.raises((AssertionError, httpx.TransportError, OSError, RuntimeError, pytest.fail.Exception)):
        rule_of(TransportFactory("faulty", None, transport), rule)()


def test_a_transport_that_refuses_without_a_reason_is_found() -> None:
    factory = TransportFactory("curt", None, Around, refuses=lambda options: "no" if options.proxy else None)

    with pytest.raises(AssertionError, match="tells nobody why"):
        rule_of(factory, "test_what_it_refuses_it_says_in_words")()


@pytest.mark.parametrize("rule", RULES)
def test_a_transport_that_does_nothing_wrong_is_not_found(rule: str) -> None:
    rule_of(TransportFactory("sound", None, Around), rule, patience=10.0)()


def test_each_rule_is_broken_by_somebody_here() -> None:
    said = Path(__file__).read_text("utf-8")

    assert len(RULES) == 17
    assert [rule for rule in RULES if f'"{rule[:50]}' not in said] == []


@pytest.mark.parametrize("rule", RULES)
def test_the_example_of_the_page_keeps_it_as_the_page_tests_it(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = block("transport.md", "plugin = ")
    contract = block("transport.md", "(TransportContract):")
    module = ModuleType("pointsman_told")
    monkeypatch.setitem(sys.modules, "pointsman_told", module)

    exec(compile(plugin, "docs/plugins/transport.md", "exec", dont_inherit=True), vars(module))
    exec(compile(contract, "docs/plugins/transport.md", "exec", dont_inherit=True), vars(module))

    getattr(vars(module)["TestTold"](), rule)()
